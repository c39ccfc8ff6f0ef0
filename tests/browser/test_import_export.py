"""Share links and pasted code between two browsers, and the Data page, in Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server
from tests.browser.test_whole_loop import choose, choose_preset, open_app, press, status

pytestmark = pytest.mark.browser


def idle(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=60_000)


def open_popover(page: Page, key: str) -> None:
    idle(page)
    page.locator(f".st-key-{key} button:visible").first.click()
    idle(page)


def test_share_link_and_exported_code_recreate_the_network_in_another_browser(
    page: Page, server: Server, browser: Browser
) -> None:
    open_app(page, server)
    choose_preset(page, "LeNet-5")
    idle(page)
    field = page.locator(".st-key-recipe-seed input")
    field.fill("17")
    field.press("Enter")
    idle(page)
    open_popover(page, "share")
    link = page.locator("[data-testid=stCode] code").first.inner_text().strip()
    assert re.match(rf"{server.url}/?\?net=1\.[\w-]+$", link)
    with page.expect_download() as download:
        page.locator(".st-key-share-torch button").first.click()
    code = Path(download.value.path()).read_text()
    assert "nn.Tanh()" in code

    # Another browser, without the first one's cookies
    context = browser.new_context()
    other = context.new_page()
    other.goto(link)
    expect(other.locator(".st-key-stack")).to_contain_text("120 · Tanh", timeout=60_000)
    expect(other.locator(".st-key-recipe-seed input")).to_have_value("17")
    assert "net=" not in other.url

    # Importing the downloaded code recreates the network
    choose_preset(other, "Tiny")
    expect(other.locator(".st-key-stack")).not_to_contain_text("120 · Tanh")
    open_popover(other, "import")
    other.locator(".st-key-import-text textarea").fill(code)
    press(other, "import-read")
    expect(other.locator(".st-key-stack")).to_contain_text("120 · Tanh")

    # The imported network trains
    other.keyboard.press("Escape")
    other.mouse.click(700, 40)
    other.goto(server.url)
    idle(other)
    press(other, "train-step")
    status(other, "paused")
    press(other, "train-stop")
    status(other, "stopped")
    context.close()


def test_data_page_shows_examples_and_augmented_copies(page: Page, server: Server) -> None:
    open_app(page, server)
    page.get_by_role("link", name="Data").click()
    expect(page.locator(".pg-rows img")).to_have_count(10, timeout=60_000)
    before = page.get_by_alt_text("One image and its augmented copies").get_attribute("src")
    page.locator(".st-key-recipe-augmentation input").click()
    page.get_by_role("option", name="flip").click()
    expect(page.get_by_text("Flipping changes the meaning of most digits")).to_be_visible()
    expect(page.get_by_alt_text("One image and its augmented copies")).not_to_have_attribute("src", before or "")
    choose(page, "data-name", "KMNIST (Kuzushiji), 21 MB")
    expect(page.locator(".st-key-data-fetch button")).to_be_visible()
