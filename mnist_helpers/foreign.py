"""Weights that other people's code has saved: found in a file, and put into a network.

A file may hold a training run's whole state, networks beside networks, and names of any kind. So
its content is taken as one tree: ``{"net": {"conv1.weight": …}}`` and ``{"net.conv1.weight": …}``
are the same, and wrappers' prefixes (``module.``, ``_orig_mod.``, ``model.``) are branches of it.
The first branch, counted from the root, whose layers are those of the network is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .models import build_model, list_models
from .pickles import FileArray
from .weight_files import MAX_TENSORS
from .wrapping import model_name

MAX_DEPTH = 16
MAX_BRANCHES = 300  # that are tried
NO_WEIGHTS = re.compile(r"optim|scheduler|\bopt\b|opt_state|scaler|callbacks|^resume$|grad|history")
AVERAGED = re.compile(r"ema|swa|averag|shadow|teacher|target|momentum", re.IGNORECASE)
KINDS = {4: "convolution", 2: "linear", 1: "norm"}  # by the weight's number of dimensions
MEANS = re.compile(
    r"^(norm|normalize|normalization|pixel|input|image|data|dataset|mnist|train)?_?(mean|mu)$"
)
STATISTICS = ("num_batches_tracked",)  # that PyTorch itself does without

Branch = tuple[str, ...]


class Normalization(NamedTuple):
    """Mean and standard deviation of pixels in [0, 1], as a file has them."""

    mean: float
    std: float
    is_buffer: bool  # a part of the network, and not a note beside it


class Found(NamedTuple):
    """A network with the weights that a file has for it."""

    model: nn.Module
    notes: list[str]
    normalization: Normalization | None


def load_foreign_weights(
    content: dict[str, Any], model: str | nn.Module | None, path: Path
) -> Found:
    """Find weights in a file's content, and put them into the network that they belong to.

    Layers are matched by name, or else by kind and order, or else by shape.

    Parameters
    ----------
    content : dict
        As `read_file` returns it.
    model : str, nn.Module or None
        The architecture, or the network (it is filled in place); None tries all architectures.
    path : path
        For messages.

    Returns
    -------
    Found
        The network; what was decided, in sentences; and the normalization, if the file holds any.

    Raises
    ------
    ValueError
        If there are no weights, or they do not fit, or are no plain finite numbers.
    """
    leaves = dict(_leaves(content, path))
    tensors = {
        branch: value
        for branch, value in leaves.items()
        if isinstance(value, Tensor) and not any(map(NO_WEIGHTS.search, branch[:-1]))
    }
    if not tensors:
        raise ValueError(f"{path} holds no weights of a network")
    branches = list(_branches(tensors))
    if isinstance(model, nn.Module):
        networks: list[Callable[[], nn.Module]] = [lambda: model]
    else:
        check_name(model, path)
        names = [model] if model else list_models()
        networks = [partial(_build, name) for name in names]
    owns = [(build, _weights(build().state_dict())) for build in networks]
    for branch in branches:
        theirs = _subtree(tensors, branch)
        for build, own in owns:
            renamed = _match_layers(theirs, own)
            if renamed is not None:
                network = build()
                assign_weights(network, renamed, path)
                notes = _other_networks(tensors, branches, branch, own, path)
                return Found(network, notes, _normalization(leaves, branch, path))
    raise ValueError(_mismatch_message(tensors, model, path))


def check_name(name: str | None, path: str | Path) -> None:
    """Refuse an architecture that there is not.

    Raises
    ------
    ValueError
    """
    if name and name not in list_models():
        raise ValueError(
            f"{path} should hold a network {name!r}, which is none of {', '.join(list_models())}. "
            "A network of your own is given as it is: load_checkpoint(path, model=MyNet())"
        )


def assign_weights(network: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    """Put weights into a network; names that it lacks are errors, as are numbers that are none.

    Raises
    ------
    ValueError
        If a weight is not finite, or so large that what is computed with it would not be.
    """
    try:
        network.load_state_dict({**network.state_dict(), **weights})
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"the weights in {path} are no plain numbers, but sparse, quantized or without values"
        ) from error
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not (value.abs() < 1e15).all():
            worst = value.flatten()[value.abs().nan_to_num(torch.inf).argmax()].item()
            raise ValueError(
                f"{path} holds {worst:g} in {name}: its network is damaged, or its training "
                "diverged; use an earlier checkpoint"
            )


def _build(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return build_model(name)


def _leaves(content: dict[str, Any], path: Path) -> Iterator[tuple[Branch, Any]]:
    """Yield each tensor and number of a file with the way to it, those most likely meant first."""
    seen: set[int] = set()
    waiting: list[tuple[Branch, Any]] = [((), content)]
    count = 0
    while waiting:
        branch, value = waiting.pop()
        if isinstance(value, FileArray):
            value = torch.from_numpy(value.values.copy()) if value.values.dtype.kind in "fiu" else 0
        if isinstance(value, dict) and id(value) not in seen and len(branch) <= MAX_DEPTH:
            seen.add(id(value))  # one dict can stand in many places of the same file
            below = [
                (branch + tuple(key.split(".", MAX_DEPTH)), item)
                for key, item in value.items()
                if isinstance(key, str)
            ]
            waiting += reversed(sorted(below, key=lambda pair: bool(AVERAGED.search(pair[0][0]))))
        elif isinstance(value, (Tensor, int, float, list, tuple)):
            count += isinstance(value, Tensor)
            if count > MAX_TENSORS:
                raise ValueError(
                    f"{path} is no network: it holds more than {MAX_TENSORS:,} tensors"
                )
            yield branch, value


def _branches(tensors: Iterable[Branch]) -> Iterator[Branch]:
    """Yield the tree's branches: short ones before long ones, averages of weights last."""
    found = {branch[:depth]: None for branch in tensors for depth in range(len(branch))}
    ranked = sorted(found, key=lambda way: (any(map(AVERAGED.search, way)), len(way)))
    yield from ranked[:MAX_BRANCHES]


