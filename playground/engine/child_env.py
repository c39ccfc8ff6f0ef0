"""What every process that is started here gets along."""

import os
import sys


def build_child_environment() -> dict[str, str]:
    """The environment of this process, where the same modules are found: the program may not be installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
