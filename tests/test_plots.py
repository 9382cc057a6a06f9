"""Pictures: small, with a text alternative that survives, and drawn from what they are given."""

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from dgmcourse import plots
from dgmcourse.core import Space
from dgmcourse.models import VAE
from dgmcourse.tables import Table
from dgmcourse.training import fit


def test_show_displays_html_with_the_text_alternative(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    plots.show(plots.plot_images(torch.rand(3, 1, 8, 8)), alt='Three "noise" images & more')
    html = shown[0]._repr_html_()
    assert 'alt="Three &quot;noise&quot; images &amp; more"' in html
    assert "data:image/png;base64," in html
    assert not hasattr(shown[0], "_repr_png_")  # it would be shown without the alternative


def test_show_insists_on_a_text_alternative():
    with pytest.raises(ValueError, match='alt="…"'):
        plots.show(Figure(), alt=" ")


def test_show_leaves_no_pyplot_figure_behind(monkeypatch):
    import IPython.display
    import matplotlib.pyplot as plt

    monkeypatch.setattr(IPython.display, "display", lambda picture: None)
    figure, _ = plt.subplots()
    plots.show(figure, alt="an empty plot")
    assert not plt.get_fignums()


def test_images_are_drawn_as_ink_on_paper_row_by_row():
    black, white = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    figure = plots.plot_images({"first": torch.cat([black, white]), "second": white})
    pixels = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert [float(np.mean(array)) for array in pixels] == [1.0, 0.0, 0.0]
    image = np.asarray(Image.open(io.BytesIO(plots.picture(figure))).convert("L"))
    assert image.min() < 30
    assert image.max() > 250


def test_the_latent_grid_has_z1_to_the_right_and_z2_upwards():
    class Ramp(torch.nn.Module):
        """Left pixel: z₁; right pixel: z₂."""

        device = torch.device("cpu")

        def decode(self, z, y=None):
            return ((z + 3) / 6).view(-1, 1, 1, 2)

    image = plots.plot_latent_grid(Ramp(), side=3, extent=3).axes[0].images[0].get_array()
    assert image.shape == (3, 6)
    np.testing.assert_allclose(image[0], [0, 1, 0.5, 1, 1, 1], atol=1e-6)  # the top row has the largest z₂
    np.testing.assert_allclose(image[2], [0, 0, 0.5, 0, 1, 0], atol=1e-6)


def test_a_history_draws_its_losses_and_what_was_kept():
    torch.manual_seed(0)
    model = VAE(Space.real(2), 1, hidden=(4,))
    from dgmcourse.data import Dataset

    x = torch.randn(60, 2)
    history = fit(
        model, Dataset("points", model.space, x[:40], x[40:50], x[50:]), steps=80, keep_best=True, progress=False
    )
    axis = history.plot().axes[0]
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["training loss, model", "validation", "kept"]
    assert len(axis.lines[1].get_xdata()) == len(history.valid)
    assert repr(history).startswith("History: 80 steps in")


def test_pictures_are_small_enough_for_a_notebook():
    figure = plots.plot_curves(
        {"a": ([1, 2, 3], [1, 4, 9]), "b": ([1, 2, 3], [2, 3, 4])}, "x", "y", level={"truth": 5.0}
    )
    assert len(plots.picture(figure)) < 30_000


def test_tables_are_text_and_html():
    table = Table(("model", "nats"), [("VAE <8>", "≥ -17.6"), ("pixels", "= -25.2")], "On digits")
    assert repr(table).splitlines() == ["On digits", "model    nats", "VAE <8>  ≥ -17.6", "pixels   = -25.2"]
    assert "VAE &lt;8&gt;" in table._repr_html_()
    assert "<caption" in table._repr_html_()
    with pytest.raises(ValueError, match="needs 2 cells"):
        Table(("a", "b"), [("only one",)])
