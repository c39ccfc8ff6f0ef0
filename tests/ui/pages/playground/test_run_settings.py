"""Settings from one run to the next: the logs differ in exactly the fields that the user changed."""

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from playground.core.augmentations.shift import Shift
from playground.core.events import (
    Forked,
    HyperparameterChanged,
    RunEnded,
    Suggestion,
    UpdateHyperparameters,
)
from playground.core.optimizers.adamw import AdamW
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.engine.data.custom.drawings import DrawingCollection, LabeledDrawing
from playground.engine.model.build import build_model
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.ui import services
from playground.ui.pages.playground import teach
from tests.run_events import events_of, make_batch, write_log
from tests.ui.apps import (
    choose_preset,
    create_forkable_run,
    create_run_with,
    echo,
    find,
    find_suggestion,
    get_queued_commands,
    make_diagnosis,
    state_of,
)

STOPPED = RunEnded(step=5, elapsed_s=1, status="stopped")
PARENT_RECIPE = get_recipe_preset("tutorial").recipe.replace(
    optimizer=AdamW(beta2=0.95), augmentation=(Shift(pixels=1),), label_smoothing=0.05, weight_decay=0.01, seed=4
)
"""A recipe that differs in many fields from that of a new page."""


def change(hyperparameter: str, before: Any, after: Any) -> HyperparameterChanged:
    return HyperparameterChanged(step=5, elapsed_s=1, hyperparameter=hyperparameter, before=before, after=after)


def attached_run(app: AppTest) -> Run:
    return find_run(state_of(app).training.run_id or "")


def find_differences(recipe: Recipe, other: Recipe) -> set[str]:
    before, after = recipe.model_dump(mode="json"), other.model_dump(mode="json")
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize("control", ["lr", "epochs", "batch_size", "seed", "optimizer", "schedule", None])
def test_fork_changes_only_the_field_that_was_changed_in_its_form(app: AppTest, control: str | None) -> None:
    parent = create_forkable_run(recipe=PARENT_RECIPE)
    app.query_params["run"] = parent.id
    app.session_state["fork"] = True
    app.run()
    match control:
        case "optimizer":
            app.selectbox(key="fork-optimizer").set_value("sgd").run()
        case "schedule":
            app.selectbox(key="fork-schedule").set_value("cosine").run()
        case None:
            pass
        case _:
            values = {"lr": 0.02, "epochs": 9, "batch_size": 7, "seed": 11}
            app.number_input(key=f"fork-{control}").set_value(values[control]).run()
    app.button(key="fork-start").click().run()
    assert not app.exception
    fork = attached_run(app)
    touched = {control} if control else set()
    assert find_differences(PARENT_RECIPE, fork.record.recipe) == touched
    (forked,) = events_of(fork.read_events(), Forked)
    assert set(forked.changes) == touched
    assert state_of(app).editor.recipe == fork.record.recipe


def test_fork_form_restores_the_optimizer_of_the_parent_when_it_is_chosen_again(app: AppTest) -> None:
    parent = create_forkable_run(recipe=PARENT_RECIPE)
    app.query_params["run"] = parent.id
    app.session_state["fork"] = True
    app.run()
    app.selectbox(key="fork-optimizer").set_value("sgd").run()
    app.selectbox(key="fork-optimizer").set_value("adamw").run()
    app.button(key="fork-start").click().run()
    assert find_differences(PARENT_RECIPE, attached_run(app).record.recipe) == set()


def test_echo_of_the_page_before_a_fork_does_not_change_the_fork(app: AppTest) -> None:
    """The browser sends the widgets of the page with its next rerun, perhaps before it has received the new ones."""
    first = create_forkable_run()
    parent = create_forkable_run(recipe=PARENT_RECIPE)
    app.query_params["run"] = first.id
    app.session_state["fork"] = True
    app.run()
    editor_before = app._tree.get_widget_states()  # Adam, no augmentation
    state_of(app).training.run_id = parent.id
    app.run()
    app.number_input(key="fork-lr").set_value(0.02).run()
    app.button(key="fork-start").click().run()
    fork = attached_run(app)
    echo(app, editor_before)
    assert not app.exception
    assert get_queued_commands(fork) == ()
    assert find_differences(PARENT_RECIPE, state_of(app).editor.recipe) == {"lr"}


def test_live_change_sends_only_the_field_that_was_changed(app: AppTest) -> None:
    app.run()
    run = services.get_scheduler().submit(get_architecture_preset("tiny").architecture, PARENT_RECIPE)
    state_of(app).attach(run)
    app.run()
    find(app.number_input, "recipe-optimizer-beta1").set_value(0.8).run()
    (command,) = get_queued_commands(run)
    assert command == UpdateHyperparameters(
        hyperparameters={"optimizer": AdamW(beta1=0.8, beta2=0.95).model_dump(mode="json")}
    )


