"""FitByHand, EMStepper and LatentPad on an autoencoder, driven in real JupyterLab by mouse, finger and keyboard."""

import re

import pytest
from harness import run_cells, soon

pytestmark = pytest.mark.browser

CELLS = [
    """import time
import torch
from dgmcourse.data import digits, toy_density
from dgmcourse.explorers import EMStepper, FitByHand, LatentPad
from dgmcourse.models import Autoencoder
_ = torch.manual_seed(0)

class Fragile(FitByHand):
    def _score(self):
        if self.means[0] > 5:
            raise RuntimeError("nothing to see here")
        super()._score()

class Slow(FitByHand):
    def _score(self):
        time.sleep(0.15)
        super()._score()""",
    "FitByHand().add_class('first')",
    "EMStepper(toy_density('banana').sample(400, torch.Generator().manual_seed(0)), 3, truth=toy_density('banana'))",
    "Fragile(components=1).add_class('fragile')",
    "slow = Slow(width=300).add_class('slow'); slow",
    "data = digits(levels=17); model = Autoencoder(data.space, 2, hidden=(32,))\n"
    "LatentPad(model, data.test, data.test_labels)",
]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with all of them, run to its end in JupyterLab."""
    page = run_cells(browser, lab, "introduction", CELLS)
    yield page
    page.close()


class Handled:
    """A picture with handles as the browser shows it."""

    def __init__(self, page, selector):
        self.page, self.root = page, page.locator(selector).first
        self.handles = self.root.locator(".dgm-handle")
        self.handles.first.wait_for()
        self.handles.first.scroll_into_view_if_needed()

    @property
    def picture(self):
        return self.root.locator(".dgm-handled img").first

    def text(self, handle=0):
        """What a screen reader says of the handle's place."""
        return self.handles.nth(handle).get_attribute("aria-valuetext")

    def middle(self, handle=0):
        box = self.handles.nth(handle).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, handle, dx, dy, moves=10):
        """Take hold a little off the middle, and move by so many pixels."""
        x, y = self.middle(handle)
        self.page.mouse.move(x + 4, y - 3)
        self.page.mouse.down()
        for i in range(1, moves + 1):
            self.page.mouse.move(x + 4 + dx * i / moves, y - 3 + dy * i / moves)
        self.page.mouse.up()

    def wait_for_text(self, pattern, handle=0):
        self.page.wait_for_function(
            "([node, pattern]) => new RegExp(pattern).test(node.getAttribute('aria-valuetext'))",
            arg=[self.handles.nth(handle).element_handle(), pattern],
        )

    def wait_for_another(self, text, handle=0):
        """Wait until the handle's place is another, and every request has been answered."""
        self.page.wait_for_function(
            "([node, old]) => node.getAttribute('aria-valuetext') !== old",
            arg=[self.handles.nth(handle).element_handle(), text],
        )
        self.page.wait_for_timeout(400)

    def wait_for_picture(self, words):
        self.root.locator(f".dgm-handled img[alt*='{words}']").wait_for()


def mean_of(text):
    """The mean that a Gaussian's handle tells of."""
    return float(re.match(r"mean ([−\d.]+)", text)[1].replace("−", "-"))


def std_of(text):
    return float(re.search(r"σ ([\d.]+)", text)[1])


@pytest.fixture
def fit(page):
    found = Handled(page, ".dgm-fit.first")
    found.root.get_by_role("button", name="two Gaussians").click()
    found.root.get_by_role("button", name="Start again").click()
    found.wait_for_text("mean −0.05, σ 1.10")
    found.page.wait_for_timeout(300)
    return found


@pytest.fixture
def em(page):
    found = Handled(page, ".dgm-em")
    found.root.get_by_role("button", name="Back to start").click()
    found.wait_for_picture("at the start")
    return found


# --- FitByHand -------------------------------------------------------------------------------------------------------


def test_dragging_a_gaussian_moves_its_mean_its_width_and_every_number(fit):
    before, table = fit.text(), fit.root.locator("table").inner_text()
    x, y = fit.middle()
    fit.drag(0, -110, -30)
    fit.wait_for_another(before)
    per_pixel = 11 / fit.root.locator(".dgm-handles").bounding_box()["width"]  # the plane is 11 wide
    soon(fit.page, lambda: mean_of(fit.text()) == pytest.approx(-0.05 - 110 * per_pixel, abs=2 * per_pixel))
    soon(fit.page, lambda: std_of(fit.text()) < 1.10)  # up is narrower
    soon(fit.page, lambda: fit.middle() == pytest.approx((x - 110, y - 30), abs=2))  # where the hand left it
    soon(fit.page, lambda: fit.root.locator("table").inner_text() != table)
    soon(fit.page, lambda: fit.text().split("; ")[1].split(" ")[1] in fit.picture.get_attribute("alt"))  # same number
    soon(fit.page, lambda: "places: now" in fit.root.locator("img").nth(1).get_attribute("alt"))


