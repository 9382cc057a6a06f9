// A picture that Python replaces at any moment. The next one is decoded before it takes the place of the last.

function render({ model, el }) {
  let newest = 0;
  let url = null;

  async function show() {
    const mine = ++newest;
    const next = new Image();
    const source = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    next.src = source;
    try {
      await next.decode();
    } catch {
      // an empty or broken picture: its alternative text is shown instead
    }
    if (mine !== newest) {
      URL.revokeObjectURL(source);
      return;
    }
    dress(next);
    next.dataset.shown = String(mine);
    el.replaceChildren(next);
    if (url) URL.revokeObjectURL(url);
    url = source;
  }

  function dress(image = el.firstElementChild) {
    if (!image) return;
    image.alt = model.get("alt");
    image.className = "dgm-picture" + (model.get("sharp") ? " dgm-picture-sharp" : "");
    image.style.width = `${model.get("width")}px`;
  }

  const redress = () => dress();
  model.on("change:png", show);
  model.on("change:alt change:width change:sharp", redress);
  show();
  return () => {
    newest++;
    model.off("change:png", show);
    model.off("change:alt change:width change:sharp", redress);
    if (url) URL.revokeObjectURL(url);
  };
}

export default { render };
