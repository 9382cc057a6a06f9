"""FilterWall, GanGame and LatentWalk, driven in real JupyterLab by mouse and keyboard."""

import re

import pytest
from harness import root_of, run_cells, soon, wait_for_alt

pytestmark = pytest.mark.browser

CELLS = [
    """import torch
from latent_models import Blobs
from dgmcourse.data import digits
from dgmcourse.explorers import FilterWall, GanGame, LatentWalk
from dgmcourse.models import RBM
from dgmcourse.training import fit
_ = torch.manual_seed(0)
data = digits(levels=2)
rbm = RBM(data.space, 25)
fit(rbm, data, steps=150, lr=1e-2, progress=False)

class Fragile(Blobs):
    def decode(self, z, y=None):
        if y is not None and (y == 2).any():
            raise RuntimeError("nothing to see here")
        return super().decode(z, y)""",
    "FilterWall(rbm, data.test)",
    "GanGame({'hidden': (32, 32)})",
    "LatentWalk(Fragile(4, classes=3), anchors=5, steps=12)",
]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with all of them, run to its end in JupyterLab."""
    page = run_cells(browser, lab, "boltzmann_gan", CELLS)
    yield page
    page.close()


def wait_for_another(page, locator, attribute, old):
    page.wait_for_function("([node, name, old]) => node.isConnected && node.getAttribute(name) !== old",
                           arg=[locator.element_handle(), attribute, old])  # fmt: skip


def click_tile(tiles, i, columns, rows):
    """Click into the middle of tile i."""
    tiles.scroll_into_view_if_needed()
    box = tiles.bounding_box()
    tiles.click(position={"x": (i % columns + 0.5) * box["width"] / columns,
                          "y": (i // columns + 0.5) * box["height"] / rows})  # fmt: skip


def place_in(element, whole):
    """Where the middle of an element lies in another, as shares of its width and height."""
    inner, outer = element.bounding_box(), whole.bounding_box()
    return ((inner["x"] + inner["width"] / 2 - outer["x"]) / outer["width"],
            (inner["y"] + inner["height"] / 2 - outer["y"]) / outer["height"])  # fmt: skip


# --- FilterWall --------------------------------------------------------------------------------------------------------


def test_a_unit_is_chosen_by_click_and_by_keys_and_the_notebook_keeps_its_place(page):
    root = root_of(page, "filters")
    wall = root.locator(".dgm-tiles").first
    click_tile(wall, 7, 5, 5)
    wait_for_alt(root, "Weights of unit 7;")
    soon(page, lambda: place_in(wall.locator(".dgm-tile-chosen"), wall) == pytest.approx((2.5 / 5, 1.5 / 5), abs=0.02))
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    cell = page.evaluate(active)
    for key, unit in (("ArrowDown", 12), ("ArrowRight", 13), ("Home", 0), ("ArrowLeft", 0), ("End", 24)):
        page.keyboard.press(key)
        wait_for_alt(root, f"Weights of unit {unit};")
    assert page.evaluate(active) == cell
    assert wall.get_attribute("role") == "slider"
    assert wall.get_attribute("aria-label") == "Filters of 25 hidden units"
    soon(page, lambda: wall.get_attribute("aria-valuenow") == "25")
    page.wait_for_function(
        "node => /^unit 24: .*bias/.test(node.getAttribute('aria-valuetext'))", arg=wall.element_handle()
    )
    assert (
        wall.evaluate("node => getComputedStyle(node).outlineStyle + getComputedStyle(node).outlineWidth") == "solid3px"
    )


def test_units_are_switched_off_and_an_exciting_image_is_reconstructed(page):
    root = root_of(page, "filters")
    root.get_by_role("button", name="Switch unit off").click()
    wait_for_alt(root, "1 unit off")
    soon(page, lambda: root.locator(".dgm-tile-crossed").count() == 1)
    root.get_by_role("button", name="Switch unit on").wait_for()
    exciting = root.locator(".dgm-tiles").nth(1)
    words = exciting.locator("img").get_attribute("alt")
    third = re.search(r"images (\d+), (\d+), (\d+)", words)[3]
    click_tile(exciting, 2, 5, 2)
    wait_for_alt(root, f"Image {third} and its reconstructions")
    root.get_by_role("button", name="All units on").click()
    root.locator(".dgm-tile-crossed").first.wait_for(state="detached")


# --- GanGame -----------------------------------------------------------------------------------------------------------


def number_in(root, row):
    return root.locator("table tr", has_text=row).first.locator("td").first.inner_text()


def wait_for_number(root, row, value):
    root.locator("table tr", has_text=row).locator("td", has_text=re.compile(f"^{value}$")).wait_for()


def test_the_players_are_stepped_and_the_board_follows(page):
    root = root_of(page, "gan")
    board = root.locator("img.dgm-picture").first
    source = board.get_attribute("src")
    root.get_by_role("button", name="Critic: 10 steps").click()
    wait_for_number(root, "updates", "10, 0")
    root.get_by_role("button", name="Generator: 1 step").click()
    wait_for_number(root, "updates", "10, 1")
    soon(page, lambda: root.locator("img.dgm-picture").first.get_attribute("src") != source)
    root.get_by_role("button", name="Both: 100 steps").click()
    wait_for_number(root, "updates", "110, 101")
    wait_for_alt(root, "generator 110, 101")
    soon(page, lambda: root.get_by_role("status").inner_text())
    root.get_by_role("button", name="Start again").click()
    wait_for_number(root, "updates", "0, 0")


def test_board_and_buttons_stand_side_by_side_even_beside_the_file_browser(page):
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    try:
        root = root_of(page, "gan")
        page.wait_for_function("() => window.jupyterapp.shell.leftCollapsed === false")
        board, button = root.locator("img.dgm-picture").first, root.get_by_role("button", name="Critic: 1 step")
        soon(page, lambda: place_in(button, board)[0] > 1 and place_in(button, board)[1] < 1)
    finally:
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")


def test_the_game_plays_on_by_itself_and_the_dials_serve(page):
    root = root_of(page, "gan")
    root.locator(".widget-play button").first.click()
    page.wait_for_function(
        "root => parseInt(root.querySelector('table td').innerText) >= 15", arg=root.element_handle()
    )
    root.get_by_role("button", name="Start again").click()
    wait_for_number(root, "updates", "0, 0")
    root.locator("select").nth(1).select_option(label="hinge")
    root.locator("table tr", has_text="mean score on data").wait_for()
    dial = root.locator(".noUi-handle").first
    dial.focus()
    page.keyboard.press("ArrowRight")
    root.locator(".widget-readout", has_text=re.compile("^2$")).wait_for()
    source = root.locator("img.dgm-picture").first.get_attribute("src")
    root.get_by_role("checkbox", name="show D").click()
    page.wait_for_function("([root, old]) => root.querySelector('img.dgm-picture').src !== old",
                           arg=[root.element_handle(), source])  # fmt: skip
    assert root.get_by_role("alert").count() == 0


# --- LatentWalk --------------------------------------------------------------------------------------------------------


def test_a_walk_is_played_kept_and_walked_again(page):
    root = root_of(page, "walk")
    handle = root.locator(".noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "of the way from anchor 1 to 2")
    root.get_by_role("button", name="Keep this").click()
    wait_for_alt(root, "Images kept: 1")
    root.locator(".widget-play button").first.click()
    wait_for_alt(root, "from anchor 3 to 4")
    root.locator(".widget-play button").first.click()
    root.get_by_role("button", name="Keep this").click()
    wait_for_alt(root, "Images kept: 2")
    anchors = root.locator(".dgm-tiles").first
    click_tile(anchors, 4, 5, 1)
    wait_for_alt(root, "at anchor 5")
    page.keyboard.press("ArrowLeft")
    wait_for_alt(root, "at anchor 4")
    root.get_by_role("button", name="Walk through kept").click()
    wait_for_alt(root, "the 2 anchors of a path through the images kept")


def test_labels_are_chosen_and_a_failure_is_told_in_words(page):
    root = root_of(page, "walk")
    labels = root.locator("select").nth(1)
    labels.select_option(label="1")
    wait_for_alt(root, "label 1")
    labels.select_option(label="2")
    root.get_by_role("alert").get_by_text("nothing to see here").wait_for()
    labels.select_option(label="0")
    root.get_by_role("alert").get_by_text("nothing").wait_for(state="detached")


# --- all of them -------------------------------------------------------------------------------------------------------


def test_every_picture_has_words(page):
    alts = page.locator("img.dgm-picture").evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) >= 8
    assert all(len(alt) > 12 for alt in alts)


def test_the_wall_takes_clicks_and_keys_in_notebook_7_too(lab, browser):
    page = run_cells(browser, lab, "wall7", CELLS[:2], app="notebooks")
    root = root_of(page, "filters")
    click_tile(root.locator(".dgm-tiles").first, 6, 5, 5)
    wait_for_alt(root, "Weights of unit 6;")
    page.keyboard.press("ArrowUp")
    wait_for_alt(root, "Weights of unit 1;")
    page.close()
