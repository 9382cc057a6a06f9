// A picture with handles on it, each moved by mouse, finger or arrow keys; Python answers every move with a new picture.
// showPictures is in frames.js, Requests in requests.js, element in canvas.js, keepKeys in keys.js; `script` in base.py
// joins them.

const LARGE = 5; // steps that an arrow key makes together with Shift

class Handles {
  constructor(model, el) {
    this.model = model;
    this.alive = new AbortController();
    this.requests = new Requests((request) => this.send(request));
    this.dragging = null; // {pointer, handle, dx, dy}: what drags, and how far from the handle's middle it took hold
    this.moved = false; // whether the handle held last was dragged, so that its release is no click
    this.since = null; // when the event happened whose picture is still to come
    this.paper = element("div", "");
    this.layer = element("div", "dgm-handles");
    this.problem = element("div", "dgm-error", { role: "alert" });
    this.root = element("div", "dgm-handled", { "data-answers": 0 },
      element("div", "dgm-handled-picture", {}, this.paper, this.layer), this.problem);
    this.root.roundTrips = []; // ms from a pointer or key event until its picture is on the screen
    el.append(this.root);
    this.paper.addEventListener("click", (event) => this.click(event), { signal: this.alive.signal });
    this.place();
    this.changes = {
      "change:answer": () => this.receive(),
      "change:handles": () => this.settle(),
      "change:box": () => this.place(),
    };
    for (const [name, act] of Object.entries(this.changes)) model.on(name, act);
    keepKeys(() => this.root.closest(".dgm-explorer") ?? this.root, this.alive.signal); // its sliders have no other picture
    this.endPictures = showPictures(model, this.paper, () => this.record());
  }

  // --- where the handles are

  place() {
    const [left, top, width, height] = this.model.get("box");
    this.paper.style.cursor = this.model.get("clicks") ? "crosshair" : "";
    const edges = { left, top, width, height };
    for (const [name, part] of Object.entries(edges)) this.layer.style[name] = `${100 * part}%`;
    this.settle();
  }

  // Where the pointer is, in parts of the plane from its lower left corner.
  parts(event, dx = 0, dy = 0) {
    const box = this.layer.getBoundingClientRect();
    return [(event.clientX - dx - box.left) / box.width, (box.bottom - event.clientY + dy) / box.height];
  }

  // Put every handle where Python says it is, unless the hand is ahead of Python.
  settle() {
    if (this.requests.underWay) return;
    const handles = this.model.get("handles");
    while (this.layer.children.length > handles.length) this.layer.lastChild.remove();
    while (this.layer.children.length < handles.length) this.layer.append(this.make(this.layer.children.length));
    handles.forEach((handle, i) => {
      const node = this.layer.children[i];
      node.textContent = handle.mark;
      node.toggleAttribute("data-dgm-press", this.model.get("clicks"));
      node.style.background = handle.color;
      node.setAttribute("aria-label", handle.name);
      node.setAttribute("aria-valuetext", handle.text);
      node.setAttribute("aria-valuenow", Math.round(100 * handle.x));
      this.put(node, handle.x, handle.y);
    });
  }

  put(node, x, y) {
    node.style.left = `${100 * x}%`;
    node.style.bottom = `${100 * y}%`;
  }

  make(handle) {
    const node = element("div", "dgm-handle", {
      tabindex: 0, role: "slider", "aria-roledescription": "two-dimensional slider",
      "aria-valuemin": 0, "aria-valuemax": 100,
    });
    const on = (names, act) =>
      names.split(" ").forEach((name) => node.addEventListener(name, act, { signal: this.alive.signal }));
    on("pointerdown", (event) => this.grab(event, node, handle));
    on("pointermove", (event) => event.pointerId === this.dragging?.pointer && this.follow(event, node));
    on("pointerup pointercancel lostpointercapture", (event) => {
      if (event.pointerId === this.dragging?.pointer) this.dragging = null;
    });
    on("keydown", (event) => this.press(event, handle));
    on("click", (event) => this.moved || this.pressed(event, handle));
    return node;
  }

  // --- mouse, touch, keys

  grab(event, node, handle) {
    if (event.button !== 0 || this.dragging !== null) return;
    const box = node.getBoundingClientRect();
    const [dx, dy] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    this.dragging = { pointer: event.pointerId, handle, dx, dy };
    this.moved = false;
    node.setPointerCapture(event.pointerId);
    node.focus({ preventScroll: true });
    event.preventDefault();
  }

  follow(event, node) {
    const { handle, dx, dy } = this.dragging;
    const [x, y] = this.parts(event, dx, dy).map((part) => Math.max(0, Math.min(1, part)));
    this.moved = true;
    this.put(node, x, y);
    this.requests.ask({ kind: "move", handle, x, y, since: event.timeStamp });
  }

  // A click on the picture itself, where Python listens to clicks.
  click(event) {
    const [x, y] = this.parts(event);
    if (!this.model.get("clicks") || Math.min(x, y) < 0 || Math.max(x, y) > 1) return;
    this.requests.ask({ kind: "click", handle: 0, x, y, since: event.timeStamp });
    this.layer.firstChild?.focus({ preventScroll: true });
  }

  // A handle clicked without being dragged, or Enter or Space on it.
  pressed(event, handle) {
    if (!this.model.get("clicks")) return;
    event.preventDefault();
    event.stopPropagation();
    this.requests.ask({ kind: "press", handle, x: 0, y: 0, since: event.timeStamp });
  }

  press(event, handle) {
    if (PRESS.includes(event.key) && !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey) {
      this.pressed(event, handle);
      return;
    }
    const direction = STEPS[event.key];
    if (!direction || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    let [x, y] = direction.map((step) => step * (event.shiftKey ? LARGE : 1));
    const waiting = this.requests.next;
    if (waiting?.kind === "step" && waiting.handle === handle) [x, y] = [x + waiting.x, y + waiting.y]; // none is lost
    this.requests.ask({ kind: "step", handle, x, y, since: event.timeStamp });
  }

  // --- asking and being answered

  send({ id, kind, handle, x, y }) {
    clearTimeout(this.impatience);
    this.impatience = setTimeout(() => { this.problem.textContent = SILENCE; }, PATIENCE);
    this.model.send({ id, kind, handle, x, y });
  }

  receive() {
    const request = this.requests.answered(this.model.get("answer"));
    if (request) this.since = request.since;
    if (!this.requests.underWay) {
      clearTimeout(this.impatience);
      this.problem.textContent = "";
    }
    this.settle();
    this.root.dataset.answers = Number(this.root.dataset.answers) + 1;
  }

  record() {
    if (this.since === null) return;
    this.root.roundTrips.push(performance.now() - this.since);
    this.since = null;
    if (this.root.roundTrips.length > 500) this.root.roundTrips.shift();
  }

  leave() {
    this.alive.abort();
    this.endPictures();
    clearTimeout(this.impatience);
    for (const [name, act] of Object.entries(this.changes)) this.model.off(name, act);
  }
}

function render({ model, el }) {
  const handles = new Handles(model, el);
  return () => handles.leave();
}

export default { render };
