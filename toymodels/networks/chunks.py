"""How many members of a stack fit where the arithmetic is fast."""

import os
from collections.abc import Sequence

import torch
from torch import Tensor

# bytes: with fewer a step is spent on calls, of which each takes about 2 us however many members it
# serves; measured with second caches of 512 kB, where 4 MB are a third faster and 8 MB no more
LEAST_ROOM = 1 << 22
GPU_SHARE = 0.5  # of its free memory: the rest is for what is observed


def chunk_size(weights: Sequence[Tensor], inputs: Tensor) -> int:
    """Members that fit the caches of one core, or the free memory of a GPU; at least one.

    Per member it counts weights with their gradients and, for every sample, the signals of all
    layers and the errors on them.
    """
    samples = inputs.shape[-2]
    numbers = sum(2 * w[0].numel() + 2 * samples * w.shape[-2] for w in weights)
    size = numbers * weights[0].element_size()
    return max(1, min(len(weights[0]), room(weights[0].device) // size))


def room(device: torch.device) -> int:
    """Bytes to work in: the core's own cache or 4 MB, or half of what a GPU has free."""
    if device.type == "cuda":
        return int(GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    try:
        return max(os.sysconf("SC_LEVEL2_CACHE_SIZE"), LEAST_ROOM)
    except (AttributeError, OSError, ValueError):  # not every system knows the question
        return LEAST_ROOM
