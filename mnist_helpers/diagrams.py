"""The course's schematic diagrams, as SVG made by code.

Each has a light background of its own, so that it can be read in a dark theme too, and a text that
says what it shows.

Examples
--------
>>> diagram = show_diagram("computation_graph")
>>> diagram.svg[:4]
'<svg'
>>> "gradient" in diagram.alt
True
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

BLUE, ORANGE, GREEN, GRAY, INK = "#d7e6f7", "#fbe3c8", "#d9efd8", "#ececf0", "#22223a"
ACCENT = "#b3261e"
Point = tuple[float, float]
_DIAGRAMS: dict[str, Callable[[], Diagram]] = {}


@dataclass(frozen=True)
class Diagram:
    """A drawing that notebooks show as an image.

    Parameters
    ----------
    svg : str
        The drawing, a complete SVG file.
    alt : str
        What it shows, in one or two sentences.
    """

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        source = base64.b64encode(self.svg.encode()).decode()
        style = "max-width:100%;border-radius:8px"
        return (
            f'<img src="data:image/svg+xml;base64,{source}" alt="{escape(self.alt)}" '
            f'style="{style}">'
        )


def show_diagram(name: str) -> Diagram:
    """Return a diagram of the course; as the last line of a cell it is shown.

    Parameters
    ----------
    name : str
        One of `list_diagrams`.

    Raises
    ------
    ValueError
        If there is no such diagram.
    """
    if name not in _DIAGRAMS:
        raise ValueError(f"no diagram {name!r}: there are {', '.join(list_diagrams())}")
    return _DIAGRAMS[name]()


def list_diagrams() -> list[str]:
    """Return the names that `show_diagram` takes."""
    return sorted(_DIAGRAMS)


def diagram(function: Callable[[], Diagram]) -> Callable[[], Diagram]:
    """Register a function that draws a diagram under its own name."""
    _DIAGRAMS[function.__name__] = function
    return function


def _canvas(width: float, height: float, *parts: str) -> str:
    """Return an SVG file of these parts, on a light card."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">'
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker>'
        f'</defs><rect width="{width}" height="{height}" rx="8" fill="#fbfbfd"/>{"".join(parts)}'
        "</svg>"
    )


def _text(x: float, y: float, words: str, color: str = INK, size: float = 13) -> str:
    """Return centered text; each line of `words` on a line of its own."""
    lines = words.split("\n")
    first = y - (len(lines) - 1) * 0.6 * size
    return "".join(
        f'<text x="{x:g}" y="{first + 1.2 * size * at:g}" text-anchor="middle" '
        f'dominant-baseline="central" font-size="{size:g}" fill="{color}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )


def _box(x: float, y: float, width: float, height: float, words: str, color: str = BLUE) -> str:
    """Return a rounded box with text; `x` and `y` are its center."""
    return (
        f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" '
        f'height="{height:g}" rx="6" fill="{color}" stroke="#8a8aa0"/>{_text(x, y, words)}'
    )


def _arrow(start: Point, end: Point, words: str = "", color: str = INK, above: bool = True) -> str:
    """Return an arrow, its text above or below its middle."""
    (x1, y1), (x2, y2) = start, end
    label = _text((x1 + x2) / 2, (y1 + y2) / 2 + (-11 if above else 12), words, color, 12)
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{color}" '
        f'stroke-width="1.5" marker-end="url(#tip)"/>{label if words else ""}'
    )


def _grid(
    x: float, y: float, values: list[list[object]], marked: set[Point], color: str, cell: float = 26
) -> str:
    """Return a table of numbers with its upper left corner at `x`, `y`, some cells colored."""
    parts = []
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            left, top = x + cell * column, y + cell * row
            fill = color if (row, column) in marked else "white"
            parts.append(
                f'<rect x="{left:g}" y="{top:g}" width="{cell}" height="{cell}" fill="{fill}" '
                f'stroke="#b8b8c8"/>{_text(left + cell / 2, top + cell / 2, str(value), size=12)}'
            )
    return "".join(parts)


