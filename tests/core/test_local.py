import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import psutil
import pytest

from ald_core.errors import SubmitRefused
from ald_core.local import LocalScheduler
from ald_core.types import Job, JobStatus, Resources

RUN = f"ald-t{os.getpid()}"


def job(tmp_path: Path, number: int, text: str, cores: int = 1) -> Job:
    folder = tmp_path / f"{number}"
    folder.mkdir()
    (folder / "job.sh").write_text(f"cd '{folder}'\n{text}\n")
    return Job(f"{RUN}-md-x-{number}", folder, folder / "job.sh", Resources(cores=cores))


def states(found: dict[str, list[JobStatus]]) -> dict[int, str]:
    """State of each job by number."""
    assert all(len(s) == 1 for s in found.values())
    return {int(name.rpartition("-")[2]): s[0].state for name, s in sorted(found.items())}


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _no_survivors() -> Iterator[None]:
    yield
    wait_until(lambda: not kill_jobs())


def kill_jobs() -> int:
    """Kill what is left of the jobs of this module; how much that was."""
    count = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get("ALD_JOB_NAME", "").startswith(RUN):
                process.kill()
                count += 1
        except psutil.Error:
            continue
    return count


def test_cores_are_filled_in_order_and_freed(tmp_path: Path) -> None:
    scheduler = LocalScheduler(cores=3)
    hold = "while [ ! -e stop ]; do sleep 0.02; done"
    jobs = [job(tmp_path, i, hold, cores) for i, cores in enumerate([2, 1, 2, 1, 1])]
    ids = [scheduler.submit(j) for j in jobs]
    assert len(set(ids)) == 5
    found = scheduler.find(RUN)
    assert states(found) == {0: "running", 1: "running", 2: "waiting", 3: "waiting", 4: "waiting"}
    assert {s[0].id for s in found.values()} == set(ids)
    (jobs[1].folder / "stop").touch()
    wait_until(lambda: 1 not in states(scheduler.find(RUN)))
    # One core is free, but job 2 is first and needs two.
    assert states(scheduler.find(RUN)) == {0: "running", 2: "waiting", 3: "waiting", 4: "waiting"}
    (jobs[0].folder / "stop").touch()
    wait_until(lambda: 0 not in states(scheduler.find(RUN)))
    assert states(scheduler.find(RUN)) == {2: "running", 3: "running", 4: "waiting"}
    for j in jobs:
        (j.folder / "stop").touch()
    wait_until(lambda: not scheduler.find(RUN))


def test_find_knows_prefixes(tmp_path: Path) -> None:
    scheduler = LocalScheduler(cores=1)
    scheduler.submit(job(tmp_path, 1, "sleep 60"))
    scheduler.submit(job(tmp_path, 2, "sleep 60"))
    assert set(scheduler.find(f"{RUN}-md-x-2")) == {f"{RUN}-md-x-2"}
    assert scheduler.find("ald-other-") == {}


def test_a_job_that_is_too_big_is_refused_for_good(tmp_path: Path) -> None:
    with pytest.raises(SubmitRefused, match=r"4 cores .* has 3.*\[resources\]") as refusal:
        LocalScheduler(cores=3).submit(job(tmp_path, 1, "true", cores=4))
    assert not refusal.value.retry_later


def test_jobs_have_their_own_session_log_and_no_stdin(tmp_path: Path) -> None:
    scheduler = LocalScheduler(cores=1)
    j = job(tmp_path, 1, "cat; echo out; echo err >&2; ps -o sid= -p $$ >sid; echo $$ >pid")
    scheduler.submit(j)
    wait_until(lambda: not scheduler.find(RUN))
    assert (j.folder / "job.out").read_text() == "out\nerr\n"
    assert int((j.folder / "sid").read_text()) == int((j.folder / "pid").read_text())
    assert int((j.folder / "sid").read_text()) != os.getsid(0)


def test_cancel_ends_running_and_waiting_jobs(tmp_path: Path) -> None:
    scheduler = LocalScheduler(cores=1)
    ids = [scheduler.submit(job(tmp_path, i, "sleep 60")) for i in range(3)]
    scheduler.cancel([ids[0], ids[2], "unknown"])
    wait_until(lambda: states(scheduler.find(RUN)) == {1: "running"})


def test_a_job_without_a_script_is_simply_not_there(tmp_path: Path) -> None:
    scheduler = LocalScheduler(cores=1)
    folder = tmp_path / "nowhere"
    scheduler.submit(Job(f"{RUN}-md-x-1", folder, folder / "job.sh", Resources()))
    scheduler.submit(job(tmp_path, 2, "sleep 60"))
    wait_until(lambda: states(scheduler.find(RUN)) == {2: "running"})


def test_running_jobs_are_found_after_a_kill_and_occupy_their_cores(tmp_path: Path) -> None:
    """kill -9 of the process that submitted: what runs is found, what waited is gone."""
    for i in range(3):
        job(tmp_path, i, "while [ ! -e stop ]; do sleep 0.02; done", 2)
    code = f"""
import os
from pathlib import Path
from ald_core.local import LocalScheduler
from ald_core.types import Job, Resources
scheduler = LocalScheduler(cores=4)
for i in range(3):
    f = Path({str(tmp_path)!r}) / str(i)
    scheduler.submit(Job(f"{RUN}-md-x-{{i}}", f, f / "job.sh", Resources(cores=2)))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    scheduler = LocalScheduler(cores=5)
    assert states(scheduler.find(RUN)) == {0: "running", 1: "running"}
    scheduler.submit(job(tmp_path, 7, "sleep 60", 2))
    assert states(scheduler.find(RUN)) == {0: "running", 1: "running", 7: "waiting"}
    (tmp_path / "0" / "stop").touch()
    wait_until(lambda: states(scheduler.find(RUN)) == {1: "running", 7: "running"})
    scheduler.cancel([f"{RUN}-md-x-1"])
    wait_until(lambda: states(scheduler.find(RUN)) == {7: "running"})


def test_what_a_killed_script_leaves_behind_is_still_its_job(tmp_path: Path) -> None:
    scheduler = LocalScheduler(cores=1)
    scheduler.submit(job(tmp_path, 1, "echo $$ >pid; (while [ ! -e stop ]; do sleep 0.02; done)"))
    pid = tmp_path / "1" / "pid"
    wait_until(lambda: pid.exists() and pid.read_text())
    os.kill(int(pid.read_text()), signal.SIGKILL)
    for _ in range(5):
        assert states(scheduler.find(RUN)) == {1: "running"}
        time.sleep(0.02)
    (tmp_path / "1" / "stop").touch()
    wait_until(lambda: not scheduler.find(RUN))


def test_a_job_gets_the_environment_but_for_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "geheim")
    monkeypatch.setenv("LICENCE", "here")
    scheduler = LocalScheduler()
    one = job(tmp_path, 1, "tr '\\0' '\\n' </proc/$$/environ >seen")
    scheduler.submit(attrs.evolve(one, withhold=frozenset({"MAIL_PASSWORD"})))
    wait_until(lambda: not scheduler.find(RUN))
    seen = (one.folder / "seen").read_text().splitlines()
    assert "LICENCE=here" in seen
    assert not any("MAIL_PASSWORD" in line for line in seen)
