"""The lock: a clear answer to a second `ald run`, and a safe way past one that is dead."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from ald_core import lock as lock_module
from ald_core.errors import InputError
from ald_core.journal import Journal
from ald_core.lock import Holder, Lock, read_holder, who_works


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(lock_module, "PATIENCE", 0.4)
    monkeypatch.setattr(lock_module, "BEAT", 0.05)


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".ald" / "lock"


@pytest.fixture
def mine(path):
    """What a lock of this process holds."""
    lock = Lock(path)
    content = json.loads(path.read_text())
    lock.release()
    return content


def take(path, **more):
    lock = Lock(path, **more)
    holder = read_holder(path)
    lock.release()
    return holder


def elsewhere(mine, **more):
    return json.dumps({**mine, "host": "far", "boot": "b", "machine": "m", "pid": 12, **more})


def test_it_names_the_holder_while_it_is_held_and_nobody_later(path):
    lock = Lock(path)
    holder = read_holder(path)
    assert (holder.pid, holder.host) == (os.getpid(), os.uname().nodename)
    assert who_works(path).is_same(holder)
    assert str(holder) == f"`ald run` (process {os.getpid()} on host {os.uname().nodename})"
    lock.release()
    lock.release()
    assert read_holder(path) is None
    assert who_works(path) is None


def test_its_file_is_never_seen_empty_or_half_written(path):
    """A reader that saw nothing would think that nobody works."""
    with_beat = set()
    lock = Lock(path)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        with_beat.add(read_holder(path).beat)
    lock.release()
    assert len(with_beat) > 2


@pytest.mark.parametrize("content", ["", "{", '{"host": 1}', "[]", "\0\0\0", '{"pid": "x"}'])
def test_what_makes_no_sense_and_nobody_holds_is_no_lock(path, mine, content):
    path.write_text(content)
    assert take(path).pid == os.getpid()


def test_a_killed_holder_is_dead(path):
    code = (
        "import os; from pathlib import Path; from ald_core.lock import Lock\n"
        f"Lock(Path({str(path)!r})); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert read_holder(path).pid != os.getpid()
    assert who_works(path) is None
    assert take(path).pid == os.getpid()


def test_a_living_process_keeps_it_even_where_flock_does_nothing(path, mine, monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            started = lock_module._started(other.pid)
            path.write_text(json.dumps({**mine, "pid": other.pid, "started": started}))
            for take_over in (False, True):
                with pytest.raises(InputError, match=f"process {other.pid} .* works in this study"):
                    Lock(path, take_over=take_over)
            path.write_text(json.dumps({**mine, "pid": other.pid, "started": started - 100}))
            take(path)  # the number was given to another process since
        finally:
            other.kill()


@pytest.mark.parametrize("namespace", ["", "pid:[7]" * 50], ids=["short", "long"])
def test_after_a_new_start_of_the_machine_the_holder_is_dead(path, mine, namespace):
    """Nothing of its name is left behind the new one."""
    path.write_text(json.dumps({**mine, "boot": "earlier", "pid": 1, "namespace": namespace}))
    assert take(path).pid == os.getpid()


@pytest.mark.parametrize(
    "differs",
    [{"host": "far", "boot": "b"}, {"machine": "m", "boot": "b"}],
    ids=["another host", "another machine of that name"],
)
def test_a_silent_holder_that_cannot_be_looked_at_is_for_a_person_to_judge(path, mine, differs):
    content = json.dumps({**mine, "pid": 12, **differs})
    path.write_text(content)
    assert who_works(path).pid == 12
    with pytest.raises(InputError, match=r"no sign of life for 0\.4 seconds.*--take-over"):
        Lock(path)
    assert path.read_text() == content
    assert take(path, take_over=True).pid == os.getpid()


def test_a_silent_holder_in_another_container_is_dead_if_its_flock_is_gone(path, mine, monkeypatch):
    content = json.dumps({**mine, "pid": 12, "namespace": "pid:[7]"})
    path.write_text(content)
    assert take(path).pid == os.getpid()
    monkeypatch.setattr("fcntl.flock", without_locks)
    path.write_text(content)
    with pytest.raises(InputError, match="--take-over"):
        Lock(path)


def without_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_file_system_without_flock_serves_too(path, mine, monkeypatch):
    """Lustre as it is often mounted; the name in the file is all there is."""
    monkeypatch.setattr("fcntl.flock", without_locks)
    assert take(path).pid == os.getpid()
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            started = lock_module._started(other.pid)
            path.write_text(json.dumps({**mine, "pid": other.pid, "started": started}))
            with pytest.raises(InputError, match="works in this study already"):
                Lock(path)
        finally:
            other.kill()


def test_a_holder_that_lives_stays_alive_when_the_clock_is_set(path, monkeypatch):
    lock = Lock(path)
    monkeypatch.setattr("psutil.boot_time", lambda: 1.0)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 1.0, raising=False)
    assert who_works(path).pid == os.getpid()
    lock.release()


def test_a_suspended_holder_is_named_with_what_to_do(path, mine):
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            other.send_signal(signal.SIGSTOP)
            started = lock_module._started(other.pid)
            path.write_text(json.dumps({**mine, "pid": other.pid, "started": started}))
            while psutil.Process(other.pid).status() != "stopped":
                time.sleep(0.01)
            with pytest.raises(
                InputError, match=rf"is suspended; continue it.*kill -9 {other.pid}"
            ):
                Lock(path)
        finally:
            other.kill()


def test_take_over_passes_an_flock_that_a_lost_machine_left_behind(path, mine, monkeypatch):
    def refuse(*_):
        raise BlockingIOError

    monkeypatch.setattr("fcntl.flock", refuse)
    path.write_text(elsewhere(mine))
    with pytest.raises(InputError, match="--take-over"):
        Lock(path)
    take(path, take_over=True)
    with pytest.raises(InputError, match="works in this study already"):
        Lock(path, take_over=True)  # nobody is named, but somebody holds it


def test_a_holder_elsewhere_that_beats_keeps_it_whatever_is_said(path, mine):
    ended = threading.Event()

    def beat():
        number = 0
        while not ended.wait(0.05):
            number += 1
            path.write_text(elsewhere(mine, beat=number))

    path.write_text(elsewhere(mine))
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        for take_over in (False, True):
            with pytest.raises(InputError, match=r"process 12 on host far\) works in this study"):
                Lock(path, take_over=take_over)
    finally:
        ended.set()
        thread.join()


def test_who_was_taken_over_writes_into_the_lock_no_more(path, mine):
    lock = Lock(path)
    path.write_text(elsewhere(mine))
    time.sleep(0.2)
    lock.release()
    assert read_holder(path).host == "far"


def test_the_superseded_one_stops_at_its_next_record(tmp_path, monkeypatch):
    """Taking over is safe even if the holder was alive: it is told by the journal."""
    from ald_core.errors import Stopped

    path = tmp_path / ".ald" / "lock"
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    with Journal.open(tmp_path) as old:
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": "far", "boot": "b"}))
        with Journal.open(tmp_path, take_over=True) as new:
            new.append({"type": "X"})
            with pytest.raises(Stopped, match="taken over"):
                old.append({"type": "X"})


def test_a_holder_is_the_same_when_only_its_beat_differs(mine):
    one = Holder(**mine)
    assert one.is_same(Holder(**{**mine, "beat": 7, "started": mine["started"] + 0.5}))
    assert not one.is_same(Holder(**{**mine, "pid": 1}))
    assert not one.is_same(None)
