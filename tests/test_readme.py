"""README does not rot: its commands are the ones that exist, its code runs."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from playground.cli import cli_app

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("command", ["pip install -e . && streamlit run app.py", 'pip install -e ".[test]" && pytest'])
def test_the_two_commands_are_shown(command: str) -> None:
    assert f"```\n{command}\n```" in README


def test_every_command_of_the_readme_parses() -> None:
    lines = re.findall(r"^cnn-playground (.+)$", README, flags=re.MULTILINE)
    assert len(lines) >= 7
    group = get_command(cli_app)
    for line in lines:
        name, *arguments = shlex.split(line)
        command = group.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, arguments, resilient_parsing=False).close()


def test_the_python_example_runs(home: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "README.md", "exec"), {})
    assert re.search(r"\d+\.\d% of 10,000 test images", printed.getvalue())


def test_the_files_that_the_readme_names_exist() -> None:
    for name in re.findall(r"\((assets/[^)]+)\)|`(assets/[^`]+)`", README):
        path = Path(__file__).parents[1] / (name[0] or name[1])
        assert path.exists(), path
