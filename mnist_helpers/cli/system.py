"""``app``, ``data`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .base import Device, NoCuda, app, plain_errors


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
        from ..serve import create_app, known_checkpoints, run

        checkpoints = checkpoint or known_checkpoints()
        run(create_app(checkpoints, device="cpu" if no_cuda else device), host, port)


@app.command()
def data(
    root: Annotated[Path | None, typer.Option("--data", help="Folder to look in.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch MNIST there.")] = False,
) -> None:
    """Say where MNIST is looked for, and what is there."""
    from ..data import data_folder, download_mnist, find_idx, find_tables, load_mnist
    from ..paths import as_text

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
    from ..data import load_mnist

    try:
        load_mnist("idx", folder, val_size=0)
    except (FileNotFoundError, ValueError):
        return False
    return True


@app.command()
def doctor() -> None:
    """Check Python, packages, device, data, weights, kernel and widgets."""
    from ..doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(finding)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
