"""The tutorials' exercises here and in Keras, on the same images: ``python -m benchmarks.tutorials FOLDER``.

The simple CNN on CIFAR-10 for ten epochs, and the guide's net on Fashion-MNIST for five; both with adam at 1e-3 and
batches of 32. FOLDER holds the data sets as torchvision lays them out. Needs ``KERAS_PYTHON``, the Python of an
environment with tensorflow-cpu.
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
    parser.add_argument("folder", type=Path, help="Where torchvision's files of CIFAR-10 and Fashion-MNIST lie.")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    rows = [("exercise", "seed", "here", "Keras", "points", "here, s", "Keras, s", "times")]
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-") as home:
        os.environ["CNN_PLAYGROUND_HOME"] = home
        (Path(home) / "datasets").symlink_to(options.folder.resolve())
        for preset, dataset in EXERCISES.items():
            for seed in range(options.seeds):
                rows.append(_run_exercise(preset, dataset, seed, Path(home)))
                print(" | ".join(rows[-1]), flush=True)
    print()
    print_table(rows)
    print(
        f"\n{describe_machine()}. Test accuracy at the end; seconds of training, here with all measurements and the log."
    )


def _run_exercise(preset: str, dataset: str, seed: int, home: Path) -> tuple[str, ...]:
    from playground.codegen.keras_model import to_keras
    from playground.core.presets import get_architecture_preset
    from playground.engine.data.fetch import download_dataset
    from playground.engine.data.splits import load_recipe_splits

    for _ in download_dataset(dataset):
        pass
    found = get_architecture_preset(preset)
    assert found.recipe is not None
    recipe = found.recipe.replace(dataset=dataset)
    splits = load_recipe_splits(recipe)
    data, model = home / "data.npz", home / "model.py"
    np.savez(
        data,
        train_images=splits.train.images.numpy(),
        train_labels=splits.train.labels.numpy(),
        test_images=splits.test.images.numpy(),
        test_labels=splits.test.labels.numpy(),
    )
    model.write_text(to_keras(found.architecture), encoding="utf-8")
    chosen = ["--dataset", dataset, "--seed", str(seed), "--json"]
    mine = _run_json_command([sys.executable, "-m", "playground", "train", preset, *chosen])
    settings = [str(recipe.epochs), str(recipe.batch_size), str(seed)]
    theirs = _run_json_command([os.environ["KERAS_PYTHON"], str(_KERAS_SCRIPT), str(model), str(data), *settings])
    return (
        f"{preset} on {dataset}, {recipe.epochs} epochs",
        str(seed),
        f"{mine['test_accuracy']:.2%}",
        f"{theirs['accuracy']:.2%}",
        f"{(mine['test_accuracy'] - theirs['accuracy']) * 100:+.2f}",
        f"{mine['seconds']:.0f}",
        f"{theirs['seconds']:.0f}",
        f"{theirs['seconds'] / mine['seconds']:.1f}",
    )


def _run_json_command(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
