"""Operations beside layers: exactly the network of the program, or a refusal that names the line and the reason."""

from typing import Any

import pytest
import torch
from torch import nn

from playground.code_import.read_code import parse_code
from playground.core.architecture import InputShape
from playground.core.summary import summarize
from playground.engine.model.build import build_model
from playground.errors import ArchitectureError

_IMPORTS = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def _forward(body: str, **modules: str) -> str:
    """A program with one class; ``modules`` are its attributes, ``body`` the statements of ``forward``."""
    made = "".join(f"        self.{name} = {module}\n" for name, module in modules.items())
    statements = "".join(f"        {line}\n" for line in body.splitlines())
    return (
        f"{_IMPORTS}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n{made}"
        f"    def forward(self, x):\n{statements}model = Net()\n"
    )


def _sequence(*layers: str) -> str:
    return f"{_IMPORTS}model = nn.Sequential({', '.join(layers)})\n"


_CONV, _SMALL, _LAST = "nn.Conv2d(1, 4, 3, padding=1)", "nn.Conv2d(1, 4, 3)", "nn.Linear(900, 3)"
_RESNET = """
class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.a, self.b = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.c, self.d = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.shortcut = nn.Sequential()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        out = self.d(self.c(F.relu(self.b(self.a(x)))))
        out += self.shortcut(x)
        return F.relu(out)


model = nn.Sequential(
    nn.Conv2d(1, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU(), Block(4, 4, 1), Block(4, 6, 2),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
)
"""

