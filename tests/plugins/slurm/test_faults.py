"""What goes wrong with a real Slurm: nothing is lost, nothing is executed twice, the user is told."""

import os
import signal
import threading
import time

import pytest
from slurm_cluster import wait_until

from ald_core.errors import InputError, Stopped
from ald_core.types import Failure, Resources


def done(tasks):
    return [f"{task.name} done" for task in tasks]


def meanwhile(action):
    """Do something in another thread while the study runs; join what is returned."""
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_a_time_limit_is_raised(world):
    """A minute is the shortest limit that Slurm knows, and it looks every 30 s."""
    signal.alarm(100)
    text = '[ -e "$2.begun" ] || { echo >"$2.begun"; sleep 100; }'
    tasks = [world.task("short"), world.task("long", text), world.task("behind")]
    asked = Resources(tasks_per_job=3, time="1", concurrent=1)

    def hurry():
        wait_until(world.executions.with_name("executions.begun").exists)
        (record,) = world.records("SUBMITTED")
        end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 2))
        world.slurm.run("scontrol", "update", f"jobid={record['id']}", f"endtime={end}")

    thread = meanwhile(hurry)
    assert world.run(tasks, asked) == done(tasks)
    thread.join()
    assert world.executed() == {"short": 1, "long": 2, "behind": 1}
    (lost,) = world.records("LOST")
    assert lost["kind"] == "time"
    assert "TIMEOUT" in lost["reason"]
    assert (lost["tasks"], lost["unstarted"]) == (["identity of long"], ["identity of behind"])


# ---------------------------------------------------------------- answers of sbatch


def test_answers_that_are_lost(world):
    """Accepted, but the answer is an error, nothing, late or cut; or not accepted, and it cannot be told."""
    world.before(
        "sbatch",
        """case $call in
        1) "$real" "$@" >/dev/null; echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1 ;;
        2) "$real" "$@" >/dev/null; kill -9 $$ ;;
        3) "$real" "$@"; exec sleep 60 ;;
        4) "$real" "$@" >/dev/null; exit 0 ;;
        5) echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' >&2; exit 1 ;;
        6) exit 1 ;;
        7) "$real" "$@" >/dev/null; sleep 60 & exec sleep 60 ;;
        esac""",
    )
    tasks = world.tasks(9)
    assert world.run(tasks, submit_timeout=3.0) == done(tasks)
    world.check(tasks)
    assert len(world.records("VOID")) == 2
    wait_until(lambda: set(world.slurm_names().values()) == {"COMPLETED"})
    assert world.notes().count("was lost") == 7


def test_a_job_that_is_submitted_twice_works_once(world):
    world.before("sbatch", '"$real" "$@" >/dev/null')
    tasks = world.tasks(4)
    assert world.run(tasks) == done(tasks)
    world.check(tasks)


@pytest.mark.parametrize(
    "words",
    [
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, "
        "user's size and/or time limits)",
        "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: error: Reached jobs per hour limit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.\n"
        "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
    ],
    ids=["qos", "association", "rate", "full"],
)
def test_limits_on_the_number_of_jobs_are_waited_out(world, words):
    text = words.replace("'", "'\\''")
    limit = f"""if [ $("$(dirname "$real")"/squeue --me -h | wc -l) -ge 2 ]; then echo '{text}' >&2; exit 1; fi"""
    world.before("sbatch", limit)
    tasks = world.tasks(4)
    assert world.run(tasks) == done(tasks)
    world.check(tasks)
    assert len(world.records("INTENT")) == 4
    assert world.notes().count("no room") == 1


def test_a_partition_that_is_drained_is_waited_for(world):
    """As before a maintenance; `ald check` does not mind, either."""
    world.slurm.run("scontrol", "update", "partitionname=short", "state=drain")

    def maintain():
        wait_until(lambda: "no room (Required partition not available" in world.notes())
        world.slurm.run("scontrol", "update", "partitionname=short", "state=up")

    asked = Resources(queue="short")
    thread = meanwhile(maintain)
    tasks = world.tasks(2)
    try:
        assert world.scheduler().check_resources({"resources.label": asked}) == []
        assert world.run(tasks, asked) == done(tasks)
    finally:
        thread.join()
        world.slurm.run("scontrol", "update", "partitionname=short", "state=up")
    world.check(tasks)


def test_no_more_jobs_are_queued_than_the_user_wants(world):
    most = 0

    def count(_):
        nonlocal most
        alive = [s for s in world.slurm_names().values() if s in ("PENDING", "RUNNING")]
        most = max(most, len(alive))

    world.on_event = count
    tasks = world.tasks(6, "sleep 0.3")
    assert world.run(tasks, max_queued=2) == done(tasks)
    world.check(tasks)
    assert most == 2
    assert world.notes().count("max_queued") == 1


