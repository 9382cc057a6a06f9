"""FlowMorph, NextToken and completion by TrajectoryPlayer, driven in real JupyterLab by mouse and keyboard."""

import re

import pytest
from harness import root_of, run_cells, soon, wait_for_alt

pytestmark = pytest.mark.browser

CELLS = [
    """import torch
from plane_flows import Waves
from dgmcourse.data import digits, text, toy_density
from dgmcourse.explorers import FlowMorph, NextToken, TrajectoryPlayer
from dgmcourse.models import MADE
from dgmcourse.training import fit
_ = torch.manual_seed(0)
words, images = text("markov", length=32), digits(levels=2)
reader, painter = MADE(words.space, hidden=(64,)), MADE(images.space, hidden=(128,))
fit(reader, words, steps=150, lr=1e-2, progress=False)
fit(painter, images, steps=150, lr=1e-2, progress=False)
top = torch.zeros(1, 8, 8, dtype=torch.bool)
top[:, :4] = True""",
    "FlowMorph(Waves(), toy_density('pinwheel').sample(800))",
    "NextToken(reader, words, 'in a tree ')",
    "TrajectoryPlayer(painter, n=9, given=(images.test[:1], top), size=300)",
]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with all of them, run to its end in JupyterLab."""
    page = run_cells(browser, lab, "flow_text", CELLS)
    yield page
    page.close()


def number_in(root, row):
    return root.locator("table tr", has_text=row).first.locator("td").first.inner_text()


def as_number(words):
    return float(re.search(r"[−\d.]+", words)[0].replace("−", "-"))


# --- FlowMorph ---------------------------------------------------------------------------------------------------------


def test_the_grid_bends_by_keys_and_by_playing(page):
    root = root_of(page, "morph")
    wait_for_alt(root, "noise: state 0 of 4")
    root.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "between states 0 and 1 of 4")
    source = root.locator("img.dgm-picture").first.get_attribute("src")
    root.locator(".widget-play button").first.click()
    wait_for_alt(root, "data: state 4 of 4")
    soon(page, lambda: root.locator("img.dgm-picture").first.get_attribute("src") != source)

    def sums_up():
        start, log_det, density = (as_number(number_in(root, row)) for row in ("log N", "log|det|", "= log density"))
        return start + log_det == pytest.approx(density, abs=0.0015)

    soon(page, sums_up)


def test_a_point_is_followed_wherever_it_is_dragged_to(page):
    root = root_of(page, "morph")
    handle = root.locator(".dgm-handle").first
    handle.scroll_into_view_if_needed()
    before, box = handle.get_attribute("aria-valuetext"), handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 11):
        page.mouse.move(x - 8 * i, y + 3 * i)
    page.mouse.up()
    page.wait_for_function("([node, old]) => node.getAttribute('aria-valuetext') !== old",
                           arg=[handle.element_handle(), before])  # fmt: skip

    def middle():
        box = handle.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.wait_for_timeout(600)
    soon(page, lambda: middle() == pytest.approx((x - 80, y + 30), abs=8))
    assert handle.get_attribute("aria-label") == "The point P"
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    cell, before = page.evaluate(active), handle.get_attribute("aria-valuetext")
    handle.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("([node, old]) => node.getAttribute('aria-valuetext') !== old",
                           arg=[handle.element_handle(), before])  # fmt: skip
    assert page.evaluate(active) == cell
    assert (
        handle.evaluate("node => getComputedStyle(node).outlineStyle + getComputedStyle(node).outlineWidth")
        == "solid3px"
    )


def test_colors_and_direction_are_chosen(page):
    root = root_of(page, "morph")
    choices = root.locator("select")
    for label in ("area: stretched or squeezed", "density", "none"):
        source = root.locator("img.dgm-picture").first.get_attribute("src")
        choices.nth(1).select_option(label=label)
        page.wait_for_function("([root, old]) => root.querySelector('img.dgm-picture').src !== old",
                               arg=[root.element_handle(), source])  # fmt: skip
    choices.nth(0).select_option(label="data → noise")
    wait_for_alt(root, "on its way from data to noise")
    root.locator("table tr", has_text="log p(x) at the start").wait_for()
    assert root.get_by_role("alert").count() == 0


# --- NextToken ---------------------------------------------------------------------------------------------------------


def test_typing_moves_the_bars_and_unknown_characters_are_told(page):
    root = root_of(page, "next")
    box = root.locator("textarea")
    box.click()
    page.keyboard.press("End")
    page.keyboard.type("tea")
    wait_for_alt(root, "after “in a tree tea”")
    root.locator("table tr", has_text="surprise of 13 characters").wait_for()
    page.keyboard.type("!")
    root.get_by_role("alert").get_by_text("‘!’ is not in the alphabet of markov").wait_for()
    page.keyboard.press("Backspace")
    root.get_by_role("alert").get_by_text("alphabet").wait_for(state="detached")
    soon(page, lambda: box.input_value() == "in a tree tea")


def test_buttons_write_on_and_reset(page):
    root = root_of(page, "next")
    box = root.locator("textarea")
    count = len(box.input_value())
    for name, more in (("Append the likeliest", 1), ("Sample one", 1), ("Sample 40", 40)):
        root.get_by_role("button", name=name).click()
        count += more
        root.locator("table tr", has_text=f"surprise of {count} characters").wait_for()
        soon(page, lambda count=count: len(box.input_value()) == count)
    soon(page, lambda: root.locator("span[title$='bits']").count() == count)
    root.get_by_role("button", name="Reset").click()
    root.locator("table tr", has_text="surprise of 10 characters").wait_for()
    soon(page, lambda: box.input_value() == "in a tree ")


def test_dials_cut_the_bars(page):
    root = root_of(page, "next")
    before = as_number(number_in(root, "what is drawn from"))
    root.locator(".noUi-handle").nth(1).focus()  # top-k, from 8 characters down to 6
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(r"root => (root.querySelector('img.dgm-picture').alt.match(/\(cut\)/g) || []).length === 2",
                           arg=root.element_handle())  # fmt: skip
    root.locator(".noUi-handle").nth(0).focus()  # temperature
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("([root, old]) => parseFloat([...root.querySelectorAll('table tr')].find(row => "
                           "row.innerText.includes('drawn from')).querySelector('td').innerText) < old - 0.05",
                           arg=[root.element_handle(), before])  # fmt: skip


# --- TrajectoryPlayer --------------------------------------------------------------------------------------------------


def test_a_digit_is_completed_pixel_by_pixel(page):
    root = root_of(page, "player")
    wait_for_alt(root, "31 of 64 entries to come, 32 given")
    root.locator(".noUi-handle").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    wait_for_alt(root, "28 of 64 entries to come, 32 given")
    root.locator(".widget-play button").first.click()
    wait_for_alt(root, "state 32 of 32")
    root.get_by_role("button", name="Run again").click()
    wait_for_alt(root, "state 1 of 32")
    assert root.get_by_role("alert").count() == 0


# --- all of them -------------------------------------------------------------------------------------------------------


def test_every_picture_has_words(page):
    alts = page.locator("img.dgm-picture").evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) >= 3
    assert all(len(alt) > 30 for alt in alts)


def test_grid_and_text_take_keys_in_notebook_7_too(lab, browser):
    page = run_cells(browser, lab, "flow7", CELLS[:3], app="notebooks")
    root = root_of(page, "morph")
    root.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "between states 0 and 1 of 4")
    root = root_of(page, "next")
    root.locator("textarea").click()
    page.keyboard.press("End")
    page.keyboard.type("a")
    wait_for_alt(root, "after “in a tree a”")
    page.close()
