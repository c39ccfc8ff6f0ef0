"""Compatibility with version 0.1: its runs, datasets and share links, stored in ``tests/golden/v0_1_home.zip``."""

import json
import zipfile
from pathlib import Path

import pytest
import torch

from playground.core.architecture import Architecture
from playground.core.events import HyperparameterChanged
from playground.core.recipe import Recipe
from playground.core.share_link import decode_link
from playground.engine.data.dataset_lookup import find_dataset
from playground.engine.data.splits import load_splits
from playground.engine.runs.fork import fork_run
from playground.engine.runs.initial_state import create_trainer, load_initial_state
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import find_run, list_runs, load_pretrained_run
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import create_transfer_run
from tests.engine.helpers import assert_same_weights, record_run
from tests.narrowing import require

ARCHIVE = Path(__file__).parents[2] / "golden" / "v0_1_home.zip"
with zipfile.ZipFile(ARCHIVE) as _archive:
    LINKS: dict[str, dict[str, object]] = json.loads(_archive.read("links.json"))
# Name of the run → last step, status, steps with snapshots, steps with checkpoints.
RUNS = {
    "Changed while it ran": (20, "completed", (0, 20), (10,)),
    "Stopped half way": (10, "stopped", (0, 10), ()),
    "Whole": (20, "completed", (0, 20), (10,)),
    "Forked": (4, "stopped", (0,), (4,)),
    "Transferred": (0, "waiting", (), ()),
}


