"""Self-checks of notebook 04, gpu_training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import Hint, exercise, expect_function, number


@exercise("04-1")
def _steps_an_epoch(answer: int) -> str | None:
    if answer == 215:
        return None
    if answer == 214:
        return "That leaves out the last pictures: what is left over makes one more, smaller batch."
    if isinstance(answer, float):
        return "Steps are whole: part of a batch is a step too."
    return "Divide the number of pictures by the batch size, and round up."


@exercise("04-2")
def _cross_entropy(answer: Callable) -> str | None:
    from unittest.mock import patch

    import torch
    import torch.nn.functional as F

    if hint := expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20, 10, generator=generator)
    labels = torch.randint(10, (20,), generator=generator)
    right = float(F.cross_entropy(logits, labels))
    with patch.object(F, "cross_entropy", side_effect=Hint("By hand: without F.cross_entropy.")):
        value = number(answer(logits, labels))
    if np.isclose(value, right, rtol=1e-3):
        return None
    if np.isclose(value, -right, rtol=1e-3):
        return "The sign is wrong: logarithms of probabilities are negative, a loss is positive."
    if np.isclose(value, 20 * right, rtol=1e-3):
        return "That is the sum over all pictures; the mean was asked for."
    probs = logits.softmax(1)[torch.arange(20), labels]
    if np.isclose(value, float(1 - probs.mean()), rtol=1e-3) or np.isclose(
        value, -float(probs.mean()), rtol=1e-3
    ):
        return "The logarithm is missing."
    if np.isclose(value, -float(logits[torch.arange(20), labels].mean()), rtol=1e-3):
        return "Logits are not probabilities yet: softmax comes first."
    if np.isclose(value, right / np.log(10), rtol=1e-3):
        return "That is the logarithm to base 10; the natural one, torch.log, was asked for."
    return f"For a trial batch the loss is {right:.4f}, yours gives {value:.4f}."


@exercise("04-3")
def _training_step(answer: Callable) -> str | None:
    import torch
    import torch.nn.functional as F

    if hint := expect_function(answer):
        return hint
    rate = 0.37
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    images, labels = torch.rand(8, 1, 28, 28), torch.randint(10, (8,))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    weights = [[parameter.detach().clone() for parameter in model.parameters()]]
    losses, gradients = [], []
    for _ in range(2):  # what two steps should do
        moving = [weight.clone().requires_grad_() for weight in weights[-1]]
        loss = F.cross_entropy(F.linear(images.flatten(1), *moving), labels)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, moving))
        weights.append([w.detach() - rate * g for w, g in zip(moving, gradients[-1], strict=True)])

    def is_at(expected: list) -> bool:
        now = zip(model.parameters(), expected, strict=True)
        return all(torch.allclose(one, other, atol=1e-4) for one, other in now)

    with torch.no_grad():
        softened = F.cross_entropy(model(images).softmax(1), labels).item()
    value = number(answer(model, optimizer, images, labels))
    if is_at(weights[0]):
        return (
            "The weights have not changed: is there a backward(), a step() after it, and no "
            "zero_grad() between the two?"
        )
    if np.isclose(value, softened, atol=1e-4):
        return "F.cross_entropy takes the logits as they are: no softmax before it."
    if np.isclose(value, losses[1], atol=1e-4):
        return "Return the loss before the step, the one whose backward() you called."
    if not is_at(weights[1]):
        return "That is not what one step of this optimizer does: one backward(), one step()."
    if not np.isclose(value, losses[0], atol=1e-4):
        return f"Return the loss, {losses[0]:.3f} in a trial; yours returns {value:.3f}."
    answer(model, optimizer, images, labels)
    if not is_at(weights[2]):
        return "Gradients of the former step are added to the new ones: where is zero_grad()?"
    return None


@exercise("04-4")
def _warm_up(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rates = np.array([answer(step, 100, 0.5) for step in range(101)])
    if not np.isclose(rates.max(), 0.5):
        return f"The highest rate should be the peak, 0.5 in the trial; yours is {rates.max():g}."
    if rates.argmax() != 10:
        return f"The peak belongs at a tenth of all steps, 10 of 100; yours is at {rates.argmax()}."
    if not np.isclose(rates[0], 0):
        return f"Step 0 should have a rate of 0, yours has {rates[0]:g}."
    if not np.isclose(rates[-1], 0):
        return f"The rate should end at 0, yours ends at {rates[-1]:g}."
    if not np.allclose(np.diff(rates, 2)[[*range(8), *range(12, 99)]], 0, atol=1e-9):
        return "Both parts should be straight lines."
    for step, right in ((2, 0.8), (10, 2 / 3)):  # of 25 steps, with the peak, 1, at 2.5
        if not np.isclose(got := answer(step, 25, 1.0), right):
            return f"Step {step} of 25 should have {right:.3f} of the peak, yours has {got:.3f}."
    return None
