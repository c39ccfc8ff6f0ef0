"""SAY: the command line. With ``--json`` the last line of the output is one JSON value, for programs."""

import os
import sys

from playground.cli import app as serving
from playground.cli import import_export as exchanging
from playground.cli import query as looking
from playground.cli import training
from playground.cli.options import app
from playground.cli.output import err
from playground.errors import PlaygroundError

__all__ = ["app", "exchanging", "looking", "main", "serving", "training"]  # importing them adds their commands


def main() -> None:
    """Run the command line; an error is one message on standard error and exit code 2, never a traceback."""
    try:
        app()
    except PlaygroundError as problem:
        err.print(f"Error: {problem.what}", soft_wrap=True)
        for line in (problem.expected, problem.fix):
            if line:
                err.print(line, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
