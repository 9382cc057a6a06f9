"""Every explorer, driven in real JupyterLab by mouse and keyboard: what the hand does changes what the eye sees."""

import pytest
from harness import run_cells, soon

pytestmark = pytest.mark.browser

CELLS = [
    """import torch
from latent_models import Blobs, four_groups
from dgmcourse.explorers import InterpolationStrip, LatentPad, LatentSliders, ModelDial, TrajectoryPlayer
x, y = four_groups()

class Fragile(Blobs):
    def decode(self, z, y=None):
        if (z < -2.9).any():
            raise RuntimeError("nothing to see here")
        return super().decode(z, y)""",
    "pad = LatentPad(Blobs(classes=3), points=torch.randn(60, 2), labels=torch.arange(60) % 3); pad.add_class('fast')",
    "slow = LatentPad(Fragile(pause=0.15), size=240); slow.add_class('slow')",
    "LatentSliders(Blobs(4), x)",
    "InterpolationStrip(Blobs(), x)",
    "TrajectoryPlayer(Blobs(), n=9)",
    "ModelDial({0.5: Blobs(), 1.0: Blobs(3), 4.0: Blobs(4)}, x, "
    "numbers={k: {'rate (nats)': 9 / k, 'distortion (nats)': k} for k in (0.5, 1.0, 4.0)})",
]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with every explorer, run to its end in JupyterLab."""
    page = run_cells(browser, lab, "explorers", CELLS)
    yield page
    page.close()


class PadOnPage:
    """A LatentPad as the browser shows it."""

    def __init__(self, page, name):
        self.page, self.name = page, name
        self.root = page.locator(f".{name} .dgm-pad, .dgm-pad.{name}").first
        self.plane = self.root.locator(".dgm-pad-plane")
        self.plane.scroll_into_view_if_needed()

    @property
    def image(self):
        """The decoded image, as the canvas holds it."""
        return self.root.locator(".dgm-pad-decoded").evaluate("canvas => canvas.toDataURL()")

    @property
    def position(self):
        return self.plane.get_attribute("aria-valuetext")

    def at(self, a, b, extent=3.0):
        """Page coordinates of a point of the plane."""
        box = self.plane.bounding_box()
        width, height = box["width"] - 48, box["height"] - 42
        return box["x"] + 40 + (a + extent) / 6 * width, box["y"] + 8 + (extent - b) / 6 * height

    def drag(self, *places):
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place))
        self.page.mouse.up()

    def wait_for(self, words):
        self.root.locator(".dgm-pad-reading", has_text=words).wait_for()


def source(locator):
    return locator.get_attribute("src")


def wait_for_another_picture(page, root, index, old):
    """Wait until the picture of this index is another than it was."""
    page.wait_for_function(
        "([root, index, old]) => [...root.querySelectorAll('img.dgm-picture')].at(index)?.src !== old",
        arg=[root.element_handle(), index, old],
    )


def slider(root, index):
    handle = root.locator(".noUi-handle").nth(index)
    handle.scroll_into_view_if_needed()
    return handle


# --- LatentPad -------------------------------------------------------------------------------------------------------


def test_dragging_the_pad_moves_the_image_and_the_words(page):
    pad = PadOnPage(page, "fast")
    before = pad.image
    pad.drag((0, 0), (0.5, 0.5), (1.0, 1.5), (1.5, 2.0))
    pad.wait_for("z₁ = 1.5")
    soon(page, lambda: "z₂ = 2.0" in pad.position or "z₂ = 1.9" in pad.position)  # to the pixel
    soon(page, lambda: pad.image != before)
    soon(page, lambda: "nearest example" in pad.position)


def test_dragging_follows_the_pointer_beyond_the_edge_and_stops_at_it(page):
    pad = PadOnPage(page, "fast")
    pad.drag((0, 0), (4.5, 0))
    pad.wait_for("z₁ = 3.00")
    moved = pad.position
    page.mouse.move(*pad.at(-1, -1))  # the button is up: nothing follows
    page.keyboard.press("Home")
    pad.wait_for("z₁ = 0.00")
    assert moved != pad.position


def test_arrow_keys_move_the_pad_and_not_the_notebook(page):
    pad = PadOnPage(page, "fast")
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    pad.plane.focus()
    page.keyboard.press("Home")
    pad.wait_for("z₁ = 0.00, z₂ = 0.00")
    cell, before = page.evaluate(active), pad.image
    for key, words in [("ArrowRight", "z₁ = 0.10, z₂ = 0.00"), ("ArrowUp", "z₁ = 0.10, z₂ = 0.10"),
                       ("Shift+ArrowLeft", "z₁ = −0.40, z₂ = 0.10"), ("Shift+ArrowDown", "z₁ = −0.40, z₂ = −0.40")]:  # fmt: skip
        page.keyboard.press(key)
        pad.wait_for(words)
    soon(page, lambda: pad.image != before)
    assert page.evaluate(active) == cell
    page.keyboard.press("Home")
    pad.wait_for("z₁ = 0.00, z₂ = 0.00")
    soon(page, lambda: pad.image == before)


def test_other_keys_stay_the_notebooks(page):
    pad = PadOnPage(page, "fast")
    pad.drag((0, 0), (0.5, 0.5))  # a hand on the pad, and then Shift+Enter to go on
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    before = page.evaluate(active)
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"before => ({active})() === before + 1", arg=before)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )


def test_the_pad_is_announced_and_its_focus_is_seen(page):
    pad = PadOnPage(page, "fast")
    assert pad.plane.get_attribute("role") == "slider"
    assert "Latent plane" in pad.plane.get_attribute("aria-label")
    assert page.get_by_role("slider", name="Latent plane").count() >= 1
    outline = "node => getComputedStyle(node).outlineStyle + ' ' + getComputedStyle(node).outlineWidth"
    pad.plane.focus()
    assert pad.plane.evaluate(outline) == "solid 3px"
    pad.plane.evaluate("node => node.blur()")
    assert pad.plane.evaluate(outline).startswith("none")
    pad.plane.focus()
    page.keyboard.press("Tab")  # no trap: the next control gets the focus
    assert page.evaluate("() => document.activeElement.tagName") == "SELECT"


def test_label_and_background_are_chosen(page):
    pad = PadOnPage(page, "fast")
    before = pad.image
    pad.root.locator("select[name=Label]").select_option("2")
    page.wait_for_function("([node, old]) => node.toDataURL() !== old",
                           arg=[pad.root.locator(".dgm-pad-decoded").element_handle(), before])  # fmt: skip
    plane = "node => node.toDataURL()"
    points = pad.plane.evaluate(plane)
    pad.root.locator("select[name=Background]").select_option(label="images")
    page.wait_for_function("([node, old]) => node.toDataURL() !== old", arg=[pad.plane.element_handle(), points])


def test_while_one_request_is_under_way_only_the_newest_position_waits(page):
    pad = PadOnPage(page, "slow")
    answers = "node => Number(node.dataset.answers)"
    before = pad.root.evaluate(answers)
    page.mouse.move(*pad.at(0, 0))
    page.mouse.down()
    page.wait_for_function(f"([node, old]) => ({answers})(node) === old + 1", arg=[pad.root.element_handle(), before])
    x, y = pad.at(-1.0, 2.0)
    fifty_moves_at_once = """(plane, [x, y]) => { for (let i = 49; i >= 0; i--) plane.dispatchEvent(
        new PointerEvent('pointermove', { pointerId: 1, clientX: x + i, clientY: y + i, bubbles: true })) }"""
    pad.plane.evaluate(fifty_moves_at_once, [x, y])
    pad.wait_for("z₁ = −1.0")
    page.mouse.up()
    assert pad.root.evaluate(answers) - before == 3  # the press, the first move, and the newest of the other 49
    soon(page, lambda: "z₂ = 2.0" in pad.position or "z₂ = 1.9" in pad.position)


def test_an_error_is_shown_in_words_and_passes(page):
    pad = PadOnPage(page, "slow")
    pad.drag((0, 0), (-3.5, 0))
    pad.root.get_by_role("alert").get_by_text("RuntimeError: nothing to see here").wait_for()
    page.keyboard.press("Home")
    pad.root.get_by_role("alert").get_by_text("nothing").wait_for(state="detached")


def test_touch_drags_the_pad(page):
    """A finger, as the browser's own input pipeline delivers it."""
    pad = PadOnPage(page, "fast")
    session = page.context.new_cdp_session(page)

    def touch(kind, *place):
        points = [dict(zip("xy", pad.at(*place), strict=True))] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.0, 0.0)
    touch("touchMove", -1.0, 0.5)
    touch("touchMove", -2.0, 1.0)
    touch("touchEnd")
    pad.wait_for("z₁ = −2.0")
    session.detach()


