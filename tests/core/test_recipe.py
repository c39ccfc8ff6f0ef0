"""Recipe: JSON, bounds and live hyperparameters."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from playground.core.augmentations.noise import Noise
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.shift import Shift
from playground.core.form_schema import build_form_fields
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import RECIPE_PRESETS, get_recipe_preset
from playground.core.recipe import LIVE_HYPERPARAMETERS, Recipe
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.errors import RecipeError, SchemaVersionError
from tests import strategies

PARTS: tuple[type[BaseModel], ...] = (
    Recipe,
    *strategies.OPTIMIZERS,
    *strategies.SCHEDULES,
    *strategies.AUGMENTATIONS,
)


@given(recipe=strategies.recipes())
@settings(max_examples=150)
def test_json_round_trip(recipe: Recipe) -> None:
    again = Recipe.from_json(recipe.to_canonical_json())
    assert again == recipe
    assert again.digest == recipe.digest
    assert type(again.optimizer) is type(recipe.optimizer)
    assert Recipe.from_json(json.dumps(json.loads(recipe.to_canonical_json()), indent=1)) == recipe


@given(first=strategies.recipes(), second=strategies.recipes())
@settings(max_examples=50)
def test_digests_are_equal_for_equal_recipes_only(first: Recipe, second: Recipe) -> None:
    assert (first.digest == second.digest) == (first == second)


def test_digest_without_transfer_is_that_of_earlier_versions() -> None:
    """A field that was added later must not change the digests of existing recipes."""
    actual = {name: preset.recipe.digest for name, preset in RECIPE_PRESETS.items()}
    assert actual.items() >= {"sprint": "4c3cecdc6550", "tutorial": "1b1e6a5a03a9", "careful": "f8d57cc32983"}.items()
    share = Recipe().replace(transferred_lr_scale=0.1)
    assert share.digest != Recipe().digest
    assert Recipe.from_json(share.to_canonical_json()) == share
    assert share.replace(transferred_lr_scale=1.0).digest == Recipe().digest
    assert not share.is_equal_except_live_hyperparameters(Recipe())


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
def test_former_name_of_transferred_lr_scale_is_read(scale: float) -> None:
    recipe = Recipe(transferred_lr_scale=scale)
    old = json.loads(Recipe(epochs=1).to_canonical_json()) | {"transferred_lr_share": scale}
    assert Recipe.from_json(json.dumps(old)) == recipe
    assert Recipe.from_json(old).digest == recipe.digest
    assert Recipe().replace(transferred_lr_share=scale) == recipe
    assert "transferred_lr_share" not in recipe.to_canonical_json()
    with pytest.raises(RecipeError, match="transferred_lr_share"):
        Recipe.from_json(old | {"transferred_lr_scale": 0.5})


def test_fixed_field_of_an_optimizer_cannot_change_in_mid_run() -> None:
    recipe = Recipe(optimizer=Muon())
    assert recipe.update_hyperparameters({"optimizer": Muon(momentum=0.5)}).optimizer == Muon(momentum=0.5)
    with pytest.raises(RecipeError, match="ns_steps of Muon cannot change") as caught:
        recipe.update_hyperparameters({"optimizer": Muon(ns_steps=3)})
    assert "ns_steps" not in caught.value.expected
    assert not recipe.is_equal_except_live_hyperparameters(Recipe(optimizer=Muon(ns_steps=3)))
    assert recipe.is_equal_except_live_hyperparameters(Recipe(optimizer=Muon(momentum=0.5), lr=0.1))


def test_partial_recipe_gets_defaults() -> None:
    recipe = Recipe.from_json('{"optimizer": {"kind": "adamw"}, "schedule": {"kind": "one_cycle"}, "epochs": 3}')
    assert recipe == Recipe(optimizer=AdamW(), schedule=OneCycle(), epochs=3)
    assert (recipe.lr, recipe.batch_size, recipe.seed, recipe.dataset) == (1e-3, 128, 0, "mnist")
    assert json.loads(recipe.to_canonical_json())["schema"] == 1


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_bound_of_the_form_is_valid(part: type[BaseModel]) -> None:
    for field in build_form_fields(part):
        if field.control in ("integer", "number"):
            assert field.minimum is not None, field.name
            assert field.maximum is not None, f"{part.__name__}.{field.name}: the form has no upper bound"
            assert field.minimum <= field.default <= field.maximum
            values: tuple[Any, ...] = (field.minimum, field.maximum)
        else:
            values = field.choices or (False, True)
        for value in values:
            built = part.model_validate({field.name: int(value) if field.control == "integer" else value})
            assert getattr(built, field.name) == value
        assert field.help.endswith("."), f"{part.__name__}.{field.name}"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"lr": 0}, "lr"),
        ({"lr": -1}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"lr": float("inf")}, "lr"),
        ({"lr": "fast"}, "lr"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 8193}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"validation_size": 9}, "validation_size"),
        ({"limit": 9}, "limit"),
        ({"weight_decay": 1.1}, "weight_decay"),
        ({"label_smoothing": 0.51}, "label_smoothing"),
        ({"optimizer": {"kind": "lion"}}, "optimizer"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"optimizer": {"kind": "sgd", "momentum": 1}}, "momentum"),
        ({"optimizer": {"kind": "adam", "momentum": 0.9}}, "momentum"),
        ({"schedule": {"kind": "one_cycle", "pct_start": 1}}, "pct_start"),
        ({"schedule": {"kind": "step", "gamma": 0}}, "gamma"),
        ({"augmentation": [{"kind": "blur"}]}, r"augmentation\.0"),
        ({"augmentation": [{"kind": "flip"}] * 10}, "augmentation"),
        ({"augmentation": {"kind": "flip"}}, "augmentation"),
        ({"precision": "float16"}, "precision"),
        ({"device": "tpu"}, "device"),
        ({"learning_rate": 0.1}, "learning_rate"),
    ],
)
def test_value_out_of_bounds_is_rejected_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        Recipe.from_json(fields)
    with pytest.raises(RecipeError, match=named):
        Recipe().replace(**fields)


@pytest.mark.parametrize("source", ["", "[1]", "null", "{", pytest.param(b"\xff", id="not UTF-8"), '"sprint"'])
def test_other_text_than_a_recipe_is_rejected(source: str | bytes) -> None:
    with pytest.raises(RecipeError, match="recipe is one JSON object") as caught:
        Recipe.from_json(source)
    assert str(caught.value).endswith(".")


def test_error_names_the_expected_type() -> None:
    with pytest.raises(RecipeError, match="A recipe is one JSON object"):
        Recipe.from_json("[]")


def test_newer_schema_is_rejected() -> None:
    with pytest.raises(SchemaVersionError, match="recipe has schema 2"):
        Recipe.from_json('{"schema": 2}')
    with pytest.raises(SchemaVersionError, match="schema 7"):
        Recipe().replace(schema=7)


def test_replace_leaves_the_original() -> None:
    recipe = Recipe()
    changed = recipe.replace(lr=0.5, augmentation=(Rotate(),), schedule=Cosine())
    assert (changed.lr, changed.augmentation, changed.schedule) == (0.5, (Rotate(),), Cosine())
    assert recipe == Recipe()


@given(recipe=strategies.recipes(), other=strategies.recipes())
@settings(max_examples=60)
def test_hyperparameters_change_by_name(recipe: Recipe, other: Recipe) -> None:
    hyperparameters: dict[str, Any] = {
        "lr": other.lr,
        "weight_decay": other.weight_decay,
        "augmentation": other.augmentation,
    }
    changed = recipe.update_hyperparameters(hyperparameters)
    assert (changed.lr, changed.weight_decay, changed.augmentation) == tuple(hyperparameters.values())
    assert recipe.update_hyperparameters({}) == recipe
    assert changed.update_hyperparameters({name: getattr(recipe, name) for name in hyperparameters}) == recipe


def test_hyperparameters_are_read_from_json() -> None:
    hyperparameters = json.loads(
        '{"optimizer": {"kind": "adam", "beta1": 0.5}, "augmentation": [{"kind": "noise", "std": 0.2}]}'
    )
    changed = Recipe().update_hyperparameters(hyperparameters)
    assert changed.optimizer == Adam(beta1=0.5)
    assert changed.augmentation == (Noise(std=0.2),)


def test_fixed_fields_cannot_change_in_mid_run() -> None:
    fixed = sorted(set(Recipe.model_fields) - set(LIVE_HYPERPARAMETERS))
    assert len(fixed) == len(Recipe.model_fields) - len(LIVE_HYPERPARAMETERS) == 9
    for name in (*fixed, "schema", "no_such_thing"):
        with pytest.raises(RecipeError, match=f"{name} cannot change") as caught:
            Recipe().update_hyperparameters({name: 1, "lr": 0.1})
        assert all(name in caught.value.expected for name in LIVE_HYPERPARAMETERS)
    with pytest.raises(RecipeError, match="from adam to sgd"):
        Recipe().update_hyperparameters({"optimizer": Sgd()})
    with pytest.raises(RecipeError, match="from adam to adamw"):
        Recipe().update_hyperparameters({"optimizer": {"kind": "adamw"}})


@given(
    hyperparameters=st.dictionaries(
        st.sampled_from(LIVE_HYPERPARAMETERS), st.none() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)
    )
)
def test_invalid_hyperparameters_are_recipe_errors(hyperparameters: dict[str, Any]) -> None:
    message = ""
    try:
        changed = Recipe().update_hyperparameters(hyperparameters)
    except RecipeError as error:
        message = str(error)
    if message:
        assert any(name in message for name in hyperparameters)
    else:
        assert Recipe.from_json(changed.to_canonical_json()) == changed


@pytest.mark.parametrize("name", RECIPE_PRESETS)
def test_presets_are_recipes(name: str) -> None:
    preset = get_recipe_preset(name)
    assert Recipe.from_json(preset.recipe.to_canonical_json()) == preset.recipe
    assert preset.title
    assert preset.description.endswith(".")


def test_settings_of_presets() -> None:
    assert get_recipe_preset("tutorial").recipe == Recipe(lr=1e-3, batch_size=32, epochs=5)
    assert get_recipe_preset("careful").recipe.augmentation[0] == Shift(pixels=2)
    assert get_recipe_preset("sprint").recipe.schedule == OneCycle()
