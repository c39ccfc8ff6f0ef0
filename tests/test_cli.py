"""The command line: in this process where that is quick, as a process of its own where that is the point."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from playground.cli import main
from playground.spec.architecture import Architecture
from playground.spec.presets import ARCHITECTURES, RECIPES, architecture_preset
from playground.spec.recipe import Recipe
from tests.engine.helpers import until

CONTRACT = {"run", "status", "steps", "epochs", "seconds", "images_per_second"}
CONTRACT |= {"validation_accuracy", "test_accuracy", "test_loss"}


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out.splitlines()[-1])


def say(*arguments: object) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with mock.patch.object(sys, "argv", ["cnn-playground", *map(str, arguments)]):
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as ending:
                code = ending.code or 0
    return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder in which one run was trained by the command line."""
    found = tmp_path_factory.mktemp("cli")
    cache = Path(os.environ["CNN_PLAYGROUND_HOME"]) / "cache"
    cache.mkdir(exist_ok=True)
    (found / "cache").symlink_to(cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_PLAYGROUND_HOME", str(found))
        yield found


@pytest.fixture(scope="module")
def quick(folder: Path) -> Path:
    """A recipe file with little to measure on."""
    path = folder / "quick.json"
    path.write_text(Recipe(limit=640, batch_size=64, validation_size=100, epochs=30).canonical_json())
    return path


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = say("train", "tiny", "--limit", 300, "--epochs", 1, "--name", "Mine", "--json").json
    return found


def test_presets_are_listed():
    answer = say("presets")
    assert answer.code == 0
    assert all(name in answer.out for name in (*ARCHITECTURES, *RECIPES, "mnist"))
    assert {*say("presets", "--json").json} == {"architectures", "recipes", "datasets"}


def test_summary_of_the_guide_is_the_guides():
    answer = say("summary", "guide")
    assert answer.code == 0
    shapes = ["32×26×26", "32×13×13", "64×11×11", "64×5×5", "64×3×3", "576", "64", "10"]
    rows = [line.split() for line in answer.out.splitlines() if line[:1].isdigit() and "parameters," not in line]
    assert len(rows) == len(shapes)
    assert [shape for shape, row in zip(shapes, rows, strict=True) if shape not in row] == []
    counts = ["320", "0", "18,496", "0", "36,928", "0", "36,928", "650"]
    assert [count for count, row in zip(counts, rows, strict=True) if count not in row] == []
    assert "93,322 parameters" in answer.out
    found = say("summary", "guide", "--json").json
    assert [layer["output_shape"] for layer in found["layers"]][:2] == [[32, 26, 26], [32, 13, 13]]
    assert found["parameters"] == 93_322
    assert found["problems"] == []


def test_summary_of_a_broken_net_names_problems_and_fixes():
    answer = say("summary", "broken")
    assert answer.code == 1
    assert "Fix:" in answer.err
    assert "Traceback" not in answer.err
    told = say("summary", "broken", "--json")
    assert told.code == 1
    assert len(json.loads(told.out.splitlines()[-1])["problems"]) >= 3


def test_summary_of_a_file(tmp_path: Path):
    path = tmp_path / "net.json"
    path.write_text(architecture_preset("lenet5").architecture.canonical_json())
    assert say("summary", path).out == say("summary", "lenet5").out


UNKNOWN = [
    ["summary", "nope"],
    ["summary", "missing.json"],
    ["summary", "x" * 300],
    ["train", "nope"],
    ["train", "tiny", "--recipe", "nope"],
    ["train", "tiny", "--recipe", "missing.json"],
    ["train", "tiny", "--dataset", "nope"],
    ["train", "tiny", "--epochs", "0"],
    ["train", "tiny", "--lr", "nan"],
    ["train", "tiny", "--batch-size", "301", "--limit", "300"],
    ["train", "broken"],
    ["resume", "nope"],
    ["resume", "pretrained"],
    ["show", "nope"],
    ["show", "../runs"],
    ["delete", "nope"],
    ["delete", "pretrained"],
    ["evaluate", "nope"],
    ["predict", "nope", "x.png"],
    ["predict", "pretrained", "missing.png"],
    ["export", "nope", "--to", "torch"],
    ["export", "guide", "--to", "fortran"],
    ["train", "tiny", "--epochs", "many"],
    ["fly"],
]


@pytest.mark.parametrize("arguments", UNKNOWN, ids=lambda arguments: " ".join(arguments)[:40])
def test_what_cannot_be_is_one_message_and_exit_code_2(folder: Path, arguments: list[str]):
    before = sorted((folder / "runs").glob("*"))
    answer = say(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("Error") == 1
    assert "Traceback" not in answer.err
    assert sorted((folder / "runs").glob("*")) == before


def test_files_that_hold_something_else(tmp_path: Path):
    contents = {"a.json": "{", "b.json": "[]", "c.json": '{"schema": 9}', "d.json": '{"layers": 1}', "e.json": "\x00"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        for command in (["summary"], ["train", "tiny", "--recipe"], ["predict", "pretrained"]):
            answer = say(*command, tmp_path / name)
            assert (answer.code, answer.out, "Traceback" in answer.err) == (2, "", False), (command, name)


def test_train_says_the_contract(trained: dict[str, Any]):
    assert trained.keys() >= CONTRACT
    assert (trained["status"], trained["steps"], trained["epochs"]) == ("completed", 5, 1)
    assert 0 <= trained["test_accuracy"] <= 1
    assert 0 <= trained["validation_accuracy"] <= 1
    assert min(trained["seconds"], trained["images_per_second"], trained["test_loss"]) > 0


def test_runs_and_show(trained: dict[str, Any]):
    assert trained in say("runs", "--json").json
    answer = say("runs")
    assert trained["run"] in answer.out
    shown = say("show", trained["run"][:-2], "--json").json
    assert shown.items() >= trained.items()
    assert Architecture.read(shown["architecture"]) == architecture_preset("tiny").architecture
    assert shown["recipe"]["limit"] == 300
    assert shown["snapshots"][-1] == 5
    assert "Mine" in say("show", trained["run"]).out
    assert say("show", "pretrained").code == 0


def test_evaluate(trained: dict[str, Any]):
    found = say("evaluate", trained["run"], "--json").json
    assert found["accuracy"] == pytest.approx(trained["test_accuracy"])
    assert found["loss"] == pytest.approx(trained["test_loss"], rel=1e-5)
    assert [sum(row) for row in found["confusion"]][:2] == [980, 1135]
    assert sum(found["confusion"][i][i] for i in range(10)) == round(found["accuracy"] * 10_000)
    assert len(found["per_class_accuracy"]) == 10
    answer = say("evaluate", trained["run"])
    assert "10,000 test images" in answer.out


def test_predict_digits_of_either_polarity(tmp_path: Path):
    from playground.engine.data import load_test

    test = load_test("mnist")
    files = []
    for index in range(8):
        digit = Image.fromarray(test.images[index, 0].numpy())
        for name, picture in (("light", digit), ("dark", digit.point(lambda value: 255 - value).resize((140, 140)))):
            files.append(tmp_path / f"{index}-{name}.png")
            picture.save(files[-1])
    found = say("predict", "pretrained", *files, "--json").json
    assert [answer["file"] for answer in found] == [str(file) for file in files]
    expected = [digit for digit in test.labels[:8].tolist() for _ in range(2)]
    assert [answer["digit"] for answer in found] == expected
    assert all(sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4) for answer in found)


def test_predict_strokes(tmp_path: Path):
    one = {"strokes": [[[5, 0], [5, 10], [5, 20]]]}
    seven = {"strokes": [[[0, 0], [300, 0], [280, 60], [120, 500]]]}
    path = tmp_path / "strokes.json"
    path.write_text(json.dumps([one, seven]))
    found = say("predict", "pretrained", path, "--json").json
    assert [(answer["index"], answer["digit"]) for answer in found] == [(0, 1), (1, 7)]
    assert "[1]: 7" in say("predict", "pretrained", path).out


def test_export(trained: dict[str, Any], tmp_path: Path):
    answer = say("export", trained["run"], "--to", "json")
    assert Architecture.read(answer.out) == architecture_preset("tiny").architecture
    path = tmp_path / "net.py"
    assert say("export", "guide", "--to", "torch", "-o", path) == Answer(0, "", "")
    compile(path.read_text(), "net.py", "exec")
    assert "nn.Conv2d" in path.read_text()


@pytest.mark.parametrize("target", ["missing/net.py", "."])
def test_a_file_that_cannot_be_written(target: str, tmp_path: Path):
    answer = say("export", "guide", "--to", "torch", "-o", tmp_path / target)
    assert answer.code == 2
    assert "cannot be written" in answer.err
    assert "Traceback" not in answer.err


def test_a_data_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path / "file"))
    answer = say("train", "tiny", "--limit", 300)
    assert answer.code == 2
    assert "CNN_PLAYGROUND_HOME" in answer.err


