"""Glyphs: characters of the fonts that matplotlib ships, drawn with every factor known.

Each character of each font is rasterized once, as a signed distance field: how far inside (+) or outside (−) the
outline every point lies. Weight is then a shift of that field, and slant, rotation, scale and position are one affine
map, so that thousands of different images are a few batched operations.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Space
from .dataset import Dataset, split_generators, split_sizes

__all__ = ["GLYPH_FACTORS", "GLYPH_FONTS", "GlyphRenderer", "glyphs"]

GLYPH_FONTS = {
    "DejaVu Sans": "DejaVuSans.ttf",
    "DejaVu Serif": "DejaVuSerif.ttf",
    "DejaVu Sans Mono": "DejaVuSansMono.ttf",
    "STIX": "STIXGeneral.ttf",
    "Computer Modern": "cmr10.ttf",
    "Computer Modern Sans": "cmss10.ttf",
    "Computer Modern Mono": "cmtt10.ttf",
}
"""The fonts by name, and their files."""

GLYPH_FACTORS = {
    "slant": (-12.0, 12.0),
    "rotation": (-12.0, 12.0),
    "scale": (0.8, 1.0),
    "x": (-0.06, 0.06),
    "y": (-0.06, 0.06),
    "weight": (-0.01, 0.05),
}
"""The continuous factors and their default ranges, which are drawn from uniformly.

