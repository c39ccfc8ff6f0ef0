"""Validation: fixes remove their problems, and networks without problems build in PyTorch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture, InputShape
from playground.core.datasets import Dataset
from playground.core.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.core.summary import summarize
from playground.core.validation import Problem, ResourceLimits, format_bytes, validate
from playground.engine.model.build import build_model, list_module_ranges
from playground.errors import ArchitectureError
from tests import strategies

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

SMALL = ResourceLimits(max_parameters=30_000, max_training_bytes=40_000_000, batch_size=16)


def _forward(architecture: Architecture) -> list[tuple[int, ...]]:
    """The shape of every enabled layer's result for a batch of 2, from the built module."""
    module = build_model(architecture).eval()
    values, shapes = torch.zeros(2, *architecture.input.shape), []
    with torch.inference_mode():
        for span in list_module_ranges(architecture):
            values = module[span.start : span.stop](values)
            assert values.shape[0] == 2
            shapes.append(tuple(values.shape[1:]))
    return shapes


@given(architecture=strategies.any_architectures(most=None))
@settings(max_examples=200)
def test_validation_is_total(architecture: Architecture) -> None:
    for problem in validate(architecture):
        assert problem.what.endswith(".")
        assert problem.expected.endswith(".")
        assert str(problem).startswith(
            "The network" if problem.layer_index is None else f"Layer {problem.layer_index + 1}"
        )
        if problem.layer_index is not None:
            layer = architecture.layers[problem.layer_index]
            assert layer.id == problem.layer_id
            assert problem.field in type(layer).model_fields
        for fix in problem.fixes:
            assert fix.label
            assert fix.architecture != architecture


@given(architecture=strategies.any_architectures(most=12))
@settings(max_examples=300)
def test_network_without_problems_builds(architecture: Architecture) -> None:
    """Either there are problems and build() names them, or torch builds it with the stated shapes."""
    problems = validate(architecture, SMALL)
    if problems:
        with pytest.raises(ArchitectureError) as caught:
            build_model(architecture, limits=SMALL)
        assert all(str(problem) in str(caught.value) for problem in problems)
    else:
        assert _forward(architecture) == [step.output_shape for step in architecture.resolve_layers()]


@given(architecture=strategies.architectures())
@settings(max_examples=60)
def test_working_network_has_no_problems(architecture: Architecture) -> None:
    assert validate(architecture) == ()
    assert _forward(architecture) == [step.output_shape for step in architecture.resolve_layers()]


@given(architecture=strategies.architectures(), junk=strategies.layers(12), data=st.data())
@settings(max_examples=80)
def test_working_network_with_one_random_layer(architecture: Architecture, junk: Layer, data: st.DataObject) -> None:
    """Almost valid networks reach more of the validation than random ones; without problems they build."""
    broken = architecture.insert_layer(data.draw(st.integers(0, len(architecture.layers))), junk)
    if not validate(broken, SMALL):
        assert _forward(broken) == [step.output_shape for step in broken.resolve_layers()]


def _same(problem: Problem, other: Problem) -> bool:
    return (problem.layer_id, problem.field, problem.what) == (other.layer_id, other.field, other.what)


@given(architecture=strategies.any_architectures())
@settings(max_examples=200)
def test_fix_removes_its_problem(architecture: Architecture) -> None:
    for problem in validate(architecture):
        for fix in problem.fixes:
            left = validate(fix.architecture)
            assert not any(_same(problem, other) for other in left), (str(problem), fix.label)


def _fixed(architecture: Architecture, most: int) -> tuple[Architecture, list[str]]:
    """First fixes applied until there is no problem, none has a fix, or ``most`` were applied."""
    applied: list[str] = []
    for _ in range(most):
        fix = next((problem.fixes[0] for problem in validate(architecture) if problem.fixes), None)
        if fix is None:
            break
        applied.append(fix.label)
        architecture = fix.architecture
    return architecture, applied


@given(architecture=strategies.any_architectures())
@settings(max_examples=200)
def test_first_fixes_lead_to_a_valid_network(architecture: Architecture) -> None:
    fixed_architecture, applied = _fixed(architecture, 60)
    assert validate(fixed_architecture) == (), applied
    # At worst a convolution's groups, padding and kernel, one at a time; then a vector to lay out and an output.
    count = sum(1 + len(getattr(layer, "layers", ())) for layer in architecture.layers)
    assert len(applied) <= 3 * count + 4


def test_broken_preset_is_valid_after_its_fixes() -> None:
    architecture = get_architecture_preset("broken").architecture
    assert len(validate(architecture)) == 4, "the description of the preset states four"
    fixed_architecture, applied = _fixed(architecture, 10)
    assert validate(fixed_architecture) == ()
    assert len(applied) <= 4, applied
    assert "Insert Flatten" in applied
    assert _forward(fixed_architecture)[-1] == (10,)


