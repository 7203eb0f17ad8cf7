"""An extra's packages are installed where they are missing, and nothing else is."""

from __future__ import annotations

import subprocess
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from mnist_helpers import extras
from mnist_helpers.extras import install_extra, missing_of


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run; pip always succeeds."""
    seen: list[list[str]] = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(extras.subprocess, "run", run)
    return seen


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Let these packages have these versions, or be missing."""
    real = metadata.version

    def version(name: str) -> str:
        found = versions.get(name.replace("-", "_").lower(), real if name else None)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return real(name) if callable(found) else found

    monkeypatch.setattr(extras.metadata, "version", version)


def test_what_is_missing_or_too_old_is_installed(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    installed(monkeypatch, ray=None, pyarrow="1.0")
    install_extra("scale")
    (command,) = commands
    assert command[1:5] == ["-m", "pip", "install", "--quiet"]
    names = [Requirement(given).name for given in command[5:]]
    assert names == ["pyarrow", "ray"], "torch is not touched"


def test_what_is_there_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    installed(monkeypatch, ray="2.60.1", pyarrow="99.0")
    install_extra("scale")
    assert commands == []


def test_a_failure_says_what_pip_said(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ray=None)
    failed = subprocess.CompletedProcess([], 1, "", "first\nERROR: no matching distribution\n")
    monkeypatch.setattr(extras.subprocess, "run", lambda *_a, **_o: failed)
    with pytest.raises(RuntimeError, match="no matching distribution"):
        install_extra("scale")


def test_an_unknown_extra_is_named() -> None:
    with pytest.raises(ValueError, match=r"'fly'.*serve"):
        missing_of("fly")
