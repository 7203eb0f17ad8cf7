"""A cluster of one's own, and none where there should be one."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import torch

ray = pytest.importorskip(
    "ray", reason="the extra `scale` is not installed: the jobs on a Ray cluster are left out"
)
from mnist_helpers import scale  # noqa: E402
from mnist_helpers.data import UNLABELLED, Digits, Splits  # noqa: E402
from mnist_helpers.recipes import RECIPES  # noqa: E402


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_a_cluster_of_ones_own_listens_to_nobody_else_and_is_gone_afterwards() -> None:
    mine = children()
    with scale.cluster() as resources:
        assert resources["CPU"] == os.cpu_count()
        started = children() - mine
        ports = [c for p in started for c in p.net_connections("tcp") if c.status == "LISTEN"]
        assert len(ports) >= 3
        assert {port.laddr.ip.removeprefix("::ffff:") for port in ports} == {"127.0.0.1"}
        commands = " ".join(part for p in started for part in p.cmdline())
        assert "gcs_server" in commands and "monitor.py" not in commands
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive and not ray.is_initialized()


def test_no_cluster_at_an_address() -> None:
    missing = "there is no Ray cluster at 127.0.0.1:9"
    with pytest.raises(ConnectionError, match=missing), scale.cluster("127.0.0.1:9"):
        pass


def test_a_busy_machine_is_given_three_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "The current node timed out during startup. This could happen because …"
    attempts = iter(
        [Exception(said), Exception(said), None, *[Exception(said)] * 3, ValueError("other")]
    )

    def start(*_: object, **__: object) -> None:
        if error := next(attempts):
            raise error

    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    with scale.cluster() as resources:
        assert resources == {"CPU": 2.0}
    with (
        pytest.raises(TimeoutError, match="in 3 attempts: this machine is too busy"),
        scale.cluster(),
    ):
        pass
    with pytest.raises(ValueError, match="other"), scale.cluster():
        pass
    assert not list(attempts)


def test_a_failed_start_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    left = []

    def start_raylet(*_: object) -> None:
        left.append(children() - mine)
        raise Exception("The current node timed out during startup.")

    mine = children()
    monkeypatch.setattr(ray._private.node.Node, "start_raylet", start_raylet)
    with pytest.raises(TimeoutError, match="too busy"), scale.cluster():
        pass
    assert len(left) == scale.ATTEMPTS and all(left)
    _, alive = psutil.wait_procs(set.union(*left), timeout=60)
    assert not alive


def test_what_cannot_be_done_is_said_before_a_cluster_is_started(
    digits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("a cluster was started"))
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    (out / "rows").mkdir(parents=True)
    (out / "rows" / "earlier.csv").write_text("an earlier table")
    for folder, options, message in (
        (tmp_path / "nowhere", {}, "there is no folder"),
        (empty, {}, "there are no pictures in"),
        (empty, {"format": "xls"}, "format must be one of parquet, csv"),
    ):
        with pytest.raises(ValueError, match=message):
            scale.predict_folder(folder, out, **options)
    with pytest.raises(OSError, match=r"nothing\.pt"):
        scale.predict_folder(empty, out, tmp_path / "nothing.pt")
    assert (out / "rows" / "earlier.csv").is_file()
    with pytest.raises(ValueError, match="no search to resume"):
        scale.tune({"lr": 1e-2}, digits.train, digits.val, out=out, resume=True)
    unlabelled = Digits(digits.val.images, torch.full_like(digits.val.labels, UNLABELLED), "mine")
    for model, val, message in (
        ("tiny", unlabelled, "mine has pictures without a digit to validate by"),
        ("huge", digits.val, "'huge'"),
    ):
        with pytest.raises(ValueError, match=message):
            scale.train_distributed(model, digits.train, val, RECIPES["tiny"], out=out)
        with pytest.raises(ValueError, match=message):
            scale.tune({"lr": 1e-2}, digits.train, val, 1, model, RECIPES["tiny"], out=out)
