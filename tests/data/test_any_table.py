"""Tables of every combination of forms: read exactly, or refused; never misread."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from made_up import CELLS, PIXELS, table

from mnist_helpers.data import ConvertedPixelsWarning, load_csv, load_mnist

DIGITS = load_mnist("sample").test
NAMES = {
    "pixels": PIXELS,
    "from one": [f"px_{n}" for n in range(1, 785)],
    "grid": CELLS,
    "numbers": [*map(str, range(784))],
    "words": [f"Pixel No. {n}" for n in range(784)],
}
PACK = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@st.composite
def forms(draw) -> dict:
    """Draw a form of a table."""
    return {
        "rows": draw(st.lists(st.integers(0, 999), min_size=1, max_size=4)),
        "names": draw(st.sampled_from([None, *NAMES])),
        "mixed": draw(st.booleans()),
        "label": draw(st.sampled_from([None, "first", "last", "between"])),
        "label_name": draw(st.sampled_from(["label", "Class", "TARGET", "digit", "y"])),
        "index": draw(st.sampled_from([None, "", "Unnamed: 0", "id", "ImageId", "index"])),
        "scale": draw(st.sampled_from([None, "0 to 1", "-1 to 1", "256ths"])),
        "inverted": draw(st.booleans()),
        "separator": draw(st.sampled_from([",", ";", "\t", "|"])),
        "end": draw(st.sampled_from(["\n", "\r\n"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        "quoted": draw(st.booleans()),
        "pack": draw(st.sampled_from([*PACK])),
    }


def write(form: dict, path: Path) -> None:
    """Write some digits in a form."""
    digits = DIGITS[form["rows"]]
    values = table(digits, labeled=False)
    values = 255 - values if form["inverted"] else values
    if form["scale"]:
        values = {"0 to 1": values / 255, "-1 to 1": values / 127.5 - 1, "256ths": values / 256}[
            form["scale"]
        ]
    columns = [list(map(repr, column)) for column in values.T.tolist()]
    names = list(NAMES[form["names"] or "pixels"])
    if form["mixed"] and form["names"] not in (None, "words"):
        order = np.random.default_rng(len(form["rows"])).permutation(784)
        columns, names = [columns[at] for at in order], [names[at] for at in order]
    if form["label"]:
        at = {"first": 0, "last": 784, "between": 300}[form["label"]]
        columns.insert(at, [*map(str, digits.labels.tolist())])
        names.insert(at, form["label_name"])
    if form["index"] is not None:
        columns.insert(0, [*map(str, range(len(digits)))])
        names.insert(0, form["index"])
    rows = [names] * bool(form["names"]) + list(zip(*columns, strict=True))
    if form["quoted"]:
        rows = [[f'"{cell}"' for cell in row] for row in rows]
    text = form["end"].join(form["separator"].join(row) for row in rows) + form["end"]
    path.write_bytes(PACK[form["pack"]](text.encode(form["encoding"])))


@pytest.mark.slow
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(forms())
def test_a_table_of_any_form_is_read_exactly_or_refused(form: dict) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvertedPixelsWarning)
        path = Path(folder) / "digits.csv"
        write(form, path)
        try:
            digits = load_csv(path)
        except ValueError as error:
            assert str(path) in str(error)
            assert form["names"] is None, error  # with names there is no doubt
            event("refused")
            return
    expected = DIGITS[form["rows"]]
    assert torch.equal(digits.images, expected.images)
    labels = expected.labels if form["label"] else torch.full_like(expected.labels, -1)
    assert torch.equal(digits.labels, labels)
    event("read")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data())
def test_one_value_that_is_no_pixel_is_refused_wherever_it_stands(data: st.DataObject) -> None:
    rows = table(DIGITS[data.draw(st.lists(st.integers(0, 999), min_size=2, max_size=4))])
    rows = rows.astype(object)
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(1, 784))
    rows[row, column] = data.draw(st.sampled_from(["", "x", "NaN", -1, 256, 0.5, 1e9, "inf"]))
    lines = [",".join(["label", *PIXELS])] + [",".join(map(str, cells)) for cells in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.csv"
        path.write_text("\n".join(lines))
        try:
            load_csv(path)
        except ValueError as error:
            assert f"row {row + 2}, column {column + 1}:" in str(error)
        else:
            raise AssertionError("it was read")
