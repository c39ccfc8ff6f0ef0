"""Command line of CNN Playground. With ``--json`` the last line of the output is one JSON value."""

import os
import sys

from playground.cli import import_export, query, serve, training
from playground.cli.output import err_console, use_utf8_pipes
from playground.cli.typer_app import cli_app
from playground.errors import PlaygroundError

__all__ = ["cli_app", "import_export", "main", "query", "serve", "training"]  # importing a module adds its commands


def main() -> None:
    """Run the command line; an error is one message on standard error and exit code 2, never a traceback."""
    use_utf8_pipes()
    try:
        cli_app()
    except PlaygroundError as error:
        err_console.print(f"Error: {error.what}", soft_wrap=True)
        for line in (error.expected, error.fix):
            if line:
                err_console.print(line, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
