"""Networks as files: saved atomically, loaded without ever running code from the file."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .data.notices import warn
from .files import atomic_write
from .foreign import Normalization, assign_weights, check_name, load_foreign_weights
from .models import MEAN, STD, build_model, list_models
from .onnx import OnnxNetwork
from .recipes import Recipe
from .trial import EXPECTED_ACCURACY, check_finite, try_normalizations
from .weight_files import identify, read_file
from .wrapping import WrappedModel, model_name, wrap_model

if TYPE_CHECKING:
    import pandas as pd


_METRICS = (
    *("epoch", "lr", "seconds"),
    *("train_loss", "train_accuracy", "val_loss", "val_accuracy"),
)


class ForeignWeightsWarning(UserWarning):
    """What was found out, or could not be, about weights that other people's code saved."""


class History(list):
    """One dict per epoch; ``pandas.DataFrame(history)`` is its table.

    Keys: ``epoch`` (from 1), ``lr`` (at its last step), ``train_loss``, ``train_accuracy`` (over
    the epoch's batches as they were trained on), ``val_loss``, ``val_accuracy`` (after the epoch;
    absent without validation data), ``seconds`` (of training). Accuracies lie in [0, 1].
    """

    def frame(self) -> pd.DataFrame:
        """Return the history as a table, one row per epoch."""
        import pandas as pd

        return pd.DataFrame(list(self))


@dataclass
class Checkpoint:
    """A network as it was saved, with what is known of its training.

    Attributes
    ----------
    model : nn.Module
        On the CPU, in evaluation mode.
    name : str
        Its architecture, as `build_model` takes it; for a network of one's own its class.
    recipe : Recipe or None, default=None
    history : History, default=History()
    source : str, default="unknown"
        Where its training data came from.
    versions : dict of str to str, default={}
        Of Python, torch and this package, at the time of saving.
    temperature : float, default=1.0
        By which logits are divided for calibrated probabilities (1: not calibrated).
    resume : dict, default={}
        Optimizer state and best weights, if saved by `train`.
    notes : list of str, default=[]
        What was found out about weights that other people's code saved; see `load_checkpoint`.
    """

    model: nn.Module
    name: str
    recipe: Recipe | None = None
    history: History = field(default_factory=History)
    source: str = "unknown"
    versions: dict[str, str] = field(default_factory=dict)
    temperature: float = 1.0
    resume: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    recipe: Recipe | None = None,
    history: Sequence[dict] = (),
    source: str = "unknown",
    temperature: float = 1.0,
    optimizer: torch.optim.Optimizer | None = None,
    best_state: dict[str, Tensor] | None = None,
    data: str | None = None,
) -> None:
    """Write a network and what is known of its training, replacing `path` atomically.

    Parameters
    ----------
    path : path
        ``.safetensors`` writes the weights in that format, with the rest as its metadata; every
        other name a PyTorch file of plain values that ``weights_only=True`` loads.
    model : nn.Module
        Built by `build_model`, or one of your own, which `load_checkpoint` is then given to fill.
    recipe, history, source, temperature
        See `Checkpoint`.
    optimizer, best_state, data
        To resume from (`data` is the training data's fingerprint); not written to safetensors
        files.

    Raises
    ------
    ValueError
        If the network is an ONNX file's, or takes no images ``[N, 1, 28, 28]``.
    OSError
        If the file cannot be written, as on a full disk. The previous file stays as it was.

    Examples
    --------
    >>> save_checkpoint("tiny.safetensors", build_model("tiny"), source="nothing yet")
    >>> checkpoint = load_checkpoint("tiny.safetensors")
    >>> checkpoint.name, checkpoint.source
    ('tiny', 'nothing yet')
    """
    from . import __version__

    model = wrap_model(model)
    if isinstance(model, OnnxNetwork):
        raise ValueError("the network comes from an ONNX file: copy that instead of saving it")
    about = {
        "model": model.name,
        "recipe": asdict(recipe) if recipe else None,
        "history": [dict(row) for row in history],
        "source": source,
        "temperature": float(temperature),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "mnist_helpers": __version__,
        },
    }
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    with atomic_write(path) as part:
        if Path(path).suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import save_file

            try:
                save_file(state, part, metadata={"mnist_helpers": json.dumps(about)})
            except SafetensorError as error:
                raise OSError(
                    f"{path} could not be written: is the disk full? ({error})"
                ) from error
        else:
            resume = {
                "optimizer": optimizer.state_dict() if optimizer else None,
                "best_state": best_state,
                "data": data,
            }
            try:
                torch.save({**about, "state": state, "resume": resume}, part)
            except RuntimeError as error:  # so PyTorch calls a write that failed
                raise OSError(
                    f"{path} could not be written: is the disk full? ({error})"
                ) from error


