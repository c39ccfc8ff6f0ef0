"""Hypothesis strategies: layers, valid architectures, arbitrary architectures, recipes."""

from math import gcd
from typing import Any

from hypothesis import assume
from hypothesis import settings as settings  # exported: whoever imports it from here has the profile below
from hypothesis import strategies as st

from playground.core import augmentations, optimizers, schedules
from playground.core.architecture import Architecture, InputShape
from playground.core.form_schema import FormField, build_form_fields
from playground.core.layers import (
    LAYER_KINDS,
    Activation,
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
from playground.core.layers.shared.activation_functions import ACTIVATION_TITLES
from playground.core.recipe import Recipe
from playground.core.shapes import Shape, compute_output_size, is_spatial
from playground.core.summary import summarize

# The same examples every time, so that failures are reproducible. No deadline, since the cores are shared.
settings.register_profile("playground", deadline=None, derandomize=True, database=None, print_blob=False)
settings.load_profile("playground")

ACTIVATIONS = tuple(ACTIVATION_TITLES)
OPTIONAL_ACTIVATIONS = ("none", *ACTIVATIONS)
OPTIMIZERS: tuple[type[Any], ...] = tuple(optimizers.OPTIMIZERS.values())
SCHEDULES: tuple[type[Any], ...] = tuple(schedules.SCHEDULES.values())
AUGMENTATIONS: tuple[type[Any], ...] = tuple(augmentations.AUGMENTATIONS.values())


def field_values(field: FormField, most: int | None = None) -> st.SearchStrategy[Any]:
    """Any value that the form of a field allows; ``most`` caps integers, to keep networks small."""
    if field.control == "choice":
        return st.sampled_from(field.choices)
    if field.control == "flag":
        return st.booleans()
    assert field.minimum is not None, field
    # A bound that the form leaves open is the model's business; here a number below 1 stands in for it.
    high = field.maximum if field.maximum is not None else 0.99
    if field.control == "integer":
        return st.integers(int(field.minimum), int(high if most is None else min(high, most)))
    return st.floats(field.minimum, high, allow_nan=False)


def from_form(model: type[Any], most: int | None = None) -> st.SearchStrategy[Any]:
    """Values of a model with every form field drawn from its bounds."""
    return st.builds(model, **{field.name: field_values(field, most) for field in build_form_fields(model)})


@st.composite
def layers(draw: st.DrawFn, most: int | None = None) -> Layer:
    """One layer of any kind with any valid fields, enabled or disabled."""
    kind = draw(st.sampled_from(sorted(LAYER_KINDS.values(), key=lambda kind: kind.__name__)))
    layer: Layer = draw(from_form(kind, most))
    if isinstance(layer, Output):
        layer = layer.replace(units=draw(st.none() | st.integers(1, 12)))
    if isinstance(layer, Residual):
        inner = st.one_of(*(from_form(part, most) for part in (Conv2d, BatchNorm, Dropout, Activation)))
        layer = layer.replace(layers=tuple(draw(st.lists(inner, min_size=1, max_size=4))))
    return layer.replace(enabled=draw(st.sampled_from((True, True, True, False))))


def inputs(smallest: int = 8) -> st.SearchStrategy[InputShape]:
    """Small input shapes, square or not."""
    side = st.integers(smallest, 28)
    return st.builds(InputShape, channels=st.integers(1, 3), height=side, width=side)


def any_architectures(most: int | None = 40) -> st.SearchStrategy[Architecture]:
    """Architectures of random layers; most of them are invalid."""
    return st.builds(
        Architecture,
        input=inputs(1),
        classes=st.integers(2, 12),
        layers=st.lists(layers(most), max_size=7).map(tuple),
    )


@st.composite
def _working_conv(draw: st.DrawFn, shape: Shape) -> Conv2d:
    channels = shape[0]
    out_channels = draw(st.integers(1, 6))
    common = gcd(channels, out_channels)
    groups = draw(st.sampled_from([size for size in range(1, common + 1) if common % size == 0]))
    fields: dict[str, Any] = {
        "out_channels": out_channels,
        "groups": groups,
        "bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(OPTIONAL_ACTIVATIONS)),
        "kernel_size": draw(st.integers(1, 5)),
        "dilation": draw(st.integers(1, 3)),
        "padding": draw(st.sampled_from(("same", "valid", 0, 1, 2))),
        "stride": draw(st.integers(1, 3)),
    }
    if fields["padding"] == "same":
        fields["stride"] = 1
        return Conv2d(**fields)
    padding = 0 if fields["padding"] == "valid" else fields["padding"]
    if fields["dilation"] * (fields["kernel_size"] - 1) + 1 > min(shape[1:]) + 2 * padding:
        fields |= {"kernel_size": 1, "dilation": 1}
    return Conv2d(**fields)


@st.composite
def _working_pool(draw: st.DrawFn, shape: Shape) -> Layer:
    kinds: tuple[type[MaxPool2d] | type[AvgPool2d], ...] = (MaxPool2d, AvgPool2d)
    kind = draw(st.sampled_from(kinds))
    kernel_size = draw(st.integers(1, min(4, *shape[1:])))
    return kind(
        kernel_size=kernel_size,
        stride=draw(st.none() | st.integers(1, 3)),
        padding=draw(st.integers(0, kernel_size // 2)),
    )


@st.composite
def _working_residual(draw: st.DrawFn, shape: Shape) -> Residual:
    """Odd kernels padded to keep the size, the first perhaps with a stride, so that both branches have equal shapes."""
    stride = draw(st.sampled_from((1, 2))) if min(shape[1:]) >= 2 else 1
    inner: list[Layer] = []
    for index in range(draw(st.integers(1, 2))):
        kernel_size, dilation = draw(st.sampled_from(((1, 1), (3, 1), (3, 2), (5, 1))))
        inner.append(
            Conv2d(
                out_channels=draw(st.integers(1, 6)),
                kernel_size=kernel_size,
                dilation=dilation,
                padding=dilation * (kernel_size - 1) // 2,
                stride=stride if index == 0 else 1,
                bias=draw(st.booleans()),
                activation=draw(st.sampled_from(OPTIONAL_ACTIVATIONS)),
            )
        )
        inner.extend(draw(st.lists(_pointwise(), max_size=1)))
    switched_off = draw(st.lists(_pointwise().map(lambda layer: layer.replace(enabled=False)), max_size=1))
    channels = next(layer.out_channels for layer in reversed(inner) if isinstance(layer, Conv2d))
    convolution = Conv2d(out_channels=channels, kernel_size=1, stride=stride, bias=False, activation="none")
    return Residual(
        layers=(*inner, *switched_off),
        projection=draw(st.sampled_from(((), (convolution,), (convolution, BatchNorm(eps=1e-3))))),
        activation=draw(st.sampled_from(OPTIONAL_ACTIVATIONS)),
    )


def _pointwise() -> st.SearchStrategy[Layer]:
    return st.one_of(
        st.builds(BatchNorm, momentum=st.sampled_from((0.1, 0.5)), eps=st.sampled_from((1e-5, 1e-3))),
        st.builds(Dropout, p=st.sampled_from((0.0, 0.25, 0.9))),
        st.builds(Activation, activation=st.sampled_from(ACTIVATIONS)),
    )


@st.composite
def architectures(draw: st.DrawFn, most_maps: int = 4) -> Architecture:
    """Small valid architectures with every kind of layer, some of them disabled."""
    shape = draw(inputs())
    drawn_layers: list[Layer] = []
    current = shape.shape
    for _ in range(draw(st.integers(0, most_maps))):
        layer = draw(
            st.one_of(_working_conv(current), _working_pool(current), _working_residual(current), _pointwise())
        )
        drawn_layers.append(layer)
        current = layer.compute_output_shape(current)
    # A large map would only make the linear part slow.
    drawn_layers.append(draw(st.sampled_from((Flatten(), GlobalAvgPool()))) if is_spatial(current) else Flatten())
    for _ in range(draw(st.integers(0, 2))):
        linear = st.builds(
            Linear,
            out_features=st.integers(1, 12),
            bias=st.booleans(),
            activation=st.sampled_from(OPTIONAL_ACTIVATIONS),
        )
        drawn_layers.append(draw(st.one_of(linear, _pointwise())))
    classes = draw(st.integers(2, 12))
    activation = draw(st.sampled_from(("softmax", "sigmoid"))) if classes == 2 else "softmax"
    unit_count = 1 if activation == "sigmoid" else classes
    drawn_layers.append(Output(activation=activation, units=draw(st.sampled_from((None, unit_count)))))
    for layer in draw(st.lists(layers(40), max_size=2)):
        drawn_layers.insert(draw(st.integers(0, len(drawn_layers))), layer.replace(enabled=False))
    return Architecture(input=shape, classes=classes, layers=tuple(drawn_layers))


@st.composite
def frozen_architectures(draw: st.DrawFn) -> Architecture:
    """Valid architectures with any layers frozen, also in blocks, but not all."""

    def perhaps_frozen(layer: Layer) -> Layer:
        inner = {"layers": tuple(map(perhaps_frozen, layer.layers))} if isinstance(layer, Residual) else {}
        return layer.replace(trainable=draw(st.booleans()) or not layer.has_weights, **inner)

    architecture = draw(architectures())
    frozen = architecture.with_layers([perhaps_frozen(layer) for layer in architecture.layers])
    assume(summarize(frozen).trainable_parameters)
    return frozen


@st.composite
def window_stacks(draw: st.DrawFn) -> Architecture:
    """Convolutions and average pooling without padding on a large square image, for receptive fields."""
    drawn_layers: list[Layer] = []
    size = 64
    for _ in range(draw(st.integers(1, 5))):
        kernel_size, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        if draw(st.booleans()):
            layer: Layer = Conv2d(
                out_channels=2, kernel_size=kernel_size, stride=stride, dilation=dilation, activation="none"
            )
        else:
            dilation = 1
            layer = AvgPool2d(kernel_size=kernel_size, stride=stride)
        smaller = compute_output_size(size, kernel_size, stride, 0, dilation)
        if smaller < 3:
            break
        size = smaller
        drawn_layers.append(layer)
    return Architecture(input=InputShape(height=64, width=64), layers=(*drawn_layers, GlobalAvgPool(), Output()))


def recipes() -> st.SearchStrategy[Recipe]:
    """Any valid recipe."""
    plain = {field.name: field_values(field) for field in build_form_fields(Recipe) if field.name != "dataset"}
    return st.builds(
        Recipe,
        optimizer=st.one_of(*(from_form(kind) for kind in OPTIMIZERS)),
        schedule=st.one_of(*(from_form(kind) for kind in SCHEDULES)),
        augmentation=st.lists(st.one_of(*(from_form(kind) for kind in AUGMENTATIONS)), max_size=8).map(tuple),
        limit=st.none() | st.integers(10, 10**6),
        **plain,
    )
