"""Pasted code in the forms in which people copy it: the network, with the line numbers of the pasted text."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.code_import.parse_network import parse_network
from playground.code_import.sources.clean_code import parse_python
from playground.core.architecture import Architecture
from playground.core.layers import Conv2d, Flatten, MaxPool2d, Output
from playground.errors import ArchitectureError, PlaygroundError

CODE = """\
import keras
from keras.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D

model = keras.Sequential([
    Input((28, 28, 1)),
    Conv2D(8, 3, activation='relu'),
    MaxPooling2D(),
    Flatten(),
    Dense(10, activation='softmax'),
])
"""
NETWORK = Architecture(layers=(Conv2d(out_channels=8), MaxPool2d(), Flatten(), Output()))
_LINES = CODE.splitlines()


def _prefix(first: str, others: str, lines: list[str] = _LINES) -> str:
    return "\n".join(prefix + line for prefix, line in zip([first, *[others] * len(lines)], lines, strict=False))


FORMS = {
    "plain": CODE,
    "indented": _prefix("    ", "    "),
    "Windows lines": CODE.replace("\n", "\r\n"),
    "old Mac lines": CODE.replace("\n", "\r"),
    "byte order mark": "\ufeff" + CODE,
    "no-break spaces": CODE.replace("    ", "\u00a0\u00a0 \u00a0").replace(", ", ",\u00a0"),
    "zero-width spaces": CODE.replace("model", "\u200bmodel").replace("relu", "re\u200blu"),
    "curly quotes": re.sub("'(.*?)'", r"‘\1’", CODE),
    "curly double quotes": re.sub("'(.*?)'", r"“\1”", CODE),
    "half curly quotes": re.sub("'(.*?)'", r"‘\1'", CODE),
    "curly quotes and an apostrophe": re.sub("'(.*?)'", r"‘\1’", CODE) + "# it's done\nprint(“don't”, ‘a \"b\"’)",
    "full-width punctuation": CODE.replace("(", "（").replace(")", "）").replace(",", "，"),
    "typographic minus": re.sub("'(.*?)'", r"‘\1’", CODE) + "last = model.layers[–1]",
    "Markdown": f"Sure! Here is a **small** CNN:\n\n```python\n{CODE}```\n\nIt reaches about 98 %.",
    "Markdown with a command": f"Install it:\n```bash\npip install keras\n```\nand then\n```Python\n{CODE}```\nDone",
    "Markdown in a list": "1. So:\n\n   ```py\n" + _prefix("   ", "   ") + "\n   ```\n2. It's done.",
    "Markdown in two parts": f"~~~python\n{_LINES[0]}\n~~~\nthen\n~~~python\n" + "\n".join(_LINES[1:]) + "\n~~~",
    "fence without language": f"```\n{CODE}```",
    "fence without end": f"Here it is:\n```python\n{CODE}",
    "MyST": f"# Title\n\n```{{code-cell}} ipython3\n{CODE}```",
    "chat": f"python\nCopy code\n{CODE}",
    "console": _prefix(">>> ", "... ") + "\n>>> model.count_params()\n13610\n",
    "console with empty prompts": f">>> import os\n>>>\n{_prefix('>>> ', '... ')}\n...\n>>> print('a')\na",
    "Markdown of a console": f"Type:\n```pycon\n{_prefix('>>> ', '... ')}\n>>> 1 / 0\nTraceback (most recent):\n```\n",
    "IPython": "In [1]: import os\n\n" + _prefix("In [2]: ", "   ...: ") + "\n\nIn [3]: 6 * 7\nOut[3]: 42\n",
    "old IPython": _prefix("In [12]: ", "   ....: ") + "\n\nIn [13]: print('a b')\na b\n",
    "notebook copied as text": f"In [1]:\n{CODE}\nIn [ ]:\nmodel.count_params()\nOut[2]:\n13610 or so",
    "JupyterLab copied as text": f"[1]:\n{CODE}\n[2]:\nmodel.count_params()\n",
    "magics": f"%matplotlib inline\n!pip install \\\n   keras\nfiles = !ls\n?keras\nkeras.layers??\n{CODE}",
    "cell magic": f"%%time\n{CODE}",
    "percent at the start of a line": f"%pylab\nprint('%d'\n   % 3)\nx = 7 \\\n  % 2\n{CODE}",
    "Python 2 print": f"print 'a:', (1, 2)\n{CODE}print model.summary(), 'a'  # it's\nif model:\n  print 7; a = 1\n",
    "tabs of eight": "if True:\n\tx = 1\n        y = 2\n" + CODE,
    "tabs of four": "if True:\n\tx = 1\n    y = 2\n" + CODE,
}


@pytest.mark.parametrize("form", FORMS)
def test_network_is_read_from_every_form(form: str) -> None:
    found = parse_network(FORMS[form])
    assert found.architecture.to_canonical_json() == NETWORK.to_canonical_json()
    assert found.notes == ()


@pytest.mark.parametrize("form", [form for form in FORMS if "conv" in FORMS[form].lower()])
def test_errors_name_the_line_of_the_pasted_text(form: str) -> None:
    text = FORMS[form].replace("MaxPooling2D()", "LSTM(8)").replace("MaxPooling2D（）", "LSTM（8）")
    (line,) = (number for number, line in enumerate(re.split("\r\n|\r|\n", text), 1) if "LSTM" in line and "8" in line)
    with pytest.raises(ArchitectureError, match=rf"Line {line}: LSTM\(8\) is not supported"):
        parse_network(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("```bash\npip install torch\n```", "no block of Python code, only of bash"),
        (f"{CODE}\nThat was all of it", "not valid Python: line 12"),
        ("print 'a'\nx = = 2\n", "not valid Python: line 2"),
        ("if x:\n\ty = 1\n  z = 2\n" + CODE, "not valid Python: line 3"),
        ("if x:\n    if y:\n        a = 1\n\tb = 2\n" + CODE, "not valid Python: line 4, inconsistent use of tabs"),
    ],
    ids=["no-python", "prose", "syntax", "indentation", "tabs-of-two-meanings"],
)
def test_text_that_is_not_python_is_rejected_with_its_line(text: str, what: str) -> None:
    with pytest.raises(ArchitectureError, match=what):
        parse_network(text)


def test_text_after_a_cell_magic_of_another_language_is_skipped_with_a_note() -> None:
    found = parse_network(f"{CODE}%%bash\necho $HOME\n")
    assert found.architecture.layers
    assert found.notes == ("Line 11: the text after %%bash is not Python and was not imported.",)


def test_valid_python_is_not_changed() -> None:
    code = 'a = """\n>>> 1\n```python\nx\n```\nIn [1]: y “z”\n%%bash\n"""\nb = [\n  1\n  % 2]\n'
    assert parse_python(code).text == code


@given(text=st.text("\n \t'\"‘’“”`~>.%!?#\\([{}])InOut:0Aaprint\u00a0\ufeff（，", max_size=60))
def test_cleaning_keeps_the_number_of_lines(text: str) -> None:
    try:
        cleaned = parse_python(text)
    except PlaygroundError:
        return
    assert cleaned.text.count("\n") == text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert isinstance(cleaned.tree, ast.Module)
