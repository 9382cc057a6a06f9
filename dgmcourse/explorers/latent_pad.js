// LatentPad in the browser: a plane to move a point in, and the image that Python decodes there.

const MARGIN = { left: 40, top: 8, right: 8, bottom: 34 };
const ACCENT = "#d55e00";
const PATIENCE = 4000; // ms without an answer, after which we say so

// One request under way; of all positions that came meanwhile, the newest is asked for next.
class Requests {
  constructor(send) {
    this.send = send;
    this.name = Math.random().toString(36).slice(2);
    this.count = 0;
    this.underWay = null;
    this.next = null;
  }

  ask(request) {
    this.next = request;
    this.pump();
  }

  pump() {
    if (this.underWay || !this.next) return;
    this.underWay = { ...this.next, id: `${this.name}:${++this.count}` };
    this.next = null;
    this.send(this.underWay);
  }

  // The request that this id answers, or null if it was another view's (or Python's own move).
  answered(id) {
    if (!this.underWay || this.underWay.id !== id) return null;
    const done = this.underWay;
    this.underWay = null;
    this.pump();
    return done;
  }
}

function element(tag, className, attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const signed = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

function bytesOf(view) {
  return view ? new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength) : new Uint8Array();
}

function floatsOf(view) {
  const bytes = bytesOf(view).slice();
  return new Float32Array(bytes.buffer);
}

// A canvas as sharp as the screen, drawn in CSS pixels.
function pen(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function drawMarker(context, outline, x, y, radius) {
  context.beginPath();
  outline.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + radius * dx, y + radius * dy));
  context.closePath();
  context.fill();
  context.stroke();
}

function colorsAt(node) {
  const style = getComputedStyle(node);
  const found = (name) => style.getPropertyValue(name).trim();
  const paper = found("--paper");
  return { ink: found("--ink"), muted: found("--muted"), line: found("--line"), paper, dark: isDark(paper) };
}

function roundTicks(extent) {
  const raw = extent / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(-extent / step); i * step <= extent * 1.0001; i++) found.push(i * step);
  return found;
}

