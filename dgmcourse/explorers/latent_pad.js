// LatentPad in the browser: a plane to move a point in, and the image that Python decodes there. What it draws with is in
// canvas.js, keepKeys in keys.js, and Requests in requests.js; `script` in base.py joins them.

const MARGIN = { left: 40, top: 8, right: 8, bottom: 34 }; // CSS pixels around the plane
const FOCUS = [[14, 7, "#fff"], [14, 3.5, "#0072b2"]]; // around the ring: radius, width, color
const HINT = "Drag the ring, or use the arrow keys (Shift: larger steps, Home: the middle).";

class Pad {
  constructor(model, el) {
    this.model = model;
    this.setup = model.get("_setup");
    this.points = floatsOf(this.setup.points);
    this.labels = bytesOf(this.setup.labels);
    this.position = [...model.get("position")];
    this.label = model.get("label");
    this.scene = null; // everything but the ring, drawn once
    this.grid = null;
    this.dragging = null; // the id of the pointer that drags
    this.alive = new AbortController();
    this.requests = new Requests((request) => this.send(request));
    this.build();
    el.append(this.root);
    this.listen();
    this.show(model.get("answer"));
    this.fetchGrid();
  }

  // --- what is on the page

  build() {
    const { size, extent, what, classes, backgrounds } = this.setup;
    const inner = { left: MARGIN.left, top: MARGIN.top };
    this.inner = { ...inner, width: size - inner.left - MARGIN.right, height: size - inner.top - MARGIN.bottom };
    this.plane = element("canvas", "dgm-pad-plane", {
      tabindex: 0, role: "slider", "aria-roledescription": "two-dimensional slider", "aria-label": what,
      "aria-valuemin": -extent, "aria-valuemax": extent,
    });
    this.decoded = element("canvas", "dgm-pad-decoded", { role: "img" });
    this.reading = element("div", "dgm-pad-reading");
    this.problem = element("div", "dgm-error", { role: "alert" });
    this.side = element("div", "dgm-pad-side", {}, this.decoded, this.reading, this.problem);
    this.labelChoice = this.addChoice("Label", classes, (chosen) => {
      this.label = chosen;
      this.ask(performance.now());
    });
    this.backgroundChoice = this.addChoice("Background", backgrounds, (chosen) => {
      this.model.set("background", backgrounds[chosen]);
      this.model.save_changes();
    });
    this.side.append(element("p", "dgm-pad-hint", {}, HINT));
    this.left = element("div", "", {}, this.plane);
    this.root = element("div", "dgm-explorer dgm-pad", { "data-answers": 0 }, this.left, this.side);
    this.root.roundTrips = []; // ms from a pointer or key event until its image is on the screen
  }

  addChoice(title, options, choose) {
    if (options.length < 2) return null;
    const select = element("select", "", { name: title }, ...options.map((words, i) => new Option(words, i)));
    select.addEventListener("change", () => choose(Number(select.value)), { signal: this.alive.signal });
    this.side.append(element("label", "", {}, `${title} `, select));
    return select;
  }

  drawLegend(colors) {
    this.left.querySelector(".dgm-pad-legend")?.remove();
    if (!this.setup.legend.length) return;
    const items = this.setup.legend.map(([kind, name]) => {
      const canvas = element("canvas", "", { "aria-hidden": "true" });
      this.drawMarker(pen(canvas, 12, 12), kind, 6, 6, 4.5, colors);
      return element("li", "", {}, canvas, name);
    });
    const legend = element("ul", "dgm-pad-legend", { "aria-label": "classes" }, ...items);
    legend.style.maxWidth = `${this.setup.size}px`;
    this.left.append(legend);
  }

  // --- drawing

  x(a) {
    return this.inner.left + ((a + this.setup.extent) / (2 * this.setup.extent)) * this.inner.width;
  }

  y(b) {
    return this.inner.top + ((this.setup.extent - b) / (2 * this.setup.extent)) * this.inner.height;
  }

