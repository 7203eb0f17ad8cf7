"""Move the project to another address: rewrite it wherever it is written.

The address stands in pyproject.toml. README and notebooks must repeat it, since Colab opens a
notebook, and installs the package, before it could ask the package for anything.

    make repository URL=https://github.com/you/yours
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATTERN = r"https://github\.com/[\w.-]+/[\w.-]*\w"


def repository(root: Path = ROOT) -> str:
    """Return the address that pyproject.toml states."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(rf'^Repository = "({PATTERN})"$', text, re.MULTILINE)
    if match is None:
        raise ValueError(f'{root / "pyproject.toml"}: no line Repository = "https://github.com/…"')
    return match[1]


def slug(url: str) -> str:
    """Return ``owner/name`` of an address, as badges have it."""
    return url.removeprefix("https://github.com/")


def move(new: str, root: Path = ROOT) -> list[str]:
    """Replace the present address by `new` in all tracked text files; return their names.

    Raises
    ------
    ValueError
        If `new` is not of the form https://github.com/OWNER/NAME (Colab opens GitHub's only).
    """
    new = new.rstrip("/").removesuffix(".git")
    if not re.fullmatch(PATTERN, new):
        raise ValueError(f"{new!r} is not of the form https://github.com/OWNER/NAME")
    old = repository(root)
    written = re.compile(rf"((?:github\.com|/github)/){re.escape(slug(old))}(?![\w-])")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    changed = []
    for name in filter(None, listed.stdout.split("\0")):
        path = root / name
        if path.suffix not in {".toml", ".md", ".ipynb", ".py", ".yml", ".yaml", ".cff"}:
            continue
        before = path.read_text(encoding="utf-8")
        after = written.sub(rf"\g<1>{slug(new)}", before)
        if after != before:
            path.write_text(after, encoding="utf-8", newline="\n")
            changed.append(name)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"The address is {repository()}. To change it: make repository URL=https://…")
    try:
        print("\n".join(move(sys.argv[1])) or "nothing to change")
    except ValueError as error:
        sys.exit(str(error))
