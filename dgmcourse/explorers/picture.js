// A picture, and no more. showPictures is in frames.js, keepKeys in keys.js; `script` in base.py joins them.

function render({ model, el }) {
  const alive = new AbortController();
  keepKeys(() => el.closest(".dgm-explorer"), alive.signal);
  const end = showPictures(model, el);
  return () => {
    alive.abort();
    end();
  };
}

export default { render };