PROGRAMS = {
    "F.pad": (
        _forward("return self.f(F.relu(self.c(F.pad(x, (2, 2, 2, 2)))).flatten(1))", c=_SMALL, f="nn.Linear(3600, 3)"),
        1,
    ),
    "F.pad and padding": (
        _forward(
            "x = F.pad(x, (1, 1, 1, 1), 'constant', 0)\nreturn self.f(torch.flatten(self.c(x), 1))",
            c=_CONV,
            f="nn.Linear(3600, 3)",
        ),
        1,
    ),
    "ConstantPad2d": (_sequence("nn.ConstantPad2d(1, 0.)", _SMALL, "nn.Flatten()", "nn.Linear(3136, 3)"), 1),
    "unsqueeze and squeeze": (
        _forward(
            "x = F.relu(self.c(x.unsqueeze(1)))\nreturn torch.sigmoid(self.f(x.flatten(1))).squeeze(1)",
            c=_SMALL,
            f="nn.Linear(2704, 1)",
        ),
        0,
    ),
    "squeeze after global pooling": (
        _forward(
            "return self.f(F.adaptive_avg_pool2d(self.c(x), 1).squeeze(-1).squeeze(-1))", c=_SMALL, f="nn.Linear(4, 3)"
        ),
        1,
    ),
    "squeeze of all axes": (
        _forward("return self.f(F.adaptive_avg_pool2d(self.c(x), (1, 1)).squeeze())", c=_SMALL, f="nn.Linear(4, 3)"),
        1,
    ),
    "division by 255": (
        _forward("return self.f(self.c(x / 255).flatten(1))", c=_SMALL, f="nn.Linear(2704, 3)"),
        None,
    ),
    "pooling by the size of the map": (
        _forward(
            "x = self.c(x)\nreturn self.f(F.avg_pool2d(x, x.size()[2:]).view(x.size(0), -1))",
            c=_SMALL,
            f="nn.Linear(4, 3)",
        ),
        1,
    ),
    "pooling by the shape of the map": (
        _forward(
            "x = self.c(x)\nx = F.avg_pool2d(x, kernel_size=x.shape[-2:])\nreturn self.f(torch.flatten(x, 1))",
            c=_SMALL,
            f="nn.Linear(4, 3)",
        ),
        1,
    ),
    "max pooling by height and width": (
        _forward(
            "x = self.c(x)\nx = F.max_pool2d(x, (x.size(2), x.size(3)))\nreturn self.f(x.flatten(1))",
            c=_SMALL,
            f="nn.Linear(4, 3)",
        ),
        1,
    ),
    "adaptive pooling to the map's size": (
        _sequence(_CONV, "nn.AdaptiveAvgPool2d((28, 28))", "nn.Flatten()", "nn.Linear(3136, 3)"),
        1,
    ),
    "adaptive pooling to a divisor": (
        _sequence(_CONV, "nn.AdaptiveAvgPool2d(7)", "nn.Flatten()", "nn.Linear(196, 3)"),
        1,
    ),
    "adaptive pooling that fixes the input": (
        _sequence("nn.Conv2d(3, 4, 3, stride=2)", "nn.AdaptiveAvgPool2d(15)", "nn.Flatten()", "nn.Linear(900, 3)"),
        3,
    ),
    "global max pooling": (
        _sequence(_CONV, "nn.AdaptiveMaxPool2d(1)", "nn.Flatten()", "nn.Linear(4, 3)"),
        1,
    ),
    "ceil_mode on even maps": (
        _sequence(_CONV, "nn.MaxPool2d(2, ceil_mode=True)", "nn.Flatten()", "nn.Linear(784, 3)"),
        1,
    ),
    "ceil_mode with windows at the border": (
        _sequence(_CONV, "nn.MaxPool2d(3, 2, ceil_mode=True)", "nn.Flatten()", "nn.Linear(784, 3)"),
        1,
    ),
    "padding that differs between the sides": (
        _forward("return self.f(self.c(F.pad(x, (0, 1, 2, 3))).flatten(1))", c=_SMALL, f="nn.Linear(3348, 3)"),
        1,
    ),
    "padding of the width alone": (
        _forward("return self.f(self.c(F.pad(x, (1, 1))).flatten(1))", c=_SMALL, f="nn.Linear(2912, 3)"),
        1,
    ),
    "padding before max pooling and at the end": (
        _sequence(_SMALL, "nn.ZeroPad2d(1)", "nn.MaxPool2d(2)", "nn.ZeroPad2d((1, 0, 0, 1))", "nn.Flatten()", _LAST),
        1,
    ),
    "padding before a stated shape": (
        _forward(
            "x = F.pad(x, (2, 2, 2, 2)).view(-1, 1, 32, 32)\nreturn self.f(self.c(x).flatten(1))",
            c=_SMALL,
            f="nn.Linear(3600, 3)",
        ),
        1,
    ),
    "slopes of leaky ReLU": (
        _sequence(
            _SMALL,
            "nn.LeakyReLU()",
            "nn.BatchNorm2d(4)",
            "nn.LeakyReLU(0.2)",
            "nn.Flatten()",
            "nn.Linear(2704, 8)",
            "nn.LeakyReLU(0.1, True)",
            "nn.Linear(8, 3)",
        ),
        1,
    ),
    "mean over the width, then over the height": (
        _forward("return self.f(self.c(x).mean(3).mean(2))", c=_SMALL, f="nn.Linear(4, 3)"),
        1,
    ),
    "mean over the last axis twice": (
        _forward("return self.f(self.c(x).mean(-1).mean(dim=-1))", c=_SMALL, f="nn.Linear(4, 3)"),
        1,
    ),
    "ResNet": (_IMPORTS + _RESNET, 1),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_operations_are_read_as_the_program_computes(name: str) -> None:
    """The programs of this file are executed here, and give the outputs of the imported network."""
    program, channels = PROGRAMS[name]
    architecture = parse_code(program).architecture
    namespace: dict[str, Any] = {}
    exec(program, namespace)
    theirs: nn.Module = namespace["model"].eval()
    ours = build_model(architecture, seed=3).eval()
    pairs = zip(theirs.state_dict().items(), ours.state_dict().items(), strict=True)
    assert [tuple(tensor.shape) for _, (_, tensor) in pairs] == [tuple(t.shape) for t in theirs.state_dict().values()]
    values = list(ours.state_dict().values())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    images = torch.rand((2, *architecture.input.shape), generator=torch.Generator().manual_seed(1))
    given = images[:, 0] if channels == 0 else images * 255 if channels is None else images
    with torch.inference_mode():
        expected = theirs(given).reshape(2, -1)
        found = torch.sigmoid(ours(images)) if channels == 0 else ours(images)
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("program", "line", "reason"),
    [
        (
            _forward("return self.f(self.c(F.pad(x, (-1, 1, 0, 1))).flatten(1))", c=_SMALL, f="nn.Linear(2808, 3)"),
            10,
            "must pad height and width by whole numbers of pixels",
        ),
        (
            _forward(
                "return self.f(self.c(F.pad(x, (1, 1, 1, 1), mode='reflect')).flatten(1))",
                c=_SMALL,
                f="nn.Linear(3136, 3)",
            ),
            10,
            "has an unsupported value of mode",
        ),
        (_sequence(_SMALL, "nn.AvgPool2d(3, ceil_mode=True)", "nn.Flatten()", "nn.Linear(324, 3)"), 4, "ceil_mode"),
        (
            _forward("return self.f((self.c(x) / 255).flatten(1))", c=_SMALL, f="nn.Linear(2704, 3)"),
            10,
            "scales values",
        ),
        (_forward("return self.f((self.c(x) * 2).flatten(1))", c=_SMALL, f="nn.Linear(2704, 3)"), 10, "arithmetic"),
        (_forward("return self.f((255 / x).flatten(1))", f="nn.Linear(784, 3)"), 9, "arithmetic"),
        (_forward("return self.f(self.c(x.unsqueeze(0)).flatten(1))", c=_SMALL, f="nn.Linear(2704, 3)"), 10, "axis"),
        (_forward("return self.f(self.c(x).squeeze(2).flatten(1))", c=_SMALL, f="nn.Linear(2704, 3)"), 10, "axis"),
        (
            _forward(
                "x = self.c(x)\ntorch.relu(x, out=x)\nreturn self.f(x.flatten(1))", c=_SMALL, f="nn.Linear(2704, 3)"
            ),
            11,
            "`relu(…)` writes its result into a tensor",
        ),
        (
            _forward("return F.softmax(self.f(self.c(x).flatten(1)), dim=0)", c=_SMALL, f="nn.Linear(2704, 3)"),
            10,
            "is a softmax over axis 0",
        ),
        (
            _forward("return self.f(self.c(x).mean(-1).mean(-2))", c=_SMALL, f="nn.Linear(26, 3)"),
            10,
            "stands between line 10 and the layer that must follow it",
        ),
        (
            _forward(
                "x = self.c(x)\ny = F.max_pool2d(x, 2)\nreturn self.f(F.avg_pool2d(y, x.size()[2:]).flatten(1))",
                c=_SMALL,
                f="nn.Linear(4, 3)",
            ),
            12,
            "needs a whole number as kernel_size",
        ),
        (
            _forward(
                "x = self.c(x)\nreturn self.f(F.avg_pool2d(x, x.size()[:2]).flatten(1))", c=_SMALL, f="nn.Linear(4, 3)"
            ),
            11,
            "needs a whole number as kernel_size",
        ),
    ],
    ids=[
        *("negative padding", "reflection", "ceil_mode", "scaling inside", "factor", "reciprocal", "batch axis"),
        *("axis of the map", "out", "softmax over the batch", "mean over the channels", "size of another map"),
        "other axes",
    ],
)
def test_operation_without_counterpart_is_refused_for_its_line_alone(program: str, line: int, reason: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        parse_code(program)
    assert f"Line {line}: " in caught.value.what
    assert reason in caught.value.what
    assert caught.value.what.count("Line ") == 1


_KERAS = "import tensorflow as tf\nfrom tensorflow.keras import Model, Sequential, layers\n"
_LAYERS = "layers.Conv2D(8, 3, padding='same'), {}, layers.Dense(10)"


@pytest.mark.parametrize(
    ("program", "shape", "parameters"),
    [
        (f"Sequential([layers.Input((28, 28, 1)), {_LAYERS.format('layers.GlobalMaxPooling2D()')}])", (1, 28, 28), 170),
        (
            f"Sequential([layers.Input((None, None, 3)), {_LAYERS.format('layers.GlobalAveragePooling2D()')}])",
            (3, 28, 28),
            314,
        ),
        (f"Sequential([layers.Resizing(64, 48), {_LAYERS.format('layers.Flatten()')}])", (1, 64, 48), 245850),
        (
            f"Sequential([layers.Input((90, 80, 3)), layers.CenterCrop(16, 16), {_LAYERS.format('layers.Flatten()')}])",
            (3, 16, 16),
            20714,
        ),
        (
            f"Sequential([layers.Reshape((28, 28, 1), input_shape=(784,)), {_LAYERS.format('layers.Reshape((-1,))')}])",
            (1, 28, 28),
            62810,
        ),
        (
            f"Sequential([layers.RandomBrightness(0.2), layers.RandomHue(0.1), {_LAYERS.format('layers.Flatten()')}])",
            (1, 28, 28),
            62810,
        ),
    ],
    ids=["global max", "open size", "resizing", "crop", "reshape", "augmentation"],
)
def test_keras_layers_around_the_network(program: str, shape: tuple[int, ...], parameters: int) -> None:
    architecture = parse_code(f"{_KERAS}model = {program}\n", input_shape=InputShape()).architecture
    assert architecture.input.shape == shape
    assert summarize(architecture).parameters == parameters


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [
        ("tf.reshape(x, [-1, 28, 28, 1])", "tf.reshape(x, [-1, 5408])", (1, 28, 28)),
        ("tf.reshape(x, shape=(-1, 30, 28, 3))", "self.flat(x)", (3, 30, 28)),
        ("tf.expand_dims(x, -1) / 255.0", "tf.reshape(x, (tf.shape(x)[0], -1))", (1, 28, 28)),
        ("tf.expand_dims(x, axis=3)", "tf.reduce_mean(x, [1, 2])", (1, 28, 28)),
    ],
)
def test_functions_of_tensorflow_on_tensors(start: str, end: str, shape: tuple[int, ...]) -> None:
    program = (
        f"{_KERAS}class Net(Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.conv, self.flat, self.out = layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(10)\n"
        f"    def call(self, x):\n        x = self.conv({start})\n        x = {end}\n        return self.out(x)\n"
    )
    architecture = parse_code(program).architecture
    assert architecture.input.shape == shape
    assert [layer.kind for layer in architecture.layers][-1] == "output"
    assert len(architecture.layers) == 3


