"""The view of a run: the picture that grows, how far it is, and the buttons that stop it and go on."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.runs.progress import format_number
from nst_jax.studio.history import command_line, photo_of
from nst_jax.studio.jobs import Job
from nst_jax.studio.shared import Studio, gr
from nst_jax.studio.texts import duration, label, say

# Seconds between two looks at a run, before its first picture and after: each keeps a browser busy for a tenth of a second.
_EAGER, _CALM = 1.0, 2.0
TIFF = "result.tiff"  # of a run folder: the picture with 16 bits


@dataclass(frozen=True)
class Session:
    """What one page shows.

    Attributes:
        run: the name of the run in view; "" before the first.
        picture: the file in view, so that it is sent once.
        done: whether it is shown beside the photograph.
        state: of the run, for which the buttons are right.
    """

    run: str = ""
    picture: str = ""
    done: bool = False
    state: str = ""


@dataclass(frozen=True)
class View:
    """The components that show a run."""

    session: gr.State
    picture: gr.Image
    compare: gr.ImageSlider
    status: gr.HTML
    stop: gr.Button
    go_on: gr.Button
    download: gr.DownloadButton
    tiff: gr.DownloadButton
    command: gr.Textbox
    timer: gr.Timer
    memory: gr.BrowserState
    start: gr.Button
    from_here: gr.Checkbox

    @property
    def all(self) -> list[Any]:
        """What a run changes, in the order of `shown`."""
        return [self.session, self.picture, self.compare, self.status, self.stop, self.go_on, self.download, self.tiff,
                self.command, self.timer, self.memory]  # fmt: skip


def draw_view() -> View:
    """Draws the components."""
    session, timer = gr.State(Session()), gr.Timer(_EAGER, active=False)
    memory = gr.BrowserState("", storage_key="nst_jax_studio", secret="nst_jax_studio")
    picture = gr.Image(
        label=label("result"), interactive=False, type="filepath", height=520, elem_id="picture", buttons=["fullscreen"],
    )  # fmt: skip
    compare = gr.ImageSlider(
        label=label("compare"), interactive=False, type="filepath", visible=False, max_height=520, elem_id="compare",
        buttons=["fullscreen"],
    )  # fmt: skip
    status = gr.HTML(elem_id="status")
    with gr.Row(elem_id="actions"):
        start = gr.Button(label("start"), variant="primary", elem_id="start", min_width=110)
        stop = gr.Button(label("stop"), variant="stop", interactive=False, elem_id="stop", min_width=110)
        go_on = gr.Button(label("go_on"), interactive=False, elem_id="go_on", min_width=110)
        download = gr.DownloadButton(label("download"), interactive=False, elem_id="download", min_width=110)
        tiff = gr.DownloadButton(label("tiff"), interactive=False, elem_id="tiff", min_width=110)
    from_here = gr.Checkbox(False, label=label("from_here"), elem_id="from_here")
    command = gr.Textbox(label=label("command"), interactive=False, lines=2, buttons=["copy"], elem_id="command", visible=False)
    return View(session, picture, compare, status, stop, go_on, download, tiff, command, timer, memory, start, from_here)


def shown(studio: Studio, session: Session, request: gr.Request | None) -> list[Any]:
    """What the components of a `View` show of the run in view; what they show already is left out, for the browser's sake."""
    try:
        job = studio.worker.find(session.run)
    except InputError:  # none yet, or removed since
        off, hidden = gr.update(interactive=False), gr.update(value=None, visible=False)
        empty = _line(say(request, "say_empty"))
        return [Session(), None, hidden, empty, off, off, off, off, hidden, gr.update(active=False), ""]
    photo = photo_of(job.run.path)
    done = job.state == "finished" and photo is not None
    result = job.run.result if not job.is_open and job.run.result.exists() else None
    state = "stopping" if job.is_open and job.stop else job.state
    now = Session(job.name, str(studio.folder.as_shown(result) if result else job.picture or ""), done, state)
    status, same = status_line(studio, job, request), gr.skip()
    if now == session:
        return [same, same, same, status, *[same] * 7]
    pictures = [
        gr.update(value=None if done else now.picture or None, visible=not done),
        gr.update(value=(str(photo), now.picture) if done else None, visible=done),
    ]
    if (now.run, now.state) == (session.run, session.state):
        return [now, *pictures, status, *[same] * 5, gr.update(value=_CALM), same]
    return [
        now,
        *pictures,
        status,
        gr.update(interactive=state in ("waiting", "running")),
        gr.update(interactive=state in ("interrupted", "failed")),
        as_download(result),
        as_download(result and result.with_name(TIFF)),
        gr.update(value=command_line(job.run.path), visible=True),
        gr.update(value=_EAGER, active=job.is_open),
        job.name,
    ]


def as_download(file: Path | None) -> Any:
    """What a button is to offer: a file, or nothing."""
    there = file is not None and file.exists()
    return gr.update(interactive=there, value=str(file) if there else None)


def status_line(studio: Studio, job: Job, request: gr.Request | None) -> str:
    """How a run stands, in a line with a bar."""
    share = job.step / job.steps if job.steps else None
    if job.state == "waiting" and (before := studio.worker.before(job.name)):
        return _line(say(request, "say_waiting", before=before))
    if job.state == "finished":
        return _line(say(request, "say_finished"), kind="good")
    if job.state == "failed":
        return _line(say(request, "say_failed", error=job.error), kind="bad")
    if job.state == "interrupted":
        return _line(say(request, "say_interrupted", step=job.step), share)
    if job.stop:
        return _line(say(request, "say_stopping"), share)
    if not job.step:
        return _line(say(request, "say_begins"), 0.0)
    parts = [say(request, "say_running", step=job.step, steps=job.steps, size=job.size)]
    if job.seconds_left is not None:
        parts.append(say(request, "say_left", left=duration(job.seconds_left)))
    if job.loss is not None:
        parts.append(say(request, "say_loss", loss=format_number(job.loss)))
    return _line(" · ".join(parts), share)


def _line(text: str, share: float | None = None, kind: str = "") -> str:
    bar = "" if share is None else f'<div class="bar" aria-hidden="true"><i style="width: {100 * share:.1f}%"></i></div>'
    return f'<div class="status {kind}" role="status">{bar}<span>{html.escape(text)}</span></div>'
