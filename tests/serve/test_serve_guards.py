"""The app under attack: other sites, addresses, floods, a network that fails, its end."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.serve import gate, microbatch, server
from mnist_helpers.serve.app import create_app
from mnist_helpers.serve.guards import BodyLimit
from mnist_helpers.serve.microbatch import MicroBatcher, NetworkError
from mnist_helpers.serve.server import listening, serving
from mnist_helpers.serve.uploads import Limits, OneImage
from mnist_helpers.strokes import draw_strokes, pen_strokes

CLIENT = {"trust_env": False, "timeout": 120}  # as busy as a machine may be


def png(digit: int) -> bytes:
    file = io.BytesIO()
    draw_strokes(pen_strokes(digit)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with the REST interface alone."""
    with serving(create_app(page=False)) as address:
        yield address


@pytest.fixture(scope="module")
def page_app() -> FastAPI:
    return create_app()


@pytest.fixture(scope="module")
def page_address(page_app: FastAPI) -> Iterator[str]:
    """A server with the page."""
    with serving(page_app) as address:
        yield address


def one_hot(images: np.ndarray) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[images[:, 0, 0]]


def preprocess(upload: bytes) -> np.ndarray:
    return np.full((28, 28), upload[0], np.uint8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda good: good[:-1], r"shape \[1, 10\], not \[0, 10\]"),
        (lambda good: np.tile(good, (2, 1)), r"not \[2, 10\]"),
        (lambda good: good[:, :9], r"not \[1, 9\]"),
        (lambda good: good * np.nan, "no numbers from 0 to 1"),
        (lambda good: good * 2, "no numbers from 0 to 1"),
        (lambda good: -good, "no numbers from 0 to 1"),
        (lambda good: None, "shape"),
        (lambda good: next(iter(())), "StopIteration"),  # which no future of asyncio takes
    ],
)
def test_a_network_that_returns_something_else_fails_for_those_who_wait_alone(
    wrong, message: str
) -> None:
    def read(images: np.ndarray) -> np.ndarray:
        good = one_hot(images)
        return wrong(good) if images.max() == 9 else good

    async def two() -> None:
        async with MicroBatcher(preprocess, read) as batcher:
            with pytest.raises(NetworkError, match=message):
                await asyncio.wait_for(batcher.predict([b"\x09"]), 60)
            assert (await batcher.predict([b"\x05"]))[0].digit == 5
            assert batcher.is_alive and batcher.in_flight == 0

    asyncio.run(two())


async def one_that_waits(batcher: MicroBatcher) -> asyncio.Task:
    """Return a request that the network is at."""
    waiting = asyncio.create_task(batcher.predict([b"\x01"]))
    while not batcher._waiting:
        await asyncio.sleep(0.01)
    return waiting


def test_when_nobody_predicts_any_more_it_is_told_and_nobody_waits() -> None:
    release = threading.Event()

    def read(images: np.ndarray) -> np.ndarray:
        assert release.wait(60)
        return one_hot(images)

    async def ended() -> None:
        async with MicroBatcher(preprocess, read) as batcher:
            waiting = await one_that_waits(batcher)
            batcher._predictor.cancel()
            with pytest.raises(NetworkError, match="has to be started again"):
                await waiting
            assert not batcher.is_alive
            with pytest.raises(NetworkError, match="has to be started again"):
                await batcher.predict([b"\x02"])
            release.set()

    asyncio.run(ended())


def test_a_network_that_does_not_return_is_told_and_afterwards_all_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(microbatch, "PATIENCE", 0.1)
    release = threading.Event()

    def read(images: np.ndarray) -> np.ndarray:
        if images.max() == 9:
            assert release.wait(60)
        return one_hot(images)

    async def stuck() -> None:
        async with MicroBatcher(preprocess, read, max_batch_size=1) as batcher:
            crowd = [asyncio.create_task(batcher.predict([b"\x09"])) for _ in range(3)]
            told = await asyncio.wait_for(asyncio.gather(*crowd, return_exceptions=True), 60)
            assert [type(one) for one in told] == [NetworkError] * 3 and "one batch" in str(told[0])
            assert batcher.trouble and batcher.in_flight == 0
            with pytest.raises(NetworkError, match="one batch"):
                await asyncio.wait_for(batcher.predict([b"\x05"]), 60)
            release.set()
            while batcher.trouble:
                await asyncio.sleep(0.01)
            assert (await batcher.predict([b"\x05"]))[0].digit == 5

    asyncio.run(stuck())


