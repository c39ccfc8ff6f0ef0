"""Data page, import, share links and transfer through AppTest: choices reach the network and the recipe."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.core.share_link import encode_link
from playground.engine.data.custom.drawn_classes import MIN_DRAWINGS_PER_CLASS
from playground.engine.data.custom.image_folder import read_image_folder
from playground.engine.data.custom.store import list_custom_datasets, save_custom_dataset
from playground.engine.model.build import build_model
from playground.engine.runs.imported_weights import import_weights
from playground.engine.runs.repository import create_run, list_runs
from playground.errors import RecipeError
from playground.export.targets import ExportSource, render_export
from playground.ui.panels import share
from tests.ui.apps import choose_preset, html_of, state_of


def zipped(count: int = 6) -> BytesIO:
    """Build a ZIP of red cats and blue dogs."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, color in (("cat", (200, 30, 30)), ("dog", (30, 30, 200))):
            for number in range(count):
                image = BytesIO()
                Image.new("RGB", (20 + number, 20), color).save(image, "PNG")
                archive.writestr(f"{name}/{number}.png", image.getvalue())
        archive.writestr("cat/broken.png", b"no image")
    content.seek(0)
    return content


def _data() -> None:
    import streamlit as st

    from playground.ui.pages.data.page import render_data_page

    st.session_state["pages"] = {}
    render_data_page()


@pytest.fixture
def data_page(home: Path, app: AppTest) -> AppTest:
    return AppTest.from_function(_data, default_timeout=60)


def test_mnist_page_shows_split_sizes_shape_and_credit(data_page: AppTest) -> None:
    data_page.run()
    assert not data_page.exception
    html = html_of(data_page)
    for text in ("55,000", "5,000", "10,000", "1×28×28", "Yann LeCun"):
        assert text in html, text
    assert data_page.button(key="data-use").disabled


def test_flip_augmentation_of_digits_shows_a_warning(data_page: AppTest) -> None:
    data_page.run()
    assert "Flipping changes" not in html_of(data_page)
    data_page.multiselect(key="recipe-augmentation").set_value(["flip"]).run()
    assert "Flipping changes the meaning of most digits" in html_of(data_page)
    assert [item.kind for item in state_of(data_page).editor.recipe.augmentation] == ["flip"]


