"""What a network's output depends on: saliency maps, adversarial examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .augment import to_float
from .data import Batches, Digits
from .wrapping import wrap_model


def saliency(
    model: nn.Module, image: Tensor | np.ndarray, target: int | None = None, steps: int = 64
) -> np.ndarray:
    """Attribute a digit's logit to the pixels, by integrated gradients from a black image.

    Parameters
    ----------
    model : nn.Module
    image : Tensor or ndarray of 28×28 values, uint8 or float in [0, 1]
    target : int, default=None
        The digit to explain. If None, the one that the network predicts.
    steps : int, default=64
        Images between black and ``image`` at which the gradient is taken.

    Returns
    -------
    ndarray of shape [28, 28], dtype float32
        Positive where ink raises the logit, negative where it lowers it; the sum is
        close to the logit's change from the black image to this one.

    Examples
    --------
    >>> from mnist_helpers.models import build_model
    >>> saliency(build_model("tiny"), np.zeros((28, 28), np.uint8)).shape
    (28, 28)

    References
    ----------
    M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for deep networks", ICML 2017,
    equation 3.
    """
    model = wrap_model(model)
    device = next(model.parameters()).device
    pixels = to_float(torch.as_tensor(image)).reshape(1, 1, 28, 28).to(device)
    training = model.training
    model.eval()
    middles = (torch.arange(steps, device=device) + 0.5) / steps
    path = (middles.reshape(-1, 1, 1, 1) * pixels).requires_grad_()
    if target is None:
        with torch.inference_mode():
            target = int(model(pixels).argmax())
    (gradients,) = torch.autograd.grad(model(path)[:, target].sum(), path)
    model.train(training)
    return (gradients.mean(0) * pixels[0])[0].float().cpu().numpy()


def adversarial(model: nn.Module, digits: Digits, epsilon: int, batch_size: int = 500) -> Digits:
    """Perturb every pixel a little, in the direction that raises the loss most.

    The fast gradient sign method: each pixel moves `epsilon` gray levels up or down, whichever
    raises the cross-entropy of the true digit, and stays between black and white.

    Parameters
    ----------
    model : nn.Module
        The network to attack. Its mode (training or evaluation) is restored.
    digits : Digits
        With labels.
    epsilon : int
        Gray levels, 0 to 255.
    batch_size : int, default=500
        Images per batch; changes memory and speed, not the result.

    Returns
    -------
    Digits
        The perturbed images with their true labels.

    Raises
    ------
    ValueError
        If `epsilon` is not a whole number from 0 to 255, or an image has no label.

    Examples
    --------
    >>> from mnist_helpers.models import build_model
    >>> from mnist_helpers.synthetic import synthetic_digits
    >>> digits = synthetic_digits(4)
    >>> attacked = adversarial(build_model("tiny"), digits, epsilon=8)
    >>> int((attacked.images.int() - digits.images.int()).abs().max())
    8

    References
    ----------
    I. Goodfellow, J. Shlens and C. Szegedy, "Explaining and harnessing adversarial examples",
    ICLR 2015, section 4.
    """
    if not isinstance(epsilon, (int, np.integer)) or not 0 <= epsilon <= 255:
        raise ValueError(f"epsilon is a whole number of gray levels, 0 to 255, not {epsilon!r}")
    if (digits.labels < 0).any():
        raise ValueError(f"{digits.source} has images without labels: the loss needs them")
    model = wrap_model(model)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    changed = []
    for images, labels in Batches(digits.to(device), batch_size, shuffle=False):
        floats = to_float(images).requires_grad_()
        loss = nn.functional.cross_entropy(model(floats).float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, floats)
        moved = images.int() + int(epsilon) * gradient.sign().int()
        changed.append(moved.clamp(0, 255).to(torch.uint8).to(digits.images.device))
    model.train(training)
    source = f"{digits.source}, adversarial with epsilon {epsilon}"
    return Digits(torch.cat(changed), digits.labels, source)
