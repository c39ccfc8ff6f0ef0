"""The main workflow in Chromium with MNIST and mouse strokes: build, fix, train, draw, inspect, return."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from playground.core.events import RunEnded
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.engine.runs.repository import create_run
from tests.browser.conftest import Server
from tests.run_events import make_batch, make_started, write_log

pytestmark = pytest.mark.browser

Stroke = Sequence[tuple[float, float]]

# A seven without a crossbar and with a slanted stem, in canvas pixels.
SEVEN: list[Stroke] = [[(60, 60), (120, 56), (180, 58), (160, 110), (135, 160), (115, 205)]]


_WAIT_UNTIL_AT_REST = """canvas => new Promise(resolve => {
    let last = "", frames = 0;
    const check = () => {
        const {x, y} = canvas.getBoundingClientRect();
        frames = `${x},${y}` === last ? frames + 1 : 0;
        last = `${x},${y}`;
        frames < 20 ? requestAnimationFrame(check) : resolve(null);
    };
    check();
})"""


def draw(page: Page, *strokes: Stroke) -> None:
    pad = page.locator(".st-key-canvas canvas.upper-canvas")
    expect(pad).to_have_count(1)  # a cleared canvas is removed when the new one is rendered
    expect(pad).to_be_visible()
    pad.scroll_into_view_if_needed()
    pad.evaluate(_WAIT_UNTIL_AT_REST)  # a stroke from the edge would begin beside a canvas that is still moving
    box = pad.bounding_box()
    assert box is not None
    for first, *rest in strokes:
        page.mouse.move(box["x"] + first[0], box["y"] + first[1])
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(box["x"] + x, box["y"] + y, steps=8)
        page.mouse.up()


def wait_for_answer(page: Page) -> None:
    """Wait for the server's answer to a drawing; the browser's own comes while the pen moves."""
    expect(page.locator(".st-key-prediction")).not_to_contain_text("Example")
    expect(page.locator(".st-key-seen canvas")).to_have_count(0)


_PROGRESS = "document.querySelector('.st-key-curve .js-plotly-plot')?.data?.[0]?.x?.at(-1) ?? 0"


def progress(page: Page) -> float:
    """Return the last epoch of the training curve on the page."""
    return float(page.evaluate(_PROGRESS))


def wait_for_progress(page: Page, after: float) -> None:
    page.wait_for_function(f"reached => ({_PROGRESS}) > reached", arg=after, timeout=60_000)


def last_step(page: Page) -> int:
    match = re.search(r"step ([\d,]+)", page.locator(".pg-note").filter(has_text="step").first.inner_text())
    assert match
    return int(match[1].replace(",", ""))


def control(page: Page, name: str) -> Locator:
    """Locate a bound widget; its key ends with a number after the page has changed its value."""
    return page.locator(", ".join([f".st-key-{name}", *(f".st-key-{name}-{number}" for number in range(1, 20))]))


def press(page: Page, key: str) -> None:
    """Click a button after the previous script run: Streamlit merges two clicks that arrive during one run."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=30_000)
    page.locator(f".st-key-{key} button").first.click()


def choose(page: Page, key: str, option: str) -> None:
    field = control(page, key).locator("input").first
    field.click()
    field.fill(option)  # only part of a long list is rendered
    page.get_by_role("option", name=option, exact=True).click()


def choose_preset(page: Page, title: str) -> None:
    control(page, "architecture-preset").get_by_role("button").click()
    page.get_by_placeholder("Search").fill(title)
    page.locator(".card:visible", has=page.get_by_text(title, exact=True)).click()
    expect(page.locator(".card")).to_have_count(0)


def status(page: Page, text: str) -> None:
    expect(page.locator(".pg-status")).to_contain_text(text, timeout=60_000)


