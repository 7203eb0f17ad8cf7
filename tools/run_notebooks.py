"""Execute the notebooks in order, each in a fresh kernel, and keep the executed copies.

    make run                                        # all of notebooks/
    make run NOTEBOOKS=notebooks/05_prediction.ipynb

A copy with its outputs goes to outputs/notebooks/NAME.ipynb, its figures to
outputs/notebooks/NAME/. Exits with 1 if a cell failed, and shows that cell and its error.

A copy that ran to its end names what it was made from: `is_fresh` tells whether that has changed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

import mnist_helpers

ROOT = Path(__file__).resolve().parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"


def made_from(path: Path) -> str:
    """Return a digest of what decides the outputs: a notebook's cells, and the package."""
    notebook = nbformat.read(path, as_version=4)
    digest = hashlib.sha256(json.dumps([cell.source for cell in notebook.cells]).encode())
    for source in sorted(Path(mnist_helpers.__file__).parent.rglob("*")):
        if source.is_file() and source.suffix not in {".pyc", ".md"}:
            digest.update(source.read_bytes())
    return digest.hexdigest()


def is_fresh(path: Path, folder: Path) -> bool:
    """Whether `folder` has a copy that ran to its end with this notebook and this package."""
    try:
        copy = nbformat.read(folder / path.name, as_version=4)
    except (OSError, ValueError):  # none, or one that was torn
        return False
    return copy.metadata.get("made_from") == made_from(path)


def run(path: Path, folder: Path) -> str | None:
    """Execute one notebook in its own folder, write copy and figures, return what went wrong."""
    source = made_from(path)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # else each warns of its own loopback
        resources={"metadata": {"path": str(path.parent)}},
    )
    error = None
    place = 0

    def at(cell: nbformat.NotebookNode, cell_index: int) -> None:
        nonlocal place
        place = cell_index

    client.on_cell_start = at
    with tqdm(
        total=len(notebook.cells), desc=path.stem, unit="cell", leave=False, disable=None
    ) as bar:
        client.on_cell_complete = lambda **_: bar.update()
        try:
            client.execute()
            notebook.metadata["made_from"] = source
        except (CellExecutionError, DeadKernelError) as failed:
            error = f"{path.name}, cell {place}:\n{failed}"
    show_images(notebook)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / path.name)
    write_figures(notebook, folder / path.stem)
    return error


def show_images(notebook: nbformat.NotebookNode) -> None:
    """Keep only the image of a widget that brought one: in a copy nobody answers it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output["data"].pop(WIDGET, None)


def write_figures(notebook: nbformat.NotebookNode, folder: Path) -> int:
    """Write every PNG among the outputs as CELL-NUMBER.png; return how many there were."""
    shutil.rmtree(folder, ignore_errors=True)
    count = 0
    for index, cell in enumerate(notebook.cells):
        outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
        for number, png in enumerate(data["image/png"] for data in outputs if "image/png" in data):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{index:02d}-{number}.png").write_bytes(base64.b64decode(png))
            count += 1
    return count


def main() -> int:
    """Run what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "notebooks")
    arguments = parser.parse_args()
    paths = arguments.notebooks or sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    failed = []
    begin = time.perf_counter()
    for path in paths:
        start = time.perf_counter()
        error = run(path.resolve(), arguments.out)
        state = "FAILED" if error else "ok"
        print(f"{path.stem:<32} {time.perf_counter() - start:7.1f} s  {state}", flush=True)
        if error:
            print(error, file=sys.stderr, flush=True)
            failed.append(path.stem)
    print(f"{'all':<32} {time.perf_counter() - begin:7.1f} s  copies in {arguments.out}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