def load_checkpoint(path: str | Path, model: str | nn.Module | None = None) -> Checkpoint:
    """Load a network from a file, without ever running code that the file may contain.

    Parameters
    ----------
    path : path
        What `save_checkpoint` wrote; or the weights of other people's code, in a PyTorch or
        safetensors file, under any key and with any names; or an ONNX file, whose network runs on
        ONNX Runtime and cannot be trained. What kind it is its content tells, not its name.
    model : str or nn.Module, default=None
        The architecture, where the file does not say. If None, the first of `list_models` that
        the weights fit. For a network of your own an instance, which is filled:
        ``load_checkpoint(path, model=MyNet())``. Another normalization than MNIST's that
        `wrap_model` gave it is kept.

    Returns
    -------
    Checkpoint

    Warns
    -----
    ForeignWeightsWarning
        If other people's weights are found to need another normalization than MNIST's, or do not
        classify sample digits well with any; or if a file holds several networks. The sentences
        are in `Checkpoint.notes`, too.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no network's (the message says what it is), is damaged, would run code when
        unpickled, says what cannot be of its network, holds numbers that are not finite, or its
        weights fit no architecture or not the one that is asked for.

    Notes
    -----
    Other people's weights say nothing of how pixels were normalized in their training, unless the
    file holds buffers or keys such as ``mean`` and ``std``. So they are tried on 500 digits, and
    of the usual normalizations the one that clearly classifies most of them is taken.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    kind = identify(path)
    if kind == "onnx":
        return _load_onnx(path, model)
    content = read_file(path, kind)
    if "versions" in content and isinstance(content.get("state"), dict):
        return _load_own(content, model, path)
    return _load_foreign(content, model, path)


def saved_history(path: str | Path) -> History:
    """Return the history in a file that `save_checkpoint` wrote, whatever its network."""
    return _history(_read(Path(path)).get("history") or [], Path(path))


def saved_model_name(path: str | Path) -> str | None:
    """Return the name of the network in a file, or None if `save_checkpoint` did not write it."""
    content = _read(Path(path))
    return str(content.get("model")) if "versions" in content else None


def _read(path: Path) -> dict[str, Any]:
    """Read a file that `save_checkpoint` wrote; raises as `load_checkpoint` does."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    return read_file(path, identify(path))


def _load_own(content: dict[str, Any], model: str | nn.Module | None, path: Path) -> Checkpoint:
    """Load a network that `save_checkpoint` wrote."""
    name, state = content.get("model"), content["state"]
    if isinstance(model, nn.Module):
        network = wrap_model(model)
    elif name in list_models() or model in list_models():
        with torch.random.fork_rng(devices=[]):
            network = build_model(str(model or name))
    elif model is None and isinstance(name, str) and any("network." in key for key in state):
        raise ValueError(
            f"{path} holds {name}, a network of your own: give it an instance to fill, "
            f"load_checkpoint(path, model={name}())"
        )
    else:
        check_name(model or str(name), path)
    own = network.state_dict()
    fits = state.keys() == own.keys() and all(
        isinstance(state[key], Tensor) and state[key].shape == own[key].shape for key in own
    )
    if not fits:  # an older file, perhaps
        network = load_foreign_weights({"state": state}, model or name, path).model
    else:
        assign_weights(network, state, path)
    checkpoint = Checkpoint(
        model=network.eval(),
        name=model_name(network),
        recipe=_recipe(content.get("recipe"), path),
        history=_history(content.get("history") or [], path),
        source=_field(content, "source", "unknown", path),
        versions=_field(content, "versions", {}, path),
        temperature=_temperature(content, path),
        resume=_field(content, "resume", {}, path),
    )
    check_finite(network, path)
    return checkpoint


