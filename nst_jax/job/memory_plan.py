"""Choice of the execution plan, before anything is compiled: the memory that a job will need against what is free.

The bytes for each pixel were measured as the temporary memory of the compiled gradient of VGG-19 to relu5_1 by Winograd's
convolution, and of its targets; the network's parameters, the L-BFGS pairs and the pictures are added to them.
"""

import jax

from nst_jax import distributed
from nst_jax.errors import InputError
from nst_jax.job.spec import JobSpec
from nst_jax.objective.loss import Objective
from nst_jax.partition import ExecutionPlan
from nst_jax.system.memory import available_bytes

# Temporary bytes per pixel of one gradient in float32, and what a job holds beside it whatever its size.
BYTES_PER_PIXEL = {"none": 2300, "blocks": 1800}
FIXED_BYTES = 900 * 2**20
# What further regions and the sliced Wasserstein distance add to them, each.
REGION_BYTES, SLICED_BYTES = 650, 3050
# Images that every solver keeps, 12 bytes a pixel each; L-BFGS keeps two more for each pair.
IMAGES = 20
# The tiles to choose from, and how much larger than a tile its window is: see `nst_jax.partition.windows`.
TILES = (0, 1024, 512, 256)
MARGIN = 160
# A device with fewer rows waits for its neighbors' rows longer than it computes.
LEAST_ROWS = 128
# Of what is free only so much is counted on: other programs need some.
SHARE = 0.8


def choose_plan(spec: JobSpec, height_width: tuple[int, int], *, regions: int = 1, jobs: int = 0) -> ExecutionPlan:
    """The first of all plans, from the fastest on, that fits into memory; what `spec.plan_settings` holds is not chosen.

    Args:
        spec: of the job.
        height_width: of the image that is optimized, in pixels.
        regions: of the content picture.
        jobs: how many jobs make their steps together, on one device; 0 for one alone.
    """
    fixed = spec.plan_settings
    devices = 1 if jobs else fixed.get("devices") or _busy_devices(height_width[0])
    remats = (fixed["remat"],) if "remat" in fixed else ("none", "blocks")
    tiles = (fixed["tile"],) if "tile" in fixed else TILES
    ways = [(remat, tile) for tile in tiles for remat in remats if remat == remats[0] or not tile]
    free, pixels = available_bytes(devices), height_width[0] * height_width[1] * max(jobs, 1)
    shared = devices, distributed.num_shards(height_width, devices)
    extra, pairs = extra_bytes(spec.objective, regions), dict(spec.solver.options).get("memory", 10)
    fitting = [way for way in ways if free is None or needed_bytes(*way, pixels, *shared, extra, pairs) <= SHARE * free]
    return ExecutionPlan(*(fitting or ways[-1:])[0], devices)


def _busy_devices(height: int) -> int:
    """How many devices are kept busy by a picture: no more than it has parts of `LEAST_ROWS` rows.

    Several processes share all devices or none, when each does the same: none may be left with nothing to do.
    """
    busy = max(1, min(jax.device_count(), height // LEAST_ROWS))
    return jax.device_count() if busy > 1 and jax.process_count() > 1 else busy


def extra_bytes(objective: Objective, regions: int) -> int:
    """Temporary bytes per pixel beyond those of one region and an additive style distance."""
    sliced = getattr(objective, "style_distance", None) == "sliced_wasserstein"
    return REGION_BYTES * (regions - 1) + SLICED_BYTES * sliced


def needed_bytes(remat: str, tile: int, pixels: int, devices: int = 1, parts: int = 1, extra: int = 0, pairs: int = 10) -> int:
    """The memory that a job is expected to need at its peak, on each of its devices.

    Args:
        remat: see `nst_jax.networks.convnet.REMAT`.
        tile: the longest side of a tile, in pixels; 0 is none.
        pixels: of the image.
        devices: that share its maps.
        parts: that the solver's state is cut into: see `nst_jax.distributed.num_shards`.
        extra: see `extra_bytes`.
        pairs: that the solver keeps.

    Example:
        >>> [round(needed_bytes(*way, 4096 * 3072) / 2**30, 1) for way in (("none", 0), ("blocks", 0), ("none", 512))]
        [33.5, 27.6, 7.5]
        >>> [round(needed_bytes("none", 0, 4096 * 3072, 8, parts) / 2**30, 1) for parts in (8, 1)]
        [5.0, 9.9]
    """
    maps = min(pixels, (tile + MARGIN) ** 2) if tile else pixels // devices
    return FIXED_BYTES + maps * (BYTES_PER_PIXEL[remat] + extra) + pixels * 12 * (IMAGES + 2 * pairs) // parts


def check_memory(temporary: int, size: int, devices: int = 1) -> None:
    """Raises InputError if the programs of a scale take more memory on each device, beside the arrays, than is free."""
    free = available_bytes(devices)
    if free is not None and temporary > free:
        raise InputError(
            f"the scale {size} must fit into memory, but a step takes {temporary / 2**30:.1f} GiB of the"
            f" {free / 2**30:.1f} that are free; use scale.tile=512, or a smaller size"
        )


def most_jobs(pixels: int) -> int | None:
    """How many jobs of so many pixels each fit into memory together, at least 1; None where nobody knows."""
    free = available_bytes()
    if free is None:
        return None
    one = needed_bytes("none", 0, pixels) - FIXED_BYTES
    return max(1, int((SHARE * free - FIXED_BYTES) / one))
