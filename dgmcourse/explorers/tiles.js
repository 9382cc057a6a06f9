// Many small images as one picture, of which one can be chosen: by click, by finger, or with the arrow keys.
// showPictures is in frames.js, element in canvas.js, keepKeys in keys.js; `script` in base.py joins them.

class Tiles {
  constructor(model, el) {
    this.model = model;
    this.alive = new AbortController();
    this.paper = element("div", "");
    this.marks = element("div", "dgm-tiles-marks", { "aria-hidden": "true" });
    this.root = element("div", "dgm-tiles", {
      tabindex: 0, role: "slider", "aria-orientation": "horizontal", "aria-valuemin": 1,
    }, this.paper, this.marks);
    el.append(this.root);
    const on = (name, act) => this.root.addEventListener(name, act, { signal: this.alive.signal });
    on("click", (event) => this.click(event));
    on("keydown", (event) => this.press(event));
    this.changes = "change:count change:columns change:cell change:chosen change:crossed change:name change:text";
    this.show = () => this.mark();
    model.on(this.changes, this.show);
    keepKeys(() => this.root, this.alive.signal);
    this.endPictures = showPictures(model, this.paper, this.show);
    this.mark();
  }

  // Where tile i lies, as parts of the picture's width and height.
  place(i) {
    const [width, height, gap] = this.model.get("cell");
    const columns = this.model.get("columns");
    const rows = Math.ceil(this.model.get("count") / columns);
    const [wide, tall] = [columns * (width + gap) + gap, rows * (height + gap) + gap];
    const [left, top] = [(i % columns) * (width + gap), Math.floor(i / columns) * (height + gap)];
    const parts = { left: left / wide, top: top / tall, width: (width + 2 * gap) / wide, height: (height + 2 * gap) / tall };
    return { parts, columns, rows };
  }

  mark() {
    const [count, chosen] = [this.model.get("count"), this.model.get("chosen")];
    this.root.hidden = count === 0;
    const nodes = this.model.get("crossed").filter((i) => i < count).map((i) => this.over(i, "dgm-tile-crossed"));
    if (chosen >= 0 && chosen < count) nodes.push(this.over(chosen, "dgm-tile-chosen"));
    this.marks.replaceChildren(...nodes);
    this.marks.style.setProperty("--frame", this.model.get("color"));
    this.root.setAttribute("aria-label", this.model.get("name"));
    this.root.setAttribute("aria-valuemax", Math.max(count, 1));
    this.root.setAttribute("aria-valuenow", Math.max(chosen + 1, 1));
    this.root.setAttribute("aria-valuetext", this.model.get("text") || "none chosen");
  }

  over(i, className) {
    const node = element("div", className);
    for (const [name, part] of Object.entries(this.place(i).parts)) node.style[name] = `${100 * part}%`;
    return node;
  }

  choose(i) {
    const count = this.model.get("count");
    if (!count) return;
    this.model.set("chosen", Math.max(0, Math.min(count - 1, i)));
    this.model.save_changes();
  }

  click(event) {
    const box = this.marks.getBoundingClientRect();
    const { columns, rows } = this.place(0);
    const across = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const down = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const i = down * columns + across;
    if (across >= 0 && across < columns && down >= 0 && i < this.model.get("count")) this.choose(i);
    this.root.focus({ preventScroll: true });
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const [count, columns, now] = ["count", "columns", "chosen"].map((name) => this.model.get(name));
    const direction = STEPS[event.key];
    let next = { Home: 0, End: count - 1 }[event.key];
    if (direction) next = now < 0 ? 0 : now + direction[0] - direction[1] * columns;
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (next >= 0 && next < count) this.choose(next);
  }

  leave() {
    this.alive.abort();
    this.endPictures();
    this.model.off(this.changes, this.show);
  }
}

function render({ model, el }) {
  const tiles = new Tiles(model, el);
  return () => tiles.leave();
}

export default { render };
