"""Common parts of the command lines: start of the process, huge pages, streams that may fail, errors and exit codes."""

import argparse
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from nst_jax.errors import InputError, MembersFailed, WorkerLost, printable

BAD_INPUT, INTERRUPTED = 2, 130
_HUGEPAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
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


class _Stream(io.FileIO):
    """Standard output or error that outlives its reader: what cannot be written is dropped, and the first reason kept."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            return len(data)


def start(*command: str) -> None:
    """Prepares the process of a command line, before the imports that take time.

    Args:
        command: how this program is started, such as ("-m", "nst_jax.run"), or the path of its script.
    """
    guard_streams()
    end_at_interrupt()
    use_hugepages(*command)


def guard_streams() -> None:
    """A closed pipe, a full device, a closed stream or an encoding without some letters never ends the program."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which a file of the run would get
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = _Stream(number, "w", closefd=False)
        encoding = getattr(getattr(sys, name), "encoding", "utf-8")
        buffer = io.BufferedWriter(stream)
        setattr(
            sys, name, io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=number == 2 or stream.isatty())
        )


def _report_lost_output(code: int) -> int:
    """The exit code, after what standard output could not take. A reader that went away is no error."""
    sys.stdout.flush()
    failure = getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "failure", None)
    if failure is None or failure.errno in (errno.EPIPE, errno.EBADF):
        return code
    print(f"error: standard output must be writable, got {os.strerror(failure.errno)!r}; the rest is done", file=sys.stderr)
    return code or 1


def end_at_interrupt() -> None:
    """Until `run_cli` is called, Ctrl-C ends the program at once, without a traceback: for imports that take seconds."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


class _StandardError(logging.Handler):
    """Prints log messages, one line each, on what is standard error then."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(record.getMessage()), file=sys.stderr, flush=True)


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """While this lasts, the package's log is printed on standard error, from the level INFO on, and nowhere else."""
    log, handler = logging.getLogger("nst_jax"), _StandardError()
    if any(isinstance(other, _StandardError) for other in log.handlers):  # a command within a command
        yield
        return
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    propagates, log.propagate = log.propagate, False  # libraries that print all logs, such as Orbax's, would print it twice
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagates


def run_cli(act: Callable[[], int]) -> int:
    """Runs `act` and returns its exit code; 2 after an InputError, in one line, 130 after Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _check_working_folder()
        with log_on_stderr():
            return _report_lost_output(act())
    except SystemExit as end:  # of Hydra, after --help
        return _report_lost_output(end.code if isinstance(end.code, int) else 0)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except MembersFailed:
        return 1
    except WorkerLost as lost:
        print(f"error: {lost}", file=sys.stderr, flush=True)
        os._exit(1)  # JAX would wait for the process that is lost, and then abort
    except KeyboardInterrupt:
        return INTERRUPTED


@contextmanager
def valid_environment() -> Iterator[None]:
    """Turns what JAX says of its environment variables, which it reads as it is imported in the block, into an InputError."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"JAX's environment variables must be valid, got {error}; correct or unset it") from error


def _check_working_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("working folder must exist, got one that was deleted; change to another folder") from error


def use_hugepages(*command: str) -> None:
    """Restarts the running program with glibc requesting huge pages of 2 MiB, where that would change anything.

    XLA allocates the temporary memory of a program, half a gigabyte at 512 pixels, at each call, and the system hands it out
    page by page as it is first touched: 120,000 pages of 4 KiB. With huge pages a step takes a seventh less time. Where Linux
    gives them on request only (`madvise`, the usual setting), glibc requests them if an environment variable says so, which it
    reads once, as a program starts.

    To be called before the imports that take time. A GLIBC_TUNABLES of the user's is left alone, and so is a process that was
    started for something else, such as a notebook or a script that runs this program in itself.

    Args:
        command: how Python was started for this program alone: ("-m", "nst_jax.run"), or (the path of a script,).
    """
    if "GLIBC_TUNABLES" not in os.environ and hugepages_on_request() and is_whole_process(command, sys.orig_argv, sys.argv):
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def is_whole_process(command: Sequence[str], started: Sequence[str], arguments: Sequence[str]) -> bool:
    """Whether a process that was `started` by these words does nothing but `command` with `arguments`, as `sys.argv` has them.

    Example:
        >>> is_whole_process(["-m", "nst_jax.run"], ["python", "-m", "nst_jax.run", "size=64"], ["run.py", "size=64"])
        True
        >>> is_whole_process(["-m", "nst_jax.run"], ["python", "-m", "ipykernel", "-f", "k"], ["run.py", "size=64"])
        False
    """
    words = [*command, *arguments[1:]]
    options = started[1 : len(started) - len(words)]  # of Python itself
    return list(started[-len(words) :]) == words and all(option.startswith("-") for option in options)


def hugepages_on_request(policy: Path = _HUGEPAGES) -> bool:
    """Whether the system gives huge pages to those who request them, and only to them."""
    try:
        return "[madvise]" in policy.read_text()
    except OSError:
        return False
