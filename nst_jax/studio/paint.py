"""The tab to paint in: the controls beside the picture that grows."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.studio.controls import Controls, chosen_look, draw_controls
from nst_jax.studio.shared import QUIET, Studio, gr, said
from nst_jax.studio.texts import say
from nst_jax.studio.view import Session, View, draw_view, shown


def paint_tab(studio: Studio) -> tuple[Controls, View]:
    """Draws the tab and connects it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            controls = draw_controls(studio)
        with gr.Column(scale=3, min_width=320):
            view = draw_view()

    def start(values: dict[Any, Any], request: gr.Request) -> list[Any]:
        return _start(studio, controls, view, values, request)

    given = {controls.photo, view.session, view.from_here} | controls.look
    waits = {**QUIET, "show_progress": "minimal", "show_progress_on": view.status}  # pictures are read, settings checked
    view.start.click(said(start), given, view.all, **waits)
    _follow(studio, view)
    return controls, view


def _follow(studio: Studio, view: View) -> None:
    """Keeps the view up to date, and connects Stop and Continue."""

    def tick(session: Session, request: gr.Request) -> list[Any]:
        return shown(studio, session, request)

    def stop(session: Session, request: gr.Request) -> list[Any]:
        studio.worker.stop(session.run)
        return shown(studio, session, request)

    def go_on(session: Session, request: gr.Request) -> list[Any]:
        studio.worker.go_on(session.run)
        return shown(studio, session, request)

    def load(remembered: str, request: gr.Request) -> list[Any]:
        return shown(studio, Session(remembered or ""), request)

    view.timer.tick(tick, view.session, view.all, **QUIET)
    view.stop.click(stop, view.session, view.all, **QUIET)
    view.go_on.click(said(go_on), view.session, view.all, **QUIET)
    gr.on(None, load, view.memory, view.all, **QUIET)


def _start(studio: Studio, controls: Controls, view: View, values: Mapping[Any, Any], request: gr.Request) -> list[Any]:
    photo, session = values[controls.photo], values[view.session]
    if photo is None:
        raise InputError(say(request, "need_photo"))
    if values[controls.painting] is None:
        raise InputError(say(request, "need_painting"))
    look = chosen_look(studio, controls, values)
    if values[view.from_here] and session.run and (picture := studio.worker.find(session.run).picture):
        look = replace(look, start=str(studio.folder.keep(picture)))
    studio.worker.stop(session.run)  # what this page was making, if it still is
    return shown(studio, Session(studio.worker.submit(Path(photo), look).name), request)
