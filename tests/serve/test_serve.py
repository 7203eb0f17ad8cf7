"""The app: answers, refusals, limits, safety, and many people at once."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import itertools
import json
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings

from mnist_helpers import MNISTPredictor, to_mnist
from mnist_helpers.cli import app as command_line
from mnist_helpers.decode import encode_png
from mnist_helpers.formulas import escape_formula, unescape_formula
from mnist_helpers.prediction import PRETRAINED_NAME, PRETRAINED_WEIGHTS
from mnist_helpers.serve import load
from mnist_helpers.serve.app import create_app, display_names, find_checkpoints
from mnist_helpers.serve.archives import uploaded_images
from mnist_helpers.serve.microbatch import MicroBatcher, NetworkError, OverloadedError
from mnist_helpers.serve.page import about, chosen_example, draw_sheet
from mnist_helpers.serve.server import listening, run, serving
from mnist_helpers.serve.table import predict_uploads, table_html
from mnist_helpers.serve.uploads import Limits, preprocess_upload
from mnist_helpers.strokes import draw_strokes, pen_strokes

SMALL = Limits(megabytes=0.2, megapixels=1, images=5, capacity=8)


def png(digit: int = 7, style: str = "round", **options: int) -> bytes:
    file = io.BytesIO()
    draw_strokes(pen_strokes(digit, style), **options).save(file, "PNG")
    return file.getvalue()


def bomb(side: int) -> bytes:
    """A PNG that claims `side` × `side` pixels, and holds hardly any."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(page=False, limits=SMALL)) as client:
        yield client


@pytest.fixture(scope="module")
def with_page() -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


@pytest.mark.parametrize(
    "form",
    [
        lambda text: "\r\n".join(re.findall(".{1,76}", text)) + "\r\n",
        lambda text: "\n".join(re.findall(".{1,64}", text)),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.rstrip("="),
        lambda text: "data:image/png;base64,\n" + text,
        lambda text: " " + text + "\t",
    ],
)
def test_base64_is_taken_in_every_usual_form(client: TestClient, form) -> None:
    content = next(png(7) + bytes(n) for n in range(3) if (len(png(7)) + n) % 3 == 1)  # padded
    text = base64_of(content)
    assert "+" in text and "/" in text and text.endswith("==")
    one = client.post("/predict", json={"image": form(text)})
    several = client.post("/predict/batch", json={"images": [form(text)] * 2})
    assert one.json()["digit"] == 7
    assert [row["answer"]["digit"] for row in several.json()["answers"]] == [7, 7]


def test_a_heic_photo_is_named_and_what_to_do(client: TestClient, tmp_path: Path) -> None:
    photo = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)
    answer = client.post("/predict", files={"file": ("photo.heic", photo)})
    assert answer.status_code == 400 and "HEIC" in answer.json()["detail"]
    if not find_spec("pillow_heif"):
        assert "pip install pillow-heif" in answer.json()["detail"]
    (tmp_path / "photo.heic").write_bytes(photo)
    table, _ = predict_uploads(MNISTPredictor(), [str(tmp_path / "photo.heic")], Limits(), tmp_path)
    assert table["error"].tolist() == [answer.json()["detail"]]


