"""Registries of what the modules of a package define: whoever adds a module there has registered it."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Annotated, Any, Protocol, TypeVar, Union

from pydantic import BaseModel, Field


class NamedEntry(Protocol):
    """A value with a name."""

    @property
    def name(self) -> str:
        """Name in the registry."""


ModelT = TypeVar("ModelT", bound=BaseModel)
NamedT = TypeVar("NamedT", bound=NamedEntry)
EntryT = TypeVar("EntryT")


def import_submodules(package_name: str) -> list[ModuleType]:
    """Import every module of a package, in alphabetical order; call it from the package's ``__init__.py``."""
    path = importlib.import_module(package_name).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    return [importlib.import_module(f"{package_name}.{name}") for name in names]


def collect_kinds(modules: Iterable[ModuleType], base: type[ModelT]) -> dict[str, type[ModelT]]:
    """Collect the subclasses of ``base`` that the modules define, by the default of their field ``kind``.

    A module that is being imported contributes nothing yet. Raises ValueError if two classes have the same kind.
    """
    return _collect(
        (kind.model_fields["kind"].default, kind)
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, base)
        and kind.__module__ == module.__name__
        and isinstance(kind.model_fields["kind"].default, str)
    )


def collect_entries(
    modules: Iterable[ModuleType], entry_type: type[NamedT], *, order: Callable[[NamedT], float]
) -> dict[str, NamedT]:
    """Collect the values of a type that the modules define at their top level, by name, in ascending ``order``.

    Raises ValueError if two different values have the same name.
    """
    entries = [entry for module in modules for entry in vars(module).values() if isinstance(entry, entry_type)]
    return _collect((entry.name, entry) for entry in sorted(entries, key=order))


def make_union(kinds: dict[str, type[ModelT]]) -> Any:
    """The annotation of a field that accepts any of these kinds; the field ``kind`` discriminates them."""
    return Annotated[Union[tuple(kinds.values())], Field(discriminator="kind")]  # noqa: UP007 -- the kinds are a variable


def _collect(named: Iterable[tuple[str, EntryT]]) -> dict[str, EntryT]:
    collected: dict[str, EntryT] = {}
    for name, entry in named:
        if collected.setdefault(name, entry) is not entry:
            raise ValueError(f"Two entries of a registry are named {name!r}: {collected[name]!r} and {entry!r}.")
    return collected
