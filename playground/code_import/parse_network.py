"""Import a network from text: JSON, a share link, or PyTorch or Keras code."""

from dataclasses import dataclass

from playground.code_import.read_code import parse_code
from playground.core.architecture import Architecture, InputShape
from playground.core.recipe import Recipe
from playground.core.share_link import LINK_VERSION, QUERY_PARAMETER, decode_link
from playground.errors import ArchitectureError


@dataclass(frozen=True)
class ParsedNetwork:
    """Imported network, its recipe if the text has one, and notes for the user about the import."""

    architecture: Architecture
    recipe: Recipe | None = None
    notes: tuple[str, ...] = ()


def parse_network(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ParsedNetwork:
    """Import a network from text of any supported format. The text is never executed.

    ``input_shape`` and ``classes`` apply where the code does not state them. Raises ArchitectureError, RecipeError or
    SchemaVersionError.
    """
    stripped = text.strip()
    if not stripped:
        raise ArchitectureError("The text is empty.", expected="A link, JSON, or PyTorch or Keras code.")
    if stripped.startswith("{"):
        return ParsedNetwork(Architecture.from_json(stripped))
    is_link = f"{QUERY_PARAMETER}={LINK_VERSION}." in stripped and len(stripped.split()) == 1
    if is_link or stripped.startswith((f"{LINK_VERSION}.", "http://", "https://")):
        architecture, recipe = decode_link(stripped)
        return ParsedNetwork(architecture, recipe)
    parsed = parse_code(text, input_shape=input_shape, classes=classes)
    return ParsedNetwork(parsed.architecture, notes=parsed.notes)
