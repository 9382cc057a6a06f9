// Which keys belong to a control. Part of every explorer's script; `script` in base.py joins the parts.

const NAVIGATION = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
const PRESS = ["Enter", " "]; // of controls that say so by data-dgm-press
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }; // across, up

// Notebooks take these keys for themselves before a widget sees them; within `find()` they belong to the control in
// focus, which the attribute says. All other keys (Shift+Enter, say) stay the notebook's.
function keepKeys(find, signal) {
  const claim = ({ key, target }) => {
    if (!find()?.contains(target)) return;
    const ours = NAVIGATION.includes(key) || (PRESS.includes(key) && target.hasAttribute("data-dgm-press"));
    target.toggleAttribute("data-lm-suppress-shortcuts", ours);
  };
  window.addEventListener("keydown", claim, { capture: true, signal });
}
