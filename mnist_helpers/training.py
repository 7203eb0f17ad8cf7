"""The training loop: device, precision, epochs, checkpoints on the way."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from .augment import AUGMENTATIONS
from .checkpoints import (
    Checkpoint,
    History,
    load_checkpoint,
    save_checkpoint,
    saved_history,
    saved_model_name,
)
from .data import EVAL_BATCH_SIZE, NON_DIGIT, UNLABELED, Batches, Digits
from .device import autocast, choose_device, retain_freed_memory, threads_for_free_cores
from .files import exclusive_lock
from .models import Classifier, build_model
from .progress import TextBar, progress_bar
from .recipes import Recipe, recipe_for
from .wrapping import model_name, to_device, wrap_model

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
        Continue from ``out/last.pt`` if it exists. On a CPU with the same number of threads the
        final weights are exactly those of an uninterrupted run, since each epoch's random
        numbers depend only on the seed and the epoch.
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
    run = _Run(model, recipe, optimizer, source, Path(out) if out else None)
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
    run: _Run,
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


def rank_and_world_size() -> tuple[int, int]:
    """Return this process's number and how many train together: ``(0, 1)`` for one on its own.

    Several do where `torch.distributed` was set up, as `mnist_helpers.scale` does it.
    """
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def wrap_ddp(model: nn.Module) -> nn.Module:
    """Return the network, with gradients averaged over all processes that train together."""
    if rank_and_world_size()[1] == 1:
        return model
    device = next(model.parameters()).device
    return DistributedDataParallel(model, [device] if device.type == "cuda" else None)


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
            for group in optimizer.param_groups:
                group["lr"] = lr
            with autocast(device, recipe.precision):
                logits = model(images)
            loss = F.cross_entropy(logits.float(), targets(labels, recipe.label_smoothing))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.detach() * len(labels)
            correct += (logits.detach().argmax(1) == labels).sum()
            bar.update()
    _all_reduce_metrics(model, total_loss, correct)
    labels = batches.digits.labels
    return {
        "epoch": epoch + 1,
        "lr": lr,
        "train_loss": total_loss.item() / len(labels),
        "train_accuracy": correct.item() / (labels != NON_DIGIT).sum().item(),
        "seconds": time.perf_counter() - started,
    }


def _all_reduce_metrics(model: nn.Module, *sums: Tensor) -> None:
    """Add up what several processes counted, and give all of them the first one's averages.

    (BatchNorm's running averages: each process has seen its own part of the images.)
    """
    if rank_and_world_size()[1] > 1:
        for tensor in sums:
            distributed.all_reduce(tensor)
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


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


@dataclass
class _Run:
    """A training's state between epochs, and its files."""

    model: nn.Module
    recipe: Recipe
    optimizer: torch.optim.Optimizer
    source: str
    out: Path | None
    history: History = field(default_factory=History)
    best_state: dict[str, Tensor] | None = None
    data: str | None = None  # the training data's fingerprint

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the lowest validation loss; 0 without validation."""
        losses = [(row["val_loss"], row["epoch"]) for row in self.history if "val_loss" in row]
        return min(losses)[1] if losses else 0

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.out is not None and rank_and_world_size()[0] == 0

    def should_stop_early(self) -> bool:
        patience = self.recipe.patience
        waited = len(self.history) - self.best_epoch
        return bool(patience and self.best_epoch and waited >= patience)

    def record_epoch(self, row: dict[str, float]) -> None:
        """Add an epoch to the history, and save."""
        self.history.append(row)
        is_best = self.best_epoch == row["epoch"]
        if is_best and self.recipe.patience:
            self.best_state = {k: v.clone() for k, v in self.model.state_dict().items()}
        if is_best:
            self.save("best.pt")
        self.save("last.pt")

    def save(self, name: str) -> None:
        """Save the state of the training, if this process is to."""
        if self.out is None or not self.writes:
            return
        save_checkpoint(
            self.out / name,
            self.model,
            recipe=self.recipe,
            history=self.history,
            source=self.source,
            optimizer=self.optimizer,
            best_state=self.best_state,
            data=self.data,
        )

    def save_initial_state(self) -> None:
        """Save before the first epoch, so that a run killed in it can be resumed too."""
        if self.out and self.writes and not self.history:
            archive_previous_run(self.out)
            self.save("last.pt")

    def restore(self) -> None:
        """Take model, optimizer and history back from ``last.pt``, if it is there."""
        if self.out is None:
            raise ValueError("resume=True needs the folder of the run to resume: out=...")
        path = self.out / "last.pt"
        if not path.is_file():
            return
        checkpoint = self._load(path)
        if not checkpoint.resume.get("optimizer"):
            raise ValueError(f"{path} holds a network but not the state of a training to resume")
        if checkpoint.recipe != self.recipe:
            raise ValueError(
                f"{path} was trained with another recipe ({_differences(checkpoint, self)}): "
                "resume with the same one, or train into another folder"
            )
        if checkpoint.resume.get("data") not in (None, self.data):  # None: an older file
            raise ValueError(
                f"{path} was trained on other data ({checkpoint.source}; now {self.source}): "
                "resume with the same, or train into another folder"
            )
        self.model.load_state_dict(checkpoint.model.state_dict())
        self.optimizer.load_state_dict(checkpoint.resume["optimizer"])
        self.best_state = checkpoint.resume["best_state"]
        self.history.extend(checkpoint.history)

    def _load(self, path: Path) -> Checkpoint:
        """Load the checkpoint to resume from."""
        saved, name = saved_model_name(path), model_name(self.model)
        if saved is None:
            raise ValueError(f"{path} holds a network but not the state of a training to resume")
        if saved != name:
            raise ValueError(f"{path} is a training of {saved}, not of {name}")
        known = isinstance(self.model, Classifier)
        return load_checkpoint(path, None if known else copy.deepcopy(self.model))

    def finish(self) -> None:
        """With patience, leave the best epoch's weights in the model and in ``last.pt``."""
        if self.best_state is not None:
            self.model.load_state_dict(self.best_state)
            self.save("last.pt")


def archive_previous_run(out: Path) -> None:
    """Keep an earlier run's ``last.pt`` in a folder as ``previous.pt``, before a new run."""
    last = out / "last.pt"
    try:
        trained = last.is_file() and bool(saved_history(last))
    except ValueError:  # damaged
        trained = False
    if trained:
        last.replace(out / "previous.pt")
        TextBar.write(
            f"The previous run in {out} is kept as previous.pt; to continue a run, use --resume."
        )
    (out / "best.pt").unlink(missing_ok=True)


def _differences(checkpoint: Checkpoint, run: _Run) -> str:
    """Name the fields in which two recipes differ."""
    if checkpoint.recipe is None:
        return "none is recorded"
    then, now = asdict(checkpoint.recipe), asdict(run.recipe)
    return ", ".join(f"{k} {then[k]}, now {now[k]}" for k in then if then[k] != now[k])
