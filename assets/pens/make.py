"""Write ``strokes.jsonl.xz`` from all pen strokes: ``python assets/pens/make.py pendigits-tra-strokes.json``.

The strokes are those of the file pendigits-tra of the dataset named in README.md, in a box of 500 units, y down. The
writers whose number is a multiple of three are held out for evaluation.
"""

import hashlib
import json
import lzma
import sys
from pathlib import Path


def make(source: Path) -> None:
    """Write the file and print the facts that ``playground/engine/data/pen_digits.py`` states."""
    kept = [
        {"label": drawing["label"], "writer": drawing["writer"], "strokes": drawing["strokes"]}
        for drawing in json.loads(source.read_bytes())
        if drawing["writer"] % 3
    ]
    content = "".join(json.dumps(drawing, separators=(",", ":")) + "\n" for drawing in kept).encode()
    packed = lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
    (Path(__file__).parent / "strokes.jsonl.xz").write_bytes(packed)
    digest = hashlib.sha256(content).hexdigest()
    sys.stdout.write(f"{len(kept)} drawings, {len(packed)} bytes, SHA-256 of the unpacked file {digest}\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