def _subtree(tensors: dict[Branch, Tensor], branch: Branch) -> dict[str, Tensor]:
    """Return the state dict that a branch is."""
    start = len(branch)
    return {".".join(way[start:]): value for way, value in tensors.items() if way[:start] == branch}


def _other_networks(
    tensors: dict[Branch, Tensor],
    branches: list[Branch],
    taken: Branch,
    own: dict[str, Tensor],
    path: Path,
) -> list[str]:
    """Say which weights were taken, where a file has several that fit."""
    others = [
        branch
        for branch in branches
        if branch[: len(taken)] != taken
        and taken[: len(branch)] != branch
        and _match_layers(_subtree(tensors, branch), own) is not None
    ]
    if not others:
        return []
    listed = " and ".join(repr(".".join(branch)) for branch in others)
    return [f"{path} holds several networks: {'.'.join(taken)!r} was taken, not {listed}"]


def _mismatch_message(
    tensors: dict[Branch, Tensor], model: str | nn.Module | None, path: Path
) -> str:
    """Say that a file's weights do not fit."""
    shapes = [list(value.shape) for value in tensors.values() if value.ndim > 1]
    if isinstance(model, nn.Module):
        own = [list(value.shape) for value in model.state_dict().values() if value.ndim > 1]
        return (
            f"the weights in {path}, of shapes {shapes}, do not fit {model_name(model)}, whose "
            f"weights have the shapes {own}"
        )
    wanted = f"the architecture {model!r}" if model else "any architecture of this package"
    return (
        f"the weights in {path}, of shapes {shapes}, do not fit {wanted}. If you have the "
        "network's class: load_checkpoint(path, model=MyNet())"
    )


def _weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what of a network's own state a file has to have."""
    return {
        name: value
        for name, value in state.items()
        if not name.endswith(STATISTICS) and name not in ("normalize.mean", "normalize.std")
    }


