"""The way of a curious user in Chromium: from a confusion to one multiplication, back in time, and into surgery."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from playground.engine.runs.repository import read_run
from playground.engine.runs.run import Run
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.editing import ChannelScale, measure_edits
from playground.interpret.evaluation.predictions import load_evaluation_images, predict_dataset
from playground.interpret.model import load_model
from tests.browser.conftest import Server
from tests.browser.test_whole_loop import open_app, press, status, wait_for_progress
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
    page.locator(f".st-key-{key}").get_by_text(text, exact=True).click()


def number_in(place: Locator, name: str) -> float:
    return float(place.locator(f"b.{name}").get_attribute("data-value") or "nan")


def test_from_a_confusion_to_one_sum_back_in_time_and_into_surgery(page: Page, server: Server) -> None:
    open_app(page, server)
    press(page, "train-start")
    wait_for_progress(page, 0.12)
    press(page, "train-stop")
    status(page, "stopped")
    run = latest_run(server)
    model = load_model(run)

    # Mistakes: the cell says how many, and its images are those.
    go_to(page, "Mistakes")
    cell = page.get_by_label(re.compile("^True 4, predicted 9: "))
    expect(cell).to_be_visible(timeout=60_000)
    data = load_evaluation_images("mnist")
    *_, (_, verdicts) = predict_dataset(model, data)
    assert verdicts is not None
    places = verdicts.find_confusions(4, 9)
    expect(cell).to_have_text(str(len(places)))
    idle(page)
    cell.click()
    images = page.locator(".st-key-gallery-cell .tile")
    expect(images).to_have_count(min(60, len(places)))
    idle(page)
    images.first.click()

    # Look inside opens on that image; the second convolution, one value, its sum.
    expect(page.get_by_text("labelled 4")).to_be_visible(timeout=30_000)
    expect(page.locator(".st-key-inside-test input")).to_have_value(str(places[0]))
    choose_in(page, "inside-layer", "3 Conv")
    scope = page.locator(".st-key-microscope")
    expect(scope.locator(".bars button")).to_have_count(32)
    idle(page)
    picture = scope.locator(".grid img")
    box = picture.bounding_box()
    assert box is not None
    shown = re.search(r"Maps (\d+) to", scope.get_by_text(re.compile("Maps .* to")).inner_text())
    assert shown is not None
    number = int(shown[1]) - 1
    page.mouse.click(box["x"] + 20, box["y"] + 30)  # in the first map that is shown
    expect(scope.get_by_text(f"Conv, channel {number + 1}", exact=True)).to_be_visible()
    expect(scope.get_by_text(re.compile(r"row \d+, column \d+ of 11×11"))).to_be_visible()
    where = re.search(r"row (\d+), column (\d+)", scope.locator(".tools").inner_text())
    assert where is not None
    row, column = int(where[1]) - 1, int(where[2]) - 1  # people count from 1
    channel = explain_channel(model, data.get_image(int(places[0])), 2, number)
    found = channel.explain_value(row, column)
    assert (row, column) != (0, 0)
    assert number_in(scope, "total") == pytest.approx(found.pre_activation, abs=1e-5)
    assert number_in(scope, "result") == pytest.approx(float(channel.output[row, column]), abs=1e-5)
    assert number_in(scope, "added") == pytest.approx(sum(term.total for term in found.contributions), abs=1e-5)

    # Back to the start: the same value of the untrained net.
    idle(page)
    slider = page.get_by_role("slider", name="Moment")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "untrained")
    first = explain_channel(load_model(run, 0), data.get_image(int(places[0])), 2, number)
    expected = first.explain_value(row, column).pre_activation
    until(lambda: number_in(scope, "total") == pytest.approx(expected, abs=1e-5), 10, "the untrained net's sum")
    slider.press("End")

    # Surgery: the new accuracy is the one that the Python API measures.
    choose_in(page, "inside-view", "Operate")
    press(page, "operate-off")
    seen = measure_edits(model, (ChannelScale(2, number, 0.0),), data)
    figures = page.locator(".pg-figures b")
    expect(figures.nth(1)).to_have_text(f"{seen.after.accuracy:.2%}", timeout=30_000)
    expect(figures.nth(0)).to_have_text(f"{seen.before.accuracy:.2%}")
    expect(page.get_by_text("Operated on: 1 change")).to_be_visible()
    press(page, "operate-revert")
    expect(page.get_by_text("Operated on")).to_have_count(0)


def test_time_plays_to_its_end_by_itself(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/inside")
    expect(page.locator(".st-key-microscope")).to_be_visible(timeout=60_000)
    idle(page)
    slider = page.get_by_role("slider", name="Moment")
    last = slider.get_attribute("aria-valuetext")
    press(page, "inside-step-play")
    expect(slider).to_have_attribute("aria-valuetext", "untrained")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(slider).to_have_attribute("aria-valuetext", last or "", timeout=120_000)
    expect(page.get_by_role("button", name="Play its life")).to_be_visible()


def _is_running(program: str) -> bool:
    """Whether a process was started as this program; where there is no /proc, nothing is known to run."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if program.encode() in line.read_bytes():
                return True
    return False


def test_a_click_ends_the_work_that_goes_on(page: Page, server: Server) -> None:
    """t-SNE takes seconds in a process of its own: another choice ends it at once, and is what is shown."""
    page.goto(f"{server.url}/mistakes")
    expect(page.locator(".st-key-confusion")).to_be_visible(timeout=90_000)
    choose_in(page, "mistakes-view", "Map")
    points = page.locator(".st-key-embedding canvas")
    expect(points).to_be_visible(timeout=30_000)
    choose_in(page, "map-method", "t-SNE")
    expect(page.get_by_test_id("stProgress")).to_be_visible(timeout=30_000)
    page.locator(".st-key-map-method").get_by_text("PCA", exact=True).click()
    until(lambda: not _is_running("playground.interpret.projection.tsne"), 3, "the end of t-SNE's process")
    expect(page.get_by_text("The two axes hold")).to_be_visible()
