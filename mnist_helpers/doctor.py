"""Whether everything is in place, one line each, with the mend where something is off."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .paths import project_root

OLDEST_PYTHON = (3, 10)
REPOSITORY = "git+https://github.com/mnist-helpers/mnist-helpers"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, whether it is as it should be, and the mend."""

    name: str
    ok: bool
    text: str
    mend: str = ""

    def __str__(self) -> str:
        line = f"{'ok ' if self.ok else '!! '} {self.name:<10} {self.text}"
        return line if self.ok else f"{line}\n    {'':<10} mend: {self.mend}"


def examine() -> list[Finding]:
    """Look at Python, packages, device, data, weights, kernel and browser widgets."""
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


def greet() -> None:
    """Say what is wrong, if anything is: the first cell of each notebook calls this."""
    for finding in examine():
        if not finding.ok:
            print(finding)


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
    """Every package that this one needs is installed, in a version that it works with."""
    from packaging.requirements import Requirement

    what = f"-e {project_root()}" if _in_checkout() else f"--upgrade {REPOSITORY}"
    mend = f"{sys.executable} -m pip install {what}"
    try:
        needs = [Requirement(line) for line in metadata.requires("mnist_helpers") or []]
    except metadata.PackageNotFoundError:
        return Finding("packages", False, "mnist_helpers itself is not installed", mend)
    needs = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    off = []
    for need in needs:
        try:
            version = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            off.append(f"{need.name} is missing")
        else:
            if not need.specifier.contains(version, prereleases=True):
                off.append(f"{need.name} is {version}, needed is {need.specifier}")
    if off:
        return Finding("packages", False, "; ".join(off), mend)
    unlike = _unlike_the_pins()
    text = f"all {len(needs)} there"
    if unlike:
        text += f"; other versions than in requirements.txt, which is fine: {', '.join(unlike)}"
    return Finding("packages", True, text)


def _in_checkout() -> bool:
    """Return whether this package is run from its checkout, and not installed without one."""
    return project_root() == Path(__file__).resolve().parents[1]


def _unlike_the_pins() -> list[str]:
    """Return the direct needs whose version is not the tested one of requirements.txt."""
    from packaging.requirements import InvalidRequirement, Requirement

    path = project_root() / "requirements.txt"
    if not _in_checkout() or not path.is_file():
        return []
    direct = {Requirement(line).name for line in metadata.requires("mnist_helpers") or []}
    unlike = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not re.match(r"[A-Za-z0-9]", line):
            continue
        try:
            pin = Requirement(line.split(" #")[0].rstrip(" \\"))
        except InvalidRequirement:  # an address, or one with hashes: no pin to compare with
            continue
        if pin.name not in direct or (pin.marker and not pin.marker.evaluate()):
            continue
        try:
            version = metadata.version(pin.name)
        except metadata.PackageNotFoundError:
            continue
        if not pin.specifier.contains(version, prereleases=True):
            unlike.append(f"{pin.name} {version}")
    return unlike


def _device() -> Finding:
    """PyTorch can compute."""
    from .training import choose_device, has_native_bf16

    device, reason = choose_device("auto")
    precision = "bfloat16" if has_native_bf16(device) else "float32"
    return Finding("device", True, f"{reason} Trains in {precision}.")


def _data() -> Finding:
    """MNIST is on this machine."""
    from .data import data_folder, find_idx, find_tables

    folder = data_folder()
    try:
        found = find_idx(folder)
        tables = [] if found else find_tables(folder)
    except FileNotFoundError as error:
        return Finding("data", False, str(error), f"empty {folder}, and run load_mnist() online")
    except OSError as error:
        what = f"{folder} cannot be read ({error.strerror or error})"
        mend = "allow reading it, or name another folder in $MNIST_HELPERS_DATA"
        return Finding("data", False, what, mend)
    if found:
        return Finding("data", True, f"MNIST is in {next(iter(found.values())).parent}")
    if tables:
        names = ", ".join(path.name for path in tables)
        return Finding("data", True, f"MNIST is in {folder} ({names})")
    return Finding("data", True, f"no MNIST in {folder} yet: the first load_mnist() fetches it")


def _weights() -> Finding:
    """The shipped weights are whole."""
    from .checkpoints import load_checkpoint
    from .prediction import SHIPPED_WEIGHTS

    try:
        name = load_checkpoint(SHIPPED_WEIGHTS).name
    except (OSError, ValueError) as error:
        return Finding("weights", False, str(error), "install the package anew")
    return Finding("weights", True, f"{name}, {SHIPPED_WEIGHTS.stat().st_size / 1e6:.2f} MB")


def _kernel() -> Finding:
    """The kernel that notebooks ask for, "python3", is this very Python."""
    if "google.colab" in sys.modules:
        return Finding("kernel", True, "Colab's")
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except ImportError:
        return Finding("kernel", True, "no Jupyter here (not needed by the commands)")
    except NoSuchKernel:
        return Finding(
            "kernel", False, "no kernel 'python3'", f"{sys.executable} -m pip install ipykernel"
        )
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
    """The browser's half of the widgets is installed beside Python's."""
    name = "jupyterlab"
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding("widgets", True, "no JupyterLab here: the notebook's host draws them")
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
        f"{sys.executable} -m pip install --force-reinstall jupyterlab_widgets ipycanvas",
    )
