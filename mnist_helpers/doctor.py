"""Checks of the environment, one line each, with what to do where something is wrong."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .files import is_checkout

OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    name : str
        What was checked.
    ok : bool
        Whether it is as it should be.
    text : str
        What was found.
    fix : str, default=""
        What to do if it is not ok: a command, where one helps.
    """

    name: str
    ok: bool
    text: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{'ok ' if self.ok else '!! '} {self.name:<10} {self.text}"
        return line if self.ok else f"{line}\n    {'':<10} what to do: {self.fix}"


def run_checks() -> list[Finding]:
    """Check Python, packages, device, data, weights, kernel and browser widgets.

    Returns
    -------
    list of Finding
        One for each check, in this order.

    Examples
    --------
    >>> [finding.name for finding in run_checks()]
    ['Python', 'packages', 'device', 'data', 'weights', 'kernel', 'widgets']
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _packages,
        _device,
        _data,
        _weights,
        _kernel,
        _widgets,
    )
    return [check() for check in checks]


def check_environment() -> None:
    """Print the checks that fail: the first cell of each notebook calls this."""
    for finding in run_checks():
        if not finding.ok:
            print(finding)


def _pip_install(*what: str) -> str:
    """Return the command that installs something into this very Python."""
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


def _python() -> Finding:
    """Python is recent enough."""
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding(
        "Python",
        sys.version_info >= OLDEST_PYTHON,
        f"{platform.python_version()} in {sys.prefix}",
        f"install Python {oldest} or newer, and set up again",
    )


def _packages() -> Finding:
    """Every package that this one requires is installed, in a version that it works with."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in metadata.requires("mnist_helpers") or []]
    except metadata.PackageNotFoundError:
        checkout = Path(__file__).resolve().parents[1]
        what = ("--editable", str(checkout)) if is_checkout(checkout) else ("mnist-helpers",)
        return Finding("packages", False, "mnist_helpers is not installed", _pip_install(*what))
    required = [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    problems, wanted = [], []
    for requirement in required:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problem = "is missing"
        else:
            if requirement.specifier.contains(version, prereleases=True):
                continue
            problem = f"is {version}, required is {requirement.specifier}"
        problems.append(f"{requirement.name} {problem}")
        wanted.append(f"{requirement.name}{requirement.specifier}")
    if problems:
        return Finding("packages", False, "; ".join(problems), _pip_install(*wanted))
    return Finding("packages", True, f"all {len(required)} are installed")


def _device() -> Finding:
    """PyTorch can compute."""
    from .device import choose_device, has_native_bf16

    device, reason = choose_device("auto")
    precision = "bfloat16" if has_native_bf16(device) else "float32"
    return Finding("device", True, f"{reason} Trains in {precision}.")


def _data() -> Finding:
    """MNIST is on this machine."""
    from .data import data_folder, find_mnist, is_complete

    folder = data_folder()
    if os.environ.get("MNIST_HELPERS_DATA") and not folder.is_dir():
        what = f"$MNIST_HELPERS_DATA names {folder}, and there is no such folder"
        return Finding("data", False, what, "correct it, unset it, or create the folder")
    try:
        found = find_mnist(folder)
        files = list(found.files.values())
        damaged = [path for path in files if found.kind == "idx" and not is_complete(path)]
    except FileNotFoundError as error:
        fix = f"empty {folder}; the next load_mnist() downloads MNIST, or copy all four files there"
        return Finding("data", False, str(error), fix)
    except OSError as error:
        what = f"{folder} cannot be read ({error.strerror or error})"
        fix = "change its permissions, or name another folder in $MNIST_HELPERS_DATA"
        return Finding("data", False, what, fix)
    if damaged:
        fix = f"{sys.executable} -m mnist_helpers data --data {folder} --download"
        return Finding("data", False, f"{', '.join(map(str, damaged))}: damaged", fix)
    if found.kind == "idx":
        return Finding("data", True, f"MNIST is in {files[0].parent}")
    if found.kind:
        names = ", ".join(path.name for path in files)
        return Finding("data", True, f"MNIST is in {folder} ({names})")
    return Finding("data", True, f"no MNIST in {folder} yet: the first load_mnist() downloads it")


def _weights() -> Finding:
    """Both files of the pretrained weights are complete, and hold the same network."""
    from .checkpoints import load_checkpoint
    from .prediction import PRETRAINED_ONNX, PRETRAINED_WEIGHTS

    try:
        run = load_checkpoint(PRETRAINED_WEIGHTS)
    except (OSError, ValueError) as error:
        return Finding("weights", False, str(error), "install the package again")
    onnx = PRETRAINED_ONNX.read_bytes() if PRETRAINED_ONNX.is_file() else b""
    # An ONNX file has each weight's bytes as they are, and what is said of the network at its end.
    parts = [weight.detach().numpy().tobytes() for weight in run.model.parameters()]
    parts.append(json.dumps({"temperature": run.temperature})[1:-1].encode())
    if not all(part in onnx for part in parts):
        what = f"{PRETRAINED_ONNX} " + (
            f"does not hold the network of {PRETRAINED_WEIGHTS.name}" if onnx else "is missing"
        )
        return Finding("weights", False, what, "install the package again")
    return Finding("weights", True, f"{run.name}, {PRETRAINED_WEIGHTS.stat().st_size / 1e6:.2f} MB")


def _kernel() -> Finding:
    """The kernel that notebooks ask for, "python3", is this very Python."""
    if "google.colab" in sys.modules:
        return Finding("kernel", True, "Colab's")
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except ImportError:
        return Finding("kernel", True, "Jupyter is not installed (the commands do not need it)")
    except NoSuchKernel:
        return Finding("kernel", False, "no kernel 'python3'", _pip_install("ipykernel"))
    # The folders are compared: the Pythons of two environments may be links to the same one.
    here, there = (Path(python).parent.resolve() for python in (sys.executable, command))
    same = command in ("python", "python3") or here == there
    return Finding(
        "kernel",
        same,
        f"'python3' runs {command}",
        f"it should run this Python: start Jupyter from {Path(sys.executable).parent}",
    )


def _widgets() -> Finding:
    """The browser's part of the widgets is installed beside Python's."""
    name = "jupyterlab"
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(
            "widgets", True, "JupyterLab is not installed: whatever shows the notebooks draws them"
        )
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]  # `pip --user`'s too
    wanted = ("@jupyter-widgets/jupyterlab-manager", "ipycanvas")
    missing = [name for name in wanted if not any((folder / name).is_dir() for folder in folders)]
    return Finding(
        "widgets",
        not missing,
        f"missing: {', '.join(missing)}"
        if missing
        else "ipywidgets and ipycanvas are in JupyterLab",
        _pip_install("--force-reinstall", "jupyterlab_widgets", "ipycanvas"),
    )
