"""Figures with controls: change a kernel, a threshold or a digit's place, and see what it does.

All state lies in Python, and the figure is a picture that is sent anew after each change, so they
work wherever ipywidgets do. Where no kernel answers, the figure as it was is shown.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image
from torch import Tensor

from .augment import to_float
from .canvas import DigitCanvas, PicturedBox, png
from .plots import BLUE, GREY, ORANGE, plot_risk_coverage
from .prediction import MNISTPredictor
from .preprocess import EmptyPictureError, to_mnist

if TYPE_CHECKING:
    import pandas as pd

DPI = 100
ANY = -1  # what a filter lets through: every digit
OWN = "your own"

KERNELS: dict[str, list[list[float]]] = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "lower edges": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "left edges": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "blur": [[0.0625, 0.125, 0.0625], [0.125, 0.25, 0.125], [0.0625, 0.125, 0.0625]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}
NEIGHBOURS = "↖↑↗←•→↙↓↘"  # a kernel's nine weights, row by row, seen from the pixel in the middle


class LiveFigure(PicturedBox):
    """Controls, and below them a figure that follows them.

    A subclass makes both, and says in `_draw` what changes in the figure.

    Parameters
    ----------
    figure : matplotlib Figure
        Made without pyplot, which would keep it open.
    controls : sequence of widgets with a ``value``
    rows : sequence of widgets, optional
        The controls as they are laid out. Default: one below the other.
    """

    def __init__(
        self,
        figure: Figure,
        controls: Sequence[widgets.DOMWidget],
        rows: Sequence[widgets.DOMWidget] | None = None,
    ) -> None:
        self.figure = figure
        self._sentence = ""
        self._changing = False
        self._image = widgets.Image(format="png")
        self._image.layout.max_width = "100%"
        self._image.layout.align_self = "flex-start"
        self._image.add_class("mnist-live-figure")
        self._status = widgets.HTML()
        self._status.add_class("mnist-live-words")
        super().__init__((*(controls if rows is None else rows), self._status, self._image))
        for control in controls:
            control.observe(self._on_change, "value")
        self._update()
        figure.set_layout_engine("none")  # each place is found; finding it anew takes time

    def picture_of_state(self) -> bytes:
        """Return the figure as it is now, as a PNG."""
        return bytes(self._image.value)

    def words(self) -> str:
        """Say what the figure shows now."""
        return self._sentence

    def _draw(self) -> str:
        """Bring the figure up to date with the controls, and say in words what it shows."""
        raise NotImplementedError

    def _part(self) -> Bbox | None:
        """Return the part of the figure to show, in inches; None for all of it."""
        return None

    def _update(self) -> None:
        """Draw the figure anew, and send it."""
        self._sentence = self._draw()
        self._status.value = f"<div role='status' aria-live='polite'>{escape(self._sentence)}</div>"
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=DPI, bbox_inches=self._part())
        self._image.value = file.getvalue()

    def _on_change(self, _change: Any) -> None:
        if not self._changing:
            self._update()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Change several controls, and draw the figure once."""
        self._changing = True
        try:
            yield
        finally:
            self._changing = False
        self._update()


def _figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches that pyplot does not know of, and so never keeps open."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _slider(value: float, low: float, high: float, step: float, name: str, **options: Any):
    """Return a slider with its name before it and room for both."""
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    slider = kind(value=value, min=low, max=high, step=step, description=name, **options)
    return _roomy(slider)


def _roomy(control: widgets.DOMWidget) -> widgets.DOMWidget:
    """Let a control's name stand before it in full."""
    control.style.description_width = "8em"
    control.layout.width = "420px"
    control.layout.max_width = "98%"
    return control


def _grey_pictures(images: np.ndarray | Tensor) -> np.ndarray:
    """Return digits of any shape as float32 ``[N, 28, 28]`` in [0, 1]."""
    return to_float(torch.as_tensor(images)).reshape(-1, 28, 28).cpu().numpy()


def _bare(ax: Any, title: str = "") -> None:
    """Take an axes' ticks away, and give it a title."""
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=11)


