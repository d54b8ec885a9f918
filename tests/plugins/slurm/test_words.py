"""Slurm's words and what they mean; commands as they are given. No Slurm is needed."""

import errno
import os
import subprocess
import time
from pathlib import Path

import attrs
import pytest

from ald_core.errors import SchedulerUnavailable, SubmitRefused
from ald_core.hookspecs import hookimpl  # noqa: F401  the hook ald_schedulers
from ald_core.types import Job, Resources
from ald_slurm import client, words
from ald_slurm.plugin import ald_schedulers
from ald_slurm.scheduler import SlurmScheduler, arguments

POLICY = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)"
)


@pytest.mark.parametrize(
    ("state", "known", "ending"),
    [
        ("PENDING", "waiting", "unknown"),
        ("CONFIGURING", "waiting", "unknown"),
        ("REQUEUED", "waiting", "unknown"),
        ("RUNNING", "running", "unknown"),
        ("SUSPENDED", "running", "unknown"),
        ("STAGE_OUT", "running", "unknown"),
        ("COMPLETING", "gone", "unknown"),
        ("COMPLETED", "gone", "unknown"),
        ("FAILED", "gone", "unknown"),
        ("REVOKED", "gone", "unknown"),
        ("TIMEOUT", "gone", "timeout"),
        ("DEADLINE", "gone", "timeout"),
        ("OUT_OF_MEMORY", "gone", "out_of_memory"),
        ("NODE_FAIL", "gone", "node_fail"),
        ("BOOT_FAIL", "gone", "node_fail"),
        ("PREEMPTED", "gone", "preempted"),
        ("CANCELLED", "gone", "cancelled"),
        ("CANCELLED by 1000", "gone", "cancelled"),
        ("CANCELLED+", "gone", "cancelled"),
        ("ENTANGLED", "unknown", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_every_state_has_a_meaning_and_a_strange_one_has_none(state, known, ending):
    status = words.status("7", state, "None", "n1")
    assert (status.id, status.state, status.ending, status.stuck) == ("7", known, ending, False)


@pytest.mark.parametrize(
    ("state", "reason", "stuck"),
    [
        ("PENDING", "Priority", False),
        ("PENDING", "Resources", False),
        ("PENDING", "QOSMaxJobsPerUserLimit", False),
        ("PENDING", "AssocGrpCpuLimit", False),
        ("PENDING", "Licenses", False),
        ("PENDING", "BeginTime", False),
        ("PENDING", "JobHeldUser", True),
        ("PENDING", "JobHeldAdmin", True),
        ("PENDING", "BadConstraints", True),
        ("PENDING", "DependencyNeverSatisfied", True),
        ("PENDING", "PartitionTimeLimit", True),
        ("PENDING", "PartitionNodeLimit", True),
        ("PENDING", "PartitionDown", True),
        ("PENDING", "InvalidAccount", True),
        ("PENDING", "QOSMaxWallDurationPerJobLimit", True),
        ("PENDING", "AssocMaxCpuPerJobLimit", True),
        ("PENDING", "ReqNodeNotAvail,_UnavailableNodes:n1", True),
        ("PENDING", "launch_failed_requeued_held", True),
        ("REQUEUE_HOLD", "None", True),
        ("SPECIAL_EXIT", "None", True),
    ],
)
def test_reasons_that_do_not_pass_by_themselves_are_shown(state, reason, stuck):
    status = words.status("7", state, reason, "n/a")
    assert (status.stuck, status.node) == (stuck, "")
    assert status.detail == (state if reason == "None" else f"{state} ({reason})")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
         ("Invalid account or account/partition combination specified", False)),
        ("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
         ("Requested time limit is invalid (missing or exceeds some limit)", False)),
        ("allocation failure: Invalid qos specification", ("Invalid qos specification", False)),
        ("sbatch: error: Invalid --time specification", ("Invalid --time specification", False)),
        ("sbatch: unrecognized option '--x'", ("sbatch: unrecognized option '--x'", False)),
        ("sbatch: error: Unable to open file /x", ("Unable to open file /x", False)),
        ("sbatch: error: 'x' can't be reached now, or it is an invalid entry for --cluster.",
         ("'x' can't be reached now, or it is an invalid entry for --cluster.", False)),
        ("sbatch: error: Batch job submission failed: System submissions disabled",
         ("System submissions disabled", True)),
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", ("QOSMaxSubmitJobPerUserLimit", True)),
        (f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}", ("AssocGrpSubmitJobsLimit", True)),
        (f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}", ("QOSMaxWallDurationPerJobLimit", False)),
        ("sbatch: error: Batch job submission failed: Unable to create job record, try again",
         ("Unable to create job record, try again", True)),
        ("sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
         ("Required partition not available (inactive or drain)", True)),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", None),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", None),
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", None),
        ("sbatch: error: Batch job submission failed: Invalid authentication credential", None),
        ("sbatch: error: Batch job submission failed: Unspecified error", None),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.", None),
        ("slurmstepd: whatever", None),
        ("", None),
    ],
)  # fmt: skip
def test_only_a_clear_no_is_a_refusal(text, meaning):
    assert words.refusal(text, others_queued=False) == meaning


