"""What several processes of one job must do together: agree, and bring the parts of an array to the host."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def agreed(value: int) -> int:
    """The first process's number, on all of them."""
    return int(shared(np.int32(value)))


def shared(tree: Any) -> Any:
    """The first process's arrays, on all of them; each has to give a tree of such arrays."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def laid(tree: Any, places: Any) -> Any:
    """Arrays that every process has, or that lie there already, at places on the devices of all processes."""
    if jax.process_count() == 1:
        return jax.device_put(tree, places)
    return jax.tree.map(_laid, tree, places)


def _laid(array: Any, place: jax.sharding.Sharding) -> Any:
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return array
    whole = np.asarray(array)  # `jax.device_put` would compare what the processes have, with a program for each array
    return jax.make_array_from_callback(whole.shape, place, lambda part: whole[part])


def on_host(tree: Any) -> Any:
    """A copy of arrays in the host's memory, put together from their parts on the devices of all processes."""
    return jax.tree.map(_on_host, tree)


def _on_host(array: Any) -> np.ndarray:
    if getattr(array, "is_fully_addressable", True) or array.is_fully_replicated:
        return np.array(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
