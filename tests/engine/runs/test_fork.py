"""Forks: weights, optimizer state, log and hyperparameter changes come from the parent's checkpoint."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from playground.core.architecture import Architecture
from playground.core.datasets import DATASETS, Dataset
from playground.core.events import Event, Forked, Pause, Resume, Stop, UpdateHyperparameters
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.runs.fork import fork_run, load_recipe_at
from playground.engine.runs.log_reader import LogReader
from playground.engine.runs.manage import delete_run
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import create_run, find_run, list_runs
from playground.engine.runs.run import Run
from playground.engine.training.command_sources import NullCommandSource
from playground.engine.training.trainer import Trainer
from playground.errors import PlaygroundError, RecipeError, StorageError
from tests.engine.helpers import (
    AUGMENTATION,
    RICH,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    record_run,
    tiny_recipe,
)
from tests.narrowing import require
from tests.run_events import events_of

CHECKPOINT_STEPS = (3, 6, 9, 12)


@pytest.fixture(autouse=True)
def _tiny_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the tiny images, since a fork looks its dataset up."""
    monkeypatch.setitem(DATASETS, "tiny", Dataset("tiny", "Tiny", (1, 8, 8), ("0", "1", "2"), 126, 30, ""))


def recipe(**fields: Any) -> Recipe:
    return tiny_recipe(**({"dataset": "tiny", "validation_size": 30, "augmentation": AUGMENTATION} | fields))


def train(run: Run, script: Script | None = None, *, until: Callable[[Event], bool] | None = None) -> Trainer:
    """Train a run from its last checkpoint to its end, or until killed after the event for which ``until`` is true."""
    trainer = make_trainer(run.record.architecture, run.record.recipe)
    record_run(run, trainer, script, until=until)
    return trainer


def trained(script: Script | None = None, architecture: Architecture = RICH, **fields: Any) -> tuple[Run, Trainer]:
    run = create_run(architecture, recipe(**fields))
    return run, train(run, script)


