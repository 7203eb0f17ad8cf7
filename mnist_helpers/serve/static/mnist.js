// From strokes to an MNIST image: what mnist_helpers/preprocess.py and strokes.py do, step by
// step and under the same names, for what is drawn here: no sheet on a desk, no ruled lines. A test
// compares the two, pixel by pixel.

const FRAME = 28; // an MNIST image's side
const BOX = 20; // the digit's larger dimension in it
const DETAIL = 4; // the digit is worked on at this many pixels for one of MNIST's
const STROKES = [1.5, 4]; // mean stroke widths between which most of MNIST's lie, in its pixels
const MIN_CONTRAST = 12; // of 255: fainter than this is an empty image
const COARSE_SIDE = 64; // at which the paper's brightness is measured
const UNEVEN = 6; // standard deviation of the paper's brightness above which it is leveled
const WINDOWS = [0.4, 0.25, 0.12]; // of the larger dimension: narrower is ink, wider a shadow

// An image is {width, height, data}; data holds its rows one after the other.
function newImage(width, height, data) {
  return { width, height, data: data || new Float32Array(width * height) };
}

// Round halves to the even neighbor, as Python does.
function round(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
}

// Return the image that the network sees, uint8 28×28, for a gray image; throw if it is empty.
function toMnist(gray) {
  const ink = inkOnBlack(gray);
  return center(fitIntoBox(evenStrokes(cutOut(ink, digitMask(ink)))));
}


// Draw strokes with a round pen on a square sheet, dark on white, three times finer than asked for
// and then reduced, so that the edges are smooth.
function drawStrokes(strokes, size = 280, pen = 18) {
  const finer = 3;
  const side = size * finer;
  const inked = new Uint8Array(side * side);
  for (const stroke of strokes) {
    const points = stroke.map(([x, y]) => [x * finer, y * finer]);
    points.forEach((point, at) => drawLine(inked, side, points[Math.max(0, at - 1)], point, pen));
  }
  const sheet = newImage(size, size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let count = 0;
      for (let dy = 0; dy < finer; dy++) {
        for (let dx = 0; dx < finer; dx++) count += inked[(y * finer + dy) * side + x * finer + dx];
      }
      sheet.data[y * size + x] = Math.round(255 * (1 - count / finer ** 2));
    }
  }
  return sheet;
}

// Ink all pixels within the pen's radius of the line from a to b.
function drawLine(inked, side, a, b, pen) {
  const radius = (3 * pen) / 2 + 0.3; // Pillow's pen is a little wider, too
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const span = (axis) => [
    Math.max(0, Math.floor(Math.min(a[axis], b[axis]) - radius)),
    Math.min(side - 1, Math.ceil(Math.max(a[axis], b[axis]) + radius)),
  ];
  const [left, right] = span(0);
  const [top, bottom] = span(1);
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = length ? ((x + 0.5 - a[0]) * dx + (y + 0.5 - a[1]) * dy) / length : 0;
      const t = Math.min(1, Math.max(0, along));
      const [ox, oy] = [x + 0.5 - a[0] - t * dx, y + 0.5 - a[1] - t * dy];
      if (ox * ox + oy * oy <= radius * radius) inked[y * side + x] = 1;
    }
  }
}


