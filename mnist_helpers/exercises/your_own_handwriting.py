"""Self-checks of notebook 07, your own handwriting, and the worked solutions behind `use`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset, WeightedRandomSampler

from .engine import Hint, exercise, expect_function, number, recall_hint, solution


@solution("07-1")
def split_by_writer(writers, share, seed):
    """Return a mask of the training images: all images of a random share of the writers."""
    names = np.random.default_rng(seed).permutation(np.unique(writers))
    return np.isin(writers, names[: round(share * len(names))])


@solution("07-2")
def forgotten(labels, before, after):
    """Return which share of the correct predictions before are wrong after."""
    known = before == labels
    return (after[known] != labels[known]).mean()


@solution("07-3")
def freeze(model):
    """Leave only the last layer trainable; return how many numbers that are."""
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@solution("07-4")
def fine_tune(model, loader, optimizer, epochs):
    """Train a model, but keep the statistics of its BatchNorm layers."""
    for _ in range(epochs):
        model.train()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@solution("07-5")
def replay_loader(new, old, share, batch_size):
    """Return batches of which, on average, a share is new and the rest is old."""
    weights = [share / len(new)] * len(new) + [(1 - share) / len(old)] * len(old)
    sampler = WeightedRandomSampler(weights, num_samples=len(old))
    return DataLoader(ConcatDataset([new, old]), batch_size=batch_size, sampler=sampler)


@exercise("07-1")
def _by_writer(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rng = np.random.default_rng(1)
    counts = rng.integers(3, 40, 10)
    writers = rng.permutation(np.repeat([f"writer {name}" for name in range(10)], counts))
    mask = np.asarray(answer(writers.copy(), 0.6, 0))
    if mask.shape != writers.shape or mask.dtype != bool:
        return (
            f"A mask was asked for: True or False for each of the {len(writers)} images, not "
            f"{mask.dtype} of shape {list(mask.shape)}."
        )
    train, test = set(writers[mask]), set(writers[~mask])
    if both := sorted(train & test):
        return (
            f"{both[0]} and {len(both) - 1} more are on both sides. Draw writers, not images, and "
            "take all images of each."
        )
    if len(train) == 4:
        return "The share is that of the training writers; yours is that of the others."
    masks = [np.asarray(answer(writers.copy(), 0.6, seed)) for seed in range(4)]
    numbers = [len(set(writers[one])) for one in masks]
    if len(set(numbers)) > 1:
        return (
            f"With four seeds {', '.join(map(str, numbers))} of 10 writers are for training: draw "
            "a fixed number, and none twice (choice does, without replace=False)."
        )
    if len(train) != 6:
        return f"With 10 writers and a share of 0.6, 6 are for training, not {len(train)}."
    if all(np.array_equal(mask, other) for other in masks):
        return "Each seed gives the same writers: draw them with np.random.default_rng(seed)."
    return None if np.array_equal(mask, masks[0]) else "The same seed must give the same writers."


@exercise("07-2")
def _forgotten(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    labels = np.arange(10)
    before, after = labels.copy(), labels.copy()
    before[:2] = 9  # two wrong before, of which one is corrected
    after[1] = 9
    after[2:4] = 0  # and two forgotten
    got = number(answer(labels, before, after))
    wrong = {
        2 / 10: "Divide by the images that were predicted correctly before, not by all.",
        1 / 10: "That is the difference of the accuracies: what was newly learned hides in it.",
        25: "That is a percentage; a share from 0 to 1 was asked for.",
        2: "That is their number: divide by the images that were predicted correctly before.",
        3 / 10: "That is the share of errors afterwards, of all images.",
        6 / 8: "That is the share that was kept.",
    }
    if np.isclose(got, 2 / 8):
        return None
    for value, hint in wrong.items():
        if np.isclose(got, value):
            return hint
    return f"In a trial 2 of 8 are forgotten: 0.25, yours gives {got:.3f}."


class _Network(nn.Module):
    """A small network with what fine-tuning meets: BatchNorm, dropout and a last layer `fc`."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=4)
        self.norm = nn.Sequential(nn.BatchNorm2d(4))  # in a part of its own, as in many networks
        self.hidden = nn.Linear(144, 12)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, 10]``."""
        features = self.norm(self.conv(images)).relu().flatten(1)
        return self.fc(self.dropout(self.hidden(features).relu()))


@exercise("07-3")
def _freeze(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    model = _network()
    got = answer(model)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    if len(trainable) == len(list(model.parameters())):
        if "requires_grad" in vars(model):
            return (
                "`model.requires_grad = False` only sets an attribute that nobody looks at: call "
                "model.requires_grad_(False), with an underscore."
            )
        return "Every parameter is still trainable: requires_grad_(False) freezes."
    if not trainable:
        return "Nothing is left to train: model.fc.requires_grad_(True), after freezing the rest."
    if missing := {"fc.weight", "fc.bias"} - trainable:
        return f"The last layer is trained as a whole: {', '.join(sorted(missing))} is frozen."
    if more := sorted(trainable - {"fc.weight", "fc.bias"}):
        return f"{', '.join(more)} is still trainable; only model.fc is to be."
    before = _network().state_dict()
    if any(not torch.equal(value, before[name]) for name, value in model.state_dict().items()):
        return "A weight has changed: freezing leaves all of them as they are, those of fc too."
    return _why_not_130(got)


def _why_not_130(got: Any) -> str | None:
    """Return a hint if the number of trainable parameters is not that of a 12×10 layer."""
    if isinstance(got, nn.Module):
        return "Return the number of trainable parameters, not the model."
    got = number(got)
    total = sum(p.numel() for p in _network().parameters())
    wrong = {
        120: "The ten biases are parameters too.",
        2: "That counts tensors; numel() says how many numbers a tensor has.",
        total: "That counts all parameters: leave out those with requires_grad=False.",
        total - 130: "Those are the frozen ones.",
    }
    hint = f"The last layer of the trial network has 12·10 + 10 = 130 numbers, not {got:g}."
    return None if got == 130 else wrong.get(int(got), hint)


def _network(dropout: float = 0.0) -> _Network:
    """Return the network with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _Network(dropout)


