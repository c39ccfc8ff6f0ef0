"""The recipe's less used settings: optimizer, schedule, augmentation, regularisation, amount of data, device."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, get_args, get_origin

import streamlit as st
from pydantic import BaseModel

from playground.core.recipe import KNOBS, Augmentation, Optimizer, Recipe, Schedule
from playground.ui import html as markup
from playground.ui.forms import model_form

Changed = Callable[[str, Any], None]


def _kinds(union: Any) -> dict[str, type[BaseModel]]:
    members = get_args(get_args(union)[0]) if get_origin(union) is Annotated else get_args(union)
    return {member.model_fields["kind"].default: member for member in members}


_KINDS = {"optimizer": _kinds(Optimizer), "schedule": _kinds(Schedule)}
_AUGMENTATIONS = _kinds(Augmentation)
_TITLES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
_TITLES |= {"one_cycle": "One-cycle", "step": "Step", "constant": "Constant", "cosine": "Cosine"}


def recipe_details(recipe: Recipe, *, on_change: Changed, active: bool) -> None:
    """Controls for everything that does not stand in the panel itself; while a run goes on only knobs are enabled."""
    fixed = [name for name in Recipe.model_fields if name not in KNOBS] if active else []
    left, right = st.columns(2, gap="medium")
    with left:
        _part("optimizer", recipe.optimizer, on_change, kind_disabled=active, disabled=False)
    with right:
        _part("schedule", recipe.schedule, on_change, kind_disabled=active, disabled=active)
    augmentation_form(recipe, on_change)
    model_form(
        recipe,
        key="recipe",
        on_change=on_change,
        only=("weight_decay", "label_smoothing", "validation_size", "precision", "device"),
        disabled=fixed,
    )
    _limit(recipe, on_change, disabled=active)


def _part(
    name: str,
    part: BaseModel,
    on_change: Changed,
    *,
    kind_disabled: bool,
    disabled: bool,
) -> None:
    kind_choice(name, part, key="recipe", on_change=on_change, disabled=kind_disabled)
    model_form(
        part,
        key=f"recipe-{name}",
        on_change=lambda field, value: on_change(name, part.model_copy(update={field: value})),
        columns=2,
        disabled=disabled,
    )


def kind_choice(name: str, part: BaseModel, *, key: str, on_change: Changed, disabled: bool = False) -> None:
    """The kind of optimizer or schedule; another one comes with its usual values."""
    kinds = _KINDS[name]
    widget = f"{key}-{name}"
    st.session_state[widget] = part.kind  # type: ignore[attr-defined]

    def choose() -> None:
        on_change(name, kinds[st.session_state[widget]]())

    st.selectbox(
        name.capitalize(),
        list(kinds),
        key=widget,
        format_func=lambda kind: _TITLES.get(kind, kind),
        on_change=choose,
        disabled=disabled,
        help=_first_line(type(part)),
    )


def augmentation_form(recipe: Recipe, on_change: Changed) -> None:
    """Which changes, and how much of each."""
    present = {item.kind: item for item in recipe.augmentation}
    st.session_state["recipe-augmentation"] = list(present)

    def choose() -> None:
        chosen = [present.get(kind) or _AUGMENTATIONS[kind]() for kind in st.session_state["recipe-augmentation"]]
        on_change("augmentation", [item.model_dump(mode="json") for item in chosen])

    st.multiselect(
        "Augmentation",
        list(_AUGMENTATIONS),
        key="recipe-augmentation",
        on_change=choose,
        placeholder="none",
        help="Changes every training image a little, differently each time, so that there is more to learn from.",
    )
    for place, item in enumerate(recipe.augmentation):
        markup.hint(f"{item.kind}: {_first_line(type(item))}")
        model_form(
            item,
            key=f"recipe-augmentation-{item.kind}",
            columns=2,
            on_change=partial(_set_augmentation, recipe, place, on_change),
        )


def _set_augmentation(recipe: Recipe, place: int, on_change: Changed, field: str, value: Any) -> None:
    items = list(recipe.augmentation)
    items[place] = items[place].model_copy(update={field: value})
    on_change("augmentation", [item.model_dump(mode="json") for item in items])


def _limit(recipe: Recipe, on_change: Changed, *, disabled: bool) -> None:
    st.session_state["recipe-limit"] = recipe.limit
    st.number_input(
        "training images",
        10,
        1_000_000,
        step=1000,
        key="recipe-limit",
        placeholder="all",
        value=None,
        on_change=lambda: on_change("limit", st.session_state["recipe-limit"]),
        disabled=disabled,
        help="Train on so many images only; empty: on all of them.",
    )


def _first_line(kind: type[BaseModel]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
