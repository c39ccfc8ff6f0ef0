"""The gallery of presets: cards with a picture, the accuracy, and the training time on this machine."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import log2, sqrt

import streamlit as st

from playground.core.architecture import Architecture
from playground.core.presets import ARCHITECTURE_PRESETS, GROUP_TITLES, RECIPE_PRESETS, ArchitecturePreset
from playground.core.recipe import Recipe
from playground.core.shapes import is_spatial
from playground.core.summary import summarize
from playground.engine.data.dataset_lookup import find_dataset
from playground.ui.components.preset_gallery import PictureBlock, PresetCard, render_preset_gallery
from playground.ui.epoch_time import estimate_epoch_seconds, format_seconds

_CHOSEN_KEY = "preset-chosen"
_PICTURE_HEIGHT, _PICTURE_WIDTH = 44.0, 176.0
_MIN_BLOCK_HEIGHT, _MAX_BLOCK_WIDTH, _BLOCK_GAP = 4.0, 22.0, 2.0


def open_preset_gallery(
    title: str, cards: Sequence[PresetCard], *, width: int, selected: str | None, on_select: Callable[[str], None]
) -> None:
    """Open the cards in a sheet on the left, which closes after a choice."""

    def select(name: str) -> None:
        on_select(name)
        st.session_state[_CHOSEN_KEY] = True

    @st.dialog(title, width=width, position="left")
    def render_gallery() -> None:
        if st.session_state.pop(_CHOSEN_KEY, False):
            st.rerun()
        render_preset_gallery(cards, key="preset-gallery", selected=selected, on_select=select)

    st.session_state.pop(_CHOSEN_KEY, None)
    render_gallery()


def make_recipe_cards(recipes: Mapping[str, Recipe], architecture: Architecture) -> list[PresetCard]:
    """Make the cards of all recipe presets with the training time of a network; ``recipes`` are fitted to its data."""
    return [
        PresetCard(
            name,
            "Recipes",
            f"{RECIPE_PRESETS[name].title} · {_format_epochs(recipe)}",
            RECIPE_PRESETS[name].description,
            _estimate_time(architecture, recipe),
        )
        for name, recipe in recipes.items()
    ]


def make_network_cards() -> list[PresetCard]:
    """Make the cards of all architecture presets, group by group."""
    return [
        PresetCard(
            preset.name,
            title,
            preset.title,
            preset.description,
            _list_facts(preset),
            make_picture_blocks(preset.architecture),
        )
        for group, title in GROUP_TITLES.items()
        for preset in ARCHITECTURE_PRESETS.values()
        if preset.group == group
    ]


def _list_facts(preset: ArchitecturePreset) -> tuple[str, ...]:
    if preset.is_broken:
        return ("Cannot be trained until it is fixed",)
    recipe = preset.recipe or RECIPE_PRESETS["sprint"].recipe
    facts = []
    if preset.test_accuracy is not None:
        facts.append(f"{preset.test_accuracy:.1%} on {find_dataset(recipe.dataset).title}")
    facts += _estimate_time(preset.architecture, recipe)
    return (*facts, f"{summarize(preset.architecture).parameters:,} parameters")


def _estimate_time(architecture: Architecture, recipe: Recipe) -> tuple[str, ...]:
    epoch_seconds = estimate_epoch_seconds(architecture, recipe, None)
    return () if epoch_seconds is None else (format_seconds(epoch_seconds * recipe.epochs),)


def _format_epochs(recipe: Recipe) -> str:
    return f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"


@cache
def make_picture_blocks(architecture: Architecture) -> tuple[PictureBlock, ...]:
    """Make one block for each layer that changes the shape: as high as its maps, and wider with more channels."""
    side = max(architecture.input.height, architecture.input.width)
    blocks = [PictureBlock(width=3, height=_PICTURE_HEIGHT, color="gray")]
    for row in summarize(architecture).layers:
        layer = architecture.layers[row.index]
        if not row.enabled or layer.is_elementwise:
            continue
        channels = row.output_shape[0]
        if is_spatial(row.output_shape):
            height, width = _PICTURE_HEIGHT * row.output_shape[1] / side, 2 + 2.5 * log2(channels + 1)
        else:
            height, width = 2.5 * sqrt(channels), 4.0
        blocks.append(
            PictureBlock(
                width=min(width, _MAX_BLOCK_WIDTH),
                height=min(max(height, _MIN_BLOCK_HEIGHT), _PICTURE_HEIGHT),
                color=layer.diagram_color,
            )
        )
    gaps = _BLOCK_GAP * (len(blocks) - 1)
    scale = min(1.0, (_PICTURE_WIDTH - gaps) / sum(block["width"] for block in blocks))
    return tuple(
        PictureBlock(
            width=round(max(1.0, block["width"] * scale), 1), height=round(block["height"], 1), color=block["color"]
        )
        for block in blocks
    )
