"""`switchboard demo`: a short story on a running Switchboard, with every command, reply and view."""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import typer
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from services.ops import render
from services.ops.terminal import Url, done, fail, out, switchboard_at
from shared.client import Account, Switchboard
from shared.process.clock import new_id

PATIENCE_SECONDS: Final = 15.0
CRM: Final = "service:crm"
PAUSE_SECONDS: Final = 0.0

Pause = Annotated[float, typer.Option(min=0, max=10, help="Seconds to pause after each reply, for reading.")]
Called = Annotated[str | None, typer.Option("--account", help="The account to use. Default: a new one.")]


class DemoError(Exception):
    """A step of the demo had an unexpected outcome."""


class Stage:
    """Gives commands and asks questions, and shows them as typed with their replies."""

    def __init__(self, account: Account, pause: float) -> None:
        self._account = account
        self._pause = pause

    async def chapter(self, title: str, text: str) -> None:
        out.print()
        out.print(Rule(Text(title, style="bold"), align="left", style="dim"))
        out.print(Text(text))
        await asyncio.sleep(self._pause)

    async def do(self, actor: str, command: str, outcome: str = "accepted", /, **fields: Any) -> Mapping[str, Any]:
        """Give a command with this outcome.

        Raises:
            DemoError: it had another outcome.
        """
        self._typed("command", actor, command, fields)
        reply = await self._account.acting_as(actor).send(command, fields)
        body = reply.model_dump(mode="json", exclude_none=True)
        out.print(Padding(render.reply_of(command, body), (0, 0, 0, 2)), soft_wrap=False)
        await asyncio.sleep(self._pause)
        if body["outcome"] != outcome:
            raise DemoError(f"{command} was {body['outcome']}, not {outcome}")
        return body

    async def see(self, question: str, *keys: str, **fields: Any) -> None:
        """Ask as the service of the demo; of each object only these keys are shown."""
        self._typed("query", CRM, question, fields)
        answer = await self._account.acting_as(CRM).query_raw(question, fields)
        if "error" in answer:
            raise DemoError(f"{question} was not answered: {answer['message']}")
        shown = dict(answer)
        if keys and isinstance(answer["result"], list):
            shown["result"] = [{key: one.get(key) for key in keys} for one in answer["result"]]
        elif keys:
            shown["result"] = {key: answer["result"].get(key) for key in keys}
        out.print(Padding(render.answer_of(shown), (0, 0, 0, 2)), soft_wrap=False)
        await asyncio.sleep(self._pause)

    def _typed(self, verb: str, actor: str, name: str, fields: Mapping[str, Any]) -> None:
        words = ["switchboard", verb, self._account.name, name, "--actor", actor]
        for key, value in fields.items():
            words.append(f"{key}={value}" if isinstance(value, str) else f"{key}:={json.dumps(value)}")
        out.print(Text(f"$ {shlex.join(words)}", style="cyan"))


async def opening(stage: Stage) -> None:
    await stage.chapter("A company connects its addresses", "Acme signs up; ana, its administrator, connects support@.")
    await stage.do(CRM, "RegisterAccount", plan="professional", admin="ana")
    for user in ("bob", "cleo"):
        await stage.do("ana", "AddUser", user=user, name=user.title(), permissions=["personal_email_access"])
        await stage.do("ana", "AssignSeat", user=user)
    await stage.do("ana", "CreateInbox", inbox="support", name="Support", members=["bob", "cleo"])
    await stage.do("ana", "ConnectTeam", address="Support@Acme.example", inbox="support", visibility_acknowledged=True)
    await stage.do("bob", "ConnectPersonal", address="bob@acme.example", owner="bob")


async def clash(stage: Stage) -> None:
    await stage.chapter("Two people want one address", "bob is first; cleo is refused, with advice.")
    await stage.do("bob", "ConnectPersonal", address="sales@acme.example", owner="bob")
    await stage.do("cleo", "ConnectPersonal", "refused", address="sales@acme.example", owner="cleo")
    await stage.do("ana", "TransferOwnership", address="sales@acme.example", new_owner="cleo")


async def routing(stage: Stage) -> None:
    await stage.chapter(
        "Where does the mail go?",
        "Each recipient with its inbox or owner and the rule; mail to unknown addresses goes nowhere.",
    )
    rule = {"kind": "users_and_teams", "users": ["bob", "cleo"], "teams": []}
    await stage.do("ana", "SetRouting", inbox="support", rule=rule)
    recipients = ["support@acme.example", "sales@acme.example", "nobody@acme.example"]
    await stage.see(
        "Resolve", "recipient", "destination", "inbox", "owner", "assignee", "rule", "reason",
        recipients=recipients, sender="jo@client.example",
    )  # fmt: skip


async def leaving(stage: Stage) -> None:
    await stage.chapter("Someone leaves", "bob leaves. Only ana can decide who gets their address.")
    await stage.do("ana", "SetRouting", inbox="support", rule={"kind": "unassigned"})
    await stage.see("RemovalImpact", user="bob")
    await stage.do("ana", "DeactivateUser", user="bob")
    await stage.do("ana", "RemoveUser", user="bob")
    await stage.see("Orphans")
    await stage.do("cleo", "ConnectPersonal", "refused", address="bob@acme.example", owner="cleo")
    await stage.do("ana", "ReclaimAddress", address="bob@acme.example", new_owner="cleo")


async def moving(stage: Stage) -> None:
    await stage.chapter("An inbox moves", "Support is merged into a new inbox, and its address moves with it.")
    await stage.do("ana", "CreateInbox", inbox="help", name="Help desk", members=["cleo"])
    await stage.do("ana", "MoveTeamAddress", address="support@acme.example", to_inbox="help")
    await stage.do("ana", "MoveTeamAddress", "unchanged", address="support@acme.example", to_inbox="help")
    await stage.do("ana", "ArchiveInbox", inbox="support")
    await stage.see("Addresses", "address", "state", "kind", "owner", "inbox", "health")


CHAPTERS: Final[tuple[Callable[[Stage], Awaitable[None]], ...]] = (opening, clash, routing, leaving, moving)


def demo(account: Called = None, pause: Pause = PAUSE_SECONDS, url: Url = None) -> None:
    """Play a short story on a running Switchboard: connections, a conflict, routing, someone leaving.

    It uses its own account and changes no other.
    """
    try:
        done(_played(url, account or f"demo-{new_id()[-8:]}", pause))
    except DemoError as error:
        fail(f"The demo failed: {error}. Does the account {account} exist already?", 1)


async def _played(url: str | None, name: str, pause: float) -> None:
    async with switchboard_at(url, PATIENCE_SECONDS) as found:
        switchboard: Switchboard = found
        stage = Stage(switchboard.account(name, CRM), pause)
        for chapter in CHAPTERS:
            await chapter(stage)
    out.print()
    out.print(Text(f"All events of the demo: nats sub 'switchboard.event.v1.{name}.>' --all", style="dim"))
    out.print(Text(f"Their story, with the refused attempts: switchboard audit timeline {name}", style="dim"))
