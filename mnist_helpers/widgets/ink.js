// The browser's half of DigitCanvas: a sheet over the ipycanvas one, and the buttons below it.
//
// Ink, undo and clear happen here at once; the kernel gets the whole drawing, `value`, and reads it
// when it can. A drawing to save travels as a message of its own, so none is lost on the way.

const INK = "#101030";
const PAPER = "#ffffff";
const BOX = "#c2410c"; // around a digit of a number
const EMPTY = { strokes: [], pens: [], by_code: false };

function paint(context, width, height, { strokes, pens }, boxes) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, width, height);
  context.fillStyle = context.strokeStyle = INK;
  context.lineCap = context.lineJoin = "round";
  strokes.forEach((points, number) => {
    context.lineWidth = pens[number];
    context.beginPath();
    if (points.length === 1) {
      context.arc(...points[0], pens[number] / 2, 0, 2 * Math.PI);
      context.fill();
    } else {
      points.forEach((point) => context.lineTo(...point));
      context.stroke();
    }
  });
  context.fillStyle = context.strokeStyle = BOX;
  context.lineWidth = 2;
  context.font = "bold 18px sans-serif";
  boxes.forEach(([left, top, right, bottom, text]) => {
    context.strokeRect(left, top, right - left, bottom - top);
    context.fillText(text, left, top - 5);
  });
}

function sheet(model) {
  const [width, height] = [model.get("width"), model.get("height")];
  const canvas = document.createElement("canvas");
  canvas.className = "mnist-digit-ink";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `a sheet to draw a ${width > height ? "number" : "digit"} on`);
  const finer = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * finer);
  canvas.height = Math.round(height * finer);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(canvas.width / width, canvas.height / height);
  const show = () => {
    const value = { ...EMPTY, ...model.get("value") };
    paint(context, width, height, value, value.strokes.length ? model.get("boxes") : []);
  };
  return { canvas, show };
}

function draw(model, canvas) {
  let pointer = null; // the one that draws; a second finger is ignored
  const change = (value) => {
    model.set("value", value);
    model.save_changes();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    return at.map((offset) => Math.round(10 * offset) / 10);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button > 0) return;
    event.preventDefault();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    const before = { ...EMPTY, ...model.get("value") };
    const { strokes, pens } = before.by_code ? EMPTY : before;
    change({
      strokes: [...strokes, [place(event)]],
      pens: [...pens, model.get("pen")],
      by_code: false,
    });
  });
  canvas.addEventListener("pointermove", (event) => {
    const { strokes, pens } = { ...EMPTY, ...model.get("value") };
    if (event.pointerId !== pointer || !strokes.length) return;
    const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    const points = (passed.length ? passed : [event]).map(place);
    const longer = [...strokes.slice(0, -1), [...strokes[strokes.length - 1], ...points]];
    change({ strokes: longer, pens, by_code: false });
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });
  }
}

function button(text, title, act) {
  const made = document.createElement("button");
  made.className = "jupyter-widgets jupyter-button widget-button";
  made.type = "button";
  made.textContent = text;
  made.title = title;
  made.addEventListener("click", act);
  return made;
}

function tools(model) {
  const row = document.createElement("div");
  row.className = "mnist-digit-tools";
  const change = (edit) => {
    model.set("value", edit({ ...EMPTY, ...model.get("value") }));
    model.save_changes();
  };
  const undo = ({ strokes, pens, by_code }) => ({
    strokes: strokes.slice(0, -1),
    pens: pens.slice(0, -1),
    by_code,
  });
  row.append(
    button("Undo", "Take the last stroke back", () => change(undo)),
    button("Clear", "Wipe the canvas", () => change(() => EMPTY)),
  );
  return row;
}

// "Save as 0 … 9": one click saves the drawing, clears the sheet, and counts.
function collection(model) {
  const rows = document.createElement("div");
  rows.className = "mnist-digit-collection";
  const caption = document.createElement("div");
  const row = document.createElement("div");
  const said = document.createElement("div");
  said.setAttribute("role", "status");
  caption.textContent = "Save as";
  let known = model.get("counts");
  let waiting = 0;
  const buttons = known.map((_count, label) =>
    button("", "", () => {
      const { strokes, pens } = { ...EMPTY, ...model.get("value") };
      if (!strokes.length) {
        said.textContent = "draw a digit before saving it";
        return;
      }
      waiting += 1;
      model.send({ save: label, strokes, pens });
      model.set("value", EMPTY);
      model.save_changes();
      show();
    }),
  );
  const total = (counts) => counts.reduce((sum, count) => sum + count, 0);
  const show = () => {
    known.forEach((count, label) => {
      buttons[label].textContent = count ? `${label} (${count})` : `${label}`;
      buttons[label].title = `Save the drawing as a ${label}, and clear`;
    });
    const later = waiting ? `, ${waiting} more as soon as the kernel answers` : "";
    said.textContent = `${total(known)} saved${later}`;
  };
  model.on("change:counts", () => {
    const counts = model.get("counts");
    waiting = Math.max(0, waiting - (total(counts) - total(known)));
    known = counts;
    show();
  });
  model.on("msg:custom", (message) => {
    if (message.failed) waiting = Math.max(0, waiting - 1);
    show();
  });
  row.append(...buttons);
  rows.append(caption, row, said);
  show();
  return rows;
}

function render({ model, el }) {
  const { canvas, show } = sheet(model);
  const column = document.createElement("div");
  column.style.width = canvas.style.width;
  canvas.style.marginTop = `-${model.get("height")}px`; // over the sheet that Python draws on
  draw(model, canvas);
  column.append(canvas, tools(model));
  if (model.get("counts").length) column.append(collection(model));
  el.append(column);
  model.on("change:value change:boxes", show);
  show();
  return () => model.off("change:value change:boxes", show);
}

export default { render };
