"""Import from code: tutorials, exported code, unsupported code, and protection against execution."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from playground.code_import.read_code import MAX_CODE_LENGTH, ParsedCode, parse_code
from playground.codegen.keras_model import to_keras
from playground.codegen.torch_model import to_pytorch
from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Activation, Conv2d, Flatten, Layer, Linear, Output, Residual
from playground.core.layers.shared.activation_functions import LEAKY_RELU_SLOPE
from playground.core.layers.shared.window_pool import WindowPool
from playground.core.presets import ARCHITECTURE_PRESETS, ArchitecturePreset
from playground.core.summary import summarize
from playground.core.validation import validate
from playground.engine.model.build import build_model
from playground.errors import ArchitectureError, PlaygroundError
from tests import strategies
from tests.code_import.tutorials import TUTORIALS, Tutorial

_PRESETS = [preset for preset in ARCHITECTURE_PRESETS.values() if not preset.is_broken]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.name)
def test_tutorial_is_imported_with_its_architecture_and_notes(tutorial: Tutorial) -> None:
    read = parse_code(tutorial.code)
    assert read.architecture.to_canonical_json() == tutorial.architecture.to_canonical_json()
    trains = any(word in tutorial.code for word in (".compile(", ".fit(", "optim."))
    assert trains == any("your settings are unchanged" in note for note in read.notes)
    notes = [note for note in read.notes if "your settings are unchanged" not in note]
    assert len(notes) == len(tutorial.notes), read.notes
    for text, note in zip(tutorial.notes, notes, strict=True):
        assert text in note


@pytest.mark.parametrize(
    ("line", "trains"),
    [
        ("model.compile(optimizer='adam')", True),
        ("model.fit(images, labels)", True),
        ("optimizer = torch.optim.SGD(model.parameters())", True),
        ("model = torch.compile(model)", False),
        ("pattern = re.compile('x')", False),
        ("optimistic.value(1)", False),
    ],
)
def test_note_on_training_code_appears_only_if_there_is_some(line: str, trains: bool) -> None:
    found = parse_code(f"model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n{line}\n")
    assert trains == any("your settings are unchanged" in remark for remark in found.notes)


def _plain(layers: tuple[Layer, ...], *, keras: bool) -> list[Layer]:
    """Return the architecture as imported from its own code: without disabled layers, in normalized form."""
    found: list[Layer] = []
    for layer in layers:
        if not layer.enabled:
            continue
        match layer:
            case Conv2d():
                same = keras and layer.stride == 1 and layer.padding == (layer.effective_kernel_size - 1) / 2
                kept = "same" if same and layer.padding else layer.padding
                layer = layer.replace(padding=0 if kept == "valid" else kept)
            case WindowPool(kernel_size=size, stride=stride) if size == stride:
                layer = layer.replace(stride=None)
            case Activation(activation=activation) if activation != "leaky_relu":
                layer = layer.replace(negative_slope=LEAKY_RELU_SLOPE)
            case Residual():
                layer = layer.replace(layers=tuple(_plain(layer.layers, keras=keras)))
            case Output():
                layer = layer.replace(units=None)
        layer = layer.replace(id="", trainable=True)
        last = found[-1] if found else None
        match last, layer:
            case (
                Conv2d(activation="none") | Linear(activation="none") | Residual(activation="none"),
                Activation(activation=activation, negative_slope=slope),
            ) if slope == LEAKY_RELU_SLOPE:
                found[-1] = found[-1].replace(activation=activation)
            case _:
                found.append(layer)
    return found


def _as_read(architecture: Architecture, *, keras: bool = False) -> str:
    layers = tuple(_plain(architecture.layers, keras=keras))
    return Architecture(input=architecture.input, classes=architecture.classes, layers=layers).to_canonical_json()


@pytest.mark.parametrize("preset", _PRESETS, ids=lambda preset: preset.name)
def test_presets_round_trip_through_pytorch_and_keras_code(preset: ArchitecturePreset) -> None:
    architecture = preset.architecture
    assert parse_code(to_pytorch(architecture)).architecture.to_canonical_json() == _as_read(architecture)
    read = parse_code(to_keras(architecture))
    assert read.architecture.to_canonical_json() == _as_read(architecture, keras=True)


@given(architecture=strategies.architectures())
@settings(max_examples=80)
def test_any_network_round_trips_through_pytorch_code(architecture: Architecture) -> None:
    read = parse_code(to_pytorch(architecture), input_shape=architecture.input)
    assert read.architecture.to_canonical_json() == _as_read(architecture)


@given(architecture=strategies.architectures())
@settings(max_examples=80)
def test_any_network_round_trips_through_keras_code(architecture: Architecture) -> None:
    read = parse_code(to_keras(architecture))
    assert read.architecture.to_canonical_json() == _as_read(architecture, keras=True)


# Sizes that the code does not state


_OPEN = "nn.Sequential(nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, n))"


def test_arguments_fill_in_what_the_code_does_not_state() -> None:
    read = parse_code(_OPEN, input_shape=InputShape(height=40, width=50), classes=7)
    assert read.architecture.input == InputShape(height=40, width=50)
    assert read.architecture.classes == 7


def test_sizes_in_the_code_override_arguments() -> None:
    code = "nn.Sequential(nn.Conv2d(3, 8, 5), nn.Flatten(), nn.Linear(8 * 60 * 60, 5))"
    read = parse_code(code, input_shape=InputShape(), classes=7)
    assert read.architecture.input == InputShape(channels=3, height=64, width=64)
    assert read.architecture.classes == 5
    assert "3×64×64" in read.notes[0]


def test_contradictory_sizes_are_rejected() -> None:
    with pytest.raises(ArchitectureError) as caught:
        parse_code("nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(77, 10))")
    assert "Line 1: nn.Linear(77, 10) expects 77 values, but gets 5408." in caught.value.what


def test_network_that_depends_on_a_condition_on_run_time_values_is_rejected_with_its_line() -> None:
    code = """
