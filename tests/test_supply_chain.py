"""What is installed: hashes of every pin, a report on vulnerabilities and licences, the SBOM."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path
from urllib.parse import urljoin

import pytest
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from referencing import Registry, Resource

import mnist_helpers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import audit

ROOT = Path(__file__).resolve().parents[1]
HASHED = ROOT / "requirements-hashed.txt"
NVIDIA = ROOT / "requirements-hashed-nvidia.txt"
NOBODY = "http://127.0.0.1:9"


def pins(path: Path) -> dict[str, list[str]]:
    """Return the pins of a file, markers included, each with its hashes."""
    entries = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [line.split(" --hash=") for line in entries if not line.startswith("#")]
    return {pin.strip(): [text.strip() for text in hashes] for pin, *hashes in entries}


def runtime() -> set[str]:
    """Return the names of what the package itself needs."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return {canonicalize_name(Requirement(need).name) for need in re.findall('"(.+)"', listed[1])}


# ---------------------------------------------------------------------------------------- hashes


@pytest.mark.parametrize("path", [HASHED, NVIDIA], ids=lambda path: path.name)
def test_every_pin_has_a_hash(path: Path) -> None:
    found = pins(path)
    assert len(found) > 15
    for pin, hashes in found.items():
        (version,) = Requirement(pin).specifier
        assert version.operator == "==", f"{pin} is not exact"
        assert hashes, f"{pin} has no hash: make pins UPGRADE="
        for text in hashes:
            assert re.fullmatch("sha256:[0-9a-f]{64}", text), f"{pin}: {text}"


def test_both_files_name_the_same_versions() -> None:
    assert list(pins(HASHED)) == list(pins(ROOT / "requirements.txt")), "make pins UPGRADE="
    names = {Requirement(pin).name for pin in pins(NVIDIA)}
    assert all(re.match("nvidia-|cuda-|triton$", name) for name in names)
    assert not names & {Requirement(pin).name for pin in pins(HASHED)}
    assert all("sys_platform == 'linux'" in pin for pin in pins(NVIDIA)), "NVIDIA's are for Linux"


def test_no_file_names_a_server() -> None:
    for path in (HASHED, NVIDIA):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links", text), path.name