# ---------------------------------------------------------------- answers of squeue


def test_queries_that_fail_hang_lie_or_say_nothing(world):
    world.before(
        "squeue",
        """case $call in
        [1-3]) echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1 ;;
        4) exec sleep 60 ;;
        [5-9]) exit 0 ;;
        10) "$real" "$@" | head -c 20; kill -9 $$ ;;
        11) echo 'squeue: error: something is strange' >&2; exit 0 ;;
        12) echo 'garbage | here'; exit 0 ;;
        esac""",
    )
    tasks = world.tasks(3, "sleep 1")
    assert world.run(tasks, query_timeout=1.0) == done(tasks)
    world.check(tasks)
    assert not world.records("VOID", "LOST")
    assert "does not answer" in world.notes()


def test_jobs_of_unknown_origin_are_reported_and_left_alone(world):
    name = f"ald-{world.run_id}-label-0123456789ab-1"
    world.slurm.run("sbatch", f"--job-name={name}", "--output=/dev/null", "--wrap=sleep 60")
    tasks = world.tasks(1)
    assert world.run(tasks) == done(tasks)
    assert f"the scheduler has a job {name} (" in world.notes()
    wait_until(lambda: world.slurm_names()[name] == "RUNNING")


# ---------------------------------------------------------------- jobs that die


def test_a_job_cancelled_by_hand_holds_the_step_and_asks(world):
    tasks = [world.task("a", "sleep 0.3"), *world.tasks(3, "sleep 20")]

    def cancel():
        wait_until(lambda: len(world.executed()) == 4)
        ids = [r["id"] for r in world.records("SUBMITTED")]
        world.slurm.run("scancel", *ids[1:])

    thread = meanwhile(cancel)
    with pytest.raises(InputError, match=r"ald-\S+ \(\d+\) was cancelled, and not by this run"):
        world.run(tasks)
    thread.join()
    cancelled = len(world.records("CANCELLED"))
    assert 1 <= cancelled <= 3
    assert not world.records("LOST", "REJECTED", "QUARANTINED")
    again = [world.task(task.name) for task in tasks]
    for _ in range(3 - cancelled):  # those that were cancelled later than we looked
        with pytest.raises(InputError, match="was cancelled"):
            world.run(again)
        if len(world.records("CANCELLED")) == 3:
            break
    assert world.run(again) == done(again)
    assert world.executed() == {"a": 1} | {f"frame {i}": 2 for i in range(3)}
    assert [r["tasks"] for r in world.records("LOST")] == [[]] * 3


def test_a_waiting_job_that_is_held_is_shown_and_a_cancelled_one_never_works(world):
    tasks = world.tasks(2)
    held = Resources(extra=("#SBATCH --hold",))

    def look():
        wait_until(lambda: world.notes().count("may do so for ever: PENDING (JobHeldUser)") == 1)
        first, second = [r["id"] for r in world.records("SUBMITTED")]
        world.slurm.run("scontrol", "release", first)
        wait_until(lambda: len(world.executed()) == 1)
        world.slurm.run("scancel", second)

    thread = meanwhile(look)
    with pytest.raises(InputError, match="was cancelled"):
        world.run(tasks, held)
    thread.join()
    assert world.run(tasks) == done(tasks)
    world.check(tasks)
    assert len(world.records("VOID")) == 1


def test_a_node_that_goes_down_and_is_avoided_after_two_deaths(world):
    """Its jobs are done again elsewhere; other nodes take none until it has killed two."""
    others = [f"nodename={n}" for n in world.slurm.nodes if n != "n1"]
    for other in others:
        world.slurm.run("scontrol", "update", other, "state=drain", "reason=test")
    down = ("scontrol", "update", "nodename=n1", "state=down", "reason=test")
    text = 'if [ "$SLURMD_NODENAME" = n1 ]; then echo x >>"$2.n1"; sleep 30; fi'
    tasks = world.tasks(1, text)
    asked = Resources(cores=8)  # a whole node; n1 is the first to be filled
    bad = world.executions.with_name("executions.n1")

    def spoil():
        for deaths in (1, 2):
            wait_until(lambda n=deaths: bad.exists() and len(bad.read_text()) == 2 * n)
            time.sleep(0.2)
            world.slurm.run(*down)
            time.sleep(0.3)
            world.slurm.run("scontrol", "update", "nodename=n1", "state=resume")
        for other in others:
            world.slurm.run("scontrol", "update", other, "state=resume")

    thread = meanwhile(spoil)
    assert world.run(tasks, asked) == done(tasks)
    thread.join()
    lost = world.records("LOST")
    assert [(r["kind"], r["node"]) for r in lost] == [("infrastructure", "n1")] * 2
    assert "NODE_FAIL" in lost[0]["reason"]
    assert world.executed() == {"frame 0": 3}


