"""An address typed in any spelling has one canonical form, the same at every entry point, or is refused with the place.

The canonical form is claimed, compared, stored and queried. `+tag` and the dots of Gmail are never folded:
they give a warning. A code point that this Python or the tables of `idna` do not know is refused, so another version
of either may accept more but never gives another form.
"""

import re
import unicodedata
from dataclasses import dataclass

import idna

from shared.core.mailbox_lists import free_mail_domains, role_names

# Stored with each claim; raised when any text gets another canonical form than before.
CANONICAL_FORM = 1

LOCAL_PART_OCTETS = 64
LABEL_OCTETS = 63
DOMAIN_OCTETS = 253
ADDRESS_OCTETS = 254
# Checking a long label takes time quadratic in its length, so longer texts are refused first.
TYPED_CHARACTERS = 1_000

SPECIAL_USE_NAMES = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})

FREE_MAIL_DOMAIN = "FREE_MAIL_DOMAIN"
ROLE_BASED_LOCAL_PART = "ROLE_BASED_LOCAL_PART"
SAME_MAILBOX_SUSPECTED = "SAME_MAILBOX_SUSPECTED"

GMAIL_DOMAINS = frozenset({"gmail.com", "googlemail.com"})

_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
_LOCAL_PART = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*\Z")
_NOT_IN_LOCAL_PART = re.compile(rf"[^.{_ATEXT}]")
# RFC 2047: made of characters that a dot-atom may have, and decoded to another address by some mail software.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[BbQq]\?")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})

# The fast path: no `?` (encoded words) in the local part, no hyphens at places 3-4 (A-labels) in the domain.
# Never with re.IGNORECASE: it lets U+212A KELVIN SIGN pass for k and U+017F for s.
_PLAIN_ATEXT = _ATEXT.replace("?", "")
_PLAIN_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_SPECIAL_USE = "|".join("".join(f"[{c}{c.upper()}]" for c in name) for name in sorted(SPECIAL_USE_NAMES))
_PLAIN = re.compile(
    rf"(?=[^@]{{1,{LOCAL_PART_OCTETS}}}@)[{_PLAIN_ATEXT}]+(?:\.[{_PLAIN_ATEXT}]+)*"
    rf"@(?:{_PLAIN_LABEL}\.)+(?=[A-Za-z])(?!(?:{_PLAIN_SPECIAL_USE})\Z){_PLAIN_LABEL}\Z"
)


@dataclass(frozen=True, slots=True)
class CanonicalAddress:
    """`address` is ASCII in lower case, at most 254 octets; `display` is the text as typed, but for blanks around."""

    address: str
    display: str

    @property
    def local(self) -> str:
        return self.address.partition("@")[0]

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]