def test_a_policy_that_is_not_named_is_a_matter_of_room_while_jobs_are_queued():
    assert words.refusal(POLICY, others_queued=True)[1]
    assert not words.refusal(POLICY, others_queued=False)[1]


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-01-01T10:00:00 DUE TO TIME LIMIT ***", "timeout"),
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-01-01T10:00:00 DUE TO PREEMPTION ***", "preempted"),
        ("*** JOB 5 ON n1 CANCELLED AT 2026-01-01T10:00:00 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***", "node_fail"),
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-01-01T10:00:00 ***", "unknown"),
        ("slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-01-01T10:00:00 DUE TO JOB REQUEUE ***", "unknown"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.batch.", "out_of_memory"),
        ("slurmstepd: error: Exceeded job memory limit", "out_of_memory"),
        ("StepId=5.batch exceeded memory limit (1 > 0), being killed", "out_of_memory"),
        ("SCF not converged", "unknown"),
    ],
)  # fmt: skip
def test_last_words_in_the_output_of_a_job(tmp_path, text, ending):
    (tmp_path / "slurm.out").write_text("x" * 30_000 + f"\n{text}\n")
    assert words.ending(text) == ending
    told = SlurmScheduler().explain("ald-x-label-1-1", "", tmp_path)
    assert (told.ending if told else "unknown") == ending


# ---------------------------------------------------------------- commands


def job(**asked):
    folder = Path("/a 'b'/50%j")
    return Job(
        "ald-0-md-1-1", folder, folder / "job.sh", Resources(**asked), asked and ("n1", "n7")
    )


def test_arguments_are_what_was_asked_for():
    assert arguments(job()) == [
        "--parsable", "--no-requeue", "--job-name=ald-0-md-1-1", "--open-mode=append", "--chdir=/a 'b'/50%j",
        "--output=/a 'b'/50%%j/slurm.out", "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=1",
        "/a 'b'/50%j/job.sh",
    ]  # fmt: skip
    asked = arguments(
        job(
            nodes=2, ppn=4, cores=3, concurrent=5, gpus=2, memory="3GB", time="90", queue="q; x", account="a b",
            qos="high", constraint="[a|b]", mail="me@x.org", mail_on=("end", "time_limit"),
        )
    )  # fmt: skip
    assert asked[6:-1] == [
        "--nodes=2", "--ntasks-per-node=20", "--cpus-per-task=3", "--gres=gpu:2", "--mem=3072M", "--time=01:30:00",
        "--partition=q; x", "--account=a b", "--qos=high", "--constraint=[a|b]", "--mail-user=me@x.org",
        "--mail-type=END,TIME_LIMIT", "--exclude=n1,n7",
    ]  # fmt: skip