// Tell ink from paper: 0 where there is paper, up to 255 for ink, in whole numbers.
function inkOnBlack(gray) {
  const { width, height } = gray;
  let values = Float32Array.from(gray.data);
  const [least, most] = extremes(values);
  if (most - least < MIN_CONTRAST) throw new Error("the sheet is empty");
  const high = betweenDarkAndLight(values);
  let light = Uint8Array.from(values, (value) => (value > high ? 1 : 0));
  const border = [];
  for (let x = 0; x < width; x++) border.push(light[x], light[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) border.push(light[y * width], light[y * width + width - 1]);
  let share = mean(border) + mean(light);
  if (share > 1) {
    values = values.map((value) => 255 - value);
    light = light.map((value) => 1 - value);
    share = 2 - share;
  }
  const sheet = newImage(width, height, values);
  if (share < 0.7 && unevenness(sheet, light) <= UNEVEN) {
    const usual = percentile(values.filter((_, at) => !light[at]), 0.5);
    return above(values.map(() => usual), sheet);
  }
  if (Math.max(width, height) <= 64) return above(unevenPaper(sheet, WINDOWS[0]).data, sheet);
  return inkInUnevenLight(sheet);
}

// The standard deviation of the paper's brightness, on a coarse copy, without lines (which are
// narrow) and away from ink and its gray edge.
function unevenness(sheet, light) {
  const lines = coarse(sheet);
  const opened = slide(slide(lines, 2, 2, Math.min), 2, 2, Math.max).data;
  const inked = coarse({ ...sheet, data: Float32Array.from(light, (value) => 255 * value) });
  const near = slide(inked, 1, 1, Math.max).data;
  const paper = opened.filter((_, at) => near[at] === 0);
  if (!paper.length) return 0;
  const middle = mean(paper);
  return Math.sqrt(mean(Array.from(paper, (value) => (value - middle) ** 2)));
}

// A copy of at most COARSE_SIDE pixels in width and height, by area.
function coarse(image) {
  const scale = Math.max(1, Math.max(image.height, image.width) / COARSE_SIDE);
  const small = [image.width, image.height].map((side) => Math.max(3, round(side / scale)));
  return resize(image, small[0], small[1], boxFilter, true);
}

// How much lighter than the paper's level each pixel is.
function above(level, gray) {
  const data = gray.data.map((value, at) => Math.min(255, Math.max(0, round(value - level[at]))));
  return { ...gray, data };
}

// Tell ink from paper where shadows and lamps make the paper's brightness differ: try all windows,
// for light ink and for dark, and take the try whose digit has the sharpest outline.
function inkInUnevenLight(gray) {
  const inverse = (image) => ({ ...image, data: image.data.map((value) => 255 - value) });
  const small = reduced(gray, Math.ceil(Math.max(gray.width, gray.height) / 160));
  const edges = slopes(small);
  const sharp = percentile(edges, 0.99) / 2;
  let [best, step, paper, window] = [-Infinity, 0, gray, WINDOWS[0]];
  for (const [tried, full, trust] of [
    [small, gray, 1],
    [inverse(small), inverse(gray), 0.7],
  ]) {
    for (const share of WINDOWS) {
      const ink = above(unevenPaper(tried, share).data, tried);
      const [least, most] = extremes(ink.data);
      if (most - least < MIN_CONTRAST) continue;
      const mask = { ...ink, data: digitMask(ink) };
      const inner = slide(mask, 1, 1, Math.min).data;
      const outer = slide(mask, 1, 1, Math.max).data;
      const outline = edges.filter((_, at) => inner[at] < outer[at]);
      const score = trust * outline.reduce((sum, edge) => sum + edge - sharp, 0);
      if (!outline.length || score <= best) continue;
      [best, step, paper, window] = [score, mean(outline) / 4, full, share];
    }
  }
  if (step < MIN_CONTRAST) throw new Error("the sheet is empty");
  return above(unevenPaper(paper, window).data, paper);
}

// An image that is smaller by a whole number: each pixel is the mean of a square, rounded.
function reduced(image, times) {
  const small = newImage(Math.ceil(image.width / times), Math.ceil(image.height / times));
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      const values = [];
      for (let oy = y * times; oy < Math.min((y + 1) * times, image.height); oy++) {
        const row = oy * image.width;
        const right = Math.min((x + 1) * times, image.width);
        values.push(...image.data.slice(row + x * times, row + right));
      }
      small.data[y * small.width + x] = Math.floor(mean(values) + 0.5);
    }
  }
  return small;
}

// The nearest place within a line of `size` pixels: edges are repeated.
function clamped(at, size) {
  return at < 0 ? 0 : at >= size ? size - 1 : at;
}

// How steep the brightness is at each pixel, by Sobel's filters; edges are repeated.
function slopes(image) {
  const { width, height, data } = image;
  const at = (x, y) => data[clamped(y, height) * width + clamped(x, width)];
  return Float32Array.from(data, (_, index) => {
    const [x, y] = [index % width, Math.floor(index / width)];
    const across = (dy) => at(x + 1, y + dy) - at(x - 1, y + dy);
    const down = (dx) => at(x + dx, y + 1) - at(x + dx, y - 1);
    return Math.hypot(
      across(-1) + 2 * across(0) + across(1),
      down(-1) + 2 * down(0) + down(1),
    );
  });
}

