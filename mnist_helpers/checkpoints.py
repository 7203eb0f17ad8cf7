"""Networks as files: saved atomically, loaded without ever running code from the file."""

from __future__ import annotations

import json
import math
import pickle
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .models import Classifier, build_model, list_models
from .paths import replacing
from .recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd


_MEASURED = (
    *("epoch", "lr", "seconds"),
    *("train_loss", "train_accuracy", "val_loss", "val_accuracy"),
)
_STATES = ("state", "model_state_dict", "state_dict", "model")


class History(list):
    """One dict an epoch; ``pandas.DataFrame(history)`` is its table.

    Keys: ``epoch`` (from 1), ``lr`` (at its last step), ``train_loss``, ``train_accuracy`` (over
    the epoch's batches as they were trained on), ``val_loss``, ``val_accuracy`` (after the epoch;
    absent without validation data), ``seconds`` (of training). Accuracies lie in [0, 1].
    """

    def frame(self) -> pd.DataFrame:
        """Return the history as a table, one row an epoch."""
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
        Its architecture, as `build_model` takes it.
    recipe : Recipe or None
    history : History
    source : str
        Where its training data came from.
    versions : dict of str to str
        Of Python, torch and this package, at the time of saving.
    temperature : float
        By which logits are divided for calibrated probabilities (1: not calibrated).
    resume : dict
        Optimizer state and best weights, if saved by `train`.
    """

    model: nn.Module
    name: str
    recipe: Recipe | None = None
    history: History = field(default_factory=History)
    source: str = "unknown"
    versions: dict[str, str] = field(default_factory=dict)
    temperature: float = 1.0
    resume: dict[str, Any] = field(default_factory=dict)


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
        Built by `build_model`.
    recipe, history, source, temperature
        See `Checkpoint`.
    optimizer, best_state, data
        To resume from (`data` is the training data's fingerprint); not written to safetensors
        files.

    Raises
    ------
    ValueError
        If the network is none of `list_models`.
    OSError
        If the file cannot be written, as on a full disk. The former one stays as it was.
    """
    from . import __version__

    if getattr(model, "name", None) not in list_models():
        raise ValueError(
            "only networks that build_model makes can be saved so, since only these can be loaded "
            "again: for others, torch.save(model.state_dict(), path)"
        )
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
    with replacing(path) as part:
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


def load_checkpoint(path: str | Path, model: str | None = None) -> Checkpoint:
    """Load a network from a file, without ever running code that the file may contain.

    Parameters
    ----------
    path : path
        A file written by `save_checkpoint`; or a plain ``state_dict``, or one under the key
        ``"model_state_dict"``, ``"state_dict"`` or ``"model"``, of any network that `build_model`
        knows, even if its layers had other names; or an ONNX file (``.onnx``), whose network runs
        on ONNX Runtime and cannot be trained.
    model : str, optional
        The architecture, where the file does not say. Default: the first of `list_models` that
        the weights fit.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, would run code when unpickled, says what cannot be of its network,
        or its weights fit no architecture or not the one that is asked for.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if path.suffix == ".onnx":
        return _load_onnx(path, model)
    content = _read_file(path)
    state = next((content[key] for key in _STATES if isinstance(content.get(key), dict)), content)
    named = all(isinstance(key, str) and isinstance(state[key], Tensor) for key in state)
    if not state or not named:
        raise ValueError(f"{path} holds no weights of a network")
    about = content if "versions" in content else {}
    network = fit_weights(state, model or about.get("model"), path)
    return Checkpoint(
        model=network.eval(),
        name=network.name,
        recipe=_recipe(about.get("recipe"), path),
        history=_history(about.get("history") or [], path),
        source=_said(about, "source", "unknown", path),
        versions=_said(about, "versions", {}, path),
        temperature=_temperature(about, path),
        resume=_said(about, "resume", {}, path),
    )


def _load_onnx(path: Path, model: str | None) -> Checkpoint:
    """Load a network that runs on ONNX Runtime."""
    from .onnx import OnnxNetwork

    network = OnnxNetwork(path)
    name = str(network.about.get("model", path.stem))
    if model is not None and model != name:
        raise ValueError(f"{path} holds the network {name}, not {model}")
    return Checkpoint(
        network.eval(),
        name,
        source=str(network.about.get("source", "unknown")),
        temperature=_temperature(network.about, path),
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
    for name, value in ((name, row[name]) for row in rows for name in _MEASURED if name in row):
        if not isinstance(value, (int, float)):
            raise ValueError(f"{path} holds a history with the {name} {value!r}, expected numbers")
    return History(rows)


def _said(about: dict[str, Any], name: str, default: Any, path: Path) -> Any:
    """Return what a file says under `name`, if anything; it is of the default's type."""
    value = default if about.get(name) is None else about[name]
    if not isinstance(value, type(default)):
        kind = type(default).__name__
        raise ValueError(f"{path} holds the {name} {value!r:.80}, expected a {kind}")
    return value


