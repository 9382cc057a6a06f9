// Elements, bytes, canvases, colors and ticks: what a drawing in the browser needs. Part of latent_pad.js, see
// `script` in base.py.

function element(tag, className, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const signed = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

const bytesOf = (view) =>
  view ? new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength) : new Uint8Array();

const floatsOf = (view) => new Float32Array(bytesOf(view).slice().buffer);

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

function colorsAt(node) {
  const style = getComputedStyle(node);
  const found = (name) => style.getPropertyValue(name).trim();
  const paper = found("--paper");
  return { ink: found("--ink"), muted: found("--muted"), line: found("--line"), paper, dark: isDark(paper) };
}

function isDark(color) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = color || "#fff";
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return 0.3 * r + 0.59 * g + 0.11 * b < 110;
}

// Round numbers from −extent to extent, about seven of them.
function ticks(extent) {
  const raw = extent / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const most = Math.floor(extent / step + 1e-6);
  return Array.from({ length: 2 * most + 1 }, (_, i) => (i - most) * step);
}