def test_a_server_ends_though_its_network_does_not_return() -> None:
    release, returned = threading.Event(), threading.Event()

    def read(images: np.ndarray) -> np.ndarray:
        release.wait(60)
        returned.set()
        return one_hot(images)

    async def end() -> None:
        async with MicroBatcher(preprocess, read) as batcher:
            waiting = await one_that_waits(batcher)
        assert not returned.is_set(), "its end was waited for"
        release.set()
        with pytest.raises(NetworkError, match="has to be started again"):
            await waiting

    asyncio.run(end())


def test_health_reports_a_network_that_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microbatch, "PATIENCE", 0.1)
    release, predict_proba = threading.Event(), MNISTPredictor.predict_proba

    def blocked(self: MNISTPredictor, images: np.ndarray) -> np.ndarray:
        assert release.wait(60)
        return predict_proba(self, images)

    monkeypatch.setattr(MNISTPredictor, "predict_proba", blocked)
    with TestClient(create_app(page=False)) as client:
        answer = client.post("/predict", files={"file": png(3)})
        assert answer.status_code == 500 and "one batch" in answer.json()["detail"]
        health = client.get("/health")
        assert health.status_code == 503 and "one batch" in health.json()["status"]
        release.set()
        while client.get("/health").status_code == 503:
            time.sleep(0.01)
        assert client.post("/predict", files={"file": png(3)}).json()["digit"] == 3


def test_health_reports_a_dead_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(self: MicroBatcher) -> None:
        raise RuntimeError("nobody is left")

    monkeypatch.setattr(MicroBatcher, "_predict_batches", dies)
    with TestClient(create_app(page=False)) as client:
        health = client.get("/health")
        assert health.status_code == 503 and "started again" in health.json()["status"]
        answer = client.post("/predict", files={"file": png(3)})
        assert answer.status_code == 500 and "started again" in answer.json()["detail"]


def test_images_of_a_cancelled_request_leave_the_queue() -> None:
    seen: list[int] = []
    first, release = threading.Event(), threading.Event()

    def read(images: np.ndarray) -> np.ndarray:
        seen.extend(images[:, 0, 0].tolist())
        first.set()
        assert release.wait(60)
        return one_hot(images)

    async def crowd() -> None:
        async with MicroBatcher(preprocess, read, max_batch_size=1) as batcher:
            blocking = asyncio.create_task(batcher.predict([b"\x01"]))
            await asyncio.to_thread(first.wait, 60)
            given_up = asyncio.create_task(batcher.predict([b"\x02"] * 20))
            while batcher._ready.qsize() < 20:
                await asyncio.sleep(0.01)
            last = asyncio.create_task(batcher.predict([b"\x03"]))
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            assert batcher.in_flight == 2
            release.set()
            assert [(await one)[0].digit for one in (blocking, last)] == [1, 3]

    asyncio.run(crowd())
    assert seen == [1, 3]


def test_a_client_that_leaves_is_one_line_and_its_images_are_not_predicted(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = address.removeprefix("http://").split(":")
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {}\r\n"
    head += "Content-Length: 9999\r\n\r\n"
    kinds = ("multipart/form-data; boundary=B", "application/json")
    with caplog.at_level(logging.WARNING):
        for kind in kinds * 3:
            with socket.create_connection((host, int(port))) as client:
                client.sendall(head.format(kind).encode() + b"--B\r\n")
        while len(caplog.records) < 6:
            time.sleep(0.01)
    assert {record.getMessage() for record in caplog.records} == {
        "a client left before it was answered: /predict"
    }
    assert len(caplog.records) == 6 and not any(record.exc_info for record in caplog.records)
    assert httpx.get(f"{address}/health", **CLIENT).json()["in_flight"] == 0


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""]
)
def test_a_server_on_loopback_answers_to_no_other_name(address: str, host: str) -> None:
    answer = httpx.get(f"{address}/model", headers={"Host": host}, **CLIENT)
    assert answer.status_code == 400 and "--trusted-host" in answer.json()["detail"]


