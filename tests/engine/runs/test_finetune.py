"""Own drawings are kept and taught to a net that forgets nothing; what a run began with is part of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

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
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import create_run, find_run, load_pretrained_run
from playground.engine.runs.run import Run
from playground.errors import DrawingError, PlaygroundError, StorageError
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import load_model
from tests.engine.helpers import Script, assert_same_weights, tiny_images

TRIANGLE = (((10.0, 90.0), (50.0, 10.0), (90.0, 90.0), (10.0, 90.0)),)
SPIRAL = (tuple((50 + t * np.cos(t), 50 + t * np.sin(t)) for t in np.linspace(0, 18, 60).tolist()),)
SHORT = Recipe(limit=320, batch_size=64, validation_size=100, precision="float32", device="cpu")
TINY = get_architecture_preset("tiny").architecture


def drawing(label: int, strokes=TRIANGLE) -> LabeledDrawing:
    return LabeledDrawing.from_image(label, strokes, rasterize(strokes))


def train(run: Run, **options) -> Run:
    trainer = create_trainer(run.record.architecture, run.record.recipe, load_initial_state(run), **options)
    script = Script()
    script.trainer = trainer
    with Recorder(run) as recorder:
        for _ in recorder.run_trainer(trainer, script):
            pass
    return run


@pytest.fixture
def parent(home: Path) -> Run:
    return train(create_run(TINY, SHORT, name="Parent"))


def test_a_net_of_few_images_can_be_taught(home: Path):
    few = train(create_run(TINY, SHORT.replace(limit=50, batch_size=10)))
    taught = train(create_finetuning_run(few, (drawing(3),)))
    assert taught.record.recipe.batch_size == 50
    assert len(taught.list_snapshot_steps()) > 1


# The personal set


def test_drawings_are_kept_by_person(home: Path):
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


def test_the_same_drawing_takes_its_new_label(home: Path):
    add_drawing(None, drawing(3))
    add_drawing(None, drawing(8))
    assert [one.label for one in load_drawings(None).drawings] == [8]


def test_a_full_set_says_so(home: Path):
    folder = home / "drawings"
    folder.mkdir()
    many = tuple(drawing(1).model_copy(update={"pixels": f"{number:08}"}) for number in range(MAX_DRAWINGS))
    (folder / "mine.json").write_text(DrawingCollection(drawings=many).model_dump_json(by_alias=True))
    with pytest.raises(StorageError, match="full"):
        add_drawing(None, drawing(3))
    assert len(load_drawings(None).drawings) == MAX_DRAWINGS


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 9}', '{"drawings": [{"label": 11, "pixels": ""}]}', "\x00"])
def test_a_damaged_set_is_told(home: Path, content: str):
    (home / "drawings").mkdir()
    (home / "drawings" / "mine.json").write_text(content)
    with pytest.raises(PlaygroundError):
        load_drawings(None)


def test_a_saved_set_and_plain_strokes_are_read_alike(home: Path):
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
def test_files_without_labelled_drawings_are_told(content: bytes):
    with pytest.raises(DrawingError, match=r"own\.json"):
        read_labeled_drawings("own.json", content)


def test_strokes_come_with_several_pens_and_a_picture_as_it_is():
    widths = {float(image.sum()) for image in drawing(3).render_images(5)}
    assert len(widths) == 5
    picture = LabeledDrawing.from_image(3, (), rasterize(TRIANGLE))
    for image in picture.render_images(2):
        np.testing.assert_allclose(image, rasterize(TRIANGLE), atol=0.5 / 255)
    with pytest.raises(DrawingError, match="damaged"):
        picture.model_copy(update={"pixels": "AAAA"}).render_images(1)


# What a run begins with


def test_a_run_begins_with_the_weights_and_has_the_images_of_its_folder(parent: Run):
    images = tiny_images(10, size=28)
    material = InitialState(parent.load_snapshot(parent.list_snapshot_steps()[-1]), images)
    run = create_run(TINY, SHORT, write_initial_files=lambda made: save_initial_state(made, material))
    assert_same_weights(load_initial_state(run).weights, material.weights)
    train(run)
    assert_same_weights(run.load_snapshot(0), material.weights)
    started = next(iter(run.read_events()))
    assert started.train_size == 320 + 10
    assert (started.validation_size, started.test_size) == (100, 10_000)
    assert load_initial_state(parent) == EMPTY_INITIAL_STATE


def test_cut_anywhere_such_a_run_ends_in_the_same_weights(parent: Run):
    material = InitialState(parent.load_snapshot(parent.list_snapshot_steps()[-1]), tiny_images(10, size=28))
    whole = create_trainer(TINY, SHORT, material)
    first, second = create_trainer(TINY, SHORT, material), create_trainer(TINY, SHORT, material)
    for trainer in (whole, first):
        for event in trainer.run():
            if trainer is first and event.kind == "step_done" and event.step == 2:
                break
    second.restore(first.create_checkpoint())
    list(second.run())
    assert_same_weights(second.get_weights(), whole.get_weights())


def test_replay_and_forks_begin_with_it_too(parent: Run):
    run = train(create_finetuning_run(parent, (drawing(3),)))
    replay = Replay(run)
    list(replay.run())
    assert replay.snapshot_matches
    assert all(replay.snapshot_matches.values())
    step = run.list_checkpoint_steps()[0]
    fork = fork_run(run, step, run.record.recipe.replace(lr=1e-4))
    assert_same_weights(load_initial_state(fork).weights, load_initial_state(run).weights)
    assert len(load_initial_state(fork).extra_images) == len(load_initial_state(run).extra_images)


def test_weights_of_another_network_and_damaged_files_are_told(parent: Run):
    with pytest.raises(StorageError, match="do not fit"):
        create_trainer(get_architecture_preset("guide").architecture, SHORT, InitialState(parent.load_snapshot(0)))
    run = create_run(TINY, SHORT)
    run.initial_state_path.write_bytes(b"rubbish")
    with pytest.raises(StorageError, match="cannot be read"):
        load_initial_state(run)


# Teaching


def test_a_taught_run_says_where_it_comes_from(parent: Run):
    run = create_finetuning_run(parent, (drawing(3), drawing(5, SPIRAL)), owner="ann")
    assert (run.record.name, run.record.owner) == ("Parent, taught", "ann")
    assert (run.record.parent, run.record.parent_step) == (parent.id, parent.list_snapshot_steps()[-1])
    assert run.record.recipe.dataset == "mnist"
    assert run.record.recipe.limit == 320
    labels = load_initial_state(run).extra_images.labels
    assert torch.bincount(labels)[[3, 5]].tolist() == [40, 40]  # a quarter of the images
    assert find_run("latest").id == run.id


def test_without_a_drawing_there_is_nothing_to_learn(parent: Run):
    with pytest.raises(DrawingError, match="no drawing"):
        create_finetuning_run(parent, ())


def test_a_net_without_weights_cannot_be_taught(home: Path):
    with pytest.raises(StorageError):
        create_finetuning_run(create_run(TINY, SHORT), (drawing(3),))


def test_the_shipped_model_learns_a_new_sign_in_seconds_and_forgets_nothing(home: Path):
    """A triangle is a 3 and a spiral a 5, because their owner says so."""
    shipped = load_pretrained_run()
    taught = train(create_finetuning_run(shipped, (drawing(3), drawing(5, SPIRAL))))
    images = [rasterize(TRIANGLE), rasterize(SPIRAL)]
    before = [one.top_class for one in predict(load_model(shipped), images)]
    after = [one.top_class for one in predict(load_model(taught), images)]
    assert before != [3, 5]
    assert after == [3, 5]
    history = taught.read_history()
    assert history.status == "completed"
    assert history.test is not None
    assert history.test.accuracy > 0.99
