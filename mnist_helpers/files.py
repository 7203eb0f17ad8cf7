"""Where a project keeps its data and what it produces."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGE_EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("png", "jpg", "jpeg", "jfif", "bmp", "gif", "tif", "tiff"),
        *("webp", "avif", "heic", "heif", "pbm", "pgm", "pnm", "ppm"),
    )
)
# On a disk, in a file, or of what a user may take.
NO_SPACE = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
UNFINISHED = ".mnist_helpers-"  # how the names of files begin that are still being written


def project_root() -> Path:
    """Return the folder that ``data/``, ``outputs/`` and ``predictions/`` belong to.

    That is the current folder, wherever the package was installed from. Inside a checkout of this
    project (in its ``notebooks/`` or ``work/``, say) it is the checkout, so that notebooks and
    commands share their files.

    Returns
    -------
    Path
        An absolute path.
    """
    current = Path.cwd()
    checkouts = (folder for folder in (current, *current.parents) if is_checkout(folder))
    return next(checkouts, current)


def is_checkout(folder: Path) -> bool:
    """Return whether `folder` is a checkout of this project's repository."""
    return all((folder / name).is_file() for name in ("pyproject.toml", "mnist_helpers/files.py"))


def short_path(path: str | os.PathLike) -> str:
    """Return a path for a message: relative to the current folder, if it is in the same project.

    Examples
    --------
    >>> short_path(Path.cwd() / "outputs" / "train")
    'outputs/train'
    """
    path = Path(path).absolute()
    if path.is_relative_to(project_root()):
        path = Path(os.path.relpath(path))
    return escape_name(path)


def outputs_folder(*parts: str) -> Path:
    """Return the folder ``outputs/<parts…>`` of the project, created if it is missing.

    Parameters
    ----------
    *parts : str
        Names of folders below ``outputs/``.

    Returns
    -------
    Path

    Examples
    --------
    >>> outputs_folder("my_digits").relative_to(project_root()).as_posix()
    'outputs/my_digits'
    """
    folder = project_root().joinpath("outputs", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def notebooks_folder() -> Path:
    """Return the folder with the notebooks: the checkout's, or those that the package carries.

    Raises
    ------
    FileNotFoundError
        If there are none, as in a copy of the package's folder alone.
    """
    package = Path(__file__).resolve().parent
    carried, checkout = package / "notebooks", package.parent / "notebooks"
    for folder in (carried, checkout):
        if any(folder.glob("*.ipynb")):
            return folder
    raise FileNotFoundError(
        f"no notebooks in {carried} or {checkout}: install mnist-helpers from its wheel, or clone "
        "its repository"
    )


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which replaces `path` only if the block succeeds.

    A crash or a full disk in the middle of writing leaves the previous file as it was.

    Examples
    --------
    >>> with atomic_write("history.csv") as part:
    ...     _ = part.write_text("epoch,loss")
    >>> Path("history.csv").read_text()
    'epoch,loss'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = f".part{path.suffix}"
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=suffix)
    except OSError as error:  # names the file that the caller knows
        raise type(error)(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as error:
        if error.errno not in NO_SPACE and error.filename != str(part):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def exclusive_lock(folder: str | Path) -> Iterator[Path]:
    """Keep other processes out of a folder as long as the block lasts; create it if it is missing.

    The system takes the lock away from a process that dies. What a killed one left half-written is
    deleted.

    Raises
    ------
    OSError
        If another process is in there.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            for part in folder.glob(f"{UNFINISHED}*.part*"):
                part.unlink()
            yield folder
    except Timeout as error:
        raise OSError(
            f"another process is writing to {folder}: wait until it is done, stop it, or choose "
            "another folder with out=… (--out)"
        ) from error


def escape_name(name: str | os.PathLike) -> str:
    r"""Return a name as text that any file can hold: bytes that are no UTF-8 become ``\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def unescape_name(text: str) -> str:
    """Return the name that `escape_name` has turned into this text."""
    bytes_ = re.sub(rb"\\x([0-9a-f]{2})", lambda hit: bytes([int(hit[1], 16)]), text.encode())
    return os.fsdecode(bytes_)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
