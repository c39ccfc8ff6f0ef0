"""The shape of the code itself: who imports whom, and how long a module is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that are loaded after ``statement`` in a process of its own."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.splitlines()[-1].split())


def test_every_ring_imports_only_what_it_may():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    result = subprocess.run([*command, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import playground.core.presets, playground.core.history, playground.core.events, playground.core.validation",
        "import playground.cli",
        "import playground.codegen",
        "import playground.engine.paths, playground.engine.file_lock",
    ],
)
def test_what_answers_at_once_waits_for_nothing_heavy(statement: str):
    assert loaded_by(statement).isdisjoint({"torch", "torchvision", "streamlit", "plotly", "captum", "numpy", "jinja2"})


def test_the_command_line_answers_without_torch():
    statement = "import sys; sys.argv = ['x', 'summary', 'guide']; from playground.cli import cli_app; "
    statement += "cli_app(standalone_mode=False)"
    assert "torch" not in loaded_by(statement)


def test_the_worker_never_sees_the_screen():
    loaded = loaded_by("import playground.engine.workers.worker")
    assert "torch" in loaded
    assert loaded.isdisjoint({"streamlit", "plotly", "torchvision", "captum"})
