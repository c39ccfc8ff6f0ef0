"""Long computations on a page: turns of many sessions, cancellation, and a fresh server that everybody uses at once."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from streamlit.delta_generator import DeltaGenerator

from playground.engine.cache import ByteBoundedCache
from playground.engine.progress import Progress, Steps, run_to_end
from playground.ui.progress import MAX_CONCURRENT_STEPS, run_with_progress, take_turns

SESSIONS = 20
EVERYTHING_AT_ONCE = """
import collections, json, resource, sys, threading
from concurrent.futures import ThreadPoolExecutor
from playground.engine.data import mnist, pen_digits
from playground.engine.progress import run_to_end
from playground.engine.runs.repository import load_pretrained_run
from playground.interpret import dataset_stats
from playground.interpret.evaluation import dataset_predictions, robustness
from playground.interpret.feature_viz import top_activations
from playground.interpret.model import limit_threads, load_model
from playground.interpret.projection import layer_projection
from playground.ui.model_input import get_input_spec, load_test_input
from playground.ui.progress import take_turns

builds, most_computing, computing, lock = collections.Counter(), 0, set(), threading.Lock()

def count_builds(module, name):
    build = getattr(module, name)
    def counted(*arguments, **options):
        global most_computing
        builds[name] += 1
        steps = build(*arguments, **options)
        yield next(steps)  # the first progress comes without a turn
        while True:
            with lock:
                computing.add(threading.get_ident())
                most_computing = max(most_computing, len(computing))
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            finally:
                with lock:
                    computing.discard(threading.get_ident())
            yield step
    setattr(module, name, counted)

for module, name in [(mnist, "_unpack"), (pen_digits, "_rasterize_all"), (dataset_stats, "_compute_stats"),
                     (robustness, "_measure_points"), (top_activations, "_search"),
                     (layer_projection, "extract_layer_features_in_steps")]:
    count_builds(module, name)
drawings = pen_digits.load_pen_drawings(100)
pen_digits.load_pen_drawings = lambda: drawings

limit_threads(1)
run = load_pretrained_run()
model = load_model(run)
model.module.register_forward_hook(lambda *_: builds.update(["batches"]))
start = threading.Barrier(int(sys.argv[1]))

def use_everything(number):
    start.wait(60)
    load_test_input(get_input_spec(run), number)
    sample = dataset_predictions.load_run_test_images(run, 250)
    for steps in (
        dataset_predictions.predict_dataset(model, sample),
        top_activations.find_top_activations(model, sample, 2),
        layer_projection.project_by_pca(model, 2, sample),
        robustness.measure_robustness(model, sample, ("shift",), count=50),
        dataset_stats.compute_dataset_stats("mnist+pen"),
        dataset_stats.compute_dataset_stats("mnist"),
    ):
        run_to_end(take_turns(steps))

threads_before, before = threading.active_count(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    list(pool.map(use_everything, range(int(sys.argv[1]))))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"builds": builds, "most_computing": most_computing, "memory_mb": (after - before) / 1024,
                  "more_threads": threading.active_count() - threads_before}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the peak of the memory")
def test_everything_is_built_once_when_many_sessions_use_a_fresh_server_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path))
    command = [sys.executable, "-c", EVERYTHING_AT_ONCE, str(SESSIONS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["builds"] == {
        "_unpack": 2,  # the training and the test images
        "_rasterize_all": 1,
        "_compute_stats": 2,  # of two datasets
        "_measure_points": 1,
        "_search": 1,
        "extract_layer_features_in_steps": 1,
        "batches": 1 + 9,  # the evaluation and the levels of one perturbation
    }
    assert 1 <= found["most_computing"] <= MAX_CONCURRENT_STEPS
    assert found["more_threads"] <= MAX_CONCURRENT_STEPS
    assert found["memory_mb"] < 500
    names = [path.name for path in (tmp_path / "cache").iterdir()]
    assert sorted(name.rpartition("-")[0].partition("-")[0] for name in names) == ["mnist", "mnist", "pens"]
    assert all(name.endswith(".safetensors") for name in names)


def test_no_more_sessions_compute_at_a_time_than_allowed() -> None:
    lock, computing, counts = threading.Lock(), [0], []

    def compute() -> Steps[None]:
        yield Progress("Waiting")
        for _ in range(5):
            with lock:
                computing[0] += 1
                counts.append(computing[0])
            time.sleep(0.002)
            with lock:
                computing[0] -= 1
            yield Progress("Computing")
        return None

    with ThreadPoolExecutor(SESSIONS) as pool:
        list(pool.map(lambda _: run_to_end(take_turns(compute())), range(SESSIONS)))
    assert len(counts) == 5 * SESSIONS
    assert max(counts) <= MAX_CONCURRENT_STEPS


class StoppedError(Exception):
    """Raised by Streamlit in a script that is stopped."""


class Page:
    """Container that notes its progress and stops the script at the third."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.is_empty = False

    def progress(self, fraction: float, text: str) -> None:
        self.stages.append(f"{fraction:.0%} {text}")
        if len(self.stages) == 3:
            raise StoppedError

    def empty(self) -> None:
        self.is_empty = True


def count_steps(count: int, ended: list[str]) -> Steps[int]:
    try:
        for step in range(count):
            yield Progress("Counting", step, count)
        return count
    finally:
        ended.append("closed")


def run_on(page: Page, steps: Steps[Any]) -> Any:
    return run_with_progress(steps, cast("DeltaGenerator", page))


def test_progress_is_shown_and_removed() -> None:
    page = Page()
    assert run_on(page, count_steps(2, [])) == 2
    assert page.stages == ["0% Counting …", "50% Counting …"]
    assert page.is_empty


def test_stopped_script_ends_the_computation_unless_another_session_waits() -> None:
    ended: list[str] = []
    cache: ByteBoundedCache[str, int] = ByteBoundedCache(1000)

    def share() -> Steps[int]:
        return cache.get_or_compute_in_steps("count", lambda: count_steps(10, ended))

    with pytest.raises(StoppedError):
        run_on(Page(), share())
    assert ended == ["closed"]

    ended.clear()
    other = share()
    assert next(other).completed == 0  # begun again
    with pytest.raises(StoppedError):
        run_on(Page(), share())  # gets the steps 0 to 2
    assert ended == []
    assert next(other).completed == 3
    assert run_to_end(other) == 10
