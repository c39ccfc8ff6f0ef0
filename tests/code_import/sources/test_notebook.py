"""Notebooks: the network of all code cells, and errors that name the cell."""

import json
from typing import Any

import pytest

from playground.code_import.parse_network import parse_network, parse_network_file
from playground.errors import ArchitectureError
from tests.code_import.sources.test_clean_code import CODE, NETWORK

_SPLIT = CODE.index("model")


def _cell(source: object, kind: str = "code") -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def _notebook(*sources: object, **metadata: Any) -> dict[str, Any]:
    return {
        "cells": [_cell(["# MNIST\n", "net=1.abc"], "markdown"), *map(_cell, sources)],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


_PARTS = (f"%matplotlib inline\n{CODE[:_SPLIT]}", "%%bash\npip install keras", "", CODE[_SPLIT:].splitlines(True))


@pytest.mark.parametrize(
    "notebook",
    [
        _notebook(*_PARTS),
        _notebook(*_PARTS, kernelspec={"name": "tf", "language": "python"}, language_info={"name": "python"}),
        {
            "nbformat": 3,
            "worksheets": [{"cells": [{"cell_type": "code", "input": part} for part in _PARTS]}],
            "metadata": {"name": "a"},
        },
    ],
    ids=["version 4", "with a kernel", "version 3"],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_network_is_read_from_the_code_cells(notebook: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(notebook, indent=indent)
    found = parse_network(text)
    assert found.architecture.to_canonical_json() == NETWORK.to_canonical_json()
    assert found.notes == ()
    assert parse_network_file("a.ipynb", text.encode("utf-16")) == found


def test_errors_name_the_cell_and_its_line() -> None:
    text = json.dumps(_notebook(CODE[:_SPLIT], CODE[_SPLIT:].replace("Flatten()", "LSTM(8)")))
    with pytest.raises(ArchitectureError, match=r"Code cell 2, line 5: LSTM\(8\) is not supported"):
        parse_network(text)


def test_cell_that_is_not_python_is_named() -> None:
    with pytest.raises(ArchitectureError, match=r"not valid Python: code cell 2, line 1"):
        parse_network(json.dumps(_notebook(CODE, "some words")))


def test_notebook_of_another_language_is_rejected() -> None:
    notebook = _notebook("x <- 1", kernelspec={"name": "ir", "language": "R"})
    with pytest.raises(ArchitectureError, match="notebook is written in R"):
        parse_network(json.dumps(notebook))


@pytest.mark.parametrize(
    "notebook",
    [
        {"nbformat": 4, "cells": []},
        {"nbformat": 4, "cells": [1, None, {"cell_type": "code"}], "metadata": 3},
        {"nbformat": 3, "worksheets": [None, {"cells": None}, {"cells": [{"cell_type": "code", "input": [1]}]}]},
    ],
)
def test_notebook_without_a_network_is_rejected(notebook: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureError, match="No network"):
        parse_network(json.dumps(notebook))
