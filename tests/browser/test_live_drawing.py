"""Live drawing in Chromium: the page follows the pen, and the server's answer is the same."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Conv2d, Flatten, Output
from tests.browser.conftest import Server
from tests.browser.test_whole_loop import draw, open_app, press, status
from tests.engine.helpers import until
from tests.ui.pages.playground.test_live import save_color_dataset, save_run

pytestmark = pytest.mark.browser

IS_READY_JS = """() => {
    const networks = globalThis[Symbol.for("cnn-playground.live")]?.networks
    return networks?.size >= 1 && [...networks.values()].every(({ step }) => step !== null)
}"""
READ_IMAGES_JS = """async () => Promise.all(
    [...document.querySelectorAll(".st-key-seen figure")].map(async figure => {
        const shown = figure.querySelector("canvas") ?? figure.querySelector("img")
        if (shown instanceof HTMLImageElement) await shown.decode()
        const canvas = new OffscreenCanvas(28, 28)
        const context = canvas.getContext("2d")
        context.imageSmoothingEnabled = false
        context.drawImage(shown, 0, 0, 28, 28)
        return [shown.tagName, [...context.getImageData(0, 0, 28, 28).data].filter((_, index) => index % 4 === 0)]
    })
)"""
STRIP_JS = (
    """() => [...document.querySelectorAll(".st-key-network-strip *")].map(node => node.shadowRoot).find(Boolean)"""
)
CAPTIONS_JS = f"() => [...({STRIP_JS})().querySelectorAll('.caption')].map(node => node.textContent)"
LIVE_JS = f"() => [...({STRIP_JS})().querySelectorAll('canvas')].filter(canvas => !canvas.hidden).length"
IS_AHEAD_JS = f"""() => {{
    const networks = globalThis[Symbol.for("cnn-playground.live")].networks
    const steps = [...networks].filter(([id]) => id !== "pretrained").map(([_, network]) => network.step)
    const heading = document.querySelector(".st-key-prediction .pg-bars .pg-note")?.textContent ?? ""
    return steps[0] > 0 && heading.endsWith(`step ${{steps[0].toLocaleString("en")}}`) && ({LIVE_JS})() > 0
}}"""
"""True if the bars and the feature maps are the browser's, by the weights that it has loaded last."""
THREE = [
    *((67, 62), (96, 41), (139, 43), (163, 72), (144, 103), (106, 118)),
    *((149, 130), (170, 163), (149, 197), (106, 206), (67, 187)),
]


def wait_for_engine(page: Page) -> None:
    page.wait_for_function(IS_READY_JS)


def begin_stroke(page: Page, points: list[tuple[int, int]]) -> None:
    """Lower the pen and move it, without lifting it."""
    pad = page.locator(".st-key-canvas canvas.upper-canvas")
    expect(pad).to_have_count(1)  # a canvas that was replaced stays until the script run has ended
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=5)


def wait_for_server(page: Page) -> None:
    """Wait until the server's images have replaced the live ones."""
    expect(page.locator(".st-key-seen canvas")).to_have_count(0)
    until(lambda: page.evaluate(LIVE_JS) == 0, 15, "the server's feature maps")


def test_page_follows_the_pen_and_the_server_agrees(page: Page, server: Server) -> None:
    open_app(page, server)
    wait_for_engine(page)
    guess = page.locator(".st-key-prediction .pg-guess")
    expect(guess).to_contain_text("Example")
    captions = page.evaluate(CAPTIONS_JS)

    begin_stroke(page, THREE)
    expect(guess.locator("b")).to_have_text("3")
    expect(guess).not_to_contain_text("Example")
    expect(page.locator(".st-key-seen canvas")).to_have_count(3)
    until(lambda: page.evaluate(CAPTIONS_JS) != captions, 15, "other feature maps")
    assert page.evaluate(LIVE_JS) == len(captions) - 1  # all but the output, which is a text
    page.mouse.up()
    live = page.evaluate(READ_IMAGES_JS)
    assert [tag for tag, _ in live] == ["CANVAS"] * 3
    live_remark = guess.inner_text()

    wait_for_server(page)
    answered = page.evaluate(READ_IMAGES_JS)
    assert [tag for tag, _ in answered] == ["IMG"] * 3
    for (_, pixels), (_, expected) in zip(live, answered, strict=True):
        assert max(abs(one - other) for one, other in zip(pixels, expected, strict=True)) <= 2
    assert guess.inner_text() == live_remark
    assert "Live drawing" not in server.log.read_text()


