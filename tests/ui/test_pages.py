"""The pages through Streamlit's AppTest: the real script and its callbacks, without a browser."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from streamlit.testing.v1 import AppTest

from playground.core.events import (
    Diagnosed,
    Evaluated,
    HyperparameterChanged,
    HyperparametersRejected,
    RunEnded,
    Stop,
    Suggestion,
    UpdateHyperparameters,
)
from playground.core.layers import LAYER_KINDS, Conv2d, MaxPool2d, Output, Residual
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link
from playground.core.validation import validate
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.dataset_lookup import BUNDLED_LOADERS
from playground.engine.data.rasterize import MNIST_PREPROCESSING, RESIZE_ONLY, Preprocessing
from playground.engine.model.build import build_model
from playground.engine.runs.fork import fork_run
from playground.engine.runs.manage import delete_run, rename_run
from playground.engine.runs.repository import create_run, find_run, load_pretrained_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.engine.runs.transfer import create_transfer_run
from playground.engine.workers.limits import ServerLimits
from playground.errors import DatasetUnavailableError, StorageError
from playground.interpret import inference
from playground.interpret.drawing.preprocess import Drawing, preprocess_drawing
from playground.interpret.model import load_model
from playground.ui import actions, model_input, services
from playground.ui.canvas import CanvasInk, Stroke, make_fabric_json
from tests.run_events import make_batch, write_log
from tests.ui.apps import (
    choose_preset,
    create_forkable_run,
    create_run_with,
    find,
    find_suggestion,
    get_layer,
    get_queued_commands,
    html_of,
    make_diagnosis,
    state_of,
)


def kinds_of(app: AppTest) -> list[str]:
    return [layer.kind for layer in state_of(app).editor.architecture.layers]


def test_first_page_shows_all_panels_and_predicts_before_training(app: AppTest) -> None:
    app.run()
    assert not app.exception
    page_html = html_of(app)
    for text in ("Network", "Training", "Draw", "Feature maps, layer by layer", "93,322", "pretrained model"):
        assert text in page_html, text
    assert app.button(key="train-start").label == "Train"
    assert not app.button(key="train-start").disabled
    assert app.button(key="train-stop").disabled
    assert "<b>3</b>" in page_html  # the example


@pytest.mark.parametrize("name", ARCHITECTURE_PRESETS)
def test_every_preset_shows_its_rows(app: AppTest, name: str) -> None:
    app.run()
    choose_preset(app, name)
    assert not app.exception
    preset = ARCHITECTURE_PRESETS[name]
    assert state_of(app).editor.architecture.digest == preset.architecture.digest
    rows = [button for button in app.button if (button.key or "").startswith("open-")]
    assert len(rows) == len(preset.architecture.layers) + 1  # the input has a row too
    assert app.button(key="train-start").disabled == preset.is_broken


def test_layers_can_be_edited_moved_duplicated_disabled_deleted_and_restored_by_undo(app: AppTest) -> None:
    app.run()
    before = state_of(app).editor.architecture
    app.button(key="open-conv2d-2").click().run()
    app.number_input(key="field-conv2d-2-out_channels").set_value(48).run()
    assert get_layer(app, 2, Conv2d).out_channels == 48
    assert "48 · 3×3 · ReLU" in html_of(app)
    app.selectbox(key="field-conv2d-2-padding").set_value("same").run()
    app.button(key="duplicate-conv2d-2").click().run()
    assert kinds_of(app).count("conv2d") == 4
    app.button(key="down-conv2d-2").click().run()
    app.button(key="toggle-conv2d-2").click().run()
    assert not state_of(app).editor.architecture.layers[3].enabled
    app.button(key="delete-conv2d-2").click().run()
    assert kinds_of(app).count("conv2d") == 3
    for _ in range(6):
        app.button(key="undo").click().run()
    assert state_of(app).editor.architecture.to_canonical_json() == before.to_canonical_json()
    assert app.button(key="undo").disabled
    app.button(key="redo").click().run()
    assert get_layer(app, 2, Conv2d).out_channels == 48
    assert not app.exception


def test_widget_shows_the_value_restored_by_undo(app: AppTest) -> None:
    app.run()
    app.button(key="open-linear-1").click().run()
    app.number_input(key="field-linear-1-out_features").set_value(100).run()
    app.button(key="undo").click().run()
    assert find(app.number_input, "field-linear-1-out_features").value == 64


def test_fix_buttons_repair_the_broken_preset(app: AppTest) -> None:
    app.run()
    choose_preset(app, "broken")
    assert "is larger than its" in html_of(app)
    for _ in range(12):
        fixes = [button for button in app.button if (button.key or "").startswith("fix-")]
        if not fixes:
            break
        fixes[0].click().run()
    assert not app.button(key="train-start").disabled
    assert "pg-wrong" not in html_of(app)


def test_inner_layer_of_a_residual_block_can_be_removed(app: AppTest) -> None:
    app.run()
    choose_preset(app, "residual")
    app.button(key="open-residual-1").click().run()
    app.button(key="inner-delete-residual-1-4").click().run()
    assert len(get_layer(app, 3, Residual).layers) == 4
    assert not app.exception


def test_train_queues_a_run_with_the_network_and_recipe_of_the_editor(app: AppTest) -> None:
    app.run()
    choose_preset(app, "tiny")
    choose_preset(app, "tutorial", gallery="recipe-preset")
    app.number_input(key="recipe-seed").set_value(7).run()
    app.button(key="train-start").click().run()
    assert not app.exception
    run = find_run("latest")
    assert run.record.architecture.digest == get_architecture_preset("tiny").architecture.digest
    assert run.record.recipe == get_recipe_preset("tutorial").recipe.replace(seed=7)
    assert "Waiting: 1 in the queue" in html_of(app)
    assert app.query_params["run"] == run.id
    app.button(key="train-stop").click().run()
    assert find_run("latest").read_history().status == "stopped"
    app.button(key="train-reset").click().run()
    assert state_of(app).training.run_id is None
    assert not app.exception


def test_batch_larger_than_the_dataset_is_rejected_with_a_fix(app: AppTest) -> None:
    app.run()
    app.number_input(key="recipe-limit").set_value(100).run()
    app.number_input(key="recipe-batch_size").set_value(500).run()
    app.button(key="train-start").click().run()
    page_html = html_of(app)
    assert "A batch of 500 is larger than the 100 training images" in page_html
    assert "Choose a batch size of at most 100" in page_html
    assert not app.exception


def test_read_only_data_folder_is_reported_with_a_fix(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from playground.engine.workers import scheduler

    def refuse(*_: object, **__: object) -> None:
        raise StorageError("The folder cannot be written: Read-only file system.", fix="Set CNN_PLAYGROUND_HOME.")

    app.run()
    monkeypatch.setattr(scheduler, "create_run", refuse)
    app.button(key="train-start").click().run()
    assert "Read-only file system" in html_of(app)
    assert "Set CNN_PLAYGROUND_HOME" in html_of(app)
    assert not app.exception


def test_damaged_dataset_is_reported_and_the_page_keeps_working(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from playground.errors import AssetError

    def damaged(split: str) -> NoReturn:
        raise AssetError("The bundled file train-images.xz cannot be used.", fix="Install CNN Playground again.")

    for parser in BUNDLED_LOADERS:
        monkeypatch.setitem(BUNDLED_LOADERS, parser, damaged)
    app.run()
    assert not app.exception
    assert "pg-problem" not in html_of(app)  # the first page needs no data
    app.button(key="canvas-random").click().run()
    assert not app.exception
    assert "Install CNN Playground again" in html_of(app)
    app.button(key="canvas-clear").click().run()
    assert "Install CNN Playground again" not in html_of(app)


def test_drawing_is_predicted_cleared_and_restored_by_undo(app: AppTest) -> None:
    app.run()
    one = (((120.0, 40.0), (120.0, 120.0), (120.0, 200.0)),)
    raw = make_fabric_json(one, pen_width=17, offset_y=0.0)
    app.session_state["canvas-1"] = {"drawing": {"raw": raw, "data": None}}
    app.run()
    assert state_of(app).drawing.ink.strokes == one
    assert "<b>1</b>" in html_of(app)
    for key, step in (("centred", "center_by_mass"), ("thinned", "normalize_stroke_width"), ("boxed", "fit_box")):
        app.toggle(key=f"fit-{key}").set_value(False).run()
        assert not getattr(state_of(app).drawing.preprocessing, step)
    app.session_state["canvas-more"] = True  # the popover is open
    app.run()
    app.slider(key="canvas-pen").set_value(30).run()
    assert (state_of(app).drawing.pen_width, state_of(app).drawing.ink.strokes) == (30, one)
    app.button(key="canvas-clear").click().run()
    assert state_of(app).drawing.ink == CanvasInk()
    app.button(key="canvas-random").click().run()
    assert state_of(app).drawing.test_index is not None
    assert ", label " in html_of(app)
    for strokes in ((), one, ()):  # before the test image, before clearing, before drawing
        app.button(key="canvas-undo").click().run()
        assert (state_of(app).drawing.test_index, state_of(app).drawing.ink.strokes) == (None, strokes)
    assert not app.exception


def test_session_attaches_the_run_named_in_the_address(app: AppTest) -> None:
    run = create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("careful").recipe, name="Mine")
    app.query_params["run"] = run.id
    app.run()
    assert state_of(app).training.run_id == run.id
    assert state_of(app).editor.architecture.digest == run.record.architecture.digest
    assert state_of(app).editor.recipe == run.record.recipe
    assert "Mine" in html_of(app)


def test_stopped_run_resumes_only_with_its_own_network_and_recipe(app: AppTest) -> None:
    run = create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("tutorial").recipe)
    write_log(run, RunEnded(step=5, elapsed_s=1, status="stopped"))
    run.checkpoint_path.write_bytes(b"read only when the run is resumed")
    app.query_params["run"] = run.id
    app.run()
    assert app.button(key="train-start").label == "Resume"
    app.number_input(key="recipe-lr").set_value(0.01).run()  # a live hyperparameter may change while the run is stopped
    assert app.button(key="train-start").label == "Resume"
    app.number_input(key="recipe-seed").set_value(3).run()
    assert app.button(key="train-start").label == "Train"
    app.number_input(key="recipe-seed").set_value(0).run()
    app.button(key="open-conv2d-1").click().run()
    app.number_input(key="field-conv2d-1-out_channels").set_value(9).run()
    assert app.button(key="train-start").label == "Train"


def test_run_stopped_before_its_first_checkpoint_is_resumed(app: AppTest) -> None:
    run = create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("tutorial").recipe)
    write_log(run, RunEnded(step=5, elapsed_s=1, status="stopped"))
    app.query_params["run"] = run.id
    app.run()
    assert app.button(key="train-start").label == "Resume"
    app.button(key="train-start").click().run()
    assert not app.exception
    assert find_run("latest").id == run.id
    assert services.get_scheduler().get_queue_position(run.id) == 1


def test_unknown_run_in_the_address_is_ignored(app: AppTest) -> None:
    app.query_params["run"] = "../../etc/passwd"
    app.run()
    assert state_of(app).training.run_id is None
    assert not app.exception


def test_inspect_page_shows_every_layer_of_the_pretrained_model(app: AppTest) -> None:
    app.run()
    for layer in load_pretrained_run().record.architecture.layers:
        state_of(app).inspect.layer_id = layer.id
        page = AppTest.from_function(_inside_page, default_timeout=60)
        page.session_state["playground"] = state_of(app)
        page.run()
        assert not page.exception
        assert layer.title in html_of(page)


def _inside_page() -> None:
    from playground.ui.pages.inspect.page import render_inspect_page

    render_inspect_page()


def _runs_page() -> None:
    from playground.ui.pages.runs.page import render_runs_page

    render_runs_page()


def test_runs_page_lists_runs_and_reports_unreadable_folders(app: AppTest, home: Path) -> None:
    page = AppTest.from_function(_runs_page, default_timeout=60)
    page.run()
    assert "No runs yet" in html_of(page)
    create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("sprint").recipe, name="First")
    broken = home / "runs" / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"schema": 99}')
    page.run()
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["Name"]) == ["First"]
    assert list(table["Parameters"]) == [3738]
    assert "Parent" not in table
    assert "newer CNN Playground" in html_of(page)


def test_runs_page_preselects_the_two_latest_runs_and_shows_a_dash_for_missing_values(app: AppTest) -> None:
    for name in ("First", "Second", "Third"):
        create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("sprint").recipe, name=name)
    page = AppTest.from_function(_runs_page, default_timeout=60).run()
    assert not page.exception
    assert page.dataframe[0].proto.placeholder == "–"
    assert "Thick lines: validation" in html_of(page)
    assert page.button(key="run-open"), "the buttons act on one of the two"


def test_runs_page_shows_the_parent_of_a_fork(app: AppTest) -> None:
    parent = rename_run(create_forkable_run(), "Stem")
    fork_run(parent, 3, parent.record.recipe.replace(lr=0.02), name="Branch")
    page = AppTest.from_function(_runs_page, default_timeout=60)
    page.run()
    assert not page.exception
    table = page.dataframe[0].value
    assert dict(zip(table["Name"], table["Parent"], strict=True)) == {"Branch": "Stem, step 3", "Stem": ""}


@pytest.mark.parametrize("kind", [kind for kind in LAYER_KINDS if kind != "output"])
def test_layer_is_added_at_a_valid_position(app: AppTest, kind: str) -> None:
    from playground.ui.pages.playground.network import _add_layer

    app.run()
    state = state_of(app)
    _add_layer(state, LAYER_KINDS[kind].model_validate({}))
    assert validate(state.editor.architecture) == ()
    app.run()
    assert not app.exception
    assert (
        kinds_of(app).count(kind)
        == [layer.kind for layer in state.editor.undo_stack[-1].architecture.layers].count(kind) + 1
    )


def test_all_problems_of_a_row_are_shown(app: AppTest) -> None:
    """Several may concern the same field, and widgets of a page must not share a key."""
    app.run()
    state = state_of(app)
    inner = Conv2d(out_channels=8, padding="same", stride=2)
    layers = (Output(), Residual(layers=(inner, inner)), Output(), Conv2d(kernel_size=31), Output(units=3))
    state.set_architecture(state.editor.architecture.with_layers(layers))
    app.run()
    assert not app.exception
    assert html_of(app).count("pg-wrong") >= 5


def test_number_out_of_bounds_is_refused_beside_its_field(app: AppTest) -> None:
    app.run()
    before = state_of(app).editor
    recipe, layers = before.recipe, before.architecture.layers
    app.button(key="open-conv2d-1").click().run()
    for field, value, reason in (
        ("recipe-batch_size", 60_000, "60,000 is refused: from 1 to 8,192."),
        ("recipe-lr", -3.0, "-3 is refused: from 1e-06 to 1,000."),
        ("recipe-limit", 3, "3 is refused: from 10 to 1,000,000."),
        ("recipe-optimizer-beta1", 2.0, "2 is refused: from 0 to 0.9"),
        ("field-conv2d-1-stride", 0, "0 is refused: from 1 to 8."),
    ):
        shown = app.number_input(key=field).value
        app.number_input(key=field).set_value(value).run()
        assert app.number_input(key=field).value == shown
        assert reason in html_of(app), field
    assert (state_of(app).editor.recipe, state_of(app).editor.architecture.layers) == (recipe, layers)
    app.number_input(key="recipe-lr").set_value(0.02).run()
    assert "is refused" not in html_of(app)
    app.button(key="open-max-pool2d-1").click().run()
    assert app.selectbox(key="field-max-pool2d-1-stride").value == "auto"
    app.selectbox(key="field-max-pool2d-1-stride").set_value(3).run()
    assert get_layer(app, 1, MaxPool2d).stride == 3
    assert not app.exception


def test_run_of_another_user_can_be_watched_but_not_controlled(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    app.run()
    run = services.get_scheduler().submit(
        get_architecture_preset("tiny").architecture, get_recipe_preset("tutorial").recipe, owner="somebody"
    )
    monkeypatch.setattr(actions, "get_requester_id", lambda: "me")
    state_of(app).attach(run)
    app.run()
    assert app.button(key="train-stop").disabled
    assert app.button(key="train-start").disabled
    assert "This run belongs to someone else" in html_of(app)
    find(app.number_input, "recipe-lr").set_value(0.5).run()
    assert not find(app.number_input, "recipe-lr").disabled, "the settings in the editor stay editable"
    assert state_of(app).editor.recipe.lr == 0.5
    assert get_queued_commands(run) == ()
    app.button(key="train-reset").click().run()
    assert state_of(app).training.run_id is None
    assert services.get_scheduler().is_active(run.id)
    monkeypatch.setattr(actions, "get_requester_id", lambda: "somebody")
    state_of(app).attach(run)
    app.run()
    assert not app.button(key="train-stop").disabled
    find(app.number_input, "recipe-lr").set_value(0.25).run()
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"lr": 0.25}),)
    app.button(key="train-stop").click().run()
    assert run.read_history().status == "stopped"
    assert not app.exception


def test_only_the_owner_can_delete_or_rename_a_run(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from playground.errors import OwnershipError
    from playground.ui.pages.runs import page

    app.run()
    run = create_run_with(owner="somebody")
    monkeypatch.setattr(page, "get_requester_id", lambda: "me")
    for change in (partial(page._delete_run, run), partial(page._rename_run, run, "Mine now")):
        with pytest.raises(OwnershipError):
            change()
    assert find_run(run.id).record.name == run.record.name
    monkeypatch.setattr(page, "get_requester_id", lambda: None)
    page._rename_run(run, "Renamed")
    assert find_run(run.id).record.name == "Renamed"


def test_completed_run_resumes_with_more_epochs(app: AppTest) -> None:
    run = create_run_with(make_batch(5, 5.0), RunEnded(step=5, elapsed_s=1, status="completed"))
    run.checkpoint_path.write_bytes(b"read only when the run is resumed")
    app.query_params["run"] = run.id
    app.run()
    assert app.button(key="train-start").label == "Train again from scratch"
    app.number_input(key="recipe-epochs").set_value(6).run()
    assert app.button(key="train-start").label == "Resume"
    app.button(key="train-start").click().run()
    assert find_run("latest").id == run.id
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"epochs": 6}),)


def test_page_shows_the_changed_hyperparameters_of_a_run(app: AppTest) -> None:
    run = create_run_with(
        make_batch(5, 0.5),
        HyperparameterChanged(step=5, elapsed_s=1, hyperparameter="lr", before=0.001, after=0.25),
        HyperparameterChanged(step=5, elapsed_s=1, hyperparameter="batch_size", before=32, after=64),
        RunEnded(step=5, elapsed_s=1, status="stopped"),
    )
    app.query_params["run"] = run.id
    app.run()
    assert (app.number_input(key="recipe-lr").value, app.number_input(key="recipe-batch_size").value) == (0.25, 64)
    app.button(key="train-start").click().run()
    assert get_queued_commands(run) == (), "nothing was changed since"


@pytest.mark.parametrize("after", [None, 3, "x", {"a": 1}, [None], [2.0], "0" * 9, True])
@pytest.mark.parametrize("hyperparameter", ["dropout", "lr", "epochs", "optimizer", "augmentation", "nonsense"])
def test_invalid_hyperparameter_change_in_a_log_does_not_break_the_page(
    app: AppTest, hyperparameter: str, after: object
) -> None:
    run = create_run_with(
        make_batch(5, 0.5),
        HyperparameterChanged(step=5, elapsed_s=1, hyperparameter=hyperparameter, before=None, after=after),
        RunEnded(step=5, elapsed_s=1, status="stopped"),
        net="normalized",
    )
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception
    assert state_of(app).training.run_id == run.id


def test_rejected_hyperparameter_change_is_shown_with_its_reason(app: AppTest) -> None:
    app.run()
    run = services.get_scheduler().submit(
        get_architecture_preset("tiny").architecture, get_recipe_preset("tutorial").recipe
    )
    rejected = HyperparametersRejected(
        step=5, elapsed_s=1, hyperparameters={"batch_size": 9}, reason="A batch of 9 is too large."
    )
    write_log(run, make_batch(5, 0.5), rejected)
    state_of(app).attach(run)
    app.run()
    assert "Change rejected: A batch of 9 is too large." in html_of(app)
    assert not app.exception


def test_suggestion_is_applied_to_the_active_run(app: AppTest) -> None:
    app.run()
    run = services.get_scheduler().submit(
        get_architecture_preset("tiny").architecture, get_recipe_preset("tutorial").recipe
    )
    write_log(run, make_batch(5, 0.5), make_diagnosis(Suggestion(label="Do it", recipe_changes={"lr": 0.02})))
    state_of(app).attach(run)
    app.run()
    assert find_suggestion(app).label == "Do it"
    find_suggestion(app).click().run()
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"lr": 0.02}),)
    assert state_of(app).editor.recipe.lr == 0.02
    assert not [button for button in app.button if button.label == "Do it"], "the suggestion is applied"
    assert not app.exception


def test_suggestion_that_requires_a_restart_starts_a_new_run(app: AppTest) -> None:
    wider = get_architecture_preset("lenet5").architecture.model_dump(mode="json", by_alias=True)
    diagnosed = make_diagnosis(
        Suggestion(label="Restart", architecture=wider, recipe_changes={"weight_decay": 0.01}, requires_restart=True)
    )
    run = create_run_with(make_batch(5, 0.5), diagnosed, RunEnded(step=5, elapsed_s=1, status="stopped"))
    app.query_params["run"] = run.id
    app.run()
    find_suggestion(app).click().run()
    assert not app.exception
    new = find_run(state_of(app).training.run_id or "")
    assert new.id != run.id
    assert new.record.architecture.digest == get_architecture_preset("lenet5").architecture.digest
    assert new.record.recipe == run.record.recipe.replace(weight_decay=0.01)
    assert state_of(app).editor.architecture.digest == new.record.architecture.digest


def test_restart_from_random_weights_freezes_no_layer(app: AppTest) -> None:
    diagnosed = make_diagnosis(Suggestion(label="Restart", recipe_changes={"lr": 0.002}, requires_restart=True))
    run = create_run_with(make_batch(5, 0.5), diagnosed, RunEnded(step=5, elapsed_s=1, status="stopped"))
    app.query_params["run"] = run.id
    app.run()
    state_of(app).set_architecture(state_of(app).editor.architecture.freeze_up_to(0))
    app.run()
    assert "1 layer frozen" in html_of(app)
    find_suggestion(app).click().run()
    new = find_run(state_of(app).training.run_id or "")
    assert all(layer.trainable for layer in new.record.architecture.layers)
    assert not app.exception


def _restart(app: AppTest, run: Run, diagnosed: Diagnosed, init_from: str | None = None) -> Run:
    """Apply the suggestion of a run's diagnosis and return the run that it starts."""
    ended = RunEnded(step=5, elapsed_s=1, status="stopped")
    write_log(run, make_batch(5, 0.5), diagnosed, ended)
    app.query_params["run"] = run.id
    app.run()
    state_of(app).editor.init_from = init_from
    find_suggestion(app).click().run()
    return find_run(state_of(app).training.run_id or "")


