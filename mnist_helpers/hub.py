"""Take a trained network to a model hub, and fetch it from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

try:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData, ModelHubMixin, hf_hub_download
except ImportError as error:
    raise ImportError(
        "a model hub needs the extra `serve`: pip install 'mnist-helpers[serve]'"
    ) from error

from .checkpoints import save_checkpoint
from .models import count_parameters
from .onnx import OnnxNetwork
from .prediction import MNISTPredictor

WEIGHTS = "model.safetensors"


class HubPredictor(MNISTPredictor, ModelHubMixin):
    """A predictor that can be saved to, and loaded from, a folder or a model hub.

    `save_pretrained` writes the weights with all that belongs to them (`load_checkpoint` reads
    them) and a model card; ``push_to_hub`` uploads both; `from_pretrained` reads them again.

    Parameters
    ----------
    checkpoint, device, model
        As for `MNISTPredictor`.

    Examples
    --------
    >>> from mnist_helpers.strokes import draw_strokes, pen_strokes
    >>> HubPredictor().save_pretrained("for_the_hub")
    >>> HubPredictor.from_pretrained("for_the_hub").predict(draw_strokes(pen_strokes(7))).digit
    7
    """

    def save_pretrained(
        self, save_directory: str | Path, *, test: tuple[int, int] | None = None, **options: Any
    ) -> str | None:
        """Write weights and model card of the network in use into a folder, replacing earlier ones.

        Parameters
        ----------
        save_directory : path
        test : tuple of (correct, total), default=None
            Correct predictions on MNIST's test split and its size, for the card.
        **options
            ``push_to_hub``, ``repo_id`` and others, as in huggingface_hub's mixin.

        Raises
        ------
        ValueError
            If the network runs on ONNX Runtime: its file is all there is of it.
        """
        self._hub_mixin_config = None  # a path and a device of this machine: nobody else's concern
        if test is not None:
            options["model_card_kwargs"] = {"test": test}
        return super().save_pretrained(save_directory, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the files; called by the mixin."""
        if isinstance(self.model, OnnxNetwork):
            raise ValueError(
                "a network on ONNX Runtime cannot be saved again: share its .onnx file"
            )
        done = self.checkpoint
        save_checkpoint(
            save_directory / WEIGHTS,
            self.model,
            recipe=done.recipe,
            history=done.history,
            source=done.source,
            temperature=done.temperature,
        )
        (save_directory / "README.md").unlink(missing_ok=True)  # the mixin would leave it

    def generate_model_card(
        self, *_: Any, test: tuple[int, int] | None = None, **__: Any
    ) -> ModelCard:
        """Return the model card: what it is, what it was trained on, how to load it."""
        name = self.checkpoint.name
        data = ModelCardData(
            license="mit",
            library_name="mnist_helpers",
            pipeline_tag="image-classification",
            tags=["mnist", "handwritten-digits", "pytorch"],
            datasets=["ylecun/mnist"],
            model_name=name,
            eval_results=[_result(*test)] if test else None,
        )
        measured = f"{test[0] / test[1]:.2%} of {test[1]:,}" if test else "not measured"
        recipe = self.checkpoint.recipe
        return ModelCard(
            f"---\n{data.to_yaml()}\n---\n\n# {name}: handwritten digits\n\n"
            "Predicts the handwritten digit in a 28×28 image, preprocessed as MNIST was; "
            "`mnist_helpers` preprocesses any other image.\n\n"
            f"- parameters: {count_parameters(self.model):,}\n"
            f"- trained on: {self.checkpoint.source}\n"
            f"- test accuracy: {measured}\n"
            f"- recipe: {recipe}\n"
            f"- temperature of its confidences: {self.checkpoint.temperature:.3f}\n\n"
            "```python\nfrom mnist_helpers import HubPredictor\n\n"
            'predictor = HubPredictor.from_pretrained("THIS REPOSITORY")\n'
            'digit, confidence, probs = predictor.predict("digit.png")\n```\n'
        )

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str = "auto",
        model: nn.Module | None = None,
        **_: Any,
    ) -> HubPredictor:
        """Read the files; called by the mixin. Only safetensors are read: no code can hide there.

        Raises
        ------
        FileNotFoundError
            If there are no weights in the folder.
        """
        if Path(model_id).is_dir():
            return cls(Path(model_id) / WEIGHTS, device, model=model)
        path = hf_hub_download(
            model_id,
            WEIGHTS,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(path, device, model=model)


def _result(correct: int, total: int) -> EvalResult:
    """Return the test accuracy as a model hub lists it."""
    return EvalResult(
        task_type="image-classification",
        dataset_type="ylecun/mnist",
        dataset_name="MNIST",
        dataset_split="test",
        metric_type="accuracy",
        metric_value=correct / total,
    )
