"""Handwriting and its relatives: the 8×8 digits that scikit-learn ships, MNIST, Fashion-MNIST and KMNIST."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..core import Space
from .dataset import Dataset
from .downloads import data_folder, download, search_folders
from .idx import DamagedFile, IdxFile

__all__ = [
    "FASHION_MNIST",
    "KMNIST",
    "MNIST",
    "ImageSource",
    "digits",
    "fashion_mnist",
    "kmnist",
    "load_images",
    "mnist",
]


def digits(levels: int = 2) -> Dataset:
    """1,797 handwritten digits, 8×8: the course's workhorse. Needs no network.

    The NIST scans that scikit-learn ships (Alpaydin & Kaynak, "Optical recognition of handwritten digits", 1998,
    https://doi.org/10.24432/C50P49), in the order of NumPy's RandomState(0).permutation: 1,300 to train, 200 to
    validate, 297 to test.

    Args:
        levels: 2 for binary images (more than 7.5 of 16 is ink) or 17 for all the grey levels.

    Returns:
        a dataset of binary(1, 8, 8) or grey(1, 8, 8, levels=17), float32, with labels 0 … 9, int64.

    Raises:
        ValueError: another number of levels.
    """
    import numpy
    from sklearn.datasets import load_digits

    if levels not in (2, 17):
        raise ValueError(f"digits have 2 levels (binary) or 17 (0 … 16, as scanned); got levels={levels!r}")
    scans = load_digits()
    order = numpy.random.RandomState(0).permutation(len(scans.data))  # the published split
    ink = torch.from_numpy(scans.data[order]).float().view(-1, 1, 8, 8)
    x = (ink > 7.5).float() if levels == 2 else ink / 16
    space = Space.binary(1, 8, 8) if levels == 2 else Space.grey(1, 8, 8, levels=17)
    labels = torch.from_numpy(scans.target[order]).long()
    name = "digits" if levels == 2 else f"digits_{levels}"
    return Dataset(name, space, *x.split((1300, 200, 297)), *labels.split((1300, 200, 297)), classes=10)


@dataclass(frozen=True)
class ImageSource:
    """A family member of MNIST: four IDX files, where to get them and how to know them.

    Attributes:
        title: how people call it.
        folder: where torchvision keeps it, under a data folder: `folder/raw/`.
        mirrors: addresses, tried in turn; each ends in "/".
        files: train images, train labels, test images, test labels.
        classes: number of labels.
    """

    title: str
    folder: str
    mirrors: tuple[str, ...]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    classes: int = 10


def _files(sha256: tuple = (None,) * 4, gz_sha256: tuple = (None,) * 4) -> tuple[IdxFile, ...]:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    shapes = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
    return tuple(map(IdxFile, names, shapes, sha256, gz_sha256))


MNIST = ImageSource(
    "MNIST",
    "MNIST",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    _files(
        sha256=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        )
    ),
)

# Of these two, only the compressed files have published checksums: those of TensorFlow Datasets.
FASHION_MNIST = ImageSource(
    "Fashion-MNIST",
    "FashionMNIST",
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    _files(
        gz_sha256=(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        )
    ),
)
KMNIST = ImageSource(
    "KMNIST",
    "KMNIST",
    ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    _files(
        gz_sha256=(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        )
    ),
)


def mnist(
    binarize: str | None = None, folder: str | Path | None = None, valid: int = 10000, progress: bool = True
) -> Dataset:
    """MNIST: 70,000 handwritten digits, 28×28. Downloaded once (11 MB), or found where it already is.

    LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", 1998,
    https://doi.org/10.1109/5.726791. Every file is verified by the SHA-256 of its decompressed bytes.

    Args:
        binarize: how grey becomes binary (likelihoods of different ways are not comparable).
            None: it stays grey, x/255.
            "dynamic": `train` stays grey and `transform` draws x ~ Bernoulli(grey) anew for each batch, from torch's
            global generator; `valid` and `test` are drawn once (seeds 1 and 2).
            "fixed": the same, and `train` too is drawn once (seed 0). Not the files of Larochelle & Murray (2011).
            "threshold": more than one half is ink.
        folder: where the files are, or shall be kept. None: the folder that the environment variable DGMCOURSE_DATA
            names, then the user's cache folder. In each, torchvision's `MNIST/raw/` and the folder itself are
            searched, for raw and for gzip files.
        valid: how many images, the last of the 60,000, validate.
        progress: show a bar while downloading.

    Returns:
        a dataset of grey(1, 28, 28, levels=256) or binary(1, 28, 28), float32, with labels 0 … 9, int64.

    Raises:
        DownloadFailed: no file and no network; the message says what to do.
        DamagedFile: a file that is truncated, corrupted or of the wrong shape; the message names it.
        ValueError: an argument out of range.
    """
    return load_images(MNIST, binarize, folder, valid, progress)


def fashion_mnist(
    binarize: str | None = None, folder: str | Path | None = None, valid: int = 10000, progress: bool = True
) -> Dataset:
    """Fashion-MNIST: 70,000 pictures of clothes, 28×28, ten kinds. Downloaded once (30 MB). As `mnist`.

    Xiao, Rasul & Vollgraf, "Fashion-MNIST", 2017, https://arxiv.org/abs/1708.07747 (MIT license). Verified by the
    SHA-256 of the compressed files.
    """
    return load_images(FASHION_MNIST, binarize, folder, valid, progress)


def kmnist(
    binarize: str | None = None, folder: str | Path | None = None, valid: int = 10000, progress: bool = True
) -> Dataset:
    """Kuzushiji-MNIST: 70,000 cursive Japanese characters, 28×28, ten classes. Downloaded once (21 MB). As `mnist`.

    Clanuwat et al., "Deep learning for classical Japanese literature", 2018, https://arxiv.org/abs/1812.01718
    (CC BY-SA 4.0). Verified by the SHA-256 of the compressed files.
    """
    return load_images(KMNIST, binarize, folder, valid, progress)


def load_images(
    source: ImageSource,
    binarize: str | None = None,
    folder: str | Path | None = None,
    valid: int = 10000,
    progress: bool = True,
) -> Dataset:
    """A member of the MNIST family as a dataset; `mnist` tells the arguments and what is raised."""
    if binarize not in (None, "dynamic", "fixed", "threshold"):
        raise ValueError(f"binarize must be None, 'dynamic', 'fixed' or 'threshold', got {binarize!r}")
    total = source.files[0].shape[0]
    if not isinstance(valid, int) or not 0 < valid < total:
        raise ValueError(f"valid must be from 1 to {total - 1:,} of the {total:,} training images, got {valid!r}")
    images, labels, test, test_labels = (_locate(source, file, folder, progress) for file in source.files)
    for file, values in zip((source.files[1], source.files[3]), (labels, test_labels), strict=True):
        if int(values.max()) >= source.classes:
            raise ValueError(f"{file.name} of {source.title} holds the label {int(values.max())}; delete the file")
    train, held_out = images.split((total - valid, valid))
    space, splits, transform = _as_floats((train, held_out, test), binarize)
    return Dataset(
        source.folder.lower() + (f"_{binarize}" if binarize else ""),
        space,
        *splits,
        *labels.long().split((total - valid, valid)),
        test_labels.long(),
        classes=source.classes,
        transform=transform,
    )


def draw_binary(x: Tensor) -> Tensor:
    """x ~ Bernoulli(grey), entry by entry, from torch's global generator: dynamic binarization."""
    return (torch.rand_like(x) < x).to(x.dtype)


def _as_floats(splits: tuple[Tensor, ...], binarize: str | None):
    """Bytes (n, height, width) as float32 (n, 1, height, width): the space, three splits and the transform."""
    shape = (1, *splits[0].shape[1:])
    if binarize is None:
        return Space.grey(*shape, levels=256), [_grey(x) for x in splits], None
    if binarize == "threshold":
        return Space.binary(*shape), [(x > 127).float().unsqueeze(1) for x in splits], None
    grey = [_grey(x) for x in splits]
    drawn = [x if binarize == "dynamic" and seed == 0 else _drawn_once(x, seed) for seed, x in enumerate(grey)]
    return Space.binary(*shape), drawn, draw_binary if binarize == "dynamic" else None


def _grey(x: Tensor) -> Tensor:
    return x.float().div_(255).unsqueeze(1)


def _drawn_once(x: Tensor, seed: int) -> Tensor:
    return (torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < x).float()


def _locate(source: ImageSource, file: IdxFile, folder: str | Path | None, progress: bool) -> Tensor:
    """The contents of one file, found or downloaded; a found file that is damaged is refused, not replaced."""
    roots = search_folders() if folder is None else [Path(folder).expanduser()]
    for root in roots:
        for place in (root / source.folder / "raw", root / source.folder, root):
            for path in _forms(file, place, own=place != root):
                try:
                    return file.read(path)
                except DamagedFile:
                    if place == root and _belongs_to_another(source, path):
                        continue
                    raise
    home = (data_folder() if folder is None else roots[0]) / source.folder / "raw"
    destination = home / f"{file.name}.gz"
    instead = "use digits(), which needs no network"
    read = partial(file.read, strict=True)
    return download(source.mirrors, destination, read, instead=instead, progress=progress)


def _forms(file: IdxFile, place: Path, own: bool) -> list[Path]:
    """The file as it may lie in a folder, raw or compressed: what can be verified first, in shared folders alone."""
    forms = [(place / file.name, False), (place / f"{file.name}.gz", True)]
    forms.sort(key=lambda form: not file.verifiable(form[1]))
    return [path for path, compressed in forms if path.is_file() and (own or file.verifiable(compressed))]


def _belongs_to_another(source: ImageSource, path: Path) -> bool:
    """Whether a file is the intact one of a sister dataset: they share file names, so a folder may hold either."""
    for other in (MNIST, FASHION_MNIST, KMNIST):
        for file in other.files:
            if other != source and file.name == path.name.removesuffix(".gz"):
                try:
                    file.read(path)
                    return file.verifiable(path.suffix == ".gz")
                except DamagedFile:
                    continue
    return False