def test_restart_uses_the_initial_weights_of_its_run(app: AppTest) -> None:
    parent = services.get_pretrained()
    frozen = parent.record.architecture.freeze_up_to(0)
    run = create_transfer_run(parent, frozen, get_recipe_preset("tutorial").recipe)
    diagnosed = make_diagnosis(Suggestion(label="Restart", recipe_changes={"lr": 0.002}, requires_restart=True))
    new = _restart(app, run, diagnosed)
    assert (new.id != run.id, new.record.parent) == (True, parent.id)
    assert not new.record.architecture.layers[0].trainable
    assert not app.exception


def test_restart_without_fitting_initial_weights_starts_from_scratch(app: AppTest) -> None:
    parent = services.get_pretrained()
    run = create_transfer_run(parent, parent.record.architecture, get_recipe_preset("tutorial").recipe)
    wider = get_architecture_preset("lenet5").architecture
    diagnosed = make_diagnosis(
        Suggestion(label="Restart", architecture=wider.model_dump(mode="json", by_alias=True), requires_restart=True)
    )
    new = _restart(app, run, diagnosed, init_from=parent.id)
    assert new.record.architecture.digest == wider.digest
    assert new.record.parent is None
    assert state_of(app).editor.find_parent_run() is None, "else Train would not resume the new run"
    assert not app.exception


