"""Several processes that train one network together."""

from __future__ import annotations

from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def rank_and_world_size() -> tuple[int, int]:
    """Return this process's number and how many train together: ``(0, 1)`` for one on its own.

    Several do where `torch.distributed` was set up, as `mnist_helpers.scale` does it.
    """
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def wrap_ddp(model: nn.Module) -> nn.Module:
    """Return the network, with gradients averaged over all processes that train together."""
    if rank_and_world_size()[1] == 1:
        return model
    device = next(model.parameters()).device
    return DistributedDataParallel(model, [device] if device.type == "cuda" else None)


def all_reduce_metrics(model: nn.Module, *sums: Tensor) -> None:
    """Add up what several processes counted, and give all of them the first one's averages.

    (BatchNorm's running averages: each process has seen its own part of the images.)
    """
    if rank_and_world_size()[1] > 1:
        for tensor in sums:
            distributed.all_reduce(tensor)
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)
