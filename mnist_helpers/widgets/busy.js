// The browser's half of BusyNotice: says so when the kernel does not answer.

const PATIENCE = 1000; // milliseconds
const BUSY = "busy: answers when the running cell is done";
const SILENT = "no kernel answers: run this notebook's cells again, from the top to here";

export default () => {
  let reopened = false; // together with its notebook: the kernel that made it may be gone
  let heard = false;

  async function initialize({ model }) {
    reopened = model.get("asked") > 0;
    const ask = () => {
      model.set("asked", model.get("asked") + 1);
      model.save_changes();
    };
    model.on("change:answered", () => (heard = true));
    for (const reference of model.get("watched")) {
      const id = reference.slice("IPY_MODEL_".length);
      const watched = await model.widget_manager.get_model(id);
      watched.on("change:value", ask);
    }
    ask();
  }

  function render({ model, el }) {
    el.classList.add("mnist-busy-note");
    el.setAttribute("role", "status");
    let timer = null;
    const show = () => {
      const waiting = model.get("answered") < model.get("asked");
      clearTimeout(timer);
      if (!waiting) el.textContent = "";
      else if (!el.textContent) {
        timer = setTimeout(() => (el.textContent = heard || !reopened ? BUSY : SILENT), PATIENCE);
      }
    };
    model.on("change:asked change:answered", show);
    show();
    return () => {
      clearTimeout(timer);
      model.off("change:asked change:answered", show);
    };
  }

  return { initialize, render };
};
