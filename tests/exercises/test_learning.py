"""Notebook 02's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from answers import *  # noqa: F403
from torch import nn

from mnist_helpers import exercises
from mnist_helpers.exercises import learning


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()
        )
        self.output = nn.LazyLinear(10)

    def forward(self, images):
        return self.output(self.layers(images))


class WithDropout(learning.Net):
    def forward(self, images):
        return F.dropout(super().forward(images), 0.1, self.training)


class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(784, 32), nn.Linear(32, 10)]

    def forward(self, images):
        return self.layers[1](self.layers[0](images.flatten(1)).relu())


class PartlyRegistered(PlainList):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(10, 10)

    def forward(self, images):
        return self.output(super().forward(images).relu())


class PlainTensors(nn.Module):
    def __init__(self):
        super().__init__()
        self.W = torch.zeros(784, 10, requires_grad=True)

    def forward(self, images):
        return images.flatten(1) @ self.W


class InForward(nn.Module):
    def forward(self, images):
        return nn.Linear(32, 10)(nn.Linear(784, 32)(images.flatten(1)).relu())


class RowByRow(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.output = nn.Linear(28, 32), nn.Linear(32, 10)

    def forward(self, images):
        return self.output(self.hidden(images).relu())


class WithSoftmax(learning.Net):
    def forward(self, images):
        return super().forward(images).softmax(1)


class WithLogSoftmax(learning.Net):
    def forward(self, images):
        return super().forward(images).log_softmax(1)


class WithoutSuper(nn.Module):
    def __init__(self):
        self.hidden = nn.Linear(784, 10)


class NotFlattened(learning.Net):
    def forward(self, images):
        return self.output(self.hidden(images))


class FlattenedBySqueeze(learning.Net):
    def forward(self, images):
        return super().forward(images.squeeze())


class NoReturn(learning.Net):
    def forward(self, images):
        self.output(self.hidden(images.flatten(1)))


class Squeezed(learning.Net):
    def forward(self, images):
        return super().forward(images).argmax(1)


class Detached(learning.Net):
    def forward(self, images):
        return super().forward(images).detach()


class Dead(learning.Net):
    def forward(self, images):
        return self.output(torch.relu(self.hidden(0 * images.flatten(1))))


class Gap(nn.Module):
    def forward(self, images):
        raise NotImplementedError


def gap(*arguments):
    raise NotImplementedError


def accuracy_by_mean(model, loader):
    model.eval()
    with torch.no_grad():
        hits = torch.cat([model(images).argmax(1) == labels for images, labels in loader])
    return hits.float().mean()


def accuracy_in_training_mode(model, loader):
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def accuracy_with_gradients(model, loader):
    model.eval()
    return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def accuracy_over_batches(model, loader):
    model.eval()
    with torch.no_grad():
        shares = [(model(x).argmax(1) == y).float().mean().item() for x, y in loader]
    return sum(shares) / len(shares)


def accuracy_of_first_batch(model, loader):
    model.eval()
    with torch.no_grad():
        for images, labels in loader:
            return (model(images).argmax(1) == labels).float().mean()


def percentage(model, loader):
    return 100 * learning.accuracy(model, loader)


def count(model, loader):
    return learning.accuracy(model, loader) * len(loader.dataset)


def fit_with_set_to_none_at_the_end(model, loader, optimizer, epochs):
    losses = []
    for _ in range(epochs):
        model.train(True)
        seen = []
        for images, labels in loader:
            loss = nn.CrossEntropyLoss(reduction="none")(model(images), labels)
            loss.mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seen.append(loss.detach())
        losses.append(torch.cat(seen).mean().item())
    return losses


def _fit(model, loader, optimizer, epochs, train=True, zero=True, step=True, weighted=True):
    losses = []
    for _ in range(epochs):
        if train:
            model.train()
        total = 0.0
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            if zero:
                optimizer.zero_grad()
            loss.backward()
            if step:
                optimizer.step()
            total += loss.item() * (len(labels) if weighted else 1)
        losses.append(total / (len(loader.dataset) if weighted else len(loader)))
    return losses


def fit_without_train(*arguments):
    return _fit(*arguments, train=False)


def fit_without_zero_grad(*arguments):
    return _fit(*arguments, zero=False)


def fit_without_step(*arguments):
    return _fit(*arguments, step=False)


def fit_with_mean_over_batches(*arguments):
    return _fit(*arguments, weighted=False)


def fit_that_keeps_graphs(model, loader, optimizer, epochs):
    losses = []
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss)
    return losses


def fit_with_one_epoch_only(*arguments):
    return _fit(*arguments)[:1]


def fit_uphill(model, loader, optimizer, epochs):
    losses = []
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = -F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(-loss.item())
    return losses


def fit_with_zero_grad_after_backward(model, loader, optimizer, epochs):
    losses = []
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
        losses.append(loss.item())
    return losses


def fit_with_softmax(model, *arguments, zero=True):
    return _fit(nn.Sequential(model, nn.Softmax(dim=1)), *arguments, zero=zero)


def fit_with_another_optimizer(model, loader, optimizer, epochs):
    return _fit(model, loader, torch.optim.SGD(model.parameters(), lr=0.1), epochs)


CORRECT = {
    "02-1": (
        lambda w, x, t: (2 * x * (w * x - t)).mean(),
        lambda w, x, t: 2 * float((x * (w * x - t)).sum()) / len(x),
    ),
    "02-2": (lambda loss, w, eps: (loss(w + eps) - loss(w - eps)) / (2 * eps),),
    "02-3": (
        lambda logits, labels: (logits.softmax(1) - F.one_hot(labels, 10)) / len(labels),
        lambda logits, labels: torch.autograd.functional.jacobian(
            lambda z: F.cross_entropy(z, labels), logits
        ),
    ),
    "02-4": (
        learning.Net,
        Convolutional,
        WithDropout,
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Tanh(), nn.Linear(32, 10)),
    ),
    "02-5": (learning.accuracy, accuracy_by_mean),
    "02-6": (learning.fit, fit_with_set_to_none_at_the_end),
    "02-7": (["b", "a", "c", "b", "c"], "BACBC", "b, a, c, b, c"),
}
WRONG = [
    ("02-1", lambda w, x, t: (x * (w * x - t)).mean(), "factor 2"),
    ("02-1", lambda w, x, t: (2 * x * (w * x - t)).sum(), "mean"),
    ("02-1", lambda w, x, t: (2 * x * (t - w * x)).mean(), "sign"),
    ("02-1", lambda w, x, t: (2 * (w * x - t)).mean(), "inner derivative"),
    ("02-1", lambda w, x, t: ((w * x - t) ** 2).mean(), "loss itself"),
    ("02-1", lambda w, x, t: 2 * x * (w * x - t), "One number"),
    ("02-1", lambda w, x, t: (2 * w * (w * x - t)).mean(), "for w, and so it is x"),
    ("02-1", lambda w, x, t: 2 * x.mean() * (w * x - t).mean(), "Multiply first"),
    ("02-1", 3.0, "function"),
    ("02-2", lambda loss, w, eps: (loss(w + eps) - loss(w)) / eps, "forward"),
    ("02-2", lambda loss, w, eps: (loss(w) - loss(w - eps)) / eps, "backward"),
    ("02-2", lambda loss, w, eps: (loss(w + eps) - loss(w - eps)) / eps, "2·eps"),
    ("02-2", lambda loss, w, eps: loss(w + eps) - loss(w - eps), "Divide"),
    ("02-2", lambda loss, w, eps: (loss(w + eps) - loss(w - eps)) / 2 * eps, "write a / "),
    ("02-2", lambda loss, w, eps: loss(w + eps) - loss(w - eps) / (2 * eps), "parentheses"),
    ("02-3", lambda z, y: (z.exp() / z.exp().sum() - F.one_hot(y, 10)) / len(y), "dim=1"),
    ("02-3", lambda z, y: (z.softmax(1) - F.one_hot(y, 10)) / 10, "number of classes"),
    ("02-3", lambda z, y: (z.log_softmax(1) - F.one_hot(y, 10)) / len(y), "not log_softmax"),
    ("02-3", lambda z, y: (z.softmax(1) - y[:, None]) / len(y), "not their numbers"),
    ("02-3", lambda z, y: z.softmax(1) - F.one_hot(y, 10), "divide by N"),
    ("02-3", lambda z, y: (F.one_hot(y, 10) - z.softmax(1)) / len(y), "sign"),
    ("02-3", lambda z, y: z.softmax(1) / len(y), "one-hot"),
    ("02-3", lambda z, y: (z.softmax(0) - F.one_hot(y, 10)) / len(y), "dim=1"),
    ("02-3", lambda z, y: (z - F.one_hot(y, 10)) / len(y), "softmax first"),
    ("02-3", lambda z, y: (z.softmax(1) - F.one_hot(y, 10)).mean(1), "shape"),
    ("02-4", PlainList, r"self\.layers are not registered.*ModuleList"),
    ("02-4", PartlyRegistered, r"self\.layers are not registered"),
    ("02-4", PlainTensors, r"self\.W is a plain tensor.*nn\.Parameter"),
    ("02-4", InForward, "no parameters"),
    ("02-4", RowByRow, r"not \[32, 1, 28, 10\]\. Flatten"),
    ("02-4", WithSoftmax, "softmax"),
    ("02-4", WithLogSoftmax, "log_softmax"),
    ("02-4", NotFlattened, "Flatten"),
    ("02-4", FlattenedBySqueeze, "not for a single one"),
    ("02-4", NoReturn, "return"),
    ("02-4", Squeezed, r"\[32, 10\]"),
    ("02-4", Detached, "No gradient"),
    ("02-4", Dead, "memorize"),
    ("02-4", WithoutSuper, r"super\(\)"),
    ("02-4", lambda: nn.Sequential(learning.Net(), nn.ReLU()), "after the last layer"),
    ("02-4", lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "activation"),
    (
        "02-4",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Linear(32, 10)),
        "activation",
    ),
    ("02-4", learning.Net(), "pass Net"),
    ("02-4", lambda: 3, "nn.Module"),
    ("02-4", Gap, "not written"),
    ("02-5", accuracy_in_training_mode, "eval"),
    ("02-5", accuracy_with_gradients, "no_grad"),
    ("02-5", accuracy_over_batches, "last batch"),
    ("02-5", accuracy_of_first_batch, "50 images"),
    ("02-5", percentage, "percentage"),
    ("02-5", count, "divide"),
    ("02-5", lambda m, x: learning.accuracy(m, x) * len(x.dataset) / len(x), "of batches"),
    ("02-5", gap, "not written"),
    ("02-6", fit_without_train, r"model\.train"),
    ("02-6", fit_without_zero_grad, "^Gradients add up"),
    ("02-6", lambda m, *a: fit_with_softmax(m, *a, zero=False), "^Two bugs"),
    ("02-6", fit_with_another_optimizer, "plain training steps"),
    ("02-6", fit_without_step, r"optimizer\.step"),
    ("02-6", fit_with_zero_grad_after_backward, "between the two"),
    ("02-6", fit_with_softmax, "^F.cross_entropy has its own softmax"),
    ("02-6", fit_with_mean_over_batches, "mean over the images"),
    ("02-6", fit_that_keeps_graphs, "item"),
    ("02-6", fit_with_one_epoch_only, "3 numbers"),
    ("02-6", fit_uphill, "does not fall"),
    ("02-6", lambda *arguments: None, "return"),
    ("02-7", "aacbc", "uphill"),
    ("02-7", "bacb", "5 letters"),
]


def test_use_returns_what_passes_and_says_so(capsys: pytest.CaptureFixture) -> None:
    assert exercises.use("02-6", fit_with_set_to_none_at_the_end) is fit_with_set_to_none_at_the_end
    assert "yours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("02-4", Gap, "not written"),
        ("02-5", gap, "not written"),
        ("02-6", fit_without_step, "optimizer.step"),
    ],
)
def test_use_continues_with_the_worked_solution(name, answer, said, capsys) -> None:
    used = exercises.use(name, answer)
    assert used is not answer and exercises.hint_for(name, used) is None
    printed = capsys.readouterr().out
    assert said in printed and "worked solution" in printed


def test_use_refuses_an_exercise_without_a_worked_solution() -> None:
    with pytest.raises(ValueError, match="02-4"):
        exercises.use("02-1", gap)
