"""Choose the tested versions again: requirements.txt, and their files' hashes in requirements/.

    make pins           # the newest versions that fit together
    make pins KEEP=1    # versions that still fit stay: after a change of pyproject.toml

requirements.txt is a constraint: it decides which version is installed, the extras decide what is
installed. The choice holds for Python 3.10 and newer on every system.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = "requirements.txt"
HASHED = {kind: f"requirements/hashed-{kind}.txt" for kind in ("lab", "dev", "uv", "nvidia")}
LAB = ("lab", "serve", "sheet", "scale")
BUILD = "setuptools>=77\n"  # it installs the package itself

# torchvision is built for one torch, and both move together. From 4.25 on jsonschema, as Jupyter
# asks for it, compiles a grammar on import: two seconds of each process.
BOUNDS = "torch==2.14.1\ntorchvision==0.29.1\njsonschema<4.25\n"

# torch names their versions itself, so that its CPU build can be installed without them.
NVIDIA = re.compile(r"nvidia-|cuda-|triton==")
HEADS = {
    PINS: "# The tested versions, written by: make pins\n"
    "# NVIDIA's libraries are absent on purpose: torch names the versions that it needs.\n",
    HASHED["lab"]: "# What `make lab` installs, with the hashes of the files: make pins\n",
    HASHED["dev"]: "# What the extra `dev` adds, with the hashes of the files: make pins\n",
    HASHED["uv"]: "# What installs the rest, with the hashes of its files: make pins\n",
    HASHED["nvidia"]: "# What torch needs for NVIDIA's cards, with the hashes: make pins\n",
}


def entries(text: str) -> dict[str, str]:
    r"""Split a file of pins into its entries: the pin with its marker, and its lines.

    Examples
    --------
    >>> entries("# head\na==1 ; x == 'y' \\\n    --hash=sha256:0\nb==2\n")
    {"a==1 ; x == 'y'": "a==1 ; x == 'y' \\\n    --hash=sha256:0\n", 'b==2': 'b==2\n'}
    """
    found = re.findall(r"^[^#\s].*\n(?:[ \t].*\n)*", text, re.MULTILINE)
    return {lines.split("\n")[0].removesuffix("\\").strip(): lines for lines in found}


def plain(pin: str) -> str:
    """Return a pin without extras, which pip wants in hashed files and refuses in constraints.

    Examples
    --------
    >>> plain("ray[data,train]==2.60.0 ; os_name == 'nt'")
    "ray==2.60.0 ; os_name == 'nt'"
    """
    return re.sub(r"\[.*?\]", "", pin, count=1)


def name(pin: str) -> str:
    """Return the name of a pin's package."""
    return plain(pin).partition("==")[0]


def divide(pins: dict[str, str], lab: Iterable[str]) -> dict[str, str]:
    """Return the text of each file: every pin, and the hashes by what needs them.

    Parameters
    ----------
    pins : dict of str to str
        All pins, with their lines that have the hashes.
    lab : iterable of str
        Names of the packages that `make lab` installs.
    """
    texts, lab = dict(HEADS), set(lab)
    for pin, lines in pins.items():
        kind = "nvidia" if NVIDIA.match(plain(pin)) else "uv" if name(pin) == "uv" else "dev"
        texts[HASHED["lab" if kind == "dev" and name(pin) in lab else kind]] += lines
        if kind != "nvidia":
            texts[PINS] += f"{plain(pin)}\n"
    return texts


def resolve(extras: Iterable[str], file: Path, *options: str) -> dict[str, str]:
    """Write the pins that the package needs with some extras, by uv; return its entries.

    Raises
    ------
    subprocess.CalledProcessError
        If nothing fits together; uv has said why.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.10", "--no-annotate", "--no-header"]
    command += ["--no-emit-index-url", "--no-emit-find-links"]
    command += ["--no-emit-package", "pip"]  # it is there, and Windows cannot replace it in use
    command += [part for extra in extras for part in ("--extra", extra)]
    command += [*options, "--output-file", str(file), "pyproject.toml", "-"]
    subprocess.run(command, cwd=ROOT, input=BUILD, text=True, check=True)
    return entries(file.read_text(encoding="utf-8"))


def choose(keep: bool) -> dict[str, str]:
    """Return the text of each file, with new versions or, if they still fit, the old ones."""
    with tempfile.TemporaryDirectory() as folder:
        chosen, part, bounds = (Path(folder) / file for file in ("pins", "lab", "bounds"))
        bounds.write_text(BOUNDS, encoding="utf-8")
        if keep:  # uv prefers what the file has that it is to replace
            present = (ROOT / path for path in (PINS, HASHED["nvidia"]))
            chosen.write_text("".join(path.read_text(encoding="utf-8") for path in present))
        options = ("--generate-hashes", "--no-strip-extras", "--constraints", str(bounds))
        pins = resolve((*LAB, "heif", "dev"), chosen, *options)
        lab = resolve(LAB, part, "--constraints", str(chosen))
    return divide(pins, map(name, lab))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="keep versions that still fit")
    try:
        texts = choose(parser.parse_args().keep)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    for path, text in texts.items():
        (ROOT / path).write_text(text, encoding="utf-8", newline="\n")
        print(f"{path}: {len(entries(text))} pins")
