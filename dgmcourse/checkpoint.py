"""Saving a training run and taking it up again, exactly: one safetensors file a save, replaced whole, never unpickled.

A file holds the weights, the optimizers' state, the averages, the random generators' state and the history. The two
latest saves are kept, so that a file damaged by a full disk costs one interval, not the run.
"""

import json
import logging
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

__all__ = ["Checkpoints"]

log = logging.getLogger(__name__)
CURVES = ("losses", "logs")  # of the history: long lists of numbers by name, stored as tensors


class Checkpoints:
    """The saves of one run in a folder: `step-00000100-rank-0-of-1.safetensors`, one for each process.

    Args:
        folder: where to save; made if it is not there.
        run: the training run (see `training_run.Run`) to read from and to restore.
        settings: what must be equal for a save to be taken up.
    """

    def __init__(self, folder: str | Path, run, settings: dict):
        self.folder, self.run = Path(folder), run
        self.rank, self.world = run.accelerator.process_index, run.accelerator.num_processes
        shapes = {name: list(value.shape) for name, value in run.state.items()}
        model = {"model": type(run.model).__name__, "arguments": run.model._hub_mixin_config or {},
                 "stage": getattr(run.model, "stage", None)}  # fmt: skip
        self.settings = json.loads(json.dumps({**model, **settings, "shapes": shapes}))
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"checkpoint={self.folder} is a file; give a folder")
        self.folder.mkdir(parents=True, exist_ok=True)

    def _path(self, step: int, rank: int | None = None) -> Path:
        return self.folder / f"step-{step:08d}-rank-{self.rank if rank is None else rank}-of-{self.world}.safetensors"

    def _steps(self) -> list[int]:
        """Steps saved by every process, newest first."""
        found = [re.fullmatch(r"step-(\d+)-rank-0-of-(\d+)\.safetensors", path.name) for path in self.folder.iterdir()]
        worlds = {int(match[2]) for match in found if match}
        if worlds and self.world not in worlds:
            raise ValueError(f"the checkpoint in {self.folder} was written by {worlds.pop()} processes, this run has "
                             f"{self.world}; use as many, or another folder")  # fmt: skip
        steps = {int(match[1]) for match in found if match and int(match[2]) == self.world}
        complete = (s for s in steps if all(self._path(s, rank).exists() for rank in range(self.world)))
        return sorted(complete, reverse=True)

    def save(self, step: int) -> None:
        """Write this step's file, then drop all but the two latest."""
        tensors, plain = _pack(self.run)
        metadata = {"settings": json.dumps(self.settings), "plain": json.dumps(plain), "step": str(step)}
        partial = self.folder / f".partial-rank-{self.rank}"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
        os.replace(partial, self._path(step))
        mine = sorted(self.folder.glob(f"step-*-rank-{self.rank}-of-{self.world}.safetensors"))
        for old in mine[:-2]:
            old.unlink(missing_ok=True)

    def restore(self, steps: int) -> int:
        """Take up the newest save that every process can read; return its step, or 0 if there is none.

        Raises:
            ValueError: the save belongs to a run with other settings or is past `steps`, or every file is damaged.
        """
        saved = self._steps()
        newest = next((step for step in saved if self._readable(step)), 0)
        if self.world > 1:
            step = torch.tensor([newest], device=self.run.accelerator.device)
            newest = int(self.run.accelerator.gather(step).min())
        if saved and not newest:
            raise ValueError(f"no file in {self.folder} can be read; delete the folder to train from the start")
        if newest:
            tensors, plain, settings = _read(self._path(newest))
            self._compare(settings)
            if newest > steps:
                raise ValueError(f"the checkpoint in {self.folder} is at step {newest}, past steps={steps}; "
                                 "ask for more steps, or use another folder")  # fmt: skip
            _unpack(self.run, tensors, plain)
        return newest

    def _readable(self, step: int) -> bool:
        try:
            _read(self._path(step))
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            log.warning("%s is damaged (%s); trying an older one", self._path(step), error)
            return False
        return True

    def _compare(self, settings: dict) -> None:
        differing = [key for key in self.settings if settings.get(key) != self.settings[key]]
        if differing:
            said = "; ".join(f"{key}: saved {settings.get(key)}, now {self.settings[key]}" for key in differing[:3])
            raise ValueError(f"the checkpoint in {self.folder} belongs to another run ({said}); "
                             "use another folder, or delete it to train from the start")  # fmt: skip


def _read(path: Path) -> tuple[dict, dict, dict]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return tensors, json.loads(metadata["plain"]), json.loads(metadata["settings"])


def _pack(run) -> tuple[dict[str, torch.Tensor], dict]:
    """Everything a run consists of: tensors by name, and plain values for JSON."""
    tensors = {f"model/{name}": value.clone() for name, value in run.state.items()}
    for label, values in (("average", run.average), ("best", run.best)):
        tensors |= {f"{label}/{name}": value for name, value in (values or {}).items()}
    history = {key: value for key, value in vars(run.history).items() if key not in CURVES}
    plain: dict = {
        "history": history,
        "updates": run.updates,
        "best_score": run.best_score,
        "optimizers": {},
        "scaler": None,
    }
    for kind in CURVES:
        for name, values in getattr(run.history, kind).items():
            tensors[f"{kind}/{name}"] = torch.tensor(values, dtype=torch.float64)
    for group, optimizer in run.optimizers.items():
        numbers = plain["optimizers"][group] = {}
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{group}/{index}/{name}"] = value
                else:
                    numbers[f"{index}/{name}"] = value
    if run.accelerator.scaler is not None:
        plain["scaler"] = run.accelerator.scaler.state_dict()
    tensors["random/cpu"] = torch.get_rng_state()
    if run.accelerator.device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(run.accelerator.device)
    return tensors, plain


def _unpack(run, tensors: dict[str, torch.Tensor], plain: dict) -> None:
    """Put a packed run back."""
    device = run.accelerator.device
    part = lambda label: {k[len(label) + 1 :]: v.to(device) for k, v in tensors.items() if k.startswith(label + "/")}  # noqa: E731
    run.load(part("model"))
    run.average = part("average") or None
    run.best, run.best_score = part("best") or None, plain["best_score"]
    run.updates = plain["updates"]
    for group, optimizer in run.optimizers.items():
        packed = optimizer.state_dict()
        packed["state"] = {}
        parameters = [parameter for settings in optimizer.param_groups for parameter in settings["params"]]
        entries = part(f"optimizer/{group}") | plain["optimizers"][group]
        for path, value in entries.items():
            index, name = path.split("/", 1)
            parameter = parameters[int(index)]
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)  # in the parameter's memory layout
            packed["state"].setdefault(int(index), {})[name] = value
        optimizer.load_state_dict(packed)
    if plain["scaler"] is not None and run.accelerator.scaler is not None:
        run.accelerator.scaler.load_state_dict(plain["scaler"])
    history = plain["history"]
    history["valid"] = [tuple(pair) for pair in history["valid"]]
    vars(run.history).update(history)
    for kind in CURVES:
        prefix = f"{kind}/"
        curves = {name[len(prefix) :]: value.tolist() for name, value in tensors.items() if name.startswith(prefix)}
        setattr(run.history, kind, curves)
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random/cuda"], device)
    run.remember()
