"""File names on the command line, quoted for Hydra's grammar, so that commas, quotes, blanks and brackets in them are text."""

import glob
import os
import re
from collections.abc import Sequence

from nst_jax.errors import InputError

_FOLDERS = ("run.dir", "run.output", "hydra.sweep.dir")
_LISTS = ("style.path", "mask.regions", "mask.styles")
_FILES = ("content.path", "init", *_LISTS)
# A value in quotes, a list, a function of Hydra's grammar, or the text before the next comma.
_PIECE = re.compile(
    r"""(\s*(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\[.*?\]|(?:choice|glob|range|interval|sort|shuffle|tag)\(.*?\))\s*"""
    r"""|[^,]*)(?:,|$)"""
)
# The folders of an absolute path at the beginning of a word, of its value, or of an item of a list or a function.
_ABSOLUTE = re.compile(r"""(^|[=\[(,]\s*['"]?)(?:/|[A-Za-z]:[\\/])[^,\])]*[\\/]""")
_MOST_COMMAS = 8  # in the name of a file


def quote_paths(arguments: Sequence[str]) -> list[str]:
    r"""The command line with the values of path keys in quotes, as Hydra's grammar needs them.

    The commas of a sweep (`-m`) and of a list in brackets separate names, except within quotes and within the name of an
    existing file. In a sweep `choice(a.jpg,b.jpg)` lists names and `glob(photos/*.jpg)` the files that match.

    Raises:
        InputError: no file matches a `glob`.

    Example:
        >>> quote_paths(["style.path=día (1).jpg", "size=64"])
        ["style.path='día (1).jpg'", 'size=64']
        >>> quote_paths(["-m", "content.path=choice(it's me.jpg, b.jpg)"])
        ['-m', "content.path='it\\'s me.jpg','b.jpg'"]
    """
    several = bool({"-m", "--multirun"} & {*arguments})
    return [_quoted(argument, several) for argument in arguments]


def _quoted(argument: str, several: bool) -> str:
    key, _, value = argument.partition("=")
    if key in _FOLDERS and value:
        return f"{key}={quote(value)}"
    if key not in _FILES or not value:
        return argument
    names = _split(value) if several else [value]
    return f"{key}={','.join(quoted for name in names for quoted in _pieces(key, name, several))}"


def _pieces(key: str, name: str, several: bool) -> list[str]:
    """The quoted values that a name, a list or a function of Hydra's grammar stands for."""
    function, _, inner = name.removesuffix(")").partition("(") if name.endswith(")") else ("", "", "")
    if os.path.lexists(name):
        return [quote(name)]
    if key in _LISTS and name[:1] == "[" and name[-1:] == "]":
        return [f"[{','.join(quote(item) for item in _split(name[1:-1]))}]"]
    if several and function == "choice":
        return [quote(item) for item in _split(inner)]
    if several and function == "glob":
        found = sorted(
            path for pattern in _split(inner) for path in glob.glob(os.path.expanduser(pattern)) if os.path.isfile(path)
        )
        if not found:
            raise InputError(f"{key} must match files, got {name} which matches none; check the pattern")
        return [quote(path) for path in sorted({*found})]
    return [name if function in ("glob", "choice", "range", "interval", "sort", "shuffle", "tag") else quote(name)]


def _split(text: str) -> list[str]:
    """The values between commas; a name that exists only together with its commas stays whole."""
    pieces = [match[1] for match in _PIECE.finditer(text) if match[1].strip()]
    found: list[str] = []
    while pieces:
        counts = range(1, min(len(pieces), _MOST_COMMAS + 1) + 1)
        count = next((count for count in counts if os.path.lexists(",".join(pieces[:count]))), 0)
        found.append(",".join(pieces[:count]) if count else pieces[0].strip())
        del pieces[: count or 1]
    return found


def quote(text: str) -> str:
    """A value of Hydra's grammar for a text, in quotes; what is quoted already, and `null`, as it is."""
    if text == "null" or (re.fullmatch(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", text) and not os.path.lexists(text)):
        return text
    return "'" + re.sub(r"(\\+)$", r"\1\1", re.sub(r"(\\*)'", r"\1\1\\'", text)) + "'"


def without_folders(word: str) -> str:
    """A word of a command line, or a value, with the names of files in place of their absolute paths.

    >>> [without_folders(word) for word in ("content.path=/home/ana/me.jpg", "style.path=[a.jpg,'/home/ana/b.jpg']", "a/b.jpg")]
    ['content.path=me.jpg', "style.path=[a.jpg,'b.jpg']", 'a/b.jpg']
    """
    key, equals, value = word.rpartition("=")
    return f"{key}{equals}{os.path.basename(value)}" if os.path.isabs(value) else _ABSOLUTE.sub(r"\1", word)