@pytest.mark.parametrize("digit", range(10))
def test_an_image_is_read_as_the_predictor_reads_it(client: TestClient, digit: int) -> None:
    content = png(digit)
    expected = MNISTPredictor().predict(content)
    answers = [
        client.post("/predict", files={"file": ("digit.png", content)}),
        client.post("/predict", json={"image": base64_of(content)}),
        client.post("/predict", json={"image": "data:image/png;base64," + base64_of(content)}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        body = answer.json()
        assert body["digit"] == expected.digit == digit
        assert body["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert np.allclose(body["probabilities"], expected.probs, atol=1e-5)
        assert body["is_confident"] == expected.is_confident


def test_a_batch_keeps_its_order_and_one_bad_image_spoils_nothing(client: TestClient) -> None:
    files = [("files", (f"{digit}.png", png(digit))) for digit in (3, 1, 4)]
    files.insert(1, ("files", ("blank.png", png(ink=255))))
    answers = client.post("/predict/batch", files=files).json()["answers"]
    assert [row["name"] for row in answers] == ["3.png", "blank.png", "1.png", "4.png"]
    assert [row["answer"] and row["answer"]["digit"] for row in answers] == [3, None, 1, 4]
    assert "empty" in answers[1]["error"] and answers[0]["error"] is None
    images = [base64_of(png(digit)) for digit in (8, 9)]
    answers = client.post("/predict/batch", json={"images": images}).json()["answers"]
    assert [(row["name"], row["answer"]["digit"]) for row in answers] == [("0", 8), ("1", 9)]


@pytest.mark.parametrize("error", [MemoryError(), struct.error("short"), OSError("odd")])
def test_whatever_one_image_raises_the_others_are_read(
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    error: Exception,
) -> None:
    bad = png(8)

    def sometimes(content: bytes) -> np.ndarray:
        if content == bad:
            raise error
        return to_mnist(content)

    monkeypatch.setattr("mnist_helpers.serve.uploads.to_mnist", sometimes)
    files = [("files", ("good.png", png(3))), ("files", ("bad.png", bad))]
    good, other = client.post("/predict/batch", files=files).json()["answers"]
    assert good["answer"]["digit"] == 3
    assert other["error"] == f"the image could not be read: {type(error).__name__}"
    assert caplog.records[-1].exc_info[1] is error
    answer = client.post("/predict", files={"file": bad})
    assert answer.status_code == 400 and answer.json()["detail"] == other["error"]
    for name, content in (("good.png", png(3)), ("bad.png", bad)):
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / "bad.png"), str(tmp_path / "good.png")]
    table, _ = predict_uploads(MNISTPredictor(), paths, Limits(), tmp_path)
    assert table["error"].tolist() == [other["error"], ""] and table["digit"][1] == 3


def test_a_kind_of_body_is_the_same_in_any_case(client: TestClient) -> None:
    for kind in ("Application/JSON", "application/json; charset=UTF-8"):
        for path, body in (
            ("/predict", {"image": base64_of(png(2))}),
            ("/predict/batch", {"images": [base64_of(png(2))]}),
        ):
            headers = {"content-type": kind}
            answer = client.post(path, content=json.dumps(body), headers=headers)
            assert answer.status_code == 200, answer.text


def test_a_list_may_be_limited_to_one_image() -> None:
    with TestClient(create_app(page=False, limits=Limits(images=1))) as client:
        images = [base64_of(png(4))]
        answer = client.post("/predict/batch", json={"images": images})
        assert answer.json()["answers"][0]["answer"]["digit"] == 4
        assert client.post("/predict/batch", json={"images": images * 2}).status_code == 413
        assert client.post("/predict", json={"image": images[0]}).json()["digit"] == 4


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_the_address_opened_in_a_browser_says_how_images_are_sent(
    client: TestClient, path: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert re.search(rf"curl -F files?=@.+ http://testserver{path}$", answer.json()["detail"])


def test_health_and_model_describe_the_server(client: TestClient) -> None:
    health = client.get("/health").json()
    assert (
        health["status"] == "ok"
        and health["in_flight"] == 0
        and health["capacity"] == SMALL.capacity
    )
    model = client.get("/model").json()
    assert model["name"] == "fast" and model["parameters"] == 104_938
    assert model["recipe"]["epochs"] == 12 and model["confident_from"] == 0.9


@pytest.mark.slow
def test_the_network_can_be_another_one_and_onnx(tmp_path: Path) -> None:
    from mnist_helpers import export_onnx

    export_onnx(MNISTPredictor(device="cpu").model, tmp_path / "net.onnx", {"model": "mine"})
    with TestClient(create_app(tmp_path / "net.onnx")) as client:
        assert client.post("/predict", files={"file": png(5)}).json()["digit"] == 5
        assert client.get("/model").json()["name"] == "mine"
        assert client.get("/").status_code == 200
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        create_app(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GIF89a, or so it says", "damaged|not an image"),
        (b"%PDF-1.7", "is a PDF, not an image"),
        (png()[:200], "damaged"),
        (png(ink=255), "empty"),
        (bomb(30_000), "too large|more than"),
        (bomb(1_100), "more than 1 million"),
        (b"", "0 bytes"),
        (b"digits", "not an image"),
    ],
)
def test_400_for_what_is_no_image(client: TestClient, content: bytes, words: str) -> None:
    answer = client.post("/predict", files={"file": ("x.png", content)})
    assert answer.status_code == 400
    assert re.search(words, answer.json()["detail"])


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    with pytest.raises(ValueError, match="pixels"):
        preprocess_upload(bomb(9_000), Limits())


def test_413_for_too_much(client: TestClient) -> None:
    large = b"0" * (SMALL.bytes + 1)
    assert client.post("/predict", files={"file": large}).status_code == 413
    assert client.post("/predict", json={"image": large.decode()}).status_code == 413

    def unannounced() -> Iterator[bytes]:
        for _ in range(30):
            yield b"0" * 10_000

    json_type = {"content-type": "application/json"}
    answer = client.post("/predict", content=unannounced(), headers=json_type)
    assert answer.status_code == 413 and "larger than 0.2 MB" in answer.json()["detail"]
    many = [("files", png()) for _ in range(SMALL.images + 1)]
    answer = client.post("/predict/batch", files=many)
    assert answer.status_code == 413 and "6 images" in answer.json()["detail"]


def test_413_for_too_many_pixels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(megapixels=0.1, megapixels_together=0.2)  # a drawing has 280 × 280 pixels
    files = [("files", ("3.png", png(3))), ("files", ("large.png", bomb(9_000)))]
    with TestClient(create_app(page=False, limits=limits)) as client:
        answers = client.post("/predict/batch", files=files * 2).json()["answers"]
        assert [row["error"] is None for row in answers] == [True, False] * 2, "none is decoded"
        monkeypatch.setattr(MicroBatcher, "predict", None)  # nothing is queued
        answer = client.post("/predict/batch", files=files * 3)
        assert answer.status_code == 413
        assert "0.2 million pixels together: more than 0.2 million" in answer.json()["detail"]


def test_415_and_422_for_other_bodies(client: TestClient) -> None:
    assert client.post("/predict", content=b"x").status_code == 415
    answer = client.post("/predict", content=b"x", headers={"content-type": "image/png"})
    assert answer.status_code == 415 and "not image/png" in answer.json()["detail"]
    json_type = {"content-type": "application/json"}
    for body in (b"", b"{", b"[]", b"{}", b'{"image": 7}', b'{"image": "%%%"}', b"[" * 99_999):
        answer = client.post("/predict", content=body, headers=json_type)
        assert answer.status_code == 422, body[:20]
        assert isinstance(answer.json()["detail"], str)
    assert client.post("/predict", files={"other": png()}).status_code == 422
    assert client.post("/predict", data={"file": "text"}, files={"x": b""}).status_code == 422
    assert client.post("/predict/batch", json={"images": []}).status_code == 422
    assert client.post("/predict/batch", json={"images": "abcd"}).status_code == 422


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "punycode", "idna", "undefined"])
def test_a_form_in_an_odd_charset_is_read_or_refused(client: TestClient, charset: str) -> None:
    headers = {"content-type": f"multipart/form-data; charset={charset}; boundary=B"}
    for name in (r"\ud800", "+2AA-", "xn--a"):
        head = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        answer = client.post("/predict/batch", content=f"{head}x\r\n--B--\r\n", headers=headers)
        assert answer.status_code in (200, 422), answer.text
        assert answer.json().keys() <= {"answers", "detail"}


