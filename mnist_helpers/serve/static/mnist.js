// From pen strokes to an MNIST image. mnist_helpers/preprocess.py finds a digit in any image and
// then gives it MNIST's form; here the strokes are known, so that their points are scaled, and the
// browser's canvas draws the 28×28 pixels. A test compares the predictions with Python's.
//
// MNIST (constants.js, which tools/build_page.py writes) has the sizes: of an image (frame) and of the
// digit in it (box), the usual widths of strokes (strokes), all in MNIST's pixels, and which share of
// the largest part's ink a speck has less than (speck). The sheet and its pen stand in pad.js.

// Return the image that the network sees, uint8 28×28, for strokes of points [x, y].
function toMnist(strokes, pen = PEN) {
  const digit = withoutSpecks(strokes.filter(onSheet), pen);
  if (!digit.length) throw new Error("the drawing is empty");
  return center(draw(digit, usualWidth(digit, pen)));
}

function onSheet(stroke) {
  return stroke.some((point) => point.every((at) => at >= 0 && at <= SHEET));
}

// Leave out strokes that are far smaller than the largest one and touch no other.
function withoutSpecks(strokes, pen) {
  const ink = strokes.map((stroke) => pen * length(stroke) + (Math.PI * pen ** 2) / 4);
  const smallest = MNIST.speck * Math.max(...ink);
  const touches = (stroke) =>
    strokes.some((other) => other !== stroke && distance(stroke, other) <= pen);
  return strokes.filter((stroke, at) => ink[at] >= smallest || touches(stroke));
}

function length(stroke) {
  return stroke.reduce(
    (sum, [x, y], at) => sum + (at ? Math.hypot(x - stroke[at - 1][0], y - stroke[at - 1][1]) : 0),
    0,
  );
}

// The smallest distance between points of two strokes.
function distance(stroke, other) {
  return Math.min(
    ...stroke.map(([x, y]) => Math.min(...other.map(([u, v]) => Math.hypot(x - u, y - v)))),
  );
}

// What a pen draws on the sheet: where it begins and how large it is, in the sheet's units, and how
// many of them become a pixel, so that the longer of width and height fills the box.
function extent(strokes, pen) {
  const [across, down] = [0, 1].map((axis) => {
    const at = strokes.flat().map((point) => point[axis]);
    const start = Math.max(Math.min(...at) - pen / 2, 0);
    return { start, size: Math.min(Math.max(...at) + pen / 2, SHEET) - start };
  });
  return { across, down, pixel: Math.max(across.size, down.size) / MNIST.box };
}

// The pen's width, if strokes of that width are usual in MNIST, and otherwise the nearest that is.
function usualWidth(strokes, pen) {
  const { pixel } = extent(strokes, pen);
  const [thinnest, widest] = MNIST.strokes.map((width) => width * pixel);
  return Math.min(Math.max(pen, thinnest), widest);
}

// Draw strokes, scaled to the box, in the upper left corner of an image; the brightest pixel comes to
// 255. The shorter of width and height is filled up to whole pixels, on both sides alike.
function draw(strokes, pen) {
  const { across, down, pixel } = extent(strokes, pen);
  const margin = (size) => (Math.ceil(size / pixel - 1e-6) - size / pixel) / 2;
  const context = new OffscreenCanvas(MNIST.frame, MNIST.frame).getContext("2d");
  context.translate(margin(across.size), margin(down.size));
  context.scale(1 / pixel, 1 / pixel);
  context.translate(-across.start, -down.start);
  context.beginPath();
  context.rect(across.start, down.start, across.size, down.size);
  context.clip(); // what lies beyond the sheet
  context.lineWidth = pen;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  for (const stroke of strokes) {
    context.moveTo(stroke[0][0] - 0.01, stroke[0][1]); // a canvas draws no line of length zero
    for (const point of stroke) context.lineTo(...point);
  }
  context.stroke();
  const { data } = context.getImageData(0, 0, MNIST.frame, MNIST.frame);
  const ink = Uint8Array.from({ length: MNIST.frame ** 2 }, (_, at) => data[4 * at + 3]);
  const brightest = Math.max(...ink);
  return ink.map((value) => Math.round((255 * value) / brightest));
}

// Move the digit by whole pixels, so that its center of mass comes to the middle of the image.
function center(image) {
  const { frame } = MNIST;
  const column = (at) => at % frame;
  const row = (at) => Math.floor(at / frame);
  const total = image.reduce((sum, value) => sum + value, 0);
  const [right, down] = [column, row].map((position) => {
    const mass = image.reduce((sum, value, at) => sum + value * position(at), 0) / total;
    const last = image.reduce((most, value, at) => (value ? Math.max(most, position(at)) : most), 0);
    return Math.min(Math.round(frame / 2 - mass), frame - 1 - last);
  });
  const moved = new Uint8Array(frame ** 2);
  image.forEach((value, at) => {
    if (value) moved[at + right + down * frame] = value;
  });
  return moved;
}
