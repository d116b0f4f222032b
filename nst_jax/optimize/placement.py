"""Where the arrays of a job lie among its devices: those of the image's size in parts, all others whole on each of them."""

from typing import Any

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from nst_jax.networks.halo import AXIS
from nst_jax.networks.shards import mesh_of


def placement(tree: Any, height_width: tuple[int, int], devices: int) -> Any:
    """For each array of a tree, or its shape, how it lies on the devices.

    The image, and what a solver keeps of its size, is cut into equal parts: of its rows, or of its columns if only these can be
    divided so; if neither can, it is whole on each device. (The network's maps always can: see `nst_jax.networks.shards`.)

    Args:
        tree: of arrays [..., h, w, c], or of any others.
        height_width: of the image.
        devices: how many there are.
    """
    cut = _cut(height_width, devices)

    def of_one(array: Any) -> NamedSharding:
        spec: list[str | None] = [None] * len(array.shape)
        if cut is not None and array.shape[-3:-1] == height_width:
            spec[len(spec) - 3 + cut] = AXIS
        return NamedSharding(mesh_of(devices), P(*spec))

    return jax.tree.map(of_one, tree)


def parts(height_width: tuple[int, int], devices: int) -> int:
    """Into how many parts an image of this size is cut: one for each device, or 1.

    Example:
        >>> parts((683, 1024), 8), parts((683, 1023), 8)
        (8, 1)
    """
    return 1 if _cut(height_width, devices) is None else devices


def _cut(height_width: tuple[int, int], devices: int) -> int | None:
    return next((axis for axis, side in enumerate(height_width) if side % devices == 0), None)


def with_placement(tree: Any, places: Any) -> Any:
    """The shapes of a tree of arrays, saying where they lie."""
    return jax.tree.map(lambda a, place: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), tree, places)