// Estimate the paper's brightness at each pixel; the window is a share of the larger dimension.
function unevenPaper(values, share) {
  const levels = median3(coarse(values));
  const window = Math.max(3, round(share * Math.max(levels.width, levels.height)));
  const before = Math.floor(window / 2);
  const darkest = slide(levels, before, window - 1 - before, Math.min);
  const opened = slide(darkest, window - 1 - before, before, Math.max);
  return resize(gaussian(opened, window / 4), values.width, values.height, cubicFilter);
}

// The median of each pixel and its eight neighbors; the image is mirrored at its edges.
function median3(image) {
  const { width, height, data } = image;
  const result = newImage(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const near = [];
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          near.push(data[clamped(y + dy, height) * width + clamped(x + dx, width)]);
        }
      }
      result.data[y * width + x] = near.sort((a, b) => a - b)[4];
    }
  }
  return result;
}

// Apply f(image, x, y → position along a line) along the rows, then along the columns.
function alongBoth(image, f) {
  const { width, height } = image;
  const rows = newImage(width, height);
  for (let y = 0; y < height; y++) f(image.data, rows.data, y * width, 1, width);
  const both = newImage(width, height);
  for (let x = 0; x < width; x++) f(rows.data, both.data, x, width, height);
  return both;
}

// The minimum or maximum in a window around each pixel; edges are repeated.
function slide(image, before, after, choose) {
  return alongBoth(image, (from, to, start, step, count) => {
    for (let at = 0; at < count; at++) {
      let best = from[start + at * step];
      for (let near = Math.max(0, at - before); near <= Math.min(count - 1, at + after); near++) {
        best = choose(best, from[start + near * step]);
      }
      to[start + at * step] = best;
    }
  });
}

// Blur with a Gaussian of a standard deviation in pixels; edges are repeated.
function gaussian(image, sigma) {
  const radius = Math.floor(4 * sigma + 0.5);
  const weights = [];
  for (let at = -radius; at <= radius; at++) weights.push(Math.exp((-0.5 * at * at) / sigma ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return alongBoth(image, (from, to, start, step, count) => {
    for (let at = 0; at < count; at++) {
      let sum = 0;
      weights.forEach((weight, number) => {
        const near = clamped(at + number - radius, count);
        sum += (weight / total) * from[start + near * step];
      });
      to[start + at * step] = sum;
    }
  });
}


// Mark the digit's pixels: ink above Otsu's threshold, and fainter ink that touches it.
function digitMask(ink) {
  const { width, height, data } = ink;
  const [least, most] = extremes(data);
  if (most - least < MIN_CONTRAST) throw new Error("the sheet is empty");
  const high = betweenDarkAndLight(data);
  const faint = data.map((value) => (value > 0.6 * high ? 1 : 0));
  const { numbers, parts } = label(faint, width, height);
  data.forEach((value, at) => {
    if (value > high) parts[numbers[at] - 1].size += 1;
  });
  const largest = Math.max(...parts.map((part) => part.size));
  let kept = parts.filter(
    (part) => part.size >= 0.06 * largest && !liesAlongAnEdge(part, width, height),
  );
  const others = kept.filter((part) => !crosses(part, width, height));
  if (others.length < kept.length && spanned(others) < 0.75 * width) kept = others;
  if (!kept.length) kept = [parts.find((part) => part.size === largest)];
  const stay = new Set(kept.map((part) => part.number));
  return numbers.map((number) => (stay.has(number) ? 1 : 0));
}

// Number the connected parts from 1 in the order of their first pixels; all eight neighbors touch.
function label(mask, width, height) {
  const numbers = new Int32Array(mask.length);
  const parts = [];
  for (let first = 0; first < mask.length; first++) {
    if (!mask[first] || numbers[first]) continue;
    const part = { number: parts.length + 1, size: 0, left: width, right: 0, top: height, bottom: 0 };
    const waiting = [first];
    numbers[first] = part.number;
    while (waiting.length) {
      const at = waiting.pop();
      const [x, y] = [at % width, Math.floor(at / width)];
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x + 1);
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y + 1);
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const [nx, ny] = [x + dx, y + dy];
          const next = ny * width + nx;
          if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
          if (mask[next] && !numbers[next]) {
            numbers[next] = part.number;
            waiting.push(next);
          }
        }
      }
    }
    parts.push(part);
  }
  return { numbers, parts };
}

