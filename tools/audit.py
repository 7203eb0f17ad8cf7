"""Report on what is installed here: known vulnerabilities, licenses, a bill of materials.

    make audit    # all three, into outputs/audit/
    .venv/bin/python tools/audit.py --only sbom    # the bill of materials alone

What is found there fails nothing; a tool that breaks does. A vulnerability service that cannot be
reached, or knows nothing, is said in a sentence: "none known" is only said of what was asked.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from mnist_helpers import __version__
from mnist_helpers.files import outputs_folder

# How the last line of what pip-audit says looks if the service, not pip-audit, is at fault.
UNREACHABLE = r"requests\.exceptions|urllib3\.exceptions|ServiceError|Try another service"
NOT_STATED = "not stated"
PERMISSIVE = re.compile(
    r"(the )?(mit(-0|-cmu)?|isc|iscl|0bsd|zlib|cc0(-1\.0)?|psfl?(-2\.0)?|python software foundation"
    r"|public domain|unlicense|hpnd|bsl-1\.0|(\d-clause )?bsd([ -]\d-clause)?|apache( software)?)"
    r"( licen[cs]e)?([, -]+(version )?2\.0)?( with llvm-exception)?",
    re.IGNORECASE,
)


def tool(*arguments: str, allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run a Python tool of this environment; its output is kept.

    Raises
    ------
    RuntimeError
        If it ends with another exit status than those that are allowed.
    """
    ran = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    if ran.returncode not in allowed:
        raise RuntimeError(f"{arguments[0]} failed:\n{ran.stderr[-2000:]}")
    return ran


def vulnerabilities(folder: Path) -> list[str]:
    """Ask for known vulnerabilities, write the answer if there is one; return the report's lines.

    Raises
    ------
    RuntimeError
        If pip-audit breaks.
    """
    path = folder / "vulnerabilities.json"
    path.unlink(missing_ok=True)  # an earlier answer is not today's
    ran = tool("pip_audit", "--progress-spinner=off", "--format=json", allowed=(0, 1))
    if ran.stdout.strip():
        lines = answer(json.loads(ran.stdout)["dependencies"])
        path.write_text(ran.stdout, encoding="utf-8")
        return lines
    last = (ran.stderr.strip().splitlines() or [""])[-1]
    if not re.search(UNREACHABLE, last):
        raise RuntimeError(f"pip-audit failed:\n{ran.stderr[-2000:]}")
    return ["**Not known:** the vulnerability service could not be reached, so nothing was asked."]


def answer(packages: list[dict]) -> list[str]:
    """Return what pip-audit's list says, and of which packages it says nothing."""
    packages = [package for package in packages if package["name"] != "mnist-helpers"]
    asked = [package for package in packages if "skip_reason" not in package]
    unknown = sorted(package["name"] for package in packages if "skip_reason" in package)
    if not asked:
        return [
            f"**Not known:** the vulnerability service has an answer for none of the "
            f"{len(packages)} packages."
        ]
    found = [(package, vulnerability) for package in asked for vulnerability in package["vulns"]]
    lines = [f"{len(found) or 'None'} known in {len(asked)} packages."]
    if unknown:
        lines.append(f"**Not known** to the service: {', '.join(unknown)}.")
    if found:
        lines += [
            "",
            "| package | version | vulnerability | fixed in |",
            "| --- | --- | --- | --- |",
        ]
    for package, vulnerability in found:
        mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        row = (package["name"], package["version"], vulnerability["id"], mended)
        lines.append(f"| {' | '.join(row)} |")
    return lines


def licenses(folder: Path) -> list[str]:
    """Write every package's license into licenses.csv; return the report's lines.

    Raises
    ------
    RuntimeError
        If pip-licenses breaks.
    """
    table = []
    for package in packages():
        stated = statements(package)
        look = "" if all(map(is_permissive, stated)) else "look"
        table.append((package["Name"], package["Version"], stated[0], look))
    with (folder / "licenses.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("package", "version", "license", "look"), *table])
    flagged = [row for row in table if row[3]]
    lines = [
        f"{len(table)} packages, as they state it themselves; {len(flagged)} for a person to look "
        "at: not permissive, or not clear."
    ]
    if flagged:
        lines += ["", "| package | version | license |", "| --- | --- | --- |"]
    return lines + [f"| {name} | {version} | {license} |" for name, version, license, _ in flagged]


def packages() -> list[dict[str, str]]:
    """Return pip-licenses' list of what is installed.

    Raises
    ------
    RuntimeError
        If pip-licenses breaks.
    """
    return json.loads(tool("piplicenses", "--from=all", "--format=json", "--with-system").stdout)


def statements(package: dict[str, str]) -> list[str]:
    """Return what a package states of its license: the clearest first, "not stated" if nothing.

    Some put the whole text where the name belongs; of that the first line is taken, and only when
    there is nothing else.
    """
    stated = [package[f"License-{place}"] for place in ("Expression", "Classifier", "Metadata")]
    stated = [text.strip() for text in stated if text.strip() not in ("", "UNKNOWN")]
    short = [text for text in stated if "\n" not in text]
    return short or [text.splitlines()[0] for text in stated] or [NOT_STATED]


def is_permissive(license: str) -> bool:
    """Whether every license that is named, also after an "or", is known to be permissive."""
    parts = re.split(r"\b(?:and|or)\b|[();]", license, flags=re.IGNORECASE)
    return all(PERMISSIVE.fullmatch(part.strip()) for part in parts if part.strip())


def sbom(folder: Path) -> list[str]:
    """Write the bill of materials as CycloneDX's JSON; return the report's line.

    Raises
    ------
    RuntimeError
        If cyclonedx-py breaks.
    """
    path = folder / "sbom.cdx.json"
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    how = ["--mc-type", "library", "--output-reproducible", "--no-validate"]
    command = ["cyclonedx_py", "environment", "--pyproject", str(project), *how]
    tool(*command, "--output-file", str(path), sys.executable)
    bill = json.loads(path.read_text(encoding="utf-8"))
    bill["metadata"]["component"]["version"] = __version__  # which pyproject.toml leaves to us
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    return [f"{path.name}: CycloneDX {bill['specVersion']}, {len(bill['components'])} components."]


REPORTS = {
    "vulnerabilities": ("Known vulnerabilities", vulnerabilities),
    "licenses": ("Licenses", licenses),
    "sbom": ("Bill of materials", sbom),
}


def audit(folder: Path, names: Iterable[str] = REPORTS) -> str:
    """Write reports into a folder; return their summary, which report.md has if all were asked.

    Raises
    ------
    RuntimeError
        If one of the tools breaks; the others' reports are written nevertheless.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summary, broken = "# What is installed\n", []
    for name in names:
        title, report = REPORTS[name]
        try:
            lines = report(folder)
        except Exception as error:  # whatever it is, the other reports are written
            broken.append(f"{title}: {error!r}" if not str(error) else f"{title}: {error}")
            lines = ["**Not written:** the tool failed."]
        summary += "\n".join(["", f"## {title}", "", *lines, ""])
    if set(names) == set(REPORTS):
        (folder / "report.md").write_text(summary, encoding="utf-8")
    if broken:
        raise RuntimeError("\n".join(broken))
    return summary


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=REPORTS, help="one report instead of all")
    parser.add_argument("--out", type=Path, help="folder, outputs/audit/ if not given")
    options = parser.parse_args()
    out = options.out or outputs_folder("audit")
    try:
        print(audit(out, [options.only] if options.only else REPORTS))
    except RuntimeError as error:
        sys.exit(str(error))
    print(f"Written into {out}")
