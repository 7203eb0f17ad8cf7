"""``train`` and ``tune``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .base import (
    MODELS,
    Address,
    Data,
    Device,
    NoCuda,
    Source,
    app,
    only_with,
    plain_errors,
    workers_device,
)

if TYPE_CHECKING:
    from ..data import Digits, Splits


@app.command()
def train(
    model: Annotated[str, typer.Option(help=f"One of {MODELS}.")] = "fast",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="(Peak) learning rate.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw, adam, sgd, adadelta.")] = None,
    augment: Annotated[str | None, typer.Option(help="An augmentation, or 'none'.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many idle epochs.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order, augmentation.")] = 0,
    val_size: Annotated[int, typer.Option(help="Pictures held out for validation.")] = 5000,
    pen_digits: Annotated[
        int, typer.Option(help="Digits written by our own pen to learn besides.", min=0)
    ] = 0,
    non_digits: Annotated[
        int, typer.Option(help="Pictures of no digit to learn to be unsure of.", min=0)
    ] = 0,
    shrink_variances: Annotated[
        float,
        typer.Option(
            help="In the end, move BatchNorm's variances to their mean by this share: a little "
            "helps on handwriting unlike MNIST's.",
            min=0,
            max=1,
        ),
    ] = 0,
    temperature_from: Annotated[
        Path | None,
        typer.Option(help="With --val-size 0: take the calibration of this trained network."),
    ] = None,
    data: Data = None,
    source: Source = "auto",
    out: Annotated[Path | None, typer.Option(help="Default: outputs/train/MODEL.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    device: Device = "auto",
    no_cuda: NoCuda = False,
    distributed: Annotated[
        int | None, typer.Option(help="Train on so many workers, with Ray.", min=1)
    ] = None,
    address: Address = None,
) -> None:
    """Train a network; write checkpoints, history, metrics, figures and a model card.

    What is not given comes from the architecture's own recipe.
    """
    from ..checkpoints import load_checkpoint
    from ..data import load_mnist
    from ..paths import project_root
    from ..recipes import recipe_for
    from ..report import in_words
    from ..training import choose_device
    from ..training import train as run_training

    only_with(distributed, "--distributed", {"--address": address})
    with plain_errors():
        given = {
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
        temperature = load_checkpoint(temperature_from).temperature if temperature_from else None
        if not distributed:
            where, why = choose_device("cpu" if no_cuda else device)
        else:  # the workers' device, which this machine need not have
            where, why = workers_device("cpu" if no_cuda else device, distributed)
        splits = load_mnist(source, data, val_size)
        _check_classes(splits.train)
        splits = _with_synthetic(splits, pen_digits, non_digits)
        out = out or project_root() / "outputs" / "train" / model
        typer.echo(why)
        typer.echo(f"{splits.source}: {_sizes(splits)}")
        typer.echo(f"Training {model}: {in_words(recipe)}")
        options: dict = {"out": out, "resume": resume}
        if distributed:
            from ..scale import train_distributed as run_training

            options |= {"num_workers": distributed, "use_gpu": where == "cuda", "address": address}
        else:
            options |= {"device": where}
        try:
            run_training(model, splits.train, splits.val, recipe, **options)
        except KeyboardInterrupt:
            typer.secho(
                f"\nStopped. All finished epochs are in {out if distributed else out / 'last.pt'}; "
                "the same command with "
                "--resume goes on from there.",
                fg="yellow",
                err=True,
            )
            raise typer.Exit(130) from None
        finish(out, splits, temperature, shrink_variances)


def _check_classes(digits: Digits) -> None:
    """Refuse training data that lacks a digit: the network would never answer it."""
    missing = sorted(set(range(10)) - set(digits.labels.unique().tolist()))
    if missing:
        raise ValueError(
            f"{digits.source} has no picture of {', '.join(map(str, missing))}: a network trained "
            "on it would never answer so. Add some, or use all of MNIST."
        )


def _with_synthetic(splits: Splits, pen: int, non: int) -> Splits:
    """Return the splits with synthetic pictures added to what is trained on."""
    if not pen and not non:
        return splits
    from .. import synthetic

    train = splits.train
    if pen:
        train = train + synthetic.pen_digits(pen)
    if non:
        train = train + synthetic.non_digits(non)
    return splits._replace(train=train)


def finish(out: Path, splits: Splits, temperature: float | None = None, shrink: float = 0) -> None:
    """Calibrate the trained network, measure it on the test split, and write everything down."""
    import pandas as pd

    from .. import models
    from ..checkpoints import load_checkpoint, save_checkpoint
    from ..evaluation import evaluate, fit_temperature
    from ..paths import as_text, replacing
    from ..report import draw_figures, verdict, write_card, write_metrics

    done = load_checkpoint(out / "last.pt")
    models.shrink_variances(done.model, shrink)
    if temperature is not None:
        done.temperature = temperature
    elif len(splits.val):
        validation = evaluate(done.model, splits.val)
        done.temperature = fit_temperature(validation.logits, validation.labels)
    save_checkpoint(
        out / "model.safetensors",
        done.model,
        recipe=done.recipe,
        history=done.history,
        source=done.source,
        temperature=done.temperature,
    )
    test = evaluate(done.model, splits.test)
    with replacing(out / "history.csv") as part:
        pd.DataFrame(done.history).to_csv(part, index=False)
    write_metrics(out / "metrics.json", test, done.name, done.recipe, done.temperature)
    write_card(out / "README.md", done, test)
    calibrated = replace(test, logits=test.logits / done.temperature)
    draw_figures(out, done.history, splits.test, calibrated)
    typer.echo(verdict(test))
    typer.echo(f"Network, history, metrics, figures and model card are in {as_text(out)}")


def _sizes(splits: Splits) -> str:
    """Return the splits' sizes in words."""
    return (
        f"{len(splits.train):,} pictures to train, {len(splits.val):,} to validate, "
        f"{len(splits.test):,} to test"
    )


