"""Drawing in Chromium: predictions equal to the command line's, preprocessing, teaching and erasing."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import Server
from tests.browser.test_whole_loop import SEVEN, Stroke, draw, open_app, press, wait_for_answer
from tests.engine.helpers import until

pytestmark = pytest.mark.browser

STROKES = Path(__file__).parents[2].parent / "shared" / "data" / "strokes" / "pendigits-tra-strokes.json"
CANVAS = 240


def drawings() -> list[list[Stroke]]:
    """Digits of writers outside every training set, in canvas pixels; a plain seven without that dataset."""
    if not STROKES.exists():
        return [SEVEN]
    digits = [digit for digit in json.loads(STROKES.read_bytes()) if digit["writer"] % 3 == 0]
    return [
        [[(20 + x * 0.4, 20 + y * 0.4) for x, y in stroke] for stroke in digit["strokes"]] for digit in digits[::480]
    ]


def read_probabilities(page: Page) -> list[float]:
    """Read the class probabilities on the page, in percent with one decimal."""
    bars = page.locator(".st-key-prediction .pg-bars").first.locator(".pg-bar")
    matches = [re.search(r"([\d.]+)%", bars.nth(index).get_attribute("aria-label") or "") for index in range(10)]
    return [float(match[1]) for match in matches if match]


def open_teach(page: Page, *, strokes: int) -> None:
    """Open the Teach popover and wait until the page has processed this many strokes."""
    page.locator(".st-key-teach button").first.click()
    expect(page.locator(".st-key-teach-start")).to_be_visible()
    expect(page.locator('[class*="st-key-teach-label"]')).to_have_class(re.compile(rf"teach-label-\d+-{strokes}\b"))
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def label(page: Page, digit: int) -> None:
    page.locator('[class*="st-key-teach-label"]').get_by_text(str(digit), exact=True).click()


def saved_set(page: Page, path: Path) -> list[dict[str, Any]]:
    with page.expect_download() as caught:
        page.locator(".st-key-teach-download button").click()
    caught.value.save_as(path)
    saved: list[dict[str, Any]] = json.loads(path.read_text())["drawings"]
    return saved


def test_strokes_get_the_same_prediction_on_the_page_and_the_command_line(
    page: Page, server: Server, tmp_path: Path
) -> None:
    open_app(page, server)
    page_probabilities: list[list[float]] = []
    for number, strokes in enumerate(drawings()):
        draw(page, *strokes)
        wait_for_answer(page)
        open_teach(page, strokes=len(strokes))
        page_probabilities.append(read_probabilities(page))
        label(page, 3)
        expect(page.get_by_text(f"Your set: {number + 1} drawing")).to_be_visible()
        page.keyboard.press("Escape")
        press(page, "canvas-clear")
        expect(page.locator(".st-key-prediction")).to_contain_text("Example")
    open_teach(page, strokes=0)
    path = tmp_path / "set.json"
    assert len(saved_set(page, path)) == len(page_probabilities)
    command = [sys.executable, "-m", "playground", "predict", "pretrained", str(path), "--json"]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    predictions = json.loads(completed.stdout.splitlines()[-1])
    press(page, "teach-delete")
    expect(page.get_by_text("Your set: 0 drawings")).to_be_visible()
    for probabilities, prediction in zip(page_probabilities, predictions, strict=True):
        assert probabilities == pytest.approx([value * 100 for value in prediction["probabilities"]], abs=0.051)


def test_preprocessing_step_changes_the_prediction_and_teaching_learns_a_sign(page: Page, server: Server) -> None:
    open_app(page, server)
    corner = [[(20.0, 90.0), (50.0, 20.0), (80.0, 90.0), (20.0, 90.0)]]
    draw(page, *corner)
    wait_for_answer(page)
    open_teach(page, strokes=1)
    page.keyboard.press("Escape")
    fitted = read_probabilities(page)
    page.locator(".st-key-fit-centred label").click()
    until(lambda: read_probabilities(page) != fitted, 10, "another prediction")
    page.locator(".st-key-fit-centred label").click()
    until(lambda: read_probabilities(page) == fitted, 10, "the first prediction")

    open_teach(page, strokes=1)
    label(page, 8)
    expect(page.get_by_text("Your set: 1 drawing: 8")).to_be_visible()
    press(page, "teach-start")
    expect(page.get_by_text("Accuracy on 10,000 test images")).to_be_visible(timeout=90_000)
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("8")
    expect(page.locator(".st-key-prediction .pg-guess img")).to_be_visible()
    line = page.get_by_text("Accuracy on 10,000 test images").inner_text()
    before, after = (float(value) for value in re.findall(r"([\d.]+)%", line)[-2:])
    assert after > before - 0.5


def test_erased_strokes_change_the_prediction_and_undo_restores_them(page: Page, server: Server) -> None:
    """A 7 without its bar is a 1; the eraser also works on a test image."""
    open_app(page, server)
    bar, stem = [(60, 50), (150, 50)], [(150, 50), (120, 210)]
    draw(page, bar, stem)
    guess = page.locator(".pg-guess b")
    expect(guess).to_have_text("7")
    press(page, "canvas-eraser")
    draw(page, [(50, 50), (128, 50)])
    expect(guess).to_have_text("1")
    press(page, "canvas-undo")
    expect(guess).to_have_text("7")
    press(page, "canvas-clear")
    press(page, "canvas-random")
    remark = page.locator(".st-key-prediction .pg-guess span")
    expect(remark).to_contain_text(", label ")
    before = read_probabilities(page)
    press(page, "canvas-eraser")
    for y in (60, 90, 120, 150):
        draw(page, [(20, y), (220, y)])
    until(lambda: read_probabilities(page) != before, 10, "another prediction")


def render_photo(*digits: list[list[tuple[float, float]]]) -> bytes:
    """Render digits side by side as a photo: dark ink on white paper."""
    photo = Image.new("L", (300 * len(digits), 300), 245)
    pen = ImageDraw.Draw(photo)
    for number, strokes in enumerate(digits):
        for stroke in strokes:
            pen.line([(300 * number + x + 30, y + 30) for x, y in stroke], fill=30, width=12, joint="curve")
    buffer = io.BytesIO()
    photo.save(buffer, format="PNG")
    return buffer.getvalue()


def test_photo_of_two_digits_asks_which_one_is_meant(page: Page, server: Server) -> None:
    open_app(page, server)
    guess = page.locator(".st-key-prediction .pg-guess b")
    press(page, "canvas-more")
    photo = render_photo([[(30, 30), (170, 30), (80, 220)]], [[(120, 20), (120, 220)]])
    file: FilePayload = {"name": "two.png", "mimeType": "image/png", "buffer": photo}
    page.locator(".st-key-canvas-upload input[type=file]").set_input_files([file])
    picker = page.locator(".st-key-photo-digits")
    expect(picker).to_be_visible()
    page.keyboard.press("Escape")
    expect(guess).to_have_text("1")  # the largest
    page.get_by_role("button", name="Use digit 2").click()
    expect(guess).to_have_text("7")
    page.get_by_role("button", name="Use digit 1").click()
    expect(guess).to_have_text("1")