def test_the_pad_follows_the_theme(page):
    pad = PadOnPage(page, "fast")
    pad.root.locator("select[name=Background]").select_option(label="none")
    corner = """node => { const ratio = window.devicePixelRatio;
        return [...node.getContext('2d').getImageData(60 * ratio, 30 * ratio, 1, 1).data].slice(0, 3) }"""
    page.wait_for_function(f"node => Math.min(...({corner})(node)) > 200", arg=pad.plane.element_handle())
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    page.evaluate(change, "JupyterLab Dark")
    page.wait_for_function(f"node => Math.max(...({corner})(node)) < 80", arg=pad.plane.element_handle())
    page.evaluate(change, "JupyterLab Light")
    page.wait_for_function(f"node => Math.min(...({corner})(node)) > 200", arg=pad.plane.element_handle())


# --- the others ------------------------------------------------------------------------------------------------------


def test_sliders_change_image_and_strips(page):
    root = page.locator(".dgm-sliders")
    pictures = root.locator("img.dgm-picture")
    handle = slider(root, 0)
    image, strip = source(pictures.first), source(pictures.last)
    handle.focus()
    page.keyboard.press("PageUp")
    wait_for_another_picture(page, root, 0, image)
    wait_for_another_picture(page, root, -1, strip)
    image = source(pictures.first)
    root.get_by_role("button", name="New sample").click()
    wait_for_another_picture(page, root, 0, image)
    soon(page, lambda: "z₁ = " in pictures.first.get_attribute("alt"))
    image = source(pictures.first)
    root.get_by_role("button", name="Encode example").click()
    wait_for_another_picture(page, root, 0, image)
    page.locator(".dgm-sliders img[alt^='example 0']").wait_for()


