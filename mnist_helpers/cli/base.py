"""The Typer app, the options that several commands share, and errors as one sentence."""

from __future__ import annotations

import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from .. import __version__

if TYPE_CHECKING:
    from ..data import Splits
    from ..prediction import MNISTPredictor, Predictor

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

# Names that other modules decide stand here once more, since asking them would import PyTorch,
# two seconds for each --help. tests/cli/test_cli.py compares.
ModelName = Literal[
    "cnn2",
    "mnistnet",
    "conv3_nopool",
    "cnn2_dropout",
    "cnn2_sgd",
    "pytorch_example",
    "pytorch_example_2017",
    "speedrun_2020",
    "tiny",
    "fast",
    "accurate",
]
Optimizer = Literal["adamw", "adam", "sgd", "adadelta"]
Augmentation = Literal["none", "shift", "warp", "handwriting"]
Precision = Literal["auto", "fp32", "bf16"]
SourceName = Literal[
    "auto", "idx", "npz", "pickle", "parquet", "csv", "images", "download", "sample"
]


def listed(names: object) -> str:
    """Return the values of a Literal, with commas between."""
    return ", ".join(get_args(names))


Model = Annotated[
    ModelName, typer.Option(metavar="NAME", help=f"Architecture: {listed(ModelName)}.")
]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder with MNIST. Default: $MNIST_HELPERS_DATA, or else data/."),
]
Source = Annotated[
    SourceName,
    typer.Option(
        metavar="|".join(get_args(SourceName)),
        help="Where MNIST comes from: its own files (idx), Keras's (npz), Nielsen's (pickle), "
        "Hugging Face's (parquet), Kaggle's tables (csv), folders of images, a download, or the "
        "offline sample of 5,000 images. auto tries them in this order.",
    ),
]
Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute; cuda:1 is the second GPU."),
]
NoCuda = Annotated[bool, typer.Option("--no-cuda", help="Compute on the CPU: --device cpu.")]
Address = Annotated[
    str | None,
    typer.Option(help="Address of a Ray cluster. Default: one is started on this machine."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="A model's file (.safetensors, .pt, .pth or .onnx), or the folder of a training run. "
        "Default: the pretrained model."
    ),
]


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
    """Handwritten-digit recognition: train, evaluate, predict, learn.

    Results go to stdout; the model in use, progress, notes and errors go to stderr. The exit status
    is 0 for success, 1 for an error, 2 for wrong usage, and 130 after Ctrl-C or
    SIGTERM.
    """
    warnings.formatwarning = lambda message, *_, **__: f"Note: {str(message).strip()}\n"


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error that the user can fix into one sentence and exit status 1."""
    try:
        yield
    except (ValueError, OSError, ImportError, FloatingPointError, MemoryError) as error:
        typer.secho(f"Error: {describe_error(error)}", fg="red", err=True)
        raise typer.Exit(1) from error


def describe_error(error: Exception) -> str:
    """Return what is wrong: of the system's errors the path and the reason, without the number."""
    from ..files import escape_name

    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if isinstance(error.filename, str):
        return f"{escape_name(error.filename)}: {error.strerror}"
    return error.strerror


def require_option(given: object, option: str, others: dict[str, object]) -> None:
    """Refuse options that would be ignored."""
    idle = [name for name, value in others.items() if value]
    if idle and not given:
        raise typer.BadParameter(f"{' and '.join(idle)} only with {option}")


def command(*arguments: object) -> str:
    """Return a command line of this program that the user can copy, as they call it themselves.

    Examples
    --------
    >>> command("evaluate", "--checkpoint", Path("my run")).partition(" evaluate ")[2]
    "--checkpoint 'my run'"
    """
    from ..files import escape_name, short_path

    program, name = Path(sys.argv[0]), "mnist-helpers"
    module = [] if program.stem == name else ["-m", "mnist_helpers"]
    program, name = (Path(sys.executable), "python") if module else (program, name)
    found = shutil.which(name)
    on_path = found is not None and Path(found).parent == program.absolute().parent
    start = name if on_path else str(short_path(program))
    return escape_name(shlex.join([start, *module, *map(str, arguments)]))


