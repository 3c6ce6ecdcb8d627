"""The limits of each plan. Plans are data: each connects addresses, and they differ in the number of inboxes (S11)."""

from collections.abc import Mapping
from typing import Final

from shared.language.text import Plan

# Open inboxes, the default one among them.
INBOX_LIMITS: Final[Mapping[Plan, int]] = {"free": 1, "starter": 5, "professional": 100, "enterprise": 200}
