"""What each field, header and reason means to somebody who reads the contract and not the code.

A field means the same wherever its name stands; where it does not, `Class.field` says so. Tests see to it that none is
forgotten and none is left over.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.language import subjects
from shared.language.subjects import Ce

FIELDS: Final[Mapping[str, str]] = {
    # ---- of every command and question
    "actor": "Who asks: a user's id, or `service:<name>` for a trusted service.",
    "command_id": "The command's id, a UUID of the caller's choice: with the same one the first answer stands.",
    "correlation_id": "Stands in every event of the command, for whoever follows a piece of work across systems.",
    "dry_run": "Decide the same and write nothing.",
    "at_least": "The position that the answer must have reached; that of a command's reply shows its effect.",
    "wait_ms": "How long to wait for that position, in milliseconds; more than 30,000 is cut to it.",
    "limit": "How many items at most; there may be fewer.",
    "after": "The `next` of the page before.",
    # ---- what things are called
    "user": "The user's id.",
    "team": "The team's id.",
    "inbox": "The inbox's id.",
    "address": "The e-mail address: asked in any spelling, told in its canonical form.",
    "alias": "A further address of the same mailbox, in any spelling.",
    "owner": "The user whose personal address it is.",
    "new_owner": "The user who gets it.",
    "admin": "The first user: an administrator with every permission.",
    "name": "The name that people read.",
    "members": "Users' ids.",
    "teams": "Teams' ids.",
    "users": "Users' ids, in the order in which they are looked at.",
    # ---- account and user
    "plan": "What the account subscribes to; it says how many inboxes there may be.",
    "entries": "Addresses and domains whose mail is never logged: the whole list.",
    "never_log": "Addresses and domains whose mail is never logged: the whole list.",
    "permissions": "What the user may do. `super_admin` includes `account_access`, not `personal_email_access`.",
    "policy": "What becomes of the user's connections.",
    "availability": "Whether routing may choose him now.",
    "cause": "Why, in words.",
    "signature": "What stands below his mail.",
    "font": "The font's name.",
    "size": "In points.",
    "log_replies": "Whether replies to his mail are logged.",
    "track_opens": "Whether it is followed who opens his mail.",
    "track_clicks": "Whether clicks in his mail are followed.",
    # ---- inbox and routing
    "access": "Whether it is open to everyone or to its members.",
    "rule": "Who gets a new conversation.",
    "cascade": "Disconnect what is connected to it, instead of refusing.",
    "kind": "Personal, one user's; or team, one inbox's.",
    "fallback": "What holds when the contact has no owner, or one who cannot be chosen.",
    "words": "The rule as a sentence.",
    # ---- connection
    "provider": "Who runs the mailbox.",
    "provider_identity": "The mailbox behind the address, as its provider calls it; pinned while the claim lasts.",
    "from_name": "The name that recipients see.",
    "visibility_acknowledged": "That the whole team sees all mail that arrives is known and meant.",
    "note": "Kept with the fact; it changes nothing.",
    "to_inbox": "The inbox it goes to.",
    "to": "The new holder.",
    "from": "The former holder.",
    "tool": "The tool that uses the address.",
    "display": "The address as it was typed.",
    "primary": "The address that an alias follows.",
    "connector": "Who connected it: a user's id or `service:<name>`.",
    "canonical_form": "The version of the rules that made `address` from `display`.",
    "receiving": "Whether mail comes in.",
    "sending": "Whether mail goes out.",
    # ---- questions
    "state": "Only those in this state.",
    "recipients": "The mail's recipients, in any spelling.",
    "sender": "The mail's sender as it stands in the mail: any text, an empty one too.",
    "contact_owner": "The user who owns the sender's contact record, if somebody does.",
    "turn": "A number that the caller counts up; it replaces the stable choice per sender.",
    # ---- replies to commands
    "outcome": "Which of the three replies this is.",
    "position": "A place in the log: of what the command did, to be given as `at_least`; of what is answered.",
    "events": "What happened, the first hundred of it.",
    "event_count": "How many events there are in all.",
    "warnings": "What the caller should know although it was accepted.",
    "next_steps": "What one does next as a rule.",
    "reason": "The stable name of the refusal.",
    "message": "One plain sentence for people.",
    "details": "What it is about, by name: the holder, the field at fault, the limit.",
    "next_actions": "What somebody may do about it.",
    "type": "The event's name.",
    "id": "The event's id, the same as its `ce-id`.",
    "code": "The stable name of the warning.",
    "count": "How many it is about.",
    "step": "The stable name of the step.",
    "command": "The command to give.",
    "by": "The roles that may give it.",
    "why": "What it does for one.",
    # ---- answers
    "result": "The answer itself.",
    "next": "Give it as `after` for the next page; null on the last one.",
    "incomplete_since": "The position of a dead letter, parked or given up, that this answer may lack.",
    "error": "The stable name of the error.",
    "since": "When the present holder's claim began.",
    "tools": "The tools that use it.",
    "aliases": "The further addresses of the same mailbox.",
    "connector_gone": "Whether its connector is no longer an active user.",
    "claimed_at": "When the claim of the address that was chosen began.",
    "former_primary": "The address that was the primary and is an alias from here on.",
    "reauthentication_required": "Whether the mailbox must be authenticated again.",
    "inactive": "Those members who are deactivated or removed.",
    "connections": "The team addresses that the user connected.",
    "last_reader_of": "The inboxes that nobody would read afterwards.",
    "suspected": "The connected address that was probably meant: the recipient's mailbox without its `+tag`.",
    "field": "The field of the command that it is about.",
    "health": "How the connection does; `degraded` when one way is off or it lost what it needs: a person, readers.",
    "advice": "What to do to learn more.",
    "archived": "Whether it is archived.",
    "addresses": "The addresses, with their health.",
    "routing": "Who gets new conversations.",
    "readers": "The active users who see the mail that arrives.",
    "via": "Where the identity comes from.",
    "default": "Whether it is the one that is taken.",
    "usable": "Whether it can be used now.",
    "why_not": "What stands in the way, if something does.",
    "status": "Whether he is there.",
    "seat": "Whether he has a seat; only then is he chosen by routing.",
    "logging": "What is logged and followed.",
    "default_sender": "The address he sends from if he does not choose.",
    "limits": "What the plan allows.",
    "inboxes": "Open inboxes.",
    "used": "How many there are.",
    "former_owner": "The user who was removed.",
    "rules": "The inboxes whose rules name the user.",
    "eligible": "Whether he can be chosen.",
    "targets": "Whom the rule names, and whether each can be chosen.",
    "recipient": "The recipient in canonical form; as it was typed where there is none.",
    "destination": "Where the mail goes.",
    "assignee": "The user who gets it, if somebody does.",
    "candidates": "Who was looked at, in order.",
    # ---- where a name means something else
    "CreateInbox.members": "Users' ids; an empty list is an inbox of nobody, absent one that is open to everyone.",
    "PromoteAlias.alias": "The alias that becomes the primary, in any spelling.",
    "SetTeamMembers.members": "Users' ids; replaces the list.",
    "SetInboxAccess.members": "Users' ids; replaces the list, and absent is empty.",
    "SetInboxAccess.teams": "Teams' ids; replaces the list, and absent is empty.",
    "SetDefaultSender.address": "One of the addresses he may send from, in any spelling.",
    "Pause.receive": "True to pause the way in; both ways when neither is given.",
    "Pause.send": "True to pause the way out; both ways when neither is given.",
    "Resume.receive": "True to resume the way in; both ways when neither is given.",
    "Resume.send": "True to resume the way out; both ways when neither is given.",
    "ConvertConnection.to": "The kind it becomes.",
    "ConvertConnection.owner": "With `personal`: whose it becomes.",
    "ConvertConnection.inbox": "With `team`: the inbox it goes to.",
    "ConnectionConverted.from": "The kind it was.",
    "ConnectionConverted.to": "The kind it is.",
    "ConnectionPaused.receive": "Whether the way in was meant.",
    "ConnectionPaused.send": "Whether the way out was meant.",
    "ConnectionResumed.receive": "Whether the way in was meant.",
    "ConnectionResumed.send": "Whether the way out was meant.",
    "AddressReclaimed.cause": "`owner_returned` when its former owner came back.",
    "RemoveUser.new_owner": "With policy `transfer_to`, and with no other: the user who gets them.",
    "Addresses.owner": "Only those of this user.",
    "Addresses.inbox": "Only those of this inbox.",
    "Addresses.kind": "Only those of this kind.",
    "AddressEntry.state": "What may be done with it now.",
    "Unassigned.kind": "Which rule this is.",
    "UsersAndTeams.kind": "Which rule this is.",
    "ContactOwner.kind": "Which rule this is.",
    "RoutingShown.kind": "Which rule this is.",
    "Accepted.dry_run": "Whether nothing was written.",
    "Unchanged.dry_run": "Whether nothing would have been written anyway.",
    "Refused.dry_run": "Whether nothing would have been written anyway.",
    "Refused.command_id": "The command's id; null when the body could not be read.",
    "NotAnswered.details": "What it is about, by name.",
    "Destination.rule": "The rule that chose, or `fallback`, or `personal`.",
    "Destination.owner": "The owner in whose log the mail goes.",
    "Destination.reason": "Why it goes nowhere, if it does; NO_READERS when nobody reads the inbox.",
    "Impact.addresses": "The addresses he owns, their aliases too.",
    "Impact.inboxes": "The inboxes that name the user as a member, directly or through a team.",
    "Impact.rules": "The inboxes whose rules name the user, directly or through a team.",
    "Impact.teams": "The teams that name him.",
    "Warned.inboxes": "The inboxes it is about.",
    "Limits.inboxes": "How many open inboxes there may be.",
    "Used.limit": "How many there may be.",
}

HEADERS: Final[Mapping[str, str]] = {
    Ce.SPECVERSION: "The version of CloudEvents.",
    Ce.ID: "The event's id, the same however often it is delivered.",
    Ce.SOURCE: "Who tells it.",
    Ce.TYPE: "The event's stored name, which never changes its meaning.",
    Ce.CONTENT_TYPE: "The body is JSON in UTF-8.",
    Ce.SCHEMA: "The `$id` of the published schema of the body.",
    Ce.SUBJECT: "The aggregate: its kind and its id; an address stands there as the id of its stream.",
    Ce.TIME: "When it was decided, in UTC.",
    Ce.ACCOUNT: "The account.",
    Ce.POSITION: "Its place in the whole log, in digits: 1, 2, 3 … without holes.",
    Ce.STREAM_VERSION: "Its place among the events of its aggregate, in digits: 1, 2, 3 … without holes.",
    Ce.ACTOR: "Who asked for it: a user's id or `service:<name>`.",
    Ce.CAUSATION_ID: "The id of the command that caused it.",
    Ce.CORRELATION_ID: "What the command gave as its `correlation_id`.",
    Ce.TRACEPARENT: "W3C Trace Context: as the command bore it in its headers.",
    subjects.MESSAGE_ID: "The same as `ce-id`, by which JetStream knows what it has.",
    subjects.EXPECTED_SEQUENCE: "What the relay asked of the server; leave it out of a message that you publish on.",
    subjects.EXPECTED_MESSAGE_ID: "The event before it, as the relay asked of the server; leave it out likewise.",
    subjects.ERROR: "The name of the reason or error.",
    subjects.ERROR_CODE: "Its number, in digits.",
}

REASONS: Final[Mapping[str, str]] = {
    "COMMAND_INVALID": "The body does not say this command, names a field twice, or no message of NATS is as large as "
    "its events: details name the fields at fault.",
    "COMMAND_UNKNOWN": "There is no such command: details name those there are.",
    "COMMAND_ID_REUSED": "The id was used before with another body.",
    "ACCOUNT_NOT_FOUND": "There is no such account.",
    "USER_NOT_FOUND": "There is no such user, or he was removed.",
    "INBOX_NOT_FOUND": "There is no such inbox.",
    "TEAM_NOT_FOUND": "There is no such team.",
    "ACCOUNT_EXISTS": "The account is there already.",
    "USER_EXISTS": "The user is there already.",
    "TEAM_EXISTS": "The team is there already.",
    "INBOX_EXISTS": "The inbox is there already.",
    "INBOX_NAME_TAKEN": "Another inbox bears this name.",
    "INBOX_ARCHIVED": "The inbox is archived; restore it first.",
    "INBOX_IN_USE": "Addresses are connected to it; move or disconnect them, or give `cascade`.",
    "DEFAULT_INBOX": "The default inbox stays.",
    "ADDRESS_INVALID": "This is no address that can be connected: details say what is wrong and where.",
    "PERMISSION_MISSING": "The actor may not: details name what is missing.",
    "OWNER_MUST_BE_ACTOR": "People connect addresses for themselves.",
    "OWNER_NOT_ACTIVE": "Who is to own it is not an active user.",
    "ADDRESS_ALREADY_PERSONAL": "Somebody holds it as personal.",
    "ADDRESS_ALREADY_TEAM": "It is connected as a team address.",
    "ADDRESS_IN_OTHER_INBOX": "It is connected to another inbox.",
    "ADDRESS_ORPHANED": "Its owner was removed: reclaim, transfer or release it.",
    "ADDRESS_IS_ALIAS": "It is an alias of another address.",
    "TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN": "The meetings tool works with personal addresses only.",
    "ADDRESS_USED_BY_MEETINGS": "The meetings tool uses it; unbind it first.",
    "PERSONAL_CONNECTION_REQUIRED": "A tool needs a personal connection.",
    "TEAM_VISIBILITY_NOT_ACKNOWLEDGED": "That the whole team sees the mail must be acknowledged.",
    "INBOX_LIMIT_REACHED": "The plan allows no more open inboxes: details say how many.",
    "NOT_CONNECTED": "The address is free.",
    "CONNECTION_PAUSED": "One holds it already, and it is paused; resume it.",
    "REAUTH_REQUIRED": "One holds it already, and it must be authenticated again; reconnect it.",
    "REAUTH_IDENTITY_MISMATCH": "This is another mailbox than the one that was connected; nothing was changed.",
    "IDENTITY_NOT_USABLE": "He cannot send from this address now: details name those he can.",
    "ROUTING_TARGET_NOT_MEMBER": "The rule names somebody who is no member of the inbox.",
    "ROUTING_TARGET_NO_SEAT": "The rule names somebody without a seat.",
    "ROUTING_TARGET_NOT_ACTIVE": "The rule names somebody who is not active.",
    "USER_NOT_DEACTIVATED": "Only a deactivated user is removed.",
    "LAST_SUPER_ADMIN": "The last super admin stays.",
    "STREAM_NOT_UNDERSTOOD": "Not decided: an event of a newer release concerns it; run the newer release.",
    "BUSY": "Not decided, not answered: ask again with the same id after `retry_after_ms`.",
    "INTERNAL_ERROR": "Not decided, not answered: a fault in Switchboard itself, whose log has the place. Asking again"
    " helps once it is mended; a command then keeps its id.",
    "QUERY_INVALID": "The body does not say this question, names a field twice, or no message of NATS is as large as "
    "the answer: details name the fields at fault, or the size.",
    "QUERY_UNKNOWN": "There is no such question: details name those there are.",
    "VIEW_BEHIND": "The position was not reached in time; ask again.",
}


# Each choice by its words, under one title wherever it stands: generators name types after titles.
CHOICES: Final[Mapping[frozenset[str], str]] = {
    frozenset(words.split()): title
    for title, words in {
        "Access": "everyone members",
        "Availability": "available away",
        "Destination kind": "inbox personal none",
        "Health": "healthy degraded paused reauth_required orphaned disconnected",
        "Kind": "personal team",
        "Permission": "personal_email_access account_access super_admin",
        "Plan": "free starter professional enterprise",
        "Policy": "orphan release transfer_to",
        "Provider": "google microsoft imap",
        "Reclaim cause": "reclaimed owner_returned",
        "Rule kind": "unassigned users_and_teams contact_owner",
        "State": "free connected paused reauth_required orphaned",
        "Tool": "one_to_one sequences extension meetings",
        "User status": "active deactivated removed",
        "Via": "personal alias inbox",
    }.items()
}
# What stands in a list and has a pattern, by the list's field.
ITEMS: Final[Mapping[str, str]] = {
    "members": "MemberId",
    "teams": "TeamId",
    "UsersAndTeams.teams": "RuleTeamId",
    "UsersAndTeams.users": "RuleUserId",
}
# Asked and told, these differ: what is told never bears null and may gain fields.
RULES: Final = ("Unassigned", "UsersAndTeams", "ContactOwner")


def title_of_choice(words: Sequence[str]) -> str:
    """Raises `MissingDescription` for a choice that is new."""
    title = CHOICES.get(frozenset(words))
    if title is None:
        raise MissingDescription(
            f"The choice of {', '.join(words)} has no title yet: services/ops/contract/meanings.py"
        )
    return title.title().replace(" ", "")


def title_of_item(message: str, field: str) -> str:
    """Raises `MissingDescription` for a list whose items have no title yet."""
    title = ITEMS.get(f"{message}.{field}") or ITEMS.get(field)
    if title is None:
        raise MissingDescription(f"The items of {message}.{field} have no title yet: services/ops/contract/meanings.py")
    return title


def title_of_constant(value: str, field: str) -> str:
    return f"{value}_{field}".replace("_", " ").title().replace(" ", "")


def title_of_rule(name: str) -> str:
    return f"{name}Rule" if name in RULES else name


class MissingDescription(Exception):
    """Something new that nobody has described yet; says where to."""


def of_field(message: str, field: str) -> str:
    """What the field of a class means, by its name on the wire.

    Raises:
        MissingDescription: nobody has said it yet.
    """
    found = FIELDS.get(f"{message}.{field}") or FIELDS.get(field)
    if found is None:
        raise MissingDescription(f"What {message}.{field} means is not said yet: services/ops/contract/meanings.py")
    return found
