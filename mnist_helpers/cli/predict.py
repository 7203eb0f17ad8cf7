"""``evaluate``, ``predict``, ``batch`` and ``export``."""

from __future__ import annotations

import difflib
import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .base import (
    Address,
    Data,
    Device,
    NoCuda,
    Source,
    Weights,
    app,
    command,
    describe_error,
    exit_on_error,
    load_data,
    load_image_predictor,
    load_predictor,
    model_file,
    require_option,
    workers_device,
)

if TYPE_CHECKING:
    from ..prediction import MNISTPredictor, Predictor

Labels = Literal["auto", "folder", "name", "none"]
Format = Literal["parquet", "csv"]


@app.command()
def evaluate(
    checkpoint: Weights = None,
    data: Data = None,
    source: Source = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Evaluate a model on the test set.

    Prints the accuracy and a table with one row per digit: precision, recall, f1, support. With
    --json: model, checkpoint, data, test_images, test_accuracy, test_accuracy_95_interval,
    test_loss, temperature, confusion (row = label, column = prediction), per_class.

    Without --checkpoint the pretrained model is evaluated. If you have trained one, a note says how
    to evaluate that; `train` ends with the command, too.
    """
    from ..evaluation import evaluate as measure
    from ..report import describe_result, metrics

    with exit_on_error():
        predictor = load_predictor(checkpoint, device, no_cuda)
        test = measure(predictor.model, load_data(source, data).test)
        if json_:
            about = {"checkpoint": str(checkpoint) if checkpoint else None}
            about |= metrics(test, predictor.checkpoint)
            typer.echo(json.dumps(about | {"per_class": test.per_class.to_dict("index")}, indent=2))
            return
        typer.echo(describe_result(test))
        typer.echo(test.per_class.to_string(float_format=lambda value: f"{value:.4f}"))


@app.command()
def predict(
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE", help="Images of one digit each; '*.png' works as well."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="A table in Kaggle's Digit Recognizer form, not images.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --csv: the submission to write. Default: submission.csv."),
    ] = None,
    label_column: Annotated[
        str,
        typer.Option(
            help="With --csv: the label's column, by name or number (0: first, -1: last), or none."
        ),
    ] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    number: Annotated[
        bool, typer.Option("--number", help="Each image shows a number: several digits in a row.")
    ] = False,
    checkpoint: Weights = None,
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Predict the digit in each image, or in each row of a table.

    Prints one line per image: file and colon, digit, confidence, and "not confident" if that is
    below 90%. With --json an array with one object per image: image, digit, confidence,
    is_confident, probabilities (of 0 to 9); or image and error. With --number the text stands in
    the digit's place, and in JSON: image, text, confidence, is_confident, digits (each as of an
    image, and its box: left, top, right, bottom).

    An image that cannot be predicted is an error on stderr, and the exit status is then 1; the
    others are predicted. For a whole folder use `batch`.
    """
    if bool(images) == bool(csv):
        raise typer.BadParameter("name either images or --csv TABLE")
    if csv and json_:
        raise typer.BadParameter("--json is for images; --csv writes a submission")
    if csv and number:
        raise typer.BadParameter("--number is for images; a table's rows are single digits")
    if out and not csv:
        raise typer.BadParameter("--out is for --csv; predictions of images are printed")
    with exit_on_error():
        if csv:
            _check_file(csv)
            table_predictor = load_predictor(checkpoint, device, no_cuda)
            column: int | str | None = None if label_column == "none" else label_column
            if label_column.lstrip("-").isdigit():
                column = int(label_column)
            write_submission(csv, out or Path("submission.csv"), table_predictor, column)
            return
        predictor = load_image_predictor(checkpoint, device, no_cuda)
    failed = _predict_images(predictor, list(_expand(images or [])), json_, number)
    if failed:
        raise typer.Exit(1)


def _predict_images(predictor: Predictor, images: list[Path], as_json: bool, number: bool) -> int:
    """Print the prediction of each image, and return how many failed."""
    from ..files import escape_name
    from ..json_objects import to_json_object

    names = [escape_name(image) for image in images]
    width, failed = max(map(len, names)) + 1, 0
    rows: list[dict[str, object]] = []
    for image, name in zip(images, names, strict=True):
        try:
            _check_file(image)
            found = predictor.predict_number(image) if number else predictor.predict(image)
        except (ValueError, OSError) as error:
            text = escape_name(describe_error(error))
            typer.secho(text if name in text else f"{name}: {text}", fg="red", err=True)
            rows.append({"image": name, "error": text})
            failed += 1
            continue
        rows.append({"image": name} | to_json_object(found))
        if not as_json:
            note = "" if found.is_confident else "  not confident"
            text = str(getattr(found, "text" if number else "digit"))
            typer.echo(f"{name + ':':<{width}} {text}  {found.confidence:6.1%}{note}")
    if as_json:
        typer.echo("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]")
    return failed


def _expand(images: list[Path]) -> Iterator[Path]:
    """Yield the images, those of a pattern that the shell has left as it is one by one."""
    for image in images:
        found = [] if os.path.exists(image) else sorted(glob.glob(str(image), recursive=True))
        yield from map(Path, found or [str(image)])


def _check_file(image: Path) -> None:
    """Refuse what is not a file, with what helps."""
    from ..files import escape_name

    name = escape_name(image)
    if image.is_dir():
        batch = command("batch", image)
        raise IsADirectoryError(f"{name} is a folder; to predict every image in it: {batch}")
    if image.exists():
        return
    if glob.has_magic(str(image)):
        raise FileNotFoundError(f"no file matches {name}")
    if not image.parent.is_dir():
        raise FileNotFoundError(f"there is no file {name}: there is no folder {image.parent}")
    others = [path.name for path in image.parent.iterdir() if path.is_file()]
    similar = difflib.get_close_matches(image.name, others, 1)
    hint = f": did you mean {escape_name(image.with_name(similar[0]))}?" if similar else ""
    raise FileNotFoundError(f"there is no file {name}{hint}")


def write_submission(
    csv: Path, out: Path, predictor: MNISTPredictor, label_column: str | int | None = "auto"
) -> None:
    """Predict a table's digits, and write Kaggle's ``ImageId,Label``, or ``id,label``."""
    import pandas as pd

    from ..data import read_table
    from ..files import atomic_write, short_path

    table = read_table(csv, label_column)
    for note in table.notes:
        typer.echo(f"{csv}: {note}", err=True)
    labels = predictor.predict_proba(table.digits.images).argmax(1)
    name = table.id_name or "ImageId"
    rows = {
        name: table.ids or range(1, len(labels) + 1),
        "label" if name.islower() else "Label": labels,
    }
    with atomic_write(out) as part:
        pd.DataFrame(rows).to_csv(part, index=False)
    typer.echo(f"{len(labels):,} digits predicted; submission: {short_path(out)}")


@app.command()
def batch(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Folder with images of one digit each.")
    ],
    recursive: Annotated[bool, typer.Option(help="Include folders in the folder.")] = True,
    pattern: Annotated[str, typer.Option(help="Pattern of the file names, such as '*.png'.")] = "*",
    labels: Annotated[
        Labels,
        typer.Option(
            help="Where the label is, for an accuracy: in the parent folder's name (7/scan.png) or "
            "the file's name (7_scan.png). auto: wherever all images have one."
        ),
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: predictions/.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a run that stopped.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads that decode images. Default: one per core.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images per batch.")] = 256,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Each image shows a number: several digits in a row.")
    ] = False,
    checkpoint: Weights = None,
    device: Device = "auto",
    no_cuda: NoCuda = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Use a Ray cluster; FOLDER may be an address, as s3://….")
    ] = False,
    address: Address = None,
    format: Annotated[Format, typer.Option(help="With --ray: the table's format.")] = "parquet",
) -> None:
    """Predict every image in a folder; write a table, a log, and the least confident images.

    In predictions/reports/: results.csv (one row per image: file, digit, confidence, is_confident,
    p0 to p9, seconds, error, and with labels label), results.json (the summary and the same rows),
    least_confident.png; in predictions/logs/ a log per run. With --numbers a row has text, and the
    boxes and confidences of its digits, in place of digit and p0 to p9.

    An image that cannot be predicted becomes a row with its error. The exit status is 0 if any
    image was predicted, 1 if none was, 130 if the run was interrupted: what was predicted is kept,
    and --resume continues from there. With --ray there are several files of rows, and no figure.
    """
    from ..batch import BatchProcessor
    from ..files import short_path

    require_option(ray, "--ray", {"--address": address, "--format": format != "parquet"})
    if ray:
        single: dict[str, object] = {
            "--no-recursive": not recursive,
            "--pattern": pattern != "*",
            "--labels": labels not in ("auto", "none"),
            "--resume": resume,
            "--threads": threads,
        }
        require_option(False, "a single machine, without --ray", single)
        _batch_on_ray(
            folder, out, checkpoint, format, batch_size, numbers, device, no_cuda, address
        )
        return
    with exit_on_error():
        if not Path(folder).is_dir():
            one = f"it is a file; to predict one image: {command('predict', folder)}"
            hint = f" ({one})" if Path(folder).is_file() else ""
            raise NotADirectoryError(f"there is no folder {folder}{hint}")
        predictor = load_predictor(checkpoint, device, no_cuda)
        processor = BatchProcessor(predictor, out, batch_size, threads, numbers)
        if resume and not processor.rows_path.is_file():
            where = short_path(processor.out)
            typer.echo(f"Note: there is no run to resume in {where}; a new one starts", err=True)
        named = None if labels == "none" else labels
        try:
            processor.process_folder(folder, recursive, pattern, named, resume)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        processor.print_summary()
        for path in (processor.save_results_csv(), processor.save_results_json()):
            typer.echo(short_path(path))
        typer.echo(short_path(processor.save_contact_sheet()))