def test_too_little_memory_is_raised(world):
    """Slurm kills a job that uses more than it asked for; the finished task in it counts."""
    text = "python3 -c 'import time; x = bytearray(150_000_000); time.sleep(3)'"
    tasks = [world.task("small"), world.task("large", text)]
    asked = Resources(tasks_per_job=2, memory="120MB", cores=2)
    assert world.run(tasks, asked) == done(tasks)
    assert world.executed() == {"small": 1, "large": 2}
    (lost,) = world.records("LOST")
    assert (lost["kind"], lost["tasks"]) == ("memory", ["identity of large"])


def test_a_job_that_is_requeued_works_once(world):
    tasks = world.tasks(1, "sleep 1")

    def requeue():
        wait_until(lambda: len(world.executed()) == 1)
        (record,) = world.records("SUBMITTED")
        world.slurm.run("scontrol", "update", f"jobid={record['id']}", "requeue=1")
        world.slurm.run("scontrol", "requeue", record["id"])
        wait_until(lambda: set(world.slurm_names().values()) == {"PENDING"})
        world.slurm.run("scontrol", "update", f"jobid={record['id']}", "starttime=now")

    thread = meanwhile(requeue)
    assert world.run(tasks) == done(tasks)
    thread.join()
    assert world.executed() == {"frame 0": 2}
    assert len(world.records("LOST")) == 1  # the second start found the claim taken


def test_ctrl_c_during_a_submission(world):
    """sbatch comes to its end, and its answer is on record before the run stops."""
    world.before("sbatch", "sleep 1")
    tasks = world.tasks(3)

    def interrupt():
        wait_until((world.bin / "sbatch.count").exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = meanwhile(interrupt)
    with pytest.raises(Stopped):
        world.run(tasks)
    thread.join()
    assert len(world.records("INTENT")) == len(world.records("SUBMITTED")) == 1
    world.before("sbatch", "")
    assert world.run(tasks) == done(tasks)
    world.check(tasks)


# ---------------------------------------------------------------- the controller


def test_the_controller_stops_and_comes_back(world):
    tasks = world.tasks(4, "sleep 1")

    def stop():
        wait_until(lambda: len(world.executed()) >= 2)
        world.slurm.stop_controller()
        time.sleep(2.5)
        world.slurm.start_controller()

    thread = meanwhile(stop)
    assert world.run(tasks, query_timeout=0.5) == done(tasks)
    thread.join()
    world.check(tasks)
    assert not world.records("LOST")


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_the_controller_is_killed_right_after_submissions(world, delay):
    """It forgets jobs that it has accepted, and may give their ids to others."""
    world.before("sbatch", "")
    calls = world.bin / "sbatch.count"

    def kill():
        wait_until(lambda: calls.exists() and calls.stat().st_size >= 3)
        time.sleep(delay)
        world.slurm.stop_controller(signal.SIGKILL)
        time.sleep(0.5)
        world.slurm.start_controller()

    thread = meanwhile(kill)
    tasks = world.tasks(6, "sleep 0.2")
    results = world.run(tasks, query_timeout=1.0, submit_timeout=2.0)
    thread.join()
    assert results == done(tasks)
    executed = world.executed()
    lost = sum(len(r["tasks"]) for r in world.records("LOST"))
    assert sum(executed.values()) <= len(tasks) + lost
    assert not world.records("QUARANTINED")
    assert not any(isinstance(result, Failure) for result in results)


@pytest.mark.parametrize("when", ["submission", "end of a job"])
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
def test_the_controller_is_frozen_or_killed(world, when, how):
    """Frozen, it answers nothing for a while, and then everything."""
    world.before("sbatch", "")
    calls = world.bin / "sbatch.count"

    def spoil():
        if when == "submission":
            wait_until(lambda: calls.exists() and calls.stat().st_size >= 2)
        else:
            wait_until(lambda: len(world.executed()) >= 2)
            time.sleep(0.35)
        if how == signal.SIGKILL:
            world.slurm.stop_controller(how)
            time.sleep(0.5)
            world.slurm.start_controller()
            return
        controller = world.slurm.processes["slurmctld"]
        controller.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        controller.send_signal(signal.SIGCONT)

    thread = meanwhile(spoil)
    tasks = world.tasks(4, "sleep 0.4")
    try:
        results = world.run(tasks, query_timeout=1.0, submit_timeout=2.0)
    finally:
        thread.join()
    assert results == done(tasks)
    lost = sum(len(r["tasks"]) for r in world.records("LOST"))
    assert sum(world.executed().values()) <= len(tasks) + lost
    if how == signal.SIGSTOP:
        world.check(tasks)
