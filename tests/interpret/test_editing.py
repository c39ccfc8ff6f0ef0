"""Model editing: by hand on a network with one channel per class, and against PyTorch for random architectures."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Conv2d, Flatten, Linear, Output
from playground.core.presets import get_recipe_preset
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.progress import run_to_end
from playground.engine.runs.initial_state import load_initial_state
from playground.engine.runs.repository import create_run, find_run
from playground.engine.training.evaluate import evaluate
from playground.errors import PlaygroundError
from playground.interpret import editing
from playground.interpret.editing import (
    ChannelScale,
    KernelEdit,
    add_edit,
    apply_edits,
    compute_ablation_scores,
    measure_edits,
    save_edited,
)
from playground.interpret.model import Model, load_model
from tests.interpret.nets import model_of, set_weights
from tests.narrowing import require_type
from tests.strategies import architectures

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def make_one_channel_per_class_model() -> Model:
    """Four pixels; hidden unit i is pixel i, and class i is hidden unit i. A fifth unit does nothing."""
    layers = (Flatten(), Linear(out_features=5), Output())
    model = model_of(Architecture(input=InputShape(height=2, width=2), classes=4, layers=layers))
    eye = np.eye(4).tolist()
    set_weights(model.module[1], [*eye, [0.0] * 4], [0.0] * 5)
    set_weights(model.module[3], [[*row, 0.0] for row in eye], [0.0] * 4)
    return model


def make_lit_pixel_images(times: int = 60) -> LabeledImages:
    """Each image has one pixel lit, which is its class."""
    images = (torch.eye(4) * 255).to(torch.uint8).reshape(4, 1, 2, 2).repeat(times, 1, 1, 1)
    return LabeledImages(images, torch.arange(4).repeat(times))


def test_ablating_a_channel_removes_its_class() -> None:
    model = make_one_channel_per_class_model()
    before, after = run_to_end(measure_edits(model, (ChannelScale(1, 2, 0.0),), make_lit_pixel_images()))
    assert before.size == after.size == 240
    assert before.accuracy == 1.0
    assert after.accuracy == 0.75
    assert before.per_class_accuracy == (1.0,) * 4
    assert after.per_class_accuracy == (1.0, 1.0, 0.0, 1.0)
    assert model.module.get_parameter("1.weight")[2, 2] == 1.0  # the original is unchanged
    assert run_to_end(measure_edits(model, (), make_lit_pixel_images())).after.accuracy == 1.0


def test_edits_apply_in_order_to_a_copy() -> None:
    layers = (Conv2d(out_channels=2, kernel_size=2), Flatten(), Output())
    model = model_of(Architecture(input=InputShape(height=3, width=3), classes=2, layers=layers))
    before = copy.deepcopy(model.module.state_dict())
    kernel = ((1.0, 2.0), (3.0, 4.0))
    edits = (KernelEdit(0, 1, 0, kernel), ChannelScale(0, 1, 0.5), ChannelScale(0, 0, 2.0))
    changed = require_type(apply_edits(model, edits).module[0], nn.Conv2d)
    assert changed.weight[1, 0].tolist() == [[0.5, 1.0], [1.5, 2.0]]
    torch.testing.assert_close(changed.weight[0], before["0.weight"][0] * 2)
    torch.testing.assert_close(changed.bias, before["0.bias"] * torch.tensor([2.0, 0.5]))
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_unused_channel_has_the_lowest_ablation_score() -> None:
    scores = run_to_end(compute_ablation_scores(make_one_channel_per_class_model(), 1, make_lit_pixel_images()))
    # Without channel 0 all logits of its images are equal, and argmax takes the first class: no decrease either.
    assert [(one.channel, one.accuracy_drop) for one in scores[:2]] == [(4, 0.0), (0, 0.0)]
    assert [one.accuracy_drop for one in scores[2:]] == pytest.approx([0.25] * 3, abs=0.08)  # of a sample of the images


@given(architecture=architectures(), data=st.data())
@settings(max_examples=20)
def test_measured_edits_equal_evaluating_the_edited_model(architecture: Architecture, data: st.DataObject) -> None:
    """Cached outputs of the layers below the edit do not change the result."""
    model = model_of(architecture)
    indices = [
        step.index for step in architecture.resolve_layers() if step.layer.get_channel_module_index() is not None
    ]
    if not indices:
        return
    source = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (250, *architecture.input.shape), dtype=torch.uint8, generator=source)
    labels = torch.randint(0, architecture.classes, (250,), generator=source)
    for _ in range(2):
        index = data.draw(st.sampled_from(indices))
        edits = (ChannelScale(index, 0, data.draw(st.sampled_from((0.0, 0.5, -1.0)))),)
        before, after = run_to_end(measure_edits(model, edits, LabeledImages(pixels, labels)))
        images = LabeledImages(pixels, labels).sample(before.size)
        assert before.accuracy == pytest.approx(evaluate(model.module, images).accuracy)
        assert after.accuracy == pytest.approx(evaluate(apply_edits(model, edits).module, images).accuracy)


def test_edits_of_threads_with_different_models_do_not_mix() -> None:
    models = [make_one_channel_per_class_model() for _ in range(4)]
    data = make_lit_pixel_images()

    def measure(index: int) -> tuple[float, ...]:
        edits = (ChannelScale(1, index % 4, 0.0), ChannelScale(2, index % 3, -1.0))
        return run_to_end(measure_edits(models[index % 4], edits, data)).after.per_class_accuracy

    expected = [measure(index) for index in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(measure, range(24))) == expected
    assert 1 <= len(editing._prefix_cache) <= 4, "at most one for each model"
    assert editing._comparison_cache.total_bytes <= editing._MAX_CACHED_BYTES


def test_add_edit_replaces_an_edit_of_the_same_weights_only() -> None:
    first, second = KernelEdit(0, 1, 0, ((1.0,),)), KernelEdit(0, 1, 2, ((1.0,),))
    replacement, scale = KernelEdit(0, 1, 2, ((3.0,),)), ChannelScale(0, 1, 0.5)
    assert add_edit((first,), second) == (first, second), "another input channel"
    assert add_edit((first, second), replacement) == (first, replacement)
    assert add_edit((first,), scale) == (first, scale)
    assert add_edit((first, scale), ChannelScale(0, 1, 1.0)) == (first,), "a scale of 1 is no edit"
    assert add_edit((first,), ChannelScale(0, 1, 1.0)) == (first,)


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
def test_invalid_edit_raises(edit: ChannelScale | KernelEdit) -> None:
    with pytest.raises(PlaygroundError):
        apply_edits(make_one_channel_per_class_model(), (edit,))


def test_kernel_with_empty_cell_or_wrong_shape_raises() -> None:
    layers = (Conv2d(out_channels=1, kernel_size=1), Flatten(), Output())
    model = model_of(Architecture(input=InputShape(height=2, width=2), classes=2, layers=layers))
    with pytest.raises(PlaygroundError, match="finite"):
        apply_edits(model, (KernelEdit(0, 0, 0, ((float("nan"),),)),))
    with pytest.raises(PlaygroundError, match="1×1"):
        apply_edits(model, (KernelEdit(0, 0, 0, ((1.0, 2.0),)),))


@pytest.mark.usefixtures("home")
def test_edited_model_is_saved_as_a_resumable_run() -> None:
    model = make_one_channel_per_class_model()
    parent = create_run(model.architecture, get_recipe_preset("sprint").recipe, name="Mine")
    edits = (ChannelScale(1, 2, 0.0),)
    saved = save_edited(parent, model, edits, run_to_end(measure_edits(model, edits, make_lit_pixel_images())).after)
    found = find_run(saved.id)
    assert (found.record.parent, found.record.name) == (parent.id, "Mine › edited")
    images = scale_pixels(make_lit_pixel_images(1).images)
    with torch.inference_mode():
        torch.testing.assert_close(load_model(found).module(images), apply_edits(model, edits).module(images))
    history = found.read_history()
    assert history.status == "stopped"
    assert history.test is not None
    assert history.test.accuracy == 0.75
    assert found.can_resume(history)
    weights = load_initial_state(found).weights
    assert weights["1.weight"][2].tolist() == [0.0] * 4
