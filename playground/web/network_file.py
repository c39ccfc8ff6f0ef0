"""Network files for the browser engine: safetensors with the architecture and its program as metadata."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from playground.core.architecture import Architecture
from playground.errors import StorageError
from playground.web.program import compile_program

NETWORK_FILE_SCHEMA = 1
WeightType = Literal["float32", "float16"]


def encode_network(
    architecture: Architecture,
    weights: Mapping[str, NDArray[Any]],
    *,
    weight_type: WeightType = "float32",
    labels: Mapping[str, str] | None = None,
) -> bytes:
    """Encode a network file; ``weights`` are the floating-point tensors of a snapshot, in float32.

    ``labels`` are further metadata, which the engine does not read. The metadata hold ``schema``, ``architecture`` and
    ``program``, all as JSON. Raises StorageError for weights that are not finite in the file, and ArchitectureError for
    a layer that the browser engine does not know.
    """
    tensors = {name: _convert(name, values, weight_type) for name, values in weights.items()}
    metadata = {
        **(labels or {}),
        "schema": str(NETWORK_FILE_SCHEMA),
        "architecture": architecture.to_canonical_json(),
        "program": json.dumps(compile_program(architecture), separators=(",", ":")),
    }
    content: bytes = save(tensors, metadata)
    return content


def _convert(name: str, values: NDArray[Any], weight_type: WeightType) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # an overflow to infinity is reported below
        converted = np.ascontiguousarray(values, dtype=weight_type)
    if not np.isfinite(converted).all():
        reason = "are not finite" if not np.isfinite(values).all() else f"are too large for {weight_type}"
        raise StorageError(
            f"Values of the weights {name!r} {reason}.",
            expected="Finite weights.",
            fix="Choose an earlier step of the run." if "not" in reason else "Use float32.",
        )
    return converted
