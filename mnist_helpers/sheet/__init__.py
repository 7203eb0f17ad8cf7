"""One's own MNIST from a sheet of paper: print it, write into its boxes, photograph it, read it."""

from .layout import Box, Layout, boxes
from .printing import draw_sheet, make_sheet
from .reading import SheetDigits, SheetError, read_sheet
from .rendering import fill_in, photograph
from .saving import save_sheets

__all__ = [
    "Box",
    "Layout",
    "SheetDigits",
    "SheetError",
    "boxes",
    "draw_sheet",
    "fill_in",
    "make_sheet",
    "photograph",
    "read_sheet",
    "save_sheets",
]
