"""`make setup` in a project of its own, with tiny packages instead of the real ones."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import set_up  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="Windows has no make")

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "tiny"
version = "1.0"
dependencies = ["aaa"]
[project.optional-dependencies]
lab = ["bbb"]
serve = []
sheet = []
scale = []
heif = []
dev = ["ccc"]
[tool.setuptools]
py-modules = []
"""


def write_wheel(folder: Path, name: str, version: str = "1.0", code: str = "") -> Path:
    """Write a tiny wheel."""
    about = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", code)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        file.writestr(f"{about}/METADATA", metadata)
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n")
    return path


def rebuild_wheel(folder: Path, name: str) -> Path:
    """Write a wheel of a package that is installed here."""
    package = distribution(name)
    tag = package.read_text("WHEEL").split("Tag: ")[1].split("\n")[0]
    path = folder / f"{name}-{package.version}-{tag}.whl"
    record = []
    with zipfile.ZipFile(path, "w") as file:
        for entry in package.files:
            place = Path(entry)
            if place.suffix == ".pyc" or place.name in ("RECORD", "INSTALLER", "REQUESTED"):
                continue
            if place.parts[0] == "..":
                place = Path(f"{name}-{package.version}.data", "scripts", place.name)
            file.write(entry.locate(), place.as_posix())
            record.append(f"{place.as_posix()},,\n")
        file.writestr(f"{name}-{package.version}.dist-info/RECORD", "".join(record))
    return path


def sha256(path: Path) -> str:
    return f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture(scope="module")
def installers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheels of setuptools and uv."""
    folder = tmp_path_factory.mktemp("installers")
    return [rebuild_wheel(folder, name) for name in ("setuptools", "uv")]


class Project:
    """A project with our Makefile, and a folder of wheels instead of PyPI."""

    def __init__(self, folder: Path, installers: list[Path]) -> None:
        self.root, self.wheels = folder / "Müllers Zahlen", folder / "wheels"
        self.cache, self.index = folder / "cache", folder / "an empty index"
        for path in ("Makefile", "tools/set_up.py"):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.root / path)
        (self.root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        self.wheels.mkdir()
        self.index.mkdir()
        for path in installers:
            (self.wheels / path.name).hardlink_to(path)
        for name in ("aaa", "bbb", "ccc"):
            write_wheel(self.wheels, name)
            write_wheel(self.wheels, name, "2.0")
        self.pin(aaa="1.0", bbb="1.0", ccc="1.0")

    def pin(self, **versions: str) -> None:
        """Write requirements.txt."""
        versions |= {name: distribution(name).version for name in ("setuptools", "uv")}
        pins = "".join(f"{name}=={version}\n" for name, version in versions.items())
        (self.root / "requirements.txt").write_text(pins, encoding="utf-8")

    def need(self, before: str, after: str) -> None:
        """Change what pyproject.toml asks for."""
        text = PYPROJECT.replace(before, after)
        assert text != PYPROJECT
        (self.root / "pyproject.toml").write_text(text, encoding="utf-8")

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run make, offline."""
        inherited = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("PIP_", "UV_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTHON"))
        }
        settings = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_DEFAULT_INDEX": self.index.as_uri(),
            "UV_NO_CONFIG": "1",
            "UV_FIND_LINKS": self.wheels.as_uri(),
            "UV_CACHE_DIR": str(self.cache),
            "UV_HTTP_RETRIES": "0",
        }
        return subprocess.run(
            ["make", f"PYTHON={sys.executable}", *arguments],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=inherited | settings,
        )

    def installed(self) -> dict[str, str]:
        """Return name and version of what is in .venv."""
        code = (
            "from importlib.metadata import distributions; "
            "print({package.name: package.version for package in distributions()})"
        )
        python = self.root / ".venv" / "bin" / "python"
        return ast.literal_eval(subprocess.check_output([python, "-c", code], text=True))

    def is_ready(self, kind: str) -> bool:
        """Whether the mark is there."""
        return (self.root / ".venv" / f".ready-{kind}").exists()


@pytest.fixture
def project(tmp_path: Path, installers: list[Path]) -> Project:
    return Project(tmp_path, installers)


