"""Published pages in Chromium, opened from a file without a network: answers, arithmetic, keyboard, sizes, themes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, expect

from playground.core.recipe import Recipe
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.rasterize import rasterize_canvas
from playground.engine.runs.imported_weights import create_run_from_weights
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.export.report.test_results import evaluate_run
from playground.export.web_page import PageOptions, render_web_page
from playground.export.web_page.accuracy import round_to_float16
from playground.export.web_page.examples import select_examples
from playground.interpret.activations.activations import compute_activations
from playground.interpret.drawing.preprocess import Drawing, overlay_drawing
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model
from playground.web.page_file import read_published_page
from tests.engine.helpers import until
from tests.export.test_web_page import COLOR_NET as SQUARE_COLOR_NET
from tests.web.compare_networks import make_model

pytestmark = pytest.mark.browser

Array = NDArray[np.float32]
Stroke = Sequence[tuple[float, float]]
SIZES = {"wide": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}
PAD_SIZE, PEN_WIDTH = 280, 20
THREE = [
    (80, 70),
    (120, 55),
    (170, 60),
    (190, 90),
    (165, 125),
    (130, 135),
    (175, 150),
    (195, 190),
    (160, 225),
    (90, 215),
]
HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture(scope="module")
def guide() -> Model:
    return load_model(find_run(PRETRAINED))


@pytest.fixture(scope="module")
def guide_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guide") / "net.html"
    path.write_bytes(render_web_page(find_run(PRETRAINED)).content)
    return path


@contextmanager
def open_page(
    browser: Browser, path: Path, *, size: str = "wide", scheme: str = "light", allowed_error: str = "none"
) -> Iterator[Page]:
    """Open a page with the network switched off; fails on errors, and on requests for anything but the file."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=size == "phone",
        offline=True,
    )
    page = context.new_page()
    requested: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(path.as_uri())
    yield page
    context.close()
    assert [url for url in requested if not url.startswith("blob:")] == [path.as_uri()]
    assert [error for error in errors if not error.startswith(allowed_error)] == []


def place_on_screen(pad: Locator, stroke: Stroke) -> tuple[Stroke, Stroke]:
    """Return whole client coordinates near the points of a stroke, and the same points in units of the pad."""
    box = pad.bounding_box()
    assert box is not None
    scale = box["width"] / PAD_SIZE
    client: Stroke = [(round(box["x"] + x * scale), round(box["y"] + y * scale)) for x, y in stroke]
    return client, [((x - box["x"]) / scale, (y - box["y"]) / scale) for x, y in client]


def draw_with_mouse(page: Page, stroke: Stroke) -> Stroke:
    """Draw on the pad and return the stroke in its units."""
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    client, drawn = place_on_screen(pad, stroke)
    page.mouse.move(*client[0])
    page.mouse.down()
    for x, y in client[1:]:
        page.mouse.move(x, y)
    page.mouse.up()
    return drawn


def draw_with_finger(page: Page, stroke: Stroke) -> Stroke:
    """Draw on the pad by touch and return the stroke in its units."""
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    client, drawn = place_on_screen(pad, stroke)
    session = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(client):
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    return drawn


def read_probabilities(page: Page) -> list[float]:
    values = page.locator("#bars .bar").evaluate_all("rows => rows.map(row => row.dataset.value)")
    return [float(value) for value in values]


def expect_probabilities(page: Page, expected: Sequence[float], *, tolerance: float = 1e-4) -> None:
    """Wait until the bars show these probabilities."""
    text = ",".join(map(str, expected))
    page.wait_for_function(
        "([text, tolerance]) => { const expected = text.split(',').map(Number);"
        "return [...document.querySelectorAll('#bars .bar')].every("
        "(row, index) => Math.abs(row.dataset.value - expected[index]) <= tolerance) }",
        arg=[text, tolerance],
    )
    np.testing.assert_allclose(read_probabilities(page), expected, atol=tolerance)


def rasterize_pad(*strokes: Stroke) -> Array:
    return rasterize_canvas(strokes, PAD_SIZE, PEN_WIDTH)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_drawing_has_pytorch_s_answer_at_every_size(
    browser: Browser, guide: Model, guide_page: Path, size: str, scheme: str
) -> None:
    with open_page(browser, guide_page, size=size, scheme=scheme) as page:
        expect(page.locator("#guess")).to_have_text("0")  # the first test image
        draw: Callable[[Page, Stroke], Stroke] = draw_with_finger if size == "phone" else draw_with_mouse
        stroke = draw(page, THREE)
        expect_probabilities(page, predict(guide, [rasterize_pad(stroke)])[0].probabilities)
        expect(page.locator("#guess")).to_have_text("3")
        assert "3" in page.locator("#announcement").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(15, 20, 19)" if scheme == "dark" else "rgb(251, 253, 252)")
        widths = page.locator("#strip canvas").evaluate_all("nodes => nodes.map(node => node.width)")
        assert min(widths) >= 8
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#words")).to_have_text("Draw on the canvas, or choose a test image.")


