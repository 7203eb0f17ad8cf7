"""Downloads: good mirrors, and every kind of bad one."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from made_up import (
    HEAD,
    TEST,
    TRAIN,
    both,
    contents,
    same,
    table,
    text,
    write,
)
from torchvision.datasets import MNIST

from mnist_helpers.data import (
    STEMS,
    DownloadError,
    OfflineSampleWarning,
    download_mnist,
    find_idx,
    find_mnist,
    is_complete,
    load_mnist,
)

Mirror = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


def good(request: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def without_length(request, content: bytes) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(content)


def absent(request, _content: bytes) -> None:
    request.send_error(404)


def truncated(request, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])
    request.close_connection = True


def altered(request, content: bytes) -> None:
    good(request, content[:-1] + bytes([content[-1] ^ 1]))


def error_page(request, _content: bytes) -> None:
    good(request, b"<html>Please log in to this network</html>")


def gibberish(request, _content: bytes) -> None:
    request.wfile.write(b"what?\r\n\r\n")


def hanging(request, _content: bytes) -> None:
    request.server.closing.wait(30)


def hanging_in_the_middle(request, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[:10])
    request.server.closing.wait(30)


def dripping(request, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    for byte in content[:400]:
        request.wfile.write(bytes([byte]))
        if request.server.closing.wait(0.02):
            return


def dripping_headers(request, _content: bytes) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Wait: ")
    for _ in range(400):
        request.wfile.write(b".")
        if request.server.closing.wait(0.02):
            return


def refusing(request, _content: bytes) -> None:
    request.send_error(403)


def second_file_missing(request, content: bytes) -> None:
    (absent if "train-labels" in request.path else good)(request, content)


@contextmanager
def serving(mirror: Mirror, files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve files on loopback as `mirror` does; yields the address and what was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            try:
                mirror(self, files[self.path.rpartition("/")[2]])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client gave up, as it should

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.closing = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mnist/", asked
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def files(monkeypatch) -> dict[str, bytes]:
    """Four small gzipped files, whose checksums torchvision is told."""
    packed = {f"{stem}.gz": gzip.compress(content) for stem, content in contents().items()}
    sums = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(MNIST, "resources", sums)
    return packed


def on_disk(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_download_from_a_good_mirror(files, tmp_path: Path, monkeypatch) -> None:
    with serving(good, files) as (address, asked):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        splits = load_mnist("auto", tmp_path, val_size=50)
        assert len(asked) == 4
        assert same(both(splits), TRAIN) and same(splits.test, TEST)
        load_mnist("download", tmp_path, val_size=50)
        assert len(asked) == 4, "fetched what was there"
    raw = tmp_path / "MNIST" / "raw"
    assert {path.name: path.read_bytes() for path in on_disk(tmp_path)} == files
    assert all(path.parent == raw for path in on_disk(tmp_path))


def test_torchvision_finds_what_was_downloaded(files, tmp_path: Path, monkeypatch) -> None:
    with serving(without_length, files) as (address, _):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        download_mnist(tmp_path)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    theirs = MNIST(tmp_path, train=False, download=True)  # unpacks, and has nothing to fetch
    assert torch.equal(theirs.data, TEST.images.squeeze(1))


BAD_MIRRORS = {
    absent: "404",
    refusing: "403",
    truncated: "damaged",
    altered: "MD5",
    error_page: "damaged",
    gibberish: "what",
    hanging: "no answer within 1 seconds|timed out",
    hanging_in_the_middle: "timed out",
    dripping: "less than 20 kB/s",
    dripping_headers: "no answer within 1 seconds",
    second_file_missing: "404",
}
SILENT = (hanging, hanging_in_the_middle, dripping, dripping_headers)


@pytest.mark.parametrize(
    "mirror",
    [pytest.param(one, marks=[pytest.mark.slow] * (one in SILENT)) for one in BAD_MIRRORS],
    ids=lambda mirror: mirror.__name__,
)
def test_a_bad_mirror_is_left_for_the_next(mirror, files, tmp_path: Path, monkeypatch) -> None:
    with serving(mirror, files) as (bad, asked), serving(good, files) as (fine, _):
        monkeypatch.setattr(MNIST, "mirrors", [bad])
        with pytest.raises(DownloadError, match=BAD_MIRRORS[mirror]) as caught:
            download_mnist(tmp_path, timeout=1 if mirror in SILENT else 30)
        assert bad in str(caught.value) and asked
        assert on_disk(tmp_path) == [], "half a data set"
        monkeypatch.setattr(MNIST, "mirrors", [bad, fine])
        download_mnist(tmp_path, timeout=2 if mirror in SILENT else 30)
    assert {path.name: path.read_bytes() for path in on_disk(tmp_path)} == files


def test_if_all_fail_each_answer_is_told_and_the_sample_steps_in(
    files, tmp_path: Path, monkeypatch
) -> None:
    with serving(absent, files) as (first, _):
        closed = "http://127.0.0.1:9/"
        monkeypatch.setattr(MNIST, "mirrors", [first, closed])
        with pytest.raises(DownloadError, match=f"{first}: .*404.*; {closed}: .*refused"):
            load_mnist("download", tmp_path)
        with pytest.warns(OfflineSampleWarning, match="NOT the full MNIST") as caught:
            splits = load_mnist("auto", tmp_path)
    (notice,) = (one for one in caught if one.category is OfflineSampleWarning)
    said = str(notice.message)
    assert "5,000 of its 60,000 training images" in said and "404" in said
    assert "seen in training" in said and str(tmp_path) in said
    assert "Connection refused" in said and "urlopen" not in said
    assert notice.filename == __file__, "the warning points into the package"
    shown = warnings.formatwarning(notice.message, notice.category, notice.filename, notice.lineno)
    assert shown.count("\n") == 2 and __file__ not in shown, "more than two lines"
    assert splits.is_sample and on_disk(tmp_path) == []


def test_the_real_files_pass_torchvisions_checksums(mnist_root, tmp_path, monkeypatch) -> None:
    paths = find_idx(mnist_root)
    if any(path.suffix != ".gz" for path in paths.values()):
        pytest.skip("needs MNIST's files as they are downloaded, gzipped")
    files = {path.name: path.read_bytes() for path in paths.values()}
    with serving(good, files) as (address, _):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        download_mnist(tmp_path)
    assert {path.name: path.read_bytes() for path in on_disk(tmp_path)} == files


@pytest.mark.parametrize("source", ["auto", "download"])
@pytest.mark.parametrize("damage", ["half-unpacked", "missing", "flat", "cut gzip"])
def test_a_damaged_file_is_replaced_by_a_download(
    source: str, damage: str, files, tmp_path: Path, monkeypatch
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    images = raw / STEMS[0]
    if damage == "flat":
        write(tmp_path)
        images = tmp_path / STEMS[0]
    else:
        write(raw)
    if damage == "missing":
        images.unlink()
    elif damage == "cut gzip":
        images.unlink()
        images = raw / f"{STEMS[0]}.gz"
        images.write_bytes(files[images.name][:-100])
    else:
        images.write_bytes(images.read_bytes()[:5000])
    with serving(absent, files) as (address, _):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        with pytest.raises((ValueError, FileNotFoundError), match=STEMS[0]):  # never the sample
            load_mnist(source, tmp_path, val_size=50)
    with serving(good, files) as (address, _):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        splits = load_mnist(source, tmp_path, val_size=50)
    assert same(both(splits), TRAIN) and same(splits.test, TEST)
    assert same(load_mnist("idx", tmp_path, val_size=50).test, TEST)
    assert all(map(is_complete, find_mnist(tmp_path).files.values()))
    if damage == "half-unpacked":
        assert not images.exists(), "torchvision would stumble over it"
        assert torch.equal(MNIST(tmp_path, train=False, download=True).data, TEST.images.squeeze(1))


def test_damaged_tables_are_not_hidden_by_a_download(files, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "train.csv").write_text(text(table(TRAIN), HEAD)[:-1] + "x")
    with serving(good, files) as (address, asked):
        monkeypatch.setattr(MNIST, "mirrors", [address])
        with pytest.raises(ValueError, match=r"train\.csv, row 201.*x"):
            load_mnist("auto", tmp_path)
    assert not asked
