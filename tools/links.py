"""Write into README and notebooks what depends on the repository's address.

The address stands in one place, pyproject.toml:

    [project.urls]
    Repository = "https://github.com/OWNER/NAME"

With it, README and notebooks have badges that open Colab, and each notebook's first cell installs
the package from there. Without it they say how to run here. `make format` calls this.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {"07_your_own_handwriting": "sheet", "09_serving": "serve", "10_scaling_out": "scale"}
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github/{slug}/blob/main/notebooks/{name}"
HERE = (
    "**To run it**: `make lab` in the project's folder opens JupyterLab; Shift+Enter runs a cell."
)
LINE = re.compile(rf"^(\[!\[Open in Colab\].*|{re.escape(HERE)})$", re.MULTILINE)
MARKED = re.compile(r"(?<=<!-- links -->\n).*?(?=<!-- end of links -->)", re.DOTALL)

SET_UP = """\
try:
    import mnist_helpers
except ImportError{missing}

import sys

if "google.colab" in sys.modules:  # lets Colab show the drawing canvas
    from google.colab import output

    output.enable_custom_widget_manager()

mnist_helpers.check_environment()  # speaks only if something is wrong"""
INSTALL = """:  # on Colab: install the package, leaving Colab's own PyTorch as it is
    %pip install --quiet git+{address}
    import mnist_helpers"""
EXPLAIN = """ as error:
    how = "run `make lab` in the project's folder, and open this notebook there"
    raise ImportError(how) from error"""
EXTRA = '\nmnist_helpers.install_extra("{extra}")  # nothing to do after `make lab`'


def repository(root: Path = ROOT) -> str | None:
    """Return the address that pyproject.toml states, or None.

    Raises
    ------
    ValueError
        If it is not one of GitHub's: Colab opens no others.
    """
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    stated = re.search(r'^Repository = "(.*)"$', text, re.MULTILINE)
    if stated is None:
        return None
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]*\w", stated[1]):
        raise ValueError(f"pyproject.toml: {stated[1]} is not like https://github.com/OWNER/NAME")
    return stated[1]


def badge(address: str, name: str) -> str:
    """Return a badge in Markdown that opens a notebook in Colab."""
    slug = address.removeprefix("https://github.com/")
    return f"[![Open in Colab]({BADGE})]({COLAB.format(slug=slug, name=name)})"


def set_up_cell(address: str | None, stem: str) -> str:
    """Return the source of a notebook's first code cell."""
    missing = EXPLAIN if address is None else INSTALL.format(address=address)
    extra = EXTRA.format(extra=EXTRAS[stem]) if stem in EXTRAS else ""
    return SET_UP.format(missing=missing) + extra


def rewritten(path: Path, address: str | None) -> str:
    """Return a file's text with the links that belong to this address."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        line = "" if address is None else badge(address, "01_dataset.ipynb") + "\n"
        return MARKED.sub(lambda _: line, text)
    notebook = json.loads(text)
    title, first = notebook["cells"][:2]
    line = HERE if address is None else badge(address, path.name)
    source = LINE.sub(lambda _: line, "".join(title["source"]), count=1)
    title["source"] = source.splitlines(keepends=True)
    first["source"] = set_up_cell(address, path.stem).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def outdated(root: Path = ROOT) -> dict[Path, str]:
    """Return the files whose links belong to another address, with the text they should have."""
    address = repository(root)
    paths = [root / "README.md", *sorted((root / "notebooks").glob("[0-9]*.ipynb"))]
    wanted = {path: rewritten(path, address) for path in paths}
    return {path: text for path, text in wanted.items() if text != path.read_text("utf-8")}


def main() -> int:
    """Bring all files up to date."""
    try:
        for path, text in outdated().items():
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"links written: {path.relative_to(ROOT)}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
