"""What an image file asks of its decoder, looked at before anything is decoded.

Decoders allocate and repeat by more numbers than an image's width and height: tags, tiles, strips,
scans, comments. A small file can claim any of them. What no real image has is refused here, so that
the memory and time to decode one stay in proportion to its pixels and bytes.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, BinaryIO

from PIL import Image

from .avif_files import complaint_of_lists, encoded_pixels

MOST_SCANS = 100  # of a JPEG; progressive ones have about ten, and each passes over all pixels
MOST_SEGMENTS = 5_000  # of a JPEG; an ICC profile or XMP of a megabyte has twenty
MOST_CHUNKS = 2_000  # of a PNG, besides one for each 512 bytes
MOST_BLOCKS = 50_000  # of up to 255 bytes each, before the first image of a GIF
MOST_COMMENTS = 5_000  # blocks of comments in a GIF, and comments in a text of pixels
MOST_VALUES = 200_000  # of a tag: offsets of strips or tiles, above all
MOST_SLOW_PIXELS = 1_000_000  # of an image whose decoder is written in Python
DECODER_BYTES = {"WEBP": 16, "JPEG2000": 24, "AVIF": 11, "HEIF": 9}  # per pixel; others take 4 to 8
MOST_DECODER_BYTES = 600_000_000  # together
MAX_TILE_PIXELS = 1 << 22  # of a part that is larger than four of its images
MOST_CODE_BLOCKS = 1 << 19  # of a JPEG 2000, whose decoder keeps a list of them
MOST_TILES, MOST_LAYERS, MOST_COMPONENTS = 10_000, 100, 5  # of a JPEG 2000
READ_BELOW = 1 << 26  # bytes: reading is faster than mapping
HEADER = 1 << 16  # bytes within which the header of a PPM ends
VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
VALUE_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}  # of BigTIFF
PLAIN_BYTES = (1, 2, 6, 7)  # types of values that stay bytes: texts, profiles, thumbnails
SUB_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability; not the maker's notes
CODESTREAM = b"\xff\x4f\xff\x51"  # how those in a JPEG 2000 begin
CHUNK = re.compile(rb"\w{4}")  # the type of a chunk, as Pillow knows it
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # within the scans of a JPEG


def complaint_before_opening(file: BinaryIO) -> str | None:
    """Say what a file asks for that no image needs, by its bytes alone; None if nothing.

    Parameters
    ----------
    file : binary file
        One that can be sought. It is read as a whole; a large one on the disk is mapped.

    Returns
    -------
    str or None
        What to say after the file's name.

    Examples
    --------
    >>> import io
    >>> complaint_before_opening(io.BytesIO(b"GIF89a" + bytes(7) + b"!" * 100))
    >>> many = b"GIF89a" + bytes(7) + bytes.fromhex("21fe014100") * 6000
    >>> complaint_before_opening(io.BytesIO(many))
    'has 5,000 comments or more: it is not read. Save it again with another program.'
    """
    content = _content(file)
    for at, start, look in LOOKS:
        if content[at : at + len(start)] == start:
            found = look(content)
            advice = "it is not read. Save it again with another program."
            return f"{found}: {advice}" if found else None
    return None


def _content(file: BinaryIO) -> Any:
    """Return a file's bytes; of a large file on the disk a map, which takes no memory."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if (
        isinstance(file, io.BufferedReader)
        and isinstance(file.raw, io.FileIO)
        and size > READ_BELOW
    ):
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    content = file.read()
    file.seek(0)
    return content


