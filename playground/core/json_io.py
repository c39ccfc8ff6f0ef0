"""Parsing and serialization of models as JSON, with readable errors for invalid input."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from playground.errors import PlaygroundError, SchemaVersionError

SCHEMA_VERSION = 1
ModelT = TypeVar("ModelT", bound=BaseModel)


def to_canonical_json(value: BaseModel) -> str:
    """JSON with sorted keys and without spaces, identical for equal values; every digest depends on it."""
    return json.dumps(value.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))


def parse_json(
    model_class: type[ModelT], source: str | bytes | dict[str, Any], error_class: type[PlaygroundError]
) -> ModelT:
    """Parse ``source``; raises ``error_class`` naming each wrong field, or SchemaVersionError for a newer version."""
    name = model_class.__name__.lower()
    article = "An" if name[0] in "aeiou" else "A"
    if isinstance(source, dict):
        data: Any = source
    else:
        try:
            data = json.loads(source)
        except (ValueError, RecursionError) as error:
            raise error_class(
                f"This is not JSON: {error}.",
                expected=f"{article} {name} is one JSON object.",
                fix="Correct the JSON at this position.",
            ) from None
    if not isinstance(data, dict):
        raise error_class(f"The JSON holds a {type(data).__name__}.", expected=f"{article} {name} is one JSON object.")
    schema = data.get("schema", SCHEMA_VERSION)
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"This {name} has schema {schema}.",
            expected=f"This version reads schemas up to {SCHEMA_VERSION}.",
            fix="Install a newer CNN Playground.",
        )
    try:
        return model_class.model_validate(data)
    except ValidationError as error:
        raise error_class(f"This {name} cannot be used: {format_validation_error(error)}") from None


def format_validation_error(error: ValidationError) -> str:
    """Format each wrong field with its path, message and given value, in one line."""
    parts = []
    for details in error.errors(include_url=False)[:5]:
        path = ".".join(str(step) for step in details["loc"]) or "it"
        given = details.get("input")
        given_text = f" (given: {str(given)[:60]})" if isinstance(given, str | int | float | bool) else ""
        parts.append(f"{path}: {details['msg']}{given_text}")
    more = error.error_count() - 5
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "") + "."