def test_a_run_that_diverges_exits_1_with_words(folder: Path, quick: Path):
    path = folder / "hot.json"
    path.write_text(Recipe.read(quick.read_bytes()).changed(optimizer={"kind": "sgd"}, lr=1000).canonical_json())
    answer = say("train", "tiny", "--recipe", path, "--json")
    assert answer.code == 1
    assert json.loads(answer.out.splitlines()[-1])["status"] == "failed"
    assert "learning rate" in answer.err


def test_ctrl_c_saves_and_resume_completes(folder: Path, quick: Path):
    from playground.engine.store import all_runs

    known = {run.id for run in all_runs()[0]}
    command = [sys.executable, "-m", "playground", "train", "tiny", "--recipe", str(quick), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        run = until(lambda: next((run for run in all_runs()[0] if run.id not in known), None), 60, "the run")
        until(lambda: run.history().step >= 3, 60, "three batches")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = json.loads(out.splitlines()[-1])
    assert (stopped["run"], stopped["status"]) == (run.id, "stopped")
    assert 3 <= stopped["steps"] < 300
    assert f"resume {run.id}" in err
    assert "Traceback" not in err
    assert run.checkpoint()["step"] == stopped["steps"]
    found = say("resume", run.id, "--json").json
    assert (found["status"], found["steps"], found["epochs"]) == ("completed", 300, 30)
    assert found["seconds"] > stopped["seconds"]
    assert say("resume", run.id).code == 2
    assert "Deleted" in say("delete", run.id).out
    assert not run.folder.exists()
    assert say("show", run.id).code == 2


def test_resume_counts_no_batch_and_no_epoch_twice(folder: Path, quick: Path):
    """Killed between the end of an epoch and its checkpoint, so that the epoch ends a second time."""
    from playground.engine.record import Recorder
    from playground.engine.store import create_run
    from playground.engine.train import Trainer

    recipe = Recipe.read(quick.read_bytes()).changed(epochs=2)
    run = create_run(architecture_preset("tiny").architecture, recipe)
    trainer = Trainer(run.record.architecture, recipe)
    with Recorder(run) as recorder:
        for event in recorder.follow(trainer, mock.Mock(poll=list)):
            if event.kind == "epoch_done":
                break
    found = say("resume", run.id, "--json").json
    assert (found["steps"], found["epochs"]) == (20, 2)
    shutil.rmtree(run.folder)


def test_a_port_in_use_is_said():
    with socket.socket() as holder:
        holder.bind(("localhost", 0))
        holder.listen()
        port = holder.getsockname()[1]
        answer = say("app", "--port", port, "--headless")
    assert answer.code == 2
    assert f"Port {port} cannot be used" in answer.err
    assert f"--port {port + 1}" in answer.err


def test_as_a_module_and_into_a_closed_pipe():
    command = [sys.executable, "-m", "playground"]
    told = subprocess.run([*command, "summary", "nope.json"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr.startswith("Error: nope.json cannot be read")
    shell = f"set -o pipefail; '{sys.executable}' -m playground presets | head -c 5"
    piped = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert len(piped.stdout) == 5
    assert "Traceback" not in piped.stderr
