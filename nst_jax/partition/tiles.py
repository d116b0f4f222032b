"""Tiles: sums over the positions of a large picture's maps, added up tile by tile.

The result and its gradient are those of the whole picture: the sums of all tiles are computed first, then, for their cotangent,
each tile is recomputed with its gradient. Only the maps of one tile at a time are in memory, whatever the size of the picture.
Several devices share the tiles, or, where the whole picture is no larger than a tile, its rows (`nst_jax.partition.shards`).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from nst_jax.distributed import AXIS, mesh_of
from nst_jax.networks.convnet import NetworkSpec, apply_segment, features
from nst_jax.networks.ops.linear import differentiable, of_leaves
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.partition.receptive_field import deepest_stride, receptive_field
from nst_jax.partition.shards import Sums, maps_over_devices, shares_rows, sums_over_devices
from nst_jax.partition.windows import Span, Window, cores, lengths, window
from nst_jax.types import Features, Image, Params


class Tiles(NamedTuple):
    """Tiles of equal windows, which differ only in where they are.

    Attributes:
        rows: their window in height.
        columns: and in width.
        sizes: by name of a tapped map, the height and width of what was asked for.
        places: of each tile, the top and left pixel of its window, and of what was asked for.
    """

    rows: Window
    columns: Window
    sizes: tuple[tuple[str, tuple[int, int]], ...]
    places: tuple[tuple[tuple[int, int], tuple[int, int]], ...]


# The tiles, and how many devices share them.
Work = tuple[tuple[Tiles, ...], int]


def sum_over_positions(
    sums: Sums,
    params: Params,
    image: Image,
    aligned: Any,
    extra: Any,
    *,
    taps: tuple[str, ...],
    spec: NetworkSpec,
    plan: ExecutionPlan = WHOLE,
) -> Any:
    """`sums` over all positions of an image's maps.

    Args:
        sums: of the maps of some positions; those of several parts of a map add up to those of the whole.
        params: of the network.
        image: of any size.
        aligned: any tree whose first keys are names of taps, of arrays [n, h, w, ...] that lie over the maps of these names.
        extra: other arguments of `sums`.
        taps: layer names.
        spec: the network.
        plan: tiles, devices, rematerialization.

    Example:
        >>> from nst_jax import networks
        >>> net = networks.load("vgg19", convolution="xla")
        >>> image = jax.random.uniform(jax.random.key(0), (1, 70, 50, 3))
        >>> def mean_of(image, plan):
        ...     sums = lambda maps, aligned, extra: maps["relu2_1"].sum()
        ...     found = sum_over_positions(sums, net.params, image, {}, None, taps=("relu2_1",), spec=net.spec, plan=plan)
        ...     return found / 35 / 25
        >>> bool(jnp.allclose(mean_of(image, WHOLE), mean_of(image, ExecutionPlan(tile=32))))
        True
    """
    height, width = image.shape[1:3]
    if 0 < plan.tile < max(height, width):
        groups = tiles(spec.architecture, taps, (height, width), plan.tile)
        return _summed(sums, spec, (groups, plan.devices), params, image, aligned, extra)
    if plan.devices > 1 and shares_rows(spec.architecture, taps):
        return sums_over_devices(sums, params, image, aligned, extra, taps=taps, spec=spec, plan=plan)
    return sums(features(params, image, taps, spec=spec, remat=plan.remat), aligned, extra)


def feature_maps(
    params: Params, image: Image, *, taps: tuple[str, ...], spec: NetworkSpec, plan: ExecutionPlan = WHOLE
) -> Features:
    """`nst_jax.networks.convnet.features`, tile by tile.

    Maps whose rows several devices share may have rows of zeros at their end.
    """
    height, width = image.shape[1:3]
    if not taps:
        return {}
    if 0 < plan.tile < max(height, width):
        work = tiles(spec.architecture, taps, (height, width), plan.tile), plan.devices
        return _share_out(work, functools.partial(_put_maps, taps=taps, spec=spec, work=work), params, image)
    if plan.devices > 1 and shares_rows(spec.architecture, taps):
        return maps_over_devices(params, image, taps=taps, spec=spec, plan=plan)
    return features(params, image, taps, spec=spec, remat=plan.remat)


def _put_maps(params: Params, image: Image, *, taps: tuple[str, ...], spec: NetworkSpec, work: Work) -> Features:
    def put(group: Tiles, place: Array, whole: Features) -> Features:
        found = _maps(params, _crop(image, group, place[0]), group, spec)
        return {name: _put(whole[name], found[name], place[1] // _stride(spec, name)) for name in taps}

    return _over_tiles(work, put, jax.tree.map(_zeros, jax.eval_shape(lambda: features(params, image, taps, spec=spec))))


def tiles(architecture: str, taps: tuple[str, ...], height_width: tuple[int, int], tile: int) -> tuple[Tiles, ...]:
    """The tiles of a picture, about equal in size, in groups of equal windows."""
    rows, columns = ([_at(architecture, taps, span, n) for span in _spans(architecture, taps, n, tile)] for n in height_width)
    groups: dict[Any, list[Any]] = {}
    for top, row, core_top, heights in rows:
        for left, column, core_left, widths in columns:
            sizes = tuple((name, (heights[name], widths[name])) for name in heights)
            groups.setdefault((row, column, sizes), []).append(((top, left), (core_top, core_left)))
    return tuple(Tiles(row, column, sizes, tuple(places)) for (row, column, sizes), places in groups.items())


def _spans(architecture: str, taps: tuple[str, ...], length: int, tile: int) -> list[Span]:
    """Spans of at most about `tile` pixels that cover a side, none without a position of the deepest tap."""
    stride = deepest_stride(architecture, taps)
    whole = math.ceil(length / math.ceil(length / tile) / stride) * stride
    starts = [start for start in range(0, length, whole) if start // stride < min(lengths(architecture, taps, length).values())]
    return list(zip(starts, [*starts[1:], length], strict=True))


def _at(architecture: str, taps: tuple[str, ...], pixels: Span, length: int) -> tuple[int, Window, int, dict[str, int]]:
    """The start of the window of a span, the window, the start of the span, and the number of positions of each tap in it."""
    start, found = window(architecture, taps, pixels, length)
    sizes = {name: stop - first for name, (first, stop) in cores(architecture, taps, pixels, length).items()}
    return start, found, pixels[0], sizes


def _maps(params: Params, crop: Image, group: Tiles, spec: NetworkSpec) -> Features:
    """The maps of the positions that were asked for, from the pixels of a tile's window."""
    x, after, found = crop, "", {}
    for down, across in zip(group.rows.parts, group.columns.parts, strict=True):
        x = x[:, slice(*down.keep), slice(*across.keep)]
        maps = apply_segment(params, x, down.names, after, spec)
        spans = zip(down.cores, across.cores, strict=True)
        found |= {name: maps[name][:, slice(*rows), slice(*columns)] for (name, rows), (_, columns) in spans}
        after = down.names[-1]
        x = maps[after]
    return found


