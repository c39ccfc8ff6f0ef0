"""Test accuracy of every preset with its own recipe, or else Quick: ``python -m benchmarks.preset_accuracy --save``.

The presets state these figures (``ArchitecturePreset.test_accuracy``). CIFAR-10 must be downloaded, or lie in the
folder that ``--datasets`` names.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.data import describe_machine, print_table

RESULTS = Path(__file__).parent / "results" / "preset_accuracy.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", help="Names of presets; all valid ones by default.")
    parser.add_argument("--datasets", type=Path, help="Folder with torchvision's files of CIFAR-10.")
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    parser.add_argument("--save", action="store_true", help=f"Write {RESULTS.name}; only for all presets.")
    options = parser.parse_args()
    if options.save and (options.presets or options.limit):
        parser.error("--save needs all presets and all images.")
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-") as home:
        os.environ["CNN_PLAYGROUND_HOME"] = home
        if options.datasets:
            (Path(home) / "datasets").symlink_to(options.datasets.resolve())
        accuracies = _measure_presets(options.presets, options.limit)
    if options.save:
        RESULTS.write_text(json.dumps(accuracies, indent=1) + "\n", encoding="utf-8")


def _measure_presets(names: list[str], limit: int | None) -> dict[str, float]:
    from playground.core.events import Evaluated
    from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
    from playground.engine.data.dataset_lookup import find_dataset, is_available
    from playground.engine.data.fetch import download_dataset
    from playground.engine.training.trainer import Trainer

    rows, accuracies = [("preset", "dataset", "epochs", "test accuracy", "seconds")], {}
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
        accuracies[preset.name] = round(test.accuracy, 4)
        seconds = f"{time.perf_counter() - started_s:.0f}"
        rows.append((preset.name, recipe.dataset, str(recipe.epochs), f"{test.accuracy:.2%}", seconds))
        print(" | ".join(rows[-1]), flush=True)
    print()
    print_table(rows)
    print(f"\n{describe_machine()}.")
    return accuracies


if __name__ == "__main__":
    main()
