"""Arithmetic view in Chromium: every kind of explanation against Python's arithmetic, by pointer, keys and buttons."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from playground.core.architecture import Architecture
from playground.core.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.core.layers.separable_conv2d import SeparableConv2d
from playground.core.recipe import Recipe
from playground.engine.runs.imported_weights import create_run_from_weights
from playground.engine.runs.run import Run
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.model import Model, load_model
from playground.ui.model_input import get_input_spec, make_example
from tests.browser.conftest import Server
from tests.browser.test_inspect import choose_in, idle, number_in
from tests.engine.helpers import until
from tests.web.compare_networks import make_model

pytestmark = pytest.mark.browser

ARCHITECTURE = Architecture(
    layers=(
        Conv2d(out_channels=6, kernel_size=3, activation="relu"),
        BatchNorm(),
        MaxPool2d(kernel_size=2),
        Residual(),
        SeparableConv2d(out_channels=5, kernel_size=3),
        AvgPool2d(kernel_size=2),
        Flatten(),
        Linear(out_features=16, activation="tanh"),
        Output(),
    )
)


@pytest.fixture(scope="module")
def run(server: Server) -> Run:
    """A run in the server's data folder, whose network has every kind of explanation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_PLAYGROUND_HOME", str(server.home))
        weights = make_model(ARCHITECTURE).module.state_dict()
        return create_run_from_weights(ARCHITECTURE, Recipe(), weights, name="Every explanation")


class LayerOnPage:
    """The first channel of a layer on the page, and its arithmetic in Python."""

    def __init__(self, page: Page, run: Run, model: Model, layer_index: int) -> None:
        self.page = page
        self.view = page.locator(".st-key-microscope")
        self.map: Locator = self.view.locator(".live")
        step = ARCHITECTURE.resolve_layers()[layer_index]
        self.title, self.is_spatial = step.layer.title, len(step.output_shape) == 3
        self.channel = explain_channel(model, make_example(get_input_spec(run)).image, layer_index, 0)

    def read_position(self) -> tuple[int, int]:
        """Read the position that the page names, which counts from 1."""
        found = re.search(r"row (\d+), column (\d+)", self.view.locator(".tools").inner_text())
        return (int(found[1]) - 1, int(found[2]) - 1) if found else (0, 0)

    def check(self) -> tuple[int, int]:
        """Compare the numbers of the selected value with Python's; returns its position."""
        row, column = self.read_position()
        value = self.channel.explain_value(row, column)
        total = "total" if self.view.locator("b.total").count() else "added"  # without a bias there is only the sum
        assert number_in(self.view, total) == pytest.approx(value.pre_activation, abs=1e-4, rel=1e-4)
        assert number_in(self.view, "result") == pytest.approx(float(self.channel.output[row, column]), abs=1e-5)
        return row, column

    def select_first_channel(self) -> None:
        """Click a value of the first map, or the first value of a vector."""
        expect(self.view.get_by_role("application", name=re.compile(f"^{self.title}, "))).to_be_visible()
        expect(self.map).to_have_count(1)  # the view of the layer before is removed after this one is shown
        self.view.locator(".grid img").click(position={"x": 12, "y": 12})
        name = re.compile(f"^{self.title}, (channel 1|value 1|class 0): arrow keys")
        expect(self.map).to_have_attribute("aria-label", name)
        idle(self.page)

    def use_pointer_keys_and_buttons(self) -> None:
        """Select positions of a map by every means."""
        self.map.hover(position={"x": 60, "y": 90})
        hovered = self.check()
        self.map.click(position={"x": 90, "y": 60})
        clicked = self.check()
        assert clicked != hovered
        self.map.hover(position={"x": 60, "y": 90})
        assert self.check() == hovered
        self.view.locator(".sum").hover()
        assert self.check() == clicked
        self.map.press("ArrowLeft")
        assert self.check() == (clicked[0], clicked[1] - 1)
        self.view.get_by_role("button", name="Step").click()
        assert self.check() == clicked
        self.view.get_by_role("button", name="Play").click()
        until(lambda: self.read_position() != clicked, 10, "the next position")
        self.view.get_by_role("button", name="Pause").click()
        self.check()


def open_run(page: Page, server: Server, run: Run) -> None:
    page.goto(f"{server.url}/inside")
    expect(page.locator(".st-key-microscope")).to_be_visible(timeout=90_000)
    idle(page)
    page.locator(".st-key-inside-run").get_by_role("combobox").click()
    page.get_by_role("option", name=re.compile(run.record.name)).click()
    expect(page.locator(".st-key-inside-layer")).to_contain_text("Separable conv", timeout=60_000)


def test_every_explanation_equals_pythons(page: Page, server: Server, run: Run) -> None:
    model = load_model(run)
    open_run(page, server, run)
    for step in ARCHITECTURE.resolve_layers():
        choose_in(page, "inside-layer", f"{step.index + 1} {step.layer.title}")
        idle(page)
        layer = LayerOnPage(page, run, model, step.index)
        layer.select_first_channel()
        layer.check()
        if layer.is_spatial:
            layer.use_pointer_keys_and_buttons()


def test_buttons_and_bars_select_the_input_channel(page: Page, server: Server, run: Run) -> None:
    open_run(page, server, run)
    choose_in(page, "inside-layer", "8 Linear")
    view = page.locator(".st-key-microscope")
    expect(view.get_by_text("Flatten, channel 1", exact=True)).to_be_visible()
    following = view.get_by_role("button", name="Next input channel")
    following.press("Enter")
    following.press("Enter")  # the button keeps the focus
    expect(view.get_by_text("Flatten, channel 3", exact=True)).to_be_visible()
    view.locator(".bars button").nth(4).click()
    expect(view.get_by_text("Flatten, channel 5", exact=True)).to_be_visible()
    expect(view.get_by_role("button", name=re.compile("^Flatten, channel 5: "))).to_have_class("on")