model = Sequential([Input((28, 28, 1)), Flatten()])
if sys.argv[1] == "large":
    model.add(Dense(100, activation="relu"))
model.add(Dense(10))
"""
    with pytest.raises(ArchitectureError, match=r"depends on line 3, which cannot be decided: `sys` is not defined"):
        parse_code(code)


_LARGE = "large = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))\n"
_SMALL = "small = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
_LARGE_CLASS = """
class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 50)
        self.last = nn.Linear(50, 10)
    def forward(self, x):
        return self.last(F.relu(self.hidden(x.flatten(1))))
"""


@pytest.mark.parametrize(
    ("code", "kinds", "line"),
    [
        (_SMALL + _LARGE, ["flatten", "linear", "output"], 2),
        (_LARGE + _SMALL, ["flatten", "output"], 2),
        (_SMALL + _LARGE_CLASS + "model = Large()\n" + _SMALL, ["flatten", "output"], 11),
        (_SMALL + _LARGE_CLASS + "model = Large()\n", ["flatten", "linear", "output"], 3),
        (_SMALL + _LARGE + "optimizer = optim.SGD(small.parameters())", ["flatten", "output"], 1),
        (_LARGE + _SMALL + "large.compile()", ["flatten", "linear", "output"], 1),
        (_LARGE + _SMALL + "print(large)", ["flatten", "linear", "output"], 1),
    ],
    ids=["last", "last-is-smaller", "made-before", "made-last", "trained", "compiled", "printed"],
)
def test_last_of_several_networks_is_imported_with_a_note(code: str, kinds: list[str], line: int) -> None:
    imported = parse_code(code)
    assert [layer.kind for layer in imported.architecture.layers] == kinds
    assert f"several networks. The last one was imported; it begins on line {line}." in imported.notes[0]


@pytest.mark.parametrize(
    "code",
    [_SMALL + "resize = nn.Sequential(nn.ReLU())\n", _SMALL + _LARGE_CLASS],
    ids=["without-weights", "never-made"],
)
def test_only_network_with_weights_that_is_made_is_imported(code: str) -> None:
    assert [layer.kind for layer in parse_code(code).architecture.layers] == ["flatten", "output"]


@pytest.mark.parametrize(
    "code",
    [
        _LARGE_CLASS + _LARGE_CLASS.replace("Large", "Larger"),
        "[nn.Sequential(nn.Flatten(), nn.Linear(784, 9)), nn.Sequential(nn.Flatten(), nn.Linear(784, 8))]",
        _SMALL + _LARGE + "if unknown:\n    model = small\nelse:\n    model = large\n",
    ],
    ids=["only-defined", "in-a-list", "undecided"],
)
def test_ambiguous_networks_are_rejected_with_their_names(code: str) -> None:
    with pytest.raises(ArchitectureError, match=r"several networks: .* \(line \d+\), .* \(line \d+\)"):
        parse_code(code)


_RESIDUAL_BODY = (Conv2d(out_channels=1, kernel_size=1), Conv2d(out_channels=1, kernel_size=1))


def test_residual_block_larger_than_the_rest_is_not_taken_for_the_network() -> None:
    layers = (Residual(layers=_RESIDUAL_BODY), Flatten(), Output())
    architecture = Architecture(input=InputShape(height=8, width=8), classes=2, layers=layers)
    imported = parse_code(to_pytorch(architecture), input_shape=architecture.input)
    assert imported.architecture.to_canonical_json() == architecture.to_canonical_json()
    assert not any("several networks" in note for note in imported.notes)


def test_module_that_forward_never_uses_is_not_taken_for_the_network() -> None:
    code = """
