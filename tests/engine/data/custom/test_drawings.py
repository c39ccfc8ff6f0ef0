"""The personal set of drawings: threads and processes that add at the same time lose nothing."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from playground.engine.child_process import build_child_environment
from playground.engine.data.custom import drawings
from playground.engine.data.custom.drawings import LabeledDrawing, add_drawing, delete_drawings, load_drawings
from playground.errors import StorageError

ADD_FIVE = """
import sys
import numpy as np
from playground.engine.data.custom.drawings import LabeledDrawing, add_drawing
for number in range(5):
    image = np.full((1, 28, 28), (10 * int(sys.argv[1]) + number) / 255, np.float32)
    add_drawing(None, LabeledDrawing.from_image(number, (), image))
"""


def _drawing(shade: int, label: int = 0) -> LabeledDrawing:
    return LabeledDrawing.from_image(label, (), np.full((1, 28, 28), shade / 255, np.float32))


def test_drawings_added_by_several_threads_are_all_kept(home: Path) -> None:
    threads = [
        threading.Thread(
            target=lambda first=first: [add_drawing(None, _drawing(first + number)) for number in range(5)]
        )
        for first in range(0, 20, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.pixels for one in load_drawings(None).drawings} == {_drawing(shade).pixels for shade in range(20)}


def test_drawings_added_by_several_processes_are_all_kept(home: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", ADD_FIVE, str(number)], env=build_child_environment())
        for number in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(load_drawings(None).drawings) == 15


def test_lock_that_another_program_holds_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "_LOCK_TIMEOUT_S", 0.05)
    with drawings._lock_collection(None), pytest.raises(StorageError, match="changed by another program"):
        add_drawing(None, _drawing(1))
    add_drawing(None, _drawing(1))
    delete_drawings(None)
    assert load_drawings(None).drawings == ()


def test_same_image_is_relabeled(home: Path) -> None:
    add_drawing("somebody", _drawing(1, label=3))
    add_drawing("somebody", _drawing(1, label=4))
    assert [one.label for one in load_drawings("somebody").drawings] == [4]
    assert load_drawings(None).drawings == ()
