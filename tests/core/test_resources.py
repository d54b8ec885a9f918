from pathlib import Path

import pytest

from ald_core.options import build
from ald_core.resources import Resources, megabytes, minutes


@pytest.mark.parametrize(
    ("text", "total"),
    [("90", 90), ("00:30:00", 30), ("1:00:00", 60), ("00:00:01", 1), ("2-01:30:00", 2970), ("36:00:00", 2160)],
)  # fmt: skip
def test_times_are_minutes_rounded_up(text: str, total: int) -> None:
    assert minutes(text) == total
    assert minutes(Resources(time=text).time or "") == total


@pytest.mark.parametrize("text", ["", "0", "12:30", "1h", "-5", "00:00:00", "1-2", "1:2:3", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write HH:MM:SS, D-HH:MM:SS or a number of minutes"):
        Resources(time=text)


@pytest.mark.parametrize(
    ("text", "total"),
    [("4GB", 4096), ("4g", 4096), ("1.5 GB", 1536), ("4000", 4000), ("4000MB", 4000), ("1TB", 1048576), ("0.1MB", 1)],
)  # fmt: skip
def test_memory_is_megabytes(text: str, total: int) -> None:
    assert megabytes(text) == total
    assert Resources(memory=text).memory == f"{total}M"


@pytest.mark.parametrize("text", ["", "0", "four", "4KB", "-1GB", "1e3", "4 G B"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 4GB"):
        Resources(memory=text)


def test_more_is_asked_for_after_a_death_but_not_more_than_allowed() -> None:
    asked = Resources(time="01:00:00", memory="1000", max_time="02:00:00")
    assert asked.raised(times=1).time == "01:30:00"
    assert asked.raised(times=1).memory == "1000M"
    assert asked.raised(times=2).time == "02:00:00"
    assert asked.raised(memories=2).memory == "2250M"
    assert Resources().raised(times=3, memories=3) == Resources()
    assert Resources(time="10", max_time="5").raised(times=1).time == "00:10:00"


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("time", True, "text is needed, not True"),
        ("time", 1.5, "text is needed, not 1.5"),
        ("nodes", 0, "'nodes' must be >= 1: 0"),
        ("gpus", -1, "'gpus' must be >= 0: -1"),
        ("queue", "-x", "'-x' cannot stand for queue: one line without a leading dash is needed"),
        ("account", "a\nb", "'a\\nb' cannot stand for account"),
        ("modules", ["ok", " "], "' ' cannot stand for modules"),
        ("extra", ["--gres=gpu"], "'--gres=gpu' is no line for a scheduler"),
        ("extra", ["#SBATCH -n 1\nrm -r x"], "is no line for a scheduler"),
        ("launcher", "srunn", "did you mean 'srun'?"),
        ("launcher_options", ["a\0"], "is no argument"),
        ("mail_on", ["failure"], "'failure' is not possible"),
    ],
)
def test_mistakes_are_named(key: str, value: object, problem: str) -> None:
    made, problems = build(Resources, {key: value}, "resources.md", Path())
    assert made is None
    (found,) = problems
    assert found.startswith(f"resources.md.{key}: ")
    assert problem in found
