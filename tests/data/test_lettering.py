"""Glyphs: the images show the characters, each factor does what it says, nothing is clipped, bad input is refused."""

import math

import numpy as np
import pytest
import torch

from dgmcourse.data import GLYPH_FACTORS, GLYPH_FONTS, GlyphRenderer, glyphs
from dgmcourse.data.lettering import _outline

LETTERS = "AJQWgjm@&0189"


def drawn(renderer, **factors):
    factors = {name: torch.as_tensor(value) for name, value in factors.items()}
    n = max(value.numel() for value in factors.values())
    return renderer.draw({"class": torch.zeros(n, dtype=torch.int64)} | {k: v.expand(n) for k, v in factors.items()})


def moments(images):
    """Center of the ink of each image (n, 2), to the right and upward, as fractions of the side; and its covariance."""
    side = images.shape[-1]
    axis = (torch.arange(side) + 0.5) / side - 0.5
    points = torch.stack((axis.expand(side, side), -axis[:, None].expand(side, side)), -1).view(-1, 2)
    weight = images.flatten(1) / images.flatten(1).sum(-1, keepdim=True)
    center = weight @ points
    offset = points - center[:, None]
    return center, torch.einsum("np,npi,npj->nij", weight, offset, offset)


def test_images_equal_an_independent_rasterizer():
    """Matplotlib's own renderer fills the transformed outline; the distance fields must give the same picture."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Affine2D

    renderer = GlyphRenderer(64, LETTERS)
    setting = {"slant": 10.0, "rotation": -8.0, "scale": 0.9, "x": 0.03, "y": -0.04}
    for font in range(len(renderer.fonts)):
        ours = renderer.draw(
            {"class": torch.arange(len(LETTERS)), "font": torch.full((len(LETTERS),), font)}
            | {name: torch.full((len(LETTERS),), value) for name, value in setting.items()}
        )
        for image, character in zip(ours, LETTERS, strict=True):
            agg = RendererAgg(64, 64, 72)
            brush = agg.new_gc()
            brush.set_linewidth(0)
            place = Affine2D(np.array([[1, math.tan(math.radians(10)), 0], [0, 1, 0], [0, 0, 1]]))
            place = place.rotate_deg(-8).scale(64 * 0.9 * renderer._height).translate(32 + 64 * 0.03, 32 - 64 * 0.04)
            agg.draw_path(brush, _outline(renderer.fonts[font], character), place, rgbFace=(0.0, 0.0, 0.0))
            theirs = torch.from_numpy(np.asarray(agg.buffer_rgba())[..., 3] / 255.0).float()
            assert float((image[0] - theirs).abs().sum()) < 0.08 * float(theirs.sum()), (
                renderer.fonts[font],
                character,
            )


def test_position_moves_the_ink_right_and_up_by_fractions_of_the_side():
    renderer = GlyphRenderer(40, "H")
    (still, right, up), _ = moments(drawn(renderer, x=[0.0, 0.06, 0.0], y=[0.0, 0.0, 0.06]))
    torch.testing.assert_close(right - still, torch.tensor([0.06, 0.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(up - still, torch.tensor([0.0, 0.06]), atol=1e-3, rtol=0)


def test_rotation_turns_the_ink_counter_clockwise_by_degrees():
    renderer = GlyphRenderer(64, "I", fonts=("DejaVu Sans",), vary={"rotation": (-90, 90)})
    _, covariance = moments(drawn(renderer, rotation=[0.0, 12.0, 90.0]))
    angle = torch.atan2(2 * covariance[:, 0, 1], covariance[:, 0, 0] - covariance[:, 1, 1]).rad2deg() / 2
    torch.testing.assert_close(angle[:2].remainder(180), torch.tensor([90.0, 102.0]), atol=0.3, rtol=0)
    assert abs(float(angle[2])) < 0.3  # lying


def test_slant_leans_to_the_right_and_keeps_the_height():
    renderer = GlyphRenderer(64, "I", fonts=("DejaVu Sans",))
    _, covariance = moments(drawn(renderer, slant=[0.0, 12.0]))
    shear = covariance[:, 0, 1] / covariance[:, 1, 1]  # how far right per height
    torch.testing.assert_close(shear, torch.tensor([0.0, math.tan(math.radians(12))]), atol=5e-3, rtol=0)
    torch.testing.assert_close(covariance[0, 1, 1], covariance[1, 1, 1], rtol=1e-2, atol=0)


def test_scale_scales_and_weight_thickens():
    renderer = GlyphRenderer(64, "8")
    _, covariance = moments(drawn(renderer, scale=[0.8, 1.0]))
    torch.testing.assert_close(covariance[0] / covariance[1], torch.full((2, 2), 0.64), rtol=0.02, atol=math.inf)
    assert float((covariance[0].diagonal() / covariance[1].diagonal() - 0.64).abs().max()) < 0.02
    ink = drawn(renderer, weight=torch.linspace(-0.01, 0.05, 7)).flatten(1).sum(-1)
    assert (ink.diff() > 0).all()


@pytest.mark.parametrize("side", [8, 28, 65])
@pytest.mark.parametrize("characters", ["0123456789", LETTERS])
def test_nothing_is_clipped(side, characters):
    data = glyphs(side, characters, n=(1500, 1, 1))
    image = data.train
    border = torch.cat((image[..., 0], image[..., -1], image[..., 0, :], image[..., -1, :]), -1)
    assert float(border.max()) == 0
    ink = image.flatten(1).mean(-1)
    assert float(ink.min()) > 0.005  # and every one shows something


def test_nothing_is_clipped_at_the_extremes_of_all_ranges_together():
    renderer = GlyphRenderer(32, LETTERS)
    ends = [torch.tensor(GLYPH_FACTORS[name]) for name in GLYPH_FACTORS]
    corners = torch.cartesian_prod(*ends)
    values = dict(zip(GLYPH_FACTORS, corners.T, strict=True))
    for k, font in ((k, f) for k in range(len(LETTERS)) for f in (0, 1, 6)):
        image = renderer.draw(
            values | {"class": torch.full((len(corners),), k), "font": torch.full((len(corners),), font)}
        )
        assert float(image[..., [0, -1]].max()) == float(image[..., [0, -1], :].max()) == 0


def test_dataset_has_the_space_labels_and_independent_uniform_factors():
    data = glyphs(n=(4000, 50, 60))
    data.space.check(data.train, values=True)
    assert str(data.space) == "grey(1, 28, 28, levels=256)"
    assert data.classes == 10
    for factors, labels in ((data.factors, data.train_labels), (data.test_factors, data.test_labels)):
        assert torch.equal(factors["class"], labels)
        assert labels.dtype == factors["font"].dtype == torch.int64
        assert set(factors) == {"class", "font", *GLYPH_FACTORS}
    for name, (low, high) in GLYPH_FACTORS.items():
        values = data.factors[name]
        assert low <= float(values.min()) < float(values.max()) <= high
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=5 * (high - low) / math.sqrt(12 * 4000))
    assert data.factors["font"].bincount().tolist() == pytest.approx([4000 / len(GLYPH_FONTS)] * 7, rel=0.2)
    table = torch.stack([values.float() for values in data.factors.values()])
    correlation = torch.corrcoef(table) - torch.eye(len(table))
    assert float(correlation.abs().max()) < 5 / math.sqrt(4000)


def test_renderer_draws_the_dataset_again_from_its_factors():
    data = glyphs(20, "abc", n=(300, 5, 5), seed=4)
    assert torch.equal(GlyphRenderer(20, "abc").draw(data.factors), data.train)
    assert torch.equal(GlyphRenderer(20, "abc").draw(data.test_factors), data.test)


def test_seed_decides_and_splits_are_independent_of_each_other():
    data, again, other = (glyphs(12, "01", n=(n, 5, 5), seed=seed) for n, seed in ((9, 0), (7, 0), (9, 1)))
    assert torch.equal(data.test, again.test)
    assert not torch.equal(data.test, other.test)


def test_only_what_is_named_varies():
    data = glyphs(28, "5", n=(200, 1, 1), vary=("rotation",))
    for name in (*GLYPH_FACTORS, "font"):
        assert (len(data.factors[name].unique()) > 1) == (name == "rotation")
    assert len(glyphs(28, "5", n=(20, 1, 1), vary=()).train.unique(dim=0)) == 1
    wide = glyphs(28, "5", n=(200, 1, 1), vary={"rotation": (-90, 90), "font": None})
    assert float(wide.factors["rotation"].abs().max()) > 60
    assert len(wide.factors["font"].unique()) == 7


def test_fonts_and_characters_look_different():
    renderer = GlyphRenderer(28, "0123456789")
    k = torch.arange(70)
    images = renderer.draw({"class": k % 10, "font": k // 10}).view(7, 10, -1)
    for font in images:
        assert float((torch.cdist(font, font) + 99 * torch.eye(10)).min()) > 2
    pages = images.flatten(1)
    assert float((torch.cdist(pages, pages) + 99 * torch.eye(7)).min()) > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": 4}, "side must be from 8"),
        ({"side": 28.0}, "side must be from 8"),
        ({"characters": ""}, "at least one character"),
        ({"characters": "aba"}, "none may come twice"),
        ({"characters": "a b"}, "draws nothing for ' '"),
        ({"characters": "é"}, "Computer Modern draws nothing for 'é'"),
        ({"characters": "中", "fonts": ("DejaVu Sans",)}, "DejaVu Sans draws nothing for '中'"),
        ({"fonts": ("Arial",)}, "fonts must be some of DejaVu Sans"),
        ({"fonts": ()}, "fonts must be some of DejaVu Sans"),
        ({"vary": ("bold",)}, "vary must name some of font, slant"),
        ({"vary": "font"}, r"write vary=\('font',\)"),
        ({"vary": {"scale": (0.0, 1.0)}}, "scale must be positive"),
        ({"vary": {"x": (0.6, 0.6)}}, "less than half the side"),
        ({"vary": {"x": 0.1}}, r"must be \(low, high\)"),
        ({"vary": {"x": (0.1, math.nan)}}, r"must be \(low, high\)"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        glyphs(n=(2, 2, 2), **arguments)


def test_bad_factors_are_refused_in_words():
    renderer = GlyphRenderer(12, "01", fonts=("STIX",))
    zero = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="need 'class'"):
        renderer.draw({"font": zero})
    with pytest.raises(ValueError, match="need 'class'"):
        renderer.draw({"class": zero, "boldness": zero})
    with pytest.raises(ValueError, match="one shape"):
        renderer.draw({"class": zero, "x": torch.zeros(2)})
    with pytest.raises(ValueError, match="'class' must be from 0 to 1"):
        renderer.draw({"class": zero + 2})
    with pytest.raises(ValueError, match="'font' must be from 0 to 0"):
        renderer.draw({"class": zero, "font": zero + 1})
    with pytest.raises(ValueError, match="three positive sizes"):
        glyphs(n=100)