def test_preset_recipe_is_dropped_with_its_preset_unless_it_was_changed(app: AppTest) -> None:
    app.run()
    state = state_of(app)
    choose_preset(app, "rate-too-high")
    assert state.editor.recipe.lr == 0.1
    choose_preset(app, "lenet5")
    assert state.editor.recipe == get_recipe_preset("sprint").recipe
    choose_preset(app, "rate-too-high")
    state.editor.recipe = state.editor.recipe.replace(lr=0.02)
    choose_preset(app, "lenet5")
    assert state.editor.recipe.lr == 0.02, "a value that was set since is kept"


def test_transfer_comparison_is_shown_when_both_runs_are_done(app: AppTest) -> None:
    recipe = get_recipe_preset("tutorial").recipe
    parent = services.get_pretrained()
    run = create_transfer_run(parent, parent.record.architecture.freeze_up_to(0), recipe)
    tested = Evaluated(step=5, elapsed_s=1, split="test", accuracy=0.9, loss=0.3, size=10_000)
    ended = RunEnded(step=5, elapsed_s=1, status="completed")
    write_log(run, make_batch(5, 0.5), tested, ended)
    app.query_params["run"] = run.id
    app.run()
    assert "transferred weights" not in html_of(app)
    scratch = services.get_scheduler().submit(parent.record.architecture, recipe, name="Mine: from scratch")
    app.run()
    assert "Now training the same from scratch" in html_of(app)
    services.get_scheduler().send_command(scratch.id, Stop())
    scratch_result = tested.model_copy(update={"accuracy": 0.85})
    write_log(scratch, make_batch(5, 0.5), scratch_result, ended)
    app.run()
    assert "90.00% with transferred weights, 85.00% from scratch (Mine: from scratch): +5.0" in html_of(app)
    assert not app.exception


