"""What the package warns of, each a sentence without the line of code that led to it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path


class DataWarning(UserWarning):
    """Something about the data that one should know; the message says it all."""


class OfflineSampleWarning(DataWarning):
    """The 5,000-image offline sample stands in for MNIST."""


class NotMNISTWarning(DataWarning):
    """Files that lie where MNIST's are looked for hold something else."""


class ConvertedPixelsWarning(DataWarning):
    """Pixels had another scale or polarity than MNIST's, or look unlike MNIST."""


def warn(message: str, category: type[UserWarning]) -> None:
    """Warn, and point to the line outside this package that led here."""
    package = str(Path(__file__).parents[1])
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


_PACKAGE = __name__.partition(".")[0]
_format_other = warnings.formatwarning


def _format(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return a warning as Python prints it, or if it is one of ours, its message alone."""
    if category.__module__.partition(".")[0] == _PACKAGE:
        return f"{category.__name__}: {message}\n"
    return _format_other(message, category, filename, lineno, line)


warnings.formatwarning = _format
