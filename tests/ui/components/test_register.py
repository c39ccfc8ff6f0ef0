"""Bundles of the JavaScript components."""

import re
from pathlib import Path

import numpy as np
import pytest

from playground.ui.components import register
from playground.ui.components.register import encode_array, register_component

FOLDER = Path(register.__file__).parent
COMPONENTS = sorted(path.stem for path in FOLDER.glob("*.js"))


@pytest.mark.parametrize("name", COMPONENTS)
def test_bundle_is_one_module_with_a_default_export(name: str) -> None:
    bundle = (FOLDER / "bundled" / f"{name}.js").read_text(encoding="utf-8")
    assert not re.search(r"\bimport\b *[\w{*\"']", bundle)
    assert len(re.findall(r"\bas default\b|\bexport default\b", bundle)) == 1


@pytest.mark.parametrize("name", COMPONENTS)
def test_style_sheet_of_a_component_is_bundled(name: str) -> None:
    assert (FOLDER / f"{name}.css").exists() == (FOLDER / "bundled" / f"{name}.css").exists()


def test_component_without_a_bundle_cannot_be_registered() -> None:
    with pytest.raises(FileNotFoundError, match=r"missing_view\.js"):
        register_component("missing_view")


def test_arrays_are_encoded_as_bytes_or_little_endian_float32() -> None:
    assert encode_array(np.array([1, 255], dtype=np.uint8)) == "Af8="
    assert encode_array(np.array([1.0, -2.0], dtype=np.float64)) == "AACAPwAAAMA="
