"""Build the static page: ``outputs/page/index.html`` reads drawn digits in the browser alone.

It opens from the folder, without a server: the network, as ONNX, and ONNX Runtime Web, from npm,
are put into scripts beside it.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mnist_helpers.checkpoints import load_checkpoint
from mnist_helpers.files import atomic_write, outputs_folder
from mnist_helpers.onnx import export_onnx
from mnist_helpers.prediction import PRETRAINED_WEIGHTS
from mnist_helpers.serve.page import STATIC, read

NPM = Path(__file__).parent / "page"
RUNTIME = "ort-wasm-simd-threaded"


def build(out: Path, checkpoint: Path = PRETRAINED_WEIGHTS) -> Path:
    """Write the page into a folder; return the path to open.

    Raises
    ------
    RuntimeError
        If npm is missing or fails; the message is what it said.
    """
    out.mkdir(parents=True, exist_ok=True)
    runtime = fetch_runtime()
    for name in ("pad.js", "mnist.js", "page.js", "page.css"):
        shutil.copyfile(STATIC / name, out / name)
    shutil.copyfile(runtime / "ort.wasm.min.js", out / "ort.wasm.min.js")
    code = (runtime / f"{RUNTIME}.mjs").read_text(encoding="utf-8")
    wasm = (runtime / f"{RUNTIME}.wasm").read_bytes()
    write_script(out / "runtime.js", "RUNTIME", {"code": code, "wasm": as_base64(wasm)})
    write_script(out / "network.js", "NETWORK", network(checkpoint))
    page = read("index.html").replace("<!-- pad.html -->", read("pad.html"))
    (out / "index.html").write_text(page, encoding="utf-8")
    return out / "index.html"


def fetch_runtime() -> Path:
    """Install ONNX Runtime Web as the lock file says, if it is not there yet; return its folder."""
    folder = NPM / "node_modules" / "onnxruntime-web"
    locked = json.loads((NPM / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    version = locked["node_modules/onnxruntime-web"]["version"]
    about = folder / "package.json"
    if about.is_file() and json.loads(about.read_text(encoding="utf-8"))["version"] == version:
        return folder / "dist"
    npm = shutil.which("npm", path=str(Path(sys.executable).parent)) or shutil.which("npm")
    if npm is None:
        raise RuntimeError("the static page needs npm: install Node.js, or run `make page`")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--fetch-retries=1", "--fetch-timeout=60000"]
    done = subprocess.run(command, cwd=NPM, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"npm could not fetch ONNX Runtime Web: {done.stderr.strip()[-2000:]}")
    return folder / "dist"


def network(checkpoint: Path) -> dict:
    """Return a network for the page."""
    done = load_checkpoint(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(done.model, path)
        content = path.read_bytes()
    return {"name": done.name, "temperature": done.temperature, "onnx": as_base64(content)}


def as_base64(content: bytes) -> str:
    """Return bytes as text for a script."""
    return base64.b64encode(content).decode()


def write_script(path: Path, name: str, value: dict) -> None:
    """Write a value as a script that a page from a folder may load."""
    with atomic_write(path) as part:
        part.write_text(f"const {name} = {json.dumps(value)};\n", encoding="utf-8")


def main() -> None:
    """Build the page from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=PRETRAINED_WEIGHTS)
    parser.add_argument("--out", type=Path, default=None, help="default: outputs/page")
    given = parser.parse_args()
    try:
        page = build(given.out or outputs_folder("page"), given.checkpoint)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        sys.exit(f"Error: {error}")
    print(f"Open {page}")


if __name__ == "__main__":
    main()