@pytest.mark.parametrize("name", [name for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken])
def test_presets_have_no_problem(name: str) -> None:
    assert validate(get_architecture_preset(name).architecture) == ()


def _only(*layers: Layer, image: InputShape | None = None, classes: int = 10) -> Problem:
    architecture = Architecture(input=image or InputShape(), classes=classes, layers=layers)
    problems = validate(architecture)
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


def _labels(problem: Problem) -> list[str]:
    return [fix.label for fix in problem.fixes]


def test_linear_on_maps_gets_a_flatten() -> None:
    problem = _only(Conv2d(), Linear(), Output())
    assert (problem.layer_index, problem.field) == (1, "kind")
    assert "32×26×26" in problem.what
    assert _labels(problem) == ["Insert Flatten"]
    kinds = [layer.kind for layer in problem.fixes[0].architecture.layers]
    assert kinds == ["conv2d", "flatten", "linear", "output"]
    assert _labels(_only(Conv2d(), Output())) == ["Insert Flatten"]


def test_kernel_larger_than_its_input() -> None:
    image = InputShape(height=4, width=6)
    problem = _only(Conv2d(kernel_size=7), Flatten(), Output(), image=image)
    assert (problem.layer_index, problem.field) == (0, "kernel_size")
    assert "7×7" in problem.what
    assert "4×6" in problem.what
    assert _labels(problem) == ["Use 'same' padding", "Use 4×4"]
    shapes = [summarize(fix.architecture).layers[0].output_shape for fix in problem.fixes]
    assert shapes == [(32, 4, 6), (32, 1, 3)]


def test_pooling_to_nothing() -> None:
    image = InputShape(height=1, width=1)
    problem = _only(MaxPool2d(), Flatten(), Output(), image=image)
    assert _labels(problem) == ["Remove"]
    assert "1×1" in problem.what
    larger = _only(AvgPool2d(kernel_size=4), Flatten(), Output(), image=InputShape(height=3, width=9))
    assert _labels(larger) == ["Use 2×2", "Remove"]


def test_no_output() -> None:
    problem = _only(Flatten(), Linear())
    assert problem.layer_index is None
    assert _labels(problem) == ["Append output"]
    assert problem.fixes[0].architecture.layers[-1] == Output(id="output-1")
    switched_off = _only(Flatten(), Output(enabled=False))
    assert _labels(switched_off) == ["Enable the output layer"]


@pytest.mark.parametrize(("units", "classes"), [(7, 10), (1, 2), (11, 10)])
def test_output_units_unlike_the_classes(units: int, classes: int) -> None:
    problem = _only(Flatten(), Output(units=units), classes=classes)
    assert problem.field == "units"
    assert f"{units} units" in problem.what
    assert _labels(problem) == [f"Set to {classes}"]


def test_sigmoid_needs_two_classes() -> None:
    assert _labels(_only(Flatten(), Output(activation="sigmoid"))) == ["Use softmax"]
    assert _labels(_only(Flatten(), Output(activation="sigmoid", units=2), classes=2)) == ["Set to 1"]


def test_layers_out_of_place() -> None:
    assert _labels(_only(Flatten(), Output(), Dropout())) == ["Move to the end", "Remove"]
    assert _labels(_only(Flatten(), MaxPool2d(), Output())) == ["Remove"]
    assert _labels(_only(GlobalAvgPool(), Conv2d(), Flatten(), Output())) == ["Remove"]
    assert _labels(_only(Conv2d(padding="same", stride=2), Flatten(), Output())) == ["Pad 1", "Use stride 1"]
    assert _labels(_only(MaxPool2d(padding=2), Flatten(), Output())) == ["Pad 1"]
    assert _labels(_only(Conv2d(out_channels=6), Conv2d(out_channels=8, groups=3), Flatten(), Output())) == [
        "Use 6 channels",
        "Use 1 group",
    ]
    assert _labels(_only(Conv2d(groups=2), Flatten(), Output())) == ["Use 1 group"]


def test_two_outputs() -> None:
    problems = validate(Architecture(layers=(Flatten(), Output(), Output())))
    assert [problem.layer_index for problem in problems] == [1]
    assert _labels(problems[0]) == ["Remove"]


def test_residual_branches_of_different_shapes() -> None:
    problem = _only(Residual(layers=(Conv2d(out_channels=4),)), Flatten(), Output())
    assert problem.field == "layers"
    assert "4×26×26" in problem.what
    assert validate(problem.fixes[0].architecture) == ()
    inner = _only(Residual(layers=(BatchNorm(), Conv2d(groups=3, padding=1))), Flatten(), Output())
    assert inner.what.startswith("Inner layer 2:")
    off = _only(Residual(layers=(Conv2d(enabled=False),)), Flatten(), Output())
    assert _labels(off) == ["Remove"]


