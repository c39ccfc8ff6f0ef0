"""Training panel, header and address: what they say is true at every moment."""

from typing import NoReturn

import pytest
import streamlit
import torch
from streamlit.testing.v1 import AppTest

from playground.core.architecture import Architecture
from playground.core.events import (
    Evaluated,
    Paused,
    Resumed,
    RunEnded,
    UpdateHyperparameters,
)
from playground.core.layers import Conv2d, Flatten, Output
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.drawings import LabeledDrawing
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.rasterize import rasterize
from playground.engine.runs.finetune import create_finetuning_run
from playground.engine.runs.fork import fork_run
from playground.engine.runs.repository import load_pretrained_run
from playground.engine.runs.run_files import serialize_snapshot
from playground.errors import StorageError
from playground.interpret.editing import ChannelScale, KernelEdit
from playground.ui import services
from playground.ui.pages.inspect.top_activations import _explain_inactivity
from playground.ui.pages.playground import teach
from tests.run_events import make_batch, make_started, write_log
from tests.ui.apps import (
    choose_preset,
    create_forkable_run,
    create_run_with,
    get_queued_commands,
    html_of,
    state_of,
)

STARTED = make_started(train_size=4000, validation_size=10, test_size=10, steps_per_epoch=10, total_steps=50)
COMPLETED = RunEnded(step=5, elapsed_s=1, status="completed")


def _save_shapes() -> str:
    noise = torch.Generator().manual_seed(0)
    images = LabeledImages(
        torch.randint(0, 256, (60, 1, 28, 28), generator=noise, dtype=torch.uint8), torch.arange(60) % 3
    )
    return save_custom_dataset("shapes", CustomImages(images, None, ("circle", "cross", "square"), (), 0))


def test_class_mismatch_blocks_training_until_its_fix_is_applied(app: AppTest) -> None:
    name = _save_shapes()
    recipe = get_recipe_preset("tutorial").recipe.replace(dataset=name, batch_size=5, validation_size=10)
    app.query_params["net"] = encode_link(get_architecture_preset("tiny").architecture, recipe)
    app.run()
    assert "It has 10 outputs; &quot;shapes&quot; has 3 classes." in html_of(app)
    assert "· 3 classes" in html_of(app), "the input row describes the dataset, not the network"
    assert app.button(key="train-start").disabled
    assert app.button(key="train-step").disabled
    assert "Press Train" not in html_of(app)
    (fix,) = (button for button in app.button if str(button.key).startswith("fix-"))
    assert fix.label == "Set to 3 classes"
    fix.click().run()
    assert not app.button(key="train-start").disabled
    assert "has 3 classes" not in html_of(app)
    app.session_state["import"] = True
    assert not app.exception


def test_settings_changed_by_a_dataset_are_named_and_can_be_undone(app: AppTest) -> None:
    name = _save_shapes()
    app.run()
    before = state_of(app).editor.recipe
    app.selectbox(key="dataset").set_value(name).run()
    assert "batch size 128 → 5, validation size 5,000 → 10" in html_of(app)
    app.button(key="changed-settings-undo").click().run()
    assert state_of(app).editor.recipe == before
    assert "Settings changed too" not in html_of(app)
    choose_preset(app, "overfitting")
    assert "limit none → 500" in html_of(app)
    assert not app.exception


def test_completed_run_offers_to_continue_beside_training_again(app: AppTest) -> None:
    run = create_run_with(STARTED, make_batch(5, 5.0), COMPLETED)
    run.checkpoint_path.write_bytes(b"read only when the run is resumed")
    app.query_params["run"] = run.id
    app.run()
    assert app.button(key="train-start").label == "Train again from scratch"
    assert app.button(key="train-continue").label == "Continue: 1 more epoch"
    app.button(key="train-continue").click().run()
    assert not app.exception
    assert state_of(app).training.run_id == run.id
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"epochs": 6}),)


