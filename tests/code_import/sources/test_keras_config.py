"""Keras configurations: models that Keras serialized itself, older forms, and refusals that name the layer."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.code_import.parse_network import parse_network
from playground.core.architecture import Architecture
from playground.core.layers import Conv2d, Flatten, Linear, Output
from playground.errors import ArchitectureError, PlaygroundError

_GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "keras-configs.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", _GOLDEN)
def test_configuration_written_by_keras_is_read_as_its_code(name: str) -> None:
    found = parse_network(json.dumps(_GOLDEN[name]["config"]))
    assert (
        found.architecture.to_canonical_json() == parse_network(_GOLDEN[name]["code"]).architecture.to_canonical_json()
    )
    assert len(found.architecture.layers) > 3


@pytest.mark.parametrize("write", [repr, lambda text: repr(json.loads(text)), lambda text: f"```json\n{text}\n```"])
def test_configuration_as_a_console_or_a_chat_shows_it(write: Any) -> None:
    config = json.dumps(_GOLDEN["guide"]["config"])
    assert parse_network(write(config)) == parse_network(config)
    inner = _GOLDEN["guide"]["config"]["config"]
    assert parse_network(write(json.dumps(inner))) == parse_network(config)


_KERAS_1 = {
    "class_name": "Sequential",
    "config": [
        {
            "class_name": "Convolution2D",
            "config": {
                "batch_input_shape": [None, 1, 28, 28],
                "nb_filter": 8,
                "nb_row": 3,
                "nb_col": 3,
                "border_mode": "valid",
                "activation": "relu",
                "init": "glorot_uniform",
                "dim_ordering": "th",
                "subsample": [1, 1],
                "bias": True,
                "trainable": True,
                "W_regularizer": None,
                "name": "c1",
            },
        },
        {"class_name": "Flatten", "config": {"trainable": True, "name": "f1"}},
        {"class_name": "Dense", "config": {"output_dim": 10, "activation": "softmax", "name": "d1", "bias": True}},
    ],
}


_Layer = tuple[str, str, dict[str, Any], list[Any]]


def _functional_2(*layers: _Layer, output: str) -> dict[str, Any]:
    """The form of Keras 2."""
    listed = [
        {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}
        for name, kind, config, nodes in layers
    ]
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [[output, 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "layers": listed, **ends}}


_INPUT: _Layer = ("i", "InputLayer", {"batch_input_shape": [None, 28, 28, 1], "sparse": False, "ragged": False}, [])
_CONV = ("c", "Conv2D", {"filters": 8, "kernel_size": [3, 3]}, [[["i", 0, 0, {}]]])
_FLATTEN: _Layer = ("f", "Flatten", {}, [[["c", 0, 0, {}]]])
_DENSE = ("d", "Dense", {"units": 10}, [[["f", 0, 0, {}]]])


def test_configuration_of_keras_1_is_read() -> None:
    assert parse_network(json.dumps(_KERAS_1)).architecture.layers == (
        Conv2d(id="conv2d-1", out_channels=8),
        Flatten(id="flatten-1"),
        Output(id="output-1"),
    )


def test_configuration_of_keras_2_is_read_in_the_order_of_its_connections() -> None:
    network = parse_network(json.dumps(_functional_2(_DENSE, _FLATTEN, _CONV, _INPUT, output="d"))).architecture
    assert (
        network.digest == Architecture(layers=(Conv2d(out_channels=8, activation="none"), Flatten(), Output())).digest
    )


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (
            _functional_2(_INPUT, ("c", "LSTM", {"units": 3}, _CONV[3]), output="c"),
            r"Layer 'c': .*LSTM.* is not supported",
        ),
        (
            _functional_2(_INPUT, _CONV, ("f", "Lambda", {"function": ["4wEA", None, None]}, _FLATTEN[3]), output="f"),
            "Lambda",
        ),
        (_functional_2(_INPUT, _CONV, ("c2", "Flatten", {}, [[["x", 0, 0, {}]]]), output="c"), "not connected"),
        (_functional_2(_INPUT, ("c", "Conv2D", {}, [[["c", 0, 0, {}]]]), output="c"), "not connected"),
        (_functional_2(_INPUT, output="d"), "inputs or outputs are not among its layers"),
        (
            _functional_2(_INPUT, ("c", "Dropout", {"rate": 0.5}, [[["i", 0, 0, {"training": True}]]]), output="c"),
            "True",
        ),
        ({"class_name": "Net", "config": {}}, "Net is not a model"),
        ({"class_name": "Model", "config": {"name": "net"}}, "has no layers"),
        ({"class_name": "Sequential", "config": [{"class_name": "A b", "config": {}}]}, "'A b' is not a layer"),
        ({"class_name": "Sequential", "config": [{"class_name": "Flatten", "config": {}}] * 2_001}, "more than 2,000"),
        ({"class_name": "Sequential", "config": {"layers": [3]}}, "has no layers"),
    ],
    ids=[
        *("unsupported", "lambda", "missing input", "circle", "missing output", "dropout at inference", "class"),
        *("subclass", "name", "too many", "no layer"),
    ],
)
def test_configuration_that_cannot_be_read_is_rejected_with_its_reason(config: dict[str, Any], what: str) -> None:
    with pytest.raises(ArchitectureError, match=what):
        parse_network(json.dumps(config))


def test_frozen_layers_and_regularizers_are_kept_as_in_code() -> None:
    config = {
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 1]}},
            {"class_name": "Flatten", "config": {}},
            {
                "class_name": "Dense",
                "config": {"units": 4, "trainable": False, "kernel_regularizer": {"class_name": "L2", "config": {}}},
            },
            {"class_name": "Dense", "config": {"units": 3}},
        ]
    }
    found = parse_network(json.dumps(config))
    assert found.architecture.layers[1] == Linear(id="linear-1", out_features=4, activation="none", trainable=False)
    assert found.notes == ("kernel_regularizer is omitted.",)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.floats()
    | st.sampled_from(("relu", "same", "__keras_tensor__", "i", "c")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ("class_name", "config", "layers", "inbound_nodes", "args", "kwargs", "keras_history", "name")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(place=st.lists(st.integers(0, 9), max_size=6), value=_VALUES, name=st.sampled_from(sorted(_GOLDEN)))
def test_changed_configuration_gives_a_network_or_a_playground_error(place: list[int], value: Any, name: str) -> None:
    config = json.loads(json.dumps(_GOLDEN[name]["config"]))
    part: Any = config
    for index in place:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        key = keys[index % len(keys)] if len(keys) else None
        if key is None or not isinstance(part[key], dict | list) or index == place[-1]:
            break
        part = part[key]
    if len(part):
        part[next(iter(part)) if isinstance(part, dict) else 0] = value
    with suppress(PlaygroundError):
        parse_network(json.dumps(config))
