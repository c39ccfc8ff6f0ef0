"""Record of a run, ``run.json``: the configuration that was requested, and the machine that trained it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.engine.paths import atomic_write

PRETRAINED = "pretrained"
_RECORD_FILE = "run.json"


class RunRecord(BaseModel):
    """Content of ``run.json``; ``parent`` and ``parent_step`` name the run whose weights it started with."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: int = Field(default=1, alias="schema")
    id: str
    name: str
    created: str
    architecture: Architecture
    recipe: Recipe
    parent: str | None = None
    parent_step: int | None = None
    versions: dict[str, str] = {}
    device: str = ""
    owner: str | None = None


def write_record(folder: Path, record: RunRecord) -> None:
    """Write a run's record atomically; raises StorageError where that fails."""
    with atomic_write(folder / _RECORD_FILE) as temporary:
        temporary.write_text(record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
