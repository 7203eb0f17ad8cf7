"""What the REST interface takes and sends, as its description at ``/docs`` says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from .. import __version__
from ..json_objects import to_json_object
from ..prediction import CONFIDENCE_THRESHOLD, NumberPrediction, Prediction
from ..sheet import SheetDigits

PROBLEMS = {
    400: "Not an image, or a blank one",
    408: "The request did not arrive in time",
    413: "Too large, alone or together, or too many",
    415: "Neither a form nor JSON",
    422: "No image where one should be",
    500: "The network failed",
    503: "Too busy; try again",
}
NO_SHEETS = (
    "this server cannot read sheets: its extra `sheet` is missing "
    "(pip install 'mnist-helpers[sheet]')"
)


class Answer(BaseModel):
    """What the network predicts for one image."""

    digit: int = Field(ge=0, le=9, description="the most probable digit")
    confidence: float = Field(ge=0, le=1, description="its calibrated probability")
    probabilities: list[float] = Field(
        min_length=10, max_length=10, description="of the digits 0 to 9"
    )
    is_confident: bool = Field(
        description=f"whether the confidence reaches {CONFIDENCE_THRESHOLD}; "
        "if not, a human should look"
    )

    @classmethod
    def of(cls, prediction: Prediction) -> Answer:
        """Return a prediction as what is sent."""
        return cls(**to_json_object(prediction))


class Row(BaseModel):
    """One image of several: its answer, or what is wrong with it."""

    name: str = Field(description="file name, or number in the list")
    answer: Answer | None = None
    error: str | None = None

    @classmethod
    def of(cls, name: str, found: Prediction | ValueError) -> Row:
        """Return an image's prediction, or what is wrong with it, as what is sent."""
        if isinstance(found, ValueError):
            return cls(name=name, error=str(found))
        return cls(name=name, answer=Answer.of(found))


class NumberDigit(Answer):
    """A digit of a number."""

    box: list[int] = Field(
        min_length=4,
        max_length=4,
        description="left, top, right and bottom, in pixels of the upright image",
    )


class NumberAnswer(BaseModel):
    """What the network predicts for an image of a number."""

    text: str = Field(
        description="the digits from left to right, with a minus, a point or a comma among them"
    )
    confidence: float = Field(ge=0, le=1, description="the probability that all of it is correct")
    is_confident: bool = Field(description="if not, a human should look")
    digits: list[NumberDigit]

    @classmethod
    def of(cls, number: NumberPrediction) -> NumberAnswer:
        """Return a prediction as what is sent."""
        return cls(**to_json_object(number))


class Sheet(BaseModel):
    """One photo of a sheet: what was found in it, or why nothing was."""

    name: str = Field(description="file name, or number in the list")
    writer: str | None = Field(default=None, description="null if the code cannot be read")
    digits: int = Field(default=0, description="how many were found")
    counts: list[int] = Field(
        default=[0] * 10, min_length=10, max_length=10, description="of the digits 0 to 9"
    )
    empty: list[int] = Field(default=[], description="numbers of the empty boxes, from 0")
    crossed_out: list[int] = Field(default=[], description="numbers of the boxes crossed out")
    error: str | None = None

    @classmethod
    def of(cls, name: str, found: SheetDigits | ValueError) -> Sheet:
        """Return what a photo holds as what is sent."""
        if isinstance(found, ValueError):
            return cls(name=name, error=str(found))
        return cls(
            name=name,
            writer=found.writer,
            digits=len(found),
            counts=found.labels.bincount(minlength=10).tolist(),
            empty=found.empty,
            crossed_out=found.crossed_out,
        )


class Sheets(BaseModel):
    """What was found in photos of sheets, in the order in which they came."""

    digits: int = Field(description="on all of them together")
    sheets: list[Sheet]


class Answers(BaseModel):
    """What the network predicts for several images, in the order in which they came."""

    answers: list[Row]


class Health(BaseModel):
    """Whether the server is well, and how busy."""

    status: str = Field(default="ok", description="ok, or what is wrong; then the answer is a 503")
    version: str = __version__
    in_flight: int = Field(description="images that are being predicted right now")
    capacity: int = Field(description="how many there may be")


class Model(BaseModel):
    """Which network answers."""

    name: str
    parameters: int | None = Field(description="null if it runs on ONNX Runtime")
    source: str = Field(description="the data it was trained on")
    recipe: dict[str, Any] | None
    temperature: float = Field(description="what logits are divided by")
    confident_from: float = Field(description="the threshold of is_confident")
    versions: dict[str, str]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str


def responses(problems: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Describe what can go wrong for the OpenAPI page."""
    return {status: {"model": Problem, "description": words} for status, words in problems.items()}


def body(form: str, json_: str, words: str, many: bool) -> dict[str, Any]:
    """Describe the two kinds of body for the OpenAPI page."""

    def of(name: str, image: dict[str, str]) -> dict[str, Any]:
        value = {"type": "array", "items": image, "minItems": 1} if many else image
        properties = {name: value | {"description": words}}
        return {"schema": {"type": "object", "required": [name], "properties": properties}}

    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": of(form, {"type": "string", "format": "binary"}),
                "application/json": of(json_, {"type": "string", "format": "byte"}),
            },
        }
    }
