"""One's own MNIST from paper: sheets are made, filled in, photographed and read."""

from __future__ import annotations

import io
import struct
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torchvision.datasets import MNIST
from typer.testing import CliRunner

from mnist_helpers import MNISTPredictor, load_csv, load_mnist
from mnist_helpers.cli import app
from mnist_helpers.data import Splits, read_idx, save_idx
from mnist_helpers.decode import InvalidImageError
from mnist_helpers.sheet import (
    Layout,
    SheetDigits,
    SheetError,
    boxes,
    draw_sheet,
    fill_in,
    make_sheet,
    photograph,
    read_sheet,
    save_sheets,
)
from mnist_helpers.sheet.reading import INK, _crop, find_markers, flatten

SMALL = (900, 1200)  # of a photo, which is made and read in half the time
LABELS = [digit for digit in range(10) for _ in range(10)]


@pytest.fixture(scope="module")
def page(splits: Splits) -> Image.Image:
    """A sheet that somebody has filled in."""
    return fill_in(draw_sheet("Ada Müller"), splits.test)


@pytest.fixture(scope="module")
def photo(page: Image.Image) -> Image.Image:
    """A photo of it."""
    return photograph(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"turn": 2, "size": (2400, 3200)},
        {"turn": 3, "seed": 3, "tilt": 0.08},
        {"size": (700, 930), "noise": 3.0},
        {"curl": 0.02},
        {"curl": -0.02, "seed": 1},
        {"shadow": 0.8, "noise": 10.0},
        {"blur": 2.2},
        {"quality": 25},
    ],
    ids=str,
)
def test_a_sheet_is_read_from_a_poor_photo(page: Image.Image, how: dict) -> None:
    check(photograph(page, **how), says_who="blur" not in how)


@pytest.mark.parametrize("turn", [0, 1])
def test_a_photographed_sheet_is_a_data_set(page: Image.Image, turn: int) -> None:
    check(photograph(page, turn=turn))


def check(photo: Image.Image, says_who: bool = True) -> None:
    found = read_sheet(photo)
    assert found.labels.tolist() == LABELS
    assert found.boxes == list(range(100))
    assert (found.empty, found.crossed_out) == ([], [])
    if says_who:
        assert found.writer == "Ada Müller"
    predicted = MNISTPredictor().predict_proba(found.images.numpy()).argmax(axis=1)
    assert (predicted == found.labels.numpy()).mean() >= 0.98


def test_a_printed_page_that_is_scanned_is_read(tmp_path: Path, splits: Splits) -> None:
    pdfium = pytest.importorskip("pypdfium2", reason="the extra `sheet` is not installed")
    path = make_sheet(tmp_path / "sheet.pdf", "Ada")
    with pdfium.PdfDocument(path) as document:
        assert np.allclose(document[0].get_size(), (595.3, 841.9), atol=1), "A4, in points"
        printed = document[0].render(scale=150 / 72, grayscale=True).to_pil()
    scan = fill_in(printed, splits.test)
    scan.save(tmp_path / "scan.pdf", resolution=150)
    found = read_sheet(tmp_path / "scan.pdf")
    assert (found.labels.tolist(), found.writer) == (LABELS, "Ada")
    assert found.source == "scan.pdf, by Ada"


def test_boxes_without_a_digit_are_told(splits: Splits) -> None:
    page = fill_in(draw_sheet(), splits.test, leave_out=(3, 57), cross_out=(10, 99))
    found = read_sheet(photograph(page))
    assert (found.empty, found.crossed_out) == ([3, 57], [10, 99])
    assert found.boxes == [number for number in range(100) if number not in (3, 10, 57, 99)]
    assert len(found) == len(found.crops) == 96
    assert found.writer == ""


def test_an_empty_sheet_has_no_digits_and_no_line_is_ink() -> None:
    photo = photograph(draw_sheet(), SMALL, curl=0.02)
    assert len(read_sheet(photo)) == 0
    pixels = np.asarray(photo)
    flat, scale = flatten(pixels, find_markers(pixels))
    inked = [(_crop(flat, scale, box) > INK).mean() for box in Layout().boxes]
    assert max(inked) < 0.001


