"""ScoreboardExplorer, driven in real JupyterLab and Notebook 7 by mouse and keyboard."""

import pytest
from harness import root_of, run_cells, soon, wait_for_alt

pytestmark = pytest.mark.browser

CELLS = [
    """from small_boards import five_models, images
from dgmcourse.explorers import ScoreboardExplorer""",
    "ScoreboardExplorer(five_models(), images('exact', 'bounded', 'GAN'))",
]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with one, run to its end in JupyterLab."""
    page = run_cells(browser, lab, "scoreboard", CELLS)
    yield page
    page.close()


def choose(root, label, option):
    root.get_by_label(label, exact=True).select_option(option)


def middle(element):
    """Where an element lies in the window; None while it is not there."""
    box = element.bounding_box()
    return box and (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def ring(root, letter):
    return root.get_by_role("slider", name=f"Model {letter}")


def first_cells(root):
    """The ranked models, as the table has them."""
    return [words.strip() for words in root.locator(".dgm-ranking th[scope=row]").all_inner_texts()]


def test_another_quantity_is_chosen_and_the_table_sorted_by_it(page):
    root = root_of(page, "scores")
    wait_for_alt(root, "6 models, Fréchet against log p(x); not placed: GAN, energy, broken")
    soon(page, lambda: first_cells(root) == ["exact", "bounded", "worse", "GAN", "energy", "broken"])
    choose(root, "rank by", "Fréchet")
    wait_for_alt(root, "6 models, log p(x) against Fréchet; not placed: GAN, energy, broken")
    soon(page, lambda: root.get_by_label("against", exact=True).input_value() == "log p(x)")  # they changed places
    choose(root, "against", "ms/sample")
    wait_for_alt(root, "6 models, ms/sample against Fréchet; not placed: broken")
    soon(page, lambda: first_cells(root) == ["exact", "GAN", "bounded", "energy", "worse", "broken"])
    root.get_by_text(
        "Fréchet distance between samples and test examples in course features. Less is better."
    ).wait_for()
    root.get_by_text("failed: the loss is not finite").first.wait_for()


def test_two_models_are_compared_in_words_and_samples(page):
    root = root_of(page, "scores")
    choose(root, "rank by", "log p(x)")
    choose(root, "A", "exact")
    choose(root, "B", "bounded")
    root.get_by_text("bounded's is only a bound, the truth may be higher").wait_for()
    wait_for_alt(root, "Samples of A, exact and of B, bounded.")
    choose(root, "B", "worse")
    root.get_by_role("status").get_by_text("exact is certainly better than worse in log p(x) and probe.").wait_for()
    wait_for_alt(root, "Samples of A, exact.")
    soon(page, lambda: root.locator(".dgm-chosen").count() == 2)


def test_rings_go_from_model_to_model_by_keys(page):
    root = root_of(page, "scores")
    choose(root, "A", "worse")
    choose(root, "B", "exact")
    wait_for_alt(root, "A: worse, place 3: log p(x) = −25.00")
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    ring(root, "A").focus()
    cell = page.evaluate(active)
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "A: bounded, place 1–2: log p(x) ≥ −19.00")
    soon(page, lambda: ring(root, "A").get_attribute("aria-valuetext").startswith("bounded, place 1–2"))
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    wait_for_alt(root, "A: GAN, no place: log p(x) GAN samples, but cannot score")
    ring(root, "B").focus()
    page.keyboard.press("Shift+ArrowLeft")
    wait_for_alt(root, "B: worse, place 3")
    soon(page, lambda: root.get_by_label("B", exact=True).input_value() == "worse")
    assert page.evaluate(active) == cell


def test_a_ring_is_dragged_and_a_dot_clicked(page):
    root = root_of(page, "scores")
    choose(root, "A", "exact")
    choose(root, "B", "bounded")
    wait_for_alt(root, "A: exact, place 1–2")
    wait_for_alt(root, "B: bounded, place 1–2")
    ring(root, "A").scroll_into_view_if_needed()
    choose(root, "A", "worse")
    soon(page, lambda: ring(root, "A").get_attribute("aria-valuetext").startswith("worse"))
    target = middle(ring(root, "A"))
    choose(root, "A", "exact")
    soon(page, lambda: ring(root, "A").get_attribute("aria-valuetext").startswith("exact"))
    soon(page, lambda: middle(ring(root, "A")) != target)
    start = middle(ring(root, "B"))
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + target[0]) / 2, (start[1] + target[1]) / 2)
    page.mouse.move(target[0] + 6, target[1] - 5)
    page.mouse.up()
    wait_for_alt(root, "B: worse, place 3")
    soon(page, lambda: middle(ring(root, "B")) == pytest.approx(target, abs=2))  # it snaps to the dot
    page.mouse.click(start[0] + 4, start[1] + 4)
    wait_for_alt(root, "A: bounded, place 1–2")
    assert root.get_by_role("alert").count() == 0


def test_it_fits_the_window_and_every_picture_has_words(page):
    root = root_of(page, "scores")
    inside = "node => node.scrollWidth <= node.clientWidth + 1"
    soon(page, lambda: root.evaluate(inside))
    alts = "images => images.filter(image => image.clientWidth > 0).map(image => image.alt)"
    soon(page, lambda: len(page.locator("img.dgm-picture").evaluate_all(alts)) == 2)
    assert all(len(alt) > 20 for alt in page.locator("img.dgm-picture").evaluate_all(alts))


def test_rings_take_keys_in_notebook_7_too(lab, browser):
    page = run_cells(browser, lab, "scoreboard7", CELLS, app="notebooks")
    root = root_of(page, "scores")
    wait_for_alt(root, "A: exact, place 1–2")
    ring(root, "A").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wait_for_alt(root, "A: worse, place 3")
    choose(root, "rank by", "Fréchet")
    soon(page, lambda: first_cells(root)[:2] == ["exact", "GAN"])
    page.close()
