"""Synthetic images, from seeds: rendered digits, and images that show no digit.

A network trained on digits alone is confident about anything. Images of letters, operators,
doodles, scribbles, textures, noise and several digits in a row train it to have low confidence on
them, and measure whether it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .data import NON_DIGIT, Digits
from .preprocess import BlankImageError, to_mnist
from .signs import DOODLES, GREEK, LATIN, OPERATORS
from .strokes import Strokes, draw_strokes, pen_strokes, smooth, written
from .styles import FORMS, STYLES, TRAIN_STYLES

# Without those that are written like a digit: O like 0, I and l like 1, Z like 2, S like 5, …
LETTERS = "ACEFHJKLMNPRTUVWXYacdefhkmnprtuvwxy"
# Greek letters and operators, without those that `signs` leaves out.
SYMBOLS = "αβγδεηθκλμπτχψωΓΔΞΠΣΨΩ+−×÷=±%#√∑∫∞≠≤≥∇"
# Fonts that matplotlib brings. The network is shown the first, and measured on the others.
FONTS = ("DejaVuSans", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBolIta", "cmtt10")
OTHER_FONTS = ("DejaVuSansMono", "STIXGeneralItalic", "cmmi10", "cmr10", "cmss10")
SYMBOL_FONTS = ("DejaVuSans", "DejaVuSerif-Italic", "DejaVuSerif-Bold", "STIXGeneral")
OTHER_SYMBOL_FONTS = ("DejaVuSansMono", "STIXGeneralBol")
SIDE = 112


def letter(rng: np.random.Generator, fonts: tuple[str, ...] = FONTS) -> Image.Image:
    """Draw one of `LETTERS` in one of the fonts, slightly turned."""
    return _printed(rng, LETTERS, fonts)


def symbol(rng: np.random.Generator, fonts: tuple[str, ...] = SYMBOL_FONTS) -> Image.Image:
    """Draw a Greek letter or an operator in one of the fonts, slightly turned."""
    return _printed(rng, SYMBOLS, fonts)


def _printed(rng: np.random.Generator, characters: str, fonts: tuple[str, ...]) -> Image.Image:
    """Draw one of the characters in one of the fonts, slightly turned."""
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    font = ImageFont.truetype(folder / f"{rng.choice(fonts)}.ttf", SIDE // 2)
    sheet = Image.new("L", (SIDE, SIDE))
    middle = (SIDE // 2, SIDE // 2)
    ImageDraw.Draw(sheet).text(middle, rng.choice(list(characters)), 255, font, anchor="mm")
    return sheet.rotate(rng.normal(0, 6), Image.Resampling.BILINEAR)


def latin(rng: np.random.Generator) -> Image.Image:
    """Write a Latin letter."""
    return _handwritten(rng, LATIN)


def greek(rng: np.random.Generator) -> Image.Image:
    """Write a Greek letter."""
    return _handwritten(rng, GREEK)


def operator(rng: np.random.Generator) -> Image.Image:
    """Write an operator."""
    return _handwritten(rng, OPERATORS)


def doodle(rng: np.random.Generator) -> Image.Image:
    """Draw an arrow, a star, a house, a face or the like."""
    return _handwritten(rng, DOODLES)


def _handwritten(rng: np.random.Generator, table: Mapping[str, Sequence[str]]) -> Image.Image:
    """Write one of the forms in a table of `signs`."""
    form = str(rng.choice(table[str(rng.choice(list(table)))]))
    pen = rng.uniform(0.03, 0.13) * SIDE  # a marker fills their loops
    return _on_sheet(written(form, SIDE, rng, tremor=3.0), pen, rng)


def _on_sheet(strokes: Strokes, pen: float, rng: np.random.Generator) -> Image.Image:
    """Draw strokes, slanted and stretched."""
    strokes = _stretched(_slanted(strokes, rng), pen, rng)
    return draw_strokes(strokes, SIDE, pen=pen, ink=255, paper=0)


def scribble(rng: np.random.Generator) -> Image.Image:
    """Draw one or two strokes through random points."""
    margin = 0.1 * SIDE
    strokes = [
        smooth(rng.uniform(margin, SIDE - margin, (rng.integers(3, 10), 2)))
        for _ in range(rng.integers(1, 3))
    ]
    return draw_strokes(strokes, SIDE, pen=rng.uniform(3, 10), ink=255, paper=0)


def number(rng: np.random.Generator) -> Image.Image:
    """Draw two to four digits in a row, all in one writing style."""
    style, size = rng.choice(STYLES), SIDE // 2
    digits = rng.integers(0, 10, rng.integers(2, 5))
    strokes = [
        stroke + np.array([place * 0.75 * size, 0])
        for place, digit in enumerate(digits)
        for stroke in pen_strokes(int(digit), style, size, _any(rng))
    ]
    wide = draw_strokes(strokes, 4 * size, pen=rng.uniform(3, 8), ink=255, paper=0)
    return wide.crop((0, 0, 4 * size, size))


def texture(rng: np.random.Generator) -> Image.Image:
    """Draw stripes, checks, rings or clouds."""
    from scipy.ndimage import gaussian_filter

    down, right = np.mgrid[0:SIDE, 0:SIDE]
    angle, pace = rng.uniform(0, np.pi), rng.uniform(0.1, 0.9)
    along = right * np.cos(angle) + down * np.sin(angle)
    across = right * np.sin(angle) - down * np.cos(angle)
    place = rng.uniform(0, SIDE, 2)
    softness = rng.uniform(1, 3)  # softer clouds are shadows to `to_mnist`, and refused
    clouds = gaussian_filter(rng.normal(size=(SIDE, SIDE)), softness)
    waves = (
        np.sin(pace * along),
        np.sin(pace * along) * np.sin(pace * across),
        np.sin(pace * np.hypot(right - place[0], down - place[1])),
        clouds / np.abs(clouds).max(),
    )
    return Image.fromarray((127.5 * (1 + waves[rng.integers(4)])).astype(np.uint8))


def noise(rng: np.random.Generator) -> Image.Image:
    """Draw even, bell-shaped or black-and-white noise, in one of three grains."""
    side = int(rng.choice([28, 56, 112]))
    kind = rng.integers(3)
    values: np.ndarray
    if kind == 0:
        values = rng.uniform(0, 255, (side, side))
    elif kind == 1:
        values = np.clip(rng.normal(127, rng.uniform(10, 80), (side, side)), 0, 255)
    else:
        values = 255.0 * (rng.random((side, side)) < rng.uniform(0.02, 0.5))
    return Image.fromarray(values.astype(np.uint8))


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "letters": letter,
    "symbols": symbol,
    "handwritten letters": latin,
    "handwritten Greek letters": greek,
    "operators": operator,
    "doodles": doodle,
    "scribbles": scribble,
    "numbers": number,
    "textures": texture,
    "noise": noise,
}


def non_digits(number: int, seed: int = 0) -> Digits:
    """Return synthetic images of all `KINDS` in equal shares, labeled `NON_DIGIT`.

    Parameters
    ----------
    number : int
        How many images.
    seed : int, default=0
        The same seed gives the same images.
    """
    rng = np.random.default_rng(seed)
    kinds = [list(KINDS.values())[index % len(KINDS)] for index in range(number)]
    images = torch.from_numpy(np.stack([_non_digit(kind, rng) for kind in kinds]))
    return Digits(images.unsqueeze(1), torch.full((number,), NON_DIGIT), "synthetic non-digits")


def _non_digit(
    kind: Callable[[np.random.Generator], Image.Image], rng: np.random.Generator
) -> np.ndarray:
    """Draw an image of a kind; another where `to_mnist` refuses it as empty, as a soft cloud."""
    while True:
        sheet = kind(rng)
        if kind not in (texture, noise):
            sheet = _scanned(sheet, rng)
        try:
            return to_mnist(sheet)
        except BlankImageError:
            continue


def synthetic_digits(
    number: int,
    seed: int = 0,
    styles: tuple[str, ...] = TRAIN_STYLES,
    forms: Mapping[int, Sequence[str]] = FORMS,
) -> Digits:
    """Return rendered digits in several writing styles and forms, preprocessed by `to_mnist`.

    Parameters
    ----------
    number : int
        How many images.
    seed : int, default=0
        The same seed gives the same images.
    styles : tuple of str, default=TRAIN_STYLES
        Which of `mnist_helpers.strokes.STYLES`: without any, all digits are of `forms`.
    forms : mapping of int to sequence of str, default=FORMS
        More forms of digits, as `mnist_helpers.styles` has them: each is as frequent as a style.
    """
    rng = np.random.default_rng(seed)
    among = sorted(set(forms) if not styles else range(10))
    digits = rng.choice(among, number)
    sheets = [
        _scanned(_on_sheet(_digit(int(digit), rng, styles, forms), _pen(rng), rng), rng)
        for digit in digits
    ]
    images = torch.from_numpy(np.stack([to_mnist(sheet) for sheet in sheets]))
    return Digits(images.unsqueeze(1), torch.from_numpy(digits), "synthetic digits")


def _digit(
    digit: int,
    rng: np.random.Generator,
    styles: tuple[str, ...],
    forms: Mapping[int, Sequence[str]],
) -> Strokes:
    """Write a digit in one of the styles, or in one of its other forms."""
    others = forms.get(digit, ())
    number = int(rng.integers(len(styles) + len(others)))
    if number < len(styles):
        return pen_strokes(digit, styles[number], SIDE, _any(rng))
    return written(others[number - len(styles)], SIDE, rng, tremor=2.0)


def _stretched(strokes: Strokes, pen: float, rng: np.random.Generator) -> Strokes:
    """Make strokes narrower or wider: people write so, and some data sets fill a square."""
    narrowest = -0.5 if pen < 0.12 * SIDE else 0  # a marker would fill the loops
    width = np.exp(rng.uniform(narrowest, 0.35))
    middle = SIDE / 2
    return [np.column_stack((middle + width * (x - middle), y)) for x, y in (s.T for s in strokes)]


def _scanned(sheet: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return one sheet in six as a coarse scan in black and white, the others as they are."""
    if rng.random() > 1 / 6:
        return sheet
    small = np.asarray(sheet.resize((int(rng.integers(24, 44)),) * 2, Image.Resampling.BOX))
    return Image.fromarray(np.where(small > 0.35 * small.max(), 255, 0).astype(np.uint8))


def _slanted(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    """Lean strokes to one side, more often to the right as most people do."""
    slant = rng.uniform(-0.25, 0.65)
    return [np.column_stack((x + slant * (SIDE / 2 - y), y)) for x, y in (s.T for s in strokes)]


def _pen(rng: np.random.Generator) -> float:
    """Draw a pen's width in pixels; one in four is a thick marker."""
    least, greatest = (0.12, 0.25) if rng.random() < 0.25 else (0.03, 0.12)
    return rng.uniform(least, greatest) * SIDE


def _any(rng: np.random.Generator) -> int:
    """Draw the number of a variation."""
    return int(rng.integers(1 << 30))
