"""Figures of networks: filters, feature maps, sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from .base import BLUE, GRAY, GREEN, ORANGE, RED, axes_or_new, image_grid, show_image

if TYPE_CHECKING:
    import pandas as pd

LINE_COLORS = (BLUE, ORANGE, GREEN, RED, GRAY, "#cc78bc")


def plot_filters(weights: np.ndarray, columns: int = 8) -> np.ndarray:
    """Draw convolution kernels ``[C, 1, k, k]``: red adds ink, blue takes it away.

    Parameters
    ----------
    weights : array or tensor of shape [C, 1, k, k]
        Such as ``model.conv1.weight``.
    columns : int, default=8

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    kernels = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights)
    if kernels.ndim != 4 or kernels.shape[1] != 1:
        raise ValueError(f"expected kernels [C, 1, k, k], not {list(kernels.shape)}")
    bound = float(np.abs(kernels).max())
    axes = image_grid(len(kernels), min(columns, len(kernels)), (1.0, 1.0))
    for ax, kernel in zip(axes.flat, kernels[:, 0], strict=False):
        show_image(ax, kernel, cmap="RdBu_r", vmin=-bound, vmax=bound)
    return axes


def plot_feature_maps(maps: np.ndarray, columns: int = 8) -> np.ndarray:
    """Draw what each channel of a layer makes of one image: maps ``[C, H, W]``.

    Parameters
    ----------
    maps : array of shape [C, H, W]
    columns : int, default=8

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"expected maps [C, H, W], not {list(maps.shape)}")
    axes = image_grid(len(maps), min(columns, len(maps)), (1.0, 1.0))
    for ax, channel in zip(axes.flat, maps, strict=False):
        show_image(
            ax, channel, cmap="viridis", vmin=float(channel.min()), vmax=float(channel.max())
        )
    return axes


def plot_architectures(
    table: pd.DataFrame, x: str = "macs", y: str = "parameters", ax: Axes | None = None
) -> Axes:
    """Draw networks as labeled points; `table` is indexed by name and has columns `x` and `y`.

    Parameters
    ----------
    table : DataFrame
        One row per network.
    x, y : str, default="macs", "parameters"
        Columns of the table, both drawn on a logarithmic scale.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 7, 4.5)
    ax.scatter(table[x], table[y], color=BLUE, zorder=3)
    drawn: list[tuple[float, float]] = []
    for name, row in table.sort_values(y).iterrows():
        here = (row[x], row[y])
        near = sum(np.allclose(here, other, rtol=1e-6) for other in drawn)
        ratios = table[x] / row[x], table[y] / row[y]
        above = all((ratio.gt(1.0001) & ratio.lt(1.35)).any() for ratio in ratios)
        drawn.append(here)
        place = (6, -12) if above else (6, 4 + 11 * near)
        ax.annotate(name, here, xytext=place, textcoords="offset points", fontsize=9)
    ax.set(xlabel=x, ylabel=y, xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):  # 1 M, 2 M, 5 M: labels that do not touch
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(EngFormatter())
        axis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.25, y=0.15)
    ax.grid(alpha=0.3, which="both")
    return ax


def plot_maps(
    maps: Mapping[str, np.ndarray],
    image: np.ndarray | None = None,
    signed: bool = True,
    columns: int = 8,
) -> np.ndarray:
    """Draw named maps in a grid, such as a kernel's responses or the weights of each class.

    Parameters
    ----------
    maps : mapping of str to array or tensor of shape [H, W]
        By their titles.
    image : array or tensor of shape [H, W], default=None
        Drawn first, in gray: the image that the maps belong to.
    signed : bool, default=True
        Red above and blue below 0, all on one scale. Otherwise brighter for a larger value, each
        map on a scale of its own that begins at 0.
    columns : int, default=8

    Returns
    -------
    ndarray of Axes, shape [rows, columns]
    """
    arrays = {title: np.asarray(values) for title, values in maps.items()}
    for title, values in arrays.items():
        if values.ndim != 2:
            raise ValueError(f"expected maps [H, W], but {title!r} is {list(values.shape)}")
    bound = max(float(np.abs(values).max()) for values in arrays.values()) or 1.0
    first = image is not None
    count = len(arrays) + first
    axes = image_grid(count, min(columns, count), (1.25, 1.45) if count > 5 else (2.1, 2.3))
    if image is not None:
        show_image(axes.flat[0], np.asarray(image))
        axes.flat[0].set_title("image", fontsize=9)
    for ax, (title, values) in zip(axes.flat[first:], arrays.items(), strict=False):
        top = float(values.max()) or 1.0
        scale = ("RdBu_r", -bound, bound) if signed else ("viridis", 0, top)
        show_image(ax, values, **dict(zip(("cmap", "vmin", "vmax"), scale, strict=True)))
        ax.set_title(title, fontsize=9)
    return axes


def plot_activation_stds(stds: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Draw the standard deviation of the activations after each layer, a line for each network.

    Parameters
    ----------
    stds : mapping of str to sequence of float
        By the network's name, from the first layer to the last.
    ax : Axes, default=None
        Axes to draw on; if None, those of a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, 7, 4)
    for number, (name, values) in enumerate(stds.items()):
        layers = range(1, len(values) + 1)
        color, style = LINE_COLORS[number % 6], ("-", "--", ":")[number // 3 % 3]
        size = 9 - number % 6  # of lines that coincide each can be seen
        ax.plot(
            layers, values, style, marker="osD^vP"[number % 6], ms=size, color=color, label=name
        )
    ax.set(xlabel="layer", ylabel="standard deviation of the activations", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return ax
