"""The canvas without a browser: drawn from code, and by the events that a browser would send."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_helpers.prediction import MNISTPredictor, Prediction
from mnist_helpers.preprocess import BlankImageError
from mnist_helpers.strokes import pen_strokes
from mnist_helpers.widgets.canvas import DigitCanvas


@pytest.fixture
def canvas(predictor: MNISTPredictor) -> DigitCanvas:
    return DigitCanvas(predictor)


class Counting:
    """A predictor that counts how often it is asked."""

    def __init__(self) -> None:
        self.images: list[Image.Image] = []

    def predict(self, image: Image.Image) -> Prediction:
        self.images.append(image)
        return Prediction(7, 1.0, np.eye(10, dtype=np.float32)[7], np.zeros((28, 28), np.uint8))


def send(canvas: DigitCanvas, event: str, *points: tuple[float, float]) -> None:
    """Let the browser's half of the canvas send an event, as ipycanvas does."""
    if event.startswith("touch"):
        content = {"touches": [{"x": x, "y": y} for x, y in points]}
    else:
        content = {"x": points[0][0], "y": points[0][1]}
    canvas._canvas._handle_frontend_event(None, {"event": event, **content}, [])


@pytest.mark.parametrize("digit", range(10))
def test_drawn_digits_are_read(canvas: DigitCanvas, digit: int) -> None:
    canvas.draw(pen_strokes(digit, "round"))
    assert canvas.prediction.digit == digit
    assert canvas.image.shape == (28, 28)
    assert f"<b>{digit}</b>" in canvas._answer.value


def test_an_empty_canvas_has_no_prediction(canvas: DigitCanvas) -> None:
    assert canvas.prediction is None
    assert canvas.image is None
    assert canvas.strokes == []
    canvas.draw(pen_strokes(3))
    canvas.clear()
    assert canvas.prediction is None
    assert "Draw a digit" in canvas._answer.value


def test_drawing_replaces_and_adds(canvas: DigitCanvas) -> None:
    one, seven = pen_strokes(1), pen_strokes(7)
    canvas.draw(one)
    canvas.draw(seven)
    assert len(canvas.strokes) == len(seven)
    canvas.draw(one, add=True)
    assert len(canvas.strokes) == len(seven) + len(one)
    canvas.undo()
    assert len(canvas.strokes) == len(seven)
    assert canvas.prediction.digit == 7


def test_undo_on_an_empty_canvas_does_nothing(canvas: DigitCanvas) -> None:
    canvas.undo()
    assert canvas.prediction is None


def test_the_same_strokes_give_the_same_image(canvas: DigitCanvas) -> None:
    canvas.draw(pen_strokes(5, variation=1))
    again = DigitCanvas(canvas.predictor)
    again.draw(canvas.strokes)
    np.testing.assert_array_equal(canvas.image, again.image)


@pytest.mark.parametrize("stroke", [[], [1, 2], [[1, 2, 3]], [[np.nan, 1]]])
def test_what_is_no_stroke_is_refused_and_nothing_is_lost(
    canvas: DigitCanvas, stroke: list
) -> None:
    canvas.draw(pen_strokes(4))
    before = len(canvas.strokes)
    with pytest.raises(ValueError, match="stroke"):
        canvas.draw([stroke])
    assert len(canvas.strokes) == before


def test_save_keeps_image_and_strokes(canvas: DigitCanvas, tmp_path: Path) -> None:
    canvas.draw(pen_strokes(6))
    path = canvas.save(6, tmp_path)
    assert path.parent == tmp_path / "6"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(canvas.drawing))
    saved = json.loads(path.with_suffix(".json").read_text())
    assert saved["label"] == 6
    np.testing.assert_allclose(saved["strokes"][0], canvas.strokes[0])
    assert canvas.save(6, tmp_path) != path
    assert not [name for name in tmp_path.rglob(".*")]


