"""Reading commands, and errors of all commands."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS, get_architecture_preset
from tests.cli.command_line import invoke


def test_presets_lists_all_names() -> None:
    result = invoke("presets")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in (*ARCHITECTURE_PRESETS, *RECIPE_PRESETS, "mnist"))
    assert {*invoke("presets", "--json").json} == {"architectures", "recipes", "datasets"}


def test_summary_of_the_guide_network_has_the_published_shapes() -> None:
    result = invoke("summary", "guide")
    assert result.exit_code == 0
    shapes = ["32×26×26", "32×13×13", "64×11×11", "64×5×5", "64×3×3", "576", "64", "10"]
    rows = [line.split() for line in result.stdout.splitlines() if line[:1].isdigit() and "parameters," not in line]
    assert len(rows) == len(shapes)
    assert [shape for shape, row in zip(shapes, rows, strict=True) if shape not in row] == []
    counts = ["320", "0", "18,496", "0", "36,928", "0", "36,928", "650"]
    assert [count for count, row in zip(counts, rows, strict=True) if count not in row] == []
    assert "93,322 parameters" in result.stdout
    found = invoke("summary", "guide", "--json").json
    assert [layer["output_shape"] for layer in found["layers"]][:2] == [[32, 26, 26], [32, 13, 13]]
    assert found["parameters"] == 93_322
    assert found["problems"] == []


def test_summary_of_an_invalid_network_reports_problems_and_fixes() -> None:
    result = invoke("summary", "broken")
    assert result.exit_code == 1
    assert "Fix:" in result.stderr
    assert "Traceback" not in result.stderr
    result = invoke("summary", "broken", "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout.splitlines()[-1])["problems"]) >= 3


def test_summary_reads_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(get_architecture_preset("lenet5").architecture.to_canonical_json())
    assert invoke("summary", path).stdout == invoke("summary", "lenet5").stdout


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
def test_invalid_arguments_give_one_message_and_exit_code_2(home: Path, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("Error") == 1
    assert "Traceback" not in result.stderr
    assert not list((home / "runs").glob("*")), "no empty run stays behind"


def test_malformed_files_give_exit_code_2(tmp_path: Path) -> None:
    contents = {"a.json": "{", "b.json": "[]", "c.json": '{"schema": 9}', "d.json": '{"layers": 1}', "e.json": "\x00"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        for command in (["summary"], ["train", "tiny", "--recipe"], ["predict", "pretrained"]):
            if (command[0], content) == ("predict", "[]"):
                continue  # an empty list of drawings is valid
            result = invoke(*command, tmp_path / name)
            assert (result.exit_code, result.stdout, "Traceback" in result.stderr) == (2, "", False), (command, name)


def test_predict_digits_of_either_polarity(tmp_path: Path) -> None:
    from playground.engine.data.splits import load_test_images

    test = load_test_images("mnist")
    files = []
    for index in range(8):
        digit = Image.fromarray(test.images[index, 0].numpy())
        for name, picture in (("light", digit), ("dark", digit.point(lambda value: 255 - value).resize((140, 140)))):
            files.append(tmp_path / f"{index}-{name}.png")
            picture.save(files[-1])
    found = invoke("predict", "pretrained", *files, "--json").json
    assert [prediction["file"] for prediction in found] == [str(file) for file in files]
    expected = [digit for digit in test.labels[:8].tolist() for _ in range(2)]
    assert [prediction["digit"] for prediction in found] == expected
    assert all(sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-4) for prediction in found)


def test_predict_the_largest_of_several_digits_and_say_so(tmp_path: Path) -> None:
    sheet = Image.new("L", (300, 200), 235)
    pen = ImageDraw.Draw(sheet)
    pen.line(((30, 90), (30, 130)), fill=20, width=6)
    pen.line(((120, 40), (230, 40), (160, 160)), fill=20, width=10, joint="curve")
    path = tmp_path / "page.png"
    sheet.save(path)
    (found,) = invoke("predict", "pretrained", path, "--json").json
    assert (found["digit"], found["doubts"]) == (7, ["it is the largest of 2 digits in the photo"])
    text = invoke("predict", "pretrained", path).stdout
    assert "7, probable" in text
    assert "but it is the largest of 2 digits in the photo" in text


def test_predict_strokes(tmp_path: Path) -> None:
    one = {"strokes": [[[5, 0], [5, 10], [5, 20]]]}
    seven = {"strokes": [[[0, 0], [300, 0], [280, 60], [120, 500]]]}
    path = tmp_path / "strokes.json"
    path.write_text(json.dumps([one, seven]))
    found = invoke("predict", "pretrained", path, "--json").json
    assert [(prediction["index"], prediction["digit"]) for prediction in found] == [(0, 1), (1, 7)]
    assert "[1]: 7" in invoke("predict", "pretrained", path).stdout


@pytest.mark.parametrize("target", ["missing/net.py", "."])
def test_unwritable_file_is_reported(target: str, tmp_path: Path) -> None:
    result = invoke("export", "guide", "--to", "torch", "-o", tmp_path / target)
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_unwritable_data_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path / "file"))
    result = invoke("train", "tiny", "--limit", 300)
    assert result.exit_code == 2
    assert "CNN_PLAYGROUND_HOME" in result.stderr


def test_port_in_use_is_reported() -> None:
    with socket.socket() as holder:
        holder.bind(("localhost", 0))
        holder.listen()
        port = holder.getsockname()[1]
        result = invoke("app", "--port", port, "--headless")
    assert result.exit_code == 2
    assert f"Port {port} cannot be used" in result.stderr
    assert f"--port {port + 1}" in result.stderr


def test_module_entry_point_and_closed_pipe() -> None:
    command = [sys.executable, "-m", "playground"]
    completed = subprocess.run([*command, "summary", "nope.json"], capture_output=True, text=True, check=False)
    assert completed.returncode == 2
    assert completed.stderr.startswith("Error: nope.json cannot be read")
    shell = f"set -o pipefail; '{sys.executable}' -m playground presets | head -c 5"
    piped = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert len(piped.stdout) == 5
    assert "Traceback" not in piped.stderr
