"""`switchboard audit evidence`: the keys that sign checkpoints, and the way out when the log contradicts them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from services.ops.local.evidence import evidence_environment
from services.ops.postgres_url import postgres_url
from services.ops.terminal import NO_ANSWER, REFUSED, Json, Yes, fail, out, print_json, settings

app = typer.Typer(
    help="Show, rotate and retire the signing keys of checkpoints; begin a new origin after the log was restored. "
    "Run it where the audit runs, with its settings.",
    no_args_is_help=True,
)

PROGRAM: Final = (sys.executable, "-m", "services.audit.app", "evidence")
CONFIRM: Final = (
    "The present trees are put aside, and checkpoints of the new ones prove nothing about them. Begin new origins?"
)

Url = Annotated[
    str | None,
    typer.Option(help="URL of PostgreSQL. Default: SWITCHBOARD_POSTGRES_URL, or `switchboard run`'s."),
]
Pair = Annotated[int, typer.Argument(min=1, help="The number of the pair: `rotate-keys` says it, and `keys --json`.")]
Reason = Annotated[str, typer.Option(help="Why, for the record: which backup was restored, and when.")]


@app.command()
def keys(url: Url = None, as_json: Json = False) -> None:
    """Print the verifier keys of both trees, one a line: give them to everybody who verifies checkpoints.

    Example: switchboard audit evidence keys > verifier-keys
    """
    found = _do("keys", {}, url, as_json=as_json)
    if not as_json:
        for pair in found:
            for key in pair["keys"]:
                typer.echo(key)


@app.command("rotate-keys")
def rotate_keys(as_json: Json = False) -> None:
    """Make a new pair of keys. It signs beside the former ones until you retire them.

    Example: switchboard audit evidence rotate-keys
    """
    made = _do("rotate-keys", {}, None, as_json=as_json)
    if not as_json:
        beside = f", beside {', '.join(map(str, made['beside']))}" if made["beside"] else ""
        out.print(f"Pair {made['pair']} signs from the next checkpoint on{beside}.")
        out.print("Give its verifier keys (switchboard audit evidence keys) to everybody who verifies.")
        for former in made["beside"]:
            out.print(f"Once they have them: switchboard audit evidence retire-keys {former}")


@app.command("retire-keys")
def retire_keys(pair: Pair, as_json: Json = False) -> None:
    """Let a pair of keys sign no more. Its files stay in the folder `retired`.

    Example: switchboard audit evidence retire-keys 1
    """
    done = _do("retire-keys", {"pair": pair}, None, as_json=as_json)
    if not as_json:
        out.print(f"Pair {done['retired']} is retired. Still signing: {', '.join(map(str, done['pairs']))}.")


@app.command("new-origin")
def new_origin(reason: Reason, url: Url = None, yes: Yes = False, as_json: Json = False) -> None:
    """Begin both trees again, under new origins, when the log no longer leads to what was signed.

    So it is after a restored backup that lacks signed events. Everybody who verifies sees the new origin. The former
    trees stay in the folder `former`, with their last checkpoints.

    Example: switchboard audit evidence new-origin --reason "backup of 1 December restored"
    """
    if not yes:
        typer.confirm(CONFIRM, abort=True)
    done = _do("new-origin", {"reason": reason}, url, as_json=as_json)
    if not as_json:
        out.print("New origins; the audit signs them within seconds:")
        for origin in done["origins"]:
            out.print(f"  {origin}")


def _do(verb: str, arguments: Mapping[str, Any], url: str | None, *, as_json: bool) -> Any:
    """Run the verb in a process of the audit, and return its result, printed as JSON if wanted."""
    held = settings()
    environment = {**os.environ, **evidence_environment(held), "SWITCHBOARD_POSTGRES_URL": postgres_url(url)}
    run = subprocess.run(  # noqa: S603  our own program
        (*PROGRAM, verb, json.dumps(dict(arguments))), env=environment, stdout=subprocess.PIPE, check=False
    )
    if run.returncode not in {0, REFUSED, NO_ANSWER} or not run.stdout:
        fail(f"`{verb}` ended with code {run.returncode}.", REFUSED)
    outcome = json.loads(run.stdout)
    if as_json:
        print_json(outcome.get("done", outcome))
    if "no_answer" in outcome:
        fail(f"No PostgreSQL: {outcome['no_answer']}. Is Switchboard running?", NO_ANSWER)
    if "refused" in outcome:
        fail(outcome["refused"], REFUSED)
    return outcome["done"]
