"""Runs: the table, the curves of the chosen ones over each other, open, rename, delete."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import streamlit as st

from playground.charts.curves import Metric, NamedHistory, make_comparison_figure
from playground.charts.theme import get_theme
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.runs.manage import delete_run, rename_run
from playground.engine.runs.owner import check_owner
from playground.engine.runs.repository import list_runs
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.export.targets import ExportSource
from playground.ui import html as markup
from playground.ui.panels.share import render_export_buttons
from playground.ui.services import get_requester_id, get_scheduler
from playground.ui.state import get_app_state, get_run_history

_MAX_COMPARED = 7


def render_runs_page() -> None:
    """All runs of this data folder."""
    runs, unreadable = list_runs()
    markup.render_title("Runs", note="choose rows to compare their curves")
    for sentence in unreadable:
        markup.render_error(PlaygroundError(sentence))
    if not runs:
        markup.render_message("No run yet. Train a network on the Playground page: it will be kept here.")
        return
    chosen = _choose_runs(runs)
    if not chosen:
        markup.render_hint("Click the box at the left of a row.")
        return
    if len(chosen) == 1:
        _render_actions(chosen[0])
    _render_comparison(chosen)


def _choose_runs(runs: list[Run]) -> list[Run]:
    names = {run.id: run.record.name for run in runs}
    rows = [_make_row(run) | {"Came from": _describe_parent(run, names)} for run in runs]
    if not any(row["Came from"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "Came from"} for row in rows]
    answer = st.dataframe(
        {name: [row[name] for row in rows] for name in rows[0]},
        # Rows are chosen by place: another list of runs is another table, with nothing chosen in it.
        key=f"runs-table-{hash(tuple(run.id for run in runs))}",
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        height=min(420, 38 + 35 * len(rows)),
        column_config={
            "Validation": st.column_config.NumberColumn(format="percent", help="On the images kept out of training."),
            "Test": st.column_config.NumberColumn(format="percent", help="On all test images, at the end of a run."),
            "Parameters": st.column_config.NumberColumn(format="localized"),
            "Seconds": st.column_config.NumberColumn(format="%.1f", help="Of training, pauses left out."),
        },
    )
    selected = cast(Any, answer).selection.rows
    return [runs[place] for place in selected if place < len(runs)][:_MAX_COMPARED]


def _make_row(run: Run) -> dict[str, Any]:
    figures = get_run_history(run).summarize()
    architecture = run.record.architecture
    presets = _map_preset_titles(architecture.input.shape, architecture.classes)
    net = presets.get(architecture.freeze_up_to(-1).digest, "Own")
    position = get_scheduler().get_queue_position(run.id)
    return {
        "Name": run.record.name,
        "Net": net,
        "Data": run.get_dataset().title,
        "State": f"waiting, {position} in the queue" if position else _describe_status(run, figures["status"]),
        "Validation": figures["validation_accuracy"],
        "Test": figures["test_accuracy"],
        "Parameters": summarize(run.record.architecture).parameters,
        "Epochs": figures["epochs"],
        "Seconds": figures["seconds"],
        "Begun": run.record.created[:16].replace("T", " "),
        "Id": run.id,
    }


@lru_cache(maxsize=32)
def _map_preset_titles(shape: Shape, classes: int) -> dict[str, str]:
    """The presets for such images by their digests; of the same networks the first one's title."""
    fitted = {
        name: preset.architecture.adapt_to_images(shape, classes) for name, preset in ARCHITECTURE_PRESETS.items()
    }
    return {architecture.digest: ARCHITECTURE_PRESETS[name].title for name, architecture in reversed(fitted.items())}


def _describe_parent(run: Run, run_names: dict[str, str]) -> str:
    """Which run it branched off, and where; empty for one that began at the beginning."""
    parent, step = run.record.parent, run.record.parent_step
    return f"{run_names.get(parent, parent)}, step {step:,}" if parent and step is not None else ""


def _describe_status(run: Run, phase: str) -> str:
    return "never started" if phase == "waiting" and not get_scheduler().is_active(run.id) else phase


def _render_actions(run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="run-actions"):
        if st.button(
            "Open", key="run-open", type="primary", help="Show it on the Playground page, network and recipe too."
        ):
            get_app_state().attach(run, load_into_editor=True)
            st.switch_page(st.session_state["pages"]["playground"])
        if st.button("Look inside", key="run-inside", help="Its filters and feature maps."):
            get_app_state().inspect.run_id = run.id
            st.switch_page(st.session_state["pages"]["inside"])
        with st.popover("Rename", key=f"run-rename-{run.id}"):
            name = st.text_input("New name", run.record.name, key=f"run-name-{run.id}", max_chars=80)
            if st.button("Save", key=f"run-rename-save-{run.id}") and name:
                _run_action(lambda: _rename_run(run, name))
        with st.popover("Export", key=f"run-export-{run.id}", on_change="rerun") as export:
            if export.open:
                render_export_buttons(ExportSource.from_run(run), key="run-export")
        with st.popover("Delete", key=f"run-delete-{run.id}"):
            markup.render_hint(f"Delete {run.record.name} with its weights and its log? It cannot be brought back.")
            if st.button("Delete for good", key=f"run-delete-sure-{run.id}", type="primary"):
                _run_action(lambda: _delete_run(run))


def _rename_run(run: Run, name: str) -> None:
    check_owner(run, get_requester_id())
    rename_run(run, name)


def _delete_run(run: Run) -> None:
    state = get_app_state()
    check_owner(run, get_requester_id())
    delete_run(run)
    get_scheduler().discard_log_reader(run.id)
    if state.training.run_id == run.id:
        state.detach()
    if state.inspect.run_id == run.id:
        state.inspect.run_id = None


def _run_action(action: Callable[[], object]) -> None:
    try:
        action()
    except PlaygroundError as problem:
        markup.render_error(problem)
    else:
        st.rerun()


def _render_comparison(runs: list[Run]) -> None:
    metric = st.segmented_control("Chart", ["accuracy", "loss"], key="runs-metric", default="accuracy", required=True)
    named = [NamedHistory(run.record.name, get_run_history(run)) for run in runs]
    figure = make_comparison_figure(named, cast(Metric, metric or "accuracy"), get_theme(st.context.theme.type))
    st.plotly_chart(figure, key="runs-curves", height=380, theme=None)
    markup.render_hint("Strong lines: validation. Faint lines: training, batch by batch.")