def complaint_before_decoding(image: Image.Image) -> str | None:
    """Say what an opened image asks for that none needs; None if nothing.

    Parameters
    ----------
    image : PIL image
        From a file, and not loaded yet.

    Returns
    -------
    str or None
        What to say after the file's name.
    """
    tiles = getattr(image, "tile", [])
    pixels = image.width * image.height
    if pixels > MOST_SLOW_PIXELS and any(tile[0] in Image.DECODERS for tile in tiles):
        return (
            f"has {image.width:,} × {image.height:,} pixels in a form that takes long to decode: "
            "it is not read. Save it as PNG."
        )
    needed = pixels * DECODER_BYTES.get(image.format or "", 0)
    if needed > MOST_DECODER_BYTES:
        return (
            f"has {image.width:,} × {image.height:,} pixels, which take {needed // 1_000_000:,} MB "
            f"to decode as {image.format}: it is not read. Reduce it, or save it as JPEG or PNG."
        )
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    return _complaint_of_tiles(image, tags) if tags else None


def complaint_of_exif(image: Image.Image) -> str | None:
    """Say what a loaded image's EXIF data ask for that none need; None if nothing.

    A PNG may hold them in a text, too, in hexadecimal digits.

    Parameters
    ----------
    image : PIL image

    Returns
    -------
    str or None
        What to say after the file's name.
    """
    exif = image.info.get("exif", b"")
    text = image.info.get("Raw profile type exif", "")
    try:
        exif = exif or bytes.fromhex("".join(text.split("\n")[3:]))
    except (ValueError, AttributeError):  # then they cannot be used, either
        return "has damaged EXIF data"
    return _look_at_tags(exif)


def _complaint_of_tiles(image: Image.Image, tags: Any) -> str | None:
    """Say if the tiles or strips of a TIFF are larger or more than its pixels need."""
    width, height = (int(tags.get(tag, 0)) for tag in (256, 257))
    tile = [int(tags.get(tag, 0)) for tag in (322, 323)]
    wide, high = tile if any(tile) else (width, min(int(tags.get(278, height)), height))
    pixels = max(wide, width) * max(high, height)
    if pixels > max(4 * width * height, MAX_TILE_PIXELS):
        return (
            f"has {image.width:,} × {image.height:,} pixels in tiles of {wide:,} × {high:,}: "
            "it is not read. Save it without tiles."
        )
    needed = ceil(width / max(wide, 1)) * ceil(height / max(high, 1)) * len(image.getbands())
    given = len(getattr(image, "tile", []))
    if given > max(needed, 1):
        return f"has {given:,} strips or tiles for the {needed:,} that its pixels need: not read."
    return None


def _look_at_jpeg(content: bytes) -> str | None:
    """Count a JPEG's segments and scans, and look at its EXIF data."""
    exif, scans = b"", 0
    for number, (marker, start, end) in enumerate(_segments(content)):
        if number >= MOST_SEGMENTS:
            return f"has {MOST_SEGMENTS:,} segments or more"
        scans += marker == 0xDA
        if scans > MOST_SCANS:
            return f"has more than {MOST_SCANS:,} scans"
        if marker == 0xE1 and content[start : start + 6] == b"Exif\0\0":
            exif += content[start + 6 : end]
        if marker == 0xE2 and content[start : start + 4] == b"MPF\0":
            found = _look_at_tags(content[start + 4 : end])
            if found:
                return found
    return _look_at_tags(exif)


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment of a JPEG until its end."""
    at = 2
    while True:
        found = MARKER.search(content, at)
        if not found or content[found.end() - 1] == 0xD9:
            return
        start = found.end() + 2
        length = int.from_bytes(content[start - 2 : start], "big")
        at = start - 2 + max(length, 2)
        yield content[found.end() - 1], start, at


def _look_at_png(content: bytes) -> str | None:
    """Count a PNG's chunks."""
    most, at = MOST_CHUNKS + len(content) // 512, 8
    for _ in range(most):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND" or not CHUNK.fullmatch(kind) or at >= len(content):
            return None  # its end, or what no decoder goes beyond
    return f"has {most:,} chunks or more"


