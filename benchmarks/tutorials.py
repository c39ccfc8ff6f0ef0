"""Exercises of the Keras tutorials in this project and in Keras: ``python -m benchmarks.tutorials FOLDER``.

The simple CNN on CIFAR-10 for ten epochs, and the guide's network on Fashion-MNIST for five; both with adam at 1e-3 and
a batch size of 32. FOLDER holds the datasets in torchvision's layout. Needs ``KERAS_PYTHON``, the interpreter of an
environment with Keras and TensorFlow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import describe_machine, print_table

EXERCISES = {"cifar-exercise": "cifar10", "guide": "fashion-mnist"}
_KERAS_SCRIPT = Path(__file__).parent / "contenders" / "keras_tutorial.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder with torchvision's files of CIFAR-10 and Fashion-MNIST.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = [
        ("exercise", "seed", "ours", "Keras", "difference", "ours, s", "Keras, s", "times faster")
    ]
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-") as home:
        os.environ["CNN_PLAYGROUND_HOME"] = home
        (Path(home) / "datasets").symlink_to(options.folder.resolve())
        for preset, dataset in EXERCISES.items():
            for seed in range(options.seeds):
                rows.append(_run_exercise(preset, dataset, seed, options.limit, Path(home)))
                print(" | ".join(rows[-1]), flush=True)
    print()
    print_table(rows)
    print(
        f"\n{describe_machine()}. Test accuracy after the last epoch; seconds of training, ours with all evaluations "
        "and the log."
    )


def _run_exercise(preset: str, dataset: str, seed: int, limit: int | None, home: Path) -> tuple[str, ...]:
    from playground.codegen.keras_model import to_keras
    from playground.core.presets import get_architecture_preset
    from playground.engine.data.dataset_lookup import find_dataset, is_available
    from playground.engine.data.fetch import download_dataset
    from playground.engine.data.splits import load_recipe_splits

    if not is_available(find_dataset(dataset)):
        for _ in download_dataset(dataset):
            pass
    selected = get_architecture_preset(preset)
    assert selected.recipe is not None
    recipe = selected.recipe.replace(dataset=dataset, limit=limit)
    splits = load_recipe_splits(recipe)
    data, model = home / "data.npz", home / "model.py"
    np.savez(
        data,
        train_images=splits.train.images.numpy(),
        train_labels=splits.train.labels.numpy(),
        test_images=splits.test.images.numpy(),
        test_labels=splits.test.labels.numpy(),
    )
    model.write_text(to_keras(selected.architecture), encoding="utf-8")
    options = ["--dataset", dataset, "--seed", str(seed), *(["--limit", str(limit)] if limit else []), "--json"]
    ours = _run_json_command([sys.executable, "-m", "playground", "train", preset, *options])
    settings = [str(recipe.epochs), str(recipe.batch_size), str(seed)]
    keras = _run_json_command([os.environ["KERAS_PYTHON"], str(_KERAS_SCRIPT), str(model), str(data), *settings])
    return (
        f"{preset} on {dataset}, {recipe.epochs} epochs",
        str(seed),
        f"{ours['test_accuracy']:.2%}",
        f"{keras['accuracy']:.2%}",
        f"{(ours['test_accuracy'] - keras['accuracy']) * 100:+.2f}",
        f"{ours['seconds']:.0f}",
        f"{keras['seconds']:.0f}",
        f"{keras['seconds'] / ours['seconds']:.1f}",
    )


def _run_json_command(command: list[str]) -> dict[str, float]:
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(completed.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
