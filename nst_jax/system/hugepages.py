"""Huge pages: with memory in pages of 2 MiB a step at 512 pixels takes a seventh less time.

XLA allocates the temporary memory of a program, half a gigabyte at 512 pixels, at each call, and the system hands it out page
by page as it is first touched: 120,000 pages of 4 KiB. Where Linux gives huge pages only on request (`madvise`, the usual
setting), glibc requests them if an environment variable says so, which it reads once, as a program starts.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_hugepages(*command: str) -> None:
    """Restarts the running program with glibc requesting huge pages, where that would change anything.

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


def hugepages_on_request(policy: Path = _POLICY) -> bool:
    """Whether the system gives huge pages to those who request them, and only to them."""
    try:
        return "[madvise]" in policy.read_text()
    except OSError:
        return False
