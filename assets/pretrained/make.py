"""Makes the run that comes with the program out of a finished run: ``python assets/pretrained/make.py RUN``.

The run is one of this project's own command line; see README.md beside this file. Only what the app shows is kept: the
record, every 25th batch of the log, and the weights at a few moments.
"""

import shutil
import sys
from pathlib import Path

from playground.core.events import SnapshotSaved, StepDone
from playground.engine.runs.record import PRETRAINED, write_record
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event

HERE = Path(__file__).parent
EVERY = 25
MOMENTS = (0, 128, 586)


def make(source: Run) -> None:
    """Fill this folder from a run."""
    last = source.snapshots()[-1]
    kept = {step for step in source.snapshots() if step in MOMENTS} | {last}
    shutil.rmtree(HERE / "snapshots", ignore_errors=True)
    (HERE / "snapshots").mkdir()
    for step in kept:
        shutil.copy(source.folder / "snapshots" / f"{step}.safetensors", HERE / "snapshots")
    lines = [
        serialize_event(event)
        for event in source.events()
        if not (isinstance(event, StepDone) and event.step % EVERY)
        and not (isinstance(event, SnapshotSaved) and event.step not in kept)
    ]
    (HERE / "events.jsonl").write_bytes(b"".join(lines))
    write_record(HERE, source.record.model_copy(update={"id": PRETRAINED, "name": "Pretrained", "device": ""}))


if __name__ == "__main__":
    make(find_run(sys.argv[1]))
