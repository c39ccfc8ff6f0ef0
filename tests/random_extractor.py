"""Feature extractors with random weights in place of pretrained ones; as a program, the task that computes features."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torchvision import models

from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.feature_extraction import EXTRACTORS, main
from playground.engine.data.torchvision_sources import datasets_folder


def put_random_weights(name: str, content: object = None) -> Path:
    """A file where the weights of a net belong: weights of its architecture, or something else."""
    torch.manual_seed(0)
    folder = datasets_folder() / "torchvision"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(models.get_model(name).state_dict() if content is None else content, folder / "weights")
    checksum = hashlib.sha256((folder / "weights").read_bytes()).hexdigest()
    return (folder / "weights").rename(folder / f"{name}-{checksum[:8]}.pth")


def expect_what_is_there() -> None:
    """Change the table so that the files that were put there are the right ones."""
    for path in (datasets_folder() / "torchvision").glob("*.pth"):
        name = path.stem.rpartition("-")[0]
        EXTRACTORS[name] = replace(EXTRACTORS[name], file=path.name)


def light_and_dark(count: int = 20) -> str:
    """A data set of grey noise, light and dark, so many images of each; half of them for the test."""
    noise = torch.randint(0, 60, (4, count // 2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    levels = torch.tensor([0, 190, 0, 190]).view(4, 1, 1, 1, 1)
    images = (noise + levels).to(torch.uint8)
    labels = torch.tensor([0, 1]).repeat_interleave(count // 2)
    train, test = (LabeledImages(part.flatten(0, 1), labels) for part in (images[:2], images[2:]))
    return save_custom_dataset("Light", CustomImages(train, test, ("dark", "light"), (), 0))


if __name__ == "__main__":
    expect_what_is_there()
    main(*sys.argv[1:])
