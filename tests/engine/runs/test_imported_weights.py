"""Import of weights: the run has exactly these weights; files that do not fit the network are rejected."""

import json
import random
from pathlib import Path

import pytest
import safetensors.torch
import torch

from playground.core.architecture import Architecture
from playground.core.layers import BatchNorm, Conv2d, Flatten, Linear, Output
from playground.core.recipe import Recipe
from playground.engine.data.custom.store import export_record, import_record
from playground.engine.model.build import build_model
from playground.engine.runs import imported_weights
from playground.engine.runs.imported_weights import import_published_network, import_weights
from playground.engine.runs.initial_state import load_initial_state
from playground.engine.runs.manage import delete_run
from playground.engine.runs.repository import list_runs
from playground.engine.runs.run_files import serialize_snapshot
from playground.errors import PlaygroundError, StorageError, UnknownNameError
from playground.web.page_file import PublishedNetwork

NET = Architecture(layers=(Conv2d(out_channels=2), BatchNorm(), Flatten(), Output()))
WEIGHTS = build_model(NET, seed=4).state_dict()


def test_imported_run_has_the_weights_and_starts_from_them(home: object) -> None:
    run = import_weights(serialize_snapshot(dict(WEIGHTS)), NET, Recipe(), name="Imported")
    for kept in (run.load_snapshot(0), load_initial_state(run).weights):
        assert all(torch.equal(kept[name], value) for name, value in WEIGHTS.items())
    assert run.record.name == "Imported"
    assert run.can_resume(run.read_history())
    assert run.read_history().status == "stopped"


def test_weights_can_be_imported_without_their_dataset(home: object) -> None:
    recipe = Recipe(dataset="kmnist", transferred_lr_scale=0.0)
    run = import_weights(serialize_snapshot(dict(WEIGHTS)), NET, recipe)
    assert run.record.recipe == recipe.replace(transferred_lr_scale=1.0), (
        "the scale applies only to partly transferred weights"
    )


def test_half_precision_weights_are_converted(home: object) -> None:
    half = {name: value.half() if value.is_floating_point() else value for name, value in WEIGHTS.items()}
    run = import_weights(safetensors.torch.save(half), NET, Recipe())
    assert all(value.dtype == WEIGHTS[name].dtype for name, value in run.load_snapshot(0).items())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"0.bias": None}, "0.bias is missing"),
        ({"9.weight": torch.zeros(1)}, "'9.weight' is unknown"),
        ({"0.bias": torch.zeros(3)}, r"0.bias is \(3,\) in place of \(2,\)"),
    ],
)
def test_imported_weights_of_another_network_are_rejected_by_name(
    changed: dict[str, torch.Tensor | None], words: str, home: object
) -> None:
    weights = {name: value for name, value in ({**WEIGHTS, **changed}).items() if value is not None}
    with pytest.raises(StorageError, match=words):
        import_weights(safetensors.torch.save(weights), NET, Recipe())
    assert list_runs()[0] == []


def test_damaged_weight_files_are_rejected_and_leave_nothing(home: object) -> None:
    """Each of 400 files with changed, removed or inserted bytes is rejected with a reason, or is still valid."""
    generator = random.Random(3)
    valid = serialize_snapshot(dict(WEIGHTS))
    rejected = 0
    for _ in range(400):
        content = bytearray(valid)
        for _ in range(generator.choice((1, 1, 4, 20))):
            position = generator.randrange(min(len(content), generator.choice((8, 400, len(content)))))
            match generator.randrange(3):
                case 0:
                    content[position] = generator.randrange(256)
                case 1:
                    del content[position : position + generator.randrange(1, 200)]
                case _:
                    content[position:position] = generator.randbytes(generator.randrange(1, 60))
            content = content or bytearray(b"\0")
        try:
            delete_run(import_weights(bytes(content), NET, Recipe()))
        except PlaygroundError:
            rejected += 1
    assert rejected > 200
    assert list_runs()[0] == []


def publish(net: Architecture = NET, *, dataset: str = "mnist", record: str = "") -> PublishedNetwork:
    weights = {name: tensor.numpy() for name, tensor in WEIGHTS.items()}
    return PublishedNetwork("A page", net, Recipe(dataset=dataset, transferred_lr_scale=0.5), weights, record)


def test_published_network_becomes_a_run_with_its_weights(home: object) -> None:
    run = import_published_network(publish())
    assert (run.record.name, run.record.architecture, run.record.recipe.dataset) == ("A page", NET, "mnist")
    assert all(torch.equal(run.load_snapshot(0)[name], value) for name, value in WEIGHTS.items())


def test_dataset_and_name_of_a_published_network_can_be_replaced(home: object) -> None:
    run = import_published_network(publish(dataset="own:gone-12345678"), dataset="kmnist", name="Mine")
    assert (run.record.name, run.record.recipe.dataset) == ("Mine", "kmnist")
    with pytest.raises(UnknownNameError, match="nothing"):
        import_published_network(publish(), dataset="nothing")


def test_published_network_of_a_missing_dataset_keeps_its_class_names(home: object) -> None:
    names = [f"class {number}" for number in range(10)]
    facts = {"title": "Shapes", "class_names": names, "channels": 1, "height": 28, "width": 28}
    record = json.dumps({**facts, "train_size": 9, "test_size": 3, "created": "2026", "is_drawn": True})
    run = import_published_network(publish(dataset="own:shapes-12345678", record=record))
    assert list(run.get_dataset().class_names) == names
    assert run.get_dataset().is_drawable


@pytest.mark.parametrize("name", ["own:../../evil", "other"])
def test_record_of_another_name_is_never_written(name: str, home: Path) -> None:
    with pytest.raises(StorageError, match="not the name of a custom dataset"):
        import_record(name, "{}")
    assert not (home / "datasets").exists()


def test_record_of_an_existing_dataset_is_kept(home: object) -> None:
    facts = {"channels": 1, "height": 28, "width": 28, "train_size": 9, "test_size": 3, "created": "2026"}
    for title in ("first", "second"):
        import_record("own:x-1", json.dumps({**facts, "title": title, "class_names": ["a", "b"]}))
    assert json.loads(export_record("own:x-1"))["title"] == "first"
    assert export_record("mnist") == export_record("own:unknown") == ""


def test_network_larger_than_its_weights_is_not_built(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported_weights, "build_model", lambda *_: pytest.fail("built"))
    large = Architecture(layers=(Flatten(), Linear(out_features=4000), Linear(out_features=4000), Output()))
    with pytest.raises(StorageError, match="fewer weights than its network"):
        import_published_network(publish(large))


def test_published_weights_of_another_network_are_rejected_by_name(home: object) -> None:
    with pytest.raises(StorageError, match="of another network"):
        import_published_network(publish(Architecture(layers=(Flatten(), Output()))))
    assert list_runs()[0] == []
