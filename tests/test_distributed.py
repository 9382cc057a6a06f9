"""Two processes train every model that can be distributed, and agree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes ended with, and a single process for comparison."""
    folder = tmp_path_factory.mktemp("distributed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(HERE)}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run([*launch, HERE / "distributed_run.py", folder, "no", "bf16"],
                         env=environment, capture_output=True, text=True, timeout=300)  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    (folder / "alone").mkdir()
    subprocess.run([sys.executable, HERE / "distributed_run.py", folder / "alone"], env=environment, check=True)
    first, second = (load_file(folder / f"rank-{rank}.safetensors") for rank in (0, 1))
    return first, second, load_file(folder / "alone" / "rank-0.safetensors")


def test_both_processes_end_with_the_same_weights(ranks):
    first, second, _ = ranks
    assert len(first) > 10
    for name, weights in first.items():
        assert torch.isfinite(weights).all(), name
        torch.testing.assert_close(second[name], weights, rtol=0, atol=0, msg=name)


def test_sharing_the_batch_out_changes_nothing(ranks):
    """Gradients averaged over two halves of each batch are the gradients of the whole."""
    first, _, alone = ranks
    torch.testing.assert_close(first["deterministic"], alone["deterministic"], rtol=1e-4, atol=1e-5)


BREAKS = """
import os, torch
from dgmcourse import Space, VAE, fit
rank = int(os.environ["RANK"])

def watch(step, model):
    if step == 3 and rank == 1:
        raise ZeroDivisionError

fit(VAE(Space.real(2), 1, hidden=()), torch.randn(64, 2), steps=6, batch_size=32, watch=watch, progress=False)
"""


def test_an_error_in_one_process_ends_all(tmp_path):
    """It must neither hang the others nor be swallowed."""
    (tmp_path / "breaks.py").write_text(BREAKS)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [*launch, tmp_path / "breaks.py"], env=environment, capture_output=True, text=True, timeout=100
    )
    assert run.returncode != 0
    assert "ZeroDivisionError" in run.stderr
