"""Networks that follow the pen in the browser, and those whose answers the server gives alone."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground.core.architecture import Architecture, InputShape
from playground.core.datasets.base import ExtractedFeatures
from playground.core.layers import Conv2d, Flatten, Linear, Output
from playground.core.presets import ARCHITECTURE_PRESETS, get_recipe_preset
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.model.build import build_model
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.errors import PlaygroundError
from playground.interpret.model import load_model
from playground.ui.canvas import MAX_STROKES, make_fabric_json
from playground.ui.components.live_drawing import LiveProblem
from playground.ui.model_input import get_input_spec, render_canvas_background
from playground.ui.pages.playground import live
from playground.ui.services import get_pretrained
from playground.ui.state import CANVAS_SIZE
from tests.ui.apps import find, html_of, state_of


class Recorder:
    """Stands in for both components and keeps what they are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[bytes] = []
        self.drawings: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.problem: LiveProblem | None = None
        monkeypatch.setattr(live, "live_network", lambda file, *, key: self.files.append(file))
        monkeypatch.setattr(live, "live_drawing", self._draw)

    def _draw(self, *arguments: Any, **options: Any) -> LiveProblem | None:
        self.drawings.append((arguments, options))
        return self.problem

    def read_sources(self) -> list[tuple[str, int]]:
        """Return the run and the step of every network file."""
        sources = []
        for file in self.files:
            metadata = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])["__metadata__"]
            sources.append((metadata["run_id"], int(metadata["step"])))
        return sources


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


def save_run(
    architecture: Architecture,
    *,
    dataset: str = "mnist",
    scale: float = 1.0,
    weights_of: Architecture | None = None,
) -> Run:
    """Save a run with initial weights times ``scale``, by default of its own architecture."""
    run = create_run(architecture, get_recipe_preset("sprint").recipe.replace(dataset=dataset))
    torch.manual_seed(0)
    weights = {name: value * scale for name, value in build_model(weights_of or architecture).state_dict().items()}
    run.get_snapshot_path(0).parent.mkdir(parents=True, exist_ok=True)
    run.get_snapshot_path(0).write_bytes(serialize_snapshot(weights))
    return run


def test_pretrained_network_follows_the_pen_on_a_new_page(app: AppTest, recorder: Recorder) -> None:
    app.run()
    assert [run_id for run_id, _ in recorder.read_sources()] == ["pretrained"]
    ((canvas, (answer,)), options) = recorder.drawings[-1]
    assert canvas.can_follow
    assert canvas.object_count == 0
    assert not options["is_drawn"]
    assert answer.run_id == "pretrained"
    assert sum(answer.prediction.probabilities) == pytest.approx(1)


