"""Registry of learning rate schedules; every module of this package is registered."""

from typing import TYPE_CHECKING

from playground.core.registry import collect_kinds, import_submodules, make_union
from playground.core.schedules.base import Schedule

SCHEDULES: dict[str, type[Schedule]] = collect_kinds(import_submodules(__name__), Schedule)

if TYPE_CHECKING:
    AnySchedule = Schedule
else:
    AnySchedule = make_union(SCHEDULES)

__all__ = ["SCHEDULES", "AnySchedule", "Schedule"]
