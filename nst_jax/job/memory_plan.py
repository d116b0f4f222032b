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

# Temporary bytes per pixel of one gradient in float32, and the bytes of a job that do not depend on its size.
BYTES_PER_PIXEL = {"none": 2300, "blocks": 1800}
FIXED_BYTES = 900 * 2**20
# Bytes per pixel that each further region and the sliced Wasserstein distance add; nearest neighbors, and for these each
# further region or style.
REGION_BYTES, SLICED_BYTES = 650, 3050
NEIGHBORS_BYTES, SEARCH_BYTES = 440, 1170
# Images that every solver stores, 12 bytes per pixel each; L-BFGS stores two more for each pair.
IMAGES = 20
# The tiles to choose from, and how much larger than a tile its window is: see `nst_jax.partition.windows`.
TILES = (0, 1024, 512, 256)
MARGIN = 160
# A device with fewer rows spends more time on exchanging rows than on computing.
LEAST_ROWS = 128
# The part of the free memory that is planned with: other programs need some.
SHARE = 0.8


def choose_plan(spec: JobSpec, height_width: tuple[int, int], *, regions: int = 1, jobs: int = 0) -> ExecutionPlan:
    """The fastest plan that fits into memory; the fields in `spec.plan_settings` are fixed.

    Args:
        spec: of the job.
        height_width: of the image that is optimized, in pixels.
        regions: number of regions of the content picture.
        jobs: number of jobs that are stepped together, on one device; 0 for one alone.
    """
    fixed = spec.plan_settings
    devices = 1 if jobs else fixed.get("devices") or _busy_devices(height_width[0])
    remats = (fixed["remat"],) if "remat" in fixed else ("none", "blocks")
    tiles = (fixed["tile"],) if "tile" in fixed else TILES
    ways = [ExecutionPlan(remat, tile, devices) for tile in tiles for remat in remats if remat == remats[0] or not tile]
    free = available_bytes(devices)
    needed = [job_bytes(spec, plan, height_width, regions=regions, jobs=jobs) for plan in ways]
    fitting = [plan for plan, size in zip(ways, needed, strict=True) if free is None or size <= SHARE * free]
    return (fitting or ways[-1:])[0]


def _busy_devices(height: int) -> int:
    """The number of devices that a picture keeps busy: at most one per `LEAST_ROWS` rows.

    With several processes it is all devices, or one (each process then computes the same): none may be idle.
    """
    busy = max(1, min(jax.device_count(), height // LEAST_ROWS))
    return jax.device_count() if busy > 1 and jax.process_count() > 1 else busy


def job_bytes(spec: JobSpec, plan: ExecutionPlan, height_width: tuple[int, int], *, regions: int = 1, jobs: int = 0) -> int:
    """The expected peak memory of a scale of a job, or of jobs that are stepped together: see `choose_plan`, `needed_bytes`."""
    pixels, parts = height_width[0] * height_width[1] * max(jobs, 1), distributed.num_shards(height_width, plan.devices)
    extra = extra_bytes(spec.objective, regions, len(spec.style_scales))
    pairs = dict(spec.solver.options).get("memory", 10)
    return needed_bytes(plan.remat, plan.tile, pixels, plan.devices, parts, extra, pairs)


def extra_bytes(objective: Objective, regions: int, styles: int) -> int:
    """Temporary bytes per pixel beyond those of one region and a distance of moments."""
    distance = getattr(objective, "style_distance", None)
    if distance == "neighbors":
        return NEIGHBORS_BYTES + SEARCH_BYTES * (regions * styles - 1)
    return REGION_BYTES * (regions - 1) + SLICED_BYTES * (distance == "sliced_wasserstein")


def needed_bytes(remat: str, tile: int, pixels: int, devices: int = 1, parts: int = 1, extra: int = 0, pairs: int = 10) -> int:
    """The expected peak memory of a job, in bytes per device.

    Args:
        remat: see `nst_jax.networks.convnet.REMAT`.
        tile: the longest side of a tile, in pixels; 0 is none.
        pixels: of the image.
        devices: number of devices that share its maps.
        parts: number of parts of the solver's state: see `nst_jax.distributed.num_shards`.
        extra: see `extra_bytes`.
        pairs: number of pairs in the memory of L-BFGS.

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


def most_jobs(size: int) -> int | None:
    """The number of jobs that fit into memory together, at least 1; None if free memory is unknown.

    Args:
        size: `job_bytes` of each alone.
    """
    free = available_bytes()
    return None if free is None else max(1, int((SHARE * free - FIXED_BYTES) / (size - FIXED_BYTES)))
