"""Images to bytes: values, order, size."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dgmcourse.explorers.drawing import OUTLINES, PALETTE, Plane, ticks
from dgmcourse.explorers.pixels import EDGE, bordered, encode_png, enlarge, image_shape, small_png, tile, to_uint8


def test_values_become_bytes_and_are_clipped():
    images = torch.tensor([[[0.0, 0.5], [1.0, 2.0]], [[-1.0, 1 / 255], [0.2, 0.8]]])  # (2, 2, 2)
    ink_on_paper = [[[255, 128], [0, 0]], [[255, 254], [204, 51]]]  # 255 · (1 − value)
    assert to_uint8(images)[..., 0].tolist() == ink_on_paper
    assert to_uint8(images[:, None])[..., 0].tolist() == ink_on_paper


def test_colors_are_kept_and_grey_is_ink_on_paper():
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = (255 * images).round().permute(0, 2, 3, 1).numpy()
    assert (to_uint8(images) == expected).all()
    assert np.abs(to_uint8(images[:, :1]) - (255 - expected[..., :1])).max() <= 1


@pytest.mark.parametrize("bad", [torch.rand(2, 2, 4, 4), torch.rand(3, 2)])
def test_what_is_no_image_is_refused(bad):
    with pytest.raises(ValueError, match="images must have shape"):
        to_uint8(bad)
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(torch.full((1, 2, 2), float("nan")))


def test_image_shape_tells_images_from_other_things():
    assert image_shape((8, 9)) == (8, 9, 1)
    assert image_shape((1, 8, 9)) == (8, 9, 1)
    assert image_shape((3, 8, 9)) == (8, 9, 3)
    assert image_shape((2,)) is None
    assert image_shape((2, 8, 8)) is None


def test_tiles_are_read_row_by_row_with_gaps_between():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    sheet = tile(images, columns=3, gap=1, fill=99)
    assert sheet.shape == (5, 11, 1)
    assert sheet[0, [0, 4, 8], 0].tolist() == [0, 1, 2]
    assert sheet[3, [0, 4, 8], 0].tolist() == [3, 4, 255]  # the place left over is paper
    assert (sheet[2] == 99).all()
    assert (sheet[:, 3] == 99).all()


def test_white_images_on_a_white_page_are_told_apart():
    sheet = tile(torch.zeros(4, 1, 2, 2), gap=1, outer=True)[..., 0]  # four blank images
    assert sheet.shape == (7, 7)
    assert (sheet[[0, 3, 6]] == EDGE).all()
    assert (sheet[:, [0, 3, 6]] == EDGE).all()
    assert (sheet[np.ix_([1, 2, 4, 5], [1, 2, 4, 5])] == 255).all()
    assert (tile(torch.zeros(4, 1, 2, 2), gap=0) == 255).all()


def test_enlarged_pixels_keep_their_values():
    image = np.array([[[1], [2]], [[3], [4]]], np.uint8)
    assert enlarge(image, 2)[..., 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_only_the_marked_image_has_a_colored_edge():
    images = bordered(np.full((2, 4, 4, 1), 7, np.uint8), marked=1, color="#0a0b0c")
    assert images.shape == (2, 8, 8, 3)
    assert (images[0, 0] == 255).all()
    assert (images[0, 1, 1:-1] == EDGE).all()  # a thin line between paper and paper
    for line in (images[1, :2], images[1, -2:], images[1, :, :2], images[1, :, -2:]):
        assert (line == [10, 11, 12]).all()
    assert (images[:, 2:-2, 2:-2] == 7).all()


def test_png_holds_the_same_pixels():
    image = torch.randint(256, (5, 7, 3), generator=torch.Generator().manual_seed(0)).numpy().astype(np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(encode_png(image)))) == image).all()


def test_even_noise_is_made_to_fit_the_limit():
    noise = np.random.default_rng(0).integers(256, size=(600, 800, 3)).astype(np.uint8)
    png = small_png(Image.fromarray(noise), limit=40_000)
    assert len(png) <= 40_000
    assert Image.open(io.BytesIO(png)).width > 50


def test_ticks_are_round_and_inside():
    assert ticks(-3, 3, about=6) == [-3, -2, -1, 0, 1, 2, 3]
    assert ticks(0.13, 0.92, about=4) == [0.2, 0.4, 0.6, 0.8]
    assert ticks(0, 1e5, about=5) == [0, 20000, 40000, 60000, 80000, 100000]


def test_the_plane_maps_its_corners_to_its_box_and_sheets_do_not_share_ink():
    plane = Plane(200, 150, (-1, 1), (0, 10), "a", "b")
    left, top, right, bottom = plane.box
    assert plane.at(-1, 0) == (left, bottom)
    assert plane.at(1, 10) == (right, top)
    first, pen = plane.sheet()
    pen.rectangle([0, 0, 400, 300], fill="black")
    assert plane.sheet()[0].getpixel((150, 100)) != first.getpixel((150, 100))


def test_every_color_has_a_marker_of_its_own():
    assert len(OUTLINES) == len(PALETTE) == len(set(PALETTE))
    assert len({tuple(map(tuple, outline)) for outline in OUTLINES}) == len(OUTLINES)
    assert all(max(abs(c) for corner in outline for c in corner) <= 1 + 1e-9 for outline in OUTLINES)


def test_a_plane_without_a_height_is_square():
    left, top, right, bottom = Plane(300, None, (-3, 3), (-3, 3), "a", "b").box
    assert bottom - top == pytest.approx(right - left, abs=1)
