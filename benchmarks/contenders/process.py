"""Process of a contender: it answers one line of JSON with another."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.engine.workers.malloc import WORKER_ENVIRONMENT

CONTENDERS_FOLDER = Path(__file__).parent
# Threads of libgomp that spin would slow down the contender that is measured next.
_ENVIRONMENT = {
    "GOMP_SPINCOUNT": WORKER_ENVIRONMENT["GOMP_SPINCOUNT"],
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


@dataclass
class BenchmarkProcess:
    """One training program. ``name`` is its title in the tables."""

    name: str
    script: str
    options: dict[str, Any]
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create_for_project(cls, name: str, **options: Any) -> "BenchmarkProcess":
        """Create the process for this project, with the environment of the app's workers."""
        return cls(name, "ours.py", options, environment=WORKER_ENVIRONMENT)

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            [self.python, str(CONTENDERS_FOLDER / self.script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **_ENVIRONMENT, **self.environment, "PYTHONPATH": str(CONTENDERS_FOLDER.parents[1])},
        )

    def request_result(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the result; raises RuntimeError if the process ends instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**self.options, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Close the input and wait until the process ends."""
        self._process.communicate()


def serve_requests(measure_throughput: Any, measure_time_to_accuracy: Any) -> None:
    """Answer every line of the input with the result of one of the two functions."""
    for line in sys.stdin:
        request = json.loads(line)
        result = (measure_throughput if request.pop("do") == "speed" else measure_time_to_accuracy)(**request)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


def find_keras_python() -> str | None:
    """Return the interpreter named by ``KERAS_PYTHON``, or this one, if it can import Keras; otherwise None."""
    python = os.environ.get("KERAS_PYTHON", sys.executable)
    found = subprocess.run([python, "-c", "import keras"], capture_output=True, check=False)
    return python if found.returncode == 0 else None