def test_503_when_there_is_no_room(held) -> None:
    with TestClient(create_app(page=False, limits=SMALL)) as client, ThreadPoolExecutor() as pool:
        batch = [("files", png(d)) for d in range(5)]
        first = pool.submit(client.post, "/predict/batch", files=batch)
        assert held.begun.wait(60)
        refused = client.post("/predict/batch", files=batch)
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
        assert "capacity is 8" in refused.json()["detail"]
        assert client.get("/health").json()["in_flight"] == 5
        held.release.set()
        assert first.result().status_code == 200
        assert client.post("/predict/batch", files=batch).status_code == 200


def test_no_file_of_the_server_can_be_read(with_page: TestClient, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    package = Path(__file__).resolve().parents[2]
    targets = [secret, package / "pyproject.toml", Path("/etc/hostname"), Path.home() / ".bashrc"]
    targets += [Path("../pyproject.toml"), Path("pyproject.toml")]
    for target in targets:
        for way in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/"):
            for path in (str(target), "..%2f" * 6 + str(target).lstrip("/"), f"{target}%00.png"):
                answer = with_page.get(way + path)
                assert answer.status_code in (400, 403, 404, 422), (way, path)
                assert "secret" not in answer.text or str(secret) in answer.text
    answer = with_page.get("/gradio_api/proxy=http://127.0.0.1:1/")
    assert answer.status_code in (400, 403, 404)


def test_no_file_can_be_read_through_the_pages_own_events(tmp_path: Path) -> None:
    """Whatever path a client sends in an image's place, its content does not come back."""
    inside = Path.cwd() / "pyproject.toml"
    drawing = tmp_path / "mine.png"
    drawing.write_bytes(png(5))
    app = create_app()
    events = len(app.router.routes[-1].app.blocks.fns)
    assert events >= 4
    options = {"trust_env": False, "timeout": 120}  # as busy as a machine may be
    with serving(app) as address, httpx.Client(base_url=address, **options) as client:
        for number, path in itertools.product(range(events), (drawing, inside)):
            file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
            event = {"index": 0, "value": {"image": file}}
            for data in ([PRETRAINED_NAME, file], [PRETRAINED_NAME, [file]], []):
                session = f"{number}-{path.name}-{len(data)}-{len(str(data))}"
                body = {"data": data, "event_data": event, "fn_index": number}
                body["session_hash"] = session
                answer = client.post("/gradio_api/queue/join", json=body)
                if answer.status_code != 200:
                    continue
                told = client.get("/gradio_api/queue/data", params={"session_hash": session}).text
                assert "mnist-helpers[serve]" not in told and '"digit\\">5' not in told
                for found in re.findall(r'"path": ?"([^"]+)"', told):
                    served = client.get(f"/gradio_api/file={found}")
                    assert served.content not in (drawing.read_bytes(), inside.read_bytes())


def test_visitors_see_no_more_of_a_path_than_distinguishes_networks(tmp_path: Path) -> None:
    trained = [tmp_path / "train" / run / "model.safetensors" for run in ("first", "second")]
    assert list(display_names([PRETRAINED_WEIGHTS, *trained])) == [
        PRETRAINED_NAME,
        str(Path("first", "model.safetensors")),
        str(Path("second", "model.safetensors")),
    ]
    alike = [Path("a", "run", "net.pt"), tmp_path / "b" / "run" / "net.pt"]
    assert display_names([*alike, str(alike[0])]) == {
        str(Path("a", "run", "net.pt")): alike[0],
        str(Path("b", "run", "net.pt")): alike[1],
    }
    for path in trained:
        path.parent.mkdir(parents=True)
        path.write_bytes(PRETRAINED_WEIGHTS.read_bytes())
    with TestClient(create_app(trained)) as client:
        page = client.get("/").text
        assert "second/model.safetensors" in page and str(tmp_path) not in page


def test_another_networks_card_says_what_is_known() -> None:
    predictor = MNISTPredictor()
    assert "99.61%" in about(PRETRAINED_NAME, predictor)
    predictor.checkpoint.history.append({"epoch": 1, "val_accuracy": 0.987})
    said = about("mine.pt", predictor)
    assert "104,938 parameters" in said and "98.70%" in said and "MNIST" in said


def test_a_damaged_training_is_left_out_of_the_page_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("mnist_helpers.serve.app.project_root", lambda: tmp_path)
    whole, cut = (tmp_path / "outputs/train" / run / "model.safetensors" for run in "ab")
    for path in (whole, cut):
        path.parent.mkdir(parents=True)
        path.write_bytes(PRETRAINED_WEIGHTS.read_bytes())
    assert find_checkpoints() == [PRETRAINED_WEIGHTS, whole, cut] and not capsys.readouterr().err
    cut.write_bytes(cut.read_bytes()[:-99])
    assert find_checkpoints() == [PRETRAINED_WEIGHTS, whole]
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("Left out of the page: ") and told.count(str(cut)) == 1
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        create_app(cut, page=False)


def test_only_this_server_is_asked_for_anything(with_page: TestClient) -> None:
    policy = with_page.get("/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    for page in ("/docs", "/redoc"):
        text = with_page.get(page).text
        assert "//cdn" not in text and 'src="http' not in text and 'href="http' not in text
    assert with_page.get("/docs").status_code == 200
    assert with_page.get("/openapi.json").json()["info"]["title"] == "mnist_helpers"


def test_the_server_is_reached_from_this_machine_alone_unless_told_otherwise() -> None:
    with listening("127.0.0.1", 0) as (listener, address):
        assert listener.getsockname()[0] == "127.0.0.1"
        # without this, answers wait 40 ms for the other side's acknowledgement
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        port = listener.getsockname()[1]
        assert address == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match=f"port {port}.*--port 0"), listening("127.0.0.1", port):
            pass
    for function in (serving, run):
        assert inspect.signature(function).parameters["host"].default == "127.0.0.1"


@pytest.mark.slow
def test_the_command_starts_the_app_and_ends_with_it() -> None:
    command = [sys.executable, "-m", "mnist_helpers", "app", "--port", "0", "--no-cuda"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line.startswith("The page: http://127.0.0.1:"), line + server.stderr.read()
        address = line.split()[-1]
        with httpx.Client(trust_env=False, timeout=120) as client:
            answer = client.post(f"{address}/predict", files={"file": png(6)})
            assert answer.json()["digit"] == 6
            assert "Predict a handwritten digit" in client.get(address).text
    finally:
        server.terminate()
        assert server.wait(60) in (0, -15, 143)


@pytest.mark.slow
def test_the_page_opens_in_the_browser_if_asked(tmp_path: Path) -> None:
    note, browser = tmp_path / "opened", tmp_path / "browser.py"
    browser.write_text(
        f"import sys\nwith open({str(note)!r}, 'w') as file: file.write(sys.argv[1])"
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "mnist_helpers", "app", "--port", "0", "--no-cuda", "--browser"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BROWSER": f"{shlex.join([sys.executable, str(browser)])} %s"},
    )
    try:
        while not (line := server.stdout.readline()).startswith("The page:"):
            assert line, "the server ended before it had started"
        while server.poll() is None and not (note.exists() and note.read_text()):
            time.sleep(0.05)
        assert f"The page: {note.read_text()}" == line.rstrip()
    finally:
        server.terminate()
        server.wait(60)


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from mnist_helpers.cli import app; app(['app', '--port', '0'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install 'mnist-helpers[serve]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_checkpoint_is_one_sentence() -> None:
    from typer.testing import CliRunner

    done = CliRunner().invoke(command_line, ["app", "--checkpoint", "absent.pt"])
    assert done.exit_code == 1 and "there is no checkpoint absent.pt" in done.output


def test_images_that_wait_are_read_together() -> None:
    sizes: list[int] = []
    go_on = threading.Event()

    def read(images: np.ndarray) -> np.ndarray:
        assert go_on.wait(60)
        sizes.append(len(images))
        return np.eye(10, dtype=np.float32)[images[:, 0, 0]]

    def preprocess(upload: bytes) -> np.ndarray:
        return np.full((28, 28), upload[0], np.uint8)

    async def crowd(max_batch_size: int) -> list[int]:
        async with MicroBatcher(preprocess, read, max_batch_size, capacity=100) as batcher:
            waiting = [asyncio.create_task(batcher.predict([bytes([n % 10])])) for n in range(50)]
            await asyncio.sleep(0.2)
            go_on.set()
            return [(await one)[0].digit for one in waiting]

    assert asyncio.run(crowd(256)) == [n % 10 for n in range(50)]
    assert sum(sizes) == 50 and len(sizes) <= 5, sizes
    sizes.clear()
    assert asyncio.run(crowd(1)) == [n % 10 for n in range(50)]
    assert sizes == [1] * 50


def test_a_failing_network_is_told_to_those_who_wait_and_the_next_are_served() -> None:
    def read(images: np.ndarray) -> np.ndarray:
        if images.max() == 9:
            raise MemoryError("no room")
        return np.eye(10, dtype=np.float32)[images[:, 0, 0]]

    async def two() -> None:
        async with MicroBatcher(lambda b: np.full((28, 28), b[0], np.uint8), read) as batcher:
            with pytest.raises(NetworkError, match="MemoryError: no room"):
                await batcher.predict([b"\x09"])
            assert (await batcher.predict([b"\x05"]))[0].digit == 5
            assert batcher.in_flight == 0
            batcher.capacity = 1
            with pytest.raises(OverloadedError):
                await batcher.predict([b"\x01", b"\x02"])

    asyncio.run(two())


@pytest.mark.load
def test_fifty_clients_get_five_thousand_right_answers() -> None:
    drawings = [
        draw_strokes(pen_strokes(digit, "round", variation=variation))
        for digit in range(10)
        for variation in range(5)
    ]
    images = np.stack([to_mnist(drawing) for drawing in drawings])
    right = MNISTPredictor(device="cpu").predict_proba(images).argmax(1).tolist()
    files = [encode_png(image) for image in images]
    with load.server(max_batch_size=256) as address:
        result = asyncio.run(load.load_test(address, files, right, requests=5000, clients=50))
    assert result["errors"] == result["wrong"] == 0
    assert 0 < result["p50"] <= result["p95"] and result["per_second"] > 0


def test_the_page_draws_as_python_does() -> None:
    strokes = pen_strokes(3, "round")
    content = draw_sheet(json.dumps([stroke.tolist() for stroke in strokes]))
    assert np.array_equal(to_mnist(content), to_mnist(draw_strokes(strokes)))
    assert draw_sheet("[]") is None and draw_sheet("[[]]") is None
    for bad in ("{", "[[1]]", '[["a", "b"]]', "[[[NaN, 1]]]", json.dumps([[[1, 2]] * 30_000])):
        with pytest.raises(Exception, match="points"):
            draw_sheet(bad)


def archive(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as writer:
        for name, content in entries.items():
            writer.writestr(name, content)
    return file.getvalue()


def test_an_archive_is_read_and_never_unpacked(tmp_path: Path) -> None:
    content = archive(
        {"a/3.png": png(3), "a/.DS_Store": b"x", "__MACOSX/a/3.png": b"x", "bad.png": b"x"}
    )
    (tmp_path / "many.zip").write_bytes(content)
    (tmp_path / "=8.png").write_bytes(png(8))
    paths = [str(tmp_path / "many.zip"), str(tmp_path / "=8.png")]
    table, csv = predict_uploads(MNISTPredictor(), paths, Limits(), tmp_path)
    assert table["image"].tolist() == ["a/3.png", "bad.png", "=8.png"]
    assert table["digit"].tolist()[0] == 3 and table["digit"].tolist()[2] == 8
    assert "not an image" in table["error"][1]
    rows = Path(csv).read_text().splitlines()
    assert rows[0] == "image,digit,confidence,confident,error"
    assert rows[1].startswith("a/3.png,3,0.9") and rows[1].endswith(",yes,")  # digits stay whole
    assert rows[2].startswith("bad.png,,,,") and rows[3].startswith("'=8.png,8,0.9")


def test_the_table_shows_failures_first_and_what_the_network_saw(tmp_path: Path) -> None:
    (tmp_path / "many.zip").write_bytes(archive({"a.png": png(3), "<b>.png": b"x"}))
    table, _ = predict_uploads(MNISTPredictor(), [str(tmp_path / "many.zip")], Limits(), tmp_path)
    shown = table_html(table)
    assert "2 images: 1 failed, 0 not confident." in shown and shown.count("<img ") == 1
    assert shown.index("&lt;b&gt;.png") < shown.index("a.png</th>"), (
        "in the file's order it is last"
    )


def test_the_table_rounds_after_it_has_asked_what_is_confident(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    probs = np.full((1, 10), (1 - 0.8999999) / 9)
    probs[0, 4] = 0.8999999
    monkeypatch.setattr(MNISTPredictor, "predict_proba", lambda *_: probs)
    (tmp_path / "4.png").write_bytes(png(4))
    table, _ = predict_uploads(MNISTPredictor(), [str(tmp_path / "4.png")], Limits(), tmp_path)
    assert table["confidence"][0] == 0.9 and table["confident"][0] == "no"


FORMULAS = [
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\n=1",
    "\r\n =1",
    "\ufeff=1",
    "  =1",
    "\u00a0=1",
    "'=1",
    "''=1",
    "＝1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_takes_a_name_for_a_formula(text: str) -> None:
    escaped = escape_formula(text)
    assert escaped == f"'{text}" and unescape_formula(escaped) == text


@pytest.mark.parametrize("text", ["a.png", "a=b", "'a'", "", "2026", "é.png", "class/-3.png"])
def test_other_names_stay_as_they_are(text: str) -> None:
    assert escape_formula(text) == text == unescape_formula(text)


def test_a_visitor_may_not_send_what_is_no_number_of_an_example() -> None:
    assert chosen_example("2") == 2
    for bad in ("x", "", "6", "-1", "99999999999999999999", "²"):
        with pytest.raises(Exception, match="example"):
            chosen_example(bad)


@pytest.mark.parametrize(
    "name",
    ["../3.png", "/etc/3.png", "a/../../3.png", "C:\\3.png", "..\\3.png", ".", ".\\", "\0.png"],
)
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path: Path, name: str) -> None:
    content = archive({"1.png": png(1), name.replace("\0", "0"): png(3)})
    (tmp_path / "x.zip").write_bytes(content.replace(b"0.png", b"\0.png"))  # zipfile cuts it there
    ((shown, error),) = uploaded_images([str(tmp_path / "x.zip")], Limits())
    assert shown == "x.zip" and "leads out of it" in str(error)


def test_zip_bombs_and_damaged_archives_are_refused(tmp_path: Path) -> None:
    zeros = b"\0" * (11 * SMALL.bytes)
    (tmp_path / "bomb.zip").write_bytes(archive({"0.png": zeros}))
    ((_, error),) = uploaded_images([str(tmp_path / "bomb.zip")], SMALL)
    assert "would unpack to" in str(error)
    content = archive({"0.png": zeros})
    lying = content.replace(struct.pack("<I", len(zeros)), struct.pack("<I", 100))
    (tmp_path / "liar.zip").write_bytes(lying)
    found = list(uploaded_images([str(tmp_path / "liar.zip")], SMALL))
    assert found and all(not isinstance(what, bytes) or len(what) <= 100 for _, what in found)
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2] + content[-60:])
    assert all(
        isinstance(what, (ValueError, bytes))
        for _, what in uploaded_images([str(tmp_path / "cut.zip")], Limits())
    )
    (tmp_path / "many.zip").write_bytes(archive({f"{n}.png": png() for n in range(9)}))
    found = list(uploaded_images([str(tmp_path / "many.zip")], SMALL))
    assert len(found) == SMALL.images + 1 and "more than 5" in str(found[-1][1])
    few = Limits(megapixels_together=0.02)  # an upload may have ten times as many
    found = list(uploaded_images([str(tmp_path / "many.zip")], few))
    assert len(found) == 3 and "more than 0.2 million pixels" in str(found[-1][1])


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_image_in_an_archive_is_a_row_and_the_rest_is_read(
    tmp_path: Path, method: int
) -> None:
    bitmap = io.BytesIO()
    draw_strokes(pen_strokes(8)).convert("L").save(bitmap, "BMP")
    whole = archive({"3.png": png(3), "8.bmp": bitmap.getvalue(), "5.png": png(5)}, method)
    start = whole.index(b"8.bmp") + len(b"8.bmp")
    rng = np.random.default_rng(0)
    path = tmp_path / "many.zip"
    for _ in range(20):  # damage of many kinds
        at = start + int(rng.integers(100))
        path.write_bytes(whole[:at] + rng.bytes(8) + whole[at + 8 :])
        table, _ = predict_uploads(MNISTPredictor(), [str(path)], Limits(), tmp_path)
        assert table["image"].tolist() == ["3.png", "8.bmp", "5.png"]
        assert table["digit"].tolist()[::2] == [3, 5] and table["error"].tolist()[::2] == ["", ""]
        assert table["error"][1].startswith("it cannot be unpacked: ")


@pytest.mark.parametrize("entries", [{}, {"a/": b""}, {"__MACOSX/3.png": b"x", ".DS_Store": b"x"}])
def test_an_archive_without_images_says_so(tmp_path: Path, entries: dict[str, bytes]) -> None:
    (tmp_path / "none.zip").write_bytes(archive(entries))
    table, _ = predict_uploads(MNISTPredictor(), [str(tmp_path / "none.zip")], Limits(), tmp_path)
    assert table["image"].tolist() == ["none.zip"]
    assert table["error"].tolist() == ["none.zip is refused: no image is in it"]


schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(page=False))


@schema.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_the_api_keeps_what_its_description_promises(case: schemathesis.Case) -> None:
    # Whether a string is an image is more than a schema can say: 400 is a right answer too.
    schemathesis.checks.load_all_checks()
    checks = schemathesis.checks.CHECKS.get_all()
    too_strict = [check for check in checks if check.__name__ == "positive_data_acceptance"]
    assert too_strict
    case.call_and_validate(excluded_checks=too_strict)
