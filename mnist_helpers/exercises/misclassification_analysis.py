"""Self-checks of notebook 06, misclassification analysis, and its worked solutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .engine import Hint, exercise, expect_function, number, recall_hint, solution
from .torch_checks import compare_tensors


@solution("06-1")
def confusion_matrix(labels, predictions):
    """Count each pair of true digit (row) and predicted digit (column)."""
    return torch.bincount(10 * labels + predictions, minlength=100).reshape(10, 10)


@solution("06-2")
def precision_and_recall(confusion):
    """Return the precision and the recall of each digit."""
    correct = confusion.diagonal()
    return correct / confusion.sum(dim=0), correct / confusion.sum(dim=1)


@solution("06-3")
def calibration_error(confidence, correct):
    """Return the expected calibration error, with ten equal bins."""
    bin_of = (confidence * 10).long().clamp(max=9)
    error = 0.0
    for one in bin_of.unique():
        inside = bin_of == one
        gap = confidence[inside].mean() - correct[inside].float().mean()
        error += gap.abs() * inside.float().mean()
    return error


@solution("06-4")
def find_temperature(logits, labels):
    """Return the temperature with the lowest cross-entropy, found by gradient descent."""
    log_temperature = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([log_temperature], lr=0.05)
    for _ in range(200):
        loss = F.cross_entropy(logits / log_temperature.exp(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return log_temperature.exp().item()


@solution("06-6")
def input_gradient(model, image, target):
    """Return how the target's logit changes with each pixel."""
    image = image.clone().requires_grad_()
    logit = model(image[None])[0, target]
    return torch.autograd.grad(logit, image)[0]


@solution("06-7")
def fgsm(model, images, labels, epsilon):
    """Move each pixel by epsilon in the direction that increases the loss."""
    images = images.clone().requires_grad_()
    loss = F.cross_entropy(model(images), labels)
    gradient = torch.autograd.grad(loss, images)[0]
    return (images + epsilon * gradient.sign()).clamp(0, 1).detach()


