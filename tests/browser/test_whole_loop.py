"""The main job in Chromium, with real MNIST and real mouse strokes: build, mend, train, draw, look inside, return."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server

pytestmark = pytest.mark.browser

# A seven with a crossbar-free, slightly slanted stem, in pixels of the canvas.
SEVEN = [[(60, 60), (120, 56), (180, 58), (160, 110), (135, 160), (115, 205)]]


def draw(page: Page, *strokes: list[tuple[float, float]]) -> None:
    pad = page.locator(".st-key-canvas canvas.upper-canvas")
    expect(pad).to_have_count(1)  # a canvas that was cleared goes when the new one is drawn
    expect(pad).to_be_visible()
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    for first, *rest in strokes:
        page.mouse.move(box["x"] + first[0], box["y"] + first[1])
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(box["x"] + x, box["y"] + y, steps=8)
        page.mouse.up()


_PROGRESS = "document.querySelector('.st-key-curve .js-plotly-plot')?.data?.[0]?.x?.at(-1) ?? 0"


def progress(page: Page) -> float:
    """How far the training curve on the screen reaches, in epochs."""
    return float(page.evaluate(_PROGRESS))


def wait_for_progress(page: Page, beyond: float) -> None:
    page.wait_for_function(f"reached => ({_PROGRESS}) > reached", arg=beyond, timeout=60_000)


def last_step(page: Page) -> int:
    log = re.search(r"step ([\d,]+)", page.locator(".pg-note").filter(has_text="step").first.inner_text())
    assert log
    return int(log[1].replace(",", ""))


def press(page: Page, key: str) -> None:
    """Click when the answer to what came before is on the screen: Streamlit makes one click of two during one run."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=30_000)
    page.locator(f".st-key-{key} button").first.click()


def choose(page: Page, key: str, option: str) -> None:
    field = page.locator(f".st-key-{key} input").first
    field.click()
    field.fill(option)  # of a long list only a part is drawn
    page.get_by_role("option", name=option, exact=True).click()


def status(page: Page, text: str) -> None:
    expect(page.locator(".pg-status")).to_contain_text(text, timeout=60_000)


