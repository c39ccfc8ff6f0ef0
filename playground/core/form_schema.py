"""Form fields of layers and recipes: control, bounds, choices and help, read from the pydantic model."""

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from playground.core.layers.shared.base import Layer

Control = Literal["integer", "number", "flag", "choice"]
_HIDDEN_FIELDS = {"kind", "id", "enabled", "trainable", "schema_version"}
_MAX_CHOICES = 32
_OPEN_BOUND_EPSILON = 1e-9
"""Distance of a form's minimum from an open bound."""


@dataclass(frozen=True)
class FormField:
    """One form field: its control, bounds (inclusive) or choices, and help."""

    name: str
    control: Control
    help: str
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    number_format: str | None = None
    choices: tuple[Any, ...] = ()

    @property
    def label(self) -> str:
        """The control's label: the field's name with spaces."""
        return self.name.replace("_", " ")


def build_form_fields(model: type[BaseModel]) -> tuple[FormField, ...]:
    """The editable fields of a model, in order; nested models and lists have their own forms."""
    names = [name for name in model.model_fields if name not in _HIDDEN_FIELDS]
    if issubclass(model, Layer) and model.has_weights:
        names.append("trainable")  # after the fields of the kind
    fields = (_build_form_field(name, model.model_fields[name]) for name in names)
    return tuple(field for field in fields if field is not None)


def _build_form_field(name: str, info: FieldInfo) -> FormField | None:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    minimum, maximum, open_minimum = _read_bounds(info.metadata)
    step = extra.get("step")
    common: dict[str, Any] = {
        "name": name,
        "help": info.description or "",
        "default": info.get_default(call_default_factory=True),
    }
    annotation = info.annotation
    if annotation is bool:
        return FormField(control="flag", **common)
    if annotation is int:
        return FormField(control="integer", minimum=minimum, maximum=maximum, step=1, **common)
    if annotation is float:
        low = minimum if not open_minimum else (minimum or 0) + _OPEN_BOUND_EPSILON
        number_format = extra.get("format")
        return FormField(
            control="number",
            minimum=low,
            maximum=maximum,
            step=float(step) if isinstance(step, int | float) else None,
            number_format=str(number_format) if number_format else None,
            **common,
        )
    choices = _list_choices(annotation, minimum, maximum)
    return FormField(control="choice", choices=choices, **common) if choices else None


def _read_bounds(metadata: list[Any]) -> tuple[float | None, float | None, bool]:
    minimum = maximum = None
    open_minimum = False
    for item in metadata:
        if isinstance(item, annotated_types.Ge):
            minimum = _to_float(item.ge)
        elif isinstance(item, annotated_types.Gt):
            minimum, open_minimum = _to_float(item.gt), True
        elif isinstance(item, annotated_types.Le):
            maximum = _to_float(item.le)
    return minimum, maximum, open_minimum


def _to_float(bound: Any) -> float:
    """Convert a bound, whose declared type is anything that can be compared."""
    return float(bound)


def _list_choices(annotation: Any, minimum: float | None, maximum: float | None) -> tuple[Any, ...]:
    """The values of a literal, or of a union of strings, None and a bounded integer; empty if there are too many."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) not in (Union, UnionType):
        return ()
    words: list[Any] = []
    numbers: list[int] = []
    for member in get_args(annotation):
        if member is type(None):
            words.insert(0, None)
        elif get_origin(member) is Literal:
            words.extend(get_args(member))
        else:
            low, high = minimum, maximum
            if get_origin(member) is Annotated:
                info = get_args(member)[1]
                low, high, _ = _read_bounds(getattr(info, "metadata", [info]))
                member = get_args(member)[0]
            if member is not int or low is None or high is None or high - low > _MAX_CHOICES:
                return tuple(words) if member is int and words else ()
            numbers = list(range(int(low), int(high) + 1))
    return (*words, *numbers)
