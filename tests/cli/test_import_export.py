"""Networks and images in and out on the command line."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import onnx
import pytest
import torch
from PIL import Image

from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.engine.runs.repository import find_run
from tests.cli.command_line import say

SMALL = ("--limit", "200", "--batch-size", "20", "--epochs", "1")
GENTLE = (*SMALL, "--lr", "0.0005")


def last_json(printed: str):
    return json.loads(printed.splitlines()[-1])


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, level in (("cat", 30), ("dog", 220)):
            for number in range(30):
                picture = BytesIO()
                Image.new("L", (24, 24), level + number % 5).save(picture, "PNG")
                archive.writestr(f"{name}/{number}.png", picture.getvalue())
    return path


def test_presets_lists_every_network(home: Path) -> None:
    listed = last_json(say("presets", "--json").out)
    assert listed["architectures"].keys() == ARCHITECTURE_PRESETS.keys()
    assert {"mnist", "cifar10", "fashion-mnist", "kmnist", "svhn"} <= listed["datasets"].keys()


def test_own_pictures_are_brought_trained_on_and_told_apart(home: Path, pets: Path, tmp_path: Path) -> None:
    brought = last_json(say("bring", pets, "--size", "16", "--json").out)
    assert brought["classes"] == ["cat", "dog"]
    trained = last_json(
        say(
            "train",
            "logistic",
            "--dataset",
            brought["dataset"],
            "--batch-size",
            "10",
            "--epochs",
            "30",
            "--lr",
            "0.03",
            "--json",
        ).out
    )
    assert trained["test_accuracy"] == 1.0
    run = find_run("latest")
    assert run.record.architecture.input.shape == (3, 16, 16)
    assert run.record.architecture.classes == 2
    picture = tmp_path / "some.png"
    Image.new("RGB", (40, 30), (222, 222, 222)).save(picture)
    (answer,) = last_json(say("predict", "latest", picture, "--json").out)
    assert answer["class"] == "dog"


def test_a_run_leaves_in_every_form_and_its_weights_come_back(home: Path, tmp_path: Path) -> None:
    say("train", "tiny", *SMALL, "--json")
    run = find_run("latest")
    files = {}
    for form in ("torch", "torch-train", "torch-predict", "keras", "weights", "onnx", "json", "svg", "report", "link"):
        files[form] = tmp_path / form
        assert say("export", run.id, "--to", form, "-o", files[form]).code == 0
        assert files[form].stat().st_size > 60
    onnx.checker.check_model(onnx.load(files["onnx"]))
    for form in ("torch", "keras", "json", "link"):
        found = last_json(say("import", files[form], "--json").out)
        assert found["architecture"]["layers"] == json.loads(files["json"].read_text())["layers"]
    made = last_json(say("import", files["json"], "--weights", files["weights"], "--json").out)["run"]
    theirs, ours = run.load_snapshot(run.list_snapshot_steps()[-1]), find_run(made).load_snapshot(0)
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())


def test_weights_of_two_classes_come_back_for_their_own_data(home: Path, pets: Path, tmp_path: Path) -> None:
    name = last_json(say("bring", pets, "--size", "16", "--json").out)["dataset"]
    say("train", "logistic", "--dataset", name, "--epochs", "1", "--batch-size", "2", "--json")
    run = find_run("latest")
    for form in ("json", "weights"):
        assert say("export", run.id, "--to", form, "-o", tmp_path / form).code == 0
    told = say("import", tmp_path / "json", "--weights", tmp_path / "weights", "--dataset", name, "--json")
    assert told.code == 0, told.err
    made = find_run(last_json(told.out)["run"])
    assert made.record.recipe.dataset == name
    assert say("import", tmp_path / "json", "--weights", tmp_path / "weights").code == 2


def test_what_cannot_be_read_is_named_with_its_line(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("model = nn.Sequential(\n    nn.Flatten(),\n    nn.Transformer(),\n)\n")
    answer = say("import", path)
    assert answer.code == 2
    assert "Transformer" in answer.err
    assert "3" in answer.err
    assert say("import", tmp_path / "nothing.py").code == 2


def test_a_preset_is_trained_by_its_own_recipe(home: Path) -> None:
    say("train", "batch-of-one", "--limit", "30", "--json")
    run = find_run("latest")
    wanted = get_architecture_preset("batch-of-one").recipe
    assert wanted is not None
    assert run.record.recipe == wanted.replace(limit=30)


def test_transfer_takes_weights_along_and_freezes(home: Path) -> None:
    trained = last_json(say("transfer", "pretrained", "--dataset", "mnist", "--freeze", "5", *GENTLE, "--json").out)
    assert trained["test_accuracy"] > 0.97
    before, run = find_run("pretrained"), find_run("latest")
    old, new = before.load_snapshot(before.list_snapshot_steps()[-1]), run.load_snapshot(run.list_snapshot_steps()[-1])
    assert torch.equal(old["0.weight"], new["0.weight"])
    compared = last_json(say("transfer", "pretrained", "--dataset", "mnist", *GENTLE, "--compare", "--json").out)
    assert compared["transferred"] > compared["scratch"]


def test_a_data_set_that_cannot_be_fetched_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.error
    import urllib.request

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no way out")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    answer = say("fetch", "kmnist")
    assert answer.code == 2
    assert "t10k-images-idx3-ubyte.gz" in answer.err.replace("\n", "")
    assert say("fetch", "nonsense").code == 2
    assert say("fetch", "mnist").code == 0
