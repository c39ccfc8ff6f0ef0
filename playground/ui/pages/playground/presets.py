"""The two lists above the network: which preset it is, and which data set it is for."""

import streamlit as st

from playground.core.presets import ARCHITECTURE_PRESETS, GROUP_TITLES
from playground.engine.data.registry import is_available, list_datasets
from playground.ui import html
from playground.ui.actions import apply_preset, is_active, switch_dataset
from playground.ui.state import AppState

_CUSTOM = "own"


def render_preset_choice(state: AppState) -> None:
    """A list of the networks to start from."""
    names = [_CUSTOM, *ARCHITECTURE_PRESETS]
    st.session_state["architecture-preset"] = _find_current_preset(state)

    def store_choice() -> None:
        name = st.session_state["architecture-preset"]
        if name != _CUSTOM:
            apply_preset(ARCHITECTURE_PRESETS[name])

    st.selectbox(
        "Preset",
        names,
        key="architecture-preset",
        format_func=_format_preset_title,
        on_change=store_choice,
        label_visibility="collapsed",
        help="A network to start from; a tutorial's or a mistake's comes with its settings. Undo brings yours back.",
        width="stretch",
    )


def _format_preset_title(name: str) -> str:
    if name == _CUSTOM:
        return "Your own"
    preset = ARCHITECTURE_PRESETS[name]
    group = GROUP_TITLES[preset.group]
    return f"{group}: {preset.title}" if group else preset.title


def _find_current_preset(state: AppState) -> str:
    """The preset that has this network: rather one for this data set, rather the one that was taken."""
    shape, classes = state.editor.architecture.input.shape, state.editor.architecture.classes

    def is_match(name: str) -> bool:
        architecture = ARCHITECTURE_PRESETS[name].architecture
        same = (architecture, architecture.adapt_to_images(shape, classes))
        return state.editor.architecture.digest in [one.digest for one in same]

    def rank_preset(name: str) -> tuple[bool, ...]:
        recipe = ARCHITECTURE_PRESETS[name].recipe
        for_other_data = recipe is not None and recipe.dataset != state.editor.recipe.dataset
        was_fitted = ARCHITECTURE_PRESETS[name].architecture.digest != state.editor.architecture.digest
        return for_other_data, was_fitted, name != state.editor.preset_name, recipe not in (None, state.editor.recipe)

    return min(filter(is_match, ARCHITECTURE_PRESETS), key=rank_preset, default=_CUSTOM)


def render_preset_note(state: AppState) -> None:
    """What the chosen mistake shows; and a way to the settings of a preset, where others are set."""
    name = _find_current_preset(state)
    preset = ARCHITECTURE_PRESETS.get(name)
    if preset is None or (name != state.editor.preset_name and preset.recipe != state.editor.recipe):
        return
    if preset.observation:
        html.render_hint(preset.observation)
    if preset.recipe not in (None, state.editor.recipe) and not is_active(state.training.find_run()):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="preset-settings"):
            html.render_hint("Your settings are not those that it comes with.")
            st.button("Take its settings", key="preset-take", type="tertiary", on_click=apply_preset, args=(preset,))


def render_dataset_choice(state: AppState) -> None:
    """A list of the data sets, fetched or not."""
    every = list_datasets()
    st.session_state["dataset"] = state.editor.recipe.dataset if state.editor.recipe.dataset in every else None
    st.selectbox(
        "Data set",
        list(every),
        key="dataset",
        format_func=lambda name: every[name].title + ("" if is_available(every[name]) else " ↓"),
        on_change=lambda: switch_dataset(st.session_state["dataset"]),
        disabled=is_active(state.training.find_run()),
        label_visibility="collapsed",
        placeholder="gone",
        help="Where the images come from; ↓: fetched first, which takes a while. More on the Data page.",
        width=138,
    )
