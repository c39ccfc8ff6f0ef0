"""docs/cli.md and the help texts: generated from the program and its registries."""

import re

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from docs.make_cli_reference import TARGET, render_reference
from playground.cli import cli_app
from playground.core.datasets import DATASETS
from playground.core.presets import RECIPE_PRESETS
from playground.export.targets import EXPORT_TARGETS
from tests.cli.command_line import invoke
from tests.narrowing import require_type

COMMANDS = require_type(get_command(cli_app), TyperGroup).commands


def test_cli_reference_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == render_reference(), "run: python docs/make_cli_reference.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_parameter_has_help(name: str) -> None:
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert parameter.name == "help" or getattr(parameter, "help", None), parameter.name
    assert invoke(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("export", EXPORT_TARGETS),
        ("train", {**RECIPE_PRESETS, **DATASETS}),
        ("fork", RECIPE_PRESETS),
        ("transfer", {**RECIPE_PRESETS, **DATASETS}),
        ("fetch", DATASETS),
        ("features", DATASETS),
        ("import", DATASETS),
    ],
    ids=["export", "train", "fork", "transfer", "fetch", "features", "import"],
)
def test_help_lists_every_registered_name(command: str, names: dict[str, object]) -> None:
    help_text = re.sub(r"-\n\s+", "-", invoke(command, "--help").stdout)  # a name may be wrapped after its hyphen
    words = {word.strip("(),.") for word in help_text.split()}
    assert names.keys() <= words
