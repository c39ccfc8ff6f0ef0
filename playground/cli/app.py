"""The command that opens the app."""

import os
import socket
import subprocess
import sys
from typing import Annotated

import typer

from playground.cli.options import cli_app
from playground.errors import PlaygroundError


@cli_app.command("app")
def open_app(
    port: Annotated[int, typer.Option(help="The port of the page.")] = 8501,
    headless: Annotated[bool, typer.Option(help="Open no browser.")] = False,
) -> None:
    """Open the app in the browser."""
    from playground.engine.paths import find_bundled, get_data_folder
    from playground.engine.workers.limits import ServerLimits

    ServerLimits.from_environment()  # a wrong one is said here, not to the first visitor
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as problem:
            raise PlaygroundError(
                f"Port {port} cannot be used: {problem.strerror}.",
                expected="Another program, perhaps another CNN Playground, may have it.",
                fix=f"Close that one, or choose another: cnn-playground app --port {port + 1}.",
            ) from problem
    script = find_bundled("app.py")
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    if headless:
        command.append("--server.headless=true")
    # Streamlit reads its configuration from the folder it is started in.
    environment = (
        {**os.environ, "CNN_PLAYGROUND_HOME": str(get_data_folder())} if "CNN_PLAYGROUND_HOME" in os.environ else None
    )
    raise typer.Exit(subprocess.run(command, cwd=script.parent, env=environment, check=False).returncode)
