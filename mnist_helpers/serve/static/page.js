// The static page: a drawing is preprocessed and predicted here, in the browser, without a server.
// RUNTIME (runtime.js) is ONNX Runtime Web's WebAssembly, NETWORK (network.js) the network.

const CONFIDENCE_THRESHOLD = 0.9;

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Start the network; everything it needs is here already, so that the page works from a folder.
async function startNetwork() {
  const code = new Blob([RUNTIME.code], { type: "text/javascript" });
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(code) };
  ort.env.wasm.wasmBinary = bytesOf(RUNTIME.wasm).buffer;
  ort.env.wasm.numThreads = 1;
  return ort.InferenceSession.create(bytesOf(NETWORK.onnx));
}

// Return the ten calibrated probabilities for an MNIST image.
async function probabilities(session, image) {
  const images = new ort.Tensor("uint8", image, [1, 1, FRAME, FRAME]);
  const { logits } = await session.run({ images });
  const powers = Array.from(logits.data, (logit) => logit / NETWORK.temperature);
  const most = Math.max(...powers);
  const weights = powers.map((power) => Math.exp(power - most));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function say(words) {
  const told = document.createElement("p");
  told.className = "confidence";
  told.textContent = words;
  document.getElementById("answer").replaceChildren(told);
  document.getElementById("why").hidden = true;
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function show(probs, image) {
  const digit = probs.indexOf(Math.max(...probs));
  const doubt = probs[digit] >= CONFIDENCE_THRESHOLD ? "confident" : "not confident: is it one digit, and a whole one?";
  const bars = probs
    .map(
      (share, number) =>
        `<tr><th scope="row">${number}</th><td><div class="bar" style="width:${100 * share}%">` +
        `</div></td><td>${percent(share)}</td></tr>`,
    )
    .join("");
  document.getElementById("answer").innerHTML =
    `<div class="digit">${digit}</div><p class="confidence">${percent(probs[digit])}, ${doubt}</p>` +
    `<table class="bars"><caption>Probability of each digit</caption>${bars}</table>`;
  const seen = document.getElementById("seen").getContext("2d");
  const pixels = seen.createImageData(FRAME, FRAME);
  image.forEach((value, at) => pixels.data.set([value, value, value, 255], 4 * at));
  seen.putImageData(pixels, 0, 0);
  document.getElementById("why").hidden = false;
}

async function main() {
  let session = null;
  let drawn = [];
  let busy = false;
  let waiting = false;

  // Predict the newest drawing; what is drawn meanwhile is predicted next.
  async function predict() {
    waiting = true;
    if (busy || !session) return;
    busy = true;
    while (waiting) {
      waiting = false;
      await new Promise(requestAnimationFrame);
      try {
        if (!drawn.length) {
          say("Draw a digit: the network predicts as you draw.");
          continue;
        }
        const image = toMnist(drawStrokes(drawn));
        show(await probabilities(session, image), image);
      } catch (error) {
        say(String(error.message || error));
      }
    }
    busy = false;
  }

  const pad = new Pad(document.querySelector(".pad"), (strokes) => {
    drawn = strokes;
    predict();
  });
  document.querySelector(".pad-undo").addEventListener("click", () => pad.undo());
  document.querySelector(".pad-clear").addEventListener("click", () => pad.clear());
  document.getElementById("name").textContent = NETWORK.name;
  try {
    session = await startNetwork();
  } catch (error) {
    say(`The network does not run in this browser: ${error.message || error}`);
    return;
  }
  predict();
}

main();
