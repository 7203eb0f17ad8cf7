"""Numbers and photographed sheets over HTTP: answers, refusals, limits."""

from __future__ import annotations

import base64
import csv
import io
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mnist_helpers import MNISTPredictor, load_csv
from mnist_helpers.serve.app import create_app
from mnist_helpers.serve.uploads import Limits
from mnist_helpers.sheet import draw_sheet, fill_in, photograph, read_sheet
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.synthetic import synthetic_digits

LIMITS = Limits(megabytes=2, megapixels=1, megapixels_together=1.5, images=3, capacity=4)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def number() -> bytes:
    drawn = [np.asarray(draw_strokes(pen_strokes(int(digit), size=80), 80, 6)) for digit in "2026"]
    return encoded(np.hstack(drawn))


@pytest.fixture(scope="module")
def photo() -> bytes:
    page = fill_in(draw_sheet("=Ada", 2), synthetic_digits(60), 2, leave_out=[3], cross_out=[7])
    return encoded(photograph(page, (700, 930), noise=3.0), "JPEG")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(page=False, limits=LIMITS)) as client:
        yield client


def test_a_number_is_predicted_as_the_predictor_does(client: TestClient, number: bytes) -> None:
    expected = MNISTPredictor().predict_number(number)
    text = base64.b64encode(number).decode()
    answers = [
        client.post("/predict/number", files={"file": ("year.png", number)}),
        client.post("/predict/number", json={"image": text}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["text"] == expected.text == "2026"
        assert found["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert found["is_confident"] == expected.is_confident
        assert [tuple(digit["box"]) for digit in found["digits"]] == expected.boxes
        for digit, prediction in zip(found["digits"], expected.predictions, strict=True):
            assert digit["digit"] == prediction.digit
            assert np.allclose(digit["probabilities"], prediction.probs, atol=1e-5)


@pytest.mark.parametrize("path", ["/predict/number", "/sheet"])
def test_what_cannot_be_used_is_refused_as_for_one_digit(client: TestClient, path: str) -> None:
    field = "files" if path == "/sheet" else "file"
    large = encoded(np.full((900, 1200), 255, np.uint8))
    for content, words in (
        (b"GIF89a, or so it says", "not an image"),
        (b"%PDF-1.7", "is a PDF, not an image"),
        (large, "more than 1 million"),
    ):
        answer = client.post(path, files={field: ("x.png", content)})
        assert answer.status_code == 400 and words in answer.json()["detail"]
    assert client.post(path, content=b"x").status_code == 415
    assert client.post(path, files={"other": large}).status_code == 422
    assert client.post(path, files={field: bytes(LIMITS.bytes + 1)}).status_code == 413
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert f"http://testserver{path}" in answer.json()["detail"]


def test_a_network_that_fails_is_no_fault_of_the_number(
    number: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: MNISTPredictor, images: np.ndarray) -> np.ndarray:
        raise ValueError("not ten numbers")

    monkeypatch.setattr(MNISTPredictor, "predict_proba", failing)
    with TestClient(create_app(page=False)) as client:
        answer = client.post("/predict/number", files={"file": number})
        assert answer.status_code == 500 and "not ten numbers" in answer.json()["detail"]
        assert client.get("/health").json()["in_flight"] == 0


def test_numbers_count_as_images_in_flight(held, number: bytes) -> None:
    app = create_app(page=False, limits=Limits(capacity=1))
    with TestClient(app) as client, ThreadPoolExecutor() as pool:
        first = pool.submit(client.post, "/predict/number", files={"file": number})
        assert held.begun.wait(60)
        refused = client.post("/predict/number", files={"file": number})
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
        held.release.set()
        assert first.result().status_code == 200


def test_photographed_sheets_become_a_data_set(
    client: TestClient, photo: bytes, number: bytes, tmp_path: Path
) -> None:
    files = [("files", ("ada.jpg", photo)), ("files", ("=no sheet.png", number))]
    answer = client.post("/sheet", files=files)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip"
    assert 'filename="my_mnist.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "my_mnist"
    expected = read_sheet(photo)
    loaded = load_csv(folder / "digits.csv")
    assert loaded.labels.tolist() == expected.labels.tolist() and len(loaded) == 18
    assert np.array_equal(loaded.images, expected.images)
    assert {path.name for path in folder.iterdir()} == {
        *("MNIST", "digits.csv", "images", "crops", "origin.csv", "sheets.csv")
    }
    good, bad = csv.DictReader((folder / "sheets.csv").open(encoding="utf-8"))
    assert good["photo"] == "ada.jpg" and good["writer"] == "'=Ada", "no formula"
    assert [good[name] for name in ("digits", "empty", "crossed_out")] == ["18", "1", "1"]
    assert bad["photo"] == "'=no sheet.png" and "no marker of a sheet is seen" in bad["error"]


def test_what_was_found_on_sheets_as_json(client: TestClient, photo: bytes, number: bytes) -> None:
    texts = [base64.b64encode(content).decode() for content in (number, photo)]
    answer = client.post("/sheet", headers={"accept": "application/json"}, json={"images": texts})
    bad, good = answer.json()["sheets"]
    assert answer.json()["digits"] == good["digits"] == 18 and good["writer"] == "=Ada"
    assert good["counts"] == [2, 1, 2, 1, 2, 2, 2, 2, 2, 2]
    assert (good["empty"], good["crossed_out"], good["error"]) == ([3], [7], None)
    assert bad["name"] == "0" and bad["digits"] == 0 and "no marker" in bad["error"]


def test_photos_without_a_sheet_and_too_many_of_them(
    client: TestClient, photo: bytes, number: bytes
) -> None:
    files = [("files", (f"{name}.png", number)) for name in "ab"]
    answer = client.post("/sheet", files=files)
    assert answer.status_code == 400
    assert answer.json()["detail"].count("no marker of a sheet is seen") == 2
    assert client.post("/sheet", files=files * 2).status_code == 413
    answer = client.post("/sheet", files=[("files", photo)] * 3)
    assert answer.status_code == 413 and "million pixels together" in answer.json()["detail"]


def test_without_its_extra_a_sheet_is_answered_with_what_to_install(
    client: TestClient, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    answer = client.post("/sheet", files={"files": photo})
    assert answer.status_code == 501
    assert "pip install 'mnist-helpers[sheet]'" in answer.json()["detail"]
    assert sys.executable not in answer.json()["detail"]
