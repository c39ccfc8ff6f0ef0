"""Record the pictures of README in Chromium: ``PYTHONPATH=. python docs/make_pictures.py``.

Starts the real app with an empty data folder. The animation shows a digit drawn while the network trains; the still
pictures show the pages with the finished run. Needs the ``test`` extra and Chromium.
"""

import io
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from benchmarks.app import (
    CURVE_POINTS_JS,
    IDLE_SELECTOR,
    SHADOW_ROOT_JS,
    open_page,
    run_app,
    wait_for_spare_worker,
)

FOLDER = Path(__file__).with_name("pictures")
FRAME_SIZE = (1080, 675)
STILL_SIZE = (960, 600)
FRAME_MS = 220
FRAMES_AFTER_DRAWING = 24
SETTLING_MS = 1500  # transitions and images that load after the script run
# A three, as fractions of the canvas: points of one stroke.
STROKE = (
    (0.28, 0.26), (0.40, 0.17), (0.58, 0.18), (0.68, 0.30), (0.60, 0.43), (0.44, 0.49),
    (0.62, 0.54), (0.71, 0.68), (0.62, 0.82), (0.44, 0.86), (0.28, 0.78),
)  # fmt: skip


def main() -> None:
    """Record the animation and the still pictures."""
    FOLDER.mkdir(exist_ok=True)
    with run_app() as (server, browser, url):
        page = open_page(browser, url)
        wait_for_spare_worker(server)
        save_animation(record_frames(page))
        page.locator(".st-key-train-start button:visible").wait_for(timeout=120_000)
        save_stills(page)


def record_frames(page: Page) -> list[Image.Image]:
    """Click Train and draw while the network trains; return one frame per step."""
    frames = [_take_picture(page, FRAME_SIZE)]
    page.locator(".st-key-train-start button:visible").click()
    page.wait_for_function(f"{CURVE_POINTS_JS} > 2")
    frames += [_take_picture(page, FRAME_SIZE) for _ in range(3)]
    box = page.locator(".st-key-canvas canvas.upper-canvas").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
        frames.append(_take_picture(page, FRAME_SIZE))
    page.mouse.up()
    for _ in range(FRAMES_AFTER_DRAWING):
        page.wait_for_timeout(350)  # frames at a steady pace; nothing depends on it
        frames.append(_take_picture(page, FRAME_SIZE))
    return frames


def save_animation(frames: list[Image.Image]) -> None:
    """Write the frames as one WebP animation."""
    frames[0].save(
        FOLDER / "playground.webp",
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MS,
        loop=0,
        quality=62,
        method=4,
        minimize_size=True,
    )


def save_stills(page: Page) -> None:
    """Save pictures of the Inspect and Mistakes pages with the current run."""
    _go_to(page, "Inspect")
    page.wait_for_function(f"Boolean({SHADOW_ROOT_JS}?.querySelector('.grid img'))")
    _save_still(page, "feature-maps.webp")
    for layer, view, name in (("1 Conv", "Filters", "filters.webp"), ("5 Conv", "Attribution", "attribution.webp")):
        page.locator(".st-key-inside-layer").get_by_text(layer, exact=True).click()
        page.wait_for_selector(IDLE_SELECTOR)
        page.locator(".st-key-inside-view").get_by_text(view, exact=True).click()
        _save_still(page, name)
    _go_to(page, "Mistakes")
    page.get_by_label(re.compile("^True 4, predicted 9: ")).click(timeout=120_000)
    _save_still(page, "mistakes.webp")


def _go_to(page: Page, title: str) -> None:
    page.get_by_role("link", name=title).click()
    page.wait_for_selector(IDLE_SELECTOR)


def _save_still(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLING_MS)
    page.wait_for_selector(IDLE_SELECTOR, timeout=120_000)
    _take_picture(page, STILL_SIZE).save(FOLDER / name, quality=80, method=6)


def _take_picture(page: Page, size: tuple[int, int]) -> Image.Image:
    screenshot = Image.open(io.BytesIO(page.screenshot()))
    return screenshot.convert("RGB").resize(size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
