"""Whether files that look like MNIST's hold MNIST, and if not, what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .digits import Digits
from .notices import NotMNISTWarning, warn
from .pixels import looks_transposed

# SHA-256 of the pixels and of the labels, one byte each, of the training and of the test set
MNIST_CONTENT = {
    "train": (
        "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    ),
    "test": (
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    ),
}
# The first labels of data sets that come in files of the same names, however they are packed
FIRST_LABELS = {"Fashion-MNIST": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9]}
SIZES = {
    (60_000, 60_000): "QMNIST",
    (240_000, 40_000): "EMNIST's digits",
}


def is_mnist(train: Digits, test: Digits) -> bool:
    """Return whether two splits are MNIST's 60,000 and 10,000 images, pixel for pixel, in order."""
    if (len(train), len(test)) != (60_000, 10_000):
        return False
    return all(
        _content(digits) == MNIST_CONTENT[part]
        for part, digits in (("train", train), ("test", test))
    )


def name_source(
    train: Digits, test: Digits, what: str, folder: Path, files: list[Path] | None = None
) -> str:
    """Return where digits come from, in words: "MNIST's idx files …", or that they are not MNIST's.

    Warns
    -----
    NotMNISTWarning
        If they are not.
    """
    if is_mnist(train, test):
        return f"MNIST's {what}"
    name = _name_of(train, test, files or [])
    told = f"they are {name}" if name else "their checksums are others"
    swapped = looks_transposed(train.images[:1000, 0].numpy())
    if swapped:
        told += "; rows and columns look swapped, as in EMNIST's files"
    warn(
        f"the files in {folder.absolute()} are not MNIST's ({told}): accuracies on them are not "
        "MNIST's either",
        NotMNISTWarning,
    )
    return f"{name} (not MNIST): {what}" if name else f"{what}, not MNIST's"


def _content(digits: Digits) -> tuple[str, ...]:
    """Return the checksums of pixels and labels."""
    parts = (digits.images.contiguous().numpy(), digits.labels.byte().numpy())
    return tuple(hashlib.sha256(part.data).hexdigest() for part in parts)


def _name_of(train: Digits, test: Digits, files: list[Path]) -> str | None:
    """Return the name of another well-known data set, or None."""
    first = train.labels[:12].tolist()
    for name, labels in FIRST_LABELS.items():
        if first == labels and len(train) == 60_000:
            return name
    published = _published_checksums()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
        if content in published:
            return published[content]
    return SIZES.get((len(train), len(test)))


def _published_checksums() -> dict[str, str]:
    """Return the MD5 of the files of other data sets, as torchvision knows them."""
    from torchvision.datasets import KMNIST, QMNIST, FashionMNIST

    sums = {md5: "Fashion-MNIST" for _, md5 in FashionMNIST.resources}
    sums |= {md5: "Kuzushiji-MNIST" for _, md5 in KMNIST.resources}
    sums |= {md5: "QMNIST" for files in QMNIST.resources.values() for _, md5 in files}
    return sums