def test_programs_get_no_secrets_and_no_options_by_the_way(monkeypatch):
    for name in ("SBATCH_PARTITION", "SLURM_JOB_ID", "SQUEUE_FORMAT", "AWS_SECRET", "MY_DATA"):
        monkeypatch.setenv(name, "x")
    for name in (
        "SLURM_CONF",
        "LC_ALL",
        "LMOD_DIR",
        "MODULEPATH",
        "BASH_FUNC_module%%",
        "OPENBLAS_CORETYPE",
    ):
        monkeypatch.setenv(name, "y")
    seen = client.environment(["MY_DATA", "NOT_THERE"])
    assert {k for k in seen if seen[k] in ("x", "y")} == {
        "MY_DATA", "SLURM_CONF", "LC_ALL", "LMOD_DIR", "MODULEPATH", "BASH_FUNC_module%%", "OPENBLAS_CORETYPE",
    }  # fmt: skip


def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path):
    text = f"sleep 97 & echo $! >'{tmp_path}/pid'; echo said; sleep 98"
    begun = time.monotonic()
    answer = client.ask(["sh", "-c", text], dict(os.environ), 0.5)
    assert (answer.status, answer.out, answer.complaint) == (None, "said\n", "no answer in time")
    assert time.monotonic() - begun < 20
    pid = int((tmp_path / "pid").read_text())
    gone = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    assert not gone.stdout.strip() or gone.stdout.startswith("Z")


