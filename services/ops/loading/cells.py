"""The cells of a table as fields of a command: read by the type of the field, never guessed and never dropped."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from services.ops.strict_json import DuplicateKeyError, parsed
from shared.language.commands import COMMANDS
from shared.language.text import IN_WORDS

LIST_SEPARATOR: Final = ";"
SWITCH: Final[Mapping[str, bool]] = {"true": True, "false": False}
WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
LONGEST_SHOWN: Final = 100
# Fields whose texts often have several lines.
OF_LINES: Final = frozenset(("signature", "note", "cause", "rule"))


class InvalidCellError(Exception):
    """The field does not take the cell; the message says what it takes."""


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
            InvalidCellError: the field does not take it.
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
            raise InvalidCellError(self.words)
        return value

    def _takes(self, value: Any) -> bool:
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError:
            return False
        return True

    def _object(self, cell: str) -> dict[str, Any]:
        """Check that it is an object; the service checks its content."""
        try:
            value = parsed(cell)
        except DuplicateKeyError as error:
            raise InvalidCellError(f"{self.words}, and {error}") from error
        except ValueError as error:
            raise InvalidCellError(f"{self.words}, and this is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidCellError(self.words)
        return value


def _parts(cell: str) -> list[Any]:
    """The parts of a list, written as JSON too; the empty list is `;` or `[]`."""
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
    """The values that a field takes, in words."""
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
    """The fields of a row, and a sentence for each cell that its field does not take; that cell stays text.

    The cells of an unknown command stay text; the service refuses it.
    """
    fields = fields_of(command)
    if fields is None:
        return dict(cells), []
    values: dict[str, Any] = {}
    faults = []
    for name, cell in cells.items():
        field = fields.get(name)
        values[name] = cell
        if field is None:
            its = ", ".join(fields)
            faults.append(
                f'{name} is not a field of {command} and has the value "{_shortened(cell)}"; its fields are {its}'
            )
            continue
        try:
            values[name] = field.value(cell)
        except InvalidCellError as wanted:
            faults.append(f'{name} cannot be "{_shortened(cell)}": it takes {wanted}')
    return values, faults


def _shortened(cell: str) -> str:
    return cell if len(cell) <= LONGEST_SHOWN else f"{cell[:LONGEST_SHOWN]}…"
