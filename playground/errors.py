"""Exception hierarchy; each error says what happened, what was expected, and how to fix it.

::

    PlaygroundError
    ├── ArchitectureError     a network that cannot be read or built
    ├── RecipeError           training settings that cannot be read or used
    ├── SchemaVersionError    a file of a newer version of this program
    ├── UnknownNameError      a name that no preset, dataset or run has
    ├── DataError
    │   ├── AssetError        a bundled file is missing or damaged
    │   ├── DatasetUnavailableError  a dataset that has not been downloaded
    │   ├── DownloadError     a file of a dataset that cannot be downloaded
    │   ├── InvalidDatasetError  a folder or ZIP file that is not a valid dataset
    │   ├── ImageFileError    a file that is not a usable image
    │   └── DrawingError      nothing drawn, or strokes that cannot be read
    ├── StorageError          the data folder cannot be read or written
    ├── TrainingError
    │   ├── DivergedError     the loss is infinite or not a number
    │   └── OutOfMemoryError  the device has too little memory
    ├── WorkerError           the training process cannot be started or reached
    ├── OwnershipError        the run or dataset belongs to another user
    └── ConfigurationError    a server setting that cannot be used
"""


class PlaygroundError(Exception):
    """Base class of all errors; keeps its three parts, so that a page, a log and a terminal can format them."""

    def __init__(self, what: str, *, expected: str = "", fix: str = "") -> None:
        # User input may contain an unpaired surrogate, which terminals, logs and browsers reject.
        self.what, self.expected, self.fix = (
            part.encode("utf-8", "replace").decode() for part in (what, expected, fix)
        )
        super().__init__(" ".join(part for part in (self.what, self.expected, self.fix) if part))

    def __reduce__(self) -> tuple[object, ...]:
        return _reconstruct_error, (type(self), self.what, self.expected, self.fix)


def _reconstruct_error(error_class: type[PlaygroundError], what: str, expected: str, fix: str) -> PlaygroundError:
    return error_class(what, expected=expected, fix=fix)


class ArchitectureError(PlaygroundError):
    """A network that cannot be read or built."""


class RecipeError(PlaygroundError):
    """Training settings that cannot be read or used."""


class SchemaVersionError(PlaygroundError):
    """A file written by a newer version of this program."""


class UnknownNameError(PlaygroundError):
    """A name that no preset, dataset or run has."""


class DataError(PlaygroundError):
    """Images, labels or drawings that cannot be used."""


class AssetError(DataError):
    """A bundled file is missing or damaged."""


class DatasetUnavailableError(DataError):
    """A dataset that has not been downloaded."""


class DownloadError(DataError):
    """A file of a dataset that cannot be downloaded or arrives damaged."""


class InvalidDatasetError(DataError):
    """A folder or ZIP file of images that is not a valid dataset."""


class ImageFileError(DataError):
    """A file that is not a usable image."""


class DrawingError(DataError):
    """Nothing was drawn, or the strokes cannot be read."""


class StorageError(PlaygroundError):
    """The data folder cannot be read or written."""


class TrainingError(PlaygroundError):
    """Training cannot continue."""


class DivergedError(TrainingError):
    """The loss is infinite or not a number."""


class OutOfMemoryError(TrainingError):
    """The device has too little memory for this network and batch size."""


class WorkerError(PlaygroundError):
    """The training process cannot be started or reached."""


class OwnershipError(PlaygroundError):
    """The run or dataset belongs to another user."""


class ConfigurationError(PlaygroundError):
    """A server setting that cannot be used."""
