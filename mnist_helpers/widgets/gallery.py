"""Choose a true digit and a prediction, and see the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from torch import Tensor

from .base import DPI, InteractiveFigure, gray_images, widen_label

if TYPE_CHECKING:
    import pandas as pd

ANY = -1  # what a filter lets through: every digit


class ErrorGallery(InteractiveFigure):
    """Choose a true digit and a prediction, and see the errors, highest loss first.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        The whole split.
    errors : DataFrame
        As `mnist_helpers.misclassified` lists them.
    most : int, default=24
        Images that are shown at the most, those with the highest loss first.
    """

    def __init__(
        self, images: np.ndarray | Tensor, errors: pd.DataFrame, most: int = 24, columns: int = 8
    ) -> None:
        self.errors, self._most, self._columns = errors, most, columns
        self._images = gray_images(images[torch.from_numpy(errors["index"].to_numpy(copy=True))])
        self._label, self._predicted = (
            widen_label(widgets.Dropdown(options=_choices(errors[column]), description=name))
            for column, name in (("label", "True digit"), ("predicted", "Predicted"))
        )
        rows = -(-most // columns)
        self._cell = np.array([44, 34])  # pixels down and across for a digit, with its caption
        figure = Figure(figsize=(1.02 * columns, 1.36 * rows), dpi=DPI)
        self._ax = figure.add_axes((0, 0, 1, 1))
        self._ax.axis("off")
        height, width = self._cell * (rows, columns)
        self._sheet = self._ax.imshow(
            np.ones((height, width)), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        self._captions = [
            self._ax.text(
                self._cell[1] * (place % columns + 0.5),
                self._cell[0] * (place // columns) + 14,
                "",
                ha="center",
                va="bottom",
                fontsize=9,
            )
            for place in range(most)
        ]
        super().__init__(figure, [self._label, self._predicted])

    def choose(self, label: int | None = None, predicted: int | None = None) -> None:
        """Show one pair only; None lets every digit through."""
        with self._batch_updates():
            self._label.value = ANY if label is None else label
            self._predicted.value = ANY if predicted is None else predicted

    @property
    def shown(self) -> pd.DataFrame:
        """The rows of `errors` that the two filters let through."""
        keep = np.ones(len(self.errors), bool)
        for column, control in (("label", self._label), ("predicted", self._predicted)):
            if control.value != ANY:
                keep &= (self.errors[column] == control.value).to_numpy()
        return self.errors[keep]

    def _part(self) -> Bbox:
        """Leave rows away that nothing stands in."""
        width, height = self.figure.get_size_inches()
        rows = -(-self._most // self._columns)
        used = min(rows, max(1, -(-len(self.shown) // self._columns)))
        return Bbox([[0, height * (1 - used / rows)], [width, height]])

    def _draw(self) -> str:
        shown = self.shown
        sheet = np.ones(self._sheet.get_size(), np.float32)
        places = self.errors.index.get_indexer(shown.index)[: self._most]
        texts = [""] * self._most
        for number, (place, row) in enumerate(zip(places, shown.itertuples(), strict=False)):
            top, left = self._cell * divmod(number, self._columns) + (15, 3)
            sheet[top : top + 28, left : left + 28] = self._images[place]
            texts[number] = f"{row.label}, not {row.predicted}\n{min(row.confidence, 0.999):.1%}"
        for caption, text in zip(self._captions, texts, strict=True):
            caption.set_text(text)
        self._sheet.set_data(sheet)
        count = f"{len(shown)} of {len(self.errors)} errors"
        more = f", the first {self._most} shown" if len(shown) > self._most else ""
        what = [
            f"{word} {control.value}"
            for word, control in (("true digit", self._label), ("predicted", self._predicted))
            if control.value != ANY
        ]
        return f"{', '.join([count, *what])}{more}."


def _choices(digits: pd.Series) -> list[tuple[str, int]]:
    """Return a filter's options: any digit, and each with its number of errors."""
    counts = np.bincount(digits, minlength=10)
    each = [(f"{d} ({n} error{'' if n == 1 else 's'})", d) for d, n in enumerate(counts)]
    return [("any digit", ANY), *each]