def test_the_interpolation_is_walked(page):
    root = page.locator(".dgm-interpolation")
    pictures = root.locator("img.dgm-picture")
    pictures.nth(5).wait_for()
    place = source(pictures.nth(1))
    slider(root, 2).focus()
    page.keyboard.press("PageUp")
    wait_for_another_picture(page, root, 1, place)
    slider(root, 1).focus()
    page.keyboard.press("ArrowRight")
    root.locator("img[alt*='from example 0 to example 2']").nth(2).wait_for()


def test_the_player_plays_and_is_scrubbed(page):
    root = page.locator(".dgm-player")
    picture = root.locator("img.dgm-picture")
    first = source(picture)
    soon(page, lambda: picture.get_attribute("alt").startswith("state 1 of 13"))
    root.locator(".jupyter-widgets.widget-play button").first.click()
    wait_for_another_picture(page, root, 0, first)
    root.locator("img[alt^='state 13 of 13']").wait_for()  # it plays to the end
    slider(root, 0).focus()
    page.keyboard.press("Home")
    root.locator("img[alt^='state 1 of 13']").wait_for()
    again = source(picture)
    root.get_by_role("button", name="Run again").click()

    def at_the_end_again():  # a key pressed before the new run is there goes to the old one
        slider(root, 0).focus()
        page.keyboard.press("End")
        return picture.get_attribute("alt").startswith("state 13 of 13")

    soon(page, at_the_end_again)
    soon(page, lambda: source(picture) != again)


def test_the_dial_turns(page):
    root = page.locator(".dgm-dial")
    rows, curve = (source(root.locator("img.dgm-picture").nth(i)) for i in (0, 1))
    root.locator("img[alt^='β = 0.5']").wait_for()
    slider(root, 0).focus()
    page.keyboard.press("ArrowRight")
    wait_for_another_picture(page, root, 0, rows)
    wait_for_another_picture(page, root, 1, curve)
    root.locator("img[alt^='β = 1.0']").wait_for()
    root.locator("caption", has_text="β = 1.0").wait_for()


def test_images_are_ink_on_paper_in_a_dark_theme_too(page):
    pad = PadOnPage(page, "fast")
    pad.root.locator("select[name=Label]").select_option("0")
    pad.drag((0, 0), (1.5, 1.5))
    pad.wait_for("z₁ = 1.5")
    pad.root.locator("select[name=Background]").select_option(label="images")
    grey = """(node, [across, down]) => node.getContext('2d').getImageData(
        Math.floor(across * node.width), Math.floor(down * node.height), 1, 1).data[0]"""
    decoded = pad.root.locator(".dgm-pad-decoded")
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.evaluate(change, theme)
        page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
        soon(page, lambda: decoded.evaluate(grey, [0.75, 0.25]) < 120)  # the blob at (1.5, 1.5)
        soon(page, lambda: decoded.evaluate(grey, [0.05, 0.95]) > 240)  # far from it
        # the blob of the first cell, at (−3, 3), lies in its upper left corner; the lower right is paper
        page.wait_for_function(f"node => ({grey})(node, [52 / 340, 20 / 340]) > 215", arg=pad.plane.element_handle())
    pad.root.locator("select[name=Background]").select_option(label="points")


def test_every_visible_picture_has_words(page):
    pictures = page.locator("img.dgm-picture:visible")
    alts = pictures.evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) >= 14
    assert all(len(alt) > 10 for alt in alts)


def test_the_server_has_loaded_the_extension_by_itself(lab):
    assert "dgmcourse.server | extension was successfully loaded" in lab.log.read_text(errors="replace")


def test_keys_and_mouse_serve_in_notebook_7_too(lab, browser):
    cells = [CELLS[0], CELLS[1], CELLS[6]]
    page = run_cells(browser, lab, "notebook7", cells, app="notebooks")
    pad = PadOnPage(page, "fast")
    pad.drag((0, 0), (1.0, 1.0))
    pad.wait_for("z₁ = 1.0")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    pad.wait_for("z₁ = 0.00, z₂ = −0.10")
    dial = page.locator(".dgm-dial")
    slider(dial, 0).focus()
    page.keyboard.press("ArrowRight")
    dial.locator("caption", has_text="β = 1.0").wait_for()
    page.close()
