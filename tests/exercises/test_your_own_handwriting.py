"""Notebook 07's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from answers import *  # noqa: F403
from sklearn.model_selection import GroupShuffleSplit
from torch import nn
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from mnist_helpers import load_checkpoint
from mnist_helpers.exercises import your_own_handwriting as own
from mnist_helpers.prediction import PRETRAINED_WEIGHTS


def gap(*arguments):
    raise NotImplementedError


def split_with_sklearn(writers, share, seed):
    splitter = GroupShuffleSplit(n_splits=1, train_size=share, random_state=seed)
    train, _ = next(splitter.split(writers, groups=writers))
    mask = np.zeros(len(writers), bool)
    mask[train] = True
    return mask


def split_with_sets(writers, share, seed):
    names = sorted(set(writers))
    np.random.default_rng(seed).shuffle(names)
    chosen = set(names[: round(share * len(names))])
    return np.array([writer in chosen for writer in writers])


def split_at_random(writers, share, seed):
    return np.random.default_rng(seed).random(len(writers)) < share


def split_the_other_way(writers, share, seed):
    return ~own.split_by_writer(writers, share, seed)


def split_with_replacement(writers, share, seed):
    names = np.unique(writers)
    chosen = np.random.default_rng(seed).choice(names, round(share * len(names)))
    return np.isin(writers, chosen)


def split_the_first(writers, share, seed):
    return np.isin(writers, np.unique(writers)[:6])


def split_without_seed(writers, share, seed):
    return own.split_by_writer(writers, share, None)


def split_into_indices(writers, share, seed):
    return np.flatnonzero(own.split_by_writer(writers, share, seed))


def freeze_by_loop(model):
    count = 0
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("fc.")
        count += parameter.numel() if parameter.requires_grad else 0
    return torch.tensor(count)


def freeze_with(frozen=True, head=True, count=None):
    def answer(model):
        if frozen:
            model.requires_grad_(False)
        if head:
            model.fc.requires_grad_(True)
        trainable = [p for p in model.parameters() if p.requires_grad]
        return sum(p.numel() for p in trainable) if count is None else count(model, trainable)

    return answer


def freeze_by_attribute(model):
    model.requires_grad = False
    return 130


def freeze_the_convolution(model):
    model.conv.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def freeze_without_bias(model):
    model.requires_grad_(False)
    model.fc.weight.requires_grad = True
    return 120


def freeze_and_replace(model):
    model.fc = nn.Linear(12, 10)
    return own.freeze(model)


def keep_statistics_of_children(model):
    model.train()
    for layer in model.children():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def keep_statistics(model):
    model.train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def tune_with(prepare, each_epoch=True, zero=True, step=True, backward=True, epochs=None):
    def answer(model, loader, optimizer, wanted):
        prepare(model)
        for _ in range(epochs or wanted):
            if each_epoch:
                prepare(model)
            for images, labels in loader:
                loss = F.cross_entropy(model(images), labels)
                if zero:
                    optimizer.zero_grad()
                if backward:
                    loss.backward()
                if step:
                    optimizer.step()
        return model

    return answer


def tune_the_frozen(model, loader, optimizer, epochs):
    model.requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return own.fine_tune(model, loader, optimizer, epochs)


def tune_without_return(*arguments):
    own.fine_tune(*arguments)


class ReplayByHand:
    """Batches with exactly that many new images (rounded), drawn again in each epoch."""

    def __init__(self, new, old, share, batch_size):
        self.new, self.old, self.count = new, old, (round(share * batch_size), batch_size)

    def __iter__(self):
        count, size = self.count
        for _ in range(len(self.old) // size):
            picked = [self.new[i] for i in torch.randint(len(self.new), (count,))]
            picked += [self.old[i] for i in torch.randint(len(self.old), (size - count,))]
            images, labels = zip(*picked, strict=True)
            yield torch.stack(images), torch.tensor(labels)


def replay_with(of_new, of_old, epoch=None, batch=None):
    def answer(new, old, share, batch_size):
        weights = [of_new(share, new)] * len(new) + [of_old(share, old)] * len(old)
        sampler = WeightedRandomSampler(weights, epoch or len(old))
        return DataLoader(ConcatDataset([new, old]), batch or batch_size, sampler=sampler)

    return answer


def right_new(share, new):
    return share / len(new)


def right_old(share, old):
    return (1 - share) / len(old)


def replay_one_after_the_other(new, old, share, batch_size):
    some = Subset(old, range(300))
    repeated = ConcatDataset([new] * 10)
    return DataLoader(ConcatDataset([repeated, some]), batch_size)


def replay_of_few(new, old, share, batch_size):
    few = Subset(old, range(40))
    weights = [share / len(new)] * len(new) + [(1 - share) / 40] * 40
    sampler = WeightedRandomSampler(weights, len(old))
    return DataLoader(ConcatDataset([new, few]), batch_size, sampler=sampler)


def replay_shuffled(new, old, share, batch_size):
    pool = ConcatDataset([new, Subset(old, range(390))])
    return DataLoader(pool, batch_size, shuffle=True)


CORRECT = {
    "07-1": (own.split_by_writer, split_with_sklearn, split_with_sets),
    "07-2": (own.forgotten, lambda y, a, b: ((a == y) & (b != y)).sum() / (a == y).sum()),
    "07-3": (own.freeze, freeze_by_loop),
    "07-4": (own.fine_tune, tune_with(keep_statistics)),
    "07-5": (own.replay_loader, ReplayByHand),
    "07-6": ("bcaab", ["B", "C", "A", "A", "B"]),
}
WRONG = [
    ("07-1", split_at_random, "both sides"),
    ("07-1", split_the_other_way, "the others"),
    ("07-1", split_the_first, "Each seed"),
    ("07-1", split_without_seed, "same seed"),
    ("07-1", split_into_indices, "mask"),
    ("07-1", lambda writers, share, seed: np.isin(writers, writers[:1]), "6 are for training"),
    ("07-1", split_with_replacement, "none twice"),
    ("07-1", 3, "function"),
    ("07-2", lambda y, a, b: (a == y).mean() - (b == y).mean(), "difference"),
    ("07-2", lambda y, a, b: ((a == y) & (b != y)).mean(), "not by all"),
    ("07-2", lambda y, a, b: ((a == y) & (b != y)).sum(), "their number"),
    ("07-2", lambda y, a, b: (b != y).mean(), "errors afterwards"),
    ("07-2", lambda y, a, b: (b[a == y] == y[a == y]).mean(), "kept"),
    ("07-2", lambda y, a, b: 100 * own.forgotten(y, a, b), "percentage"),
    ("07-2", lambda y, a, b: 0.123, "0.123"),
    ("07-3", freeze_with(frozen=False), "still trainable"),
    ("07-3", freeze_with(head=False), "Nothing is left"),
    ("07-3", freeze_by_attribute, "underscore"),
    ("07-3", freeze_the_convolution, "only model.fc"),
    ("07-3", freeze_without_bias, "as a whole"),
    ("07-3", freeze_and_replace, "weight has changed"),
    ("07-3", freeze_with(count=lambda model, trainable: 120), "biases"),
    ("07-3", freeze_with(count=lambda model, trainable: len(trainable)), "counts tensors"),
    (
        "07-3",
        freeze_with(count=lambda model, _: sum(p.numel() for p in model.parameters())),
        "counts all",
    ),
    (
        "07-3",
        freeze_with(
            count=lambda model, _: sum(p.numel() for p in model.parameters() if not p.requires_grad)
        ),
        "frozen ones",
    ),
    ("07-3", freeze_with(count=lambda model, _: 7), "not 7"),
    ("07-3", freeze_with(count=lambda model, _: model), "Return the number"),
    ("07-4", tune_with(lambda model: model.train()), "statistics"),
    ("07-4", tune_with(lambda model: model.eval()), "Only BatchNorm"),
    ("07-4", tune_with(lambda model: None), "Only BatchNorm"),
    ("07-4", tune_with(keep_statistics_of_children), "statistics"),
    ("07-4", lambda *arguments: [own.fine_tune(*arguments)], "Return the model"),
    ("07-4", tune_with(keep_statistics, step=False), "No weight"),
    ("07-4", tune_with(keep_statistics, zero=False), "zero_grad"),
    ("07-4", tune_with(keep_statistics, epochs=1), "6 steps"),
    ("07-4", tune_the_frozen, "frozen weight"),
    ("07-4", tune_without_return, "return"),
    ("07-5", replay_with(lambda s, n: 1.0, lambda s, n: 1.0), "equally often"),
    ("07-5", replay_shuffled, "equally often"),
    ("07-5", replay_with(lambda s, n: s, lambda s, n: 1 - s), "single image"),
    ("07-5", replay_with(right_old, right_new), "exchanged"),
    ("07-5", replay_with(lambda s, n: 0.5 / len(n), lambda s, n: 0.5 / len(n)), "50% are"),
    ("07-5", replay_with(right_new, right_old, epoch=100), "as many images"),
    ("07-5", replay_with(right_new, right_old, batch=40), "batch_size"),
    ("07-5", replay_of_few, "never are"),
    ("07-5", replay_one_after_the_other, "mixed within"),
    ("07-5", lambda *arguments: 3, "DataLoader"),
    ("07-6", "acaab", "body"),
    ("07-6", "bca", "5 letters"),
]


def test_the_solutions_fine_tune_the_pretrained_network() -> None:
    """Its body stays bit for bit what it was; only the last layer learns."""
    model = load_checkpoint(PRETRAINED_WEIGHTS).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert own.freeze(model) == 11_530
    new = TensorDataset(torch.rand(20, 1, 28, 28), torch.arange(20) % 10)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    own.fine_tune(model, own.replay_loader(new, new, 0.5, 10), optimizer, 1)
    changed = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert changed == ["fc.weight", "fc.bias"]
