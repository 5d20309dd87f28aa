"""Every public function computes where its arguments live, and leaves its results there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import elsewhere

ROOT = Path(__file__).parents[1]


def test_functions_compute_where_their_arguments_live():
    """In a process without the shape checks of the other tests: as a user calls."""
    command = [sys.executable, "-m", "tests.far_arguments"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert int(done.stdout.split()[0]) > 315


def test_the_other_device_refuses_what_a_graphics_card_refuses():
    with elsewhere.machine() as device:
        far, near = torch.ones(3, device=device), torch.arange(3.0)
        for mix in (lambda: far + near, lambda: torch.stack([far, near]), lambda: near[far.long()]):
            with pytest.raises(RuntimeError, match="one device"):
                mix()
        with pytest.raises(TypeError, match="numpy"):
            far.numpy()
        far[1:] *= 2 * near.sum()  # one number may come from the processor
        assert (far + near.to(device)).tolist() == [1, 7, 8]
        assert far[torch.tensor([2, 0])].cpu().numpy().tolist() == [6, 1]  # and so may an index
        assert torch.tensor([1.0], device=device).device == device
