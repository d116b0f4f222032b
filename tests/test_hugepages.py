"""Large pages are asked for where the system gives them to those who ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nst_jax.system.cli import hugepages_on_request


@pytest.mark.parametrize(
    ("policy", "on_request"),
    [("always [madvise] never\n", True), ("[always] madvise never\n", False), ("always madvise [never]\n", False)],
)
def test_only_the_policy_madvise_is_worth_a_request(tmp_path: Path, policy: str, on_request: bool):
    (tmp_path / "enabled").write_text(policy)
    assert hugepages_on_request(tmp_path / "enabled") is on_request


def test_a_system_without_large_pages_is_asked_for_none(tmp_path: Path):
    assert not hugepages_on_request(tmp_path / "missing")


def test_only_a_process_of_ours_is_restarted(tmp_path: Path):
    """It starts again as the same process with the same arguments; inside of another program it goes on."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "from nst_jax.system import cli\n"
        "cli.hugepages_on_request = lambda: True\n"
        "print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), sys.argv[1:], flush=True)\n"
        "cli.use_hugepages(__file__)\n"
    )
    other = tmp_path / "other.py"
    other.write_text(f"import runpy\nrunpy.run_path({str(script)!r}, run_name='__main__')")
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}

    def lines(program: Path) -> list[list[str]]:
        arguments = [sys.executable, str(program), "style=a b", "-m"]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
        return [line.split(maxsplit=2) for line in done.stdout.splitlines()]

    first, second = lines(script)
    assert first == [second[0], "None", "['style=a b', '-m']"]
    assert second[1:] == ["glibc.malloc.hugetlb=1", "['style=a b', '-m']"]
    assert [words[1] for words in lines(other)] == ["None"]
