"""Sweeps on a cluster: the results and the record of a sweep on this machine, also where processes are killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.sweeping import TINY, pictures, statuses, table, write_pictures

LONG = ["init=noise", "optimizer=adam", "steps=3000", "run.log_every=100", "run.checkpoint_every_s=0.01"]
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}  # as /proc/net writes it


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path)


def skip_without(module: str) -> None:
    """As `pytest.importorskip`, without importing: submitit's logging, once set up, closes the streams that pytest captures."""
    if not find_spec(module):
        pytest.skip(f"{module} is not installed")


@contextmanager
def sweep(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A sweep in a process of its own, which ends with the block."""
    own = {"JAX_COMPILATION_CACHE_DIR": str(Path("cache").absolute()), "RAY_worker_niceness": "0"}
    command = [sys.executable, "-m", "nst_jax.run", "-m", *TINY, *arguments]
    with subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def worker_of(member: int, process: "subprocess.Popen[str]") -> int:
    """The process that runs a member, once there is a checkpoint of it."""
    wait_for(lambda: any(Path("all").glob(f"{member}*/checkpoints/nst_jax-" + "[0-9]" * 8)), process)
    lock = next(Path("all").glob(f"{member}*")).absolute() / ".nst_jax.lock"
    return next(pid for pid in processes() if str(lock) in opened(pid))


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str] | None" = None) -> None:
    """Waits, as long as a process lives."""
    until = time.monotonic() + 400  # on a busy machine
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def opened(pid: int) -> set[str]:
    """What a process has open: files by their paths, sockets as `socket:[INODE]`."""
    found = set()
    for link in Path("/proc").glob(f"{pid}/fd/*"):
        with suppress(OSError):  # closed since
            found.add(os.readlink(link))
    return found


def listening(pids: set[int]) -> set[str]:
    """The addresses on which processes listen."""
    sockets = {name for pid in pids for name in opened(pid)}
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def family(pid: int) -> set[int]:
    """A process and those that it has begun, and so on."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {pid}.union(*(family(int(child)) for child in children))


def test_on_ray_a_killed_worker_changes_nothing(main):
    skip_without("ray")
    Path("broken.png").write_text("no picture")
    arguments = [*LONG, "content.path=content.png,broken.png", "seed=1,2"]
    with sweep(*arguments, "hydra/launcher=ray") as process:
        worker = worker_of(1, process)
        assert listening(family(process.pid)) <= LOOPBACK
        assert listening(family(process.pid))
        os.kill(worker, signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 1, err
    assert out.splitlines()[-1].startswith("all: 2 done, 2 failed; see report.html")
    assert "error: member 2 of the sweep failed: " in err
    assert "member 1: done, " in err
    assert statuses() == ["done"] * 2 + ["failed"] * 2
    assert [row["seed"] for row in table()] == ["1", "2", "1", "2"]
    assert main("-m", *TINY, *arguments, "hydra.sweep.dir=alone")[0] == 1
    assert pictures("all") == pictures("alone")


def test_on_ray_a_member_that_is_lost_for_good_has_failed_and_ctrl_c_leaves_pictures(main):
    skip_without("ray")
    with sweep(*LONG, "steps=1000000", "seed=1,2,3", "hydra/launcher=ray", "hydra.launcher.retries=0") as process:
        os.kill(worker_of(0, process), signal.SIGKILL)
        wait_for(lambda: statuses()[0] == "failed", process)
        worker_of(1, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert statuses() == ["failed", "interrupted", "interrupted"]
    assert "member 0 of the sweep failed" in err
    assert "WorkerCrashedError" in err
    assert Path("all/1/result.png").exists()
    assert out.splitlines()[-1].startswith("all: 1 failed, 2 interrupted; ")


def test_without_ray_or_a_cluster_is_one_line(main, monkeypatch: pytest.MonkeyPatch):
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "0")  # so that the test takes back what it sets
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        code, out, err = main("-m", *TINY, "seed=1,2", "hydra/launcher=ray")
    assert (code, out) == (2, "")
    assert 'pip install "nst_jax[cluster]"' in err
    assert err.count("\n") == 1
    skip_without("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # where nobody listens
        code, out, err = main("-m", *TINY, "seed=1,2", "hydra/launcher=ray", f"hydra.launcher.address={address}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: hydra.launcher.address")
    assert address in err
    assert not Path("all").exists()


def test_a_job_that_slurm_runs_again_goes_on_and_a_lost_one_is_one_line(main):
    skip_without("hydra_plugins.hydra_submitit_launcher")
    with sweep(*LONG, "seed=1,2", "hydra/launcher=submitit_local") as process:
        job = worker_of(0, process)
        again = Path(f"/proc/{job}/cmdline").read_text().split("\0")[:-1]
        environment = dict(line.split("=", 1) for line in Path(f"/proc/{job}/environ").read_text().split("\0")[:-1])
        os.kill(job, signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("error: hydra/launcher=submitit_local must run every job to its end, got Uncomp")
    assert subprocess.run(again, env=environment, capture_output=True, check=False).returncode == 0
    wait_for(lambda: statuses() == ["done"] * 2)
    assert main("-m", *TINY, *LONG, "seed=1,2", "hydra.sweep.dir=alone")[0] == 0
    assert pictures("all") == pictures("alone")
