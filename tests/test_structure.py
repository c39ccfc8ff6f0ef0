"""Structure of the code: imports, sizes and names."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from playground.core.layers import LAYER_KINDS
from tests import structure

ROOT = Path(__file__).parent.parent


def list_loaded_modules(statement: str) -> set[str]:
    """Return the top-level modules that ``statement`` loads in a new process."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.splitlines()[-1].split())


def test_import_contracts_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    result = subprocess.run([*command, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import playground.core.presets, playground.core.history, playground.core.events, playground.core.validation",
        "import playground",
        "import playground.cli",
        "import playground.codegen",
        "import playground.engine.paths, playground.engine.file_lock",
    ],
)
def test_light_packages_import_no_heavy_dependency(statement: str) -> None:
    assert list_loaded_modules(statement).isdisjoint(
        {"torch", "torchvision", "streamlit", "plotly", "captum", "numpy", "jinja2"}
    )


def test_summary_command_does_not_import_torch() -> None:
    statement = "import sys; sys.argv = ['x', 'summary', 'guide']; from playground.cli import cli_app; "
    statement += "cli_app(standalone_mode=False)"
    assert "torch" not in list_loaded_modules(statement)


def test_draw_panel_imports_scipy_only_for_a_photo() -> None:
    assert "scipy" not in list_loaded_modules("import playground.ui.model_input")


def test_worker_does_not_import_the_ui() -> None:
    loaded = list_loaded_modules("import playground.engine.workers.worker")
    assert "torch" in loaded
    assert loaded.isdisjoint({"streamlit", "plotly", "torchvision", "captum"})


def test_folders_have_few_modules() -> None:
    counts = structure.count_modules_per_folder()
    counts["playground/core/layers"] -= len(LAYER_KINDS)  # one file per layer kind, by design
    assert {folder: count for folder, count in counts.items() if count > structure.MODULE_LIMIT} == {}


def test_old_names_are_gone() -> None:
    assert len(structure.list_old_names()) <= structure.KNOWN_OLD_NAMES, structure.list_old_names()


def test_docstrings_name_the_concept() -> None:
    places = structure.list_question_docstrings()
    assert len(places) <= structure.KNOWN_QUESTION_DOCSTRINGS, places


def test_long_modules_are_reported() -> None:
    """A soft limit: too long a module is a warning, never a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for module in structure.list_long_modules():
            warnings.warn(f"soft limit of {structure.LINE_LIMIT} lines: {module}", stacklevel=1)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Whether it rains."""\n', ["module.py:1 Whether it rains."]),
        ('def predict():\n    """How it predicts."""\n', ["module.py:1 How it predicts."]),
        ('"""Whatever comes."""\n', []),
    ],
    ids=["module", "function", "other word"],
)
def test_question_docstrings_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: list[str]
) -> None:
    (tmp_path / "module.py").write_text(source)
    monkeypatch.setattr(structure, "ROOT", tmp_path)
    monkeypatch.setattr(structure, "FOLDERS", (".",))
    assert structure.list_question_docstrings() == expected
