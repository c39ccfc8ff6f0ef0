"""Make the included pretrained run from a finished run: ``python assets/pretrained/make.py RUN``.

The command that trains the run is in README.md. The script keeps the record, every 25th step of the log, and the
weights at a few steps.
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
STEP_INTERVAL = 25
SNAPSHOT_STEPS = (0, 128, 586)


def make(source: Run) -> None:
    """Fill this folder with parts of a run."""
    last = source.list_snapshot_steps()[-1]
    kept = {step for step in source.list_snapshot_steps() if step in SNAPSHOT_STEPS} | {last}
    shutil.rmtree(HERE / "snapshots", ignore_errors=True)
    (HERE / "snapshots").mkdir()
    for step in kept:
        shutil.copy(source.folder / "snapshots" / f"{step}.safetensors", HERE / "snapshots")
    lines = [
        serialize_event(event)
        for event in source.read_events()
        if not (isinstance(event, StepDone) and event.step % STEP_INTERVAL)
        and not (isinstance(event, SnapshotSaved) and event.step not in kept)
    ]
    (HERE / "events.jsonl").write_bytes(b"".join(lines))
    write_record(HERE, source.record.model_copy(update={"id": PRETRAINED, "name": "Pretrained", "device": ""}))


if __name__ == "__main__":
    make(find_run(sys.argv[1]))
