"""Images that ask their decoder for far more than their size needs."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_helpers.decode import InvalidImageError, decode
from mnist_helpers.strokes import draw_strokes, pen_strokes

MB = 1_000_000
Tag = tuple[int, int, int, int]  # number, type, count, value or offset


def encoded(kind: str, mode: str = "L", **options: object) -> bytes:
    file = io.BytesIO()
    draw_strokes(pen_strokes(7), 64, 6).convert(mode).save(file, kind, **options)
    return file.getvalue()


def tiff(data: bytes, tags: Iterable[Tag], width: int = 64, height: int = 64) -> bytes:
    """Write an uncompressed gray TIFF whose pixels and offsets are in data, from byte 8."""
    known = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1}
    entries = {tag: (tag, 4 if tag < 258 else 3, 1, value) for tag, value in known.items()}
    entries |= {tag[0]: tag for tag in tags}
    ordered = b"".join(struct.pack("<HHII", *entries[tag]) for tag in sorted(entries))
    directory = struct.pack("<H", len(entries)) + ordered + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def big_tiff(data: bytes, tags: list[Tag]) -> bytes:
    known = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries = b"".join(struct.pack("<HHQQ", *tag) for tag in known + tags)
    head = b"II\x2b\0\x08\0\0\0" + struct.pack("<Q", 16 + len(data))
    return head + data + struct.pack("<Q", len(known) + len(tags)) + entries + bytes(8)


def overlapping(size: int, count: int) -> bytes:
    """Write EXIF data whose tags all name the same bytes."""
    tags = b"".join(struct.pack("<HHII", 50_000 + at, 7, size, 8) for at in range(count))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", count) + tags + bytes(4)).ljust(size + 8, b"\0")


def with_notes_of_its_maker() -> bytes:
    """Encode a JPEG with EXIF data as an iPhone writes them: its notes don't begin as tags do."""
    exif = Image.Exif()
    exif[34_665] = {37_500: b"Apple iOS\0\0\x01MM\0\x0a" + bytes(range(256))}
    return encoded("JPEG", exif=exif.tobytes())


def in_segments(content: bytes, marker: bytes, start: bytes) -> bytes:
    jpeg, parts = encoded("JPEG"), range(0, len(content), 65_000)
    segments = [start + content[at : at + 65_000] for at in parts]
    joined = b"".join(marker + struct.pack(">H", 2 + len(one)) + one for one in segments)
    return jpeg[:2] + joined + jpeg[2:]


def in_chunks(kind: bytes, content: bytes = b"", count: int = 1) -> bytes:
    chunk = struct.pack(">I", len(content)) + kind + content
    png = encoded("PNG")
    return png[:33] + (chunk + struct.pack(">I", zlib.crc32(chunk[4:]))) * count + png[33:]


def raw_profile(exif: bytes) -> bytes:
    """Write EXIF data as ImageMagick does: as digits in a text."""
    text = zlib.compress(f"\nexif\n{len(exif):8}\n{exif.hex()}".encode())
    return in_chunks(b"zTXt", b"Raw profile type exif\0\0" + text)


def many_scans(count: int) -> bytes:
    jpeg = encoded("JPEG", progressive=True)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last * count + jpeg[-2:]


def gif(blocks: bytes) -> bytes:
    content = encoded("GIF", "P")
    start = 13 + (3 * 2 << (content[10] & 7))
    return content[:start] + blocks + content[start:]


def run_length_encoded(side: int) -> bytes:
    """Write a BMP of nearly empty lines in run-length encoding."""
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 2 * side, 0, 0, 0, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + head + bytes(1024) + b"\1\0\0\0" * side


def icon(inner: bytes) -> bytes:
    """Write an icon that says that its image has 64×64 pixels."""
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 64, 64, 0, 0, 1, 8, len(inner), 22) + inner


def large_png() -> bytes:
    file = io.BytesIO()
    Image.new("1", (3000, 3000)).save(file, "PNG")
    return file.getvalue()


