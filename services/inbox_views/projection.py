"""Events become rows: one document per account, user, inbox and address, and the indexes that questions need."""

from typing import Final

from services.inbox_views.domain.projection import fold
from shared.projections.definition import ProjectionDefinition

# Raise it with every change of the rows: they are then rebuilt from the event log.
VERSION: Final = 2

DEFINITION: Final = ProjectionDefinition(
    name="inbox_views",
    version=VERSION,
    fold=fold,
    indexes={
        "address": (
            "(account, (doc->>'owner')) WHERE doc->>'owner' IS NOT NULL",
            "(account, (doc->>'inbox')) WHERE doc->>'inbox' IS NOT NULL",
            "(account, (doc->>'connector')) WHERE doc->>'connector' IS NOT NULL",
            "(account, (doc->>'primary')) WHERE doc->>'primary' IS NOT NULL",
            "(account, key) WHERE doc->>'state' = 'orphaned'",
        ),
    },
)
