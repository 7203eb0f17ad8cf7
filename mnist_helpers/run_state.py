"""A training run's state between epochs, and its files."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoints import (
    Checkpoint,
    History,
    load_checkpoint,
    save_checkpoint,
    saved_history,
    saved_model_name,
)
from .models import Classifier
from .parallel import rank_and_world_size
from .progress import TextBar
from .recipes import Recipe
from .wrapping import model_name


@dataclass
class Run:
    """A run's state between epochs, and its files."""

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
        """Whether to stop early: no epoch was better for as many as the recipe waits."""
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
            raise ValueError(f"{path} holds a network but not the state of a run to resume")
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
            raise ValueError(f"{path} holds a network but not the state of a run to resume")
        if saved != name:
            raise ValueError(f"{path} is a run of {saved}, not of {name}")
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


def _differences(checkpoint: Checkpoint, run: Run) -> str:
    """Name the fields in which two recipes differ."""
    if checkpoint.recipe is None:
        return "none is recorded"
    then, now = asdict(checkpoint.recipe), asdict(run.recipe)
    return ", ".join(f"{k} {then[k]}, now {now[k]}" for k in then if then[k] != now[k])
