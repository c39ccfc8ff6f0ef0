"""Named architectures and recipes: where a beginner starts and a test stands on firm ground."""

from playground.core.presets import recipes
from playground.core.presets.base import GROUP_TITLES, ArchitecturePreset, RecipePreset, by_name
from playground.core.presets.classics import CLASSICS
from playground.core.presets.pitfalls import MISTAKES
from playground.core.presets.tutorials import TUTORIALS

ARCHITECTURES: dict[str, ArchitecturePreset] = {preset.name: preset for preset in (*TUTORIALS, *CLASSICS, *MISTAKES)}
RECIPES: dict[str, RecipePreset] = {preset.name: preset for preset in recipes.ALL}

__all__ = [
    "ARCHITECTURES",
    "GROUP_TITLES",
    "RECIPES",
    "ArchitecturePreset",
    "RecipePreset",
    "architecture_preset",
    "recipe_preset",
]


def architecture_preset(name: str) -> ArchitecturePreset:
    """By name; raises UnknownNameError with the names that there are."""
    return by_name(ARCHITECTURES, name, "architecture preset")


def recipe_preset(name: str) -> RecipePreset:
    """By name; raises UnknownNameError with the names that there are."""
    return by_name(RECIPES, name, "recipe preset")