def test_second_stroke_begins_before_the_server_has_answered(page: Page, server: Server) -> None:
    open_app(page, server)
    wait_for_engine(page)
    draw(page, [(60, 50), (150, 50)], [(150, 50), (120, 210)])
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("7")
    wait_for_server(page)
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("7")
    assert "Live drawing" not in server.log.read_text()


def test_training_network_answers_with_its_newest_weights(page: Page, server: Server) -> None:
    open_app(page, server)
    press(page, "train-start")
    page.wait_for_function(
        """() => [...globalThis[Symbol.for("cnn-playground.live")]?.networks ?? []].some(
            ([id, { step }]) => id !== "pretrained" && step > 0)""",
        timeout=120_000,
    )
    begin_stroke(page, THREE)
    bars = page.locator(".st-key-prediction .pg-bars")
    expect(bars).to_have_count(2)
    expect(bars.nth(1).locator(".strong b")).to_have_text("3")
    page.mouse.up()
    press(page, "train-stop")
    status(page, "stopped")
    wait_for_server(page)
    assert "Live drawing" not in server.log.read_text()


def test_test_image_is_answered_by_new_weights_before_the_server_answers(page: Page, server: Server) -> None:
    open_app(page, server)
    press(page, "canvas-random")
    remark = page.locator(".st-key-prediction .pg-guess span")
    expect(remark).to_contain_text(", label ")
    source = remark.inner_text().split(". ")[-1]
    press(page, "train-start")
    page.wait_for_function(IS_AHEAD_JS, polling=20, timeout=120_000)
    assert remark.inner_text().endswith(source)
    press(page, "train-stop")
    status(page, "stopped")
    wait_for_server(page)
    expect(remark).to_contain_text(source)
    assert "Live drawing" not in server.log.read_text()


def test_eraser_and_a_test_image_leave_the_answer_to_the_server(page: Page, server: Server) -> None:
    open_app(page, server)
    wait_for_engine(page)
    press(page, "canvas-random")
    expect(page.locator(".st-key-prediction .pg-guess span")).to_contain_text(", label ")
    begin_stroke(page, THREE)
    expect(page.locator(".st-key-seen canvas")).to_have_count(0)
    page.mouse.up()
    expect(page.locator(".st-key-prediction .pg-guess span")).to_contain_text(re.compile("label|certain|probable"))


def test_network_of_a_color_dataset_follows_the_pen(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are not drawings: strokes are drawn on them without preprocessing."""
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(server.home))
    run = save_run(
        Architecture(
            input=InputShape(channels=3, height=24, width=32),
            classes=3,
            layers=(Conv2d(out_channels=4, kernel_size=3), Flatten(), Output(units=3)),
        ),
        dataset=save_color_dataset((3, 24, 32)),
    )
    page.goto(f"{server.url}/?run={run.id}")
    expect(page.locator(".st-key-network-strip")).to_be_visible(timeout=60_000)
    wait_for_engine(page)
    for under in ("black", "test image"):
        begin_stroke(page, THREE)
        expect(page.locator(".st-key-seen canvas")).to_have_count(1)
        page.wait_for_function(LIVE_JS)
        page.mouse.up()
        ((_, live),) = page.evaluate(READ_IMAGES_JS)
        remark = page.locator(".st-key-prediction .pg-guess span")
        live_remark = remark.inner_text()
        wait_for_server(page)
        ((_, answered),) = page.evaluate(READ_IMAGES_JS)
        assert max(abs(one - other) for one, other in zip(live, answered, strict=True)) <= 2, under
        expect(remark).to_have_text(live_remark)
        press(page, "canvas-random")
        expect(remark).to_contain_text(", label ")
    assert "Live drawing" not in server.log.read_text()


def test_wrong_answer_of_the_browser_is_logged(page: Page, server: Server) -> None:
    """Simulated: the browser's network answers with the probabilities in reverse."""
    open_app(page, server)
    wait_for_engine(page)
    page.evaluate("""() => {
        const store = globalThis[Symbol.for("cnn-playground.live")]
        const announce = store.announce.bind(store)
        store.announce = (name, detail) => {
            if (name === "result") detail.result.probabilities.reverse()
            announce(name, detail)
        }
    }""")
    before = server.log.read_text().count("The browser's answer differs")
    draw(page, THREE)

    def count() -> Any:
        return server.log.read_text().count("The browser's answer differs") > before

    until(count, 15, "an error in the log")
