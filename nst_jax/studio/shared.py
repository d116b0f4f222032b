"""What the pages of a studio share: the folder, the queue, the shelf of paintings to choose from; how bad input is said."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from nst_jax.config.validate import choices
from nst_jax.errors import InputError
from nst_jax.images.files import READABLE
from nst_jax.images.named import NAMED, local_file
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.jobs import Worker

# All pages have Gradio from here. It renews the type stub of each component on the disk when it is imported, which takes as
# long as all else of it; a component whose source file is not found has none.
with mock.patch.object(inspect, "getfile", side_effect=FileNotFoundError):
    import gradio as gr
    from gradio.themes.base import Base as Base

# Of an event of the page, whose name is no endpoint's; and of one that shows its outcome by itself.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "api_name": "page"}
QUIET: dict[str, Any] = {**PRIVATE, "show_progress": "hidden"}


class Painting(NamedTuple):
    """A painting on the shelf: its title and its file."""

    title: str
    file: Path


def shelf(folder: Path | None = None) -> list[Painting]:
    """The sample paintings that are on this machine, and those in a folder of the user's.

    Raises:
        InputError: the folder is none, or holds no pictures.
    """
    named = [
        Painting(f"{NAMED[name].title}, {NAMED[name].artist}", file) for name in choices("style") if (file := local_file(name))
    ]
    return named + (_in_folder(folder) if folder else [])


def _in_folder(folder: Path) -> list[Painting]:
    if not folder.is_dir():
        raise InputError(f"--styles must be a folder, got {folder}; check the path")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in READABLE)
    if not files:
        raise InputError(f"--styles must hold pictures, got none in {folder}; name a folder with .jpg or .png files")
    return [Painting(file.stem.replace("_", " "), file) for file in files]


@dataclass(frozen=True)
class Studio:
    """What all pages share."""

    folder: StudioFolder
    worker: Worker
    paintings: list[Painting]


def said(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose bad input is a sentence in the page."""

    @wraps(handler)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except InputError as error:
            raise gr.Error(str(error), title="", print_exception=False) from error

    return call
