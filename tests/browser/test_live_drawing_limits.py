"""Live drawing in Chromium where something is missing: the server's answer comes, and the page says what is missing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server
from tests.browser.test_live_drawing import THREE, begin_stroke, wait_for_engine, wait_for_server
from tests.browser.test_whole_loop import draw, open_app, press
from tests.engine.helpers import until

pytestmark = pytest.mark.browser

NOTICE = ".st-key-live-drawing [role=status]"
KEEP_WORKERS_JS = """
globalThis.startedWorkers = []
globalThis.Worker = class extends Worker {
    constructor(...options) {
        super(...options)
        globalThis.startedWorkers.push(this)
    }
}
"""
DOT_JS = """([x, y]) => {
    const canvas = [...document.querySelectorAll(".st-key-canvas *")]
        .map(node => node.shadowRoot?.querySelector("canvas.upper-canvas")).find(Boolean)
    const {left, top} = canvas.getBoundingClientRect()
    const options = {bubbles: true, composed: true, button: 0, clientX: left + x, clientY: top + y}
    canvas.dispatchEvent(new MouseEvent("mousedown", options))
    canvas.dispatchEvent(new MouseEvent("mousemove", {...options, clientX: left + x + 5}))
    canvas.dispatchEvent(new MouseEvent("mouseup", options))
}"""


def draw_three(page: Page) -> None:
    """Draw a three, and expect it while the pen is down and after the server has answered."""
    guess = page.locator(".st-key-prediction .pg-guess b")
    begin_stroke(page, THREE)
    expect(page.locator(".st-key-seen canvas")).to_have_count(3)
    expect(guess).to_have_text("3")
    page.mouse.up()
    wait_for_server(page)
    expect(guess).to_have_text("3")


def assert_agreement(server: Server) -> None:
    """Check that no answer of the browser was another than the server's."""
    assert "differs from the server's" not in server.log.read_text()


def forbid(page: Page, policy: str) -> None:
    """Give the page a Content-Security-Policy; a proxy may send it as a header."""
    page.add_init_script(
        f"""addEventListener("DOMContentLoaded", () => {{
            const meta = Object.assign(document.createElement("meta"), {{content: "{policy}"}})
            meta.httpEquiv = "Content-Security-Policy"
            document.head.append(meta)
        }})"""
    )


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=3
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, errors


def test_without_a_worker_the_page_computes_and_says_so(page: Page, server: Server) -> None:
    forbid(page, "worker-src 'none'")
    open_app(page, server)
    wait_for_engine(page)
    expect(page.locator(NOTICE)).to_have_text(
        "Live drawing is slower in this browser: no worker can run beside the page."
    )
    draw_three(page)
    assert_agreement(server)


def test_without_webassembly_plain_javascript_computes_and_the_page_says_so(page: Page, server: Server) -> None:
    forbid(page, "worker-src 'none'")
    page.add_init_script("delete globalThis.WebAssembly")
    open_app(page, server)
    wait_for_engine(page)
    expect(page.locator(NOTICE)).to_contain_text("WebAssembly is not available")
    draw_three(page)
    assert_agreement(server)


def test_crash_of_the_worker_does_not_stop_the_drawing(page: Page, server: Server) -> None:
    page.add_init_script(KEEP_WORKERS_JS)
    open_app(page, server)
    wait_for_engine(page)
    expect(page.locator(NOTICE)).to_be_hidden()
    begin_stroke(page, THREE[:5])
    page.evaluate("startedWorkers.forEach(worker => worker.dispatchEvent(new ErrorEvent('error')))")
    box = page.locator(".st-key-canvas canvas.upper-canvas").bounding_box()
    assert box is not None
    for x, y in THREE[5:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=5)
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("3")
    expect(page.locator(NOTICE)).to_contain_text("no worker can run beside the page")
    page.mouse.up()
    wait_for_server(page)
    assert_agreement(server)


