"""The training loop: device, precision, epochs, checkpoints on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .augment import AUGMENTATIONS
from .checkpoints import History
from .data import EVAL_BATCH_SIZE, NON_DIGIT, UNLABELED, Batches, Digits
from .device import autocast, choose_device, retain_freed_memory, threads_for_free_cores
from .files import exclusive_lock
from .models import Classifier, build_model
from .parallel import all_reduce_metrics, rank_and_world_size, wrap_ddp
from .progress import TextBar, progress_bar
from .recipes import Recipe, recipe_for
from .run_state import Run
from .wrapping import to_device, wrap_model

DIVERGED_LOSS = 100.0  # a loss that only exploding numbers reach; guessing costs ln 10 = 2.3


def train(
    model: nn.Module | str,
    train: Digits,
    val: Digits | None = None,
    recipe: Recipe | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device = "auto",
    callbacks: Sequence[Callable[[History], None]] = (),
    progress: bool = True,
) -> History:
    """Train a network.

    Parameters
    ----------
    model : nn.Module or str
        Trained in place, and left on `device`, in evaluation mode: of `build_model`, or one of your
        own that takes images ``[N, 1, 28, 28]`` and returns logits ``[N, 10]`` (see `wrap_model`).
        A name builds a network with the recipe's seed; find it afterwards in ``out/last.pt``.
    train : Digits
        Training split.
    val : Digits, default=None
        Validation split, evaluated after each epoch. The test split has no place here.
    recipe : Recipe, default=None
        If None, the recipe of the model's name in `RECIPES`, or ``Recipe()`` for a network of your
        own.
    out : path, default=None
        Folder for ``last.pt`` (written after each epoch; in the end the network as it is left)
        and ``best.pt`` (the epoch with the lowest validation loss). An earlier run's
        ``last.pt`` is kept as ``previous.pt``, unless `resume` continues it.
    resume : bool, default=False
        Continue from ``out/last.pt`` if it exists. On a CPU with the same number of threads
        (``OMP_NUM_THREADS`` fixes it) the final weights are exactly those of an uninterrupted
        run, since each epoch's random numbers depend only on the seed and the epoch.
    device : str or torch.device, default="auto"
        See `choose_device`.
    callbacks : sequence of callables, default=()
        Each is called with the history after each epoch.
    progress : bool, default=True
        Show a progress bar.

    Returns
    -------
    History
        One row per epoch.

    Raises
    ------
    FloatingPointError
        If the loss diverges, or is no longer a finite number.
    MemoryError
        If the GPU's memory does not suffice.
    OSError
        If another process trains into the same folder, or a file cannot be written.
    ValueError
        If there is nothing to train on, labels are missing, or `resume` finds another recipe,
        network, or other training data.

    See Also
    --------
    mnist_helpers.train_distributed : the same on several workers.

    Examples
    --------
    >>> from mnist_helpers.synthetic import synthetic_digits
    >>> digits, recipe = synthetic_digits(64), Recipe(epochs=2)
    >>> history = train("tiny", digits, recipe=recipe, device="cpu", progress=False)
    >>> [row["epoch"] for row in history]
    [1, 2]
    """
    device, _ = choose_device(device)
    if isinstance(model, str):
        recipe = recipe or recipe_for(model)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            model = build_model(model)
    model = wrap_model(model)
    recipe = recipe or (recipe_for(model.name) if isinstance(model, Classifier) else Recipe())
    check_splits(train, val)
    source, train = train.source, train.to(device)
    to_device(model, device)
    optimizer = make_optimizer(model, recipe)
    run = Run(model, recipe, optimizer, source, Path(out) if out else None)
    with (
        retain_freed_memory(),
        exclusive_lock(run.out) if run.out and run.writes else nullcontext(),
    ):
        run.data = train.fingerprint() if out else None
        if resume:
            run.restore()
        run.save_initial_state()
        _train_epochs(run, train, val, callbacks, progress)
        run.finish()
    model.eval()
    return run.history


def _train_epochs(
    run: Run,
    train: Digits,
    val: Digits | None,
    callbacks: Sequence[Callable[[History], None]],
    progress: bool,
) -> None:
    """Train the epochs that are left."""
    recipe, model = run.recipe, wrap_ddp(run.model)
    rank, world_size = rank_and_world_size()
    augment = AUGMENTATIONS[recipe.augment] if recipe.augment else None
    batches = Batches(train, recipe.batch_size, augment=augment, rank=rank, world_size=world_size)
    steps = recipe.epochs * len(batches)
    done = len(run.history) * len(batches)
    with (
        progress_bar(total=steps, initial=done, disable=not progress) as bar,
        threads_for_free_cores(run.model),
    ):
        while len(run.history) < recipe.epochs and not run.should_stop_early():
            with _explain_out_of_memory(recipe):
                row = train_epoch(model, batches, run.optimizer, recipe, len(run.history), bar)
                if val is not None and len(val):
                    row |= validate(run.model, val, recipe)
            _check_loss(row, recipe)
            run.record_epoch(row)
            bar.set_postfix_str(_progress_text(row))
            for callback in callbacks:
                callback(run.history)


def train_epoch(
    model: nn.Module,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    epoch: int,
    bar: TextBar,
) -> dict[str, float]:
    """Pass over the training split once, and return the epoch's row of the history."""
    device = batches.digits.images.device
    total_loss = torch.zeros((), device=device)
    correct = torch.zeros((), device=device, dtype=torch.int64)
    started = time.perf_counter()
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed * 10_000 + epoch)
        for step, (images, labels) in enumerate(batches, epoch * len(batches)):
            lr = learning_rate(recipe, step, len(batches))
            loss, logits = train_step(model, images, labels, optimizer, recipe, lr)
            total_loss += loss * len(labels)
            correct += (logits.argmax(1) == labels).sum()
            bar.update()
    all_reduce_metrics(model, total_loss, correct)
    labels = batches.digits.labels
    return {
        "epoch": epoch + 1,
        "lr": lr,
        "train_loss": total_loss.item() / len(labels),
        "train_accuracy": correct.item() / (labels != NON_DIGIT).sum().item(),
        "seconds": time.perf_counter() - started,
    }


