"""The tab for a film: the look is chosen on one of its frames, and the film is painted by it."""

import itertools
from collections import deque
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.video import FILMS, decode_film
from nst_jax.studio.controls import Controls, chosen_look
from nst_jax.studio.shared import PRIVATE, QUIET, Studio, gr, said
from nst_jax.studio.texts import label, say
from nst_jax.studio.view import status_line


def film_tab(studio: Studio, controls: Controls, tabs: gr.Tabs) -> None:
    """Draws the tab and connects it."""
    gr.Markdown(label("film_info"))
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            film = gr.File(label=label("film_file"), file_types=[*FILMS], elem_id="film_file", height=140)
            with gr.Row():
                number = gr.Number(0, label=label("film_frame"), minimum=0, precision=0, elem_id="film_frame")
                take = gr.Button(label("film_look"), elem_id="film_look")
            trial = gr.Checkbox(True, label=label("film_trial"), elem_id="film_trial")
            with gr.Row():
                start = gr.Button(label("film_start"), variant="primary", elem_id="film_start")
                stop = gr.Button(label("stop"), variant="stop", interactive=False, elem_id="film_stop")
                go_on = gr.Button(label("go_on"), interactive=False, elem_id="film_go_on")
        with gr.Column(scale=3, min_width=320):
            status = gr.HTML(elem_id="film_status")
            frame = gr.Image(
                label=label("result"), interactive=False, type="filepath", height=360, buttons=[], elem_id="film_now"
            )
            result = gr.Video(label=label("film_result"), interactive=False, visible=False, elem_id="film_result")
    run, timer = gr.State(""), gr.Timer(2.0, active=False)
    outputs = [run, status, frame, result, stop, go_on, timer]

    def show_frame(file: str | None, at: float | int | None, request: gr.Request) -> list[Any]:
        kept = studio.folder.keep_film(_given(file, request))
        return [str(studio.folder.keep_pixels(_frame(kept, int(at or 0)), f"{kept.stem}.png")), gr.Tabs(selected="paint")]

    def begin(values: dict[Any, Any], request: gr.Request) -> list[Any]:
        kept = studio.folder.keep_film(_given(values[film], request))
        if values[controls.painting] is None:
            raise InputError(say(request, "need_painting"))
        look = chosen_look(studio, controls, values)
        studio.worker.stop(values[run])
        return _state(studio, studio.worker.submit_film(kept, look, preview=values[trial]).name, request)

    def halt(name: str, request: gr.Request) -> list[Any]:
        studio.worker.stop(name)
        return _state(studio, name, request)

    def resume(name: str, request: gr.Request) -> list[Any]:
        studio.worker.go_on(name)
        return _state(studio, name, request)

    def tick(name: str, request: gr.Request) -> list[Any]:
        return _state(studio, name, request)

    take.click(said(show_frame), [film, number], [controls.photo, tabs], **PRIVATE)
    start.click(said(begin), {film, trial, run} | controls.look, outputs, **PRIVATE)
    stop.click(halt, run, outputs, **QUIET)
    go_on.click(said(resume), run, outputs, **QUIET)
    timer.tick(tick, run, outputs, **QUIET)


def _given(file: str | None, request: gr.Request) -> Path:
    if not file:
        raise InputError(say(request, "need_film"))
    return Path(file)


def _frame(film: Path, number: int) -> Any:
    """A frame of a film, or its last one, as a picture."""
    found = [*deque(itertools.islice(decode_film(film), number + 1), maxlen=1)]
    if not found:
        raise InputError(f"film must have a frame that can be decoded, got none in {film.name}")
    return (found[0][None] / 255).astype("float32")


def _state(studio: Studio, name: str, request: gr.Request) -> list[Any]:
    """How the film stands, for `outputs`."""
    job = studio.worker.find(name)
    film = job.run.path / "result.mp4"
    there = not job.is_open and film.exists()
    return [
        name,
        status_line(studio, job, request),
        gr.update(value=str(job.picture) if job.picture else None, visible=not there),
        gr.update(value=str(studio.folder.as_shown(film)) if there else None, visible=there),
        gr.update(interactive=job.is_open and not job.stop),
        gr.update(interactive=job.state in ("interrupted", "failed")),
        gr.update(active=job.is_open),
    ]
