"""Code of Jupyter notebooks."""

from typing import Any

from playground.code_import.sources.clean_code import parse_python
from playground.code_import.sources.source_code import SourceCode
from playground.errors import ArchitectureError


def is_notebook(data: dict[str, Any]) -> bool:
    """Return True for the JSON of a notebook."""
    return isinstance(data.get("cells", data.get("worksheets")), list) and "nbformat" in data


def extract_notebook_code(data: dict[str, Any]) -> SourceCode:
    """Return the code of all code cells in order, cleaned; raises ArchitectureError for a cell that is not Python."""
    language = _read_language(data)
    if not language.lower().startswith("python"):
        raise ArchitectureError(f"This notebook is written in {language[:40]}.", expected="PyTorch or Keras code.")
    sheets = data.get("worksheets", [data])  # nbformat 3 has worksheets
    cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]
    code = SourceCode()
    number = 0
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        number += 1
        content = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, content)) if isinstance(content, list) else str(content)
        try:
            lines = parse_python(text).text.split("\n")
        except ArchitectureError as error:
            what = SourceCode(places=_name_lines(number, text.count("\n") + 1)).restore_places(error.what)
            raise ArchitectureError(what, expected=error.expected, fix="Correct or delete this cell.") from None
        for line, place in zip(lines, _name_lines(number, len(lines)), strict=True):
            code.add(line, place)
    return code


def _read_language(data: dict[str, Any]) -> str:
    metadata = data.get("metadata")
    for part, name in (("language_info", "name"), ("kernelspec", "language")):
        details = metadata.get(part) if isinstance(metadata, dict) else None
        if isinstance(details, dict) and isinstance(details.get(name), str):
            return str(details[name])
    return "Python"


def _name_lines(cell: int, count: int) -> list[str]:
    return [f"code cell {cell}, line {line}" for line in range(1, count + 1)]
