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