def test_it_answers_to_the_names_of_this_machine_and_of_a_named_proxy(
    address: str,
) -> None:
    for host in ("localhost", "localhost:1", "127.0.0.1:7", "127.8.8.8", "[::1]:80", "LOCALHOST"):
        assert httpx.get(f"{address}/model", headers={"Host": host}, **CLIENT).status_code == 200
    with serving(create_app(page=False, hosts=["digits.example"])) as other:
        for host, status in (("digits.example", 200), ("evil.example", 400)):
            assert (
                httpx.get(f"{other}/model", headers={"Host": host}, **CLIENT).status_code == status
            )


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/predict", "/gradio_api/upload", "/gradio_api/queue/join"])
def test_pages_of_other_sites_are_refused_alike_in_preflight_and_answer(
    page_address: str, origin: str, path: str
) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked = httpx.options(page_address + path, headers=preflight, **CLIENT)
    files = {"file": png(3), "files": png(3)}
    answer = httpx.post(page_address + path, files=files, headers={"Origin": origin}, **CLIENT)
    assert asked.status_code == answer.status_code == 403
    for one in (asked, answer):
        assert not [name for name in one.headers if name.startswith("access-control")]


def test_pages_of_sites_that_were_named_may_use_the_interface() -> None:
    origin = "http://localhost:3000"
    with serving(create_app(page=False, origins=[origin])) as address:
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        asked = httpx.options(f"{address}/predict", headers=preflight, **CLIENT)
        answer = httpx.post(
            f"{address}/predict", files={"file": png(3)}, headers={"Origin": origin}, **CLIENT
        )
        assert answer.json()["digit"] == 3
        for one in (asked, answer):
            assert one.status_code == 200 and one.headers["Access-Control-Allow-Origin"] == origin
        other = httpx.get(f"{address}/model", headers={"Origin": "http://evil.example"}, **CLIENT)
        assert other.status_code == 403


