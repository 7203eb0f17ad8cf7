"""Feed the readers with damaged files until one of them breaks: coverage-guided fuzzing.

    pip install atheris                               # Linux, with Python 3.11 to 3.13
    python tools/fuzz.py image --seconds 150        # or another of its targets: --help

A reader may refuse a file with `ValueError` or `OSError`, and with nothing else; the server answers
any body without an error of its own. What breaks one is written to ``tests/fuzz/TARGET/``, where
``tests/test_fuzz.py`` tries it ever after.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import importlib
import inspect
import io
import json
import pickle
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "fuzz"
LARGEST = 4096  # bytes of an input; the seeds are smaller
FOLDERS = {"pickle": "mnist.pkl", "npz": "mnist.npz"}  # read as what is in a folder
EXPECTED = {200, 400, 413, 415, 422}  # status of an answer; 500 would be the server's own fault
BOUNDARY = b"B"  # of the forms


def targets() -> dict[str, Callable[[bytes], object]]:
    """Return each reader, as a function of a file's content."""
    from mnist_helpers.checkpoints import load_checkpoint
    from mnist_helpers.data import arrays, load_csv, read_idx
    from mnist_helpers.onnx import OnnxNetwork
    from mnist_helpers.preprocess import to_mnist

    def from_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
        def from_content(content: bytes) -> object:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                path.write_bytes(content)
                return read(path)

        return from_content

    def from_folder(name: str) -> Callable[[bytes], object]:
        read = getattr(arrays, f"read_{name}_folder")
        return from_file(lambda path: read(path.parent), FOLDERS[name])

    return {
        "image": to_mnist,
        "idx": from_file(read_idx, "t10k-images-idx3-ubyte"),
        "idx_gz": from_file(read_idx, "t10k-images-idx3-ubyte.gz"),
        "csv": from_file(load_csv, "train.csv"),
        "checkpoint": from_file(load_checkpoint, "net.pt"),
        "safetensors": from_file(load_checkpoint, "net.safetensors"),
        "onnx": from_file(OnnxNetwork, "net.onnx"),
        **{name: from_folder(name) for name in FOLDERS},
        "parquet": from_file(lambda path: arrays._read_parquet([path]), "train.parquet"),
        "zip": from_file(_images_in, "images.zip"),
        "json": partial(_post, b"application/json"),
        "form": partial(_post, b"multipart/form-data; boundary=" + BOUNDARY),
        "body": lambda content: _post(*content.partition(b"\n")[::2]),
    }


def _images_in(path: Path) -> None:
    """Predict nothing, but unpack and preprocess the images in an archive, as the page does."""
    from mnist_helpers.serve.archives import uploaded_images
    from mnist_helpers.serve.uploads import Limits, preprocess_upload

    for _, found in uploaded_images([str(path)], Limits()):
        if isinstance(found, bytes):
            attempt(partial(preprocess_upload, limits=Limits()), found)


@cache
def _server() -> tuple[asyncio.AbstractEventLoop, Any, Any]:
    """Start the REST interface, in this process and without a network."""
    from mnist_helpers.serve.app import create_app

    loop, app = asyncio.new_event_loop(), create_app(page=False)
    lifespan = app.router.lifespan_context(app)
    loop.run_until_complete(lifespan.__aenter__())
    return loop, app, lifespan  # which would end with its last reference


def _post(kind: bytes, body: bytes) -> None:
    """Send a body of some content type to the server, and look at its answer."""
    loop, app, _ = _server()
    sent: list[dict[str, Any]] = []
    sending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not sending:
            await asyncio.Event().wait()  # for the client to leave
        return sending.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict/batch", "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost"), (b"content-type", kind)]}
    loop.run_until_complete(app(scope, receive, send))
    answer = b"".join(message.get("body", b"") for message in sent)
    if sent[0]["status"] not in EXPECTED:
        raise AssertionError(f"{sent[0]['status']}: {answer[:500]!r}")
    json.loads(answer)


def seeds() -> dict[str, list[bytes]]:
    """Return whole files of each kind to begin with, as small as they can be."""
    import torch
    from safetensors.torch import save

    from mnist_helpers.strokes import draw_strokes, pen_strokes

    drawing = draw_strokes(pen_strokes(7, "round", 24), 24, 3)
    images = []
    for kind, mode in (
        ("PNG", "L"),
        ("PNG", "RGBA"),
        ("JPEG", "L"),
        ("GIF", "P"),
        ("BMP", "L"),
        ("AVIF", "L"),
    ):
        file = io.BytesIO()
        drawing.convert(mode).save(file, kind)
        images.append(file.getvalue())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("7/a.png", images[0])
        packed.writestr("b.gif", images[3])
    idx = struct.pack(">IIII", 2051, 2, 28, 28) + bytes(2 * 784)
    labels = struct.pack(">II", 2049, 3) + bytes([1, 2, 3])
    header = "label," + ",".join(f"pixel{number}" for number in range(784))
    table = f"{header}\n7,{','.join(['0'] * 784)}\n".encode()
    weights = {"layer.weight": torch.zeros(2, 3), "layer.bias": torch.zeros(2)}
    file = io.BytesIO()
    torch.save(weights, file)
    old = io.BytesIO()
    torch.save(weights, old, _use_new_zipfile_serialization=False)
    assert np.asarray(Image.open(io.BytesIO(images[0]))).shape == (24, 24)
    return {
        "image": images,
        "idx": [idx, labels],
        "idx_gz": [gzip.compress(idx), gzip.compress(labels)],
        "csv": [table, table.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + table],
        "checkpoint": [file.getvalue(), old.getvalue()],
        "safetensors": [save(weights)],
        "onnx": [_onnx()],
        **_arrays(),
        "zip": [archive.getvalue()],
        **_bodies(images[0]),
    }