@exercise("06-1")
def _confusion_matrix(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    labels = torch.tensor([0, 1, 1, 4, 4, 4, 7, 7, 2, 3, 3])
    predictions = torch.tensor([0, 1, 1, 4, 9, 9, 7, 1, 2, 3, 5])
    try:
        got = torch.as_tensor(answer(labels, predictions))
    except Hint as error:
        if "is invalid for input of size" in str(error):
            raise Hint(
                "bincount stops at the largest number that occurs: ask for all 100 cells with "
                "minlength=100."
            ) from error
        raise
    if got.shape != (10, 10):
        return f"The matrix has a row and a column for each digit, [10, 10], not {list(got.shape)}."
    expected = confusion_matrix(labels, predictions)
    wrong = {
        "Rows and columns are swapped: rows are true digits, so the label chooses the row.": (
            expected.T
        ),
        "Each cell is at most 1: `matrix[labels, predictions] += 1` adds only once to a cell that "
        "is listed several times. Use bincount, or index_put_ with accumulate=True.": (
            expected.clamp(max=1)
        ),
        "Those are shares of all images; counts were asked for.": expected / expected.sum(),
        "Those are shares of each row; counts were asked for.": (
            (expected / expected.sum(1, keepdim=True)).nan_to_num()
        ),
        "Only errors are counted: correct predictions belong on the diagonal.": (
            expected - expected.diag().diag()
        ),
    }
    return compare_tensors(got.nan_to_num(), expected, wrong)


@exercise("06-2")
def _precision_and_recall(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    confusion = torch.full((10, 10), 1) + torch.diag(torch.arange(80, 90))
    confusion[4, 9], confusion[7, 9], confusion[9, 4] = 10, 20, 5
    pair = answer(confusion)
    if isinstance(pair, Tensor) and pair.shape != (2, 10):
        return f"Return two tensors, precision and recall, not one of shape {list(pair.shape)}."
    if len(pair) != 2:
        return f"Return two tensors, precision and recall, not {len(pair)}."
    got = torch.stack([torch.as_tensor(one) for one in pair])
    if got.shape != (2, 10):
        return f"Each of the two has ten numbers, one for each digit, not {list(got.shape[1:])}."
    expected = torch.stack(precision_and_recall(confusion))
    correct = confusion.diagonal()
    wrong = {
        "The two are swapped. Precision asks the column (all that were predicted as this digit), "
        "recall the row (all images of this digit). Return precision first.": expected.flip(0),
        "Both are the recall: for precision sum over the rows of each column, dim=0.": (
            expected[[1, 1]]
        ),
        "Both are the precision: for recall sum over the columns of each row, dim=1.": (
            expected[[0, 0]]
        ),
        "Divide by the images of each digit, not by all images.": (
            (correct / confusion.sum()).expand(2, 10)
        ),
        "Those are percentages; shares from 0 to 1 were asked for.": 100 * expected,
        "Those are the shares of errors: take the diagonal, the correct predictions.": 1 - expected,
    }
    return compare_tensors(got, expected, wrong)


@exercise("06-3")
def _calibration_error(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    confidence = torch.tensor([0.91] * 12 + [1.0] * 3 + [0.62] * 5)
    correct = torch.tensor([True] * 14 + [False] + [True] + [False] * 4)
    try:
        got = number(answer(confidence, correct))
    except Hint as error:
        if "could not infer output dtype" in str(error):
            raise Hint("`correct` is bool: its mean needs correct.float().") from error
        raise
    if got != got:
        return "A bin without images has no mean: leave it out."
    last, middle = (12 * 0.91 + 3) / 15 - 14 / 15, 0.62 - 0.2  # the gaps of the two bins
    expected = (15 * abs(last) + 5 * middle) / 20
    without = (12 * 0.09 + 5 * middle) / 20
    alone = "A confidence of 1 belongs to the last bin: {}."
    wrong = {
        "Take each bin's gap without its sign; otherwise over- and underconfidence cancel out.": (
            (15 * last + 5 * middle) / 20
        ),
        "Weight each bin's gap by its share of the images; that is the plain mean of the gaps.": (
            (abs(last) + middle) / 2
        ),
        "Weight each bin's gap by its share of the images; that is the sum of the gaps.": (
            abs(last) + middle
        ),
        "Divide by the number of all images at the end.": 20 * expected,
        "Take the mean confidence of a bin's images, not the middle of the bin.": (
            (15 * abs(0.95 - 14 / 15) + 5 * (0.65 - 0.2)) / 20
        ),
        "That is a percentage; a share from 0 to 1 was asked for.": 100 * expected,
        "That is the largest gap; the weighted mean was asked for.": middle,
        alone.format("yours leaves it out"): without,
        alone.format("yours leaves it out, and divides by the others"): without * 20 / 17,
        alone.format("yours has a bin for it alone"): without + 3 / 20 * (1 / 3),
    }
    return compare_tensors(got, torch.tensor(expected), wrong)


@exercise("06-4")
def _find_temperature(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    for scale in (3.0, 0.5):  # an overconfident model, then an underconfident one
        logits, labels = _scaled_logits(scale)
        before = logits.clone()
        with torch.random.fork_rng(devices=[]):
            got = number(answer(logits, labels))
        if not torch.equal(logits, before):
            return "Leave the logits as they are: divide a copy, `logits / temperature`."
        if hint := _why_another_temperature(got, _best_temperature(logits, labels)):
            return hint
    return None


def _why_another_temperature(got: float, expected: float) -> str | None:
    """Return a hint if a temperature is off by more than 3%."""
    if abs(got / expected - 1) < 0.03:
        return None
    if got != got or got <= 0:
        start = "no number (NaN)" if got != got else f"{got:.3g}"
        logarithm = torch.tensor(expected).log().item()
        if abs(got - logarithm) < 0.03 * abs(logarithm):
            return "That is the logarithm of the temperature: return its exp()."
        return (
            f"The temperature came out as {start}. It must stay above 0: optimize its logarithm, "
            "and take the exp()."
        )
    if abs(got * expected - 1) < 0.03:
        return "That is the inverse: logits are divided by the temperature, not multiplied."
    logarithm = torch.tensor(expected).log().item()
    if abs(got - logarithm) < 0.03 * abs(logarithm):
        return "That is the logarithm of the temperature: return its exp()."
    if abs(got - 1) < 1e-6:
        return (
            "The temperature is still 1: is it a tensor with requires_grad=True, does the "
            "optimizer hold it, and does each step call backward() and step()?"
        )
    return (
        f"In a trial the lowest cross-entropy is at {expected:.2f}, yours stopped at {got:.2f}: "
        "more steps, or a larger learning rate? And is the loss F.cross_entropy of the divided "
        "logits, which has its own softmax?"
    )


@exercise("06-5")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: rows are true digits; row 4, column 9 counts 4s that were predicted as 9.",
        "2: precision divides by the column, everything that was predicted as this digit.",
        "3: counts of 5 and 4 have intervals that overlap almost completely.",
        "4: all logits are divided by the same number, so the largest stays the largest.",
        "5: the images with the lowest confidence are referred, and errors are common there.",
    )
    return recall_hint(answer, "cabba", hints)


@exercise("06-6")
def _input_gradient(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    model, images, _ = _small_model()
    image, target = images[0], 3
    with torch.no_grad():
        if int(model(image[None]).argmax()) == target:
            target = 4  # so that the target is not the prediction
    given = image.clone()
    got = torch.as_tensor(_with_gradient(answer, model, given, target)).detach().clone()
    if got.numel() != 784:
        return f"One number for each of the 784 pixels was asked for, not {list(got.shape)}."
    if got.shape != image.shape:
        return f"The gradient has the image's shape, [1, 28, 28], not {list(got.shape)}."
    again = torch.as_tensor(_with_gradient(answer, model, given, target)).detach()
    if torch.allclose(again, 2 * got, atol=1e-6):
        return (
            "A second call with the same image gives twice as much: gradients add up in the image "
            "that was given. Take a copy: image.clone().requires_grad_()."
        )
    got, expected = got.reshape(784), input_gradient(model, image, target).reshape(784)
    leaf = images[:1].clone().requires_grad_()
    logits = model(leaf)
    others = {
        "That is the gradient of the predicted digit's logit: index with target.": logits.max(),
        "That is the gradient of the sum of all ten logits: index with target first.": logits.sum(),
        "That is the gradient of a probability: use the logit, before softmax.": (
            logits.softmax(1)[0, target]
        ),
        "That is the gradient of a log-probability: use the logit.": (
            logits.log_softmax(1)[0, target]
        ),
        "That is the gradient of the loss: use the target's logit.": (
            -logits.log_softmax(1)[0, target]
        ),
    }
    wrong = {
        hint: torch.autograd.grad(value, leaf, retain_graph=True)[0].reshape(784)
        for hint, value in others.items()
    }
    wrong["Keep the sign: whether ink raises or lowers the logit matters."] = expected.abs()
    wrong["That is gradient times pixels; the gradient alone was asked for."] = (
        expected * image.reshape(784)
    )
    return compare_tensors(got, expected, wrong)


@exercise("06-7")
def _fgsm(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    model, images, labels = _small_model()
    given, epsilon = images.clone(), 0.2
    got = torch.as_tensor(_with_gradient(answer, model, given, labels, epsilon))
    if got.shape != images.shape:
        return f"Changed images have the shape {list(images.shape)}, not {list(got.shape)}."
    if got.requires_grad:
        return "The images still hold their computation graph: return them with .detach()."
    if not torch.equal(given.detach(), images):
        return "Leave the images that were given as they are: change a copy."
    leaf = images.clone().requires_grad_()
    logits = model(leaf)
    gradient = torch.autograd.grad(F.cross_entropy(logits, labels), leaf, retain_graph=True)[0]
    (own,) = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1)), leaf)
    step = epsilon * gradient.sign()
    wrong = {
        "The step goes downhill: it must increase the loss, so add it.": (images - step).clamp(
            0, 1
        ),
        "The step is right, but pixels must stay between 0 and 1: clamp(0, 1).": images + step,
        "Take the sign of the gradient, so that each pixel moves by epsilon.": (
            (images + epsilon * gradient).clamp(0, 1)
        ),
        "That is the change alone: add it to the images.": step,
        "Multiply the sign by epsilon.": (images + gradient.sign()).clamp(0, 1),
        "The loss must be that of the true labels, not of the model's own predictions.": (
            (images + epsilon * own.sign()).clamp(0, 1)
        ),
    }
    expected = (images + step).clamp(0, 1)
    return compare_tensors(got, expected, wrong)


def _with_gradient(answer: Callable, *arguments: Any) -> Any:
    """Call an answer that computes a gradient for pixels, and explain the usual errors."""
    with torch.random.fork_rng(devices=[]):
        try:
            return answer(*arguments)
        except Hint as error:
            if "returns nothing" in str(error):
                raise Hint(
                    f"{error} Or is .grad None? Call requires_grad_() before the forward pass, on "
                    "the tensor whose .grad you return."
                ) from error
            if "does not require grad" in str(error) or "not have been used" in str(error):
                raise Hint(
                    "Autograd knows nothing of the pixels: call requires_grad_() on the tensor "
                    "that goes into the model, before it does, and outside no_grad()."
                ) from error
            raise


def _small_model() -> tuple[nn.Module, Tensor, Tensor]:
    """Return a small network with fixed random weights, six images and labels, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.Tanh(), nn.Linear(16, 10))
        images, labels = torch.rand(6, 1, 28, 28), torch.randint(10, (6,))
    return model.eval(), images, labels


def _scaled_logits(scale: float) -> tuple[Tensor, Tensor]:
    """Return logits that are `scale` times too large, and labels, for 2,000 images."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2000, 10, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return scale * logits, labels


def _best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature with the lowest cross-entropy on a fine grid."""
    grid = torch.logspace(-0.7, 0.9, 161)
    losses = torch.stack([F.cross_entropy(logits / one, labels) for one in grid])
    return grid[losses.argmin()].item()