# ------------------------------------------------------------------------------------ convolution


class KernelEditor(LiveFigure):
    """Write the nine weights of a 3×3 kernel, and see what it makes of a digit.

    Parameters
    ----------
    images : array or tensor of N pictures of 28×28, uint8 or float in [0, 1]
        With more than one there is a slider to choose.
    kernel : str
        The one to begin with, of `KERNELS`.
    number : int
        The picture to begin with.

    Examples
    --------
    >>> editor = KernelEditor(np.zeros((28, 28), np.uint8))
    >>> editor.kernel = [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    >>> editor.result.shape
    (28, 28)
    """

    def __init__(
        self, images: np.ndarray | Tensor, kernel: str = "lower edges", number: int = 0
    ) -> None:
        self._pictures = _grey_pictures(images)
        self._preset = _roomy(
            widgets.Dropdown(options=[*KERNELS, OWN], value=kernel, description="Kernel")
        )
        self._which = _slider(number, 0, len(self._pictures) - 1, 1, "Picture")
        weights = np.ravel(KERNELS[kernel])
        self._weights = [
            widgets.FloatText(
                value=float(weight),
                step=0.5,
                description=arrow,
                style={"description_width": "1.6em"},
                layout={"width": "105px"},
            )
            for weight, arrow in zip(weights, NEIGHBOURS, strict=True)
        ]
        self._preset.observe(self._on_preset, "value")
        figure = _figure(8.4, 3.1)
        axes = figure.subplots(1, 3)
        titles = ("the picture", "the kernel's answer", "its positive part")
        for ax, title in zip(axes, titles, strict=True):
            _bare(ax, title)
        maps = ("gray", "RdBu_r", "gray")
        black = np.zeros((28, 28))
        self._shown = [ax.imshow(black, cmap=name) for ax, name in zip(axes, maps, strict=True)]
        grid = widgets.GridBox(
            self._weights, layout={"grid_template_columns": "repeat(3, 110px)", "margin": "4px"}
        )
        choice = [self._preset] + [self._which] * (len(self._pictures) > 1)
        super().__init__(figure, [self._which, *self._weights], [*choice, grid])

    @property
    def kernel(self) -> np.ndarray:
        """The kernel's weights, float32 ``[3, 3]``; set it from code, or in the number fields."""
        values = [field.value for field in self._weights]
        return np.array(values, dtype=np.float32).reshape(3, 3)

    @kernel.setter
    def kernel(self, weights: Any) -> None:
        values = np.asarray(weights, dtype=np.float64)
        if values.shape != (3, 3) or not np.isfinite(values).all():
            raise ValueError(f"a kernel is 3×3 finite numbers, not {weights!r}")
        with self._at_once():
            for field, value in zip(self._weights, values.flat, strict=True):
                field.value = float(value)

    @property
    def picture(self) -> np.ndarray:
        """The picture under the kernel, float32 ``[28, 28]`` in [0, 1]."""
        return self._pictures[self._which.value]

    @property
    def result(self) -> np.ndarray:
        """What the kernel makes of it, float32 ``[28, 28]``: zeros stand around the picture."""
        picture, kernel = torch.from_numpy(self.picture), torch.from_numpy(self.kernel)
        return F.conv2d(picture[None, None], kernel[None, None], padding=1)[0, 0].numpy()

    def _on_preset(self, change: dict[str, Any]) -> None:
        if change["new"] != OWN:
            self.kernel = KERNELS[change["new"]]

    def _draw(self) -> str:
        result = self.result
        bound = max(1.0, float(np.abs(result).max()))
        pictures = (self.picture, result, result.clip(0))
        limits = ((0, 1), (-bound, bound), (0, bound))
        for shown, values, ends in zip(self._shown, pictures, limits, strict=True):
            shown.set_data(values)
            shown.set_clim(*ends)
        same = [name for name, weights in KERNELS.items() if np.allclose(weights, self.kernel)]
        self._preset.value = same[0] if same else OWN
        return (
            f"Kernel “{self._preset.value}”: answers from {result.min():.2f} (blue) "
            f"to {result.max():.2f} (red)."
        )