def test_save_refuses_wrong_labels_and_an_empty_canvas(canvas: DigitCanvas, tmp_path: Path) -> None:
    with pytest.raises(BlankImageError, match="empty"):
        canvas.save(3, tmp_path)
    canvas.draw(pen_strokes(3))
    for label in (10, -1, 3.0, True, "3"):
        with pytest.raises(ValueError, match="0 to 9"):
            canvas.save(label, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_stroke_by_mouse_is_drawn_and_read(canvas: DigitCanvas) -> None:
    for stroke in pen_strokes(7, "round"):
        send(canvas, "mouse_down", tuple(stroke[0]))
        for point in stroke[1:]:
            send(canvas, "mouse_move", tuple(point))
        send(canvas, "mouse_up", tuple(stroke[-1]))
    assert canvas.prediction.digit == 7
    drawn = DigitCanvas(canvas.predictor)
    drawn.draw(pen_strokes(7, "round"))
    np.testing.assert_array_equal(drawn.image, canvas.image)


def test_moving_without_a_button_draws_nothing(canvas: DigitCanvas) -> None:
    send(canvas, "mouse_move", (50, 50))
    assert canvas.strokes == []


@pytest.mark.parametrize("end", ["mouse_up", "mouse_out"])
def test_a_stroke_ends(canvas: DigitCanvas, end: str) -> None:
    send(canvas, "mouse_down", (50, 50))
    send(canvas, "mouse_move", (60, 200))
    send(canvas, end, (60, 280))
    send(canvas, "mouse_move", (200, 200))
    (stroke,) = canvas.strokes
    np.testing.assert_array_equal(stroke, [(50, 50), (60, 200)])


@pytest.mark.parametrize("end", ["touch_end", "touch_cancel"])
def test_a_stroke_by_finger(canvas: DigitCanvas, end: str) -> None:
    send(canvas, "touch_start", (50, 50))
    send(canvas, "touch_move", (60, 200))
    send(canvas, end)
    send(canvas, "touch_move", (200, 200))
    (stroke,) = canvas.strokes
    np.testing.assert_array_equal(stroke, [(50, 50), (60, 200)])


def test_a_second_finger_does_not_draw(canvas: DigitCanvas) -> None:
    send(canvas, "touch_start", (50, 50))
    send(canvas, "touch_start", (50, 50), (150, 150))
    send(canvas, "touch_move", (60, 60), (160, 160))
    assert len(canvas.strokes) == 1


def test_lifting_one_of_two_fingers_ends_the_stroke(canvas: DigitCanvas) -> None:
    send(canvas, "touch_start", (50, 50))
    send(canvas, "touch_start", (50, 50), (250, 250))
    send(canvas, "touch_end", (250, 250))
    send(canvas, "touch_move", (250, 240))
    np.testing.assert_array_equal(canvas.strokes[0], [(50, 50)])


def test_clearing_while_drawing_ends_the_stroke(canvas: DigitCanvas) -> None:
    send(canvas, "mouse_down", (50, 50))
    canvas.clear()
    send(canvas, "mouse_move", (60, 60))
    assert canvas.strokes == []


def test_many_events_at_once_are_not_read_one_by_one() -> None:
    predictor = Counting()
    canvas = DigitCanvas(predictor)
    send(canvas, "mouse_down", (10, 10))
    for step in range(300):
        send(canvas, "mouse_move", (10 + step / 2, 100))
    send(canvas, "mouse_up", (160, 100))
    assert len(canvas.strokes[0]) == 301
    assert 1 <= len(predictor.images) < 150
    last = np.asarray(predictor.images[-1])
    np.testing.assert_array_equal(last, np.asarray(canvas.drawing))  # the newest state


def test_a_slow_predictor_is_not_asked_for_each_queued_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("mnist_helpers.widgets.canvas.time.monotonic", lambda: clock[0])

    class Slow(Counting):
        def predict(self, image: Image.Image) -> Prediction:
            clock[0] += 0.5
            return super().predict(image)

    predictor = Slow()
    canvas = DigitCanvas(predictor)
    send(canvas, "mouse_down", (10, 10))
    for step in range(1000):
        clock[0] += 0.001
        send(canvas, "mouse_move", (10 + step / 5, 100))
    assert 1 <= len(predictor.images) < 20


def test_an_error_leaves_no_earlier_answer() -> None:
    predictor = Counting()
    canvas = DigitCanvas(predictor)
    canvas.draw(pen_strokes(7))

    def fail(image: Image.Image) -> Prediction:
        raise RuntimeError("gone")

    predictor.predict = fail
    send(canvas, "mouse_down", (10, 10))
    send(canvas, "mouse_up", (10, 10))
    assert canvas.prediction is None
    assert "<b>7" not in canvas._answer.value
    assert "gone" in canvas._message.value


def test_an_error_is_shown_in_the_widget() -> None:
    class Broken:
        def predict(self, image: Image.Image) -> Prediction:
            raise RuntimeError("the network is <gone>")

    canvas = DigitCanvas(Broken())
    send(canvas, "mouse_down", (10, 10))
    send(canvas, "mouse_up", (10, 10))
    assert "RuntimeError: the network is &lt;gone&gt;" in canvas._message.value


def test_an_image_can_be_uploaded_instead(canvas: DigitCanvas, tmp_path: Path) -> None:
    other = DigitCanvas(canvas.predictor)
    other.draw(pen_strokes(8))
    content = (other.save(8, tmp_path)).read_bytes()
    for files in (({"content": memoryview(content)},), {"eight.png": {"content": content}}):
        canvas.clear()  # ipywidgets 8 gives a tuple, ipywidgets 7 (on Colab) a dict
        canvas._on_upload({"new": files})
        assert canvas.prediction.digit == 8
    canvas._on_upload({"new": ({"content": b"no image"},)})
    assert "InvalidImageError" in canvas._message.value


def on_sheet(canvas: DigitCanvas, strokes: list, by_code: bool = False) -> None:
    """Let the sheet in the browser send a drawing, as ipywidgets hands it over."""
    points = [[[float(x), float(y)] for x, y in stroke] for stroke in strokes]
    value = {"strokes": points, "pens": [18] * len(points), "by_code": by_code}
    canvas._ink.set_state({"value": value})


def press_save(canvas: DigitCanvas, label: int, strokes: list) -> None:
    """Let the sheet send what "Save as" sends."""
    points = [[[float(x), float(y)] for x, y in stroke] for stroke in strokes]
    message = {"save": label, "strokes": points, "pens": [18] * len(points)}
    canvas._ink._handle_custom_msg(message, [])


def test_a_drawing_on_the_sheet_is_predicted(canvas: DigitCanvas) -> None:
    on_sheet(canvas, pen_strokes(7, "round"))
    assert canvas.prediction.digit == 7
    drawn = DigitCanvas(canvas.predictor)
    drawn.draw(pen_strokes(7, "round"))
    np.testing.assert_array_equal(drawn.image, canvas.image)
    on_sheet(canvas, [])
    assert canvas.prediction is None and canvas.strokes == []


def test_the_sheet_shows_what_code_draws(canvas: DigitCanvas) -> None:
    canvas.draw(pen_strokes(4))
    value = canvas._ink.value
    assert value["by_code"] and len(value["strokes"]) == len(value["pens"]) == len(pen_strokes(4))
    np.testing.assert_allclose(value["strokes"][0], canvas.strokes[0])
    canvas.undo()
    assert len(canvas._ink.value["strokes"]) == len(pen_strokes(4)) - 1


def test_what_code_drew_gives_way_to_a_person(canvas: DigitCanvas) -> None:
    canvas.draw(pen_strokes(4))
    send(canvas, "mouse_down", (50, 50))
    send(canvas, "mouse_up", (50, 50))
    assert len(canvas.strokes) == 1
    send(canvas, "mouse_down", (60, 60))  # the next stroke stays beside it
    assert len(canvas.strokes) == 2


def test_a_broken_drawing_of_the_sheet_changes_nothing(canvas: DigitCanvas) -> None:
    canvas.draw(pen_strokes(4))
    before = canvas.strokes
    canvas._ink.set_state({"value": {"strokes": [[1, 2]], "pens": [18], "by_code": False}})
    assert "stroke" in canvas._message.value
    assert len(canvas.strokes) == len(before)


def test_one_click_saves_and_counts(predictor: MNISTPredictor, tmp_path: Path) -> None:
    canvas = DigitCanvas(predictor, collect=tmp_path)
    assert canvas._ink.counts == [0] * 10
    press_save(canvas, 3, pen_strokes(3))
    press_save(canvas, 3, pen_strokes(3, "round"))
    press_save(canvas, 8, pen_strokes(8))
    assert canvas._ink.counts == [0, 0, 0, 2, 0, 0, 0, 0, 1, 0]
    (path,) = tmp_path.glob("8/*.png")
    assert predictor.predict(path).digit == 8
    assert DigitCanvas(predictor, collect=tmp_path)._ink.counts[3] == 2, "a new canvas continues"
    assert DigitCanvas(predictor)._ink.counts == [], "no buttons unless they are asked for"


def test_a_drawing_that_cannot_be_saved_is_said_to_be_so(
    predictor: MNISTPredictor, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    canvas = DigitCanvas(predictor, collect=tmp_path / "file")
    sent = []
    canvas._ink.send = lambda content, buffers=None: sent.append(content)
    press_save(canvas, 3, pen_strokes(3))
    assert sent == [{"failed": 3}]
    assert "not saved" in canvas._message.value


def test_the_note_repeats_what_the_browser_asks(canvas: DigitCanvas) -> None:
    from mnist_helpers.widgets.browser import BusyNotice

    note = BusyNotice(watched=[canvas._ink])
    note.set_state({"asked": 5})
    assert note.answered == 5


def two_digits() -> list[np.ndarray]:
    """The strokes of 42 on a canvas for numbers."""
    return [
        stroke + np.array([place, 0])
        for place, digit in ((20, 4), (260, 2))
        for stroke in pen_strokes(digit, "round")
    ]


def test_a_number_is_predicted_and_its_boxes_are_on_the_canvas(predictor: MNISTPredictor) -> None:
    canvas = DigitCanvas(predictor, numbers=True)
    assert "Draw a number" in canvas._answer.value
    canvas.draw(two_digits())
    found = predictor.predict_number(canvas.drawing)
    assert canvas.prediction.text == found.text == "42"
    assert [tuple(box[:4]) for box in canvas._ink.boxes] == found.boxes
    assert [box[4] for box in canvas._ink.boxes] == ["4", "2"]
    assert canvas.drawing.size == (canvas.width, canvas.size) == (700, 280)
    assert canvas.image.shape == (28, 56)
    assert "<b>42</b>" in canvas._answer.value and canvas._bars.value.count("<tr>") == 2
    assert "predicted as 42" in canvas.alt_text()
    with Image.open(io.BytesIO(canvas.to_png())) as fallback:
        colored = np.ptp(np.asarray(fallback.convert("RGB")), axis=2) > 50
    assert colored[found.boxes[0][1], found.boxes[0][0]], "a corner of a box"
    canvas.clear()
    assert canvas.prediction is None and canvas._ink.boxes == []


def test_what_numbers_have_no_label_for_is_refused(predictor: MNISTPredictor) -> None:
    with pytest.raises(ValueError, match="cannot be collected"):
        DigitCanvas(predictor, collect=True, numbers=True)
    canvas = DigitCanvas(predictor, numbers=True)
    canvas.draw(two_digits())
    with pytest.raises(ValueError, match="no label"):
        canvas.save(4)


def test_a_digit_has_no_box_on_the_canvas(canvas: DigitCanvas) -> None:
    canvas.draw(pen_strokes(3))
    assert canvas._ink.boxes == [] and canvas._ink.width == canvas._ink.height == 280
