"""Invocation of the command line in this process."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from playground.cli import main


@dataclass(frozen=True)
class Result:
    """Exit code and output of one command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The JSON value in the last line of the output of a successful command."""
        assert self.exit_code == 0, self.stderr
        return json.loads(self.stdout.splitlines()[-1])


def invoke(*arguments: object) -> Result:
    """Run ``cnn-playground`` with these arguments."""
    stdout, stderr = io.StringIO(), io.StringIO()
    exit_code: Any = 0
    argv = mock.patch.object(sys, "argv", ["cnn-playground", *map(str, arguments)])
    with argv, redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            main()
        except SystemExit as ending:
            exit_code = ending.code or 0
    return Result(exit_code, stdout.getvalue(), stderr.getvalue())


def last_json(printed: str) -> Any:
    """Parse the last line of standard output, the value of ``--json``."""
    return json.loads(printed.splitlines()[-1])
