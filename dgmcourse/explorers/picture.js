// A picture that Python replaces at any moment. The next one is decoded before it takes the place of the last.
// keepKeys is in keys.js; `script` in base.py joins them.

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
    next.className = "dgm-picture";
    for (const name of ["sharp", "lined"]) next.classList.toggle(`dgm-picture-${name}`, model.get(name));
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

  const changes = "change:png change:alt change:width change:sharp change:lined";
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