def _onnx() -> bytes:
    """Return a network as ONNX that is as small as it can be."""
    from onnx import TensorProto, helper, numpy_helper

    shape = numpy_helper.from_array(np.array([-1, 784]), "shape")
    weights = numpy_helper.from_array(np.ones((784, 10), np.float32) / 784, "weights")
    nodes = [
        helper.make_node("Reshape", ["images", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 28, 28])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "small", [image], [logits], [shape, weights])
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def _arrays() -> dict[str, list[bytes]]:
    """Return MNIST of one image as Keras, Nielsen and Hugging Face keep it."""
    import pandas as pd

    image, label = np.zeros((1, 28, 28), np.uint8), np.ones(1, np.uint8)
    names = ("x_train", "y_train", "x_test", "y_test")
    npz, png, table = io.BytesIO(), io.BytesIO(), io.BytesIO()
    arrays: dict[str, Any] = dict(zip(names, (image, label) * 2, strict=True))
    np.savez_compressed(npz, **arrays)
    split = (image.reshape(1, 784) / np.float32(255), label.astype(np.int64))
    Image.fromarray(image[0]).save(png, "PNG")
    rows = {"image": [{"bytes": png.getvalue(), "path": None}], "label": [1]}
    pd.DataFrame(rows).to_parquet(table)
    return {
        "npz": [npz.getvalue()],
        "pickle": [pickle.dumps((split, split, split), protocol=2)],
        "parquet": [table.getvalue()],
    }


def _bodies(png: bytes) -> dict[str, list[bytes]]:
    """Return bodies of requests with two images."""
    text = base64.b64encode(png).decode()
    part = b'--B\r\nContent-Disposition: form-data; name="files"; filename="7.png"\r\n\r\n'
    form = (part + png + b"\r\n") * 2 + b"--B--\r\n"
    content = json.dumps({"images": [text, f"data:image/png;base64,{text}"]}).encode()
    return {
        "json": [content],
        "form": [form],
        "body": [
            b"application/json\n" + content,
            b"multipart/form-data; boundary=B; charset=utf-8\n" + form,
        ],
    }


def attempt(read: Callable[[bytes], object], content: bytes) -> None:
    """Read, and let a clear refusal pass."""
    try:
        read(content)
    except (ValueError, OSError) as error:
        if not str(error):
            raise AssertionError("a refusal without a word") from error


def instrument(*modules: str) -> None:
    """Let the fuzzer see which branches of modules' functions and methods are taken."""
    import atheris

    for module in map(importlib.import_module, modules):
        owners: list[Any] = [module]
        owners += [o for o in vars(module).values() if inspect.isclass(o)]
        for owner in owners:
            for name, function in list(vars(owner).items()):
                own = inspect.isfunction(function) and function.__module__ == module.__name__
                if own and not hasattr(function, "__wrapped__"):
                    setattr(owner, name, atheris.instrument_func(function))


def fuzz(target: str, seconds: int) -> None:
    """Fuzz one reader; write what breaks it to the corpus."""
    import atheris

    instrument("mnist_helpers.decode", "mnist_helpers.image_files", "mnist_helpers.avif_files")
    instrument("mnist_helpers.segment", "mnist_helpers.lines")
    instrument("mnist_helpers.data.arrays", "mnist_helpers.data.unpickle")
    instrument("mnist_helpers.serve.uploads", "mnist_helpers.serve.archives")
    instrument("mnist_helpers.data.tables", "mnist_helpers.data.idx", "mnist_helpers.data.packed")
    instrument("mnist_helpers.checkpoints", "mnist_helpers.weight_files", "mnist_helpers.onnx")
    instrument("PIL.Image", "PIL.ImageFile", "PIL.PngImagePlugin", "PIL.GifImagePlugin")
    read = targets()[target]
    for content in seeds()[target]:  # what is imported with the first of them takes its time
        attempt(read, content)
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as beginning:
        for number, content in enumerate(seeds()[target]):
            (Path(beginning) / f"seed{number}").write_bytes(content)
        options = [f"-max_total_time={seconds}", f"-max_len={2 * LARGEST}", "-timeout=60"]
        options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=8000", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], beginning, *options], lambda data: attempt(read, data))
        atheris.Fuzz()


def main() -> None:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=list(targets()))
    parser.add_argument("--seconds", type=int, default=150)
    given = parser.parse_args()
    fuzz(given.target, given.seconds)


if __name__ == "__main__":
    main()
