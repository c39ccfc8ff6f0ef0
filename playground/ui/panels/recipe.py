"""The recipe's less used settings: optimizer, schedule, augmentation, regularisation, amount of data, device."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, get_args, get_origin

import streamlit as st
from pydantic import BaseModel

from playground.core.recipe import LIVE_HYPERPARAMETERS, Augmentation, Optimizer, Recipe, Schedule
from playground.ui import html as markup
from playground.ui.forms import render_model_form

ChangeHandler = Callable[[str, Any], None]


def _index_by_kind(union: Any) -> dict[str, type[BaseModel]]:
    members = get_args(get_args(union)[0]) if get_origin(union) is Annotated else get_args(union)
    return {member.model_fields["kind"].default: member for member in members}


_KINDS_BY_FIELD = {"optimizer": _index_by_kind(Optimizer), "schedule": _index_by_kind(Schedule)}
_AUGMENTATIONS = _index_by_kind(Augmentation)
_KIND_TITLES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
_KIND_TITLES |= {"one_cycle": "One-cycle", "step": "Step", "constant": "Constant", "cosine": "Cosine"}


def render_recipe_form(recipe: Recipe, *, on_change: ChangeHandler, is_active: bool) -> None:
    """Controls for everything that does not stand in the panel itself; while a run goes on only knobs are enabled."""
    fixed = [name for name in Recipe.model_fields if name not in LIVE_HYPERPARAMETERS] if is_active else []
    left, right = st.columns(2, gap="medium")
    with left:
        _render_kind_form("optimizer", recipe.optimizer, on_change, kind_disabled=is_active, disabled=False)
    with right:
        _render_kind_form("schedule", recipe.schedule, on_change, kind_disabled=is_active, disabled=is_active)
    render_augmentation_form(recipe, on_change)
    render_model_form(
        recipe,
        key="recipe",
        on_change=on_change,
        field_names=("weight_decay", "label_smoothing", "validation_size", "precision", "device"),
        disabled=fixed,
    )
    _render_limit(recipe, on_change, disabled=is_active)


def _render_kind_form(
    name: str,
    model: BaseModel,
    on_change: ChangeHandler,
    *,
    kind_disabled: bool,
    disabled: bool,
) -> None:
    render_kind_choice(name, model, key="recipe", on_change=on_change, disabled=kind_disabled)
    render_model_form(
        model,
        key=f"recipe-{name}",
        on_change=lambda field, value: on_change(name, model.model_copy(update={field: value})),
        columns=2,
        disabled=disabled,
    )


def render_kind_choice(
    name: str, model: BaseModel, *, key: str, on_change: ChangeHandler, disabled: bool = False
) -> None:
    """The kind of optimizer or schedule; another one comes with its usual values."""
    kinds = _KINDS_BY_FIELD[name]
    widget = f"{key}-{name}"
    st.session_state[widget] = model.kind  # type: ignore[attr-defined]

    def store_choice() -> None:
        on_change(name, kinds[st.session_state[widget]]())

    st.selectbox(
        name.capitalize(),
        list(kinds),
        key=widget,
        format_func=lambda kind: _KIND_TITLES.get(kind, kind),
        on_change=store_choice,
        disabled=disabled,
        help=_get_doc_summary(type(model)),
    )


def render_augmentation_form(recipe: Recipe, on_change: ChangeHandler) -> None:
    """Which changes, and how much of each."""
    present = {item.kind: item for item in recipe.augmentation}
    st.session_state["recipe-augmentation"] = list(present)

    def store_choice() -> None:
        chosen = [present.get(kind) or _AUGMENTATIONS[kind]() for kind in st.session_state["recipe-augmentation"]]
        on_change("augmentation", [item.model_dump(mode="json") for item in chosen])

    st.multiselect(
        "Augmentation",
        list(_AUGMENTATIONS),
        key="recipe-augmentation",
        on_change=store_choice,
        placeholder="none",
        help="Changes every training image a little, differently each time, so that there is more to learn from.",
    )
    for place, item in enumerate(recipe.augmentation):
        markup.render_hint(f"{item.kind}: {_get_doc_summary(type(item))}")
        render_model_form(
            item,
            key=f"recipe-augmentation-{item.kind}",
            columns=2,
            on_change=partial(_set_augmentation, recipe, place, on_change),
        )


def _set_augmentation(recipe: Recipe, index: int, on_change: ChangeHandler, field: str, value: Any) -> None:
    items = list(recipe.augmentation)
    items[index] = items[index].model_copy(update={field: value})
    on_change("augmentation", [item.model_dump(mode="json") for item in items])


def _render_limit(recipe: Recipe, on_change: ChangeHandler, *, disabled: bool) -> None:
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


def _get_doc_summary(model_class: type[BaseModel]) -> str:
    return (model_class.__doc__ or "").strip().splitlines()[0]
