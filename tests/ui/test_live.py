"""Networks that follow the pen in the browser, and those whose answers the server gives alone."""

import json
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from playground.core.architecture import Architecture
from playground.core.layers import Conv2d, Flatten, Output
from playground.core.presets import ARCHITECTURE_PRESETS, get_recipe_preset
from playground.core.summary import summarize
from playground.engine.model.build import build_model
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.ui.components.live_drawing import LiveProblem
from playground.ui.pages.playground import live
from tests.ui.apps import find, html_of


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


def save_run(architecture: Architecture, *, scale: float = 1.0) -> Run:
    """Save a run with initial weights times ``scale``."""
    run = create_run(architecture, get_recipe_preset("sprint").recipe)
    torch.manual_seed(0)
    weights = {name: value * scale for name, value in build_model(architecture).state_dict().items()}
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


def test_eraser_is_left_to_the_server(app: AppTest, recorder: Recorder) -> None:
    app.run()
    find(app.button, "canvas-eraser").click().run()
    ((canvas, _), _) = recorder.drawings[-1]
    assert not canvas.can_follow


def test_own_network_follows_the_pen_beside_the_pretrained_one(app: AppTest, recorder: Recorder) -> None:
    run = save_run(Architecture(layers=(Conv2d(out_channels=2, kernel_size=3), Flatten(), Output(units=10))))
    app.query_params["run"] = run.id
    app.run()
    sources = recorder.read_sources()
    assert sources[0] == (run.id, 0)
    assert sources[1][0] == "pretrained"
    ((_, answers), options) = recorder.drawings[-1]
    assert [(answer.run_id, answer.step) for answer in answers] == sources
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
