"""Self-checks of notebook 03, architecture, and the worked solutions behind `use`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..models import count_parameters
from ..synthetic import synthetic_digits
from .engine import Hint, exercise, expect_function, recall_hint, solution
from .torch_checks import (
    compare_tensors,
    diagnosed_network,
    why_not_useful,
)

BUDGET = 20_000  # parameters of the learner's own network


@solution("03-1")
def convolve(image, kernel, bias=0.0):
    """Slide a kernel over an image, and return the feature map."""
    size = len(kernel)
    height, width = image.shape[0] - size + 1, image.shape[1] - size + 1
    result = torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            window = image[row : row + size, column : column + size]
            result[row, column] = (window * kernel).sum() + bias
    return result


@solution("03-2")
def learn_kernel(images, targets, steps=100):
    """Train a random 3×3 kernel until its feature maps are the targets."""
    kernel = torch.randn(1, 1, 3, 3, requires_grad=True)
    optimizer = torch.optim.SGD([kernel], lr=1.0)
    for _ in range(steps):
        loss = F.mse_loss(F.conv2d(images, kernel), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return kernel.detach()[0, 0]


@solution("03-6")
class SmallNet(nn.Module):
    """Three pooled convolutions and a linear layer: 17,018 parameters."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.output = nn.Linear(32 * 3 * 3, 10)

    def forward(self, images):
        """Return logits [N, 10] for images [N, 1, 28, 28]."""
        return self.output(self.features(images).flatten(start_dim=1))