@app.command()
def tune(
    model: Annotated[str, typer.Option(help=f"One of {MODELS}.")] = "tiny",
    trials: Annotated[int, typer.Option(help="Recipes to try.", min=1)] = 20,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data.", min=1)
    ] = None,
    val_size: Annotated[int, typer.Option(help="Pictures to compare by.", min=1)] = 5000,
    cpus: Annotated[int, typer.Option(help="Of each trial.", min=1)] = 1,
    data: Data = None,
    source: Source = "auto",
    out: Annotated[Path | None, typer.Option(help="Default: outputs/tune/MODEL.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a search stopped.")] = False,
    seed: Annotated[int, typer.Option(help="Of the proposals.")] = 0,
    address: Address = None,
) -> None:
    """Search for a better learning rate, batch size and augmentation, with Ray Tune.

    Trials run side by side, and hopeless ones are ended early.
    """
    from ..data import load_mnist
    from ..paths import outputs_folder, replacing
    from ..recipes import recipe_for

    with plain_errors():
        from ..scale import default_search_space
        from ..scale import tune as search

        recipe = recipe_for(model)
        recipe = replace(recipe, epochs=epochs or recipe.epochs)
        splits = load_mnist(source, data, val_size)
        out = out or outputs_folder("tune", model)
        typer.echo(f"{splits.source}: {_sizes(splits)}")
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
        with replacing(out / "trials.csv") as part:
            table.to_csv(part, index=False)
        typer.echo(table.to_string(float_format=lambda value: f"{value:.5g}"))
        ended = table[table["error"].isna()]
        if ended.empty:
            raise ValueError(f"no trial came to its end; one of their errors: {table['error'][0]}")
        best = ended.iloc[0]
        typer.echo(
            f"The best, as a training:\n  python -m mnist_helpers train --model {model} "
            f"--epochs {recipe.epochs} --lr {best['lr']:.5g} --batch-size {best['batch_size']} "
            f"--augment {best['augment'] or 'none'}"
        )
        typer.echo(f"All trials: {out / 'trials.csv'}")