@exercise("07-4")
def _fine_tune(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    start = _network(dropout=0.3).state_dict()
    got, modes = _tuned(answer, dropout=0.3)
    statistics = [name for name in start if "running" in name or "batches" in name]
    if any(not torch.equal(got[name], start[name]) for name in statistics):
        return (
            "The statistics of BatchNorm have changed: model.train() switches them on. After it, "
            "call eval() on each nn.BatchNorm2d layer, in every epoch."
        )
    if not torch.equal(got["conv.weight"], start["conv.weight"]):
        return "A frozen weight has changed: leave requires_grad as it is."
    if torch.equal(got["fc.weight"], start["fc.weight"]):
        return "No weight has changed: loss.backward(), then optimizer.step()."
    if len(modes) != 6:
        return f"3 epochs of 2 batches are 6 steps, not {len(modes)}."
    if not all(modes):
        return "Only BatchNorm is to be in evaluation mode; the rest, dropout for one, trains."
    got, expected = (_tuned(function, dropout=0.0)[0] for function in (answer, fine_tune))
    if not torch.allclose(got["fc.weight"], expected["fc.weight"], atol=1e-5):
        return (
            "The weights are not those of plain training steps: zero_grad() before each "
            "backward(), logits in F.cross_entropy, and one step for each batch."
        )
    return None


def _tuned(answer: Callable, dropout: float) -> tuple[dict[str, Tensor], list[bool]]:
    """Fine-tune a half frozen network; return its state and whether dropout was on, by step."""
    model = _network(dropout)
    model.conv.requires_grad_(False)
    modes: list[bool] = []
    model.dropout.register_forward_pre_hook(lambda layer, _: modes.append(layer.training))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(20, 1, 28, 28, generator=generator)
    labels = torch.randint(10, (20,), generator=generator)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.eval()  # as an evaluation leaves it
        loader = DataLoader(TensorDataset(images, labels), batch_size=10)
        if answer(model, loader, optimizer, 3) is not model:
            raise Hint("Return the model.")
    return {name: value.clone() for name, value in model.state_dict().items()}, modes


@exercise("07-5")
def _replay(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    new = TensorDataset(torch.ones(10, 1), torch.arange(10))
    old = TensorDataset(torch.zeros(400, 1), torch.arange(400))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        batches = _batches(answer(new, old, 0.25, 50))
    is_new = torch.cat([images for images, _ in batches]).flatten().bool()
    labels = torch.cat([labels for _, labels in batches])
    if len(labels) != 5 * 400:
        count = len(labels) // 5
        return f"An epoch has as many images as there are old ones, 400 in a trial, not {count}."
    if len(batches[0][1]) != 50:
        return f"A batch has batch_size images, 50 in a trial, not {len(batches[0][1])}."
    if hint := _why_wrong_share(float(is_new.float().mean())):
        return hint
    if len(labels[is_new].unique()) < 10 or len(labels[~is_new].unique()) < 300:
        return "Each new and each old image is to be drawn now and then; some never are."
    shares = torch.stack([images.mean() for images, _ in batches])
    if shares.max() > 0.7:
        return "New and old images are to be mixed within the batches, not one after the other."
    return None


def _batches(loader: Any) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of five epochs, or raise a hint if there are none."""
    try:
        return [(images, labels) for _ in range(5) for images, labels in loader]
    except (TypeError, ValueError) as error:
        raise Hint("Return a DataLoader whose batches are images and labels.") from error


def _why_wrong_share(share: float) -> str | None:
    """Return a hint if not about a quarter of the images drawn is new, in 10 new and 400 old."""
    if abs(share - 0.25) < 0.04:
        return None
    if abs(share - 0.75) < 0.04:
        return "Old and new are exchanged: a quarter of the trial was to be new."
    if abs(share - 10 / 410) < 0.008:
        return (
            "Each image is drawn equally often, so the new ones are lost among the old: give them "
            "larger weights in a WeightedRandomSampler."
        )
    if share < 0.02:
        return "A weight belongs to a single image: divide the share by the number of images."
    return f"In a trial a quarter of the images was to be new; of yours {share:.0%} are."


@exercise("07-6")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: what the body has learned from 60,000 digits is kept; the last layer is new.",
        "2: its running mean and variance are buffers, and model.train() updates them.",
        "3: a random split has the same writers on both sides, and they write alike.",
        "4: errors that are corrected make up for some that are new.",
        "5: training on hard labels raises the logits, so the old temperature is too low.",
    )
    return recall_hint(answer, "bcaab", hints)
