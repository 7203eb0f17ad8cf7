"""Self-checks of notebook 04 about what a run must keep: the best weights, and its state."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .engine import Hint, exercise, expect_function, number, solution
from .torch_checks import tensors_agree


@solution("04-3")
def stop_early(model, one_epoch, val_loss, epochs, patience):
    """Train until the validation loss stops falling; return the losses, keep the best weights."""
    losses, best_loss = [], float("inf")
    for epoch in range(epochs):
        one_epoch(model)
        losses.append(val_loss(model))
        if losses[epoch] < best_loss:
            best_loss, best_epoch = losses[epoch], epoch
            best_state = copy.deepcopy(model.state_dict())
        elif epoch - best_epoch == patience:
            break
    model.load_state_dict(best_state)
    return losses


@solution("04-5")
def train_or_resume(path, model, optimizer, one_epoch, epochs):
    """Train, with a checkpoint after each epoch; return how many epochs were left to do."""
    done = 0
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["epochs"]
    for epoch in range(done, epochs):
        one_epoch(model, optimizer, epoch)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "epochs": epoch + 1}, path)
    return epochs - done


_BUMPY = (5.0, 6.0, 4.0, 4.5, 3.0, 3.6, 3.4, 3.2, 3.1, 1.0)  # best epoch 5; patience 3 ends at 8
_FALLING = (5.0, 4.0, 3.0, 2.0)


@exercise("04-3")
def _early_stopping(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    trial = _Trial(_BUMPY)
    losses = answer(trial.model, trial.one_epoch, trial.val_loss, 10, 3)
    if hint := trial.why_not_validated_once() or _why_stopped_elsewhere(trial):
        return hint
    if not isinstance(losses, Sequence) or [*map(float, losses)] != list(_BUMPY[:8]):
        return "Return the list of the validation losses, one for each epoch that was trained."
    if hint := trial.why_not_best(5):
        return hint
    trial = _Trial(_FALLING)
    answer(trial.model, trial.one_epoch, trial.val_loss, 4, 3)
    if trial.epochs != 4:
        return f"A loss that keeps falling takes all `epochs`, 4 in a trial, not {trial.epochs}."
    if trial.model.where() != 4:
        return "If the last epoch is the best, its weights are the ones to keep."
    trial = _Trial((2.0, 2.0, 2.0, 2.0, 1.0))
    answer(trial.model, trial.one_epoch, trial.val_loss, 5, 2)
    if trial.epochs != 3:
        return "A loss that only equals the best one is no improvement."
    return None


def _why_stopped_elsewhere(trial: _Trial) -> str | None:
    """Return a hint if the run over `_BUMPY` with a patience of 3 did not end after epoch 8."""
    return {
        8: None,
        10: "In a trial the run went on although the loss had not improved for 3 epochs. Compare "
        "with the best loss so far, not with the previous epoch's.",
        7: "It stopped one epoch too early: with patience=3, the third epoch without improvement "
        "is the last one.",
        9: "It stopped one epoch too late: with patience=3, the third epoch without improvement "
        "is the last one.",
        6: "Count the epochs since the best one: an improvement sets the counter back to 0.",
        2: "It stopped at the first epoch without improvement: patience is how many to wait for.",
    }.get(trial.epochs, f"In a trial the run should end after epoch 8, not {trial.epochs}.")


class _Trial:
    """A model that counts its epochs in its weight, and validation losses made up beforehand."""

    def __init__(self, losses: Sequence[float]) -> None:
        self.model, self.losses = _Counter(), losses
        self.epochs = self.validations = 0

    def one_epoch(self, model: _Counter) -> None:
        with torch.no_grad():
            model.weight.add_(1)
        self.epochs += 1

    def val_loss(self, model: _Counter) -> float:
        if not self.epochs:
            raise Hint("Train an epoch first, then validate.")
        self.validations += 1
        if self.epochs > len(self.losses):
            raise Hint(f"Train at most `epochs` epochs, {len(self.losses)} in a trial.")
        return self.losses[self.epochs - 1]

    def why_not_validated_once(self) -> str | None:
        if self.validations == self.epochs:
            return None
        return (
            f"{self.epochs} epochs, but val_loss was called {self.validations} times: it passes "
            "over the whole validation split, so call it once for each epoch and keep the result."
        )

    def why_not_best(self, best: int) -> str | None:
        if self.model.where() == best:
            return None
        if self.model.where() == self.epochs and self.model.loaded:
            return (
                "You loaded the best epoch's weights, and yet they are the last epoch's: "
                "state_dict() holds the tensors themselves, which training keeps changing. "
                "Keep copy.deepcopy(model.state_dict())."
            )
        if self.model.where() == self.epochs:
            return "The last epoch's weights are in the model: load the best epoch's at the end."
        return f"The best epoch was {best}, but the weights are those of {self.model.where()}."


class _Counter(nn.Module):
    """One weight: the number of epochs trained."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.loaded = False

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        self.loaded = True
        return super().load_state_dict(*arguments, **options)

    def where(self) -> int:
        return int(self.weight.item())