@pytest.mark.slow
def test_uv_and_pip_install_the_same(project: Project) -> None:
    made = project.make("setup", "INSTALLER=uv")
    assert made.returncode == 0 and "uv installs" in made.stdout, made.stdout
    with_uv = project.installed()
    assert project.is_ready("lab") and not project.is_ready("dev")
    assert "ccc" not in with_uv
    assert (with_uv["aaa"], with_uv["bbb"]) == ("1.0", "1.0"), "the pins hold, 2.0 is there as well"

    project.make("distclean")
    made = project.make("setup", "INSTALLER=pip")
    assert made.returncode == 0 and "Setting up: pip installs\n" in made.stdout, made.stdout
    assert "uv" not in project.installed()
    del with_uv["uv"]
    assert project.installed() == with_uv


@pytest.mark.slow
def test_where_uv_cannot_be_had_pip_installs(project: Project) -> None:
    (wheel,) = project.wheels.glob("uv-*")
    wheel.unlink()
    made = project.make("setup")
    assert made.returncode == 0 and "Setting up: pip installs\n" in made.stdout, made.stdout
    assert project.installed()["bbb"] == "1.0"

    made = project.make("setup", "INSTALLER=uv", "TORCH=cpu")
    assert made.returncode != 0 and not project.is_ready("lab"), made.stdout
    made = project.make("setup", "TORCH=cpu")
    assert made.returncode != 0 and "TORCH needs uv" in made.stdout
    assert project.make("setup").returncode == 0, "without TORCH it is as before"


@pytest.mark.slow
def test_set_up_is_done_once_and_again_when_something_has_changed(project: Project) -> None:
    first = project.make("setup")
    assert first.returncode == 0, first.stdout
    assert "Setting up" not in project.make("setup").stdout

    # A build of PyTorch that somebody has put there stays, as it satisfies the pin.
    wheel = write_wheel(project.wheels, "torch", "1.0+cpu")
    write_wheel(project.wheels, "torch")
    pip = [project.root / ".venv/bin/python", "-m", "pip", "install", "--no-index", wheel]
    subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
    project.pin(aaa="2.0", bbb="1.0", ccc="1.0", torch="1.0")
    project.need('["ccc"]', '["ccc", "torch"]')
    made = project.make(".venv/.ready-dev")
    assert made.returncode == 0, made.stdout
    assert project.is_ready("lab") and project.is_ready("dev")
    expected = {"aaa": "2.0", "bbb": "1.0", "ccc": "1.0", "torch": "1.0+cpu"}
    assert expected.items() <= project.installed().items()
    assert "Setting up" not in project.make("setup", ".venv/.ready-dev").stdout

    made = project.make("setup", "TORCH=cu130")
    assert made.returncode != 0 and "there already, the build cpu: make distclean" in made.stdout
    made = project.make("setup", "TORCH=cpu", "HASHES=1")
    assert made.returncode != 0 and "use TORCH or HASHES, not both" in made.stdout
    assert project.make("setup").returncode == 0

    project.root = project.root.rename(project.root.with_name("moved too"))
    assert "Setting up" in project.make("setup").stdout, "an editable install knows its folder"
    assert "Setting up" not in project.make("setup").stdout


@pytest.mark.slow
def test_a_build_of_pytorch_comes_from_its_own_index(project: Project) -> None:
    """No test reaches that index; what cannot be reached shows which one is asked."""
    project.need('["aaa"]', '["aaa", "torch"]')
    write_wheel(project.wheels, "torch", "1.0")
    made = project.make("setup", "TORCH=cpu")
    assert made.returncode != 0 and not project.is_ready("lab")
    assert "https://download.pytorch.org/whl/cpu/torch/" in made.stdout, made.stdout
    assert "bbb" not in project.installed(), "all or nothing"


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_package_that_was_tampered_with_is_refused(project: Project, installer: str) -> None:
    for path in project.wheels.glob("*-2.0-*"):
        path.unlink()
    lines = {}
    for path in project.wheels.iterdir():
        name, version, *_ = path.name.split("-")
        lines[name] = f"{name}=={version} {sha256(path)}\n"
    folder = project.root / "requirements"
    folder.mkdir()
    (folder / "hashed-uv.txt").write_text(lines["uv"])
    (folder / "hashed-nvidia.txt").write_text("# none\n")

    def setup(*pins: str) -> tuple[bool, str, list[str]]:
        """Return whether make is content, what it says, and which packages are there then."""
        (folder / "hashed-lab.txt").write_text(lines["setuptools"] + "".join(pins))
        made = project.make("setup", "HASHES=1", f"INSTALLER={installer}")
        assert (made.returncode == 0) == project.is_ready("lab")
        names = sorted(project.installed().keys() & {"aaa", "bbb"})
        return made.returncode == 0, made.stdout, names

    aaa, bbb = lines["aaa"], lines["bbb"]
    altered = project.wheels / "bbb-1.0-py3-none-any.whl"
    honest = altered.read_bytes()
    write_wheel(project.wheels, "bbb", code="print('somebody else was here')")
    done, said, names = setup(aaa, bbb)
    assert not done and names == [] and "bbb==1.0" in said
    assert ("DO NOT MATCH THE HASHES" if installer == "pip" else "Hash mismatch") in said, said
    altered.write_bytes(honest)

    # Where no package has a hash, pip by itself would ask for none.
    done, said, names = setup("aaa==1.0\n", "bbb==1.0\n")
    refusal = "Hashes are required" if installer == "pip" else "all requirements must have a hash"
    assert not done and names == [] and refusal in said, said

    # To build a package is to run its code, and to fetch what nobody lists.
    source = project.wheels / "ccc-3.0.tar.gz"
    source.write_bytes(b"a source")
    done, said, names = setup(aaa, f"ccc==3.0 {sha256(source)}\n")
    assert not done and names == [] and "ccc==3.0" in said, said

    done, said, names = setup(aaa, bbb)
    assert done and names == ["aaa", "bbb"], said

    # Nobody compares what is there already; that is said, also where set-up was done before.
    done, said, names = setup(aaa, bbb)
    assert done and "already in .venv, so not checked" in said and "aaa==1.0" in said, said


