"""Signs of life: progress bars that say how they ended, and a clock for what cannot be counted."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.std import tqdm as TextBar


class NotebookBar(TextBar):
    """A bar as text in a cell's output.

    tqdm's own bar for notebooks is a widget: saved without its kernel, it says 0% forever. An
    output is saved as it was last: one line that says how far it came, and how long that took.
    """

    _shown: Any = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options = {"file": io.StringIO(), "ncols": 78, "ascii": False, **options}
        super().__init__(*arguments, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Show the bar, or what it says at its end, in the place where it first stood."""
        from IPython.display import display

        content = {"text/plain": str(self) if msg is None else msg}
        if self._shown is None:
            self._shown = display(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)
        return True

    def close(self) -> None:
        """End the bar: the line that stays says whether this is all, without the blocks."""
        if not self.disable and self.total:
            task = f"{self.desc.removesuffix(': ')}, " if self.desc else ""
            end = "done" if self.n >= self.total else "ended early"
            self.set_description_str(f"{task}{end}: ", refresh=False)
            self.bar_format = "{desc}{n_fmt}/{total_fmt} in {elapsed}{postfix}"
        super().close()


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def progress_bar(*arguments: Any, **options: Any) -> TextBar:
    """Return a tqdm bar that suits the place: a terminal's, a notebook's, or in a pipe none.

    Examples
    --------
    >>> for digit in progress_bar(range(10), desc="digits", disable=True):
    ...     pass
    """
    if in_notebook():
        return NotebookBar(*arguments, **options)
    disable = options.pop("disable", False) or None  # None: unless stderr is a terminal
    return TextBar(*arguments, disable=disable, **options)


@contextmanager
def elapsed(task: str) -> Iterator[None]:
    """Show the seconds that a task takes, each second, where there is nothing to count.

    In a pipe it is a line when the task begins.

    Parameters
    ----------
    task : str
        What is being done, such as "starting two workers".
    """
    done = threading.Event()
    with progress_bar(desc=task, bar_format="{desc}: {elapsed}") as bar:
        if bar.disable:
            print(f"{task}…", file=sys.stderr, flush=True)

        def tick() -> None:
            while not done.wait(1):
                bar.refresh()

        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield
        finally:
            done.set()
            clock.join()
            bar.set_description_str(f"{task}, done")
