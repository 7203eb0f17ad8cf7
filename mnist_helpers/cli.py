"""The command line: ``python -m mnist_helpers train | evaluate | predict | batch | …``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .checkpoints import Checkpoint
    from .data import Digits, Splits
    from .evaluation import Evaluation
    from .recipes import Recipe

app = typer.Typer(
    help="Learn handwritten-digit recognition: train, evaluate, predict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MODELS = "cnn2, mnistnet, conv3, cnn2_dropout, cnn2_sgd, pytorch_example, tiny, fast, accurate"
Data = Annotated[
    Path | None,
    typer.Option(help="Folder with MNIST. Default: $MNIST_HELPERS_DATA, else data/."),
]
Source = Annotated[str, typer.Option(help="auto, idx, download, csv or sample.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
NoCuda = Annotated[bool, typer.Option("--no-cuda", help="Compute on the CPU.")]
Address = Annotated[
    str | None,
    typer.Option(help="A Ray cluster to join. Default: one on this machine, just for this."),
]
Weights = Annotated[
    Path | None, typer.Option(help="A trained network. Default: the one that ships.")
]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an error that the user can mend into one sentence and exit status 1."""
    try:
        yield
    except (ValueError, OSError, ImportError, FloatingPointError, MemoryError) as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        raise typer.Exit(1) from error


# -------------------------------------------------------------------------------------------- train


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
    from .checkpoints import load_checkpoint
    from .data import load_mnist
    from .paths import project_root
    from .recipes import recipe_for
    from .training import choose_device
    from .training import train as run_training

    _only_with(distributed, "--distributed", {"--address": address})
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
            where, why = _workers_device("cpu" if no_cuda else device, distributed)
        splits = load_mnist(source, data, val_size)
        _check_classes(splits.train)
        splits = _with_synthetic(splits, pen_digits, non_digits)
        out = out or project_root() / "outputs" / "train" / model
        typer.echo(why)
        typer.echo(f"{splits.source}: {_sizes(splits)}")
        typer.echo(f"Training {model}: {_in_words(recipe)}")
        options: dict = {"out": out, "resume": resume}
        if distributed:
            from .scale import train_distributed as run_training

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


def _only_with(given: object, option: str, others: dict[str, object]) -> None:
    """Refuse options that would be ignored."""
    idle = [name for name, value in others.items() if value]
    if idle and not given:
        raise typer.BadParameter(f"{' and '.join(idle)} only with {option}")