def _match_layers(theirs: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Give the weights the names that `own` has for them, or return None if they do not match."""
    if len(theirs) < len(own):
        return None
    for prefix in ("", "network."):  # the second of a network of one's own, wrapped
        named = {name: theirs.get(name.removeprefix(prefix)) for name in own}
        if all(_same_shape(named[name], own[name]) for name in own) and _has_no_extra_layers(
            theirs, own
        ):
            return named  # type: ignore[return-value]
    ours = _layers(own, own)
    if sum(map(len, (layer for layers in ours.values() for layer in layers))) < len(own):
        return None  # it has weights that belong to no layer of these kinds
    for order in (list, lambda names: sorted(names, key=_natural)):
        ordered = {name: theirs[name] for name in order(theirs)}
        found = _match_by_kind(_layers(ordered, theirs), ours, theirs, own)
        if found is not None:
            return found
    return None


def _same_shape(their: Tensor | None, own: Tensor) -> bool:
    return their is not None and their.shape == own.shape


def _has_no_extra_layers(theirs: dict[str, Tensor], own: dict[str, Tensor]) -> bool:
    """Whether the file has no layer that the network lacks."""
    counts = [
        {kind: len(found) for kind, found in _layers(state, state).items()}
        for state in (theirs, own)
    ]
    return counts[0] == counts[1]


def _match_by_kind(
    theirs: dict[str, list[dict[str, str]]],
    ours: dict[str, list[dict[str, str]]],
    their_state: dict[str, Tensor],
    own: dict[str, Tensor],
) -> dict[str, Tensor] | None:
    """Match layers of the same kind: in order, and if that fails by shape, in order of each."""
    renamed: dict[str, Tensor] = {}
    for kind in ours:
        left = list(theirs[kind])
        if len(left) != len(ours[kind]):
            return None
        for our_layer in ours[kind]:
            fitting = [
                layer
                for layer in left
                if layer.keys() == our_layer.keys()
                and all(
                    _same_shape(their_state[layer[part]], own[our_layer[part]]) for part in layer
                )
            ]
            if not fitting:
                return None
            left.remove(fitting[0])
            renamed |= {our_layer[part]: their_state[fitting[0][part]] for part in our_layer}
    return renamed


def _natural(key: str) -> list[int | str]:
    """Return what sorts "layer.2" before "layer.10": safetensors forgets the layers' order."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", key)]


def _layers(names: Iterable[str], state: dict[str, Tensor]) -> dict[str, list[dict[str, str]]]:
    """Sort a state dict's keys by kind of layer, in order: ``{kind: [{"weight": key, …}, …]}``."""
    layers: dict[str, dict[str, str]] = {}
    for key in names:
        layer, _, part = key.rpartition(".")
        if part not in STATISTICS:
            layers.setdefault(layer, {})[part] = key
    kinds: dict[str, list[dict[str, str]]] = {kind: [] for kind in (*KINDS.values(), "other")}
    for parts in layers.values():
        kind = KINDS.get(state[parts["weight"]].ndim, "other") if "weight" in parts else None
        if kind and (kind != "norm" or len(parts) > 1):  # a loss can have weights of classes
            kinds[kind].append(parts)
    return kinds


def _normalization(leaves: dict[Branch, Any], taken: Branch, path: Path) -> Normalization | None:
    """Return the normalization that a file holds, one in its network first."""
    for branch in sorted(leaves, key=lambda branch: branch[: len(taken)] != taken):
        match = MEANS.match(branch[-1].lower()) if branch else None
        if not match or any(map(NO_WEIGHTS.search, branch[:-1])):
            continue
        last = branch[-1][: match.start(2)]
        for deviation in ("std", "sigma", "stddev", "scale"):
            pair = leaves[branch], leaves.get((*branch[:-1], last + deviation))
            mean, std = map(_one_number, pair)
            if mean is None or std is None:
                continue
            if not (std > 0 and abs(mean) < 256 and std < 256):  # not-a-number neither
                name = ".".join(branch)
                raise ValueError(
                    f"{path} holds the normalization {name} = {mean:g}, {deviation} = {std:g}, "
                    "which is none of pixels"
                )
            scale = 255 if max(mean, std) > 1.5 else 1  # of pixels up to 255
            is_buffer = branch[: len(taken)] == taken and isinstance(pair[0], Tensor)
            return Normalization(mean / scale, std / scale, is_buffer)
    for branch, value in leaves.items():  # such as {"normalize": (0.5, 0.5)}
        named = bool(branch) and branch[-1].lower() in ("normalize", "normalization", "norm")
        if named and isinstance(value, (list, tuple)) and len(value) == 2:
            mean, std = map(_one_number, value)
            if mean is not None and std is not None and std > 0:
                return Normalization(mean, std, False)
    return None


def _one_number(value: Any) -> float | None:
    """Return the number that a value is, alone or as one of equal ones."""
    if isinstance(value, Tensor):
        value = value.flatten().tolist() if value.numel() <= 3 else []
    if isinstance(value, (list, tuple)):
        values = [item for item in value if isinstance(item, (int, float))]
        value = values[0] if values and len(set(values)) == 1 else None
    return float(value) if isinstance(value, (int, float)) else None
