"""State of each page in one browser session: plain values, kept when the user changes pages."""

import time
from dataclasses import dataclass, field
from typing import Any

from playground.core.architecture import Architecture
from playground.core.history import RunStatus
from playground.core.recipe import Recipe
from playground.engine.data.custom.archive import SkippedFile
from playground.engine.data.custom.preview import FolderPreview
from playground.engine.data.rasterize import MNIST_PREPROCESSING, Preprocessing
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.drawing.preprocess import DEFAULT_PEN_WIDTH
from playground.interpret.editing import Edit
from playground.ui.canvas import CanvasInk, Stroke, read_canvas
from playground.ui.services import find_run_or_none

_MAX_UNDO_STEPS = 50
_MAX_PENDING_S = 30.0
"""Time after which a command counts as lost."""


@dataclass(frozen=True)
class ImageUpload:
    """An uploaded image file: its name and content, and the chosen one of several digits; None is the largest."""

    name: str
    content: bytes
    digit_index: int | None = None


@dataclass(frozen=True)
class UndoEntry:
    """A network, the run that its weights come from, and the recipe values that were changed along with it."""

    architecture: Architecture
    init_from: str | None
    recipe_values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportResult:
    """Outcome of an import; ``source`` is the text or the id of the file that it belongs to."""

    source: str
    notes: tuple[str, ...] = ()
    error: PlaygroundError | None = None


@dataclass
class EditorState:
    """Network and recipe in the editor, with undo.

    ``fitted_and_requested_recipe``: a recipe that was reduced to fit its dataset, and the recipe that was asked for.
    ``changed_settings`` describes settings that the last edit of the network or the dataset changed.
    """

    architecture: Architecture
    recipe: Recipe
    undo_stack: list[UndoEntry] = field(default_factory=list)
    redo_stack: list[UndoEntry] = field(default_factory=list)
    open_layer_id: str | None = None
    preset_name: str | None = None
    fitted_and_requested_recipe: tuple[Recipe, Recipe] | None = None
    init_from: str | None = None
    changed_settings: str = ""
    import_result: ImportResult | None = None
    error: Exception | None = None

    def find_parent_run(self) -> Run | None:
        """Read the run whose weights the next run starts from; None for random weights or a deleted run."""
        return find_run_or_none(self.init_from)

    def replace(
        self, *, init_from: str | None, architecture: Architecture | None = None, recipe: Recipe | None = None
    ) -> bool:
        """Replace what is given and record it for undo; returns False if nothing changed."""
        entry = UndoEntry(
            architecture or self.architecture, init_from, _diff_recipes(recipe, self.recipe) if recipe else {}
        )
        if entry == UndoEntry(self.architecture, self.init_from):
            return False
        self.undo_stack = [*self.undo_stack[-_MAX_UNDO_STEPS:], self._apply(entry)]
        self.redo_stack = []
        self.error, self.changed_settings = None, ""
        return True

    def undo(self) -> None:
        """Undo the last edit."""
        self.error, self.changed_settings = None, ""
        if self.undo_stack:
            *self.undo_stack, entry = self.undo_stack
            self.redo_stack = [*self.redo_stack, self._apply(entry)]

    def redo(self) -> None:
        """Redo the edit that was undone last."""
        self.error, self.changed_settings = None, ""
        if self.redo_stack:
            *self.redo_stack, entry = self.redo_stack
            self.undo_stack = [*self.undo_stack, self._apply(entry)]

    def _apply(self, entry: UndoEntry) -> UndoEntry:
        """Apply an entry and return its inverse."""
        values = {name: getattr(self.recipe, name) for name in entry.recipe_values}
        inverse = UndoEntry(self.architecture, self.init_from, values)
        self.architecture, self.init_from = entry.architecture, entry.init_from
        self.recipe = self.recipe.replace(**entry.recipe_values)
        return inverse


@dataclass
class TrainingState:
    """The attached run, whose training the Playground page shows, and the fork form.

    ``known_settings``: network and recipe of the run when the editor last took them over. ``requested_status``: status
    that a command of this page will lead to, and the time of the command.
    """

    run_id: str | None = None
    known_settings: tuple[Architecture, Recipe] | None = None
    requested_status: tuple[RunStatus, float] | None = None
    error: Exception | None = None
    fork_error: Exception | None = None
    fork_step: int | None = None
    fork_changes: dict[str, Any] = field(default_factory=dict)

    def find_run(self) -> Run | None:
        """Read the attached run from disk; None without one, or where it was deleted."""
        return find_run_or_none(self.run_id)

    def request(self, status: RunStatus) -> None:
        """Remember the status that a command will lead to."""
        self.requested_status = (status, time.monotonic())

    def is_stopping(self, status: RunStatus) -> bool:
        """True from a request to stop until the run has ended."""
        return self.get_pending_status(status) == "stopped"

    def get_pending_status(self, status: RunStatus) -> RunStatus | None:
        """Return the requested status until the run has reached it; None if nothing is pending."""
        if self.requested_status is None:
            return None
        requested, requested_at = self.requested_status
        is_reached = status == requested or status not in ("training", "paused")
        if is_reached or time.monotonic() - requested_at > _MAX_PENDING_S:
            self.requested_status = None
            return None
        return requested