class InvalidAddressError(Exception):
    """The text is not an address (or not a domain) that can be claimed.

    `what` continues "the address …", such as "has nothing before the @"; it repeats nothing of the text but single
    characters as U+XXXX. `at` is the index of the character at fault in the text as typed, None when it is not one
    place.
    """

    def __init__(self, what: str, at: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.at = at


def canonical(text: str) -> CanonicalAddress:
    """The canonical form of an address typed in any spelling.

    Raises:
        InvalidAddressError: the text is not one address in a form that is accepted.
    """
    typed = text.strip(" \t")
    if len(typed) <= ADDRESS_OCTETS and _PLAIN.match(typed):
        return CanonicalAddress(typed.lower(), typed)
    return strict_canonical(text)


def canonical_domain(text: str) -> str:
    """The canonical form of a domain typed in any spelling: A-labels in lower case, at most 253 octets.

    Raises:
        InvalidAddressError: the text is not a domain that an address may have.
    """
    typed, start = _stripped(text)
    return _domain(typed, start)


def never_log_entry(text: str) -> str:
    """The canonical form of an entry of a never-log list: an address, or a domain (no `@`) with all its subdomains.

    Raises:
        InvalidAddressError: the text is neither.
    """
    return canonical(text).address if "@" in text else canonical_domain(text)


def warnings_about(address: CanonicalAddress) -> list[str]:
    """Codes of what to tell somebody who connects this address; none of them is a reason to refuse it."""
    local, domain = address.local, address.domain
    name, tag, _ = local.partition("+")
    codes = []
    if domain in free_mail_domains():
        codes.append(FREE_MAIL_DOMAIN)
    if name in role_names():
        codes.append(ROLE_BASED_LOCAL_PART)
    if (name and tag) or (domain in GMAIL_DOMAINS and "." in local):
        codes.append(SAME_MAILBOX_SUSPECTED)
    return codes


def strict_canonical(text: str) -> CanonicalAddress:
    """As `canonical`, without the fast path for plain addresses."""
    typed, start = _stripped(text)
    local, separator, domain = typed.partition("@")
    if not separator:
        raise InvalidAddressError("has no @", start)
    if "@" in domain:
        raise InvalidAddressError("has more than one @", start + len(local) + 1 + domain.index("@"))
    address = f"{_local_part(local, start)}@{_domain(domain, start + len(local) + 1)}"
    if len(address) > ADDRESS_OCTETS:
        raise InvalidAddressError(f"is longer than {ADDRESS_OCTETS} octets", start)
    return CanonicalAddress(address, typed)


def _stripped(text: str) -> tuple[str, int]:
    """The text without blanks around it, of a length and of characters that are worth a look, and where it starts."""
    typed = text.strip(" \t")
    start = len(text) - len(text.lstrip(" \t"))
    if not typed:
        raise InvalidAddressError("is empty")
    if len(typed) > TYPED_CHARACTERS:
        raise InvalidAddressError(f"is longer than {ADDRESS_OCTETS} octets", start)
    for at, character in enumerate(typed, start):
        _check_character(character, at)
    return typed, start


def _check_character(character: str, at: int) -> None:
    match unicodedata.category(character):
        case "Cc":
            raise InvalidAddressError(f"has the control character {_named(character)}", at)
        case "Cs" | "Co" | "Cn":
            raise InvalidAddressError(f"has the unassigned character {_named(character)}", at)
        case "Cf" if character in _BIDI_CONTROLS:
            raise InvalidAddressError(f"has the bidirectional control {_named(character)}", at)


def _local_part(local: str, start: int) -> str:
    if not local:
        raise InvalidAddressError("has nothing before the @", start)
    if "<" in local:
        raise InvalidAddressError("has a display name; only the address itself is accepted", start + local.index("<"))
    if found := _NOT_IN_LOCAL_PART.search(local):
        raise InvalidAddressError(_why_not_in_local_part(found.group()), start + found.start())
    if not _LOCAL_PART.match(local):
        raise InvalidAddressError("has a dot at the start or end of its local part, or two in a row", start)
    if found := _ENCODED_WORD.search(local):
        raise InvalidAddressError("has an encoded word in its local part", start + found.start())
    if len(local) > LOCAL_PART_OCTETS:
        raise InvalidAddressError(f"has more than {LOCAL_PART_OCTETS} octets before the @", start + LOCAL_PART_OCTETS)
    return local.lower()


def _why_not_in_local_part(character: str) -> str:
    match character:
        case "(" | ")":
            return "has a comment; only the address itself is accepted"
        case '"':
            return "has a quoted local part or display name, which are not accepted"
        case " " | "\t":
            return "has a blank inside"
    if character.isascii():
        return f"has {_named(character)} in its local part, where it is not allowed"
    return f"has {_named(character)} in its local part, where only ASCII is accepted"


def _domain(typed: str, start: int) -> str:
    mapped = _mapped(typed, start)
    labels = mapped.split(".")
    # Dots are mapped one to one, so label n of the one is made from label n of the other.
    starts = [start] + [start + dot.end() for dot in _DOTS.finditer(typed)]
    ascii_labels = [_a_label(label, at) for label, at in zip(labels, starts, strict=True)]
    _check_bidi(ascii_labels, starts)
    domain = ".".join(ascii_labels)
    if len(domain) > DOMAIN_OCTETS:
        raise InvalidAddressError(f"has a domain of more than {DOMAIN_OCTETS} octets", start)
    if len(ascii_labels) == 1:
        raise InvalidAddressError("has a domain of one label", start)
    last = ascii_labels[-1]
    if not last[0].isalpha():
        raise InvalidAddressError("has a top-level domain that starts with no letter", starts[-1])
    if last in SPECIAL_USE_NAMES:
        raise InvalidAddressError(f"ends in the special-use name {last}", starts[-1])
    return domain


def _mapped(typed: str, start: int) -> str:
    """The domain after the mapping of UTS #46 (non-transitional, STD3), in lower case and NFC."""
    if not typed:
        raise InvalidAddressError("has no domain", start)
    if typed.startswith("["):
        raise InvalidAddressError("has an IP literal as its domain, which is not accepted", start)
    try:
        return idna.uts46_remap(typed, std3_rules=True)
    except idna.IDNAError as error:
        at = start if error.position is None else start + error.position - 1
        raise InvalidAddressError(
            f"has {_named(_character_of(error))} in its domain, where it is not allowed", at
        ) from None


def _character_of(error: idna.IDNAError) -> str | None:
    """The character that an error of `idna` is about, None when it is about a whole label."""
    return None if error.codepoint is None else chr(error.codepoint)


def _a_label(label: str, at: int) -> str:
    """One label, mapped before, as an A-label or in plain ASCII."""
    if not label:
        raise InvalidAddressError("has an empty label in its domain, such as a dot at its end", at)
    if len(label) > LABEL_OCTETS:
        raise InvalidAddressError(f"has a label of more than {LABEL_OCTETS} octets in its domain", at)
    try:
        encoded = idna.alabel(label).decode("ascii")
        decoded = idna.ulabel(encoded)
        same = encoded == decoded or (not decoded.isascii() and idna.uts46_remap(decoded) == decoded)
    except UnicodeError as error:
        raise InvalidAddressError(_why_no_label(error), at) from None
    if not same:
        raise InvalidAddressError("has a label in its domain that means another one", at)
    return encoded


def _why_no_label(error: UnicodeError) -> str:
    code = error.code if isinstance(error, idna.IDNAError) else None
    character = _character_of(error) if isinstance(error, idna.IDNAError) else None
    match code:
        case "hyphen_3_4":
            return "has a label with hyphens at places 3 and 4 in its domain"
        case "hyphen_start_end":
            return "has a label that starts or ends with a hyphen in its domain"
        case "label_too_long":
            return f"has a label of more than {LABEL_OCTETS} octets in its domain"
        case "invalid_alabel" | "non_canonical_alabel":
            return "has a label in its domain that starts with xn-- and is not an A-label"
        case _ if character is not None:
            return f"has {_named(character)} in its domain, where it is not allowed"
    return "has a label in its domain that IDNA does not allow"


def _check_bidi(labels: list[str], starts: list[int]) -> None:
    """One right-to-left label puts the whole domain under the Bidi rule (RFC 5893, 2): else two domains look alike."""
    decoded = [idna.ulabel(label) if label.startswith("xn--") else label for label in labels]
    if all(label.isascii() for label in decoded):
        return
    if not any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for label in decoded for character in label):
        return
    for label, at in zip(decoded, starts, strict=True):
        try:
            idna.check_bidi(label, check_ltr=True)
        except idna.IDNAError:
            raise InvalidAddressError("mixes directions of writing in its domain", at) from None


def _named(character: str | None) -> str:
    return "a character" if character is None else f"U+{ord(character):04X}"
