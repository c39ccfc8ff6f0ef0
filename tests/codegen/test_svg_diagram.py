"""SVG diagram of a network: valid XML with all labels, within its bounds, with escaped text."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.codegen.svg_diagram import to_svg
from playground.core.architecture import MAX_LAYERS, Architecture
from playground.core.layers import Conv2d, Flatten, Linear, MaxPool2d, Output
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.core.shapes import format_shape
from tests import strategies

_SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{_SVG}text")]


def _check(architecture: Architecture) -> None:
    svg = to_svg(architecture)
    root = ElementTree.fromstring(svg)
    texts = _texts(svg)
    for step in architecture.resolve_layers():
        assert step.layer.title in texts
        assert format_shape(step.output_shape) in texts
        parameters = step.layer.count_parameters(step.input_shape)
        assert not parameters or f"{parameters:,} parameters" in texts
        assert step.layer.trainable or "frozen" in texts
        assert all(
            figure in " ".join(texts) for figure in step.layer.format_arguments().replace(" + ", " · ").split(" · ")
        )
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for rectangle in list(root.iter(f"{_SVG}rect"))[1:]:
        x, y, wide, high = (float(rectangle.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + wide <= width
        assert y >= 60
        assert y + high <= height
    lines: dict[str, list[tuple[float, float]]] = {}
    for text in root.iter(f"{_SVG}text"):
        half = len(text.text or "") * 3.0 if text.get("text-anchor") else 0.0
        lines.setdefault(text.get("y", ""), []).append((float(text.get("x", 0)), half))
        assert float(text.get("y", 0)) <= height
    for line in lines.values():
        for (left, half), (right, other_half) in pairwise(sorted(line)):
            assert left + half <= right - other_half, "two labels overlap"


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_every_preset_has_a_diagram(name: str) -> None:
    _check(get_architecture_preset(name).architecture)


@given(architecture=strategies.any_architectures(most=None))
@settings(max_examples=150)
def test_any_network_has_a_diagram(architecture: Architecture) -> None:
    _check(architecture)


@pytest.mark.parametrize("size", [0, 1, 2, 30, MAX_LAYERS - 2])
def test_long_network_is_split_into_rows(size: int) -> None:
    layers = (*([Conv2d(out_channels=512, padding="same")] * size), Flatten(), Output())
    architecture = Architecture(layers=layers)
    _check(architecture)
    root = ElementTree.fromstring(to_svg(architecture))
    assert float(root.get("width", 0)) <= 1200


def test_brackets_separate_feature_extraction_and_classification() -> None:
    texts = _texts(to_svg(Architecture(layers=(Conv2d(), MaxPool2d(), Flatten(), Linear(), Output()))))
    assert texts.count("feature extraction") == texts.count("classification") == 1
    assert "feature extraction" not in _texts(to_svg(Architecture(layers=(Flatten(), Linear(), Output()))))


def test_windows_show_the_kernel_to_scale() -> None:
    """A kernel of half the map's width is drawn half as wide as the plate."""
    svg = to_svg(Architecture(layers=(Conv2d(kernel_size=14), Flatten(), Output())))
    rectangles = list(ElementTree.fromstring(svg).iter(f"{_SVG}rect"))[1:]
    (window,) = (rectangle for rectangle in rectangles if rectangle.get("fill-opacity"))
    assert float(window.get("width", 0)) == pytest.approx(float(rectangles[0].get("width", 0)) / 2, abs=0.1)


_NASTY = "</text><script>alert(1)</script>", "a & b < c", "\"quoted'", "]]>", "\x00\x1b\ud800 \n\t x", "&#0;", "é✓"


@given(title=st.text(max_size=60) | st.sampled_from(_NASTY))
@settings(max_examples=100)
def test_any_title_is_escaped(title: str) -> None:
    svg = to_svg(get_architecture_preset("tiny").architecture, title=title)
    svg.encode("utf-8")
    root = ElementTree.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {
        f"{_SVG}{tag}" for tag in ("svg", "title", "rect", "text", "path", "line", "circle")
    }
    shown = "".join(letter for letter in " ".join(title.split()) if letter.isprintable())
    assert _texts(svg)[0] == (shown or "A network")


def test_frozen_layers_are_marked() -> None:
    net = get_architecture_preset("guide").architecture
    assert "frozen" not in _texts(to_svg(net))
    assert _texts(to_svg(net.freeze_up_to(2))).count("frozen") == 2
    _check(net.freeze_up_to(2))
