"""README: its commands exist, its code runs, its links lead to files."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image, ImageSequence
from typer.core import TyperGroup
from typer.main import get_command

from playground.cli import cli_app
from tests.narrowing import require_type

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["pip install -e . && streamlit run app.py", 'pip install -e ".[test]" && pytest'])
def test_the_two_commands_are_shown(command: str) -> None:
    assert f"```\n{command}\n```" in README


def test_every_command_parses() -> None:
    lines = re.findall(r"^cnn-playground (.+)$", README, flags=re.MULTILINE)
    assert len(lines) >= 7
    commands = require_type(get_command(cli_app), TyperGroup).commands
    for line in lines:
        name, *arguments = shlex.split(line)
        commands[name].make_context(name, arguments, resilient_parsing=False).close()


def test_python_examples_run(home: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "README.md", "exec"), {})
    assert re.search(r"\d+\.\d% of 10,000 test images", printed.getvalue())


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md"])
def test_files_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)
    paths = re.findall(r"`((?:playground|assets|tests|docs|engine|interpret|\.ci)/[\w./]+)`", text)
    folder = (ROOT / document).parent
    missing = [link for link in links if not (folder / link).exists()]
    missing += [path for path in paths if not ((ROOT / path).exists() or (ROOT / "playground" / path).exists())]
    assert missing == []


def test_animation_is_small_and_moves() -> None:
    path = ROOT / "docs/pictures/playground.webp"
    assert path.stat().st_size <= 1_500_000
    with Image.open(path) as animation:
        assert sum(1 for _ in ImageSequence.Iterator(animation)) > 10