def test_two_strokes_are_one_drawing_and_clear_removes_it(browser: Browser, guide: Model, guide_page: Path) -> None:
    with open_page(browser, guide_page) as page:
        strokes = [
            draw_with_mouse(page, [(60.0, 60.0), (200.0, 60.0)]),
            draw_with_mouse(page, [(200.0, 60.0), (120.0, 240.0)]),
        ]
        expect_probabilities(page, predict(guide, [rasterize_pad(*strokes)])[0].probabilities)
        expect(page.locator("#guess")).to_have_text("7")
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("#guess")).to_have_text("–")


def test_half_precision_page_has_the_answer_of_rounded_weights(browser: Browser, guide: Model, tmp_path: Path) -> None:
    path = tmp_path / "half.html"
    path.write_bytes(render_web_page(find_run(PRETRAINED), PageOptions(weight_type="float16")).content)
    rounded = round_to_float16(guide)
    assert rounded is not None
    with open_page(browser, path) as page:
        stroke = draw_with_mouse(page, THREE)
        image = rasterize_pad(stroke)
        expect_probabilities(page, predict(rounded, [image])[0].probabilities)
        assert "float16" in page.locator("section").last.locator("..").inner_text()


def list_examples(run: Run) -> tuple[list[int], list[Array]]:
    examples = select_examples(run, evaluate_run(run), includes_custom_images=True)
    return examples.labels, [pixels.astype(np.float32) / 255 for pixels in examples.pixels]


def test_test_images_are_chosen_by_keyboard(browser: Browser, guide: Model, guide_page: Path) -> None:
    labels, images = list_examples(find_run(PRETRAINED))
    with open_page(browser, guide_page) as page:
        examples = page.get_by_role("radio")
        expect(examples).to_have_count(len(labels))
        examples.first.focus()
        for index in (1, 2):
            page.keyboard.press("ArrowRight")
            expect(examples.nth(index)).to_be_focused()
            expect(examples.nth(index)).to_be_checked()
            expect_probabilities(page, predict(guide, [images[index]])[0].probabilities)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")  # from the first to the last, which is misclassified
        expect(examples.last).to_be_checked()
        expect(page.locator("#guess")).not_to_have_text(str(labels[-1]))
        expect(page.locator("#words")).to_contain_text(f"; label {labels[-1]}")


def read_selection(page: Page) -> tuple[int, ...]:
    """Return channel, row and column of the selected value, or only its index in a vector."""
    name = page.locator("#channel span").inner_text().split()  # channel 3 of 32, value 5 of 64, class 7
    index = int(name[1]) - (0 if name[0] == "class" else 1)
    note = page.locator("#arithmetic .tools .note").text_content() or ""  # row 3, column 4 of 26×26
    return (index, *(int(part.split()[1]) - 1 for part in note.split(", ") if part))


def is_explained(page: Page, output: Array) -> bool:
    """Return True if the result of the arithmetic is PyTorch's value at the selection, which may still change."""
    selection = read_selection(page)
    if len(selection) != output.ndim or any(place >= size for place, size in zip(selection, output.shape, strict=True)):
        return False
    result = page.locator("#arithmetic .result").get_attribute("data-value") or "nan"
    return abs(float(result) - float(output[selection])) < 1e-4


def test_click_on_a_value_shows_its_arithmetic(browser: Browser, guide: Model, guide_page: Path) -> None:
    _, images = list_examples(find_run(PRETRAINED))
    activations = {layer.layer_index: layer for layer in compute_activations(guide, images[0])}
    with open_page(browser, guide_page) as page:
        layers = page.locator("#strip button")
        for position, index in enumerate((0, 1, 2, 3, 4, 6, 7)):
            canvas = layers.nth(position).locator("canvas")
            if canvas.count():
                box = canvas.bounding_box()
                assert box is not None
                canvas.click(position={"x": box["width"] * 0.45, "y": box["height"] * 0.31})
            else:
                layers.nth(position).click()
            expect(layers.nth(position)).to_have_attribute("aria-pressed", "true")
            until(partial(is_explained, page, activations[index].output), 15, f"the arithmetic of layer {index + 1}")