class FeatureMaps(DigitCanvas):
    """A canvas on which one sees, while drawing, what the network's layers make of the drawing.

    Parameters
    ----------
    predictor : MNISTPredictor, optional
        Default: the one with the weights that ship.
    layers : mapping of str to str
        The layers' names in the network, and what to call them. Each must give maps ``[C, H, W]``.
    size, brush : int
        As of `DigitCanvas`.
    """

    def __init__(
        self,
        predictor: MNISTPredictor | None = None,
        layers: Mapping[str, str] | None = None,
        size: int = 280,
        brush: int = 18,
    ) -> None:
        self.layers = dict(
            layers or {"relu1": "after the first layer", "relu2": "after the second"}
        )
        self._mosaics = {name: widgets.Image(format="png") for name in self.layers}
        self.maps: dict[str, np.ndarray] = {}
        super().__init__(predictor or MNISTPredictor(), size, brush)
        shown = []
        for name, image in self._mosaics.items():
            image.add_class("mnist-feature-maps")
            image.layout.max_width = "98%"
            caption = widgets.HTML(f"<small>{escape(self._caption(name))}</small>")
            shown.append(widgets.VBox([caption, image]))
        row = widgets.HBox(shown)
        row.layout.flex_flow, row.layout.grid_gap = "row wrap", "16px"
        self.children = (*self.children, row)

    def _caption(self, name: str) -> str:
        channels, height, width = self.maps[name].shape
        return f"{self.layers[name]}: {channels} channels of {width}×{height}"

    def _show(self) -> None:
        super()._show()
        self.maps = self._look(np.zeros((28, 28), np.uint8) if self.image is None else self.image)
        for name, image in self._mosaics.items():
            if self.image is None:
                self.maps[name] = np.zeros_like(self.maps[name])
            image.value = png(Image.fromarray(_mosaic(self.maps[name])))

    @torch.inference_mode()
    def _look(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Send a picture through the network, and keep what the layers give."""
        found: dict[str, np.ndarray] = {}
        values = torch.from_numpy(image)[None, None].to(self.predictor.device)
        for name, layer in self.predictor.model.named_children():
            values = layer(values)
            if name in self.layers:
                found[name] = values[0].float().cpu().numpy()
        return found

    def picture_of_state(self) -> bytes:
        """Return the drawing and all maps, as a PNG."""
        figure = _figure(10, 3.6)
        axes = figure.subplots(1, 1 + len(self.layers), width_ratios=[2] + [3] * len(self.layers))
        axes[0].imshow(self.picture, cmap="gray", vmin=0, vmax=255)
        _bare(axes[0], "drawn")
        for ax, name in zip(axes[1:], self.layers, strict=True):
            ax.imshow(_mosaic(self.maps[name]))
            _bare(ax, self._caption(name).replace(": ", "\n"))
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()

    def words(self) -> str:
        """Say what is drawn, and what is shown of it."""
        drawn = "an empty sheet" if self.prediction is None else f"a {self.prediction.digit}"
        return f"Feature maps of {drawn}, " + " and ".join(map(self._caption, self.layers))


def _mosaic(maps: np.ndarray, side: int = 46) -> np.ndarray:
    """Tile maps ``[C, H, W]`` as one uint8 picture ``[…, …, 3]``, brighter for a greater value.

    All have the same scale, from 0 to the greatest of all; each is enlarged to about `side` pixels.
    """
    count, height, width = maps.shape
    columns = 2 ** math.ceil(math.log2(count) / 2)
    rows = -(-count // columns)
    scaled = np.clip(maps / max(float(maps.max()), 1e-6), 0, 1)
    colours = matplotlib.colormaps["viridis"](scaled, bytes=True)[..., :3]
    zoom = max(1, side // height)
    colours = colours.repeat(zoom, axis=1).repeat(zoom, axis=2)
    sheet = np.full((rows * columns, height * zoom + 2, width * zoom + 2, 3), 255, np.uint8)
    sheet[:count, 1:-1, 1:-1] = colours
    tiled = sheet.reshape(rows, columns, *sheet.shape[1:]).swapaxes(1, 2)
    return tiled.reshape(rows * sheet.shape[1], columns * sheet.shape[2], 3)


# --------------------------------------------------------------------------------------- training


class LearningRates(LiveFigure):
    """Slide over learning rates, and see the loss curve of each beside those of the others.

    Parameters
    ----------
    runs : mapping of float to sequence of float
        For each learning rate the loss of each step.
    """

    def __init__(self, runs: Mapping[float, Sequence[float]]) -> None:
        if not runs or not all(len(losses) for losses in runs.values()):
            raise ValueError("there are no runs, or one without a step")
        self._runs = {float(rate): np.asarray(runs[rate], float) for rate in sorted(runs)}
        options = [(f"{rate:g}", rate) for rate in self._runs]
        self._slider = _roomy(
            widgets.SelectionSlider(
                options=options, value=options[len(options) // 2][1], description="Learning rate"
            )
        )
        figure = _figure(7, 3.6)
        self._ax = figure.subplots()
        self._means = {rate: _running_mean(losses) for rate, losses in self._runs.items()}
        self._lines = {
            rate: self._ax.plot(range(1, len(mean) + 1), mean, color=GREY, lw=1)[0]
            for rate, mean in self._means.items()
        }
        (self._each,) = self._ax.plot([], [], color=BLUE, lw=0.6, alpha=0.5)
        start = float(np.median([losses[0] for losses in self._runs.values()]))
        self._ax.set(xlabel="step", ylabel="loss (what leaves the top is larger)")
        self._ax.set_ylim(0, 1.6 * start)
        self._ax.grid(alpha=0.3)
        super().__init__(figure, [self._slider])

    @property
    def rate(self) -> float:
        """The learning rate whose curve is in colour."""
        return self._slider.value

    @rate.setter
    def rate(self, rate: float) -> None:
        self._slider.value = float(rate)

    def _draw(self) -> str:
        for rate, line in self._lines.items():
            chosen = rate == self.rate
            line.set(color=BLUE if chosen else GREY, lw=2.5 if chosen else 1)
            line.set_zorder(3 if chosen else 2)
        losses = self._runs[self.rate]
        self._each.set_data(range(1, len(losses) + 1), losses)
        self._ax.set_title(f"learning rate {self.rate:g} (the others in grey)", fontsize=11)
        last = losses[-10:].mean()
        return (
            f"Learning rate {self.rate:g}: loss {losses[0]:.2f} at the first step, "
            f"{last:,.2f} in the mean of the last {len(losses[-10:])} of {len(losses)}."
        )


def _running_mean(losses: np.ndarray) -> np.ndarray:
    """Return a mean that forgets: each step back counts a fifth less."""
    import pandas as pd

    return pd.Series(losses).ewm(alpha=0.2).mean().to_numpy()


# ----------------------------------------------------------------------------------------- errors


class ErrorGallery(LiveFigure):
    """Choose a true digit and what it was read as, and see the pictures.

    Parameters
    ----------
    images : array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]
        The whole split.
    errors : DataFrame
        As `mnist_helpers.misclassified` lists them.
    most : int
        Pictures that are shown at the most, those with the highest loss first.
    """

    def __init__(
        self, images: np.ndarray | Tensor, errors: pd.DataFrame, most: int = 24, columns: int = 8
    ) -> None:
        self.errors, self._most, self._columns = errors, most, columns
        self._pictures = _grey_pictures(
            images[torch.from_numpy(errors["index"].to_numpy(copy=True))]
        )
        self._label, self._predicted = (
            _roomy(widgets.Dropdown(options=_choices(errors[column]), description=name))
            for column, name in (("label", "True digit"), ("predicted", "Read as"))
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
        with self._at_once():
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
        sheet = np.ones(self._sheet.get_array().shape, np.float32)
        places = self.errors.index.get_indexer(shown.index)[: self._most]
        texts = [""] * self._most
        for number, (place, row) in enumerate(zip(places, shown.itertuples(), strict=False)):
            top, left = self._cell * divmod(number, self._columns) + (15, 3)
            sheet[top : top + 28, left : left + 28] = self._pictures[place]
            texts[number] = f"{row.label} read as {row.predicted}\n{min(row.confidence, 0.999):.1%}"
        for caption, text in zip(self._captions, texts, strict=True):
            caption.set_text(text)
        self._sheet.set_data(sheet)
        count = f"{len(shown)} of {len(self.errors)} errors"
        more = f", the first {self._most} shown" if len(shown) > self._most else ""
        what = [
            f"{word} {control.value}"
            for word, control in (("true digit", self._label), ("read as", self._predicted))
            if control.value != ANY
        ]
        return f"{', '.join([count, *what])}{more}."


def _choices(digits: pd.Series) -> list[tuple[str, int]]:
    """Return a filter's options: any digit, and each with its number of errors."""
    counts = np.bincount(digits, minlength=10)
    each = [(f"{d} ({n} error{'' if n == 1 else 's'})", d) for d, n in enumerate(counts)]
    return [("any digit", ANY), *each]


