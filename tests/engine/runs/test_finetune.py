"""Own drawings are kept and taught to a net that forgets nothing; what a run began with is part of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from playground.core.presets import architecture_preset
from playground.core.recipe import Recipe
from playground.engine.data.custom.drawings import (
    MAX_DRAWINGS,
    OwnDrawing,
    OwnDrawings,
    add_drawing,
    delete_drawings,
    own_drawings,
    read_labelled,
)
from playground.engine.data.rasterize import fit_strokes
from playground.engine.runs.finetune import teach_run
from playground.engine.runs.fork import fork_run
from playground.engine.runs.initial_state import NOTHING, Material, material_of, save_material, trainer_for
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import create_run, find_run, pretrained_run
from playground.engine.runs.run import Run
from playground.errors import DrawingError, PlaygroundError, StoreError
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import load_model
from tests.engine.helpers import Script, assert_same_weights, tiny_images

TRIANGLE = (((10.0, 90.0), (50.0, 10.0), (90.0, 90.0), (10.0, 90.0)),)
SPIRAL = (tuple((50 + t * np.cos(t), 50 + t * np.sin(t)) for t in np.linspace(0, 18, 60).tolist()),)
SHORT = Recipe(limit=320, batch_size=64, validation_size=100, precision="float32", device="cpu")
TINY = architecture_preset("tiny").architecture


def drawing(label: int, strokes=TRIANGLE) -> OwnDrawing:
    return OwnDrawing.of(label, strokes, fit_strokes(strokes))


def train(run: Run, **options) -> Run:
    trainer = trainer_for(run.record.architecture, run.record.recipe, material_of(run), **options)
    script = Script()
    script.trainer = trainer
    with Recorder(run) as recorder:
        for _ in recorder.follow(trainer, script):
            pass
    return run


@pytest.fixture
def parent(home: Path) -> Run:
    return train(create_run(TINY, SHORT, name="Parent"))


def test_a_net_of_few_images_can_be_taught(home: Path):
    few = train(create_run(TINY, SHORT.changed(limit=50, batch_size=10)))
    taught = train(teach_run(few, (drawing(3),)))
    assert taught.record.recipe.batch_size == 50
    assert len(taught.snapshots()) > 1


# The personal set


def test_drawings_are_kept_by_person(home: Path):
    assert own_drawings(None).drawings == ()
    add_drawing(None, drawing(3))
    add_drawing("ann/../../x", drawing(4, SPIRAL))
    add_drawing(None, drawing(5, SPIRAL))
    assert [one.label for one in own_drawings(None).drawings] == [3, 5]
    assert [one.label for one in own_drawings("ann/../../x").drawings] == [4]
    assert own_drawings("ben").drawings == ()
    assert all(path.parent == home / "drawings" for path in home.rglob("*.json"))
    delete_drawings(None)
    delete_drawings(None)
    assert own_drawings(None).drawings == ()
    assert len(own_drawings("ann/../../x").drawings) == 1


def test_the_same_drawing_takes_its_new_label(home: Path):
    add_drawing(None, drawing(3))
    add_drawing(None, drawing(8))
    assert [one.label for one in own_drawings(None).drawings] == [8]


def test_a_full_set_says_so(home: Path):
    folder = home / "drawings"
    folder.mkdir()
    many = tuple(drawing(1).model_copy(update={"pixels": f"{number:08}"}) for number in range(MAX_DRAWINGS))
    (folder / "mine.json").write_text(OwnDrawings(drawings=many).model_dump_json(by_alias=True))
    with pytest.raises(StoreError, match="full"):
        add_drawing(None, drawing(3))
    assert len(own_drawings(None).drawings) == MAX_DRAWINGS


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 9}', '{"drawings": [{"label": 11, "pixels": ""}]}', "\x00"])
def test_a_damaged_set_is_told(home: Path, content: str):
    (home / "drawings").mkdir()
    (home / "drawings" / "mine.json").write_text(content)
    with pytest.raises(PlaygroundError):
        own_drawings(None)


def test_a_saved_set_and_plain_strokes_are_read_alike(home: Path):
    add_drawing(None, drawing(3))
    saved = own_drawings(None).model_dump_json(by_alias=True).encode()
    plain = json.dumps([{"label": 3, "strokes": TRIANGLE}]).encode()
    assert read_labelled("a.json", saved) == read_labelled("b.json", plain) == (drawing(3),)
    assert read_labelled("c.json", json.dumps({"label": 3, "strokes": TRIANGLE}).encode()) == (drawing(3),)


@pytest.mark.parametrize(
    "content", [b"", b"3", b"[3]", b"{}", b'[{"label": 12, "strokes": [[[1, 2]]]}]', b'[{"label": 1, "strokes": []}]']
)
def test_files_without_labelled_drawings_are_told(content: bytes):
    with pytest.raises(DrawingError, match=r"own\.json"):
        read_labelled("own.json", content)


def test_strokes_come_with_several_pens_and_a_picture_as_it_is():
    widths = {float(image.sum()) for image in drawing(3).images(5)}
    assert len(widths) == 5
    picture = OwnDrawing.of(3, (), fit_strokes(TRIANGLE))
    for image in picture.images(2):
        np.testing.assert_allclose(image, fit_strokes(TRIANGLE), atol=0.5 / 255)
    with pytest.raises(DrawingError, match="damaged"):
        picture.model_copy(update={"pixels": "AAAA"}).images(1)


# What a run begins with


def test_a_run_begins_with_the_weights_and_has_the_images_of_its_folder(parent: Run):
    images = tiny_images(10, size=28)
    material = Material(parent.snapshot(parent.snapshots()[-1]), images)
    run = create_run(TINY, SHORT, fill=lambda made: save_material(made, material))
    assert_same_weights(material_of(run).weights, material.weights)
    train(run)
    assert_same_weights(run.snapshot(0), material.weights)
    started = next(iter(run.events()))
    assert started.train_size == 320 + 10
    assert (started.validation_size, started.test_size) == (100, 10_000)
    assert material_of(parent) == NOTHING


def test_cut_anywhere_such_a_run_ends_in_the_same_weights(parent: Run):
    material = Material(parent.snapshot(parent.snapshots()[-1]), tiny_images(10, size=28))
    whole = trainer_for(TINY, SHORT, material)
    first, second = trainer_for(TINY, SHORT, material), trainer_for(TINY, SHORT, material)
    for trainer in (whole, first):
        for event in trainer.run():
            if trainer is first and event.kind == "step_done" and event.step == 2:
                break
    second.restore(first.checkpoint())
    list(second.run())
    assert_same_weights(second.weights(), whole.weights())


def test_replay_and_forks_begin_with_it_too(parent: Run):
    run = train(teach_run(parent, (drawing(3),)))
    replay = Replay(run)
    list(replay.run())
    assert replay.compared
    assert all(replay.compared.values())
    step = run.checkpoints()[0]
    fork = fork_run(run, step, run.record.recipe.changed(lr=1e-4))
    assert_same_weights(material_of(fork).weights, material_of(run).weights)
    assert len(material_of(fork).images) == len(material_of(run).images)


def test_weights_of_another_network_and_damaged_files_are_told(parent: Run):
    with pytest.raises(StoreError, match="do not fit"):
        trainer_for(architecture_preset("guide").architecture, SHORT, Material(parent.snapshot(0)))
    run = create_run(TINY, SHORT)
    run.material_path.write_bytes(b"rubbish")
    with pytest.raises(StoreError, match="cannot be read"):
        material_of(run)


# Teaching


def test_a_taught_run_says_where_it_comes_from(parent: Run):
    run = teach_run(parent, (drawing(3), drawing(5, SPIRAL)), owner="ann")
    assert (run.record.name, run.record.owner) == ("Parent, taught", "ann")
    assert (run.record.parent, run.record.parent_step) == (parent.id, parent.snapshots()[-1])
    assert run.record.recipe.dataset == "mnist"
    assert run.record.recipe.limit == 320
    labels = material_of(run).images.labels
    assert torch.bincount(labels)[[3, 5]].tolist() == [40, 40]  # a quarter of the images
    assert find_run("latest").id == run.id


def test_without_a_drawing_there_is_nothing_to_learn(parent: Run):
    with pytest.raises(DrawingError, match="no drawing"):
        teach_run(parent, ())


def test_a_net_without_weights_cannot_be_taught(home: Path):
    with pytest.raises(StoreError):
        teach_run(create_run(TINY, SHORT), (drawing(3),))


def test_the_shipped_model_learns_a_new_sign_in_seconds_and_forgets_nothing(home: Path):
    """A triangle is a 3 and a spiral a 5, because their owner says so."""
    shipped = pretrained_run()
    taught = train(teach_run(shipped, (drawing(3), drawing(5, SPIRAL))))
    images = [fit_strokes(TRIANGLE), fit_strokes(SPIRAL)]
    before = [one.first for one in predict(load_model(shipped), images)]
    after = [one.first for one in predict(load_model(taught), images)]
    assert before != [3, 5]
    assert after == [3, 5]
    history = taught.history()
    assert history.phase == "completed"
    assert history.test is not None
    assert history.test.accuracy > 0.99
