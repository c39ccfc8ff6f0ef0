"""A network in any text that a person may have of one: JSON, a link, or code."""

from dataclasses import dataclass

from playground.code_import.read_code import read_code
from playground.core.architecture import Architecture, InputShape
from playground.core.recipe import Recipe
from playground.core.share_link import PARAMETER, VERSION, from_link
from playground.errors import ArchitectureError


@dataclass(frozen=True)
class ReadText:
    """The network; its recipe where the text has one; and what a person should know of how it was read."""

    architecture: Architecture
    recipe: Recipe | None = None
    remarks: tuple[str, ...] = ()


def read_text(text: str, *, input_shape: InputShape | None = None, classes: int | None = None) -> ReadText:
    """Whatever the text is; nothing in it is executed.

    ``input_shape`` and ``classes`` are for code that leaves them open. Raises ArchitectureError, RecipeError or
    SchemaError, which say what was expected and where it went wrong.
    """
    words = text.strip()
    if not words:
        raise ArchitectureError("There is nothing to read.", expected="A link, JSON, or PyTorch or Keras code.")
    if words.startswith("{"):
        return ReadText(Architecture.read(words))
    within = f"{PARAMETER}={VERSION}." in words and len(words.split()) == 1
    if within or words.startswith((f"{VERSION}.", "http://", "https://")):
        architecture, recipe = from_link(words)
        return ReadText(architecture, recipe)
    found = read_code(text, input_shape=input_shape, classes=classes)
    return ReadText(found.architecture, remarks=found.remarks)
