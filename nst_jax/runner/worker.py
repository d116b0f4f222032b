"""Several processes, on one machine or on many, that run one job together: the coordinator decides and keeps the record.

All processes call the same programs in the same order. The coordinator broadcasts what depends on the clock or on the user: the
number of the next steps, whether the picture or the state is fetched, and when to stop.
"""

import signal
from collections.abc import Callable
from typing import Any

import jax

from nst_jax.distributed import broadcast_int
from nst_jax.job.history import Callback, StepInfo

# The orders that the coordinator broadcasts after a chunk of steps: gather the picture or the state; go on, or stop.
_PIXELS, _POSITION, _GO_ON, _STOP = range(4)


def coordinator_callback(observe: Callback) -> Callback:
    """The callback of the coordinator, which broadcasts what `observe` asks for."""
    if jax.process_count() == 1:
        return observe

    def observer(report: StepInfo) -> bool:
        pixels, position = _announced(_PIXELS, report.pixels), _announced(_POSITION, report.position)
        stop = observe(report._replace(pixels=pixels, position=position))
        broadcast_int(_STOP if stop else _GO_ON)
        return stop

    return observer


def _announced(order: int, bring: Callable[[], Any]) -> Callable[[], Any]:
    def announced() -> Any:
        broadcast_int(order)
        return bring()

    return announced


def worker_callback(report: StepInfo) -> bool:
    """The callback of the other processes, which follow the coordinator's orders."""
    while (order := broadcast_int(_GO_ON)) in (_PIXELS, _POSITION):
        (report.pixels if order == _PIXELS else report.position)()
    return order == _STOP


def ignore_interrupts() -> None:
    """Ignores Ctrl-C, which reaches all processes of a terminal: the coordinator stops the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
