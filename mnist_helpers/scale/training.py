"""Training one network on several workers."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ..checkpoints import History, load_checkpoint
from ..data import Digits
from ..files import exclusive_lock, outputs_folder
from ..models import build_model
from ..parallel import rank_and_world_size
from ..recipes import Recipe, recipe_for
from ..run_state import archive_previous_run
from ..training import check_splits, train
from .cluster import RETRIES, check_resources, need_ray, ray_cluster
from .state import check_ours, emptied, remove


def train_distributed(
    model: str,
    train: Digits,
    val: Digits | None = None,
    recipe: Recipe | None = None,
    *,
    num_workers: int = 2,
    use_gpu: bool = False,
    out: str | Path | None = None,
    resume: bool = False,
    address: str | None = None,
) -> History:
    """Train one network on several workers, each computing its part of every batch.

    The recipe means what it means in `mnist_helpers.train`: its batch is split among the workers,
    whose gradients are averaged (`DistributedDataParallel` over gloo, or NCCL on GPUs). What
    differs is BatchNorm, which sees a worker's part of the batch. If a worker dies, all resume from
    the last epoch's checkpoint, up to `RETRIES` times.

    Parameters
    ----------
    model : str
        One of `list_models`.
    train, val, recipe
        See `mnist_helpers.train`.
    num_workers : int, default=2
        Processes, with one CPU each, or one GPU.
    use_gpu : bool, default=False
    out : path, default=None
        Folder for ``last.pt`` and ``best.pt``, as `mnist_helpers.train` writes them. All machines
        must reach it. If None, ``outputs/distributed/MODEL``.
    resume : bool, default=False
        Resume where an earlier call into the same folder was interrupted; if none was, but there is
        a ``last.pt``, with that, in this process.
    address : str, default=None
        See `ray_cluster`.

    Returns
    -------
    History
        One row per epoch; ``seconds`` are those of the first worker.

    Raises
    ------
    ValueError
        If the cluster has fewer CPUs or GPUs than workers are asked for, or as in `train`.
    FloatingPointError
        If the loss explodes, or is no longer a finite number.
    """
    need_ray()
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    build_model(model)  # here and not in each worker, where errors cost attempts
    check_splits(train, val)
    recipe = recipe or recipe_for(model)
    out = Path(out).absolute() if out else outputs_folder("distributed", model)
    if resume and (out / "last.pt").is_file() and not (out / "ray").is_dir():
        return _resume_locally(model, train, val, recipe, out)
    if not resume:
        check_ours(out / "ray")
    with exclusive_lock(out), ray_cluster(address) as resources:
        check_resources(resources, "num_workers", num_workers, "GPU" if use_gpu else "CPU")
        if not resume:
            emptied(out / "ray")
            archive_previous_run(out)
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={
                "model": model,
                "splits": ray.put((train, val)),
                "recipe": asdict(recipe),
            },
            scaling_config=ScalingConfig(num_workers=num_workers, use_gpu=use_gpu),
            run_config=RunConfig(
                name="ray",
                storage_path=str(out),
                failure_config=FailureConfig(max_failures=RETRIES),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
            ),
        )
        result = trainer.fit()
        if result.metrics and "error" in result.metrics:
            raise FloatingPointError(result.metrics["error"])
        assert result.checkpoint is not None, "each epoch reports one"
        with result.checkpoint.as_directory() as folder:
            for path in Path(folder).glob("*.pt"):
                shutil.copyfile(path, out / path.name)
        remove(out / "ray")
    return load_checkpoint(out / "last.pt").history


def _resume_locally(
    model: str, train_: Digits, val: Digits | None, recipe: Recipe, out: Path
) -> History:
    """Resume a run that has left the cluster, or never was on one: usually it is complete."""
    return train(model, train_, val, recipe, out=out, resume=True)


def _train_worker(config: dict[str, Any]) -> None:
    """Train as one of several workers."""
    import ray.train
    from ray.train.torch import get_device

    train_, val = ray.get(config["splits"])
    recipe = Recipe(**config["recipe"])
    try:
        train_reporting(ray.train, config["model"], train_, val, recipe, get_device())
    except FloatingPointError as error:  # would happen again: reported as a result, not retried
        with TemporaryDirectory() as folder:  # Ray keeps no metrics without a checkpoint
            _report(ray.train, {"error": str(error)}, folder)


def train_reporting(
    to: Any, model: str, train_: Digits, val: Digits, recipe: Recipe, device: torch.device | str
) -> None:
    """Train, reporting each epoch's row and checkpoint to Ray; resume from the last one.

    `to` is `ray.train` or `ray.tune`.
    """
    with TemporaryDirectory() as folder:
        before = to.get_checkpoint()
        if before:
            before.to_directory(folder)

        def report(history: History) -> None:
            _report(to, history[-1], folder)

        history = train(
            model,
            train_,
            val,
            recipe,
            out=folder,
            resume=True,
            device=device,
            callbacks=[report],
            progress=False,
        )
        if recipe.patience:  # the best epoch's weights have been put back
            report(history)


def _report(to: Any, row: dict[str, Any], folder: str) -> None:
    """Hand metrics to Ray, and from the worker that writes files its folder as checkpoint."""
    to.report(row, checkpoint=to.Checkpoint(folder) if rank_and_world_size()[0] == 0 else None)
