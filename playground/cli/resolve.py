"""Resolution of command-line names to architectures and recipes."""

from pathlib import Path

from playground.core.architecture import Architecture
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, RecipeError, UnknownNameError


def find_architecture(name: str) -> Architecture:
    """Return the architecture of a preset, a JSON file or a run; raises UnknownNameError or ArchitectureError."""
    if name in ARCHITECTURE_PRESETS:
        return ARCHITECTURE_PRESETS[name].architecture
    path = Path(name)
    if path.suffix == ".json" or _is_file(path):
        try:
            return Architecture.from_json(path.read_bytes())
        except OSError as error:
            raise ArchitectureError(f"{path} cannot be read: {error.strerror}.") from error
    from playground.engine.runs.repository import find_run

    try:
        return find_run(name).record.architecture
    except UnknownNameError:
        raise UnknownNameError(
            f"There is no architecture {name!r}.",
            expected=f"A preset ({', '.join(ARCHITECTURE_PRESETS)}), a JSON file, or a run.",
        ) from None


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a preset or a JSON file; raises UnknownNameError or RecipeError."""
    if name in RECIPE_PRESETS:
        return RECIPE_PRESETS[name].recipe
    path = Path(name)
    if path.suffix == ".json" or _is_file(path):
        try:
            return Recipe.from_json(path.read_bytes())
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror}.") from error
    raise UnknownNameError(
        f"There is no recipe {name!r}.", expected=f"A preset ({', '.join(RECIPE_PRESETS)}) or a JSON file."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or contains a null character
        return False