def test_live_change_keeps_what_another_page_has_changed(app: AppTest) -> None:
    app.run()
    run = services.get_scheduler().submit(get_architecture_preset("tiny").architecture, PARENT_RECIPE)
    state_of(app).attach(run)
    app.run()
    other = AdamW(beta2=0.9).model_dump(mode="json")
    changed = change("optimizer", PARENT_RECIPE.optimizer.model_dump(mode="json"), other)
    write_log(run, make_batch(5, 0.5), changed)
    find(app.number_input, "recipe-optimizer-beta1").set_value(0.8).run()
    sent = AdamW(beta1=0.8, beta2=0.9).model_dump(mode="json")
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"optimizer": sent}),)
    assert find(app.number_input, "recipe-optimizer-beta2").value == 0.9, "the page shows the other page's change"


def test_resume_keeps_what_another_page_has_changed(app: AppTest) -> None:
    run = create_run_with(make_batch(5, 0.5), STOPPED, recipe=PARENT_RECIPE)
    app.query_params["run"] = run.id
    app.run()
    find(app.number_input, "recipe-batch_size").set_value(16).run()
    write_log(run, make_batch(5, 0.5), change("lr", PARENT_RECIPE.lr, 0.25), STOPPED)
    app.button(key="train-start").click().run()
    assert attached_run(app).id == run.id
    assert get_queued_commands(run) == (UpdateHyperparameters(hyperparameters={"batch_size": 16}),)


def test_restart_keeps_the_settings_of_the_diagnosed_run(app: AppTest) -> None:
    diagnosed = make_diagnosis(Suggestion(label="Restart", recipe_changes={"lr": 0.002}, requires_restart=True))
    run = create_run_with(
        make_batch(5, 0.5), change("batch_size", 32, 64), diagnosed, STOPPED, net="normalized", recipe=PARENT_RECIPE
    )
    app.query_params["run"] = run.id
    app.run()
    choose_preset(app, "rate-too-high")  # its recipe is another one
    find_suggestion(app).click().run()
    new = attached_run(app)
    assert new.id != run.id
    assert find_differences(PARENT_RECIPE.replace(batch_size=64), new.record.recipe) == {"lr"}
    assert new.record.architecture.digest == run.record.architecture.digest


def _create_trained_run() -> Run:
    """Create a run whose label smoothing and dropout rates were changed while it trained."""
    architecture = get_architecture_preset("normalized").architecture
    run = create_run_with(
        make_batch(5, 0.5),
        change("label_smoothing", 0.05, 0.2),
        change("dropout", list(architecture.dropout_rates), [0.45]),
        STOPPED,
        net="normalized",
        recipe=PARENT_RECIPE,
    )
    run.get_snapshot_path(5).write_bytes(serialize_snapshot(dict(build_model(architecture, seed=0).state_dict())))
    return run


def test_teach_starts_from_the_current_settings_and_shows_its_own(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = _create_trained_run()
    drawing = LabeledDrawing.from_image(3, (), np.zeros((1, 28, 28), dtype=np.float32))
    monkeypatch.setattr(teach, "load_drawings", lambda _owner: DrawingCollection(drawings=(drawing,)))
    app.query_params["run"] = parent.id
    app.session_state["teach"] = True
    app.run()
    app.button(key="teach-start").click().run()
    assert not app.exception
    taught = attached_run(app)
    assert taught.record.parent == parent.id
    assert taught.record.recipe.label_smoothing == 0.2
    assert taught.record.architecture.dropout_rates == (0.45,)
    assert state_of(app).editor.recipe == taught.record.recipe, "the controls belong to the attached run"
    find(app.number_input, "recipe-batch_size").set_value(32).run()
    assert get_queued_commands(taught) == (UpdateHyperparameters(hyperparameters={"batch_size": 32}),)


def test_transfer_uses_the_current_dropout_rates_of_its_parent(app: AppTest) -> None:
    parent = _create_trained_run()
    app.session_state["transfer"] = True
    app.run()
    app.selectbox(key="transfer-parent").set_value(parent.id).run()
    app.button(key="transfer-network").click().run()
    assert state_of(app).editor.architecture.dropout_rates == (0.45,)


def test_attached_run_replaces_the_settings_of_the_page_and_undo_restores_them(app: AppTest) -> None:
    app.run()
    before = state_of(app).editor.recipe
    run = create_run_with(make_batch(5, 0.5), STOPPED, recipe=PARENT_RECIPE)
    state_of(app).attach(run)
    assert state_of(app).editor.recipe == PARENT_RECIPE
    state_of(app).editor.undo()
    assert state_of(app).editor.recipe == before
