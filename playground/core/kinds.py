"""Registries of kinds: the subclasses that the modules of a package define, by their ``kind``."""

import importlib
import pkgutil
from types import ModuleType
from typing import Annotated, Any, TypeVar, Union

from pydantic import BaseModel, Field

ModelT = TypeVar("ModelT", bound=BaseModel)


def import_submodules(package: ModuleType) -> list[ModuleType]:
    """Import every module of a package, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def collect_kinds(modules: list[ModuleType], base: type[ModelT]) -> dict[str, type[ModelT]]:
    """Collect the subclasses of ``base`` that the modules define, by the default of their field ``kind``."""
    return {
        value.model_fields["kind"].default: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value is not base
        and value.__module__ == module.__name__
    }


def make_union(kinds: dict[str, type[ModelT]]) -> Any:
    """The annotation of a field that accepts any of these kinds; the field ``kind`` discriminates them."""
    return Annotated[Union[tuple(kinds.values())], Field(discriminator="kind")]  # noqa: UP007
