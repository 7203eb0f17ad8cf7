"""``python -m mnist_helpers``."""

from .cli import main

main("python -m mnist_helpers")
