"""Bundles of the JavaScript components."""

import re

import numpy as np
import pytest

from playground.ui.components.register import bundle_javascript, encode_array

COMPONENTS = ("arithmetic_view", "confusion_matrix", "gallery", "layer_strip", "live_chart", "scatter_plot")
TOP_LEVEL_NAME = re.compile(r"^(?:export )?(?:default )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)


@pytest.mark.parametrize("name", COMPONENTS)
def test_bundle_is_one_module_without_imports(name: str) -> None:
    bundle = bundle_javascript(name)
    assert not re.search(r"^import\b", bundle, re.MULTILINE)
    assert bundle.count("export default function") == 1
    assert not re.search(r"^ *(/\*|//)", bundle, re.MULTILINE)


@pytest.mark.parametrize("name", COMPONENTS)
def test_top_level_names_of_a_bundle_differ(name: str) -> None:
    names = [match[1] for match in TOP_LEVEL_NAME.finditer(bundle_javascript(name))]
    assert len(names) > 3
    assert sorted(set(names)) == sorted(names)


def test_imported_modules_precede_their_importer() -> None:
    bundle = bundle_javascript("arithmetic_view")
    functions = ("windowOrigin", "windowBox", "renderArithmeticView")
    places = [bundle.index(f"function {function}(") for function in functions]
    assert places == sorted(places)


def test_arrays_are_encoded_as_bytes_or_little_endian_float32() -> None:
    assert encode_array(np.array([1, 255], dtype=np.uint8)) == "Af8="
    assert encode_array(np.array([1.0, -2.0], dtype=np.float64)) == "AACAPwAAAMA="
