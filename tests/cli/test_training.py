"""Training on the command line: JSON output, Ctrl-C, resume, fork, replay, stop and teach."""

import json
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

from playground.core.architecture import Architecture
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from tests.cli.command_line import Result, invoke
from tests.data_folder import use_data_folder
from tests.engine.helpers import until

CONTRACT = {"run", "status", "steps", "epochs", "seconds", "images_per_second"}
CONTRACT |= {"validation_accuracy", "test_accuracy", "test_loss"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder in which one run was trained by the command line."""
    found = tmp_path_factory.mktemp("cli")
    with use_data_folder(found), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # more threads slow a tiny network down
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield found
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def quick(folder: Path) -> Path:
    """A recipe file with little to measure on."""
    path = folder / "quick.json"
    path.write_text(Recipe(limit=640, batch_size=64, validation_size=100, epochs=12).to_canonical_json())
    return path


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = invoke("train", "tiny", "--limit", 300, "--epochs", 1, "--name", "Mine", "--json").json
    return found


def test_train_prints_the_documented_json(trained: dict[str, Any]) -> None:
    assert trained.keys() >= CONTRACT
    assert (trained["status"], trained["steps"], trained["epochs"]) == ("completed", 3, 1)
    assert 0 <= trained["test_accuracy"] <= 1
    assert 0 <= trained["validation_accuracy"] <= 1
    assert min(trained["seconds"], trained["images_per_second"], trained["test_loss"]) > 0


def test_runs_and_show(trained: dict[str, Any]) -> None:
    assert trained in invoke("runs", "--json").json
    result = invoke("runs")
    assert trained["run"] in result.stdout
    shown = invoke("show", trained["run"][:-2], "--json").json
    assert shown.items() >= trained.items()
    assert Architecture.from_json(shown["architecture"]) == get_architecture_preset("tiny").architecture
    assert shown["recipe"]["limit"] == 300
    assert shown["snapshots"][-1] == 3
    assert "Mine" in invoke("show", trained["run"]).stdout
    assert invoke("show", "pretrained").exit_code == 0


def test_evaluate(trained: dict[str, Any]) -> None:
    found = invoke("evaluate", trained["run"], "--json").json
    assert found["accuracy"] == pytest.approx(trained["test_accuracy"])
    assert found["loss"] == pytest.approx(trained["test_loss"], rel=1e-5)
    assert [sum(row) for row in found["confusion"]][:2] == [980, 1135]
    assert sum(found["confusion"][i][i] for i in range(10)) == round(found["accuracy"] * 10_000)
    assert len(found["per_class_accuracy"]) == 10
    result = invoke("evaluate", trained["run"])
    assert "10,000 test images" in result.stdout


def test_export(trained: dict[str, Any], tmp_path: Path) -> None:
    result = invoke("export", trained["run"], "--to", "json")
    assert Architecture.from_json(result.stdout) == get_architecture_preset("tiny").architecture
    path = tmp_path / "net.py"
    assert invoke("export", "guide", "--to", "torch", "-o", path) == Result(0, "", "")
    compile(path.read_text(), "net.py", "exec")
    assert "nn.Conv2d" in path.read_text()


def test_diverged_run_exits_with_1_and_an_explanation(folder: Path, quick: Path) -> None:
    path = folder / "hot.json"
    path.write_text(
        Recipe.from_json(quick.read_bytes()).replace(optimizer={"kind": "sgd"}, lr=1000).to_canonical_json()
    )
    result = invoke("train", "tiny", "--recipe", path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["status"] == "failed"
    assert "learning rate" in result.stderr


def test_ctrl_c_saves_a_checkpoint_and_resume_completes_the_run(folder: Path, quick: Path) -> None:
    from playground.engine.runs.repository import list_runs

    known = {run.id for run in list_runs()[0]}
    command = [sys.executable, "-m", "playground", "train", "tiny", "--recipe", str(quick), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        run = until(lambda: next((run for run in list_runs()[0] if run.id not in known), None), 60, "the run")
        until(lambda: run.read_history().step >= 3, 60, "three batches")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = json.loads(out.splitlines()[-1])
    assert (stopped["run"], stopped["status"]) == (run.id, "stopped")
    assert 3 <= stopped["steps"] < 120
    assert f"resume {run.id}" in err
    assert "Traceback" not in err
    assert run.load_checkpoint()["step"] == stopped["steps"]
    found = invoke("resume", run.id, "--json").json
    assert (found["status"], found["steps"], found["epochs"]) == ("completed", 120, 12)
    assert found["seconds"] > stopped["seconds"]
    assert invoke("resume", run.id).exit_code == 2
    assert "Deleted" in invoke("delete", run.id).stdout
    assert not run.folder.exists()
    assert invoke("show", run.id).exit_code == 2


def test_resume_counts_every_batch_and_epoch_once(folder: Path, quick: Path) -> None:
    """Killed between the end of an epoch and its checkpoint, so that the epoch ends a second time."""
    from playground.engine.runs.recorder import Recorder
    from playground.engine.runs.repository import create_run
    from playground.engine.training.trainer import Trainer

    recipe = Recipe.from_json(quick.read_bytes()).replace(epochs=2)
    run = create_run(get_architecture_preset("tiny").architecture, recipe)
    trainer = Trainer(run.record.architecture, recipe)
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, mock.Mock(poll=list)):
            if event.kind == "epoch_done":
                break
    found = invoke("resume", run.id, "--json").json
    assert (found["steps"], found["epochs"]) == (20, 2)
    shutil.rmtree(run.folder)


@pytest.fixture(scope="module")
def parent(folder: Path) -> str:
    """A completed run of two epochs, ten batches each, and a checkpoint at every quarter of an epoch."""
    path = folder / "short.json"
    path.write_text(Recipe(limit=640, batch_size=64, validation_size=100, epochs=2).to_canonical_json())
    found: str = invoke("train", "tiny", "--recipe", path, "--name", "Parent", "--json").json["run"]
    return found


def test_fork_continues_from_a_step_with_other_settings(parent: str) -> None:
    found = invoke("fork", parent, "--at", 10, "--lr", 0.01, "--epochs", 3, "--name", "Branch", "--json").json
    assert found.keys() >= CONTRACT
    assert found["run"] != parent
    assert (found["status"], found["steps"], found["epochs"]) == ("completed", 30, 3)
    shown = invoke("show", found["run"], "--json").json
    assert (shown["name"], shown["parent"], shown["parent_step"]) == ("Branch", parent, 10)
    assert (shown["recipe"]["lr"], shown["recipe"]["epochs"], shown["recipe"]["limit"]) == (0.01, 3, 640)
    assert "Branch" in invoke("runs").stdout
    assert invoke("delete", found["run"]).exit_code == 0


def test_fork_without_options_continues_from_the_last_checkpoint(parent: str) -> None:
    result = invoke("fork", parent)
    assert result.exit_code == 2, "nothing is left to train"
    assert "Set epochs to 3 or more" in result.stderr
    again = invoke("fork", parent, "--at", 5, "--json").json
    whole = invoke("show", parent, "--json").json
    for figure in ("steps", "epochs", "test_accuracy", "test_loss", "validation_accuracy"):
        assert again[figure] == whole[figure]
    longer = invoke("fork", parent, "--epochs", 3, "--seed", 5, "--batch-size", 32, "--json").json
    assert (longer["steps"], longer["epochs"]) == (40, 3)
    assert invoke("show", longer["run"], "--json").json["parent_step"] == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--at", 7), "no such checkpoint"),
        (("--at", 20, "--epochs", 2), "Set epochs to 3 or more"),
        (("--at", 5, "--batch-size", 700), "A batch of 700"),
        (("--at", 5, "--lr", -1), "lr"),
    ],
    ids=str,
)
def test_invalid_fork_is_reported_and_creates_no_run(parent: str, options: tuple[object, ...], message: str) -> None:
    from playground.engine.runs.repository import list_runs

    known = len(list_runs()[0])
    result = invoke("fork", parent, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert len(list_runs()[0]) == known


def test_fork_with_a_recipe_file_of_other_images_is_refused(folder: Path, parent: str) -> None:
    recipe = Recipe.from_json((folder / "short.json").read_bytes())
    (folder / "other.json").write_text(recipe.replace(limit=300, validation_size=60).to_canonical_json())
    result = invoke("fork", parent, "--at", 5, "--recipe", folder / "other.json")
    assert result.exit_code == 2
    assert "cannot change" in " ".join(result.stderr.split())


def test_fork_with_a_recipe_preset_keeps_the_images_of_the_run(folder: Path, parent: str) -> None:
    recipe = Recipe.from_json((folder / "short.json").read_bytes())
    fork = invoke(
        "show", invoke("fork", parent, "--at", 5, "--recipe", "tutorial", "--json").json["run"], "--json"
    ).json
    assert fork["recipe"]["limit"] == recipe.limit
    assert fork["recipe"]["validation_size"] == recipe.validation_size


def test_pretrained_run_without_checkpoints_cannot_be_forked(folder: Path) -> None:
    result = invoke("fork", "pretrained", "--epochs", 9)
    assert result.exit_code == 2
    assert "checkpoint" in result.stderr


def test_resume_with_more_epochs_continues_a_completed_run(folder: Path, parent: str) -> None:
    recipe = Recipe.from_json((folder / "short.json").read_bytes())
    run = invoke("train", "tiny", "--recipe", folder / "short.json", "--json").json
    (folder / "longer.json").write_text(recipe.replace(epochs=3).to_canonical_json())
    whole = invoke("train", "tiny", "--recipe", folder / "longer.json", "--json").json
    for options in ((), ("--epochs", 1), ("--epochs", 2)):
        result = invoke("resume", run["run"], *options)
        assert result.exit_code == 2
        assert "completed" in result.stderr
    assert invoke("resume", run["run"], "--epochs", 0).exit_code == 2
    longer = invoke("resume", run["run"], "--epochs", 3, "--json").json
    assert (longer["run"], longer["status"], longer["steps"], longer["epochs"]) == (run["run"], "completed", 30, 3)
    for figure in ("test_accuracy", "test_loss", "validation_accuracy"):
        assert longer[figure] == whole[figure]
    again = invoke("resume", run["run"], "--epochs", 4, "--lr", 0.05, "--batch-size", 32, "--json").json
    assert (again["steps"], again["epochs"]) == (50, 4)
    assert again["test_accuracy"] != longer["test_accuracy"]
    assert invoke("replay", run["run"]).exit_code == 0


def test_resume_starts_a_run_that_never_started(folder: Path, quick: Path) -> None:
    from playground.engine.runs.repository import create_run

    run = create_run(
        get_architecture_preset("tiny").architecture, Recipe.from_json(quick.read_bytes()).replace(epochs=1)
    )
    found = invoke("resume", run.id, "--json").json
    assert (found["status"], found["steps"]) == ("completed", 10)


def test_replay_of_an_unchanged_run_finds_identical_weights(folder: Path, parent: str) -> None:
    found = invoke("replay", parent, "--json").json
    assert found == {"run": parent, "compared": 7, "differing": []}
    result = invoke("replay", parent)
    assert "bit for bit, at 7 steps" in result.stdout


def test_replay_finds_a_modified_snapshot(folder: Path) -> None:
    from playground.engine.runs.repository import find_run
    from playground.engine.runs.run_files import serialize_snapshot

    run = find_run(invoke("train", "tiny", "--recipe", folder / "short.json", "--json").json["run"])
    weights = run.load_snapshot(8)
    weights["0.weight"].add_(1e-3)
    run.get_snapshot_path(8).write_bytes(serialize_snapshot(weights))
    result = invoke("replay", run.id, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["differing"] == [8]
    result = invoke("replay", run.id)
    assert result.exit_code == 1
    assert "differ from step 8 on" in result.stderr


def test_replay_of_a_fork_is_rejected(parent: str) -> None:
    run = invoke("fork", parent, "--at", 15, "--json").json["run"]
    result = invoke("replay", run)
    assert result.exit_code == 2
    assert parent in result.stderr


def test_stop_ends_a_run_of_another_process(folder: Path, parent: str) -> None:
    from playground.engine.runs.repository import list_runs

    known = {run.id for run in list_runs()[0]}
    endless = Recipe(limit=640, batch_size=64, validation_size=100, epochs=1000)
    (folder / "endless.json").write_text(endless.to_canonical_json())
    command = [sys.executable, "-m", "playground", "train", "tiny", "--recipe", str(folder / "endless.json"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        run = until(lambda: next((run for run in list_runs()[0] if run.id not in known), None), 60, "the run")
        until(lambda: run.read_history().step >= 3, 60, "three batches")
        assert int(run.pid_path.read_text()) == process.pid
        assert invoke("delete", run.id).exit_code == 2
        assert invoke("resume", run.id).exit_code == 2
        result = invoke("stop", run.id)
        assert result.exit_code == 0
        assert "was asked to stop" in result.stdout
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["status"] == "stopped"
    assert "Traceback" not in err
    assert run.load_checkpoint()["step"] == run.read_history().step
    for name, phase in ((run.id, "stopped"), (parent, "completed"), ("pretrained", "completed")):
        result = invoke("stop", name)
        assert result.exit_code == 2
        assert f"It is {phase}" in " ".join(result.stderr.split())
    assert invoke("delete", run.id).exit_code == 0


def test_teach_learns_labeled_drawings(parent: str, folder: Path) -> None:
    path = folder / "labeled.json"
    path.write_text(json.dumps([{"label": 3, "strokes": [[[0, 0], [9, 0], [5, 9], [0, 0]]]}]))
    found = invoke("teach", parent, path, "--json").json
    assert (found["status"], found["name"]) == ("completed", "Parent, taught")
    assert invoke("show", found["run"]).exit_code == 0
    assert invoke("replay", found["run"]).exit_code == 0
    path.write_text('[{"strokes": []}]')
    result = invoke("teach", parent, path)
    assert result.exit_code == 2
    assert "labeled.json" in result.stderr
    assert invoke("teach", parent, folder / "nothing.json").exit_code == 2
    invoke("delete", found["run"])
