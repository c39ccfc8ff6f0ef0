"""Training loop of most PyTorch tutorials: a Dataset of PIL images, ToTensor, a DataLoader, ``.item()`` each step."""

import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.contenders.process import serve_requests


class MnistDataset(Dataset[Any]):
    """MNIST as torchvision's dataset returns it."""

    def __init__(self, images: Any, labels: Any) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        return self.transform(Image.fromarray(self.images[index], mode="L")), int(self.labels[index])


def _build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(576, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def _train_batches(model: nn.Module, optimizer: Any, loader: Any) -> Any:
    criterion = nn.CrossEntropyLoss()
    model.train()
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
        yield len(labels)


def measure_throughput(data: str, seconds: float, batch_size: int) -> Any:
    """Measure training images per second for about ``seconds``."""
    arrays = np.load(data)
    loader = DataLoader(
        MnistDataset(arrays["train_images"], arrays["train_labels"]), batch_size=batch_size, shuffle=True
    )
    model = _build_model()
    started_at, images = time.perf_counter(), 0
    for step, count in enumerate(_train_batches(model, torch.optim.Adam(model.parameters(), lr=1e-3), loader)):
        if step == 20:
            started_at, images = time.perf_counter(), -count
        images += count
        if step > 20 and time.perf_counter() - started_at > seconds:
            break
    return {"images_per_second": images / (time.perf_counter() - started_at)}


def measure_time_to_accuracy(data: str, seed: int, target: float, batch_size: int, most_epochs: int) -> Any:
    """Measure the seconds of training, without evaluations, to the end of the first epoch that reaches ``target``."""
    arrays = np.load(data)
    torch.manual_seed(seed)
    loader = DataLoader(
        MnistDataset(arrays["train_images"], arrays["train_labels"]), batch_size=batch_size, shuffle=True
    )
    test = DataLoader(MnistDataset(arrays["test_images"], arrays["test_labels"]), batch_size=1000)
    model = _build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    spent, accuracy = 0.0, 0.0
    for epoch in range(1, most_epochs + 1):
        started_at = time.perf_counter()
        for _ in _train_batches(model, optimizer, loader):
            pass
        spent += time.perf_counter() - started_at
        model.eval()
        with torch.no_grad():
            correct = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in test)
        accuracy = correct / len(arrays["test_labels"])
        if accuracy >= target:
            return {"seconds": spent, "epochs": epoch, "accuracy": accuracy}
    return {"seconds": None, "epochs": most_epochs, "accuracy": accuracy}


if __name__ == "__main__":
    serve_requests(measure_throughput, measure_time_to_accuracy)
