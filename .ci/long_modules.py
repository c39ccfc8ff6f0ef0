"""Print a warning for every given Python file of more than 400 lines; the exit code is always 0."""

import sys
from pathlib import Path

SOFT_LIMIT = 400


def main() -> None:
    """Check the files named on the command line."""
    for name in sys.argv[1:]:
        line_count = len(Path(name).read_text(encoding="utf-8").splitlines())
        if line_count > SOFT_LIMIT:
            sys.stdout.write(f"warning: {name} has {line_count} lines (soft limit {SOFT_LIMIT}): split it by meaning\n")


if __name__ == "__main__":
    main()
