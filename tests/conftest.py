"""Shapes and types of every public function are checked while the tests run, and only then."""

# ruff: noqa: E402 (the hook must stand before the first import of the package)

import os

os.environ.setdefault("MPLBACKEND", "agg")

from jaxtyping import install_import_hook

install_import_hook("toymodels", "beartype.beartype")

import pytest
import torch

# tiny batched products on shared cores: threads only fight each other
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def default_dtype():
    """Chapters choose double precision for their process; the next test begins with torch's own."""
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float32)
