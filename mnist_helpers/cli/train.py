"""``train`` and ``tune``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .base import (
    Address,
    Augmentation,
    Data,
    Device,
    Model,
    NoCuda,
    Optimizer,
    Precision,
    Source,
    app,
    command,
    exit_on_error,
    list_runs,
    listed,
    load_data,
    model_file,
    require_option,
    workers_device,
)

if TYPE_CHECKING:
    import torch

    from ..data import Digits, Splits
    from ..recipes import Recipe


@app.command()
def train(
    model: Model = "tiny",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; of a one-cycle schedule the maximum.")
    ] = None,
    optimizer: Annotated[
        Optimizer | None, typer.Option(metavar="NAME", help=f"Optimizer: {listed(Optimizer)}.")
    ] = None,
    augment: Annotated[
        Augmentation | None,
        typer.Option(metavar="NAME", help=f"Data augmentation: {listed(Augmentation)}."),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="auto: bf16 where the hardware computes with it.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Early stopping: epochs without a lower validation loss."),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the initial weights, the shuffling, the augmentation.")
    ] = 0,
    val_size: Annotated[
        int, typer.Option(help="Training images held out for the validation set.")
    ] = 5000,
    synthetic_digits: Annotated[
        int, typer.Option(help="Rendered digits to add to the training set.", min=0)
    ] = 0,
    non_digits: Annotated[
        int,
        typer.Option(
            help="Images without a digit to add to the training set, for low confidence on such.",
            min=0,
        ),
    ] = 0,
    shrink_variances: Annotated[
        float,
        typer.Option(
            help="After training, shrink BatchNorm's variances towards their mean by this "
            "fraction: a little helps on handwriting unlike MNIST's.",
            min=0,
            max=1,
        ),
    ] = 0,
    temperature_from: Annotated[
        Path | None,
        typer.Option(help="Model file whose temperature to use, with --val-size 0."),
    ] = None,
    data: Data = None,
    source: Source = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: outputs/train/MODEL.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a run that stopped.")] = False,
    device: Device = "auto",
    no_cuda: NoCuda = False,
    distributed: Annotated[
        int | None, typer.Option(help="Number of workers to train on, with Ray.", min=1)
    ] = None,
    address: Address = None,
) -> None:
    """Train a model; write checkpoints, history, metrics, figures and a model card.

    Options that are not given come from the architecture's own recipe. On a terminal a progress bar
    is shown; in a pipe or a log file each epoch is one line on stdout.

    The folder gets model.safetensors (the result), last.pt and best.pt (checkpoints), history.csv
    (one row per epoch), metrics.json (as `evaluate --json`, and the recipe), README.md (the model
    card) and three figures.
    """
    from ..checkpoints import load_checkpoint
    from ..device import choose_device
    from ..files import project_root, short_path
    from ..recipes import recipe_for
    from ..report import describe_recipe, describe_result, write_report

    require_option(distributed, "--distributed", {"--address": address})
    with exit_on_error():
        given: dict[str, Any] = {
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "optimizer": optimizer,
            "precision": precision,
            "patience": patience,
            "seed": seed,
        }
        recipe = replace(recipe_for(model), **{k: v for k, v in given.items() if v is not None})
        if augment is not None:
            recipe = replace(recipe, augment=None if augment == "none" else augment)
        held_out = model_file(temperature_from)
        temperature = load_checkpoint(held_out).temperature if held_out else None
        wanted = "cpu" if no_cuda else device
        if distributed:  # the workers' device, which this machine may lack
            on, why = workers_device(wanted, distributed)
            run = _on_workers(distributed, on, address)
        else:
            chosen, why = choose_device(wanted)
            run = _here(chosen)
        out = out or project_root() / "outputs" / "train" / model
        if resume:
            _check_resumable(out)
        splits = load_data(source, data, val_size)
        _check_classes(splits.train)
        splits = _with_synthetic(splits, synthetic_digits, non_digits)
        typer.echo(why)
        typer.echo(f"{splits.source}: {_sizes(splits)}")
        typer.echo(f"Training {model}: {describe_recipe(recipe)}")
        try:
            run(model, splits, recipe, out, resume)
        except KeyboardInterrupt:
            _say_how_to_resume("epochs", out)
            raise typer.Exit(130) from None
        test = write_report(out, splits, temperature, shrink_variances)
        typer.echo(describe_result(test))
        typer.echo(f"Model, history, metrics, figures and model card: {short_path(out)}")
        arguments = ["--checkpoint", short_path(out), *_data_options(data, source)]
        typer.echo(f"Evaluate it: {command('evaluate', *arguments)}")


def _say_how_to_resume(what: str, out: Path) -> None:
    """Say after Ctrl-C that nothing is lost."""
    from ..files import short_path

    typer.secho(
        f"\nStopped. The {what} that were finished are in {short_path(out)}; to resume, "
        "run the same command again, with the same options and --resume.",
        fg="yellow",
        err=True,
    )


def _data_options(data: Path | None, source: str) -> list[object]:
    """Return the options that name the data, as far as they were given."""
    options: list[object] = [] if data is None else ["--data", data]
    return options if source in ("auto", "download") else [*options, "--source", source]


def _here(device: str | torch.device) -> Callable:
    """Return what trains on this machine: with a bar on a terminal, else a line per epoch."""
    from ..training import train

    def run(model: str, splits: Splits, recipe: Recipe, out: Path, resume: bool) -> None:
        terminal = sys.stdout.isatty() and sys.stderr.isatty()
        train(
            model,
            splits.train,
            splits.val,
            recipe,
            out=out,
            resume=resume,
            device=device,
            callbacks=[] if terminal else [lambda history: _print_epoch(history[-1], recipe)],
            progress=terminal,
        )

    return run


def _on_workers(workers: int, device: str, address: str | None) -> Callable:
    """Return what trains on the workers of a Ray cluster."""
    from ..scale import train_distributed

    def run(model: str, splits: Splits, recipe: Recipe, out: Path, resume: bool) -> None:
        train_distributed(
            model,
            splits.train,
            splits.val,
            recipe,
            num_workers=workers,
            use_gpu=device == "cuda",
            out=out,
            resume=resume,
            address=address,
        )

    return run


def _print_epoch(row: dict, recipe: Recipe) -> None:
    """Print an epoch's metrics in one line."""
    parts = [f"train loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}"]
    if "val_loss" in row:
        parts.append(f"validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.2%}")
    parts.append(f"{row['seconds']:.1f} s")
    typer.echo(f"epoch {row['epoch']}/{recipe.epochs}: {'; '.join(parts)}")
    sys.stdout.flush()