def test_failure_of_the_engine_leaves_the_answer_to_the_server(page: Page, server: Server) -> None:
    open_app(page, server)
    wait_for_engine(page)
    before = server.log.read_text().count("The browser engine failed")
    page.evaluate("""() => {
        const [network] = globalThis[Symbol.for("cnn-playground.live")].networks.values()
        network.client.load(new ArrayBuffer(3))
    }""")
    expect(page.locator(NOTICE)).to_contain_text("The prediction follows when the pen is lifted")
    begin_stroke(page, THREE)
    expect(page.locator(".st-key-prediction .pg-guess")).to_contain_text("Example")
    page.mouse.up()
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("3")
    expect(page.locator(".st-key-prediction .pg-guess")).not_to_contain_text("Example")
    until(lambda: server.log.read_text().count("The browser engine failed") > before, 15, "an error in the log")


def test_more_than_200_strokes_are_not_followed(page: Page, server: Server) -> None:
    open_app(page, server)
    wait_for_engine(page)
    expect(page.locator(".st-key-canvas canvas.upper-canvas")).to_be_visible()
    for number in range(201):
        page.evaluate(DOT_JS, [20 + 10 * (number % 20), 20 + 20 * (number // 20)])
    expect(page.get_by_text("The first 200 strokes are read")).to_be_visible(timeout=60_000)
    wait_for_server(page)
    begin_stroke(page, THREE)
    expect(page.locator(".st-key-seen canvas")).to_have_count(0)
    page.mouse.up()
    assert_agreement(server)


@pytest.mark.parametrize("zoom", [0.75, 1.5])
def test_resized_canvas_has_the_same_strokes(page: Page, server: Server, zoom: float) -> None:
    open_app(page, server)
    wait_for_engine(page)
    page.add_style_tag(content=f".st-key-canvas {{ zoom: {zoom}; }}")
    begin_stroke(page, [(round(x * zoom), round(y * zoom)) for x, y in THREE])
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("3")
    page.mouse.up()
    wait_for_server(page)
    expect(page.locator(".st-key-prediction .pg-guess b")).to_have_text("3")
    assert_agreement(server)


def test_tab_without_frames_is_answered(page: Page, server: Server) -> None:
    """A tab in the background gets no animation frames."""
    open_app(page, server)
    wait_for_engine(page)
    page.evaluate("globalThis.requestAnimationFrame = () => 0")
    draw_three(page)
    press(page, "canvas-clear")
    expect(page.locator(".st-key-prediction")).to_contain_text("Example")
    assert_agreement(server)


def test_finger_on_a_phone_is_followed(phone: Page, server: Server) -> None:
    open_app(phone, server)
    wait_for_engine(phone)
    canvas = phone.locator(".st-key-canvas canvas.upper-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    touch = phone.context.new_cdp_session(phone)
    points = [{"x": box["x"] + x, "y": box["y"] + y} for x, y in THREE]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    guess = phone.locator(".st-key-prediction .pg-guess b")
    expect(guess).to_have_text("3")
    expect(phone.locator(".st-key-seen canvas")).to_have_count(3)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for_server(phone)
    expect(guess).to_have_text("3")
    assert_agreement(server)


def test_keyboard_draws_by_test_images(page: Page, server: Server) -> None:
    open_app(page, server)
    wait_for_engine(page)
    remark = page.locator(".st-key-prediction .pg-guess span")
    for _ in range(2):
        before = remark.inner_text()
        page.locator(".st-key-canvas-random button").first.focus()
        page.keyboard.press("Enter")
        expect(remark).not_to_have_text(before)
        expect(remark).to_contain_text(", label ")
    page.locator(".st-key-canvas-undo button").first.focus()
    page.keyboard.press("Enter")
    expect(remark).to_have_text(before)
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("Delete")
    expect(remark).to_contain_text("Example")
    draw(page, THREE)
    wait_for_server(page)
    assert_agreement(server)