_BASES = {
    "resnet18 is a network of torchvision": "from torchvision import models\nbase = models.resnet18(weights=None)\n",
    "MobileNetV2 is a network of keras.applications": (
        "from tensorflow import keras\nbase = keras.applications.MobileNetV2(include_top=False)\n"
    ),
    "VGG16 is a network of keras.applications": (
        "from keras.applications.vgg16 import VGG16, preprocess_input\nbase = VGG16(weights='imagenet')\n"
    ),
    "resnet50 is a network of timm": "import timm\nbase = timm.create_model('resnet50', pretrained=True)\n",
    "resnet34 is a network of PyTorch Hub": "import torch\nbase = torch.hub.load('pytorch/vision', 'resnet34')\n",
}


@pytest.mark.parametrize("reason", _BASES)
def test_pretrained_network_is_named_as_such(reason: str) -> None:
    if "keras" in reason:
        rest = "from keras import Sequential, layers\nmodel = Sequential([base, layers.Flatten(), layers.Dense(2)])\n"
    else:
        rest = "from torch import nn\nmodel = nn.Sequential(base, nn.ReLU(), nn.Linear(1000, 2))\n"
    with pytest.raises(ArchitectureError) as caught:
        parse_code(_BASES[reason] + rest)
    assert reason in caught.value.what
    assert "whose layers are not in this code" in caught.value.what


