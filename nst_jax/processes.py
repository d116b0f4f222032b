"""Several processes, on one machine or on many, that run one job together: the first one decides and keeps the record.

All make the same calls of the same programs, on the devices of all. What the first one decides by the clock, or because a user
asks for it (how many steps to make next, whether to look at the picture, when to stop), the others are told.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from nst_jax.agreement import agreed
from nst_jax.errors import InputError, one_of
from nst_jax.job.course import Observer, Report


class ProcessLost(Exception):
    """Another process of the job has ended before its time."""


# Seconds to wait for all processes to begin, and until one that says nothing any more is taken for dead.
PATIENCE, HEARTBEAT = 120, 20
# What the first process tells the others after a chunk of steps: to bring together a picture, or a state; to go on, or to end.
_PIXELS, _POSITION, _GO_ON, _STOP = range(4)


def join(hosts: Any, environment: Mapping[str, str] = os.environ, *, needed: bool = True) -> None:
    """Joins the other processes of the job, if `hosts` is "auto" and the environment says who they are.

    They are known by SLURM's variables (`srun`), or by those that torchrun sets: MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK.

    Args:
        hosts: "auto", or "off" (also False, as YAML reads it).
        environment: the variables.
        needed: whether it is an error that there are no others.

    Raises:
        InputError: nobody says who the others are, or they do not begin.
    """
    if hosts is False or one_of("scale.hosts", hosts, ("auto", "off")) == "off":
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


def leads() -> bool:
    """Whether this process decides and keeps the record: it is the first, or the only one."""
    return jax.process_index() == 0


def lead(observe: Observer) -> Observer:
    """The observer of the first process, which tells the others what it asks for."""
    if jax.process_count() == 1:
        return observe

    def observer(report: Report) -> bool:
        pixels, position = _announced(_PIXELS, report.pixels), _announced(_POSITION, report.position)
        stop = observe(report._replace(pixels=pixels, position=position))
        agreed(_STOP if stop else _GO_ON)
        return stop

    return observer


def _announced(order: int, bring: Callable[[], Any]) -> Callable[[], Any]:
    def told() -> Any:
        agreed(order)
        return bring()

    return told


def follow(report: Report) -> bool:
    """The observer of all other processes, which does what it is told."""
    while (order := agreed(_GO_ON)) in (_PIXELS, _POSITION):
        (report.pixels if order == _PIXELS else report.position)()
    return order == _STOP


@contextmanager
def together() -> Iterator[None]:
    """While this lasts, an error of the devices means that another process has died, and is said so.

    Raises:
        ProcessLost: for it.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise ProcessLost(
            "another process of the job has ended before its time; --resume RUN_DIR goes on from the last checkpoint"
        ) from error


def ignore_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal: the first one tells the others to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
