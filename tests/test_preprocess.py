"""Any image becomes an MNIST image."""

from __future__ import annotations

import base64
import io
import itertools
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageOps, PngImagePlugin
from scipy import ndimage

from mnist_helpers.data import Splits
from mnist_helpers.decode import (
    FORMATS,
    BlankImageError,
    InvalidImageError,
    _downscale,
    _formats,
    _in_8_bits,
    _size_within,
    decode,
    decode_base64,
    open_image,
)
from mnist_helpers.numbers import segment_digits
from mnist_helpers.preprocess import (
    is_mnist,
    preprocessing_steps,
    to_mnist,
)
from mnist_helpers.strokes import draw_strokes, pen_strokes


def sheet(digit: int = 3, size: int = 200, pen: float = 12, **options) -> Image.Image:
    """Draw a digit in dark ink on white."""
    return draw_strokes(pen_strokes(digit, "round", size), size, pen, **options)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of two images, of 255, over the ink of either.

    Strokes of two pixels are 255 255 across, and half a pixel beside that 128 255 128: the smallest
    change of the ink decides which. So the best of the places half a pixel apart counts.
    """
    differences = []
    for one, other in ((first, second), (second, first)):
        for shift in itertools.product((-1, -0.5, 0, 0.5, 1), repeat=2):
            moved = ndimage.shift(other.astype(float), shift, order=1)
            ink = (one > 0) | (moved > 0)
            differences.append(np.abs(one - moved)[ink].mean())
    return float(min(differences))


def assert_mnist_like(image: np.ndarray) -> None:
    """Check what all images of MNIST have in common."""
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    rows, columns = np.nonzero(image)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    mass = image.sum(dtype=float)
    for axis in (0, 1):
        middle = (np.indices(image.shape)[axis] * image).sum() / mass
        assert abs(middle - 14) <= 0.6
    assert image.max() == 255


REFERENCE = to_mnist(sheet())
NEAR = 64  # of 255; two different digits are 78 apart, and more


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def transparent(ink: int) -> Image.Image:
    """Ink of one color on nothing: all of the drawing is in the alpha channel."""
    alpha = Image.fromarray(255 - np.asarray(sheet()))
    image = Image.new("RGBA", alpha.size, (ink, ink, ink, 0))
    image.putalpha(alpha)
    return image


GRAY = np.asarray(sheet())
KINDS = {
    "L": sheet(),
    "RGB": sheet().convert("RGB"),
    "RGBA": sheet().convert("RGBA"),
    "LA": sheet().convert("LA"),
    "P": sheet().convert("RGB").quantize(16),
    "1": sheet().convert("1", dither=Image.Dither.NONE),
    "CMYK": sheet().convert("CMYK"),
    "I;16": Image.fromarray(GRAY.astype(np.uint16) * 257),
    "I;16 of 10 bits": Image.fromarray(GRAY.astype(np.uint16) * 4),
    "I;16 of 12 bits": Image.fromarray(GRAY.astype(np.uint16) * 16),
    "F": Image.fromarray(GRAY.astype(np.float32)),
    "F in [0, 1]": Image.fromarray((GRAY / 255).astype(np.float32)),
    "black on nothing": transparent(0),
    "white on nothing": transparent(255),
    "uint8 array": GRAY,
    "float array": GRAY / 255,
    "float32 array": (GRAY / 255).astype(np.float32),
    "bool array": GRAY > 127,
    "uint16 array": GRAY.astype(np.uint16) * 257,
    "uint16 array up to 255": GRAY.astype(np.uint16),
    "uint16 array of 10 bits": GRAY.astype(np.uint16) * 4,
    "uint16 array of 12 bits": GRAY.astype(np.uint16) * 16,
    "bfloat16 tensor": torch.from_numpy(GRAY / 255).to(torch.bfloat16),
    "float16 tensor": torch.from_numpy(GRAY / 255).half(),
    "tensor that needs gradients": torch.from_numpy(GRAY / 255).requires_grad_(),
    "int64 array": GRAY.astype(np.int64),
    "H W 1": GRAY[..., None],
    "H W 3": np.dstack([GRAY] * 3),
    "1 H W tensor": torch.from_numpy(GRAY.copy()).unsqueeze(0),
    "3 H W tensor": torch.from_numpy(np.stack([GRAY] * 3)) / 255,
    "PNG bytes": encoded(sheet()),
    "JPEG bytes": encoded(sheet(), "JPEG"),
    "file": io.BytesIO(encoded(sheet())),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_comes_to_the_same(kind: str) -> None:
    result = to_mnist(KINDS[kind])
    assert_mnist_like(result)
    assert difference(result, REFERENCE) < 25  # without gray edges a stroke is a little wider


def test_path_and_text_path(tmp_path: Path) -> None:
    path = tmp_path / "déjà 7.png"
    sheet().save(path)
    np.testing.assert_array_equal(to_mnist(path), REFERENCE)
    np.testing.assert_array_equal(to_mnist(str(path)), REFERENCE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("turn", range(10))  # 1 to 8 have a meaning
def test_exif_rotation_is_applied(turn: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    turned = encoded(sheet(7), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(turned)))
    np.testing.assert_array_equal(to_mnist(turned), to_mnist(expected))


def test_a_turned_photo_is_read_whatever_else_its_exif_data_say() -> None:
    """A width that is text, which Pillow reads but cannot write again."""
    width = struct.pack("<HHI4s", 0x0100, 2, 3, b"ab")
    turn = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + width + turn + bytes(4)
    upright = sheet(7).transpose(Image.Transpose.ROTATE_90)
    image = encoded(upright, "JPEG", exif=exif, quality=95)
    assert difference(to_mnist(image), to_mnist(sheet(7))) < NEAR


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("dark", [True, False])
def test_a_deep_scan_loses_nothing_but_its_depth(bits: int, dark: bool, tmp_path: Path) -> None:
    """Scanners store 10 or 12 bits in 16."""
    deep = (GRAY if dark else 255 - GRAY).astype(np.uint16) << (bits - 8)
    path = tmp_path / "scan.tif"
    Image.fromarray(deep).save(path, compression="tiff_lzw")
    np.testing.assert_array_equal(decode(path), GRAY if dark else 255 - GRAY)
    np.testing.assert_array_equal(decode(deep), GRAY if dark else 255 - GRAY)


def test_colored_ink_on_colored_paper_of_equal_brightness() -> None:
    ink = np.asarray(sheet())[..., None] < 128
    image = np.where(ink, (200, 60, 60), (60, 131, 60)).astype(np.uint8)
    assert difference(to_mnist(image), REFERENCE) < 25


def test_mnist_images_come_back_bit_for_bit(splits: Splits) -> None:
    for split in splits:
        for image in split.images[:, 0].numpy():
            assert is_mnist(image)
    sample = splits.test.images[:20, 0].numpy()
    for image in sample:
        np.testing.assert_array_equal(to_mnist(image), image)
        np.testing.assert_array_equal(to_mnist(encoded(Image.fromarray(image))), image)


def test_other_images_of_28_by_28_are_preprocessed(splits: Splits) -> None:
    image = splits.test.images[0, 0].numpy()
    moved = np.roll(image, (-3, 3), (0, 1))
    assert not is_mnist(moved)
    assert not is_mnist(255 - image)
    for other in (moved, 255 - image):
        assert difference(to_mnist(other), image) < 70
        assert_mnist_like(to_mnist(other))


few = settings(max_examples=40, deadline=None)
digits = st.integers(0, 9)


@few
@given(digits, st.integers(90, 400), st.floats(0.05, 0.1))
def test_size_does_not_matter(digit: int, size: int, pen: float) -> None:
    result = to_mnist(sheet(digit, size, pen * size))
    assert_mnist_like(result)
    assert difference(result, to_mnist(sheet(digit, 200, pen * 200))) < NEAR


@few
@given(digits, st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_place_and_margin_do_not_matter(
    digit: int, left: int, right: int, top: int, bottom: int
) -> None:
    pixels = np.asarray(sheet(digit))
    padded = np.pad(pixels, ((top, bottom), (left, right)), constant_values=255)
    assert difference(to_mnist(padded), to_mnist(pixels)) < 2


@few
@given(digits, st.integers(0, 80), st.integers(150, 255))
def test_polarity_and_contrast_do_not_matter(digit: int, ink: int, paper: int) -> None:
    dark = to_mnist(sheet(digit, ink=ink, paper=paper))
    light = to_mnist(sheet(digit, ink=paper, paper=ink))
    assert difference(dark, light) < 6
    assert difference(dark, to_mnist(sheet(digit))) < 12


@few
@given(digits, st.floats(0.3, 1.0), st.booleans())
def test_a_shadow_does_not_matter(digit: int, depth: float, upright: bool) -> None:
    pixels = np.asarray(sheet(digit), dtype=np.float32)
    ramp = np.linspace(1, depth, 200)
    shaded = pixels * (ramp[:, None] if upright else ramp[None, :])
    assert difference(to_mnist(shaded.astype(np.uint8)), to_mnist(sheet(digit))) < NEAR


@few
@given(digits, st.floats(1.5, 30))
def test_thin_and_thick_pens_come_to_a_similar_width(digit: int, pen: float) -> None:
    ink = (to_mnist(sheet(digit, pen=pen)) / 255).sum()
    usual = (to_mnist(sheet(digit, pen=14)) / 255).sum()
    assert 0.4 < ink / usual < 2.2  # though one pen is twenty times as wide as another


@pytest.mark.parametrize("ink, paper", [(40, 230), (225, 60)])
@pytest.mark.parametrize("corner", [(20, 20), (20, 250), (150, 135), (270, 20), (270, 250)])
def test_a_small_digit_on_a_sheet_half_in_shadow(
    corner: tuple[int, int], ink: int, paper: int
) -> None:
    share = np.zeros((400, 360))
    rows, columns = (slice(start, start + 90) for start in corner)
    share[rows, columns] = 1 - np.asarray(sheet(size=90, pen=6)) / 255
    even = paper + (ink - paper) * share
    down, right = np.mgrid[-1:1:400j, -1:1:360j]
    shadow = 1 - 0.5 / (1 + np.exp(-5 * (down + right)))
    expected = to_mnist(even.astype(np.uint8))
    assert difference(to_mnist((even * shadow).astype(np.uint8)), expected) < NEAR


@pytest.mark.parametrize("side", [0, 1, 2, 3])
def test_a_broad_shadow_along_an_edge_is_left_out(side: int) -> None:
    pixels = np.rot90(np.pad(np.asarray(sheet()), 60, constant_values=255), side).copy()
    pixels[:, :55] = 0.45 * pixels[:, :55]
    assert difference(np.rot90(to_mnist(pixels), -side), REFERENCE) < NEAR


def test_a_lightly_pressed_pencil_writes_unbroken_strokes() -> None:
    ink = 255 - np.asarray(sheet(size=500, pen=3), dtype=np.float32)
    pressure = 0.35 + 0.65 * np.abs(np.linspace(-1, 1, 500))[:, None]
    strokes = preprocessing_steps((230 - 0.8 * pressure * ink).astype(np.uint8))["stroke width"]
    assert ndimage.label(strokes >= 0.5, np.ones((3, 3)))[1] == 1


def test_specks_do_not_move_the_digit() -> None:
    pixels = np.asarray(sheet()).copy()
    pixels[10:13, 10:13] = pixels[185:188, 180:182] = 0
    assert difference(to_mnist(pixels), REFERENCE) < 2


def test_a_dark_margin_is_left_out() -> None:
    pixels = np.asarray(sheet()).copy()
    pixels[:, -8:] = 60
    assert difference(to_mnist(pixels), REFERENCE) < 20


def test_grain_does_not_hide_the_digit() -> None:
    noise = np.random.default_rng(0).normal(0, 12, GRAY.shape)
    noisy = np.clip(GRAY * 0.8 + 20 + noise, 0, 255).astype(np.uint8)
    assert difference(to_mnist(noisy), REFERENCE) < 40


def test_steps_lead_from_the_image_to_mnist() -> None:
    steps = preprocessing_steps(sheet())
    assert len(steps) >= 5
    np.testing.assert_array_equal(next(iter(steps.values())), GRAY)
    np.testing.assert_array_equal(list(steps.values())[-1], REFERENCE)
    assert all(array.ndim in (2, 3) for array in steps.values())


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_image_says_so(value: int) -> None:
    with pytest.raises(BlankImageError, match="empty"):
        to_mnist(np.full((50, 60), value, np.uint8))


@pytest.mark.parametrize("grain", [0, 2, 5])
@pytest.mark.parametrize("steep", [1, 4, 12])
def test_shadows_on_an_empty_sheet_are_no_digit(steep: int, grain: int) -> None:
    down, right = np.mgrid[-1:1:300j, -1:1:260j]
    light = 1 - 0.5 / (1 + np.exp(-steep * (0.6 * down + right)))
    noise = np.random.default_rng(0).normal(0, grain, light.shape)
    with pytest.raises(BlankImageError, match="empty"):
        to_mnist((220 * light + noise).clip(0, 255).astype(np.uint8))


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    good = encoded(sheet())
    for name, content in {
        "text.png": b"I am not an image",
        "nothing.png": b"",
        "cut.png": good[: len(good) // 2],
        "half.jpg": encoded(sheet(), "JPEG")[:200],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidImageError, match=name):
            to_mnist(tmp_path / name)


def test_tensors_without_readable_pixels_are_refused() -> None:
    for tensor in (torch.empty(28, 28, device="meta"), torch.eye(28).to_sparse()):
        with pytest.raises(InvalidImageError, match="no pixels that can be read"):
            to_mnist(tensor)
    with pytest.raises(InvalidImageError, match="complex"):
        to_mnist(torch.zeros(28, 28, dtype=torch.complex64))


@pytest.mark.parametrize("given", [None, 5, [[0, 255], [255, 0]]])
def test_what_cannot_be_an_image_is_named_by_its_type(given: object) -> None:
    with pytest.raises(InvalidImageError, match=f"expected a path.*{type(given).__name__}"):
        to_mnist(given)


@pytest.mark.parametrize("reader", [to_mnist, segment_digits])
def test_an_image_of_a_few_pixels_is_said_to_be_too_small(reader: Callable) -> None:
    for size in ((1, 1), (4, 100), (100, 4)):
        with pytest.raises(InvalidImageError, match=f"{size[0]}×{size[1]} .*too small"):
            reader(Image.new("RGB", size))


def test_no_file_is_handed_to_other_programs(tmp_path: Path, monkeypatch) -> None:
    """PostScript is a program, which Ghostscript would run, whatever the file is called."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("was run"))
    path = tmp_path / "seven.png"
    sheet().convert("RGB").save(path, "EPS")
    with pytest.raises(InvalidImageError, match=r"seven\.png is a drawing.*PNG"):
        to_mnist(path)


HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(200)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEIC, "is a HEIC photo.*pillow-heif.*JPEG"),
        (b"%PDF-1.7 ...", "is a PDF.*save its page as PNG"),
        (b"<svg xmlns='...'>", "is a drawing.*PNG"),
        (b"version https://git-lfs.github.com/spec/v1 ...", "is a Git LFS pointer.*git lfs pull"),
        (b"\n<!doctype html><p>Not found", "is a web page"),
    ],
    ids=["heic", "pdf", "svg", "git-lfs", "html"],
)
def test_what_people_take_for_an_image_is_named(
    content: bytes, message: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("mnist_helpers.decode.find_spec", lambda name: None)  # no pillow-heif
    monkeypatch.setattr(Image, "OPEN", {k: v for k, v in Image.OPEN.items() if k != "HEIF"})
    _formats.cache_clear()
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    try:
        for given, name in ((path, "photo.png"), (content, "the image")):
            with pytest.raises(InvalidImageError, match=f"{name} {message}"):
                to_mnist(given)
    finally:
        _formats.cache_clear()


def test_a_heic_photo_is_read_where_pillow_heif_is() -> None:
    heif = pytest.importorskip("pillow_heif", reason="pip install pillow-heif")
    file = io.BytesIO()
    heif.from_pillow(sheet().convert("RGB")).save(file, quality=90)
    assert difference(to_mnist(file.getvalue()), REFERENCE) < 25
    with pytest.raises(InvalidImageError, match="damaged"):
        to_mnist(file.getvalue()[:200])


def tiled_tiff(side: int, tile: int, levels: int = 1) -> bytes:
    """Write a gray TIFF of one deflated tile, which may be much larger than the image."""
    data = zlib.compress(bytes(1 << 16))
    tags = [
        (256, 3, side),
        (257, 3, side),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
        (277, 3, levels),
        (322, 4, tile),
        (323, 4, tile),
        (324, 4, 8),
        (325, 4, len(data)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    header = b"II*\0" + struct.pack("<I", 8 + len(data))
    return header + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_tiles_count_as_pixels() -> None:
    """A TIFF of 64×64 pixels may make its decoder allocate gigabytes for one tile."""
    assert decode(tiled_tiff(64, 256)).shape == (64, 64)
    for tile in (4096, 46_336):
        with pytest.raises(
            InvalidImageError, match=f"64 × 64 pixels in tiles of {tile:,} × {tile:,}"
        ):
            decode(tiled_tiff(64, tile))


def test_no_file_is_one_format_for_the_check_and_another_for_the_decoder() -> None:
    """What is of none of `FORMATS` is opened nowhere, though Pillow could read it."""
    for kind in ("IM", "PCX", "SGI", "DDS"):
        content = encoded(sheet().convert("RGB"), kind)
        with pytest.raises(InvalidImageError, match="not an image in a format that can be read"):
            decode(content)
        with pytest.raises(InvalidImageError), open_image(io.BytesIO(content)):
            pass
    for kind in set(FORMATS) - {"HEIF", "AVIF"}:
        with open_image(io.BytesIO(encoded(sheet().convert("RGB"), kind))) as image:
            assert image.format == kind


@given(st.binary(max_size=60), st.booleans(), st.booleans(), st.integers(1, 30))
def test_base64_is_decoded_in_every_usual_form(
    content: bytes, safe: bool, padded: bool, width: int
) -> None:
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(content).decode()
    text = text if padded else text.rstrip("=")
    wrapped = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    assert decode_base64(wrapped) == content
    assert decode_base64(f"data:image/png;base64,{wrapped}") == content


@pytest.mark.parametrize("text", ["7!", "abcde", "é", "====a"])
def test_what_is_not_base64_is_said_to_be_so(text: str) -> None:
    with pytest.raises(InvalidImageError, match="not base64"):
        decode_base64(text)


@pytest.mark.parametrize("error", [struct.error, IndexError, KeyError, TypeError, RuntimeError])
def test_whatever_a_decoder_stumbles_over_the_file_is_named(
    error: type, tmp_path: Path, monkeypatch
) -> None:
    def stumble(image: Image.Image) -> None:
        raise error("deep within")

    path = tmp_path / "seven.png"
    sheet().save(path)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", stumble)
    with pytest.raises(InvalidImageError, match=r"seven\.png is damaged.*deep within"):
        to_mnist(path)


def test_deep_images_take_little_more_memory_than_their_pixels() -> None:
    """16 bits a pixel; a few large ones together must not fill a server."""
    image = Image.fromarray(np.tile(GRAY.astype(np.uint16) * 257, (7, 7)))
    tracemalloc.start()
    decode(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * image.width * image.height


@given(
    st.integers(1, 1400),
    st.integers(1, 1400),
    st.integers(3, 600),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
)
def test_large_images_are_reduced_as_pillow_reduces_them(
    width: int, height: int, side: int, mode: str
) -> None:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(noise).convert("L" if mode == "I;16" else mode).convert(mode)
    content = image.tobytes()
    expected = _in_8_bits(image).copy()
    expected.thumbnail((side, side), Image.Resampling.BOX)
    reduced = _downscale(image, side)
    assert (reduced.size, reduced.mode) == (expected.size, expected.mode)
    assert reduced.tobytes() == expected.tobytes()
    assert (image.size, image.tobytes()) == ((width, height), content)  # the caller's own


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 5000))
def test_the_size_of_a_reduced_image_is_that_of_pillows_thumbnail(
    width: int, height: int, side: int
) -> None:
    class OfNoPixels(Image.Image):
        def resize(self, size: tuple[int, int], *_: object, **__: object) -> Image.Image:
            sizes.append(size)
            return Image.new("1", (1, 1))

    sizes: list[tuple[int, int]] = []
    assume(max(width, height) > side)
    image = OfNoPixels()
    image._size = (width, height)
    image.thumbnail((side, side))
    assert sizes == [_size_within((width, height), side)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_image_is_decoded_without_a_copy_of_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (6000, 6000)).save(path, compress_level=1)
    code = (
        "import sys; from pathlib import Path; from mnist_helpers.decode import decode\n"
        "def peak():\n"
        "    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "before = peak(); decode(sys.argv[1]); print(1024 * (peak() - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 6 * 6000 * 6000  # four bytes a pixel, in Pillow's memory


def test_a_missing_file_and_a_folder_are_the_systems_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.png"):
        to_mnist(tmp_path / "no.png")
    with pytest.raises(OSError):
        to_mnist(tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(InvalidImageError, match=r"bomb\.png"):
        to_mnist(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((28,)),
        np.zeros((2, 28, 28, 3)),
        np.zeros((28, 28, 5)),
        np.zeros((0, 28), np.uint8),
        np.full((28, 28), 2.0),
        np.full((28, 28), -1.0),
        np.full((28, 28), np.nan),
        np.full((28, 28), 300),
        np.full((28, 28), 1j),
        np.full((28, 28), "7"),
        np.full((28, 28), None),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_images_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InvalidImageError):
        to_mnist(array)


@few
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 4])
)
def test_any_pixels_give_an_image_or_a_clear_error(
    height: int, width: int, seed: int, channels: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    try:
        result = to_mnist(pixels)
    except (BlankImageError, InvalidImageError):
        return
    assert result.shape == (28, 28)
    assert result.dtype == np.uint8
    assert result.max() > 0
