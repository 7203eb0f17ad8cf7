"""``sheet make`` and ``sheet read``: one's own MNIST from paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .base import app, command, describe_error, exit_on_error

if TYPE_CHECKING:
    from ..sheet import SheetDigits

sheet = typer.Typer(no_args_is_help=True, help="Make your own MNIST from a photographed sheet.")
app.add_typer(sheet, name="sheet")


@sheet.command()
def make(
    out: Annotated[Path, typer.Argument(help="The file to write: .pdf, or an image.")] = Path(
        "sheet.pdf"
    ),
    writer: Annotated[str, typer.Option(help="The writer's name, printed on the sheet.")] = "",
    per_digit: Annotated[int, typer.Option(help="How many boxes each digit has.")] = 10,
    digits: Annotated[str, typer.Option(help="The digits to write.")] = "0123456789",
) -> None:
    """Write a sheet to print, with a box for each digit that is to be written by hand."""
    from ..sheet import make_sheet

    with exit_on_error():
        path = make_sheet(out, writer, per_digit, digits)
    typer.echo(f"{path}: print it, fill it in, photograph the whole page. Then:")
    typer.echo(f"  {command('sheet', 'read', 'photo.jpg', '--out', 'my_mnist')}")


@sheet.command()
def read(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos or scans.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("my_mnist"),
) -> None:
    """Read photographed sheets, and write their digits as a data set.

    The folder then holds MNIST/raw (MNIST's own files, a fifth of the digits as the test set),
    digits.csv (Kaggle's form), images/ (a PNG file for each digit) and crops/ (what was cut out of
    the boxes). A photo that cannot be read is reported, and the others are read; the exit status
    is then 1.
    """
    from ..files import exclusive_lock
    from ..sheet import read_sheet, save_sheets

    sheets, failed = [], 0
    with exit_on_error():
        for photo in photos:
            try:
                found = read_sheet(photo)
            except (ValueError, OSError) as error:
                typer.secho(f"Error: {describe_error(error)}", fg="red", err=True)
                failed += 1
                continue
            typer.echo(f"{photo}: {describe(found)}")
            sheets.append(found)
        if not sheets:
            raise ValueError("none of the photos could be read")
        with exclusive_lock(out), exclusive_lock(out / "MNIST" / "raw"):
            saved = save_sheets(sheets, out)
        for path, what in saved.items():
            typer.echo(f"  {path}: {what}")
    typer.echo("How well the pretrained model predicts them:")
    typer.echo(f"  {command('batch', out / 'images', '--labels', 'folder')}")
    raise typer.Exit(1 if failed else 0)


def describe(found: SheetDigits) -> str:
    """Return what a sheet holds, as a sentence."""
    writer = f"by {found.writer}" if found.writer else "by a writer whose name could not be read"
    parts = [f"{len(found)} digits {writer}"]
    if found.empty:
        parts.append(f"{len(found.empty)} boxes empty")
    if found.crossed_out:
        parts.append(f"{len(found.crossed_out)} crossed out")
    return ", ".join(parts)
