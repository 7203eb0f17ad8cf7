"""Self-checks of the notebooks' exercises, and of what readers predict before they run a cell.

In a notebook: ``exercises.check("03-1", answer)`` says right or wrong, and if wrong, why. Each
check is a function that takes an answer, and returns None if it is right and a hint if it is not.
``exercises.compare(my_prediction, outcome)`` puts a prediction beside what came out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Check = Callable[[Any], str | None]
_CHECKS: dict[str, Check] = {}


class _Hint(Exception):
    """What is wrong with an answer, found out before its check compares anything."""


def exercise(name: str) -> Callable[[Check], Check]:
    """Register a check under the notebook's and the exercise's number, such as ``"03-1"``."""

    def register(function: Check) -> Check:
        _CHECKS[name] = function
        return function

    return register


def list_exercises() -> list[str]:
    """Return the names that `check` takes."""
    return sorted(_CHECKS)


def check(name: str, answer: Any) -> None:
    """Say whether an answer is right, and if not, why.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    if answer is None:
        print(f"Exercise {name}: not answered yet. Put your answer in the place of None.")
        return
    hint = hint_for(name, answer)
    print(f"Exercise {name}: right!" if hint is None else f"Exercise {name}: not yet. {hint}")


def compare(
    prediction: Any, outcome: float | str | tuple, unit: str = "", near: float | None = None
) -> None:
    """Print a reader's prediction beside what came out.

    Parameters
    ----------
    prediction : float, str, tuple or None
        Of the same kind as `outcome`; None for one that nobody has made.
    outcome : float, str or tuple
    unit : str
        Follows each number, such as "%".
    near : float, optional
        How far off a number may be to count as well predicted (default: a tenth of `outcome`).
    """
    if prediction is None:
        print("No prediction: put yours in the place of None before you run such a cell.")
    elif isinstance(outcome, (str, tuple)):
        same = _plainly(prediction) == _plainly(outcome)
        print(f"Well predicted: {outcome}." if same else f"Predicted {prediction}, but: {outcome}.")
    else:
        print(_compare_numbers(prediction, float(outcome), unit, near))


def _plainly(value: Any) -> Any:
    """Return words in lower case without spaces around them, and a list as a tuple."""
    return value.strip().lower() if isinstance(value, str) else tuple(np.ravel(value).tolist())


def _compare_numbers(prediction: Any, outcome: float, unit: str, near: float | None) -> str:
    """Say how far off a predicted number is."""
    try:
        predicted = _number(prediction)
    except _Hint as hint:
        return str(hint)
    said = f"Predicted {predicted:.4g}{unit}, came out {outcome:.4g}{unit}"
    if abs(predicted - outcome) <= (0.1 * abs(outcome) if near is None else near):
        return f"{said}: well predicted."
    return f"{said}: too {'low' if predicted < outcome else 'high'}. Why?"


def hint_for(name: str, answer: Any) -> str | None:
    """Return None for a right answer, a hint for a wrong one."""
    if name not in _CHECKS:
        raise ValueError(f"no exercise {name!r}: there are {', '.join(list_exercises())}")
    try:
        return _CHECKS[name](_watched(answer) if callable(answer) else answer)
    except _Hint as hint:
        return str(hint)
    except Exception as error:  # what came back may be anything
        return f"Your answer is not of the kind that was asked for: {error}"


def _watched(answer: Callable) -> Callable:
    """Wrap the reader's function, to tell its errors from those of a check."""

    def watched(*arguments: Any) -> Any:
        try:
            result = answer(*arguments)
        except _Hint:
            raise
        except Exception as error:  # the reader's own code may raise anything
            raise _Hint(f"Your answer raised {type(error).__name__}: {error}") from error
        if result is None:
            raise _Hint("Your function returns nothing: is there a `return`?")
        return result

    return watched


def _expect_function(answer: Any) -> str | None:
    """Return a hint if the answer is no function."""
    if callable(answer):
        return None
    return f"A function was asked for, this is {answer!r}. Pass it without calling it."


def _number(value: Any) -> float:
    """Return one number as a float, or raise a hint."""
    if not isinstance(value, str):
        try:
            return float(value.detach() if hasattr(value, "detach") else value)
        except (TypeError, ValueError):
            pass
    shape = getattr(value, "shape", None)
    what = repr(value) if shape is None else f"an array of shape {tuple(shape)}"
    raise _Hint(f"One number was asked for, this is {what}.")


