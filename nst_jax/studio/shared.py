"""What the pages of a studio share: the folder, the queue, the shelf; how a run is started and bad input said."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from nst_jax.errors import InputError
from nst_jax.studio import look as looks
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.jobs import Job, Worker
from nst_jax.studio.look import Look
from nst_jax.studio.shelf import Painting

# Of an event that shows its outcome by itself, and that other programs do not call.
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Studio:
    """What all pages share."""

    folder: StudioFolder
    worker: Worker
    paintings: list[Painting]


def submit(studio: Studio, photo: str, look: Look, output: str = "", run: Path | None = None) -> Job:
    """Starts the run of a photograph.

    Args:
        studio: of the page.
        photo: its file.
        look: what it becomes.
        output: where the picture is written, too.
        run: its folder; None: a new one.

    Raises:
        InputError: anything the user can fix.
    """
    path = run or studio.folder.new_run()
    word = looks.as_word(studio.folder.keep(Path(photo)))
    job = studio.worker.submit(looks.compose(looks.words(word, look, output)), path)
    looks.write(path, word, look)
    return job


def said(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose bad input is a sentence in the page."""

    @wraps(handler)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except InputError as error:
            raise gr.Error(str(error), title="", print_exception=False) from error

    return call
