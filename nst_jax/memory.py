"""What a job will need and what there is: chooses, before anything is compiled, what is computed anew, or tile by tile.

The bytes for each pixel were measured as the temporary memory of the compiled gradient of VGG-19 to relu5_1 by Winograd's
convolution, and of its targets; the network's parameters, the L-BFGS pairs and the pictures are added to them.
"""

import ctypes
import dataclasses
import sys
from pathlib import Path

import jax

from nst_jax.objective.objective import Objective

# Temporary bytes per pixel of one gradient in float32, and what a job holds beside it whatever its size.
BYTES_PER_PIXEL = {"none": 2300, "blocks": 1800}
FIXED_BYTES = 900 * 2**20
# L-BFGS keeps two pictures for each pair, and each solver some more: 12 bytes each for a pixel.
PICTURES = 40
# The tiles to choose from, and how much larger than a tile its window is: see `nst_jax.networks.windows`.
TILES = (0, 1024, 512, 256)
MARGIN = 160
# Of what is free only so much is counted on: other programs need some.
SHARE = 0.8


def fit(objective: Objective, pixels: int) -> Objective:
    """The objective with each "auto" replaced: the first of all ways, from the fastest on, that fits into memory.

    Args:
        objective: whose network may say `remat="auto"`, and itself `tile="auto"`; anything else is kept.
        pixels: of the image that is optimized.
    """
    remats = ("none", "blocks") if objective.network.remat == "auto" else (objective.network.remat,)
    tiles = TILES if objective.tile == "auto" else (int(objective.tile),)
    ways = [(remat, tile) for tile in tiles for remat in remats if remat == remats[0] or not tile]
    free = available_bytes()
    fitting = [way for way in ways if free is None or needed_bytes(*way, pixels) <= SHARE * free]
    remat, tile = (fitting or ways[-1:])[0]
    network = dataclasses.replace(objective.network, remat=remat)
    changes = {"network": network} | ({"tile": tile} if objective.tile == "auto" else {})
    return dataclasses.replace(objective, **changes)  # pyright: ignore[reportArgumentType] # objectives are dataclasses


def needed_bytes(remat: str, tile: int, pixels: int) -> int:
    """The memory that a job is expected to need at its peak.

    Example:
        >>> [round(needed_bytes(*way, 4096 * 3072) / 2**30, 1) for way in (("none", 0), ("blocks", 0), ("none", 512))]
        [33.5, 27.6, 7.5]
    """
    maps = min(pixels, (tile + MARGIN) ** 2) if tile else pixels
    return FIXED_BYTES + maps * BYTES_PER_PIXEL[remat] + pixels * 12 * PICTURES


def give_back() -> None:
    """Gives back to the system what glibc keeps of freed memory: after compiling, 50 to 150 MB."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def most_jobs(pixels: int) -> int | None:
    """How many jobs of so many pixels each fit into memory together, at least 1; None where nobody knows."""
    free = available_bytes()
    if free is None:
        return None
    one = needed_bytes("none", 0, pixels) - FIXED_BYTES
    return max(1, int((SHARE * free - FIXED_BYTES) / one))


def available_bytes() -> int | None:
    """What the default device has left: a GPU by its allocator, a processor by /proc/meminfo and its control group.

    None where neither tells.
    """
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    if sys.platform != "linux":
        return None
    known = [free for free in (_meminfo_available(), _group_available()) if free is not None]
    return min(known, default=None)


def _meminfo_available(path: Path = Path("/proc/meminfo")) -> int | None:
    try:
        fields = dict(line.split(":") for line in path.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _group_available(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the control group allows beyond what it has in use: the names of its version 2, then of version 1."""
    pairs = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    for limit, used in pairs:
        try:
            return int((folder / limit).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return None
