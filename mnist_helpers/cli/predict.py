"""``evaluate``, ``predict``, ``batch`` and ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .base import (
    Address,
    Data,
    Device,
    NoCuda,
    Source,
    Weights,
    app,
    only_with,
    plain_errors,
    workers_device,
)


@app.command()
def evaluate(
    checkpoint: Weights = None,
    data: Data = None,
    source: Source = "auto",
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Measure a network on the test split."""
    from ..data import load_mnist
    from ..evaluation import evaluate as measure
    from ..prediction import MNISTPredictor
    from ..report import verdict

    with plain_errors():
        predictor = MNISTPredictor(checkpoint, "cpu" if no_cuda else device)
        test = measure(predictor.model, load_mnist(source, data, val_size=0).test)
        typer.echo(verdict(test))
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
    from ..prediction import MNISTPredictor

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


def write_submission(
    csv: Path, out: Path, predictor, label_column: str | int | None = "auto"
) -> None:
    """Read a table of digits, and write Kaggle's ``ImageId,Label``, or ``id,label``."""
    import pandas as pd

    from ..data import read_table
    from ..paths import replacing

    table = read_table(csv, label_column)
    for note in table.notes:
        typer.echo(f"{csv}: {note}")
    labels = predictor.probabilities(table.digits.images).argmax(1)
    name = table.id_name or "ImageId"
    rows = {
        name: table.ids or range(1, len(labels) + 1),
        "label" if name.islower() else "Label": labels,
    }
    with replacing(out) as part:
        pd.DataFrame(rows).to_csv(part, index=False)
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
    from ..batch import BatchProcessor
    from ..prediction import MNISTPredictor

    only_with(ray, "--ray", {"--address": address, "--format": format != "parquet"})
    if ray:
        alone = {
            "--no-recursive": not recursive,
            "--pattern": pattern != "*",
            "--labels": labels not in ("auto", "none"),
            "--resume": resume,
            "--threads": threads,
        }
        only_with(False, "a single machine, without --ray", alone)
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
    from ..paths import project_root
    from ..scale import predict_folder

    with plain_errors():
        done = predict_folder(
            folder,
            out or project_root() / "predictions",
            checkpoint,
            format=format,
            use_gpu=workers_device("cpu" if no_cuda else device, 1)[0] == "cuda",
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
def export(
    onnx: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    checkpoint: Weights = None,
) -> None:
    """Write a trained network as ONNX, to run it anywhere."""
    from ..checkpoints import load_checkpoint
    from ..onnx import export_onnx
    from ..prediction import SHIPPED_WEIGHTS

    with plain_errors():
        done = load_checkpoint(checkpoint or SHIPPED_WEIGHTS)
        about = {"model": done.name, "source": done.source, "temperature": done.temperature}
        export_onnx(done.model, onnx, about | {"versions": done.versions})
        typer.echo(f"{onnx}: the network {done.name}, {onnx.stat().st_size / 1e6:.2f} MB")