def test_choice_of_initial_weights_can_be_undone(app: AppTest) -> None:
    app.run()
    state = state_of(app)
    state.set_init_from("pretrained")
    state.set_architecture(state.editor.architecture.freeze_up_to(0))
    app.run()
    app.button(key="transfer-off").click().run()
    assert state.editor.init_from is None
    app.button(key="undo").click().run()
    assert state.editor.init_from == "pretrained"
    assert not state.editor.architecture.layers[0].trainable
    app.button(key="undo").click().run()
    app.button(key="undo").click().run()
    assert state.editor.init_from is None
    assert state.editor.architecture.layers[0].trainable
    assert not state.editor.undo_stack


def test_from_scratch_unfreezes_every_layer(app: AppTest) -> None:
    app.run()
    state = state_of(app)
    state.editor.init_from = services.get_pretrained().id
    state.set_architecture(services.get_pretrained().record.architecture.freeze_up_to(0))
    state.editor.recipe = state.editor.recipe.replace(transferred_lr_scale=0.2)
    app.run()
    app.button(key="transfer-off").click().run()
    assert state.editor.init_from is None
    assert state.editor.recipe.transferred_lr_scale == 1.0
    assert all(layer.trainable for layer in state.editor.architecture.layers)


def test_deleted_parent_run_does_not_prevent_training(app: AppTest) -> None:
    app.run()
    state = state_of(app)
    deleted = create_run(get_architecture_preset("tiny").architecture, get_recipe_preset("tutorial").recipe)
    state.editor.init_from = deleted.id
    delete_run(deleted)
    app.run()
    app.button(key="train-start").click().run()
    assert state.training.error is None
    assert find_run(state.training.run_id or "").record.parent is None
    assert not app.exception


