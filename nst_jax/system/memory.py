"""Free memory of the devices, and the return of freed heap pages to the system."""

import ctypes
import sys
from pathlib import Path

import jax

from nst_jax.distributed import broadcast_int


def trim_heap() -> None:
    """Returns freed heap pages of glibc to the system (malloc_trim): after compiling, 50 to 150 MB."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def available_bytes(devices: int = 1) -> int | None:
    """The free memory per device: of a GPU by its allocator, of a CPU by /proc/meminfo and its control group.

    None if it is unknown. Devices that are parts of one CPU share its memory. With several processes it is the first one's, so
    that all make the same choices.
    """
    free = _free_bytes()
    if (megabytes := broadcast_int(-1 if free is None else free >> 20)) < 0:
        return None
    shared = jax.default_backend() == "cpu"
    return (megabytes << 20) // (max(1, devices // jax.process_count()) if shared else 1)


def _free_bytes() -> int | None:
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    if sys.platform != "linux":
        return None
    return min((free for free in (_meminfo_available(), _group_available()) if free is not None), default=None)


def _meminfo_available(path: Path = Path("/proc/meminfo")) -> int | None:
    try:
        fields = dict(line.split(":") for line in path.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _group_available(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The limit of the control group minus its use, by the file names of its version 2, then of version 1."""
    pairs = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    for limit, used in pairs:
        try:
            return int((folder / limit).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return None
