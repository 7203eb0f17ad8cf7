"""What checks in PyTorch have in common: tensors compared, a learner's network diagnosed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..synthetic import synthetic_digits
from .engine import Hint, expect_function, number


def create_network(answer: Callable[[], Any]) -> Any:
    """Create the learner's network, or raise a hint about the call that is forgotten most."""
    try:
        return answer()
    except Hint as error:
        if "before Module.__init__() call" in str(error):
            raise Hint("Call super().__init__() first, in __init__.") from error
        raise


def diagnosed_network(answer: Any, name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Create the learner's network from random weights, and hand on 32 digits to try it with.

    Parameters
    ----------
    answer : class
        The learner's own, an `nn.Module` that makes ten logits of an image.
    name : str
        What the notebook calls the class.

    Returns
    -------
    model : nn.Module
    images : Tensor of shape [32, 1, 28, 28], dtype float32
    labels : Tensor of shape [32], dtype int64

    Raises
    ------
    Hint
        If it is no class of networks, its output is no logits, or it has no parameters.
    """
    if isinstance(getattr(answer, "__wrapped__", answer), nn.Module):
        raise Hint(f"The class was asked for, this is a network: pass {name}, not {name}().")
    if hint := expect_function(answer):
        raise Hint(hint)
    digits = synthetic_digits(32)
    images, labels = digits.images.float() / 255, digits.labels
    torch.manual_seed(0)
    model = create_network(answer)
    if not isinstance(model, nn.Module):
        raise Hint(f"Derive the class from nn.Module: `class {name}(nn.Module)`.")
    if hint := why_no_logits(output_of(model, images)) or why_no_parameters(model):
        raise Hint(hint)
    return model, images, labels


def output_of(model: nn.Module, images: Tensor) -> Any:
    """Return what a network makes of images, or raise a hint that says what went wrong."""
    try:
        return model(images)
    except NotImplementedError as error:
        raise Hint("forward() is missing, or not written yet.") from error
    except Exception as error:  # the learner's own code may raise anything
        message = (
            f"forward() raised {type(error).__name__} for images {list(images.shape)}: {error}"
        )
        if "mat1 and mat2" in str(error):
            message += ". Flatten the images first, and compare the layers' sizes."
        raise Hint(message) from error


def why_no_logits(logits: Any) -> str | None:
    """Return a hint if the output for 32 images is not 32 rows of ten logits."""
    if not torch.is_tensor(logits):
        return f"forward() must return a tensor, not {type(logits).__name__}: is there a `return`?"
    if tuple(logits.shape) != (32, 10):
        hint = f"For 32 images the output must be [32, 10], not {list(logits.shape)}."
        return hint if logits.ndim < 3 else f"{hint} Flatten the images first."
    sums = logits.detach().exp().sum(1)
    if torch.allclose(logits.detach().sum(1), torch.ones(32), atol=1e-4) and (logits >= 0).all():
        return "The rows sum to 1, so there is a softmax at the end. cross_entropy has its own."
    if torch.allclose(sums, torch.ones(32), atol=1e-4):
        return "There is a log_softmax at the end. cross_entropy has its own: return the logits."
    if (logits >= 0).all() and logits.any():
        return "No logit is negative: is there a ReLU after the last layer? It belongs between two."
    return None


def why_no_parameters(model: nn.Module) -> str | None:
    """Return a hint if the network has weights that an optimizer would not find."""
    for name, value in vars(model).items():
        if torch.is_tensor(value) and value.requires_grad:
            return f"self.{name} is a plain tensor, which no optimizer finds: nn.Parameter(…) is."
        parts = [*value.values()] if isinstance(value, dict) else value
        plain = name[0] != "_" and isinstance(parts, (list, tuple))
        if plain and any(isinstance(part, nn.Module) for part in parts):
            return (
                f"The layers in self.{name} are not registered, so no optimizer finds them: put "
                "them into nn.Sequential or nn.ModuleList, or each into an attribute of its own."
            )
    if any(True for _ in model.parameters()):
        return None
    return (
        "The network has no parameters: a layer registers itself when it is assigned to an "
        "attribute (self.hidden = nn.Linear(…)); in a plain list or dict it does not. "
        "nn.Sequential and nn.ModuleList register theirs."
    )


def why_not_useful(model: nn.Module, images: Tensor, labels: Tensor) -> str | None:
    """Return a hint if a network fails on a single image, cannot learn, or is one linear map."""
    model.eval()
    try:
        alone = tuple(output_of(model, images[:1]).shape)
    except Hint as hint:
        return f"It works for 32 images, but not for a single one: is there a squeeze()? {hint}"
    if alone != (1, 10):
        return f"For a single image the output must be [1, 10], not {list(alone)}: a squeeze()?"
    return why_not_memorized(model, images, labels) or why_linear(model, images)


def why_not_memorized(model: nn.Module, images: Tensor, labels: Tensor) -> str | None:
    """Return a hint if the network cannot memorize 32 images within 150 steps of Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        if not loss.requires_grad:
            return "No gradient reaches the weights: is there a detach() or .data in forward()?"
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        correct = int((model(images).argmax(1) == labels).sum())
    if correct >= 30:
        return None
    return (
        f"After 150 steps it predicts {correct} of 32 training images correctly. A network that "
        "cannot memorize 32 images usually has a bug, or a bottleneck: does every layer take part "
        "in forward()?"
    )


@torch.no_grad()
def why_linear(model: nn.Module, images: Tensor) -> str | None:
    """Return a hint if the network maps the mean of two images to the mean of their logits."""
    first, second = images.chunk(2)
    mean = (model(first) + model(second)) / 2
    if not torch.allclose(model((first + second) / 2), mean, rtol=1e-3, atol=1e-3):
        return None
    return (
        "That is one linear map: it needs an activation between two layers, such as torch.relu; "
        "otherwise two layers can do no more than one."
    )


def train_with_bugs(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    logits: bool,
    zero: bool,
) -> None:
    """Train in a loop without what is False: logits in the loss, gradients set to zero."""
    model.train()
    for _ in range(epochs):
        for images, labels in loader:
            output = model(images)
            loss = F.cross_entropy(output if logits else output.softmax(1), labels)
            if zero:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def scalar(value: Any) -> Tensor:
    """Return one number as a tensor, or raise a hint."""
    return torch.tensor(number(value))


def compare_tensors(
    got: Any, expected: Tensor, wrong: dict[str, Any], atol: float = 1e-6
) -> str | None:
    """Return None for the expected values, the hint of known wrong ones, or what differs.

    Parameters
    ----------
    got : array_like
        The learner's.
    expected : Tensor
    wrong : mapping of str to array_like
        Hints, and the values that the mistakes behind them give; shapes may differ.
    atol : float, default=1e-6
        How far off a correct value may be, beside a relative 1e-4.
    """
    got = torch.as_tensor(got).detach().double()
    if _same(got, expected, atol):
        return None
    for hint, value in wrong.items():
        if _same(got, value, atol):
            return hint
    if got.shape != expected.shape:
        return f"The result has shape {list(got.shape)}, it should be {list(expected.shape)}."
    if got.ndim == 0:
        return f"In a trial it is {expected:.4g}, yours gives {got:.4g}."
    worst = (got - expected).abs().nan_to_num(torch.inf).flatten().argmax()
    place = tuple(int(index) for index in torch.unravel_index(worst, got.shape))
    return f"In a trial, index {list(place)} is {expected[place]:.4g}, yours {got[place]:.4g}."


def tensors_agree(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether two lists of tensors agree up to rounding, pair by pair."""
    return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(first, second, strict=True))


def _same(got: Tensor, value: Any, atol: float) -> bool:
    """Whether a tensor equals a value in shape and, nearly, in numbers."""
    other = torch.as_tensor(value).detach().double()
    return got.shape == other.shape and torch.allclose(got, other, rtol=1e-4, atol=atol)
