"""The command line where it answers at once; training is in test_cli_runs.py."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS, get_architecture_preset
from tests.cli.command_line import say


def test_presets_are_listed():
    answer = say("presets")
    assert answer.code == 0
    assert all(name in answer.out for name in (*ARCHITECTURE_PRESETS, *RECIPE_PRESETS, "mnist"))
    assert {*say("presets", "--json").json} == {"architectures", "recipes", "datasets"}


def test_summary_of_the_guide_is_the_guides():
    answer = say("summary", "guide")
    assert answer.code == 0
    shapes = ["32×26×26", "32×13×13", "64×11×11", "64×5×5", "64×3×3", "576", "64", "10"]
    rows = [line.split() for line in answer.out.splitlines() if line[:1].isdigit() and "parameters," not in line]
    assert len(rows) == len(shapes)
    assert [shape for shape, row in zip(shapes, rows, strict=True) if shape not in row] == []
    counts = ["320", "0", "18,496", "0", "36,928", "0", "36,928", "650"]
    assert [count for count, row in zip(counts, rows, strict=True) if count not in row] == []
    assert "93,322 parameters" in answer.out
    found = say("summary", "guide", "--json").json
    assert [layer["output_shape"] for layer in found["layers"]][:2] == [[32, 26, 26], [32, 13, 13]]
    assert found["parameters"] == 93_322
    assert found["problems"] == []


def test_summary_of_a_broken_net_names_problems_and_fixes():
    answer = say("summary", "broken")
    assert answer.code == 1
    assert "Fix:" in answer.err
    assert "Traceback" not in answer.err
    told = say("summary", "broken", "--json")
    assert told.code == 1
    assert len(json.loads(told.out.splitlines()[-1])["problems"]) >= 3


def test_summary_of_a_file(tmp_path: Path):
    path = tmp_path / "net.json"
    path.write_text(get_architecture_preset("lenet5").architecture.to_canonical_json())
    assert say("summary", path).out == say("summary", "lenet5").out


UNKNOWN = [
    ["summary", "nope"],
    ["summary", "missing.json"],
    ["summary", "x" * 300],
    ["train", "nope"],
    ["train", "tiny", "--recipe", "nope"],
    ["train", "tiny", "--recipe", "missing.json"],
    ["train", "tiny", "--dataset", "nope"],
    ["train", "tiny", "--epochs", "0"],
    ["train", "tiny", "--lr", "nan"],
    ["train", "tiny", "--batch-size", "301", "--limit", "300"],
    ["train", "broken"],
    ["resume", "nope"],
    ["resume", "pretrained"],
    ["show", "nope"],
    ["show", "../runs"],
    ["delete", "nope"],
    ["delete", "pretrained"],
    ["evaluate", "nope"],
    ["predict", "nope", "x.png"],
    ["predict", "pretrained", "missing.png"],
    ["export", "nope", "--to", "torch"],
    ["export", "guide", "--to", "fortran"],
    ["train", "tiny", "--epochs", "many"],
    ["fly"],
]


@pytest.mark.parametrize("arguments", UNKNOWN, ids=lambda arguments: " ".join(arguments)[:40])
def test_what_cannot_be_is_one_message_and_exit_code_2(home: Path, arguments: list[str]):
    answer = say(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("Error") == 1
    assert "Traceback" not in answer.err
    assert not list((home / "runs").glob("*")), "no empty run stays behind"


def test_files_that_hold_something_else(tmp_path: Path):
    contents = {"a.json": "{", "b.json": "[]", "c.json": '{"schema": 9}', "d.json": '{"layers": 1}', "e.json": "\x00"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        for command in (["summary"], ["train", "tiny", "--recipe"], ["predict", "pretrained"]):
            if (command[0], content) == ("predict", "[]"):
                continue  # no drawings are no mistake
            answer = say(*command, tmp_path / name)
            assert (answer.code, answer.out, "Traceback" in answer.err) == (2, "", False), (command, name)


def test_predict_digits_of_either_polarity(tmp_path: Path):
    from playground.engine.data.splits import load_test_images

    test = load_test_images("mnist")
    files = []
    for index in range(8):
        digit = Image.fromarray(test.images[index, 0].numpy())
        for name, picture in (("light", digit), ("dark", digit.point(lambda value: 255 - value).resize((140, 140)))):
            files.append(tmp_path / f"{index}-{name}.png")
            picture.save(files[-1])
    found = say("predict", "pretrained", *files, "--json").json
    assert [answer["file"] for answer in found] == [str(file) for file in files]
    expected = [digit for digit in test.labels[:8].tolist() for _ in range(2)]
    assert [answer["digit"] for answer in found] == expected
    assert all(sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4) for answer in found)


def test_predict_strokes(tmp_path: Path):
    one = {"strokes": [[[5, 0], [5, 10], [5, 20]]]}
    seven = {"strokes": [[[0, 0], [300, 0], [280, 60], [120, 500]]]}
    path = tmp_path / "strokes.json"
    path.write_text(json.dumps([one, seven]))
    found = say("predict", "pretrained", path, "--json").json
    assert [(answer["index"], answer["digit"]) for answer in found] == [(0, 1), (1, 7)]
    assert "[1]: 7" in say("predict", "pretrained", path).out


@pytest.mark.parametrize("target", ["missing/net.py", "."])
def test_a_file_that_cannot_be_written(target: str, tmp_path: Path):
    answer = say("export", "guide", "--to", "torch", "-o", tmp_path / target)
    assert answer.code == 2
    assert "cannot be written" in answer.err
    assert "Traceback" not in answer.err


def test_a_data_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path / "file"))
    answer = say("train", "tiny", "--limit", 300)
    assert answer.code == 2
    assert "CNN_PLAYGROUND_HOME" in answer.err


def test_a_port_in_use_is_said():
    with socket.socket() as holder:
        holder.bind(("localhost", 0))
        holder.listen()
        port = holder.getsockname()[1]
        answer = say("app", "--port", port, "--headless")
    assert answer.code == 2
    assert f"Port {port} cannot be used" in answer.err
    assert f"--port {port + 1}" in answer.err


def test_as_a_module_and_into_a_closed_pipe():
    command = [sys.executable, "-m", "playground"]
    told = subprocess.run([*command, "summary", "nope.json"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr.startswith("Error: nope.json cannot be read")
    shell = f"set -o pipefail; '{sys.executable}' -m playground presets | head -c 5"
    piped = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert len(piped.stdout) == 5
    assert "Traceback" not in piped.stderr