def test_missing_dataset_is_reported_in_the_input_row(app: AppTest) -> None:
    app.query_params["net"] = encode_link(
        get_architecture_preset("tiny").architecture,
        get_recipe_preset("tutorial").recipe.replace(dataset="own:cats-12345678"),
    )
    app.run()
    assert not app.exception
    assert "The dataset of this recipe is missing" in html_of(app)
    app.button(key="train-start").click().run()
    assert not app.exception
    assert "There is no dataset" in html_of(app)
    choose_preset(app, "lenet5")
    assert not app.exception
    app.selectbox(key="dataset").set_value("mnist").run()
    assert not app.exception
    assert "is missing" not in html_of(app)


def test_dataset_not_downloaded_is_offered_for_download_and_starts_no_run(app: AppTest) -> None:
    app.run()
    app.selectbox(key="dataset").set_value("kmnist").run()
    assert "Size: 21 MB; downloaded once" in html_of(app)
    assert app.button(key="data-fetch")
    app.button(key="train-start").click().run()
    assert isinstance(state_of(app).training.error, DatasetUnavailableError)
    assert state_of(app).training.run_id is None
    assert not app.exception


def test_undo_restores_dataset_and_settings_with_the_network(app: AppTest) -> None:
    app.run()
    state = state_of(app)
    before = (state.editor.architecture.digest, state.editor.recipe)
    app.selectbox(key="dataset").set_value("cifar100").run()
    assert (state.editor.architecture.input.shape, state.editor.architecture.classes) == ((3, 32, 32), 100)
    app.button(key="undo").click().run()
    assert (state.editor.architecture.digest, state.editor.recipe) == before
    app.button(key="redo").click().run()
    assert (state.editor.architecture.classes, state.editor.recipe.dataset) == (100, "cifar100")
    state.editor.recipe = state.editor.recipe.replace(epochs=7)
    app.button(key="undo").click().run()
    assert (state.editor.recipe.dataset, state.editor.recipe.epochs) == ("mnist", 7), (
        "a value that was set since is not part of the edit"
    )
    state.editor.recipe = state.editor.recipe.replace(epochs=before[1].epochs)
    choose_preset(app, "overfitting")
    assert state.editor.recipe.limit == 500
    app.button(key="undo").click().run()
    assert (state.editor.architecture.digest, state.editor.recipe) == before
    assert not app.exception


