"""Registry of learning rate schedules; every module of this package is registered."""

from typing import TYPE_CHECKING

from playground.core.registry import collect_kinds, import_submodules, make_union
from playground.core.schedules.base import Schedule

_MODULES = import_submodules(__name__)
SCHEDULES: dict[str, type[Schedule]] = collect_kinds(_MODULES, Schedule)  # type: ignore[type-abstract] # not called

if TYPE_CHECKING:
    AnySchedule = Schedule
else:
    AnySchedule = make_union(SCHEDULES)

__all__ = ["SCHEDULES", "AnySchedule", "Schedule"]
