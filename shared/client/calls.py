"""One typed call per command and question.

Written by `python -m services.ops.contract.client_calls` from the published language. Beside its own fields a command
takes `CommandOptions`, a question `QuestionOptions` and a list `ListOptions`. A field that is None is left out.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from shared.client.outcomes import Page, QueryResult
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
from shared.language.audit_answers import (
    AboutEntry,
    AccessInterval,
    Bisected,
    ChangedThing,
    CoverageShown,
    Leaver,
    RefusalItem,
    TimelineEntry,
    TracedCommand,
)
from shared.language.questions import State
from shared.language.rules import Rule
from shared.language.text import Access, Availability, Kind, Permission, Plan, Policy, Provider, Tool


class CommandOptions(TypedDict, total=False):
    """Fields that every command takes.

    Attributes:
        command_id: The command's id, a UUID chosen by the caller. A repeated id returns the first reply.
        correlation_id: An id that every event of the command carries, to trace work across systems.
        dry_run: Decide the command without writing anything.
    """

    command_id: str
    correlation_id: str
    dry_run: bool


class QuestionOptions(TypedDict, total=False):
    """Fields that every question takes.

    Attributes:
        at_least: The position that the answer must include; the position of a reply makes its effect visible.
        wait_ms: The time to wait for that position, in milliseconds; values above 30,000 are reduced to it.
    """

    at_least: int
    wait_ms: int


class ListOptions(QuestionOptions, total=False):
    """Fields that every list takes.

    Attributes:
        limit: The maximum number of items; a page may have fewer.
        after: The `next` of the previous page.
    """

    limit: int
    after: str | None


class Calls(ABC):
    """One call per command and question, over `send`, `query` and `list`.

    Every command may also be refused with BUSY, COMMAND_ID_REUSED, COMMAND_INVALID, INTERNAL_ERROR, PERMISSION_MISSING,
    STREAM_NOT_UNDERSTOOD.
    Every question may also fail with ACCOUNT_NOT_FOUND, BUSY, INTERNAL_ERROR, PERMISSION_MISSING, QUERY_INVALID,
    VIEW_BEHIND.
    """

    @abstractmethod
    async def send(self, command: str, fields: Mapping[str, Any]) -> Reply:
        """Send any command by its name."""

    @abstractmethod
    async def query(self, question: str, fields: Mapping[str, Any]) -> QueryResult[Any] | NotAnswered:
        """Ask any question that has one result, by its name."""

    @abstractmethod
    async def list(self, question: str, fields: Mapping[str, Any]) -> Page[Any] | NotAnswered:
        """Ask for one page of any question that has a list, by its name."""

    async def register_account(self, plan: Plan, admin: str, **options: Unpack[CommandOptions]) -> Reply:
        """Begin an account with its first user and the inbox `inbox`, which cannot be archived.

        Allowed: a trusted service.

        Args:
            plan: The subscription plan; it limits the number of open inboxes.
            admin: The first user, an administrator with every permission.

        Refused: ACCOUNT_EXISTS.
        """
        return await self.send("RegisterAccount", {"plan": plan, "admin": admin, **options})

    async def change_plan(self, plan: Plan, **options: Unpack[CommandOptions]) -> Reply:
        """Change the plan. A plan below the present use is allowed; until the use is below it, nothing new is possible.

        Allowed: `super_admin`.

        Args:
            plan: The subscription plan; it limits the number of open inboxes.

        Refused: ACCOUNT_NOT_FOUND.
        """
        return await self.send("ChangePlan", {"plan": plan, **options})

    async def create_team(
        self, team: str, name: str, *, members: Sequence[str] = (), **options: Unpack[CommandOptions]
    ) -> Reply:
        """Create a team with its members.

        Allowed: `account_access`.

        Args:
            team: The team's id.
            name: The display name.
            members: The ids of users.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND, TEAM_EXISTS.
        """
        return await self.send("CreateTeam", {"team": team, "name": name, "members": members, **options})

    async def set_team_members(self, team: str, members: Sequence[str], **options: Unpack[CommandOptions]) -> Reply:
        """Set the members of a team; replaces all of them.

        Allowed: `account_access`.

        Args:
            team: The team's id.
            members: The complete list of user ids; it replaces the present one.

        Refused: ACCOUNT_NOT_FOUND, TEAM_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send("SetTeamMembers", {"team": team, "members": members, **options})

    async def set_account_never_log(self, entries: Sequence[str], **options: Unpack[CommandOptions]) -> Reply:
        """Set the addresses and domains whose mail is never logged; replaces all of them.

        Allowed: `account_access`.

        Args:
            entries: The complete list of addresses and domains whose mail is never logged.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND.
        """
        return await self.send("SetAccountNeverLog", {"entries": entries, **options})

    async def add_user(
        self, user: str, name: str, permissions: Sequence[Permission], **options: Unpack[CommandOptions]
    ) -> Reply:
        """Add a user. With the id of a removed user, the addresses still orphaned by that removal come back.

        Allowed: `super_admin`.

        Args:
            user: The user's id.
            name: The display name.
            permissions: The user's permissions. `super_admin` includes `account_access`, not `personal_email_access`.

        Refused: ACCOUNT_NOT_FOUND, USER_EXISTS.
        """
        return await self.send("AddUser", {"user": user, "name": name, "permissions": permissions, **options})

    async def set_permissions(
        self, user: str, permissions: Sequence[Permission], **options: Unpack[CommandOptions]
    ) -> Reply:
        """Replace all permissions of a user.

        Allowed: `super_admin`.

        Args:
            user: The user's id.
            permissions: The user's permissions. `super_admin` includes `account_access`, not `personal_email_access`.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND, LAST_SUPER_ADMIN.
        """
        return await self.send("SetPermissions", {"user": user, "permissions": permissions, **options})

    async def assign_seat(self, user: str, **options: Unpack[CommandOptions]) -> Reply:
        """Give a user a seat. Routing chooses only users with a seat.

        Allowed: `super_admin`.

        Args:
            user: The user's id.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send("AssignSeat", {"user": user, **options})

    async def unassign_seat(self, user: str, **options: Unpack[CommandOptions]) -> Reply:
        """Take a user's seat away.

        Allowed: `super_admin`.

        Args:
            user: The user's id.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send("UnassignSeat", {"user": user, **options})

    async def deactivate_user(self, user: str, **options: Unpack[CommandOptions]) -> Reply:
        """Deactivate a user. Everything that the user holds is kept, and has no effect meanwhile.

        Allowed: `super_admin`.

        Args:
            user: The user's id.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND, LAST_SUPER_ADMIN.
        """
        return await self.send("DeactivateUser", {"user": user, **options})

    async def reactivate_user(self, user: str, **options: Unpack[CommandOptions]) -> Reply:
        """Bring a deactivated or removed user back, with the addresses still orphaned by the removal.

        Allowed: `super_admin`.

        Args:
            user: The user's id.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send("ReactivateUser", {"user": user, **options})

    async def remove_user(
        self, user: str, *, policy: Policy = "orphan", new_owner: str | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Remove a deactivated user. The policy decides about the user's personal addresses.

        Allowed: `super_admin`.

        Args:
            user: The user's id.
            policy: The effect on the user's connections.
            new_owner: The user who becomes the owner; only with the policy `transfer_to`.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND, USER_NOT_DEACTIVATED, OWNER_NOT_ACTIVE.
        """
        return await self.send("RemoveUser", {"user": user, "policy": policy, "new_owner": new_owner, **options})

    async def set_availability(
        self, user: str, availability: Availability, *, cause: str | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Set whether a user is available. Routing does not choose users who are away.

        Allowed: the users themselves or `super_admin`.

        Args:
            user: The user's id.
            availability: Whether routing may assign conversations to the user now.
            cause: The cause, as free text.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send(
            "SetAvailability", {"user": user, "availability": availability, "cause": cause, **options}
        )

    async def set_default_sender(self, user: str, address: str, **options: Unpack[CommandOptions]) -> Reply:
        """Set the address that a user sends from by default. While it is unusable, the next one is used.

        Allowed: the users themselves.

        Args:
            user: The user's id.
            address: An address that the user may send from, in any spelling.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, USER_NOT_FOUND, IDENTITY_NOT_USABLE.
        """
        return await self.send("SetDefaultSender", {"user": user, "address": address, **options})

    async def set_signature(self, user: str, signature: str, **options: Unpack[CommandOptions]) -> Reply:
        """Set a user's signature.

        Allowed: the users themselves.

        Args:
            user: The user's id.
            signature: Text appended to the user's outgoing mail.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send("SetSignature", {"user": user, "signature": signature, **options})

    async def set_default_font(
        self, user: str, font: str, *, size: int | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Set the font of a user's mail.

        Allowed: the users themselves.

        Args:
            user: The user's id.
            font: The font's name.
            size: The font size in points.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send("SetDefaultFont", {"user": user, "font": font, "size": size, **options})

    async def set_logging_preferences(
        self,
        user: str,
        *,
        log_replies: bool | None = None,
        track_opens: bool | None = None,
        track_clicks: bool | None = None,
        never_log: Sequence[str] | None = None,
        **options: Unpack[CommandOptions],
    ) -> Reply:
        """Change logging and tracking of a user's mail. Absent fields stay; `never_log` replaces the whole list.

        Allowed: the users themselves.

        Args:
            user: The user's id.
            log_replies: Whether replies to this user's mail are logged.
            track_opens: Whether opens of this user's mail are tracked.
            track_clicks: Whether clicks in this user's mail are tracked.
            never_log: The complete list of addresses and domains whose mail is never logged.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, USER_NOT_FOUND.
        """
        return await self.send(
            "SetLoggingPreferences",
            {
                "user": user,
                "log_replies": log_replies,
                "track_opens": track_opens,
                "track_clicks": track_clicks,
                "never_log": never_log,
                **options,
            },
        )

    async def create_inbox(
        self, inbox: str, name: str, *, members: Sequence[str] | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Create an inbox: open to everyone without `members`, else to them, even to nobody. Its mail is unassigned.

        Allowed: `account_access`.

        Args:
            inbox: The inbox's id.
            name: The display name.
            members: The ids of users. An empty list admits nobody; without it the inbox is open to everyone.

        Refused: ACCOUNT_NOT_FOUND, USER_NOT_FOUND, INBOX_EXISTS, INBOX_NAME_TAKEN, INBOX_LIMIT_REACHED.
        """
        return await self.send("CreateInbox", {"inbox": inbox, "name": name, "members": members, **options})

    async def rename_inbox(self, inbox: str, name: str, **options: Unpack[CommandOptions]) -> Reply:
        """Rename an inbox.

        Allowed: `account_access`.

        Args:
            inbox: The inbox's id.
            name: The display name.

        Refused: ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, INBOX_NAME_TAKEN.
        """
        return await self.send("RenameInbox", {"inbox": inbox, "name": name, **options})

    async def set_inbox_access(
        self,
        inbox: str,
        access: Access,
        *,
        members: Sequence[str] = (),
        teams: Sequence[str] = (),
        **options: Unpack[CommandOptions],
    ) -> Reply:
        """Set the users and teams that see and answer the mail of an inbox; replaces both lists.

        Allowed: `account_access`.

        Args:
            inbox: The inbox's id.
            access: Whether the inbox is open to everyone or to members only.
            members: The complete list of user ids; empty by default.
            teams: The complete list of team ids; empty by default.

        Refused: ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, INBOX_ARCHIVED, USER_NOT_FOUND, TEAM_NOT_FOUND.
        """
        return await self.send(
            "SetInboxAccess", {"inbox": inbox, "access": access, "members": members, "teams": teams, **options}
        )

    async def set_routing(self, inbox: str, rule: Rule, **options: Unpack[CommandOptions]) -> Reply:
        """Set the rule that assigns new conversations. The named users must be active members with a seat, now.

        Allowed: `account_access`.

        Args:
            inbox: The inbox's id.
            rule: The rule that assigns new conversations.

        Refused: ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, INBOX_ARCHIVED, USER_NOT_FOUND, ROUTING_TARGET_NOT_MEMBER,
        ROUTING_TARGET_NOT_ACTIVE, ROUTING_TARGET_NO_SEAT, TEAM_NOT_FOUND.
        """
        return await self.send("SetRouting", {"inbox": inbox, "rule": rule, **options})

    async def archive_inbox(self, inbox: str, *, cascade: bool = False, **options: Unpack[CommandOptions]) -> Reply:
        """Archive an inbox. It keeps its name, takes no more addresses, and no longer counts for the plan's limit.

        Allowed: `account_access`.

        Args:
            inbox: The inbox's id.
            cascade: Disconnect the inbox's addresses instead of refusing the command.

        Refused: ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, DEFAULT_INBOX, INBOX_IN_USE.
        """
        return await self.send("ArchiveInbox", {"inbox": inbox, "cascade": cascade, **options})

    async def restore_inbox(self, inbox: str, **options: Unpack[CommandOptions]) -> Reply:
        """Restore an archived inbox, which counts for the plan's limit again.

        Allowed: `account_access`.

        Args:
            inbox: The inbox's id.

        Refused: ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, INBOX_LIMIT_REACHED.
        """
        return await self.send("RestoreInbox", {"inbox": inbox, **options})

    async def connect_personal(
        self,
        address: str,
        owner: str,
        *,
        provider: Provider | None = None,
        provider_identity: str | None = None,
        from_name: str | None = None,
        **options: Unpack[CommandOptions],
    ) -> Reply:
        """Claim an address for one user, who must be the actor. A repetition applies or refuses its new values.

        Allowed: `personal_email_access`, and the owner must be the actor.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            owner: The user who owns the personal address.
            provider: The provider of the mailbox.
            provider_identity: The provider's id of the mailbox. It is fixed as long as the address has the same holder.
            from_name: The sender name that recipients see.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, OWNER_MUST_BE_ACTOR, USER_NOT_FOUND, OWNER_NOT_ACTIVE,
        ADDRESS_ALREADY_PERSONAL, ADDRESS_ALREADY_TEAM, ADDRESS_ORPHANED, ADDRESS_IS_ALIAS, REAUTH_REQUIRED,
        CONNECTION_PAUSED, REAUTH_IDENTITY_MISMATCH.
        """
        return await self.send(
            "ConnectPersonal",
            {
                "address": address,
                "owner": owner,
                "provider": provider,
                "provider_identity": provider_identity,
                "from_name": from_name,
                **options,
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
        **options: Unpack[CommandOptions],
    ) -> Reply:
        """Claim an address for one inbox, whose team sees all its mail. A repetition applies or refuses its new values.

        Allowed: `account_access`.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            inbox: The inbox's id.
            visibility_acknowledged: Confirms that the whole team sees all incoming mail.
            provider: The provider of the mailbox.
            provider_identity: The provider's id of the mailbox. It is fixed as long as the address has the same holder.
            from_name: The sender name that recipients see.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, INBOX_ARCHIVED, ADDRESS_ALREADY_PERSONAL,
        ADDRESS_IN_OTHER_INBOX, ADDRESS_ORPHANED, ADDRESS_IS_ALIAS, REAUTH_REQUIRED, CONNECTION_PAUSED,
        REAUTH_IDENTITY_MISMATCH, TEAM_VISIBILITY_NOT_ACKNOWLEDGED.
        """
        return await self.send(
            "ConnectTeam",
            {
                "address": address,
                "inbox": inbox,
                "visibility_acknowledged": visibility_acknowledged,
                "provider": provider,
                "provider_identity": provider_identity,
                "from_name": from_name,
                **options,
            },
        )

    async def disconnect(self, address: str, *, note: str | None = None, **options: Unpack[CommandOptions]) -> Reply:
        """End the claim: tools are unbound, aliases are removed, the address is free. Its history is kept.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for orphans)
        or `super_admin`.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            note: A remark, stored without any effect.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, ADDRESS_IS_ALIAS.
        """
        return await self.send("Disconnect", {"address": address, "note": note, **options})

    async def require_reauthentication(self, address: str, cause: str, **options: Unpack[CommandOptions]) -> Reply:
        """Report that the mailbox rejects its credentials; the claim is kept.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            cause: The cause, as free text.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("RequireReauthentication", {"address": address, "cause": cause, **options})

    async def reconnect(
        self, address: str, *, provider_identity: str | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Report that the mailbox accepts its credentials again. Another mailbox than the pinned one is refused.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            provider_identity: The provider's id of the mailbox. It is fixed as long as the address has the same holder.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED,
        REAUTH_IDENTITY_MISMATCH, ADDRESS_ALREADY_PERSONAL, ADDRESS_ALREADY_TEAM.
        """
        return await self.send("Reconnect", {"address": address, "provider_identity": provider_identity, **options})

    async def pause(
        self, address: str, *, receive: bool | None = None, send: bool | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Pause receiving or sending; both when neither is given.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            receive: True pauses receiving. Without `receive` and `send`, both directions are paused.
            send: True pauses sending. Without `receive` and `send`, both directions are paused.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("Pause", {"address": address, "receive": receive, "send": send, **options})

    async def resume(
        self, address: str, *, receive: bool | None = None, send: bool | None = None, **options: Unpack[CommandOptions]
    ) -> Reply:
        """Resume receiving or sending; both when neither is given.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            receive: True resumes receiving. Without `receive` and `send`, both directions are resumed.
            send: True resumes sending. Without `receive` and `send`, both directions are resumed.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("Resume", {"address": address, "receive": receive, "send": send, **options})

    async def move_team_address(self, address: str, to_inbox: str, **options: Unpack[CommandOptions]) -> Reply:
        """Move a team address to another inbox, in one step.

        Allowed: `account_access`.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            to_inbox: The inbox that receives the address.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, INBOX_NOT_FOUND, INBOX_ARCHIVED, NOT_CONNECTED, ADDRESS_IS_ALIAS,
        ADDRESS_ORPHANED, ADDRESS_ALREADY_PERSONAL.
        """
        return await self.send("MoveTeamAddress", {"address": address, "to_inbox": to_inbox, **options})

    async def convert_connection(
        self,
        address: str,
        to: Kind,
        *,
        owner: str | None = None,
        inbox: str | None = None,
        visibility_acknowledged: bool = False,
        **options: Unpack[CommandOptions],
    ) -> Reply:
        """Turn a personal address or an orphan into a team address, or a team address into a personal one, in one step.

        Allowed: `account_access`, and the owner must be the actor; for an orphan `super_admin`.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            to: The new kind of the connection.
            owner: The owner; only for `personal`.
            inbox: The inbox; only for `team`.
            visibility_acknowledged: Confirms that the whole team sees all incoming mail.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, OWNER_MUST_BE_ACTOR, USER_NOT_FOUND, OWNER_NOT_ACTIVE,
        INBOX_NOT_FOUND, INBOX_ARCHIVED, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED, ADDRESS_ALREADY_PERSONAL,
        ADDRESS_ALREADY_TEAM, ADDRESS_IN_OTHER_INBOX, ADDRESS_USED_BY_MEETINGS, PERSONAL_CONNECTION_REQUIRED,
        TEAM_VISIBILITY_NOT_ACKNOWLEDGED.
        """
        return await self.send(
            "ConvertConnection",
            {
                "address": address,
                "to": to,
                "owner": owner,
                "inbox": inbox,
                "visibility_acknowledged": visibility_acknowledged,
                **options,
            },
        )

    async def transfer_ownership(self, address: str, new_owner: str, **options: Unpack[CommandOptions]) -> Reply:
        """Give a personal or orphaned address another owner. Tools are unbound and the From name is cleared.

        Allowed: `super_admin` or the owner.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            new_owner: The user who becomes the owner.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, USER_NOT_FOUND, OWNER_NOT_ACTIVE, NOT_CONNECTED, ADDRESS_IS_ALIAS,
        ADDRESS_ALREADY_TEAM, ADDRESS_ALREADY_PERSONAL.
        """
        return await self.send("TransferOwnership", {"address": address, "new_owner": new_owner, **options})

    async def reclaim_address(self, address: str, new_owner: str, **options: Unpack[CommandOptions]) -> Reply:
        """Give an orphaned address an active user as its owner.

        Allowed: `super_admin`.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            new_owner: The user who becomes the owner.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, USER_NOT_FOUND, OWNER_NOT_ACTIVE, NOT_CONNECTED, ADDRESS_IS_ALIAS,
        ADDRESS_ALREADY_TEAM, ADDRESS_ALREADY_PERSONAL.
        """
        return await self.send("ReclaimAddress", {"address": address, "new_owner": new_owner, **options})

    async def release_address(self, address: str, **options: Unpack[CommandOptions]) -> Reply:
        """Make an orphaned address free.

        Allowed: `super_admin`.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, ADDRESS_IS_ALIAS, ADDRESS_ALREADY_PERSONAL, ADDRESS_ALREADY_TEAM.
        """
        return await self.send("ReleaseAddress", {"address": address, **options})

    async def bind_tool(self, address: str, tool: Tool, **options: Unpack[CommandOptions]) -> Reply:
        """Let a tool use a personal address.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            tool: The tool that uses the address.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED,
        TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN, PERSONAL_CONNECTION_REQUIRED.
        """
        return await self.send("BindTool", {"address": address, "tool": tool, **options})

    async def unbind_tool(self, address: str, tool: Tool, **options: Unpack[CommandOptions]) -> Reply:
        """Stop a tool from using a personal address.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            tool: The tool that uses the address.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("UnbindTool", {"address": address, "tool": tool, **options})

    async def add_alias(self, address: str, alias: str, **options: Unpack[CommandOptions]) -> Reply:
        """Add a further address of the same mailbox. It is claimed like any other address and follows its primary.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            alias: Another address of the same mailbox, in any spelling.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED,
        ADDRESS_ALREADY_PERSONAL, ADDRESS_ALREADY_TEAM.
        """
        return await self.send("AddAlias", {"address": address, "alias": alias, **options})

    async def remove_alias(self, address: str, alias: str, **options: Unpack[CommandOptions]) -> Reply:
        """Remove an alias of an address; the alias becomes free.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            alias: Another address of the same mailbox, in any spelling.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("RemoveAlias", {"address": address, "alias": alias, **options})

    async def promote_alias(self, address: str, alias: str, **options: Unpack[CommandOptions]) -> Reply:
        """Report that the mailbox was renamed: an alias and its primary change places, and everything else follows.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            alias: The alias that becomes the primary address, in any spelling.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("PromoteAlias", {"address": address, "alias": alias, **options})

    async def set_from_name(self, address: str, from_name: str, **options: Unpack[CommandOptions]) -> Reply:
        """Set the From name of an address.

        Allowed: the holder (the owner of a personal address, `account_access` for team ones, `super_admin` for
        orphans).

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            from_name: The sender name that recipients see.

        Refused: ADDRESS_INVALID, ACCOUNT_NOT_FOUND, NOT_CONNECTED, ADDRESS_IS_ALIAS, ADDRESS_ORPHANED.
        """
        return await self.send("SetFromName", {"address": address, "from_name": from_name, **options})

    async def address(
        self, address: str, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[AddressEntry | Concealed] | NotAnswered:
        """One address, free or held, with its holder if the actor may know.

        Allowed: everyone; the holder is visible to administrators, the holder and the members of the inbox.

        Args:
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, ADDRESS_INVALID.
        """
        return await self.query("Address", {"address": address, "as_of": as_of, **options})

    async def addresses(
        self,
        *,
        as_of: int | str | datetime | None = None,
        state: State | None = None,
        kind: Kind | None = None,
        inbox: str | None = None,
        owner: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Page[AddressEntry] | NotAnswered:
        """Every address that was ever connected, by name.

        Allowed: administrators and services.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.
            state: Return only addresses in this state.
            kind: Return only addresses of this kind.
            inbox: Return only addresses of this inbox.
            owner: Return only addresses of this user.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.list(
            "Addresses", {"as_of": as_of, "state": state, "kind": kind, "inbox": inbox, "owner": owner, **options}
        )

    async def inbox(
        self, inbox: str, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[InboxEntry] | NotAnswered:
        """One inbox: its addresses, members, routing, and the readers of arriving mail.

        Allowed: members of the inbox, administrators and services.

        Args:
            inbox: The inbox's id.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, INBOX_NOT_FOUND.
        """
        return await self.query("Inbox", {"inbox": inbox, "as_of": as_of, **options})

    async def inboxes(
        self, *, as_of: int | str | datetime | None = None, **options: Unpack[ListOptions]
    ) -> Page[InboxEntry] | NotAnswered:
        """The inboxes that the actor may see, by id.

        Allowed: everyone; administrators and services see all inboxes, others their own.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.list("Inboxes", {"as_of": as_of, **options})

    async def identities(
        self, user: str, *, as_of: int | str | datetime | None = None, **options: Unpack[ListOptions]
    ) -> Page[Identity] | NotAnswered:
        """The identities that a user may send as, best first.

        Allowed: the users themselves, administrators and services.

        Args:
            user: The user's id.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, USER_NOT_FOUND.
        """
        return await self.list("Identities", {"user": user, "as_of": as_of, **options})

    async def user(
        self, user: str, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[UserEntry] | NotAnswered:
        """One user, with teams, preferences and the default sender in effect.

        Allowed: the users themselves, administrators and services.

        Args:
            user: The user's id.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, USER_NOT_FOUND.
        """
        return await self.query("User", {"user": user, "as_of": as_of, **options})

    async def users(
        self, *, as_of: int | str | datetime | None = None, **options: Unpack[ListOptions]
    ) -> Page[UserEntry] | NotAnswered:
        """All users, removed ones too, by id.

        Allowed: administrators and services.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.list("Users", {"as_of": as_of, **options})

    async def teams(
        self, *, as_of: int | str | datetime | None = None, **options: Unpack[ListOptions]
    ) -> Page[TeamEntry] | NotAnswered:
        """All teams, by id.

        Allowed: administrators and services.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.list("Teams", {"as_of": as_of, **options})

    async def account(
        self, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[AccountEntry] | NotAnswered:
        """The plan, its limits, and the never-log list.

        Allowed: administrators and services.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.query("Account", {"as_of": as_of, **options})

    async def orphans(
        self, *, as_of: int | str | datetime | None = None, **options: Unpack[ListOptions]
    ) -> Page[Orphan] | NotAnswered:
        """The addresses whose owners were removed.

        Allowed: administrators and services.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.list("Orphans", {"as_of": as_of, **options})

    async def usage(
        self, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[UsageShown] | NotAnswered:
        """The use of the plan's limits.

        Allowed: administrators and services.

        Args:
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.query("Usage", {"as_of": as_of, **options})

    async def removal_impact(
        self, user: str, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[Impact] | NotAnswered:
        """The effects of removing this user: addresses left behind, inboxes without their last reader.

        Allowed: administrators and services.

        Args:
            user: The user's id.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, USER_NOT_FOUND.
        """
        return await self.query("RemovalImpact", {"user": user, "as_of": as_of, **options})

    async def resolve(
        self,
        recipients: Sequence[str],
        *,
        as_of: int | str | datetime | None = None,
        sender: str = "",
        contact_owner: str | None = None,
        turn: int | None = None,
        **options: Unpack[QuestionOptions],
    ) -> QueryResult[tuple[Destination, ...]] | NotAnswered:
        """The destination of the mail to each recipient, its assignee, and why.

        `sender` is any text from the mail, an empty one too, or nothing; a `contact_owner` whom nobody knows
        counts as absent. `turn` replaces the stable choice per sender for callers that count.

        Allowed: everyone; recipients whose mail the actor may not see are `NOT_VISIBLE`.

        Args:
            recipients: The recipients of the mail, in any spelling.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.
            sender: The sender as the mail has it: any text, possibly empty.
            contact_owner: The user who owns the sender's contact record, if there is one.
            turn: A counter of the caller. It replaces the stable choice per sender.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.query(
            "Resolve",
            {
                "recipients": recipients,
                "as_of": as_of,
                "sender": sender,
                "contact_owner": contact_owner,
                "turn": turn,
                **options,
            },
        )

    async def routing(
        self, inbox: str, *, as_of: int | str | datetime | None = None, **options: Unpack[QuestionOptions]
    ) -> QueryResult[RoutingEntry] | NotAnswered:
        """The rule of an inbox, and the users it can choose now.

        Allowed: members of the inbox, administrators and services.

        Args:
            inbox: The inbox's id.
            as_of: The moment of the answer: a position, or a time such as 2026-03-03T09:00:00+01:00. Absent: now.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, INBOX_NOT_FOUND.
        """
        return await self.query("Routing", {"inbox": inbox, "as_of": as_of, **options})

    async def timeline(
        self,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        address: str | None = None,
        inbox: str | None = None,
        user: str | None = None,
        team: str | None = None,
        given_by: str | None = None,
        unchanged: bool = False,
        **options: Unpack[ListOptions],
    ) -> Page[TimelineEntry] | NotAnswered:
        """Every fact and every refused attempt about one thing or the account, oldest first.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            inbox: The inbox's id.
            user: The user's id.
            team: The team's id.
            given_by: Return only facts and attempts of this actor: a user's id, or `service:<name>`.
            unchanged: Whether to include attempts that changed nothing because it was so already.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, ADDRESS_INVALID, INBOX_NOT_FOUND, USER_NOT_FOUND,
        TEAM_NOT_FOUND.
        """
        return await self.list(
            "Timeline",
            {
                "from": from_,
                "to": to,
                "address": address,
                "inbox": inbox,
                "user": user,
                "team": team,
                "given_by": given_by,
                "unchanged": unchanged,
                **options,
            },
        )

    async def trace(
        self,
        *,
        command_id: str | None = None,
        correlation_id: str | None = None,
        event_id: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Page[TracedCommand] | NotAnswered:
        """The way of commands: as they were given, their outcome, their events, and the views that applied these.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            command_id: The id of a command.
            correlation_id: The correlation id of commands.
            event_id: The id of an event, as in its `ce-id`.
        """
        return await self.list(
            "Trace", {"command_id": command_id, "correlation_id": correlation_id, "event_id": event_id, **options}
        )

    async def refusals(
        self,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        reason: str | None = None,
        given_by: str | None = None,
        address: str | None = None,
        command: str | None = None,
        today: bool = False,
        **options: Unpack[ListOptions],
    ) -> Page[RefusalItem] | NotAnswered:
        """The refused attempts, counted by reason and command, and then one by one, oldest first.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            reason: Return only attempts refused for this reason.
            given_by: Return only facts and attempts of this actor: a user's id, or `service:<name>`.
            address: Return only attempts that name this address, in any spelling.
            command: Return only attempts with this command.
            today: Whether to try the same commands again as dry runs, of at most 20 entries of a page.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, ADDRESS_INVALID.
        """
        return await self.list(
            "Refusals",
            {
                "from": from_,
                "to": to,
                "reason": reason,
                "given_by": given_by,
                "address": address,
                "command": command,
                "today": today,
                **options,
            },
        )

    async def access(
        self,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        at: int | str | datetime | None = None,
        address: str | None = None,
        inbox: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Page[AccessInterval] | NotAnswered:
        """The users who could read, send from or administer an address or an inbox: from when on, until when, why.

        Without a moment it answers for the present one.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            at: One moment: a position, or a time in RFC 3339 with its offset; without a range, now by default.
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            inbox: The inbox's id.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, ADDRESS_INVALID, INBOX_NOT_FOUND.
        """
        return await self.list(
            "Access", {"from": from_, "to": to, "at": at, "address": address, "inbox": inbox, **options}
        )

    async def access_of(
        self,
        user: str,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        at: int | str | datetime | None = None,
        **options: Unpack[ListOptions],
    ) -> Page[AccessInterval] | NotAnswered:
        """Every address and inbox that a user could read, send from or administer: from when on, until when, why.

        Without a moment it answers for the present one.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            user: The user's id.
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            at: One moment: a position, or a time in RFC 3339 with its offset; without a range, now by default.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, USER_NOT_FOUND.
        """
        return await self.list("AccessOf", {"user": user, "from": from_, "to": to, "at": at, **options})

    async def changes(
        self,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        address: str | None = None,
        inbox: str | None = None,
        user: str | None = None,
        team: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Page[ChangedThing] | NotAnswered:
        """The difference of two moments: everything that was added, removed or changed, by aggregate and name.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            address: The e-mail address: in any spelling in requests, in canonical form in answers and events.
            inbox: The inbox's id.
            user: The user's id.
            team: The team's id.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, ADDRESS_INVALID.
        """
        return await self.list(
            "Changes",
            {"from": from_, "to": to, "address": address, "inbox": inbox, "user": user, "team": team, **options},
        )

    async def bisect(
        self,
        question: str,
        path: str,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        fields: Mapping[str, Any] = {},
        value: Any = None,
        **options: Unpack[QuestionOptions],
    ) -> QueryResult[Bisected] | NotAnswered:
        """The first position at which a value in the answer to a question became as given, and the event that did it.

        The question is one of the views, without the fields that every question takes; of a list, its first page
        counts. An
        absent `value` is null, as is a value of something that is not there. One that was so as of `from` was so
        before.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            question: The name of a question of the views, such as `Address`.
            path: The place of the value in the result, as a JSON pointer (RFC 6901): `/state`. Empty: the whole result.
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            fields: The fields of that question, without those of every question.
            value: The value to find; null by default.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND, ADDRESS_INVALID.
        """
        return await self.query(
            "Bisect",
            {"question": question, "path": path, "from": from_, "to": to, "fields": fields, "value": value, **options},
        )

    async def leavers(
        self,
        *,
        from_: int | str | datetime | None = None,
        to: int | str | datetime | None = None,
        hours: int = 24,
        **options: Unpack[ListOptions],
    ) -> Page[Leaver] | NotAnswered:
        """The people who were deactivated or removed: when their last access ended, and what had no owner meanwhile.

        Those whose last access ended later than `hours` after they left come first.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            from_: The first position, or a time in RFC 3339 with its offset; the beginning of the log by default.
            to: The last position, or a time in RFC 3339 with its offset; the end of the log by default.
            hours: The limit: people whose last access ended later than so many hours after they left come first.

        Errors: AS_OF_TOO_EARLY, AS_OF_TOO_LATE, HISTORY_BEHIND.
        """
        return await self.list("Leavers", {"from": from_, "to": to, "hours": hours, **options})

    async def about(self, user: str, **options: Unpack[ListOptions]) -> Page[AboutEntry] | NotAnswered:
        """Everything held about a person: facts and attempts, oldest first, and then who asked the audit about them.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.

        Args:
            user: The user's id.

        Errors: USER_NOT_FOUND.
        """
        return await self.list("About", {"user": user, **options})

    async def coverage(self, **options: Unpack[QuestionOptions]) -> QueryResult[CoverageShown] | NotAnswered:
        """How far the answers of the audit reach: history and index, dead letters, and clocks that ran back.

        Allowed: auditors (`service:audit.<name>`) and `super_admin`.
        """
        return await self.query("Coverage", options)
