"""Published pages: content, size, escaping, precision, licenses, and networks that a page cannot run."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from playground.core.architecture import Architecture, InputShape
from playground.core.datasets import ExtractedFeatures
from playground.core.layers import BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, Output, Residual
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import delete_custom_dataset, save_custom_dataset
from playground.engine.model.build import build_model
from playground.engine.runs.imported_weights import create_run_from_weights, import_published_network
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import create_run, find_run
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError, StorageError, UnknownNameError
from playground.export.web_page import PageOptions, find_weight_type, limits, render_web_page
from playground.interpret.model import load_model
from playground.web.assets import read_page_script, read_page_stylesheet
from playground.web.page_file import read_published_page
from tests.web.compare_networks import make_model

HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\"><!--<script>"
CLASSES = ("cat", HOSTILE, "dog")


def save_dataset(
    title: str = "Pets", *, shape: tuple[int, int, int] = (3, 12, 12), is_drawn: bool = False, seed: int = 1
) -> str:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (60, *shape), generator=random, dtype=torch.uint8)
    content = CustomImages(LabeledImages(images, torch.arange(60) % 3), None, CLASSES, (), 0)
    return save_custom_dataset(title, content, is_drawn=is_drawn)


COLOR_NET = Architecture(
    input=InputShape(channels=3, height=12, width=12),
    classes=3,
    layers=(
        Conv2d(out_channels=6, padding=1),
        BatchNorm(),
        Residual(layers=(Conv2d(out_channels=6, padding=1), BatchNorm())),
        GlobalAvgPool(),
        Output(),
    ),
)


def make_run(
    net: Architecture, dataset: str, name: str = "My net", *, weights: dict[str, torch.Tensor] | None = None
) -> Run:
    tensors = make_model(net).module.state_dict() | (weights or {})
    return create_run_from_weights(net, Recipe(dataset=dataset, batch_size=4, validation_size=10), tensors, name=name)


class Page(HTMLParser):
    """Elements and scripts of a page."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.open = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.open == "script":
            self.scripts[-1] += data
        elif self.open != "style":
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])

    @property
    def policy(self) -> str:
        return next(attrs["content"] or "" for tag, attrs in self.tags if attrs.get("http-equiv"))


@pytest.fixture(scope="module")
def guide_pages() -> dict[str, bytes]:
    run = find_run(PRETRAINED)
    return {
        name: render_web_page(run, PageOptions(weight_type=find_weight_type(name))).content
        for name in ("float32", "float16")
    }


def test_page_of_the_guide_s_network_is_small(guide_pages: dict[str, bytes]) -> None:
    assert len(guide_pages["float32"]) < 700_000
    assert len(guide_pages["float16"]) < 450_000


def test_page_states_the_accuracy_of_both_precisions(guide_pages: dict[str, bytes]) -> None:
    for name, content in guide_pages.items():
        text = Page(content).text
        assert "Test accuracy on 10,000 images that it was not trained on: with float32 weights 99.51%" in text
        assert re.search(r"with float16 weights 99\.\d\d%", text)
        assert f"This page holds the weights in {name}." in text


def test_page_says_how_the_network_was_trained(guide_pages: dict[str, bytes]) -> None:
    text = Page(guide_pages["float32"]).text
    assert "20 epochs on 74,984 training images of MNIST and pen strokes" in text
    assert "AdamW minimized the cross-entropy in batches of 128 images, with a learning rate of 0.002 (cosine" in text
    assert "93,322" in text


def test_page_names_the_licenses_of_its_images_and_code(guide_pages: dict[str, bytes]) -> None:
    text = Page(guide_pages["float32"]).text
    assert "Contains 15 test images of MNIST" in text
    assert "Yann LeCun and Corinna Cortes, CC BY-SA 3.0" in text
    assert "MIT license" in text


def test_examples_show_every_class_and_the_errors(guide_pages: dict[str, bytes]) -> None:
    data = Page(guide_pages["float32"]).data
    assert data["exampleLabels"][:10] == list(range(10))
    assert len(data["exampleLabels"]) == 15
    assert len(base64.b64decode(data["examplePixels"])) == 15 * 28 * 28


def test_page_allows_its_own_script_and_no_address(guide_pages: dict[str, bytes]) -> None:
    page = Page(guide_pages["float32"])
    sources = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts}
    (allowed,) = re.findall(r"script-src 'sha256-([^']+)' 'wasm-unsafe-eval';", page.policy)
    assert allowed in sources
    assert "default-src 'none'" in page.policy
    assert "worker-src blob:" in page.policy
    assert "unsafe-inline" not in page.policy
    assert "http" not in page.policy
    assert not {"link", "img", "iframe", "object", "base", "form", "a"} & {tag for tag, _ in page.tags}
    assert not any(
        name in ("src", "href", "style") or name.startswith("on") for _, attrs in page.tags for name in attrs
    )


def test_bundle_cannot_end_its_element() -> None:
    for text, tag in ((read_page_script(), "</script"), (read_page_stylesheet(), "</style")):
        assert tag not in text.lower()
        assert "<!--" not in text
        assert "\r" not in text


@pytest.mark.parametrize("is_title", [True, False], ids=["title", "run's name"])
def test_hostile_names_are_text(is_title: bool, home: Path) -> None:
    run = make_run(COLOR_NET, save_dataset(HOSTILE[:60]), name="Net" if is_title else HOSTILE)
    content = render_web_page(
        run, PageOptions(title=HOSTILE if is_title else None, includes_custom_images=True)
    ).content
    page = Page(content)
    assert len(page.scripts) == 3
    assert not any(tag == "img" for tag, _ in page.tags)
    assert tuple(page.data["classNames"]) == CLASSES
    assert read_published_page("net.html", content).title == HOSTILE