def _check_resumable(out: Path) -> None:
    """Refuse to resume where no run is: a mistyped folder would cost a whole run."""
    from ..files import short_path

    if (out / "last.pt").is_file() or (out / "ray").is_dir():
        return
    raise FileNotFoundError(
        f"there is no run to resume in {short_path(out)}"
        f"{list_runs('last.pt', '--model, and with --out if you did before')}"
        "; without --resume a new one starts"
    )


def _check_classes(digits: Digits) -> None:
    """Refuse training data that lacks a digit: the model would never predict it."""
    missing = sorted(set(range(10)) - set(digits.labels.unique().tolist()))
    if missing:
        raise ValueError(
            f"{digits.source} has no image of {', '.join(map(str, missing))}: a model trained "
            "on it would never predict it. Add some, or use all of MNIST."
        )


def _with_synthetic(splits: Splits, pen: int, non: int) -> Splits:
    """Return the splits with synthetic images added to what is trained on."""
    if not pen and not non:
        return splits
    from .. import synthetic

    train = splits.train
    if pen:
        train = train + synthetic.synthetic_digits(pen)
    if non:
        train = train + synthetic.non_digits(non)
    return splits._replace(train=train)


def _sizes(splits: Splits) -> str:
    """Return the splits' sizes in words."""
    return (
        f"{len(splits.train):,} images to train, {len(splits.val):,} to validate, "
        f"{len(splits.test):,} to test"
    )


@app.command()
def tune(
    model: Model = "tiny",
    trials: Annotated[int, typer.Option(help="Number of recipes to try.", min=1)] = 20,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training set, at most.", min=1)
    ] = None,
    val_size: Annotated[
        int, typer.Option(help="Images in the validation set, which decides.", min=1)
    ] = 5000,
    cpus: Annotated[int, typer.Option(help="CPU cores for each trial.", min=1)] = 1,
    data: Data = None,
    source: Source = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: outputs/tune/MODEL.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a search that stopped.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    address: Address = None,
) -> None:
    """Search for a better learning rate, batch size and augmentation, with Ray Tune.

    Trials run in parallel, and unpromising ones are stopped early. trials.csv gets one row per
    trial, the best first: its values, epochs, val_accuracy, val_loss, seconds, error.
    """
    from ..files import atomic_write, project_root, short_path
    from ..recipes import recipe_for

    with exit_on_error():
        from ..scale import default_search_space
        from ..scale import tune as search

        recipe = recipe_for(model)
        recipe = replace(recipe, epochs=epochs or recipe.epochs)
        splits = load_data(source, data, val_size)
        out = out or project_root() / "outputs" / "tune" / model
        typer.echo(f"{splits.source}: {_sizes(splits)}")
        try:
            table = search(
                default_search_space(),
                splits.train,
                splits.val,
                trials,
                model,
                recipe,
                cpus=cpus,
                out=out,
                resume=resume,
                seed=seed,
                address=address,
            )
        except KeyboardInterrupt:
            _say_how_to_resume("trials and epochs", out)
            raise typer.Exit(130) from None
        with atomic_write(out / "trials.csv") as part:
            table.to_csv(part, index=False)
        typer.echo(table.to_string(float_format=lambda value: f"{value:.5g}"))
        ended = table[table["error"].isna()]
        if ended.empty:
            raise ValueError(f"every trial failed; one of the errors: {table['error'][0]}")
        best = ended.iloc[0]
        options = ["--model", model, "--epochs", recipe.epochs, "--lr", f"{best['lr']:.5g}"]
        options += ["--batch-size", best["batch_size"], "--augment", best["augment"] or "none"]
        typer.echo(f"All trials: {short_path(out / 'trials.csv')}")
        typer.echo(f"Train with the best recipe: {command('train', *options)}")
