"""A network in any text that a person may have of one: JSON, a link, or code."""

from dataclasses import dataclass

from playground.code_import.read_code import parse_code
from playground.core.architecture import Architecture, InputShape
from playground.core.recipe import Recipe
from playground.core.share_link import LINK_VERSION, QUERY_PARAMETER, decode_link
from playground.errors import ArchitectureError


@dataclass(frozen=True)
class ParsedNetwork:
    """The network; its recipe where the text has one; and what a person should know of how it was read."""

    architecture: Architecture
    recipe: Recipe | None = None
    notes: tuple[str, ...] = ()


def parse_network(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ParsedNetwork:
    """Whatever the text is; nothing in it is executed.

    ``input_shape`` and ``classes`` are for code that leaves them open. Raises ArchitectureError, RecipeError or
    SchemaError, which say what was expected and where it went wrong.
    """
    words = text.strip()
    if not words:
        raise ArchitectureError("There is nothing to read.", expected="A link, JSON, or PyTorch or Keras code.")
    if words.startswith("{"):
        return ParsedNetwork(Architecture.from_json(words))
    within = f"{QUERY_PARAMETER}={LINK_VERSION}." in words and len(words.split()) == 1
    if within or words.startswith((f"{LINK_VERSION}.", "http://", "https://")):
        architecture, recipe = decode_link(words)
        return ParsedNetwork(architecture, recipe)
    found = parse_code(text, input_shape=input_shape, classes=classes)
    return ParsedNetwork(found.architecture, notes=found.notes)
