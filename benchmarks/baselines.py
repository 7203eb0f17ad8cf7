"""Public projects' networks, trained as their users train them; what is kept of a training run."""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from mnist_helpers.data import Digits, find_idx, load_mnist
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.recipes import Recipe, recipe_for
from mnist_helpers.training import learning_rate, make_optimizer

from .common import baseline_transform, peak_memory

BASELINES = ("mnistnet", "pytorch_example", "speedrun_2020")


def run_baseline(
    name: str, seed: int, epochs: int | None, data: Path, device: torch.device
) -> dict:
    """Train a public project's network as its users do, with a `DataLoader`."""
    recipe = recipe_for(name)
    torch.manual_seed(seed)
    model = build_model(name)[1:].to(device)  # normalizing is the loader's task there
    optimizer = make_optimizer(model, recipe)
    test = load_mnist("idx", data, val_size=0).test.to(device)
    with baseline_batches(name, recipe, data, device) as loader:
        history = []
        for epoch in range(epochs or recipe.epochs):
            started = time.perf_counter()
            model.train()
            for step, (images, labels) in enumerate(loader, epoch * len(loader)):
                optimizer.param_groups[0]["lr"] = learning_rate(recipe, step, len(loader))
                optimizer.zero_grad()
                loss = F.cross_entropy(model(images.to(device)), labels.to(device))
                loss.backward()
                optimizer.step()
            loss.item()  # waits for a GPU, as the end of our epochs does
            seconds = time.perf_counter() - started
            history.append({"seconds": seconds, "test_accuracy": baseline_accuracy(model, test)})
    return result(name, seed, model, recipe, history)


@contextmanager
def baseline_batches(
    name: str, recipe: Recipe, data: Path, device: torch.device
) -> Iterator[DataLoader | list[tuple[torch.Tensor, torch.Tensor]]]:
    """Give the batches of normalized images that a public project trains on."""
    if name == "speedrun_2020":
        train = load_mnist("idx", data, val_size=0).train.to(device)
        images = build_model(name)[0].to(device)(train.images)
        size = recipe.batch_size
        yield list(zip(images.split(size), train.labels.split(size), strict=True))
        return
    with baseline_dataset(data) as dataset:
        yield baseline_loader(name, dataset, recipe, device)


def baseline_loader(
    name: str, dataset: Dataset, recipe: Recipe, device: torch.device
) -> DataLoader:
    """Return the `DataLoader` that a public project makes for a device."""
    options: dict = {"shuffle": name != "pytorch_example"}
    if name == "pytorch_example" and device.type == "cuda":
        options = {"shuffle": True, "num_workers": 1, "pin_memory": True}
    return DataLoader(dataset, recipe.batch_size, **options)


@contextmanager
def baseline_dataset(data: Path) -> Iterator:
    """Give torchvision's MNIST over files that it understands, in a folder that is then deleted."""
    from torchvision.datasets import MNIST

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "MNIST", "raw")
        raw.mkdir(parents=True)
        for stem, path in find_idx(data).items():
            content = path.read_bytes()
            packed = content[:2] == b"\x1f\x8b"
            (raw / stem).write_bytes(gzip.decompress(content) if packed else content)
        yield MNIST(folder, train=True, transform=baseline_transform())


@torch.inference_mode()
def baseline_accuracy(model: torch.nn.Module, test: Digits) -> float:
    """Return the accuracy of a network that wants normalized images."""
    normalize = build_model("mnistnet")[0].to(test.images.device)
    model.eval()
    found = [model(normalize(images)).argmax(1) for images in test.images.split(1000)]
    return (torch.cat(found) == test.labels).double().mean().item()


def result(
    name: str, seed: int, model: torch.nn.Module, recipe: Recipe, history: list[dict]
) -> dict:
    """Return what is kept of a run; its memory is the GPU's where it ran on one."""
    gpu = next(model.parameters()).is_cuda
    return {
        "name": name,
        "seed": seed,
        "parameters": count_parameters(model),
        "epochs": recipe.epochs,
        "history": history,
        "memory_mb": torch.cuda.max_memory_allocated() / 1e6 if gpu else peak_memory(),
        "recipe": asdict(recipe),
    }
