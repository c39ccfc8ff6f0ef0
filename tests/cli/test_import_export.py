"""Import, export and datasets on the command line."""

import io
import json
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import onnx
import pytest
import torch
from PIL import Image

from playground.cli import main
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.model.build import build_model
from playground.engine.runs.imported_weights import create_run_from_weights
from playground.engine.runs.repository import create_run, find_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.export.targets import EXPORT_TARGETS, ExportSource, render_export
from tests.cli.command_line import invoke, last_json
from tests.narrowing import require_type

SMALL = ("--limit", "200", "--batch-size", "20", "--epochs", "1")
GENTLE = (*SMALL, "--lr", "0.0005")


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


def test_presets_lists_every_architecture_and_dataset(home: Path) -> None:
    listed = last_json(invoke("presets", "--json").stdout)
    assert listed["architectures"].keys() == ARCHITECTURE_PRESETS.keys()
    assert {"mnist", "cifar10", "fashion-mnist", "kmnist", "svhn"} <= listed["datasets"].keys()


def test_classes_and_remarks_are_printed_before_the_images_are_read(home: Path, pets: Path) -> None:
    with zipfile.ZipFile(pets, "a") as archive:
        archive.writestr("notes.txt", "?")
    result = invoke("bring", pets, "--size", "16")
    lines = [line.split() for line in result.stderr.splitlines()]
    assert ["Class", "Training", "Test"] in lines
    assert ["cat", "30", "0"] in lines
    assert "One sixth of the images of each class is used for testing." in result.stderr
    assert "notes.txt is not in a class folder." in result.stderr
    assert "50 training and 10 test images of cat, dog" in result.stdout
    told = last_json(invoke("bring", pets, "--size", "16", "--json").stdout)
    assert any("Images of one color: 60 of 60" in warning for warning in told["warnings"])


def test_names_of_windows_are_decoded_as_detected_or_as_told(home: Path, pets: Path) -> None:
    pets.write_bytes(pets.read_bytes().replace(b"cat/", b"\x83\x6c1/").replace(b"dog/", b"\x83\x432/"))
    result = invoke("bring", pets, "--size", "16", "--json")
    assert last_json(result.stdout)["classes"] == ["イ2", "ネ1"]
    assert "Names are read as Japanese (Shift JIS, CP932)" in result.stderr
    told = last_json(invoke("bring", pets, "--size", "16", "--name-encoding", "cp866", "--json").stdout)
    assert told["classes"] == ["ГC2", "Гl1"]
    refused = invoke("bring", pets, "--name-encoding", "rot13")
    assert refused.exit_code != 0
    assert "There is no encoding 'rot13'.\nOne of utf-8, cp437" in refused.stderr


def test_custom_images_become_a_dataset_that_a_network_learns(home: Path, pets: Path, tmp_path: Path) -> None:
    brought = last_json(invoke("bring", pets, "--size", "16", "--json").stdout)
    assert brought["classes"] == ["cat", "dog"]
    trained = last_json(
        invoke(
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
        ).stdout
    )
    assert trained["test_accuracy"] == 1.0
    run = find_run("latest")
    assert run.record.architecture.input.shape == (3, 16, 16)
    assert run.record.architecture.classes == 2
    picture = tmp_path / "some.png"
    Image.new("RGB", (40, 30), (222, 222, 222)).save(picture)
    (prediction,) = last_json(invoke("predict", "latest", picture, "--json").stdout)
    assert prediction["class"] == "dog"


def test_export_to_every_target_and_reimport_of_weights(home: Path, tmp_path: Path) -> None:
    invoke("train", "tiny", *SMALL, "--json")
    run = find_run("latest")
    files = {}
    for form in ("torch", "torch-train", "torch-predict", "keras", "weights", "onnx", "json", "svg", "report", "link"):
        files[form] = tmp_path / form
        assert invoke("export", run.id, "--to", form, "-o", files[form]).exit_code == 0
        assert files[form].stat().st_size > 60
    onnx.checker.check_model(onnx.load(files["onnx"]))
    for form in ("torch", "keras", "json", "link"):
        found = last_json(invoke("import", files[form], "--json").stdout)
        assert found["architecture"]["layers"] == json.loads(files["json"].read_text())["layers"]
    made = last_json(invoke("import", files["json"], "--weights", files["weights"], "--json").stdout)["run"]
    theirs, ours = run.load_snapshot(run.list_snapshot_steps()[-1]), find_run(made).load_snapshot(0)
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())