def jpeg2000(patch: Callable[[bytearray, int], None], **options: object) -> bytes:
    """Write a JPEG 2000, and change it, given the place of its coding style."""
    file = io.BytesIO()
    Image.new("L", (1024, 1024)).save(file, "JPEG2000", **options)
    content = bytearray(file.getvalue())
    patch(content, content.index(b"\xff\x52"))
    return bytes(content)


def tiny_precincts(content: bytearray, at: int) -> None:
    content[at + 14 : at + 17] = b"\x11" * 3


def many_layers(content: bytearray, at: int) -> None:
    content[at + 6 : at + 8] = (60_000).to_bytes(2, "big")


def tiny_tiles(content: bytearray, _: int) -> None:
    at = content.index(b"\xff\x51") + 22
    content[at : at + 8] = struct.pack(">II", 5, 5)


def many_components(content: bytearray, _: int) -> None:
    at = content.index(b"\xff\x51") + 38
    content[at : at + 2] = (16_384).to_bytes(2, "big")


def many_pixels(content: bytearray, _: int) -> None:
    """As many as it takes for the decoder to need too much memory, in one tile."""
    at = content.index(b"ihdr") + 4
    content[at : at + 8] = struct.pack(">II", 5001, 5001)
    at = content.index(b"\xff\x51") + 6
    content[at : at + 8] = content[at + 16 : at + 24] = struct.pack(">II", 5001, 5001)


def resized(content: bytes, side: int) -> bytes:
    """Return an animated WebP with another canvas."""
    at = content.index(b"VP8X") + 12
    return content[:at] + (side - 1).to_bytes(3, "little") * 2 + content[at + 6 :]


def avif(patch: Callable[[bytes], bytes], kind: bytes) -> bytes:
    """Write an AVIF one of whose boxes has another content."""
    content = encoded("AVIF")
    at = content.index(kind) - 4
    end = at + int.from_bytes(content[at : at + 4], "big")
    box = kind + patch(content[at + 8 : end])
    meta = content.index(b"meta") - 4
    size = int.from_bytes(content[meta : meta + 4], "big") + 4 + len(box) - (end - at)
    changed = content[:at] + struct.pack(">I", 4 + len(box)) + box + content[end:]
    return changed[:meta] + struct.pack(">I", size) + changed[meta + 4 :]


def large_avif() -> bytes:
    """Write an AVIF of 3,000 × 3,000 pixels that calls itself one of 64 × 64."""
    file = io.BytesIO()
    Image.new("L", (3000, 3000)).save(file, "AVIF", speed=10)
    content = file.getvalue()
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", 64, 64) + content[at + 8 :]


def moving(kind: str) -> bytes:
    """Write an image of some frames, with transparent parts."""
    still = draw_strokes(pen_strokes(7), 64, 6).convert("RGBA")
    still.putpixel((0, 0), (0, 0, 0, 0))
    file = io.BytesIO()
    still.save(file, kind, save_all=True, append_images=[still.rotate(9 * at) for at in range(9)])
    return file.getvalue()


def in_a_tile(content: bytearray, at: int) -> None:
    """The coding style of one tile, in that tile's own head."""
    style = bytearray(content[at : at + 17])
    tiny_precincts(style, 0)
    tile = content.index(b"\xff\x90")
    content[tile + 12 : tile + 12] = style
    length = int.from_bytes(content[tile + 6 : tile + 10], "big") + len(style)
    content[tile + 6 : tile + 10] = length.to_bytes(4, "big")