  drawScene() {
    if (!this.root.isConnected) return; // the theme's colors are not known yet
    const { size } = this.setup;
    const { left, top, width, height } = this.inner;
    const background = this.model.get("background");
    if (this.backgroundChoice) this.backgroundChoice.value = this.setup.backgrounds.indexOf(background);
    const colors = colorsAt(this.root);
    this.scene = document.createElement("canvas");
    const context = pen(this.scene, size, size);
    context.font = `11px ${getComputedStyle(this.root).fontFamily}`;
    context.fillStyle = colors.paper;
    context.fillRect(left, top, width, height);
    this.drawTicks(context, colors, !background.includes("images"));
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    if (background.includes("images") && this.grid) context.drawImage(this.grid, left, top, width, height);
    if (background.includes("points")) this.drawPoints(context, colors);
    context.restore();
    this.drawFrame(context, colors);
    this.drawLegend(colors);
    this.draw();
  }

  drawTicks(context, colors, lines) {
    const { left, top, width, height } = this.inner;
    for (const tick of ticks(this.setup.extent)) {
      const [x, y] = [Math.round(this.x(tick)) + 0.5, Math.round(this.y(tick)) + 0.5];
      context.globalAlpha = lines ? (tick === 0 ? 0.8 : 0.35) : 0;
      context.strokeStyle = colors.line;
      context.beginPath();
      context.moveTo(x, top);
      context.lineTo(x, top + height);
      context.moveTo(left, y);
      context.lineTo(left + width, y);
      context.stroke();
      context.globalAlpha = 1;
      context.fillStyle = colors.muted;
      [context.textAlign, context.textBaseline] = ["center", "top"];
      context.fillText(signed(tick), x, top + height + 5);
      [context.textAlign, context.textBaseline] = ["right", "middle"];
      context.fillText(signed(tick), left - 6, y);
    }
  }