def test_settings_reduced_for_a_small_dataset_are_restored_for_a_large_one(app: AppTest) -> None:
    noise = torch.Generator().manual_seed(0)
    images = LabeledImages(
        torch.randint(0, 256, (60, 1, 28, 28), generator=noise, dtype=torch.uint8), torch.arange(60) % 2
    )
    name = save_custom_dataset("few", CustomImages(images, None, ("a", "b"), (), 0))
    app.run()
    state = state_of(app)
    state.editor.recipe = state.editor.recipe.replace(batch_size=128, validation_size=4000)
    app.selectbox(key="dataset").set_value(name).run()
    assert (state.editor.recipe.validation_size, state.editor.recipe.batch_size) == (10, 5)
    state.editor.recipe = state.editor.recipe.replace(batch_size=4)
    app.selectbox(key="dataset").set_value("mnist").run()
    assert (state.editor.recipe.validation_size, state.editor.recipe.batch_size) == (4000, 4), (
        "a value that was set since is kept"
    )
    assert not app.exception


def test_preset_settings_can_be_restored(app: AppTest) -> None:
    app.run()
    state = state_of(app)
    choose_preset(app, "cifar-exercise")
    preset_recipe = state.editor.recipe
    assert "preset-take" not in {button.key for button in app.button}
    state.editor.recipe = state.editor.recipe.replace(limit=5000)
    app.run()
    app.button(key="preset-take").click().run()
    assert state.editor.recipe == preset_recipe
    assert not app.exception


