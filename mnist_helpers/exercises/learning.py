"""Self-checks of notebook 02, learning, and the worked solutions behind `use`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from .engine import exercise, expect_function, number, recall_hint, solution
from .torch_checks import (
    compare_tensors,
    diagnosed_network,
    scalar,
    tensors_agree,
    train_with_bugs,
    why_not_useful,
)


@solution("02-4")
class Net(nn.Module):
    """A network with one hidden layer: 784 pixels, 128 features, 10 logits."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 128)
        self.output = nn.Linear(128, 10)

    def forward(self, images):
        """Return logits [N, 10] for images [N, 1, 28, 28]."""
        pixels = images.flatten(start_dim=1)
        return self.output(torch.relu(self.hidden(pixels)))


@solution("02-5")
def accuracy(model, loader):
    """Return the share of images that the model classifies correctly."""
    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (model(images).argmax(dim=1) == labels).sum().item()
    return correct / len(loader.dataset)


@solution("02-6")
def fit(model, loader, optimizer, epochs):
    """Train a model, and return the mean loss of each epoch."""
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        losses.append(total / len(loader.dataset))
    return losses


@exercise("02-1")
def _gradient_of_one_weight(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    x, target = torch.tensor([1.0, 2.0, -3.0, 0.5]), torch.tensor([1.0, -1.0, -1.0, 1.0])
    expected = (2 * x * (0.7 * x - target)).mean()
    got = scalar(answer(0.7, x, target))
    wrong = {
        "The factor 2 is missing: the derivative of a square is 2 times what is squared, times "
        "the inner derivative.": expected / 2,
        "That is the sum over the examples; the loss is their mean.": expected * len(x),
        "The sign is reversed: the difference is prediction minus target.": -expected,
        "The inner derivative is missing: w·x − t depends on w through x.": (
            2 * (0.7 * x - target)
        ).mean(),
        "That is the loss itself; its derivative is asked for.": ((0.7 * x - target) ** 2).mean(),
        "The inner derivative is the one for w, and so it is x.": 2
        * 0.7
        * (0.7 * x - target).mean(),
        "Multiply first, then take the mean: a product of means is another number.": (
            2 * x.mean() * (0.7 * x - target).mean()
        ),
    }
    return compare_tensors(got, expected, wrong)


@exercise("02-2")
def _central_difference(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint

    def loss(w: float) -> float:
        return w**3 - w

    got = scalar(answer(loss, 2.0, 0.1))
    expected = torch.tensor((loss(2.1) - loss(1.9)) / 0.2)
    wrong = {
        "That is a forward difference: nudge the weight in both directions.": torch.tensor(
            (loss(2.1) - loss(2.0)) / 0.1
        ),
        "That is a backward difference: nudge the weight in both directions.": torch.tensor(
            (loss(2.0) - loss(1.9)) / 0.1
        ),
        "The two points are 2·eps apart, not eps.": 2 * expected,
        "Divide the difference of the losses by the distance of the two points.": 0.2 * expected,
        "The sign is reversed: loss at w + eps minus loss at w − eps.": -expected,
        "Python divides before it subtracts: put the difference in parentheses.": torch.tensor(
            loss(2.1) - loss(1.9) / 0.2
        ),
        "Python computes a / 2 * eps as (a / 2) * eps: write a / (2 * eps).": 0.01 * expected,
    }
    return compare_tensors(got, expected, wrong)


@exercise("02-3")
def _gradient_of_logits(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    logits = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 1.0, 3.0, -2.0], [1.0, 1.0, 0.0, 0.0]])
    logits = torch.cat([logits, torch.zeros(3, 6)], dim=1)
    labels = torch.tensor([0, 2, 9])
    one_hot = F.one_hot(labels, 10)
    expected = (logits.softmax(1) - one_hot) / 3
    got = torch.as_tensor(answer(logits.clone(), labels.clone()))
    if got.shape != expected.shape:
        return f"The gradient has the logits' shape, {list(expected.shape)}, not {list(got.shape)}."
    wrong = {
        "The mean over the N images is missing: divide by N.": 3 * expected,
        "The sign is reversed: softmax minus one-hot.": -expected,
        "Those are the probabilities; the one-hot labels are missing.": logits.softmax(1) / 3,
        "Softmax runs over the ten classes of an image: dim=1.": (logits.softmax(0) - one_hot) / 3,
        "Divide by the number of images, not by the number of logits.": expected * 3 / 30,
        "The logits must go through softmax first.": (logits - one_hot) / 3,
        "Each image has probabilities of its own, which sum to 1: softmax with dim=1.": (
            (logits.exp() / logits.exp().sum() - one_hot) / 3
        ),
        "Divide by the number of images, not by the number of classes.": expected * 3 / 10,
        "Those are log-probabilities: softmax, not log_softmax.": (
            (logits.log_softmax(1) - one_hot) / 3
        ),
        "Subtract the one-hot labels, not their numbers.": (
            (logits.softmax(1) - labels[:, None]) / 3
        ),
    }
    return compare_tensors(got, expected, wrong)


@exercise("02-4")
def _network(answer: Callable[[], nn.Module]) -> str | None:
    with torch.random.fork_rng(devices=[]):
        model, images, labels = diagnosed_network(answer, "Net")
        return why_not_useful(model, images, labels)


