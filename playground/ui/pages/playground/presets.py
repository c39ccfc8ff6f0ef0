"""Choice of the preset and the dataset above the network."""

import streamlit as st

from playground.core.presets import ARCHITECTURE_PRESETS
from playground.engine.data.dataset_lookup import is_available, list_datasets
from playground.ui import html
from playground.ui.actions import apply_preset, is_active, switch_dataset
from playground.ui.controls import bind
from playground.ui.pages.playground.preset_gallery import make_network_cards, open_preset_gallery
from playground.ui.state import AppState

_CUSTOM = "own"


def render_preset_choice(state: AppState) -> None:
    """Render a button with the current preset's title that opens the gallery of presets."""
    name = _find_current_preset(state)
    title = "Custom network" if name == _CUSTOM else ARCHITECTURE_PRESETS[name].title
    if st.button(
        title,
        key="architecture-preset",
        icon=":material/grid_view:",
        help="Choose a preset network. Tutorials and pitfalls also load their settings; Undo restores yours.",
        width="stretch",
    ):
        open_preset_gallery(
            "Choose a network",
            make_network_cards(),
            width=760,
            selected=name,
            on_select=lambda chosen: apply_preset(ARCHITECTURE_PRESETS[chosen]),
        )


def _find_current_preset(state: AppState) -> str:
    """Find the preset with this network; of several, prefer one for this dataset, then the one chosen last."""
    shape, classes = state.editor.architecture.input.shape, state.editor.architecture.classes

    def is_match(name: str) -> bool:
        architecture = ARCHITECTURE_PRESETS[name].architecture
        adapted = architecture.adapt_to_images(shape, classes)
        return state.editor.architecture.digest in (architecture.digest, adapted.digest)

    def rank_preset(name: str) -> tuple[bool, ...]:
        recipe = ARCHITECTURE_PRESETS[name].recipe
        is_for_other_dataset = recipe is not None and recipe.dataset != state.editor.recipe.dataset
        is_adapted = ARCHITECTURE_PRESETS[name].architecture.digest != state.editor.architecture.digest
        return (
            is_for_other_dataset,
            is_adapted,
            name != state.editor.preset_name,
            recipe not in (None, state.editor.recipe),
        )

    return min(filter(is_match, ARCHITECTURE_PRESETS), key=rank_preset, default=_CUSTOM)


def render_preset_note(state: AppState) -> None:
    """Render what a pitfall demonstrates, and a button for the preset's settings if they differ."""
    name = _find_current_preset(state)
    preset = ARCHITECTURE_PRESETS.get(name)
    if preset is None or (name != state.editor.preset_name and preset.recipe != state.editor.recipe):
        return
    if preset.observation:
        html.render_hint(preset.observation)
    if preset.recipe not in (None, state.editor.recipe) and not is_active(state.training.find_run()):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="preset-settings"):
            html.render_hint("Settings differ from this preset.")
            st.button("Use preset settings", key="preset-take", type="tertiary", on_click=apply_preset, args=(preset,))


def render_dataset_choice(state: AppState) -> None:
    """Render the list of datasets, downloaded or not."""
    datasets = list_datasets()
    current = state.editor.recipe.dataset if state.editor.recipe.dataset in datasets else None
    st.selectbox(
        "Dataset",
        list(datasets),
        **bind("dataset", current, switch_dataset),
        format_func=lambda name: datasets[name].title + ("" if is_available(datasets[name]) else " ↓"),
        disabled=is_active(state.training.find_run()),
        label_visibility="collapsed",
        placeholder="missing",
        help="The training images. ↓ means that the dataset is downloaded first. See the Data page for more.",
        width=138,
    )
