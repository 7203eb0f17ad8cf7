"""The architectures, by name, and what they cost.

Every network takes images ``[N, 1, 28, 28]``, uint8 or float in [0, 1], and returns logits
``[N, 10]``. Normalization is its first layer, saved with its weights, so that nobody can forget it.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import overload

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels, in [0, 1]
DROPOUT = (nn.Dropout, nn.Dropout2d)


class Normalize(nn.Module):
    """Bring uint8 or [0, 1] pixels to zero mean and unit variance over MNIST's training set."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float = MEAN, std: float = STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def set(self, mean: float | None = None, std: float | None = None) -> None:
        """Change the numbers. A negative standard deviation inverts: black becomes white."""
        if mean is not None:
            self.mean.fill_(mean)
        if std is not None:
            self.std.fill_(std)

    def forward(self, images: Tensor) -> Tensor:
        """Return float images of the same shape."""
        pixels = images.to(self.mean.dtype)
        if images.dtype == torch.uint8:
            pixels = pixels / 255
        return (pixels - self.mean) / self.std


class Classifier(nn.Sequential):
    """Named layers one after the other, the first of which normalizes.

    Parameters
    ----------
    name : str
        The architecture's name, as `build_model` takes it.
    **layers : nn.Module
        In the order in which they are applied.
    """

    normalizes_itself = True  # see wrap_model

    def __init__(self, name: str, **layers: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module("normalize", Normalize())
        for layer, module in layers.items():
            self.add_module(layer, module)

    @overload
    def __getitem__(self, index: slice) -> nn.Sequential: ...

    @overload
    def __getitem__(self, index: int) -> nn.Module: ...

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Return a layer, or for a slice a plain `nn.Sequential` of layers: ``model[:-1]``."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


def cnn2(conv_dropout: float = 0.0, dropout: float = 0.0, name: str = "cnn2") -> Classifier:
    """Two convolutions with pooling, and two linear layers."""
    layers = dict(
        conv1=nn.Conv2d(1, 32, 3, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(32, 64, 3, padding=1),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        conv_dropout=nn.Dropout(conv_dropout),
        flatten=nn.Flatten(),
        fc1=nn.Linear(64 * 7 * 7, 128),
        relu3=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        fc2=nn.Linear(128, 10),
    )
    unused = {"conv_dropout": not conv_dropout, "dropout": not dropout}
    return Classifier(name, **{k: v for k, v in layers.items() if not unused.get(k)})


def cnn2_dropout() -> Classifier:
    """`cnn2` with half of its hidden features dropped."""
    return cnn2(dropout=0.5, name="cnn2_dropout")


def cnn2_sgd() -> Classifier:
    """`cnn2` with dropout after the convolutions and in the classifier, meant for SGD."""
    return cnn2(conv_dropout=0.25, dropout=0.5, name="cnn2_sgd")


def mnistnet() -> Classifier:
    """Three convolution blocks with BatchNorm and dropout, then three linear layers."""
    blocks: dict[str, nn.Module] = {}
    for number, (inputs, outputs) in enumerate(((1, 32), (32, 64), (64, 128)), 1):
        blocks[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, padding=1)
        blocks[f"norm{number}"] = nn.BatchNorm2d(outputs)
        blocks[f"relu{number}"] = nn.ReLU()
        blocks[f"pool{number}"] = nn.MaxPool2d(2)
        blocks[f"dropout{number}"] = nn.Dropout(0.25)
    return Classifier(
        "mnistnet",
        **blocks,
        flatten=nn.Flatten(),
        fc1=nn.Linear(128 * 3 * 3, 256),
        relu4=nn.ReLU(),
        dropout4=nn.Dropout(0.5),
        fc2=nn.Linear(256, 128),
        relu5=nn.ReLU(),
        dropout5=nn.Dropout(0.5),
        fc3=nn.Linear(128, 10),
    )


def conv3_nopool() -> Classifier:
    """Three convolutions without padding or pooling, and one large linear layer."""
    return Classifier(
        "conv3_nopool",
        conv1=nn.Conv2d(1, 32, 3),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(32, 64, 3),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(64, 64, 3),
        relu3=nn.ReLU(),
        flatten=nn.Flatten(),
        fc=nn.Linear(64 * 22 * 22, 10),
    )


def pytorch_example() -> Classifier:
    """The network of pytorch/examples' ``mnist/main.py``, without its final log-softmax."""
    return Classifier(
        "pytorch_example",
        conv1=nn.Conv2d(1, 32, 3),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(32, 64, 3),
        relu2=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        dropout1=nn.Dropout(0.25),
        flatten=nn.Flatten(),
        fc1=nn.Linear(64 * 12 * 12, 128),
        relu3=nn.ReLU(),
        dropout2=nn.Dropout(0.5),
        fc2=nn.Linear(128, 10),
    )


def pytorch_example_2017() -> Classifier:
    """The network that pytorch/examples had until 2019."""
    return Classifier(
        "pytorch_example_2017",
        conv1=nn.Conv2d(1, 10, 5),
        pool1=nn.MaxPool2d(2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(10, 20, 5),
        dropout1=nn.Dropout2d(0.5),
        pool2=nn.MaxPool2d(2),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(20 * 4 * 4, 50),
        relu3=nn.ReLU(),
        dropout2=nn.Dropout(0.5),
        fc2=nn.Linear(50, 10),
    )


def speedrun_2020() -> Classifier:
    """The network of the fastest published recipe that we know (tuomaso/train_mnist_fast)."""
    return Classifier(
        "speedrun_2020",
        conv1=nn.Conv2d(1, 24, 5),
        pool1=nn.MaxPool2d(2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(24, 32, 3),
        pool2=nn.MaxPool2d(2),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(32 * 5 * 5, 256),
        relu3=nn.ReLU(),
        fc2=nn.Linear(256, 10),
    )


def conv_pool_net(name: str, width: int, depth: tuple[int, int, int]) -> Classifier:
    """Three stages of convolutions, pooled at the end of each, and one linear layer.

    Max-pooling before BatchNorm and ReLU leaves these a quarter of the values to work on. A bias
    in a convolution would be taken out again by BatchNorm, so there is none.

    Parameters
    ----------
    name : str
    width : int
        Channels of the first stage; the second has twice, the third four times as many.
    depth : three ints
        Convolutions in each stage.
    """
    layers: dict[str, nn.Module] = {}
    inputs, number = 1, 0
    for stage, count in enumerate(depth):
        for last in (False,) * (count - 1) + (True,):
            number += 1
            outputs, kernel = width * 2**stage, 5 if number == 1 else 3
            layers[f"conv{number}"] = nn.Conv2d(
                inputs, outputs, kernel, padding=kernel // 2, bias=False
            )
            if last:
                layers[f"pool{stage + 1}"] = nn.MaxPool2d(2)
            layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
            layers[f"relu{number}"] = nn.ReLU()
            inputs = outputs
    return Classifier(name, **layers, flatten=nn.Flatten(), fc=nn.Linear(inputs * 3 * 3, 10))


def tiny() -> Classifier:
    """Our quickest, for those who want 99.3% in seconds: small maps from the first step on.

    The first convolution moves in steps of two and none is padded, so the maps shrink from 28×28
    to 12×12, 10×10, pooled 5×5, and 3×3. A step of two halves a side as pooling does, but never
    computes the three values in four that pooling would throw away.
    """
    return Classifier(
        "tiny",
        conv1=nn.Conv2d(1, 32, 5, stride=2, bias=False),
        norm1=nn.BatchNorm2d(32),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(32, 32, 3, bias=False),
        pool2=nn.MaxPool2d(2),
        norm2=nn.BatchNorm2d(32),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(32, 128, 3, bias=False),
        norm3=nn.BatchNorm2d(128),
        relu3=nn.ReLU(),
        flatten=nn.Flatten(),
        fc=nn.Linear(128 * 3 * 3, 10),
    )


def fast() -> Classifier:
    """Our default: three pooled convolutions and one linear layer."""
    return conv_pool_net("fast", 32, (1, 1, 1))


def accurate() -> Classifier:
    """Our most accurate: two convolutions, not one, on each of the two smaller maps."""
    return conv_pool_net("accurate", 32, (1, 2, 2))


MODELS: dict[str, Callable[[], Classifier]] = {
    builder.__name__: builder
    for builder in (
        cnn2,
        mnistnet,
        conv3_nopool,
        cnn2_dropout,
        cnn2_sgd,
        pytorch_example,
        pytorch_example_2017,
        speedrun_2020,
        tiny,
        fast,
        accurate,
    )
}


def list_models() -> list[str]:
    """Return the names that `build_model` takes.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_models()[-3:]
    ['tiny', 'fast', 'accurate']
    """
    return list(MODELS)


def build_model(name: str) -> Classifier:
    """Build a network with fresh random weights.

    Parameters
    ----------
    name : str
        One of `list_models`.

    Returns
    -------
    Classifier
        Takes images ``[N, 1, 28, 28]`` (uint8, or float in [0, 1]), returns logits ``[N, 10]``.

    Raises
    ------
    ValueError
        If there is no architecture of that name.

    Examples
    --------
    >>> build_model("tiny")(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}: choose one of {', '.join(MODELS)}")
    return MODELS[name]()


def shrink_variances(model: nn.Module, share: float) -> None:
    """Move each BatchNorm's running variances towards their mean by `share`, in place.

    A feature that hardly varies over MNIST is amplified most, and drowns the others where another
    writer or scanner makes it vary. This is what shrinkage does to variances that are estimated one
    by one (Opgen-Rhein and Strimmer, Statistical Applications in Genetics and Molecular Biology 6,
    2007, article 9, section 3).

    Parameters
    ----------
    model : nn.Module
        Trained.
    share : float
        In [0, 1]; 0 changes nothing.
    """
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            layer.running_var.lerp_(layer.running_var.mean(), share)


def fuse_batchnorm(model: Classifier) -> nn.Sequential:
    """Return a copy with BatchNorm fused into the convolutions, for inference only.

    A trained BatchNorm multiplies and shifts each channel by fixed numbers, which the convolution
    before it can do as well. Max pooling between the two commutes with that if the
    factor is positive: the maximum stays the maximum. Dropout is left out.

    Parameters
    ----------
    model : Classifier
        In evaluation mode.
    """
    layers = [copy.deepcopy(layer) for layer in model if not isinstance(layer, DROPOUT)]
    for norm in [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]:
        before = layers.index(norm) - 1
        if isinstance(layers[before], nn.MaxPool2d) and (norm.weight > 0).all():
            before -= 1
        convolution = layers[before]
        if isinstance(convolution, nn.Conv2d):
            layers[before] = fuse_conv_bn_eval(convolution, norm)
            layers.remove(norm)
    return nn.Sequential(*layers)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
