"""The queue of the studio: one worker, which runs one run folder after the other as `nst-jax` does.

A run is a folder from the moment it waits: its settings are checked; config.yaml, the manifest and its pictures are written.
The worker resumes it, from its beginning or a checkpoint: a run that was stopped, or whose process was killed, goes on the same
way, here or by `nst-jax resume`.
"""

import gc
import json
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from nst_jax.config.schema import Config
from nst_jax.errors import InputError
from nst_jax.images.files import write_image
from nst_jax.job import Scale, StepInfo, compile_ahead
from nst_jax.runner.kinds import config_in, prepare
from nst_jax.runner.prepare import network_for, specify
from nst_jax.runner.resume import resume
from nst_jax.runner.run import new_run
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import Clock
from nst_jax.studio import look as looks
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.look import Look
from nst_jax.system.atomic_write import atomic_write
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.memory import trim_heap

_log = logging.getLogger(__name__)

State = Literal["waiting", "running", "interrupted", "finished", "failed"]
_SHARE = 0.05  # of the time, at most, goes into pictures on the way
_PATIENCE = 30.0  # seconds for the last step; a program that is being compiled is not waited for
_KEPT = 20  # of them: a browser may still be loading an earlier one


@dataclass
class Job:
    """A run in the queue, or one that has left it.

    Attributes:
        run: its folder.
        name: of it, in the studio.
        steps: in all.
        scales: of the run, for the time that is left.
        state: how it stands.
        step: steps made.
        size: longer side of the picture now, in pixels.
        loss: of the last step.
        seconds_left: an estimate; None before there is one.
        picture: a file that shows how far it is; None before the first step.
        error: why it failed.
        stop: set to end it with the picture so far.
    """

    run: RunFolder
    name: str
    steps: int = 0
    scales: tuple[Scale, ...] = ()
    state: State = "waiting"
    step: int = 0
    size: int = 0
    loss: float | None = None
    seconds_left: float | None = None
    picture: Path | None = None
    error: str = ""
    stop: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is still to end."""
        return self.state in ("waiting", "running")


@dataclass
class _Watcher:
    """The callback of a running job: notes how far it is, and writes its pictures into `folder`."""

    job: Job
    folder: Path
    shown_at: float = 0.0
    cost: float = 0.0
    files: deque[Path] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._clock = Clock(self.job.steps, self.job.scales)

    def __call__(self, report: StepInfo) -> bool:
        self.job.step = report.step
        if report.rows:
            row = report.rows[-1]
            self._clock.update(report.step, row["scale"])
            self.job.size, self.job.loss = row["size"], row["loss"]
            self.job.seconds_left = self._clock.seconds_left(report.step)
        now = time.monotonic()
        if not report.last and now - self.shown_at > self.cost / _SHARE:
            self._show(report)
            self.shown_at, self.cost = time.monotonic(), time.monotonic() - now
        return self.job.stop

    def _show(self, report: StepInfo) -> None:
        file = self.folder / f"{report.step:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_image(file, report.pixels())
        self.job.picture = file
        self.files.append(file)
        if len(self.files) > _KEPT:
            self.files.popleft().unlink(missing_ok=True)


def read_network() -> None:
    """Reads the parameters of the usual network, which the first run then finds."""
    with suppress(InputError):  # it is said when a run is started
        network_for(Config(), specify(Config()))


class Worker:
    """The queue and its one thread. Every method may be called from any thread."""

    def __init__(self, folder: StudioFolder) -> None:
        self.folder = folder
        self._jobs: dict[str, Job] = {}
        self._wish: Config | None = None
        self._closing = False
        self._live = folder.live / "runs"
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="studio", daemon=True)

    def start(self) -> None:
        """Takes up what waited when the studio ended."""
        for name in self._read_queue():
            with suppress(InputError):
                self.go_on(name)
        self._thread.start()

    def close(self) -> None:
        """Ends the running job with a checkpoint, if it can soon; all open jobs go on at the next start."""
        with self._changed:
            self._closing = True
            for one in self._jobs.values():
                one.stop = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    @property
    def is_busy(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread.is_alive()

    def submit(self, photo: Path, look: Look, output: str = "", run: Path | None = None) -> Job:
        """Checks a run, writes its folder and puts it into the queue.

        Args:
            photo: what is painted.
            look: what it becomes.
            output: where the picture is written, too.
            run: its folder, as `StudioFolder.new_run` gives it; None: one named after the time.

        Raises:
            InputError: anything the user can fix; the folder is removed then.
        """
        with self._new_run(run) as path:
            word = looks.as_word(self.folder.keep(photo))
            config = looks.compose(looks.words(word, look, output))
            return self._submit(
                path, word, look, replace(config, run=replace(config.run, format="tiff"))
            )  # 16 bits, to download

    def submit_film(self, film: Path, look: Look, *, preview: bool = False) -> Job:
        """Checks the run of a film, as `StudioFolder.keep_film` keeps it, writes its folder and puts it into the queue.

        Args:
            film: what is painted.
            look: what it becomes; it has no start.
            preview: paints the first frames alone.

        Raises:
            InputError: anything the user can fix; the folder is removed then.
        """
        look = replace(look, start="")
        with self._new_run(None) as path:
            words = [*looks.words(str(film), look), *(["preview=true"] if preview else [])]
            return self._submit(path, str(film), look, looks.compose(words, film=True))

    @contextmanager
    def _new_run(self, run: Path | None) -> Iterator[Path]:
        """A folder for a run, which is removed if that cannot be."""
        path = run or self.folder.new_run()
        try:
            yield path
        except InputError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def _submit(self, path: Path, word: str, look: Look, config: Config) -> Job:
        prepared = prepare(replace(config, run=replace(config.run, dir=str(path))))
        with new_run(prepared) as folder:
            looks.write(path, word, look)  # from here on it is a run that was killed before its first step
        return self._enter(Job(folder, self.folder.name_of(path), prepared.steps, prepared.work))

    def go_on(self, name: str) -> Job:
        """Puts a run that has not finished into the queue again. Raises InputError if there is no such run."""
        found = self.find(name)
        if found.is_open or found.state == "finished":
            return found
        return self._enter(replace(found, state="waiting", error="", stop=False, seconds_left=None))

    def find(self, name: str) -> Job:
        """A job by the name of its run, also one of an earlier day. Raises InputError if there is no such run."""
        with self._changed:
            if known := self._jobs.get(name):
                return known
        run = RunFolder(self.folder.run(name))
        row, status, scales = run.last_row(), run.status(), ()
        state = "interrupted" if status == "running" else status  # by a process that this studio does not know
        picture = next((file for file in (run.result, run.current) if file.exists()), None)
        error = str(run.read_manifest().get("error") or "") if state == "failed" else ""
        with suppress(InputError):  # a config that cannot be read: said when it is to go on
            scales = specify(config_in(run)).scales
        facts = {"step": row.get("step", 0), "size": row.get("size", 0), "loss": row.get("loss")}
        steps = sum(scale.steps for scale in scales)
        return Job(run, name, steps, scales, state=state, picture=picture, error=error, **facts)  # pyright: ignore[reportArgumentType]

    def stop(self, name: str) -> None:
        """Ends a job with the picture so far; one that waits is put aside."""
        with self._changed:
            found = self._jobs.get(name)
            if found is None or not found.is_open:
                return
            found.stop = True
            if found.state == "waiting":
                found.state = "interrupted"
            self._write_queue()

    def before(self, name: str) -> int:
        """How many jobs come before this one."""
        with self._changed:
            names = [one.name for one in self._jobs.values() if one.is_open]
        return names.index(name) if name in names else 0

    def wish(self, config: Config) -> None:
        """Has the programs of a run compiled while the worker has nothing else to do."""
        with self._changed:
            self._wish = config
            self._changed.notify_all()

    def _enter(self, entered: Job) -> Job:
        with self._changed:
            self._jobs.pop(entered.name, None)
            self._jobs[entered.name] = entered  # at the end
            self._write_queue()
            self._changed.notify_all()
        return entered

    def _work(self) -> None:
        use_compilation_cache()
        for task in self._tasks():
            if isinstance(task, Job):
                self._run(task)
            else:
                self._compile(task)

    def _tasks(self) -> Iterator[Job | Config]:
        """What is to be done next, until the studio ends: a job, or else programs to compile."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._next() or self._wish)
                if self._closing:
                    return
                task = self._next()
                if task is None:
                    task, self._wish = self._wish, None
                else:
                    task.state = "running"
            if task:
                yield task

    def _next(self) -> Job | None:
        return next((one for one in self._jobs.values() if one.state == "waiting"), None)

    def _run(self, running: Job) -> None:
        state: State = "failed"
        shutil.rmtree(self._live, ignore_errors=True)  # of the job before, which a page may have shown until now
        self._live = self.folder.live / "runs" / running.name
        try:
            _, result = resume(running.run.path, quiet=True, observe=_Watcher(running, self._live))
            state = "interrupted" if result is not None and result.stopped else "finished"
            running.picture = running.run.result
        except InputError as error:
            running.error = str(error)
        except Exception as error:  # such as memory that is exhausted: the next job may be smaller
            _log.exception("the run %s failed", running.name)
            running.error = f"{type(error).__name__}: {error}"
        gc.collect()  # a run's pictures and arrays are in cycles
        trim_heap()
        with self._changed:
            running.state = state
            if not self._closing:
                self._write_queue()

    def _compile(self, config: Config) -> None:
        """Compiles the programs of a run, scale by scale, until there is a job or another wish."""
        with suppress(InputError):
            prepared, idle = prepare(config), lambda: not (self._next() or self._wish or self._closing)
            compile_ahead(prepared.params, prepared.inputs, prepared.spec, idle)

    def _read_queue(self) -> list[str]:
        try:
            return [str(name) for name in json.loads(self.folder.queue.read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return []

    def _write_queue(self) -> None:
        names = [one.name for one in self._jobs.values() if one.is_open and not one.stop]
        atomic_write(self.folder.queue, json.dumps(names).encode())