@pytest.mark.parametrize(("per_digit", "digits"), [(1, "7"), (3, "27"), (7, "0123456789")])
def test_other_sheets_say_themselves_what_they_are(
    splits: Splits, per_digit: int, digits: str
) -> None:
    page = fill_in(draw_sheet("", per_digit, digits), splits.test, per_digit, digits)
    found = read_sheet(photograph(page, SMALL))
    assert found.labels.tolist() == [int(digit) for digit in digits for _ in range(per_digit)]


def test_boxes_are_fractions_of_the_page_and_do_not_overlap() -> None:
    found = boxes()
    assert [box.label for box in found] == LABELS
    for number, one in enumerate(found):
        assert 0 < one.left < one.right < 1
        assert 0 < one.top < one.bottom < 1
        for other in found[:number]:
            apart = one.left >= other.right or one.top >= other.bottom
            assert apart or one.right <= other.left


@pytest.mark.parametrize("covered", [(0, 4), (2, 7), (5, 1, 6)])
def test_some_markers_may_be_covered(page: Image.Image, covered: tuple[int, ...]) -> None:
    copy = page.copy()
    scale = copy.width / 210
    for number in covered:
        left, top = (round(at * scale) for at in Layout().markers[number])
        copy.paste(120, (left, top, left + round(13 * scale), top + round(13 * scale)))
    assert read_sheet(photograph(copy, SMALL)).labels.tolist() == LABELS


def test_what_is_no_sheet_is_said(page: Image.Image, photo: Image.Image, tmp_path: Path) -> None:
    photo.crop((0, 0, 500, 420)).save(tmp_path / "part.png")
    with pytest.raises(SheetError, match=r"part\.png.* of the 8 markers .*whole page"):
        read_sheet(tmp_path / "part.png")
    Image.new("RGB", (600, 800), "white").save(tmp_path / "white.png")
    with pytest.raises(SheetError, match=r"white\.png: no marker"):
        read_sheet(tmp_path / "white.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InvalidImageError, match=r"text\.png"):
        read_sheet(tmp_path / "text.png")
    (tmp_path / "broken.pdf").write_text("hello")
    with pytest.raises(InvalidImageError, match=r"broken\.pdf"):
        read_sheet(tmp_path / "broken.pdf")
    covered = page.copy()
    covered.paste(255, (300, 0, 1100, 280))  # what says which digits are asked for
    with pytest.raises(SheetError, match="three markers"):
        read_sheet(photograph(covered, SMALL))


def test_two_sheets_in_one_photo_are_told(photo: Image.Image) -> None:
    """Beside each other; the edge of a second one changes nothing."""
    two = Image.new("RGB", (2 * photo.width, photo.height))
    two.paste(photo, (0, 0))
    two.paste(photo, (photo.width, 0))
    with pytest.raises(SheetError, match=r"several sheets are seen.*each sheet on its own"):
        read_sheet(two)
    check(two.crop((0, 0, round(1.25 * photo.width), photo.height)))


def test_a_photo_comes_in_any_form(photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    photo.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    file = io.BytesIO()
    photo.save(file, "JPEG")
    for form in (
        photo,
        file.getvalue(),
        np.asarray(photo),
        np.asarray(photo.convert("L")),
        tmp_path / "turned.jpg",
    ):
        assert len(read_sheet(form)) == 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"digits": "12a"}, "12a"),
        ({"digits": "11"}, "once"),
        ({"digits": ""}, "digits"),
        ({"per_digit": 0}, "at least 1"),
        ({"per_digit": 90}, "fit on a page"),
        ({"writer": "A" * 60}, "45 bytes"),
    ],
)
def test_an_impossible_sheet_is_refused(tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_sheet(tmp_path / "sheet.pdf", **options)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"sheet\.xyz"):
        make_sheet(tmp_path / "sheet.xyz")


