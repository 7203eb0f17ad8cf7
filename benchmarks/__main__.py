"""``python -m benchmarks …``: what is measured against the usual ways."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnist_helpers.cli.base import Data, Device, Weights, exit_on_error

app = typer.Typer(
    help="Compare with the usual ways: a table, and JSON and a figure in outputs/benchmarks/.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Repeats = Annotated[int, typer.Option(help="How often each is timed.", min=1)]


@app.command("train")
def run_train(
    contestants: Annotated[
        str,
        typer.Option(
            help="Names, separated by commas; theirs: mnistnet, pytorch_example, speedrun_2020."
        ),
    ] = "mnistnet,pytorch_example,speedrun_2020,tiny,tiny-epoch,tiny-half,fast,fast-fp32,accurate",
    seeds: Annotated[int, typer.Option(help="Runs of each of ours.", min=1)] = 5,
    their_seeds: Annotated[
        int | None, typer.Option(help="Runs of each of theirs. Default: as many.", min=1)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One epoch of theirs; their seconds extrapolated.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the runs that are finished.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Train nothing; tabulate the finished runs.")
    ] = False,
    device: Device = "cpu",
    data: Data = None,
) -> None:
    """Seconds and epochs to 99.0, 99.3 and 99.5%: the usual recipes and ours.

    This takes hours on two cores, with --quick some minutes.
    """
    from mnist_helpers.device import choose_device

    from . import training

    with exit_on_error():
        names = tuple(contestants.split(","))
        where = choose_device(device)[0].type
        if report:
            training.report(names, quick, where)
        else:
            training.benchmark(names, seeds, their_seeds, quick, resume, data, where)


@app.command("data")
def run_data(repeats: Repeats = 5, data: Data = None) -> None:
    """One pass over the 60,000 training images: DataLoader and Batches."""
    from . import data as benchmark

    with exit_on_error():
        benchmark.benchmark(repeats, data)


@app.command("predict")
def run_predict(
    calls: Annotated[int, typer.Option(help="Predictions of each.", min=10)] = 300,
    images: Annotated[int, typer.Option(help="PNGs in the folder.", min=1)] = 5000,
    data: Data = None,
) -> None:
    """From file to digit: one image, and a folder, the usual way and ours."""
    from . import prediction

    with exit_on_error():
        prediction.benchmark(calls, images, data)


@app.command("serve")
def run_serve(
    requests: Annotated[
        int | None,
        typer.Option(help="Requests in each repeat. Default: 5,000; 20,000 of a soak.", min=1),
    ] = None,
    clients: Annotated[int, typer.Option(help="Concurrent clients.", min=1)] = 50,
    repeats: Repeats = 3,
    soak: Annotated[
        bool,
        typer.Option("--soak", help="Once, with uploads of all kinds; does its memory grow?"),
    ] = False,
    checkpoint: Weights = None,
    data: Data = None,
) -> None:
    """Load test: requests batched together, and one by one; or a soak test."""
    with exit_on_error():
        if soak:
            from . import soak as long_run

            long_run.benchmark(requests or 20_000, clients)
            return
        from . import serving

        serving.benchmark(requests or 5000, clients, repeats, checkpoint, data)


@app.command("scale")
def run_scale(
    images: Annotated[int, typer.Option(help="Drawings in the folder.", min=100)] = 6000,
    repeats: Repeats = 3,
    data: Data = None,
) -> None:
    """A folder and a training run on a Ray cluster: two workers and one."""
    with exit_on_error():
        from . import scale

        scale.benchmark(images, repeats=repeats, data=data)


@app.command("import")
def run_import(repeats: Repeats = 5) -> None:
    """How long a new Python takes to import the package."""
    from . import imports

    with exit_on_error():
        imports.benchmark(repeats)


@app.command("busy")
def run_busy(repeats: Repeats = 5) -> None:
    """An epoch beside no, one and five busy processes: threads for all cores and for free ones."""
    from . import busy

    with exit_on_error():
        busy.benchmark(repeats)


@app.command("augment")
def run_augment(
    images: Annotated[Path, typer.Option(help="Folder of [SET/]LABEL/IMAGE.")],
    seeds: Annotated[int, typer.Option(help="Runs of each.", min=1)] = 3,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.", min=1)] = 6,
    data: Data = None,
) -> None:
    """What each augmentation does to the accuracy, on the validation set and on handwriting."""
    from . import augmentation

    with exit_on_error():
        augmentation.benchmark(images, seeds, epochs, data)


@app.command("strokes")
def run_strokes(
    images: Annotated[
        Path | None, typer.Option(help="Folder of [SET/]LABEL/IMAGE; without, our pens alone.")
    ] = None,
    data: Data = None,
) -> None:
    """What normalizing the stroke width does: for pens from a hair to a marker, for handwriting."""
    from . import strokes

    with exit_on_error():
        strokes.benchmark(images, data)


@app.command("confidence")
def run_confidence(
    images: Annotated[
        Path | None, typer.Option(help="Folder of [SET/]LABEL/IMAGE; without, MNIST alone.")
    ] = None,
    weights: Weights = None,
    data: Data = None,
) -> None:
    """How many non-digits get a low confidence, and calibration on real handwriting."""
    from . import confidence

    with exit_on_error():
        confidence.benchmark(images, weights, data)


@app.command("handwriting")
def run_handwriting(
    images: Annotated[Path, typer.Option(help="Folder of [SET/]LABEL/IMAGE.")],
    network: Annotated[
        str, typer.Option(help="The model that predicts the usual way.")
    ] = "mnistnet",
    data: Data = None,
) -> None:
    """Real handwriting: gray and resized, as usual, and preprocessed as MNIST was."""
    from . import handwriting

    with exit_on_error():
        handwriting.benchmark(images, network, data)


@app.command("numbers")
def run_numbers(
    images: Annotated[
        Path | None, typer.Option(help="Folder with manifest.csv: file, label.")
    ] = None,
    per_kind: Annotated[int, typer.Option(help="Numbers of each kind of our pen.", min=1)] = 100,
) -> None:
    """Several digits in a row: how many are correct as a whole, and confidently wrong."""
    from . import numbers

    with exit_on_error():
        numbers.benchmark(images, per_kind)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