slant: degrees to the right; rotation: degrees counter-clockwise; scale: 1 is the largest that fits; x, y: of the
center, to the right and upward, as a fraction of the side; weight: thickening of the outline on either side, in
heights of a capital letter.
"""

_NEUTRAL = {"slant": 0.0, "rotation": 0.0, "scale": 1.0, "x": 0.0, "y": 0.0, "weight": 0.0}
_DISCRETE = ("class", "font")
_TEX_SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+,-./:;=?@[]")


def _font_file(font: str) -> str:
    import matplotlib

    return f"{matplotlib.get_data_path()}/fonts/ttf/{GLYPH_FONTS[font]}"


@functools.lru_cache(maxsize=4096)
def _outline(font: str, character: str):
    """A character's outline as a matplotlib Path: in heights of this font's H, centered on its bounding box.

    Raises:
        ValueError: the font does not draw this character.
    """
    from matplotlib.font_manager import FontProperties, get_font
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    known = not character.isspace() and ord(character) in get_font(_font_file(font)).get_charmap()
    if "Computer Modern" in font:  # made for TeX: beyond these, other characters sit at the usual codes
        known = character in _TEX_SAFE
    path = TextPath((0, 0), character, size=100, prop=FontProperties(fname=_font_file(font))) if known else None
    if path is None or len(path.vertices) == 0:
        raise ValueError(f"{font} draws nothing for {character!r}; leave that character out, or choose other fonts")
    box = path.get_extents()
    return Path((path.vertices - (box.p0 + box.p1) / 2) / _capital_height(font), path.codes)


@functools.lru_cache(maxsize=64)
def _capital_height(font: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), "H", size=100, prop=FontProperties(fname=_font_file(font))).get_extents().height


@functools.lru_cache(maxsize=2048)
def _distance_field(font: str, character: str, half: float, texels: int) -> Tensor:
    """Signed distance to the outline on [−half, half]², first row on top: (texels, texels), in capital heights."""
    import numpy
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Affine2D
    from scipy.ndimage import distance_transform_edt

    pixels = 2 * texels
    renderer = RendererAgg(pixels, pixels, 72)
    brush = renderer.new_gc()
    brush.set_linewidth(0)
    to_pixels = Affine2D().translate(half, half).scale(pixels / (2 * half))
    renderer.draw_path(brush, _outline(font, character), to_pixels, rgbFace=(0.0, 0.0, 0.0))
    ink = numpy.asarray(renderer.buffer_rgba())[..., 3] >= 128
    distance = distance_transform_edt(ink) - distance_transform_edt(~ink)  # ±1 beside the outline, never 0
    distance = torch.from_numpy(distance - numpy.sign(distance) / 2).float() * (2 * half / pixels)
    return F.avg_pool2d(distance[None, None], 2)[0, 0]


class GlyphRenderer:
    """Draws characters with given factors; the process behind `glyphs`.

    Characters are drawn as large as lets none of them touch the border at the extremes of all ranges together.

    Args:
        side: of the images, 8 or more.
        characters: the classes, in this order.
        fonts: names from `GLYPH_FONTS`.
        vary: which factors vary, by name ("font" among them), or a mapping from names to (low, high) ranges ("font"
            maps to None); what is not named stays neutral, the font the first of `fonts`. See `GLYPH_FACTORS`.

    Raises:
        ValueError: an argument out of range, or a character that a font does not have; the message says which.
    """

    def __init__(
        self,
        side: int = 28,
        characters: str = "0123456789",
        fonts: Sequence[str] = tuple(GLYPH_FONTS),
        vary: Iterable[str] | Mapping[str, tuple[float, float] | None] = ("font", *GLYPH_FACTORS),
    ):
        self.side, self.characters, self.fonts = side, characters, tuple(fonts)
        self._check_arguments()
        self.ranges = _ranges(vary)
        self.vary_font = "font" in vary
        self.space = Space.grey(1, side, side, levels=256)
        outlines = [_outline(font, character) for font in self.fonts for character in characters]
        thickest = max(self.ranges["weight"][1], 0.0)
        widest = max(abs(float(v)) for path in outlines for v in path.get_extents().extents)
        self._half = math.ceil(10 * (widest + thickest + 0.1)) / 10  # rounded, so that fields are shared
        self._height = self._largest(outlines, thickest)  # of a capital at scale 1, as a fraction of the side
        self._fields = self._make_fields()

    def _check_arguments(self) -> None:
        if not isinstance(self.side, int) or not 8 <= self.side <= 1024:
            raise ValueError(f"side must be from 8 to 1024 pixels, got {self.side!r}")
        if not isinstance(self.characters, str) or not self.characters:
            raise ValueError(f"characters must be a string of at least one character, got {self.characters!r}")
        if len(set(self.characters)) != len(self.characters):
            raise ValueError(f"every character is one class, so none may come twice; got {self.characters!r}")
        unknown = [font for font in self.fonts if font not in GLYPH_FONTS]
        if unknown or not self.fonts:
            raise ValueError(f"fonts must be some of {', '.join(GLYPH_FONTS)}; got {unknown or 'none'}")

    def _largest(self, outlines: list, thickest: float) -> float:
        """How large a capital may be so that every outline stays inside at the extremes of all ranges."""
        corners = [torch.from_numpy(path.interpolated(4).vertices) for path in outlines]
        points = torch.cat(corners).float()
        reach = 0.0
        for slant in self.ranges["slant"]:
            shear = math.tan(math.radians(slant))
            sheared = torch.stack((points[:, 0] + shear * points[:, 1], points[:, 1]), -1)
            low, high = self.ranges["rotation"]
            for angle in torch.linspace(math.radians(low), math.radians(high), 33).tolist():
                across = sheared @ torch.tensor([math.cos(angle), -math.sin(angle)])
                up = sheared @ torch.tensor([math.sin(angle), math.cos(angle)])
                reach = max(reach, float(across.abs().max()), float(up.abs().max()))
        stretch = 1 + max(abs(math.tan(math.radians(slant))) for slant in self.ranges["slant"])
        shift = max(abs(bound) for name in "xy" for bound in self.ranges[name])
        room = 0.5 - 1 / self.side - shift
        if room <= 0:
            raise ValueError(f"x and y may move the center by less than half the side, got a range up to {shift}")
        return room / (self.ranges["scale"][1] * (reach + thickest * stretch))

    def _make_fields(self) -> Tensor:
        """Distance fields of all fonts and characters: (fonts, characters, texels, texels)."""
        texels = 128 if self.side <= 64 else 256 if self.side <= 192 else 384
        fields = [[_distance_field(f, c, self._half, texels) for c in self.characters] for f in self.fonts]
        return torch.stack([torch.stack(row) for row in fields])

    def draw_factors(self, n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """n random settings of all factors: class and font int64, the others float32, each (n,)."""
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}")
        fonts = len(self.fonts) if self.vary_font else 1
        factors = {
            "class": torch.randint(len(self.characters), (n,), generator=generator),
            "font": torch.randint(fonts, (n,), generator=generator),
        }
        for name, (low, high) in self.ranges.items():
            factors[name] = low + (high - low) * torch.rand(n, generator=generator)
        return factors

    @torch.no_grad()
    def draw(self, factors: Mapping[str, Tensor]) -> Tensor:
        """Draw images with given factors: float32 (n, 1, side, side), white ink (1) on black (0), 256 levels.

        Args:
            factors: "class" (n,), and any others of the factors (n,); the rest are neutral. Values outside the
                ranges are drawn too, though perhaps not all inside the image.

        Raises:
            ValueError: an unknown factor, or different lengths.
        """
        n = self._check_factors(factors)
        device = factors["class"].device
        fields = self._fields.to(device)
        values = {name: factors.get(name, torch.full((n,), v, device=device)) for name, v in _NEUTRAL.items()}
        fonts = factors.get("font", torch.zeros_like(factors["class"]))
        images = []
        for rows in torch.arange(n, device=device).split(max(1, 2**21 // (self.side * self.side + 2**14))):
            part = {name: value[rows] for name, value in values.items()}
            images.append(self._render(fields[fonts[rows], factors["class"][rows]], part))
        return torch.cat(images)

    def _check_factors(self, factors: Mapping[str, Tensor]) -> int:
        unknown = set(factors) - set(_DISCRETE) - set(_NEUTRAL)
        if unknown or "class" not in factors:
            raise ValueError(f"factors need 'class', and may have font, {', '.join(_NEUTRAL)}; got {sorted(factors)}")
        lengths = {name: tuple(value.shape) for name, value in factors.items()}
        if len(set(lengths.values())) != 1 or len(lengths["class"]) != 1:
            raise ValueError(f"all factors must have one shape (n,), got {lengths}")
        for name, count in (("class", len(self.characters)), ("font", len(self.fonts))):
            values = factors.get(name)
            if values is not None and len(values) and not 0 <= int(values.min()) <= int(values.max()) < count:
                raise ValueError(f"factor {name!r} must be from 0 to {count - 1}, got {values.tolist()[:8]}")
        return len(factors["class"])

    def _render(self, fields: Tensor, factors: dict[str, Tensor]) -> Tensor:
        """Look up the field where each subpixel comes from, and turn distance into coverage."""
        size = self._height * factors["scale"]  # of a capital, as a fraction of the side
        subpixels = 2 if self.side >= 24 else 4  # along each side: strokes must not be thinner than one
        fine = subpixels * self.side
        grid = F.affine_grid(self._inverse_map(size, factors), [len(fields), 1, fine, fine], align_corners=False)
        distance = F.grid_sample(fields[:, None], grid, padding_mode="border", align_corners=False)
        inside = (distance + factors["weight"].view(-1, 1, 1, 1)) * (fine * size).view(-1, 1, 1, 1)  # in subpixels
        coverage = F.avg_pool2d((inside + 0.5).clamp(0, 1), subpixels)
        return (coverage * 255).round() / 255

    def _inverse_map(self, size: Tensor, factors: dict[str, Tensor]) -> Tensor:
        """From image coordinates in [−1, 1]², y down, to those of the field: (n, 2, 3).

        A point g of the glyph goes to size · R(rotation) · S(slant) · g + center; this is the inverse.
        """
        angle, shear = factors["rotation"].deg2rad(), factors["slant"].deg2rad().tan()
        cos, sin = angle.cos(), angle.sin()
        linear = torch.stack(
            (torch.stack((cos + shear * sin, sin - shear * cos), -1), torch.stack((-sin, cos), -1)), -2
        )
        linear = linear / (2 * size * self._half).view(-1, 1, 1)  # S⁻¹R⁻¹; an image coordinate is half a side
        offset = -linear @ torch.stack((2 * factors["x"], 2 * factors["y"]), -1)[..., None]
        flip = torch.tensor([1.0, -1.0], device=size.device)  # y points down in images and fields alike
        return torch.cat((flip[:, None] * linear * flip, flip[:, None] * offset), -1)


def _ranges(vary: Iterable[str] | Mapping[str, tuple[float, float] | None]) -> dict[str, tuple[float, float]]:
    """The range of each continuous factor; (neutral, neutral) for those that do not vary."""
    if isinstance(vary, str):
        raise ValueError(f"vary must be a tuple of names, got {vary!r}; write vary=({vary!r},)")
    unknown = [name for name in vary if name not in (*GLYPH_FACTORS, "font")]
    if unknown:
        raise ValueError(f"vary must name some of font, {', '.join(GLYPH_FACTORS)}; got {unknown}")
    ranges = {name: (neutral, neutral) for name, neutral in _NEUTRAL.items()}
    for name in vary:
        if name == "font":
            continue
        bounds = vary[name] if isinstance(vary, Mapping) else GLYPH_FACTORS[name]
        if not isinstance(bounds, Sequence) or len(bounds) != 2 or not -math.inf < bounds[0] <= bounds[1] < math.inf:
            raise ValueError(f"the range of {name!r} must be (low, high) with low ≤ high, got {bounds!r}")
        ranges[name] = (float(bounds[0]), float(bounds[1]))
    if ranges["scale"][0] <= 0 or max(map(abs, ranges["slant"])) > 60:
        raise ValueError(
            f"scale must be positive and slant within ±60 degrees, got {ranges['scale']}, {ranges['slant']}"
        )
    return ranges


def glyphs(
    side: int = 28,
    characters: str = "0123456789",
    n: tuple[int, int, int] = (10000, 2000, 2000),
    seed: int = 0,
    vary: Iterable[str] | Mapping[str, tuple[float, float] | None] = ("font", *GLYPH_FACTORS),
    fonts: Sequence[str] = tuple(GLYPH_FONTS),
) -> Dataset:
    """Printed characters whose every cause is known: class, font, slant, rotation, scale, position, weight.

    Needs no network: the fonts come with matplotlib. All factors are independent and uniform; nothing is clipped.
    `GlyphRenderer` with the same arguments draws further images, or the same ones with a factor changed.

    Args:
        side: of the images, 8 or more.
        characters: the classes, in this order.
        n: sizes of train, valid and test.
        seed: of the factors; each split has its own stream.
        vary: names of the factors that vary, or a mapping from names to (low, high); see `GLYPH_FACTORS`.
        fonts: names from `GLYPH_FONTS`.

    Returns:
        a dataset of grey(1, side, side, levels=256), float32, white ink on black. Labels are the classes; `factors`,
        `valid_factors` and `test_factors` hold all factors by name, (n,): class and font int64, the rest float32.

    Raises:
        ValueError: an argument out of range, or a character that a font does not have.
    """
    sizes = split_sizes(n)
    renderer = GlyphRenderer(side, characters, fonts, vary)
    factors = list(map(renderer.draw_factors, sizes, split_generators(seed)))
    images = map(renderer.draw, factors)
    labels = [f["class"].clone() for f in factors]
    train, valid, test = factors
    return Dataset(
        "glyphs",
        renderer.space,
        *images,
        *labels,
        classes=len(characters),
        factors=train,
        valid_factors=valid,
        test_factors=test,
    )