def test_the_data_set_is_what_others_read(photo: Image.Image, tmp_path: Path) -> None:
    found = read_sheet(photo)
    save_sheets([found, found], tmp_path)
    theirs = MNIST(tmp_path, train=True)
    assert theirs.data.shape == (160, 28, 28)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these files are not MNIST, it says
        ours = load_mnist("idx", tmp_path, val_size=20)
    assert len(ours.train) == 140
    assert len(ours.test) == 40
    assert np.bincount(ours.test.labels).tolist() == [4] * 10
    table = load_csv(tmp_path / "digits.csv")
    assert torch.equal(table.images[:100], found.images)
    assert torch.equal(table.labels[100:], found.labels)
    assert len(list((tmp_path / "images" / "7").iterdir())) == 20
    assert len(list((tmp_path / "crops").rglob("*.png"))) == 200
    rows = (tmp_path / "origin.csv").read_text(encoding="utf-8").splitlines()
    assert rows[:2] == ["image,photo,writer,box", "0,the image,Ada Müller,0"]


def test_another_sheets_digits_are_not_mixed_in(tmp_path: Path, splits: Splits) -> None:
    digits, raw = splits.test[:20], tmp_path / "MNIST" / "raw"
    for number in (20, 20, 19):  # again, and without the last one
        of_a_sheet = SheetDigits(
            digits.images[:number],
            digits.labels[:number],
            "a sheet",
            list(digits.images[:number, 0].numpy()),
            "a.jpg",
            list(range(number)),
        )
        refused = pytest.raises(ValueError, match=r"0019\.png would lie among the images of other")
        with nullcontext() if number == 20 else refused:
            save_sheets([of_a_sheet], tmp_path)
    assert len(read_idx(raw / "train-labels-idx1-ubyte")) == 16, "nothing was touched"
    assert len(list((tmp_path / "images").glob("*/*.png"))) == 20


def test_images_never_have_the_labels_of_others(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = splits.test[:20], splits.test[20:30]
    raw = save_idx(train, test, tmp_path)
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    write, written = Path.write_bytes, []

    def until_the_disk_is_full(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) == 4:
            raise OSError("no space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", until_the_disk_is_full)
    with pytest.raises(OSError, match="no space"):
        save_idx(test, train, tmp_path)
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == before


def test_the_commands_make_and_read_sheets(photo: Image.Image, tmp_path: Path) -> None:
    made = CliRunner().invoke(
        app, ["sheet", "make", str(tmp_path / "sheet.pdf"), "--writer", "Ada"]
    )
    assert made.exit_code == 0
    assert "sheet read" in made.output
    photo.save(tmp_path / "photo.jpg")
    (tmp_path / "cat.jpg").write_text("no image")
    photos = [str(tmp_path / "cat.jpg"), str(tmp_path / "photo.jpg")]
    raw = tmp_path / "mine" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    killed = [folder / ".mnist_helpers-x.part" for folder in (raw, tmp_path / "mine")]
    for part in killed:  # what a run left that was killed
        part.touch()
    read = CliRunner().invoke(app, ["sheet", "read", *photos, "--out", str(tmp_path / "mine")])
    assert read.exit_code == 1, "one photo could not be read"
    assert "cat.jpg" in read.output
    assert "100 digits by Ada Müller" in read.output
    assert (raw / "train-labels-idx1-ubyte").is_file()
    assert not any(part.exists() for part in killed)


def test_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, photo: Image.Image, tmp_path: Path
) -> None:
    photo.save(tmp_path / "photo.jpg")
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = CliRunner().invoke(app, ["sheet", "read", str(tmp_path / "photo.jpg")])
    assert done.exit_code == 1
    assert "mnist-helpers[sheet]" in done.output


def test_a_photo_is_bounded_as_every_image_is(tmp_path: Path) -> None:
    entries = [struct.pack("<HHII", 0x8000 + tag, 4, 150_000, 8) for tag in range(40)]
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries)
    text = PngInfo()  # where Pillow finds EXIF data as well
    text.add_text("Raw profile type exif", f"\nexif\n{len(exif)}\n{exif.hex()}")
    Image.new("RGB", (600, 800)).save(tmp_path / "tags.png", pnginfo=text)
    with pytest.raises(InvalidImageError, match=r"tags\.png .*values"):
        read_sheet(tmp_path / "tags.png")


def test_without_opencv_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"mnist-helpers\[sheet\]"):
        draw_sheet()
