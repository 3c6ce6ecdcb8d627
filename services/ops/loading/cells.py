"""A cell of a table as a field of a command has it: read by the field's type, and never guessed or left out."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from services.ops.strict_json import NamedTwice, parsed
from shared.language.commands import COMMANDS
from shared.language.text import IN_WORDS

LIST_SEPARATOR: Final = ";"
SWITCH: Final[Mapping[str, bool]] = {"true": True, "false": False}
WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
LONGEST_SHOWN: Final = 100
# In which a text may well go over several lines.
OF_LINES: Final = frozenset(("signature", "note", "cause", "rule"))


class Misfit(Exception):
    """The field cannot take the cell; says what would fit."""


class Field:
    """One field of a command, and how its cells are read."""

    def __init__(self, declared: FieldInfo) -> None:
        wanted: Any = declared.annotation
        for more in declared.metadata:
            wanted = Annotated[wanted, more]
        self._adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        schema = self._adapter.json_schema()
        schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
        self._type: str = schema.get("type", "object")
        self.words = words(schema)

    def value(self, cell: str) -> Any:
        """
        Raises:
            Misfit: the field cannot take it.
        """
        match self._type:
            case "boolean":
                value: Any = SWITCH.get(cell.strip().lower())
            case "integer":
                value = int(cell) if WHOLE_NUMBER.fullmatch(cell.strip()) else None
            case "array":
                value = _parts(cell)
            case "object":
                return self._object(cell)
            case _:
                value = cell if self._takes(cell) else cell.strip()
        if value is None or not self._takes(tuple(value) if isinstance(value, list) else value):
            raise Misfit(self.words)
        return value

    def _takes(self, value: Any) -> bool:
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError:
            return False
        return True

    def _object(self, cell: str) -> dict[str, Any]:
        """What stands within it is the service's to judge, and to name."""
        try:
            value = parsed(cell)
        except NamedTwice as error:
            raise Misfit(f"{self.words}, and {error}") from error
        except ValueError as error:
            raise Misfit(f"{self.words}, and this is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise Misfit(self.words)
        return value


def _parts(cell: str) -> list[Any]:
    """The parts of a list; one may be written as in JSON, too, and the empty one as `;` or `[]`."""
    if cell.lstrip().startswith("["):
        try:
            found = parsed(cell)
        except ValueError:
            found = None
        if isinstance(found, list):
            return found
    return parts(cell)


def parts(cell: str | None) -> list[str]:
    return [part.strip() for part in (cell or "").split(LIST_SEPARATOR) if part.strip()]


def words(schema: Mapping[str, Any]) -> str:
    """What a field takes, as a person says it."""
    match schema.get("type", "object"):
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        case "array":
            each = words(schema["items"])
            return f"a list of at most {schema['maxItems']:,}, separated by {LIST_SEPARATOR}, each {each}"
        case "string" if "enum" in schema:
            return _one_of(schema["enum"])
        case "string":
            text = IN_WORDS.get(schema.get("pattern", ""), "text")
            return f"{text}, at most {schema['maxLength']:,} characters" if "maxLength" in schema else text
        case _:
            return 'a JSON object, such as {"kind": "unassigned"} for a rule'


def _one_of(values: Sequence[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}"


@cache
def fields_of(command: str) -> Mapping[str, Field] | None:
    """The fields of a command by name, or None when there is no such command."""
    message = COMMANDS.get(command)
    return None if message is None else {name: Field(declared) for name, declared in message.model_fields.items()}


def read(command: str, cells: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The fields that a row's cells say, and a sentence for each cell that cannot be one; such a cell stays as it is.

    Of a command that does not exist, all is kept as it stands, for the service to refuse.
    """
    fields = fields_of(command)
    if fields is None:
        return dict(cells), []
    told: dict[str, Any] = {}
    faults = []
    for name, cell in cells.items():
        field = fields.get(name)
        told[name] = cell
        if field is None:
            its = ", ".join(fields)
            faults.append(f'{name} is no field of {command} and has the value "{_shown(cell)}"; its fields are {its}')
            continue
        try:
            told[name] = field.value(cell)
        except Misfit as wanted:
            faults.append(f'{name} cannot be "{_shown(cell)}": it takes {wanted}')
    return told, faults


def _shown(cell: str) -> str:
    return cell if len(cell) <= LONGEST_SHOWN else f"{cell[:LONGEST_SHOWN]}…"
