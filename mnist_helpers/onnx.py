"""Take a trained network along as ONNX, and run it with ONNX Runtime instead of PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .paths import replacing

OPSET = 18  # known to ONNX Runtime since 1.14, and to onnxruntime-web
LARGEST = 2**31  # bytes: protobuf, of which ONNX files are made, ends there
NEEDED = "ONNX needs the extra `serve`: pip install 'mnist-helpers[serve]'"


def export_onnx(model: nn.Module, path: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write a network as ONNX: uint8 images ``[N, 1, 28, 28]`` in, float32 logits ``[N, 10]`` out.

    N is free, and normalising is a part of the network, as in PyTorch.

    Parameters
    ----------
    model : nn.Module
        On the CPU, in evaluation mode.
    path : path
        Replaced atomically.
    about : dict, optional
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
    with torch.inference_mode():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 1, 28, 28, dtype=torch.uint8),),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("pictures")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    content = program.model_proto
    onnx.checker.check_model(content)
    onnx.helper.set_model_props(content, {"mnist_helpers": json.dumps(about or {})})
    with replacing(path) as part:
        part.write_bytes(content.SerializeToString())


class OnnxNetwork(nn.Module):
    """A network in an ONNX file, to be called like one of PyTorch's.

    Parameters
    ----------
    path : path
        Written by `export_onnx`, or any other with the same input and output.

    Attributes
    ----------
    about : dict
        What `export_onnx` was given to keep with it.

    Raises
    ------
    ImportError
        If the extra ``serve`` is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no ONNX file, a network of another kind, or one with a fixed batch size.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        if Path(path).stat().st_size > LARGEST:
            raise ValueError(f"{path} is not an ONNX network: it has more than {LARGEST:,} bytes")
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(NEEDED) from error
        content = Path(path).read_bytes()
        try:
            self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of exceptions for each kind of damage
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{path} is not an ONNX network that can be run: {reason}") from error
        shapes = [
            [(end.type, end.shape[1:]) for end in ends]
            for ends in (self.session.get_inputs(), self.session.get_outputs())
        ]
        if shapes != [[("tensor(uint8)", [1, 28, 28])], [("tensor(float)", [10])]]:
            raise ValueError(
                f"{path} is a network of another kind: expected uint8 images [N, 1, 28, 28] in and "
                f"float logits [N, 10] out, found {shapes}"
            )
        together = self.session.get_inputs()[0].shape[0]
        if isinstance(together, int):  # a free size is a name, or None
            raise ValueError(
                f"{path} has a fixed batch size of {together}: expected images [N, 1, 28, 28] with "
                "any N, export it anew with a free first dimension"
            )
        self.about = _about(self.session.get_modelmeta().custom_metadata_map, path)
        self.register_buffer("content", torch.from_numpy(np.frombuffer(content, np.uint8).copy()))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, 10]`` for uint8 images ``[N, 1, 28, 28]``, the logits on the CPU."""
        return torch.from_numpy(self.logits(images.cpu().numpy()))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return what calling the network does, from array to array and without PyTorch."""
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: images})[0]


def _about(metadata: dict[str, str], path: str | Path) -> dict[str, Any]:
    """Return what was kept with the network, if anything was."""
    try:
        about = json.loads(metadata.get("mnist_helpers", "{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds a damaged description of its network: {error}") from error
    return about if isinstance(about, dict) else {}
