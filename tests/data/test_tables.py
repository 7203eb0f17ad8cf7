"""Tables with one image per row: whatever people bring is read exactly, converted, or refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from made_up import CELLS, HEAD, PIXELS, table, text

from mnist_helpers.data import ConvertedPixelsWarning, Digits, load_csv, load_mnist, read_table

SAMPLE = load_mnist("sample")
TEST: Digits = SAMPLE.test[:50]
LABELED, PLAIN = table(TEST), table(TEST, labeled=False)
UNLABELED = torch.full((50,), -1)


def zipped(content: bytes, *more: str, name: str = "digits.csv") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other in more:
            archive.writestr(other, b"x")
    return file.getvalue()


def frame(names: list, rows: np.ndarray, **options) -> bytes:
    """Write a table as pandas does."""
    return pd.DataFrame(rows, columns=names).to_csv(**options).encode()


def read(path: Path, content: bytes | str, **options) -> Digits:
    """Read a table that needs no word of warning."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return load_csv(path, **options)


MIXED = np.random.default_rng(1).permutation(784)
GRID = [f"pixel_{row}_{column}" for row in range(28) for column in range(28)]
LAST = np.column_stack([PLAIN, LABELED[:, 0]])
MIDDLE = np.column_stack([PLAIN[:, :300], LABELED[:, 0], PLAIN[:, 300:]])
NUMBERED = np.column_stack([np.arange(50), LABELED])
TABLES = {
    "mnist-in-csv": (text(LABELED, ["label", *CELLS]), True),
    "Digit Recognizer, train": (text(LABELED, HEAD), True),
    "Digit Recognizer, test": (text(PLAIN, PIXELS), False),
    "no header": (text(LABELED), True),
    "no header, no labels": (text(PLAIN), False),
    "no header, label last": (text(LAST), True),
    "no header, numbers of rows": (text(NUMBERED[:, [0, *range(2, 786)]]), False),
    "Windows": (text(LABELED, HEAD, "\r\n").encode("utf-8-sig"), True),
    "old Macintosh": (text(LABELED, HEAD, "\r"), True),
    "byte order mark, no header": (text(LABELED).encode("utf-8-sig"), True),
    "UTF-16": (text(LABELED, HEAD).encode("utf-16"), True),
    "UTF-16, big-endian": (b"\xfe\xff" + text(LABELED, HEAD).encode("utf-16-be"), True),
    "UTF-16 without a mark": (text(LABELED, HEAD).encode("utf-16-le"), True),
    "floats": (text(LABELED.astype(float), HEAD), True),
    "NumPy's savetxt": ("\n".join(" ".join(f"{v:.18e}" for v in row) for row in LABELED), True),
    "semicolons": (text(LABELED, HEAD).replace(",", ";"), True),
    "tabs": (text(LABELED, HEAD).replace(",", "\t"), True),
    "bars": (text(LABELED).replace(",", "|"), True),
    "spaces after commas": (text(LABELED, HEAD).replace(",", ", "), True),
    "aligned with spaces": ("\n".join(" ".join(f"{v:3}" for v in row) for row in LABELED), True),
    "sep=; and decimal commas": (
        "sep=;\n" + text(LABELED.astype(float), HEAD).replace(",", ";").replace(".", ","),
        True,
    ),
    "quoted": ("\n".join(",".join(f'"{v}"' for v in row) for row in LABELED), True),
    "quoted header": (text(LABELED, [f'"{name}"' for name in HEAD]), True),
    "comments": ("# MNIST\n\n# 50 rows\n" + text(LABELED, HEAD) + "# the end\n", True),
    "a comma ends each line": (text(LABELED, end=",\n"), True),
    "a comma ends each row, not the header": (
        text(LABELED[:0], HEAD) + text(LABELED, end=",\n"),
        True,
    ),
    "label last": (text(LAST, [*PIXELS, "label"]), True),
    "label in between": (text(MIDDLE, [*PIXELS[:300], "digit", *PIXELS[300:]]), True),
    "OpenML": (text(LAST, [*(f"pixel{n}" for n in range(1, 785)), "class"]), True),
    "shouting": (text(LABELED, ["LABEL", *(name.upper() for name in PIXELS)]), True),
    "y": (text(LABELED, ["y", *(f"x{n}" for n in range(784))]), True),
    "target": (text(LAST, [*(f"px_{n}" for n in range(1, 785)), "Target"]), True),
    "pandas' names": (text(LABELED, ["label", *map(str, range(784))]), True),
    "pandas' names, no labels": (text(PLAIN, [*map(str, range(784))]), False),
    "pandas' names for all columns": (text(LABELED, [*map(str, range(785))]), True),
    "pandas' names for all, label last": (text(LAST, [*map(str, range(785))]), True),
    "R's names for all columns": (text(LABELED, [f"V{n}" for n in range(1, 786)]), True),
    "R's names of rows": (
        text(LABELED[:0], HEAD) + "".join(f'"{n}",' + text(LABELED[[n]]) for n in range(50)),
        True,
    ),
    "grid": (text(LABELED, ["label", *GRID]), True),
    "grid in brackets": (
        text(LABELED, ["label", *(f'"({n // 28}, {n % 28})"' for n in range(784))]),
        True,
    ),
    "x to the right": (
        text(LABELED, ["label", *(f"x{n % 28}y{n // 28}" for n in range(784))]),
        True,
    ),
    "names without numbers": (
        text(LABELED, ["digit", *("".join(chr(97 + int(d)) for d in str(n)) for n in range(784))]),
        True,
    ),
    "mixed columns": (text(PLAIN[:, MIXED], [PIXELS[n] for n in MIXED]), False),
    "sorted as words": (
        text(PLAIN[:, np.argsort(PIXELS)], [PIXELS[n] for n in np.argsort(PIXELS)]),
        False,
    ),
    "mixed grid": (
        text(LAST[:, [*MIXED, 784]], [*(GRID[n] for n in MIXED), "labels"]),
        True,
    ),
    "index of pandas": (frame(HEAD, LABELED), True),
    "index of pandas, twice": (frame(["Unnamed: 0", *HEAD], NUMBERED), True),
    "index of pandas, no labels": (frame(PIXELS, PLAIN), False),
    "index of pandas, pandas' names": (frame([*range(784)], PLAIN), False),
    "index of pandas, pandas' names for all": (frame([*range(785)], LABELED), True),
    "id": (text(NUMBERED, ["id", *HEAD]), True),
    "ImageId, no labels": (text(NUMBERED[:, [0, *range(2, 786)]], ["ImageId", *PIXELS]), False),
    "names of files": (
        text(LABELED[:0], ["filename", *HEAD])
        + "".join(f"img_{n}.png," + text(LABELED[[n]]) for n in range(50)),
        True,
    ),
    "a column more, the label named": (text(NUMBERED, ["weight", *HEAD]), True),
    "label -1": (text(np.column_stack([np.full(50, -1), PLAIN]), HEAD), False),
    "label without values": (
        text(PLAIN[:0], HEAD) + "".join("," + text(PLAIN[[n]]) for n in range(50)),
        False,
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_shape_of_table_is_read(kind: str, tmp_path: Path) -> None:
    content, labeled = TABLES[kind]
    digits = read(tmp_path / "digits.csv", content)
    assert torch.equal(digits.images, TEST.images)
    assert torch.equal(digits.labels, TEST.labels if labeled else UNLABELED)
    assert digits.source == "CSV file digits.csv"


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("kind", ["index of pandas", "index of pandas, no labels", "label last"])
def test_few_rows_are_not_misjudged(kind: str, count: int, tmp_path: Path) -> None:
    few = {
        "index of pandas": frame(HEAD, LABELED[:count]),
        "index of pandas, no labels": frame(PIXELS, PLAIN[:count]),
        "label last": text(LAST[:count], [*PIXELS, "label"]),
    }
    digits = read(tmp_path / "digits.csv", few[kind])
    assert torch.equal(digits.images, TEST.images[:count])
    labels = UNLABELED if "no labels" in kind else TEST.labels
    assert torch.equal(digits.labels, labels[:count])


PACKED = {
    "zip": zipped,
    "zip of a Mac": lambda content: zipped(content, "__MACOSX/._digits.csv", ".DS_Store"),
    "zip with a readme": lambda content: zipped(content, "README.txt"),
    "zip with a folder": lambda content: zipped(content, name="data/Digits.CSV"),
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "nothing": bytes,
}


@pytest.mark.parametrize("kind", PACKED)
def test_packed_tables_are_read_whatever_their_name(kind: str, tmp_path: Path) -> None:
    for name in ("digits.csv", "digits.csv.gz", "digits.csv.zip"):
        digits = read(tmp_path / name, PACKED[kind](text(LABELED, HEAD).encode()))
        assert torch.equal(digits.images, TEST.images) and torch.equal(digits.labels, TEST.labels)
        assert name in digits.source


def test_the_caller_can_name_the_label(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    odd = ["Ziffer", *PIXELS]
    with pytest.raises(ValueError, match=r"'Ziffer' beside the pixels.*label_column="):
        read(path, text(LABELED, odd))
    for label in ("Ziffer", "ziffer", 0, -785):
        assert torch.equal(load_csv(path, label).labels, TEST.labels)
    assert torch.equal(load_csv(path, None).labels, UNLABELED)
    assert torch.equal(load_csv(path, None).images, TEST.images)
    both = text(np.column_stack([LABELED, LABELED[:, 0]]), [*HEAD, "target"])
    with pytest.raises(ValueError, match="'label', 'target' beside the pixels"):
        read(path, both)
    assert torch.equal(load_csv(path, "target").labels, TEST.labels)
    in_order = torch.stack([TEST.images[TEST.labels == digit][0] for digit in range(10)])
    ten = table(Digits(in_order, torch.arange(10), ""))
    with pytest.raises(ValueError, match=r"labels or numbers of the rows.*label_column="):
        read(path, text(ten))
    assert load_csv(path, 0).labels.tolist() == [*range(10)]
    assert load_csv(path, None).labels.tolist() == [-1] * 10
    for label in (0, None):
        assert torch.equal(load_csv(path, label).images, in_order)
    read(path, text(LAST), label_column=-1)
    with pytest.raises(ValueError, match="has no column 785"):
        load_csv(path, 785)
    with pytest.raises(ValueError, match="no header with a 'label'"):
        load_csv(path, "label")


ZEROS = LABELED[LABELED[:, 0] == 0]
DOUBTFUL = {
    "zeros alone, no header": text(ZEROS),
    "one zero, no header": text(ZEROS[:1]),
    "noise in the corner": text(LABELED[:, :-1], end=",3\n"),
}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_label_that_could_be_a_pixel_is_asked_for(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label_column=0"):
        read(tmp_path / "digits.csv", DOUBTFUL[kind])


SHARES = PLAIN / 255
SCALED = {
    "0 to 1": SHARES,
    "0 to 1, seven places": SHARES.round(7),
    "256ths": PLAIN / 256,
    "-1 to 1": SHARES * 2 - 1,
    "normalized": ((SHARES - 0.1307) / 0.3081).round(4),
}


@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("scale", ["0 to 255", *SCALED])
def test_other_scales_and_polarities_are_converted_and_said(
    scale: str, inverted: bool, count: int, tmp_path: Path
) -> None:
    values = {"0 to 255": PLAIN, **SCALED}[scale][:count]
    if inverted:
        values = values.min() + values.max() - values
    path = tmp_path / "digits.csv"
    path.write_text(text(np.column_stack([LABELED[:count, 0].astype(object), values]), HEAD))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        digits = load_csv(path)
    assert torch.equal(digits.images, TEST.images[:count])
    assert torch.equal(digits.labels, TEST.labels[:count])
    said = [str(one.message) for one in caught if one.category is ConvertedPixelsWarning]
    assert ["converted to 0 to 255" in one for one in said].count(True) == (scale != "0 to 255")
    assert ["inverted" in one for one in said].count(True) == inverted
    assert len(said) == (scale != "0 to 255") + inverted
    assert ("inverted" in digits.source) == inverted
    assert all(str(path) in one for one in said)
    assert all(one.filename == __file__ for one in caught)


def test_bits_become_black_and_white(tmp_path: Path) -> None:
    for bits in (PLAIN > 127, PLAIN <= 127):
        for count in (1, 50):
            path = tmp_path / "digits.csv"
            path.write_text(text(bits[:count].astype(int), PIXELS))
            with pytest.warns(ConvertedPixelsWarning, match="0 to 1"):
                digits = load_csv(path)
            assert torch.equal(digits.images, (TEST.images[:count] > 127).byte() * 255)


def test_each_image_has_its_own_polarity(tmp_path: Path) -> None:
    rows = LABELED.copy()
    rows[3:10, 1:] = 255 - rows[3:10, 1:]
    path = tmp_path / "digits.csv"
    path.write_text(text(rows, HEAD))
    with pytest.warns(ConvertedPixelsWarning, match="7 of 50 images are dark on light: inverted"):
        assert torch.equal(load_csv(path).images, TEST.images)


def test_labels_without_a_header_are_found_beside_any_pixels(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    for pixels in (SHARES, 1 - SHARES, 255 - PLAIN, (PLAIN > 127).astype(int)):
        for rows in (
            [LABELED[:, 0].astype(object), pixels],
            [pixels.astype(object), LABELED[:, 0]],
        ):
            path.write_text(text(np.column_stack(rows)))
            with pytest.warns(ConvertedPixelsWarning):
                assert torch.equal(load_csv(path).labels, TEST.labels)


def test_what_looks_unlike_mnist_is_said(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    swapped = TEST.images.transpose(2, 3).flatten(1).numpy()
    path.write_text(text(swapped, PIXELS))
    with pytest.warns(ConvertedPixelsWarning, match="rows and columns look swapped"):
        assert torch.equal(load_csv(path).images, TEST.images.transpose(2, 3))
    bold = np.maximum.reduce([np.roll(PLAIN, n, axis=1) for n in (-56, -28, -2, 0, 2, 28, 56)])
    path.write_text(text(bold, PIXELS))
    with pytest.warns(ConvertedPixelsWarning, match=r"on average, MNIST's 33"):
        load_csv(path)
    path.write_text(text(np.maximum(PLAIN, 120), PIXELS))
    with pytest.warns(ConvertedPixelsWarning, match="all images are without a black background"):
        load_csv(path)
    gray = PLAIN.copy()
    gray[5] = 200 - gray[5] // 2
    path.write_text(text(gray, PIXELS))
    with pytest.warns(ConvertedPixelsWarning, match="1 of 50 images is without a black background"):
        load_csv(path)


@pytest.mark.mnist
def test_all_of_mnist_is_seen_as_it_is(mnist_root: Path, tmp_path: Path) -> None:
    test = load_mnist("idx", mnist_root, val_size=0).test
    digits = read(tmp_path / "mnist_test.csv", text(table(test), HEAD))
    assert torch.equal(digits.images, test.images) and torch.equal(digits.labels, test.labels)


def with_value(row: int, column: int, value: object, header: list[str] | None = None) -> str:
    rows = LABELED.astype(object)
    rows[row, column] = value
    return text(rows, header)


SIX = np.column_stack([range(50), LABELED])
BAD_TABLES = {
    "pixel too bright": (with_value(2, 5, 256, HEAD), "row 4, column 6.*0 to 255, found 256$"),
    "16 bits": (text(PLAIN * 257, PIXELS), "row 2, column .*0 to 255, found "),
    "negative pixel": (with_value(2, 5, -1), "row 3, column 6.*found -1$"),
    "signed bytes": (text(PLAIN.astype(np.int8), PIXELS), "found -"),
    "broken pixel": (with_value(0, 784, 0.5), "row 1, column 785.*found 0.5"),
    "standardized by column": (text((PLAIN - 33.3) / 78.6 + 0.01, PIXELS), "0 to 255, found -0.41"),
    "faint": (text(PLAIN // 10, PIXELS), "no pixel is brighter than 25"),
    "percent": (text(PLAIN * 100 // 255, PIXELS), "no pixel is brighter than 100"),
    "text": (with_value(49, 1, "ink"), "row 50, column 2.*found ink"),
    "text among names": (with_value(49, 1, "ink", HEAD), "row 51, column 2.*found ink"),
    "empty cell": (with_value(7, 9, ""), "row 8, column 10.*found nan"),
    "not a number": (with_value(7, 9, "NaN", HEAD), "row 9, column 10.*found nan"),
    "infinite": (with_value(7, 9, "inf", HEAD), "row 9, column 10.*found inf"),
    "label": (with_value(4, 0, 10, HEAD), "row 6, column 1.*label 0 to 9, found 10"),
    "broken label": (with_value(4, 0, 1.5, HEAD), "row 6, column 1.*label 0 to 9, found 1.5"),
    "empty label": (with_value(4, 0, "", HEAD), "row 6, column 1.*label 0 to 9, found nan"),
    "label in words": (with_value(0, 0, "seven", HEAD), "row 2, column 1.*label.*found seven"),
    "label of letters": (text(LABELED + 20 * np.eye(1, 785, dtype=int), HEAD), "label 0 to 9"),
    "scaled with its label": (text(LABELED / 255, HEAD), "label 0 to 9, found 0.0"),
    "first label, no header": (with_value(0, 0, "x"), "row 1, column 1.*found x"),
    "too few columns": (text(LABELED[:, :700]), "but has 700"),
    "thousands missing": (text(LABELED[:, :5], HEAD[:5]), "but has 5$"),
    "8×8": (text(PLAIN[:, :64]), r"but has 64 \(images of 8×8\?\)"),
    "8×8 and label": (text(LABELED[:, :65], HEAD[:65]), r"but has 65 \(images of 8×8\?\)"),
    "32×32": (text(np.zeros((3, 1024), int), [f"p{n}" for n in range(1024)]), "32×32"),
    "786 columns": (text(SIX), "but has 786"),
    "pixels missing": (text(LABELED, ["label", *PIXELS[:-1], "pixel800"]), "without gaps"),
    "a pixel twice": (text(LABELED, ["label", *PIXELS[:-1], "pixel782"]), "without gaps"),
    "x and y": (
        text(PLAIN, [f"x{n // 28}_y{n % 28}" for n in range(784)]),
        "whether x counts rows or columns",
    ),
    "header again": (text(LABELED, HEAD) + text(LABELED, HEAD), "row 52, column .*found "),
    "a name more": (text(LABELED, [*HEAD, "usage", "split"]), "787 names in its header"),
    "a row as header": (
        frame([*pd.read_csv(io.StringIO(text(LABELED)))], LABELED[1:], index=False),
        "pandas took for a header",
    ),
    "two images each": (
        text(
            np.column_stack([PLAIN, PLAIN]),
            [*(f"a{n}" for n in range(784)), *(f"b{n}" for n in range(784))],
        ),
        "two images in each row",
    ),
    "a longer row": (text(LABELED) + text(LABELED[:1]).strip() + ",1\n", "not a CSV table"),
    "a shorter row": (text(LABELED) + "3,0,0\n", "row 51, column 4.*found nan"),
    "half a row": (text(LABELED, HEAD)[:-900], "row 51, column .*found nan"),
    "nothing": ("", "no rows"),
    "comments alone": ("# nothing\n\n", "no rows"),
    "a header alone": (text(LABELED[:0], HEAD), "no rows"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_bad_tables_are_named_with_row_and_column(kind: str, tmp_path: Path) -> None:
    content, words = BAD_TABLES[kind]
    with pytest.raises(ValueError, match=words) as caught:
        read(tmp_path / "digits.csv", content)
    assert str(tmp_path / "digits.csv") in str(caught.value)


def altered(content: bytes) -> bytes:
    return content[:900] + b"??" + content[902:]


CONTENT = text(LABELED).encode()
NO_TABLES = {
    "an image": (b"\x89PNG\xff\xfe", "is not a CSV table"),
    "a cut gzip": (gzip.compress(CONTENT)[:-50], "is not a CSV table"),
    "a cut bzip2": (bz2.compress(CONTENT)[:-50], "damaged bzip2"),
    "an altered bzip2": (altered(bz2.compress(CONTENT)), r"bzip2|should have 784"),
    "a cut xz": (lzma.compress(CONTENT)[:-50], "is not a CSV table"),
    "a cut zip": (zipped(CONTENT)[:-50], "is not a CSV table"),
    "an altered zip": (altered(zipped(CONTENT)), "is not a CSV table"),
    "a zip of two": (zipped(CONTENT, "more.csv"), r"should hold one \.csv.*digits\.csv, more\.csv"),
    "a zip of none": (zipped(CONTENT, name="digits.txt"), "should hold one"),
    "a spreadsheet": (zipped(CONTENT, name="[Content_Types].xml"), "is a spreadsheet"),
    "parquet": (b"PAR1\x15\x04\x15\n1", "should have 784 columns|no rows"),
    "one cell of pixels": (b"label,pixels\n" + b"7,0 0 12 255\n", "but has 2"),
    "an endless line": (b"0," * 60_000, "is not a CSV table"),
    "a page": (b"<!DOCTYPE html>\n<html><body>Log in</body></html>\n", "should have 784 columns"),
    "another encoding": (text(LABELED, ["größe", *PIXELS]).encode("latin-1"), "not a CSV table"),
}


@pytest.mark.parametrize("kind", NO_TABLES)
def test_files_that_are_no_tables(kind: str, tmp_path: Path) -> None:
    content, words = NO_TABLES[kind]
    with pytest.raises(ValueError, match=words) as caught:
        read(tmp_path / "digits.csv", content)
    assert str(tmp_path / "digits.csv") in str(caught.value)


def test_a_missing_table_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_csv(tmp_path / "missing.csv")


def test_a_table_of_one_row(tmp_path: Path) -> None:
    one = int((TEST.labels > 0).nonzero()[0])
    for header in (None, HEAD):
        digits = read(tmp_path / "one.csv", text(LABELED[[one]], header))
        assert digits.labels.tolist() == [TEST.labels[one]]
        assert torch.equal(digits.images, TEST.images[[one]])


def test_the_rows_own_numbers_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    ids = np.arange(50)[::-1] * 3
    path.write_text(text(np.column_stack([ids, PLAIN]), ["id", *PIXELS]))
    assert read_table(path).ids == ids.tolist() and read_table(path).id_name == "id"
    path.write_text(text(PLAIN, PIXELS))
    assert read_table(path).ids is None and read_table(path).id_name is None


def test_load_mnist_reads_kaggles_folders(tmp_path: Path) -> None:
    train = SAMPLE.train[:200]
    (tmp_path / "train.csv").write_text(text(table(train), HEAD))
    (tmp_path / "test.csv").write_text(text(PLAIN, PIXELS))
    splits = load_mnist("csv", tmp_path, val_size=20)
    assert [len(split) for split in splits] == [152, 20, 28]  # a seventh to test
    images = {image.numpy().tobytes() for split in splits for image, _ in split}
    assert len(images) == 200
    (tmp_path / "test.csv").unlink()
    (tmp_path / "test.csv.zip").write_bytes(zipped(text(LABELED, HEAD).encode()))
    assert torch.equal(load_mnist("csv", tmp_path, val_size=20).test.images, TEST.images)
    (tmp_path / "mnist_train.csv.gz").write_bytes(gzip.compress(text(table(train)).encode()))
    (tmp_path / "mnist_test.csv").write_text(text(LABELED[:9], ["label", *CELLS]))
    splits = load_mnist("csv", tmp_path, val_size=20)
    assert torch.equal(splits.test.images, TEST.images[:9]) and len(splits.train) == 180
