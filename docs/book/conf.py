"""Sphinx's settings for the book; tools/build_book.py lays out the sources that they are for."""

from __future__ import annotations

from html import escape

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

import mnist_helpers

logger = getLogger(__name__)

project = html_title = "Handwritten digits with PyTorch"
author = project_copyright = "the mnist_helpers authors"
version = release = mnist_helpers.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

nb_execution_mode = "off"  # tools/run_notebooks.py has done it
nb_ipywidgets_js: dict = {}  # they would come from another server
nb_merge_streams = True
nb_code_prompt_show = "Show the code that sets this notebook up"  # nothing else is folded
nb_code_prompt_hide = "Hide it"

napoleon_google_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it in words
default_role = "py:obj"  # `name` in a docstring: a link where there is such a name, else code
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_extra_path = ["_extra"]  # images that HTML in the README loads
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
# Summaries are fetched page by page, which browsers refuse to a page opened from a folder.
html_show_search_summary = False
html_theme_options = {"navigation_with_keys": True}


def formula(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw themselves: no script, no fonts."""
    alone = isinstance(node, nodes.math_block)
    try:
        drawn = tex2mathml(node.astext().replace("·", r"\cdot "), as_block=alone)
    except MathError as error:
        logger.warning("%s in the formula %s", error, node.astext(), location=node)
        drawn = f"<code>{escape(node.astext())}</code>"
    translator.body.append(f'<div class="formula">{drawn}</div>' if alone else drawn)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register it."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
