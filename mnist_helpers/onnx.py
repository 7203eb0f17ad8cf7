"""Take a trained network along as ONNX, and run it with ONNX Runtime instead of PyTorch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .files import atomic_write
from .models import Normalize
from .runtime import NEEDED, end_before_fork, saved_about, start_session
from .wrapping import are_probabilities, trial_images, wrap_model

OPSET = 18  # known to ONNX Runtime since 1.14, and to onnxruntime-web
LARGEST = 2**31  # bytes: protobuf, of which ONNX files are made, ends there
MAX_NODES = 100_000  # of a network, functions that call functions counted as often as they are used
OPERATORS = {  # of networks like ours and their exporters; none repeats
    *("Add", "AveragePool", "BatchNormalization", "Cast", "CastLike", "Clip", "Concat", "Constant"),
    *("Conv", "Div", "Dropout", "Elu", "Exp", "Flatten", "Gather", "Gelu", "Gemm", "HardSigmoid"),
    *("GlobalAveragePool", "GlobalMaxPool", "HardSwish", "Identity", "LayerNormalization"),
    *("LeakyRelu", "Log", "LogSoftmax", "MatMul", "MaxPool", "Mul", "Neg", "PRelu", "ReduceMax"),
    *("ReduceMean", "ReduceSum", "Relu", "Reshape", "Selu", "Shape", "Sigmoid", "Softmax"),
    *("Softplus", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze"),
}
FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def export_onnx(model: nn.Module, path: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write a network as ONNX: uint8 images ``[N, 1, 28, 28]`` in, float32 logits ``[N, 10]`` out.

    N is free, and normalizing is a part of the network, as in PyTorch.

    Parameters
    ----------
    model : nn.Module
        On the CPU, in evaluation mode: of `build_model`, or one of your own; see `wrap_model`.
    path : path
        Replaced atomically.
    about : dict, default=None
        Plain values to keep with it, such as ``model`` and ``temperature``.

    Raises
    ------
    ImportError
        If the extra ``serve`` is not installed; the message says how to install it.
    ValueError
        If the network is in training mode: dropout and BatchNorm would be exported so. Or if it
        comes from an ONNX file.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - what PyTorch's exporter writes with
    except ImportError as error:
        raise ImportError(NEEDED) from error
    if isinstance(model, OnnxNetwork):
        raise ValueError("the network comes from an ONNX file: copy that instead of exporting it")
    if model.training:
        raise ValueError("the network is in training mode: call model.eval() before exporting")
    model = wrap_model(model)
    with torch.inference_mode():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 1, 28, 28, dtype=torch.uint8),),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "dynamo=True returns a program"
    content = program.model_proto
    graph = content.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]  # the exporter's stack traces, with the paths of this machine
    onnx.checker.check_model(content)
    onnx.helper.set_model_props(content, {"mnist_helpers": json.dumps(about or {})})
    with atomic_write(path) as part:
        part.write_bytes(content.SerializeToString())


class OnnxNetwork(nn.Module):
    """A network in an ONNX file, to be called like one of PyTorch's.

    Parameters
    ----------
    path : path
        Written by `export_onnx`; or any other network that takes images of 28×28 in one channel,
        uint8 or float, one at a time or many, and returns ten numbers for each: logits, log-softmax
        or softmax.
    operators : iterable of str, default=()
        Names of ONNX operators that the network may use besides `OPERATORS`. Each could make a file
        that somebody else has made take all memory, or never end.

    Attributes
    ----------
    about : dict
        What `export_onnx` was given to keep with it.
    normalize : Normalize or None
        Comes before a network with float input: MNIST's, unless `wrap_model` is asked for another.

    Raises
    ------
    ImportError
        If the extra ``serve`` is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no ONNX file, or a network of another kind; if it uses other operators, or keeps
        its weights in another file than ``NAME.onnx.data`` beside it.
    """

    normalizes_itself = True  # see wrap_model
    content: Tensor

    def __init__(self, path: str | Path, operators: Iterable[str] = ()) -> None:
        super().__init__()
        path = Path(path)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} is not an ONNX network: it has more than {LARGEST:,} bytes")
        content = _checked_content(path, OPERATORS | set(operators))
        session = start_session(content, path)
        self.session: Any = session  # None: to be started, see _running
        end_before_fork(self)
        self.batch_size, self.image_shape = _input_shape(session, path)
        self.output = _output_name(session, path)
        is_float = session.get_inputs()[0].type in FLOATS
        self.normalize = Normalize() if is_float else None
        self.gives_probabilities = False
        self.about = saved_about(session, path)
        self.register_buffer("content", torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
        images = trial_images(torch.device("cpu")).numpy()
        try:
            self.gives_probabilities = are_probabilities(torch.from_numpy(self.logits(images)))
        except Exception as error:  # onnxruntime has a class of exceptions for each kind of failure
            raise ValueError(f"{path} is not an ONNX network that can be run: {error}") from error

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, 10]`` for images ``[N, 1, 28, 28]``, the logits on the CPU."""
        return torch.from_numpy(self.logits(images.cpu().numpy()))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return what calling the network does, from array to array and without PyTorch."""
        session = self._running()
        entry = session.get_inputs()[0]
        pixels = images
        if self.normalize is not None:
            pixels = images / np.float32(255) if images.dtype == np.uint8 else images
            mean, std = self.normalize.mean.item(), self.normalize.std.item()
            pixels = ((pixels - np.float32(mean)) / np.float32(std)).astype(FLOATS[entry.type])
        pixels = pixels.reshape(-1, *self.image_shape)
        if self.batch_size is None:
            outputs = session.run([self.output], {entry.name: pixels})[0]
        else:
            outputs = self._in_batches(session, entry.name, pixels, self.batch_size)
        if outputs.shape != (len(images), 10):
            raise ValueError(
                f"the ONNX network returned {list(outputs.shape)} for {len(images)} images: "
                f"expected [{len(images)}, 10]"
            )
        outputs = outputs.astype(np.float32, copy=False)
        if self.gives_probabilities:  # of which the logarithms are logits
            outputs = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
        return outputs

    def _in_batches(self, session: Any, name: str, pixels: np.ndarray, size: int) -> np.ndarray:
        """Run a network that takes a fixed number of images at a time."""
        count = len(pixels)
        padded = np.concatenate(
            [pixels, np.zeros((-count % size, *self.image_shape), pixels.dtype)]
        )
        outputs = [
            session.run([self.output], {name: padded[start : start + size]})[0]
            for start in range(0, len(padded), size)
        ]
        if not outputs:
            return np.zeros((0, 10), np.float32)
        return np.concatenate([output.reshape(-1, output.shape[-1]) for output in outputs])[:count]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs: the file's content, not the session."""
        return {**self.__dict__, "session": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        end_before_fork(self)

    def _running(self) -> Any:
        """Return the session, started again in a copy and after a fork."""
        session = self.session
        if session is None:
            content = self.content.cpu().numpy().tobytes()
            self.session = session = start_session(content, Path("the network's copy"))
        return session


def _checked_content(path: Path, operators: set[str]) -> bytes:
    """Return an ONNX file's content, if it asks for nothing but computing a network like ours."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(NEEDED) from error
    content = path.read_bytes()
    try:
        network = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises anything
        raise ValueError(f"{path} is not an ONNX network: {error}") from error
    parts = [network.graph, *network.functions]
    own = {(f.domain, f.name) for f in network.functions if f.domain not in ("", "ai.onnx")}
    if _count_nodes(network) > MAX_NODES:
        raise ValueError(f"{path} is no network for MNIST: it has more than {MAX_NODES:,} nodes")
    nodes = [node for part in parts for node in part.node]
    used = {node.op_type for node in nodes if (node.domain, node.op_type) not in own}
    others = sorted(used - operators)
    if others:
        raise ValueError(
            f"{path} uses the ONNX operators {', '.join(others)}, which networks for MNIST do not "
            "need and which could make it take all memory or never end. If you trust it: "
            f"MNISTPredictor(model=OnnxNetwork({str(path)!r}, operators={others}))"
        )
    attributes = [attribute for node in nodes for attribute in node.attribute]
    tensors = [*network.graph.initializer, *(a.t for a in attributes if a.HasField("t"))]
    external = [t for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL]
    if external:
        _inline_weights(external, path)
        content = network.SerializeToString()
    return content


def _count_nodes(network: Any) -> int:
    """Return how many nodes a network has once its own functions stand where they are called."""
    functions = {(f.domain, f.name): f.node for f in network.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[Any]) -> int:
        return sum(counts.get((node.domain, node.op_type), 1) for node in nodes)

    while (new := {name: count(nodes) for name, nodes in functions.items()}) != counts:
        counts = new
        if max(counts.values()) > MAX_NODES:  # one that calls itself comes here, too
            break
    return max(count(network.graph.node), *counts.values(), 0)


def _inline_weights(tensors: Iterable[Any], path: Path) -> None:
    """Read weights that PyTorch's exporter puts into ``NAME.onnx.data`` beside the network."""
    beside = path.with_name(f"{path.name}.data")
    for tensor in tensors:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries.get("location") != beside.name or beside.is_symlink():
            raise ValueError(
                f"{path} keeps weights in the file {entries.get('location')!r}, which is not read: "
                "make one file of both with onnx.save(onnx.load(path), new_path)"
            )
        if not beside.is_file():
            raise ValueError(f"{path} keeps its weights in {beside.name}, which is not beside it")
        size = beside.stat().st_size
        try:
            start = int(entries.get("offset", 0))
            length = int(entries.get("length", size - start))
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if start < 0 or length < 0 or start + length > size:
            raise ValueError(f"{beside} is not whole: {path.name} needs {start + length:,} bytes")
        with beside.open("rb") as file:
            file.seek(start)
            tensor.raw_data = file.read(length)
        tensor.data_location = 0  # TensorProto.DEFAULT
        del tensor.external_data[:]


def _input_shape(session: Any, path: Path) -> tuple[int | None, tuple[int, ...]]:
    """Return how many images a network takes (None: any number), and the shape of one."""
    inputs = session.get_inputs()
    first = inputs[0] if inputs else None
    shape = list(first.shape) if first else []
    sizes = [size if isinstance(size, int) else None for size in shape]
    if len(sizes) == 4 and None in sizes[1:]:  # a free height and width
        sizes[1:] = [known or usual for known, usual in zip(sizes[1:], (1, 28, 28), strict=True)]
    one = sizes[1:]
    fits = len(inputs) == 1 and one and None not in one and prod(one) == 784  # type: ignore[arg-type]
    if not fits or first is None or first.type not in {"tensor(uint8)", *FLOATS}:
        found = [(end.name, end.type, end.shape) for end in inputs]
        raise ValueError(
            f"{path} is a network of another kind: expected one input, images [N, 1, 28, 28] of "
            f"uint8 or float, found {found}"
        )
    return sizes[0] or None, tuple(one)  # type: ignore[arg-type]


def _output_name(session: Any, path: Path) -> str:
    """Return the output that holds ten numbers for each image."""
    outputs = session.get_outputs()
    fitting = [end.name for end in outputs if end.type in FLOATS and _fits_ten_classes(end.shape)]
    if len(fitting) != 1:
        found = [(end.name, end.type, end.shape) for end in outputs]
        raise ValueError(
            f"{path} is a network of another kind: expected one output, float logits [N, 10], "
            f"found {found}"
        )
    return fitting[0]


def _fits_ten_classes(shape: list[Any]) -> bool:
    """Whether an output's shape is [N, 10], as far as it is known."""
    return not shape or (len(shape) == 2 and (shape[1] == 10 or not isinstance(shape[1], int)))
