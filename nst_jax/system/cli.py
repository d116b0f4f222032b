"""What the command lines share: bad input is told in one line, and what their exit codes mean."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from nst_jax.errors import InputError

BAD_INPUT, INTERRUPTED = 2, 130
# For the process of a command line alone, which imports this module before JAX: both are read when JAX is first imported.
# XLA:CPU comments at length on each program loaded from the cache: it takes two tuning hints of its own ("prefer-no-gather",
# "-scatter") for missing instructions of the processor. The cache's folder guards against another processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# OpenBLAS solves the eigenproblems of the Wasserstein distance. Its threads wait for each other in busy loops: where anything
# else runs on the processor, a matrix of 512 takes 30 ms with one thread and up to 3 s with two.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments, instead of with the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        self.exit(BAD_INPUT, f"{self.prog}: {message}; {self.prog} --help says more\n")


def end_at_interrupt() -> None:
    """Until `run_cli` is called, Ctrl-C ends the program at once, without a traceback: for imports that take seconds."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_cli(act: Callable[[], int]) -> int:
    """What `act` gives; `BAD_INPUT` if it raises an InputError, whose line is printed; `INTERRUPTED` after Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names that the terminal cannot show, as on standard error
    try:
        return act()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
