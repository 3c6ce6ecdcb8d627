"""The plan of a directory, in an order in which its commands can be given."""

from services.ops.loading.address_plan import plan_addresses
from services.ops.loading.directory import Directory
from services.ops.loading.draft import Draft
from services.ops.loading.people_plan import plan_inboxes, plan_leaving, plan_teams, plan_users
from services.ops.loading.plan import AccountState, Plan, by_row, count_not_listed


def build_plan(directory: Directory, account: AccountState) -> Plan:
    draft = Draft(account)
    plan_users(draft, directory)
    plan_teams(draft, directory)
    plan_inboxes(draft, directory)
    plan_addresses(draft, directory)
    plan_leaving(draft, directory)
    plan = draft.plan
    plan.not_listed = count_not_listed(directory, account)
    plan.clashes.sort(key=by_row)
    return plan
