"""Reading values from JSON that a person or another program wrote, with errors a person can act on."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from playground.errors import PlaygroundError, SchemaVersionError

SCHEMA_VERSION = 1
ModelT = TypeVar("ModelT", bound=BaseModel)


def to_canonical_json(value: BaseModel) -> str:
    """One text for equal values: sorted keys, no spaces. Changing it changes every digest."""
    return json.dumps(value.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))


def parse_json(
    model_class: type[ModelT], source: str | bytes | dict[str, Any], error_class: type[PlaygroundError]
) -> ModelT:
    """``source`` as a ``kind``; raises ``error_class`` naming each wrong field, or SchemaError for a newer version."""
    name = model_class.__name__.lower()
    named = f"an {name}" if name[0] in "aeiou" else f"a {name}"
    if isinstance(source, dict):
        data: Any = source
    else:
        try:
            data = json.loads(source)
        except (ValueError, RecursionError) as problem:
            raise error_class(
                f"This is not JSON: {problem}.",
                expected=f"{named[0].upper()}{named[1:]} is one JSON object.",
                fix="Check the place named.",
            ) from None
    if not isinstance(data, dict):
        raise error_class(
            f"The JSON holds a {type(data).__name__}.", expected=f"{named[0].upper()}{named[1:]} is one JSON object."
        )
    schema = data.get("schema", SCHEMA_VERSION)
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"This {name} has schema {schema}.",
            expected=f"This version reads schemas up to {SCHEMA_VERSION}.",
            fix="Install a newer CNN Playground.",
        )
    try:
        return model_class.model_validate(data)
    except ValidationError as problem:
        raise error_class(f"This {name} cannot be used: {format_validation_error(problem)}") from None


def format_validation_error(error: ValidationError) -> str:
    """Each wrong field with its path, what was given and what holds, in one line."""
    parts = []
    for found in error.errors(include_url=False)[:5]:
        path = ".".join(str(step) for step in found["loc"]) or "it"
        given = found.get("input")
        shown = f" (given: {str(given)[:60]})" if isinstance(given, str | int | float | bool) else ""
        parts.append(f"{path}: {found['msg']}{shown}")
    more = error.error_count() - 5
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "") + "."
