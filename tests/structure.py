"""Counts of the code's structure: ``python -m tests.structure`` prints them."""

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("playground", "tests", "benchmarks", "assets", "docs")
MODULE_LIMIT = 16
LINE_LIMIT = 400
# Upper bounds that only go down, to 0.
KNOWN_QUESTION_DOCSTRINGS = 0
KNOWN_OLD_NAMES = 0
QUESTION_WORD = re.compile(r"(What|Whether|Where|How|Whose|Those|Which|Why)\b")
OLD_NAMES = frozenset((Path(__file__).parent / "golden" / "old_names.txt").read_text(encoding="utf-8").split())


def iterate_modules(*folders: str) -> Iterator[Path]:
    """Yield the Python files below the folders."""
    for folder in folders or FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def count_modules_per_folder() -> dict[str, int]:
    """Count the modules of every folder, without ``__init__``."""
    counts: dict[str, int] = {}
    for path in iterate_modules():
        if path.name != "__init__.py":
            folder = path.parent.relative_to(ROOT).as_posix()
            counts[folder] = counts.get(folder, 0) + 1
    return counts


def list_long_modules() -> list[str]:
    """List the modules above the soft limit of lines."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in iterate_modules("playground")}
    return [f"{path.relative_to(ROOT)}: {length}" for path, length in lengths.items() if length > LINE_LIMIT]


def list_question_docstrings() -> list[str]:
    """List the docstrings whose first word is a question word."""
    return [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {docstring.splitlines()[0]}"
        for path in iterate_modules()
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and (docstring := ast.get_docstring(node))
        and QUESTION_WORD.match(docstring)
    ]


def list_old_names() -> list[str]:
    """List modules, classes and functions that have a name which was replaced."""
    found = [str(path.relative_to(ROOT)) for path in iterate_modules() if path.stem in OLD_NAMES]
    return found + [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in iterate_modules()
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name in OLD_NAMES
    ]


def _parse(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.parse(path.read_text(encoding="utf-8"))


def main() -> None:
    """Print the counts, and where they are not zero."""
    counts = count_modules_per_folder()
    largest = sorted(counts.items(), key=lambda item: -item[1])[:5]
    sys.stdout.write(f"largest folders: {', '.join(f'{folder} {count}' for folder, count in largest)}\n")
    for title, places in (
        (f"modules above {LINE_LIMIT} lines", list_long_modules()),
        ("docstrings that begin with a question word", list_question_docstrings()),
        ("old names", list_old_names()),
    ):
        sys.stdout.write("\n  ".join([f"{title}: {len(places)}", *places]) + "\n")


if __name__ == "__main__":
    main()
