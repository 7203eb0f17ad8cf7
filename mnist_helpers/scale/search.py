"""A search for a better recipe, its trials side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..data import Digits
from ..files import exclusive_lock, outputs_folder
from ..models import build_model
from ..recipes import Recipe, recipe_for
from ..training import check_splits
from .cluster import RETRIES, check_resources, need_ray, ray_cluster
from .state import check_ours, emptied, mark_of
from .training import train_reporting

if TYPE_CHECKING:
    import pandas as pd


def default_search_space() -> dict[str, Any]:
    """Return what the command ``tune`` draws from: learning rate, batch size, augmentation."""
    need_ray()
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
    tuning", 2020, arXiv:1810.05934). A trial whose worker dies resumes from its last epoch.

    Parameters
    ----------
    search_space : dict
        Fields of `Recipe`, each with where to draw it from: ``ray.tune.loguniform(1e-3, 3e-2)``,
        ``ray.tune.choice([128, 256])``, …; or a fixed value.
    train, val : Digits
        To learn from, and to compare by.
    trials : int, default=20
    model : str, default="tiny"
        One of `list_models`.
    recipe : Recipe, default=None
        For all that is not searched for. If None, the model's own.
    cpus, gpus : float, default=1, 0
        Of each trial; parts of a GPU are possible.
    out : path, default=None
        Folder for the search's state. All machines must reach it. Default:
        ``outputs/tune/MODEL``.
    resume : bool, default=False
        Resume a search that was interrupted in this folder, with the same model, recipe and
        data; `search_space` and `trials` are then its own.
    seed : int, default=0
        Of Optuna's proposals. Which trials it has seen by then depends on their timing.
    address : str, default=None
        See `ray_cluster`.

    Returns
    -------
    DataFrame
        One row per trial, the best first, and of equal accuracies the lowest loss: the values
        drawn, ``epochs`` that it was given, ``val_accuracy``, ``val_loss``, ``seconds``, ``error``
        (None if it ended well).

    Raises
    ------
    ValueError
        If a name is no field of `Recipe`, there is no validation data, nothing to resume, or the
        cluster lacks what a trial needs.
    """
    need_ray()
    from ray.tune import Tuner

    build_model(model)  # here and not in each trial
    recipe = recipe or recipe_for(model)
    unknown = set(search_space) - {field.name for field in fields(Recipe)}
    if unknown or not search_space or not len(val):
        raise ValueError(
            f"no field of Recipe: {', '.join(unknown)}"
            if unknown
            else "a search needs something to search for, and validation images to compare by"
        )
    check_splits(train, val)
    out = Path(out).absolute() if out else outputs_folder("tune", model)
    state = out / "ray"
    search = json.dumps({"model": model, "recipe": asdict(recipe), "data": train.fingerprint()})
    if resume and not Tuner.can_restore(str(state)):
        raise ValueError(f"there is no search to resume in {out}")
    if resume and mark_of(state).is_file() and mark_of(state).read_text() != search:
        raise ValueError(
            f"the search in {out} is one with another model, recipe or data: resume it with the "
            "same, or search in another folder"
        )
    if not resume:
        check_ours(state)
    with exclusive_lock(out), ray_cluster(address) as resources:
        check_resources(resources, "cpus", cpus, "CPU")
        if gpus:
            check_resources(resources, "gpus", gpus, "GPU")
        trainable = _trainable(model, train, val, recipe, cpus, gpus)
        if resume:
            tuner = Tuner.restore(str(state), trainable, resume_unfinished=True)
        else:
            mark_of(emptied(state)).write_text(search)
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
        train_reporting(tune, model, *ray.get(splits), replace(recipe, **drawn), device)

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
            reuse_actors=True,  # a process takes the next trial instead of starting again
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
    best_first = table.sort_values(["val_accuracy", "val_loss"], ascending=[False, True])
    return best_first.reset_index(drop=True)
