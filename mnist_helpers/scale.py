"""The same jobs on a Ray cluster: training, search, and folders of any size.

Needs the extra ``scale``. Each function joins the Ray cluster at `address`, or else starts one on
this machine for as long as it runs.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .batch import EXTENSIONS, PROBABILITIES, timed_to_mnist
from .checkpoints import History, load_checkpoint
from .data import Digits
from .models import build_model
from .paths import (
    alone_in,
    as_text,
    escape_formula,
    is_checkout,
    name_of,
    outputs_folder,
    project_root,
)
from .prediction import MNISTPredictor, is_confident
from .recipes import Recipe, recipe_for
from .training import check_splits, ranks, set_aside, train

if TYPE_CHECKING:
    import pandas as pd

ATTEMPTS = 3  # to start a cluster here
RETRIES = 3  # times that a job goes on after losing a worker
PART = 50_000  # rows in one file of a table
FORMATS = ("parquet", "csv")


def _need_ray() -> None:
    """Say how to install Ray where it is missing; keep it from reporting home and from chatting."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    try:
        import ray.data
        import ray.train
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "this needs Ray: pip install 'mnist-helpers[scale]' (make lab installs it)"
        ) from error


@contextmanager
def cluster(address: str | None = None, cpus: int | None = None) -> Iterator[dict[str, float]]:
    """Join a Ray cluster for as long as the block lasts.

    Parameters
    ----------
    address : str, optional
        Of a running cluster, as ``ray start`` prints it; "auto" finds the one that this machine
        belongs to. Without it, a cluster that this process has joined already is used and left
        running; else one is started on this machine, without dashboard and usage reports and
        out of other machines' reach, and stopped again.
    cpus : int, optional
        Of a cluster that is started here. Default: all that this machine has.

    Yields
    ------
    dict
        What the cluster has, by name: ``CPU``, ``GPU``, ``memory`` in bytes, …

    Raises
    ------
    ImportError
        If Ray is not installed.
    ConnectionError
        If there is no cluster at the address.
    TimeoutError
        If this machine is too busy to start one.
    """
    _need_ray()
    import ray

    logging.getLogger("ray").setLevel(logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    joined = ray.is_initialized()
    if not joined:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        _listen(to_others=address is not None)
        if address:
            _check_reachable(address)
            ray.init(address, **quiet)
        else:
            quiet["runtime_env"] = runtime_env()
            _patiently(lambda: ray.init("local", num_cpus=cpus, include_dashboard=False, **quiet))
    try:
        yield ray.cluster_resources()
    finally:
        if not joined:
            ray.shutdown()


def runtime_env() -> dict[str, str] | None:
    """Return what workers on this machine need where the path of Python has a space.

    Ray hands that path to a shell as it is: workers with settings of their own, as Ray Train gives
    them, never start, and the job waits forever.
    """
    quoted = shlex.quote(sys.executable)
    if sys.platform == "win32" or quoted == sys.executable:
        return None
    return {"py_executable": quoted}


def _patiently(start: Callable[[], Any]) -> Any:
    """Start Ray's processes; again, if they were too slow to find each other.

    They wait for each other for 15 seconds, whatever one sets, which is too short on a busy
    machine (ray-project/ray, issue 65983). The next time they are in memory, and quicker.
    """
    import ray

    for left in reversed(range(ATTEMPTS)):
        try:
            with _few_processes():
                return start()
        except Exception as error:  # that is all that Ray says it is
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
            if not left:
                raise TimeoutError(
                    f"Ray did not start in {ATTEMPTS} attempts: this machine is too busy. Close "
                    "what else computes on it, and try again"
                ) from error


@contextmanager
def _few_processes() -> Iterator[None]:
    """Let Ray's nodes start without what is not needed here, and a failed one take all along.

    While they wait for each other, a third of the work is that of the autoscaler and the log
    monitor. ``ray start`` can leave these out, `ray.init` cannot; and it leaves the processes of a
    failed start running.
    """
    from ray._private import node

    class Node(node.Node):
        def __init__(self, ray_params: Any, **options: Any) -> None:
            ray_params.update(no_monitor=True, include_log_monitor=False)
            try:
                super().__init__(ray_params, **options)
            except BaseException:
                self.kill_all_processes(check_alive=False, allow_graceful=False)
                raise

    original = node.Node
    setattr(node, "Node", Node)  # noqa: B010  a class in another's place, which types forbid
    try:
        yield
    finally:
        setattr(node, "Node", original)  # noqa: B010


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens: Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(
            f"there is no Ray cluster at {address} ({error}): start one there with "
            "'ray start --head', or leave the address out"
        ) from error


def _listen(to_others: bool) -> None:
    """Say whether Ray listens to other machines, whose orders it would take.

    Ray has this switch for Windows and macOS, and reads it when it is imported, which may have
    been before.
    """
    from ray._private import ray_constants

    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = str(int(to_others))
    ray_constants.ENABLE_RAY_CLUSTER = to_others


# ----------------------------------------------------------------------------------------- training


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
    differs is BatchNorm, which sees a worker's part of the batch. If a worker dies, all go on from
    the last epoch's checkpoint, up to `RETRIES` times.

    Parameters
    ----------
    model : str
        One of `list_models`.
    train, val, recipe
        See `mnist_helpers.train`.
    num_workers : int
        Processes, with one CPU each, or one GPU.
    use_gpu : bool
    out : path, optional
        Folder for ``last.pt`` and ``best.pt``, as `mnist_helpers.train` writes them. All machines
        must reach it. Default: ``outputs/distributed/MODEL``.
    resume : bool
        Go on where an earlier call into the same folder was interrupted; if none was, but there is
        a ``last.pt``, with that, in this process.
    address : str, optional
        See `cluster`.

    Returns
    -------
    History
        One row an epoch; ``seconds`` are those of the first worker.

    Raises
    ------
    ValueError
        If the cluster has fewer CPUs or GPUs than workers are asked for, or as in `train`.
    FloatingPointError
        If the loss explodes, or is no longer a finite number.
    """
    _need_ray()
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    build_model(model)  # here and not in each worker, where errors cost attempts
    check_splits(train, val)
    recipe = recipe or recipe_for(model)
    out = Path(out).absolute() if out else outputs_folder("distributed", model)
    if resume and (out / "last.pt").is_file() and not (out / "ray").is_dir():
        return _go_on_here(model, train, val, recipe, out)
    if not resume:
        _check_ours(out / "ray")
    with alone_in(out), cluster(address) as resources:
        _check_room(resources, "num_workers", num_workers, "GPU" if use_gpu else "CPU")
        if not resume:
            _empty(out / "ray")
            set_aside(out)
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
        _remove(out / "ray")
    return load_checkpoint(out / "last.pt").history


def _go_on_here(
    model: str, train_: Digits, val: Digits | None, recipe: Recipe, out: Path
) -> History:
    """Go on with a training that has left the cluster, or never was on one: mostly it is done."""
    return train(model, train_, val, recipe, out=out, resume=True)


def _train_worker(config: dict[str, Any]) -> None:
    """Train as one of several workers."""
    import ray.train
    from ray.train.torch import get_device

    train_, val = ray.get(config["splits"])
    recipe = Recipe(**config["recipe"])
    try:
        _train_reporting(ray.train, config["model"], train_, val, recipe, get_device())
    except FloatingPointError as error:  # would happen again: an end like others, not tried anew
        with TemporaryDirectory() as folder:  # Ray keeps no metrics without a checkpoint
            _report(ray.train, {"error": str(error)}, folder)


def _train_reporting(
    to: Any, model: str, train_: Digits, val: Digits, recipe: Recipe, device: torch.device | str
) -> None:
    """Train, handing each epoch's row and checkpoint to Ray, and go on from the last one.

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
    to.report(row, checkpoint=to.Checkpoint(folder) if ranks()[0] == 0 else None)


def gradients(model: str, images: Tensor, labels: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Return the gradient of each parameter of a fresh network, for one batch.

    What a worker computes in a step; notebook 10 averages it over two processes by hand.

    Parameters
    ----------
    model : str
        One of `list_models`.
    images : Tensor of shape [N, 1, 28, 28]
    labels : Tensor of shape [N], dtype int64
    seed : int
        Of the network's weights.
    """
    torch.manual_seed(seed)
    network = build_model(model)
    F.cross_entropy(network(images), labels).backward()
    parameters = network.named_parameters()
    return {name: weight.grad for name, weight in parameters if weight.grad is not None}


def _check_room(resources: dict[str, float], name: str, number: float, kind: str) -> None:
    """Refuse to wait for ever for what the cluster does not have."""
    there = resources.get(kind, 0)
    if not 0 < number <= there:
        raise ValueError(
            f"{name} is {number:g}, and the cluster has {there:g} {kind}s: ask for no more"
            if there
            else f"{name} is {number:g}, and the cluster has no {kind}"
        )


# ------------------------------------------------------------------------------------------- search


def default_search_space() -> dict[str, Any]:
    """Return what the command ``tune`` draws from: learning rate, batch size, augmentation."""
    _need_ray()
    from ray import tune

    return {
        "lr": tune.loguniform(1e-3, 5e-2),
        "batch_size": tune.choice([64, 128, 256, 512]),
        "augment": tune.choice([None, "shift", "warp"]),
    }


def tune(
    search_space: dict[str, Any],
    train: Digits,
    val: Digits,
    trials: int = 20,
    model: str = "tiny",
    recipe: Recipe | None = None,
    *,
    cpus: float = 1,
    gpus: float = 0,
    out: str | Path | None = None,
    resume: bool = False,
    seed: int = 0,
    address: str | None = None,
) -> pd.DataFrame:
    """Search for a better recipe: trials side by side, and the hopeless ones ended early.

    Optuna proposes the next trial from the results so far (tree-structured Parzen estimator:
    Bergstra et al., "Algorithms for hyper-parameter optimization", 2011), and ASHA ends the worse
    two thirds after 1, 3, 9, … epochs (Li et al., "A system for massively parallel hyperparameter
    tuning", 2020, arXiv:1810.05934). A trial whose worker dies goes on from its last epoch.

    Parameters
    ----------
    search_space : dict
        Fields of `Recipe`, each with where to draw it from: ``ray.tune.loguniform(1e-3, 3e-2)``,
        ``ray.tune.choice([128, 256])``, …; or a fixed value.
    train, val : Digits
        To learn from, and to compare by.
    trials : int
    model : str
        One of `list_models`.
    recipe : Recipe, optional
        For all that is not searched for. Default: the model's own.
    cpus, gpus : float
        Of each trial; parts of a GPU are possible.
    out : path, optional
        Folder for the search's state. All machines must reach it. Default:
        ``outputs/tune/MODEL``.
    resume : bool
        Go on with a search that was interrupted in this folder, with the same model, recipe and
        data; `search_space` and `trials` are then its own.
    seed : int
        Of Optuna's proposals. Which trials it has seen by then depends on their timing.
    address : str, optional
        See `cluster`.

    Returns
    -------
    DataFrame
        One row a trial, the best first: the values drawn, ``epochs`` that it was given,
        ``val_accuracy``, ``val_loss``, ``seconds``, ``error`` (None if it ended well).

    Raises
    ------
    ValueError
        If a name is no field of `Recipe`, there is no validation data, nothing to resume, or the
        cluster lacks what a trial needs.
    """
    _need_ray()
    from ray.tune import Tuner

    build_model(model)  # here and not in each trial
    recipe = recipe or recipe_for(model)
    unknown = set(search_space) - {field.name for field in fields(Recipe)}
    if unknown or not search_space or not len(val):
        raise ValueError(
            f"no field of Recipe: {', '.join(unknown)}"
            if unknown
            else "a search needs something to search for, and validation pictures to compare by"
        )
    check_splits(train, val)
    out = Path(out).absolute() if out else outputs_folder("tune", model)
    state = out / "ray"
    search = json.dumps({"model": model, "recipe": asdict(recipe), "data": train.fingerprint()})
    if resume and not Tuner.can_restore(str(state)):
        raise ValueError(f"there is no search to resume in {out}")
    if resume and _mark(state).is_file() and _mark(state).read_text() != search:
        raise ValueError(
            f"the search in {out} is one with another model, recipe or data: resume it with the "
            "same, or search in another folder"
        )
    if not resume:
        _check_ours(state)
    with alone_in(out), cluster(address) as resources:
        _check_room(resources, "cpus", cpus, "CPU")
        if gpus:
            _check_room(resources, "gpus", gpus, "GPU")
        trainable = _trainable(model, train, val, recipe, cpus, gpus)
        if resume:
            tuner = Tuner.restore(str(state), trainable, resume_unfinished=True)
        else:
            _mark(_empty(state)).write_text(search)
            tuner = _tuner(trainable, search_space, trials, recipe, seed, out)
        return _table(tuner.fit(), search_space)


def _trainable(
    model: str, train: Digits, val: Digits, recipe: Recipe, cpus: float, gpus: float
) -> Callable:
    """Return the function that trains one trial."""
    import ray
    from ray import tune

    splits = ray.put((train, val))
    device = "cuda" if gpus else "cpu"

    def trial(drawn: dict[str, Any]) -> None:
        torch.set_num_threads(max(1, int(cpus)))
        _train_reporting(tune, model, *ray.get(splits), replace(recipe, **drawn), device)

    return tune.with_resources(trial, {"cpu": cpus, "gpu": gpus})


def _tuner(
    trainable: Callable, space: dict[str, Any], trials: int, recipe: Recipe, seed: int, out: Path
) -> Any:
    """Return Ray's search, not yet begun."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=trials,
            search_alg=OptunaSearch(seed=seed),
            scheduler=ASHAScheduler("epoch", max_t=recipe.epochs, reduction_factor=3),
            reuse_actors=True,  # a process takes the next trial, and need not start anew
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(out),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            verbose=0,
        ),
    )


def _table(results: Any, space: dict[str, Any]) -> pd.DataFrame:
    """Tabulate a search's results."""
    import pandas as pd

    rows = [
        {name: result.config[name] for name in space}
        | {
            "epochs": result.metrics.get("epoch", 0),
            "val_accuracy": result.metrics.get("val_accuracy", np.nan),
            "val_loss": result.metrics.get("val_loss", np.nan),
            "seconds": result.metrics.get("time_total_s", np.nan),
            "error": str(result.error) if result.error else None,
        }
        for result in results
    ]
    table = pd.DataFrame(rows, dtype=object)  # in which None stays None, beside words too
    whole = [name for name in table if None not in table[name].to_list()]
    table = table.assign(**table[whole].infer_objects())
    return table.sort_values("val_accuracy", ascending=False).reset_index(drop=True)


# ------------------------------------------------------------------------------------------ folders


def predict_folder(
    uri: str | Path,
    out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    *,
    format: str = "parquet",
    readers: int = 1,
    use_gpu: bool = False,
    batch_size: int = 256,
    address: str | None = None,
) -> dict[str, Any]:
    """Read the digit in each picture of a folder or bucket, whatever their number.

    The names of the pictures are listed into a table, which streams through the cluster: tasks
    fetch, decode and prepare, `readers` actors with a network each predict, tasks write. None of
    them, nor this process, ever holds more than some batches. A picture that cannot be read is a
    row with its error; a task whose worker dies is done again.

    Parameters
    ----------
    uri : str or path
        A folder, or any address that fsspec knows, such as ``s3://bucket/scans``. All machines must
        reach it. Pictures are taken by their extension (`mnist_helpers.batch.EXTENSIONS`); hidden
        files and folders are left out.
    out : path, optional
        Folder for ``rows/``, some files with a part of the table each. All machines must reach
        it. Default: ``outputs/predictions``. An earlier table there is replaced.
    checkpoint : path, optional
        All machines must reach it. Default: the weights that ship.
    format : {"parquet", "csv"}
    readers : int
        Actors that predict.
    use_gpu : bool
        Give each of them a GPU.
    batch_size : int
        Pictures that go from hand to hand together.
    address : str, optional
        See `cluster`.

    Returns
    -------
    dict
        ``rows`` (the folder with the table: `COLUMNS` of `mnist_helpers.batch`), ``pictures``,
        ``read``, ``unreadable``, ``not_confident``, ``digits`` (how often each was read).

    Raises
    ------
    ValueError
        If there is no such folder, there are no pictures in it, or `format` is none of the above.
    """
    _need_ray()
    import ray.data

    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    uri = _absolute(str(uri))
    out = Path(out).absolute() if out else outputs_folder("predictions")
    network = Path(checkpoint).absolute() if checkpoint else None
    if network:
        load_checkpoint(network)  # says what is wrong with it before anything starts
    _check_ours(out / "rows")
    with alone_in(out):
        names = _empty(out / "names")
        listed = _list_pictures(uri, names)  # before a cluster is started for nothing
        with cluster(address) as resources:
            _check_room(resources, "readers", readers, "GPU" if use_gpu else "CPU")
            rows = _empty(out / "rows")
            with ray.data.DataContext.current(_context_of_one_slow_step()):
                table = _table_of_digits(names, uri, network, readers, int(use_gpu), batch_size)
                if format == "csv":
                    table = table.map_batches(_without_formulas, batch_format="pandas")
                getattr(table, f"write_{format}")(str(rows), min_rows_per_file=PART)
    summary = _count(rows, format)
    if summary["pictures"] != listed:
        raise RuntimeError(f"{rows} has {summary['pictures']} rows for {listed} pictures")
    _remove(names)
    return {"rows": rows} | summary


def _table_of_digits(
    names: Path, uri: str, checkpoint: Path | None, readers: int, gpus: int, batch_size: int
) -> Any:
    """Return the steps from names to rows, as a table that Ray makes while it is written."""
    import ray.data

    return (
        ray.data.read_parquet(str(names))
        .repartition(target_num_rows_per_block=batch_size)  # one task each
        .map_batches(partial(_prepare, uri=uri), batch_size=batch_size)
        .map_batches(
            _Reader,
            fn_constructor_args=(checkpoint,),
            batch_size=batch_size,
            compute=ray.data.ActorPoolStrategy(size=readers),
            num_cpus=0,  # all of them are left to _prepare, which takes far longer
            num_gpus=gpus,
        )
    )


def _context_of_one_slow_step() -> Any:
    """Return Ray's settings, with no CPUs kept back for other steps: `_prepare` needs them all."""
    from ray.data import DataContext

    context = DataContext.get_current().copy()
    context.op_resource_reservation_enabled = False
    return context


def _absolute(uri: str) -> str:
    """Return the address in full: a worker's current folder is not this process's."""
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def _empty(folder: Path) -> Path:
    """Return the folder, new and empty, if it may be emptied."""
    _check_ours(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _mark(folder).touch()
    return folder


def _check_ours(folder: Path) -> None:
    """Refuse to empty a folder that a user has filled; a checkout's ``outputs/`` only we fill."""
    root = project_root()
    own = {root / "outputs", root / "predictions"} if is_checkout(root) else set()
    ours = _mark(folder).exists() or own & set(folder.parents)
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise ValueError(
            f"{folder} holds files that were not made here, and would be emptied: choose another "
            "folder with out=… (--out), or move it away"
        )


def _remove(folder: Path) -> None:
    """Delete a folder that `_empty` has made."""
    shutil.rmtree(folder)
    _mark(folder).unlink(missing_ok=True)


def _mark(folder: Path) -> Path:
    """Return the file beside a folder that says that it is ours, and may be emptied."""
    return folder.with_name(f".{folder.name}.ours")


def _pictures(uri: str) -> Iterator[str]:
    """List the pictures at an address, by their path within it, one folder after the other."""
    from fsspec.core import url_to_fs

    files, root = url_to_fs(uri)
    if not files.isdir(root):
        raise ValueError(f"there is no folder {uri}")
    todo = [root]
    while todo:
        folder = todo.pop()
        try:
            found = files.ls(folder, detail=True)
        except PermissionError:  # a row that says so, as for a picture
            yield _inside(folder, root)
            continue
        for info in found:
            path = PurePosixPath(info["name"])
            if path.name.startswith(".") or path == PurePosixPath(folder):
                continue
            if info["type"] == "directory":
                todo.append(info["name"])
            elif path.suffix.lower() in EXTENSIONS and _is_file(files, info):
                yield _inside(info["name"], root)


def _inside(path: str, root: str) -> str:
    """Return a path within the folder `root`, as text that any table can hold."""
    return as_text(path.removeprefix(root).strip("/"))


def _is_file(files: Any, info: dict[str, Any]) -> bool:
    """Return whether this is a file, or a link that is no folder's: whatever else would block."""
    if info["type"] == "file" or not info.get("islink"):
        return info["type"] == "file"
    return files.isfile(info["name"]) or not files.exists(info["name"])


def _list_pictures(uri: str, to: Path) -> int:
    """Write the names of all pictures into tables of `PART` rows each, and return their number."""
    import pandas as pd

    names, number = _pictures(uri), 0
    while part := list(islice(names, PART)):
        pd.DataFrame({"file": part}).to_parquet(to / f"{number:012d}.parquet")
        number += len(part)
    if not number:
        raise ValueError(f"there are no pictures in {uri}")
    return number


def _prepare(batch: dict[str, np.ndarray], uri: str) -> dict[str, np.ndarray]:
    """Fetch, decode and prepare pictures: a column ``image [N, 28, 28]``, black where it failed."""
    from fsspec.core import url_to_fs

    files, root = url_to_fs(uri)
    done = [timed_to_mnist(partial(_fetch, files, root, name)) for name in batch["file"]]
    blank = np.zeros((28, 28), np.uint8)
    return {
        "file": batch["file"],
        "image": np.stack([blank if image is None else image for image, _, _ in done]),
        "seconds": np.array([seconds for _, seconds, _ in done]),
        "error": np.array([error or "" for _, _, error in done], dtype=object),
    }


def _fetch(files: Any, root: str, name: str) -> bytes:
    """Return what is in a file, by the name that `_pictures` gave it."""
    path = f"{root}/{name}"
    if "\\x" in name and not files.exists(path):
        path = f"{root}/{name_of(name)}"
    try:
        return files.cat_file(path)
    except IsADirectoryError:
        files.ls(path)  # says why it could not be listed
        raise


class _Reader:
    """Holds a network, and reads batch after batch of prepared pictures."""

    def __init__(self, checkpoint: Path | None) -> None:
        torch.set_num_threads(1)
        self.predictor = MNISTPredictor(checkpoint)

    def __call__(self, batch: dict[str, np.ndarray]) -> pd.DataFrame:
        """Return the batch's rows: `COLUMNS` of `mnist_helpers.batch`."""
        import pandas as pd

        probs = self.predictor.probabilities(batch["image"])
        rows = pd.DataFrame({"file": batch["file"], "digit": probs.argmax(1)})
        rows["confidence"] = probs.max(1)
        rows["is_confident"] = is_confident(rows["confidence"].to_numpy())
        rows[PROBABILITIES] = probs
        kinds = {"digit": "Int64", "is_confident": "boolean"}
        rows = rows.astype(kinds)
        rows.loc[batch["error"] != "", rows.columns[1:]] = pd.NA
        rows["seconds"] = batch["seconds"]
        rows["error"] = pd.Series(batch["error"], dtype="string").replace("", pd.NA)
        return rows


def _without_formulas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose texts no spreadsheet takes for formulas."""
    texts = {name: rows[name].map(escape_formula, na_action="ignore") for name in ("file", "error")}
    return rows.assign(**texts).astype({"error": "string"})


def _count(rows: Path, format: str) -> dict[str, Any]:
    """Count what is in the table, part by part."""
    import pyarrow.dataset

    counts: Counter[str] = Counter()
    digits: Counter[int] = Counter()
    # Said, since a CSV file that begins with pictures that could not be read does not tell.
    columns = pyarrow.schema({"digit": pyarrow.int64(), "is_confident": pyarrow.bool_()})
    for part in pyarrow.dataset.dataset(rows, columns, format).to_batches():
        read = part.to_pandas().dropna()
        counts.update(pictures=part.num_rows, read=len(read))
        counts.update(not_confident=int((~read["is_confident"].astype(bool)).sum()))
        digits.update(read["digit"].astype(int))
    return {
        "pictures": counts["pictures"],
        "read": counts["read"],
        "unreadable": counts["pictures"] - counts["read"],
        "not_confident": counts["not_confident"],
        "digits": {digit: digits[digit] for digit in range(10)},
    }
