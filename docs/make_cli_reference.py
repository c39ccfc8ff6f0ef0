"""Write docs/cli.md from the Typer application: ``python docs/make_cli_reference.py``."""

from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.main import get_command

from playground.cli import cli_app

TARGET = Path(__file__).with_name("cli.md")
TYPE_NAMES = {str: "TEXT", int: "INTEGER", float: "FLOAT", Path: "PATH"}

INTRODUCTION = """\
# Command line

`cnn-playground` and `python -m playground` are the same program. With `--json` the last line of the output is one JSON
value. The exit code is 0 for success, 1 for a failed run or an invalid network, 2 for an error, and 130 for a run that
was stopped by Ctrl-C.

This page is generated from the program by `python docs/make_cli_reference.py`.
"""


def render_reference() -> str:
    """Return the reference of all commands as Markdown."""
    commands: dict[str, Any] = get_command(cli_app).commands  # type: ignore[attr-defined]  # get_command returns a group here
    overview = "\n".join(
        f"| [`{name}`](#{name}) | {_first_sentence(command.help)} |" for name, command in commands.items()
    )
    sections = [_render_command(name, command) for name, command in commands.items()]
    return "\n".join([INTRODUCTION, f"| command | purpose |\n|---|---|\n{overview}\n", *sections])


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".") + "."


def _render_command(name: str, command: Any) -> str:
    getattr(command, "load_help", lambda: None)()
    parameters = command.params
    types, helps = _read_annotations(name)
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    options = [option for option in options if "--help" not in option.opts]
    usage = " ".join(["cnn-playground", name, *(["[OPTIONS]"] if options else []), *map(_name_argument, arguments)])
    lines = [f"## {name}", "", command.help, "", "```", usage, "```", ""]
    if parameters:
        lines += ["| parameter | default | meaning |", "|---|---|---|"]
        lines += [f"| `{_name_argument(argument)}` | required | {helps[argument.name]} |" for argument in arguments]
        lines += [
            f"| {_name_option(option, types[option.name])} | {_format_default(option)} "
            f"| {option.help or helps[option.name]} |"
            for option in options
        ]
        lines.append("")
    return "\n".join(lines)


def _name_argument(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _read_annotations(command_name: str) -> tuple[dict[str, type], dict[str, str]]:
    """Return type and help of every parameter of a command; the type of ``int | None`` is int.

    Read from the annotations, because Typer's objects differ from version to version.
    """
    callbacks = {
        info.name or info.callback.__name__: info.callback for info in cli_app.registered_commands if info.callback
    }
    types, helps = {}, {}
    for name, hint in get_type_hints(callbacks[command_name], include_extras=True).items():
        if name != "return":
            value_type, info = get_args(hint)
            types[name] = next((arm for arm in get_args(value_type) if arm is not type(None)), value_type)
            helps[name] = info.help
    return types, helps


def _name_option(option: Any, value_type: type) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if value_type is bool else f"{names} {TYPE_NAMES[value_type]}"


def _format_default(option: Any) -> str:
    if option.required:
        return "required"
    return "" if option.default in (None, False) else str(option.default)


if __name__ == "__main__":
    TARGET.write_text(render_reference(), encoding="utf-8")
