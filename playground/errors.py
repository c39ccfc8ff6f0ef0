"""Every error a person can cause or meet, as one tree; each says what happened, what was expected, how to fix it.

::

    PlaygroundError
    ├── ArchitectureError     a network that cannot be read or built
    ├── RecipeError           training settings that cannot be read or used
    ├── SchemaError           a file of a newer version of this program
    ├── UnknownNameError      no preset, data set or run has this name
    ├── DataError
    │   ├── AssetError        a bundled file is missing or damaged
    │   ├── MissingDataError  a data set that has to be fetched first
    │   ├── DownloadError     a file of a data set cannot be fetched
    │   ├── DatasetError      a folder or ZIP of images that makes no data set
    │   ├── ImageFileError    a file that is no image, or no usable one
    │   └── DrawingError      nothing drawn, or strokes that cannot be read
    ├── StoreError            the data folder cannot be read or written
    ├── TrainingError
    │   ├── DivergedError     the loss is not a number any more
    │   └── MemoryExceededError   the device has too little memory
    ├── WorkerError           the training process cannot be started or reached
    ├── OwnerError            the run or data set is another person's
    └── SettingError          a server setting that cannot be used
"""


class PlaygroundError(Exception):
    """The root: carries the three parts so that a screen, a log and a terminal can each lay them out."""

    def __init__(self, what: str, *, expected: str = "", fix: str = "") -> None:
        # What came from outside may hold half a character, which no terminal, log or browser could take.
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
    """No preset, data set or run has this name."""


class DataError(PlaygroundError):
    """Something is wrong with images, labels or drawings."""


class AssetError(DataError):
    """A bundled file is missing or damaged."""


class DatasetUnavailableError(DataError):
    """A data set that has to be fetched first."""


class DownloadError(DataError):
    """A file of a data set cannot be fetched, or arrives damaged."""


class InvalidDatasetError(DataError):
    """A folder or ZIP of images that makes no data set."""


class ImageFileError(DataError):
    """A file that is no image, or no usable one."""


class DrawingError(DataError):
    """Nothing was drawn, or the strokes cannot be read."""


class StorageError(PlaygroundError):
    """The data folder cannot be read or written."""


class TrainingError(PlaygroundError):
    """Training cannot go on."""


class DivergedError(TrainingError):
    """The loss is infinite or not a number."""


class OutOfMemoryError(TrainingError):
    """The device has too little memory for this network and batch size."""


class WorkerError(PlaygroundError):
    """The training process cannot be started or reached."""


class OwnershipError(PlaygroundError):
    """A run or a data set is another person's."""


class ConfigurationError(PlaygroundError):
    """A server setting that cannot be used."""