def test_pretrained_network_beside_the_one_that_is_trained_does_not_matter() -> None:
    program = _BASES["resnet18 is a network of torchvision"] + _sequence(_CONV, "nn.Flatten()", "nn.Linear(3136, 3)")
    assert len(parse_code(f"{program}model.train()\n").architecture.layers) == 3


_TRIAL = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.size = nn.Conv2d({channels}, 4, 3), None
        self.maps({trial})
        self.out = nn.Linear(self.size, 10)

    def maps(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        if self.size is None:
            self.size = x[0].shape[0] * x[0].shape[1] * x[0].shape[2]
        return x

    def forward(self, x):
        return self.out(self.maps(x).view(-1, self.size))


model = Net()
"""


@pytest.mark.parametrize(
    ("channels", "trial", "after", "shape"),
    [
        (1, "torch.randn(50, 50).view(-1, 1, 50, 50)", "", (1, 50, 50)),
        (3, "torch.zeros((1, 3, 40, 30)).to('cpu')", "", (3, 40, 30)),
        (1, "torch.rand(1, 1, 8, 8)", "model(torch.ones(2, 1, 8, 8)).shape", (1, 8, 8)),
        (1, "torch.rand(1, 1, 9, 9)[0]", "", (1, 28, 28)),
        (1, "torch.rand(1, 1, 9, n)", "", (1, 28, 28)),
    ],
    ids=["view", "tuple", "called too", "item", "unknown"],
)
def test_tensor_that_the_program_passes_through_states_the_input_shape(
    channels: int, trial: str, after: str, shape: tuple[int, ...]
) -> None:
    read = parse_code(f"{_IMPORTS}{_TRIAL.format(channels=channels, trial=trial)}{after}\n")
    assert read.architecture.input.shape == shape
    assert ("The code does not state the input shape" in " ".join(read.notes)) == (shape == (1, 28, 28))


def test_layers_without_gradients_are_noted() -> None:
    body = "with torch.no_grad():\n    x = self.c(x)\nreturn self.f(x.flatten(1))"
    notes = parse_code(_forward(body, c=_SMALL, f="nn.Linear(2704, 3)")).notes
    assert "Line 10: the layers that are applied without gradients are trained here." in notes
    trial = "with torch.no_grad():\n    model(torch.zeros(1, 1, 28, 28))\n"
    assert parse_code(_sequence(_SMALL, "nn.Flatten()", "nn.Linear(2704, 3)") + trial).notes == ()
