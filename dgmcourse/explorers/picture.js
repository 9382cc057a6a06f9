// A picture that Python replaces at any moment. The next one is decoded before it takes the place of the last.

const NAVIGATION = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

// Notebooks take these keys for themselves before a widget sees them; within `find()` they belong to the control in
// focus, which the attribute says. All other keys (Shift+Enter, say) stay the notebook's.
function keepKeys(find, signal) {
  const claim = ({ key, target }) => {
    if (find()?.contains(target)) target.toggleAttribute("data-lm-suppress-shortcuts", NAVIGATION.includes(key));
  };
  window.addEventListener("keydown", claim, { capture: true, signal });
}

function render({ model, el }) {
  const alive = new AbortController();
  let wanted = 0; // counts what came from Python
  let shown = 0;
  let busy = false;
  let url = null;

  // However fast pictures come, each is shown whole, and the newest always in the end.
  async function show() {
    wanted++;
    if (busy) return;
    busy = true;
    while (shown !== wanted && !alive.signal.aborted) {
      shown = wanted;
      await replace();
    }
    busy = false;
  }

  async function replace() {
    const next = new Image();
    const source = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    next.src = source;
    next.alt = model.get("alt");
    next.className = "dgm-picture" + (model.get("sharp") ? " dgm-picture-sharp" : "");
    next.style.width = `${model.get("width")}px`;
    try {
      await next.decode();
    } catch {
      // an empty or broken picture: its alternative text is shown instead
    }
    el.replaceChildren(next);
    if (url) URL.revokeObjectURL(url);
    url = source;
  }

  const changes = "change:png change:alt change:width change:sharp";
  model.on(changes, show);
  keepKeys(() => el.closest(".dgm-explorer"), alive.signal);
  show();
  return () => {
    alive.abort();
    model.off(changes, show);
    if (url) URL.revokeObjectURL(url);
  };
}

export default { render };
