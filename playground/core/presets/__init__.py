"""Named architectures and recipes."""

from playground.core.presets import recipes
from playground.core.presets.base import GROUP_TITLES, ArchitecturePreset, RecipePreset, get_preset
from playground.core.presets.classics import CLASSICS
from playground.core.presets.pitfalls import PITFALLS
from playground.core.presets.tutorials import TUTORIALS

ARCHITECTURE_PRESETS: dict[str, ArchitecturePreset] = {
    preset.name: preset for preset in (*TUTORIALS, *CLASSICS, *PITFALLS)
}
RECIPE_PRESETS: dict[str, RecipePreset] = {preset.name: preset for preset in recipes.PRESETS}

__all__ = [
    "ARCHITECTURE_PRESETS",
    "GROUP_TITLES",
    "RECIPE_PRESETS",
    "ArchitecturePreset",
    "RecipePreset",
    "get_architecture_preset",
    "get_recipe_preset",
]


def get_architecture_preset(name: str) -> ArchitecturePreset:
    """Return a preset by name; raises UnknownNameError for an unknown name."""
    return get_preset(ARCHITECTURE_PRESETS, name, "architecture preset")


def get_recipe_preset(name: str) -> RecipePreset:
    """Return a preset by name; raises UnknownNameError for an unknown name."""
    return get_preset(RECIPE_PRESETS, name, "recipe preset")
