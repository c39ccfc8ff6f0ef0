"""ONNX files: another runtime gives the same scores, for every preset and for networks of every kind of layer."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from playground.core.architecture import Architecture, InputShape
from playground.core.datasets import DATASETS
from playground.core.layers import Activation, AvgPool2d, BatchNorm, Conv2d, Flatten, Linear, MaxPool2d, Output
from playground.core.preprocessing import ImagePreprocessing, choose_preprocessing
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.engine.model.build import build_model
from playground.errors import ArchitectureError, StorageError
from playground.export.onnx import export_onnx, find_lowest_opset
from tests.core.layer_examples import EXAMPLE_CASES, LayerExample, build_network_around
from tests.engine.helpers import RICH
from tests.strategies import ACTIVATIONS, architectures

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

WORKING = [name for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken]


def trained(architecture: Architecture, seed: int = 1) -> nn.Sequential:
    """The network in eval mode, its batch norms as after a training: statistics and scales of every size."""
    module = build_model(architecture, seed=seed).eval()
    source = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(generator=source)
            part.running_var.uniform_(0.2, 4, generator=source)
            part.weight.data.normal_(generator=source)
            part.bias.data.normal_(generator=source)
    return module


def scores_of(content: bytes, images: Tensor) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"image": images.numpy()})
    return torch.from_numpy(np.asarray(scores))


def check_same_scores(architecture: Architecture) -> None:
    module = trained(architecture)
    content = export_onnx(architecture, module.state_dict())
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    for count in (1, 3):
        images = torch.rand((count, *architecture.input.shape), generator=torch.Generator().manual_seed(count))
        with torch.inference_mode():
            wanted = module(images)
        found = scores_of(content, images)
        assert found.shape == wanted.shape
        largest = max(1.0, wanted.abs().max().item())
        assert (found - wanted).abs().max().item() <= 1e-5 * largest


@pytest.mark.parametrize("name", WORKING)
def test_a_preset_gives_the_same_scores_elsewhere(name: str) -> None:
    check_same_scores(ARCHITECTURE_PRESETS[name].architecture)


@settings(max_examples=40)
@given(architectures())
def test_any_network_gives_the_same_scores_elsewhere(architecture: Architecture) -> None:
    check_same_scores(architecture)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_the_same_function_elsewhere(activation: str) -> None:
    layers = (Conv2d(out_channels=4), Activation(activation=activation), Flatten(), Output())
    check_same_scores(Architecture(input=InputShape(height=6, width=6), layers=layers))


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(out_channels=4, kernel_size=4, padding="same"),
        Conv2d(out_channels=4, kernel_size=2, dilation=3, padding="same"),
        Conv2d(out_channels=4, kernel_size=3, stride=2, padding=2, groups=2, bias=False),
        MaxPool2d(kernel_size=3, stride=2, padding=1),
        AvgPool2d(kernel_size=3, stride=2, padding=1),
        BatchNorm(eps=1e-3),
    ],
    ids=repr,
)
def test_a_layer_that_two_libraries_could_read_differently(layer: Conv2d | MaxPool2d | AvgPool2d | BatchNorm) -> None:
    # Below zero, so that a padding of zeros would be the maximum; width and height of their own.
    below = Conv2d(out_channels=2, kernel_size=1, activation="none")
    shape = InputShape(channels=2, height=9, width=7)
    check_same_scores(Architecture(input=shape, layers=(below, layer, Flatten(), Linear(), BatchNorm(), Output())))


def test_the_file_says_what_goes_in_and_what_comes_out() -> None:
    model = onnx.load_from_string(export_onnx(RICH, trained(RICH).state_dict(), class_names=["cat", "dog", "œuf"]))
    (image,), (scores,) = model.graph.input, model.graph.output
    assert [size.dim_param or size.dim_value for size in image.type.tensor_type.shape.dim] == ["batch", 1, 8, 8]
    assert [size.dim_param or size.dim_value for size in scores.type.tensor_type.shape.dim] == ["batch", 3]
    assert (image.name, scores.name) == ("image", "scores")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert "preprocessing" not in told
    assert json.loads(told["class_names"]) == ["cat", "dog", "œuf"]
    assert "softmax" in told["scores"]
    assert "Dropout" not in {node.op_type for node in model.graph.node}
    held = {weights.name for weights in model.graph.initializer}
    assert held == {name for name in trained(RICH).state_dict() if "num_batches" not in name}


def test_two_classes_by_a_sigmoid_are_one_score() -> None:
    architecture = Architecture(
        input=InputShape(height=4, width=4), classes=2, layers=(Flatten(), Output(activation="sigmoid"))
    )
    check_same_scores(architecture)
    model = onnx.load_from_string(export_onnx(architecture, trained(architecture).state_dict()))
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 1
    assert "sigmoid" in {entry.key: entry.value for entry in model.metadata_props}["scores"]


@pytest.mark.parametrize("example", EXAMPLE_CASES)
def test_file_of_every_layer_kind_opens_in_runtimes_of_2020(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    model = onnx.load_from_string(export_onnx(architecture, trained(architecture).state_dict()))
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)


def test_opset_is_the_lowest_that_the_nodes_need() -> None:
    nodes = [onnx.helper.make_node(name, ["x"], ["y"]) for name in ("Relu", "Gelu", "Mish")]
    assert [find_lowest_opset(nodes[:count]) for count in (0, 1, 2)] == [13, 13, 20]
    assert [find_lowest_opset([node]) for node in nodes] == [13, 20, 18]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="cannot be built"):
        export_onnx(ARCHITECTURE_PRESETS["broken"].architecture, {})
    weights = trained(RICH).state_dict()
    weights.pop("0.weight")
    with pytest.raises(StorageError, match=r"do not fit.*0\.weight"):
        export_onnx(RICH, weights)


def test_preprocessing_of_image_files_is_in_the_metadata() -> None:
    preprocessing = ImagePreprocessing(image_shape=(3, 40, 30), input_shape=RICH.input.shape, gray_bits=12)
    model = onnx.load_from_string(export_onnx(RICH, trained(RICH).state_dict(), preprocessing=preprocessing))
    told = json.loads({entry.key: entry.value for entry in model.metadata_props}["preprocessing"])
    assert told["image_shape"] == [3, 40, 30]
    assert told["input_shape"] == [*RICH.input.shape]
    assert [step["function"] for step in told["steps"]] == [step.function for step in preprocessing.steps]
    (image,) = model.graph.input
    assert "resized to 40×30 pixels" in image.doc_string
    assert image.doc_string.endswith("and rounded. Values are divided by 255.")


def test_networks_of_drawings_describe_how_a_drawing_is_found() -> None:
    preprocessing = choose_preprocessing(DATASETS["mnist"], RICH.input.shape)
    model = onnx.load_from_string(export_onnx(RICH, trained(RICH).state_dict(), preprocessing=preprocessing))
    told = json.loads({entry.key: entry.value for entry in model.metadata_props}["preprocessing"])
    assert [step["function"] for step in told["steps"]][-2:] == ["segment_photo", "preprocess_ink"]
    assert "scaled to a box of 20×20 pixels" in model.graph.input[0].doc_string