def test_given_shortcut_of_another_shape() -> None:
    projection = (Conv2d(out_channels=4, kernel_size=1, activation="none"), BatchNorm())
    same = Conv2d(out_channels=8, padding="same")
    problem = _only(Residual(layers=(same,), projection=projection), Flatten(), Output())
    assert "8×28×28, that of the shortcut 4×28×28" in problem.what
    assert problem.fixes[0].label == "Derive the shortcut"
    inner = _only(Residual(layers=(same,), projection=(Conv2d(groups=3),)), Flatten(), Output())
    assert inner.what.startswith("Shortcut: 3 groups")


@pytest.mark.parametrize("layer", [Dropout(), Conv2d(trainable=False), Conv2d(enabled=False), Flatten()])
def test_shortcut_cannot_hold_every_layer(layer: Layer) -> None:
    with pytest.raises(ArchitectureError, match="projection"):
        Residual().replace(projection=(layer,))


def test_one_layer_twice_in_a_residual_block() -> None:
    """The same value at two positions is two layers."""
    shared = Conv2d(out_channels=4, padding="same", stride=2)
    first = validate(Architecture(layers=(Residual(layers=(shared, shared)), Flatten(), Output())))
    assert [problem.what[:14] for problem in first] == ["Inner layer 1:", "Inner layer 2:"]


def test_excessive_memory_names_the_size_and_the_layer() -> None:
    image = InputShape(height=256, width=256)
    architecture = Architecture(
        input=image, layers=(Conv2d(out_channels=256), MaxPool2d(), Conv2d(out_channels=8), GlobalAvgPool(), Output())
    )
    (problem,) = validate(architecture)
    needed = summarize(architecture).estimate_training_bytes(128)
    assert needed > 4 * 1024**3
    assert format_bytes(needed) in problem.what
    assert "batch size 128" in problem.what
    assert "4.3 GB" in problem.expected
    assert (problem.layer_index, problem.field) == (0, "out_channels")
    (fix,) = problem.fixes
    assert fix.label == "Reduce out_channels to 32"
    assert summarize(fix.architecture).estimate_training_bytes(128) <= 4 * 1024**3
    assert validate(fix.architecture) == ()
    assert validate(architecture, ResourceLimits(batch_size=1)) == ()


def test_too_many_parameters() -> None:
    (problem,) = validate(
        Architecture(layers=(Conv2d(out_channels=64), Flatten(), Linear(out_features=4096), Output()))
    )
    assert "parameters" in problem.what
    assert (problem.layer_index, problem.field) == (2, "out_features")
    assert problem.fixes[0].label == "Reduce out_features to 1024"
    assert validate(problem.fixes[0].architecture) == ()


def test_too_large_output_has_advice_but_no_fix() -> None:
    """The number of output units depends on the classes, so there is advice but no fix."""
    image = InputShape(channels=3, height=256, width=256)
    (problem,) = validate(Architecture(input=image, classes=1000, layers=(Flatten(), Output())))
    assert problem.layer_index == 1
    assert "196,609,000 parameters" in problem.what
    assert "pool before it" in problem.expected


@pytest.mark.parametrize("layers", [(Flatten(),) * 64, (*(Dropout(),) * 63, Output())])
def test_full_network_is_validated_without_exceptions(layers: tuple[Layer, ...]) -> None:
    """A fix that would need a 65th layer is not offered; nothing is raised."""
    problems = validate(Architecture(layers=layers))
    assert len(problems) == 1


def test_format_bytes() -> None:
    assert [format_bytes(count) for count in (0, 999, 1000, 1_500_000, 999_499_999, 2_540_000_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "2 MB",
        "999 MB",
        "2.5 GB",
    ]


def test_outputs_of_another_number_of_classes_than_the_dataset_are_a_problem_of_the_output() -> None:
    shapes = Dataset("own:shapes", "shapes", (1, 28, 28), ("circle", "cross", "square"), 90, 9, "")
    for architecture in (
        get_architecture_preset("tiny").architecture,
        Architecture(classes=10, layers=(Flatten(), Output(units=10))),
        Architecture(classes=10, layers=(Flatten(), Output(units=7))),
        Architecture(classes=2, layers=(Flatten(), Output(activation="sigmoid"))),
    ):
        (problem,) = validate(architecture, dataset=shapes)
        assert problem.what == f'It has {architecture.classes} outputs; "shapes" has 3 classes.'
        assert problem.layer_id == architecture.layers[-1].id
        (fix,) = problem.fixes
        assert validate(fix.architecture, dataset=shapes) == ()
        assert fix.architecture.classes == 3


def test_classes_of_a_missing_dataset_are_no_problem() -> None:
    missing = Dataset("own:gone", "a deleted dataset", (1, 28, 28), ("a", "b"), 0, 0, "")
    assert validate(get_architecture_preset("tiny").architecture, dataset=missing) == ()
