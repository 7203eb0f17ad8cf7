"""Damaged files of every kind are refused with a clear error; see tools/fuzz.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("fuzz_tool", ROOT / "tools" / "fuzz.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
TARGETS = tool.targets()
SEEDS = tool.seeds()
FOUND = sorted(path for path in tool.CORPUS.glob("*/*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_whole_files_are_read_and_each_damaged_one_is_refused_or_read(target: str) -> None:
    """Cut off anywhere, and with bytes changed, taken out, doubled, at random but repeatably."""
    rng = np.random.default_rng(0)
    for whole in SEEDS[target]:
        places = np.unique(np.linspace(0, len(whole) - 1, 12).astype(int))
        damaged = [whole[:place] for place in places]
        for _ in range(40):
            content = bytearray(whole)
            for place in rng.integers(0, len(content), rng.integers(1, 5)):
                content[place] = rng.integers(0, 256)
            first, last = sorted(rng.integers(0, len(content), 2))
            kind = rng.integers(0, 3)
            if kind == 1:
                del content[first:last]
            elif kind == 2:
                content[first:first] = content[first:last]
            damaged.append(bytes(content))
        for content in damaged:
            tool.attempt(TARGETS[target], content)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name[:20]}")
def test_what_once_broke_a_reader_breaks_it_no_more(path: Path) -> None:
    tool.attempt(TARGETS[path.parent.name], path.read_bytes())


def test_the_seeds_are_whole_files_of_their_kind() -> None:
    for target in set(TARGETS) - {"checkpoint", "safetensors"}:
        for content in SEEDS[target]:
            TARGETS[target](content)
    for target in ("checkpoint", "safetensors"):
        for content in SEEDS[target]:
            with pytest.raises(ValueError, match="do not fit any architecture"):
                TARGETS[target](content)