class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(784, 60), nn.Linear(60, 50), nn.Linear(50, 10)
    def forward(self, x):
        return self.third(self.second(self.first(x)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.auxiliary = Head()
        self.last = nn.Linear(784, 10)
    def forward(self, x):
        return self.last(torch.flatten(x, 1))

model = Net()
"""
    imported = parse_code(code)
    assert [layer.kind for layer in imported.architecture.layers] == ["flatten", "output"]
    assert "Line 5: Linear is made and never applied; it is omitted, which changes no output." in imported.notes


def test_softmax_over_one_unit_gives_a_note() -> None:
    read = parse_code("Sequential([Input((8, 8, 1)), Flatten(), Dense(1, activation='softmax')])")
    assert read.architecture.layers[-1] == Output(activation="sigmoid", id="output-1")
    assert "always 1" in read.notes[0]


def test_line_starting_with_percent_sign_is_not_always_a_notebook_command() -> None:
    code = "print('%d layers'\n      % 3)\nnn.Sequential(nn.Flatten(), nn.Linear(784, 10))"
    assert parse_code(code).architecture.layers


def test_frozen_layers_stay_frozen() -> None:
    code = "Sequential([Input((28, 28, 1)), Conv2D(4, 3, trainable=False), Flatten(), Dense(10)])"
    assert [layer.trainable for layer in parse_code(code).architecture.layers] == [False, True, True]


# Unsupported code


def test_one_error_names_every_unsupported_line() -> None:
    code = """
model = nn.Sequential(
    nn.Conv2d(1, 32, (3, 5)),
    nn.PReLU(),
    nn.Conv2d(32, 64, 3, padding_mode="reflect"),
    nn.MaxPool2d(2, return_indices=True),
    nn.Conv2d(64, 1000, 3),
    nn.Conv2d(64, channels, 3),
    nn.Softmax(dim=1),
    nn.Flatten(),
    nn.Linear(10, 10, strange=1),
)
"""
    with pytest.raises(ArchitectureError) as caught:
        parse_code(code)
    for part in (
        "Line 3: nn.Conv2d(1, 32, (3, 5)) has a kernel_size that differs between height and width.",
        "Line 4: nn.PReLU() is not supported.",
        'Line 5: nn.Conv2d(32, 64, 3, padding_mode="reflect") has an unsupported value of padding_mode.',
        "Line 6: nn.MaxPool2d(2, return_indices=True) has an unsupported value of return_indices.",
        "Line 7: nn.Conv2d(64, 1000, 3) has a value out of range: out_channels",
        "Line 8: nn.Conv2d(64, channels, 3) needs a whole number as out_channels: `channels` is not defined",
        "Line 9: nn.Softmax(dim=1) is a softmax before the last layer",
        "Line 11: nn.Linear(10, 10, strange=1) has unsupported arguments: strange.",
    ):
        assert part in caught.value.what
    assert "LeakyReLU" in caught.value.expected


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "c = nn.Conv2d(4, 4, 3)\nnn.Sequential(nn.Conv2d(1, 4, 3), c, c)",
            "layers that share weights are not supported",
        ),
        (
            "nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.ReLU())",
            "must be directly followed by Flatten",
        ),
        ("nn.Sequential(nn.Conv2d(1, 4, 3), nn.ZeroPad2d((1, 2, 3)))", "must pad height and width by whole numbers"),
        ("nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(255))", "to 255×255 with windows of different sizes"),
        (
            "Sequential([Input((28, 28, 1)), Conv2D(3, 3, activation='selu')])",
            "has an unsupported activation: selu",
        ),
        ("Sequential([Input((28, 28, 1)), Conv2D(3, 3), LSTM(8)])", "LSTM(8) is not supported"),
        ("Sequential([Input((28, 28, 1)), Conv2D(3, 3), Reshape((26, 78))])", "unsupported reshape"),
        ("Sequential([Input((28, 28, 1)), Conv2D(3, 3), Reshape((26, 26, 1))])", "another shape in the middle"),
        (
            "Sequential([Input((6, 7, 1)), AveragePooling2D(2, padding='same'), Dense(3)])",
            "pads the sides differently ('same': left 0, right 1, top 0, bottom 0)",
        ),
        (
            "Sequential([Input((6, 6, 1)), MaxPooling2D(2, strides=1, padding='same'), Dense(3)])",
            "pads the sides differently ('same': left 0, right 1, top 0, bottom 1)",
        ),
        (
            "from keras.layers import *\ni = Input((8, 8, 1))\n"
            "keras.Model(i, Dense(2)(concatenate([Flatten()(i), Flatten()(i)])))",
            "concatenate([",
        ),
        (
            "class N(nn.Module):\n  def __init__(self):\n    self.f = nn.Linear(784, 10)\n"
            "  def forward(self, x):\n    return self.f(x.view(-1, 784) * 2)",
            "x.view(-1, 784) * 2 contains arithmetic",
        ),
    ],
)
def test_unsupported_code_is_rejected_with_its_reason(code: str, reason: str) -> None:
    with pytest.raises(ArchitectureError, match="cannot be imported") as caught:
        parse_code(code)
    assert reason in caught.value.what


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("nn.Sequential(*blocks)", "Line 1: this network cannot be followed; `blocks` is not defined in this code."),
        ("Model(i, Dense(2)(fuse(i)))", "`i` is not defined in this code"),
        ("", "No network"),
        ("import torch\nprint('hello')", "No network"),
        ("nn.Sequential()", "No network"),
        ("nn.Sequential(", "not valid Python: line 1"),
        ("x\0y", "not valid Python"),
        ("model = Sequential([Input((28, 28, 9)), Flatten(), Dense(3)])", "input.channels"),
        ("nn.Sequential(nn.Conv2d(64, 8, 3), nn.Flatten(), nn.LazyLinear(10))", "input.channels"),
        ("#" * (MAX_CODE_LENGTH + 1), "100,001 characters"),
    ],
)
def test_text_without_a_network_is_rejected(code: str, what: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        parse_code(code)
    assert what in str(caught.value)
    assert caught.value.fix or caught.value.expected or "input" in caught.value.what


_ENDLESS = {
    "brackets": "(" * 5_000 + ")" * 5_000,
    "a long sum": "x = " + "+".join(["1"] * 30_000),
    "a large power": "n = 10 ** 10 ** 10\nnn.Sequential(nn.Linear(n, n))",
    "a long product": "n = 9\n" + "n = n * n\n" * 1_000 + "nn.Sequential(nn.Linear(n, n))",
    "a long list": "l = [nn.ReLU()]\n" + "l = l + l\n" * 50 + "nn.Sequential(*l)",
    "networks in networks": "a = nn.Sequential(nn.Linear(9, 9))\n" + "a = nn.Sequential(a, a)\n" * 60,
    "a function that calls itself": "def f():\n  return nn.Sequential(f(), f())\nf()",
    "a network that calls itself": "class N(nn.Module):\n  def forward(self, x):\n    return self(x)\nN()",
    "loops in loops": "for a in range(10**9):\n for b in range(64):\n  for c in range(64):\n   m.add(nn.ReLU())",
    "a loop that builds": "m = nn.Sequential()\nwhile True:\n  for a in range(10**9):\n    m.append(nn.ReLU())\n" * 9,
    "a large kernel": "Sequential([Input((9, 9, 1)), Conv2D(1, 10**9, strides=2, padding='same'), Dense(2)])",
    "no stride": "Sequential([Input((9, 9, 1)), MaxPooling2D(2, strides=0, padding='same'), Dense(2)])",
    "a long sum of ways": "i = Input((9, 9, 1))\nx = ReLU()(i)\n" + "x = x + ReLU()(x)\n" * 3_000 + "Model(i, x)",
    "values in values": "a = b = (1, 1)\n" + "a, b = (a, a), (b, b)\n" * 60 + "nn.Sequential(nn.Conv2d(1, 2, (a, b)))",
    "an activation in values": "a = (1, 1)\n" + "a = (a, a)\n" * 60 + "Sequential([Conv2D(3, 3, activation=a)])",
    "a mean over values": "a = (1, 1)\n" + "a = (a, a)\n" * 60 + "i = Input((9, 9, 1))\nModel(i, i.mean(a))",
    "padding in values": "a = b = (1, 1)\n" + "a, b = (a, a), (b, b)\n" * 60 + "Sequential([ZeroPadding2D((a, b))])",
    "many layers": "nn.Sequential(" + "nn.ReLU(), nn.Dropout(), " * 40 + ")",
    "a class in itself": "class A(nn.Module):\n  def __init__(self):\n    A()\n  def forward(self, x):\n    return x",
}


@pytest.mark.parametrize("name", _ENDLESS)
@pytest.mark.timeout(20)
def test_endless_code_is_not_followed(name: str) -> None:
    _check_only_our_errors(_ENDLESS[name])


@pytest.mark.parametrize("name", ["brackets", "a long sum", "networks in networks", "a function that calls itself"])
def test_endless_code_is_rejected(name: str) -> None:
    with pytest.raises(ArchitectureError, match=r"too long or too deep|not valid Python"):
        parse_code(_ENDLESS[name])


def test_pasted_code_is_never_executed(tmp_path: Path) -> None:
    """Every place where code could be executed would write a file."""
    sentinel = tmp_path / "sentinel"
    evil = f"__import__('os').system('touch {sentinel}')"
    code = f"""
{evil}
class Net(nn.Module):
    size = {evil}
    def __init__(self, value={evil}):
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Dropout(p={evil}))
    def forward(self, x: {evil}) -> {evil}:
        return self.net(x)
net = Net()
@({evil})
class Other:
    def __getattr__(self, name):
        {evil}
[{evil} for _ in range(3)]
f"{{{evil}}}"
"""
    with pytest.raises(ArchitectureError, match="needs a number as p"):
        parse_code(code)
    parse_code(code.replace(f"nn.Dropout(p={evil})", "nn.Identity()"))
    assert not sentinel.exists()


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """Tutorial with parts deleted, duplicated or moved."""
    text = draw(st.sampled_from(TUTORIALS)).code
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(len(text), start + 60)))
        other = draw(st.sampled_from(TUTORIALS)).code
        place = draw(st.integers(0, len(other)))
        kind = draw(st.sampled_from(("cut", "double", "swap", "letters", "line")))
        new = {
            "cut": "",
            "double": text[start:stop] * 2,
            "swap": other[place : place + 60],
            "letters": draw(st.text(max_size=5)),
            "line": "\n" + draw(st.sampled_from(other.split("\n"))) + "\n",
        }[kind]
        text = text[:start] + new + text[stop:]
    return text


def _check_only_our_errors(text: str) -> None:
    try:
        read = parse_code(text)
    except PlaygroundError:
        pass
    else:
        assert isinstance(read, ParsedCode)
        validate(read.architecture)


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@given(text=_mutated())
@settings(max_examples=400)
def test_damaged_code_gives_a_network_or_a_playground_error(text: str) -> None:
    _check_only_our_errors(text)


_WORDS = (
    *(
        "nn.Sequential(",
        "Sequential([",
        "nn.Conv2d(",
        "Conv2D(",
        "Flatten()",
        "Dense(",
        "F.relu(",
        "x",
        "self",
        "model",
    ),
    *(")", "]", ",", "=", ":", "\n", "\n    ", "def f(x):", "class N(nn.Module):", "return ", ".add(", ".view(", "-1"),
    *("1e400", "None", "*", "**", "'same'", "3", "(3, 3)", "lambda x: ", "for x in ", "range(", "input_shape=", "+"),
)


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@given(text=st.lists(st.sampled_from(_WORDS), max_size=30).map("".join) | st.text(max_size=40))
@example(text="nn.Sequential(nn.Flatten(), nn.Dropout(p=1e400), nn.Linear(784, 10))")
@example(text="nn.Sequential(nn.Flatten(1e400), nn.Linear(784, -float('inf')))")
@example(text="Sequential([Input((0, -3, 1)), DepthwiseConv2D(3, strides=-1, padding='same'), Dense(2)])")
@example(text="nn.Sequential((), [], {}, None, *'ab', ('a', 'b'), nn.Linear(784, 10))")
@settings(max_examples=300)
def test_any_text_gives_a_network_or_a_playground_error(text: str) -> None:
    _check_only_our_errors(text)


def test_flatten_is_inserted_before_a_layer_that_needs_a_vector() -> None:
    read = parse_code("Sequential([Dense(32, input_dim=784), Dense(10)])")
    assert isinstance(read.architecture.layers[0], Flatten)
    assert read.architecture.input == InputShape()


_WHOLE_CLASSES = (
    ("pytorch.org: training a classifier", "Net"),
    ("pytorch/examples: mnist/main.py", "Net"),
    ("pytorch.org: the older neural networks tutorial", "Net"),
    ("pytorch.org: what is torch.nn really", "Mnist_CNN"),
    ("Medium: MNIST handwritten digits in PyTorch", "CNN"),
)


@pytest.mark.parametrize(("name", "class_name"), _WHOLE_CLASSES)
def test_imported_network_equals_the_module_of_the_tutorial(name: str, class_name: str) -> None:
    """Here, in the test, the tutorial's class is run: as many parameters in the same shapes, and as many scores."""
    (code,) = (tutorial.code for tutorial in TUTORIALS if tutorial.name == name)
    classes: list[ast.stmt] = [node for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    namespace: dict[str, Any] = {"nn": nn, "F": nn.functional, "torch": torch}
    exec(compile(ast.Module(classes, []), "tutorial.py", "exec"), namespace)
    module: nn.Module = namespace[class_name]().eval()
    architecture = parse_code(code).architecture
    shapes = [tuple(parameter.shape) for parameter in module.parameters()]
    images = torch.zeros(2, *architecture.input.shape)
    given = module(images)
    scores = given[0] if isinstance(given, tuple) else given
    assert scores.shape == (2, *architecture.resolve_layers()[-1].output_shape)
    if validate(architecture):  # it ends before its output
        assert sum(parameter.numel() for parameter in module.parameters()) == summarize(architecture).parameters
    else:
        assert [tuple(parameter.shape) for parameter in build_model(architecture).parameters()] == shapes
