"""Events become versions of rows: the whole state of every aggregate, as it was at each position."""

from typing import Final

from shared.core.state.fold import fold
from shared.projections.definition import Index, ProjectionDefinition

# Raise it with every change of the rows: their history is then rebuilt from the event log.
VERSION: Final = 1

# Of everything that changed in a range of positions.
BY_POSITION: Final = Index("account, position")

DEFINITION: Final = ProjectionDefinition(
    name="audit",
    version=VERSION,
    fold=fold,
    indexes={
        "account": (BY_POSITION,),
        "inbox": (BY_POSITION,),
        "user": (
            BY_POSITION,
            Index("account, key", where="doc->'permissions' ?| ARRAY['account_access', 'super_admin']"),
        ),
        "address": (
            BY_POSITION,
            Index("account, (doc->>'owner')", where="doc->>'owner' IS NOT NULL"),
            Index("account, (doc->>'inbox')", where="doc->>'inbox' IS NOT NULL"),
            Index("account, (doc->>'primary')", where="doc->>'primary' IS NOT NULL"),
        ),
    },
)
