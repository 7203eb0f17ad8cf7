"""A network of one's own, made to take what the rest of the package hands in.

Tutorials' networks take float images that the training loop has normalized. Here normalization
belongs to the network. `wrap_model` puts it in front, and turns what comes out into logits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from .models import Classifier, Normalize, build_model

EXPECTED = (
    "mnist_helpers hands a network float images [N, 1, 28, 28], normalized (N images, one channel, "
    "28×28 pixels), and expects logits [N, 10] back: one row per image, one column per digit"
)
INPUTS = ((1, 28, 28), (784,), (28, 28))  # shapes of one image; the last two without a Flatten
OTHERS = ((3, 28, 28), (1, 32, 32), (3, 32, 32), (1, 64, 64), (3, 64, 64), (3, 224, 224))


class WrappedModel(nn.Module):
    """A network of one's own behind a normalization; build it with `wrap_model`.

    It takes uint8 images ``[N, 1, 28, 28]`` or float ones in [0, 1], and returns logits
    ``[N, 10]``, as the networks of `build_model` do. Training it trains the network inside.

    Parameters
    ----------
    network : nn.Module
        Takes float images, or uint8 ones.

    Attributes
    ----------
    network : nn.Module
        The one that was given.
    normalize : Normalize or None
        The network gets ``(pixel - mean) / std`` of pixels in [0, 1]. None for a network
        that takes uint8 images itself.

    Raises
    ------
    ValueError
        If the network does not take images of 28×28, or does not return logits ``[N, 10]``.
    """

    normalizes_itself = True

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training
        parameter = next(chain(network.parameters(), network.buffers()), torch.zeros(()))
        images = trial_images(parameter.device)
        self.input_shape: tuple[int, ...] = INPUTS[0]
        outputs = _try(network, images)
        if outputs is not None and not _complaint(outputs, len(images)):
            self.normalize = None
            self.float_scale = _float_scale(network, images, outputs)
        else:
            self.normalize = Normalize().to(parameter.device)
            if parameter.is_floating_point():
                self.normalize.to(parameter.dtype)
            self.input_shape = self._find_input_shape(images)
            outputs = _run(network, self._pixels(images))
        self.gives_probabilities = are_probabilities(outputs)

    @property
    def name(self) -> str:
        """The network's class."""
        network = getattr(self.network, "_orig_mod", self.network)  # of torch.compile
        return type(network).__name__

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, 10]`` for images ``[N, 1, 28, 28]``."""
        outputs = self.network(self._pixels(images))
        if not torch.compiler.is_exporting():
            complaint = _complaint(outputs, len(images))
            if complaint:
                raise ValueError(f"{self.name} {complaint}. {EXPECTED}")
        if self.gives_probabilities:  # of which the logarithms are logits
            outputs = outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()
        return outputs

    def _pixels(self, images: Tensor) -> Tensor:
        """Return what the network takes."""
        if self.normalize is None:
            return images * self.float_scale if images.is_floating_point() else images
        return self.normalize(images).reshape(-1, *self.input_shape)

    def _find_input_shape(self, images: Tensor) -> tuple[int, ...]:
        """Return the first shape of an image for which the network returns logits."""
        errors = []
        for shape in INPUTS:
            self.input_shape = shape
            try:
                complaint = _complaint(_run(self.network, self._pixels(images)), len(images))
            except Exception as error:  # the network is the user's: it may raise anything
                errors.append(error)
                complaint = f"raises for them {type(error).__name__}: {_first_line(error)}"
            if not complaint:
                return shape
            if shape == INPUTS[0]:
                reason = complaint
        raise ValueError(
            f"{self.name} {reason}. {EXPECTED}.{_hint(self.network, images)}"
        ) from next(iter(errors), None)


def wrap_model(
    model: nn.Module, *, mean: float | None = None, std: float | None = None
) -> nn.Module:
    """Return a network that takes uint8 images and returns logits, whatever `model` itself takes.

    Networks of `build_model` and ONNX networks come back as they are, and so does what has been
    wrapped. `train`, `evaluate`, `MNISTPredictor` and the others call this themselves; call it for
    another normalization than MNIST's.

    Parameters
    ----------
    model : nn.Module
        Takes float images ``[N, 1, 28, 28]`` (or ``[N, 784]`` or ``[N, 28, 28]``), or uint8 images
        ``[N, 1, 28, 28]``, which it then gets as they are. Returns ``[N, 10]``: logits, log-softmax
        or softmax. It is tried on two images.
    mean, std : float, default=0.1307, 0.3081
        Of pixels in [0, 1], as `torchvision.transforms.Normalize` takes them. ``mean=0, std=1``
        is `ToTensor` alone.

    Returns
    -------
    nn.Module

    Raises
    ------
    TypeError
        If `model` is no instance of `nn.Module`.
    ValueError
        If it does not take such images or return such logits; the message says what it takes. Or if
        a normalization is asked for, and it takes uint8 images.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    >>> wrap_model(net, mean=0.5, std=0.5)(torch.zeros(3, 1, 28, 28, dtype=torch.uint8)).shape
    torch.Size([3, 10])
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise TypeError(f"pass a network, {model.__name__}(), not its class {model.__name__}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a network (an nn.Module), not a {type(model).__name__}")
    if not getattr(model, "normalizes_itself", False):
        model = WrappedModel(model)
    if mean is not None or std is not None:
        normalize = getattr(model, "normalize", None)
        if normalize is None:
            raise ValueError(
                f"{model_name(model)} takes uint8 images: nothing is normalized before"
            )
        normalize.set(mean, std)
    return model


