"""Operating: by hand on a net whose every channel decides one class, and against torch for random architectures."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Conv2d, Flatten, Linear, Output
from playground.core.presets import get_recipe_preset
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.runs.initial_state import load_initial_state
from playground.engine.runs.repository import create_run, find_run
from playground.engine.training.evaluate import evaluate
from playground.errors import PlaygroundError
from playground.interpret.editing import (
    EDITABLE_KINDS,
    ChannelScale,
    KernelEdit,
    apply_edits,
    compute_ablation_scores,
    measure_edits,
    save_edited,
)
from playground.interpret.model import Model, load_model
from tests.interpret.nets import model_of, set_weights
from tests.strategies import architectures

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def deciding_net() -> Model:
    """Four pixels; hidden unit i is pixel i, and class i is hidden unit i. A fifth unit does nothing."""
    layers = (Flatten(), Linear(out_features=5), Output())
    model = model_of(Architecture(input=InputShape(height=2, width=2), classes=4, layers=layers))
    eye = np.eye(4).tolist()
    set_weights(model.module[1], [*eye, [0.0] * 4], [0.0] * 5)
    set_weights(model.module[3], [[*row, 0.0] for row in eye], [0.0] * 4)
    return model


def lit_pixels(times: int = 60) -> LabeledImages:
    """Each image has one pixel lit, which is its class."""
    images = (torch.eye(4) * 255).to(torch.uint8).reshape(4, 1, 2, 2).repeat(times, 1, 1, 1)
    return LabeledImages(images, torch.arange(4).repeat(times))


def test_switching_a_channel_off_takes_its_class_away() -> None:
    model = deciding_net()
    seen = measure_edits(model, (ChannelScale(1, 2, 0.0),), lit_pixels())
    assert seen.size == 240
    assert seen.accuracy_before == 1.0
    assert seen.accuracy_after == 0.75
    assert seen.per_class_before == (1.0,) * 4
    assert seen.per_class_after == (1.0, 1.0, 0.0, 1.0)
    assert model.module[1].weight[2, 2] == 1.0  # the given net is as it was
    assert measure_edits(model, (), lit_pixels()).accuracy_after == 1.0


def test_edits_are_done_in_their_order_and_the_net_stays() -> None:
    layers = (Conv2d(out_channels=2, kernel_size=2), Flatten(), Output())
    model = model_of(Architecture(input=InputShape(height=3, width=3), classes=2, layers=layers))
    before = copy.deepcopy(model.module.state_dict())
    kernel = ((1.0, 2.0), (3.0, 4.0))
    changed = apply_edits(
        model, (KernelEdit(0, 1, 0, kernel), ChannelScale(0, 1, 0.5), ChannelScale(0, 0, 2.0))
    ).module[0]
    assert changed.weight[1, 0].tolist() == [[0.5, 1.0], [1.5, 2.0]]
    torch.testing.assert_close(changed.weight[0], before["0.weight"][0] * 2)
    torch.testing.assert_close(changed.bias, before["0.bias"] * torch.tensor([2.0, 0.5]))
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_the_channel_that_does_nothing_is_the_least_important() -> None:
    *_, (progress, found) = compute_ablation_scores(deciding_net(), 1, lit_pixels())
    assert progress == 1.0
    # Without the first one its images have no score at all, and a tie is decided for the first class: no fall either.
    assert [(one.channel, one.accuracy_drop) for one in found[:2]] == [(4, 0.0), (0, 0.0)]
    assert [one.accuracy_drop for one in found[2:]] == pytest.approx([0.25] * 3, abs=0.08)  # of a sample of the images


@given(architecture=architectures(), data=st.data())
@settings(max_examples=20)
def test_the_effect_is_what_measuring_the_operated_net_says(architecture: Architecture, data: st.DataObject) -> None:
    """Whatever is remembered of the layers below: the figure is that of the whole net on the same images."""
    model = model_of(architecture)
    places = [step.index for step in architecture.resolve_layers() if step.layer.kind in EDITABLE_KINDS]
    if not places:
        return
    source = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (250, *architecture.input.shape), dtype=torch.uint8, generator=source)
    labels = torch.randint(0, architecture.classes, (250,), generator=source)
    for _ in range(2):
        index = data.draw(st.sampled_from(places))
        edits = (ChannelScale(index, 0, data.draw(st.sampled_from((0.0, 0.5, -1.0)))),)
        seen = measure_edits(model, edits, LabeledImages(pixels, labels))
        images = LabeledImages(pixels, labels).sample(seen.size)
        assert seen.accuracy_before == pytest.approx(evaluate(model.module, images).accuracy)
        assert seen.accuracy_after == pytest.approx(evaluate(apply_edits(model, edits).module, images).accuracy)


@pytest.mark.parametrize(
    "edit",
    [
        ChannelScale(0, 0, 0.0),
        ChannelScale(1, 5, 0.0),
        ChannelScale(1, -1, 0.0),
        ChannelScale(9, 0, 0.0),
        KernelEdit(1, 0, 0, ((1.0,),)),
    ],
)
def test_what_cannot_be_operated_on_is_refused(edit: ChannelScale | KernelEdit) -> None:
    with pytest.raises(PlaygroundError):
        apply_edits(deciding_net(), (edit,))


def test_a_kernel_with_a_hole_is_refused() -> None:
    layers = (Conv2d(out_channels=1, kernel_size=1), Flatten(), Output())
    model = model_of(Architecture(input=InputShape(height=2, width=2), classes=2, layers=layers))
    with pytest.raises(PlaygroundError, match="finite"):
        apply_edits(model, (KernelEdit(0, 0, 0, ((float("nan"),),)),))
    with pytest.raises(PlaygroundError, match="1×1"):
        apply_edits(model, (KernelEdit(0, 0, 0, ((1.0, 2.0),)),))


@pytest.mark.usefixtures("home")
def test_an_operated_net_is_saved_as_a_run_to_look_into_and_to_train_on() -> None:
    model = deciding_net()
    parent = create_run(model.architecture, get_recipe_preset("sprint").recipe, name="Mine")
    edits = (ChannelScale(1, 2, 0.0),)
    saved = save_edited(parent, model, edits, measure_edits(model, edits, lit_pixels()))
    found = find_run(saved.id)
    assert (found.record.parent, found.record.name) == (parent.id, "Mine, operated")
    images = scale_pixels(lit_pixels(1).images)
    with torch.inference_mode():
        torch.testing.assert_close(load_model(found).module(images), apply_edits(model, edits).module(images))
    history = found.read_history()
    assert history.status == "stopped"
    assert history.test is not None
    assert history.test.accuracy == 0.75
    assert found.can_resume(history)
    weights = load_initial_state(found).weights
    assert weights["1.weight"][2].tolist() == [0.0] * 4
