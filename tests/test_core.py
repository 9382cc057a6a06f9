"""Spaces, bits per dimension, dequantization, and what saving refuses to do."""

import json
import math

import pytest
import torch

from dgmcourse.core import Kind, Latent, LogProb, Space
from dgmcourse.models import VAE, load_model

GREY = Space.grey(1, 2, 3, levels=17)


def test_spaces_know_their_size_and_print_as_they_are_made():
    assert [space.dim for space in (Space.real(2), Space.binary(1, 8, 8), GREY, Space.tokens(64, vocabulary=65))] == [
        2,
        64,
        6,
        64,
    ]
    assert str(Space.real(2)) == "real(2)"
    assert str(GREY) == "grey(1, 2, 3, levels=17)"
    assert Space.binary(1, 8, 8) == Space.binary(1, 8, 8)
    assert not Space.real(2).discrete
    assert GREY.discrete


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("positive sides", lambda: Space.real(0)),
        ("positive sides", lambda: Space.real()),
        ("levels=1", lambda: Space.grey(3, levels=1)),
        ("must be 'real'", lambda: Space("colour", (3,), 2)),
    ],
)
def test_impossible_spaces_are_refused(message, make):
    with pytest.raises(ValueError, match=message):
        make()


def test_bits_per_dim_of_a_fair_coin_is_one():
    log_prob = torch.full((3,), -6 * math.log(2))
    assert Space.binary(6).bits_per_dim(log_prob).tolist() == pytest.approx([1.0] * 3)
    assert Space.binary(6).bits_per_dim(LogProb(log_prob, Kind.EXACT)).tolist() == pytest.approx([1.0] * 3)
    uniform = torch.full((1,), -6 * math.log(17))
    assert float(GREY.bits_per_dim(uniform)) == pytest.approx(math.log2(17))


def test_dequantizing_and_quantizing_are_inverse():
    torch.manual_seed(0)
    for space in (GREY, Space.binary(1, 8, 8), Space.grey(4, levels=256)):
        x = torch.randint(space.levels, (500, *space.shape)) / (space.levels - 1)
        noisy = space.dequantize(x)
        assert float(noisy.min()) >= 0
        assert float(noisy.max()) < 1
        torch.testing.assert_close(space.quantize(noisy), x)
        torch.testing.assert_close(space.quantize(space.dequantize(torch.ones_like(x))), torch.ones_like(x))
    many = torch.randint(256, (2_000_000,)) / 255
    byte = Space.grey(1, levels=256)
    torch.testing.assert_close(byte.quantize(byte.dequantize(many)), many, rtol=0, atol=1e-6)
    real = torch.randn(5, 2)
    assert Space.real(2).dequantize(real) is real
    with pytest.raises(ValueError, match="embed them"):
        Space.tokens(4, 3).dequantize(torch.zeros(2, 4, dtype=torch.int64))


def test_a_dequantized_density_bounds_the_discrete_probability():
    """For p(x) = levels^−dim · E_u[density], the bound is tight where the density is constant on each cell."""
    space = Space.grey(2, levels=3)
    masses = torch.tensor([0.2, 0.5, 0.3])
    x = torch.tensor([[0.0, 0.5], [1.0, 1.0]])
    cell = (space.dequantize(x) * 3).long()
    density = (masses[cell] * 3).prod(-1)  # a histogram on [0, 1)²
    torch.testing.assert_close(density.log() + space.log_cell_volume, torch.tensor([0.1, 0.09]).log())


@pytest.mark.parametrize(
    ("error", "message", "x"),
    [
        (TypeError, "torch.Tensor, got list", [[0.0]]),
        (ValueError, r"batch, 1, 2, 3\).*got \(4, 6\)", torch.zeros(4, 6)),
        (ValueError, r"add the batch dimension: x\[None\]", torch.zeros(1, 2, 3)),
        (TypeError, "use x.float", torch.zeros(4, 1, 2, 3, dtype=torch.int64)),
        (ValueError, "NaN", torch.full((4, 1, 2, 3), math.nan)),
        (ValueError, "round it to the levels", torch.full((4, 1, 2, 3), 0.4)),
        (ValueError, "17 values", torch.full((4, 1, 2, 3), 3.0)),
    ],
)
def test_what_is_not_of_the_space_is_named(error, message, x):
    with pytest.raises(error, match=message):
        GREY.check(x, values=True)


