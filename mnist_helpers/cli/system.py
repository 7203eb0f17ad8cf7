"""``app``, ``lab``, ``data`` and ``doctor``."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from .base import Device, NoCuda, app, command, exit_on_error, model_file


@app.command("app")
def app_(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="A model's file, or the folder of a training run; repeat it to offer a choice. "
            "Default: the pretrained model, and those in outputs/train/."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0: also for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = 7860,
    browser: Annotated[
        bool | None,
        typer.Option(
            "--browser/--no-browser",
            help="Open the page in the browser, or only print its address. Default: open it on a "
            "desktop.",
            show_default=False,
        ),
    ] = None,
    trusted_host: Annotated[
        list[str] | None,
        typer.Option(help="Name of a proxy in front of it; repeat it for several."),
    ] = None,
    device: Device = "auto",
    no_cuda: NoCuda = False,
) -> None:
    """Serve a web page to draw on, and a REST API."""
    with exit_on_error():
        from ..serve import create_app, find_checkpoints, run

        checkpoints = [model_file(one) or one for one in checkpoint or []] or find_checkpoints()
        device = "cpu" if no_cuda else device
        page = create_app(checkpoints, device=device, hosts=trusted_host or ())
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which a service is stopped in order
        run(page, host, port, browser)


@app.command(context_settings={"ignore_unknown_options": True})
def lab(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER|--OPTION=VALUE",
            help="Folder for the notebooks (default: mnist_notebooks; in a clone of the "
            "repository: work), and options for JupyterLab.",
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option(help="Open the browser, or only print the address.")
    ] = True,
    port: Annotated[
        int | None, typer.Option(help="Port of JupyterLab.  [default: 8888]", min=0, max=65535)
    ] = None,
) -> None:
    """Copy the course's notebooks to a folder of yours, and open them in JupyterLab.

    Run it again to get new versions. Notebooks that you edited are never overwritten: a new version
    is written beside them, as 01_dataset.new.ipynb. Delete a notebook to get the original back.
    """
    from ..course import FIRST_NOTEBOOK, copy_notebooks, enable_widget_state_saving
    from ..files import is_checkout, project_root, short_path

    options = [argument for argument in arguments or [] if argument.startswith("-")]
    folders = [argument for argument in arguments or [] if not argument.startswith("-")]
    if len(folders) > 1 or (folders and arguments != [*folders, *options]):
        raise typer.BadParameter(
            f"one FOLDER, before the options, not {shlex.join(arguments or [])}: options for "
            "JupyterLab are written --NAME=VALUE, with an equals sign"
        )
    with exit_on_error():
        start = _jupyterlab()
        if problem := enable_widget_state_saving():
            typer.echo(problem)
        root = project_root()
        default = root / ("work" if is_checkout(root) else "mnist_notebooks")
        folder = Path(folders[0]) if folders else default
        for message in copy_notebooks(folder):
            typer.echo(message)
        folder = folder.resolve()
        typer.echo(f"Notebooks: {short_path(folder)}. Stop JupyterLab with Ctrl-C.")
        # From the checkout's root, so that links to its README and docs lead somewhere.
        in_checkout = is_checkout(root) and folder.is_relative_to(root.resolve())
        top = root.resolve() if in_checkout else folder
        first = quote((folder / FIRST_NOTEBOOK).relative_to(top).as_posix())
        flags = [f"--ServerApp.root_dir={top}", f"--LabApp.default_url=/lab/tree/{first}"]
        flags += [] if browser else ["--no-browser"]
        flags += [] if port is None else [f"--port={port}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            flags.append("--allow-root")
        start([*flags, *options])


def _jupyterlab() -> Callable[[list[str]], None]:
    """Return the function that runs JupyterLab with a list of command-line arguments."""
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise ImportError(
            "JupyterLab is not installed: run  "
            f"{sys.executable} -m pip install 'mnist-helpers[lab]'"
        ) from error
    return LabApp.launch_instance


@app.command()
def data(
    root: Annotated[Path | None, typer.Option("--data", help="Folder to look in.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Download MNIST to it.")] = False,
) -> None:
    """Show where MNIST is looked for, and what is there.

    The folder is --data, or $MNIST_HELPERS_DATA, or data/ in the current folder (in a clone of the
    repository: in the clone).
    """
    from ..data import data_folder, download_mnist, find_mnist, load_mnist, remove_damaged
    from ..files import escape_name, project_root, short_path

    with exit_on_error():
        folder = data_folder(root)
        typer.echo(f"Looking in {escape_name(folder.absolute())}")
        if download:
            if not _holds_mnist(folder):
                download_mnist(folder)
            for path in remove_damaged(folder):
                typer.echo(f"  {short_path(path)} was damaged: replaced")
        elif not folder.is_dir() and folder != project_root() / "data":
            raise FileNotFoundError(f"there is no folder {escape_name(folder)}")
        found = find_mnist(folder)
        for name, path in found.files.items():
            size = f" ({path.stat().st_size:,} bytes)" if path.is_file() else ""
            typer.echo(f"  {name}: {short_path(path)}{size}")
        if found.kind is None:
            options = [] if root is None else ["--data", root]
            get = command("data", *options, "--download")
            typer.echo(f"  no MNIST yet. The first training run downloads it, or do it now: {get}")
            return
        train, _, test = load_mnist(found.kind, folder, val_size=0)
        typer.echo(f"  readable: {len(train):,} images to train, {len(test):,} to test")
        typer.echo(f"  {train.source}")


def _holds_mnist(folder: Path) -> bool:
    """Return whether MNIST's four files are in a folder, undamaged."""
    import warnings

    from ..data import NotMNISTWarning, load_mnist

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotMNISTWarning)  # it is said when they are read again
            load_mnist("idx", folder, val_size=0)
    except (FileNotFoundError, ValueError):
        return False
    return True


@app.command()
def doctor() -> None:
    """Check Python, packages, device, data, weights, kernel and widgets.

    One line per check; where something is wrong, what to do. The exit status is 0 if all is well,
    and 1 if not.
    """
    from ..doctor import run_checks

    findings = run_checks()
    for finding in findings:
        typer.echo(finding)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