// Whether a part is a band along an edge of the image, like a shadow.
function liesAlongAnEdge(part, width, height) {
  const [wide, high] = [(part.right - part.left) / width, (part.bottom - part.top) / height];
  const band = (length, across) =>
    (length > 0.5 && across < 0.12) || (length > 0.95 && across < 0.25);
  return (
    (band(wide, high) && (part.top === 0 || part.bottom === height)) ||
    (band(high, wide) && (part.left === 0 || part.right === width))
  );
}

// Whether a part runs flat from the left edge to the right one, like a ruled line.
function crosses(part, width, height) {
  return part.bottom - part.top < 0.15 * height && part.right - part.left > 0.9 * width;
}

// How many columns parts span together.
function spanned(parts) {
  if (!parts.length) return 0;
  const right = Math.max(...parts.map((part) => part.right));
  return right - Math.min(...parts.map((part) => part.left));
}

// Cut the digit out with nothing around it, at a working size of 80 pixels, in [0, 1].
function cutOut(ink, mask) {
  const { width, height, data } = ink;
  const box = bounds(mask, width, height);
  const full = percentile(data.filter((_, at) => mask[at]), 0.75);
  const left = Math.max(box.left - 1, 0);
  const top = Math.max(box.top - 1, 0);
  const right = Math.min(box.right + 1, width);
  const bottom = Math.min(box.bottom + 1, height);
  const crop = newImage(right - left, bottom - top);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const value = near(mask, width, height, x, y) ? data[y * width + x] / full : 0;
      crop.data[(y - top) * crop.width + x - left] = Math.min(1, Math.max(0, value));
    }
  }
  const scale = (BOX * DETAIL) / Math.max(crop.width, crop.height);
  const size = [crop.width, crop.height].map((side) => Math.max(1, round(side * scale)));
  const resized = resize(crop, size[0], size[1], scale > 1 ? cubicFilter : boxFilter);
  resized.data = resized.data.map((value) => Math.min(1, Math.max(0, value)));
  return resized;
}

// Whether the pixel or one of its eight neighbors is marked.
function near(mask, width, height, x, y) {
  for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
    for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
      if (mask[ny * width + nx]) return true;
    }
  }
  return false;
}

