"""Every program in benchmarks/ runs in a small size."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.conftest import find_browser_or_skip

ROOT = Path(__file__).parents[2]
PROGRAMS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "app", "data", "rendered_photos"}
TESTED = {
    "app_figures",
    "browser_engine",
    "drawn_digits",
    "gpu_training",
    "inspect",
    "live_drawing",
    "many_sessions",
    "photos",
    "preset_accuracy",
    "throughput",
    "time_to_accuracy",
    "tutorials",
    "ui_overhead",
}


def run_program(name: str, *arguments: object, **environment: str) -> str:
    """Run a benchmark in a separate process and return its output."""
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "torch", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def read_table(output: str) -> dict[str, list[str]]:
    """Return the rows of a Markdown table by their first cell."""
    lines = [line.strip("| ") for line in output.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_every_program_is_tested() -> None:
    assert PROGRAMS == TESTED


def test_throughput() -> None:
    table = read_table(run_program("throughput", "--rounds", 1, "--seconds", 0.2))
    assert {"ours, batch 32", "ours, batch 128", "plain PyTorch loop, batch 32"} <= table.keys()
    assert all(int(row[0].replace(",", "")) > 0 for name, row in table.items() if "batch" in name)


def test_time_to_accuracy() -> None:
    arguments = ("--rounds", 1, "--limit", 1280, "--target", 0.2, "--only-ours")
    table = read_table(run_program("time_to_accuracy", *arguments))
    assert {"ours: dash network, dash recipe", "ours: the guide's network, sprint recipe"} <= table.keys()
    assert all(row[2] in ("reached", "1 of 1") for row in table.values() if row[0][:1].isdigit())


def test_drawn_digits() -> None:
    strokes = ROOT / "assets/pens/strokes.jsonl.xz"
    table = read_table(run_program("drawn_digits", "--strokes", strokes, "--writers", "known", "--limit", 20))
    resized, fitted, ours = table["large in the middle, pen 16"]
    assert min(float(cell.rstrip("%")) for cell in (resized, fitted, ours)) > 50
    assert float(table["noise"][0].rstrip("%")) == 100


def test_photos() -> None:
    table = read_table(run_program("photos", "--photos", 10))
    assert table["one digit"][0] == "10"
    assert float(table["one digit"][1].rstrip("%")) >= 80
    assert float(table["right, of certain ones of one digit"][0].rstrip("%")) == 100


def test_gpu_training_without_sections(tmp_path: Path) -> None:
    """The sections take minutes and need a GPU; without one only the program itself is checked."""
    sections = ("complete_runs", "profile", "event_times", "reproducibility", "presets", "variants")
    output = run_program(
        "gpu_training",
        "--out",
        tmp_path / "gpu.json",
        "--skip",
        "setup",
        *sections,
        "profile_augmented",
        "complete_runs_eager",
    )
    assert "PyTorch" in output


def test_load_of_the_inspect_page() -> None:
    run_program("contenders.inspect_load", "pretrained", 0)


def test_preset_accuracy() -> None:
    output = run_program("preset_accuracy", "tiny", "--limit", 200)
    assert re.search(r"tiny \| mnist \| 1 \| [\d.]+%", output)


def test_many_sessions() -> None:
    table = read_table(run_program("many_sessions", "--sessions", 2, "--actions", 2))
    assert {"Random", "open Mistakes", "embedding", "all actions"} <= table.keys()
    assert all("median" in row[0] for name, row in table.items() if name != "2 sessions" and not name.startswith("-"))


def test_tutorials(tmp_path: Path) -> None:
    code = (
        "import sys; from benchmarks import tutorials; tutorials.EXERCISES = {'guide': 'mnist'}; "
        "sys.argv = ['tutorials', sys.argv[1], '--limit', '320']; tutorials.main()"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_PYTHON": sys.executable}
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    ((name, row),) = [item for item in read_table(result.stdout).items() if "guide" in item[0]]
    assert name.startswith("guide on mnist")
    assert all(0 < float(cell.rstrip("%")) <= 100 for cell in row[1:3])


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "app_figures",
            ("--rounds", 1, "--strokes", 2, "--pages", 1, "--limit", 1280),
            ("server start to usable page", "end of a stroke to new probabilities", "layer chosen to its feature maps"),
        ),
        (
            "browser_engine",
            ("--rounds", 3, "--only", "guide", "logistic"),
            ("| guide ", "| logistic ", "WebAssembly", "plain JavaScript", "round trip"),
        ),
        (
            "inspect",
            ("--rounds", 1, "--runs", 1, "--only-guide", "--limit", 640),
            ("another value's arithmetic", "a channel switched off", "inspected on this machine"),
        ),
        (
            "live_drawing",
            ("--networks", "guide", "--windows", 1, "--seconds", 1, "--strokes", 1),
            ("| guide, idle ", "| guide, training ", "pointer move to painted", "snapshot to its weights"),
        ),
        (
            "ui_overhead",
            ("--rounds", 1, "--sessions", 1, "--limit", 640),
            ("training, page closed", "response of a widget", "errors on their pages"),
        ),
    ],
    ids=["app_figures", "browser_engine", "inspect", "live_drawing", "ui_overhead"],
)
def test_browser_benchmark(name: str, arguments: tuple[object, ...], expected: tuple[str, ...]) -> None:
    find_browser_or_skip()
    output = run_program(name, *arguments)
    assert all(row in output for row in expected), output