@pytest.fixture
def stored_home(home: Path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(home)
    return home


def find_named(name: str) -> Run:
    (run,) = (run for run in list_runs()[0] if run.record.name == name)
    return run


def train_to_end(run: Run, recipe: Recipe | None = None) -> dict[str, torch.Tensor]:
    record_run(run, create_trainer(run.record.architecture, recipe or run.record.recipe, load_initial_state(run)))
    assert run.read_history().status == "completed"
    return run.load_snapshot(max(run.list_snapshot_steps()))


def test_every_stored_run_opens(stored_home: Path) -> None:
    runs, unreadable = list_runs()
    assert not unreadable
    assert {run.record.name for run in runs} == set(RUNS)
    for run in runs:
        step, status, snapshots, checkpoints = RUNS[run.record.name]
        history = run.read_history()
        assert (history.step, history.status) == (step, status)
        assert run.list_snapshot_steps() == snapshots
        assert run.list_checkpoint_steps() == checkpoints
        lines = [line for line in run.log_path.read_bytes().splitlines() if line]
        assert len(list(run.read_events())) == len(lines), "a line of the log is not read"
        for snapshot in snapshots:
            assert set(run.load_snapshot(snapshot)) == set(find_named("Whole").load_snapshot(0))
        for checkpoint in checkpoints:
            assert run.load_checkpoint(checkpoint)["step"] == checkpoint
        if run.has_checkpoint():
            assert {"metric_history", "last_diagnosis", "tested_at_step"} <= run.load_checkpoint().keys()


def test_changes_and_diagnoses_of_stored_logs_are_read(stored_home: Path) -> None:
    history = find_named("Changed while it ran").read_history()
    assert history.hyperparameter_changes == [
        HyperparameterChanged(step=4, elapsed_s=0.4904, hyperparameter="lr", before=0.001, after=0.0005)
    ]
    assert history.last_diagnosis is not None
    assert history.last_diagnosis.diagnosis == "few_steps"
    assert set(history.last_diagnosis.metrics) >= {"train_accuracy", "validation_accuracy"}
    assert history.last_diagnosis.suggestion is not None
    assert history.last_diagnosis.suggestion.recipe_changes == {"epochs": 10}
    fork = find_named("Forked").read_history().fork_event
    assert require(fork).changes == {"lr": (0.0005, 0.002)}


def test_pretrained_log_is_read_completely() -> None:
    run = load_pretrained_run()
    events = list(run.read_events())
    assert len(events) == len(run.log_path.read_bytes().splitlines())
    diagnoses = [event for event in events if event.kind == "diagnosed"]
    assert diagnoses
    assert all(event.metrics for event in diagnoses)


def test_stopped_stored_run_resumes_to_the_weights_of_the_undisturbed_run(stored_home: Path) -> None:
    whole = find_named("Whole")
    stored = whole.load_snapshot(20)
    resumed = train_to_end(find_named("Stopped half way"))
    # The undisturbed run once more from the same step in this process, since the last bits of a sum differ between
    # processors: these two must be equal bit for bit.
    undisturbed = fork_run(whole, 10, whole.record.recipe)
    assert_same_weights(resumed, train_to_end(undisturbed))
    # The stored weights were computed on another machine, which can round matrix products differently (bfloat16 has
    # 8 bits). Ten steps of Adam move a weight by 0.01 at most.
    for name, value in stored.items():
        assert (resumed[name] - value).abs().mean() < 1e-3, name


def test_stored_fork_continues_with_its_own_learning_rate(stored_home: Path) -> None:
    fork = find_named("Forked")
    parent = find_named("Changed while it ran")
    assert fork.load_checkpoint()["log_bytes"] == len(fork.log_path.read_bytes())
    weights = train_to_end(fork)
    assert [event.lr for event in fork.read_events() if event.kind == "step_done"][4:] == [0.002] * 16
    assert any(not torch.equal(weights[name], value) for name, value in parent.load_snapshot(20).items())


def test_stored_checkpoint_can_be_forked(stored_home: Path) -> None:
    parent = find_named("Changed while it ran")
    fork = fork_run(parent, 10, parent.record.recipe.replace(lr=0.004, epochs=2))
    assert fork.read_history().fork_event is not None
    assert fork.read_history().changed_hyperparameters == {}
    train_to_end(fork)
    assert fork.read_history().step == 40


def test_stored_transfer_run_starts_from_its_parents_weights(stored_home: Path) -> None:
    run, parent = find_named("Transferred"), find_named("Changed while it ran")
    assert run.initial_state_path.name == "material.safetensors"
    assert_same_weights(load_initial_state(run).weights, parent.load_snapshot(20))
    train_to_end(run)
    assert_same_weights(run.load_snapshot(0), parent.load_snapshot(20))


def test_stored_run_is_a_parent_for_transfer(stored_home: Path) -> None:
    parent = find_named("Whole")
    run = create_transfer_run(parent, parent.record.architecture, parent.record.recipe.replace(seed=7))
    assert run.initial_state_path.name == "initial_state.safetensors"
    assert run.initial_state_path.exists()
    assert_same_weights(load_initial_state(run).weights, parent.load_snapshot(20))


def test_stored_run_is_replayed_with_its_change(stored_home: Path) -> None:
    replay = Replay(find_named("Changed while it ran"))
    changes = [event for event in replay.run() if event.kind == "hyperparameter_changed"]
    assert [(event.step, event.hyperparameter, event.after) for event in changes] == [(4, "lr", 0.0005)]
    assert set(replay.snapshot_matches) == {0, 20}
    assert replay.snapshot_matches[0]


def test_stored_dataset_is_loaded(stored_home: Path) -> None:
    dataset = find_dataset("own:shapes-e8693904")
    assert (dataset.title, dataset.class_names) == ("shapes", ("bar", "dot"))
    splits = load_splits("own:shapes-e8693904", 4)
    assert splits.train.images.shape == (16, 3, 16, 16)
    assert len(splits.test) == 4


@pytest.mark.parametrize("name", LINKS)
def test_stored_link_decodes_to_its_architecture_and_recipe(name: str) -> None:
    expected = LINKS[name]
    architecture, recipe = decode_link(str(expected["link"]))
    assert architecture == Architecture.from_json(json.dumps(expected["architecture"]))
    assert recipe == Recipe.from_json(json.dumps(expected["recipe"]))


def test_stored_run_is_found_by_its_id(stored_home: Path) -> None:
    run = find_named("Whole")
    assert find_run(run.id[:15]).record == run.record