def test_images_of_a_custom_dataset_are_included_only_on_request(home: Path) -> None:
    run = make_run(COLOR_NET, save_dataset())
    without, included = render_web_page(run), render_web_page(run, PageOptions(includes_custom_images=True))
    assert without.example_count == 0
    assert Page(without.content).data["exampleLabels"] == []
    assert "Trained on Pets, whose images are not in this page." in Page(without.content).text
    assert without.accuracy is not None
    assert included.example_count > 0
    assert "Your own images." in Page(included.content).text
    pixels = base64.b64decode(Page(included.content).data["examplePixels"])
    assert len(pixels) == included.example_count * 3 * 12 * 12


@pytest.mark.parametrize("weight_type", ["float32", "float16"])
def test_import_brings_network_and_weights_back(weight_type: str, home: Path) -> None:
    run = make_run(COLOR_NET, save_dataset())
    options = PageOptions(title="For a friend", weight_type=find_weight_type(weight_type))
    imported = import_published_network(read_published_page("net.html", render_web_page(run, options).content))
    assert imported.record.name == "For a friend"
    assert imported.record.architecture == COLOR_NET
    assert imported.record.recipe == run.record.recipe
    weights = imported.load_snapshot(0)
    for name, values in run.load_snapshot(0).items():
        rounded = values.half().float() if weight_type == "float16" and values.is_floating_point() else values
        assert torch.equal(weights[name], rounded), name


def test_imported_network_has_the_class_names_of_a_dataset_that_is_not_here(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save_dataset(shape=(1, 28, 28), is_drawn=True)
    net = Architecture(classes=3, layers=(Flatten(), Output()))
    content = render_web_page(make_run(net, name)).content
    monkeypatch.setenv("CNN_PLAYGROUND_HOME", str(tmp_path_factory.mktemp("friend")))
    dataset = import_published_network(read_published_page("net.html", content)).get_dataset()
    assert dataset.class_names == CLASSES
    assert dataset.is_missing
    assert dataset.is_drawable


def test_page_of_a_deleted_dataset_says_that_its_accuracy_is_unknown(home: Path) -> None:
    name = save_dataset(seed=2)  # the images of a dataset that was evaluated before are cached
    run = make_run(COLOR_NET, name)
    delete_custom_dataset(name)
    page = render_web_page(run)
    assert page.accuracy is None
    assert "The test accuracy was not measured for this page: " in Page(page.content).text
    assert tuple(Page(page.content).data["classNames"]) == CLASSES


def test_run_without_weights_is_refused(home: Path) -> None:
    with pytest.raises(StorageError, match="no weights"):
        render_web_page(create_run(COLOR_NET, Recipe()))


def test_weights_that_are_not_finite_are_refused(home: Path) -> None:
    run = make_run(COLOR_NET, save_dataset(), weights={"0.bias": torch.full((6,), torch.nan)})
    with pytest.raises(StorageError, match="not finite"):
        render_web_page(run)


def test_weights_too_large_for_float16_are_published_in_float32_only(home: Path) -> None:
    run = make_run(COLOR_NET, save_dataset(), weights={"0.bias": torch.full((6,), 1e6)})
    with pytest.raises(StorageError, match="float32"):
        render_web_page(run, PageOptions(weight_type="float16"))
    assert "the weights are too large for float16" in Page(render_web_page(run).content).text


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("MAX_PARAMETERS", "parameters"),
        ("MAX_MULTIPLY_ADDS", "multiply-adds per image"),
        ("MAX_LAYER_VALUES", "layer outputs per image"),
    ],
)
def test_network_that_is_too_large_is_refused(
    limit: str, words: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(COLOR_NET, save_dataset())
    monkeypatch.setattr(limits, limit, 100)
    with pytest.raises(PlaygroundError, match=f"too large for a web page: .* {words}"):
        render_web_page(run)


def test_large_network_is_refused_at_the_real_limits(home: Path) -> None:
    net = Architecture(
        input=InputShape(channels=3, height=224, width=224),
        layers=(Conv2d(out_channels=64, padding=1), Conv2d(out_channels=64, padding=1), GlobalAvgPool(), Output()),
    )
    weights = build_model(net).state_dict()
    with pytest.raises(PlaygroundError, match="multiply-adds"):
        render_web_page(create_run_from_weights(net, Recipe(), weights))


def test_network_of_features_is_refused(home: Path) -> None:
    random = torch.Generator().manual_seed(0)
    images = LabeledImages(
        torch.randint(0, 256, (40, 1, 16, 32), generator=random, dtype=torch.uint8), torch.arange(40) % 2
    )
    features = ExtractedFeatures("resnet18", (3, 32, 32), False, "Some.", 0.0, 0.01)
    name = save_custom_dataset("Seen", CustomImages(images, None, ("a", "b"), (), 0), features=features)
    net = Architecture(layers=(Flatten(), Linear(out_features=4), Output())).adapt_to_images((1, 16, 32), 2)
    with pytest.raises(PlaygroundError, match="resnet18"):
        render_web_page(make_run(net, name))


def test_unknown_precision_is_named() -> None:
    assert find_weight_type("fp16") == "float16"
    with pytest.raises(UnknownNameError, match="int8"):
        find_weight_type("int8")


def test_weights_in_the_page_are_those_of_the_newest_snapshot(guide_pages: dict[str, bytes]) -> None:
    network = read_published_page("net.html", guide_pages["float32"])
    assert network.architecture == get_architecture_preset("guide").architecture
    for name, tensor in load_model(find_run(PRETRAINED)).module.state_dict().items():
        np.testing.assert_array_equal(network.weights[name], tensor.numpy())
