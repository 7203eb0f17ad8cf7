"""Figures of networks: filters, feature maps, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from .base import BLUE, axes_or_new, image_grid, show_image

if TYPE_CHECKING:
    import pandas as pd


def plot_filters(weights: np.ndarray, columns: int = 8) -> np.ndarray:
    """Draw convolution kernels ``[C, 1, k, k]``: red adds ink, blue takes it away."""
    kernels = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights)
    if kernels.ndim != 4 or kernels.shape[1] != 1:
        raise ValueError(f"expected kernels [C, 1, k, k], not {list(kernels.shape)}")
    bound = float(np.abs(kernels).max())
    axes = image_grid(len(kernels), min(columns, len(kernels)), (1.0, 1.0))
    for ax, kernel in zip(axes.flat, kernels[:, 0], strict=False):
        show_image(ax, kernel, cmap="RdBu_r", vmin=-bound, vmax=bound)
    return axes


def plot_feature_maps(maps: np.ndarray, columns: int = 8) -> np.ndarray:
    """Draw what each channel of a layer makes of one picture: maps ``[C, H, W]``."""
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
    """Draw networks as labelled points; `table` is indexed by name and has columns `x` and `y`."""
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
    ax.margins(0.15)
    ax.grid(alpha=0.3, which="both")
    return ax