@diagram
def computation_graph() -> Diagram:
    """Draw (w·x − t)² as a graph, values forward, gradients backward."""
    places = {"w": (60, 50), "x": (60, 140), "×": (190, 95), "−": (340, 95), "( )²": (490, 95)}
    parts = [
        _box(*places["w"], 76, 40, "w = 0.5", ORANGE),
        _box(*places["x"], 76, 40, "x = 2", GRAY),
        _box(*places["×"], 44, 44, "×"),
        _box(*places["−"], 44, 44, "−"),
        _box(340, 190, 76, 36, "t = −1", GRAY),
        _box(*places["( )²"], 52, 44, "( )²"),
        _box(640, 95, 90, 44, "loss = 4", GREEN),
        _arrow((98, 50), (167, 82)),
        _arrow((98, 140), (167, 108)),
        _arrow((213, 89), (317, 89), "w·x = 1"),
        _arrow((340, 172), (340, 118)),
        _arrow((363, 89), (463, 89), "d = 2"),
        _arrow((517, 89), (594, 89)),
        _arrow((594, 103), (517, 103), "1", ACCENT, above=False),
        _arrow((463, 103), (363, 103), "2·d = 4", ACCENT, above=False),
        _arrow((317, 103), (213, 103), "4", ACCENT, above=False),
        _arrow((167, 70), (98, 40), "", ACCENT),
        _text(150, 36, "4·x = 8", ACCENT, 12),
        _text(390, 28, "forward: values, left to right", size=13),
        _text(560, 190, "backward: gradients of the loss,\nright to left", ACCENT),
    ]
    return Diagram(
        _canvas(720, 225, *parts),
        "Computation graph of the loss (w·x − t)² for w = 0.5, x = 2, t = −1. Forward: w·x = 1, "
        "the difference d = 2, the loss 4. Backward: the gradient 1 at the loss becomes 2·d = 4, "
        "passes the subtraction unchanged, and is multiplied by x: the gradient for w is 8.",
    )


@diagram
def splits() -> Diagram:
    """Draw what each split is for."""
    rows = (
        ("training split", "fit the weights", BLUE),
        ("validation split", "select: model, learning rate,\nwhen to stop", ORANGE),
        ("test split", "report the accuracy,\nonce", GREEN),
    )
    parts = [_box(80, 115, 110, 60, "MNIST\n70,000 images", GRAY)]
    for at, (name, purpose, color) in enumerate(rows):
        y = 45 + 70 * at
        parts += [_arrow((136, 115), (218, y)), _box(285, y, 130, 44, name, color)]
        parts += [_arrow((351, y), (418, y)), _box(525, y, 210, 50, purpose, color)]
    parts.append(_arrow((640, 115), (640, 62), "", ACCENT))
    parts.append(_text(672, 90, "try\nagain", ACCENT, 12))
    return Diagram(
        _canvas(710, 230, *parts),
        "MNIST is divided into three splits: on the training split the weights are fitted, on the "
        "validation split models and settings are selected, again and again, and on the test "
        "split the accuracy is reported, once.",
    )


@diagram
def sliding_window() -> Diagram:
    """Draw one position of a 3×3 kernel over a 6×6 image."""
    image = [[int(column in (2, 3)) for column in range(6)] for _ in range(6)]
    kernel = [[-1, 0, 1]] * 3
    output = [
        [sum(image[r + i][c + j] * kernel[i][j] for i in range(3) for j in range(3))
         for c in range(4)]
        for r in range(4)
    ]  # fmt: skip
    window: set[Point] = {(1 + i, j) for i in range(3) for j in range(3)}
    parts = [
        _grid(30, 45, [list(row) for row in image], window, ORANGE),
        _text(108, 25, "image, 6×6"),
        _text(215, 123, "⊙", size=22),
        _grid(245, 84, [list(row) for row in kernel], set(), BLUE),
        _text(284, 65, "kernel, 3×3"),
        _arrow((340, 123), (408, 123), "sum"),
        _grid(425, 71, [list(row) for row in output], {(1, 0)}, ORANGE),
        _text(477, 50, "feature map, 4×4"),
    ]
    return Diagram(
        _canvas(560, 220, *parts),
        "A 3×3 window of a 6×6 image is multiplied, number by number, with a 3×3 kernel; the sum "
        "of the nine products is one number of the 4×4 feature map. The window then slides on.",
    )


