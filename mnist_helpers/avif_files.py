"""What an AVIF file asks of its decoder: the length of its lists, and what is encoded in it.

Such a file consists of boxes within boxes. They say how large the image is, but the decoder
allocates by what each stream of AV1 says: a file of 2 kB that calls itself an image of 28 × 28
pixels may be decoded with 16,384 × 16,384 pixels, and more than once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import islice

MOST_BOXES = 10_000  # an image has some twenty; one that is a grid, some more
MOST_UNITS = 50_000  # of AV1; an image has about three
LISTS = (b"iloc", b"iinf", b"iref", b"ipma")  # of parts
MOST_LIST = 1 << 16  # bytes of a list: the decoder compares each part with all others
CONTAINERS = {  # boxes with boxes in them, and how many bytes come before those
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"iprp", b"ipco"), 0),
    **{b"meta": 4, b"stsd": 8, b"av01": 78},
}
Box = tuple[bytes, int, int]  # its kind, and where its content starts and ends


def complaint_of_lists(content: bytes) -> str | None:
    """Say if a file has more parts than an image needs; None if not.

    It may be no AVIF at all.
    """
    for number, (kind, start, end) in enumerate(_boxes(content, 0, len(content))):
        if number >= MOST_BOXES or (kind in LISTS and end - start > MOST_LIST):
            return "has far more parts than an image needs"
    pieces, room = 0, 2 * len(content) + (1 << 16)
    for part in _parts(content):
        pieces += len(part)
        room -= sum(end - start for start, end in part)
        if pieces > MOST_BOXES or room < 0:
            return "has parts of far more pieces or bytes than the file"
    return None


def encoded_pixels(content: bytes) -> float:
    """Return how many pixels all streams of AV1 in a file have together, each by its own word."""
    pixels, units = 0, 0
    for part in _parts(content):
        stream = b"".join(content[start:end] for start, end in part)
        for kind, unit in _units(stream):
            units += 1
            if units > MOST_UNITS:
                return float("inf")
            pixels += _frame_pixels(unit) if kind == 1 else 0
    return pixels


def _boxes(content: bytes, at: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `at` to `end`, each before those that are in it."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, at)
        start = at + 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", content, start)
            start += 8
        stop = min(at + size if size else end, end)
        if stop < start:
            return  # damaged
        yield kind, start, stop
        if kind in CONTAINERS:
            yield from _boxes(content, start + CONTAINERS[kind], stop)
        at = stop


def _parts(content: bytes) -> Iterator[list[tuple[int, int]]]:
    """Yield where each part of a file lies, in one or more pieces: items, and first frames."""
    boxes = list(islice(_boxes(content, 0, len(content)), MOST_BOXES))
    frame: dict[bytes, int] = {}
    for number, (kind, start, end) in enumerate(boxes):
        try:
            if kind == b"iloc":
                within = [box for box in boxes[number:] + boxes[:number] if box[0] == b"idat"]
                yield from _items(content, start, within[0][1] if within else 0)
            if kind == b"stsz":
                constant, count, first = struct.unpack_from(
                    ">III", content[start:end] + bytes(4), 4
                )
                frame[kind] = constant or (first if count else 0)
            if kind in (b"stco", b"co64"):
                (frame[b"at"],) = struct.unpack_from(
                    ">I" if kind == b"stco" else ">Q", content, start + 8
                )
            if kind == b"trak":
                frame = {}
        except (struct.error, IndexError):  # damaged: the decoder says so
            continue
        if len(frame) == 2:
            yield [(frame[b"at"], frame[b"at"] + frame[b"stsz"])]
            frame = {}


def _items(content: bytes, start: int, idat: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the pieces of each item in a list of locations."""
    version, sizes, more = content[start], content[start + 4], content[start + 5]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version else 0
    at = start + 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(content[at - size : at], "big")

    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)
        shift = idat if version and number(2) & 15 == 1 else 0
        number(2)
        base, pieces = number(base_size) + shift, []
        for _ in range(number(2)):
            number(index_size)
            begin = base + number(offset_size)
            pieces.append((begin, begin + number(length_size)))
        if at > start + MOST_LIST:
            return
        yield pieces


def _units(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the content of each unit (OBU) in a stream of AV1."""
    at = 0
    while at < len(stream):
        head = stream[at]
        at += 2 if head & 4 else 1
        size, shift = len(stream) - at, 0
        if head & 2:  # it says its size, seven bits in each byte
            size = 0
            while at < len(stream) and shift < 56:
                size |= (stream[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if not stream[at - 1] & 128:
                    break
        yield head >> 3 & 15, stream[at : at + min(size, 512)]
        at += size


def _frame_pixels(unit: bytes) -> int:
    """Return the number of pixels of the largest frame that a sequence header allows."""
    bits = iter(f"{int.from_bytes(unit, 'big'):0{8 * len(unit)}b}")

    def number(size: int) -> int:
        return int("".join(islice(bits, size)) or "0", 2)

    number(4)
    if number(1):  # a still image
        number(5)
    else:
        _skip_timing(number)
    wide, high = number(4) + 1, number(4) + 1
    return (number(wide) + 1) * (number(high) + 1)


def _skip_timing(number: Callable[[int], int]) -> None:
    """Read what a sequence header says of time and of operating points."""
    delay = 0
    if number(1):
        number(64)
        if number(1):
            zeros = next((zeros for zeros in range(32) if number(1)), 32)
            number(zeros)
        if number(1):
            delay = number(5) + 1
            number(42)
    has_display_delay = number(1)
    for _ in range(number(5) + 1):
        number(12)
        if number(5) > 7:
            number(1)
        if delay and number(1):
            number(2 * delay + 1)
        if has_display_delay and number(1):
            number(4)
