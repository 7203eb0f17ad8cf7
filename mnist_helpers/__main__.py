"""``python -m mnist_helpers``."""

from .cli import app

app(prog_name="python -m mnist_helpers")
