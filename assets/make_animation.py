"""Record ``assets/playground.webp`` in Chromium: ``python -m assets.make_animation``.

Starts the real app with an empty data folder, clicks Train, and draws a digit while the network learns. Needs the
``test`` extra and Chromium.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.app import CURVE_POINTS_JS, open_page, start_server, wait_for_spare_worker

TARGET = Path(__file__).with_name("playground.webp")
SIZE = (1080, 675)
FRAME_MS = 220
FRAMES_AFTER_DRAWING = 24
# A three, as fractions of the canvas: points of one stroke.
STROKE = (
    (0.28, 0.26), (0.40, 0.17), (0.58, 0.18), (0.68, 0.30), (0.60, 0.43), (0.44, 0.49),
    (0.62, 0.54), (0.71, 0.68), (0.62, 0.82), (0.44, 0.86), (0.28, 0.78),
)  # fmt: skip


def main() -> None:
    """Record the frames and write the animation."""
    home = tempfile.mkdtemp(prefix="cnn-playground-recording-")
    os.environ["CNN_PLAYGROUND_HOME"] = home
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            server, url = start_server()
            try:
                page = open_page(browser, url)
                wait_for_spare_worker(server)
                frames = record_frames(page)
            finally:
                server.stop()
                browser.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    frames[0].save(
        TARGET,
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MS,
        loop=0,
        quality=62,
        method=4,
        minimize_size=True,
    )


def record_frames(page: Page) -> list[Image.Image]:
    """Click Train and draw while the network trains; return one frame per step."""
    frames = [_take_frame(page)]
    page.locator(".st-key-train-start button:visible").click()
    page.wait_for_function(f"{CURVE_POINTS_JS} > 2")
    frames += [_take_frame(page) for _ in range(3)]
    box = page.locator(".st-key-canvas canvas.upper-canvas").bounding_box()
    assert box is not None  # noqa: S101 -- the page has a canvas, or open_page would have failed
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
        frames.append(_take_frame(page))
    page.mouse.up()
    for _ in range(FRAMES_AFTER_DRAWING):
        page.wait_for_timeout(350)  # frames at a steady pace; nothing depends on it
        frames.append(_take_frame(page))
    return frames


def _take_frame(page: Page) -> Image.Image:
    screenshot = Image.open(io.BytesIO(page.screenshot()))
    return screenshot.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
