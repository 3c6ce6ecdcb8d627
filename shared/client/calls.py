"""One typed call per command and question.

Written by `python -m tests.client.calls` from the published language. Optional fields are left out when None. Beside
its own fields a command takes `command_id` (made when absent, kept through retries), `correlation_id` and `dry_run`; a
question takes `at_least` and `wait_ms`, and a list `limit` and `after`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from shared.client.outcomes import Found, Page
from shared.language.answers import (
    AccountEntry,
    AddressEntry,
    Concealed,
    Destination,
    Identity,
    Impact,
    InboxEntry,
    NotAnswered,
    Orphan,
    Reply,
    RoutingEntry,
    TeamEntry,
    UsageShown,
    UserEntry,
)
from shared.language.questions import State
from shared.language.rules import Rule
from shared.language.text import Access, Availability, Kind, Permission, Plan, Policy, Provider, Tool


class Giving(TypedDict, total=False):
    command_id: str
    correlation_id: str
    dry_run: bool


class Asking(TypedDict, total=False):
    at_least: int
    wait_ms: int


class Listing(Asking, total=False):
    limit: int
    after: str | None


class Calls(ABC):
    """The calls; whoever has `give`, `find` and `list` has them all."""

    @abstractmethod
    async def give(self, command: str, fields: Mapping[str, Any]) -> Reply:
        """Any command by its name."""

    @abstractmethod
    async def find(self, question: str, fields: Mapping[str, Any]) -> Found[Any] | NotAnswered:
        """Any question that has one result."""

    @abstractmethod
    async def list(self, question: str, fields: Mapping[str, Any]) -> Page[Any] | NotAnswered:
        """A page of any question that has a list."""

    async def register_account(self, plan: Plan, admin: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("RegisterAccount", {"plan": plan, "admin": admin, **how})

    async def change_plan(self, plan: Plan, **how: Unpack[Giving]) -> Reply:
        return await self.give("ChangePlan", {"plan": plan, **how})

    async def create_team(self, team: str, name: str, *, members: Sequence[str] = (), **how: Unpack[Giving]) -> Reply:
        return await self.give("CreateTeam", {"team": team, "name": name, "members": members, **how})

    async def set_team_members(self, team: str, members: Sequence[str], **how: Unpack[Giving]) -> Reply:
        return await self.give("SetTeamMembers", {"team": team, "members": members, **how})

    async def set_account_never_log(self, entries: Sequence[str], **how: Unpack[Giving]) -> Reply:
        return await self.give("SetAccountNeverLog", {"entries": entries, **how})

    async def add_user(self, user: str, name: str, permissions: Sequence[Permission], **how: Unpack[Giving]) -> Reply:
        return await self.give("AddUser", {"user": user, "name": name, "permissions": permissions, **how})

    async def set_permissions(self, user: str, permissions: Sequence[Permission], **how: Unpack[Giving]) -> Reply:
        return await self.give("SetPermissions", {"user": user, "permissions": permissions, **how})

    async def assign_seat(self, user: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("AssignSeat", {"user": user, **how})

    async def unassign_seat(self, user: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("UnassignSeat", {"user": user, **how})

    async def deactivate_user(self, user: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("DeactivateUser", {"user": user, **how})

    async def reactivate_user(self, user: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("ReactivateUser", {"user": user, **how})

    async def remove_user(
        self, user: str, *, policy: Policy = "orphan", new_owner: str | None = None, **how: Unpack[Giving]
    ) -> Reply:
        return await self.give("RemoveUser", {"user": user, "policy": policy, "new_owner": new_owner, **how})

    async def set_availability(
        self, user: str, availability: Availability, *, cause: str | None = None, **how: Unpack[Giving]
    ) -> Reply:
        return await self.give("SetAvailability", {"user": user, "availability": availability, "cause": cause, **how})

    async def set_default_sender(self, user: str, address: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("SetDefaultSender", {"user": user, "address": address, **how})

    async def set_signature(self, user: str, signature: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("SetSignature", {"user": user, "signature": signature, **how})

    async def set_default_font(self, user: str, font: str, *, size: int | None = None, **how: Unpack[Giving]) -> Reply:
        return await self.give("SetDefaultFont", {"user": user, "font": font, "size": size, **how})

    async def set_logging_preferences(
        self,
        user: str,
        *,
        log_replies: bool | None = None,
        track_opens: bool | None = None,
        track_clicks: bool | None = None,
        never_log: Sequence[str] | None = None,
        **how: Unpack[Giving],
    ) -> Reply:
        return await self.give(
            "SetLoggingPreferences",
            {
                "user": user,
                "log_replies": log_replies,
                "track_opens": track_opens,
                "track_clicks": track_clicks,
                "never_log": never_log,
                **how,
            },
        )

    async def create_inbox(
        self, inbox: str, name: str, *, members: Sequence[str] | None = None, **how: Unpack[Giving]
    ) -> Reply:
        return await self.give("CreateInbox", {"inbox": inbox, "name": name, "members": members, **how})

    async def rename_inbox(self, inbox: str, name: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("RenameInbox", {"inbox": inbox, "name": name, **how})

    async def set_inbox_access(
        self,
        inbox: str,
        access: Access,
        *,
        members: Sequence[str] = (),
        teams: Sequence[str] = (),
        **how: Unpack[Giving],
    ) -> Reply:
        return await self.give(
            "SetInboxAccess", {"inbox": inbox, "access": access, "members": members, "teams": teams, **how}
        )

    async def set_routing(self, inbox: str, rule: Rule, **how: Unpack[Giving]) -> Reply:
        return await self.give("SetRouting", {"inbox": inbox, "rule": rule, **how})

    async def archive_inbox(self, inbox: str, *, cascade: bool = False, **how: Unpack[Giving]) -> Reply:
        return await self.give("ArchiveInbox", {"inbox": inbox, "cascade": cascade, **how})

    async def restore_inbox(self, inbox: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("RestoreInbox", {"inbox": inbox, **how})

    async def connect_personal(
        self,
        address: str,
        owner: str,
        *,
        provider: Provider | None = None,
        provider_identity: str | None = None,
        from_name: str | None = None,
        **how: Unpack[Giving],
    ) -> Reply:
        return await self.give(
            "ConnectPersonal",
            {
                "address": address,
                "owner": owner,
                "provider": provider,
                "provider_identity": provider_identity,
                "from_name": from_name,
                **how,
            },
        )

    async def connect_team(
        self,
        address: str,
        inbox: str,
        *,
        visibility_acknowledged: bool = False,
        provider: Provider | None = None,
        provider_identity: str | None = None,
        from_name: str | None = None,
        **how: Unpack[Giving],
    ) -> Reply:
        return await self.give(
            "ConnectTeam",
            {
                "address": address,
                "inbox": inbox,
                "visibility_acknowledged": visibility_acknowledged,
                "provider": provider,
                "provider_identity": provider_identity,
                "from_name": from_name,
                **how,
            },
        )

    async def disconnect(self, address: str, *, note: str | None = None, **how: Unpack[Giving]) -> Reply:
        return await self.give("Disconnect", {"address": address, "note": note, **how})

    async def require_reauthentication(self, address: str, cause: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("RequireReauthentication", {"address": address, "cause": cause, **how})

    async def reconnect(self, address: str, *, provider_identity: str | None = None, **how: Unpack[Giving]) -> Reply:
        return await self.give("Reconnect", {"address": address, "provider_identity": provider_identity, **how})

    async def pause(
        self, address: str, *, receive: bool | None = None, send: bool | None = None, **how: Unpack[Giving]
    ) -> Reply:
        return await self.give("Pause", {"address": address, "receive": receive, "send": send, **how})

    async def resume(
        self, address: str, *, receive: bool | None = None, send: bool | None = None, **how: Unpack[Giving]
    ) -> Reply:
        return await self.give("Resume", {"address": address, "receive": receive, "send": send, **how})

    async def move_team_address(self, address: str, to_inbox: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("MoveTeamAddress", {"address": address, "to_inbox": to_inbox, **how})

    async def convert_connection(
        self,
        address: str,
        to: Kind,
        *,
        owner: str | None = None,
        inbox: str | None = None,
        visibility_acknowledged: bool = False,
        **how: Unpack[Giving],
    ) -> Reply:
        return await self.give(
            "ConvertConnection",
            {
                "address": address,
                "to": to,
                "owner": owner,
                "inbox": inbox,
                "visibility_acknowledged": visibility_acknowledged,
                **how,
            },
        )

    async def transfer_ownership(self, address: str, new_owner: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("TransferOwnership", {"address": address, "new_owner": new_owner, **how})

    async def reclaim_address(self, address: str, new_owner: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("ReclaimAddress", {"address": address, "new_owner": new_owner, **how})

    async def release_address(self, address: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("ReleaseAddress", {"address": address, **how})

    async def bind_tool(self, address: str, tool: Tool, **how: Unpack[Giving]) -> Reply:
        return await self.give("BindTool", {"address": address, "tool": tool, **how})

    async def unbind_tool(self, address: str, tool: Tool, **how: Unpack[Giving]) -> Reply:
        return await self.give("UnbindTool", {"address": address, "tool": tool, **how})

    async def add_alias(self, address: str, alias: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("AddAlias", {"address": address, "alias": alias, **how})

    async def remove_alias(self, address: str, alias: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("RemoveAlias", {"address": address, "alias": alias, **how})

    async def promote_alias(self, address: str, alias: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("PromoteAlias", {"address": address, "alias": alias, **how})

    async def set_from_name(self, address: str, from_name: str, **how: Unpack[Giving]) -> Reply:
        return await self.give("SetFromName", {"address": address, "from_name": from_name, **how})

    async def address(self, address: str, **how: Unpack[Asking]) -> Found[AddressEntry | Concealed] | NotAnswered:
        return await self.find("Address", {"address": address, **how})

    async def addresses(
        self,
        *,
        state: State | None = None,
        kind: Kind | None = None,
        inbox: str | None = None,
        owner: str | None = None,
        **how: Unpack[Listing],
    ) -> Page[AddressEntry] | NotAnswered:
        return await self.list("Addresses", {"state": state, "kind": kind, "inbox": inbox, "owner": owner, **how})

    async def inbox(self, inbox: str, **how: Unpack[Asking]) -> Found[InboxEntry] | NotAnswered:
        return await self.find("Inbox", {"inbox": inbox, **how})

    async def inboxes(self, **how: Unpack[Listing]) -> Page[InboxEntry] | NotAnswered:
        return await self.list("Inboxes", how)

    async def identities(self, user: str, **how: Unpack[Listing]) -> Page[Identity] | NotAnswered:
        return await self.list("Identities", {"user": user, **how})

    async def user(self, user: str, **how: Unpack[Asking]) -> Found[UserEntry] | NotAnswered:
        return await self.find("User", {"user": user, **how})

    async def users(self, **how: Unpack[Listing]) -> Page[UserEntry] | NotAnswered:
        return await self.list("Users", how)

    async def teams(self, **how: Unpack[Listing]) -> Page[TeamEntry] | NotAnswered:
        return await self.list("Teams", how)

    async def account(self, **how: Unpack[Asking]) -> Found[AccountEntry] | NotAnswered:
        return await self.find("Account", how)

    async def orphans(self, **how: Unpack[Listing]) -> Page[Orphan] | NotAnswered:
        return await self.list("Orphans", how)

    async def usage(self, **how: Unpack[Asking]) -> Found[UsageShown] | NotAnswered:
        return await self.find("Usage", how)

    async def removal_impact(self, user: str, **how: Unpack[Asking]) -> Found[Impact] | NotAnswered:
        return await self.find("RemovalImpact", {"user": user, **how})

    async def resolve(
        self,
        recipients: Sequence[str],
        *,
        sender: str = "",
        contact_owner: str | None = None,
        turn: int | None = None,
        **how: Unpack[Asking],
    ) -> Found[tuple[Destination, ...]] | NotAnswered:
        return await self.find(
            "Resolve", {"recipients": recipients, "sender": sender, "contact_owner": contact_owner, "turn": turn, **how}
        )

    async def routing(self, inbox: str, **how: Unpack[Asking]) -> Found[RoutingEntry] | NotAnswered:
        return await self.find("Routing", {"inbox": inbox, **how})
