"""One image predicted in every way: alone, in a folder, over HTTP. All say the same."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from fastapi.testclient import TestClient

from mnist_helpers import MNISTPredictor
from mnist_helpers.batch import BatchProcessor
from mnist_helpers.serve.app import create_app
from mnist_helpers.strokes import draw_strokes

FORMATS = ("PNG", "BMP", "TIFF", "JPEG")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(page=False, device="cpu")) as client:
        yield client


@pytest.fixture(scope="module")
def predictor() -> MNISTPredictor:
    return MNISTPredictor(device="cpu")


@st.composite
def images(draw: st.DrawFn) -> tuple[str, bytes]:
    """Strokes anywhere, in any ink on any paper, or noise, or nothing at all."""
    side = draw(st.integers(5, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 4))
    strokes = [rng.uniform(0, side, (draw(st.integers(1, 6)), 2)) for _ in range(count)]
    ink, paper = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    drawing = draw_strokes(strokes, side, draw(st.integers(1, 20)), ink=ink, paper=paper)
    noisy = np.asarray(drawing, np.float32) + rng.normal(
        0, draw(st.sampled_from([0, 9])), (side,) * 2
    )
    kind = draw(st.sampled_from(FORMATS))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, kind)
    return f".{kind.lower()}", file.getvalue()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(images(), min_size=1, max_size=4))
def test_alone_in_a_folder_and_over_http_an_image_is_predicted_alike(
    sent: list[tuple[str, bytes]],
    predictor: MNISTPredictor,
    client: TestClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, out = (tmp_path_factory.mktemp(name) for name in ("images", "out"))
    paths = [folder / f"{number}{ending}" for number, (ending, _) in enumerate(sent)]
    for path, (_, content) in zip(paths, sent, strict=True):
        path.write_bytes(content)
    alone = [predicted_alone(predictor, path) for path in paths]
    rows = BatchProcessor(predictor, out).process_folder(folder, labels=None).rows()
    in_folder = {row["file"]: row for row in rows}
    texts = [base64.b64encode(content).decode() for _, content in sent]
    together = client.post("/predict/batch", json={"images": texts}).json()["answers"]
    for path, (digit, confidence), over_http, (_, content) in zip(
        paths, alone, together, sent, strict=True
    ):
        row = in_folder[path.name]
        single = client.post("/predict", files={"file": content})
        if digit is None:
            assert row["digit"] is None and row["error"]
            assert over_http["answer"] is None and over_http["error"]
            assert single.status_code == 400
            continue
        answers = [over_http["answer"], single.json()]
        assert [row["digit"], *(answer["digit"] for answer in answers)] == [digit] * 3
        found = [row["confidence"], *(answer["confidence"] for answer in answers)]
        np.testing.assert_allclose(found, confidence, atol=2e-5)


def predicted_alone(predictor: MNISTPredictor, path: Path) -> tuple[int | None, float]:
    """Return digit and confidence, or None for what is refused."""
    try:
        prediction = predictor.predict(path)
    except ValueError:
        return None, 0.0
    return prediction.digit, prediction.confidence
