"""Shards: sums over the positions of a picture's maps, its rows shared among devices.

Every device computes its rows of each map, with the rows at their borders from its neighbors (`nst_jax.networks.ops.halo`), and
the sums over them; what all devices have is added up. The gradient goes the same ways backwards.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Shaped

from nst_jax.distributed import AXIS, mesh_of
from nst_jax.networks.architectures import ARCHITECTURES, extent, names_of
from nst_jax.networks.convnet import NetworkSpec, features
from nst_jax.networks.ops.halo import Rows, halo
from nst_jax.partition import ExecutionPlan
from nst_jax.partition.receptive_field import deepest_stride, receptive_field
from nst_jax.partition.windows import lengths
from nst_jax.types import Features, Image, Params

# Maps, what lies aligned them cut to the same positions, and the extra -> sums over positions.
Sums = Callable[[Features, Any, Any], Any]


def shares_rows(architecture: str, taps: tuple[str, ...]) -> bool:
    """Whether devices can share the rows of a picture: a halo must not reach beyond the next device.

    Example:
        >>> shares_rows("vgg19", ("relu5_4",)), shares_rows("alexnet", ("relu5",)), shares_rows("caffenet", ("relu6",))
        (True, True, False)
    """
    stride = deepest_stride(architecture, taps)
    passed, rows = lengths(architecture, taps, 1024), stride
    for layer in ARCHITECTURES[architecture]:
        if names_of(layer)[0] not in passed:
            break
        if max(halo(*extent(layer))) > rows:
            return False
        rows //= extent(layer)[1]
    return True


def rows_each(architecture: str, taps: tuple[str, ...], height: int, devices: int) -> int:
    """The number of picture rows per device: enough for all, and a whole number of positions of each tap.

    Example:
        >>> rows_each("vgg19", ("relu5_1",), 768, 8), rows_each("vgg19", ("relu5_1",), 683, 2)
        (96, 352)
    """
    stride = deepest_stride(architecture, taps)
    return -(-height // (stride * devices)) * stride


def sums_over_devices(
    sums: Sums,
    params: Params,
    image: Image,
    aligned: Any,
    extra: Any,
    *,
    taps: tuple[str, ...],
    spec: NetworkSpec,
    plan: ExecutionPlan,
) -> Any:
    """`sums` of all positions of an image's maps: see `nst_jax.partition.tiles.sum_over_positions`."""
    own, rows = _shares(spec, taps, image, plan.devices)
    whole = {name: own * plan.devices // receptive_field(spec.architecture, name).stride for name in taps}

    def on_device(params: Params, image: Image, aligned: Any, extra: Any) -> Any:
        return jax.lax.psum(sums(_maps(params, image, taps, spec, rows, plan.remat), aligned, extra), AXIS)

    aligned = {name: jax.tree.map(functools.partial(_fill, rows=whole[name]), tree) for name, tree in aligned.items()}
    total = jax.shard_map(
        on_device,
        mesh=mesh_of(plan.devices),
        in_specs=(P(), P(None, AXIS), P(None, AXIS), P()),
        out_specs=P(),
        check_vma=False,
    )(params, _fill(image, own * plan.devices), aligned, extra)
    return _without_excess(total, sums, params, image, aligned, extra, whole, spec=spec, rows=rows)


def maps_over_devices(
    params: Params, image: Image, *, taps: tuple[str, ...], spec: NetworkSpec, plan: ExecutionPlan
) -> Features:
    """The maps of an image, with rows of zeros at their end so that each device has as many rows: they stay where they are."""
    own, rows = _shares(spec, taps, image, plan.devices)
    return jax.shard_map(
        functools.partial(_maps, taps=taps, spec=spec, rows=rows, remat=plan.remat),
        mesh=mesh_of(plan.devices),
        in_specs=(P(), P(None, AXIS)),
        out_specs=P(None, AXIS),
        check_vma=False,
    )(params, _fill(image, own * plan.devices))


def _shares(spec: NetworkSpec, taps: tuple[str, ...], image: Image, devices: int) -> tuple[int, Rows]:
    heights = tuple(lengths(spec.architecture, taps, image.shape[1]).items())
    return rows_each(spec.architecture, taps, image.shape[1], devices), Rows(devices, heights)


def _maps(params: Params, image: Image, taps: tuple[str, ...], spec: NetworkSpec, rows: Rows, remat: str) -> Features:
    """A device's rows of the maps, with zeros where they lie beyond the picture."""
    maps = features(params, image, taps, spec=spec, rows=rows, remat=remat)
    return {name: jnp.where(_inside(found.shape[1], rows.of(name)), found, 0) for name, found in maps.items()}


def _inside(own: int, height: int) -> Bool[Array, "1 h 1 1"]:
    return (jax.lax.axis_index(AXIS) * own + jnp.arange(own) < height)[None, :, None, None]


def _fill(array: Shaped[Array, "n h *extra"], rows: int) -> Shaped[Array, "n h2 *extra"]:
    """Pads with rows of zeros at the end to `rows` rows."""
    return jnp.pad(array, [(0, rows - array.shape[1] if axis == 1 else 0) for axis in range(array.ndim)])


def _without_excess(
    total: Any,
    sums: Sums,
    params: Params,
    image: Image,
    aligned: Any,
    extra: Any,
    whole: dict[str, int],
    *,
    spec: NetworkSpec,
    rows: Rows,
) -> Any:
    """The sums without the rows beyond the picture: of zeros, which count as positions all the same."""
    excess = {name: height - rows.of(name) for name, height in whole.items()}
    if not any(excess.values()):
        return total
    shapes = jax.eval_shape(lambda: features(params, image, tuple(whole), spec=spec))
    maps = {name: jnp.zeros((map_.shape[0], excess[name], *map_.shape[2:]), map_.dtype) for name, map_ in shapes.items()}
    zeros = {name: jax.tree.map(lambda a, n=excess[name]: jnp.zeros_like(a[:, :n]), tree) for name, tree in aligned.items()}
    return jax.tree.map(jnp.subtract, total, sums(maps, zeros, extra))
