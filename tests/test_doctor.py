"""The doctor: one line per check, and what to do where something is wrong."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mnist_helpers import doctor
from mnist_helpers.doctor import Finding, check_environment, run_checks
from mnist_helpers.prediction import PRETRAINED_ONNX

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["Python", "packages", "device", "data", "weights", "kernel", "widgets"]


def one(name: str) -> Finding:
    return next(finding for finding in run_checks() if finding.name == name)


def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    findings = run_checks()
    assert [finding.name for finding in findings] == NAMES
    for finding in findings:
        assert finding.ok, str(finding)
        assert str(finding).startswith("ok ") and "\n" not in str(finding)
    check_environment()
    assert capsys.readouterr().out == ""


def test_a_fault_is_shown_with_what_to_do(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (9, 0))
    check_environment()
    said = capsys.readouterr().out
    assert said.startswith("!!  Python") and "what to do: install Python 9.0 or newer" in said
    assert said.count("!!") == 1, "it speaks of what is well"


def test_packages_that_are_missing_or_too_old(monkeypatch) -> None:
    true_version = metadata.version
    versions = {"torch": "1.13.0", "pandas": None}

    def version(name: str) -> str:
        if versions.get(name, "") is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or true_version(name)

    monkeypatch.setattr(metadata, "version", version)
    finding = one("packages")
    assert not finding.ok
    assert "torch is 1.13.0, required is >=" in finding.text and "pandas is missing" in finding.text
    assert sys.executable in finding.fix and "pip install" in finding.fix
    assert "torch>=" in finding.fix and "pandas>=" in finding.fix and "numpy" not in finding.fix


def test_a_package_that_is_not_installed(monkeypatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    finding = one("packages")
    assert not finding.ok and "mnist_helpers is not installed" in finding.text
    assert "--editable" in finding.fix and str(ROOT) in finding.fix
    monkeypatch.setattr(doctor, "__file__", "/site-packages/mnist_helpers/doctor.py")
    assert one("packages").fix.endswith("pip install mnist-helpers")


def test_data_that_are_absent_or_in_part(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MNIST_HELPERS_DATA", str(tmp_path))
    assert one("data").ok and f"no MNIST in {tmp_path} yet" in one("data").text
    (tmp_path / "train-images-idx3-ubyte").touch()
    finding = one("data")
    assert not finding.ok and "train-labels-idx1-ubyte" in finding.text and finding.fix


def test_a_mistyped_data_folder_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MNIST_HELPERS_DATA", str(tmp_path / "mnsit"))
    assert not one("data").ok and str(tmp_path / "mnsit") in one("data").text


def test_data_that_are_tables(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MNIST_HELPERS_DATA", str(tmp_path))
    for name in ("mnist_train.csv", "mnist_test.csv"):
        (tmp_path / name).touch()
    assert one("data").ok
    assert one("data").text == f"MNIST is in {tmp_path} (mnist_train.csv, mnist_test.csv)"


def test_data_that_may_not_be_read(tmp_path: Path, monkeypatch) -> None:
    def forbidden(folder: Path) -> dict[str, Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setenv("MNIST_HELPERS_DATA", str(tmp_path))
    monkeypatch.setattr("mnist_helpers.data.find_mnist", forbidden)
    finding = one("data")
    assert not finding.ok and f"{tmp_path} cannot be read (Permission denied)" in finding.text
    assert "MNIST_HELPERS_DATA" in finding.fix


def test_weights_for_onnx_runtime(tmp_path: Path, monkeypatch) -> None:
    whole, onnx = PRETRAINED_ONNX.read_bytes(), tmp_path / "fast.onnx"
    monkeypatch.setattr("mnist_helpers.prediction.PRETRAINED_ONNX", onnx)
    assert not one("weights").ok and "fast.onnx is missing" in one("weights").text
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 1
    for content in (bytes(altered), whole[:-200], b"version https://git-lfs.github.com/spec/v1"):
        onnx.write_bytes(content)
        assert not one("weights").ok and "does not hold the network" in one("weights").text
    onnx.write_bytes(whole)
    assert one("weights").ok


def test_damaged_weights(tmp_path: Path, monkeypatch) -> None:
    weights = tmp_path / "fast.safetensors"
    monkeypatch.setattr("mnist_helpers.prediction.PRETRAINED_WEIGHTS", weights)
    assert not one("weights").ok and "fast.safetensors" in one("weights").text
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert not one("weights").ok and "Git LFS pointer" in one("weights").text
    weights.write_bytes(b"\x10" + bytes(20))
    assert not one("weights").ok and "not a whole safetensors file" in one("weights").text


def test_a_kernel_of_another_environment(tmp_path: Path, monkeypatch) -> None:
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    other = tmp_path / "other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.symlink_to(sys.executable)  # two environments of one Python
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for command, ok in ((str(other), False), (sys.executable, True), ("python", True)):
        spec = {"argv": [command, "-m", "ipykernel_launcher"], "display_name": "Python 3"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        finding = one("kernel")
        assert finding.ok == ok, finding
        assert ok or (str(other) in finding.text and "start Jupyter from" in finding.fix)


def test_widgets_that_are_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    finding = one("widgets")
    assert not finding.ok
    assert "@jupyter-widgets/jupyterlab-manager, ipycanvas" in finding.text
    assert "force-reinstall" in finding.fix
