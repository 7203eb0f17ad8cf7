"""Create .venv and install into it what is asked for.

`make` calls this; on Windows, which has no make:

    py tools/set_up.py lab     # what the notebooks and the app need
    py tools/set_up.py dev     # the same, and what tests, book and linters need

Which versions: requirements.txt. uv installs where it can be had, otherwise pip, with the same
result. An interrupted set-up is resumed by the next one.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

# An older Python runs this file as well, to be told that it is too old: no newer syntax in here.
OLDEST_PYTHON = (3, 10)
if sys.version_info < OLDEST_PYTHON:
    sys.exit(
        "Python {}.{} is too old: install Python 3.10 or newer, or name one: "
        "make PYTHON=/path/to/python3".format(*sys.version_info)
    )

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXTRAS = {"lab": "lab,serve,sheet,scale", "dev": "lab,serve,sheet,scale,heif,dev"}
HASH = ["--require-hashes", "--only-binary", ":all:"]  # to build a package is to run its code
PIN = ["--constraint", "requirements.txt"]


def set_up(kind: str, installer: str = "auto", torch: str = "", hashes: bool = False) -> None:
    """Bring .venv to what is asked for, and leave the marks that `make` looks for.

    Parameters
    ----------
    kind : {"lab", "dev"}
        What to install; the latter contains the first.
    installer : {"auto", "uv", "pip"}, default="auto"
        What installs; "auto" is uv, or pip where uv cannot be had or fails.
    torch : str, default=""
        The build of PyTorch, as uv calls it: "cpu", "auto", "cu130"; "" for PyPI's.
    hashes : bool, default=False
        Whether each file must be one of those whose hashes are in requirements/.

    Raises
    ------
    SystemExit
        If it cannot be done; the message, or the installer's before it, says why.
    """
    marks = [VENV / f".ready-{done}" for done in sorted({"lab", kind})]
    for mark in marks:
        mark.unlink(missing_ok=True)
    if not is_healthy():
        create()
    forget_incomplete()
    build = torch_build()
    check(torch, build, hashes)
    if hashes:
        tell_what_is_not_checked()
    tell("pip installs what installs the rest")
    with_uv = get_tools(installer, hashes)
    what = requirements(kind, hashes, build)
    done = with_uv and uv_install(what, torch or build)
    if not done and installer != "uv":
        if torch:
            sys.exit("Setting up failed: TORCH needs uv, which cannot be had or failed, see above.")
        tell("pip installs" + (", as uv failed" if with_uv else ""))
        done = pip_install(what)
    if done and hashes:
        done = pip_install(["--no-deps", "--no-build-isolation", "--editable", "."])
    if not done:
        sys.exit("Setting up failed, see above. The next try resumes it.")
    for mark in marks:
        mark.write_bytes(os.fsencode(ROOT))  # `make` sets up again where the project has moved


def is_healthy() -> bool:
    """Whether .venv has pip, and a Python that is new enough."""
    code = f"import pip, sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    return PYTHON.exists() and run("-c", code, stderr=subprocess.DEVNULL)


def create() -> None:
    """Create .venv, in place of one that does not work.

    Raises
    ------
    SystemExit
        If this Python cannot; the message says what to install.
    """
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        sys.exit(
            f"{sys.executable} lacks its venv module: install it (Debian and Ubuntu: "
            "sudo apt install python3-venv) and try again."
        )
    tell(f"{VENV.name} is created")
    venv.create(VENV, clear=True, with_pip=True, symlinks=os.name != "nt")


def installed() -> "list[Path]":
    """Return the folders NAME-VERSION.dist-info of what is in .venv."""
    places = ("lib/python*/site-packages", "Lib/site-packages")
    return sorted(path for place in places for path in VENV.glob(f"{place}/*.dist-info"))


def forget_incomplete() -> None:
    """Forget packages that an interruption left half installed, so that they are installed again.

    Installers take a package for installed when they find what describes it; uv copies that first.
    """
    for folder in installed():
        record = folder / "RECORD"
        complete = record.exists() and (folder / "INSTALLER").exists()
        if complete:
            with record.open(encoding="utf-8", newline="") as file:
                names = [row[0] for row in csv.reader(file) if not row[0].endswith(".pyc")]
            complete = all((folder.parent / name).exists() for name in names)
        if not complete:
            tell(f"{folder.stem} is incomplete, so it is installed again")
            shutil.rmtree(folder)


def torch_build() -> "str | None":
    """Return which PyTorch .venv has: "cpu" for 2.14.1+cpu, "" for PyPI's, None for none."""
    for folder in installed():
        if folder.name.startswith("torch-"):
            return folder.stem.partition("+")[2]
    return None