def open_app(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.locator(".st-key-network-strip")).to_be_visible(timeout=60_000)
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def test_build_fix_train_pause_reload_and_stop(page: Page, server: Server) -> None:
    open_app(page, server)
    expect(page.locator(".pg-totals")).to_contain_text("93,322")

    # Build: choose a preset, add a layer, change the channels, and repair an error by its fix.
    choose_preset(page, "Tiny")
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

    # Train: the chart grows, Pause stops it, Step adds one batch, Resume continues.
    epochs = page.locator(".st-key-recipe-epochs input")
    epochs.fill("20")  # an epoch takes seconds; the run must not end before it is stopped
    epochs.press("Enter")
    press(page, "train-start")
    wait_for_progress(page, 0)
    press(page, "train-pause")
    status(page, "paused")
    expect(page.locator(".pg-note").filter(has_text="step").first).to_be_visible()
    paused_at = progress(page)
    page.wait_for_timeout(1500)  # the page reruns for the pause, and a click during the rerun may be lost
    before = last_step(page)
    press(page, "train-step")
    expect(page.locator(".pg-note").filter(has_text=f"step {before + 1:,}")).to_be_visible()
    status(page, "paused")
    wait_for_progress(page, paused_at)
    press(page, "train-start")
    status(page, "training")
    wait_for_progress(page, paused_at + 0.005)

    # Reload while training: the page attaches the run and its network again.
    page.reload()
    status(page, "training")
    expect(page.locator('[class*="st-key-layer-dropout-1"]')).to_be_visible()
    wait_for_progress(page, paused_at + 0.007)

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


def test_drawing_gets_the_same_prediction_on_the_page_and_the_command_line(
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

    # A click in the feature strip opens the layer on the Inspect page.
    page.get_by_role("button", name="Inspect Conv 64").first.click()
    expect(page.get_by_text("32×13×13 → 64×11×11")).to_be_visible()
    expect(page.get_by_text("Input: your drawing")).to_be_visible()
    page.get_by_text("Filters", exact=True).click()
    expect(page.get_by_text("Rows: output channels 1 to 32. Columns: input channels 1 to 32 of 32")).to_be_visible()
    page.get_by_text("One channel", exact=True).click()
    expect(page.get_by_text("Output 1 of 64: 32 kernels, one per input channel")).to_be_visible()

    # The drawing is kept on the Playground page; Undo removes it.
    page.get_by_test_id("stTopNavLink").filter(has_text="Playground").click()
    expect(guess).to_have_text("7")
    press(page, "canvas-undo")
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")


def test_stroke_from_the_top_right_corner_is_kept(page: Page, server: Server) -> None:
    open_app(page, server)
    draw(page, [(234, 6), (200, 60), (120, 200)])
    expect(page.locator(".st-key-prediction")).not_to_contain_text("Example")
    draw(page, [(40, 40), (90, 40)])
    press(page, "canvas-undo")
    expect(page.locator(".st-key-prediction")).not_to_contain_text("Example")
    press(page, "canvas-clear")
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")


def test_live_chart_keeps_its_node_and_hidden_traces_while_training(page: Page, server: Server) -> None:
    open_app(page, server)
    press(page, "train-start")
    wait_for_progress(page, 0.01)
    page.evaluate("document.querySelector('.st-key-curve .js-plotly-plot').dataset.marked = 'yes'")
    page.locator(".st-key-curve .legendtoggle").first.click()
    hidden = "() => document.querySelector('.st-key-curve .js-plotly-plot')?._fullData?.[0]?.visible === 'legendonly'"
    page.wait_for_function(hidden)
    wait_for_progress(page, progress(page) + 0.02)
    assert page.evaluate("document.querySelector('.st-key-curve .js-plotly-plot').dataset.marked") == "yes"
    assert page.evaluate(hidden)
    press(page, "train-stop")
    status(page, "stopped")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screen_does_not_scroll_horizontally(page: Page, server: Server, scheme: str) -> None:
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


def test_runs_page_compares_and_opens_a_run(page: Page, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(server.home))
    for _ in range(2):
        run = create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("sprint").recipe)
        write_log(run, make_started(), make_batch(5, 0.5), RunEnded(step=5, elapsed_s=1, status="stopped"))
    page.goto(server.url + "/runs")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    table = page.get_by_test_id("stDataFrame")
    box = table.bounding_box()
    assert box is not None
    # The two latest runs are selected at first; a click on the second row's box leaves the latest one.
    expect(page.locator(".st-key-runs-curves .js-plotly-plot")).to_be_visible()
    page.mouse.click(box["x"] + 15, box["y"] + 38 + 35 + 17)
    expect(page.get_by_text("Run for the buttons below")).to_have_count(0)  # one run is selected
    expect(page.locator(".st-key-run-open button").first).to_be_visible()
    expect(page.locator(".st-key-runs-curves .js-plotly-plot")).to_be_visible()
    press(page, "run-open")
    expect(page.locator(".st-key-train-start, .st-key-train-pause").first).to_be_visible()
    status(page, "stopped")
