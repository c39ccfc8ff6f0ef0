"""Training by the command line: its contract, Ctrl-C, resuming, and what can be asked of a run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from playground.spec.architecture import Architecture
from playground.spec.presets import architecture_preset
from playground.spec.recipe import Recipe
from tests.command_line import Answer, say
from tests.engine.helpers import until

CONTRACT = {"run", "status", "steps", "epochs", "seconds", "images_per_second"}
CONTRACT |= {"validation_accuracy", "test_accuracy", "test_loss"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder in which one run was trained by the command line."""
    found = tmp_path_factory.mktemp("cli")
    cache = Path(os.environ["CNN_PLAYGROUND_HOME"]) / "cache"
    cache.mkdir(exist_ok=True)
    (found / "cache").symlink_to(cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_PLAYGROUND_HOME", str(found))
        patch.setenv("OMP_NUM_THREADS", "1")  # threads of a tiny net on shared cores mostly wait for each other
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield found
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def quick(folder: Path) -> Path:
    """A recipe file with little to measure on."""
    path = folder / "quick.json"
    path.write_text(Recipe(limit=640, batch_size=64, validation_size=100, epochs=12).canonical_json())
    return path


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = say("train", "tiny", "--limit", 300, "--epochs", 1, "--name", "Mine", "--json").json
    return found


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


def test_export(trained: dict[str, Any], tmp_path: Path):
    answer = say("export", trained["run"], "--to", "json")
    assert Architecture.read(answer.out) == architecture_preset("tiny").architecture
    path = tmp_path / "net.py"
    assert say("export", "guide", "--to", "torch", "-o", path) == Answer(0, "", "")
    compile(path.read_text(), "net.py", "exec")
    assert "nn.Conv2d" in path.read_text()


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
    assert 3 <= stopped["steps"] < 120
    assert f"resume {run.id}" in err
    assert "Traceback" not in err
    assert run.checkpoint()["step"] == stopped["steps"]
    found = say("resume", run.id, "--json").json
    assert (found["status"], found["steps"], found["epochs"]) == ("completed", 120, 12)
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
