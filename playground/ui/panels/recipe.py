"""Form for a recipe's less used settings: optimizer, schedule, augmentation, regularization, limit, device."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from playground.core.augmentations import AUGMENTATIONS
from playground.core.optimizers import OPTIMIZERS, Optimizer
from playground.core.recipe import LIVE_HYPERPARAMETERS, Recipe
from playground.core.schedules import SCHEDULES, Schedule
from playground.ui import html
from playground.ui.controls import bind, render_number
from playground.ui.forms import render_model_form

ChangeHandler = Callable[[str, Any], None]

_KINDS_BY_FIELD: dict[str, Mapping[str, type[Optimizer] | type[Schedule]]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}


def render_recipe_form(recipe: Recipe, *, on_change: ChangeHandler, is_active: bool) -> None:
    """Render the settings that the panel does not show; while a run is training, only live ones are enabled."""
    fixed = [name for name in Recipe.model_fields if name not in LIVE_HYPERPARAMETERS] if is_active else []
    left, right = st.columns(2, gap="medium")
    with left:
        fixed_fields = recipe.optimizer.fixed_fields if is_active else ()
        _render_kind_form("optimizer", recipe.optimizer, on_change, kind_disabled=is_active, disabled=fixed_fields)
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
    model: Optimizer | Schedule,
    on_change: ChangeHandler,
    *,
    kind_disabled: bool,
    disabled: Sequence[str] | bool,
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
    name: str, model: Optimizer | Schedule, *, key: str, on_change: ChangeHandler, disabled: bool = False
) -> None:
    """Choose the optimizer or the schedule; a new choice begins with its default values."""
    kinds = _KINDS_BY_FIELD[name]

    def store_choice(kind: str) -> None:
        on_change(name, kinds[kind].model_validate({}))

    st.selectbox(
        name.capitalize(),
        list(kinds),
        **bind(f"{key}-{name}", model.kind, store_choice),
        format_func=lambda kind: kinds[kind].title,
        disabled=disabled,
        help=_get_doc_summary(type(model)),
    )


def render_augmentation_form(recipe: Recipe, on_change: ChangeHandler) -> None:
    """Choose augmentations and set their fields."""
    present = {item.kind: item for item in recipe.augmentation}

    def store_choice(kinds: list[str]) -> None:
        chosen = [present.get(kind) or AUGMENTATIONS[kind].model_validate({}) for kind in kinds]
        on_change("augmentation", [item.model_dump(mode="json") for item in chosen])

    st.multiselect(
        "Augmentation",
        list(AUGMENTATIONS),
        **bind("recipe-augmentation", list(present), store_choice),
        format_func=lambda kind: AUGMENTATIONS[kind].title,
        placeholder="none",
        help="Random changes of every training image, new ones each time, so that the network generalizes better.",
    )
    for index, item in enumerate(recipe.augmentation):
        html.render_hint(f"{item.title}: {_get_doc_summary(type(item))}")
        render_model_form(
            item,
            key=f"recipe-augmentation-{item.kind}",
            columns=2,
            on_change=partial(_set_augmentation, recipe, index, on_change),
        )


def _set_augmentation(recipe: Recipe, index: int, on_change: ChangeHandler, field: str, value: Any) -> None:
    items = list(recipe.augmentation)
    items[index] = items[index].model_copy(update={field: value})
    on_change("augmentation", [item.model_dump(mode="json") for item in items])


def _render_limit(recipe: Recipe, on_change: ChangeHandler, *, disabled: bool) -> None:
    render_number(
        "training images",
        recipe.limit,
        partial(on_change, "limit"),
        name="recipe-limit",
        minimum=10,
        maximum=1_000_000,
        is_optional=True,
        step=1000,
        placeholder="all",
        disabled=disabled,
        help="Number of training images to use; empty: all of them.",
    )


def _get_doc_summary(model_class: type[Any]) -> str:
    return (model_class.__doc__ or "").strip().splitlines()[0]