def _look_at_gif(content: bytes) -> str | None:
    """Count the blocks of a GIF before its first image."""
    at = 13 + (3 * 2 << (content[10] & 7) if len(content) > 10 and content[10] & 0x80 else 0)
    blocks = comments = 0
    while blocks < MOST_BLOCKS and comments < MOST_COMMENTS:
        kind = content[at : at + 1]
        blocks += 1
        if kind in (b",", b";", b""):
            return None
        if kind != b"!":
            at += 1
            continue
        is_comment = content[at + 1 : at + 2] == b"\xfe"
        at += 2
        while at < len(content) and content[at] and blocks < MOST_BLOCKS:
            at += 1 + content[at]
            blocks += 1
            comments += is_comment
        at += 1
    if comments >= MOST_COMMENTS:
        return f"has {MOST_COMMENTS:,} comments or more"
    return f"has {MOST_BLOCKS:,} blocks or more before its image"


def _look_at_ppm(content: bytes) -> str | None:
    """Look for the end of a PPM's header, and count the comments of one in text."""
    words = re.sub(rb"#[^\r\n]*[\r\n]?", b" ", content[:HEADER]).split(None, 4)
    if len(words) < 4 and len(content) > HEADER:
        return f"has a header of more than {HEADER:,} bytes"
    if content[:2] in (b"P1", b"P2", b"P3") and content[:].count(b"#") > MOST_COMMENTS:
        return f"has more than {MOST_COMMENTS:,} comments"
    return None


def _look_at_icon(content: bytes) -> str | None:
    """Compare the size of each image in an icon with what the icon's list says of it."""
    for number in range(int.from_bytes(content[4:6], "little")):
        entry = content[6 + 16 * number : 22 + 16 * number]
        if len(entry) < 16:
            return None
        start = int.from_bytes(entry[12:16], "little")
        inner = content[start : start + 24]
        if inner.startswith(b"\x89PNG"):
            width, height = struct.unpack(">II", inner[16:24].ljust(8, b"\0"))
        else:
            width, height = struct.unpack("<ii", inner[4:12].ljust(8, b"\0"))
        if abs(width * height) > 2 * MOST_SLOW_PIXELS:
            return f"is an icon with {width:,} × {abs(height):,} pixels"
    return None


def _look_at_jpeg2000(content: bytes) -> str | None:
    """Count the tiles, layers and code blocks of each codestream in a JPEG 2000."""
    for found in re.finditer(CODESTREAM, content):
        try:
            complaint = _complaint_of_codestream(content, found.start())
        except (struct.error, IndexError, ZeroDivisionError):  # damaged: Pillow says so
            complaint = None
        if complaint:
            return complaint
    return None


def _complaint_of_codestream(content: bytes, start: int) -> str | None:
    """Say if a codestream is cut into more pieces than its pixels need."""
    x, y, x0, y0, wide, high, _, _ = struct.unpack_from(">8I", content, start + 8)
    (components,) = struct.unpack_from(">H", content, start + 40)
    if components > MOST_COMPONENTS:
        return f"has {components:,} colors"
    if ceil(x / wide) * ceil(y / high) > MOST_TILES:
        return f"has more than {MOST_TILES:,} tiles"
    for marker, at, _ in _codestream_segments(content, start + 2):
        if marker == 0x52 and struct.unpack_from(">H", content, at + 2)[0] > MOST_LAYERS:
            return f"has more than {MOST_LAYERS:,} layers"
        if marker in (0x52, 0x53):  # COD, and COC for one component, whose number is in a byte
            at += 5 if marker == 0x52 else 2
            has_precincts = content[at - 5 if marker == 0x52 else at - 1] & 1
            blocks = _code_blocks(content[at : at + 40], (x - x0) * (y - y0), bool(has_precincts))
            if blocks * components > MOST_CODE_BLOCKS:
                return f"has more than {MOST_CODE_BLOCKS:,} code blocks"
    return None


