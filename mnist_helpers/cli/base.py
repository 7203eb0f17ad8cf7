"""The Typer app, the options that several commands share, and errors as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    """Print the version and stop, if that is what was asked for."""
    if wanted:
        typer.echo(f"mnist-helpers {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Learn handwritten-digit recognition: train, evaluate, predict."""


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


def only_with(given: object, option: str, others: dict[str, object]) -> None:
    """Refuse options that would be ignored."""
    idle = [name for name, value in others.items() if value]
    if idle and not given:
        raise typer.BadParameter(f"{' and '.join(idle)} only with {option}")


def workers_device(device: str, workers: int) -> tuple[str, str]:
    """Return what the workers of a cluster compute on, and say why."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = {"cuda": "GPU", "cpu": "CPU"}.get(device)
    if kind is None:
        raise ValueError(f"workers compute on cuda or cpu, not on {device}")
    return device, f"Using {workers} workers with a {kind} each."