# ------------------------------------------------------------------------------------- 01 · dataset


@exercise("01-1")
def _file_size(answer: int) -> str | None:
    if answer == 47_040_016:
        return None
    if answer == 47_040_000:
        return "The pixels are right; the header is missing."
    if answer in (47_040_004, 47_040_008):
        return "The header also has a size for each of the three dimensions: 4 + 3 × 4 bytes."
    if answer == 47_040_012:
        return "Before the three sizes the header has four bytes more."
    if isinstance(answer, str):
        return "A number was asked for: leave the quotation marks out."
    return "One byte for each of 60,000 × 28 × 28 pixels, and the header."


@exercise("01-2")
def _idx_header(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    for shape in ((10, 28, 28), (60_000,)):
        content = bytes([0, 0, 8, len(shape)])
        content += b"".join(size.to_bytes(4, "big") for size in shape) + bytes(100)
        got = answer(content)
        if not isinstance(got, tuple):
            return f"A tuple was asked for, not {type(got).__name__}."
        if got == tuple(int.from_bytes(size.to_bytes(4, "big"), "little") for size in shape):
            return "The most significant byte comes first: '>' in struct's format."
        if got and got[0] == int.from_bytes(content[:4], "big"):
            return "The sizes begin after the first four bytes, of which the last says how many."
        if got != shape:
            return f"For a file of shape {shape} yours gives {got}."
    return None


@exercise("01-3")
def _nearest_mean(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 1, (10, 784)) * np.linspace(0.5, 1.5, 10)[:, None]
    labels = np.arange(200) % 10
    images = centres[labels] + rng.normal(0, 0.1, (200, 784))
    images[-50:] = centres[(labels[-50:] + 1) % 10]  # each digit has five that lie elsewhere
    others = centres[(labels[:40] + 1) % 10] + 0.01
    got = np.asarray(answer(images, labels, others))
    if got.shape != (40,):
        return f"One digit for each of the others was asked for: shape (40,), not {got.shape}."
    if (got == labels[:40]).all():
        return "That is the nearest single picture, or a few; compare with each digit's mean."
    if (got != (labels[:40] + 1) % 10).any():
        return "Some digits are wrong: is it the smallest distance, over all 784 pixels?"
    means = np.stack([images[labels == digit].mean(0) for digit in range(10)])
    between = np.stack([_between(means[digit], means[digit - 5]) for digit in range(10)])
    if (np.asarray(answer(images, labels, between)) != np.arange(10)).any():
        return "A distance is the root of the sum of *squared* differences over all pixels."
    return None


def _between(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Return a point closer to `near`, though the sum of absolute differences to `far` is less.

    It is `far`, but for the few pixels in which the two differ most.
    """
    gap = np.abs(near - far)
    largest = gap.argsort()[::-1]
    few = largest[: np.searchsorted((gap[largest] ** 2).cumsum(), 0.55 * (gap**2).sum())]
    point = far.copy()
    point[few] = near[few]
    return point


# -------------------------------------------------------------------------------- 02 · architecture


@exercise("02-1")
def _output_side(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    trials = ((28, 5, 0, 1), (28, 3, 1, 1), (28, 3, 0, 2), (7, 2, 0, 2), (28, 2, 0, 2))
    trials += ((28, 3, 1, 2), (28, 5, 1, 3))
    for side, kernel, padding, stride in trials:
        right = (side + 2 * padding - kernel) // stride + 1
        got = answer(side, kernel, padding, stride)
        if got == right:
            continue
        case = f"side {side}, kernel {kernel}, padding {padding}, stride {stride}"
        if padding and got == (side + padding - kernel) // stride + 1:
            return "Padding is added on both sides."
        if got == right - 1:
            return f"One too few for {case}: 1 is added after the division, for the first place."
        if got == right + 1 or (isinstance(got, float) and not got.is_integer()):
            return f"For {case} yours gives {got}: the last place must fit in whole, so round down."
        return f"For {case} it is {right}, yours gives {got!r}."
    return None


@exercise("02-2")
def _parameters(answer: int) -> str | None:
    if answer == 18_496:
        return None
    if answer == 18_432:
        return "The biases are missing: one for each output channel."
    if answer == 640:
        return "Each of the 64 kernels looks at all 32 input channels."
    if answer == 36_928:
        return "That is for 64 input channels."
    return "Kernel height × width × input channels × output channels, and the biases."


@exercise("02-3")
def _max_pool(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    image = np.random.default_rng(0).normal(size=(6, 8))
    image[:2, :2] -= 10  # a block of negative numbers only
    blocks = image.reshape(3, 2, 4, 2)
    got = np.asarray(answer(image))
    if got.shape != (3, 4):
        return f"A picture of 6×8 comes to 3×4, not to {'×'.join(map(str, got.shape))}."
    if np.allclose(got, blocks.max((1, 3))):
        return None
    if np.allclose(got, blocks.mean((1, 3))):
        return "That is the mean of each block; the greatest value was asked for."
    if np.allclose(got, image[::2, ::2]):
        return "That takes the first value of each block; the greatest was asked for."
    return "The blocks are 2×2 and do not overlap: rows 0 and 1 with columns 0 and 1 first."


# ------------------------------------------------------------------------------------ 03 · training


@exercise("03-1")
def _steps_an_epoch(answer: int) -> str | None:
    if answer == 215:
        return None
    if answer == 214:
        return "That leaves out the last pictures: what is left over makes one more, smaller batch."
    if isinstance(answer, float):
        return "Steps are whole: part of a batch is a step too."
    return "Divide the number of pictures by the batch size, and round up."


@exercise("03-2")
def _cross_entropy(answer: Callable) -> str | None:
    from unittest.mock import patch

    import torch
    import torch.nn.functional as F

    if hint := _expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20, 10, generator=generator)
    labels = torch.randint(10, (20,), generator=generator)
    right = float(F.cross_entropy(logits, labels))
    with patch.object(F, "cross_entropy", side_effect=_Hint("By hand: without F.cross_entropy.")):
        value = _number(answer(logits, labels))
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


@exercise("03-3")
def _training_step(answer: Callable) -> str | None:
    import torch
    import torch.nn.functional as F

    if hint := _expect_function(answer):
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
    value = _number(answer(model, optimizer, images, labels))
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


@exercise("03-4")
def _warm_up(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
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


# ---------------------------------------------------------------------------------- 04 · prediction


@exercise("04-1")
def _invert(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    image = np.array([[0, 1, 100], [200, 254, 255]], dtype=np.uint8)
    result = np.asarray(answer(image))
    if np.array_equal(result, 255 - image):
        if result.dtype != np.uint8:
            return f"Keep the dtype uint8, not {result.dtype}."
        pale = np.array([[30, 100], [200, 240]], dtype=np.uint8)
        if not np.array_equal(answer(pale), 255 - pale):
            return "Take each value from 255, also in a picture that has neither black nor white."
        return None
    if np.array_equal(result, 0 - image):
        return "Negative numbers do not fit into uint8: −1 becomes 255, and −255 becomes 1."
    if np.array_equal(result, ~(image > 127)):
        return "Keep the greys: only turn light into dark."
    return "Black (0) should become white (255), white black, and 100 should become 155."


@exercise("04-2")
def _centre_of_mass(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    image = np.zeros((28, 28), np.uint8)
    image[4:8, 10:20] = 50
    image[20, 10] = 250
    mass = image.sum(dtype=float)
    rows, columns = np.indices(image.shape)
    row, column = float((rows * image).sum() / mass), float((columns * image).sum() / mass)
    got = tuple(_number(value) for value in answer(image))
    if len(got) != 2:
        return f"Two numbers were asked for, (row, column), not {len(got)}."
    if np.allclose(got, (row, column), atol=0.01):
        return None
    if np.allclose(got, (column, row), atol=0.01):
        return "Row and column are exchanged."
    if np.allclose(got, (12, 14.5), atol=0.6):
        return "That is the middle of the box around the ink; darker ink should weigh more."
    on = image > 0
    if np.allclose(got, (rows[on].mean(), columns[on].mean()), atol=0.01):
        return "Each pixel counts the same there; weigh it with its ink."
    paper = 255 - image
    if np.allclose(got, [(place * paper).sum() / paper.sum() for place in (rows, columns)]):
        return "Ink is what is light: large values weigh more."
    if got[0] < 4 or got[1] < 10:
        return (
            "That is outside of the ink. Sums of uint8 numbers overflow: take astype(float) first."
        )
    return f"For a trial picture it is ({row:.2f}, {column:.2f}), yours gives {got}."


@exercise("04-3")
def _threshold(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    confidence = np.array([0.35, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99])
    correct = np.array([0, 1, 0, 0, 1, 1, 1, 1, 1, 1], dtype=bool)
    got = _number(answer(confidence, correct, 0.1))
    kept = correct[confidence >= got]
    if not len(kept):
        return "Your threshold lets nothing through."
    if 1 - kept.mean() > 0.1:
        return f"Of those at or above {got:g}, {1 - kept.mean():.0%} are wrong; 10 % are allowed."
    if got > 0.7:
        return f"{got:g} keeps too few: 0.7 would be enough in the trial."
    correct = np.array([0, 0, 1, 0, 1, 0, 1, 1, 0, 1], dtype=bool)  # the second surest is wrong
    got = _number(answer(confidence[::-1], correct[::-1], 0.25))
    if got > 0.9:
        return (
            "In another trial 0.9 is enough: of four one is wrong, though at 0.97 it is one of two."
        )
    if got < 0.9:
        return f"Another trial: of those at or above {got:g} more than a quarter are wrong."
    return None


# ------------------------------------------------------------------------- 05 · misclassification


@exercise("05-1")
def _recall(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    confusion = np.diag(np.full(10, 90))
    confusion[4, 9], confusion[7, 9], confusion[9, 4] = 10, 20, 5
    got, right = _number(answer(confusion, 9)), 90 / 95
    if np.isclose(got, right):
        return None
    if np.isclose(got, 90 / 120):
        return "That is the precision: you divided by the column, all that were read as 9."
    if np.isclose(got, 90 / confusion.sum()):
        return "Divide by the pictures of this digit only, not by all."
    if np.isclose(got, 100 * right):
        return "That is per cent; a share between 0 and 1 was asked for."
    return f"For a trial matrix it is {right:.4f}, yours gives {got:.4f}."


@exercise("05-2")
def _needed_right(answer: int) -> str | None:
    from .evaluation import accuracy_interval

    if answer == 9930:
        return "Then 99.3 % is the estimate, and the interval reaches below it on one side."
    if isinstance(answer, (float, np.floating)) and float(answer).is_integer():
        answer = int(answer)
    if not isinstance(answer, (int, np.integer)) or not 0 <= answer <= 10_000:
        return "A whole number of pictures, from 0 to 10,000, was asked for."
    if accuracy_interval(int(answer), 10_000)[0] <= 0.993:
        return f"With {answer:,} right the interval still reaches down to 99.3 %."
    if accuracy_interval(int(answer) - 1, 10_000)[0] > 0.993:
        return f"{answer:,} is enough, but fewer would do."
    return None


@exercise("05-3")
def _calibration_error(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    confidence = np.array([0.91] * 12 + [1.0] * 3 + [0.62] * 5)
    correct = np.array([True] * 14 + [False] + [True] + [False] * 4)
    last, middle = 14 / 15 - (12 * 0.91 + 3) / 15, 0.62 - 0.2  # the gaps of the two bins
    right = (15 * last + 5 * middle) / 20
    got = _number(answer(confidence, correct))
    if np.isclose(got, right):
        return None
    if np.isnan(got):
        return "A bin without pictures has no mean: leave it out."
    if np.isclose(got, (5 * middle - 15 * last) / 20):
        return "Take each bin's gap without its sign; else over- and under-confidence cancel out."
    if np.isclose(got, (last + middle) / 2) or np.isclose(got, last + middle):
        return "Weigh each bin's gap with its share of the pictures."
    without = (12 * 0.09 + 5 * middle) / 20
    if any(np.isclose(got, one) for one in (without, without + 0.05, without * 20 / 17)):
        return "A confidence of 1 belongs to the last bin."
    if np.isclose(got, (15 * abs(0.95 - 14 / 15) + 5 * (0.65 - 0.2)) / 20):
        return "Take the mean confidence of a bin's pictures, not the middle of the bin."
    return f"For a trial set it is {right:.4f}, yours gives {got:.4f}."


# ------------------------------------------------------------------------ 06 · your own handwriting


@exercise("06-1")
def _lower_end(answer: float) -> str | None:
    from .evaluation import accuracy_interval

    low, high = accuracy_interval(48, 50)
    if isinstance(answer, tuple):
        return "That is the whole interval: its first number is the lower end."
    answer = _number(answer)
    if np.isclose(answer, low, atol=5e-4):
        return None
    if np.isclose(answer, low, atol=6e-3) or np.isclose(answer, 100 * low, atol=0.6):
        return "Right, but as a share between 0 and 1, please, and not rounded."
    if np.isclose(answer, high, atol=5e-4):
        return "That is the upper end."
    if np.isclose(answer, 0.96):
        return "That is the measured accuracy; how far down may the true one reach?"
    return "accuracy_interval takes the number of right readings, and of all, in this order."


@exercise("06-2")
def _replay_mix(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    new, old = (np.arange(*ends).repeat(4).reshape(-1, 2, 2) for ends in ((10,), (100, 200)))
    for share, wanted in ((0.25, 30), (0.3, 23), (0.35, 19)):
        got = np.asarray(answer(new, old, share))
        if got.ndim != 3 or got.shape[1:] != (2, 2):
            return f"Pictures of 2×2 stay what they are: yours gives an array of shape {got.shape}."
        names = got[:, 0, 0]
        if not np.isin(range(10), names).all():
            return "All of the new pictures belong into the mix."
        if share == 0.25 and len(got) == 50:
            return "You took 10 / 0.25 old ones: that should be the size of the whole mix."
        whole = 10 + wanted
        if share != 0.25 and abs(len(got) - whole) == 1:
            exact = 10 * (1 - share) / share
            return f"For a share of {share} {exact:.2f} old ones are needed: round to {wanted}."
        if len(got) != whole:
            return f"For 10 new ones, share {share}, the mix has {whole} pictures, not {len(got)}."
        if set(names) != {*range(10), *range(100, 100 + wanted)}:
            return "The old ones should be the first of `old`, each once."
    return None


@exercise("06-3")
def _forgotten(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    labels = np.arange(10)
    before, after = labels.copy(), labels.copy()
    before[:2] = 9  # two wrong before, of which one is mended
    after[1] = 9
    after[2:4] = 0  # and two forgotten
    got = _number(answer(labels, before, after))
    if np.isclose(got, 2 / 8):
        return None
    if np.isclose(got, 2 / 10):
        return "Divide by the pictures that were read right before, not by all."
    if np.isclose(got, 1 / 10):
        return "That is the difference of the accuracies: what was newly learnt hides in it."
    if np.isclose(got, 25):
        return "That is per cent; a share between 0 and 1 was asked for."
    return f"In a trial 2 of 8 are forgotten, yours gives {got:.3f}."


@exercise("07-1")
def _peak_rate(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    lr, loss = np.array([2e-4, 1e-3, 8e-3, 5e-2, 3.0]), np.array([2.3, 2.0, 0.9, 0.4, 1.7])
    got = _number(answer(lr, loss))
    if np.isclose(got, 5e-3):
        return None
    if np.isclose(got, 5e-2):
        return "That is the rate with the lowest loss: take a tenth of it."
    if np.isclose(got, 0.04) or np.isclose(got, 0.4):
        return "That is a loss: the rate that belongs to it is wanted."
    if np.isclose(got, 0.1 * lr[-1]) or np.isclose(got, 0.1 * lr[0]):
        return "Look for the lowest loss, not for the highest or the lowest rate."
    return (
        f"In a trial the lowest loss is at a rate of 0.05: a tenth is 0.005, yours gives {got:g}."
    )


@exercise("07-2")
def _mcnemar_by_hand(answer: Callable) -> str | None:
    from scipy.stats import binomtest

    if hint := _expect_function(answer):
        return hint
    got, expected = _number(answer(2, 8)), binomtest(2, 10).pvalue
    if np.isclose(got, expected / 2):
        return "That is one side only: a lead of the other network would have been as remarkable."
    if not np.isclose(got, expected):
        return f"For 2 and 8 it is {expected:.3f}, yours gives {got:.3f}."
    if not np.isclose(_number(answer(8, 2)), expected):
        return "Which network comes first should not matter: 8 and 2 is as uneven as 2 and 8."
    if _number(answer(5, 5)) > 1:
        return "For 5 and 5 yours is greater than 1, and no probability: the middle counts twice."
    return None


@exercise("07-3")
def _needed_seeds(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    got = _number(answer(0.0005, 0.0002))
    if np.isclose(got, 25):
        other = _number(answer(0.001, 0.0007))
        return None if np.isclose(other, 8) else f"Std 0.001, half 0.0007: 8 seeds, not {other:g}."
    if np.isclose(got, 24.01):
        return "There are no parts of a training: round up to a whole number."
    if np.isclose(got, 24):
        return "24 seeds are just too few: round up, not down."
    if got in (4.9, 5) or np.isclose(got, 4.9):
        return "The square root is on n: square the ratio."
    return f"For a std of 0.0005 and a half-width of 0.0002 it is 25 seeds, yours gives {got:g}."


@exercise("08-1")
def _request_by_hand(answer: Callable) -> str | None:
    import base64

    if hint := _expect_function(answer):
        return hint
    content = b"\x89PNG and so on"
    got = answer(content)
    if not isinstance(got, dict) or "image" not in got:
        return "The picture belongs into a dictionary, under the key 'image'."
    if isinstance(got["image"], bytes):
        return "JSON knows no bytes: decode() the base64 into text."
    if got["image"] == base64.b64encode(content).decode():
        return None
    if got["image"] == content.hex():
        return "That is hexadecimal; base64 is wanted: base64.b64encode."
    return f"Decoded again, {str(got['image'])[:30]!r} is not the picture."


@exercise("08-2")
def _one_in_twenty(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    times = np.random.default_rng(0).permutation(np.arange(1.0, 102.0) ** 2)
    got = _number(answer(times))
    if np.isclose(got, 96.0**2):
        return None
    if np.isclose(got, times.mean()):
        return "That is the mean: it tells nobody how long the slow ones waited."
    if np.isclose(got, np.percentile(times, 5)):
        return "That is the fifth percentile: those are the fast ones."
    if np.isclose(got, np.percentile(times, 0.95)):
        return "np.percentile takes per cent: 95, or np.quantile with 0.95."
    return f"In a trial it is 9216, yours gives {got:g}."


@exercise("08-3")
def _inside_at_once(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    got = _number(answer(400, 0.125))
    if np.isclose(got, 50):
        half = np.isclose(_number(answer(30, 0.05)), 1.5)
        return None if half else "On average 1.5 may be inside: do not round."
    if np.isclose(got, 3200) or np.isclose(got, 0.125 / 400):
        return "Think of one second: 400 come, and each stays for an eighth of it."
    return f"With 400 a second that stay 0.125 seconds it is 50, yours gives {got:g}."


@exercise("09-1")
def _parts_of_different_size(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    gradients, counts = np.array([[1.0, 0.0], [4.0, 3.0]]), np.array([2, 1])
    got = np.asarray(answer(gradients, counts), dtype=float)
    if got.shape != (2,):
        return f"It is one gradient, of shape (2,) in a trial, not {got.shape}."
    if np.allclose(got, [2.0, 1.0]):
        return None
    if np.allclose(got, [2.5, 1.5]):
        return "That is the plain mean: a worker with more pictures has to count more."
    if np.allclose(got, [6.0, 3.0]):
        return "Divide by the number of all pictures, or the step grows with the batch."
    return f"For parts of 2 and 1 pictures it is [2, 1] in a trial, yours gives {got}."


@exercise("09-2")
def _amdahl(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    got = _number(answer(10, 0.1))
    if np.isclose(got, 1 / 0.19):
        other = _number(answer(4, 0.5))
        if np.isclose(other, 1.6):
            return None
        return f"With 4 workers, if half cannot be shared, it is 1.6, yours gives {other:g}."
    if np.isclose(got, 1 / 0.19, atol=0.3):
        return "Right, but not rounded, please."
    if np.isclose(got, 10):
        return "Only a part of the job can be shared: what happens to the rest?"
    if np.isclose(got, 0.19):
        return "That is the time that is left, as a share: how many times faster is it then?"
    if np.isclose(got, 9) or np.isclose(got, 9.1):
        return "Add up times, not speeds: what cannot be shared, and the rest among the workers."
    return f"With 10 workers and a tenth that cannot be shared it is 5.26, yours gives {got:.3g}."


@exercise("09-3")
def _how_many_cores(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    got, exact = _number(answer(1_000_000, 200, 3600)), _number(answer(720_000, 200, 3600))
    if got == 2 and exact == 1:
        minute = _number(answer(1_000_000, 200, 60))
        return None if minute == 84 else f"Within 60 seconds it takes 84 cores, not {minute:g}."
    if not got.is_integer():
        return "A whole number of cores was asked for: round up."
    if got == 1:
        return "A core reads 720,000 in an hour, so one is too few: round up."
    if got == 2:
        return "For 720,000 pictures one core is just enough."
    if got == 5000:
        return "That is for one second: each core has an hour."
    return f"With 200 pictures a second and an hour it is 2 cores, yours gives {got:g}."
