"""Reports: self-contained file, correct figures, escaped text, and missing data."""

import base64
import math
import re
import shlex
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from playground.cli import training
from playground.core.architecture import Architecture, InputShape
from playground.core.augmentations.flip import Flip
from playground.core.augmentations.shift import Shift
from playground.core.datasets import Dataset
from playground.core.events import (
    Diagnosed,
    Evaluated,
    Event,
    Forked,
    HyperparameterChanged,
    RunEnded,
    RunFailed,
    StepDone,
)
from playground.core.layers import Conv2d, Dropout, Flatten, Output
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import Recipe
from playground.core.schedules.cosine import Cosine
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.model.build import build_model
from playground.engine.progress import run_to_end
from playground.engine.runs.initial_state import InitialState, save_initial_state
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import append_events, serialize_snapshot
from playground.errors import DatasetUnavailableError
from playground.export.report import html, render_report
from playground.export.report import test_results as tested
from playground.export.report.recipe import format_value
from playground.export.report.reproduce import build_train_command
from playground.interpret.evaluation.dataset_predictions import predict_dataset
from playground.interpret.model import load_model
from tests.cli.command_line import invoke
from tests.run_events import make_batch, make_started

HOSTILE = """"></style></td><script>alert('x')</script>&amp;<b>{x}"""

BEGUN = make_started(train_size=900, validation_size=60, test_size=60, steps_per_epoch=2, total_steps=4)


def batch(step: int, loss: float = 1.0) -> StepDone:
    return make_batch(step, step / 2, elapsed_s=step, loss=loss, images_per_second=300)


BATCHES = tuple(map(batch, (1, 2, 3, 4)))
MEASURED = Evaluated(step=4, elapsed_s=4, split="test", loss=1.2345, accuracy=0.4321, size=60)
COMPLETED = RunEnded(step=4, elapsed_s=5, status="completed")
WHOLE: tuple[Event, ...] = (BEGUN, *BATCHES, MEASURED, COMPLETED)


class Page(HTMLParser):
    """The page as a browser reads it: its texts, and its elements, each of which must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data.strip())

    @property
    def words(self) -> str:
        return " ".join(text for text in self.texts if text)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self._elements if name == tag]

    @property
    def pictures(self) -> list[np.ndarray]:
        """The PNGs, as (height, width, 3)."""
        found = (str(image["src"]).partition("data:image/png;base64,")[2] for image in self.named("img"))
        return [np.asarray(Image.open(BytesIO(base64.b64decode(text))).convert("RGB")) for text in found]


def net(classes: int = 3, *, channels: int = 1, side: int = 8, output: Output | None = None) -> Architecture:
    layers = (Conv2d(out_channels=3), Dropout(enabled=False), Flatten(), output or Output())
    return Architecture(input=InputShape(channels=channels, height=side, width=side), classes=classes, layers=layers)


def some_images(architecture: Architecture, count: int = 60) -> LabeledImages:
    source = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, *architecture.input.shape), dtype=torch.uint8, generator=source)
    return LabeledImages(images, torch.arange(count) % architecture.classes)


@pytest.fixture
def made(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a run with a log and weights, its data set a made one."""

    def make(
        architecture: Architecture | None = None,
        log: tuple[Event, ...] = WHOLE,
        *,
        recipe: Recipe | None = None,
        name: str = "A run",
        class_names: tuple[str, ...] | None = None,
        count: int = 60,
        has_weights: bool = True,
    ) -> Run:
        architecture = architecture or net()
        names = class_names or tuple(f"kind{number}" for number in range(architecture.classes))
        data, images = Dataset("made", "Made", (1, 8, 8), names, 900, 60, ""), some_images(architecture, count)
        monkeypatch.setattr(Run, "get_dataset", lambda run: data)
        monkeypatch.setattr(tested, "load_run_test_images", lambda run: images)
        run = create_run(architecture, recipe or Recipe(epochs=2), name=name)
        if has_weights:
            run.get_snapshot_path(4).write_bytes(serialize_snapshot(build_model(architecture, seed=5).state_dict()))
        append_events(run.log_path, *log)
        return run

    return make


def evaluation_of(run: Run) -> Evaluation:
    found = run_to_end(predict_dataset(load_model(run), some_images(run.record.architecture)))
    assert found is not None
    return found


