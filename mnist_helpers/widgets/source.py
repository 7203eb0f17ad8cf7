"""Show a helper's own source in a notebook."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from IPython.display import HTML, Code


def show_source(*things: Any) -> Code | HTML:
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
    def show_source(*things: Any) -> Code | HTML:
    """
    if not things:
        raise TypeError("expected at least one function or class to show")
    if len(things) == 1:
        return _code(things[0])
    columns = "".join(
        f'<div style="flex:1 1 26em;min-width:0;overflow-x:auto;font-size:smaller">'
        f"{_code(thing)._repr_html_()}</div>"
        for thing in things
    )
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{columns}</div>')


def _code(thing: Any) -> Code:
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
    return Code("\n".join(lines), language="python")
