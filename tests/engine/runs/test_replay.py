"""Replay: identical weights bit for bit, including hyperparameter changes; manipulated runs are detected."""

from pathlib import Path
from typing import Any

import pytest
import torch

from playground.core.datasets import DATASETS, Dataset
from playground.core.events import Pause, Resume, SaveSnapshot, Stop, TrainSteps, UpdateHyperparameters
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.runs import initial_state
from playground.engine.runs.fork import fork_run
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.errors import StorageError
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

CHANGES: list[dict[str, Any]] = [
    {"lr": 0.003},
    {"batch_size": 31},
    {"epochs": 3},
    {"dropout": [0.5, 0.0]},
    {"weight_decay": 0.01, "label_smoothing": 0.1},
    {"augmentation": [{"kind": "flip", "p": 0.5}]},
    {"optimizer": {"kind": "sgd", "momentum": 0.5}},
]


@pytest.fixture(autouse=True)
def _tiny_trainers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial_state, "Trainer", make_trainer)


def recipe(**fields: Any) -> Recipe:
    return tiny_recipe(**({"optimizer": Sgd(), "schedule": OneCycle(), "augmentation": AUGMENTATION} | fields))


def train(run: Run, script: Script | None = None) -> Run:
    record_run(run, make_trainer(run.record.architecture, run.record.recipe), script)
    return run


def trained(script: Script | None = None, **fields: Any) -> Run:
    return train(create_run(RICH, recipe(**fields)), script)


def replayed(run: Run) -> tuple[dict[int, bool], list[Any]]:
    replay = Replay(run)
    stream = list(replay.run())
    return replay.snapshot_matches, stream


def test_replay_matches_every_snapshot() -> None:
    run = trained()
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    compared, stream = replayed(run)
    assert compared == dict.fromkeys(run.list_snapshot_steps(), True)
    assert {0, 1, 2, 3, 6, 12} <= compared.keys()
    assert figures(stream) == figures(run.read_events())
    assert stream[-1].status == "completed"
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before, "nothing is written"


@pytest.mark.parametrize("step", [0, 3, 5, 6, 11])
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_replay_repeats_hyperparameter_changes_after_the_same_batches(changes: dict[str, Any], step: int) -> None:
    run = trained(Script({step: [UpdateHyperparameters(hyperparameters=changes)]}))
    compared, stream = replayed(run)
    assert compared
    assert all(compared.values()), compared
    assert max(compared) == run.list_snapshot_steps()[-1]
    assert figures(stream) == figures(run.read_events())
    changed = [event.after for event in run.read_events() if event.kind == "hyperparameter_changed"]
    assert changed == [event.after for event in stream if event.kind == "hyperparameter_changed"]
    assert len(changed) == len(changes)


def test_replay_matches_a_run_with_many_changes_pauses_and_stops() -> None:
    run = trained(
        Script(
            {
                2: [
                    UpdateHyperparameters(hyperparameters=CHANGES[0]),
                    UpdateHyperparameters(hyperparameters={"lr": 0.004}),
                ],
                4: [Pause()],
                7: [Stop()],
            },
            then=[
                UpdateHyperparameters(hyperparameters=CHANGES[3]),
                SaveSnapshot(),
                TrainSteps(batches=2),
                UpdateHyperparameters(hyperparameters=CHANGES[1]),
                Resume(),
            ],
        )
    )
    train(
        run,
        Script(
            {
                7: [UpdateHyperparameters(hyperparameters=CHANGES[2])],
                9: [UpdateHyperparameters(hyperparameters=CHANGES[6])],
            }
        ),
    )
    compared, stream = replayed(run)
    assert len(compared) >= 6
    assert all(compared.values()), compared
    assert max(compared) == run.list_snapshot_steps()[-1]
    assert figures(stream) == figures(run.read_events())


@pytest.mark.parametrize("ending", ["stopped", "interrupted"])
def test_stopped_run_is_replayed_to_its_last_step(ending: Any) -> None:
    run = trained(Script({3: [UpdateHyperparameters(hyperparameters={"lr": 0.1})], 8: [Stop(status=ending)]}))
    compared, stream = replayed(run)
    assert compared == dict.fromkeys(run.list_snapshot_steps(), True)
    assert stream[-1].step == 8


@pytest.mark.parametrize("epochs", [1, 2])
def test_run_with_reduced_epochs_is_replayed_to_its_last_step(epochs: int) -> None:
    run = trained(Script({8: [UpdateHyperparameters(hyperparameters={"epochs": epochs})]}))
    compared, stream = replayed(run)
    assert all(compared.values())
    assert max(compared) == run.list_snapshot_steps()[-1]
    assert stream[-1].step == run.read_history().step


def test_replay_detects_a_changed_weight() -> None:
    run = trained()
    weights = run.load_snapshot(6)
    first = weights["0.weight"].view(-1)
    first[0] = torch.nextafter(first[0], torch.tensor(9.0))
    run.get_snapshot_path(6).write_bytes(serialize_snapshot(weights))
    compared, _ = replayed(run)
    assert [step for step, same in compared.items() if not same] == [6]


def test_replay_detects_other_layers_in_a_snapshot() -> None:
    run = trained()
    weights = run.load_snapshot(3)
    weights.pop(next(iter(weights)))
    run.get_snapshot_path(3).write_bytes(serialize_snapshot(weights))
    assert replayed(run)[0][3] is False


def test_replay_detects_a_changed_log() -> None:
    run = trained(Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.003})]}))
    run.log_path.write_bytes(run.log_path.read_bytes().replace(b'"after":0.003', b'"after":0.0031'))
    compared, _ = replayed(run)
    assert [same for step, same in sorted(compared.items()) if step <= 4] == [True] * 5
    assert not compared[12]


def test_replay_skips_pruned_snapshots() -> None:
    run = trained()
    run.get_snapshot_path(6).unlink()
    compared, _ = replayed(run)
    assert 6 not in compared
    assert all(compared.values())


def test_replay_of_a_fork_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "tiny", Dataset("tiny", "Tiny", (1, 8, 8), ("0", "1", "2"), 126, 30, ""))
    parent = trained(dataset="tiny", validation_size=30)
    run = fork_run(parent, 6, recipe(dataset="tiny", validation_size=30), name="The fork")
    for _ in range(2):
        with pytest.raises(StorageError, match="The fork is a fork") as caught:
            Replay(run)
        assert parent.id in str(caught.value)
        train(run)
    assert all(replayed(parent)[0].values())


def test_replay_of_a_run_without_weights_is_rejected() -> None:
    with pytest.raises(StorageError, match="no weights"):
        Replay(create_run(RICH, recipe()))


def test_replay_matches_snapshots_around_a_hyperparameter_change() -> None:
    run = trained(Script({4: [SaveSnapshot(), UpdateHyperparameters(hyperparameters={"lr": 0.1}), SaveSnapshot()]}))
    compared, _ = replayed(run)
    assert compared[4]
    assert compared[12]
    assert_same_weights(run.load_checkpoint()["model"], run.load_snapshot(12))