// The smallest box around what is marked.
function bounds(mask, width, height) {
  const box = { left: width, right: 0, top: height, bottom: 0 };
  mask.forEach((marked, at) => {
    if (!marked) return;
    const [x, y] = [at % width, Math.floor(at / width)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
  });
  return box;
}


// Bring strokes wider or thinner than MNIST's to the nearest width that it has; others stay. Ink is
// measured against the darkest ink nearby.
function evenStrokes(crop) {
  const pad = 2 * DETAIL;
  const gray = newImage(crop.width + 2 * pad, crop.height + 2 * pad);
  for (let y = 0; y < crop.height; y++) {
    for (let x = 0; x < crop.width; x++) {
      gray.data[(y + pad) * gray.width + x + pad] = crop.data[y * crop.width + x];
    }
  }
  const full = slide(gray, 3 * DETAIL, 3 * DETAIL, Math.max).data;
  gray.data = gray.data.map((value, at) => value / Math.max(full[at], 0.5));
  const mask = { ...gray, data: gray.data.map((value) => (value >= 0.5 ? 1 : 0)) };
  const inside = distances(mask, 0);
  const width = strokeWidth(mask, inside);
  const [least, most] = STROKES.map((side) => side * DETAIL);
  const missing = (Math.min(Math.max(width, least), most) - width) / 2;
  if (missing === 0) return gray;
  if (missing > 0) {
    const outside = distances(mask, 1);
    return { ...mask, data: mask.data.map((_, at) => (outside[at] <= missing ? 1 : 0)) };
  }
  const spare = Math.min(-missing, width / 4);
  return { ...mask, data: mask.data.map((_, at) => (inside[at] > spare ? 1 : 0)) };
}

// The mean width of the strokes, along their middle lines.
function strokeWidth(mask, inside) {
  const middle = skeleton(mask);
  const widths = Array.from(inside).filter((_, at) => middle[at]);
  return widths.length ? 2 * mean(widths) : 0;
}

// Each pixel's distance to the nearest one of `value`, by Felzenszwalb and Huttenlocher's lower
// envelope of parabolas, first along the columns, then along the rows.
function distances(mask, value) {
  const { width, height, data } = mask;
  const far = 1e12;
  const squares = Float64Array.from(data, (one) => (one === value ? 0 : far));
  const line = (start, step, count) => {
    const from = Array.from({ length: count }, (_, at) => squares[start + at * step]);
    const places = [0];
    const limits = [-Infinity, Infinity];
    for (let q = 1; q < count; q++) {
      let at;
      for (;;) {
        const p = places[places.length - 1];
        at = (from[q] + q * q - (from[p] + p * p)) / (2 * q - 2 * p);
        if (at > limits[places.length - 1]) break;
        places.pop();
      }
      places.push(q);
      limits[places.length - 1] = at;
      limits[places.length] = Infinity;
    }
    for (let q = 0, k = 0; q < count; q++) {
      while (limits[k + 1] < q) k++;
      squares[start + q * step] = (q - places[k]) ** 2 + from[places[k]];
    }
  };
  for (let x = 0; x < width; x++) line(x, width, height);
  for (let y = 0; y < height; y++) line(y * width, 1, width);
  return squares.map(Math.sqrt);
}

// Thin what is marked to lines of one pixel (T. Y. Zhang and C. Y. Suen, "A fast parallel
// algorithm for thinning digital patterns", Communications of the ACM 27, 1984).
function skeleton(mask) {
  const { width, height } = mask;
  const data = Uint8Array.from(mask.data);
  const around = [-width, 1 - width, 1, width + 1, width, width - 1, -1, -width - 1];
  for (let changed = true; changed; ) {
    changed = false;
    for (const pass of [0, 1]) {
      const gone = [];
      for (let y = 1; y < height - 1; y++) {
        for (let x = 1; x < width - 1; x++) {
          const at = y * width + x;
          if (!data[at]) continue;
          const p = around.map((step) => data[at + step]);
          const count = p.reduce((sum, one) => sum + one, 0);
          const turns = p.filter((one, k) => !one && p[(k + 1) % 8]).length;
          if (count < 2 || count > 6 || turns !== 1) continue;
          const [north, east, south, west] = [p[0], p[2], p[4], p[6]];
          const removable =
            pass === 0
              ? !(north && east && south) && !(east && south && west)
              : !(north && east && west) && !(north && south && west);
          if (removable) gone.push(at);
        }
      }
      gone.forEach((at) => (data[at] = 0));
      changed = changed || gone.length > 0;
    }
  }
  return data;
}

// Scale the digit, aspect ratio kept, to fit 20×20 pixels with antialiased edges and
// a brightest one of 255.
function fitIntoBox(strokes) {
  const inked = strokes.data.map((value) => (value >= 0.25 ? 1 : 0));
  const box = bounds(inked, strokes.width, strokes.height);
  const sides = [box.right - box.left, box.bottom - box.top];
  const pixel = Math.max(...sides) / BOX;
  const cells = sides.map((side) => Math.ceil(Math.round((side / pixel) * 1e6) / 1e6));
  const gaps = sides.map((side, axis) => Math.max(0, round(cells[axis] * pixel) - side));
  const crop = newImage(sides[0] + gaps[0], sides[1] + gaps[1]);
  const [left, top] = gaps.map((gap) => Math.floor(gap / 2));
  for (let y = 0; y < sides[1]; y++) {
    for (let x = 0; x < sides[0]; x++) {
      const value = strokes.data[(y + box.top) * strokes.width + x + box.left];
      crop.data[(y + top) * crop.width + x + left] = round(Math.fround(255 * value));
    }
  }
  const fitted = resize(crop, cells[0], cells[1], boxFilter, true);
  const scale = 255 / extremes(fitted.data)[1];
  return { ...fitted, data: fitted.data.map((value) => round(value * scale)) };
}

// Place the digit in 28×28 so that its center of mass is in the middle.
function center(fitted) {
  let [total, sumX, sumY] = [0, 0, 0];
  fitted.data.forEach((value, at) => {
    total += value;
    sumX += value * (at % fitted.width);
    sumY += value * Math.floor(at / fitted.width);
  });
  const place = (sum, side) =>
    Math.min(FRAME - side, Math.max(0, round(FRAME / 2 - sum / total)));
  const [left, top] = [place(sumX, fitted.width), place(sumY, fitted.height)];
  const frame = new Uint8Array(FRAME * FRAME);
  fitted.data.forEach((value, at) => {
    const [x, y] = [at % fitted.width, Math.floor(at / fitted.width)];
    frame[(y + top) * FRAME + x + left] = value;
  });
  return frame;
}


function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function extremes(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

// The value below which a share of all values lies, interpolated.
function percentile(values, share) {
  const sorted = Float32Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return Math.fround(sorted[below] + (at - below) * (sorted[above] - sorted[below]));
}

// The brightness halfway between dark and light, of whole numbers from 0 to 255, by Otsu's method:
// where two groups of values are best separated.
function betweenDarkAndLight(values) {
  const counts = new Float64Array(256);
  for (const value of values) counts[value] += 1;
  const sums = (order) => {
    let [count, sum] = [0, 0];
    const found = [];
    for (const value of order) {
      count += counts[value];
      sum += counts[value] * value;
      found[value] = [count, count ? sum / count : 0];
    }
    return found;
  };
  const order = [...counts.keys()];
  const lower = sums(order);
  const upper = sums([...order].reverse());
  let [best, threshold] = [0, 0];
  for (let value = 0; value < 255; value++) {
    const [[count1, mean1], [count2, mean2]] = [lower[value], upper[value + 1]];
    const between = count1 * count2 * (mean1 - mean2) ** 2;
    if (between > best) [best, threshold] = [between, value];
  }
  return threshold + 0.5;
}

const boxFilter = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const cubicFilter = {
  support: 2,
  weight(x) {
    const at = Math.abs(x);
    if (at < 1) return (1.5 * at - 2.5) * at * at + 1;
    return at < 2 ? ((-0.5 * at + 2.5) * at - 4) * at + 2 : 0;
  },
};

// Resize as Pillow does: each new pixel is a weighted mean of the old ones under it. `whole` rounds
// to whole numbers from 0 to 255 after each direction, as for images of 8 bits.
function resize(image, width, height, filter, whole = false) {
  const wide = width === image.width ? image : stretch(image, width, filter, whole);
  if (height === image.height) return wide;
  return turned(stretch(turned(wide), height, filter, whole));
}

// Swap rows and columns.
function turned(image) {
  const result = newImage(image.height, image.width);
  image.data.forEach((value, at) => {
    const [x, y] = [at % image.width, Math.floor(at / image.width)];
    result.data[x * image.height + y] = value;
  });
  return result;
}

// Resize the rows.
function stretch(image, width, filter, whole) {
  const result = newImage(width, image.height);
  const scale = image.width / width;
  const wider = Math.max(scale, 1);
  for (let x = 0; x < width; x++) {
    const middle = (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - filter.support * wider + 0.5));
    const last = Math.min(image.width, Math.trunc(middle + filter.support * wider + 0.5));
    const weights = [];
    for (let at = first; at < last; at++) weights.push(filter.weight((at - middle + 0.5) / wider));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let y = 0; y < image.height; y++) {
      let sum = 0;
      weights.forEach((weight, number) => {
        sum += (weight / total) * image.data[y * image.width + first + number];
      });
      const value = whole ? Math.min(255, Math.max(0, Math.floor(sum + 0.5))) : sum;
      result.data[y * width + x] = value;
    }
  }
  return result;
}

if (typeof module !== "undefined") {
  module.exports = { toMnist, drawStrokes, newImage };
}
