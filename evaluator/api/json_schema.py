"""The words in which answers are told of in JSON Schema: scalars, objects, arrays."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

JsonSchema: TypeAlias = dict[str, Any]

COUNT: Final[JsonSchema] = {"type": "integer", "minimum": 0}
NUMBER: Final[JsonSchema] = {"type": "number", "minimum": 0}
TEXT: Final[JsonSchema] = {"type": "string"}
MAYBE_TEXT: Final[JsonSchema] = {"type": ["string", "null"]}
FLAG: Final[JsonSchema] = {"type": "boolean"}
TIME: Final[JsonSchema] = {"type": "string", "format": "date-time"}
MAYBE_TIME: Final[JsonSchema] = {"type": ["string", "null"], "format": "date-time"}


def annotated(schema: JsonSchema, description: str) -> JsonSchema:
    """Return a schema with what it is of."""
    return {**schema, "description": description}


def record(optional: str = "", /, **properties: JsonSchema) -> JsonSchema:
    """Return the schema of an object; ``optional``: the names that it may lack, with blanks between them."""
    required = [name for name in properties if name not in optional.split()]
    return {"type": "object", "required": required, "properties": properties}


def array(items: JsonSchema) -> JsonSchema:
    """Return the schema of an array of any length."""
    return {"type": "array", "items": items}


def maybe(schema: JsonSchema) -> JsonSchema:
    """Return the schema of what may be null as well."""
    return {**schema, "type": [schema["type"], "null"]}