def save_color_dataset(shape: Shape = (3, 8, 8)) -> str:
    """Save a dataset of color images with three classes."""
    images = LabeledImages(
        torch.randint(0, 256, (60, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
        torch.arange(60) % 3,
    )
    return save_custom_dataset("Tiles", CustomImages(images, images, ("red", "green", "blue"), (), 0))


def draw_strokes(app: AppTest, count: int) -> None:
    """Put lines on the canvas, as the browser reports them."""
    strokes = tuple(((20.0, 20.0 + number), (200.0, 20.0 + number)) for number in range(count))
    raw = make_fabric_json(strokes, pen_width=17, offset_y=0)
    app.session_state["canvas-1"] = {"drawing": {"raw": raw, "data": None}}
    app.run()


def test_test_image_of_digits_is_left_to_the_server(app: AppTest, recorder: Recorder) -> None:
    app.run()
    find(app.button, "canvas-random").click().run()
    ((canvas, (answer,)), options) = recorder.drawings[-1]
    assert not canvas.can_follow
    assert not options["is_drawn"]
    assert ", label " in html_of(app)
    assert f"{max(answer.prediction.probabilities):.0%}" in html_of(app)
    find(app.button, "canvas-clear").click().run()
    ((canvas, _), _) = recorder.drawings[-1]
    assert canvas.can_follow


def test_network_of_a_color_dataset_follows_the_pen_on_its_images(app: AppTest, recorder: Recorder) -> None:
    name = save_color_dataset()
    architecture = Architecture(
        input=InputShape(channels=3, height=8, width=8), classes=3, layers=(Flatten(), Output(units=3))
    )
    run = save_run(architecture, dataset=name)
    app.query_params["run"] = run.id
    app.run()
    assert recorder.read_sources() == [(run.id, 0)]  # the pretrained model reads digits
    ((canvas, _), options) = recorder.drawings[-1]
    assert canvas.can_follow
    assert options["model_input"].shape == options["overlay"].shape == (3, 8, 8)
    assert options["overlay"].image is None
    assert options["class_names"] == ("red", "green", "blue")
    find(app.button, "canvas-random").click().run()
    ((canvas, _), options) = recorder.drawings[-1]
    assert canvas.can_follow
    assert options["overlay"].image.shape == (3, 8, 8)
    find(app.button, "canvas-eraser").click().run()
    ((canvas, _), _) = recorder.drawings[-1]
    assert not canvas.can_follow
    assert not app.exception


def test_canvas_shows_an_oblong_image_without_stretching_it(app: AppTest, recorder: Recorder) -> None:
    architecture = Architecture(
        input=InputShape(channels=3, height=8, width=16), classes=3, layers=(Flatten(), Output(units=3))
    )
    run = save_run(architecture, dataset=save_color_dataset((3, 8, 16)))
    app.query_params["run"] = run.id
    app.run()
    for is_black in (True, False):
        png = render_canvas_background(state_of(app), get_input_spec(run))
        assert png is not None
        pixels = np.asarray(Image.open(io.BytesIO(png)))
        height, width, _ = pixels.shape
        assert height == width == CANVAS_SIZE
        assert len(np.unique(pixels[height // 2 :])) == 1  # outside of the image
        assert (len(np.unique(pixels[: height // 2])) == 1) == is_black
        assert pixels[0, 0, 0] != pixels[-1, 0, 0]
        find(app.button, "canvas-random").click().run()
    assert not app.exception


def test_strokes_that_are_not_read_are_said_to_be(app: AppTest, recorder: Recorder) -> None:
    app.run()
    draw_strokes(app, MAX_STROKES - 1)
    assert "strokes are read" not in html_of(app)
    draw_strokes(app, MAX_STROKES + 5)
    assert f"The first {MAX_STROKES} strokes are read" in html_of(app)
    ((canvas, _), options) = recorder.drawings[-1]
    assert len(canvas.strokes) == MAX_STROKES
    assert canvas.object_count == MAX_STROKES + 5
    assert options["is_drawn"]
    assert not app.exception


def test_eraser_is_left_to_the_server(app: AppTest, recorder: Recorder) -> None:
    app.run()
    find(app.button, "canvas-eraser").click().run()
    ((canvas, _), _) = recorder.drawings[-1]
    assert not canvas.can_follow


def test_own_network_follows_the_pen_beside_the_pretrained_one(app: AppTest, recorder: Recorder) -> None:
    run = save_run(Architecture(layers=(Conv2d(out_channels=2, kernel_size=3), Flatten(), Output(units=10))))
    app.query_params["run"] = run.id
    app.run()
    ((_, answers), options) = recorder.drawings[-1]
    assert [answer.run_id for answer in answers] == [run.id, "pretrained"]
    assert [answer.run_name for answer in answers] == [run.record.name, ""]
    assert {(answer.run_id, answer.step) for answer in answers} == set(recorder.read_sources())
    assert options["layer_ids"] == [layer.id for layer in run.record.architecture.layers]


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        pytest.param(
            Architecture(
                layers=(
                    Conv2d(out_channels=64, kernel_size=3, padding="same"),
                    Conv2d(out_channels=128, kernel_size=3, padding="same"),
                    Flatten(),
                    Output(units=10),
                )
            ),
            "multiply-adds",
            id="cost",
        ),
    ],
)
def test_large_network_answers_when_the_pen_is_lifted(
    architecture: Architecture, reason: str, app: AppTest, recorder: Recorder
) -> None:
    assert summarize(architecture).multiply_adds > live.MAX_MULTIPLY_ADDS
    run = save_run(architecture)
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    assert not recorder.drawings
    assert "follows when the pen is lifted" in html_of(app)
    assert reason in html_of(app)


def test_weights_that_are_not_finite_leave_the_server_working(app: AppTest, recorder: Recorder) -> None:
    run = save_run(Architecture(layers=(Flatten(), Output(units=10))), scale=float("nan"))
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    assert not recorder.drawings
    assert "not finite" in html_of(app)


def test_diverged_network_is_answered(app: AppTest, recorder: Recorder) -> None:
    """Its weights are finite, its logits are not."""
    layers = (Flatten(), Linear(out_features=8, activation="relu"), Output(units=10))
    run = save_run(Architecture(layers=layers), scale=1e30)
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    ((_, answers), _) = recorder.drawings[-1]
    assert answers[0].run_id == run.id


def test_weights_of_another_architecture_are_an_error_on_the_page(app: AppTest, recorder: Recorder) -> None:
    run = save_run(
        Architecture(layers=(Flatten(), Output(units=10))),
        weights_of=Architecture(layers=(Flatten(), Linear(out_features=8), Output(units=10))),
    )
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    assert not recorder.files
    assert "do not fit" in html_of(app)


def test_network_of_features_is_left_to_the_server() -> None:
    spec = get_input_spec(get_pretrained())
    features = ExtractedFeatures("mobilenet_v3_small", (1, 28, 28), strokes=True, source="MNIST", low=0, level=1)
    features_spec = replace(spec, dataset=replace(spec.dataset, features=features))
    with pytest.raises(PlaygroundError, match="features"):
        live._check_can_follow(load_model(get_pretrained()), features_spec)


def test_problem_of_the_browser_is_logged(app: AppTest, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    recorder.problem = LiveProblem("pretrained", "The browser engine failed.")
    app.run()
    assert "Live drawing, run pretrained: The browser engine failed." in caplog.text


def test_presets_of_mnists_size_follow_the_pen() -> None:
    for preset in ARCHITECTURE_PRESETS.values():
        summary = summarize(preset.architecture)
        if preset.architecture.input.shape == (1, 28, 28):
            assert summary.multiply_adds <= live.MAX_MULTIPLY_ADDS, preset.name
            assert summary.parameters <= live.MAX_PARAMETERS, preset.name