def test_missing_dataset_offers_its_download(data_page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    data_page.run()
    data_page.selectbox(key="data-name").set_value("kmnist").run()
    assert "21 MB" in html_of(data_page)
    assert data_page.button(key="data-use").disabled
    assert not data_page.button(key="data-fetch").disabled


def test_using_a_custom_dataset_adapts_the_network_and_deleting_it_restores_mnist(
    data_page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = read_image_folder(zipped(), height=28, width=32, channels=3)
    name = save_custom_dataset("Pets", images)
    data_page.run()
    data_page.selectbox(key="data-name").set_value(name).run()
    assert "Pets" in html_of(data_page)
    data_page.button(key="data-use").click().run()
    state = state_of(data_page)
    assert state.editor.recipe.dataset == name
    assert state.editor.architecture.input.shape == (3, 28, 32)
    assert state.editor.architecture.classes == 2
    data_page.button(key="data-delete-sure").click().run()
    assert list_custom_datasets() == {}
    assert state_of(data_page).editor.recipe.dataset == "mnist"
    assert state_of(data_page).editor.architecture.classes == 10
    assert not data_page.exception


def _upload(page: AppTest, content: bytes, name: str = "pets.zip") -> AppTest:
    page.run()
    page.session_state["bring"] = True
    page.run()
    return page.file_uploader(key="bring-file").set_value((name, content, "application/zip")).run()


def test_upload_is_previewed_before_a_dataset_is_created(data_page: AppTest) -> None:
    _upload(data_page, zipped().getvalue())
    html = html_of(data_page)
    for text in ("2 classes · 13 training images", "cat, 7", "dog, 6", "One sixth of the images of each class"):
        assert text in html, text
    assert list_custom_datasets() == {}
    data_page.button(key="bring-start").click().run()
    assert not data_page.exception
    html = html_of(data_page)
    for text in (
        "&quot;pets&quot; is ready. Skipped files: 1.",
        "cat/broken.png",
        "Images of one color: 12 of 12",
    ):
        assert text in html, text
    assert "13 training images" not in html
    assert "bring-start" not in [button.key for button in data_page.button]
    (dataset,) = list_custom_datasets().values()
    assert dataset.input_shape == (3, 64, 64)


def test_other_options_preview_the_file_again(data_page: AppTest) -> None:
    _upload(data_page, zipped().getvalue())
    data_page.button(key="bring-start").click().run()
    data_page.selectbox(key="bring-size").set_value(28).run()
    assert "13 training images" in html_of(data_page)
    data_page.button(key="bring-start").click().run()
    assert not data_page.exception
    assert {dataset.input_shape for dataset in list_custom_datasets().values()} == {(3, 64, 64), (3, 28, 28)}


def test_file_that_is_no_dataset_is_refused_in_its_preview(data_page: AppTest) -> None:
    _upload(data_page, b"no ZIP file")
    assert "isn&#x27;t a readable ZIP file" in html_of(data_page)
    assert "bring-start" not in [button.key for button in data_page.button]


def test_names_of_windows_are_shown_and_can_be_decoded_otherwise(data_page: AppTest) -> None:
    content = zipped().getvalue().replace(b"cat/", "ネ".encode("cp932") + b"1/").replace(b"dog/", b"\x83C2/")
    _upload(data_page, content)
    html = html_of(data_page)
    assert "ネ1, 7" in html
    assert "イ2, 6" in html
    (box,) = [box for box in data_page.selectbox if box.label == "Encoding of names"]
    assert box.value == "cp932"
    box.set_value("cp866").run()
    assert "Гl1, 7" in html_of(data_page)
    data_page.button(key="bring-start").click().run()
    assert not data_page.exception
    (dataset,) = list_custom_datasets().values()
    assert dataset.class_names == ("ГC2", "Гl1")


def test_drawn_classes_become_a_dataset(data_page: AppTest) -> None:
    data_page.run()
    strokes = {"dot": (((50.0, 50.0), (53.0, 52.0)),), "bar": (((50.0, 10.0), (50.0, 90.0)),)}
    state_of(data_page).data.class_drawings = {
        name: (drawing,) * MIN_DRAWINGS_PER_CLASS for name, drawing in strokes.items()
    }
    data_page.session_state["draw-classes"] = True
    data_page.run()
    data_page.button(key="drawn-start").click().run()
    assert not data_page.exception
    (name,) = list_custom_datasets()
    assert list_custom_datasets()[name].class_names == ("bar", "dot")
    assert state_of(data_page).data.dataset_name == name


# Playground page


def test_preset_sets_its_recipe_and_shows_its_description(app: AppTest) -> None:
    app.run()
    choose_preset(app, "overfitting")
    state = state_of(app)
    assert state.editor.recipe == get_architecture_preset("overfitting").recipe
    assert "the network memorizes the images" in html_of(app)
    assert app.button(key="architecture-preset").label == "Overfitting"
    choose_preset(app, "tiny")
    assert "the network memorizes the images" not in html_of(app)


def test_changing_the_dataset_adapts_input_and_classes_and_can_be_undone(app: AppTest) -> None:
    app.run()
    app.selectbox(key="dataset").set_value("emnist-letters").run()
    assert state_of(app).editor.architecture.classes == 26
    app.selectbox(key="dataset").set_value("cifar10").run()
    assert state_of(app).editor.architecture.input.shape == (3, 32, 32)
    choose_preset(app, "lenet5")
    assert state_of(app).editor.architecture.input.shape == (3, 32, 32)
    assert app.button(key="architecture-preset").label == "LeNet-5"
    app.button(key="undo").click().run()
    app.button(key="undo").click().run()
    assert state_of(app).editor.architecture.classes == 26
    assert not app.exception


def test_input_form_changes_the_input_shape(app: AppTest) -> None:
    app.run()
    app.button(key="open-input").click().run()
    app.number_input(key="input-height").set_value(40).run()
    assert state_of(app).editor.architecture.input.shape == (1, 40, 28)
    assert "resized" in html_of(app)


def test_backbone_and_head_have_headings(app: AppTest) -> None:
    app.run()
    html = html_of(app)
    assert html.index("Feature extraction") < html.index("Classification") < html.index("Flatten")


def test_share_link_opens_its_network_and_recipe(app: AppTest) -> None:
    network, recipe = (
        get_architecture_preset("residual").architecture,
        get_recipe_preset("careful").recipe.replace(seed=11),
    )
    app.query_params["net"] = encode_link(network, recipe)
    app.run()
    assert (state_of(app).editor.architecture.digest, state_of(app).editor.recipe) == (network.digest, recipe)
    assert "net" not in app.query_params


def test_damaged_share_link_shows_an_error_and_keeps_the_page(app: AppTest) -> None:
    app.query_params["net"] = "1.damaged"
    app.run()
    assert not app.exception
    assert "link" in html_of(app).lower()
    assert state_of(app).editor.architecture.digest == get_architecture_preset("guide").architecture.digest


def test_pasted_code_is_imported_and_unsupported_layers_are_named(app: AppTest) -> None:
    app.session_state["import"] = True
    app.run()
    code = "nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))"
    app.text_area(key="import-text").set_value(code)
    app.button(key="import-read").click().run()
    assert [layer.kind for layer in state_of(app).editor.architecture.layers] == ["flatten", "linear", "output"]
    app.text_area(key="import-text").set_value("nn.Sequential(nn.Flatten(), nn.Transformer())").run()
    app.button(key="import-read").click().run()
    assert "Transformer" in html_of(app)
    assert not app.exception


def _exports() -> None:
    from playground.core.presets import get_architecture_preset
    from playground.core.recipe import Recipe
    from playground.engine.runs.repository import list_runs
    from playground.export.targets import ExportSource
    from playground.ui.panels.share import render_export_buttons

    runs = list_runs()[0]
    network = ExportSource(get_architecture_preset("tiny").architecture, Recipe(), "Tiny")
    render_export_buttons(ExportSource.from_run(runs[0]) if runs else network, key="test")


def _download_buttons(page: AppTest) -> dict[str, bool]:
    """Map the labels of the download buttons to their disabled state."""
    return {button.proto.label: button.proto.disabled for button in page.get("download_button")}


def test_export_error_is_shown_on_the_page_and_its_download_is_disabled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_keras(name: str, source: ExportSource) -> bytes:
        if name == "keras":
            raise RecipeError("No Keras today.", fix="Take PyTorch.")
        return render_export(name, source)

    monkeypatch.setattr(share, "render_export", fail_for_keras)
    page = AppTest.from_function(_exports, default_timeout=60).run()
    assert not page.exception
    assert [label for label, is_disabled in _download_buttons(page).items() if is_disabled] == ["Keras 3"]
    assert "No Keras today." in html_of(page)
    assert "Take PyTorch." in html_of(page)


def test_weights_are_prepared_by_a_click_and_then_downloaded(home: Path) -> None:
    network = get_architecture_preset("tiny").architecture
    content = safetensors.torch.save(build_model(network, seed=1).state_dict())
    import_weights(content, network, Recipe(), name="Mine")
    page = AppTest.from_function(_exports, default_timeout=60).run()
    assert "Download mine.safetensors" not in _download_buttons(page)
    page.button(key="test-weights").click().run()
    assert not page.exception
    assert _download_buttons(page)["Download mine.safetensors"] is False


def test_error_of_a_prepared_export_is_shown_and_no_file_is_offered(home: Path) -> None:
    create_run(get_architecture_preset("tiny").architecture, Recipe(), name="Empty")
    page = AppTest.from_function(_exports, default_timeout=60).run()
    page.button(key="test-onnx").click().run()
    assert not page.exception
    assert "without trained weights" in html_of(page)
    assert not any(label.startswith("Download") for label in _download_buttons(page))


def test_weights_of_the_pretrained_model_can_be_transferred(app: AppTest) -> None:
    app.session_state["transfer"] = True
    app.run()
    choose_preset(app, "tiny")
    app.selectbox(key="transfer-parent").set_value("pretrained").run()
    app.button(key="transfer-network").click().run()
    assert app.button(key="transfer-network").disabled, "it is the network already"
    assert "Reused: " in html_of(app)
    app.selectbox(key="transfer-freeze").set_value(4).run()
    frozen = [layer.kind for layer in state_of(app).editor.architecture.layers if not layer.trainable]
    assert frozen == ["conv2d"] * 3
    assert "frozen" in html_of(app)
    app.number_input(key="transfer-few").set_value(10).run()
    assert state_of(app).editor.recipe.limit == 100
    app.button(key="transfer-both").click().run()
    runs = list_runs()[0]
    assert sorted(run.record.parent is None for run in runs) == [False, True]
    assert state_of(app).training.run_id in {run.id for run in runs if run.record.parent}
    assert not app.exception


def test_imported_weights_become_a_run(app: AppTest) -> None:
    network = get_architecture_preset("guide").architecture
    content = safetensors.torch.save(dict(build_model(network, seed=2).state_dict()))
    run = import_weights(content, network, Recipe(), name="Imported")
    app.query_params["run"] = run.id
    app.run()
    assert "Imported" in html_of(app)
    assert not app.exception


def test_images_of_an_archive_keep_their_classes() -> None:
    images = read_image_folder(zipped(), height=8, width=8, channels=3)
    reds = images.train.images[images.train.labels == 0][:, 0].numpy()
    assert np.all(reds > 150)