def test_tokens_are_checked_too():
    space = Space.tokens(3, vocabulary=5)
    assert space.check(torch.tensor([[0, 4, 2]]), values=True) is not None
    with pytest.raises(TypeError, match=r"use x\.long"):
        space.check(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"tokens 0 … 4, got 0 … 5"):
        space.check(torch.tensor([[0, 5, 2]]), values=True)


def test_a_vae_is_latent():
    assert isinstance(VAE(Space.real(2), 1, hidden=()), Latent)
    assert not isinstance(torch.nn.Linear(1, 1), Latent)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    VAE(Space.real(2), 1, hidden=[4]).save_pretrained(tmp_path)
    return tmp_path


def test_saved_models_hold_their_arguments_and_no_pickle(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((saved / "config.json").read_text())
    assert config["class"] == "VAE"
    assert config["space"] == {"kind": "real", "shape": [2], "levels": None}
    assert load_model(saved).space == Space.real(2)


def test_half_precision_weights_are_widened(saved):
    from safetensors.torch import load_file, save_file

    weights = load_file(saved / "model.safetensors")
    save_file({k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, saved / "model.safetensors")
    model = VAE.from_pretrained(saved)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model.decoder[0].weight, weights["decoder.0.weight"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("error", "message", "spoil"),
    [
        (FileNotFoundError, "holds no model.safetensors", lambda f: (f / "model.safetensors").unlink()),
        (FileNotFoundError, "holds no config.json", lambda f: (f / "config.json").unlink()),
        (ValueError, "config.json is damaged", lambda f: (f / "config.json").write_text("{")),
        (ValueError, "holds a RBM, not a VAE", lambda f: (f / "config.json").write_text('{"class": "RBM"}')),
        (ValueError, "do not fit VAE, or are damaged", lambda f: (f / "model.safetensors").write_bytes(b"x" * 99)),
    ],
)
def test_damaged_folders_are_refused_by_name(saved, error, message, spoil):
    spoil(saved)
    with pytest.raises(error, match=message):
        VAE.from_pretrained(saved)


def test_weights_of_another_shape_are_refused(saved):
    with pytest.raises(ValueError, match="do not fit VAE"):
        VAE.from_pretrained(saved, latents=3)


def test_nothing_is_fetched_for_a_name_that_is_no_folder():
    with pytest.raises(FileNotFoundError, match="give a folder written by"):
        VAE.from_pretrained("someone/some-model")


def test_a_class_that_is_not_the_courses_is_refused(saved):
    (saved / "config.json").write_text('{"class": "Sphinx"}')
    with pytest.raises(ValueError, match="not a model of the course"):
        load_model(saved)


class Plain(VAE):
    """Without annotations, as a notebook's model may be."""

    def __init__(self, space, width, act=None):
        super().__init__(space, latents=int(width), hidden=())


def test_models_of_a_notebook_are_saved_and_rebuilt(tmp_path):
    import numpy as np

    Plain(Space.real(2), np.int64(3)).save_pretrained(tmp_path)
    assert Plain.from_pretrained(tmp_path).latents == 3
    VAE(Space.real(2), 1, hidden=range(4, 6), beta=np.float32(4)).save_pretrained(tmp_path)
    assert VAE.from_pretrained(tmp_path).beta == 4


def test_what_could_not_be_rebuilt_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="cannot be saved: act must be"):
        Plain(Space.real(2), 1, act=torch.relu).save_pretrained(tmp_path / "never")
    assert not (tmp_path / "never").exists()