def content(run: Run) -> dict[str, str]:
    """Compute a digest of every file of a run."""
    files = (path for path in run.folder.rglob("*") if path.is_file() and path.name not in ("lock", "pid"))
    return {str(path.relative_to(run.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def forked_events(run: Run) -> list[Forked]:
    return events_of(run.read_events(), Forked)


@pytest.mark.parametrize("step", CHECKPOINT_STEPS)
def test_fork_starts_from_the_weights_of_its_parent_at_that_step(step: int) -> None:
    parent, _ = trained()
    assert parent.list_checkpoint_steps() == CHECKPOINT_STEPS
    run = fork_run(parent, step, recipe(epochs=4, lr=0.003))
    trainer = make_trainer(run.record.architecture, run.record.recipe)
    trainer.restore(run.load_checkpoint())
    assert trainer.step == step
    assert_same_weights(trainer.get_weights(), parent.load_snapshot(step))
    assert_same_weights(run.load_checkpoint()["model"], parent.load_checkpoint(step)["model"])
    assert run.list_checkpoint_steps() == (step,)
    assert run.list_snapshot_steps() == tuple(kept for kept in parent.list_snapshot_steps() if kept <= step)
    for kept in run.list_snapshot_steps():
        assert_same_weights(run.load_snapshot(kept), parent.load_snapshot(kept))
        assert run.get_snapshot_path(kept).samefile(parent.get_snapshot_path(kept)), (
            "the snapshot was copied, not linked"
        )
    assert run.checkpoint_path.samefile(run.get_checkpoint_path(step))


OPTIMIZERS = [Sgd(), Adam(), AdamW(), RmsProp(momentum=0.5)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda item: item.kind)
def test_unchanged_fork_gives_the_weights_of_its_parent(optimizer: Any) -> None:
    parent, whole = trained(optimizer=optimizer, schedule=OneCycle())
    for step in CHECKPOINT_STEPS[:-1]:
        run = fork_run(parent, step, load_recipe_at(parent, step))
        assert forked_events(run)[0].changes == {}
        forked = train(run)
        assert_same_weights(forked.get_weights(), whole.get_weights())
        assert figures(run.read_events()) == figures(parent.read_events())
        assert_same_weights(run.load_snapshot(12), parent.load_snapshot(12))
        assert run.read_history().status == "completed"


def test_fork_of_a_completed_run_trains_the_additional_epochs() -> None:
    parent, _ = trained()
    longer, whole = trained(epochs=3)
    run = fork_run(parent, 12, recipe(epochs=3))
    assert run.read_history().test is not None, "the parent's evaluation is shown until training continues"
    forked = train(run)
    assert_same_weights(forked.get_weights(), whole.get_weights())
    assert len(run.read_history().completed_epochs) == len(longer.read_history().completed_epochs) == 3
    assert [event.split for event in run.read_events() if event.kind == "evaluated"].count("test") == 2
    assert figures([require(run.read_history().test)]) == figures([require(longer.read_history().test)])


def test_fork_with_the_same_optimizer_keeps_its_state() -> None:
    parent, _ = trained()
    run = fork_run(parent, 6, recipe(optimizer=Adam(beta1=0.5), lr=0.001))
    before, after = (one.load_checkpoint(6)["optimizer"]["state"] for one in (parent, run))
    assert before.keys() == after.keys()
    assert before
    for weight in before:
        for name in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(before[weight][name], after[weight][name])
    state = train(run).create_checkpoint()["optimizer"]
    assert state["param_groups"][0]["betas"] == (0.5, 0.999)
    assert {float(tensors["step"]) for tensors in state["state"].values()} == {12.0}


def test_fork_with_another_optimizer_starts_with_an_empty_state() -> None:
    parent, _ = trained()
    run = fork_run(parent, 6, recipe(optimizer=Sgd(momentum=0.9), lr=0.05))
    assert run.load_checkpoint()["optimizer"] is None
    before = parent.load_snapshot(6)
    trainer = train(run, Script({7: [Stop()]}))
    for name, weight in trainer.model.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(weight.detach().cpu(), before[name] - 0.05 * weight.grad.cpu())
    assert forked_events(run)[0].changes["optimizer"][1]["kind"] == "sgd"
    assert train(run).step == 12


def test_fork_from_adam_to_adamw_starts_with_an_empty_state() -> None:
    parent, _ = trained()
    run = fork_run(parent, 6, recipe(optimizer=AdamW()))
    assert run.load_checkpoint()["optimizer"] is None
    assert {float(tensors["step"]) for tensors in train(run).create_checkpoint()["optimizer"]["state"].values()} == {
        6.0
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 5},
        {"schedule": Cosine(), "lr": 0.02},
        {"seed": 9},
        {"epochs": 5, "augmentation": ()},
        {"weight_decay": 0.1, "label_smoothing": 0.2},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_fork_with_changes_completes_and_leaves_its_parent_unchanged(fields: dict[str, Any]) -> None:
    parent, whole = trained()
    before = content(parent)
    run = fork_run(parent, 6, recipe(**fields))
    forked = train(run)
    assert run.read_history().status == "completed"
    assert forked.recipe == recipe(**fields)
    assert len(run.read_history().completed_epochs) == recipe(**fields).epochs
    assert any(not torch.equal(weight, whole.get_weights()[name]) for name, weight in forked.get_weights().items())
    shared = [event for event in figures(run.read_events()) if event["step"] <= 6]
    assert shared == [event for event in figures(parent.read_events()) if event["step"] <= 6]
    assert content(parent) == before


def test_log_of_a_fork_is_that_of_its_parent_followed_by_the_changes() -> None:
    parent, _ = trained(Script({4: [Pause()]}, then=[Resume()]))
    run = fork_run(parent, 6, recipe(lr=0.5, epochs=7, optimizer=Adam(beta1=0.8)), name="Other", owner="me")
    *prefix, forked = run.read_events()
    stream = list(parent.read_events())
    last = max(index for index, event in enumerate(stream) if event.kind == "checkpoint_saved" and event.step == 6)
    assert prefix[:-1] == stream[:last]
    assert (prefix[-1].kind, prefix[-1].step) == ("checkpoint_saved", 6)
    assert forked == Forked(
        step=6,
        elapsed_s=round(parent.load_checkpoint(6)["elapsed_s"], 4),
        parent=parent.id,
        changes={
            "lr": (0.01, 0.5),
            "epochs": (2, 7),
            "optimizer": (Adam().model_dump(mode="json"), Adam(beta1=0.8).model_dump(mode="json")),
        },
    )
    assert (run.record.parent, run.record.parent_step) == (parent.id, 6)
    assert (run.record.name, run.record.owner) == ("Other", "me")
    history = run.read_history()
    assert (history.status, history.step, history.planned_epochs) == ("stopped", 6, 7.0)
    assert run.can_resume()
    assert find_run(run.id) == run
    elapsed = [event.elapsed_s for event in train_and_read(run)]
    assert elapsed == sorted(elapsed)


def train_and_read(run: Run) -> list[Any]:
    train(run)
    return list(run.read_events())


def test_fork_keeps_earlier_hyperparameter_changes() -> None:
    changes = {"lr": 0.003, "batch_size": 8, "dropout": [0.0, 0.6], "optimizer": {"kind": "adam", "beta1": 0.7}}
    parent, whole = trained(Script({4: [UpdateHyperparameters(hyperparameters=changes)]}))
    assert parent.record.architecture.dropout_rates == (0.1, 0.3)
    early, late = min(parent.list_checkpoint_steps()), max(parent.list_checkpoint_steps())
    assert load_recipe_at(parent, early) == recipe()
    assert load_recipe_at(parent, late) == recipe().update_hyperparameters(
        {name: changes[name] for name in changes if name != "dropout"}
    )
    for step in parent.list_checkpoint_steps()[1:-1]:
        run = fork_run(parent, step, load_recipe_at(parent, step))
        assert run.record.recipe == load_recipe_at(parent, step)
        assert run.record.architecture.dropout_rates == (0.0, 0.6)
        assert run.read_history().changed_hyperparameters == {}
        assert_same_weights(train(run).get_weights(), whole.get_weights())
        assert figures(run.read_events()) == figures(parent.read_events())


def test_fork_ignores_later_hyperparameter_changes() -> None:
    parent, _ = trained(Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.5, "dropout": [0.9, 0.9]})]}))
    _, undisturbed = trained()
    run = fork_run(parent, 3, load_recipe_at(parent, 3))
    assert run.record.architecture == RICH
    assert_same_weights(train(run).get_weights(), undisturbed.get_weights())
    assert run.read_history().hyperparameter_changes == []