def test_the_pointer_may_leave_the_plane_and_the_mean_stops_at_its_edge(fit):
    fit.drag(1, 900, 0)
    fit.wait_for_text("mean 6.00", handle=1)
    text = fit.text(1)
    fit.page.mouse.move(*fit.middle(0))  # the button is up: nothing follows
    fit.page.wait_for_timeout(300)
    assert fit.text(1) == text


def test_no_press_of_a_key_is_lost_and_the_notebook_keeps_its_place(fit):
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    fit.handles.nth(0).focus()
    cell = fit.page.evaluate(active)
    for _ in range(10):  # faster than Python answers
        fit.page.keyboard.press("ArrowLeft")
    fit.wait_for_text("mean −1.15, σ 1.10")
    fit.page.keyboard.press("Shift+ArrowRight")
    fit.wait_for_text("mean −0.60, σ 1.10")
    fit.page.keyboard.press("ArrowUp")
    fit.wait_for_text("mean −0.60, σ 1.05")
    assert fit.page.evaluate(active) == cell


def test_handles_are_announced_and_their_focus_is_seen(fit):
    assert [fit.handles.nth(k).get_attribute("aria-label") for k in (0, 1)] == ["Gaussian 1", "Gaussian 2"]
    assert fit.page.get_by_role("slider", name="Gaussian 1", exact=True).count() >= 1
    soon(fit.page, lambda: "log-likelihood −2.894 nats" in fit.text())
    outline = "node => getComputedStyle(node).outlineStyle + ' ' + getComputedStyle(node).outlineWidth"
    fit.handles.nth(0).focus()
    assert fit.handles.nth(0).evaluate(outline) == "solid 3px"
    assert fit.handles.nth(1).evaluate(outline).startswith("none")
    fit.page.keyboard.press("Tab")  # no trap
    assert fit.handles.nth(1).evaluate("node => node === document.activeElement")
    size = fit.handles.nth(0).bounding_box()
    assert min(size["width"], size["height"]) >= 24  # a finger finds it


def test_a_finger_drags_too(fit):
    session = fit.page.context.new_cdp_session(fit.page)
    x, y = fit.middle()

    def touch(kind, *place):
        points = [dict(zip("xy", place, strict=True))] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", x, y)
    for i in range(1, 6):
        touch("touchMove", x - 20 * i, y)
    touch("touchEnd")
    fit.wait_for_text("mean −2")
    session.detach()


def test_the_best_fits_stand_beside_until_hidden(fit):
    button = fit.root.get_by_role("button", name="Fit by EM")
    button.click()
    fit.root.locator("table th", has_text="fit by EM").wait_for()
    fit.wait_for_picture("fit by EM: 0.3")
    button.click()
    fit.root.locator("table th", has_text="fit by EM").wait_for(state="detached")
    fit.root.get_by_role("button", name="one Gaussian").click()
    fit.page.wait_for_function(
        "root => root.querySelectorAll('.dgm-handle').length === 1", arg=fit.root.element_handle()
    )
    fit.root.locator(".noUi-handle").first.wait_for(state="hidden")  # one Gaussian has no weight
    fit.root.get_by_role("button", name="Least KL(p‖q)").click()
    fit.wait_for_picture("least KL(p‖q): 1·N(0.1, 2.09²)")


def test_the_weight_is_a_slider_and_p_can_be_hidden(fit):
    handle = fit.root.locator(".noUi-handle").first
    handle.focus()
    fit.page.keyboard.press("ArrowRight")
    fit.wait_for_picture("q = 0.51·N(−0.05, 1.1²) + 0.49·N(3.8, 1.1²)")
    source = fit.picture.get_attribute("src")
    fit.root.get_by_role("checkbox", name="show p").click()
    fit.page.wait_for_function("([root, old]) => root.querySelector('.dgm-handled img').src !== old",
                               arg=[fit.root.element_handle(), source])  # fmt: skip
    fit.root.get_by_role("checkbox", name="show p").click()


def test_a_failure_is_told_in_words_and_the_next_move_works(page):
    fragile = Handled(page, ".dgm-fit.fragile")
    fragile.drag(0, 600, 0)
    fragile.root.get_by_role("alert").get_by_text("nothing to see here").wait_for()
    before = fragile.text()
    fragile.drag(0, -30, 0)
    fragile.root.get_by_role("alert").get_by_text("nothing").wait_for(state="detached")
    fragile.wait_for_another(before)


def test_while_python_is_slow_the_handle_stays_under_the_hand_and_old_places_are_skipped(page):
    slow = Handled(page, ".dgm-fit.slow")
    root = slow.root.locator(".dgm-handled")
    before = int(root.get_attribute("data-answers"))
    x, y = slow.middle()
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(60):
        page.mouse.move(x - i, y)
        page.wait_for_timeout(5)
    assert slow.middle()[0] == pytest.approx(x - 59, abs=2)  # although Python is far behind
    page.mouse.up()
    page.wait_for_timeout(1200)
    soon(page, lambda: slow.middle() == pytest.approx((x - 59, y), abs=2))
    soon(page, lambda: 2 <= int(root.get_attribute("data-answers")) - before < 55)  # of 60 places: some were skipped


