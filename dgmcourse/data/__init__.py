"""The data of the course: what is known exactly, what scikit-learn and matplotlib ship, and what is downloaded once."""

from .bars import BarsAndStripes, bars_and_stripes
from .dataset import Dataset
from .downloads import DATA_VARIABLE, DownloadFailed, data_folder
from .handwriting import digits, fashion_mnist, kmnist, mnist
from .idx import DamagedFile
from .lettering import GLYPH_FACTORS, GLYPH_FONTS, GlyphRenderer, glyphs
from .line import LineMixture
from .markov import MarkovSource
from .texts import course_prose, markov_text, text, tiny_shakespeare
from .time_series import ARProcess, RegimeProcess, series
from .toys import TOYS, ToyDensity, toy, toy_density

__all__ = [
    "DATA_VARIABLE",
    "GLYPH_FACTORS",
    "GLYPH_FONTS",
    "TOYS",
    "ARProcess",
    "BarsAndStripes",
    "DamagedFile",
    "Dataset",
    "DownloadFailed",
    "GlyphRenderer",
    "LineMixture",
    "MarkovSource",
    "RegimeProcess",
    "ToyDensity",
    "bars_and_stripes",
    "course_prose",
    "data_folder",
    "digits",
    "fashion_mnist",
    "glyphs",
    "kmnist",
    "markov_text",
    "mnist",
    "series",
    "text",
    "tiny_shakespeare",
    "toy",
    "toy_density",
]