def _load_foreign(content: dict[str, Any], model: str | nn.Module | None, path: Path) -> Checkpoint:
    """Load a network that other people's code saved."""
    stated = None
    if isinstance(model, nn.Module):
        model = wrap_model(model)
        stated = _stated_normalization(model)
    found = load_foreign_weights(content, model, path)
    network = found.model.eval()
    check_finite(network, path)
    own = found.normalization or stated
    notes = [*found.notes, *_normalization_notes(network, own, path)]
    for note in notes:
        warn(note, ForeignWeightsWarning)
    return Checkpoint(network, model_name(network), notes=notes)


def _load_onnx(path: Path, model: str | nn.Module | None) -> Checkpoint:
    """Load a network that runs on ONNX Runtime."""
    network = OnnxNetwork(path)
    name = str(network.about.get("model", path.stem))
    if model is not None and model != name:
        asked = model if isinstance(model, str) else model_name(model)
        raise ValueError(f"{path} holds the network {name}, not {asked}")
    check_finite(network, path)
    notes = [] if network.normalize is None else _normalization_notes(network, None, path)
    for note in notes:
        warn(note, ForeignWeightsWarning)
    return Checkpoint(
        network.eval(),
        name,
        source=str(network.about.get("source", "unknown")),
        temperature=_temperature(network.about, path),
        notes=notes,
    )


def _stated_normalization(network: nn.Module) -> Normalization | None:
    """Return the normalization that a network was wrapped with, if it is not MNIST's."""
    normalize = getattr(network, "normalize", None)
    if normalize is None:
        return None
    stated = Normalization(normalize.mean.item(), normalize.std.item(), is_buffer=True)
    usual = math.isclose(stated.mean, MEAN, rel_tol=1e-4)
    return None if usual and math.isclose(stated.std, STD, rel_tol=1e-4) else stated


def _normalization_notes(network: nn.Module, own: Normalization | None, path: Path) -> list[str]:
    """Try foreign weights on sample digits, and say what came of it."""
    name, accuracy = try_normalizations(network, own)
    notes = []
    if name:
        notes.append(
            f"{path} was trained with another normalization, found by trial on sample digits: "
            f"{name}, {accuracy:.1%} correct"
        )
    if accuracy < EXPECTED_ACCURACY:
        tried = "its own" if own and own.is_buffer else "any usual"
        notes.append(
            f"{path} classifies only {accuracy:.0%} of sample digits correctly with {tried} "
            f"normalization: {_advice(network)}"
        )
    return notes


def _advice(network: nn.Module) -> str:
    """Say why a network may classify nothing, and what can be done."""
    if isinstance(network, (OnnxNetwork, WrappedModel)):
        return (
            "perhaps its images are preprocessed in another way, or it is not trained on digits. "
            "Another normalization: wrap_model(model, mean=…, std=…)"
        )
    return (
        f"it fits {model_name(network)} by its shapes, but its layers may be arranged in another "
        "way. If you have its class: load_checkpoint(path, model=MyNet())"
    )


def _recipe(values: dict[str, Any] | None, path: Path) -> Recipe | None:
    """Return the recipe that a file records."""
    try:
        return Recipe(**values) if values else None
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds a recipe that this version of mnist_helpers does not understand "
            f"({error}): update the package, or load the weights alone"
        ) from error


def _history(rows: Any, path: Path) -> History:
    """Return the history that a file records."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} holds the history {rows!r:.80}, expected a list of dicts")
    for name, value in ((name, row[name]) for row in rows for name in _METRICS if name in row):
        if not isinstance(value, (int, float)):
            raise ValueError(f"{path} holds a history with the {name} {value!r}, expected numbers")
    return History(rows)


def _field(about: dict[str, Any], name: str, default: Any, path: Path) -> Any:
    """Return what a file says under `name`, if anything; it is of the default's type."""
    value = default if about.get(name) is None else about[name]
    if not isinstance(value, type(default)):
        kind = type(default).__name__
        raise ValueError(f"{path} holds the {name} {value!r:.80}, expected a {kind}")
    return value


def _temperature(about: dict[str, Any], path: Path) -> float:
    """Return the temperature that a file records."""
    value = about.get("temperature", 1.0)
    if not isinstance(value, (int, float)) or not 0.001 < value < 1000:
        raise ValueError(
            f"{path} holds the temperature {value!r}, expected a number above 0.001 and below 1,000"
        )
    return value
