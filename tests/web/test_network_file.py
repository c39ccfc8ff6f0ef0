"""Network files: content, and weights that cannot be used."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from playground.core.architecture import Architecture
from playground.core.layers import LAYER_KINDS, TorchCall
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.errors import ArchitectureError, StorageError
from playground.web.network_file import WeightType, encode_network
from playground.web.program import compile_program
from tests.web.compare_networks import make_model

LOGISTIC = ARCHITECTURE_PRESETS["logistic"].architecture


def read_metadata(content: bytes) -> dict[str, str]:
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return metadata


def make_weights() -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in make_model(LOGISTIC).module.state_dict().items()}


def test_file_holds_architecture_and_weights() -> None:
    metadata = read_metadata(encode_network(LOGISTIC, make_weights()))
    assert Architecture.from_json(metadata["architecture"]) == LOGISTIC
    assert json.loads(metadata["program"]) == compile_program(LOGISTIC)


def test_weights_can_be_read_back() -> None:
    weights = make_weights()
    read = load(encode_network(LOGISTIC, weights))
    assert read.keys() == weights.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(read[name], values)


@pytest.mark.parametrize(
    ("value", "weight_type", "message"),
    [
        (np.nan, "float32", "not finite"),
        (np.inf, "float16", "not finite"),
        (70_000.0, "float16", "too large for float16"),
    ],
)
def test_weights_that_are_not_finite_in_the_file_are_rejected(
    value: float, weight_type: WeightType, message: str
) -> None:
    weights = {"1.weight": np.array([value], dtype=np.float32)}
    with pytest.raises(StorageError, match=message):
        encode_network(LOGISTIC, weights, weight_type=weight_type)


def test_layer_without_an_operation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    call = TorchCall("Threshold", {"threshold": 0.1, "value": 0.0})
    monkeypatch.setattr(LAYER_KINDS["flatten"], "build_torch_calls", lambda self, shape: (call,))
    with pytest.raises(ArchitectureError, match="no operation for Threshold"):
        compile_program(LOGISTIC)
