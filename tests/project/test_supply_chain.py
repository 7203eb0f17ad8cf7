"""What is installed: hashes of every pin, a report on vulnerabilities and licenses, the SBOM."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from urllib.parse import urljoin

import pytest
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from referencing import Registry, Resource

import mnist_helpers

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import audit
import pins

ROOT = Path(__file__).resolve().parents[2]
HASHED = [ROOT / path for path in pins.HASHED.values()]
NOBODY = "http://127.0.0.1:9"


def hashed(kind: str) -> dict[str, str]:
    """Return the pins of a file in requirements/, each with its lines."""
    return pins.entries((ROOT / pins.HASHED[kind]).read_text(encoding="utf-8"))


def runtime() -> set[str]:
    """Return the names of what the package itself needs."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return {canonicalize_name(Requirement(need).name) for need in re.findall('"(.+)"', listed[1])}


@pytest.mark.parametrize("kind", pins.HASHED)
def test_every_pin_has_a_hash(kind: str) -> None:
    found = hashed(kind)
    assert len(found) > {"uv": 0}.get(kind, 15)
    for pin, lines in found.items():
        (version,) = Requirement(pin).specifier
        assert version.operator == "==", f"{pin} is not exact"
        hashes = lines.replace("\\\n", " ").split(" --hash=")[1:]
        assert hashes, f"{pin} has no hash: make pins KEEP=1"
        for text in hashes:
            assert re.fullmatch("sha256:[0-9a-f]{64}", text.strip()), f"{pin}: {text}"


def test_the_hashed_files_divide_the_pins() -> None:
    files = {kind: list(hashed(kind)) for kind in pins.HASHED}
    nvidia = files.pop("nvidia")
    chosen = pins.entries((ROOT / pins.PINS).read_text(encoding="utf-8"))
    found = [pins.plain(pin) for file in files.values() for pin in file]
    assert sorted(chosen) == sorted(found), "make pins KEEP=1"
    assert all(re.match("nvidia-|cuda-|triton=", pin) for pin in nvidia)
    assert not any(re.match("nvidia-|cuda-|triton=", pin) for pin in chosen)
    assert all("sys_platform == 'linux'" in pin for pin in nvidia), "NVIDIA's are for Linux"
    names = {kind: {pins.name(pin) for pin in file} for kind, file in files.items()}
    assert names["uv"] == {"uv"} and runtime() <= names["lab"]
    assert {"jupyterlab", "gradio", "ray", "setuptools"} <= names["lab"]
    assert {"pytest", "playwright", "sphinx", "ruff", "mypy"} <= names["dev"]


def test_pins_are_divided_by_what_needs_them() -> None:
    text = "# a head\n" + "".join(
        f"{pin} \\\n    --hash=sha256:{number} \\\n    --hash=sha256:{number}{number}\n"
        for number, pin in enumerate(
            [
                "aaa[x]==1",
                "bbb==2 ; os_name == 'nt'",
                "nvidia-x==3 ; sys_platform == 'linux'",
                "uv==4",
            ]
        )
    )
    files = pins.divide(pins.entries(text), ["bbb", "nvidia-x"])
    body = {path: list(pins.entries(content)) for path, content in files.items()}
    assert body == {
        "requirements.txt": ["aaa==1", "bbb==2 ; os_name == 'nt'", "uv==4"],
        "requirements/hashed-lab.txt": ["bbb==2 ; os_name == 'nt'"],
        "requirements/hashed-dev.txt": ["aaa[x]==1"],
        "requirements/hashed-uv.txt": ["uv==4"],
        "requirements/hashed-nvidia.txt": ["nvidia-x==3 ; sys_platform == 'linux'"],
    }
    assert "--hash" not in files["requirements.txt"]
    assert files["requirements/hashed-lab.txt"].endswith("sha256:1 \\\n    --hash=sha256:11\n")


def test_no_file_names_a_server() -> None:
    for path in HASHED:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links", text), path.name


@pytest.mark.slow
def test_an_unreachable_service_is_said_and_no_previous_answer_stays(
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


def test_the_license_list_names_every_package_that_runs(tmp_path: Path) -> None:
    lines = audit.licenses(tmp_path)
    with (tmp_path / "licenses.csv").open(encoding="utf-8", newline="") as file:
        table = {canonicalize_name(row["package"]): row for row in csv.DictReader(file)}
    assert runtime() > {"torch", "numpy"}
    assert runtime() | {"mnist-helpers", "setuptools"} <= set(table)
    assert table["mnist-helpers"]["license"] == "MIT" and not table["mnist-helpers"]["look"]
    assert table["tqdm"]["look"] and any(line.startswith("| tqdm |") for line in lines)


@pytest.mark.parametrize(
    ("license", "permissive"),
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
def test_what_is_not_known_to_be_permissive_is_for_a_person(license: str, permissive: bool) -> None:
    assert audit.is_permissive(license) == permissive


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

    again = tmp_path / "again"
    again.mkdir()
    audit.sbom(again)
    written = (folder / "sbom.cdx.json" for folder in (tmp_path, again))
    assert len({path.read_bytes() for path in written}) == 1