PRECINCTS = {"precinct_size": (256, 256), "num_resolutions": 3}
STRIPS = struct.pack("<I", 8) * 300_000
ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "TIFF, tags that overlap": (
        lambda: tiff(bytes(MB), [(40_000 + at, 7, MB, 8) for at in range(99)]),
        "tags whose values together are larger",
    ),
    "BigTIFF, tags that overlap": (
        lambda: big_tiff(bytes(MB), [(40_000 + at, 7, MB, 16) for at in range(99)]),
        "tags whose values together are larger",
    ),
    "BigTIFF, a tag of a terabyte": (
        lambda: big_tiff(bytes(99), [(40_000, 7, 1 << 40, 16)]),
        "tags whose values together are larger",
    ),
    "TIFF, EXIF tags that overlap": (
        lambda: tiff(overlapping(MB, 99), [(273, 4, 1, 8), (34_665, 4, 1, 16)]),
        "tags whose values together are larger",
    ),
    "TIFF, more strips than rows": (
        lambda: tiff(STRIPS, [(273, 4, 300_000, 8), (278, 4, 1, 1)]),
        "300,000 values of the tag 273",
    ),
    "TIFF, each strip again and again": (
        lambda: tiff(STRIPS, [(273, 4, 1000, 8), (278, 4, 1, 63)]),
        "1,000 strips or tiles for the 2",
    ),
    "TIFF, numbers": (
        lambda: tiff(bytes(8 * 300_000), [(282, 5, 300_000, 8)]),
        "300,000 values of the tag 282",
    ),
    "JPEG, EXIF tags that overlap": (
        lambda: in_segments(overlapping(MB, 99), b"\xff\xe1", b"Exif\0\0"),
        "tags whose values together are larger",
    ),
    "JPEG, several images": (
        lambda: in_segments(overlapping(60_000, 4000), b"\xff\xe2", b"MPF\0"),
        "tags whose values together are larger",
    ),
    "PNG, EXIF tags that overlap": (
        lambda: in_chunks(b"eXIf", overlapping(MB, 99)),
        "tags whose values together are larger",
    ),
    "PNG, EXIF in a text": (
        lambda: raw_profile(overlapping(MB // 4, 99)),
        "tags whose values together are larger",
    ),
    "WebP, EXIF tags that overlap": (
        lambda: encoded("WEBP", exif=overlapping(MB, 99)),
        "tags whose values together are larger",
    ),
    "AVIF, EXIF tags that overlap": (
        lambda: encoded("AVIF", exif=overlapping(MB, 99)),
        "tags whose values together are larger",
    ),
    "AVIF, pixels": (large_avif, "far more pixels than the 64 × 64 that it says it has"),
    "AVIF, a list of items": (
        lambda: avif(
            lambda _: struct.pack(">IBBI", 2 << 24, 0x44, 0, 9000) + bytes(90_000), b"iloc"
        ),
        "far more parts than an image needs",
    ),
    "AVIF, pieces of no bytes": (
        lambda: avif(
            lambda _: bytes(6) + struct.pack(">H", 9) + struct.pack(">HHH", 1, 0, 65_535) * 9,
            b"iloc",
        ),
        "more pieces or bytes than the file",
    ),
    "AVIF, items that overlap": (
        lambda: avif(
            lambda _: (
                struct.pack(">IBBH", 0, 0x44, 0, 999) + struct.pack(">HHHII", 1, 0, 1, 0, 300) * 999
            ),
            b"iloc",
        ),
        "more pieces or bytes than the file",
    ),
    "AVIF, properties": (
        lambda: avif(lambda found: found + struct.pack(">I4s", 8, b"free") * 10_000, b"meta"),
        "far more parts than an image needs",
    ),
    "JPEG, segments": (
        lambda: in_segments(b"", b"", b"")[:2] + b"\xff\xe5\0\x02" * 5000 + encoded("JPEG")[2:],
        "5,000 segments or more",
    ),
    "JPEG, scans": (lambda: many_scans(101), "more than 100 scans"),
    "PNG, chunks": (lambda: in_chunks(b"prVt", count=3000), "chunks or more"),
    "PNG, empty pixels": (lambda: in_chunks(b"IDAT", count=3000), "chunks or more"),
    "GIF, comments": (lambda: gif(b"!\xfe\x01A\0" * 5000), "5,000 comments or more"),
    "GIF, a comment": (lambda: gif(b"!\xfe" + b"\x01A" * 5000 + b"\0"), "5,000 comments or more"),
    "GIF, blocks": (lambda: gif(b"!\xff" + b"\x01A" * 50_000 + b"\0"), "blocks or more before"),
    "PPM, comments": (lambda: b"P2\n9 9\n255\n" + b"#\n" * 5001, "more than 5,000 comments"),
    "PPM, a header": (lambda: b"P5\n" + b"#" * 70_000 + b"\n9 9\n255\n", "a header of more than"),
    "PPM, text": (lambda: b"P3\n2000 2000\n255\n" + b"1 " * 9, "takes long to decode"),
    "PPM, an odd scale": (lambda: b"P5\n2000 2000\n99\n" + bytes(99), "takes long to decode"),
    "BMP, runs": (lambda: run_length_encoded(2000), "takes long to decode"),
    "JPEG 2000, precincts": (lambda: jpeg2000(tiny_precincts, **PRECINCTS), "code blocks"),
    "JPEG 2000, a tile's precincts": (lambda: jpeg2000(in_a_tile, **PRECINCTS), "code blocks"),
    "JPEG 2000, layers": (lambda: jpeg2000(many_layers), "more than 100 layers"),
    "JPEG 2000, tiles": (lambda: jpeg2000(tiny_tiles), "more than 10,000 tiles"),
    "JPEG 2000, components": (lambda: jpeg2000(many_components), "16,384 colors"),
    "JPEG 2000, pixels": (
        lambda: jpeg2000(many_pixels),
        "5,001 × 5,001 pixels, which take 600 MB to decode as JPEG2000",
    ),
    "WebP, pixels": (
        lambda: resized(moving("WEBP"), 7000),
        "7,000 × 7,000 pixels, which take 784 MB to decode as WEBP",
    ),
    "ICO, a larger PNG": (lambda: icon(large_png()), "an icon with 3,000 × 3,000 pixels"),
    "ICO, a larger bitmap": (
        lambda: icon(struct.pack("<IiiHHIIiiII", 40, 3000, 6000, 1, 32, 0, 0, 0, 0, 0, 0)),
        "an icon with 3,000 × 6,000 pixels",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_no_image_of_this_size_needs_is_refused(attack: str, tmp_path: Path) -> None:
    make, message = ATTACKS[attack]
    content = make()
    path = tmp_path / "attack"
    path.write_bytes(content)
    tracemalloc.start()
    for given, name in ((content, "the image"), (path, str(path))):
        with pytest.raises(InvalidImageError, match=message) as caught:
            decode(given)
        assert str(caught.value).startswith(name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(content) + 5 * MB


@pytest.mark.parametrize(
    "make",
    [
        lambda: in_segments(bytes(3 * MB), b"\xff\xe2", b"ICC_PROFILE\0\1\1"),
        lambda: in_chunks(b"tEXt", b"Comment\0seven", count=500),
        lambda: gif(b"!\xfe" + b"\x05seven" * 1000 + b"\0"),
        lambda: b"P2\n# seven\n64 64\n# or so\n200\n" + b"9 " * 4096,
        lambda: run_length_encoded(900),
        lambda: many_scans(20),
        lambda: encoded("JPEG") + bytes(range(256)) * 9999,  # a video after it, as phones write it
        lambda: tiff(bytes(4096), [(273, 4, 1, 8), (278, 4, 1, 64), (279, 4, 1, 4096)]),
        with_notes_of_its_maker,
        lambda: encoded("TIFF", compression="tiff_lzw"),
        lambda: encoded("TIFF", mode="RGB", compression="tiff_adobe_deflate"),
        lambda: encoded("TIFF", mode="1", compression="group4"),
        lambda: encoded("ICO"),
        lambda: encoded("AVIF", mode="RGB"),
        lambda: moving("AVIF"),
        lambda: moving("WEBP"),
        lambda: moving("GIF"),
        lambda: moving("PNG"),
        lambda: encoded("JPEG2000", mode="RGB"),
        lambda: encoded("JPEG2000", no_jp2=True, tile_size=(16, 16), codeblock_size=(16, 16)),
    ],
)
def test_what_images_do_need_is_decoded(make: Callable[[], bytes]) -> None:
    assert min(decode(make()).shape[:2]) >= 60


def test_a_file_that_cannot_be_sought_is_decoded() -> None:
    class Pipe(io.RawIOBase):
        read = io.BytesIO(encoded("PNG")).read

    np.testing.assert_array_equal(decode(Pipe()), decode(encoded("PNG")))
