"""Events become rows with only what routing needs: destinations, inboxes and their rules, who may be chosen."""

from typing import Final

from services.routing.domain.projection import fold
from shared.projections.definition import ProjectionDefinition

# Raise it with every change of the rows: they are then rebuilt from the event log.
VERSION: Final = 2

DEFINITION: Final = ProjectionDefinition(name="routing", version=VERSION, fold=fold, indexes={})