def test_fork_keeps_hyperparameter_changes_of_its_own_step() -> None:
    script = Script(
        {6: [UpdateHyperparameters(hyperparameters={"lr": 0.02}), UpdateHyperparameters(hyperparameters={"lr": 0.03})]}
    )
    parent, whole = trained(script)
    run = fork_run(parent, 6, load_recipe_at(parent, 6))
    assert run.record.recipe.lr == 0.03
    assert [event.after for event in run.read_history().hyperparameter_changes] == [0.02, 0.03]
    assert_same_weights(train(run).get_weights(), whole.get_weights())


def test_fork_of_a_fork_names_both_parents() -> None:
    parent, whole = trained()
    child = fork_run(parent, 3, load_recipe_at(parent, 3))
    train(child)
    grandchild = fork_run(child, 9, load_recipe_at(child, 9), name="Third")
    assert [event.parent for event in forked_events(grandchild)] == [parent.id, child.id]
    forked = grandchild.read_history().fork_event
    assert forked is not None
    assert (forked.parent, forked.step, grandchild.record.parent_step) == (child.id, 9, 9)
    assert_same_weights(train(grandchild).get_weights(), whole.get_weights())
    assert figures(grandchild.read_events()) == figures(parent.read_events())
    twin = fork_run(child, 3, recipe(lr=0.5))
    assert [event.step for event in forked_events(twin)] == [3, 3]
    train(twin)
    assert [event.parent for event in forked_events(twin)] == [parent.id, child.id]


@pytest.mark.parametrize(("field", "value"), [("dataset", "mnist"), ("validation_size", 40), ("limit", 50)])
def test_fork_with_other_images_is_rejected(field: str, value: Any) -> None:
    parent, _ = trained()
    known = len(list_runs()[0])
    with pytest.raises(RecipeError, match=f"{field} cannot change") as caught:
        fork_run(parent, 6, recipe(**{field: value}))
    assert "evaluated on images that it was trained on" in caught.value.expected
    assert len(list_runs()[0]) == known


@pytest.mark.parametrize(
    ("step", "epochs", "needed"), [(6, 1, 2), (9, 1, 2), (12, 1, 3), (12, 2, 3), (3, 1, None), (9, 2, None)]
)
def test_fork_with_too_few_epochs_is_rejected_with_the_smallest_valid_number(
    step: int, epochs: int, needed: int | None
) -> None:
    parent, _ = trained()
    known = len(list_runs()[0])
    if needed is None:
        run = fork_run(parent, step, recipe(epochs=epochs))
        assert train(run).step == 6 * epochs
        return
    with pytest.raises(RecipeError, match="were trained at that step already") as caught:
        fork_run(parent, step, recipe(epochs=epochs))
    assert f"Set epochs to {needed} or more" in caught.value.fix
    assert len(list_runs()[0]) == known
    assert train(fork_run(parent, step, recipe(epochs=needed))).step == 6 * needed


