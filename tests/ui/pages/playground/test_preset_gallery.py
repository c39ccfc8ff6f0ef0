"""The gallery of presets: cards, pictures, and the choice of a card."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground.core.presets import ARCHITECTURE_PRESETS, GROUP_TITLES, RECIPE_PRESETS
from playground.ui.pages.playground.preset_gallery import make_network_cards, make_picture_blocks
from tests.ui.apps import choose_preset, find, html_of, state_of

MEASURED = Path(__file__).parents[4] / "benchmarks" / "results" / "preset_accuracy.json"


def test_every_preset_has_a_card_in_the_order_of_the_groups() -> None:
    cards = make_network_cards()
    assert sorted(card.name for card in cards) == sorted(ARCHITECTURE_PRESETS)
    assert list(dict.fromkeys(card.group for card in cards)) == list(GROUP_TITLES.values())
    assert cards[0].name == "guide"
    for card in cards:
        assert card.title
        assert card.description
        assert card.facts


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_picture_has_a_visible_block_for_each_layer_that_changes_the_shape(name: str) -> None:
    architecture = ARCHITECTURE_PRESETS[name].architecture
    blocks = make_picture_blocks(architecture)
    layers = [layer for layer in architecture.layers if layer.enabled and not layer.is_elementwise]
    assert [block["color"] for block in blocks] == ["gray", *(layer.diagram_color for layer in layers)]
    assert all(1 <= block["width"] <= 22 for block in blocks)
    assert all(0 < block["height"] <= 44 for block in blocks)
    assert sum(block["width"] for block in blocks) + 2 * (len(blocks) - 1) <= 190


def test_stated_accuracies_are_the_measured_ones() -> None:
    stated = {name: preset.test_accuracy for name, preset in ARCHITECTURE_PRESETS.items()}
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert {name: accuracy for name, accuracy in stated.items() if accuracy is not None} == measured


def test_chosen_recipe_keeps_the_dataset_and_is_named_with_its_epochs(app: AppTest) -> None:
    app.run()
    choose_preset(app, "careful", gallery="recipe-preset")
    assert state_of(app).editor.recipe == RECIPE_PRESETS["careful"].recipe
    assert app.button(key="recipe-preset").label == "Thorough · 20 epochs"
    find(app.number_input, "recipe-epochs").set_value(3).run()
    assert app.button(key="recipe-preset").label == "Custom recipe · 3 epochs"
    assert not app.exception


def test_gallery_can_be_opened_again_after_a_choice(app: AppTest) -> None:
    app.run()
    for name in ("tiny", "lenet5", "broken"):
        choose_preset(app, name)
        assert app.button(key="architecture-preset").label == ARCHITECTURE_PRESETS[name].title
    assert "pg-wrong" in html_of(app)
    assert not app.exception
