"""The project agrees with itself: pins, ranges, style."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import set_up

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it along there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SYSTEMS = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "Windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}


def pins(python: str = "3.11", system: str = "Linux") -> dict[str, Requirement]:
    """Return what requirements.txt installs on one Python and system, by canonical name."""
    environment = {
        **default_environment(),
        **SYSTEMS[system],
        "python_version": python,
        "python_full_version": f"{python}.9",
    }
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    chosen: dict[str, Requirement] = {}
    for line in lines:
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in chosen, f"two pins of {name} on Python {python}, {system}"
            chosen[name] = pin
    return chosen


def needs() -> list[Requirement]:
    """Return what pyproject.toml asks for, with all extras."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]


def tracked(*patterns: str) -> list[Path]:
    """Return the files under version control that match."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_what_python_compiles_is_kept_whatever_is_set() -> None:
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ, "tests start processes without it"
    if shutil.which("make") is None:
        pytest.skip("Windows has no make")
    shown = subprocess.run(
        ["make", "--silent", "-f", "Makefile", "-f", "-", "shown"],
        input="shown:\n\t@echo [$$PYTHONDONTWRITEBYTECODE]\n",
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "[]\n", shown.stdout + shown.stderr


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_need_is_pinned_within_its_range(python: str, system: str) -> None:
    chosen = pins(python, system)
    for need in needs():
        pin = chosen.get(canonicalize_name(need.name))
        assert pin is not None, f"{need.name} has no pin: make pins"
        (version,) = pin.specifier
        assert version.operator == "==", f"{pin} is not exact"
        assert need.specifier.contains(version.version), f"{pin} is outside of {need}: make pins"


def test_all_pins_are_exact() -> None:
    for pin in pins().values():
        (version,) = pin.specifier
        assert version.operator == "==" and "*" not in version.version, f"{pin} is not exact"


def test_torch_and_torchvision_are_a_pair() -> None:
    for python in PYTHONS:
        chosen = pins(python)
        assert str(chosen["torch"].specifier) == "==2.14.1"
        assert str(chosen["torchvision"].specifier) == "==0.29.1"


def test_no_upper_bound_evicts_what_is_installed() -> None:
    for line in PROJECT["dependencies"]:
        operators = {specifier.operator for specifier in Requirement(line).specifier}
        assert operators == {">="}, f"{line}: a lower bound only, so that Colab's version stays"


def test_requirements_name_no_server() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links", text)


def test_conda_installs_the_same_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    python = next(spec for spec in conda if spec.startswith("python="))
    assert python.removeprefix("python=") in PYTHONS
    assert all(spec == "pip" or spec == python for spec in conda), "packages come from the pins"
    assert pip == {
        "pip": ["--constraint requirements.txt", f"--editable .[{set_up.EXTRAS['lab']}]"]
    }


def test_pre_commit_uses_the_pinned_tools() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {"nbstripout", "ruff", "ruff-format", "mypy"} <= {hook["id"] for hook in hooks}
    for hook in hooks:
        for line in hook.get("additional_dependencies", []):
            name = Requirement(line).name
            assert Requirement(line).specifier == pins()[name].specifier, f"{hook['id']}: {line}"


def test_set_up_and_doctor_ask_for_the_same_python() -> None:
    from mnist_helpers.doctor import OLDEST_PYTHON

    assert PROJECT["requires-python"] == ">={}.{}".format(*OLDEST_PYTHON)
    assert set_up.OLDEST_PYTHON == OLDEST_PYTHON


def test_badges_are_true() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    badges = dict(re.findall(r"img\.shields\.io/badge/(\w+)-(.+?)-blue\)", text))
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert badges == {"python": f"{oldest}%2B", "license": PROJECT["license"]}
    assert f"Python {oldest} or newer]" in text and f"License: {PROJECT['license']}]" in text
    assert PROJECT["license"] in (ROOT / "LICENSE").read_text(encoding="utf-8").split("\n")[0]


def test_the_readme_opens_with_the_canvas_at_work() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, image = text.split("<picture>")[:2]
    assert before.count("\n") < 10 and 'src="docs/canvas.gif"' in image
    with Image.open(ROOT / "docs/canvas.gif") as gif, Image.open(ROOT / "docs/canvas.png") as png:
        assert 12 <= gif.n_frames <= 20 and gif.info["loop"] == 0 and gif.size == png.size
    assert (ROOT / "docs/canvas.gif").stat().st_size < 600_000


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_is_content(command: tuple[str, ...]) -> None:
    files = [str(path) for path in tracked("*.py", "*.ipynb")]
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--quiet", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ruff.returncode == 0, f"make format\n{ruff.stdout}{ruff.stderr}"


def test_nothing_generated_is_committed() -> None:
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if re.search(
            r"^data/|(^|/)(outputs|__pycache__|\.venv|\.ipynb_checkpoints)/",
            str(path.relative_to(ROOT)),
        )
        or path.stat().st_size > 1_000_000
    ]
    assert not wrong, f"generated or large: {wrong}"


def test_no_path_of_one_machine_is_committed() -> None:
    own = re.compile(r"(/home/|/Users/|/root/|/work/|[A-Z]:\\Users\\)\w")
    for path in tracked(
        "*.py", "*.ipynb", "*.md", "*.toml", "*.yml", "*.yaml", "Makefile", ".ci/*"
    ):
        if path != Path(__file__).resolve():
            found = own.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path.relative_to(ROOT)}: {found[0]}… is on one machine only"


def test_importing_the_package_is_cheap() -> None:
    heavy = ("torch", "matplotlib", "pandas", "ipycanvas", "sklearn", "scipy")
    code = f"import sys, mnist_helpers; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]", shown.stdout + shown.stderr
