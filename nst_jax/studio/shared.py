"""What the pages of a studio share: the folder, the queue, the shelf; how bad input is said."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from nst_jax.errors import InputError
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.jobs import Worker
from nst_jax.studio.shelf import Painting

# Of an event of the page, whose name is no endpoint's; and of one that shows its outcome by itself.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "api_name": "page"}
QUIET: dict[str, Any] = {**PRIVATE, "show_progress": "hidden"}


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