@dataclass
class DrawingState:
    """The canvas: strokes, the image under them, tools, and undo."""

    ink: CanvasInk = field(default_factory=CanvasInk)
    is_erasing: bool = False
    revision: int = 0
    test_index: int | None = None
    upload: ImageUpload | None = None
    undo_stack: list[tuple[CanvasInk, int | None, ImageUpload | None]] = field(default_factory=list)
    pen_width: int = DEFAULT_PEN_WIDTH
    preprocessing: Preprocessing = MNIST_PREPROCESSING
    upload_error: PlaygroundError | None = None
    teach_error: PlaygroundError | None = None

    def sync_from_browser(self) -> None:
        """Read the newest stroke; needed in callbacks, which run before the canvas returns it."""
        ink = read_canvas(revision=self.revision)
        if ink is not None:
            self.set_ink(ink)

    def set_ink(self, ink: CanvasInk) -> None:
        """Store the strokes and record each new one for undo."""
        before, count = self.ink, len(self.ink.strokes)
        if ink == before:
            return
        is_extension = ink.eraser_strokes == before.eraser_strokes and ink.strokes[:count] == before.strokes
        self._push_undo(
            *(
                [CanvasInk(ink.strokes[:n], ink.eraser_strokes) for n in range(count, len(ink.strokes))]
                if is_extension
                else [before]
            )
        )
        self.ink = ink

    def replace(self, *, test_index: int | None = None, upload: ImageUpload | None = None) -> None:
        """Empty the canvas, or show a test image or an upload on it."""
        self.sync_from_browser()
        if (self.ink, self.test_index, self.upload) != (CanvasInk(), test_index, upload):
            self._push_undo(self.ink)
        self._set_content(CanvasInk(), test_index, upload)

    def undo(self) -> None:
        """Undo the last stroke, erasure, clearing or change of the image."""
        self.sync_from_browser()
        if self.undo_stack:
            *self.undo_stack, last = self.undo_stack
            self._set_content(*last)

    def _push_undo(self, *inks: CanvasInk) -> None:
        entries = [*self.undo_stack, *((ink, self.test_index, self.upload) for ink in inks)]
        self.undo_stack = entries[-_MAX_UNDO_STEPS:]

    def _set_content(self, ink: CanvasInk, test_index: int | None, upload: ImageUpload | None) -> None:
        self.ink, self.test_index, self.upload = ink, test_index, upload
        self.revision += 1


@dataclass
class InspectState:
    """Run, snapshot, layer, input and edits that the Inspect page shows; Mistakes shares the run and the snapshot."""

    run_id: str | None = None
    layer_id: str | None = None
    input_source: str = "Drawing"
    test_index: int = 0
    view: str = "Feature maps"
    channel: int | None = None
    position: tuple[str, int, int, int] | None = None
    selected_steps: dict[str, int | None] = field(default_factory=dict)
    is_playing: bool = False
    next_frame_at: float = 0.0
    edits: dict[str, tuple[Edit, ...]] = field(default_factory=dict)
    edit_error: Exception | None = None

    def open_test_image(self, index: int, *, run_id: str | None = None, layer_id: str | None = None) -> None:
        """Select a test image as the input, and a run and layer if given."""
        self.input_source, self.test_index = "Test image", index
        self.run_id = run_id or self.run_id
        self.layer_id = layer_id or self.layer_id


@dataclass
class MistakesState:
    """The selected cell (true, predicted) of the confusion matrix.

    ``held_snapshot``: run and step that the page keeps showing while the run trains.
    """

    confusion_cell: tuple[int, int] | None = None
    held_snapshot: tuple[str, int] | None = None


UploadKey = tuple[str, int, bool, str | None]
"""An uploaded file and how it is read: its id, the image size, color or not, and the encoding of names."""


@dataclass(frozen=True)
class UploadResult:
    """The dataset that an upload became; not its images, because the session outlives them."""

    title: str
    warnings: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    skipped_count: int


@dataclass
class DataState:
    """The dataset shown on the Data page, and the forms that create one.

    ``upload_preview`` belongs to the file in the form; ``created_upload`` is the file that became a dataset last.
    """

    dataset_name: str | None = None
    upload_preview: tuple[UploadKey, FolderPreview | PlaygroundError] | None = None
    upload_result: UploadResult | PlaygroundError | None = None
    created_upload: UploadKey | None = None
    extraction_task_key: tuple[str, ...] | None = None
    class_drawings: dict[str, tuple[tuple[Stroke, ...], ...]] = field(default_factory=dict)
    class_ink: CanvasInk = field(default_factory=CanvasInk)
    class_canvas_revision: int = 0
    class_error: PlaygroundError | None = None
    drawn_dataset_sizes: tuple[int, int] | None = None


def _diff_recipes(recipe: Recipe, other: Recipe) -> dict[str, Any]:
    return {name: value for name, value in recipe if value != getattr(other, name)}
