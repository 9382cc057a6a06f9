"""A play button, a slider and a speed, tied together in the browser."""

from collections.abc import Mapping

import ipywidgets as W

__all__ = ["Playback"]


class Playback:
    """The controls of something that plays.

    Args:
        what: what is played, for the tooltip.
        name: written before the slider.
        most: the slider's last place.
        speeds: name -> milliseconds a step.
        interval: the first speed's milliseconds.
        width: of the slider, CSS pixels.

    Attributes:
        play, slider, speed: the widgets; `slider.value` moves.
    """

    def __init__(self, what: str, name: str, most: int, speeds: Mapping[str, int], interval: int, width: int = 240):
        self.play = W.Play(0, min=0, max=most, interval=interval, show_repeat=True, tooltip=what)
        self.slider = W.IntSlider(0, 0, most, description=name, readout=False, style={"description_width": "44px"},
                                  layout=W.Layout(width=f"{width}px"))  # fmt: skip
        self.speed = W.Dropdown(options=dict(speeds), value=interval, description="speed",
                                style={"description_width": "44px"}, layout=W.Layout(width="120px"))  # fmt: skip
        W.jslink((self.play, "value"), (self.slider, "value"))
        self.speed.observe(lambda change: self.play.set_trait("interval", change["new"]), "value")

    def rewind(self, most: int) -> None:
        """Stand at the beginning of something with another number of places."""
        self.play.playing = False
        self.play.max = self.slider.max = max(1, most)
        self.play.value = self.slider.value = 0
