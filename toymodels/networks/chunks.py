"""How many members of a stack fit where the arithmetic is fast."""

import os
from collections.abc import Sequence

import torch
from torch import Tensor

ORDINARY_CACHE = 1 << 21  # bytes next to one core, where the system does not say
GPU_SHARE = 0.5  # of its free memory: the rest is for what is observed


def chunk_size(weights: Sequence[Tensor], inputs: Tensor) -> int:
    """Members that one core's cache holds, or the free memory of a GPU; at least one.

    Per member it counts weights with their gradients and, for every sample, the signals of all
    layers and the errors on them.
    """
    samples = inputs.shape[-2]
    numbers = sum(2 * w[0].numel() + 2 * samples * w.shape[-2] for w in weights)
    size = numbers * weights[0].element_size()
    return max(1, min(len(weights[0]), room(weights[0].device) // size))


def room(device: torch.device) -> int:
    """Bytes to work in: the core's own cache, or half of what a GPU has free."""
    if device.type == "cuda":
        return int(GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_LEVEL2_CACHE_SIZE") or ORDINARY_CACHE
    except (AttributeError, OSError, ValueError):  # not every system knows the question
        return ORDINARY_CACHE