def model_name(model: nn.Module) -> str:
    """Return the architecture's name, or the class of a network of one's own."""
    return str(getattr(model, "name", type(model).__name__))


def fresh_model(model: str | nn.Module | Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network with the random weights of a seed.

    Parameters
    ----------
    model : str, class or nn.Module
        One of `list_models`; or what builds a network when it is called without arguments, such as
        its class; or a network, of which a copy gets new random weights.
    seed : int

    Raises
    ------
    ValueError
        If a part of the network has weights but no ``reset_parameters()``.
    """
    import copy

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if isinstance(model, str):
            return build_model(model)
        if not isinstance(model, nn.Module):
            return wrap_model(model())
        model = copy.deepcopy(model)
        for part in model.modules():
            reset = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
            elif next(part.parameters(recurse=False), None) is not None:
                name = type(part).__name__
                raise ValueError(
                    f"{name} has weights but no reset_parameters(): pass the network's class, or "
                    "another function that builds it, instead of the network"
                )
        return wrap_model(model)


def to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in the memory format in which it computes fastest.

    A network of one's own keeps its format: ``x.view(-1, 320)`` fails in another one.
    """
    if isinstance(model, Classifier):
        return model.to(memory_format=torch.channels_last).to(device)
    return model.to(device)


def trial_images(device: torch.device) -> Tensor:
    """Return two images to try a network on: uint8 ``[2, 1, 28, 28]``, black and random."""
    noise = torch.randint(256, (1, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.zeros_like(noise), noise]).to(device, torch.uint8)


@torch.no_grad()  # inference_mode would leave lazy layers with weights that cannot be trained
def _run(network: nn.Module, images: Tensor) -> Any:
    """Return a network's outputs in evaluation mode; it is left as it was."""
    modes = [(part, part.training) for part in network.modules()]
    devices = [images.device] if images.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            return network.eval()(images)
    finally:
        for part, mode in modes:
            part.training = mode


def _try(network: nn.Module, images: Tensor) -> Any:
    """Return a network's outputs, or None if it does not take such images."""
    try:
        return _run(network, images)
    except Exception:  # the network is the user's: it may raise anything
        return None


def _complaint(outputs: Any, count: int) -> str:
    """Say in which way the outputs for `count` images are no logits, if they are not."""
    if not isinstance(outputs, Tensor):
        return f"returns a {type(outputs).__name__}, not a tensor"
    if list(outputs.shape) != [count, 10]:
        return f"returns a tensor of shape {list(outputs.shape)} for {count} images"
    if not outputs.is_floating_point():
        return f"returns {outputs.dtype} numbers"
    return ""


def are_probabilities(outputs: Tensor) -> bool:
    """Whether outputs ``[N, 10]`` are probabilities: above 0, summing to 1."""
    return bool((outputs >= 0).all() and ((outputs.sum(1) - 1).abs() < 1e-3).all())


def _float_scale(network: nn.Module, images: Tensor, outputs: Tensor) -> float:
    """Return what float images in [0, 1] are multiplied by, for a network that takes uint8."""
    same = _try(network, images / 255)
    if isinstance(same, Tensor) and same.shape == outputs.shape:
        return 1.0 if torch.allclose(same, outputs, rtol=1e-3, atol=1e-4) else 255.0
    return 255.0


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _hint(network: nn.Module, images: Tensor) -> str:
    """Say for which other images the network works, if for one of the usual sizes."""
    for channels, height, width in OTHERS:
        other = torch.zeros(len(images), channels, height, width, device=images.device)
        outputs = _try(network, other)
        if isinstance(outputs, Tensor) and list(outputs.shape) == [len(images), 10]:
            size = f" It takes images [N, {channels}, {height}, {width}]: begin its forward with "
            steps = []
            if height == 32:
                steps.append("x = F.pad(x, (2, 2, 2, 2))")
            elif height != 28:
                steps.append(f"x = F.interpolate(x, size={height})")
            if channels == 3:
                steps.append("x = x.expand(-1, 3, -1, -1)")
            return size + " and ".join(steps) + "."
    return ""