def wheel(folder: Path, name: str, code: str = "") -> str:
    """Write a tiny wheel, version 1.0; return its hash."""
    about = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", code)
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="Windows has no make")
def test_a_package_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    """The real ``make setup HASHES=1``, with two tiny packages for what the project needs."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements.txt").touch()
    altered = wheels / "bbb-1.0-py3-none-any.whl"
    aaa, bbb = (f"{name}==1.0 --hash=sha256:{wheel(wheels, name)}" for name in ("aaa", "bbb"))
    environment = {name: text for name, text in os.environ.items() if "MAKE" not in name}
    environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}

    def setup(hashed: str, nvidia: str) -> tuple[str, list[str]]:
        """Return what make says, and which packages are installed then."""
        (tmp_path / HASHED.name).write_text(f"{hashed}\n", encoding="utf-8")
        (tmp_path / NVIDIA.name).write_text(f"{nvidia}\n", encoding="utf-8")
        made = subprocess.run(
            ["make", f"PYTHON={sys.executable}", "setup", "HASHES=1"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**environment, "PIP_CONFIG_FILE": os.devnull},
        )
        # If pip is content, the editable install is not, as there is no project.
        assert made.returncode != 0 and not (tmp_path / ".venv" / ".ready").exists()
        found = {path.stem for path in (tmp_path / ".venv").rglob("site-packages/*.py")}
        return made.stdout + made.stderr, sorted(found & {"aaa", "bbb"})

    honest = altered.read_bytes()
    wheel(wheels, "bbb", "print('somebody else was here')")
    said, installed = setup(aaa, bbb)
    assert "DO NOT MATCH THE HASHES" in said and "bbb==1.0" in said and installed == []
    altered.write_bytes(honest)

    # Where no package has a hash, pip by itself would ask for none.
    said, installed = setup("aaa==1.0", "bbb==1.0")
    assert "Hashes are required" in said and installed == []

    # To build a package is to run its code, and to fetch what nobody lists.
    (wheels / "ccc-1.0.tar.gz").write_bytes(b"a source")
    said, installed = setup(
        aaa, f"ccc==1.0 --hash=sha256:{hashlib.sha256(b'a source').hexdigest()}"
    )
    assert "No matching distribution found for ccc==1.0" in said and installed == []

    said, installed = setup(aaa, bbb)
    assert installed == ["aaa", "bbb"] and "Already in .venv" not in said

    # Nobody compares what is there already; that is said, also where setup was done before.
    (tmp_path / ".venv" / ".ready").touch()
    said, installed = setup(aaa, bbb)
    assert "Already in .venv, so not checked" in said and "aaa==1.0" in said


@pytest.mark.parametrize(("version", "own"), [("2.14.1+cpu", True), ("2.14.1", False)])
def test_a_build_of_torch_that_is_there_already_brings_no_nvidia(
    tmp_path: Path, version: str, own: bool
) -> None:
    about = tmp_path / f"torch-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    code = re.search(r"^OWN_TORCH = (.*)$", text, re.MULTILINE)[1]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == str(own), ran.stderr


# --------------------------------------------------------------------------------------- reports


def test_an_unreachable_service_is_said_and_no_former_answer_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, NOBODY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "vulnerabilities.json").write_text("{}", encoding="utf-8")

    (line,) = audit.vulnerabilities(tmp_path)

    assert "Not known" in line and "could not be reached" in line and "None known" not in line
    assert not (tmp_path / "vulnerabilities.json").exists()


def test_what_the_service_does_not_know_is_not_called_safe() -> None:
    skipped = {"name": "torch", "skip_reason": "Dependency not found"}
    own = {"name": "mnist-helpers", "skip_reason": "Dependency not found"}
    fine = {"name": "numpy", "version": "2.0", "vulns": []}
    hole = {"id": "CVE-1", "fix_versions": ["3.0"], "aliases": []}
    bad = {"name": "jinja2", "version": "2.0", "vulns": [hole]}

    (line,) = audit.answer([skipped, own])
    assert "Not known" in line and "none of the 1 packages" in line
    lines = audit.answer([skipped, own, fine])
    assert lines == ["None known in 1 packages.", "**Not known** to the service: torch."]
    assert audit.answer([own, fine]) == ["None known in 1 packages."]
    lines = audit.answer([fine, bad])
    assert lines[0] == "1 known in 2 packages." and lines[-1] == "| jinja2 | 2.0 | CVE-1 | 3.0 |"


def test_a_broken_tool_fails_and_the_other_reports_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(module: str, *_, **__) -> subprocess.CompletedProcess[str]:
        if module == "pip_audit":
            return subprocess.CompletedProcess(module, 1, "", "Traceback\nTypeError: no such")
        return subprocess.CompletedProcess(module, 0, "[]", "")

    monkeypatch.setattr(audit, "tool", run)
    monkeypatch.setitem(audit.REPORTS, "sbom", ("Bill of materials", lambda folder: ["a line"]))
    with pytest.raises(RuntimeError, match="Known vulnerabilities: pip-audit failed") as broken:
        audit.audit(tmp_path)
    assert "TypeError: no such" in str(broken.value)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "the tool failed" in report and "0 packages" in report and "a line" in report

    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="no_such_tool failed"):
        audit.tool("no_such_tool")


def test_the_licence_list_names_every_package_that_runs(tmp_path: Path) -> None:
    lines = audit.licences(tmp_path)
    with (tmp_path / "licences.csv").open(encoding="utf-8", newline="") as file:
        table = {canonicalize_name(row["package"]): row for row in csv.DictReader(file)}
    assert runtime() > {"torch", "numpy"}
    assert runtime() | {"mnist-helpers", "setuptools"} <= set(table)
    assert table["mnist-helpers"]["licence"] == "MIT" and not table["mnist-helpers"]["look"]
    assert table["tqdm"]["look"] and any(line.startswith("| tqdm |") for line in lines)


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSL-1.0", True),
        ("Apache License, Version 2.0", True),
        ("3-Clause BSD License", True),
        ("BSD License; GNU General Public License (GPL)", False),
        ("MIT OR GPL-3.0-or-later", False),
        ("MIT and GPL", False),
        ("LGPL-2.1", False),
        ("MPL-2.0 AND MIT", False),
        ("Other/Proprietary License", False),
        (audit.NOT_STATED, False),
        ("MIT No Resale", False),
    ],
)
def test_what_is_not_known_to_be_permissive_is_for_a_person(licence: str, permissive: bool) -> None:
    assert audit.is_permissive(licence) == permissive


@pytest.mark.slow
def test_the_bill_of_materials_is_cyclonedx_and_lists_us_and_torch(tmp_path: Path) -> None:
    audit.sbom(tmp_path)
    bill = json.loads((tmp_path / "sbom.cdx.json").read_text(encoding="utf-8"))

    schemas = {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in (resources.files("cyclonedx.schema") / "_res").iterdir()
        if path.name.endswith(".json")
    }
    standard = schemas[f"bom-{bill['specVersion']}.SNAPSHOT.schema.json"]
    registry = Registry().with_resources(
        (urljoin(standard["$id"], name), Resource.from_contents(schema))
        for name, schema in schemas.items()
    )
    Draft7Validator(standard, registry=registry).validate(bill)
    assert bill["bomFormat"] == "CycloneDX"

    us = bill["metadata"]["component"]
    assert (us["name"], us["version"]) == ("mnist-helpers", mnist_helpers.__version__)
    assert us["licenses"][0]["license"]["id"] == "MIT"
    parts = {canonicalize_name(part["name"]): part for part in bill["components"]}
    assert runtime() <= set(parts)
    assert parts["torch"]["licenses"] and parts["torch"]["purl"].startswith("pkg:pypi/torch@")
    needed = {need["ref"]: need.get("dependsOn", []) for need in bill["dependencies"]}
    assert parts["torch"]["bom-ref"] in needed[us["bom-ref"]]
    assert parts["pytest"]["bom-ref"] not in needed[us["bom-ref"]], "an extra is not always needed"

    again = tmp_path / "again"
    again.mkdir()
    audit.sbom(again)
    written = (folder / "sbom.cdx.json" for folder in (tmp_path, again))
    assert len({path.read_bytes() for path in written}) == 1
