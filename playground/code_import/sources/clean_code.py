"""Cleaning of pasted code: Markdown, prompts, notebook commands and typographic characters, with unchanged lines."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import dedent

from playground.errors import ArchitectureError

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_ASCII_FORMS = (
    dict.fromkeys(map(ord, "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"), " ")
    | dict.fromkeys(map(ord, "\u205f\u3000"), " ")
    | dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-")
    | dict.fromkeys(map(ord, "‘’‚‛"), "'")
    | dict.fromkeys(map(ord, "“”„‟"), '"')
    | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
)
_FENCE = re.compile(r"\s*(```+|~~~+)\s*\{?\.?([\w+-]*)")
_PYTHON_LANGUAGES = {"python", "python3", "py", "py3", "ipython", "ipython3", "pycon", "jupyter", "code-cell", "code"}
_CONSOLE_PROMPT = re.compile(r"\s*(?:>>>|\.\.\.)(?: |$)(.*)")
_CELL_PROMPT = re.compile(r"\s*(?:In ?)?\[[\d* ]*\]:[ ]?(.*)")
_CONTINUATION_PROMPT = re.compile(r"\s*\.{3,}: ?(.*)")
_OUTPUT_PROMPT = re.compile(r"\s*Out ?\[\d*\]:")
_CHAT_LINES = {"python", "copy code", "copy", "edit"}

_STRING_OR_COMMENT = re.compile(
    r"""'{3}(?:\\.|[^\\])*?'{3}|"{3}(?:\\.|[^\\])*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\#[^\n]*""", re.DOTALL
)
_CURLY_STRING = re.compile("[‘’‚‛]([^‘’‚‛\n]*)[‘’‚‛]|[“”„‟]([^“”„‟\n]*)[“”„‟]")
_PLAIN = re.compile(r"[\w .,=:+*/@-]+", re.ASCII)
_CELL_MAGIC = re.compile(r"[ \t]*%%(\w+)[^\n]*")
_COMMAND = re.compile(r"([ \t]*)(?:[!%](?:[^\n]*\\\n)*[^\n]*|\?{1,2}[\w.]+|[\w.]+\?{1,2})[ \t]*(?=\n|$)")
_COMMAND_RESULT = re.compile(r"([ \t]*\w+[ \t]*=[ \t]*)[!%][^\n]*")
_PRINT = re.compile(r"([ \t]*)print[ \t]+(?=[\w'\"])")
_TRANSPARENT_CELL_MAGICS = {"time", "timeit", "capture", "prun", "memit", "tensorflow_version"}


@dataclass(frozen=True)
class CleanCode:
    """Python source whose lines are those of the pasted text, its syntax tree, and notes on skipped parts."""

    text: str
    tree: ast.Module
    notes: tuple[str, ...] = ()


