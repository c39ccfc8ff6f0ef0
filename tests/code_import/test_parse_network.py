"""Detection of the format of an imported text, and errors for texts of no supported format."""

import random

import pytest

from playground.code_import.parse_network import parse_network
from playground.codegen.torch_model import to_json
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link
from playground.errors import ArchitectureError, PlaygroundError

GUIDE = get_architecture_preset("guide").architecture
SPRINT = get_recipe_preset("sprint").recipe


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "  {}\n",
        "https://example.org/?net={}",
        "http://localhost:8501/?run=x&net={}#top",
        '"https://example.org/?net={}"',
        "'https://example.org/?net={}',",
        '("https://example.org/?net={}")',
        "“https://example.org/app/?net={}”.",
    ],
)
def test_link_is_recognized_with_and_without_its_address(around: str) -> None:
    found = parse_network(around.format(encode_link(GUIDE, SPRINT)))
    assert (found.architecture.digest, found.recipe) == (GUIDE.digest, SPRINT)


def test_assignment_without_spaces_is_code() -> None:
    found = parse_network("net=nn.Sequential(nn.Flatten(),nn.Linear(784,10))")
    assert [layer.kind for layer in found.architecture.layers] == ["flatten", "output"]


def test_json_is_recognized() -> None:
    found = parse_network("\n" + to_json(GUIDE))
    assert found.architecture.digest == GUIDE.digest
    assert found.recipe is None


def test_indented_cell_is_code() -> None:
    found = parse_network("    model = nn.Sequential(\n        nn.Flatten(),\n        nn.Linear(784, 10),\n    )\n")
    assert [layer.kind for layer in found.architecture.layers] == ["flatten", "output"]


@pytest.mark.parametrize(
    "text", ["", "  \n", "{", "1.", "1.zzzz", "https://example.org", "[]", "null", "1", "print(1)", "{}{}"]
)
def test_text_that_is_no_network_is_rejected_with_a_message(text: str) -> None:
    with pytest.raises(PlaygroundError) as caught:
        parse_network(text)
    assert caught.value.what


def test_empty_text_is_rejected() -> None:
    with pytest.raises(ArchitectureError, match="text is empty"):
        parse_network(" ")


def test_mutated_json_and_links_are_imported_or_rejected() -> None:
    dice = random.Random(5)
    sources = (
        to_json(GUIDE),
        encode_link(GUIDE, SPRINT),
        get_architecture_preset("residual").architecture.to_canonical_json(),
    )
    refused = 0
    for _ in range(600):
        text = list(dice.choice(sources))
        for _ in range(dice.choice((1, 2, 8))):
            place = dice.randrange(len(text))
            text[place : place + dice.choice((0, 1, 1, 9))] = dice.choice(
                ("", "9" * 30, '"', "}", "[" * 50, "null", "\x00", "é")
            )
        try:
            parse_network("".join(text))
        except PlaygroundError:
            refused += 1
    assert refused > 400