def test_what_an_interruption_left_incomplete_is_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    for name in ("complete", "without_installer", "without_module", "without_record"):
        about = site / f"{name}-1.0+cpu.dist-info"
        about.mkdir(parents=True)
        (site / f"{name}.py").touch()
        (about / "RECORD").write_text(f'"{name}.py",,\n__pycache__/{name}.cpython-311.pyc,,\n')
        (about / "INSTALLER").touch()
    (site / "without_installer-1.0+cpu.dist-info/INSTALLER").unlink()
    (site / "without_record-1.0+cpu.dist-info/RECORD").unlink()
    (site / "without_module.py").unlink()

    set_up.forget_incomplete()

    assert [folder.name for folder in set_up.installed()] == ["complete-1.0+cpu.dist-info"]
    assert "without_module-1.0+cpu is incomplete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "build"), [("2.14.1+cpu", "cpu"), ("2.14.1", ""), (None, None)]
)
def test_a_build_of_pytorch_that_is_there_brings_no_nvidia(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, build: str | None
) -> None:
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    (site / "torchvision-0.29.1+cu130.dist-info").mkdir(parents=True)
    if version:
        (site / f"torch-{version}.dist-info").mkdir()
    assert set_up.torch_build() == build
    hashed = " ".join(set_up.requirements("lab", True, build))
    assert ("hashed-nvidia" in hashed) == (build != "cpu") and "hashed-dev" not in hashed
    assert "hashed-dev" in " ".join(set_up.requirements("dev", True, build))


def test_a_python_that_is_too_old_is_told_so() -> None:
    text = (ROOT / "tools" / "set_up.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 6))  # it can read the sentence that it is to print
    code = (
        "import runpy, sys; sys.version_info = (3, 8, 1, 'final', 0); "
        f"runpy.run_path({str(ROOT / 'tools' / 'set_up.py')!r})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stderr.startswith(
        "Python 3.8 is too old: install Python 3.10"
    )


def test_a_python_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    command = ["make", "--no-print-directory", "setup", "PYTHON=python2.6"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 2
    assert "There is no python2.6 here: install Python 3.10 or newer" in made.stdout
    assert not (tmp_path / ".venv").exists()


def test_each_command_sets_up_what_it_needs() -> None:
    def commands(target: str, *arguments: str) -> str:
        made = subprocess.run(
            ["make", "--dry-run", "--always-make", target, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout

    for target in ("app", "lab", "setup"):
        assert "tools/set_up.py lab" in commands(target)
    for target in ("test", "test-fast", "run", "book", "page", "lint", "format", "pins", "audit"):
        assert "tools/set_up.py dev" in commands(target)
    said = commands("lab", "TORCH=cpu", "INSTALLER=uv")
    assert 'set_up.py lab --installer "uv" --torch "cpu"' in said and "--hashes" not in said
    assert "--hashes" in commands("test", "HASHES=1")
    assert "set_up" not in commands("help") + commands("clean")
