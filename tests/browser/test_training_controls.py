"""Training controls in Chromium: live hyperparameters, suggestions and forks."""

import contextlib
import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.browser.test_whole_loop import choose_preset, control, open_app, press, progress, status, wait_for_progress

pytestmark = pytest.mark.browser

ANNOTATIONS = "document.querySelector('.st-key-curve .js-plotly-plot')?.layout?.annotations?.map(a => a.text) ?? []"


def set_number(page: Page, key: str, value: float) -> None:
    field = control(page, key).locator("input").first
    field.fill(f"{value:g}")
    field.press("Enter")


def wait_for_note(page: Page, text: str) -> None:
    page.wait_for_function(f"text => ({ANNOTATIONS}).some(note => note.includes(text))", arg=text, timeout=60_000)


def test_live_hyperparameters_are_marked_in_the_chart_and_a_fork_starts(page: Page, server: Server) -> None:
    open_app(page, server)
    choose_preset(page, "Batch norm and dropout")
    press(page, "train-start")
    wait_for_progress(page, 0)
    set_number(page, "recipe-batch_size", 256)
    wait_for_note(page, "batch size 128 → 256")
    set_number(page, "recipe-epochs", 3)
    wait_for_note(page, "epochs 1 → 3")
    press(page, "open-dropout-1")
    set_number(page, "field-dropout-1-p", 0.5)
    wait_for_note(page, "dropout 0.3 → 0.5")
    wait_for_progress(page, progress(page))
    press(page, "train-stop")
    status(page, "stopped")

    press(page, "fork")
    set_number(page, "fork-lr", 0.001)
    expect(page.locator(".st-key-fork-lr input")).to_have_value("0.001")
    press(page, "fork-start")
    expect(page.locator(".pg-status")).to_contain_text("forked", timeout=60_000)
    wait_for_note(page, "fork, lr 0.006 → 0.001")
    status(page, "training")
    press(page, "train-stop")
    status(page, "stopped")
    fork = max((server.home / "runs").iterdir())
    record = json.loads((fork / "run.json").read_text())
    assert record["recipe"]["lr"] == 0.001
    assert [layer["p"] for layer in record["architecture"]["layers"] if layer["kind"] == "dropout"] == [0.5]
    assert record["parent"] is not None


def test_diagnosis_of_a_bad_run_suggests_a_restart(page: Page, server: Server) -> None:
    open_app(page, server)
    choose_preset(page, "Dash")
    set_number(page, "recipe-lr", 0.9)
    set_number(page, "recipe-epochs", 20)
    press(page, "train-start")
    suggestion = page.locator(".st-key-suggestion button")
    expect(suggestion.first).to_be_visible(timeout=60_000)
    expect(page.locator(".pg-line.warn")).to_contain_text(re.compile("Dead ReLUs|diverging|Exploding"))
    # A click on a suggestion that is being replaced by another one has no effect.
    for _ in range(10):
        suggestion.first.click()
        with contextlib.suppress(AssertionError):
            expect(control(page, "recipe-lr").locator("input").first).not_to_have_value("0.9", timeout=3_000)
            break
    expect(suggestion).to_have_count(0)
    expect(control(page, "recipe-lr").locator("input").first).not_to_have_value("0.9")
    press(page, "train-stop")
    status(page, "stopped")
