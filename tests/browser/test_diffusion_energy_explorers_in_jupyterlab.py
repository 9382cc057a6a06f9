"""Noising, DenoisingPlayer and EnergyLandscape, driven in real JupyterLab by mouse and keyboard."""

import re

import pytest
from harness import root_of, run_cells, soon, wait_for_alt

pytestmark = pytest.mark.browser

CELLS = [
    """import torch
from exact_denoisers import ExactDiffusion
from dgmcourse.core import Space
from dgmcourse.data import digits, toy_density
from dgmcourse.explorers import DenoisingPlayer, EnergyLandscape, Noising
from dgmcourse.models import Diffusion
_ = torch.manual_seed(0)""",
    "Noising(toy_density('eight_gaussians'))",
    "Noising(digits(levels=17), 'cosine', t=0.5)",
    "DenoisingPlayer(ExactDiffusion(), 300, steps=10, truth=toy_density('eight_gaussians'))",
    "DenoisingPlayer(Diffusion(Space.binary(1, 8, 8), classes=10, hidden=(32, 32)), 9, steps=10)",
    "EnergyLandscape(toy_density('eight_gaussians'))",
]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with all of them, run to its end in JupyterLab."""
    page = run_cells(browser, lab, "diffusion_energy", CELLS)
    yield page
    page.close()


def number_in(root, row):
    words = root.locator("table tr", has_text=row).first.locator("td").first.inner_text()
    return float(re.search(r"[−\d.]+", words)[0].replace("−", "-"))


def nth_root(page, name, n):
    root = page.locator(f".dgm-{name}").nth(n)
    root.locator("img.dgm-picture").first.wait_for()
    root.scroll_into_view_if_needed()
    return root


# --- Noising -----------------------------------------------------------------------------------------------------------


def test_points_become_noise_by_keys_and_by_playing(page):
    root = root_of(page, "noising")
    wait_for_alt(
        root, "400 noised points over their exact density and its score as arrows; schedule linear (DDPM), t = 0:"
    )
    root.locator(".noUi-handle").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    wait_for_alt(root, "t = 0.02:")
    soon(page, lambda: number_in(root, "sigma:") > 0)
    root.get_by_label("show the score").uncheck()
    wait_for_alt(root, "400 noised points over their exact density; schedule")
    root.get_by_label("show the score").check()
    root.locator(".widget-play button").first.click()
    wait_for_alt(root, "t = 1: alpha 0.00635, sigma 1")
    root.get_by_text("Here sampling starts.").wait_for()


def test_another_schedule_is_chosen_and_other_noise_drawn(page):
    root = root_of(page, "noising")
    root.locator("select", has_text="straight line").select_option(label="straight line")
    wait_for_alt(root, "schedule straight line, t =")
    source = root.locator("img.dgm-picture").first.get_attribute("src")
    root.get_by_role("button", name="New noise").click()
    soon(page, lambda: root.locator("img.dgm-picture").first.get_attribute("src") != source)
    assert root.get_by_role("alert").count() == 0


def test_images_lie_beside_the_best_guess_of_them(page):
    root = nth_root(page, "noising", 1)
    wait_for_alt(root, "16 noised images; schedule cosine, t = 0.5")
    wait_for_alt(root, "The best guess of each image under its noise")
    before = number_in(root, "images that it could be")
    root.locator(".noUi-handle").first.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    soon(page, lambda: number_in(root, "images that it could be") > before)


# --- DenoisingPlayer ---------------------------------------------------------------------------------------------------


def test_dials_run_again_from_the_same_noise(page):
    root = root_of(page, "denoising")
    wait_for_alt(root, "noise, before step 1 of 10: 300 points in the plane; ddim, 10 steps: 10 evaluations")
    root.locator("select", has_text="heun").select_option("heun")
    wait_for_alt(root, "heun, 10 steps: 19 evaluations of the network, mean −log p under the truth")
    wait_for_alt(root, "The run before: ddim, 10 steps")
    root.locator("table tr", has_text="heun, 10 steps").first.wait_for()
    root.locator(".widget-play button").first.click()
    wait_for_alt(root, "after step 10 of 10")
    root.locator(".noUi-handle").nth(1).focus()  # steps
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "after step 15 of 15")
    root.get_by_role("button", name="Run again").click()
    wait_for_alt(root, "noise, before step 1 of 15")


def test_labels_and_guidance_are_dials_of_a_conditional_model(page):
    root = nth_root(page, "denoising", 1)
    wait_for_alt(root, "9 images in a grid; ddim, 10 steps: 10 evaluations")
    root.locator("select", has_text="each in turn").select_option("3")
    wait_for_alt(root, "ddim, 10 steps, label 3: 10 evaluations")
    root.locator(".noUi-handle").last.focus()  # guidance
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "ddim, 10 steps, label 3, w = 0.5: 20 evaluations")
    assert root.get_by_role("alert").count() == 0


# --- EnergyLandscape ---------------------------------------------------------------------------------------------------


def test_a_click_drops_particles_where_it_points(page):
    root = root_of(page, "landscape")
    wait_for_alt(root, "An energy landscape with 8 valleys")
    handle = root.locator(".dgm-handle").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x + 100, y - 60)
    wait_for_alt(root, "particles, steps 50, 0")

    def there():
        box = handle.bounding_box()
        across, down = box["x"] + box["width"] / 2 - x, box["y"] + box["height"] / 2 - y
        return (across, down) == (pytest.approx(100, abs=3), pytest.approx(-60, abs=3))

    soon(page, there)
    page.mouse.click(x + 100, y - 60)  # once more, on the cross itself
    wait_for_alt(root, "particles, steps 100, 0")


def test_the_cross_is_moved_and_pressed_by_keys(page):
    root = root_of(page, "landscape")
    handle = root.locator(".dgm-handle").first
    before = handle.get_attribute("aria-valuetext")
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    handle.focus()
    cell = page.evaluate(active)
    page.keyboard.press("Shift+ArrowLeft")
    soon(page, lambda: handle.get_attribute("aria-valuetext") != before)
    page.keyboard.press("Enter")
    wait_for_alt(root, "particles, steps 150, 0")
    page.keyboard.press("Space")
    wait_for_alt(root, "particles, steps 200, 0")
    assert page.evaluate(active) == cell
    soon(page, lambda: "jp-mod-editMode" not in page.locator(".jp-Notebook").first.get_attribute("class"))


def test_particles_walk_and_are_counted(page):
    root = root_of(page, "landscape")
    root.get_by_role("button", name="100 steps").click()
    wait_for_alt(root, "particles, steps 200, 100")
    root.locator(".widget-play button").first.click()
    soon(page, lambda: int(re.search(r"particles, steps 200, (\d+)", root.locator("img.dgm-picture").first.get_attribute("alt"))[1]) > 110)  # fmt: skip
    root.locator(".widget-play button").first.click()
    root.locator("select", has_text="Metropolis").select_option(label="Metropolis-adjusted (MALA)")
    root.get_by_role("button", name="1 step", exact=True).click()
    soon(page, lambda: number_in(root, "accepted in the last steps") > 80)
    root.get_by_role("button", name="Clear").click()
    root.get_by_text("No particles walk.").wait_for()


# --- all of them -------------------------------------------------------------------------------------------------------


def test_every_picture_has_words(page):
    alts = "images => images.filter(image => image.clientWidth > 0).map(image => image.alt)"
    soon(page, lambda: len(page.locator("img.dgm-picture").evaluate_all(alts)) >= 9)
    assert all(len(alt) > 30 for alt in page.locator("img.dgm-picture").evaluate_all(alts))


def test_cross_and_slider_take_keys_in_notebook_7_too(lab, browser):
    page = run_cells(browser, lab, "energy7", [*CELLS[:2], CELLS[-1]], app="notebooks")
    root = root_of(page, "noising")
    root.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    wait_for_alt(root, "t = 0.005:")
    root = root_of(page, "landscape")
    root.locator(".dgm-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_alt(root, "particles, steps 50, 0")
    page.close()
