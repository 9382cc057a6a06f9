"""Images to bytes: values, order, size."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dgmcourse.explorers.drawing import OUTLINES, PALETTE, Plane, ticks
from dgmcourse.explorers.pixels import (
    EDGE,
    bordered,
    encode_drawing,
    encode_png,
    enlarge,
    image_shape,
    small_png,
    tile,
    to_uint8,
)


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


# --- drawing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def plane():
    return Plane(300, 200, (0, 10), (0, 1), "a", "b")


def row_at(image, plane, y):
    """The pixels along the plane at this height, (columns, 3)."""
    left, _, right, _ = plane.box
    return np.asarray(image)[round(float(plane.at(0, y)[1])), round(left) + 2 : round(right) - 2]


def test_dashes_and_gaps_have_the_lengths_asked_for(plane):
    image, pen = plane.sheet()
    plane.curve(pen, [0, 3, 10], [0.55, 0.55, 0.55], "#ff0000", 2, dash=(10, 5))  # shown pixels: twice as many drawn
    red = (row_at(image, plane, 0.55) == [255, 0, 0]).all(-1)
    changes = np.flatnonzero(np.diff(red.astype(int)))
    lengths = np.diff(changes)
    assert len(changes) > 20
    assert all(abs(a - b) <= 2 for a, b in zip(lengths[::2], [lengths[0]] * len(lengths), strict=False))
    assert lengths[0] + lengths[1] == pytest.approx(30, abs=1)
    assert red.mean() == pytest.approx(2 / 3, abs=0.06)


def test_bars_stand_on_zero_and_reach_their_heights(plane):
    image, pen = plane.sheet()
    plane.bars(pen, [1, 3, 5, 7], [0.25, 0.0, 0.75], "#0000ff")

    def blue(x, y):
        return image.getpixel(tuple(round(float(value)) for value in plane.at(x, y))) == (0, 0, 255)

    assert [blue(2, 0.2), blue(2, 0.3), blue(4, 0.02), blue(6, 0.7), blue(6, 0.8), blue(8, 0.02)] == [True, False, False, True, False, False]  # fmt: skip


def test_what_leaves_the_axes_is_cut_off_and_what_is_inside_stays(plane):
    image, pen = plane.sheet()
    fresh = np.asarray(plane.sheet()[0])
    plane.curve(pen, [5, 5], [-1, 2], "#ff0000", 3)
    plane.curve(pen, [-5, 15], [0.3, 0.3], "#ff0000", 3)
    drawn = np.array(image)
    cut = np.asarray(plane.clip(image))
    left, top, right, bottom = (round(edge) for edge in plane.box)
    outside = np.ones(cut.shape[:2], bool)
    outside[top : bottom + 1, left : right + 1] = False
    assert (cut[outside] == fresh[outside]).all()
    assert (cut[~outside] == drawn[~outside]).all()
    assert (drawn[outside] != fresh[outside]).any()


def test_every_stamp_has_its_own_color_and_shape(plane):
    image, _ = plane.sheet()
    xy = np.array([[2, 0.5], [5, 0.5], [8, 0.5], [20, 0.5]])  # the last lies outside
    colors = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200], [9, 9, 9]])
    plane.stamp(image, xy, colors, np.array([0, 1, 2, 0]), radius=5)
    pixels = np.asarray(image)
    counts = [int((pixels == color).all(-1).sum()) for color in colors.tolist()]
    for (x, y), color in zip(xy[:3].tolist(), colors.tolist(), strict=False):
        assert image.getpixel(tuple(round(float(value)) for value in plane.at(x, y))) == tuple(color)
    assert counts[3] == 0
    disc, square, triangle, _ = (count / 10**2 for count in counts)  # of a radius of 10 image pixels
    assert disc == pytest.approx(3.06, abs=0.35)  # a polygon of 16 corners
    assert square == pytest.approx(2, abs=0.35)
    assert triangle == pytest.approx(1.3, abs=0.3)


def test_a_drawing_in_few_colors_keeps_them(plane):
    image, pen = plane.sheet()
    plane.curve(pen, [0, 10], [0.1, 0.9], "#d55e00", 3)
    shown = np.asarray(Image.open(io.BytesIO(encode_drawing(image, ("#d55e00",)))).convert("RGB")).astype(int)
    assert ((np.asarray(image) == [0xD5, 0x5E, 0]).all(-1) == (shown == [0xD5, 0x5E, 0]).all(-1)).all()
    assert np.abs(shown - np.asarray(image)).max() <= 17  # greys, a step away at most
