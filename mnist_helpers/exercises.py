"""Self-checks of the notebooks' exercises: right or wrong, and if wrong, why.

In a notebook: ``exercises.check("03-1", answer)``. Each check is a function that takes an answer,
and returns None if it is right and a hint if it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Check = Callable[[Any], str | None]
_CHECKS: dict[str, Check] = {}


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


def hint_for(name: str, answer: Any) -> str | None:
    """Return None for a right answer, a hint for a wrong one."""
    if name not in _CHECKS:
        raise ValueError(f"no exercise {name!r}: there are {', '.join(list_exercises())}")
    try:
        return _CHECKS[name](answer)
    except Exception as error:  # the reader's own code may raise anything
        return f"Your answer raised {type(error).__name__}: {error}"


def _expect_function(answer: Any) -> str | None:
    """Return a hint if the answer is no function."""
    if callable(answer):
        return None
    return f"A function was asked for, this is {answer!r}. Pass it without calling it."


# ------------------------------------------------------------------------------------- 01 · dataset


@exercise("01-1")
def _file_size(answer: int) -> str | None:
    if answer == 47_040_016:
        return None
    if answer == 47_040_000:
        return "The pixels are right; the header is missing."
    if answer == 47_040_008:
        return "The header also has a size for each of the three dimensions: 4 + 3 × 4 bytes."
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
            return "The largest byte comes first: '>' in struct's format."
        if got != shape:
            return f"For a file of shape {shape} yours gives {got}."
    return None


@exercise("01-3")
def _nearest_mean(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 1, (10, 784))
    labels = np.arange(200) % 10
    images = centres[labels] + rng.normal(0, 0.1, (200, 784))
    images[-10:] = centres[(labels[-10:] + 1) % 10]  # each digit has one that lies elsewhere
    others = centres[(labels[:40] + 1) % 10] + 0.01
    got = np.asarray(answer(images, labels, others))
    if got.shape != (40,):
        return f"One digit for each of the others was asked for: shape (40,), not {got.shape}."
    if (got == (labels[:40] + 1) % 10).all():
        return None
    if (got == labels[:40]).all():
        return "That is the nearest single picture; compare with the mean of each digit."
    return "Some digits are wrong: is it the smallest distance, over all 784 pixels?"


# -------------------------------------------------------------------------------- 02 · architecture


@exercise("02-1")
def _output_side(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    trials = ((28, 3, 1, 1), (28, 5, 0, 1), (28, 3, 0, 2), (7, 2, 0, 2))
    for side, kernel, padding, stride in trials:
        right = (side + 2 * padding - kernel) // stride + 1
        got = answer(side, kernel, padding, stride)
        if got == right:
            continue
        case = f"side {side}, kernel {kernel}, padding {padding}, stride {stride}"
        if got == right - 1:
            return f"One too few for {case}: the first place counts too."
        if isinstance(got, float) and not got.is_integer():
            return f"For {case} yours gives {got}: the last place must fit in whole, so round down."
        if padding and got == (side + padding - kernel) // stride + 1:
            return "Padding is added on both sides."
        return f"For {case} it is {right}, yours gives {got}."
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
    import torch
    import torch.nn.functional as F

    if hint := _expect_function(answer):
        return hint
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20, 10, generator=generator)
    labels = torch.randint(10, (20,), generator=generator)
    value, right = float(answer(logits, labels)), float(F.cross_entropy(logits, labels))
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
    return f"For a trial batch the loss is {right:.4f}, yours gives {value:.4f}."


@exercise("03-3")
def _training_step(answer: Callable) -> str | None:
    import torch

    if hint := _expect_function(answer):
        return hint
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    images, labels = torch.rand(8, 1, 28, 28), torch.randint(10, (8,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[1].weight.detach().clone()
    first = answer(model, optimizer, images, labels)
    if torch.equal(before, model[1].weight):
        return "The weights have not changed: is there a backward(), and a step() after it?"
    if first is None:
        return "Return the loss."
    model[1].weight.data.copy_(before)
    model[1].bias.data.zero_()
    model[1].weight.grad.fill_(1e3)  # what a former step might have left
    answer(model, optimizer, images, labels)
    if float((model[1].weight.detach() - before).abs().max()) > 10:
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
    return None


# ---------------------------------------------------------------------------------- 04 · prediction


@exercise("04-1")
def _invert(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    image = np.array([[0, 1, 100], [200, 254, 255]], dtype=np.uint8)
    result = np.asarray(answer(image))
    if np.array_equal(result, 255 - image):
        return None if result.dtype == np.uint8 else f"Keep the dtype uint8, not {result.dtype}."
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
    got = tuple(float(value) for value in answer(image))
    if np.allclose(got, (row, column), atol=0.01):
        return None
    if np.allclose(got, (column, row), atol=0.01):
        return "Row and column are exchanged."
    if np.allclose(got, (12, 14.5), atol=0.6):
        return "That is the middle of the box around the ink; darker ink should weigh more."
    on = image > 0
    if np.allclose(got, (rows[on].mean(), columns[on].mean()), atol=0.01):
        return "Each pixel counts the same there; weigh it with its ink."
    return f"For a trial picture it is ({row:.2f}, {column:.2f}), yours gives {got}."


@exercise("04-3")
def _threshold(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    confidence = np.array([0.35, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99])
    correct = np.array([0, 1, 0, 0, 1, 1, 1, 1, 1, 1], dtype=bool)
    got = float(answer(confidence, correct, 0.1))
    kept = correct[confidence >= got]
    if not len(kept):
        return "Your threshold lets nothing through."
    if 1 - kept.mean() > 0.1:
        return f"Of those at or above {got:g}, {1 - kept.mean():.0%} are wrong; 10 % are allowed."
    if got > 0.7:
        return f"{got:g} keeps too few: 0.7 would be enough in the trial."
    return None


# ------------------------------------------------------------------------- 05 · misclassification


@exercise("05-1")
def _recall(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    confusion = np.diag(np.full(10, 90))
    confusion[4, 9], confusion[7, 9], confusion[9, 4] = 10, 20, 5
    got, right = float(answer(confusion, 9)), 90 / 95
    if np.isclose(got, right):
        return None
    if np.isclose(got, 90 / 120):
        return "That is the precision: you divided by the column, all that were read as 9."
    if np.isclose(got, 90 / confusion.sum()):
        return "Divide by the pictures of this digit only, not by all."
    return f"For a trial matrix it is {right:.4f}, yours gives {got:.4f}."


@exercise("05-2")
def _needed_right(answer: int) -> str | None:
    from .evaluation import accuracy_interval

    if answer == 9930:
        return "Then 99.3 % is the estimate, and the interval reaches below it on one side."
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
    confidence = np.array([0.95] * 10 + [0.65] * 10)
    correct = np.array([True] * 8 + [False] * 2 + [True] * 7 + [False] * 3)
    got = float(answer(confidence, correct))
    if np.isclose(got, 0.1):
        return None
    if np.isclose(got, 0.05):
        return "Take each bin's gap without its sign; else over- and under-confidence cancel out."
    if np.isclose(got, 0.2):
        return "Weigh each bin's gap with its share of the pictures."
    return f"For a trial set it is 0.1000, yours gives {got:.4f}."


# ------------------------------------------------------------------------ 06 · your own handwriting


@exercise("06-1")
def _lower_end(answer: float) -> str | None:
    from .evaluation import accuracy_interval

    low, high = accuracy_interval(48, 50)
    if isinstance(answer, tuple):
        return "That is the whole interval: its first number is the lower end."
    if np.isclose(answer, low, atol=5e-4):
        return None
    if np.isclose(answer, high, atol=5e-4):
        return "That is the upper end."
    if np.isclose(answer, 0.96):
        return "That is the measured accuracy; how far down may the true one reach?"
    return "accuracy_interval takes the number of right readings, and of all, in this order."


@exercise("06-2")
def _replay_mix(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    new, old = np.arange(10), np.arange(100, 200)
    got = np.asarray(answer(new, old, 0.25))
    if not np.isin(new, got).all():
        return "All of the new pictures belong into the mix."
    if len(got) == 40 and set(got) == {*range(10), *range(100, 130)}:
        return None
    if len(got) == 50:
        return "You took 10 / 0.25 old ones: that should be the size of the whole mix."
    return f"For 10 new ones and a share of 0.25 the mix has 40 pictures, yours has {len(got)}."


@exercise("06-3")
def _forgotten(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    labels = np.arange(10)
    before, after = labels.copy(), labels.copy()
    before[:2] = 9  # two wrong before, of which one is mended
    after[1] = 9
    after[2:4] = 0  # and two forgotten
    got = float(answer(labels, before, after))
    if np.isclose(got, 2 / 8):
        return None
    if np.isclose(got, 2 / 10):
        return "Divide by the pictures that were read right before, not by all."
    if np.isclose(got, 1 / 10):
        return "That is the difference of the accuracies: what was newly learnt hides in it."
    return f"In a trial 2 of 8 are forgotten, yours gives {got:.3f}."


@exercise("07-1")
def _peak_rate(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    lr, loss = np.array([1e-4, 1e-3, 1e-2, 1e-1, 3.0]), np.array([2.3, 2.0, 0.9, 0.4, 1.7])
    got = float(answer(lr, loss))
    if np.isclose(got, 1e-2):
        return None
    if np.isclose(got, 1e-1):
        return "That is the rate with the lowest loss: take a tenth of it."
    if np.isclose(got, 0.04) or np.isclose(got, 0.4):
        return "That is a loss: the rate that belongs to it is wanted."
    if np.isclose(got, 0.1 * lr[-1]) or np.isclose(got, 0.1 * lr[0]):
        return "Look for the lowest loss, not for the highest or the lowest rate."
    return (
        f"In a trial the lowest loss lies at a rate of 0.1: a tenth is 0.01, yours gives {got:g}."
    )


@exercise("07-2")
def _mcnemar_by_hand(answer: Callable) -> str | None:
    from scipy.stats import binomtest

    if hint := _expect_function(answer):
        return hint
    got, expected = float(answer(2, 8)), binomtest(2, 10).pvalue
    if np.isclose(got, expected / 2):
        return "That is one side only: a lead of the other network would have been as remarkable."
    if not np.isclose(got, expected):
        return f"For 2 and 8 it is {expected:.3f}, yours gives {got:.3f}."
    if not np.isclose(float(answer(8, 2)), expected):
        return "Which network comes first should not matter: 8 and 2 is as uneven as 2 and 8."
    if float(answer(5, 5)) > 1:
        return "For 5 and 5 yours is greater than 1, and no probability: the middle counts twice."
    return None


@exercise("07-3")
def _needed_seeds(answer: Callable) -> str | None:
    if hint := _expect_function(answer):
        return hint
    got = float(answer(0.0005, 0.0002))
    if np.isclose(got, 25):
        return None
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
    times = np.arange(1.0, 102.0) ** 2
    got = float(answer(times))
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
    got = float(answer(400, 0.125))
    if np.isclose(got, 50):
        return None
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
    got = float(answer(10, 0.1))
    if np.isclose(got, 1 / 0.19):
        return None
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
    got, exact = answer(1_000_000, 200, 3600), answer(720_000, 200, 3600)
    if got == 2 and exact == 1:
        return None
    if got == 1:
        return "A core reads 720,000 in an hour, so one is too few: round up."
    if got == 2:
        return "For 720,000 pictures one core is just enough."
    if got == 5000:
        return "That is for one second: each core has an hour."
    return f"With 200 pictures a second and an hour it is 2 cores, yours gives {got:g}."
