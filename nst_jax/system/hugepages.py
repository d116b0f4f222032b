"""Large pages: with memory in pages of 2 MiB a step at 512 pixels takes a seventh less time.

XLA asks for the temporary memory of a program, half a gigabyte at 512 pixels, at each call anew, and the system hands it out
page by page as it is first touched: 120000 pages of 4 KiB. Where Linux gives large pages only to those who ask (`madvise`, the
usual setting), glibc asks if an environment variable says so, which it reads once, as a program starts.
"""

import os
import sys
from pathlib import Path

_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_hugepages() -> None:
    """Starts the running program again with glibc asking for large pages, where that would change anything.

    To be called before the imports that take time. A GLIBC_TUNABLES of the user's is left alone.
    """
    if "GLIBC_TUNABLES" not in os.environ and hugepages_on_request():
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def hugepages_on_request(policy: Path = _POLICY) -> bool:
    """Whether the system gives large pages to those who ask, and only to them."""
    try:
        return "[madvise]" in policy.read_text()
    except OSError:
        return False
