"""The one error a user can mend: its message is one line that says what must hold, what was given, and what to do."""


class InputError(ValueError):
    """Bad input. Command lines print its message on one line and exit with code 2."""


def one_of(what: str, value: str, names: list[str] | tuple[str, ...]) -> str:
    """`value`, if it is among `names`; otherwise an InputError that lists them."""
    if value not in names:
        raise InputError(f"{what} must be one of {', '.join(sorted(names))}; got {value!r}")
    return value
