"""TrajectoryPlayer: watch how any model of the course arrives at its samples."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import ipywidgets as W
import torch
from PIL import Image
from torch import Tensor

from .base import Explorer, Picture, reported
from .drawing import beside, captioned
from .model import device_of
from .pixels import encode_png
from .playback import Playback
from .state_views import Marks, view_for

__all__ = ["TrajectoryPlayer", "thinned"]

SPEEDS = {"¼ ×": 400, "½ ×": 200, "1 ×": 100, "2 ×": 50}  # ms between frames


def thinned(states: Iterable[Tensor], most: int) -> tuple[list[Tensor], list[int], int]:
    """Evenly spaced states of a sequence of unknown length, first and last among them, at most `most` in memory.

    Args:
        states: any iterator of tensors; taken one by one, each copied to the CPU.
        most: how many may be kept, 2 or more.

    Returns:
        The states kept, their places in the sequence, and how many there were.
    """
    if most < 2:
        raise ValueError(f"at least two states must be kept, the first and the last; got {most}")
    kept, places, stride, count, last = [], [], 1, 0, None
    for count, state in enumerate(states, start=1):
        last = state
        if (count - 1) % stride == 0:
            if len(kept) == most:
                kept, places, stride = kept[::2], places[::2], 2 * stride
            if (count - 1) % stride == 0:
                kept.append(state.detach().to("cpu", copy=True))
                places.append(count - 1)
    if last is not None and places[-1] != count - 1:
        if len(kept) == most:
            kept.pop(), places.pop()
        kept.append(last.detach().to("cpu", copy=True))
        places.append(count - 1)
    return kept, places, count


class TrajectoryPlayer(Explorer, W.VBox):
    """Play the states that a model passes on its way to n samples: Gibbs sweeps, denoising steps, pixels, flow layers.

    Images are shown as a grid, points in the plane as a scatter, other real vectors as lines, tokens as text.
    The states are computed when they are first needed (shown, or asked for by `states`).

    Of a model that draws one entry after the other (its `order` says which), the entries still to come are tinted blue
    (of text, dots), and the newest pixel is framed. With `given=(x, mask)` such a model completes x: the entries where
    mask is True stay, and are tinted orange.

    Args:
        source: a model with `trajectory(n, y)`; or a function that returns an iterator of states; or the states
            themselves. Each state is (n, *shape).
        n: how many samples are drawn at once.
        y: the condition, passed to `trajectory`.
        max_frames: states kept; longer trajectories are thinned evenly, first and last state kept.
        max_states: stop a trajectory after so many states (needed for chains without an end).
        seed: of torch's generators while the model runs; "Run again" uses the next one.
        data: points, (m, 2), drawn pale behind a scatter.
        text: how tokens become text: a string of characters, or a function from a list of integers to a string.
        size: width in CSS pixels.
        **settings: handed on to the model's `trajectory`: given=(x, mask), temperature=0.8, say. An x of one example
            is completed n times.

    Attributes:
        states: the states kept, each (n, *shape), on the CPU.
        places: their places in the trajectory, from 0.
        length: how many states the trajectory had.
        frame: the slider; set `frame.value` to move.
        play: the play button.

    Raises:
        TypeError: the source has no states to give.
        ValueError: a state that cannot be shown, or no states.
    """

    def __init__(
        self,
        source,
        n: int = 16,
        y: Tensor | None = None,
        max_frames: int = 120,
        *,
        max_states: int | None = None,
        seed: int = 0,
        data: Tensor | None = None,
        text: str | Callable[[list[int]], str] | None = None,
        size: int = 380,
        **settings,
    ):
        if not (hasattr(source, "trajectory") or callable(source) or isinstance(source, (Iterable, Tensor))):
            raise TypeError("TrajectoryPlayer needs a model with trajectory(n, y), a function that returns states, "
                            f"or the states; got {type(source).__name__}")  # fmt: skip
        if n < 1 or max_frames < 2 or (max_states is not None and max_states < 1):
            raise ValueError(f"n must be 1 or more, max_frames 2 or more and max_states 1 or more; "
                             f"got {n}, {max_frames} and {max_states}")  # fmt: skip
        if settings and not hasattr(source, "trajectory"):
            raise TypeError(f"{', '.join(settings)} can only be handed on to a model with trajectory(n, y, …), "
                            f"not to {type(source).__name__}")  # fmt: skip
        if settings.get("given") is not None:
            x, mask = settings["given"]
            settings["given"] = (x.expand(n, *x.shape[1:]) if len(x) == 1 else x, mask)
        self.settings = settings
        self.source, self.n, self.y, self.max_frames, self.max_states = source, n, y, max_frames, max_states
        self.seed, self.size = seed, size
        self._options = {"data": data, "text": text, "space": getattr(source, "space", None)}
        self._states: list[Tensor] | None = None
        self._frames: dict[int, bytes] = {}
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-player")

    @property
    def repeatable(self) -> bool:
        """Whether the source can run again: a model or a function can, states cannot."""
        return hasattr(self.source, "trajectory") or callable(self.source)

    def _build(self) -> list[W.Widget]:
        self._picture = Picture(width=self.size, sharp=False)
        self.playback = Playback("Play the trajectory", "frame", 1, SPEEDS, 100)
        self.play, self.frame, self.speed = self.playback.play, self.playback.slider, self.playback.speed
        self._place = W.Label("")
        self.again = W.Button(description="Run again", tooltip="Draw new samples with the next seed")
        self.again.layout.display = None if self.repeatable else "none"
        self.frame.observe(lambda _: self._show(), "value")
        self.again.on_click(lambda _: self.run_again())
        controls = W.HBox([self.play, self.frame, self._place], layout=W.Layout(align_items="center"))
        return [self._picture, controls, W.HBox([self.speed, self.again]), self._message_box()]

    # --- running ---------------------------------------------------------------------------------------------------

    def _iterate(self) -> Iterator[Tensor]:
        if hasattr(self.source, "trajectory"):
            states = self.source.trajectory(self.n, self.y, **self.settings)
        else:
            states = self.source() if callable(self.source) else self.source
        return itertools.islice(states, self.max_states)

    def _run(self) -> None:
        """Run the source to its end, keeping at most `max_frames` states, with the present seed."""
        device = device_of(self.source)
        devices = [device] if device.type == "cuda" else []
        training = getattr(self.source, "training", False)
        if training:
            self.source.eval()
        try:
            with torch.random.fork_rng(devices), torch.no_grad():
                torch.manual_seed(self.seed)
                states, places, length = thinned(self._iterate(), self.max_frames)
        finally:
            if training:
                self.source.train()
        if not states:
            raise ValueError("the trajectory holds no states")
        self._view = view_for(states, self.size, **self._options)
        self._states, self._places, self._length, self._frames = states, places, length, {}
        self._visits = self._visited()
        self.play.max = self.frame.max = max(1, len(states) - 1)

    def _visited(self) -> Tensor | None:
        """The entries that the states draw, one each, in their order; None where they do something else."""
        order = getattr(self.source, "order", None)
        entries = self._states[0][0].numel()
        if not isinstance(order, Tensor) or order.shape != (entries,):
            return None
        order = order.cpu()
        if self._given is not None:
            order = order[~self._given.all(0)[order]]
        whole = len(order) if self.max_states is None else min(len(order), self.max_states)
        if not len(order) or whole != self._length:
            return None
        given = torch.zeros(1, dtype=torch.bool) if self._given is None else self._given
        for state, place in zip(self._states, self._places, strict=True):  # samples may have orders of their own
            to_come = order[place + 1 :]
            if (state.flatten(1)[:, to_come].ne(0) & ~given.expand(len(state), entries)[:, to_come]).any():
                return None
        return order

    @property
    def _given(self) -> Tensor | None:
        """Which entries are given, bools (n, dim), or None."""
        if self.settings.get("given") is None:
            return None
        return self.settings["given"][1].cpu().expand(self._states[0].shape).flatten(1)

    def _marks(self, index: int) -> Marks | None:
        """What is special about each entry of a state."""
        place = self.places[index]
        if self._visits is None:
            return None
        drawn = self._visits[: place + 1]
        waiting = torch.zeros(self._states[0][0].numel(), dtype=torch.bool)
        waiting[self._visits] = True
        waiting[drawn] = False
        given = self._given
        waiting = waiting.expand(self.n, -1) if given is None else waiting & ~given
        return Marks(waiting, given, int(drawn[-1]) if place < len(self._visits) - 1 else None)

    @property
    def states(self) -> list[Tensor]:
        """The states kept, each (n, *shape); computed when first asked for."""
        if self._states is None:
            self._run()
        return self._states

    @property
    def places(self) -> list[int]:
        """Places of the states in the trajectory, from 0."""
        return self._places if self.states else []

    @property
    def length(self) -> int:
        """How many states the trajectory had."""
        return self._length if self.states else 0

    @reported
    def run_again(self) -> None:
        """Run the source with the next seed, and show the new trajectory from its start."""
        if not self.repeatable:
            raise ValueError("these states were given as they are; give the model, or a function, to run it again")
        self.seed += 1
        self.again.disabled, self.again.description = True, "Running …"
        try:
            self._run()
        finally:
            self.again.disabled, self.again.description = False, "Run again"
        self.play.value = self.frame.value = 0
        self._draw()

    # --- showing ---------------------------------------------------------------------------------------------------

    @reported
    def _show(self) -> None:
        self._draw()

    def _draw(self) -> None:
        index = min(self.frame.value, len(self.states) - 1)
        if index not in self._frames:
            self._frames[index] = encode_png(self._view.frame(self.states[index], self._marks(index)))
        place = self._where(index)
        self._picture.show(self._frames[index], f"{place}: {self._view.describe()}{self._told(index)}")
        self._place.value = place

    def _where(self, index: int) -> str:
        """Which state of the trajectory this is."""
        return f"state {self.places[index] + 1} of {self.length}"

    def _caption(self, index: int) -> str:
        """Which state it is, in the film strip."""
        return f"state {self.places[index] + 1}"

    def _told(self, index: int) -> str:
        """In words what the marks say."""
        marks = self._marks(index)
        if marks is None:
            return ""
        given = "" if marks.given is None else f", {int(marks.given[0].sum())} given"
        return f"; {int(marks.waiting[0].sum())} of {marks.waiting.shape[1]} entries to come{given}"

    def _repr_mimebundle_(self, **kwargs):
        self._show()
        return super()._repr_mimebundle_(**kwargs)

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        if self._states is None:
            return "A trajectory that has not been run yet."
        return (
            f"A film strip of {self.length} states, from the first to the last: {self._view.describe()}{self._told(0)}."
        )

    def picture(self) -> Image.Image:
        """A film strip: a few states, evenly spaced from the first to the last."""
        states = self.states
        count = min(len(states), self._view.strip_length)
        chosen = torch.linspace(0, len(states) - 1, count).round().long().tolist()
        view = view_for(states, self._view.strip_width, **self._options, lines=3)
        frames = [captioned(view.frame(states[i], self._marks(i)), self._caption(i)) for i in chosen]
        return beside(frames, down=self._view.strip_down)