@pytest.mark.parametrize(
    ("accuracy", "label"), [(0.9906, "See its 94 mistakes"), (0.9999, "See its mistake"), (1.0, "")]
)
def test_completed_run_names_its_mistakes_and_opens_their_page(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, accuracy: float, label: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(streamlit, "switch_page", lambda page: opened.append(page.url_path))
    evaluated = {"step": 5, "elapsed_s": 1, "loss": 0.1, "accuracy": accuracy}
    validation = Evaluated(split="validation", size=5_000, **evaluated)
    test = Evaluated(split="test", size=10_000, **evaluated)
    run = create_run_with(STARTED, make_batch(5, 5.0), validation, test, COMPLETED)
    app.query_params["run"] = run.id
    app.run()
    assert f"{accuracy:.2%} of the test images, unseen in training, are classified correctly." in html_of(app)
    assert [button.label for button in app.button if button.key == "next-mistakes"] == ([label] if label else [])
    if label:
        app.button(key="next-mistakes").click().run()
    app.button(key="next-inspect").click().run()
    assert not app.exception
    assert opened == (["mistakes", "inside"] if label else ["inside"])
    assert state_of(app).inspect.run_id == run.id


def test_run_that_trains_has_no_next_steps(app: AppTest) -> None:
    run = create_run_with(STARTED, make_batch(5, 5.0))
    app.query_params["run"] = run.id
    app.run()
    assert not [button for button in app.button if str(button.key).startswith("next-")]


def test_header_names_the_viewed_run_and_its_pending_command(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    app.run()
    run = create_run_with(STARTED, make_batch(5, 0.5))
    monkeypatch.setattr(type(run), "is_live", lambda self: True)
    monkeypatch.setattr(type(run), "determine_phase", lambda self, history: history.status)
    scheduler = services.get_scheduler()
    monkeypatch.setattr(scheduler, "is_active", lambda run_id: run_id == run.id)
    state = state_of(app)
    state.attach(run)
    app.run()
    assert f"{run.record.name} · training" in html_of(app)
    app.button(key="train-stop").click().run()
    assert f"{run.record.name} · stopping" in html_of(app)
    assert "Stopping …" in html_of(app)
    assert app.button(key="train-stop").disabled
    paused, resumed = Paused(step=5, elapsed_s=1), Resumed(step=5, elapsed_s=1, batches=1)
    write_log(run, STARTED, make_batch(5, 0.5), paused, resumed)
    state.training.requested_status = None
    app.run()
    assert f"{run.record.name} · paused" in html_of(app), "a single step does not flip the state"
    assert state.get_viewed_run_id(follows_inspect=True) == run.id
    state.inspect.run_id = "other"
    assert state.get_viewed_run_id(follows_inspect=True) == "other"
    assert state.get_viewed_run_id(follows_inspect=False) == run.id


def _header() -> None:
    import streamlit as st

    from playground.ui import navigation

    navigation._render_status(st.session_state["page path"])


def test_address_names_the_run_that_the_page_shows(app: AppTest) -> None:
    attached = create_run_with(STARTED, make_batch(5, 5.0), COMPLETED)
    chosen = create_run_with(STARTED, make_batch(5, 5.0), COMPLETED)
    app.run()
    state_of(app).attach(attached)
    state_of(app).inspect.run_id = chosen.id
    header = AppTest.from_function(_header, default_timeout=60)
    header.session_state["playground"] = state_of(app)
    for path, run in (("inside", chosen), ("mistakes", chosen), ("playground", attached), ("runs", attached)):
        header.session_state["page path"] = path
        header.run()
        assert header.query_params["run"] in (run.id, [run.id]), path
        assert run.record.name in html_of(header), path


def test_status_names_the_run_when_the_page_holds_other_settings(app: AppTest) -> None:
    run = create_run_with(STARTED, make_batch(5, 5.0), COMPLETED)
    app.query_params["run"] = run.id
    app.run()
    assert "not the settings above" not in html_of(app)
    choose_preset(app, "lenet5")
    assert f"{run.record.name} (MNIST), not the settings above: Done." in html_of(app)


def test_accuracy_of_few_images_is_a_count(app: AppTest) -> None:
    tested = Evaluated(step=5, elapsed_s=1, split="test", accuracy=13 / 15, loss=0.3, size=15)
    run = create_run_with(STARTED, make_batch(5, 5.0), tested, COMPLETED)
    app.query_params["run"] = run.id
    app.run()
    assert "13 of 15" in html_of(app)


def test_epoch_of_a_limited_run_names_its_images_and_uses_its_speed(app: AppTest) -> None:
    recipe = get_recipe_preset("tutorial").recipe.replace(limit=4000)
    batch = make_batch(5, 0.5, elapsed_s=21.0)
    run = create_run_with(STARTED, batch, RunEnded(step=5, elapsed_s=21, status="stopped"), recipe=recipe)
    app.query_params["run"] = run.id
    app.run()
    assert "<b>about 42 s</b> per epoch of 4,000" in html_of(app)


def test_training_loss_with_smoothed_labels_is_named_so(app: AppTest) -> None:
    run = create_run_with(STARTED, make_batch(5, 5.0), COMPLETED, recipe=get_recipe_preset("sprint").recipe)
    app.query_params["run"] = run.id
    app.run()
    assert "Training loss, smoothed labels" in html_of(app)


def test_run_whose_layers_do_not_fit_cannot_be_transferred(app: AppTest) -> None:
    app.session_state["transfer"] = True
    app.run()
    state = state_of(app)
    other = Architecture(layers=(Conv2d(out_channels=3, kernel_size=7), Flatten(), Output()))
    state.set_init_from("pretrained", other)
    app.run()
    assert "None of its layers fit this network" in html_of(app)
    assert "Nothing of run pretrained fits" in html_of(app)
    assert app.button(key="transfer-both").disabled
    assert app.button(key="train-start").disabled
    app.button(key="transfer-off").click().run()
    assert not app.button(key="train-start").disabled
    assert not app.exception


def test_fork_of_a_taught_run_is_not_reported_as_fine_tuning(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = create_forkable_run()
    fork = fork_run(parent, 3, parent.record.recipe.replace(lr=0.02))
    monkeypatch.setattr(teach, "_has_drawings", lambda run_id: True)
    app.query_params["run"] = fork.id
    app.run()
    assert "Fine-tun" not in html_of(app)
    assert not app.exception


def test_taught_run_reports_the_probability_of_its_drawings(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = load_pretrained_run()
    stroke = ((120.0, 40.0), (120.0, 120.0), (120.0, 200.0))
    drawing = LabeledDrawing.from_image(1, (stroke,), rasterize([stroke]))
    taught = create_finetuning_run(parent, (drawing,))
    weights = parent.load_snapshot(taught.record.parent_step or 0)
    taught.get_snapshot_path(5).write_bytes(serialize_snapshot({name: value * 0 for name, value in weights.items()}))
    tested = Evaluated(step=5, elapsed_s=1, split="test", accuracy=0.995, loss=0.3, size=10_000)
    write_log(taught, STARTED, make_batch(5, 1.0), tested, COMPLETED)
    monkeypatch.setattr(teach, "_measure_accuracy", lambda run, step: 0.99)
    app.query_params["run"] = taught.id
    app.run()
    assert not app.exception
    assert "Your drawings are “1”: 100% → 10%. Accuracy on 10,000 test images: 99.00% before" in html_of(app)
    taught.get_snapshot_path(5).unlink()
    monkeypatch.setattr(teach, "_measure_drawings", _raise_missing_weights)
    app.run()
    assert not app.exception
    assert "Fine-tuned" not in html_of(app)


def _raise_missing_weights(*_: object) -> NoReturn:
    raise StorageError("The weights are gone.")


def test_inactive_channel_that_the_user_switched_off_is_not_called_dead() -> None:
    off = ChannelScale(2, 5, 0.0)
    kernel = KernelEdit(0, 0, 0, ((0.0,),))
    assert _explain_inactivity((), 2, 5) == "it may be dead"
    assert _explain_inactivity((off,), 2, 5) == "you switched it off"
    assert _explain_inactivity((kernel,), 2, 5) == "your edits may be the reason"
    assert _explain_inactivity((ChannelScale(2, 5, 0.5),), 2, 5) == "your edits may be the reason"


def test_row_without_arguments_has_no_stray_space_in_its_label(app: AppTest) -> None:
    app.run()
    labels = [button.label for button in app.button if str(button.key).startswith("open-")]
    assert "Layer 6: Flatten, output 576" in labels
    assert not [label for label in labels if " ," in label or "  " in label]