def test_fork_starts_a_run_from_the_chosen_checkpoint(app: AppTest) -> None:
    run = create_forkable_run()
    app.query_params["run"] = run.id
    app.session_state["fork"] = True  # the popover is open
    app.run()
    app.number_input(key="fork-lr").set_value(0.02).run()
    app.number_input(key="fork-epochs").set_value(9).run()
    app.select_slider(key="fork-step").set_value(3).run()
    assert state_of(app).editor.recipe == run.record.recipe, "the recipe in the editor is unchanged"
    app.button(key="fork-start").click().run()
    assert not app.exception
    fork = find_run(state_of(app).training.run_id or "")
    assert (fork.record.parent, fork.record.parent_step) == (run.id, 3)
    assert (fork.record.recipe.lr, fork.record.recipe.epochs) == (0.02, 9)
    assert state_of(app).editor.recipe == fork.record.recipe
    assert services.get_scheduler().get_queue_position(fork.id) == 1


def test_fork_form_without_a_checkpoint_says_when_one_is_saved(app: AppTest) -> None:
    run = create_run_with(make_batch(5, 0.5), net="tiny")
    app.query_params["run"] = run.id
    app.session_state["fork"] = True  # the popover is open
    app.run()
    assert "No checkpoint yet" in html_of(app)
    assert not app.exception