@exercise("03-1")
def _convolution(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    for size, bias in ((3, 0.0), (3, 0.5), (5, -1.0)):
        image = torch.rand(8, 11, generator=generator)
        kernel = torch.randn(size, size, generator=generator)

        def response(weights: Tensor, added: float, image: Tensor = image) -> Tensor:
            return F.conv2d(image[None, None], weights[None, None])[0, 0] + added

        wrong = {
            "The kernel is flipped. That is a convolution in mathematics; deep learning multiplies "
            "window and kernel as they are.": response(kernel.flip(0, 1), bias),
            "The kernel is transposed: its rows belong to the window's rows.": response(
                kernel.T, bias
            ),
            "The bias is added once for each window, not once for each of its pixels.": response(
                kernel, bias * size**2
            ),
            "The bias is missing: add it to each sum.": response(kernel, 0),
            "That is the mean over the window; the sum was asked for.": response(
                kernel / size**2, bias
            ),
            "There is padding: the window only goes where it fits in whole.": F.conv2d(
                image[None, None], kernel[None, None], padding=size // 2
            )[0, 0]
            + bias,
            f"A window of {size} fits into n pixels at n − {size} + 1 places: the last one is "
            "missing.": response(kernel, bias)[:-1, :-1],
        }
        got = answer(image.clone(), kernel.clone(), bias)
        if hint := compare_tensors(got, response(kernel, bias), wrong, atol=1e-4):
            return hint
    return None


@exercise("03-2")
def _learned_kernel(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    images = 0.8 * synthetic_digits(64).images.float() / 255  # as bright, on average, as MNIST's
    kernel = torch.tensor([[0.5, 1.0, -1.0], [0.0, 1.0, 0.5], [-1.0, -0.5, 0.0]])
    targets = F.conv2d(images, kernel[None, None])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random = answer(images, targets, 0)
        first = _kernel_error(random, images, targets)
        torch.manual_seed(0)
        last = _kernel_error(answer(images, targets, 300), images, targets)
    if first < 0.02:
        return "With steps=0 the kernel must still be random: it is learned step by step."
    if len(random.unique()) < 9:
        return "Begin with a random kernel, of nine different numbers: torch.randn(1, 1, 3, 3)."
    if not math.isfinite(last) or last > 10 * first:
        return (
            "The loss has diverged. Call zero_grad() before each backward(), or gradients add up; "
            "and lower the learning rate: 1 for SGD or 0.1 for Adam is about right."
        )
    if abs(last - first) < 1e-6:
        return "The kernel has not changed: call loss.backward(), then optimizer.step()."
    if last > 0.02:
        return (
            f"After 300 steps the kernel's maps still differ from the targets (mean square "
            f"{last:.2f} of theirs, {first:.2f} at the start). Is zero_grad() called before each "
            "backward(), and is the learning rate large enough: 1 for SGD, 0.1 for Adam?"
        )
    return None


def _kernel_error(kernel: Tensor, images: Tensor, targets: Tensor) -> float:
    """Return the squared error of a kernel's maps as a share of the targets' square."""
    if not torch.is_tensor(kernel):
        raise Hint(f"Return the kernel, a tensor [3, 3], not {type(kernel).__name__}.")
    if tuple(kernel.shape) == (1, 1, 3, 3):
        raise Hint("conv2d's weight is [1, 1, 3, 3]; return the kernel in it, [3, 3].")
    if tuple(kernel.shape) != (3, 3):
        raise Hint(f"Return the kernel, a tensor [3, 3], not {list(kernel.shape)}.")
    maps = F.conv2d(images, kernel.detach()[None, None])
    return float((maps - targets).square().mean() / targets.square().mean())


@exercise("03-3")
def _max_pool(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    images = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    images[..., :2, :2] -= 10  # blocks of negative numbers only
    blocks = images.reshape(2, 3, 3, 2, 4, 2)
    wrong = {
        "That is the mean of each block; the maximum was asked for.": blocks.mean((3, 5)),
        "That takes the first value of each block; the maximum was asked for.": images[
            ..., ::2, ::2
        ],
        "The maximum is of the values, not of their magnitudes: negative ones stay negative.": (
            blocks.abs().amax((3, 5))
        ),
        "A block of negative numbers has a negative maximum: nothing is cut off at 0.": (
            blocks.amax((3, 5)).clamp(min=0)
        ),
        "The blocks must not overlap: the window moves by 2.": F.max_pool2d(images, 2, stride=1),
        "That pools over the channels too; each channel keeps its own maxima.": (
            blocks.amax((1, 3, 5))
        ),
        "The blocks are mixed up: rows 0 and 1 with columns 0 and 1 first. Split each axis into "
        "(block, place within the block).": images.reshape(2, 3, 2, 3, 2, 4).amax((2, 4)),
    }
    with _NoMaxPooling():
        got = answer(images.clone())
    return compare_tensors(got, blocks.amax((3, 5)), wrong)


class _NoMaxPooling(TorchFunctionMode):
    """While it is entered, PyTorch's own max-pooling raises a hint."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if "max_pool2d" in getattr(func, "__name__", ""):
            raise Hint("That is PyTorch's max-pooling; write it with reshape or slices.")
        return func(*args, **(kwargs or {}))


@exercise("03-4")
def _receptive_field(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    first, stage = [(5, 1), (2, 2)], [(3, 1), (2, 2)]
    cases: list[list[tuple[int, int]]] = [[(3, 1), (3, 1)], first, [(5, 1)]]
    cases += [[*first, *stage, *stage], [(5, 2), (3, 1), (2, 2), (3, 1)]]
    for layers in cases:
        expected, step, late, kernels = 1, 1, 1, 0
        for kernel, stride in layers:
            expected += (kernel - 1) * step
            step *= stride
            late += (kernel - 1) * step
            kernels += kernel - 1
        got = answer(list(layers))
        if got == expected:
            continue
        if got == step:
            return "That is the product of the strides: the distance of two neighbors' fields."
        if got == 1 + kernels:
            return "After a stride of 2 one step is two pixels: later kernels count double."
        if got == late:
            return "A layer's own stride widens only the layers after it: multiply at the end."
        if got == math.prod(kernel for kernel, _ in layers):
            return "Kernels overlap, so the fields add up; they don't multiply."
        if got == sum(kernel for kernel, _ in layers):
            return "Each layer adds its kernel less 1: the field begins with the pixel itself."
        return f"For {layers} it is {expected}, yours gives {got!r}."
    return None


@exercise("03-5")
def _batch_norm(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 5.0, 0.2]).reshape(1, 3, 1, 1)
    features = 2 + spread * torch.randn(2, 3, 3, 4, generator=generator)
    constant = torch.full((2, 1, 3, 4), 7.0)
    faint = 1e-3 * torch.randn(2, 1, 3, 4, generator=generator)  # its variance is below 1e-5
    features = torch.cat([features, constant, faint], dim=1)
    expected = F.batch_norm(features, None, None, training=True)
    got = torch.as_tensor(answer(features.clone()))
    if got.shape == expected.shape and got[:, 3].isnan().any():
        return "A constant channel has a variance of 0: add eps before the root."

    def over(dims: tuple[int, ...], correction: int = 0) -> Tensor:
        variance = features.var(dims, correction=correction, keepdim=True)
        return (features - features.mean(dims, keepdim=True)) / (variance + 1e-5).sqrt()

    variance = features.var((0, 2, 3), correction=0, keepdim=True)
    centered = features - features.mean((0, 2, 3), keepdim=True)
    wrong = {
        "That standardizes each channel of each image alone. The mean goes over the batch too: "
        "dim=(0, 2, 3).": over((2, 3)),
        "That standardizes each pixel over the batch. The mean of a channel goes over its pixels "
        "too: dim=(0, 2, 3).": over((0,)),
        "That standardizes each image over its channels (LayerNorm). Each channel has a mean of "
        "its own: dim=(0, 2, 3).": over((1, 2, 3)),
        "That is one mean for all channels. Each has its own: dim=(0, 2, 3).": over((0, 1, 2, 3)),
        "The variance divides by N, not by N − 1: correction=0.": over((0, 2, 3), correction=1),
        "Divide by the standard deviation, the root of the variance.": centered / (variance + 1e-5),
        "Add 1e-5 to the variance, before the root: you add it to the standard deviation.": (
            centered / (variance.sqrt() + 1e-5)
        ),
        "The mean is not 0 yet: subtract it.": features / (variance + 1e-5).sqrt(),
        "The standard deviation is not 1 yet: divide by it.": centered,
    }
    return compare_tensors(got, expected, wrong, atol=1e-4)


@exercise("03-6")
def _small_network(answer: Callable[[], nn.Module]) -> str | None:
    with torch.random.fork_rng(devices=[]):
        model, images, labels = diagnosed_network(answer, "SmallNet")
        if hint := _why_not_small(model):
            return hint
        return why_not_useful(model, images, labels)


def _why_not_small(model: nn.Module) -> str | None:
    """Return a hint if a network has no convolution, or more parameters than the budget."""
    if not any(isinstance(part, nn.Conv2d) for part in model.modules()):
        return "There is no convolution in it, and so nothing that finds a stroke wherever it is."
    count = count_parameters(model)
    if count <= BUDGET:
        return None
    leaves = [(name, part) for name, part in model.named_modules() if not list(part.children())]
    name, largest = max(leaves, key=lambda leaf: count_parameters(leaf[1]))
    hint = f"It has {count:,} parameters, the budget is {BUDGET:,}. "
    hint += f"The most, {count_parameters(largest):,}, are in {name or 'the layer'} ({largest}). "
    if isinstance(largest, nn.Linear):
        return hint + "Smaller maps before it help: pool once more, or use a stride."
    return hint + "Fewer channels help."


@exercise("03-7")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: each of the 64 kernels has 3·3 weights for each of the 32 input channels, and a bias.",
        "2: equivariant means that the output moves along; invariant, that it stays.",
        "3: 8 is the stride, how far apart two neighbors look; the field is three times that.",
        "4: in eval() a prediction must not depend on the rest of the batch.",
        "5: normalization has made black −0.42, so 0 is brighter than black.",
    )
    return recall_hint(answer, "cabcb", hints)
