"""What a network costs: its layers with their shapes, parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .models import count_parameters
from .wrapping import wrap_model

if TYPE_CHECKING:
    import pandas as pd


def summarize(model: nn.Module) -> pd.DataFrame:
    """Tabulate a network's layers with their shapes and costs.

    Parameters
    ----------
    model : nn.Module
        Of `build_model`, or one of your own; see `wrap_model`.

    Returns
    -------
    DataFrame
        One row per layer, in the order of use: ``layer``, ``type``, ``output`` (shape for one
        image), ``parameters``, and ``macs``, the multiply-accumulates of convolutions and linear
        layers for one image (other layers' arithmetic is negligible beside it). The last row,
        "total", adds them up.

    Examples
    --------
    >>> from mnist_helpers.models import build_model
    >>> total = summarize(build_model("cnn2")).iloc[-1]
    >>> int(total["parameters"]), int(total["macs"])
    (421642, 4241152)
    """
    import pandas as pd

    rows: list[dict] = []
    model = wrap_model(model)

    def note(name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            rows.append(
                {
                    "layer": name,
                    "type": type(module).__name__,
                    "output": "×".join(map(str, output.shape[1:])),
                    "parameters": count_parameters(module),
                    "macs": count_macs(module, output),
                }
            )

        return hook

    leaves = [(name, part) for name, part in model.named_modules() if not list(part.children())]
    hooks = [module.register_forward_hook(note(name)) for name, module in leaves]
    device = next(model.parameters()).device
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 1, 28, 28, dtype=torch.uint8, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    table = pd.DataFrame(rows)
    total: dict[str, Any] = {"layer": "total", "type": "", "output": ""}
    total |= {column: int(table[column].sum()) for column in ("parameters", "macs")}
    return pd.concat([table, pd.DataFrame([total])], ignore_index=True)


def count_macs(module: nn.Module, output: Tensor) -> int:
    """Return the multiply-accumulates with which `module` computes `output` for one image."""
    values = output[0].numel()
    if isinstance(module, nn.Conv2d):
        kernel = module.kernel_size[0] * module.kernel_size[1]
        return values * kernel * module.in_channels // module.groups
    if isinstance(module, nn.Linear):
        return values * module.in_features
    return 0
