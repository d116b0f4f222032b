"""Several processes, on one machine or on many, that run one job together: the first one decides and keeps the record.

All make the same calls of the same programs, on the devices of all. What the first one decides by the clock, or because a user
asks for it (how many steps to make next, whether to look at the picture, when to stop), the others are told.
"""

import signal
from collections.abc import Callable
from typing import Any

import jax

from nst_jax.distributed import broadcast_int
from nst_jax.job.history import Callback, StepInfo

# What the first process tells the others after a chunk of steps: to bring together a picture, or a state; to go on, or to end.
_PIXELS, _POSITION, _GO_ON, _STOP = range(4)


def coordinator_callback(observe: Callback) -> Callback:
    """The observer of the first process, which tells the others what it asks for."""
    if jax.process_count() == 1:
        return observe

    def observer(report: StepInfo) -> bool:
        pixels, position = _announced(_PIXELS, report.pixels), _announced(_POSITION, report.position)
        stop = observe(report._replace(pixels=pixels, position=position))
        broadcast_int(_STOP if stop else _GO_ON)
        return stop

    return observer


def _announced(order: int, bring: Callable[[], Any]) -> Callable[[], Any]:
    def told() -> Any:
        broadcast_int(order)
        return bring()

    return told


def worker_callback(report: StepInfo) -> bool:
    """The observer of all other processes, which does what it is told."""
    while (order := broadcast_int(_GO_ON)) in (_PIXELS, _POSITION):
        (report.pixels if order == _PIXELS else report.position)()
    return order == _STOP


def ignore_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal: the first one tells the others to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
