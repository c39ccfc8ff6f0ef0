"""Code of the package in exported programs: functions with all that they use, so that both do the same."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PACKAGE_FOLDER = Path(__file__).parent.parent
_TYPE_IGNORE = re.compile(r"  # type: ignore\[.*")


@dataclass(frozen=True)
class _Definition:
    """A function, a class or a constant of a module, with the names that its code uses."""

    code: str
    used_names: frozenset[str]
    is_constant: bool


def extract_package_code(modules: Sequence[str], functions: Sequence[str]) -> str:
    """Extract functions and all that they use from modules of the package, without imports.

    ``modules``: paths below the package, each after those that it imports. A private name that two of them define
    differently gets the name of its module. Raises ValueError for a public one, and for a function that none defines.
    """
    definitions = _merge_definitions(modules)
    missing = set(functions) - set(definitions)
    if missing:
        raise ValueError(f"No module defines {', '.join(sorted(missing))}.")
    needed: set[str] = set()
    waiting = list(functions)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += definitions[name].used_names & set(definitions)
    return _join_definitions([definition for name, definition in definitions.items() if name in needed])


def _merge_definitions(modules: Sequence[str]) -> dict[str, _Definition]:
    merged: dict[str, _Definition] = {}
    for module in modules:
        definitions = _read_definitions(module)
        clashing = [name for name in definitions if name in merged and merged[name].code != definitions[name].code]
        for name, definition in _qualify(definitions, clashing, Path(module).stem).items():
            merged.setdefault(name, definition)
    return merged


def _qualify(definitions: dict[str, _Definition], names: Sequence[str], prefix: str) -> dict[str, _Definition]:
    """Put the prefix before private names, wherever the definitions use them."""
    for name in names:
        if not name.startswith("_"):
            raise ValueError(f"{name} of {prefix} is defined by another module too.")
        new_name = f"_{prefix.upper() if name.isupper() else prefix}{name}"
        definitions = {
            new_name if key == name else key: _Definition(
                re.sub(rf"\b{name}\b", new_name, definition.code),
                frozenset(new_name if used == name else used for used in definition.used_names),
                definition.is_constant,
            )
            for key, definition in definitions.items()
        }
    return definitions


@cache
def _read_definitions(module: str) -> dict[str, _Definition]:
    """Read the definitions of a module by name; a line that defines several names is one definition of each."""
    source = (_PACKAGE_FOLDER / module).read_text(encoding="utf-8")
    lines = [_TYPE_IGNORE.sub("", line) for line in source.splitlines()]
    definitions: dict[str, _Definition] = {}
    last_names: tuple[str, ...] = ()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr) and last_names and definitions[last_names[0]].is_constant:
            documented = definitions[last_names[0]]  # a docstring below a constant
            code = f"{documented.code}\n{_get_code(lines, node)}"
            definitions |= dict.fromkeys(last_names, _Definition(code, documented.used_names, is_constant=True))
        last_names = tuple(_list_defined_names(node))
        used_names = frozenset(child.id for child in ast.walk(node) if isinstance(child, ast.Name))
        definition = _Definition(_get_code(lines, node), used_names, isinstance(node, ast.Assign | ast.AnnAssign))
        definitions |= dict.fromkeys(last_names, definition)
    return definitions


def _list_defined_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        yield from (child.id for child in ast.walk(target) if isinstance(child, ast.Name))


def _get_code(lines: Sequence[str], node: ast.stmt) -> str:
    """Return the code of a statement, without the imports from the package in it and the comments above them."""
    decorators = getattr(node, "decorator_list", [])
    first = decorators[0].lineno if decorators else node.lineno
    assert node.end_lineno is not None  # noqa: S101 -- parsed code has it
    removed: set[int] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("playground."):
            start = child.lineno
            while lines[start - 2].lstrip().startswith("#"):
                start -= 1
            end = child.end_lineno or child.lineno
            removed |= set(range(start, end + 1 if lines[end].strip() else end + 2))
    kept = [lines[number - 1] for number in range(first, node.end_lineno + 1) if number not in removed]
    return "\n".join(kept)


def _join_definitions(definitions: Sequence[_Definition]) -> str:
    """Join definitions as a formatter does: constants follow each other, functions and classes have space around."""
    parts: list[str] = []
    previous: _Definition | None = None
    for definition in dict.fromkeys(definitions):
        if previous is not None:
            parts.append("\n" if previous.is_constant and definition.is_constant else "\n\n\n")
        parts.append(definition.code)
        previous = definition
    return "".join(parts)