@exercise("02-5")
def _accuracy(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    images, labels = _toy_images(50)
    probe = _Probe(labels)
    probe.train()
    loader = DataLoader(TensorDataset(images, labels), batch_size=32)
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed
        got = number(answer(probe, loader))
    expected = probe.correct / 50
    if probe.seen != 50:
        return f"Each of the 50 images counts once; the network was given {probe.seen}."
    if any(probe.was_training):
        return "Dropout and BatchNorm must not act as in training: call model.eval() first."
    if any(probe.had_gradients):
        return "No gradients are needed here: loop inside `with torch.no_grad():`."
    by_batch = sum(probe.batch_accuracies) / len(probe.batch_accuracies)
    wrong = {
        "A share from 0 to 1 was asked for, not a percentage.": 100 * expected,
        "That is the number of correct predictions: divide by the number of images.": 50 * expected,
        "len(loader) is the number of batches: divide by the number of images.": 25 * expected,
        "The last batch is smaller, so the mean over batches is not the mean over images: count "
        "correct predictions, and divide once.": by_batch,
        "That is the share of errors.": 1 - expected,
        "Count over all batches: that is the last batch alone.": probe.batch_accuracies[-1],
    }
    return compare_tensors(torch.tensor(got), torch.tensor(expected), wrong)


@exercise("02-6")
def _fit(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    images, labels = _toy_images(40)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        losses = _fit_with(answer, model, images, labels)
        if isinstance(losses, str):
            return losses
        after = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(start)
        expected = _fit_with(fit, model, images, labels)
        assert not isinstance(expected, str), "the solution gives no hint"
        reference = {name: value.clone() for name, value in model.state_dict().items()}
        if hint := _why_another_run(losses, after, expected, reference, start):
            return _known_bug(model, start, after, (images, labels)) or hint
    return None


def _fit_with(
    answer: Callable, model: nn.Module, images: Tensor, labels: Tensor
) -> list[float] | str:
    """Train a network from evaluation mode with `answer`; return the losses, or a hint."""
    modes: list[bool] = []
    handle = model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    model.eval()
    loader = DataLoader(TensorDataset(images, labels), batch_size=16)
    losses = answer(model, loader, torch.optim.SGD(model.parameters(), lr=0.05), 3)
    handle.remove()
    if not isinstance(losses, Sequence) or len(losses) != 3:
        return "Return a list with one loss for each epoch: 3 epochs, 3 numbers."
    if any(torch.is_tensor(loss) and loss.requires_grad for loss in losses):
        return "A loss kept with its graph keeps all memory of its step: append loss.item()."
    if not all(modes):
        return "The network came in evaluation mode: call model.train() before the batches."
    return [number(loss) for loss in losses]


def _known_bug(
    model: nn.Module,
    start: dict[str, Tensor],
    after: dict[str, Tensor],
    digits: tuple[Tensor, Tensor],
) -> str | None:
    """Return a hint if the weights are those of a training loop with one of the usual bugs."""
    bugs = {
        "Gradients add up: call optimizer.zero_grad() before each backward().": (True, False),
        "F.cross_entropy has its own softmax: pass the logits.": (False, True),
        "Two bugs: gradients add up without optimizer.zero_grad() before each backward(), and "
        "F.cross_entropy has its own softmax.": (False, False),
    }
    for hint, (logits, zero) in bugs.items():
        model.load_state_dict(start)
        model.zero_grad()
        loader = DataLoader(TensorDataset(*digits), batch_size=16)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        train_with_bugs(model, loader, optimizer, 3, logits=logits, zero=zero)
        if tensors_agree([*after.values()], [*model.state_dict().values()]):
            return hint
    return None


def _why_another_run(
    losses: list[float],
    after: dict[str, Tensor],
    expected: list[float],
    reference: dict[str, Tensor],
    start: dict[str, Tensor],
) -> str | None:
    """Return a hint if a training run differs from the reference, from the same start."""
    if all(torch.equal(after[name], start[name]) for name in start):
        return (
            "No weight has changed: call loss.backward(), then optimizer.step(), with no "
            "zero_grad() between the two."
        )
    same = all(torch.allclose(after[name], reference[name], atol=1e-5) for name in start)
    if not same and losses[-1] >= losses[0]:
        return f"The loss does not fall: {losses[0]:.3f} in the first epoch, {losses[-1]:.3f} last."
    if not same:
        return (
            "The weights are not those of plain training steps: one step for each batch, "
            "optimizer.zero_grad() before each backward(), or gradients add up, and logits in "
            "F.cross_entropy, which has its own softmax."
        )
    if not torch.allclose(torch.tensor(losses), torch.tensor(expected), atol=1e-4):
        return (
            "The weights are right, the losses are not the mean over the images: weight each "
            "batch's loss by its number of images (the last batch is smaller), and divide once."
        )
    return None


@exercise("02-7")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: the gradient points uphill, so a step goes against it.",
        "2: beyond some rate each step overshoots by more than it came from.",
        "3: gradients add up in `.grad` until you set them to zero.",
        "4: F.cross_entropy applies softmax itself, so it takes logits.",
        "5: eval() changes dropout and BatchNorm; no_grad() only saves memory and time.",
    )
    return recall_hint(answer, "bacbc", hints)


class _Probe(nn.Module):
    """A classifier with known predictions that notes how it is called."""

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.labels = labels
        self.seen = self.correct = 0
        self.was_training: list[bool] = []
        self.had_gradients: list[bool] = []
        self.batch_accuracies: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        which = torch.arange(self.seen, self.seen + len(images)) % len(self.labels)
        labels, wrong = (
            self.labels[which],
            (which % 7 == 0) | (which >= 45),
        )  # most in the last batch
        self.seen += len(images)
        self.correct += int((~wrong).sum())
        self.was_training.append(self.training)
        self.had_gradients.append(torch.is_grad_enabled())
        self.batch_accuracies.append(float((~wrong).float().mean()))
        return F.one_hot((labels + wrong) % 10, 10) * self.weight


def _toy_images(count: int) -> tuple[Tensor, Tensor]:
    """Return `count` random images ``[N, 1, 28, 28]`` in [0, 1] and labels, always the same."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 28, 28, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)
