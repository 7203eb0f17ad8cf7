"""OpenCV, which finds markers and codes; it comes with the extra `sheet`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def cv2() -> ModuleType:
    """Return OpenCV's module.

    Raises
    ------
    ImportError
        If it is missing; the message says what to install.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"sheets need OpenCV: run  {sys.executable} -m pip install 'mnist-helpers[sheet]'"
        ) from error
    return cv2


def marker_dictionary() -> Any:
    """Return the markers that sheets use: 250 of 5×5 modules, of which three errors change none."""
    aruco = cv2().aruco
    return aruco.getPredefinedDictionary(aruco.DICT_5X5_250)
