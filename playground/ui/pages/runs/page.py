"""Runs page: table of all runs, comparison of their curves, and actions on one run."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
from playground.ui import html
from playground.ui.actions import describe_status
from playground.ui.components.live_chart import live_chart
from playground.ui.panels.publish import render_publish_panel
from playground.ui.panels.share import render_export_buttons
from playground.ui.services import get_requester_id, get_scheduler
from playground.ui.state import get_app_state, get_run_history

_MAX_COMPARED = 7
_SELECTED_AT_FIRST = 2
_PERCENT_FORMAT = "%.2f%%"


def render_runs_page() -> None:
    """Render the Runs page."""
    runs, unreadable = list_runs()
    html.render_title("Runs", note="select rows to compare their curves")
    for message in unreadable:
        html.render_error(PlaygroundError(message))
    if not runs:
        html.render_message("No runs yet. Train a network on the Playground page to create one.")
        return
    selected = _choose_runs(runs)
    if not selected:
        html.render_hint("Select a run with the box at the left of its row.")
        return
    _render_actions(_choose_acted_run(selected))
    _render_comparison(selected)


def _choose_acted_run(selected: list[Run]) -> Run:
    """Choose the run that the buttons act on, if several are selected."""
    if len(selected) == 1:
        return selected[0]
    names = {run.id: run.record.name for run in selected}
    chosen_id = st.pills(
        "Run for the buttons below",
        list(names),
        key="runs-acted-" + "-".join(names),
        default=selected[0].id,
        required=True,
        format_func=lambda run_id: names[run_id],
    )
    return next(run for run in selected if run.id == (chosen_id or selected[0].id))


def _choose_runs(runs: list[Run]) -> list[Run]:
    names = {run.id: run.record.name for run in runs}
    rows = [_make_row(run) | {"Parent": _describe_parent(run, names)} for run in runs]
    if not any(row["Parent"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "Parent"} for row in rows]
    table = st.dataframe(
        {name: [row[name] for row in rows] for name in rows[0]},
        # Rows are selected by position, so another list of runs needs another table.
        key=f"runs-table-{hash(tuple(run.id for run in runs))}",
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": list(range(min(len(runs), _SELECTED_AT_FIRST)))}},
        placeholder="–",
        height=min(420, 38 + 35 * len(rows)),
        column_config={
            "Validation": st.column_config.NumberColumn(
                format=_PERCENT_FORMAT, help="Accuracy on the validation images at the last evaluation."
            ),
            "Test": st.column_config.NumberColumn(
                format=_PERCENT_FORMAT, help="Accuracy on all test images at the end of the run."
            ),
            "Parameters": st.column_config.NumberColumn(format="localized"),
            "Seconds": st.column_config.NumberColumn(format="%.1f", help="Training time without pauses."),
        },
    )
    selected = cast(Any, table).selection.rows
    return [runs[index] for index in selected if index < len(runs)][:_MAX_COMPARED]


def _make_row(run: Run) -> dict[str, Any]:
    summary = get_run_history(run).summarize()
    architecture = run.record.architecture
    presets = _map_preset_titles(architecture.input.shape, architecture.classes)
    network = presets.get(architecture.freeze_up_to(-1).digest, "Custom")
    return {
        "Name": run.record.name,
        "Network": network,
        "Dataset": run.get_dataset().title,
        "Status": describe_status(get_app_state(), run, get_run_history(run)),
        "Validation": _to_percent(summary["validation_accuracy"]),
        "Test": _to_percent(summary["test_accuracy"]),
        "Parameters": summarize(run.record.architecture).parameters,
        "Epochs": summary["epochs"],
        "Seconds": summary["seconds"],
        "Started": _format_time(run.record.created),
        "ID": run.id,
    }


def _format_time(created: str) -> str:
    """Format a time in the time zone of the browser."""
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
        return f"{datetime.fromisoformat(created).astimezone(zone):%Y-%m-%d %H:%M}"
    except (ValueError, ZoneInfoNotFoundError):  # a record edited by hand; a zone that this machine does not know
        return created[:16].replace("T", " ")


def _to_percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


@lru_cache(maxsize=32)
def _map_preset_titles(shape: Shape, classes: int) -> dict[str, str]:
    """Map the digests of the presets, adapted to this image shape and class count, to their titles."""
    adapted = {
        name: preset.architecture.adapt_to_images(shape, classes) for name, preset in ARCHITECTURE_PRESETS.items()
    }
    return {architecture.digest: ARCHITECTURE_PRESETS[name].title for name, architecture in reversed(adapted.items())}


def _describe_parent(run: Run, run_names: dict[str, str]) -> str:
    """Describe the run and step that a run was forked from; empty for a run without a parent."""
    parent, step = run.record.parent, run.record.parent_step
    return f"{run_names.get(parent, parent)}, step {step:,}" if parent and step is not None else ""


def _render_actions(run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="run-actions"):
        if st.button(
            "Open",
            key="run-open",
            type="primary",
            help="Open this run with its network and settings on the Playground page.",
        ):
            get_app_state().attach(run)
            st.switch_page(st.session_state["pages"]["playground"])
        if st.button("Inspect", key="run-inside", help="Show its feature maps, filters and attributions."):
            get_app_state().inspect.run_id = run.id
            st.switch_page(st.session_state["pages"]["inside"])
        with st.popover("Rename", key=f"run-rename-{run.id}"):
            name = st.text_input("New name", run.record.name, key=f"run-name-{run.id}", max_chars=80)
            if st.button("Save", key=f"run-rename-save-{run.id}") and name:
                _run_action(lambda: _rename_run(run, name))
        with st.popover("Export", key=f"run-export-{run.id}", on_change="rerun") as export:
            if export.open:
                render_export_buttons(ExportSource.from_run(run), key="run-export")
                if run.list_snapshot_steps():
                    render_publish_panel(run, key="run-export")
        with st.popover("Delete", key=f"run-delete-{run.id}"):
            html.render_hint(f"Delete {run.record.name} with its weights and log? This cannot be undone.")
            if st.button("Delete permanently", key=f"run-delete-sure-{run.id}", type="primary"):
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
    except PlaygroundError as error:
        html.render_error(error)
    else:
        st.rerun()


def _render_comparison(runs: list[Run]) -> None:
    metric = st.segmented_control("Chart", ["accuracy", "loss"], key="runs-metric", default="accuracy", required=True)
    histories = [NamedHistory(run.record.name, get_run_history(run)) for run in runs]
    figure = make_comparison_figure(histories, cast(Metric, metric or "accuracy"), get_theme(st.context.theme.type))
    live_chart(figure, key="runs-curves", height=380)
    html.render_hint("Thick lines: validation. Thin lines: training, per batch.")