def put(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_submissions_keep_the_rate(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    put(tmp_path, "sbatch", "echo 7")
    scheduler = SlurmScheduler(submit_rate=10.0)
    begun = time.monotonic()
    assert [scheduler.submit(job()) for _ in range(4)] == ["7"] * 4
    assert time.monotonic() - begun >= 0.3


def test_what_squeue_says_is_read_line_by_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    name = "ald-0a-label-" + "0" * 64 + "-1"
    lines = [
        f"7|RUNNING|None|n3|{name}",
        "8|PENDING|Reserved_for|maintenance|n/a|ald-0a-label-2-1",
        f"9|PENDING|JobHeldUser|n/a|{name}",
        "10|RUNNING|None|n1|ald-0b-label-1-1",
        "11|RUNNING|None|n1|a job of mine | with bars",
        "half a line",
        "",
    ]
    put(
        tmp_path,
        "squeue",
        f"echo \"$*\" >'{tmp_path}/call'\ncat <<'E'\n" + "\n".join(lines) + "\nE",
    )
    found = SlurmScheduler().find("ald-0a-")
    assert {n: [(s.id, s.state) for s in known] for n, known in found.items()} == {
        name: [("7", "running"), ("9", "waiting")],
        "ald-0a-label-2-1": [("8", "waiting")],
    }
    assert found[name][0].node == "n3"
    assert found["ald-0a-label-2-1"][0].detail == "PENDING (Reserved_for|maintenance)"
    # Without --all, jobs in hidden partitions seem to be gone; without --federation, those that a sibling took.
    assert {"--me", "--all", "--federation", "--states=all"} <= set(
        (tmp_path / "call").read_text().split()
    )


def test_accounting_is_asked_for_all_jobs_at_once_and_only_if_it_exists(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    put(
        tmp_path,
        "sacct",
        f"echo \"$*\" >>'{tmp_path}/calls'\n"
        "echo '5|TIMEOUT|None|n2|ald-0-label-1-1'\necho '6|CANCELLED by 1000|None|n[1-2]|ald-0-label-2-1'\n",
    )
    put(
        tmp_path,
        "scontrol",
        "echo JobId=$4 JobName=ald-0-label-3-1 JobState=NODE_FAIL Reason=None BatchHost=n4",
    )
    scheduler = SlurmScheduler()
    first, second, third, reused = (
        scheduler.explain(f"ald-0-label-{n}-1", str(4 + n), tmp_path) for n in (1, 2, 3, 4)
    )
    assert (first.ending, first.node) == ("timeout", "n2")
    assert (second.ending, second.node) == ("cancelled", "")
    assert (third.ending, third.node) == ("node_fail", "n4")
    assert reused is None  # the id belongs to another name
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 1
    assert "--starttime=now-7days" in calls[0]
    put(
        tmp_path,
        "sacct",
        f"echo >>'{tmp_path}/calls'; echo Slurm accounting storage is disabled >&2; exit 1",
    )
    scheduler = SlurmScheduler()
    assert scheduler.explain("ald-0-label-1-1", "", tmp_path) is None
    monkeypatch.setattr("ald_slurm.scheduler.ACCOUNTING_PAUSE", -1e12)
    assert scheduler.explain("ald-0-label-1-1", "", tmp_path) is None
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_accounting_is_asked_again_about_a_job_that_ran_then(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("ald_slurm.scheduler.ACCOUNTING_PAUSE", 0.0)
    put(tmp_path, "scontrol", "exit 1")
    scheduler = SlurmScheduler()
    name = "ald-0-label-1-1"
    put(tmp_path, "sacct", f"echo '5|RUNNING|None|n2|{name}'; echo '6|TIMEOUT|None|n2|of others'")
    assert scheduler.explain(name, "5", tmp_path) is None
    put(tmp_path, "sacct", f"echo '5|NODE_FAIL|None|n2|{name}'")
    assert scheduler.explain(name, "5", tmp_path).ending == "node_fail"


def test_variables_that_change_what_slurm_is_asked_are_refused():
    for name in ("SLURM_CLUSTERS", "SBATCH_PARTITION", "SQUEUE_FORMAT", "SLURM_TIME_FORMAT"):
        with pytest.raises(ValueError, match=f"{name} would change what Slurm is asked for"):
            SlurmScheduler(environment=(name,))
    SlurmScheduler(environment=("SLURM_CONF", "MY_SLURM_NOTES"))


def test_sbatch_gets_no_secrets_even_if_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("MAIL_PASSWORD", "x")
    put(tmp_path, "sbatch", f"env >'{tmp_path}/seen'; echo 7")
    scheduler = SlurmScheduler(environment=("MAIL_PASSWORD",))
    scheduler.submit(job())
    assert "MAIL_PASSWORD=x" in (tmp_path / "seen").read_text()
    scheduler.submit(attrs.evolve(job(), withhold=frozenset({"MAIL_PASSWORD"})))
    assert "MAIL_PASSWORD" not in (tmp_path / "seen").read_text()


def test_cancel_gives_ids_in_portions_and_an_outage_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    put(tmp_path, "scancel", f"echo $# >>'{tmp_path}/calls'")
    scheduler = SlurmScheduler()
    scheduler.cancel([])
    scheduler.cancel([str(i) for i in range(450)] + ["ald-name", "--user=all"])
    assert (tmp_path / "calls").read_text().split() == ["201", "201", "51"]
    put(
        tmp_path, "scancel", "echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1"
    )
    with pytest.raises(SchedulerUnavailable, match="Unable to contact"):
        scheduler.cancel(["1"])


def test_lines_that_would_change_the_nature_of_a_submission_are_refused():
    for line in (
        "#SBATCH --array=1-9",
        "#SBATCH  -a 1-9",
        "#SBATCH --exclusive --wait",
        "#SBATCH -W",
        "#SBATCH -M other",
        "#SBATCH --clusters=other",
        "#SBATCH --comment=x --cluster other",
    ):
        with pytest.raises(SubmitRefused, match="take it out"):
            SlurmScheduler().submit(job(extra=(line,)))


def test_the_plugin_offers_the_scheduler():
    assert ald_schedulers() == [SlurmScheduler]


@pytest.mark.parametrize(("number", "later"), [(errno.EAGAIN, True), (errno.ENOENT, False)])
def test_a_machine_that_is_full_is_waited_for(monkeypatch, number, later):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ald_slurm.scheduler.ask", fail)
    with pytest.raises(SubmitRefused, match="sbatch cannot be started") as refusal:
        SlurmScheduler().submit(job())
    assert refusal.value.retry_later is later
    with pytest.raises(SchedulerUnavailable, match="squeue cannot be started"):
        SlurmScheduler().find("ald-")
