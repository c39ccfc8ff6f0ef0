"""Test accuracy of every preset with its own recipe, or else Quick: ``python -m benchmarks.preset_accuracy --save``.

The presets state these figures (``ArchitecturePreset.test_accuracy``). CIFAR-10 must be downloaded, or lie in the
folder that ``--datasets`` names.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import describe_machine, print_table

RESULTS = Path(__file__).parent / "results" / "preset_accuracy.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", help="Names of presets; all valid ones by default.")
    parser.add_argument("--datasets", type=Path, help="Folder with torchvision's files of CIFAR-10.")
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    parser.add_argument("--save", action="store_true", help=f"Enter the figures into {RESULTS.name}.")
    options = parser.parse_args()
    if options.save and options.limit:
        parser.error("--save needs all images.")
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-") as home:
        os.environ["CNN_PLAYGROUND_HOME"] = home
        if options.datasets:
            (Path(home) / "datasets").symlink_to(options.datasets.resolve())
        for name, accuracy in _measure_presets(options.presets, options.limit):
            if options.save:
                saved = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
                text = json.dumps(dict(sorted((saved | {name: accuracy}).items())), indent=1)
                RESULTS.write_text(text + "\n", encoding="utf-8")


def _measure_presets(names: list[str], limit: int | None) -> Iterator[tuple[str, float]]:
    from playground.core.events import Evaluated
    from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
    from playground.engine.data.dataset_lookup import find_dataset, is_available
    from playground.engine.data.fetch import download_dataset
    from playground.engine.training.trainer import Trainer

    rows = [("preset", "dataset", "epochs", "test accuracy", "seconds")]
    for preset in (ARCHITECTURE_PRESETS[name] for name in names or ARCHITECTURE_PRESETS):
        if preset.is_broken:
            continue
        recipe = (preset.recipe or RECIPE_PRESETS["sprint"].recipe).replace(device="cpu")
        if limit:
            recipe = recipe.replace(limit=limit)
        if not is_available(find_dataset(recipe.dataset)):
            for _ in download_dataset(recipe.dataset):
                pass
        started_s = time.perf_counter()
        *_, test = (
            event
            for event in Trainer(preset.architecture, recipe).run()
            if isinstance(event, Evaluated) and event.split == "test"
        )
        seconds = f"{time.perf_counter() - started_s:.0f}"
        rows.append((preset.name, recipe.dataset, str(recipe.epochs), f"{test.accuracy:.2%}", seconds))
        print(" | ".join(rows[-1]), flush=True)
        yield preset.name, round(test.accuracy, 4)
    print()
    print_table(rows)
    print(f"\n{describe_machine()}.")


if __name__ == "__main__":
    main()
