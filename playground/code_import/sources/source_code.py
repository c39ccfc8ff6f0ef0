"""Code that was extracted from another format, and the places in that format that its lines came from."""

import re
from dataclasses import dataclass, field

_LINE_REFERENCE = re.compile(r"\b([Ll])ine (\d+)\b")


@dataclass
class SourceCode:
    """Lines of code; ``places`` names the origin of each: ``cell 2, line 3`` or ``layer 'conv2d_1'``."""

    lines: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The code."""
        return "\n".join(self.lines)

    def add(self, line: str, place: str) -> None:
        """Append a line."""
        self.lines.append(line)
        self.places.append(place)

    def restore_places(self, message: str) -> str:
        """Replace the line numbers of the code in a message by the places in the original format."""

        def restore(match: re.Match[str]) -> str:
            number = int(match[2])
            if not 1 <= number <= len(self.places):
                return match[0]
            place = self.places[number - 1]
            return place[:1].upper() + place[1:] if match[1] == "L" else place

        return _LINE_REFERENCE.sub(restore, message)
