"""What the figures share: colors, axes, grids of digits, and how a figure is saved.

Colors are distinguishable with any kind of color vision, and nothing is encoded by color alone.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..files import atomic_write

if TYPE_CHECKING:
    from typing import TypeAlias

    import torch

    Images: TypeAlias = np.ndarray | torch.Tensor


BLUE, ORANGE, GREEN, RED, GRAY = "#0173b2", "#de8f05", "#029e73", "#d55e00", "#949494"


def save_figure(
    drawn: Axes | np.ndarray | Figure, path: str | Path, dpi: int = 120, title: str | None = None
) -> None:
    """Write the figure that `drawn` belongs to as PNG, atomically, and close it.

    A `title`, such as the data's source, is written over the whole figure.

    Parameters
    ----------
    drawn : Axes, ndarray of Axes, or Figure
    path : path
    dpi : int, default=120
    title : str, default=None
    """
    figure = drawn if isinstance(drawn, Figure) else np.ravel(np.asarray(drawn))[0].figure
    if title:
        title = textwrap.fill(title, round(12 * figure.get_figwidth()))
        figure.suptitle(title, fontsize=9, parse_math=False)  # a folder's name may hold dollars
    with atomic_write(path) as part:
        figure.savefig(part, dpi=dpi, format="png")
    plt.close(figure)


def axes_or_new(ax: Axes | None, width: float = 6, height: float = 4) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches."""
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def as_images(images: Images) -> np.ndarray:
    """Return images as an array ``[N, 28, 28]``.

    Raises
    ------
    ValueError
        If they have another shape.
    """
    array: np.ndarray = np.asarray(images)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or not len(array):
        raise ValueError(f"expected images [N, 28, 28] or [N, 1, 28, 28], not {list(array.shape)}")
    return array


def percent(share: float) -> str:
    """Format a probability as a percentage, never 100% for less than 1."""
    return f"{min(share, 0.994):.0%}" if share < 1 else "100%"


def show_image(ax: Axes, image: np.ndarray, **options: Any) -> None:
    """Draw an image without ticks; gray ones on the full scale of their dtype."""
    if image.ndim == 2:
        top = 255 if image.dtype == np.uint8 else 1 if image.dtype == bool else None
        options = {"cmap": "gray", "vmin": 0, "vmax": top or max(1.0, float(image.max()))} | options
    ax.imshow(image, **options)
    ax.set_xticks([])
    ax.set_yticks([])


def image_grid(count: int, columns: int, cell: tuple[float, float]) -> np.ndarray:
    """Create axes for `count` cells of this size in inches; spare ones are hidden."""
    rows = -(-count // columns)
    _, axes = plt.subplots(
        rows,
        columns,
        figsize=(cell[0] * columns, cell[1] * rows),
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat[count:]:
        ax.axis("off")
    return axes


def tick_rates(ax: Axes) -> None:
    """Label a logarithmic x axis of learning rates as 0.002, 0.005, 0.01, few enough to read."""
    low, high = ax.get_xlim()
    subs = (1, 2, 3, 5) if high < 10 * low else (1, 2, 5) if high < 30 * low else (1, 3)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def tick_accuracies(ax: Axes) -> None:
    """Format the y axis as percentages with one decimal, with ticks that need no second one."""
    ax.yaxis.set_major_locator(MaxNLocator(steps=(1, 2, 5, 10)))
    ax.yaxis.set_major_formatter("{x:.1%}")
