"""Notebook 03's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from answers import *  # noqa: F403
from torch import nn

from mnist_helpers import build_model
from mnist_helpers.exercises import architecture


def convolve_unfolded(image, kernel, bias=0.0):
    size = len(kernel)
    windows = image.unfold(0, size, 1).unfold(1, size, 1)
    return (windows * kernel).sum((2, 3)) + bias


def convolve_over_the_kernel(image, kernel, bias=0.0):
    size = kernel.shape[0]
    height, width = image.shape[0] - size + 1, image.shape[1] - size + 1
    result = torch.full((height, width), bias)
    for i in range(size):
        for j in range(size):
            result += kernel[i, j] * image[i : i + height, j : j + width]
    return result


def convolve_in_lists(image, kernel, bias=0.0):
    size = len(kernel)
    rows, columns = image.shape[0] - size + 1, image.shape[1] - size + 1
    return [
        [float((image[r : r + size, c : c + size] * kernel).sum() + bias) for c in range(columns)]
        for r in range(rows)
    ]


def one_place_too_few(image, kernel, bias=0.0):
    return convolve_unfolded(image, kernel, bias)[:-1, :-1]


def bias_for_each_pixel(image, kernel, bias=0.0):
    size = len(kernel)
    return (image.unfold(0, size, 1).unfold(1, size, 1) * kernel + bias).sum((2, 3))


def padded(image, kernel, bias=0.0):
    return F.conv2d(image[None, None], kernel[None, None], padding=len(kernel) // 2)[0, 0] + bias


def learn_with_a_layer(images, targets, steps=100):
    layer = nn.Conv2d(1, 1, 3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(layer(images), targets).backward()
        optimizer.step()
    return layer.weight[0, 0]


def learn_without_an_optimizer(images, targets, steps=100):
    kernel = torch.rand(3, 3, requires_grad=True)
    for _ in range(steps):
        loss = ((F.conv2d(images, kernel[None, None]) - targets) ** 2).mean()
        (gradient,) = torch.autograd.grad(loss, kernel)
        with torch.no_grad():
            kernel -= gradient
    return kernel


def learning(zero=True, backward=True, step=True, lr=1.0, begin=None):
    """Make a `learn_kernel` that leaves something out."""

    def learn_kernel(images, targets, steps=100):
        kernel = torch.randn(1, 1, 3, 3) if begin is None else begin.clone()
        kernel.requires_grad_()
        optimizer = torch.optim.SGD([kernel], lr=lr)
        for _ in range(steps):
            loss = F.mse_loss(F.conv2d(images, kernel), targets)
            if zero:
                optimizer.zero_grad()
            if backward:
                loss.backward()
            if step:
                optimizer.step()
        return kernel.detach()[0, 0]

    return learn_kernel


def max_of_slices(images):
    corners = [images[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return torch.stack(corners).max(dim=0).values


def max_in_two_steps(images):
    rows = torch.maximum(images[..., ::2, :], images[..., 1::2, :])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def field_from_the_end(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def standardized(dims, correction=0):
    def batch_norm(features, eps=1e-5):
        mean = features.mean(dims, keepdim=True)
        variance = features.var(dims, correction=correction, keepdim=True)
        return (features - mean) / torch.sqrt(variance + eps)

    return batch_norm


def with_eps_beside_the_root(features):
    flat = features.transpose(0, 1).flatten(1)
    mean, std = flat.mean(1), flat.std(1, correction=0)
    return (features - mean[:, None, None]) / (std[:, None, None] + 1e-5)


def without_eps(features):
    dims = (0, 2, 3)
    variance = features.var(dims, correction=0, keepdim=True)
    return (features - features.mean(dims, keepdim=True)) / variance.sqrt()


def channel_by_channel(features):
    result = torch.empty_like(features)
    for index, channel in enumerate(features.unbind(1)):
        variance = ((channel - channel.mean()) ** 2).mean()
        result[:, index] = (channel - channel.mean()) * torch.rsqrt(variance + 1e-5)
    return result


def without_mean(features):
    return features / (features.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()


def variance_for_std(features):
    dims = (0, 2, 3)
    variance = features.var(dims, correction=0, keepdim=True)
    return (features - features.mean(dims, keepdim=True)) / (variance + 1e-5)


class Strided(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, stride=2)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2)
        self.output = nn.LazyLinear(10)

    def forward(self, images):
        maps = F.relu(self.conv2(F.relu(self.conv1(images))))
        return self.output(maps.flatten(1))


class TooLarge(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.output = nn.Linear(8 * 26 * 26, 10)

    def forward(self, images):
        return self.output(self.conv(images).relu().flatten(1))


class TooManyChannels(architecture.SmallNet):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=4), nn.ReLU()
        )
        self.output = nn.Linear(64 * 9, 10)


class Squeezed(architecture.SmallNet):
    def forward(self, images):
        return super().forward(images).squeeze()


class WithSoftmax(architecture.SmallNet):
    def forward(self, images):
        return super().forward(images).softmax(1)


class WithoutActivation(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2)
        self.output = nn.Linear(8 * 12 * 12, 10)

    def forward(self, images):
        return self.output(self.conv(images).flatten(1))


class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Conv2d(1, 8, 5, stride=4), nn.Linear(8 * 36, 10)]

    def forward(self, images):
        return self.layers[1](self.layers[0](images).relu().flatten(1))


class Gap(nn.Module):
    def forward(self, images):
        raise NotImplementedError


def gap(*arguments):
    raise NotImplementedError


CORRECT = {
    "03-1": (
        architecture.convolve,
        convolve_unfolded,
        convolve_over_the_kernel,
        convolve_in_lists,
    ),
    "03-2": (
        architecture.learn_kernel,
        learn_with_a_layer,
        learn_without_an_optimizer,
        learning(lr=0.3),
    ),
    "03-3": (max_of_slices, max_in_two_steps),
    "03-4": (field_from_the_end,),
    "03-5": (
        standardized((0, 2, 3)),
        channel_by_channel,
        lambda features: nn.BatchNorm2d(features.shape[1])(features),
    ),
    "03-6": (architecture.SmallNet, Strided),
    "03-7": (["c", "a", "b", "c", "b"], "CABCB", "c, a, b, c, b"),
}
WRONG = [
    ("03-1", lambda x, k, b=0: convolve_unfolded(x, k.flip(0, 1), b), "flipped"),
    ("03-1", lambda x, k, b=0: convolve_unfolded(x, k.T, b), "transposed"),
    ("03-1", bias_for_each_pixel, "once for each window"),
    ("03-1", lambda x, k, b=0: convolve_unfolded(x, k), "bias is missing"),
    ("03-1", lambda x, k, b=0: convolve_unfolded(x, k / k.numel(), b), "mean"),
    ("03-1", padded, "padding"),
    ("03-1", one_place_too_few, "last one is missing"),
    ("03-1", gap, "not written"),
    ("03-2", learning(zero=False), "zero_grad"),
    ("03-2", learning(backward=False), "not changed"),
    ("03-2", learning(step=False), "not changed"),
    ("03-2", learning(lr=1e-3), "learning rate"),
    ("03-2", learning(lr=100.0), "diverged"),
    ("03-2", lambda x, t, steps=1: learning()(x, t, steps)[None, None], r"\[1, 1, 3, 3\]"),
    ("03-2", lambda x, t, steps=1: learning()(x, t, steps).tolist(), "tensor"),
    ("03-2", lambda x, t, steps=1: learning()(x, t, 300), "steps=0"),
    ("03-2", learning(begin=torch.zeros(1, 1, 3, 3)), "Begin with a random kernel"),
    ("03-2", gap, "not written"),
    ("03-3", lambda images: F.avg_pool2d(images, 2), "mean"),
    ("03-3", lambda images: images[..., ::2, ::2], "first value"),
    ("03-3", lambda images: max_of_slices(images.abs()), "magnitudes"),
    ("03-3", lambda images: max_of_slices(images.relu()), "negative maximum"),
    ("03-3", lambda images: images.unfold(2, 2, 1).unfold(3, 2, 1).amax((4, 5)), "overlap"),
    ("03-3", lambda images: max_of_slices(images).amax(1), "channel"),
    ("03-3", lambda images: F.max_pool2d(images, 2), "PyTorch's max-pooling"),
    ("03-3", nn.MaxPool2d(2), "PyTorch's max-pooling"),
    ("03-3", lambda images: images.reshape(2, 3, 2, 3, 2, 4).amax((2, 4)), "mixed up"),
    ("03-3", lambda images: images, "shape"),
    ("03-4", lambda layers: torch.tensor([s for _, s in layers]).prod().item(), "strides"),
    ("03-4", lambda layers: 1 + sum(k - 1 for k, _ in layers), "two pixels"),
    ("03-4", lambda layers: sum(k for k, _ in layers), "less 1"),
    ("03-4", lambda layers: torch.tensor([k for k, _ in layers]).prod().item(), "add up"),
    ("03-4", lambda layers: 28, "yours gives 28"),
    ("03-4", lambda layers: architecture_with_early_strides(layers), "after it"),
    ("03-4", 24, "function"),
    ("03-5", standardized((2, 3)), "each image alone"),
    ("03-5", standardized((0,)), "over the batch"),
    ("03-5", standardized((1, 2, 3)), "LayerNorm"),
    ("03-5", standardized((0, 1, 2, 3)), "one mean"),
    ("03-5", standardized((0, 2, 3), correction=1), "correction=0"),
    ("03-5", without_eps, "eps"),
    ("03-5", variance_for_std, "root"),
    ("03-5", with_eps_beside_the_root, "to the variance, before"),
    ("03-5", without_mean, "not 0 yet"),
    ("03-5", lambda features: features - features.mean((0, 2, 3), keepdim=True), "not 1 yet"),
    ("03-6", TooLarge, r"54,170 parameters.*most, 54,090, are in output.*pool once more"),
    ("03-6", TooManyChannels, "Fewer channels"),
    ("03-6", lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "no convolution"),
    ("03-6", Squeezed, r"\[1, 10\]"),
    ("03-6", WithSoftmax, "softmax"),
    ("03-6", PlainList, r"self\.layers are not registered"),
    ("03-6", WithoutActivation, "linear map"),
    ("03-6", Gap, "not written"),
    ("03-6", architecture.SmallNet(), "pass SmallNet"),
    ("03-6", lambda: 3, "nn.Module"),
    ("03-7", "cabca", r"5: .*−0\.42"),
    ("03-7", "cab", "5 letters"),
]


def architecture_with_early_strides(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        step *= stride
        field += (kernel - 1) * step
    return field


def test_the_receptive_field_that_the_notebook_speaks_of() -> None:
    """What the exercise computes for `fast` is what its input gradients show."""
    torch.manual_seed(0)
    model = build_model("fast").eval()
    layers = [(5, 1), (2, 2), (3, 1), (2, 2), (3, 1), (2, 2)]
    for stage, expected in ((1, 6), (2, 12), (3, 24)):
        assert field_from_the_end(layers[: 2 * stage]) == expected
        images = torch.rand(100, 1, 28, 28, requires_grad=True)
        end = [name for name, _ in model.named_children()].index(f"relu{stage}") + 1
        maps = model[:end](images)
        middle = maps[..., maps.shape[-2] // 2, maps.shape[-1] // 2]
        (gradient,) = torch.autograd.grad(middle.sum(), images)
        seen = gradient.abs().sum((0, 1)) > 0
        assert (seen.any(0).sum(), seen.any(1).sum()) == (expected, expected)
