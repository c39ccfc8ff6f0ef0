"""Exported programs, executed on pictures of every kind: they give the app's class and probability."""

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.rendered_photos import SCENES, render_digit_photo
from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Conv2d, Flatten, Output
from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.engine.data.custom.image_folder import read_image_folder
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.dataset_lookup import find_dataset
from playground.engine.data.pen_digits import load_pen_drawings
from playground.engine.data.rasterize import render_lines
from playground.engine.data.splits import load_test_images
from playground.engine.model.build import build_model
from playground.engine.runs.imported_weights import import_weights
from playground.engine.runs.run import Run
from playground.export.targets import ExportSource, render_export
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import load_model
from tests.cli.command_line import invoke, last_json
from tests.codegen.exported_code import executed

pytestmark = [
    pytest.mark.filterwarnings("ignore:Corrupt EXIF data"),  # Pillow's
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

_SUFFIXES = (".png", ".jpg", ".tif", ".gif", ".webp", ".bmp")
_CLASSES = ("2", "10", "Ant", "bee", "Äpfel", "고양이")  # natural order, which is not that of the code points


def _scene(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """A color picture that no turn, mirroring or change of channels leaves as it is."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / width, 255 * y / height
    blue = 127 + 120 * np.sin(x / 7) * np.cos(y / 5)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def _with_alpha(colors: Any, alpha: Any) -> Image.Image:
    layered = np.zeros((40, 60, 4), dtype=np.uint8)
    layered[..., :3], layered[..., 3] = colors, alpha
    return Image.fromarray(layered)


def _gradient() -> NDArray[np.uint16]:
    return (np.arange(40)[:, None] * 1000 + np.arange(60) * 400).astype(np.uint16)


def _sheet(size: int = 1) -> NDArray[np.uint8]:
    """A colored seven on paper, ``size`` times 40 high and 60 wide."""
    lines = [np.array([(15, 8), (42, 8), (24, 34)]) * size]
    ink = render_lines(lines, 4.0 * size, 60 * size)[: 40 * size, :, None]
    return ((1 - ink * (0.9, 0.7, 0.4)) * 230).astype(np.uint8)


def _make_pictures(
    colors: NDArray[np.uint8], large: NDArray[np.uint8], deep: NDArray[np.uint16]
) -> Iterator[tuple[str, Image.Image | NDArray[Any], dict[str, Any]]]:
    """Names, pictures and options of saving; ``deep`` has 16 bits, ``colors`` is 40 high and 60 wide."""
    scene = Image.fromarray(colors)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation {orientation}.{'jpg' if orientation % 2 else 'png'}", scene, {"exif": exif}
    yield "16 bits.png", deep, {}
    yield "16 bits.tif", deep, {}
    yield "12 bits.png", deep >> 4, {}
    yield "32 bits.tif", deep.astype(np.int32) * 5, {}
    yield "floats.tif", deep.astype(np.float32) / 1e4, {}
    yield "bits.png", Image.fromarray(colors[..., 2] > 127), {}
    yield "gray.jpg", scene.convert("L"), {}
    yield "palette.png", scene.convert("P", palette=Image.Palette.ADAPTIVE), {}
    yield "palette with a hole.png", scene.convert("P", palette=Image.Palette.ADAPTIVE), {"transparency": 3}
    yield "frames.gif", scene, {"save_all": True, "append_images": [scene.rotate(180)]}
    yield "print.jpg", scene.convert("CMYK"), {}
    yield "lab.tif", scene.convert("LAB"), {}
    disc = np.hypot(*np.mgrid[-20:20, -30:30]) < 15
    yield "black on nothing.png", _with_alpha(0, disc * 255), {}
    yield "white on nothing.png", _with_alpha(255, disc * 255), {}
    yield "soft edges.webp", _with_alpha(colors, 255 - colors[..., 2]), {"lossless": True}
    yield "gray and alpha.png", _with_alpha(90, disc * 200).convert("LA"), {}
    yield "key color.png", Image.fromarray(colors // 32 * 32), {"transparency": (224, 224, 224)}
    yield "photo.jpg", Image.fromarray(large), {"quality": 90}
    yield "high.bmp", Image.fromarray(_scene(300, 20)), {}
    yield "wide.png", Image.fromarray(_scene(3, 400)), {}
    yield "one pixel.png", Image.new("RGB", (1, 1), (200, 100, 50)), {}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, as systems and programs leave it."""
    folder = tmp_path_factory.mktemp("pictures") / "data"
    pictures = list(_make_pictures(_scene(), _scene(900, 1300), _gradient()))
    for part in ("train", "test"):
        for number, name in enumerate(_CLASSES):
            place = folder / part / (unicodedata.normalize("NFD", name) if part == "test" else name)
            (place / "more").mkdir(parents=True)
            for index, (file_name, picture, options) in enumerate(pictures):
                if index % len(_CLASSES) == number or index < 2:
                    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
                    image.save(place / ("more" if index % 2 else ".") / file_name, **options)
            (place / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
            (place / "Thumbs.db").write_bytes(b"?")
            (place / "notes.txt").write_text("no image")
        (folder / part / ".ipynb_checkpoints").mkdir()
        (folder / part / ".DS_Store").write_bytes(b"?")
    return folder


_SHAPES: dict[str, tuple[Shape, Shape]] = {
    "color": ((3, 20, 20), (3, 20, 20)),
    "gray": ((1, 20, 20), (1, 20, 20)),
    "smaller": ((3, 32, 32), (3, 21, 21)),
    "color to gray": ((3, 24, 24), (1, 24, 24)),
    "gray to color": ((1, 24, 24), (3, 30, 30)),
}


@dataclass(frozen=True)
class _Exported:
    run: Run
    data: Path
    weights: Path

    def render(self, target: str) -> str:
        return render_export(target, ExportSource.from_run(self.run)).decode()

    def list_files(self) -> list[tuple[Path, int]]:
        """The pictures for testing with their labels."""
        return [
            (path, label)
            for label, name in enumerate(_CLASSES)
            for path in sorted((self.data / "test" / unicodedata.normalize("NFD", name)).rglob("*"))
            if path.suffix in _SUFFIXES
        ]

    def predict_in_the_app(self, paths: Sequence[Path]) -> NDArray[np.float64]:
        """The probabilities of every class (files, classes)."""
        predictions = last_json(invoke("predict", self.run.id, *paths, "--json").stdout)
        assert [prediction["file"] for prediction in predictions] == [str(path) for path in paths]
        return np.array([prediction["probabilities"] for prediction in predictions])


@pytest.fixture(params=list(_SHAPES.values()), ids=list(_SHAPES))
def exported(request: pytest.FixtureRequest, data: Path, home: Path, tmp_path: Path) -> _Exported:
    """A run with random weights, whose probabilities depend on every pixel, on the pictures as a dataset."""
    (channels, size, _), (input_channels, input_size, _) = request.param
    images = read_image_folder(data, height=size, width=size, channels=channels)
    assert images.class_names == _CLASSES
    dataset = find_dataset(save_custom_dataset("Pictures", images))
    architecture = Architecture(
        input=InputShape(channels=input_channels, height=input_size, width=input_size),
        classes=len(_CLASSES),
        layers=(Conv2d(out_channels=6, kernel_size=5, stride=2), Flatten(), Output()),
    )
    state = build_model(architecture, seed=4).state_dict()
    content = safetensors.torch.save({name: 2 * values for name, values in state.items()})
    run = import_weights(
        content, architecture, Recipe(dataset=dataset.name, validation_size=10, batch_size=8), name="Exported"
    )
    (tmp_path / "weights.safetensors").write_bytes(content)
    return _Exported(run, data, tmp_path / "weights.safetensors")


def test_prediction_program_gives_the_app_s_answers(
    exported: _Exported, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [path for path, _ in exported.list_files()]
    monkeypatch.setattr(sys, "argv", ["predict.py", str(exported.weights), *map(str, paths)])
    executed(exported.render("torch-predict"), "__main__")
    lines = capsys.readouterr().out.splitlines()
    answers = set()
    for line, path, probabilities in zip(lines, paths, exported.predict_in_the_app(paths), strict=True):
        name, probability = line.removeprefix(f"{path}: ").rsplit(", ", 1)
        assert name == _CLASSES[int(probabilities.argmax())], path.name
        assert float(probability) == pytest.approx(probabilities.max(), abs=1e-4), path.name
        answers.add(name)
    assert len(answers) > 1


_DRAWING_INPUTS: dict[str, Shape] = {"as drawn": (1, 28, 28), "smaller": (1, 20, 20), "color": (3, 32, 32)}


@pytest.mark.parametrize("shape", _DRAWING_INPUTS.values(), ids=_DRAWING_INPUTS)
def test_prediction_program_finds_drawings_as_the_app_does(
    shape: Shape,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Photos of digits, and pictures of every kind, given to a network of drawings."""
    drawings = load_pen_drawings(stride=500)
    for number, scene in enumerate(SCENES):
        photo = render_digit_photo(drawings[number : number + 1 + number % 2], number, scene, max_side=500)
        (tmp_path / f"{scene}.jpg").write_bytes(photo.content)
    Image.open(tmp_path / f"{SCENES[0]}.jpg").resize((40, 50)).save(tmp_path / "small.png")
    Image.new("L", (200, 100), 90).save(tmp_path / "blank.png")
    sheet = _sheet()
    for name, picture, options in _make_pictures(sheet, _sheet(20), sheet[..., 0].astype(np.uint16) << np.uint16(8)):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(tmp_path / name, **options)
    paths = sorted(path for path in tmp_path.iterdir() if path.suffix in _SUFFIXES)
    channels, height, width = shape
    architecture = Architecture(
        input=InputShape(channels=channels, height=height, width=width),
        layers=(Conv2d(out_channels=6, kernel_size=5, stride=2), Flatten(), Output()),
    )
    state = build_model(architecture, seed=4).state_dict()
    content = safetensors.torch.save({name: 3 * values for name, values in state.items()})
    run = import_weights(content, architecture, Recipe(), name="Drawings")
    (tmp_path / "weights.safetensors").write_bytes(content)
    program = render_export("torch-predict", ExportSource.from_run(run)).decode()
    monkeypatch.setattr(sys, "argv", ["predict.py", str(tmp_path / "weights.safetensors"), *map(str, paths)])
    executed(program, "__main__")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= len(paths)
    answers = set()
    for path in paths:
        *notes, answer = [line.removeprefix(f"{path}: ") for line in printed if line.startswith(f"{path}: ")]
        result = invoke("predict", run.id, path, "--json")
        if result.exit_code:
            assert answer.startswith("not predicted, because the image is empty"), path.name
            assert "the image is empty" in result.stderr, path.name
            continue
        (expected,) = result.json
        name, probability = answer.rsplit(", ", 1)
        assert name == expected["class"], path.name
        assert float(probability) == pytest.approx(max(expected["probabilities"]), abs=1e-4), path.name
        assert [f"note that {doubt}" for doubt in expected["doubts"]] == notes, path.name
        answers.add(name)
    assert len(answers) > 2
    assert sum("not predicted" in line for line in printed) in range(1, len(paths) // 5)


def test_file_of_a_test_image_is_predicted_as_the_test_image(exported: _Exported, tmp_path: Path) -> None:
    """Files take the way of the dataset's images: to its shape, and then to the network's."""
    model = load_model(exported.run)
    test_images = load_test_images(exported.run.get_dataset().name)
    inputs, paths = [], []
    for index in range(5):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(test_images.images[index].permute(1, 2, 0).squeeze().numpy()).save(paths[-1])
        inputs.append(test_images.select_one(index).resize(model.architecture.input.shape).get_image(0))
    expected = np.array([prediction.probabilities for prediction in predict(model, inputs)])
    np.testing.assert_allclose(exported.predict_in_the_app(paths), expected, atol=2e-6)


def _check_program(exported: _Exported, probabilities: NDArray[np.float32], labels: list[int], printed: str) -> None:
    files = exported.list_files()
    assert labels == [label for _, label in files]
    paths = [path for path, _ in files]
    for path, actual, expected in zip(paths, probabilities, exported.predict_in_the_app(paths), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4, err_msg=path.name)
    assert printed.count("notes.txt is skipped") == len(_CLASSES)
    assert "Thumbs" not in printed
    assert "DS_Store" not in printed


def test_training_program_reads_the_app_s_images(exported: _Exported, capsys: pytest.CaptureFixture[str]) -> None:
    program = executed(exported.render("torch-train"))
    images, labels = program["load_images"](str(exported.data), train=False)
    model = program["make_model"]().eval()
    model.load_state_dict(safetensors.torch.load_file(exported.weights))
    with torch.inference_mode():
        probabilities = model(program["scale_images"](images)).softmax(1).numpy()
    _check_program(exported, probabilities, labels.tolist(), capsys.readouterr().out)


def test_keras_program_reads_the_app_s_images(exported: _Exported, capsys: pytest.CaptureFixture[str]) -> None:
    program = executed(exported.render("keras"))
    model = program["make_model"]()
    program["load_weights"](model, exported.weights)
    images = program["read_class_folders"](exported.data / "test")
    with torch.inference_mode():
        probabilities = model(program["scale_images"](np.stack([pixels for pixels, _ in images])), training=False)
    _check_program(exported, probabilities.numpy(), [label for _, label in images], capsys.readouterr().out)
    shuffled, labels = program["load_folder"](exported.data / "test")
    assert shuffled.shape[0] == len(images)
    assert sorted(labels) == [label for _, label in images]


@pytest.mark.parametrize("exported", [_SHAPES["color"]], indirect=True)
def test_class_folder_that_is_missing_is_named(
    exported: _Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = executed(exported.render("torch-train"))
    (tmp_path / "test").mkdir()
    with pytest.raises(SystemExit, match="has no images"):
        program["load_images"](str(tmp_path), train=False)
    assert capsys.readouterr().out.count("has no folder") == len(_CLASSES)


@pytest.mark.parametrize("target", ["torch-train", "keras"])
@pytest.mark.parametrize("exported", [_SHAPES["gray"]], indirect=True)
def test_training_program_refuses_folders_with_too_few_images(
    exported: _Exported, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "test"):
        for index, (name, label) in enumerate(exported.list_files()[:9]):
            place = tmp_path / "few" / "data" / part / _CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{index}{name.suffix}").write_bytes(name.read_bytes())
    monkeypatch.chdir(tmp_path / "few")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with pytest.raises(SystemExit, match="9 images are too few: 10 of them are for validation"):
        executed(exported.render(target), "__main__")
