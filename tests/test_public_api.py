"""Public API: every name of ``__all__`` is available, and importing the package stays cheap."""

import importlib.metadata
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import playground

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", playground.__all__)
def test_public_name_is_imported_from_its_module(name: str) -> None:
    value = getattr(playground, name)
    module_name = playground._MODULE_BY_NAME.get(name, "playground.version")
    module = import_module(module_name)
    assert value is (module if name == "layers" else getattr(module, name))
    assert name in dir(playground)


def test_every_lazy_name_is_public() -> None:
    assert {*playground._MODULE_BY_NAME, "__version__"} == {*playground.__all__}


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Architectures'"):
        playground.Architectures  # noqa: B018 -- the access is tested


def test_import_loads_no_dependency() -> None:
    code = "import sys; before = {*sys.modules}; import playground; print(*sorted({*sys.modules} - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name for name in result.stdout.split() if name.split(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"playground", "playground.version"}


def test_version_of_the_installed_package_is_the_version_in_the_code() -> None:
    assert importlib.metadata.version("cnn-playground") == playground.__version__


def test_package_is_marked_as_typed() -> None:
    assert (Path(playground.__file__).parent / "py.typed").is_file()
