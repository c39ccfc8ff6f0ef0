"""Keyboard: the keys of a focused control are its own, and shortcuts can be switched off."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.browser.test_whole_loop import open_app

pytestmark = pytest.mark.browser

IDLE_SELECTOR = '[data-testid="stApp"][data-test-script-state="notRunning"]'
CHOSEN_ERASER = ".st-key-canvas-eraser button[kind=primary]"


def wait_until_idle(page: Page) -> None:
    page.wait_for_timeout(300)  # a key that does something has reached the server by then
    page.wait_for_selector(IDLE_SELECTOR)


def test_space_presses_the_focused_button_instead_of_training(page: Page, server: Server) -> None:
    open_app(page, server)
    random = page.locator(".st-key-canvas-random button").first
    random.focus()
    page.keyboard.press("Space")
    expect(page.locator(".st-key-prediction")).to_contain_text("Test image")
    page.keyboard.press("e")
    wait_until_idle(page)
    expect(page.locator(".pg-status")).to_contain_text("No run")
    expect(page.locator(CHOSEN_ERASER)).to_have_count(0)
    random.evaluate("button => button.blur()")
    page.keyboard.press("e")
    expect(page.locator(CHOSEN_ERASER).first).to_be_visible()


_PRESS_KEYS_ON_ALL_CONTROLS = """() => {
  const kinds = new Set(), reached = []
  let kind = ""
  const note = (event) => reached.push(`${JSON.stringify(event.key)} on ${kind}`)
  document.addEventListener("keydown", note)
  const press = (element) => {
    for (const key of [" ", "s", "z", "e", "E", "Delete"])
      element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }))
  }
  const collect = (root) =>
    [...root.querySelectorAll("*")].flatMap((element) => [
      ...(element.shadowRoot ? collect(element.shadowRoot) : []),
      ...(element.tabIndex >= 0 && element.dataset.testid !== "stMain" ? [element] : []),
    ])
  for (const control of collect(document)) {
    const role = control.getAttribute("role") ?? control.getAttribute("type")
    kind = [control.localName, role === control.localName ? null : role].filter(Boolean).join(" ")
    kinds.add(kind)
    press(control)
  }
  const ofControls = [...reached]
  reached.length = 0
  press(document.body)
  document.removeEventListener("keydown", note)
  return { kinds: [...kinds], reached: ofControls, ofPage: reached.length }
}"""
"""Presses the keys of all shortcuts on every control, and lists those that reach the page's listeners."""

_CONTROL_KINDS = {"a", "button", "button radio", "div application", "input combobox", "input number"}
_CONTROL_KINDS |= {"input range", "input switch", "summary"}


def test_no_shortcut_sees_a_key_of_any_control(page: Page, server: Server) -> None:
    kinds: set[str] = set()
    open_app(page, server)
    page.locator(".st-key-more-settings button").first.click()  # what a popover holds is outside of the app's element
    page.locator(".st-key-recipe-optimizer").first.wait_for()
    for path in ("", "inside", "mistakes", "data", "runs"):
        if path:
            page.goto(f"{server.url}/{path}")
            page.locator(".st-key-shortcuts button").first.wait_for()
        page.locator("html[data-keyboard-guard]").wait_for(state="attached")
        wait_until_idle(page)
        pressed = page.evaluate(_PRESS_KEYS_ON_ALL_CONTROLS)
        assert pressed["reached"] == [], path
        assert pressed["ofPage"] == 6, path
        kinds |= set(pressed["kinds"])
    assert kinds >= _CONTROL_KINDS, kinds


def test_shortcuts_can_be_switched_off(page: Page, server: Server) -> None:
    open_app(page, server)
    page.locator(".st-key-shortcuts button").first.click()
    page.get_by_text("Use keyboard shortcuts").click()
    wait_until_idle(page)
    page.keyboard.press("Escape")
    page.locator("body").evaluate("() => document.activeElement.blur()")
    expect(page.locator(".st-key-train-start kbd")).to_have_count(0)
    page.keyboard.press("e")
    page.keyboard.press("Space")
    wait_until_idle(page)
    expect(page.locator(CHOSEN_ERASER)).to_have_count(0)
    expect(page.locator(".pg-status")).to_contain_text("No run")


def test_unknown_run_is_named_and_removed_from_the_address(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/inside?run=20200101-000000-nothing")
    expect(page.locator(".st-key-notice")).to_contain_text("There is no run '20200101-000000-nothing'")
    expect(page).to_have_url(f"{server.url}/inside")
    page.locator(".st-key-notice-dismiss button").click()
    expect(page.locator(".st-key-notice")).to_have_count(0)
