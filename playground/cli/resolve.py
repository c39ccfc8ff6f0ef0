"""What a name on the command line stands for."""

from pathlib import Path

from playground.core.architecture import Architecture
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, RecipeError, UnknownNameError


def find_architecture(name: str) -> Architecture:
    """A preset's, a JSON file's or a run's network; raises UnknownNameError or ArchitectureError."""
    if name in ARCHITECTURE_PRESETS:
        return ARCHITECTURE_PRESETS[name].architecture
    path = Path(name)
    if path.suffix == ".json" or _is_file(path):
        try:
            return Architecture.from_json(path.read_bytes())
        except OSError as problem:
            raise ArchitectureError(f"{path} cannot be read: {problem.strerror}.") from problem
    from playground.engine.runs import repository as catalogue

    try:
        return catalogue.find_run(name).record.architecture
    except UnknownNameError:
        raise UnknownNameError(
            f"There is no architecture {name!r}.",
            expected=f"A preset ({', '.join(ARCHITECTURE_PRESETS)}), a JSON file, or a run.",
        ) from None


def find_recipe(name: str) -> Recipe:
    """A preset or a JSON file; raises UnknownNameError or RecipeError."""
    if name in RECIPE_PRESETS:
        return RECIPE_PRESETS[name].recipe
    path = Path(name)
    if path.suffix == ".json" or _is_file(path):
        try:
            return Recipe.from_json(path.read_bytes())
        except OSError as problem:
            raise RecipeError(f"{path} cannot be read: {problem.strerror}.") from problem
    raise UnknownNameError(
        f"There is no recipe {name!r}.", expected=f"A preset ({', '.join(RECIPE_PRESETS)}) or a JSON file."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero in it, is no file
        return False