@diagram
def network_shapes() -> Diagram:
    """Draw the shapes through a small convolutional network."""
    stages = (
        ("image", "1×28×28", GRAY, 80),
        ("conv 3×3", "32×28×28", BLUE, 130),
        ("pool 2", "32×14×14", BLUE, 100),
        ("conv 3×3", "64×14×14", BLUE, 110),
        ("pool 2", "64×7×7", BLUE, 80),
        ("flatten", "3,136", ORANGE, 120),
        ("linear", "128", ORANGE, 60),
        ("linear", "10 logits", GREEN, 40),
    )
    parts = []
    for at, (name, shape, color, height) in enumerate(stages):
        x = 58 + 96 * at
        parts.append(_box(x, 95, 70, height, name, color))
        parts.append(_text(x, 185, shape, size=12))
        if at:
            parts.append(_arrow((x - 60, 95), (x - 36, 95)))
    return Diagram(
        _canvas(790, 215, *parts),
        "Shapes through a convolutional network: an image of 1×28×28 becomes 32 feature maps of "
        "28×28, pooled to 14×14, then 64 maps of 14×14, pooled to 7×7; flattened, they are 3,136 "
        "numbers, of which two linear layers make 128 and then 10 logits.",
    )


@diagram
def preprocessing() -> Diagram:
    """Draw the way from a photo to an MNIST image."""
    stages = (
        ("photo or drawing,\nany size and color", GRAY),
        ("extract the ink:\nlight on black", BLUE),
        ("crop to the\ndigit", BLUE),
        ("fit into 20×20,\naspect kept", BLUE),
        ("center of mass to\nthe middle, 28×28", GREEN),
    )
    parts = []
    for at, (words, color) in enumerate(stages):
        x = 85 + 160 * at
        parts.append(_box(x, 60, 132, 64, words, color))
        if at:
            parts.append(_arrow((x - 94, 60), (x - 67, 60)))
    return Diagram(
        _canvas(812, 120, *parts),
        "Preprocessing in five steps: a photo or drawing of any size and color; its ink, light on "
        "black; cropped to the digit; fitted into 20×20 pixels with its aspect ratio kept; placed "
        "with its center of mass in the middle of 28×28.",
    )


@diagram
def data_parallelism() -> Diagram:
    """Draw a training step on two workers."""
    parts = [_box(75, 110, 100, 60, "one batch,\n256 images", GRAY)]
    for y, name in ((55, "worker 0"), (165, "worker 1")):
        parts += [
            _arrow((126, 110), (190, y), ""),
            _box(275, y, 166, 60, f"{name}: 128 images,\na copy of the network", BLUE),
            _arrow((359, y), (403, y)),
            _box(460, y, 108, 44, "its gradients", ORANGE),
            _arrow((515, y), (577, 105 if y < 110 else 115)),
        ]
    parts += [
        _box(640, 110, 122, 60, "average\n(all-reduce)", GREEN),
        _arrow((702, 110), (738, 110)),
        _box(805, 110, 128, 60, "the same step\non both workers", BLUE),
    ]
    return Diagram(
        _canvas(890, 220, *parts),
        "Data parallelism with two workers: each has a copy of the network and one half of the "
        "batch, computes its gradients, and after averaging them (all-reduce) both take the same "
        "step, so their weights stay equal.",
    )