class _PowerCut(BaseException):
    """Ends a run in the middle, as a power cut does: nothing that catches errors catches it."""


@exercise("04-5")
def _resume(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.pt")
        whole = _Run()
        count = _call(answer, Path(folder, "whole.pt"), whole)
        if whole.epochs != [0, 1, 2, 3, 4]:
            return f"Call one_epoch(model, optimizer, epoch) for the epochs 0 to 4: {whole.epochs}."
        cut = _Run(cut_in=3)
        with suppress(_PowerCut):
            _call(answer, path, cut)
        if not path.exists():
            return "After a power cut in the fourth epoch there is no file: save after each epoch."
        resumed = _Run()
        left = _call(answer, path, resumed)
        if hint := _why_not_resumed(whole, resumed):
            return hint
        if hint := _why_another_count(number(count), number(left)):
            return hint
        _call(answer, path, done := _Run())
        if done.epochs or not tensors_agree(done.weights(), whole.weights()):
            return "The last epoch is not in the file: save after each epoch, not before it."
    return None


def _call(answer: Callable, path: Path, run: _Run) -> Any:
    """Train a run with the learner's function for 5 epochs in all."""
    try:
        return answer(path, run.model, run.optimizer, run.one_epoch, 5)
    except Hint as hint:
        if "weights_only" in str(hint):
            raise Hint(
                "torch.load refuses a file that holds whole objects, such as the model: save "
                "model.state_dict() and optimizer.state_dict() instead."
            ) from hint
        raise


class _Run:
    """A small network, Adam, and an epoch of three steps that depends on its number alone."""

    def __init__(self, cut_in: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 2)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.cut_in = cut_in
        self.epochs: list[int] = []

    def one_epoch(self, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
        if epoch == self.cut_in:
            raise _PowerCut
        self.epochs.append(epoch)
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(3):
            loss = (model(torch.rand(8, 3, generator=generator)) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def weights(self) -> list[Tensor]:
        return [value.detach() for value in self.model.parameters()]


def _why_not_resumed(whole: _Run, resumed: _Run) -> str | None:
    """Return a hint if a resumed run did not do epochs 3 and 4, or ended in other weights."""
    if resumed.epochs == [0, 1, 2, 3, 4]:
        return "The file is there, but the run starts from epoch 0 again: load it if it exists."
    if resumed.epochs != [3, 4]:
        return (
            "Three of five epochs were saved, so 3 and 4 are left (counted from 0); yours does "
            f"{resumed.epochs}. Save how many epochs are done, epoch + 1."
        )
    if tensors_agree(whole.weights(), resumed.weights()):
        return None
    if tensors_agree(_rerun(weights=True).weights(), resumed.weights()):
        return (
            "The weights are back, the optimizer is not: Adam keeps two running means for each "
            "weight. Save and load optimizer.state_dict() too."
        )
    if tensors_agree(_rerun(weights=False).weights(), resumed.weights()):
        return "The weights aren't restored: model.load_state_dict(…)."
    return "A resumed run should end in the same weights as one without interruption."


def _rerun(weights: bool) -> _Run:
    """Return a run resumed before epoch 3 with a fresh optimizer, and with or without weights."""
    first, then = _Run(), _Run()
    for epoch in range(3):
        first.one_epoch(first.model, first.optimizer, epoch)
    if weights:
        then.model.load_state_dict(first.model.state_dict())
    for epoch in (3, 4):
        then.one_epoch(then.model, then.optimizer, epoch)
    return then


def _why_another_count(whole: float, left: float) -> str | None:
    """Return a hint if the numbers of trained epochs are not 5 and 2."""
    if (whole, left) == (5, 2):
        return None
    return (
        "Return how many epochs this call trained: 5 without a file, 2 when three of five were "
        f"done. Yours returns {whole:g} and {left:g}."
    )