def _workers_device(device: str, workers: int) -> tuple[str, str]:
    """Return what the workers of a cluster compute on, and say why."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = {"cuda": "GPU", "cpu": "CPU"}.get(device)
    if kind is None:
        raise ValueError(f"workers compute on cuda or cpu, not on {device}")
    return device, f"Using {workers} workers with a {kind} each."


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
    from . import synthetic

    train = splits.train
    if pen:
        train = train + synthetic.pen_digits(pen)
    if non:
        train = train + synthetic.non_digits(non)
    return splits._replace(train=train)


def finish(out: Path, splits: Splits, temperature: float | None = None, shrink: float = 0) -> None:
    """Calibrate the trained network, measure it on the test split, and write everything down."""
    import pandas as pd

    from . import models
    from .checkpoints import load_checkpoint, save_checkpoint
    from .evaluation import evaluate, fit_temperature
    from .paths import as_text, replacing

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
    typer.echo(_verdict(test))
    typer.echo(f"Network, history, metrics, figures and model card are in {as_text(out)}")


def write_metrics(
    path: Path, test: Evaluation, model: str, recipe: Recipe | None, temperature: float
) -> None:
    """Write the test split's metrics as JSON."""
    from .paths import replacing

    low, high = test.interval
    metrics = {
        "model": model,
        "data": test.source,
        "test_pictures": len(test.labels),
        "test_accuracy": test.accuracy,
        "test_accuracy_95_interval": [low, high],
        "test_loss": test.loss,
        "temperature": temperature,
        "confusion": test.confusion.tolist(),
        "recipe": asdict(recipe) if recipe else None,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def write_card(path: Path, done: Checkpoint, test: Evaluation) -> None:
    """Write a model card: what the network is, what it learnt from, what it was measured on."""
    from .data import is_sample
    from .models import count_parameters
    from .paths import replacing

    low, high = test.interval
    rows = {
        "what": "reads one handwritten digit in a picture of 28×28 (`MNISTPredictor` prepares any)",
        "network": f"`{done.name}`, {count_parameters(done.model):,} parameters",
        "trained on": done.source,
        "test accuracy": f"{test.accuracy:.2%} of {len(test.labels):,} pictures from {test.source} "
        f"(95 % interval {low:.2%} to {high:.2%})",
        "recipe": _in_words(done.recipe),
        "temperature": f"{done.temperature:.3f}, by which logits are divided for confidences",
        "versions": ", ".join(f"{name} {version}" for name, version in done.versions.items()),
    }
    if is_sample(test.source):
        rows["beware"] = "**this is not MNIST's test set**: compare the accuracy with no other"
    lines = [f"# Model card: `{done.name}`", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    with replacing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_figures(out: Path, history: list[dict], digits: Digits, test: Evaluation) -> None:
    """Draw training curves, the confusion matrix and sample predictions, titled with their data."""
    import matplotlib

    matplotlib.use("Agg")
    from .plots import plot_confusion, plot_digits, plot_history, save_figure

    title = digits.source
    save_figure(plot_history(history), out / "training_curves.png", title=title)
    save_figure(plot_confusion(test.confusion), out / "confusion_matrix.png", title=title)
    first = slice(0, 20)
    axes = plot_digits(
        digits.images[first],
        labels=test.labels[first],
        predictions=test.predictions[first],
        confidences=test.probs[first].max(1),
    )
    save_figure(axes, out / "sample_predictions.png", title=title)


def _sizes(splits: Splits) -> str:
    """Return the splits' sizes in words."""
    return (
        f"{len(splits.train):,} pictures to train, {len(splits.val):,} to validate, "
        f"{len(splits.test):,} to test"
    )


def _in_words(recipe: Recipe) -> str:
    """Return the recipe in one line."""
    return ", ".join(f"{name} {value}" for name, value in asdict(recipe).items())


def _verdict(test: Evaluation) -> str:
    """Return the test accuracy in one sentence."""
    low, high = test.interval
    return (
        f"Test accuracy {test.accuracy:.2%} ({int((~test.correct).sum())} errors in "
        f"{len(test.labels):,}; 95 % interval {low:.2%} to {high:.2%}) on {test.source}"
    )


# ------------------------------------------------------------------------------- evaluate, predict


@app.command()
def evaluate(
    checkpoint: Weights = None,
    data: Data = None,
    source: Source = "auto",
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Measure a network on the test split."""
    from .data import load_mnist
    from .evaluation import evaluate as measure
    from .prediction import MNISTPredictor

    with plain_errors():
        predictor = MNISTPredictor(checkpoint, "cpu" if no_cuda else device)
        test = measure(predictor.model, load_mnist(source, data, val_size=0).test)
        typer.echo(_verdict(test))
        typer.echo(test.per_class.to_string(float_format=lambda value: f"{value:.4f}"))


@app.command()
def predict(
    images: Annotated[list[Path] | None, typer.Argument(help="Pictures of one digit each.")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Kaggle's Digit Recognizer table instead of pictures.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --csv: the submission to write.")] = None,
    checkpoint: Weights = None,
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Read the digit in each picture, or in each row of a table."""
    from .prediction import MNISTPredictor

    if bool(images) == bool(csv):
        raise typer.BadParameter("name either pictures or --csv TABLE")
    if out and not csv:
        raise typer.BadParameter("--out is for --csv; readings of pictures are printed")
    with plain_errors():
        predictor = MNISTPredictor(checkpoint, "cpu" if no_cuda else device)
        if csv:
            write_submission(csv, out or Path("submission.csv"), predictor)
            return
    failed = 0
    for image in images:
        try:
            prediction = predictor.predict(image)
        except (ValueError, OSError) as error:
            named = str(image) in str(error)
            typer.secho(f"{error}" if named else f"{image}: {error}", fg="red", err=True)
            failed += 1
        else:
            doubt = "" if prediction.is_confident else "  (not sure)"
            typer.echo(f"{image}: {prediction.digit}  {prediction.confidence:.1%}{doubt}")
    if failed:
        raise typer.Exit(1)


def write_submission(csv: Path, out: Path, predictor) -> None:
    """Read a table of digits, and write Kaggle's ``ImageId,Label``."""
    import pandas as pd

    from .data import load_csv
    from .paths import replacing

    digits = load_csv(csv)
    labels = predictor.probabilities(digits.images).argmax(1)
    with replacing(out) as part:
        table = {"ImageId": range(1, len(labels) + 1), "Label": labels}
        pd.DataFrame(table).to_csv(part, index=False)
    typer.echo(f"{len(labels):,} digits read; submission in {out}")


@app.command()
def batch(
    folder: Annotated[str, typer.Argument(help="Folder with pictures of one digit each.")],
    recursive: Annotated[bool, typer.Option(help="Look into its folders too.")] = True,
    pattern: Annotated[str, typer.Option(help="Of file names, such as '*.png'.")] = "*",
    labels: Annotated[
        str,
        typer.Option(
            help="Where the true digit stands: folder, name, auto (if all have one), none."
        ),
    ] = "auto",
    out: Annotated[Path | None, typer.Option(help="Default: predictions/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="That decode large pictures. Default: one a processor.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures read at once.")] = 256,
    checkpoint: Weights = None,
    device: Device = "auto",
    no_cuda: NoCuda = False,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="Read it on a Ray cluster; FOLDER may be s3://… or the like."),
    ] = False,
    address: Address = None,
    format: Annotated[str, typer.Option(help="With --ray: parquet or csv.")] = "parquet",
) -> None:
    """Read a whole folder; write a table, a log, and the least confident pictures.

    A picture that cannot be read becomes a row with its error. The exit status is 0 if any
    picture was read, 1 if none was, 130 if the run was interrupted. With --ray there is one table
    in several files, and no figure.
    """
    from .batch import BatchProcessor
    from .prediction import MNISTPredictor

    _only_with(ray, "--ray", {"--address": address, "--format": format != "parquet"})
    if ray:
        alone = {
            "--no-recursive": not recursive,
            "--pattern": pattern != "*",
            "--labels": labels not in ("auto", "none"),
            "--resume": resume,
            "--threads": threads,
        }
        _only_with(False, "a single machine, without --ray", alone)
        _batch_on_ray(folder, out, checkpoint, format, batch_size, device, no_cuda, address)
        return
    with plain_errors():
        predictor = MNISTPredictor(checkpoint, "cpu" if no_cuda else device)
        processor = BatchProcessor(predictor, out, batch_size, threads)
        where = None if labels == "none" else labels
        try:
            processor.process_folder(folder, recursive, pattern, where, resume)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        processor.print_summary()
        for path in (processor.save_results_csv(), processor.save_results_json()):
            typer.echo(path)
        typer.echo(processor.save_contact_sheet())


def _batch_on_ray(
    folder: str,
    out: Path | None,
    checkpoint: Path | None,
    format: str,
    batch_size: int,
    device: str,
    no_cuda: bool,
    address: str | None,
) -> None:
    """Read a folder on a Ray cluster."""
    from .paths import project_root
    from .scale import predict_folder

    with plain_errors():
        done = predict_folder(
            folder,
            out or project_root() / "predictions",
            checkpoint,
            format=format,
            use_gpu=_workers_device("cpu" if no_cuda else device, 1)[0] == "cuda",
            batch_size=batch_size,
            address=address,
        )
        typer.echo(
            f"{done['read']:,} of {done['pictures']:,} pictures read, "
            f"{done['not_confident']:,} of them to be looked at"
        )
        typer.echo(done["rows"])
        if not done["read"]:
            raise typer.Exit(1)


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
    from .data import load_mnist
    from .paths import outputs_folder, replacing
    from .recipes import recipe_for

    with plain_errors():
        from .scale import default_search_space
        from .scale import tune as search

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


@app.command()
def export(
    onnx: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    checkpoint: Weights = None,
) -> None:
    """Write a trained network as ONNX, to run it anywhere."""
    from .checkpoints import load_checkpoint
    from .onnx import export_onnx
    from .prediction import SHIPPED_WEIGHTS

    with plain_errors():
        done = load_checkpoint(checkpoint or SHIPPED_WEIGHTS)
        about = {"model": done.name, "source": done.source, "temperature": done.temperature}
        export_onnx(done.model, onnx, about | {"versions": done.versions})
        typer.echo(f"{onnx}: the network {done.name}, {onnx.stat().st_size / 1e6:.2f} MB")


@app.command("app")
def app_(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="A trained network; several times, for a choice. Default: the one that ships, "
            "and those in outputs/train/."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 to be reached from elsewhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.", min=0, max=65535)] = 7860,
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Open a page to draw on, and a REST interface beside it."""
    with plain_errors():
        from .serve import create_app, known_checkpoints, run

        checkpoints = checkpoint or known_checkpoints()
        run(create_app(checkpoints, device="cpu" if no_cuda else device), host, port)


# ---------------------------------------------------------------------------------------- benchmark

benchmark = typer.Typer(
    help="Measure against the usual ways: a table, and JSON and a figure in outputs/benchmarks/.",
    no_args_is_help=True,
)
app.add_typer(benchmark, name="benchmark")


Repeats = Annotated[int, typer.Option(help="How often each way is timed.", min=1)]


@benchmark.command("train")
def benchmark_train(
    contestants: Annotated[
        str, typer.Option(help="Names with commas between; theirs: mnistnet, pytorch_example.")
    ] = "mnistnet,pytorch_example,tiny,fast,fast-fp32,accurate",
    seeds: Annotated[int, typer.Option(help="Trainings of each of ours.", min=1)] = 5,
    their_seeds: Annotated[
        int | None, typer.Option(help="Trainings of each of theirs. Default: as many.", min=1)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One epoch of theirs; their seconds extrapolated.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the trainings that a former run finished.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Train nothing; tabulate what was finished.")
    ] = False,
    device: Device = "cpu",
    data: Data = None,
) -> None:
    """Seconds and epochs to 99.0, 99.3 and 99.5 %: the usual recipes against ours.

    Everything takes hours on two cores; --quick takes some minutes.
    """
    from .benchmarks import training
    from .training import choose_device

    with plain_errors():
        names = tuple(contestants.split(","))
        where = choose_device(device)[0].type
        if report:
            training.report(names, quick, where)
        else:
            training.benchmark(names, seeds, their_seeds, quick, resume, data, where)


@benchmark.command("data")
def benchmark_data(repeats: Repeats = 5, data: Data = None) -> None:
    """One pass over the 60,000 training pictures: DataLoader against Batches."""
    from .benchmarks import data as benchmark

    with plain_errors():
        benchmark.benchmark(repeats, data)


@benchmark.command("predict")
def benchmark_predict(
    calls: Annotated[int, typer.Option(help="Predictions of each way.", min=10)] = 300,
    pictures: Annotated[int, typer.Option(help="PNGs in the folder.", min=1)] = 5000,
    data: Data = None,
) -> None:
    """From file to digit: one picture, and a folder, the usual way and ours."""
    from .benchmarks import prediction

    with plain_errors():
        prediction.benchmark(calls, pictures, data)


@benchmark.command("serve")
def benchmark_serve(
    requests: Annotated[int, typer.Option(help="In each repeat.", min=1)] = 5000,
    clients: Annotated[int, typer.Option(help="At the same time.", min=1)] = 50,
    repeats: Repeats = 3,
    checkpoint: Weights = None,
    data: Data = None,
) -> None:
    """Many people at once: pictures read together against one by one."""
    with plain_errors():
        from .benchmarks import serving

        serving.benchmark(requests, clients, repeats, checkpoint, data)


@benchmark.command("scale")
def benchmark_scale(
    pictures: Annotated[int, typer.Option(help="Drawings in the folder.", min=100)] = 6000,
    repeats: Repeats = 3,
    data: Data = None,
) -> None:
    """A folder and a training on a Ray cluster: two workers against one."""
    with plain_errors():
        from .benchmarks import scale

        scale.benchmark(pictures, repeats=repeats, data=data)


@benchmark.command("import")
def benchmark_import(repeats: Repeats = 5) -> None:
    """How long a new Python takes to import the package."""
    from .benchmarks import imports

    with plain_errors():
        imports.benchmark(repeats)


@benchmark.command("augment")
def benchmark_augment(
    pictures: Annotated[Path, typer.Option(help="Folder of [SET/]LABEL/PICTURE.")],
    seeds: Annotated[int, typer.Option(help="Trainings of each.", min=1)] = 3,
    epochs: Annotated[int, typer.Option(help="Passes over the training split.", min=1)] = 6,
    data: Data = None,
) -> None:
    """What each augmentation does to accuracy, on validation data and on real handwriting."""
    from .benchmarks import augmentation

    with plain_errors():
        augmentation.benchmark(pictures, seeds, epochs, data)


@benchmark.command("strokes")
def benchmark_strokes(
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of [SET/]LABEL/PICTURE; without, our pens alone.")
    ] = None,
    data: Data = None,
) -> None:
    """What bringing strokes to MNIST's width does: pens from a hair to a marker, handwriting."""
    from .benchmarks import strokes

    with plain_errors():
        strokes.benchmark(pictures, data)


@benchmark.command("confidence")
def benchmark_confidence(
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of [SET/]LABEL/PICTURE; without, MNIST alone.")
    ] = None,
    weights: Weights = None,
    data: Data = None,
) -> None:
    """How many non-digits are flagged, and what confidence promises on real handwriting."""
    from .benchmarks import confidence

    with plain_errors():
        confidence.benchmark(pictures, weights, data)


@benchmark.command("handwriting")
def benchmark_handwriting(
    pictures: Annotated[Path, typer.Option(help="Folder of [SET/]LABEL/PICTURE.")],
    network: Annotated[
        str, typer.Option(help="The network that reads the usual way.")
    ] = "mnistnet",
    data: Data = None,
) -> None:
    """Real handwriting: grey and resized, as usual, against MNIST's way of preparing a picture."""
    from .benchmarks import handwriting

    with plain_errors():
        handwriting.benchmark(pictures, network, data)


# ------------------------------------------------------------------------------------- data, doctor


@app.command()
def data(
    root: Annotated[Path | None, typer.Option("--data", help="Folder to look in.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch MNIST there.")] = False,
) -> None:
    """Say where MNIST is looked for, and what is there."""
    from .data import data_folder, download_mnist, find_idx, find_tables, load_mnist
    from .paths import as_text

    with plain_errors():
        folder = data_folder(root)
        typer.echo(f"Looking in {as_text(folder.absolute())}")
        if download and not _holds_mnist(folder):
            download_mnist(folder)
        found = find_idx(folder)
        files = found or {path.stem: path for path in find_tables(folder)}
        for stem, path in files.items():
            typer.echo(f"  {stem}: {as_text(path)} ({path.stat().st_size:,} bytes)")
        if not files:
            typer.echo("  no MNIST: the first training fetches it, or add --download")
            return
        train, _, test = load_mnist("idx" if found else "csv", folder, val_size=0)
        typer.echo(f"  readable: {len(train):,} pictures to train, {len(test):,} to test")


def _holds_mnist(folder: Path) -> bool:
    """Return whether MNIST's four files are in a folder, undamaged."""
    from .data import load_mnist

    try:
        load_mnist("idx", folder, val_size=0)
    except (FileNotFoundError, ValueError):
        return False
    return True


@app.command()
def doctor() -> None:
    """Check Python, packages, device, data, weights, kernel and widgets."""
    from .doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(finding)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