def open_app(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.locator(".st-key-network-strip")).to_be_visible(timeout=60_000)
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def test_build_mend_train_draw_look_inside_and_come_back(page: Page, server: Server) -> None:
    open_app(page, server)
    expect(page.locator(".pg-totals")).to_contain_text("93,322")

    # Build: a preset, one layer more, another number of channels, and back from a mistake by its own fix.
    choose(page, "architecture-preset", "Tiny")
    expect(page.locator(".pg-totals")).to_contain_text("3,738")
    press(page, "open-conv2d-2")
    press(page, "layer-add")
    page.get_by_role("menuitem", name="Dropout").or_(page.get_by_role("option", name="Dropout")).first.click()
    expect(page.locator('[class*="st-key-layer-dropout-1"]')).to_be_visible()
    press(page, "open-conv2d-2")
    channels = page.locator(".st-key-field-conv2d-2-out_channels input")
    channels.fill("24")
    channels.press("Enter")
    expect(page.locator('[class*="st-key-layer-conv2d-2"]').first).to_contain_text("24 · 3×3 · ReLU")
    kernel = page.locator(".st-key-field-conv2d-2-kernel_size input")
    kernel.fill("15")
    kernel.press("Enter")
    expect(page.get_by_text("is larger than its 13×13 map")).to_be_visible()
    expect(page.locator(".st-key-train-start button").first).to_be_disabled()
    page.get_by_role("button", name="Use 'same' padding").first.click()
    expect(page.get_by_text("is larger than its")).to_have_count(0)
    press(page, "undo")
    expect(page.get_by_text("is larger than its 13×13 map")).to_be_visible()
    press(page, "undo")
    expect(page.locator('[class*="st-key-layer-conv2d-2"]').first).to_contain_text("24 · 3×3 · ReLU")

    # Train: the chart grows, pause holds it, a step adds one batch, resume goes on.
    epochs = page.locator(".st-key-recipe-epochs input")
    epochs.fill("20")  # this net takes seconds for one: the run must not be over before it is stopped
    epochs.press("Enter")
    press(page, "train-start")
    wait_for_progress(page, 0)
    press(page, "train-pause")
    status(page, "paused")
    expect(page.locator(".pg-note").filter(has_text="step").first).to_be_visible()
    held = progress(page)
    page.wait_for_timeout(1500)  # the page is drawn anew for the pause; a click in the middle of that may be lost
    before = last_step(page)
    press(page, "train-step")
    expect(page.locator(".pg-note").filter(has_text=f"step {before + 1:,}")).to_be_visible()
    status(page, "paused")
    wait_for_progress(page, held)
    press(page, "train-start")
    status(page, "training")
    wait_for_progress(page, held + 0.005)

    # Reload in mid-training: the page finds the run again, and its network.
    page.reload()
    status(page, "training")
    expect(page.locator('[class*="st-key-layer-dropout-1"]')).to_be_visible()
    wait_for_progress(page, held + 0.007)

    # A second tab sees the same run.
    other = page.context.new_page()
    other.goto(server.url)
    expect(other.locator(".pg-status")).to_contain_text("training", timeout=60_000)
    other.close()

    press(page, "train-stop")
    status(page, "stopped")
    expect(page.locator(".st-key-train-start button").first).to_contain_text("Resume")
    runs = list((server.home / "runs").iterdir())
    assert len(runs) == 1
    log = (runs[0] / "events.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["kind"] == "run_ended"


def test_a_drawn_digit_is_read_the_same_on_the_page_and_on_the_command_line(
    page: Page, server: Server, tmp_path: Path
) -> None:
    page.goto(server.url + "?run=pretrained")
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")
    draw(page, *SEVEN)
    expect(page.locator(".st-key-prediction")).not_to_contain_text("Example")
    guess = page.locator(".st-key-prediction .pg-guess b")
    expect(guess).to_have_text("7")
    shown = page.locator(".st-key-prediction .pg-bar span").all_inner_texts()
    file = tmp_path / "seven.json"
    file.write_text(json.dumps([{"strokes": SEVEN}]))
    command = [sys.executable, "-m", "playground", "predict", "pretrained", str(file), "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()[-1])
    assert answer[0]["digit"] == 7
    for text, probability in zip(shown, answer[0]["probabilities"], strict=True):
        assert abs(int(text) - probability * 100) <= 2  # the page's strokes went through the canvas's smoothing

    # The strip shows the digit's way; a click opens the layer with its maps.
    page.get_by_role("button", name="Inspect Conv 64").first.click()
    expect(page.get_by_text("32×13×13 → 64×11×11")).to_be_visible()
    expect(page.get_by_text("The input: your drawing")).to_be_visible()
    page.get_by_text("Filters", exact=True).click()
    expect(page.get_by_text("Rows: output channels 1 to 32. Columns: the channels below, 1 to 32")).to_be_visible()
    page.get_by_text("One channel", exact=True).click()
    expect(page.get_by_text("Output 1 of 64: its 32 kernels")).to_be_visible()

    # Back on the Playground the drawing is still there; clearing empties it.
    page.get_by_test_id("stTopNavLink").filter(has_text="Playground").click()
    expect(guess).to_have_text("7")
    press(page, "canvas-undo")
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")


def test_a_stroke_from_the_top_right_corner_is_kept(page: Page, server: Server) -> None:
    open_app(page, server)
    draw(page, [(234, 6), (200, 60), (120, 200)])
    expect(page.locator(".st-key-prediction")).not_to_contain_text("Example")
    draw(page, [(40, 40), (90, 40)])
    press(page, "canvas-undo")
    expect(page.locator(".st-key-prediction")).not_to_contain_text("Example")
    press(page, "canvas-clear")
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")


def test_the_curve_keeps_its_node_and_hidden_traces_while_it_grows(page: Page, server: Server) -> None:
    open_app(page, server)
    press(page, "train-start")
    wait_for_progress(page, 0.01)
    page.evaluate("document.querySelector('.st-key-curve .js-plotly-plot').dataset.marked = 'yes'")
    page.locator(".st-key-curve .legendtoggle").first.click()
    hidden = "() => document.querySelector('.st-key-curve .js-plotly-plot')?._fullData?.[0]?.visible === 'legendonly'"
    page.wait_for_function(hidden)
    seen = progress(page)
    wait_for_progress(page, seen + 0.02)
    assert page.evaluate("document.querySelector('.st-key-curve .js-plotly-plot').dataset.marked") == "yes"
    assert page.evaluate(hidden)
    press(page, "train-stop")
    status(page, "stopped")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_everything_without_scrolling_sideways(page: Page, server: Server, scheme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_app(page, server)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth + 1")
    for key in ("train-start", "canvas-clear", "layer-add"):
        button = page.locator(f".st-key-{key} button:visible").first
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 391


def test_the_runs_page_compares_renames_and_opens(page: Page, server: Server) -> None:
    page.goto(server.url + "/runs")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    table = page.get_by_test_id("stDataFrame")
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 38 + 17)
    expect(page.locator(".st-key-run-open button").first).to_be_visible()
    expect(page.locator(".st-key-runs-curves .js-plotly-plot")).to_be_visible()
    press(page, "run-open")
    expect(page.locator(".st-key-train-start, .st-key-train-pause").first).to_be_visible()
    status(page, "stopped")
