"""The schematic diagrams: valid SVG, readable on any background, put into words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from mnist_helpers.diagrams import list_diagrams, show_diagram


@pytest.mark.parametrize("name", list_diagrams())
def test_diagram_is_svg_with_a_background_and_a_text(name: str) -> None:
    diagram = show_diagram(name)
    tree = ElementTree.fromstring(diagram.svg)
    _, _, width, height = map(float, tree.attrib["viewBox"].split())
    card = next(tree.iter("{http://www.w3.org/2000/svg}rect"))
    assert (card.attrib["width"], card.attrib["height"]) == (f"{width:g}", f"{height:g}")
    for text in tree.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 < float(text.attrib["x"]) < width and 0 < float(text.attrib["y"]) < height
    assert 40 <= len(diagram.alt) <= 400 and diagram.alt.endswith(".")


@pytest.mark.parametrize("name", list_diagrams())
def test_notebooks_show_it_with_its_text(name: str) -> None:
    html = show_diagram(name)._repr_html_()
    assert re.search('src="data:image/svg', html) and 'alt="' in html


def test_numbers_of_the_computation_graph_are_those_of_autograd() -> None:
    import torch

    w = torch.tensor(0.5, requires_grad=True)
    loss = (w * 2 - (-1)) ** 2
    loss.backward()
    svg = show_diagram("computation_graph").svg
    assert f"loss = {loss.item():g}" in svg and f"4·x = {w.grad.item():g}" in svg


def test_unknown_diagram_is_an_error_that_lists_them() -> None:
    with pytest.raises(ValueError, match="splits"):
        show_diagram("nothing")
