"""Show a helper's own source in a notebook."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from IPython.display import Code


class Source(Code):
    """Code in a typewriter face on every page, also where the page itself names none."""

    def _repr_html_(self) -> str:
        return f'<div style="font-family:monospace">{super()._repr_html_()}</div>'


class SideBySide:
    """Several sources in columns, which wrap where there is no room for them."""

    def __init__(self, codes: list[Source]) -> None:
        self.codes = codes

    def __repr__(self) -> str:
        return "\n\n\n".join(code.data for code in self.codes)

    def _repr_html_(self) -> str:
        style = "flex:1 1 36em;min-width:0;overflow-x:auto;font-size:smaller"
        columns = (f'<div style="{style}">{code._repr_html_()}</div>' for code in self.codes)
        return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(columns)}</div>'


def show_source(*things: Any) -> Source | SideBySide:
    """Return the source of a function or class, with colors, its docstring cut to a sentence.

    Several are shown side by side where there is room, and one below the other where there is not.

    Parameters
    ----------
    *things : function or class
        ``help(thing)`` has the whole docstring.

    Raises
    ------
    TypeError
        If there is nothing to show.

    Examples
    --------
    >>> print(show_source(show_source).data.splitlines()[0])
    def show_source(*things: Any) -> Source | SideBySide:
    """
    if not things:
        raise TypeError("expected at least one function or class to show")
    codes = [_code(thing) for thing in things]
    return codes[0] if len(codes) == 1 else SideBySide(codes)


def _code(thing: Any) -> Source:
    """Return the source of one function or class."""
    source = textwrap.dedent(inspect.getsource(thing))
    node = ast.parse(source).body[0]
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    docstring = ast.get_docstring(node)
    lines = source.splitlines()
    if docstring is not None:
        stated = node.body[0]
        summary = " " * stated.col_offset + f'"""{docstring.split(chr(10) * 2)[0]}"""'
        lines[stated.lineno - 1 : stated.end_lineno] = summary.splitlines()
    return Source("\n".join(lines), language="python")
