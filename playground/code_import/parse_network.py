"""Import a network from text: JSON, a share link, a notebook, a Keras configuration, or PyTorch or Keras code."""

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from playground.code_import.read_code import parse_code
from playground.code_import.sources.clean_code import is_python
from playground.code_import.sources.keras_config import is_keras_config, render_keras_config
from playground.code_import.sources.model_file import read_model_file
from playground.code_import.sources.notebook import extract_notebook_code, is_notebook
from playground.code_import.sources.source_code import SourceCode
from playground.core.architecture import Architecture, InputShape
from playground.core.recipe import Recipe
from playground.core.share_link import contains_link, decode_link
from playground.errors import ArchitectureError

_EXPECTED = "A link, JSON, a notebook, or PyTorch or Keras code."
_FENCED_TEXT = re.compile(r"\s*(?:```|~~~)\w*\n(.*?)\n\s*(?:```|~~~)\s*", re.DOTALL)
_BARE_LINK = re.compile(r"[<\"'(]?\d+\.[\w-]*(?:\s+[\w-]+)*[>\"').]*")
_QUOTED_ADDRESS = re.compile(r"[\"'“”‘’(\[]*(https?://[^\s\"'“”‘’]*[?&]net=[^\s\"'“”‘’)\]]+)[\"'“”‘’)\],;.]*")
_OTHER_KINDS = (
    (re.compile(r"<(?:!doctype|html|head|body|div|script)\b", re.IGNORECASE), "the source of a web page"),
    (re.compile(r"https?://\S+$"), "the address of a web page; nothing is downloaded"),
    (
        re.compile(r"\w+\(\n\s+\(\w+\): "),
        "a printed PyTorch module, which does not show the order in which forward calls its parts",
    ),
    (
        re.compile(r"Model: \".*\"\n[\s\S]*Layer \(type\)"),
        "the output of model.summary(), which leaves out strides, padding and activations",
    ),
)


@dataclass(frozen=True)
class ParsedNetwork:
    """Imported network, its recipe if the text has one, and notes for the user about the import."""

    architecture: Architecture
    recipe: Recipe | None = None
    notes: tuple[str, ...] = ()


def parse_network_file(
    name: str, content: bytes, *, input_shape: InputShape | None = None, classes: int | None = None
) -> ParsedNetwork:
    """Import a network from a file: a text of any supported format, or a .keras file; raises as ``parse_network``."""
    return parse_network(read_model_file(name, content), input_shape=input_shape, classes=classes)


def parse_network(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ParsedNetwork:
    """Import a network from text of any supported format. The text is never executed.

    ``input_shape`` and ``classes`` apply where the code does not state them. Raises ArchitectureError, RecipeError or
    SchemaVersionError.
    """
    fenced = _FENCED_TEXT.fullmatch(text)
    stripped = (fenced[1] if fenced else text).strip("\ufeff\u200b \t\r\n")
    if not stripped:
        raise ArchitectureError("The text is empty.", expected=_EXPECTED)
    data = _read_json_object(stripped)
    if data is not None:
        if not (is_notebook(data) or is_keras_config(data)):
            return _read_own_json(data)
        return _parse_source(
            extract_notebook_code(data) if is_notebook(data) else render_keras_config(data), input_shape, classes
        )
    link = _QUOTED_ADDRESS.fullmatch(stripped)
    if link or _BARE_LINK.fullmatch(stripped) or (contains_link(stripped) and not is_python(text)):
        architecture, recipe = decode_link(link[1] if link else stripped)
        return ParsedNetwork(architecture, recipe)
    kind = next((kind for pattern, kind in _OTHER_KINDS if pattern.match(stripped)), None)
    if kind:
        raise ArchitectureError(f"This is {kind}.", expected=_EXPECTED, fix="Paste the code of the network.")
    parsed = parse_code(text, input_shape=input_shape, classes=classes)
    return ParsedNetwork(parsed.architecture, notes=parsed.notes)


def _parse_source(source: SourceCode, input_shape: InputShape | None, classes: int | None) -> ParsedNetwork:
    try:
        parsed = parse_code(source.text, input_shape=input_shape, classes=classes)
    except ArchitectureError as error:
        raise ArchitectureError(
            source.restore_places(error.what), expected=error.expected, fix=source.restore_places(error.fix)
        ) from None
    return ParsedNetwork(parsed.architecture, notes=tuple(map(source.restore_places, parsed.notes)))


def _read_json_object(text: str) -> dict[str, Any] | None:
    """Return the object of a JSON text, of its Python form or of its quoted form; None for other text.

    Raises ArchitectureError for text that begins as an object and is neither.
    """
    if text.startswith(("'{", '"{')):  # the value of model.to_json(), as a console prints it
        quoted = _read_literal(text)
        text = quoted if isinstance(quoted, str) else text
    if not text.startswith("{"):
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        data = _read_literal(text)
        if not isinstance(data, dict):
            raise ArchitectureError(
                f"This is not JSON: {error}.",
                expected="A network is one JSON object.",
                fix="Correct the JSON at this position.",
            ) from None
    return data if isinstance(data, dict) else None


def _read_literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _read_own_json(data: dict[str, Any]) -> ParsedNetwork:
    """Read a network, or the record of a run, from JSON of this program."""
    if isinstance(data.get("architecture"), dict):
        recipe = data.get("recipe")
        return ParsedNetwork(
            Architecture.from_json(data["architecture"]), Recipe.from_json(recipe) if isinstance(recipe, dict) else None
        )
    keys = [key for key in data if key != "schema"]
    if keys and not any(key in Architecture.model_fields for key in keys):
        kind = "training settings, not a network" if all(key in Recipe.model_fields for key in keys) else "no network"
        listed = ", ".join(str(key)[:30] for key in keys[:6])
        raise ArchitectureError(f"This JSON holds {kind}; its keys are {listed}.", expected=_EXPECTED)
    return ParsedNetwork(Architecture.from_json(data))