# --- EMStepper -------------------------------------------------------------------------------------------------------


def number_in(em, row):
    """A number of the table, as text."""
    return em.root.locator("table tr", has_text=row).first.locator("td").first.inner_text()


def test_e_steps_and_m_steps_change_picture_words_and_numbers(em):
    source = em.picture.get_attribute("src")
    em.root.get_by_role("button", name="E-step").click()
    em.wait_for_picture("after the E-step of iteration 1")
    soon(em.page, lambda: em.picture.get_attribute("src") != source)
    soon(em.page, lambda: number_in(em, "KL(q") == "0.00000")
    soon(em.page, lambda: number_in(em, "ELBO") == number_in(em, "log p(x)"))
    em.root.get_by_role("button", name="M-step").click()
    em.wait_for_picture("after the M-step of iteration 1")
    em.root.get_by_role("status").get_by_text("a gap opens").wait_for()
    soon(em.page, lambda: float(number_in(em, "KL(q")) > 0)
    em.root.get_by_role("button", name="10 iterations").click()
    em.wait_for_picture("after the M-step of iteration 11")
    em.root.locator("img[alt^='After the M-step of iteration 11: log p(x)']").wait_for()


def test_playing_goes_on_by_itself_and_a_step_by_hand_stops_it(em):
    em.root.locator("select").select_option(label="fast")
    em.root.locator(".widget-play button").first.click()
    em.wait_for_picture("of iteration 3")
    em.root.get_by_role("button", name="Back to start").click()
    em.wait_for_picture("at the start")
    em.page.wait_for_timeout(600)
    assert "at the start" in em.picture.get_attribute("alt")


def test_a_dragged_mean_is_a_new_start(em):
    em.root.get_by_role("button", name="10 iterations").click()
    em.wait_for_picture("after the M-step of iteration 10")
    before, (x, y) = em.text(2), em.middle(2)
    em.drag(2, 40, -60)
    em.wait_for_another(before, handle=2)
    em.wait_for_picture("at the start")
    soon(em.page, lambda: em.middle(2) == pytest.approx((x + 40, y - 60), abs=2))
    assert em.handles.nth(2).get_attribute("aria-label") == "Mean of component 3"
    before = em.text(2)
    em.handles.nth(2).focus()
    em.page.keyboard.press("ArrowDown")
    em.wait_for_another(before, handle=2)


def test_the_number_of_components_is_a_slider(em):
    handle = em.root.locator(".noUi-handle").first
    handle.focus()
    em.page.keyboard.press("ArrowRight")
    em.wait_for_picture("a mixture of 4 Gaussians")
    soon(em.page, lambda: em.handles.count() == 4)
    em.page.keyboard.press("ArrowLeft")
    em.wait_for_picture("a mixture of 3 Gaussians")
    soon(em.page, lambda: em.handles.count() == 3)


# --- LatentPad on an autoencoder -------------------------------------------------------------------------------------


def test_an_autoencoders_plane_shows_codes_on_decoded_images(page):
    root = page.locator(".dgm-pad").first
    plane = root.locator(".dgm-pad-plane")
    plane.scroll_into_view_if_needed()
    choice = root.locator("select[name=Background]")
    drawn = "([node, old]) => node.toDataURL() !== old"
    seen = set()
    for background in ("points", "images", "points on images"):
        old = plane.evaluate("node => node.toDataURL()")
        if choice.input_value() != str(["points", "points on images", "images", "none"].index(background)):
            choice.select_option(label=background)
            page.wait_for_function(drawn, arg=[plane.element_handle(), old])
            page.wait_for_timeout(200)
        seen.add(plane.evaluate("node => node.toDataURL()"))
    assert len(seen) == 3
    image = root.locator(".dgm-pad-decoded")
    before = image.evaluate("node => node.toDataURL()")
    box = plane.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function(drawn, arg=[image.element_handle(), before])
    soon(page, lambda: "nearest example: " in plane.get_attribute("aria-valuetext"))


# --- all of them -----------------------------------------------------------------------------------------------------


def test_every_picture_has_words_with_numbers(page):
    alts = page.locator("img.dgm-picture").evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) >= 8
    assert all(len(alt) > 60 and re.search(r"\d\.\d\d", alt) for alt in alts)


def test_hand_and_keys_serve_in_notebook_7_too(lab, browser):
    cells = [CELLS[0], CELLS[1]]
    page = run_cells(browser, lab, "introduction7", cells, app="notebooks")
    fit = Handled(page, ".dgm-fit.first")
    before = fit.text()
    fit.drag(0, -60, 0)
    fit.wait_for_another(before)
    mean = mean_of(fit.text())
    fit.handles.nth(0).focus()
    page.keyboard.press("ArrowRight")
    fit.wait_for_text(f"mean {mean + 0.11:.2f}|mean {mean + 0.1:.2f}|mean {mean + 0.12:.2f}".replace("-", "−"))
    page.close()
