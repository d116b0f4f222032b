"""The tests."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logged() -> Iterator[list[str]]:
    """The messages that the package logs while this lasts, from the level INFO on."""
    log, handler, messages = logging.getLogger("nst_jax"), logging.Handler(), list[str]()
    handler.emit = lambda record: messages.append(record.getMessage())
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield messages
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
