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