class ThresholdSlider(LiveFigure):
    """Slide a threshold over the confidence, and see what is read, and what is handed over.

    Parameters
    ----------
    confidence : ndarray of shape [N], in [0, 1]
    correct : ndarray of shape [N], bool
    threshold : float
        The one to begin with.
    """

    def __init__(self, confidence: np.ndarray, correct: np.ndarray, threshold: float = 0.9) -> None:
        self._confidence = np.asarray(confidence, dtype=np.float64)
        self._correct = np.asarray(correct, dtype=bool)
        self._slider = _slider(
            threshold, 0.0, 1.0, 0.001, "Threshold", readout_format=".3f", continuous_update=True
        )
        figure = _figure(8.2, 3.1)
        self._left, self._right = figure.subplots(1, 2)
        plot_risk_coverage(self._confidence, self._correct, self._left)
        self._low = self._left.get_xlim()[0]
        (self._dot,) = self._left.plot(
            [], [], "o", color=ORANGE, ms=9, mec="black", zorder=5, clip_on=False
        )
        names = ("readings that\nwould be right", "errors")
        machine = {"height": 0.6, "color": BLUE, "label": "decided by the machine"}
        person = {"height": 0.6, "color": ORANGE, "hatch": "//", "label": "handed to a person"}
        self._read = self._right.barh(names, [0, 0], **machine)
        self._handed = self._right.barh(names, [0, 0], **person)
        self._texts = [
            self._right.text(0.5, y + 0.42, "", ha="center", va="center") for y in (0, 1)
        ]
        self._right.set(xlim=(0, 1), ylim=(-0.45, 1.6), xlabel="share")
        self._right.xaxis.set_major_formatter("{x:.0%}")
        self._right.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9
        )
        super().__init__(figure, [self._slider])

    @property
    def threshold(self) -> float:
        """The confidence from which on the machine decides."""
        return self._slider.value

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self._slider.value = float(threshold)

    @property
    def _decided(self) -> np.ndarray:
        return self._confidence >= self.threshold

    @property
    def coverage(self) -> float:
        """Share of the pictures that the machine decides, in [0, 1]."""
        return float(self._decided.mean())

    @property
    def risk(self) -> float:
        """Share of errors among these, in [0, 1]; 0 if there are none."""
        decided = self._decided
        return float((~self._correct & decided).sum() / max(1, decided.sum()))

    def _draw(self) -> str:
        decided = self._decided
        for place, group in enumerate((self._correct, ~self._correct)):
            total, read = int(group.sum()), int((group & decided).sum())
            share = read / max(1, total)
            self._read[place].set_width(share)
            self._handed[place].set_x(share)
            self._handed[place].set_width((1 - share) * bool(total))
            self._texts[place].set_text(f"{read:,} decided, {total - read:,} handed over")
        self._dot.set_data([self.coverage], [self.risk])
        self._left.set_xlim(min(self._low, self.coverage - 0.03), 1.005)
        left = int((~self._correct & decided).sum())
        return (
            f"Threshold {self.threshold:.3f}: the machine decides {self.coverage:.2%} "
            f"of {len(decided):,} pictures (coverage), {left} of them wrongly "
            f"(risk {self.risk:.2%}); a person reads {int((~decided).sum()):,}."
        )


