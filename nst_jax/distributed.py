"""Several processes and devices of one job: joining, broadcasting, and where arrays lie."""

import atexit
import functools
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nst_jax.errors import InputError, WorkerLost, check_one_of


def broadcast_int(value: int) -> int:
    """The first process's number, on all of them."""
    return int(broadcast(np.int32(value)))


def broadcast(tree: Any) -> Any:
    """The first process's arrays, on all of them; each has to give a tree of such arrays."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def same_everywhere(text: str) -> bool:
    """Whether all processes give the same text."""
    if jax.process_count() == 1:
        return True
    digest = np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), np.uint8)
    return bool((multihost_utils.process_allgather(digest) == digest).all())


def place(tree: Any, places: Any) -> Any:
    """Arrays that every process has, or that lie there already, at places on the devices of all processes."""
    if jax.process_count() == 1:
        return jax.device_put(tree, places)
    return jax.tree.map(_laid, tree, places)


def _laid(array: Any, place: jax.sharding.Sharding) -> Any:
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return array
    whole = np.asarray(array)  # `jax.device_put` would compare what the processes have, with a program for each array
    return jax.make_array_from_callback(whole.shape, place, lambda part: whole[part])


def to_host(tree: Any) -> Any:
    """A copy of arrays in the host's memory, put together from their parts on the devices of all processes."""
    return jax.tree.map(_on_host, tree)


def _on_host(array: Any) -> np.ndarray:
    if getattr(array, "is_fully_addressable", True) or array.is_fully_replicated:
        return np.array(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def check_jit() -> None:
    """Raises InputError if JAX_DISABLE_JIT is set. JAX's other flags for debugging have no effect on a job but on its time."""
    if jax.config.values["jax_disable_jit"]:
        raise InputError(
            "JAX_DISABLE_JIT must be off for a job, whose programs are compiled ahead, got on; see nst_jax.make_loss"
        )


def check_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Raises InputError if JAX_PLATFORMS or JAX_PLATFORM_NAME names a platform that is not there, or JAX_DISABLE_JIT is set."""
    check_jit()
    names = [name for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if environment.get(name)]
    if not names or "WORLD_SIZE" in environment or "SLURM_PROCID" in environment:
        return  # several processes must be joined before JAX looks for devices
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that it has found one
        for setting in ("jax_platforms", "jax_platform_name"):
            jax.config.update(setting, None if setting == "jax_platforms" else "")
        there = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise InputError(
            f"{names[0]} must be among the available platforms, {there}; got {environment[names[0]]!r}; unset it, or install"
            ' one: pip install "jax[cuda13]" for NVIDIA GPUs, "jax[tpu]" for TPUs'
        ) from error


# Seconds to wait for all processes to begin, until one that says nothing any more is taken for dead, and for the others to end.
PATIENCE, HEARTBEAT, FAREWELL = 120, 20, 10


def initialize(hosts: Any, environment: Mapping[str, str] = os.environ, *, needed: bool = True) -> None:
    """Joins the other processes of the job, if `hosts` is "auto" and the environment says who they are.

    They are known by SLURM's variables (`srun`), or by those that torchrun sets: MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK.

    Args:
        hosts: "auto", or "off" (also False, as YAML reads it).
        environment: the variables.
        needed: whether it is an error that there are no others.

    Raises:
        InputError: nobody says who the others are, or they do not begin.
    """
    if hosts is False or check_one_of("scale.hosts", hosts, ("auto", "off")) == "off":
        return
    known: dict[str, Any] = {}
    if "WORLD_SIZE" in environment:
        known = _by_variables(environment)
    elif "SLURM_PROCID" not in environment:
        if not needed:
            return
        raise InputError(
            "scale.hosts=auto must be started by srun, or with MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK set,"
            " got neither; leave it out for one process"
        )
    jax.config.update("jax_enable_recoverability", True)  # a process that dies shall not make JAX abort the others
    try:
        jax.distributed.initialize(
            **known, initialization_timeout=PATIENCE, heartbeat_timeout_seconds=HEARTBEAT, shutdown_timeout_seconds=HEARTBEAT
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"all processes must begin within {PATIENCE} s, got: {reason}; see that each is started") from error
    atexit.register(_end_last)  # before JAX's own farewell, which was registered when JAX was imported


def _end_last() -> None:
    """Keeps the first process, with which the others have to sign off, until they have, or for a few seconds.

    JAX aborts a process that cannot sign off; among recoverable ones it leaves the order to the program.
    """
    from jax._src.distributed import global_state  # there is no public name for it in JAX 0.10

    if (client := global_state.client) is not None and global_state.process_id == 0:
        # Returns when each of the others has signed off or is taken for dead; not while one waits for this process's arrays.
        wait = threading.Thread(target=client.get_live_nodes, args=([*range(global_state.num_processes)],), daemon=True)
        wait.start()
        wait.join(FAREWELL)


def _by_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        known: dict[str, Any] = {
            "coordinator_address": f"{environment['MASTER_ADDR']}:{int(environment['MASTER_PORT'])}",
            "num_processes": int(environment["WORLD_SIZE"]),
            "process_id": int(environment["RANK"]),
        }
    except (KeyError, ValueError) as error:
        raise InputError(
            f"MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK must all be set, the last three to numbers, got {error}"
        ) from error
    if "LOCAL_RANK" in environment and jax.config.values["jax_platforms"] != "cpu":
        known["local_device_ids"] = int(environment["LOCAL_RANK"])
    return known


def is_coordinator() -> bool:
    """Whether this process decides and keeps the record: it is the first, or the only one."""
    return jax.process_index() == 0


@contextmanager
def translate_device_errors() -> Iterator[None]:
    """While this lasts, an error of the devices means that another process has died, and is said so.

    Raises:
        WorkerLost: for it.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise WorkerLost(
            "another process of the job has ended before its time; --resume RUN_DIR goes on from the last checkpoint"
        ) from error


# The name of the axis of devices.
AXIS = "rows"


@functools.cache
def mesh_of(devices: int) -> Mesh:
    """A mesh of the first `devices` devices, along one axis."""
    return Mesh(np.array(jax.devices()[:devices]), (AXIS,))


def sharding_for(tree: Any, height_width: tuple[int, int], devices: int) -> Any:
    """For each array of a tree, or its shape, how it lies on the devices.

    The image, and what a solver keeps of its size, is cut into equal parts: of its rows, or of its columns if only these can be
    divided so; if neither can, it is whole on each device. (The network's maps always can: see `nst_jax.partition.shards`.)

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


def num_shards(height_width: tuple[int, int], devices: int) -> int:
    """Into how many parts an image of this size is cut: one for each device, or 1.

    Example:
        >>> num_shards((683, 1024), 8), num_shards((683, 1023), 8)
        (8, 1)
    """
    return 1 if _cut(height_width, devices) is None else devices


def _cut(height_width: tuple[int, int], devices: int) -> int | None:
    return next((axis for axis, side in enumerate(height_width) if side % devices == 0), None)


def with_sharding(tree: Any, places: Any) -> Any:
    """The shapes of a tree of arrays, saying where they lie."""
    return jax.tree.map(lambda a, place: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), tree, places)
