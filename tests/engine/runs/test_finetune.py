"""Drawing collections, fine-tuning on drawings, and the initial state of a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from playground.core.events import RunStarted
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.data.custom.drawings import (
    MAX_DRAWINGS,
    DrawingCollection,
    LabeledDrawing,
    add_drawing,
    delete_drawings,
    load_drawings,
    read_labeled_drawings,
)
from playground.engine.data.rasterize import rasterize
from playground.engine.runs.finetune import create_finetuning_run
from playground.engine.runs.fork import fork_run
from playground.engine.runs.initial_state import (
    EMPTY_INITIAL_STATE,
    InitialState,
    create_trainer,
    load_initial_state,
    save_initial_state,
)
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import create_run, find_run, load_pretrained_run
from playground.engine.runs.run import Run
from playground.errors import DrawingError, PlaygroundError, StorageError
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import load_model
from tests.engine.helpers import assert_same_weights, record_run, tiny_images
from tests.narrowing import require
from tests.run_events import events_of

TRIANGLE = (((10.0, 90.0), (50.0, 10.0), (90.0, 90.0), (10.0, 90.0)),)
SPIRAL = (tuple((50 + t * np.cos(t), 50 + t * np.sin(t)) for t in np.linspace(0, 18, 60).tolist()),)
SHORT = Recipe(limit=320, batch_size=64, validation_size=100, precision="float32", device="cpu")
TINY = get_architecture_preset("tiny").architecture


def drawing(label: int, strokes: tuple[tuple[tuple[float, float], ...], ...] = TRIANGLE) -> LabeledDrawing:
    return LabeledDrawing.from_image(label, strokes, rasterize(strokes))


def train(run: Run, **options: Any) -> Run:
    trainer = create_trainer(run.record.architecture, run.record.recipe, load_initial_state(run), **options)
    record_run(run, trainer)
    return run


@pytest.fixture
def parent(home: Path) -> Run:
    return train(create_run(TINY, SHORT, name="Parent"))


def test_network_trained_on_few_images_can_be_finetuned(home: Path) -> None:
    parent = train(create_run(TINY, SHORT.replace(limit=50, batch_size=10)))
    finetuned = train(create_finetuning_run(parent, (drawing(3),)))
    assert finetuned.record.recipe.batch_size == 50
    assert len(finetuned.list_snapshot_steps()) > 1


# Drawing collections


def test_drawings_are_stored_per_person(home: Path) -> None:
    assert load_drawings(None).drawings == ()
    add_drawing(None, drawing(3))
    add_drawing("ann/../../x", drawing(4, SPIRAL))
    add_drawing(None, drawing(5, SPIRAL))
    assert [one.label for one in load_drawings(None).drawings] == [3, 5]
    assert [one.label for one in load_drawings("ann/../../x").drawings] == [4]
    assert load_drawings("ben").drawings == ()
    assert all(path.parent == home / "drawings" for path in home.rglob("*.json"))
    delete_drawings(None)
    delete_drawings(None)
    assert load_drawings(None).drawings == ()
    assert len(load_drawings("ann/../../x").drawings) == 1


def test_adding_the_same_drawing_replaces_its_label(home: Path) -> None:
    add_drawing(None, drawing(3))
    add_drawing(None, drawing(8))
    assert [one.label for one in load_drawings(None).drawings] == [8]


def test_full_drawing_collection_rejects_more(home: Path) -> None:
    folder = home / "drawings"
    folder.mkdir()
    many = tuple(drawing(1).model_copy(update={"pixels": f"{number:08}"}) for number in range(MAX_DRAWINGS))
    (folder / "mine.json").write_text(DrawingCollection(drawings=many).model_dump_json(by_alias=True))
    with pytest.raises(StorageError, match="full"):
        add_drawing(None, drawing(3))
    assert len(load_drawings(None).drawings) == MAX_DRAWINGS


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 9}', '{"drawings": [{"label": 11, "pixels": ""}]}', "\x00"])
def test_damaged_drawing_collection_is_rejected(home: Path, content: str) -> None:
    (home / "drawings").mkdir()
    (home / "drawings" / "mine.json").write_text(content)
    with pytest.raises(PlaygroundError):
        load_drawings(None)


def test_saved_collection_and_plain_strokes_give_the_same_drawings(home: Path) -> None:
    add_drawing(None, drawing(3))
    saved = load_drawings(None).model_dump_json(by_alias=True).encode()
    plain = json.dumps([{"label": 3, "strokes": TRIANGLE}]).encode()
    assert read_labeled_drawings("a.json", saved) == read_labeled_drawings("b.json", plain) == (drawing(3),)
    assert read_labeled_drawings("c.json", json.dumps({"label": 3, "strokes": TRIANGLE}).encode()) == (drawing(3),)


@pytest.mark.parametrize(
    "content",
    [b"", b"3", b"[3]", b"{}", b'[{"label": 12, "strokes": [[[1, 2]]]}]', b'[{"label": 1, "strokes": []}]'],
    ids=["empty", "number", "list of numbers", "no drawing", "unknown label", "no strokes"],
)
def test_files_without_labeled_drawings_are_rejected(content: bytes) -> None:
    with pytest.raises(DrawingError, match=r"own\.json"):
        read_labeled_drawings("own.json", content)


def test_strokes_are_rendered_with_several_widths_and_images_unchanged() -> None:
    widths = {float(image.sum()) for image in drawing(3).render_images(5)}
    assert len(widths) == 5
    unstroked = LabeledDrawing.from_image(3, (), rasterize(TRIANGLE))
    for image in unstroked.render_images(2):
        np.testing.assert_allclose(image, rasterize(TRIANGLE), atol=0.5 / 255)
    with pytest.raises(DrawingError, match="damaged"):
        unstroked.model_copy(update={"pixels": "AAAA"}).render_images(1)


# Initial state


def test_run_starts_from_initial_weights_and_extra_images(parent: Run) -> None:
    images = tiny_images(10, size=28)
    initial_state = InitialState(parent.load_snapshot(parent.list_snapshot_steps()[-1]), images)
    run = create_run(TINY, SHORT, write_initial_files=lambda created: save_initial_state(created, initial_state))
    assert_same_weights(load_initial_state(run).weights, initial_state.weights)
    train(run)
    assert_same_weights(run.load_snapshot(0), initial_state.weights)
    (started,) = events_of(run.read_events(), RunStarted)
    assert started.train_size == 320 + 10
    assert (started.validation_size, started.test_size) == (100, 10_000)
    assert load_initial_state(parent) == EMPTY_INITIAL_STATE


def test_resume_with_initial_state_gives_identical_weights(parent: Run) -> None:
    initial_state = InitialState(parent.load_snapshot(parent.list_snapshot_steps()[-1]), tiny_images(10, size=28))
    whole = create_trainer(TINY, SHORT, initial_state)
    first, second = create_trainer(TINY, SHORT, initial_state), create_trainer(TINY, SHORT, initial_state)
    for trainer in (whole, first):
        for event in trainer.run():
            if trainer is first and event.kind == "step_done" and event.step == 2:
                break
    second.restore(first.create_checkpoint())
    list(second.run())
    assert_same_weights(second.get_weights(), whole.get_weights())


def test_replay_and_forks_use_the_initial_state(parent: Run) -> None:
    run = train(create_finetuning_run(parent, (drawing(3),)))
    replay = Replay(run)
    list(replay.run())
    assert replay.snapshot_matches
    assert all(replay.snapshot_matches.values())
    step = run.list_checkpoint_steps()[0]
    fork = fork_run(run, step, run.record.recipe.replace(lr=1e-4))
    assert_same_weights(load_initial_state(fork).weights, load_initial_state(run).weights)
    fork_images, run_images = (require(load_initial_state(one).extra_images) for one in (fork, run))
    assert len(fork_images) == len(run_images)


def test_initial_weights_of_another_network_and_damaged_files_are_rejected(parent: Run) -> None:
    with pytest.raises(StorageError, match="do not fit"):
        create_trainer(get_architecture_preset("guide").architecture, SHORT, InitialState(parent.load_snapshot(0)))
    run = create_run(TINY, SHORT)
    run.initial_state_path.write_bytes(b"rubbish")
    with pytest.raises(StorageError, match="cannot be read"):
        load_initial_state(run)


# Fine-tuning


def test_finetuning_run_records_its_parent(parent: Run) -> None:
    run = create_finetuning_run(parent, (drawing(3), drawing(5, SPIRAL)), owner="ann")
    assert (run.record.name, run.record.owner) == ("Parent, taught", "ann")
    assert (run.record.parent, run.record.parent_step) == (parent.id, parent.list_snapshot_steps()[-1])
    assert run.record.recipe.dataset == "mnist"
    assert run.record.recipe.limit == 320
    labels = require(load_initial_state(run).extra_images).labels
    assert torch.bincount(labels)[[3, 5]].tolist() == [40, 40]  # a quarter of the images
    assert find_run("latest").id == run.id


def test_finetuning_without_drawings_is_rejected(parent: Run) -> None:
    with pytest.raises(DrawingError, match="no drawing"):
        create_finetuning_run(parent, ())


def test_run_without_weights_cannot_be_finetuned(home: Path) -> None:
    with pytest.raises(StorageError):
        create_finetuning_run(create_run(TINY, SHORT), (drawing(3),))


def test_finetuned_pretrained_model_learns_new_shapes_and_keeps_its_accuracy(home: Path) -> None:
    """The drawings label a triangle as 3 and a spiral as 5."""
    pretrained = load_pretrained_run()
    finetuned = train(create_finetuning_run(pretrained, (drawing(3), drawing(5, SPIRAL))))
    images = [rasterize(TRIANGLE), rasterize(SPIRAL)]
    before = [one.top_class for one in predict(load_model(pretrained), images)]
    after = [one.top_class for one in predict(load_model(finetuned), images)]
    assert before != [3, 5]
    assert after == [3, 5]
    history = finetuned.read_history()
    assert history.status == "completed"
    assert history.test is not None
    assert history.test.accuracy > 0.99
