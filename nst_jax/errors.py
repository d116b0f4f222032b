"""InputError, raised for anything the user can fix: one line that says what must hold, what was given, and what to do."""

from typing import Any


class InputError(ValueError):
    """Bad input. Command lines print its message, in which control characters are escaped, and exit with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class MembersFailed(Exception):
    """Some members of a sweep have no picture; said already."""


class WorkerLost(Exception):
    """Another process of the job has ended before its time."""


def printable(text: str) -> str:
    r"""`text` on one line, its control characters, direction marks and lone surrogates escaped: safe to print on a terminal.

    Example:
        >>> printable("día\n\x1b[31m")
        'día\\n\\x1b[31m'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def check_one_of(what: str, value: str, names: list[str] | tuple[str, ...]) -> str:
    """`value`, if it is among `names`; otherwise an InputError that lists them."""
    if value not in names:
        raise InputError(f"{what} must be one of {', '.join(sorted(names))}; got {value!r}")
    return value


def check_ge(what: str, value: Any, least: int | float) -> Any:
    """`value`, if it is finite and no less; otherwise an InputError."""
    if not least <= value < float("inf"):
        raise InputError(f"{what} must be at least {least}, got {value}")
    return value


def check_gt(what: str, value: Any, bound: int | float) -> Any:
    """`value`, if it is finite and more; otherwise an InputError."""
    if not bound < value < float("inf"):
        raise InputError(f"{what} must be above {bound}, got {value}")
    return value
