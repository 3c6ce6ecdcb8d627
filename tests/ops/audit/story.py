"""A small story for auditors: an address of a team, a refused attempt, a reader who comes and one who leaves."""

from shared.client import Account, Refused, require

SUPPORT = "support@acme.example"
AUDITOR = "service:audit.zoe"


async def play(acme: Account) -> None:
    """In an account that does not exist yet; the last command is the last event."""
    ana = acme.acting_as("ana")
    require(await acme.register_account("professional", "ana"))
    for user in ("bob", "cleo", "dan"):
        require(await ana.add_user(user, user.title(), ("personal_email_access",)))
    require(await ana.create_inbox("support", "Support", members=("bob",)))
    require(await ana.connect_team(SUPPORT, "support", visibility_acknowledged=True))
    refused = await acme.acting_as("cleo").connect_personal(SUPPORT, "cleo")
    assert isinstance(refused, Refused)
    require(await ana.set_inbox_access("support", "members", members=("bob", "cleo")))
    require(await ana.set_from_name(SUPPORT, "Acme Support"))
    require(await ana.deactivate_user("bob"))
    # Until the audit has followed.
    assert "result" in await acme.acting_as(AUDITOR).query_raw("Coverage", {"wait_ms": 20_000})
