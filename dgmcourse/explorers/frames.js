// Shows the picture that Python replaces at any moment. The next one is decoded before it takes the place of the last.
// Part of picture.js and handles.js; `script` in base.py joins the parts.

// However fast pictures come, each is shown whole, and the newest always in the end. `shown` is called after each;
// returns what ends it.
function showPictures(model, place, shown = () => {}) {
  let wanted = 0; // counts what came from Python
  let done = 0;
  let busy = false;
  let ended = false;
  let url = null;

  async function show() {
    wanted++;
    if (busy) return;
    busy = true;
    while (done !== wanted && !ended) {
      done = wanted;
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
    place.replaceChildren(next);
    if (url) URL.revokeObjectURL(url);
    url = source;
    shown();
  }

  const changes = "change:png change:alt change:width change:sharp change:lined";
  model.on(changes, show);
  show();
  return () => {
    ended = true;
    model.off(changes, show);
    if (url) URL.revokeObjectURL(url);
  };
}
