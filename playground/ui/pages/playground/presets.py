"""The two lists above the network: which preset it is, and which data set it is for."""

import streamlit as st

from playground.core.presets import ARCHITECTURES, GROUP_TITLES
from playground.engine.data.registry import all_datasets, is_here
from playground.ui import html as markup
from playground.ui.actions import is_active, take_dataset, take_preset
from playground.ui.state import AppState

_OWN = "own"


def preset_choice(state: AppState) -> None:
    """A list of the networks to start from."""
    names = [_OWN, *ARCHITECTURES]
    st.session_state["architecture-preset"] = _present_preset(state)

    def choose() -> None:
        name = st.session_state["architecture-preset"]
        if name != _OWN:
            take_preset(ARCHITECTURES[name])

    st.selectbox(
        "Preset",
        names,
        key="architecture-preset",
        format_func=_preset_title,
        on_change=choose,
        label_visibility="collapsed",
        help="A network to start from; a tutorial's or a mistake's comes with its settings. Undo brings yours back.",
        width="stretch",
    )


def _preset_title(name: str) -> str:
    if name == _OWN:
        return "Your own"
    preset = ARCHITECTURES[name]
    group = GROUP_TITLES[preset.group]
    return f"{group}: {preset.title}" if group else preset.title


def _present_preset(state: AppState) -> str:
    """The preset that has this network: rather one for this data set, rather the one that was taken."""
    shape, classes = state.architecture.input.shape, state.architecture.classes

    def is_it(name: str) -> bool:
        architecture = ARCHITECTURES[name].architecture
        same = (architecture, architecture.for_images(shape, classes))
        return state.architecture.digest in [one.digest for one in same]

    def rank(name: str) -> tuple[bool, ...]:
        recipe = ARCHITECTURES[name].recipe
        for_other_data = recipe is not None and recipe.dataset != state.recipe.dataset
        was_fitted = ARCHITECTURES[name].architecture.digest != state.architecture.digest
        return for_other_data, was_fitted, name != state.preset, recipe not in (None, state.recipe)

    return min(filter(is_it, ARCHITECTURES), key=rank, default=_OWN)


def look_at(state: AppState) -> None:
    """What the chosen mistake shows; and a way to the settings of a preset, where others are set."""
    name = _present_preset(state)
    preset = ARCHITECTURES.get(name)
    if preset is None or (name != state.preset and preset.recipe != state.recipe):
        return
    if preset.look_at:
        markup.hint(preset.look_at)
    if preset.recipe not in (None, state.recipe) and not is_active(state.run):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="preset-settings"):
            markup.hint("Your settings are not those that it comes with.")
            st.button("Take its settings", key="preset-take", type="tertiary", on_click=take_preset, args=(preset,))


def dataset_choice(state: AppState) -> None:
    """A list of the data sets, fetched or not."""
    every = all_datasets()
    st.session_state["dataset"] = state.recipe.dataset if state.recipe.dataset in every else None
    st.selectbox(
        "Data set",
        list(every),
        key="dataset",
        format_func=lambda name: every[name].title + ("" if is_here(every[name]) else " ↓"),
        on_change=lambda: take_dataset(st.session_state["dataset"]),
        disabled=is_active(state.run),
        label_visibility="collapsed",
        placeholder="gone",
        help="Where the images come from; ↓: fetched first, which takes a while. More on the Data page.",
        width=138,
    )