def _batch_on_ray(
    folder: str,
    out: Path | None,
    checkpoint: Path | None,
    format: Format,
    batch_size: int,
    numbers: bool,
    device: str,
    no_cuda: bool,
    address: str | None,
) -> None:
    """Predict a folder on a Ray cluster."""
    from ..files import project_root
    from ..scale import predict_folder

    with exit_on_error():
        path = model_file(checkpoint)
        typer.echo(f"Model: {'fast (pretrained)' if path is None else path}", err=True)
        done = predict_folder(
            folder,
            out or project_root() / "predictions",
            path,
            format=format,
            use_gpu=workers_device("cpu" if no_cuda else device, 1)[0] == "cuda",
            batch_size=batch_size,
            address=address,
            numbers=numbers,
        )
        typer.echo(
            f"{done['predicted']:,} of {done['images']:,} images predicted, "
            f"{done['not_confident']:,} of them with low confidence: look at these"
        )
        typer.echo(done["rows"])
        if not done["predicted"]:
            raise typer.Exit(1)


@app.command()
def export(
    onnx: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    checkpoint: Weights = None,
) -> None:
    """Export a model to ONNX, to run it anywhere; `predict --checkpoint` takes the file as well."""
    from ..checkpoints import load_checkpoint
    from ..files import short_path
    from ..models import count_parameters
    from ..onnx import export_onnx
    from ..prediction import PRETRAINED_WEIGHTS

    with exit_on_error():
        run = load_checkpoint(model_file(checkpoint) or PRETRAINED_WEIGHTS)
        about = {"model": run.name, "source": run.source, "temperature": run.temperature}
        about |= {"parameters": count_parameters(run.model), "versions": run.versions}
        export_onnx(run.model, onnx, about)
        size = onnx.stat().st_size / 1e6
        typer.echo(f"The model {run.name} as ONNX, {size:.2f} MB: {short_path(onnx)}")