def test_arithmetic_follows_arrow_keys_and_the_drawing(browser: Browser, guide: Model, guide_page: Path) -> None:
    with open_page(browser, guide_page) as page:
        page.locator("#strip button").nth(2).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#layer-name")).to_have_text("Conv 64")
        page.locator("#arithmetic .live").focus()
        first_channel, row, column = read_selection(page)
        page.keyboard.press("ArrowUp" if row else "ArrowDown")
        page.keyboard.press("ArrowLeft" if column else "ArrowRight")
        page.get_by_role("button", name="Next channel").click()
        until(lambda: read_selection(page)[0] != first_channel, 15, "the next channel")
        channel, new_row, new_column = read_selection(page)
        assert (new_row, new_column) != (row, column)
        stroke = draw_with_mouse(page, THREE)
        image = rasterize_pad(stroke)
        expect_probabilities(page, predict(guide, [image])[0].probabilities)
        output = compute_activations(guide, image)[2].output
        until(partial(is_explained, page, output), 15, "the arithmetic of the drawing")
        assert read_selection(page) == (channel, new_row, new_column)


COLOR_NET = SQUARE_COLOR_NET.adapt_to_images((3, 20, 16), 3)


@pytest.fixture
def color_run(home: Path) -> Run:
    random = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (60, 3, 20, 16), generator=random, dtype=torch.uint8)
    images = CustomImages(LabeledImages(pixels, torch.arange(60) % 3), None, ("cat", HOSTILE, "the third class"), (), 0)
    recipe = Recipe(dataset=save_custom_dataset(HOSTILE, images), batch_size=4, validation_size=10)
    return create_run_from_weights(COLOR_NET, recipe, make_model(COLOR_NET).module.state_dict(), name=HOSTILE)


@pytest.mark.parametrize("size", ["wide", "phone"])
def test_color_images_and_hostile_names(browser: Browser, color_run: Run, tmp_path: Path, size: str) -> None:
    path = tmp_path / "color.html"
    path.write_bytes(render_web_page(color_run, PageOptions(includes_custom_images=True)).content)
    model = load_model(color_run)
    _, images = list_examples(color_run)
    with open_page(browser, path, size=size) as page:
        for index, image in enumerate(images):
            page.get_by_role("radio").nth(index).click()
            expect_probabilities(page, predict(model, [image])[0].probabilities)
        stroke = draw_with_mouse(page, [(40.0, 60.0), (150.0, 180.0), (90.0, 230.0)])
        drawn = overlay_drawing(images[-1], Drawing((tuple(stroke),), PAD_SIZE, PEN_WIDTH))
        expect_probabilities(page, predict(model, [drawn])[0].probabilities)
        assert page.locator("img").count() == 0
        assert page.title() == f"{HOSTILE} · CNN Playground"
        expect(page.locator("h1")).to_have_text(HOSTILE)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        page.locator("#strip button").nth(2).click()
        expect(page.locator("#arithmetic")).to_contain_text("shortcut")


def test_page_saved_by_the_browser_runs_and_is_imported(
    browser: Browser, guide: Model, guide_page: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.html"
    with open_page(browser, guide_page) as page:
        expect(page.locator("#guess")).to_have_text("0")
        saved.write_text(page.content(), encoding="utf-8")
    network = read_published_page("saved.html", saved.read_bytes())
    assert network.architecture == guide.architecture
    weights = guide.module.state_dict()
    assert all((network.weights[name] == tensor.numpy()).all() for name, tensor in weights.items())
    # The saved elements have style attributes, which the policy blocks; the page builds these elements again.
    with open_page(browser, saved, allowed_error="Applying inline style violates") as page:
        expect(page.locator("#strip button")).to_have_count(7)
        expect(page.get_by_role("radio")).to_have_count(15)
        expect(page.locator("#guess")).to_have_text("0")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('data-sha256="', 'data-sha256="x', ""),
        ('type="application/octet-stream"', 'type="x" hidden', ""),
        (">", ">!!!!", "decode"),
        ("network-file", "missing", "This file is incomplete."),
    ],
    ids=["digest", "attributes", "not base64", "no network"],
)
def test_damaged_page_says_so(
    browser: Browser, guide_page: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = guide_page.read_text(encoding="utf-8")
    start = text.index('<script type="application/octet-stream"')
    end = text.index("</script>", start)
    path = tmp_path / "damaged.html"
    path.write_text(text[:start] + text[start:end].replace(old, new, 1) + text[end:], encoding="utf-8")
    with open_page(browser, path) as page:
        if words:
            expect(page.locator("#notice")).to_contain_text(words)
        else:
            expect(page.locator("#guess")).to_have_text("0")


def test_every_control_has_a_name(browser: Browser, guide_page: Path) -> None:
    with open_page(browser, guide_page) as page:
        expect(page.locator("#guess")).to_have_text("0")
        unnamed = page.locator("button, [role=radio], [role=application], [tabindex='0']").evaluate_all(
            "nodes => nodes.filter(node => !(node.ariaLabel || node.textContent.trim()"
            " || node.getAttribute('aria-labelledby'))).map(node => node.outerHTML)"
        )
        assert unnamed == []
