"""The parameters of a call of the client, from the fields of its message."""

import ast
import inspect
import keyword
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic import BaseModel

# A caller may pass wider types than a message holds.
WIDER: Final = {"Ids": "Sequence[str]", "AddressTexts": "Sequence[str]", "Permissions": "Sequence[Permission]"}
# Text with a pattern or a length, which the service checks.
PLAIN: Final = {
    "Id": "str",
    "NewId": "str", "Name": "str", "PersonName": "str", "AddressText": "str", "Cause": "str", "Font": "str",
    "FontSize": "int", "FromName": "str", "Note": "str", "ProviderIdentity": "str", "Signature": "str",
    "Actor": "str", "CommandId": "str", "CorrelationId": "str", "Hours": "int", "JsonPointer": "str",
    "Moment": "int | str | datetime", "ReasonName": "str",
}  # fmt: skip


class Parameter(NamedTuple):
    """`name` is the field's on the wire. Python takes a keyword as a name only with an underscore behind it."""

    name: str
    type: str
    default: str | None

    @property
    def python_name(self) -> str:
        return f"{self.name}_" if keyword.iskeyword(self.name) else self.name

    def __str__(self) -> str:
        return f"{self.python_name}: {self.type}" + ("" if self.default is None else f" = {self.default}")


def parameters(message: type[BaseModel], base: type[BaseModel]) -> Iterator[Parameter]:
    """The fields that a message has beyond those of its base, as they are spelled in their classes."""
    for ancestor in reversed(message.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel and not issubclass(base, ancestor):
            (tree,) = ast.parse(inspect.getsource(ancestor)).body
            assert isinstance(tree, ast.ClassDef)
            for node in tree.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    yield parameter(ancestor, node.target.id, ast.unparse(node.annotation))


def parameter(message: type[BaseModel], field: str, annotation: str) -> Parameter:
    info = message.model_fields[field]
    default = None if info.is_required() else repr(info.get_default(call_default_factory=True))
    return Parameter(info.alias or field, wider(annotation), default)


def wider(annotation: str) -> str:
    if annotation.startswith("Annotated["):
        annotation = re.sub(r"Annotated\[(\w+),.*\]", r"\1", annotation)
    return re.sub(r"\w+", lambda word: (WIDER | PLAIN).get(word[0], word[0]), annotation)
