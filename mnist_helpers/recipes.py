"""What decides how a network is trained: recipes, one for each architecture."""

from __future__ import annotations

from dataclasses import dataclass

from .augment import AUGMENTATIONS

OPTIMIZERS = ("adamw", "adam", "sgd", "adadelta")
SCHEDULES = ("constant", "step", "onecycle")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained.

    Parameters
    ----------
    epochs : int, default=10
        Passes over the training split.
    batch_size : int, default=64
        Images per step.
    lr : float, default=0.001
        Learning rate; with the one-cycle schedule its peak.
    optimizer : {"adamw", "adam", "sgd", "adadelta"}, default="adam"
    momentum : float, default=0.9
        Of SGD.
    betas : tuple of two floats, default=(0.9, 0.999)
        Of Adam and AdamW: decay rates of the running averages of the gradient and of its square.
    weight_decay : float, default=0.0
        As the optimizer understands it (decoupled in AdamW).
    schedule : {"constant", "step", "onecycle"}, default="constant"
        "step" multiplies the rate by `gamma` after each epoch; "onecycle" rises over the first
        `warmup` of all steps and falls to zero over the rest, both along a cosine (Smith and Topin,
        "Super-convergence", 2018, arXiv:1708.07120).
    gamma, warmup : float, default=0.7, 0.25
        See `schedule`.
    label_smoothing : float, default=0.0
        Share of the target that goes to all classes alike (Szegedy et al., 2016,
        arXiv:1512.00567, section 7).
    augment : str or None, default=None
        A name in `mnist_helpers.augment.AUGMENTATIONS`.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        "auto" computes in bfloat16 where the hardware does so natively, else in float32.
    patience : int or None, default=None
        Stop when the validation loss has not improved for this many epochs, and restore the best
        epoch's weights.
    seed : int, default=0
        Of the initial weights, the order of images, augmentation and dropout.

    Raises
    ------
    ValueError
        If a value is none of those allowed.

    Examples
    --------
    >>> from dataclasses import replace
    >>> replace(RECIPES["fast"], epochs=1).epochs
    1
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    gamma: float = 0.7
    warmup: float = 0.25
    label_smoothing: float = 0.0
    augment: str | None = None
    precision: str = "auto"
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "augment": (None, *AUGMENTATIONS),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                listed = ", ".join(map(str, allowed))
                raise ValueError(f"{name} must be one of {listed}, not {getattr(self, name)!r}")
        if self.epochs < 1 or self.batch_size < 1 or not self.lr > 0:
            raise ValueError("epochs and batch_size must be at least 1, and lr greater than 0")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, or None, not {self.patience}")
        object.__setattr__(self, "betas", tuple(self.betas))  # a file may hold a list
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers in [0, 1), not {self.betas}")
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.warmup < 1:
            raise ValueError("label_smoothing and warmup must lie in [0, 1)")


RECIPES: dict[str, Recipe] = {
    "cnn2": Recipe(),
    "mnistnet": Recipe(),
    "conv3_nopool": Recipe(),
    "cnn2_dropout": Recipe(),
    "cnn2_sgd": Recipe(optimizer="sgd", lr=0.01),
    "pytorch_example": Recipe(epochs=14, optimizer="adadelta", lr=1.0, schedule="step"),
    "pytorch_example_2017": Recipe(optimizer="sgd", lr=0.01, momentum=0.5),
    "speedrun_2020": Recipe(
        epochs=1, batch_size=256, lr=1e-2, betas=(0.7, 0.9), schedule="onecycle"
    ),
    "tiny": Recipe(
        epochs=4,
        batch_size=256,
        lr=3e-2,
        optimizer="adamw",
        betas=(0.7, 0.9),
        weight_decay=1e-2,
        schedule="onecycle",
        warmup=0.15,
        label_smoothing=0.1,
        augment="shift",
    ),
    "fast": Recipe(
        epochs=4,
        batch_size=256,
        lr=1e-2,
        optimizer="adamw",
        weight_decay=1e-2,
        schedule="onecycle",
        label_smoothing=0.1,
        augment="shift",
    ),
    "accurate": Recipe(
        epochs=18,
        batch_size=256,
        lr=1e-2,
        optimizer="adamw",
        weight_decay=1e-2,
        schedule="onecycle",
        label_smoothing=0.1,
        augment="warp",
    ),
}


def recipe_for(name: str | None) -> Recipe:
    """Return the recipe that belongs to a model's name."""
    if name not in RECIPES:
        raise ValueError(
            f"there is no recipe for a model {name!r}, only for {', '.join(RECIPES)}: "
            "choose one of these, or pass a Recipe(...)"
        )
    return RECIPES[name]