def test_rejected_fork_creates_no_folder() -> None:
    parent, _ = trained()
    known = len(list_runs()[0])
    with pytest.raises(RecipeError, match="batch of 97"):
        fork_run(parent, 6, recipe(batch_size=97))
    with pytest.raises(StorageError, match="no such checkpoint") as caught:
        fork_run(parent, 5, recipe())
    assert "3, 6, 9, 12" in caught.value.expected
    parent.get_checkpoint_path(9).write_bytes(b"rubbish")
    with pytest.raises(StorageError, match="damaged"):
        fork_run(parent, 9, recipe())
    with pytest.raises(StorageError, match="no checkpoint"):
        fork_run(create_run(RICH, recipe()), 0, recipe())
    with pytest.raises(PlaygroundError):
        fork_run(find_run("pretrained"), 1, recipe())
    assert len(list_runs()[0]) == known + 1


def test_fork_trains_after_its_parent_was_deleted() -> None:
    parent, whole = trained()
    run, other = (fork_run(parent, 6, load_recipe_at(parent, 6)) for _ in range(2))
    kept = {step: parent.load_snapshot(step) for step in run.list_snapshot_steps()}
    train(other)
    delete_run(other)
    assert parent.list_checkpoint_steps() == CHECKPOINT_STEPS
    delete_run(parent)
    for step, weights in kept.items():
        assert_same_weights(run.load_snapshot(step), weights)
    assert_same_weights(train(run).get_weights(), whole.get_weights())
    assert_same_weights(train(fork_run(run, 9, load_recipe_at(run, 9))).get_weights(), whole.get_weights())


def test_pruning_snapshots_of_a_fork_keeps_those_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, _ = trained()
    before = content(parent)
    run = fork_run(parent, 9, recipe(epochs=4))
    monkeypatch.setattr("playground.engine.runs.recorder.MAX_SNAPSHOTS", 3)
    monkeypatch.setattr("playground.engine.runs.recorder.MAX_CHECKPOINTS", 2)
    train(run)
    assert len(run.list_snapshot_steps()) == 3
    assert len(run.list_checkpoint_steps()) == 2
    assert content(parent) == before


@pytest.mark.parametrize("killed_at", [("resumed", 6), ("step_done", 7), ("checkpoint_saved", 9), ("step_done", 11)])
def test_killed_fork_keeps_its_origin(killed_at: tuple[str, int]) -> None:
    parent, _ = trained()
    changed_recipe = recipe(lr=0.003, epochs=3)
    run, whole = (fork_run(parent, 6, changed_recipe) for _ in range(2))
    train(run, until=lambda event: (event.kind, event.step) == killed_at)
    assert run.read_history().status == "interrupted"
    assert [event.parent for event in forked_events(run)] == [parent.id]
    undisturbed = train(whole)
    assert_same_weights(train(run).get_weights(), undisturbed.get_weights())
    assert forked_events(run) == forked_events(whole)
    assert figures(run.read_events()) == figures(whole.read_events())
    kinds = [event.kind for event in run.read_events()]
    assert kinds.index("forked") < kinds.index("resumed")


def test_unstarted_fork_can_resume_later() -> None:
    parent, _ = trained()
    run = fork_run(parent, 6, recipe(epochs=3))
    assert LogReader(run).read_history().status == "stopped"
    assert run.can_resume()
    train(run, Script({6: [Stop()]}))
    assert len(forked_events(run)) == 1
    assert train(run).step == 18


def test_live_run_can_be_forked() -> None:
    """The fork starts from the parent's checkpoint, independently of the parent's later training."""
    run = create_run(RICH, recipe())
    trainer = make_trainer(RICH, recipe())
    forks = []
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, NullCommandSource()):
            if event.kind in ("checkpoint_saved", "step_done") and run.list_checkpoint_steps():
                forks.append(fork_run(run, run.list_checkpoint_steps()[-1], recipe(epochs=3)))
    _, longer = trained(epochs=3)
    assert len(forks) > 6
    for fork in forks[::4]:
        assert len(forked_events(fork)) == 1
        assert_same_weights(train(fork).get_weights(), longer.get_weights())
        assert fork.read_history().steps == list(range(1, 19))


def test_files_are_copied_if_hard_links_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    parent, whole = trained()
    run = fork_run(parent, 6, load_recipe_at(parent, 6))
    shutil.rmtree(parent.folder)
    assert_same_weights(train(run).get_weights(), whole.get_weights())
    assert run.load_checkpoint()["step"] == 12