def test_report_is_self_contained(made: Any) -> None:
    text = render_report(made())
    page = Page(text)
    assert len(text.encode()) < 100_000
    assert [page.named(tag) for tag in ("script", "link", "iframe", "object", "a")] == [[]] * 5
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in page.named("img"))
    assert not any(word in text for word in ("url(", "@import", "<?xml"))
    policy = next(str(meta["content"]) for meta in page.named("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")


def test_figures_are_those_of_the_run_and_its_network(made: Any) -> None:
    run = made()
    page, evaluation = Page(render_report(run)), evaluation_of(run)
    assert "test accuracy 43.21% test loss 1.2345" in page.words
    assert "2 of 2 epochs of training on Made, completed." in page.words
    accuracy = f"{evaluation.accuracy:.2%} of 60 test images"
    assert f"{accuracy} are classified correctly with the weights of step 4." in page.words
    for one in evaluation.compute_class_metrics():
        assert f"kind{one.label} {one.support} {one.precision:.1%} {one.recall:.1%} {one.f1:.1%}" in page.words
    for name, row in enumerate(evaluation.confusion_matrix.tolist()):
        assert " ".join([f"kind{name}", *(str(count) for count in row if count)]) in page.words
    error = evaluation.compute_calibration().expected_error
    assert f"differ by {error:.1%} on average" in page.words
    assert "Conv 3 · 3×3 · ReLU 1×8×8 3×6×6 30 972 3×3" in page.words
    assert "Dropout disabled" in page.words
    assert "Total 357 1,296" in page.words
    assert all(
        part in page.words for part in (run.id, "float32", "900 training, 60 validation", *run.record.versions.values())
    )


def test_examples_are_the_images_of_the_most_confident_mistakes(made: Any) -> None:
    run = made()
    page, evaluation, data = Page(render_report(run)), evaluation_of(run), some_images(net())
    wrong = evaluation.find_confident_errors(24)
    shown = [
        *wrong,
        *(
            evaluation.find_confusions(label, label)[0]
            for label in range(3)
            if len(evaluation.find_confusions(label, label))
        ),
    ]
    assert len(wrong) == 24
    assert len(page.pictures) == len(shown) > 24
    for picture, place in zip(page.pictures, shown, strict=True):
        np.testing.assert_array_equal(picture, data.images[place, 0].numpy()[..., None].repeat(3, axis=2))
    first = wrong[0]
    words = f"kind{evaluation.labels[first]} → kind{evaluation.predicted_labels[first]}"
    assert f"{words} {evaluation.confidence[first]:.0%}" in page.words
    assert page.named("img")[0]["alt"] == words


@pytest.mark.parametrize(
    ("architecture", "side"),
    [
        (net(100, channels=3, side=32), 32),
        (net(channels=3, side=160), 64),
        (net(2, output=Output(activation="sigmoid")), 8),
        (net(12, channels=4, side=9), 9),
    ],
    ids=["hundred classes", "photographs", "sigmoid", "four channels"],
)
def test_any_classes_and_any_images_make_a_small_report(made: Any, architecture: Architecture, side: int) -> None:
    text = render_report(made(architecture, count=300))
    assert len(text.encode()) < 1_000_000
    page = Page(text)
    assert {picture.shape for picture in page.pictures} == {(side, side, 3)}
    assert f"kind{architecture.classes - 1}" in page.words
    cells = [cell for cell in page.named("td") if cell.get("class") in ("right", "wrong")]
    assert architecture.classes <= len(cells) <= architecture.classes**2


def test_untrusted_text_is_escaped(made: Any) -> None:
    said = {"step": 2, "elapsed_s": 1}
    log = (
        BEGUN.model_copy(update={"device": HOSTILE, "precision": HOSTILE}),
        *BATCHES,
        HyperparameterChanged(
            **said, hyperparameter=HOSTILE, before={"kind": HOSTILE, HOSTILE: HOSTILE}, after=[HOSTILE]
        ),
        Forked(**said, parent=HOSTILE, changes={HOSTILE: (HOSTILE, None)}),
        Diagnosed(**said, diagnosis="learning", message=HOSTILE),
        RunFailed(**said, what=HOSTILE, expected=HOSTILE, fix=HOSTILE),
    )
    recipe = Recipe(dataset=HOSTILE)
    text = render_report(made(log=log, name=HOSTILE, class_names=(HOSTILE, "b", "c"), recipe=recipe), link=HOSTILE)
    page = Page(text)
    assert page.named("script") == []
    assert page.words.count(HOSTILE) >= 15
    assert "<script" not in text
    assert HOSTILE in page.texts[: page.texts.index("Network")]  # the title and the heading
    assert any(image["alt"] and HOSTILE in image["alt"] for image in page.named("img"))


def test_a_run_without_weights_has_a_report(made: Any) -> None:
    page = Page(render_report(made(log=(), has_weights=False)))
    assert "0 of 1 epochs of training on Made, not started." in page.words
    assert "The run has not trained yet." in page.words
    assert "could not be evaluated on the test images. Run" in page.words
    assert "has no weights to look at yet." in page.words
    assert page.pictures == []


def test_an_unfinished_run_shows_what_there_is(made: Any) -> None:
    measured = Evaluated(step=2, elapsed_s=1, split="validation", loss=0.5, accuracy=0.8, size=60)
    page = Page(render_report(made(log=(BEGUN, *map(batch, (1, 2)), measured, batch(3, math.nan)))))
    assert "1.5 of 2 epochs of training on Made, interrupted." in page.words
    assert "validation accuracy 80.00% validation loss 0.5000" in page.words
    assert "This run did not train all of its epochs." in page.words
    assert "nan" not in page.words


@pytest.mark.parametrize("has_changed", [False, True])
def test_missing_or_changed_dataset_is_reported(made: Any, has_changed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(class_names=("one", "two") if has_changed else None)

    def missing(_: Run) -> LabeledImages:
        raise DatasetUnavailableError("SVHN has to be fetched first.", fix="Fetch it <here>.")

    if not has_changed:
        monkeypatch.setattr(tested, "load_run_test_images", missing)
    page = Page(render_report(run))
    wanted = (
        "now has 2 classes; the network has 3." if has_changed else "SVHN has to be fetched first. Fetch it <here>."
    )
    assert (
        f"The network could not be evaluated on the test images. {'The dataset ' * has_changed}{wanted}" in page.words
    )
    assert "test accuracy 43.21%" in page.words  # the metrics in the log are kept
    assert page.pictures == []


def test_diagnoses_and_hyperparameter_changes_are_listed(made: Any) -> None:
    at = {"step": 2, "elapsed_s": 1}
    log = (
        BEGUN,
        *BATCHES[:2],
        HyperparameterChanged(**at, hyperparameter="batch_size", before=128, after=64),
        Diagnosed(**at, diagnosis="overfitting", message="Overfitting: more images would help."),
        *BATCHES[2:],
        COMPLETED,
    )
    run = made(log=log)
    page = Page(render_report(run))
    assert "Step 2: batch size from 128 to 64" in page.words
    assert "Epoch 1.00: Overfitting: more images would help." in page.words
    assert f"cnn-playground replay {run.id} repeats them." in page.words


def test_a_fork_and_a_taught_run_need_what_they_came_from(made: Any) -> None:
    forked = Forked(step=2, elapsed_s=1, parent="20260101-000000-abcdef", changes={"lr": (0.1, 0.01)})
    run = made(log=(BEGUN, *BATCHES[:2], forked, *BATCHES[2:], COMPLETED))
    page = Page(render_report(run))
    assert "cnn-playground fork 20260101-000000-abcdef --at 2 --recipe recipe.json" in page.words
    assert "Step 2: lr from 0.1 to 0.01" in page.words
    save_initial_state(run, InitialState(build_model(net()).state_dict()))
    assert f"With that folder: cnn-playground replay {run.id}" in Page(render_report(run)).words


def test_every_setting_is_listed_and_changed_defaults_are_bold(made: Any) -> None:
    recipe = Recipe(optimizer=Sgd(), lr=0.05, augmentation=(Flip(), Shift(pixels=3)))
    text = render_report(made(recipe=recipe))
    page = Page(text)
    assert all(name.replace("_", " ") in page.texts for name in Recipe.model_fields if name != "schema_version")
    strong = [text[start + 8 :].partition("<")[0] for start in range(len(text)) if text.startswith("<strong>", start)]
    assert strong == ["sgd, momentum 0.9, nesterov no", "0.05", "flip, p 0.5; shift, pixels 3"]
    assert "adam, beta1 0.9, beta2 0.999" in page.texts


def test_a_link_is_one_only_if_it_leads_to_a_page(made: Any) -> None:
    run = made()
    (link,) = Page(render_report(run, link="https://example.org/?net=1.a&b")).named("a")
    assert link["href"] == "https://example.org/?net=1.a&b"
    page = Page(render_report(run, link="javascript:alert(1)"))
    assert page.named("a") == []
    assert "javascript:alert(1)" in page.texts


COMMANDS: list[tuple[str, Architecture, Recipe]] = [
    ("train tiny", ARCHITECTURE_PRESETS["tiny"].architecture, RECIPE_PRESETS["sprint"].recipe),
    ("train guide", ARCHITECTURE_PRESETS["guide"].architecture, RECIPE_PRESETS["tutorial"].recipe),
    ("train guide --recipe careful", ARCHITECTURE_PRESETS["guide"].architecture, RECIPE_PRESETS["careful"].recipe),
    (
        "train tiny --epochs 3 --lr 0.01 --seed 7 --limit 3000",
        ARCHITECTURE_PRESETS["tiny"].architecture,
        RECIPE_PRESETS["sprint"].recipe.replace(epochs=3, lr=0.01, seed=7, limit=3000),
    ),
    (
        "train guide --dataset cifar10",
        ARCHITECTURE_PRESETS["guide"].architecture.adapt_to_images((3, 32, 32), 10),
        RECIPE_PRESETS["tutorial"].recipe.replace(dataset="cifar10"),
    ),
    (
        "train tiny --recipe recipe.json",
        ARCHITECTURE_PRESETS["tiny"].architecture,
        Recipe(optimizer=Adam(beta1=0.5), schedule=Cosine()),
    ),
    ("train network.json --batch-size 256", net(10, side=28), RECIPE_PRESETS["sprint"].recipe.replace(batch_size=256)),
    # A preset's layers for images of another size than the data set's: only a file says that.
    (
        "train network.json",
        ARCHITECTURE_PRESETS["tiny"].architecture.adapt_to_images((1, 20, 20), 10),
        RECIPE_PRESETS["sprint"].recipe,
    ),
]


@pytest.mark.parametrize(("wanted", "architecture", "recipe"), COMMANDS, ids=[command for command, _, _ in COMMANDS])
def test_the_command_trains_the_same_network_by_the_same_recipe(
    wanted: str, architecture: Architecture, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *words = shlex.split(build_train_command(architecture, recipe))
    assert program == "cnn-playground"
    assert shlex.join(words) == wanted
    asked: list[tuple[Architecture, Recipe]] = []
    monkeypatch.setattr(training, "download_dataset", lambda *_, **__: None)
    monkeypatch.setattr(training, "train_in_foreground", lambda _, *of, **__: asked.append(of))
    monkeypatch.chdir(tmp_path)
    Path("network.json").write_text(architecture.to_canonical_json())
    Path("recipe.json").write_text(recipe.to_canonical_json())
    assert invoke(*words).exit_code == 0
    ((trained, settings),) = asked
    assert trained.digest == architecture.digest
    assert settings == recipe


def test_a_command_for_data_that_nobody_else_has_names_files() -> None:
    recipe = Recipe(dataset="own:gone")
    command = build_train_command(ARCHITECTURE_PRESETS["tiny"].architecture, recipe)
    assert command == "cnn-playground train network.json --recipe recipe.json"


def test_templates_mark_only_generated_svg_and_css_as_safe() -> None:
    folder = Path(html.__file__).parent / "templates"
    marked = {
        expression
        for template in folder.glob("*.j2")
        for expression in re.findall(r"([\w.]+) \| safe", template.read_text(encoding="utf-8"))
    }
    assert marked == {"network.diagram", "svg", "light_variables", "dark_variables", "stylesheet"}
    assert html._get_environment().autoescape is True


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "not set"), (True, "yes"), (1e-4, "0.0001"), (128, "128"), ((), "none"), ([0.25, 0.5], "0.25; 0.5")],
)
def test_settings_are_formatted(value: object, words: str) -> None:
    assert format_value(value) == words
