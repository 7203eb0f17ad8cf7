"""Text in tables that no spreadsheet takes for a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"[\s\x00-\x1f\ufeff']*[=+\-@＝＋－＠]|'*[\t\r\n]")


def escape_formula(text: str) -> str:
    """Return text for a table that no spreadsheet takes for a formula; see `unescape_formula`.

    Spreadsheets run what begins with ``=``, ``+``, ``-`` or ``@``, also after white space.

    Examples
    --------
    >>> escape_formula("=1+1"), escape_formula("digit 1.png")
    ("'=1+1", 'digit 1.png')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Return the text that `escape_formula` has turned into this one."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