def check(torch: str, build: "str | None", hashes: bool) -> None:
    """Refuse what contradicts itself, or what .venv has.

    Raises
    ------
    SystemExit
        If it does; the message says what to do.
    """
    if torch and hashes:
        sys.exit("The hashes are those of PyPI's PyTorch: use TORCH or HASHES, not both.")
    if torch not in ("", "auto", build) and build is not None:
        there = f"the build {build}" if build else "PyPI's build"
        sys.exit(f"PyTorch is there already, {there}: make distclean, then choose TORCH={torch}.")


def tell_what_is_not_checked() -> None:
    """Name what is installed already, since no installer compares that with a hash."""
    freeze = [str(PYTHON), "-m", "pip", "freeze", "--exclude-editable"]
    there = subprocess.run(freeze, stdout=subprocess.PIPE, text=True, check=True).stdout
    if there:
        tell(
            "already in .venv, so not checked (make distclean, and again, to check all):\n" + there
        )


def get_tools(installer: str, hashes: bool) -> bool:
    """Install what installs the rest; return whether uv is among it.

    Raises
    ------
    SystemExit
        If it cannot be installed.
    """
    hashed = [*HASH, "--requirement=requirements/hashed-uv.txt"]
    pinned = [*PIN, "--quiet", "setuptools"]
    if installer != "pip" and pip_install(hashed if hashes else [*pinned, "uv"]):
        return True
    if installer == "uv" or not (hashes or pip_install(pinned)):
        sys.exit("Setting up failed, see above.")
    return False


def requirements(kind: str, hashes: bool, build: "str | None") -> "list[str]":
    """Return what tells an installer what to install.

    A PyTorch that is there already and is not PyPI's needs no NVIDIA libraries from PyPI.
    """
    if not hashes:
        return [*PIN, "--no-build-isolation", "--editable", f".[{EXTRAS[kind]}]"]
    files = ["lab", *(["dev", "uv"] if kind == "dev" else []), *([] if build else ["nvidia"])]
    return HASH + [f"--requirement=requirements/hashed-{file}.txt" for file in files]


def uv_install(what: "list[str]", torch: "str | None") -> bool:
    """Install with uv, PyTorch from its own index if a build is named; return whether it worked."""
    tell("uv installs")
    backend = ["--torch-backend", torch] if torch else []
    return run("-m", "uv", "pip", "install", "--python", str(PYTHON), *backend, *what)


def pip_install(what: "list[str]") -> bool:
    """Install with pip; return whether it worked."""
    return run("-m", "pip", "install", "--disable-pip-version-check", *what)


def run(*arguments: str, stderr: "int | None" = None) -> bool:
    """Run .venv's Python in the project's root; return whether it succeeded."""
    return subprocess.run([str(PYTHON), *arguments], cwd=ROOT, stderr=stderr).returncode == 0


def tell(text: str) -> None:
    """Say what comes next, before it begins."""
    print(f"Setting up: {text}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=EXTRAS, help="for notebooks and app, or for development")
    parser.add_argument("--installer", default="auto", choices=("auto", "uv", "pip"))
    parser.add_argument("--torch", default="", help="the build of PyTorch: cpu, auto, cu130")
    parser.add_argument("--hashes", action="store_true", help="check each file's SHA-256")
    options = parser.parse_args()
    set_up(options.kind, options.installer, options.torch, options.hashes)
