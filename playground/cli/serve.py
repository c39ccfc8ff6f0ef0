"""Command that starts the app."""

import os
import socket
import subprocess
import sys
from typing import Annotated

import typer

from playground.cli.typer_app import cli_app
from playground.errors import PlaygroundError

_REUSEADDR_SHARES_PORTS = os.name == "nt"  # there the option binds also a port that another program listens on


@cli_app.command("app")
def open_app(
    port: Annotated[int, typer.Option(help="Port that the server listens on.")] = 8501,
    headless: Annotated[bool, typer.Option(help="Start the server without opening a browser.")] = False,
) -> None:
    """Start the app and open it in the browser."""
    from playground.engine.paths import find_bundled, get_data_folder
    from playground.engine.workers.limits import ServerLimits

    ServerLimits.from_environment()  # an invalid limit is reported now, not to the first visitor
    _check_port(port)
    script = find_bundled("app.py")
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    if headless:
        command.append("--server.headless=true")
    # Streamlit reads its configuration from the working directory, so a relative data folder must be made absolute.
    environment = (
        {**os.environ, "CNN_PLAYGROUND_HOME": str(get_data_folder())} if "CNN_PLAYGROUND_HOME" in os.environ else None
    )
    raise typer.Exit(subprocess.run(command, cwd=script.parent, env=environment, check=False).returncode)


def _check_port(port: int) -> None:
    """Raise PlaygroundError for a port that another program uses."""
    with socket.socket() as probe:
        if not _REUSEADDR_SHARES_PORTS:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed just now is free
        try:
            probe.bind(("localhost", port))
        except OSError as error:
            raise PlaygroundError(
                f"Port {port} cannot be used: {error.strerror}.",
                expected="A free port. Another program, perhaps another CNN Playground, may be using this one.",
                fix=f"Close that program, or choose another port: cnn-playground app --port {port + 1}.",
            ) from error
