"""Teach: the right label for what is on the canvas, a personal set of such drawings, and a net that learns them."""

from functools import lru_cache

import streamlit as st

from playground.engine.data.custom.drawings import OwnDrawing, OwnDrawings, add_drawing, delete_drawings, own_drawings
from playground.engine.runs.initial_state import material_of
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import PRETRAINED, Run
from playground.errors import PlaygroundError
from playground.interpret.evaluation.predict import evaluate
from playground.interpret.evaluation.predictions import images_of
from playground.interpret.model import load_model
from playground.ui import html as markup
from playground.ui.model_input import Subject, drawn_subject, shown_sight
from playground.ui.services import asker, supervisor, visitor
from playground.ui.state import AppState, app_state, run_history


def teach_popover(state: AppState, subject: Subject | None) -> None:
    """Label the drawing, see the set, start teaching."""
    popover = st.popover(
        "Teach", key="teach", on_change="rerun", help="Say what the drawing is, and let the net learn it."
    )
    if not popover.open:
        return
    with popover:
        try:
            kept = own_drawings(asker()).drawings
        except PlaygroundError as problem:
            markup.problem(problem)
            kept = ()
        _label_choice(state, is_drawn=subject is not None and not subject.is_example)
        labels = sorted(str(drawing.label) for drawing in kept)
        markup.hint(f"Your set: {_counted(len(kept))}{': ' + ' '.join(labels[:40]) if kept else ''}.")
        _set_buttons(state, kept)
        if state.teach_error:
            markup.problem(state.teach_error)


def _label_choice(state: AppState, *, is_drawn: bool) -> None:
    markup.hint("The drawing on the canvas is a" if is_drawn else "Draw a digit first.")
    marks = len(state.ink.strokes) + len(state.ink.erased)
    key = f"teach-label-{state.canvas_revision}-{marks}"  # another drawing has no label yet
    st.segmented_control(
        "The drawing is a",
        shown_sight(state).dataset.class_names,
        key=key,
        label_visibility="collapsed",
        disabled=not is_drawn,
        on_change=_keep,
        args=(key,),
    )


def _set_buttons(state: AppState, kept: tuple[OwnDrawing, ...]) -> None:
    with st.container(horizontal=True, gap="small"):
        # No callback: that of a fragment draws only the fragment anew, and the run stands outside of it.
        if st.button(
            "Teach the net",
            key="teach-start",
            type="primary",
            disabled=not kept or _is_busy(state),
            help="A new run goes on from this net's weights for some seconds: your drawings among 4,000 images of "
            "MNIST, all a little changed each time.",
        ):
            _teach(state, kept)
        content = OwnDrawings(drawings=kept).model_dump_json(by_alias=True)
        st.download_button("Download", content, "drawings.json", key="teach-download", disabled=not kept)
        st.button("Delete", key="teach-delete", disabled=not kept, on_click=_delete, help="Throw your set away.")


def taught_line(run: Run | None) -> None:
    """What teaching did to the accuracy on the test images, once a run that was taught is over."""
    if run is None or run.record.parent is None or not _has_drawings(run.id):
        return
    after = run_history(run).test
    if after is not None and run_history(run).step == 0:  # operated on, and not trained since
        return
    try:
        parent = find_run(run.record.parent)
        before = run_history(parent).test if parent.id != PRETRAINED else None
        accuracy = before.accuracy if before else _measured(parent.id, run.record.parent_step or 0)
    except PlaygroundError:  # the parent was deleted
        return
    if after is None:
        markup.line("Learning your drawings …")
    else:
        markup.line(
            f"Taught. On the {after.size:,} test images: {accuracy:.2%} before, {after.accuracy:.2%} after.",
            behind={"before": accuracy, "after": after.accuracy},
        )


@lru_cache(maxsize=64)
def _has_drawings(run_id: str) -> bool:
    return material_of(find_run(run_id)).images is not None


@lru_cache(maxsize=16)
def _measured(run_id: str, step: int) -> float:
    run = find_run(run_id)
    return evaluate(load_model(run, step), images_of(run), "test").accuracy


def _counted(count: int) -> str:
    return "1 drawing" if count == 1 else f"{count} drawings"


def _is_busy(state: AppState) -> bool:
    return state.run is not None and (supervisor().is_active(state.run.id) or state.run.is_live())


def _keep(key: str) -> None:
    state = app_state()
    label = st.session_state.get(key)
    if label is None:
        return
    state.look_at_canvas()
    state.teach_error = None
    try:
        subject = drawn_subject(state, shown_sight(state))
        strokes = state.ink.strokes if state.picture is None and state.test_index is None else ()
        add_drawing(asker(), OwnDrawing.of(int(label), strokes, subject.image))
    except PlaygroundError as problem:
        state.teach_error = problem


def _teach(state: AppState, drawings: tuple[OwnDrawing, ...]) -> None:
    state.teach_error = None
    try:
        parent = state.run.id if state.run and state.run.snapshots() else PRETRAINED
        run = supervisor().teach(parent, drawings, owner=visitor())
    except PlaygroundError as problem:
        state.teach_error = problem
        return
    state.attach(run)
    state.edit(run.record.architecture)
    st.rerun()


def _delete() -> None:
    delete_drawings(asker())
