"""A cluster of one's own, and none where there should be one."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

ray = pytest.importorskip(
    "ray", reason="the extra `scale` is not installed: the jobs on a Ray cluster are left out"
)
from fsspec.implementations.local import LocalFileSystem  # noqa: E402
from ray.tune import Tuner  # noqa: E402

from mnist_helpers import scale, train  # noqa: E402
from mnist_helpers.batch import ImageFolder  # noqa: E402
from mnist_helpers.data import UNLABELED, Digits, Splits  # noqa: E402
from mnist_helpers.recipes import RECIPES  # noqa: E402
from mnist_helpers.scale import cluster, folders, search, state  # noqa: E402


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_a_cluster_of_ones_own_listens_to_nobody_else_and_is_gone_afterwards(monkeypatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    mine, before = children(), signal.signal(signal.SIGTERM, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), scale.ray_cluster() as resources:
        assert resources["CPU"] == os.cpu_count()
        interface = psutil.net_if_addrs()[os.environ["GLOO_SOCKET_IFNAME"]]  # of its workers
        assert "127.0.0.1" in {address.address for address in interface}
        started = children() - mine
        ports = [c for p in started for c in p.net_connections("tcp") if c.status == "LISTEN"]
        assert len(ports) >= 3
        assert {port.laddr.ip.removeprefix("::ffff:") for port in ports} == {"127.0.0.1"}
        commands = " ".join(part for p in started for part in p.cmdline())
        assert "gcs_server" in commands
        signal.raise_signal(signal.SIGTERM)  # by Ray's own handlers, this process would abort
        time.sleep(60)
    signal.signal(signal.SIGTERM, before)
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive and not ray.is_initialized()


def test_no_cluster_at_an_address() -> None:
    missing = "there is no Ray cluster at 127.0.0.1:9"
    with pytest.raises(ConnectionError, match=missing), scale.ray_cluster("127.0.0.1:9"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="there Ray starts workers without a shell")
def test_workers_start_where_the_path_of_python_has_a_space(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/my course/.venv/bin/python")
    assert scale.runtime_env() == {"py_executable": "'/my course/.venv/bin/python'"}
    monkeypatch.setattr(sys, "executable", "/course/.venv/bin/python")
    assert scale.runtime_env() is None, "nothing is set where nothing need be"


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
    with scale.ray_cluster() as resources:
        assert resources == {"CPU": 2.0}
    with (
        pytest.raises(TimeoutError, match="in 3 attempts: this machine is too busy"),
        scale.ray_cluster(),
    ):
        pass
    with pytest.raises(ValueError, match="other"), scale.ray_cluster():
        pass
    assert not list(attempts)


def test_a_failed_start_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    left = []

    def start_raylet(*_: object) -> None:
        left.append(children() - mine)
        raise Exception("The current node timed out during startup.")

    mine = children()
    monkeypatch.setattr(cluster, "ATTEMPTS", 2)
    monkeypatch.setattr(ray._private.node.Node, "start_raylet", start_raylet)
    with pytest.raises(TimeoutError, match="too busy"), scale.ray_cluster():
        pass
    assert len(left) == cluster.ATTEMPTS and all(left)
    _, alive = psutil.wait_procs(set.union(*left), timeout=60)
    assert not alive


def test_what_cannot_be_done_is_said_before_a_cluster_is_started(
    digits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("a cluster was started"))
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    state.emptied(out / "rows").joinpath("earlier.csv").write_text("an earlier table")
    for folder, options, message in (
        (tmp_path / "nowhere", {}, "there is no folder"),
        (empty, {}, "there are no images in"),
        (empty, {"format": "xls"}, "format must be one of parquet, csv"),
    ):
        with pytest.raises((ValueError, NotADirectoryError), match=message):
            scale.predict_folder(folder, out, **options)
    with pytest.raises(OSError, match=r"nothing\.pt"):
        scale.predict_folder(empty, out, tmp_path / "nothing.pt")
    assert (out / "rows" / "earlier.csv").is_file()
    with pytest.raises(ValueError, match="no search to resume"):
        scale.tune({"lr": 1e-2}, digits.train, digits.val, out=out, resume=True)
    unlabeled = Digits(digits.val.images, torch.full_like(digits.val.labels, UNLABELED), "mine")
    for model, val, message in (
        ("tiny", unlabeled, "mine has validation images without a digit"),
        ("huge", digits.val, "'huge'"),
    ):
        with pytest.raises(ValueError, match=message):
            scale.train_distributed(model, digits.train, val, RECIPES["tiny"], out=out)
        with pytest.raises(ValueError, match=message):
            scale.tune({"lr": 1e-2}, digits.train, val, 1, model, RECIPES["tiny"], out=out)


def test_folders_of_the_users_own_are_not_emptied(digits: Splits, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "7.png").touch()
    for name, job in (
        ("names", lambda: scale.predict_folder(tmp_path / "scans", tmp_path)),
        ("rows", lambda: scale.predict_folder(tmp_path / "scans", tmp_path)),
        ("ray", lambda: scale.train_distributed("tiny", digits.train, out=tmp_path)),
        ("ray", lambda: scale.tune({"lr": 1e-2}, digits.train, digits.val, out=tmp_path)),
    ):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "my_file.txt").touch()
        with pytest.raises(ValueError, match=f"{name} holds files that were not made here"):
            job()
        assert (tmp_path / name / "my_file.txt").is_file()


def test_what_an_older_version_left_in_outputs_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "project_root", lambda: tmp_path)
    monkeypatch.setattr(state, "is_checkout", lambda root: True)
    for name in ("outputs/search/ray", "predictions/rows"):
        (tmp_path / name / "trial").mkdir(parents=True)
        assert not any(state.emptied(tmp_path / name).iterdir())


def test_what_a_folder_holds_has_a_row_each(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(png, "png")
    folder = tmp_path / "scans"
    for name in ("real/1.png", "caf\udce9.png", ".hidden/2.png", "text.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png.getvalue())
    (folder / "link.png").symlink_to("real/1.png")
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    names = sorted(ImageFolder(str(folder)).names())
    assert names == ["broken.png", "caf\\xe9.png", "link.png", "pipe.png", "real/1.png"]
    assert names == sorted(ImageFolder(folder).names()), "one machine and a cluster differ"
    preprocessed = folders._preprocess({"file": np.array(names, dtype=object)}, str(folder))
    errors = dict(zip(names, preprocessed["error"], strict=True))
    assert "No such file" in errors.pop("broken.png")
    assert "not a regular file" in errors.pop("pipe.png")
    assert set(errors.values()) == {""}


def test_a_folder_that_cannot_be_listed_has_a_row_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()
    listed = LocalFileSystem.ls

    def ls(self: LocalFileSystem, path: str, **options: object) -> list:
        if path.endswith("secret"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(self, path, **options)

    def listdir(path: Path) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(LocalFileSystem, "ls", ls)
    monkeypatch.setattr(os, "listdir", listdir)
    assert list(ImageFolder(str(tmp_path)).names()) == ["secret"]
    preprocessed = folders._preprocess({"file": np.array(["secret"], dtype=object)}, str(tmp_path))
    assert "Permission denied" in preprocessed["error"][0]


def test_a_distributed_training_that_is_done_is_not_done_again(
    digits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("a cluster was started"))
    recipe = replace(RECIPES["tiny"], epochs=1)
    history = train("tiny", digits.train, digits.val, recipe, out=tmp_path, progress=False)
    options = {"out": tmp_path, "resume": True}
    assert scale.train_distributed("tiny", digits.train, digits.val, recipe, **options) == history
    other = replace(recipe, lr=0.5)
    with pytest.raises(ValueError, match=r"another recipe \(lr 0\.03, now 0\.5\)"):
        scale.train_distributed("tiny", digits.train, digits.val, other, **options)


def test_another_search_is_not_resumed(
    digits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Begun(Exception):
        pass

    def begin(*_: object, **__: object) -> None:
        (tmp_path / "ray" / "tuner.pkl").touch()
        raise Begun

    monkeypatch.setattr(search, "_tuner", begin)
    monkeypatch.setattr(search, "ray_cluster", lambda _: nullcontext({"CPU": 2}))
    monkeypatch.setattr(search, "_trainable", lambda *_: None)
    monkeypatch.setattr(Tuner, "restore", begin)
    splits, recipe = (digits.train, digits.val), RECIPES["tiny"]
    for resume in (False, True):
        with pytest.raises(Begun):
            scale.tune({"lr": 1e-2}, *splits, recipe=recipe, out=tmp_path, resume=resume)
    for model, other in (("tiny", replace(recipe, epochs=5)), ("fast", recipe)):
        with pytest.raises(ValueError, match="with another model, recipe or data"):
            scale.tune({"lr": 1e-2}, *splits, model=model, recipe=other, out=tmp_path, resume=True)