  drawFrame(context, colors) {
    const { left, top, width, height } = this.inner;
    const [across, up] = this.setup.axes;
    context.strokeStyle = colors.line;
    context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    context.fillStyle = colors.ink;
    [context.textAlign, context.textBaseline] = ["center", "bottom"];
    context.fillText(across, left + width / 2, this.setup.size - 1);
    context.save();
    context.translate(4, top + height / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "top";
    context.fillText(up, 0, 0);
    context.restore();
  }

  drawPoints(context, colors) {
    for (let i = 0; i < this.points.length / 2; i++) {
      const kind = this.labels.length ? this.labels[i] : 0;
      this.drawMarker(context, kind, this.x(this.points[2 * i]), this.y(this.points[2 * i + 1]), 3.2, colors);
    }
  }

  drawMarker(context, kind, x, y, radius, colors) {
    const { palette, outlines } = this.setup;
    context.fillStyle = palette[kind % palette.length];
    context.strokeStyle = colors.dark ? "rgba(255, 255, 255, 0.75)" : colors.paper;
    context.lineWidth = 0.6;
    context.beginPath();
    outlines[kind % outlines.length].forEach(([dx, dy], i) =>
      context[i ? "lineTo" : "moveTo"](x + radius * dx, y + radius * dy));
    context.closePath();
    context.fill();
    context.stroke();
  }

  // Events come faster than the screen: the ring is drawn once a frame.
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.scene) this.drawRing();
    });
  }

  drawRing() {
    const { size } = this.setup;
    const context = pen(this.plane, size, size);
    context.drawImage(this.scene, 0, 0, size, size);
    const focused = document.activeElement === this.plane;
    for (const [radius, width, color] of [...(focused ? FOCUS : []), ...this.setup.ring]) {
      [context.lineWidth, context.strokeStyle] = [width, color];
      context.beginPath();
      context.arc(this.x(this.position[0]), this.y(this.position[1]), radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // --- asking and being answered

  ask(since) {
    this.draw();
    this.requests.ask({ position: [...this.position], label: this.label, since });
  }

  send({ id, position, label }) {
    clearTimeout(this.impatience);
    this.impatience = setTimeout(() => { this.problem.textContent = SILENCE; }, PATIENCE);
    this.model.send({ kind: "move", id, position, label });
  }

  receive() {
    const answer = this.model.get("answer");
    const request = this.requests.answered(answer.id);
    if (!this.requests.underWay) {
      clearTimeout(this.impatience);
      [this.position, this.label] = [[...answer.position], answer.label]; // where Python says we are
    }
    this.draw();
    this.show(answer);
    this.root.dataset.answers = Number(this.root.dataset.answers) + 1;
    if (request) requestAnimationFrame(() => this.record(performance.now() - request.since));
  }

  record(milliseconds) {
    this.root.roundTrips.push(milliseconds);
    if (this.root.roundTrips.length > 500) this.root.roundTrips.shift();
  }

  show(answer) {
    if (answer.pixels) this.drawDecoded(answer);
    if (this.labelChoice) this.labelChoice.value = this.label;
    this.reading.textContent = answer.reading.replace("; ", "\n");
    this.decoded.setAttribute("aria-label", `Decoded image at ${answer.reading}`);
    this.plane.setAttribute("aria-valuetext", answer.reading);
    this.plane.setAttribute("aria-valuenow", answer.position[0]);
    this.complain();
  }

  drawDecoded({ width, height, channels, pixels }) {
    const source = bytesOf(pixels);
    if (this.decoded.width !== width) this.decoded.width = width;
    if (this.decoded.height !== height) this.decoded.height = height;
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = source[channels === 1 ? i : 3 * i + c];
      image.data[4 * i + 3] = 255;
    }
    this.decoded.getContext("2d").putImageData(image, 0, 0);
  }

  complain() {
    this.problem.textContent = this.model.get("error");
  }

  // --- mouse, touch, keys

  clip(value) {
    return Math.max(-this.setup.extent, Math.min(this.setup.extent, value));
  }

  follow(event) {
    const { size, extent } = this.setup;
    const box = this.plane.getBoundingClientRect();
    const scale = size / box.width; // other than 1 where the page is zoomed by CSS
    const x = (event.clientX - box.left) * scale - this.inner.left;
    const y = (event.clientY - box.top) * scale - this.inner.top;
    this.position = [
      this.clip((x / this.inner.width) * 2 * extent - extent),
      this.clip(extent - (y / this.inner.height) * 2 * extent),
    ];
    this.ask(event.timeStamp);
  }

  grab(event) {
    if (event.button !== 0 || this.dragging !== null) return;
    this.dragging = event.pointerId;
    this.plane.setPointerCapture(event.pointerId);
    this.plane.focus({ preventScroll: true });
    event.preventDefault();
    this.follow(event);
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const direction = STEPS[event.key];
    if (direction) {
      const step = (this.setup.extent / 30) * (event.shiftKey ? 5 : 1);
      this.position = this.position.map((value, i) => this.clip(value + step * direction[i]));
    } else if (event.key === "Home") {
      this.position = [0, 0];
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.ask(event.timeStamp);
  }

  // --- what may happen: to the pad, from Python, to the page

  listen() {
    const on = (node, names, act) =>
      names.split(" ").forEach((name) => node.addEventListener(name, act, { signal: this.alive.signal }));
    on(this.plane, "pointerdown", (event) => this.grab(event));
    on(this.plane, "pointermove", (event) => event.pointerId === this.dragging && this.follow(event));
    on(this.plane, "pointerup pointercancel lostpointercapture", (event) => {
      if (event.pointerId === this.dragging) this.dragging = null;
    });
    on(this.plane, "keydown", (event) => this.press(event));
    on(this.plane, "focus blur", () => this.draw());
    keepKeys(() => this.root, this.alive.signal);
    const redraw = () => this.drawScene();
    on(window.matchMedia("(prefers-color-scheme: dark)"), "change", redraw);
    this.sizes = new ResizeObserver(redraw); // fires too when the pad first comes onto the page
    this.sizes.observe(this.root);
    this.themes = new MutationObserver(redraw);
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "class"] });
    this.changes = {
      "change:answer": () => this.receive(),
      "change:error": () => this.complain(),
      "change:background": redraw,
      "change:_grid": () => this.fetchGrid(),
    };
    for (const [name, act] of Object.entries(this.changes)) this.model.on(name, act);
  }

  async fetchGrid() {
    const bytes = bytesOf(this.model.get("_grid"));
    this.grid = bytes.length ? await createImageBitmap(new Blob([bytes], { type: "image/png" })) : null;
    this.drawScene();
  }

  leave() {
    this.alive.abort();
    this.sizes.disconnect();
    this.themes.disconnect();
    clearTimeout(this.impatience);
    for (const [name, act] of Object.entries(this.changes)) this.model.off(name, act);
  }
}

function render({ model, el }) {
  const pad = new Pad(model, el);
  return () => pad.leave();
}

export default { render };
