"""The one error a user can mend: its message is one line that says what must hold, what was given, and what to do."""

from typing import Any


class InputError(ValueError):
    """Bad input. Command lines print its message on one line and exit with code 2."""


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


def check_lt(what: str, value: Any, bound: int | float) -> Any:
    """`value`, if it is less; otherwise an InputError."""
    if not value < bound:
        raise InputError(f"{what} must be below {bound}, got {value}")
    return value