def load_data(source: str, folder: Path | None, val_size: int = 0) -> Splits:
    """Load MNIST; a folder that is not there is named with the option that named it."""
    from ..data import load_mnist
    from ..files import escape_name

    if folder is not None and source not in ("download", "sample") and not folder.exists():
        get = command("data", "--data", folder, "--download")
        raise FileNotFoundError(
            f"there is no folder {escape_name(folder)} (--data): correct the name, or download "
            f"MNIST to it: {get}"
        )
    return load_mnist(source, folder, val_size)


def load_predictor(checkpoint: Path | None, device: str, no_cuda: bool) -> MNISTPredictor:
    """Load the model, and say on stderr which one it is."""
    from ..models import count_parameters
    from ..prediction import MNISTPredictor

    path = model_file(checkpoint)
    predictor = MNISTPredictor(path, "cpu" if no_cuda else device)
    _announce(predictor.checkpoint.name, count_parameters(predictor.model), path)
    return predictor


def load_image_predictor(checkpoint: Path | None, device: str, no_cuda: bool) -> Predictor:
    """Load the model for a few images: the pretrained one on ONNX Runtime, where that is installed.

    Importing PyTorch takes longer than all the rest of such a command.
    """
    on_cpu = no_cuda or device in ("auto", "cpu")
    if checkpoint is not None or not on_cpu or find_spec("onnxruntime") is None:
        return load_predictor(checkpoint, device, no_cuda)
    from ..prediction import PretrainedPredictor

    predictor = PretrainedPredictor()
    _announce(predictor.about["model"], predictor.about["parameters"], None)
    return predictor


def _announce(name: str, parameters: int, path: Path | None) -> None:
    """Say on stderr which model it is, and where one of the user's own is."""
    from ..files import short_path

    size = f"{parameters:,} parameters, " if parameters else ""
    origin = "pretrained" if path is None else short_path(path)
    typer.echo(f"Model: {name} ({size}{origin})", err=True)
    if path is None and (run := newest_run()):
        own = shlex.join(["--checkpoint", run])
        typer.echo(f"Note: to use the model that you trained last, add {own}", err=True)


def model_file(checkpoint: Path | None) -> Path | None:
    """Return the model's file; of a run's folder it is ``model.safetensors``."""
    from ..files import escape_name

    if checkpoint is not None and not checkpoint.exists():
        hint = list_runs("model.safetensors", "--checkpoint")
        raise FileNotFoundError(f"there is no checkpoint {escape_name(checkpoint)}{hint}")
    if checkpoint is None or not checkpoint.is_dir():
        return checkpoint
    names = ("model.safetensors", "best.pt", "last.pt")
    files = [checkpoint / name for name in names if (checkpoint / name).is_file()]
    if not files:
        raise FileNotFoundError(
            f"{checkpoint} is a folder without a training run: none of {', '.join(names)} is in it"
        )
    return files[0]


def list_runs(file: str, option: str) -> str:
    """Return which runs in ``outputs/train/`` have such a file, in brackets; nothing if none has.

    It ends a message about a run that is not there, and says how to name another.
    """
    from ..files import project_root, short_path

    runs = sorted((project_root() / "outputs" / "train").glob(f"*/{file}"))
    there = ", ".join(short_path(path.parent) for path in runs)
    return f" (there are runs in {there}: name one with {option})" if there else ""


def newest_run() -> str | None:
    """Return the folder of the newest run in ``outputs/train/``, if there is one."""
    from ..files import project_root, short_path

    files = (project_root() / "outputs" / "train").glob("*/model.safetensors")
    newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
    return short_path(newest.parent) if newest else None


def workers_device(device: str, workers: int) -> tuple[str, str]:
    """Return what the workers of a cluster compute on, and say why."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = {"cuda": "GPU", "cpu": "CPU"}.get(device)
    if kind is None:
        raise ValueError(f"workers compute on cuda or cpu, not on {device}")
    return device, f"Using {workers} workers with a {kind} each."
