"""Schedulers that lose answers, jobs and files, double them, or say no: nothing is lost, nothing works twice."""

import shutil
from collections.abc import Sequence

import pytest
from fake_jobs import FakeScheduler, World, done, execute

from ald_core.errors import FuseBlown, SchedulerUnavailable
from ald_core.types import JobStatus


def test_lost_answers(world: World) -> None:
    tasks = world.tasks(8)
    scheduler = FakeScheduler(actions=["lost", "lost-ran", "ok"] * 3)
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    void = {r["job"] for r in world.records("VOID")}
    assert len(void) == 3
    assert len(scheduler.submitted) == 8 + 3
    assert len(set(scheduler.submitted)) == len(scheduler.submitted)
    assert not world.records("LOST", "REJECTED")


def test_a_failing_query_is_no_information(world: World) -> None:
    tasks = world.tasks(3)
    scheduler = FakeScheduler(outages=25)
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    assert scheduler.queries > 25
    assert scheduler.submitted == sorted(set(scheduler.submitted), key=scheduler.submitted.index)
    assert not world.records("VOID", "LOST")
    assert world.notes().count("does not answer") == 1


def test_a_job_that_comes_to_light_after_its_claim_was_taken_does_nothing(world: World) -> None:
    tasks = world.tasks(3)
    scheduler = FakeScheduler(actions=["late", "vanish"])
    assert world.run(scheduler, tasks) == done(tasks)
    assert len(world.records("VOID")) == 2
    assert scheduler.run_late() == [76]
    world.check(tasks)


def test_a_job_that_runs_twice_works_once(world: World) -> None:
    tasks = world.tasks(3)
    assert world.run(FakeScheduler(actions=["twice"] * 3), tasks) == done(tasks)
    world.check(tasks)


def test_absent_jobs_are_looked_for_again(world: World) -> None:
    class Flickering(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            queue, visible = self.queue, self.queries % 3 == 2
            if not visible:
                self.queries += 1
                return {}
            answer = super().find(prefix)
            del queue
            return answer

    tasks = world.tasks(4)
    assert world.run(Flickering(), tasks) == done(tasks)
    world.check(tasks)
    assert not world.records("VOID", "LOST")


def test_a_job_that_begins_while_its_claim_is_taken_gets_its_time(world: World) -> None:
    class Tardy(FakeScheduler):
        """Its job begins at the third query, ends at the fifth, and is never shown."""

        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            self.queries += 1
            job = self.queue[0][0]
            if self.queries == 3:
                (job.folder / "claim").write_text("claim.x host 1\n")
            if self.queries == 5:
                (job.folder / "claim").unlink()
                assert execute(job) == 0
            return {}

    tasks = world.tasks(1)
    assert world.run(Tardy(), tasks) == done(tasks)
    assert not world.records("VOID", "LOST")
    world.check(tasks)


def test_words_that_are_unknown_are_no_verdict(world: World) -> None:
    class Unknown(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries < 20:
                self.queries += 1
                return {name: [JobStatus("1", "unknown")] for name in self.submitted}
            return super().find(prefix)

    tasks = world.tasks(2)
    assert world.run(Unknown(actions=["lost-ran"]), tasks) == done(tasks)
    assert not world.records("VOID", "LOST")
    assert len(world.records("SUBMITTED")) == 2  # what was found is adopted


def test_the_result_outranks_the_queue(world: World) -> None:
    class Forever(FakeScheduler):
        """Shows all jobs as running for ever."""

        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            super().find(prefix)
            return {name: [JobStatus("1", "running")] for name in self.submitted}

    tasks = world.tasks(3)
    assert world.run(Forever(), tasks) == done(tasks)
    world.check(tasks)


def test_a_job_whose_folder_was_deleted_is_done_again(world: World) -> None:
    class Deleting(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if len(self.submitted) == 1:
                shutil.rmtree(world.study / "ALC-1" / "jobs" / self.submitted[0])
                self.submitted.append("deleted")
            return super().find(prefix)

    tasks = world.tasks(1)
    assert world.run(Deleting(actions=["vanish"]), tasks) == done(tasks)
    assert "gone" in world.records("LOST")[0]["reason"]
    world.check(tasks)


def test_jobs_that_always_vanish_are_a_fuse(world: World) -> None:
    tasks = world.tasks(1)
    with pytest.raises(FuseBlown, match="frame 0"):
        world.run(FakeScheduler(actions=["vanish"] * 100), tasks)
    assert len(world.records("VOID")) == 21
    assert not world.records("QUARANTINED")
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    world.check(tasks)


def test_a_scheduler_that_loses_everything_is_not_fed_for_ever(world: World) -> None:
    """All tasks vanish in turn, so that none of them comes near its own limit."""
    tasks = world.tasks(30)
    with pytest.raises(FuseBlown, match="has lost 51 jobs before they began"):
        world.run(FakeScheduler(actions=["vanish"] * 1000), tasks)
    assert len(world.records("SUBMITTED")) <= 2 * len(tasks) + 20
    assert not world.records("QUARANTINED")
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    world.check(tasks)


def test_nothing_is_submitted_while_nobody_answers(world: World) -> None:
    class Deaf(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries < 20:
                self.queries += 1
                before.append(len(self.submitted))
                raise SchedulerUnavailable("connection refused")
            return super().find(prefix)

    before: list[int] = []
    tasks = world.tasks(5)
    assert world.run(Deaf(actions=["lost"]), tasks) == done(tasks)
    assert set(before) == {1}
    assert len(world.records("VOID")) == 1
    world.check(tasks)


def test_of_two_jobs_of_one_name_the_superfluous_one_is_cancelled(world: World) -> None:
    class Double(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if not self.queries:
                self.queries += 1
                known = [JobStatus("7", "waiting"), JobStatus("1", "running")]
                return dict.fromkeys(self.submitted, known)
            gone = JobStatus("7", "gone", "CANCELLED", "cancelled")
            found = super().find(prefix)
            return {name: [gone, *found.get(name, [])] for name in self.submitted}

        def cancel(self, ids: Sequence[str]) -> None:
            cancelled.extend(ids)

    cancelled: list[str] = []
    tasks = world.tasks(1)
    scheduler = Double(actions=["twice"])
    assert world.run(scheduler, tasks) == done(tasks)
    assert cancelled == ["7"]
    world.check(tasks)


def test_jobs_of_unknown_origin_are_told_and_left_alone(world: World) -> None:
    class Haunted(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            strange = {
                f"{prefix}label-0-{i}": [JobStatus("66", s)]
                for i, s in enumerate(("running", "gone"))
            }
            return super().find(prefix) | strange  # type: ignore[operator]

    tasks = world.tasks(3)
    assert world.run(Haunted(), tasks) == done(tasks)
    assert world.notes().count("has a job ald-0a1b-label-0-0 (66) that is not on record") == 1
    assert "label-0-1" not in world.notes()


def test_outputs_that_do_not_arrive_as_reported_are_never_collected(world: World) -> None:
    class Corrupting(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            queued = [job for job, _ in self.queue]
            answer = super().find(prefix)
            for job in queued:
                for path in job.folder.glob("*/output"):
                    if job.name.endswith("-1"):
                        path.write_text("frame 0 dune\n")
            return answer

    tasks = world.tasks(1)
    assert world.run(Corrupting(), tasks) == done(tasks)
    assert len(world.records("LOST")) == 1
    assert world.executed() == {"frame 0": 2}