# ------------------------------------------------------------------------------------- prediction


class MovedDigit(LiveFigure):
    """Move and turn a digit, and watch the ten probabilities.

    Parameters
    ----------
    image : array or tensor of 28×28 values, uint8 or float in [0, 1]
        An MNIST picture.
    predictor : MNISTPredictor, optional
        Default: the one with the weights that ship.
    """

    def __init__(self, image: np.ndarray | Tensor, predictor: MNISTPredictor | None = None) -> None:
        self._original = _grey_pictures(image)[0]
        self.predictor = predictor or MNISTPredictor()
        self.probs = np.zeros(10, np.float32)
        self._right = _slider(0, -10, 10, 1, "Right (pixels)")
        self._down = _slider(0, -10, 10, 1, "Down (pixels)")
        self._turn = _slider(0, -180, 180, 5, "Turn (degrees)")
        self._prepare = _roomy(
            widgets.Checkbox(description="prepare it as MNIST was (to_mnist)", indent=False)
        )
        figure = _figure(8, 3)
        axes = figure.subplots(1, 2, width_ratios=(1, 2))
        self._shown = axes[0].imshow(np.zeros((28, 28)), cmap="gray", vmin=0, vmax=255)
        _bare(axes[0], "what the network sees")
        self._bars = axes[1].bar(range(10), np.zeros(10), color=GREY)
        axes[1].set(xticks=range(10), xlabel="digit", ylabel="probability", ylim=(0, 1.12))
        axes[1].yaxis.set_major_formatter("{x:.0%}")
        self._percent = [axes[1].text(d, 0, "", ha="center", fontsize=9) for d in range(10)]
        super().__init__(figure, [self._right, self._down, self._turn, self._prepare])

    def move(
        self, right: int = 0, down: int = 0, turn: int = 0, prepare: bool | None = None
    ) -> None:
        """Put the digit so many pixels away from its place, turned clockwise by so many degrees.

        `prepare` sets whether the moved picture goes through `to_mnist`; None leaves it as it is.
        """
        with self._at_once():
            self._right.value, self._down.value, self._turn.value = right, down, turn
            if prepare is not None:
                self._prepare.value = prepare

    @property
    def seen(self) -> np.ndarray:
        """What the network sees, uint8 ``[28, 28]``."""
        moved = _moved(self._original, self._right.value, self._down.value, self._turn.value)
        if self._prepare.value:
            try:
                return to_mnist(moved)
            except EmptyPictureError:  # it was moved out of the picture
                pass
        return moved

    def _draw(self) -> str:
        image = self.seen
        self.probs = self.predictor.probabilities(image[None])[0]
        best = int(self.probs.argmax())
        self._shown.set_data(image)
        for digit, (bar, text) in enumerate(zip(self._bars, self._percent, strict=True)):
            share = float(self.probs[digit])
            bar.set(height=share, color=BLUE if digit == best else GREY)
            text.set_text(f"{share:.0%}" if share >= 0.005 else "")
            text.set_y(share + 0.02)
        return (
            f"Moved by {self._right.value} pixels to the right and {self._down.value} down, "
            f"turned by {self._turn.value}°: read as {best}, "
            f"with a confidence of {self.probs[best]:.0%}."
        )


def _moved(image: np.ndarray, right: float, down: float, turn: float) -> np.ndarray:
    """Turn a picture ``[28, 28]`` clockwise about its middle, then move it; black comes in."""
    angle, pixel = math.radians(turn), 2 / image.shape[-1]
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = right * pixel, down * pixel  # where a pixel of the result comes from: the way back
    matrix = [[cos, sin, -(cos * x + sin * y)], [-sin, cos, sin * x - cos * y]]
    grid = F.affine_grid(torch.tensor([matrix]), [1, 1, *image.shape], align_corners=False)
    moved = F.grid_sample(torch.from_numpy(image)[None, None], grid, align_corners=False)
    return (moved[0, 0] * 255).round().to(torch.uint8).numpy()