def test_rejected_fork_is_reported_in_its_form(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_forkable_run()
    app.query_params["run"] = run.id
    app.session_state["fork"] = True  # the popover is open
    app.run()
    monkeypatch.setattr(
        services.get_scheduler(), "limits", ServerLimits(max_epochs=3).model_copy(update={"max_running": 0})
    )
    app.number_input(key="fork-epochs").set_value(4).run()
    app.button(key="fork-start").click().run()
    assert not app.exception
    assert "4 epochs are more than this server allows" in html_of(app)
    assert state_of(app).training.run_id == run.id


def test_dropout_edit_is_sent_to_the_queued_run(app: AppTest) -> None:
    app.run()
    architecture = get_architecture_preset("normalized").architecture
    (layer,) = (layer for layer in architecture.layers if layer.kind == "dropout")
    run = services.get_scheduler().submit(architecture, get_recipe_preset("tutorial").recipe)
    state_of(app).attach(run)
    app.run()
    app.button(key=f"open-{layer.id}").click().run()
    app.number_input(key=f"field-{layer.id}-p").set_value(0.5).run()
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"dropout": [0.5]}),)
    app.button(key="undo").click().run()
    assert not app.exception


def _train(name: str, *, snapshots: int) -> Run:
    architecture = get_architecture_preset("tiny").architecture

    def write_files(run: Run) -> None:
        for step in range(snapshots):
            run.get_snapshot_path(step).write_bytes(
                serialize_snapshot(dict(build_model(architecture, seed=step).state_dict()))
            )
        write_log(run, RunEnded(step=snapshots - 1, elapsed_s=1, status="completed"))

    return create_run(architecture, get_recipe_preset("sprint").recipe, name=name, write_initial_files=write_files)


def test_each_stroke_is_rasterized_once_and_run_once_through_each_model(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _train("Mine", snapshots=3)
    models = [load_model(run, step) for step in range(3)] + [load_model(load_pretrained_run())]
    rasterized: list[Preprocessing] = []
    forwards: list[int] = []

    def count_rasterization(drawing: Drawing, preprocessing: Preprocessing) -> object:
        rasterized.append(preprocessing)
        return preprocess_drawing(drawing, preprocessing)

    monkeypatch.setattr(model_input, "preprocess_drawing", count_rasterization)
    model_input._canvas_cache.clear()
    inference._infer.cache_clear()
    for index, model in enumerate(models):
        next(model.module.children()).register_forward_pre_hook(lambda *_, index=index: forwards.append(index))
    app.query_params["run"] = run.id
    app.run()
    strokes: tuple[Stroke, ...] = ()
    for new in (((120.0, 40.0), (120.0, 200.0)), ((60.0, 200.0), (180.0, 200.0))):
        strokes = (*strokes, new)
        rasterized.clear()
        forwards.clear()
        raw = make_fabric_json(strokes, pen_width=17, offset_y=0.0)
        app.session_state["canvas-1"] = {"drawing": {"raw": raw, "data": None}}
        app.run()
        assert not app.exception
        assert state_of(app).drawing.ink.strokes == strokes
        # One image for the model, and two that show the steps before it.
        assert Counter(rasterized) == Counter([MNIST_PREPROCESSING, RESIZE_ONLY, Preprocessing(center_by_mass=False)])
        # The newest snapshot and the pretrained model predict; the older snapshots give the probability history.
        assert Counter(forwards) == Counter(range(len(models)))
    rasterized.clear()
    forwards.clear()
    app.run()
    page = AppTest.from_function(_inside_page, default_timeout=60)
    page.session_state["playground"] = state_of(app)
    page.run()
    assert not page.exception
    assert (rasterized, forwards) == ([], []), "reruns and the Inspect page use the cache"
