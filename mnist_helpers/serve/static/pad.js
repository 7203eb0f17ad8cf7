// A sheet to draw on with mouse, pen, finger or keyboard. It keeps the strokes as points, in units
// of a sheet of 280×280, as Python's DigitCanvas does. One for numbers is wider, by its data-aspect.

const SHEET = 280; // units a side
const PEN = 18; // the pen's width in units
const STEP = 7; // units that an arrow key moves the pen

class Pad {
  // `canvas` is drawn on; `changed` is called with the strokes at every change.
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.size = [SHEET * Number(canvas.dataset.aspect || 1), SHEET];
    this.strokes = [];
    this.pointer = null; // the one that draws; a second finger is ignored
    this.cursor = null; // of the keyboard, shown from the first arrow key on
    this.writing = false;
    canvas.style.touchAction = "none"; // a finger draws, and does not scroll
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.up(event));
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.paint()).observe(canvas);
    this.paint();
  }

  undo() {
    this.strokes.pop();
    this.told();
  }

  clear() {
    this.strokes = [];
    this.cursor = null;
    this.told();
  }

  told() {
    this.paint();
    this.changed(this.strokes);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.size[0];
    const y = ((event.clientY - box.top) / box.height) * this.size[1];
    return [Math.round(10 * x) / 10, Math.round(10 * y) / 10];
  }

  down(event) {
    if (this.pointer !== null || event.button > 0) return;
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor = null;
    this.strokes.push([this.place(event)]);
    this.told();
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    const stroke = this.strokes[this.strokes.length - 1];
    for (const one of passed.length ? passed : [event]) stroke.push(this.place(one));
    this.told();
  }

  up(event) {
    if (event.pointerId === this.pointer) this.pointer = null;
  }

  // Arrow keys move the pen; the space bar sets it down and lifts it; Backspace undoes.
  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const steps = moves[event.key];
    if (steps) {
      const from = this.cursor || this.size.map((side) => side / 2);
      const moved = from.map((at, axis) => at + STEP * steps[axis]);
      this.cursor = moved.map((at, axis) => Math.min(this.size[axis], Math.max(0, at)));
      if (this.writing) this.strokes[this.strokes.length - 1].push(this.cursor);
    } else if (event.key === " ") {
      this.cursor = this.cursor || this.size.map((side) => side / 2);
      this.writing = !this.writing;
      if (this.writing) this.strokes.push([this.cursor]);
    } else if (event.key === "Backspace" || event.key === "Delete") {
      this.writing = false;
      this.strokes.pop();
    } else {
      return;
    }
    event.preventDefault();
    this.told();
  }

  // The sheet is white in the dark as well: it is paper.
  paint() {
    const finer = (this.canvas.clientWidth * (window.devicePixelRatio || 1)) / this.size[0];
    const [width, height] = this.size.map((side) => Math.max(1, Math.round(finer * side)));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(width / this.size[0], 0, 0, height / this.size[1], 0, 0);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, ...this.size);
    pen.strokeStyle = pen.fillStyle = "#101030";
    pen.lineWidth = PEN;
    pen.lineCap = pen.lineJoin = "round";
    for (const stroke of this.strokes) {
      pen.beginPath();
      pen.moveTo(...stroke[0]);
      for (const point of stroke) pen.lineTo(...point);
      pen.stroke();
    }
    if (this.cursor) {
      pen.beginPath();
      pen.arc(...this.cursor, PEN / 2, 0, 2 * Math.PI);
      pen.lineWidth = 2;
      pen.strokeStyle = this.writing ? "#b91c1c" : "#2563eb";
      pen.stroke();
    }
  }
}