def test_its_own_page_is_no_other_site(page_address: str) -> None:
    for headers in (
        {"Origin": page_address},
        {"Origin": "https://digits.example", "Sec-Fetch-Site": "same-origin"},  # behind a proxy
        {},
    ):
        answer = httpx.get(f"{page_address}/config", headers=headers, **CLIENT)
        assert answer.status_code == 200
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that Gradio fetches, which it does not really do here."""
    addresses: list[str] = []

    async def fetch(url: str, *_: object, **__: object) -> None:
        addresses.append(url)
        raise RuntimeError("it was fetched")

    for name in ("async_ssrf_protected_get", "async_ssrf_protected_download"):
        monkeypatch.setattr(f"gradio.processing_utils.{name}", fetch)
    monkeypatch.setattr("gradio.routes.secure_url_stream_response", fetch)
    return addresses


def test_no_address_that_a_visitor_names_is_fetched(
    page_app: FastAPI, page_address: str, fetched: list[str]
) -> None:
    url = "http://public.example/3.png"
    blocks = page_app.router.routes[-1].app.blocks
    told = ""
    with httpx.Client(base_url=page_address, **CLIENT) as client:
        for number, function in blocks.fns.items():
            for path in (url, "HTTPS://public.example/3.png", "ftp://public.example/3.png"):
                file = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
                name = function.inputs[0].value if len(function.inputs) > 1 else None
                for value in (file, [file], path):
                    session = f"{number}{len(told)}"
                    body = {"fn_index": number, "session_hash": session, "data": [name, value]}
                    if client.post("/gradio_api/queue/join", json=body).status_code == 200:
                        stream = {"session_hash": session}
                        told += client.get("/gradio_api/queue/data", params=stream).text
        assert "process_completed" in told
        for path in (f"file={url}", f"file/{url}", f"proxy={url}", f"file=ftp://{url}"):
            assert client.get(f"/gradio_api/{path}").status_code == 404, path
    assert fetched == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/vibe-code/"),
        ("GET", "/gradio_api/custom_component/1/client/component/index.js"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/runs"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/vibe-edit/"),
        ("POST", "/login"),
    ],
)
def test_of_gradio_only_what_the_page_needs_is_served(
    page_address: str, method: str, path: str
) -> None:
    answer = httpx.request(method, page_address + path, **CLIENT)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_answers_that_nobody_fetches_are_forgotten(
    page_app: FastAPI, page_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_UNFETCHED", 10)
    queue = page_app.router.routes[-1].app.blocks._queue
    strokes = json.dumps([stroke.tolist() for stroke in pen_strokes(3)])
    name = page_app.router.routes[-1].app.blocks.fns[0].inputs[0].value
    with httpx.Client(base_url=page_address, **CLIENT) as client:
        for number in range(30):
            body = {"fn_index": 0, "session_hash": f"parked{number}", "data": [name, strokes]}
            assert client.post("/gradio_api/queue/join", json=body).status_code == 200
            while len(queue) or any(queue.active_jobs):
                time.sleep(0.005)
        client.post("/gradio_api/queue/join", json=body | {"session_hash": "last"})
        text = client.get("/gradio_api/queue/data", params={"session_hash": "last"}).text
        assert '"digit\\">3' in text, "those who come for their answers get them"
    assert page_app.router.routes[-1].app.blocks.state_holder.capacity <= 200
    assert sum(one.qsize() for one in queue.pending_messages_per_session.values()) <= 20


def test_an_event_of_any_size_or_depth_is_refused(page_address: str) -> None:
    for body, status in ((b"[" * 100_000, {400, 422}), (b'"' + b"0" * 3_000_000 + b'"', {413})):
        headers = {"Content-Type": "application/json"}
        url = f"{page_address}/gradio_api/queue/join"
        assert httpx.post(url, content=body, headers=headers, **CLIENT).status_code in status


def test_silent_connections_are_closed_and_too_many_are_told() -> None:
    limits = Limits(connections=3, seconds=10)  # a head has a fifth of them
    with serving(create_app(page=False, limits=limits)) as address:
        host, port = address.removeprefix("http://").split(":")

        def connect() -> socket.socket:
            return socket.create_connection((host, int(port)), timeout=120)

        silent = [connect() for _ in range(3)]
        with connect() as other:
            other.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            told = other.recv(9999)
        assert told.startswith(b"HTTP/1.1 503 ") and b"too many connections" in told
        assert b"Retry-After" in told and b"Connection: close" in told
        silent[0].sendall(b"GET /health HTTP/1.1\r\nHo")  # and never the rest
        for one in silent:
            with one:
                assert one.recv(9999).startswith(b"HTTP/1.1 408 ") and one.recv(9999) == b""
        answer = httpx.get(f"{address}/health", **CLIENT)
        assert answer.json()["status"] == "ok"


def test_a_connection_may_be_used_again_and_again() -> None:
    limits = Limits(connections=3, seconds=1)
    with (
        serving(create_app(page=False, limits=limits)) as address,
        httpx.Client(base_url=address, **CLIENT) as client,
    ):
        for _ in range(3):
            assert client.post("/predict", files={"file": png(4)}).json()["digit"] == 4
            time.sleep(0.5)  # idle for longer than a head may take, all in all


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_there_are_never_more_connections_than_files_may_be_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for files, expected in ((1024, 500), (700, 222), (100_000, 500), (100, 1), (-1, 500)):
        monkeypatch.setattr("resource.getrlimit", lambda _, files=files: (files, files))
        assert server._connections(Limits()) == expected


def small_app(limits: Limits) -> BodyLimit:
    app = FastAPI()

    @app.post("/")
    async def length(request: Request) -> int:
        return len(await request.body())

    return BodyLimit(app, limits)


async def call(app: BodyLimit, messages: list[bytes | None]) -> tuple[int, dict]:
    """Send a body in parts, and nothing any more after None; return status and JSON."""
    sent: list[dict] = []

    async def receive() -> dict:
        part = messages.pop(0)
        if part is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": bool(messages)}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    app = small_app(Limits(seconds=0.2))
    status, told = asyncio.run(call(app, [b"0", None]))
    assert status == 408 and "within 0.2 seconds" in told["detail"] and app.held == 0


def test_unfinished_bodies_have_a_budget_together() -> None:
    app = small_app(Limits(megabytes=1, megabytes_in_flight=2.5, seconds=0.5))
    part = bytes(900_000)

    async def crowd() -> list[tuple[int, dict]]:
        return await asyncio.gather(*(call(app, [part, None]) for _ in range(5)))

    statuses = [status for status, _ in asyncio.run(crowd())]
    assert sorted(statuses) == [408, 408, 503, 503, 503] and app.held == 0
    assert asyncio.run(call(app, [part, part])) == (
        413,
        {"detail": "the request is larger than 1 MB"},
    )
    assert asyncio.run(call(app, [part, b"0"])) == (200, 900_001)


def test_millions_of_values_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def parse(*_: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(OneImage, "model_validate_json", parse)
    for value in (b"[]", b"{}", b"0"):
        body = b'{"image": [' + b",".join([value] * 1_000_000) + b"]}"
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{address}/predict", content=body, headers=headers, **CLIENT)
        assert answer.status_code == 422 and "values" in answer.json()["detail"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_sigterm_leaves_no_folder_and_another_users_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "gradio").write_text("of another user")  # where Gradio would put its files
    command = [sys.executable, "-m", "mnist_helpers", "app", "--port", "0", "--no-cuda"]
    environment = {k: v for k, v in os.environ.items() if k != "GRADIO_TEMP_DIR"}
    process = subprocess.Popen(
        [*command, "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"TMPDIR": str(tmp_path)},
    )
    try:
        address = process.stdout.readline().split()[-1]
        with httpx.Client(base_url=address, **CLIENT) as client:
            (path,) = client.post("/gradio_api/upload", files={"files": png(3)}).json()
            (folder,) = (one for one in tmp_path.iterdir() if one.name != "gradio")
            assert Path(path).read_bytes() == png(3) and folder in Path(path).parents
            assert folder.stat().st_mode & 0o777 == 0o700
            with client.stream("GET", "/gradio_api/heartbeat/x") as heartbeat:
                for _ in heartbeat.iter_bytes():  # which would never end
                    process.send_signal(signal.SIGTERM)
        assert process.wait(120) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
    assert [one.name for one in tmp_path.iterdir()] == ["gradio"]


def test_what_was_accepted_is_answered_before_the_end(held) -> None:
    with ThreadPoolExecutor() as pool:
        with serving(create_app(page=False)) as address:
            sent = pool.submit(httpx.post, f"{address}/predict", files={"file": png(3)}, **CLIENT)
            assert held.begun.wait(60)
            threading.Timer(1, held.release.set).start()  # after the end has begun
        assert sent.result().json()["digit"] == 3
    assert server.GRACE >= 10


def test_two_servers_share_a_folder_and_the_last_one_takes_it_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gate, "_servers", 0)
    monkeypatch.setattr(gate, "visitor_folder", lambda: tmp_path / "visitors")
    with gate.visitor_files() as folder:
        with gate.visitor_files() as same:
            (same / "uploaded").write_text("")
        assert folder == same and (folder / "uploaded").exists()
    assert not folder.exists()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_of_ipv6_is_all_of_ipv4_too() -> None:
    with listening("::", 0) as (listener, address):
        assert address.startswith("http://[::1]:")
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=60).close()


def test_the_browser_is_opened_where_somebody_sits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("webbrowser.get", lambda: None)
    for name in ("SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not server.has_desktop()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert server.has_desktop()
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert not server.has_desktop()