def _crop(image: Image, group: Tiles, place: Array) -> Float[Array, "1 h2 w2 3"]:
    sizes = (image.shape[0], group.rows.size, group.columns.size, image.shape[3])
    return jax.lax.dynamic_slice(image, (0, place[0], place[1], 0), sizes)


def _stride(spec: NetworkSpec, tap: str) -> int:
    return receptive_field(spec.architecture, tap).stride


def _zeros(shape: jax.ShapeDtypeStruct) -> Array:
    return jnp.zeros(shape.shape, shape.dtype)


def _put(whole: Float[Array, "n h w c"], part: Float[Array, "n h2 w2 c"], at: Array) -> Float[Array, "n h w c"]:
    return jax.lax.dynamic_update_slice(whole, part, (0, at[0], at[1], 0))


def _cut(aligned: Any, group: Tiles, place: Array, spec: NetworkSpec) -> Any:
    """Cuts the arrays that lie over the maps to the positions of a tile."""
    found = {}
    for name, size in group.sizes:
        cut = functools.partial(_cut_one, at=place // _stride(spec, name), size=size)
        found |= {name: jax.tree.map(cut, aligned[name])} if name in aligned else {}
    return found


def _cut_one(array: Float[Array, "n h w ..."], *, at: Array, size: tuple[int, int]) -> Array:
    others = array.shape[3:]
    return jax.lax.dynamic_slice(array, (0, at[0], at[1], *(0 for _ in others)), (array.shape[0], *size, *others))


def _of_tile(
    sums: Sums, spec: NetworkSpec, group: Tiles, params: Params, crop: Image, place: Array, aligned: Any, extra: Any
) -> Any:
    return sums(_maps(params, crop, group, spec), _cut(aligned, group, place[1], spec), extra)


def _summed(sums: Sums, spec: NetworkSpec, work: Work, *arguments: Any) -> Any:
    def total(*arguments: Any) -> Any:
        return _share_out(work, functools.partial(_add_sums, sums, spec, work), *arguments)

    def pull(live: list[int], arguments: tuple[Any, ...], cotangents: Any) -> list[Array]:
        return _share_out(work, functools.partial(_add_gradients, sums, spec, work, live), *arguments, cotangents)

    return differentiable(total, pull)(*arguments)


def _add_sums(sums: Sums, spec: NetworkSpec, work: Work, params: Params, image: Image, aligned: Any, extra: Any) -> Any:
    def here(group: Tiles, place: Array) -> Any:
        return _of_tile(sums, spec, group, params, _crop(image, group, place[0]), place, aligned, extra)

    first = work[0][0]
    shapes = jax.eval_shape(lambda: here(first, jnp.asarray(first.places[0])))

    def add(group: Tiles, place: Array, so_far: Any) -> Any:
        return jax.tree.map(jnp.add, so_far, here(group, place))

    return _over_tiles(work, add, jax.tree.map(_zeros, shapes))


def _over_tiles(work: Work, add: Callable[[Tiles, Array, Any], Any], start: Any) -> Any:
    """Folds `add` over the tiles, from `start`; each device takes every n-th tile.

    One loop for all groups: of a loop each, those of one round are none, and XLA then holds the maps of several tiles.
    """
    groups, devices = work
    kinds = jnp.asarray([kind for kind, group in enumerate(groups) for _ in group.places])
    places = jnp.asarray([place for group in groups for place in group.places])
    first = jax.lax.axis_index(AXIS) if devices > 1 else 0

    def step(i: Array, so_far: Any) -> Any:
        number = first + i * devices
        return jax.lax.switch(kinds[number], [functools.partial(add, group) for group in groups], places[number], so_far)

    return jax.lax.fori_loop(0, (len(kinds) - first + devices - 1) // devices, step, start)


def _share_out(work: Work, function: Callable[..., Any], *arguments: Any) -> Any:
    """Sums the results of a function of arrays over the devices, each of which has all arrays."""
    if work[1] == 1:
        return function(*arguments)
    return jax.shard_map(
        lambda *arrays: jax.lax.psum(function(*arrays), AXIS),
        mesh=mesh_of(work[1]),
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(),
        check_vma=False,
    )(*arguments)


def _add_gradients(
    sums: Sums,
    spec: NetworkSpec,
    work: Work,
    live: list[int],
    params: Params,
    image: Image,
    aligned: Any,
    extra: Any,
    cotangents: Any,
) -> list[Array]:
    """The gradients of the leaves `live` of params, image, aligned and extra, by the cotangents of the sums."""
    _, active = of_leaves(sums, (params, image, aligned, extra), live)
    number = len(jax.tree.leaves(params))  # of the image among the leaves

    def add(group: Tiles, place: Array, gradients: list[Array]) -> list[Array]:
        def of_tile(params: Params, crop: Image, aligned: Any, extra: Any) -> Any:
            return _of_tile(sums, spec, group, params, crop, place, aligned, extra)

        call, here = of_leaves(of_tile, (params, _crop(image, group, place[0]), aligned, extra), live)
        found = jax.vjp(call, *here)[1](cotangents)
        return [
            _put(whole, _crop(whole, group, place[0]) + part, place[0]) if i == number else whole + part
            for i, whole, part in zip(live, gradients, found, strict=True)
        ]

    return _over_tiles(work, add, [jnp.zeros_like(leaf) for leaf in active])