function render({ model, el }) {
  const setup = model.get("_setup");
  const { size, extent, axes, palette, outlines } = setup;
  const points = floatsOf(setup.points);
  const labels = bytesOf(setup.labels);
  let position = [...model.get("position")];
  let label = model.get("label");
  let grid = null;
  let scene = null; // everything but the handle, drawn once
  const seen = new AbortController();
  const listen = (node, event, act, options = {}) =>
    node.addEventListener(event, act, { signal: seen.signal, ...options });

  // --- what is on the page
  const plane = element("canvas", "dgm-pad-plane", {
    tabindex: 0, role: "slider", "aria-roledescription": "two-dimensional slider", "aria-label": setup.what,
    "aria-valuemin": -extent, "aria-valuemax": extent, "data-lm-suppress-shortcuts": "true",
  });
  const decoded = element("canvas", "dgm-pad-decoded", { role: "img" });
  const reading = element("div", "dgm-pad-reading");
  const problem = element("div", "dgm-error", { role: "alert" });
  const side = element("div", "dgm-pad-side", {}, decoded, reading, problem);
  const labelChoice = addChoice(setup.classes, "Label", () => label, (chosen) => { label = chosen; ask(performance.now()); }, "label");
  const backgroundChoice = addChoice(setup.backgrounds, "Background", () => setup.backgrounds.indexOf(model.get("background")), (chosen) => {
    model.set("background", setup.backgrounds[chosen]);
    model.save_changes();
  }, "background");
  side.append(element("p", "dgm-pad-hint", {},
    "Drag the ring, or use the arrow keys (Shift: larger steps, Home: the middle)."));
  const left = element("div", "", {}, plane);
  const root = element("div", "dgm-explorer dgm-pad", { "data-answers": 0 }, left, side);
  root.roundTrips = []; // ms from each pointer or key event to its image on the canvas
  el.append(root);

  function addChoice(options, title, current, choose, name) {
    if (options.length < 2) return null;
    const select = element("select", "", { name }, ...options.map((words, i) => new Option(words, i)));
    select.value = current();
    listen(select, "change", () => choose(Number(select.value)));
    side.append(element("label", "", { "data-lm-suppress-shortcuts": "true" }, `${title} `, select));
    return select;
  }

  function drawLegend() {
    left.querySelector(".dgm-pad-legend")?.remove();
    if (!setup.legend.length) return;
    const colors = colorsAt(root);
    const items = setup.legend.map(([kind, name]) => {
      const canvas = element("canvas", "", { "aria-hidden": "true" });
      const context = pen(canvas, 12, 12);
      dressMarker(context, kind, colors);
      drawMarker(context, outlines[kind % outlines.length], 6, 6, 4.5);
      return element("li", "", {}, canvas, name);
    });
    const legend = element("ul", "dgm-pad-legend", { "aria-label": "classes" }, ...items);
    legend.style.maxWidth = `${size}px`;
    left.append(legend);
  }

  // --- drawing
  const inner = { left: MARGIN.left, top: MARGIN.top, width: size - MARGIN.left - MARGIN.right,
                  height: size - MARGIN.top - MARGIN.bottom };
  const toX = (a) => inner.left + ((a + extent) / (2 * extent)) * inner.width;
  const toY = (b) => inner.top + ((extent - b) / (2 * extent)) * inner.height;

  function dressMarker(context, kind, colors) {
    context.fillStyle = palette[kind % palette.length];
    context.strokeStyle = colors.dark ? "rgba(255,255,255,.75)" : colors.paper;
    context.lineWidth = 0.6;
  }

  function drawScene() {
    const colors = colorsAt(root);
    scene = document.createElement("canvas");
    const context = pen(scene, size, size);
    context.fillStyle = colors.paper;
    context.fillRect(inner.left, inner.top, inner.width, inner.height);
    context.font = `11px ${getComputedStyle(root).fontFamily}`;
    const background = model.get("background");
    drawAxes(context, colors, background !== "images");
    context.save();
    context.beginPath();
    context.rect(inner.left, inner.top, inner.width, inner.height);
    context.clip();
    if (background === "images" && grid) context.drawImage(grid, inner.left, inner.top, inner.width, inner.height);
    if (background === "points") drawPoints(context, colors);
    context.restore();
    drawLegend();
    draw();
  }

  function drawAxes(context, colors, lines) {
    context.lineWidth = 1;
    for (const tick of roundTicks(extent)) {
      const [x, y] = [Math.round(toX(tick)) + 0.5, Math.round(toY(tick)) + 0.5];
      context.globalAlpha = lines ? (tick === 0 ? 0.8 : 0.35) : 0;
      context.strokeStyle = colors.line;
      context.beginPath();
      context.moveTo(x, inner.top);
      context.lineTo(x, inner.top + inner.height);
      context.moveTo(inner.left, y);
      context.lineTo(inner.left + inner.width, y);
      context.stroke();
      context.globalAlpha = 1;
      context.fillStyle = colors.muted;
      context.textAlign = "center";
      context.textBaseline = "top";
      context.fillText(signed(tick), x, inner.top + inner.height + 5);
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.fillText(signed(tick), inner.left - 6, y);
    }
    context.strokeStyle = colors.line;
    context.strokeRect(inner.left + 0.5, inner.top + 0.5, inner.width - 1, inner.height - 1);
    context.fillStyle = colors.ink;
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(axes[0], inner.left + inner.width / 2, size - 1);
    context.save();
    context.translate(4, inner.top + inner.height / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "top";
    context.fillText(axes[1], 0, 0);
    context.restore();
  }

  function drawPoints(context, colors) {
    for (let i = 0; i < points.length / 2; i++) {
      const kind = labels.length ? labels[i] : 0;
      dressMarker(context, kind, colors);
      drawMarker(context, outlines[kind % outlines.length], toX(points[2 * i]), toY(points[2 * i + 1]), 3.2);
    }
  }

  function draw() {
    const context = pen(plane, size, size);
    context.drawImage(scene, 0, 0, size, size);
    const [x, y] = [toX(position[0]), toY(position[1])];
    context.lineWidth = 6;
    context.strokeStyle = "#fff";
    ring(context, x, y);
    context.lineWidth = 3;
    context.strokeStyle = ACCENT;
    ring(context, x, y);
  }

  function ring(context, x, y) {
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.stroke();
  }

  function drawDecoded(answer) {
    if (!answer.pixels) return;
    const { width, height, channels } = answer;
    const source = bytesOf(answer.pixels);
    if (decoded.width !== width || decoded.height !== height) [decoded.width, decoded.height] = [width, height];
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = source[channels === 1 ? i : 3 * i + c];
      image.data[4 * i + 3] = 255;
    }
    decoded.getContext("2d").putImageData(image, 0, 0);
  }

  // --- asking and being answered
  let impatience = null;
  const requests = new Requests((request) => {
    clearTimeout(impatience);
    impatience = setTimeout(() => {
      problem.textContent = "Python has not answered yet: it is busy, or was restarted (then run this cell again).";
    }, PATIENCE);
    model.send({ kind: "move", id: request.id, position: request.position, label: request.label });
  });

  function ask(since) {
    draw();
    requests.ask({ position: [...position], label, since });
  }

  function receive() {
    const answer = model.get("answer");
    const request = requests.answered(answer.id);
    if (request) clearTimeout(impatience);
    if (!request || !requests.underWay) [position, label] = [[...answer.position], answer.label];
    if (labelChoice) labelChoice.value = label;
    draw();
    drawDecoded(answer);
    tell(answer);
    root.dataset.answers = Number(root.dataset.answers) + 1;
    if (request) {
      requestAnimationFrame(() => {
        root.roundTrips.push(performance.now() - request.since);
        if (root.roundTrips.length > 500) root.roundTrips.shift();
      });
    }
  }

  function tell(answer) {
    reading.textContent = answer.reading;
    decoded.setAttribute("aria-label", `Decoded image at ${answer.reading}`);
    plane.setAttribute("aria-valuetext", answer.reading);
    plane.setAttribute("aria-valuenow", answer.position[0]);
    complain();
  }

  function complain() {
    problem.textContent = model.get("error");
  }

  // --- mouse, touch, keys
  const clip = (value) => Math.max(-extent, Math.min(extent, value));

  function follow(event) {
    const box = plane.getBoundingClientRect();
    const scale = size / box.width; // where the page is zoomed by CSS
    const a = (((event.clientX - box.left) * scale - inner.left) / inner.width) * 2 * extent - extent;
    const b = extent - (((event.clientY - box.top) * scale - inner.top) / inner.height) * 2 * extent;
    position = [clip(a), clip(b)];
    ask(event.timeStamp);
  }

  let dragging = null;
  listen(plane, "pointerdown", (event) => {
    if (event.button !== 0 || dragging !== null) return;
    dragging = event.pointerId;
    plane.setPointerCapture(event.pointerId);
    plane.focus({ preventScroll: true });
    event.preventDefault();
    follow(event);
  });
  listen(plane, "pointermove", (event) => {
    if (event.pointerId === dragging) follow(event);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    listen(plane, end, (event) => {
      if (event.pointerId === dragging) dragging = null;
    });
  }

  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  listen(plane, "keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const direction = STEPS[event.key];
    if (direction) {
      const step = (extent / 30) * (event.shiftKey ? 5 : 1);
      position = position.map((value, i) => clip(value + step * direction[i]));
    } else if (event.key === "Home") {
      position = [0, 0];
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    ask(event.timeStamp);
  });

  // --- changes from elsewhere: Python, the theme, the screen
  async function fetchGrid() {
    const bytes = bytesOf(model.get("_grid"));
    grid = bytes.length ? await createImageBitmap(new Blob([bytes], { type: "image/png" })) : null;
    if (!seen.signal.aborted) drawScene();
  }

  function drawBackground() {
    if (backgroundChoice) backgroundChoice.value = setup.backgrounds.indexOf(model.get("background"));
    drawScene();
  }

  const themes = new MutationObserver(drawScene);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  listen(window, "resize", drawScene);
  listen(window.matchMedia("(prefers-color-scheme: dark)"), "change", drawScene);
  model.on("change:answer", receive);
  model.on("change:error", complain);
  model.on("change:background", drawBackground);
  model.on("change:_grid", fetchGrid);

  drawDecoded(model.get("answer"));
  tell(model.get("answer"));
  drawScene();
  fetchGrid();
  return () => {
    seen.abort();
    themes.disconnect();
    clearTimeout(impatience);
    model.off("change:answer", receive);
    model.off("change:error", complain);
    model.off("change:background", drawBackground);
    model.off("change:_grid", fetchGrid);
  };
}

function isDark(color) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = color || "#fff";
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return 0.3 * r + 0.59 * g + 0.11 * b < 110;
}

export default { render };