class _BinaryStdout(io.TextIOWrapper):
    """Standard output that keeps what was written as bytes."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def _export_to_stdout(monkeypatch: pytest.MonkeyPatch, run_id: str, target: str, *, is_terminal: bool) -> bytes:
    stdout = _BinaryStdout(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "argv", ["cnn-playground", "export", run_id, "--to", target])
    with pytest.raises(SystemExit) as caught:
        main()
    assert (caught.value.code or 0) == (2 if is_terminal else 0)
    stdout.flush()
    return require_type(stdout.buffer, io.BytesIO).getvalue()


def test_binary_exports_go_to_a_pipe_and_never_to_a_terminal(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(ARCHITECTURE_PRESETS["tiny"].architecture, Recipe(), name="Mine", write_initial_files=_fill)
    for name in (name for name, target in EXPORT_TARGETS.items() if target.is_binary):
        content = render_export(name, ExportSource.from_run(run))
        assert _export_to_stdout(monkeypatch, run.id, name, is_terminal=False) == content
        assert _export_to_stdout(monkeypatch, run.id, name, is_terminal=True) == b""
        assert "--output mine" in " ".join(capsys.readouterr().err.split())


def _fill(run: Run) -> None:
    state = build_model(run.record.architecture, seed=1).state_dict()
    run.get_snapshot_path(0).write_bytes(serialize_snapshot(state))


def test_weights_of_a_custom_dataset_are_reimported(home: Path, pets: Path, tmp_path: Path) -> None:
    name = last_json(invoke("bring", pets, "--size", "24", "--json").stdout)["dataset"]
    invoke("train", "logistic", "--dataset", name, "--epochs", "1", "--batch-size", "2", "--json")
    run = find_run("latest")
    for form in ("json", "weights"):
        assert invoke("export", run.id, "--to", form, "-o", tmp_path / form).exit_code == 0
    result = invoke("import", tmp_path / "json", "--weights", tmp_path / "weights", "--dataset", name, "--json")
    assert result.exit_code == 0, result.stderr
    made = find_run(last_json(result.stdout)["run"])
    assert made.record.recipe.dataset == name
    assert invoke("import", tmp_path / "json", "--weights", tmp_path / "weights").exit_code == 2


def test_unsupported_code_is_reported_with_its_line(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("model = nn.Sequential(\n    nn.Flatten(),\n    nn.Transformer(),\n)\n")
    result = invoke("import", path)
    assert result.exit_code == 2
    assert "Transformer" in result.stderr
    assert "3" in result.stderr
    assert invoke("import", tmp_path / "nothing.py").exit_code == 2


def test_preset_is_trained_with_its_own_recipe(home: Path) -> None:
    invoke("train", "batch-of-one", "--limit", "30", "--json")
    run = find_run("latest")
    wanted = get_architecture_preset("batch-of-one").recipe
    assert wanted is not None
    assert run.record.recipe == wanted.replace(limit=30)


def test_transfer_reuses_weights_and_freezes_layers(home: Path) -> None:
    trained = last_json(
        invoke("transfer", "pretrained", "--dataset", "mnist", "--freeze", "5", *GENTLE, "--json").stdout
    )
    assert trained["test_accuracy"] > 0.97
    before, run = find_run("pretrained"), find_run("latest")
    old, new = before.load_snapshot(before.list_snapshot_steps()[-1]), run.load_snapshot(run.list_snapshot_steps()[-1])
    assert torch.equal(old["0.weight"], new["0.weight"])
    compared = last_json(invoke("transfer", "pretrained", "--dataset", "mnist", *GENTLE, "--compare", "--json").stdout)
    assert compared["transferred"] > compared["scratch"]


def test_failed_download_names_the_missing_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.error
    import urllib.request

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no way out")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    result = invoke("fetch", "kmnist")
    assert result.exit_code == 2
    assert "t10k-images-idx3-ubyte.gz" in result.stderr.replace("\n", "")
    assert invoke("fetch", "nonsense").exit_code == 2
    assert invoke("fetch", "mnist").exit_code == 0


@pytest.fixture
def page(home: Path, pets: Path, tmp_path: Path) -> Path:
    """A published page of a small network for a custom dataset, in half precision."""
    dataset = last_json(invoke("bring", pets, "--size", "24", "--json").stdout)["dataset"]
    network = get_architecture_preset("tiny").architecture.adapt_to_images((3, 24, 24), 2)
    recipe = Recipe(dataset=dataset, batch_size=8, validation_size=10)
    run = create_run_from_weights(network, recipe, build_model(network, seed=1).state_dict())
    path = tmp_path / "net.html"
    result = invoke("publish", run.id, "-o", path, "--precision", "fp16", "--title", "Pets")
    assert result.exit_code == 0, result.stderr
    assert "weights in float16" in result.stdout
    assert "with float32 weights" in result.stdout
    assert "images are not in this page" in result.stdout
    return path


def test_published_page_is_imported_with_its_weights(page: Path) -> None:
    imported = last_json(invoke("import", page, "--json").stdout)
    run = find_run(imported["run"])
    assert run.record.name == "Pets"
    expected = build_model(run.record.architecture, seed=1).state_dict()
    assert all(torch.equal(run.load_snapshot(0)[name], value.half().float()) for name, value in expected.items())
    assert run.get_dataset().class_names == ("cat", "dog")
    assert invoke("evaluate", run.id).exit_code == 0


def test_publish_reports_the_page_as_json(page: Path, tmp_path: Path) -> None:
    path = tmp_path / "with images.html"
    report = last_json(invoke("publish", "latest", "-o", path, "--include-images", "--json").stdout)
    assert report["bytes"] == path.stat().st_size
    assert (report["precision"], report["test_images"]) == ("float32", 10)
    assert report["example_images"] >= 2
    assert 0 <= report["float16_accuracy"] <= 1


def test_publish_names_the_file_after_the_title(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("publish", "latest", "--title", "My pets!").exit_code == 0
    assert (tmp_path / "my-pets.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--precision", "int8"), "Unknown precision 'int8'"),
        (("-o", "no/such/folder/x.html"), "cannot be written"),
    ],
)
def test_publish_errors_are_messages(options: tuple[str, ...], words: str, page: Path) -> None:
    result = invoke("publish", "latest", *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_damaged_page_is_a_message(page: Path) -> None:
    content = page.read_bytes()
    page.write_bytes(content[: content.index(b'id="network-file"') + 2000])
    result = invoke("import", page)
    assert result.exit_code == 2
    assert "is damaged" in result.stderr


def test_weights_beside_a_page_are_refused(page: Path, tmp_path: Path) -> None:
    result = invoke("import", page, "--weights", tmp_path / "any.safetensors")
    assert result.exit_code == 2
    assert "A page brings its own weights." in result.stderr
