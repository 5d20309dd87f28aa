"""What ran the benchmark: enough to read the figures, nothing that names the machine."""

import os
import platform
import re
from pathlib import Path

import torch

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def bench_core() -> int:
    """The core all entrants run on, the last one; -1 where the system pins no process."""
    if not hasattr(os, "sched_setaffinity"):
        return -1
    return max(os.sched_getaffinity(0))


def describe() -> dict:
    return {
        "processor": processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)) if bench_core() >= 0 else os.cpu_count(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The model of the processor, as its maker writes it."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def caches() -> dict[str, str]:
    """Size of every cache of one core, such as {"L2": "2048K"}; empty where nobody tells."""
    sizes = {}
    for folder in sorted(CACHES.glob("index*")):
        level, kind, size = (
            (folder / name).read_text().strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            sizes[f"L{level}"] = size
    return sizes


def load() -> list[float]:
    """Processes that wanted to run, mean over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []


def slug(name: str) -> str:
    """``Intel(R) Xeon(R) Processor`` becomes ``intel-xeon-processor``."""
    bare = re.sub(r"\((?:r|tm|c)\)", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")
