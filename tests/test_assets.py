"""Scripts that make the files in assets/."""

import hashlib
import importlib.util
import json
import lzma
from pathlib import Path
from types import ModuleType

import pytest

from playground.core.events import StepDone
from playground.engine.runs.repository import find_run, read_run
from tests.run_events import events_of

ROOT = Path(__file__).parents[1]


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.parent.name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pretrained_run_is_made_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script(ROOT / "assets/pretrained/make.py")
    monkeypatch.setattr(script, "HERE", tmp_path)
    source = find_run("pretrained")
    script.make(source)
    run = read_run(tmp_path)
    assert run.list_snapshot_steps() == source.list_snapshot_steps()
    assert run.record.architecture == source.record.architecture
    steps = [event.step for event in events_of(run.read_events(), StepDone)]
    assert steps
    assert all(step % 25 == 0 for step in steps)


def test_pen_strokes_leave_out_the_held_out_writers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load_script(ROOT / "assets/pens/make.py")
    monkeypatch.setattr(script, "__file__", str(tmp_path / "make.py"))
    drawings = [{"label": writer, "writer": writer, "strokes": [[[0, 0], [1, 1]]]} for writer in range(7)]
    (tmp_path / "source.json").write_text(json.dumps(drawings))
    script.make(tmp_path / "source.json")
    content = lzma.decompress((tmp_path / "strokes.jsonl.xz").read_bytes())
    assert [json.loads(line)["writer"] for line in content.splitlines()] == [1, 2, 4, 5]
    assert hashlib.sha256(content).hexdigest() in capsys.readouterr().out