def _temperature(about: dict[str, Any], path: Path) -> float:
    """Return the temperature that a file records."""
    value = about.get("temperature", 1.0)
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{path} holds the temperature {value!r}, expected a number above 0")
    return value


def _read_file(path: Path) -> dict[str, Any]:
    """Read a PyTorch or safetensors file into plain values."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get("mnist_helpers", "{}"))
                names = sorted(file.keys(), key=_natural)
                return {**about, "state": {name: file.get_tensor(name) for name in names}}
        except (SafetensorError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} was not loaded: it holds more than weights and plain values, or is damaged, "
            "and loading it could run code. Save the network's state_dict() instead."
        ) from error
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(f"{path} is not a whole PyTorch file: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected a state_dict")
    return content


# ----------------------------------------------------------------- weights from other people's code


def fit_weights(state: dict[str, Tensor], name: str | None, source: str | Path) -> Classifier:
    """Build the network that a state dict belongs to, and put the weights in.

    Layers are matched by name, or else by kind and order: the first convolution's weights go to
    the first convolution, and so on. A file without normalisation gets MNIST's mean and deviation.

    Parameters
    ----------
    state : dict of str to Tensor
    name : str or None
        The architecture; None tries all of them.
    source : str or path
        Where the weights come from, for the message.

    Raises
    ------
    ValueError
        If the weights fit no architecture, or not the one that is named, or are no plain numbers.
    """
    if name and name not in list_models():
        known = ", ".join(list_models())
        raise ValueError(f"{source} should hold a network {name!r}, which is none of {known}")
    try:
        for candidate in [name] if name else list_models():
            with torch.random.fork_rng(devices=[]):
                model = build_model(candidate)
            own = model.state_dict()
            renamed = state if state.keys() == own.keys() else _renamed(state, own)
            if renamed is not None and all(renamed[key].shape == own[key].shape for key in own):
                model.load_state_dict(renamed)
                return model
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {source} are no plain numbers, but sparse, quantized or without values"
        ) from error
    shapes = [list(value.shape) for value in state.values() if value.ndim > 1]
    wanted = f"the architecture {name!r}" if name else "any architecture of this package"
    raise ValueError(f"the weights in {source}, of shapes {shapes}, do not fit {wanted}")


def _renamed(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Give the weights the names that `own` has for them, or return None if they do not match."""
    theirs, ours = _layers(state), _layers(own)
    renamed = {key: own[key] for key in own if key.startswith("normalize.")}
    for kind in ("convolution", "norm", "linear"):
        if len(theirs[kind]) != len(ours[kind]):
            return None
        for their_layer, our_layer in zip(theirs[kind], ours[kind], strict=True):
            if their_layer.keys() != our_layer.keys():
                return None
            renamed |= {our_layer[part]: state[their_layer[part]] for part in our_layer}
    return renamed


def _natural(key: str) -> list[int | str]:
    """Return what sorts "layer.2" before "layer.10": safetensors forgets the layers' order."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", key)]


def _layers(state: dict[str, Tensor]) -> dict[str, list[dict[str, str]]]:
    """Sort a state dict's keys by kind of layer, in order: ``{kind: [{"weight": key, …}, …]}``."""
    layers: dict[str, dict[str, str]] = {}
    for key in state:
        layer, _, part = key.rpartition(".")
        layers.setdefault(layer, {})[part] = key
    kinds: dict[str, list[dict[str, str]]] = {
        "convolution": [],
        "norm": [],
        "linear": [],
    }
    for parts in layers.values():
        if "weight" in parts:
            dimensions = state[parts["weight"]].ndim
            kinds[{4: "convolution", 2: "linear"}.get(dimensions, "norm")].append(parts)
    return kinds
