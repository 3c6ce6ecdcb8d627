"""Events become rows: one document per account, user, inbox and address, and the indexes that questions need."""

from typing import Final

from shared.core.state.fold import fold
from shared.projections.definition import Index, ProjectionDefinition

# Raise it with every change of the rows: they are then rebuilt from the event log.
VERSION: Final = 2

DEFINITION: Final = ProjectionDefinition(
    name="inbox_views",
    version=VERSION,
    fold=fold,
    indexes={
        "address": (
            Index("account, (doc->>'owner')", where="doc->>'owner' IS NOT NULL"),
            Index("account, (doc->>'inbox')", where="doc->>'inbox' IS NOT NULL"),
            Index("account, (doc->>'connector')", where="doc->>'connector' IS NOT NULL"),
            Index("account, (doc->>'primary')", where="doc->>'primary' IS NOT NULL"),
            Index("account, key", where="doc->>'state' = 'orphaned'"),
        ),
    },
)