def _codestream_segments(content: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment in the heads of a codestream and its tiles."""
    tile = following = 0
    while content[at] == 0xFF:
        marker = content[at + 1]
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker == 0x90:  # a tile begins, and says how long it is
            tile, (following,) = at, struct.unpack_from(">I", content, at + 6)
        if marker == 0x93:  # its data, which end with it
            if following < 14:
                return
            at = tile + following
            continue
        yield marker, at + 4, at + 2 + length
        at += 2 + length


def _code_blocks(coding: bytes, pixels: int, has_precincts: bool) -> float:
    """Return about how many blocks encode this many pixels."""
    levels, area = coding[0], 1 << (coding[1] + coding[2] + 4)
    blocks = 0.0
    for level in range(levels + 1):
        precinct = coding[5 + level] if has_precincts else 0xFF
        side = 1 if level else 0  # above the lowest resolution, a precinct has four parts
        part = 1 << max(0, (precinct >> 4) - side) + max(0, (precinct & 15) - side)
        blocks += pixels / 4 ** (levels - level) / min(area, part)
    return blocks


def _look_at_avif(content: bytes) -> str | None:
    """Look at an AVIF's parts, and at its EXIF data, which Pillow reads when it opens the file."""
    if found := complaint_of_lists(content):
        return found
    try:
        from PIL import _avif

        (width, height), _, _, _, exif, *_ = _avif.AvifDecoder(content[:], "auto", 1).get_info()
    except Exception:  # it is none, or damaged, or this Pillow reads none: Pillow says which
        return None
    if encoded_pixels(content) > max(4 * width * height, MAX_TILE_PIXELS):
        return f"has far more pixels than the {width:,} × {height:,} that it says it has"
    return _look_at_tags(exif or b"")


def _look_at_tags(content: bytes) -> str | None:
    """Say if the values of the tags in EXIF data or a TIFF overlap, or are too many.

    Each value is read into memory of its own, so that a file of 20 MB whose 200 tags name the same
    20 MB would take 4 GB.
    """
    while content[:6] == b"Exif\0\0":
        content = content[6:]
    room, most = 2 * len(content) + (1 << 16), MOST_VALUES
    for tag, kind, count, _ in _tags(content):
        if kind not in PLAIN_BYTES and count > most:
            return f"has {count:,} values of the tag {tag}"
        room -= count * VALUE_SIZES.get(kind, 0)
        if room < 0:
            return "has tags whose values together are larger than the file"
    return None


def _tags(content: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield number, type, count and the field with value or offset of each tag.

    Those of the first directory of EXIF data or a TIFF, and of the directories that it names.
    """
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None:
        return
    is_big = content[2:4] in (b"\x2b\0", b"\0\x2b")
    number, offset = ("Q", "Q") if is_big else ("H", "I")
    size = 20 if is_big else 12
    waiting, seen = [content[8:16] if is_big else content[4:8]], set()
    while waiting:
        try:
            (at,) = struct.unpack(order + offset, waiting.pop()[: struct.calcsize(offset)])
            if at in seen:
                continue
            seen.add(at)
            (count,) = struct.unpack_from(order + number, content, at)
        except struct.error:
            continue
        start = at + struct.calcsize(number)
        for entry in range(start, min(start + size * count, len(content) - size + 1), size):
            tag, kind, values, field = struct.unpack_from(
                f"{order}HH{offset}{struct.calcsize(offset)}s", content, entry
            )
            if tag in SUB_DIRECTORIES:
                waiting.append(field)
            yield tag, kind, values, field


LOOKS: list[tuple[int, bytes, Callable[[bytes], str | None]]] = [
    (0, b"\xff\xd8", _look_at_jpeg),
    (0, b"\x89PNG", _look_at_png),
    (0, b"GIF8", _look_at_gif),
    (0, b"P", _look_at_ppm),
    (0, b"\0\0\1\0", _look_at_icon),
    (4, b"ftyp", _look_at_avif),
    (4, b"jP  ", _look_at_jpeg2000),
    (0, CODESTREAM, _look_at_jpeg2000),
    (0, b"II", _look_at_tags),
    (0, b"MM", _look_at_tags),
]