def parse_python(text: str) -> CleanCode:
    """Parse pasted code; raises ArchitectureError naming the line that is not Python."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_INVISIBLE)
    source = dedent(text)
    try:
        return CleanCode(source, _parse(source))
    except SyntaxError:
        pass
    cleaner = _Cleaner(_select_code_lines(source.split("\n")))
    source = cleaner.clean()
    try:
        return CleanCode(*_parse_with_tabs(source), tuple(cleaner.notes))
    except SyntaxError as error:
        raise ArchitectureError(
            f"The text is not valid Python: line {error.lineno or 1}, {error.msg}.",
            expected="PyTorch or Keras code.",
            fix="Paste all lines that define the network, and only code.",
        ) from None


def is_python(text: str) -> bool:
    """Return True for text that is Python code after cleaning."""
    try:
        return bool(parse_python(text).tree.body)
    except ArchitectureError:
        return False


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (ValueError, RecursionError, MemoryError):
        raise SyntaxError("it is damaged or nested too deeply", ("", 1, 0, "")) from None


def _parse_with_tabs(source: str) -> tuple[str, ast.Module]:
    """Parse source with mixed tabs and spaces if all usual tab widths give the same program."""
    try:
        return source, _parse(source)
    except (TabError, IndentationError) as error:
        programs: dict[str, tuple[str, ast.Module]] = {}
        for width in (8, 4):
            expanded = "\n".join(_expand_indentation(line, width) for line in source.split("\n"))
            try:
                tree = _parse(expanded)
            except SyntaxError:
                continue
            programs[ast.dump(tree)] = (expanded, tree)
        if "\t" not in source or len(programs) != 1:
            raise error from None
        return next(iter(programs.values()))


def _expand_indentation(line: str, width: int) -> str:
    code = line.lstrip(" \t")
    return line[: len(line) - len(code)].expandtabs(width) + code


def _select_code_lines(lines: Sequence[str]) -> str:
    """Return the text with all lines blank that are not code: Markdown, output of a console, labels of a chat."""
    selected = _extract_fenced_blocks(lines)
    if any(_CONSOLE_PROMPT.match(line) and line.lstrip().startswith(">>>") for line in selected):
        matches = map(_CONSOLE_PROMPT.match, selected)
        selected = [match[1] if match else "" for match in matches]
    elif any(map(_CELL_PROMPT.match, selected)):
        selected = list(_strip_cell_prompts(selected))
    for index, line in enumerate(selected):
        if line.strip().lower() not in _CHAT_LINES | {""}:
            break
        selected[index] = ""
    return dedent("\n".join(selected))


def _extract_fenced_blocks(lines: Sequence[str]) -> list[str]:
    """Blank all lines outside of the Python blocks of Markdown; without fences, return all lines."""
    blocks: list[tuple[str, int, int]] = []
    fence, language, start = "", "", 0
    for index, line in enumerate(lines):
        match = _FENCE.match(line)
        if match and not fence:
            fence, language, start = match[1], match[2].lower(), index + 1
        elif match and match[1].startswith(fence) and not match[2]:
            blocks.append((language, start, index))
            fence = ""
    if fence:
        blocks.append((language, start, len(lines)))
    if not blocks:
        return list(lines)
    tagged = [block for block in blocks if block[0] in _PYTHON_LANGUAGES]
    selected = [""] * len(lines)
    for _, start, stop in tagged or [block for block in blocks if not block[0]]:
        selected[start:stop] = dedent("\n".join(lines[start:stop])).split("\n")
    if not any(selected):
        languages = ", ".join(dict.fromkeys(language or "no language" for language, _, _ in blocks))
        raise ArchitectureError(
            f"The Markdown text has no block of Python code, only of {languages}.", expected="PyTorch or Keras code."
        )
    return selected


def _strip_cell_prompts(lines: Iterable[str]) -> Iterator[str]:
    """Strip the prompts of IPython and blank the output.

    In a console every line of code has a prompt; in text copied from a notebook the prompt stands alone above a cell.
    """
    is_cell = False
    for line in lines:
        if match := _CELL_PROMPT.match(line):
            is_cell = not match[1].strip()
            yield match[1]
        elif match := _CONTINUATION_PROMPT.match(line):
            is_cell = False
            yield match[1]
        elif _OUTPUT_PROMPT.match(line):
            is_cell = False
            yield ""
        else:
            yield line if is_cell else ""


class _Cleaner:
    """Scanner that replaces typographic characters and notebook commands outside of strings and comments."""

    def __init__(self, text: str) -> None:
        self.notes: list[str] = []
        self._text = text
        self._position = 0
        self._depth = 0
        self._is_in_print = False

    def clean(self) -> str:
        """Return Python with the same number of lines."""
        parts = []
        while self._position < len(self._text):
            parts.append(self._clean_statement_start() if self._is_at_statement_start() else self._clean_next())
        return "".join(parts) + ")" * self._is_in_print

    def _is_at_statement_start(self) -> bool:
        before = self._text[max(0, self._position - 2) : self._position]
        return self._depth == 0 and (not before or (before[-1] == "\n" and before[0] != "\\"))

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._position)
        if match:
            self._position = match.end()
        return match

    def _clean_statement_start(self) -> str:
        if match := self._match(_CELL_MAGIC):
            if match[1] in _TRANSPARENT_CELL_MAGICS:
                return ""
            line = self._text.count("\n", 0, match.start()) + 1
            self.notes.append(f"Line {line}: the text after %%{match[1]} is not Python and was not imported.")
            skipped = self._text[self._position :]
            self._position = len(self._text)
            return "\n" * skipped.count("\n")
        if match := self._match(_COMMAND):
            return f"{match[1]}pass" + "\n" * match[0].count("\n")
        if match := self._match(_COMMAND_RESULT):
            return f"{match[1]}get_ipython()"
        if match := self._match(_PRINT):
            self._is_in_print = True
            return f"{match[1]}print("
        return self._clean_next()

    def _clean_next(self) -> str:
        closing = ""
        if self._is_in_print and self._depth == 0 and self._text[self._position] in "\n#;":
            self._is_in_print = False
            closing = ")"
        if match := self._match(_STRING_OR_COMMENT):
            return closing + match[0]
        if match := self._match(_CURLY_STRING):
            content = match[1] or match[2] or ""
            quote = "'" if '"' in content else '"'
            return f"{closing}{quote}{content}{quote}"
        if not closing and (match := self._match(_PLAIN)):
            return match[0]
        letter = self._text[self._position].translate(_ASCII_FORMS)
        self._position += 1
        self._depth = max(0, self._depth + (letter in "([{" and 1) - (letter in ")]}" and 1))
        return closing + letter
