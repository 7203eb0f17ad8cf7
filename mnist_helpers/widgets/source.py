"""Show a helper's own source in a notebook."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from IPython.display import Code


def show_source(thing: Any) -> Code:
    """Return the source of a function or class, with colors, its docstring cut to a sentence.

    Parameters
    ----------
    thing : function or class
        ``help(thing)`` has the whole docstring.

    Examples
    --------
    >>> print(show_source(show_source).data.splitlines()[0])
    def show_source(thing: Any) -> Code:
    """
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
