"""Inspect and Mistakes in Chromium: from a confusion to one product, to an earlier step, and to an edit."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from playground.engine.progress import run_to_end
from playground.engine.runs.repository import read_run
from playground.engine.runs.run import Run
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.editing import ChannelScale, measure_edits
from playground.interpret.evaluation.dataset_predictions import load_evaluation_images, predict_dataset
from playground.interpret.model import load_model
from tests.browser.conftest import Server
from tests.browser.test_whole_loop import control, open_app, press, status, wait_for_progress
from tests.engine.helpers import until

pytestmark = pytest.mark.browser


def latest_run(server: Server) -> Run:
    return read_run(max((server.home / "runs").iterdir()))


def idle(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=60_000)


def go_to(page: Page, title: str) -> None:
    idle(page)
    page.get_by_role("link", name=title).click()


def choose_in(page: Page, key: str, text: str) -> None:
    idle(page)
    control(page, key).get_by_text(text, exact=True).click()


def number_in(place: Locator, name: str) -> float:
    return float(place.locator(f"b.{name}").get_attribute("data-value") or "nan")


def test_confusion_opens_image_whose_arithmetic_and_edits_match_the_python_api(page: Page, server: Server) -> None:
    open_app(page, server)
    press(page, "train-start")
    wait_for_progress(page, 0.12)
    press(page, "train-stop")
    status(page, "stopped")
    run = latest_run(server)
    model = load_model(run)

    # Mistakes: the count of a cell and its images.
    go_to(page, "Mistakes")
    cell = page.get_by_label(re.compile("^True 4, predicted 9: "))
    expect(cell).to_be_visible(timeout=60_000)
    data = load_evaluation_images("mnist")
    evaluation = run_to_end(predict_dataset(model, data))
    indices = evaluation.find_confusions(4, 9)
    expect(cell).to_have_text(str(len(indices)))
    idle(page)
    cell.click()
    images = page.locator(".st-key-gallery-cell .tile")
    expect(images).to_have_count(min(60, len(indices)))
    idle(page)
    images.first.click()

    # Inspect opens the attributions of that image: one value of the second convolution and its sum.
    expect(page.get_by_text("labeled 4")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Why 9, not 4?")).to_be_visible()
    expect(control(page, "inside-test").locator("input")).to_have_value(str(indices[0]))
    choose_in(page, "inside-view", "Feature maps")
    choose_in(page, "inside-layer", "3 Conv")
    view = page.locator(".st-key-microscope")
    expect(view.locator(".bars button")).to_have_count(32)
    idle(page)
    image = view.locator(".grid img")
    box = image.bounding_box()
    assert box is not None
    first_map = re.search(r"Maps (\d+) to", view.get_by_text(re.compile("Maps .* to")).inner_text())
    assert first_map is not None
    number = int(first_map[1]) - 1
    page.mouse.click(box["x"] + 20, box["y"] + 30)  # in the first visible map
    expect(view.get_by_text(f"Conv, channel {number + 1}", exact=True)).to_be_visible()
    expect(view.get_by_text(re.compile(r"row \d+, column \d+ of 11×11"))).to_be_visible()
    position = re.search(r"row (\d+), column (\d+)", view.locator(".tools").inner_text())
    assert position is not None
    row, column = int(position[1]) - 1, int(position[2]) - 1  # the page counts from 1
    channel = explain_channel(model, data.get_image(int(indices[0])), 2, number)
    explanation = channel.explain_value(row, column)
    assert (row, column) != (0, 0)
    assert number_in(view, "total") == pytest.approx(explanation.pre_activation, abs=1e-5)
    assert number_in(view, "result") == pytest.approx(float(channel.output[row, column]), abs=1e-5)
    assert number_in(view, "added") == pytest.approx(sum(term.total for term in explanation.contributions), abs=1e-5)

    # The first step: the same value of the untrained network.
    idle(page)
    slider = page.get_by_role("slider", name="Step")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "untrained")
    first = explain_channel(load_model(run, 0), data.get_image(int(indices[0])), 2, number)
    expected = first.explain_value(row, column).pre_activation
    until(lambda: number_in(view, "total") == pytest.approx(expected, abs=1e-5), 10, "the untrained network's sum")
    slider.press("End")

    # Edit: the accuracy equals the Python API's.
    choose_in(page, "inside-view", "Edit")
    press(page, "operate-off")
    effect = run_to_end(measure_edits(model, (ChannelScale(2, number, 0.0),), data))
    figures = page.locator(".pg-figures b")
    expect(figures.nth(1)).to_have_text(f"{effect.after.accuracy:.2%}", timeout=30_000)
    expect(figures.nth(0)).to_have_text(f"{effect.before.accuracy:.2%}")
    expect(page.get_by_text("1 edit applied")).to_be_visible()
    press(page, "operate-revert")
    expect(page.get_by_text("edit applied")).to_have_count(0)


def test_playback_ends_at_the_newest_step(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/inside")
    expect(page.locator(".st-key-microscope")).to_be_visible(timeout=60_000)
    idle(page)
    slider = page.get_by_role("slider", name="Step")
    last = slider.get_attribute("aria-valuetext")
    press(page, "inside-step-play")
    expect(slider).to_have_attribute("aria-valuetext", "untrained")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(slider).to_have_attribute("aria-valuetext", last or "", timeout=120_000)
    expect(page.get_by_role("button", name="Play training")).to_be_visible()


def _is_running(program: str) -> bool:
    """Return True if a process of this program runs; always False without /proc."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if program.encode() in line.read_bytes():
                return True
    return False


def test_click_cancels_a_running_computation(page: Page, server: Server) -> None:
    """t-SNE takes seconds in its own process; choosing PCA ends that process at once."""
    page.goto(f"{server.url}/mistakes")
    expect(page.locator(".st-key-confusion")).to_be_visible(timeout=90_000)
    choose_in(page, "mistakes-view", "Embedding")
    points = page.locator(".st-key-embedding canvas")
    expect(points).to_be_visible(timeout=30_000)
    choose_in(page, "map-method", "t-SNE")
    expect(page.get_by_test_id("stProgress")).to_be_visible(timeout=30_000)
    page.locator(".st-key-map-method").get_by_text("PCA", exact=True).click()
    until(lambda: not _is_running("playground.interpret.projection.tsne"), 3, "the end of the t-SNE process")
    expect(page.get_by_text("The axes explain")).to_be_visible()
