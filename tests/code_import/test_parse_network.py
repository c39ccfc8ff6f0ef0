"""Any text of a network: what it is is found out, and what it is not is said."""

import random

import pytest

from playground.code_import.parse_network import read_text
from playground.codegen.torch_model import to_json
from playground.core.presets import architecture_preset, recipe_preset
from playground.core.share_link import to_link
from playground.errors import ArchitectureError, PlaygroundError

GUIDE = architecture_preset("guide").architecture
SPRINT = recipe_preset("sprint").recipe


@pytest.mark.parametrize(
    "around", ["{}", "  {}\n", "https://example.org/?net={}", "http://localhost:8501/?run=x&net={}#top"]
)
def test_a_link_is_known_with_and_without_its_address(around: str) -> None:
    found = read_text(around.format(to_link(GUIDE, SPRINT)))
    assert (found.architecture.digest, found.recipe) == (GUIDE.digest, SPRINT)


def test_an_assignment_without_spaces_is_code() -> None:
    found = read_text("net=nn.Sequential(nn.Flatten(),nn.Linear(784,10))")
    assert [layer.kind for layer in found.architecture.layers] == ["flatten", "output"]


def test_json_is_known() -> None:
    found = read_text("\n" + to_json(GUIDE))
    assert found.architecture.digest == GUIDE.digest
    assert found.recipe is None


def test_an_indented_cell_is_code() -> None:
    found = read_text("    model = nn.Sequential(\n        nn.Flatten(),\n        nn.Linear(784, 10),\n    )\n")
    assert [layer.kind for layer in found.architecture.layers] == ["flatten", "output"]


@pytest.mark.parametrize(
    "text", ["", "  \n", "{", "1.", "1.zzzz", "https://example.org", "[]", "null", "1", "print(1)", "{}{}"]
)
def test_what_is_no_network_is_refused_with_words(text: str) -> None:
    with pytest.raises(PlaygroundError) as caught:
        read_text(text)
    assert caught.value.what


def test_nothing_is_said_to_be_nothing() -> None:
    with pytest.raises(ArchitectureError, match="nothing to read"):
        read_text(" ")


def test_mutated_json_and_links_are_read_or_refused() -> None:
    dice = random.Random(5)
    sources = (to_json(GUIDE), to_link(GUIDE, SPRINT), architecture_preset("residual").architecture.canonical_json())
    refused = 0
    for _ in range(600):
        text = list(dice.choice(sources))
        for _ in range(dice.choice((1, 2, 8))):
            place = dice.randrange(len(text))
            text[place : place + dice.choice((0, 1, 1, 9))] = dice.choice(
                ("", "9" * 30, '"', "}", "[" * 50, "null", "\x00", "é")
            )
        try:
            read_text("".join(text))
        except PlaygroundError:
            refused += 1
    assert refused > 400