def train_step(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    lr: float,
) -> tuple[Tensor, Tensor]:
    """Take one step of the optimizer; return the batch's loss and logits before it, detached."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    with autocast(images.device, recipe.precision):
        logits = model(images)
    loss = F.cross_entropy(logits.float(), targets(labels, recipe.label_smoothing))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach(), logits.detach()


def targets(labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the probabilities ``[N, 10]`` that a network is to give.

    `smoothing` of it goes to all digits alike. For an image of no digit all of it does: the
    network is to be as undecided as it can (Hendrycks, Mazeika and Dietterich, "Deep anomaly
    detection with outlier exposure", 2019, arXiv:1812.04606, section 3).
    """
    known = F.one_hot(labels.clamp(min=0), 10) * (1 - smoothing) + smoothing / 10
    return torch.where(labels.unsqueeze(1) == NON_DIGIT, 0.1, known)


@torch.inference_mode()
def validate(model: nn.Module, digits: Digits, recipe: Recipe) -> dict[str, float]:
    """Return ``val_loss`` (plain cross-entropy) and ``val_accuracy``, averaged over images."""
    device = next(model.parameters()).device
    model.eval()
    loss, correct = 0.0, 0
    for images, labels in Batches(digits.to(device), EVAL_BATCH_SIZE, shuffle=False):
        with autocast(device, recipe.precision):
            logits = model(images).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(1) == labels).sum().item()
    return {"val_loss": loss / len(digits), "val_accuracy": correct / len(digits)}


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate at a step, counted from 0 over all epochs."""
    if recipe.schedule == "step":
        return recipe.lr * recipe.gamma ** (step // steps_per_epoch)
    if recipe.schedule == "constant":
        return recipe.lr
    done = (step + 1) / (recipe.epochs * steps_per_epoch)  # one-cycle
    if done <= recipe.warmup:
        return recipe.lr * (1 - math.cos(math.pi * done / recipe.warmup)) / 2
    falling = (done - recipe.warmup) / (1 - recipe.warmup)
    return recipe.lr * (1 + math.cos(math.pi * falling)) / 2


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer for the model's parameters."""
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    parameters = model.parameters()
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **common)
    if recipe.optimizer == "adadelta":
        return torch.optim.Adadelta(parameters, **common)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, betas=recipe.betas, **common)
    fused = next(model.parameters()).device.type != "mps"  # where it has not been tried
    return torch.optim.AdamW(parameters, betas=recipe.betas, fused=fused, **common)


def check_splits(train: Digits, val: Digits | None) -> None:
    """Check that images can be trained on, and the run be validated on them.

    Raises
    ------
    ValueError
        If there are fewer than two training images, some have no label, or none shows a digit;
        or if a validation image shows none.
    """
    if len(train) < 2:
        raise ValueError(f"there are {len(train)} images to train on: at least 2 are needed")
    if (train.labels == UNLABELED).any() or not (train.labels >= 0).any():
        raise ValueError(f"{train.source} has images without labels: training needs them")
    if val is not None and (val.labels < 0).any():
        raise ValueError(
            f"{val.source} has validation images without a digit: leave them out, with "
            "val[val.labels >= 0]"
        )


def _check_loss(row: dict[str, float], recipe: Recipe) -> None:
    """Raise an error if the loss has diverged, or is not a finite number."""
    for name in ("train_loss", "val_loss"):
        loss = row.get(name, 0.0)
        if not math.isfinite(loss) or loss > DIVERGED_LOSS:
            raise FloatingPointError(
                f"the {name} became {loss:g} in epoch {row['epoch']}: training has diverged. "
                f"Start again with a lower learning rate than {recipe.lr:g}."
            )


@contextmanager
def _explain_out_of_memory(recipe: Recipe) -> Iterator[None]:
    """Say what to do when a GPU's memory does not suffice."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(
            f"the GPU's memory does not suffice for batches of {recipe.batch_size}: try "
            f"batch_size={max(1, recipe.batch_size // 2)} (--batch-size), or the CPU"
        ) from error


def _progress_text(row: dict[str, float]) -> str:
    """Return an epoch's result for the progress bar."""
    key = "val_accuracy" if "val_accuracy" in row else "train_accuracy"
    return f"epoch {row['epoch']}: {key.split('_')[0]} accuracy {row[key]:.2%}"
