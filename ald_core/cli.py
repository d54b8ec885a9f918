"""The command `ald`. The only module that prints; each command calls one library function."""

from __future__ import annotations

import errno
import inspect
import io
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ald_core import control, legacy
from ald_core import labels as label_list
from ald_core import repair as journal_repair
from ald_core.cite import citations
from ald_core.cycle import run_study
from ald_core.display import Display, result_tables, summary_table
from ald_core.errors import AldError, InputError
from ald_core.inspection import Plan, StudyStatus, account, plan, read_status
from ald_core.options import OptionInfo, describe
from ald_core.registry import Registry, role_named
from ald_core.resuming import Consent
from ald_core.roles import ROLES, Capability
from ald_core.runfile import NAME, read_run_file, study_folder
from ald_core.study import open_study
from ald_core.summary import Summary, summarise
from ald_core.templates import new_from_template, templates

app = typer.Typer(
    help="Make ChIMES interatomic potentials by active learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
OF_THE_MACHINE = frozenset({
    errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EREMOTEIO, errno.EROFS,
    errno.ESTALE, errno.ETIMEDOUT,
})  # fmt: skip
"""Errors of a disk, a file server or a machine that is full, wherever they show: no bugs."""
INTERRUPTED = 130
"""Exit status that typer makes of Ctrl-C while no step waits for jobs."""


class Output(Console):
    """A console whose reader may go away, or its disk fill up; a run goes on without it."""

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


console = Output(highlight=False, markup=False, emoji=False)
errors = Output(stderr=True, highlight=False, markup=False, emoji=False)

StudyPath = Annotated[Path, typer.Argument(help=f"study folder (with {NAME}) or run file")]


def run_file_of(path: Path) -> Path:
    """The run file for what a user typed; the `config.py` of a study that has none."""
    if not path.is_dir():
        return path
    own = path / NAME
    return own if own.exists() else legacy.config_beside(path) or own


Trust = Annotated[
    bool,
    typer.Option("--trust-config", help="execute the config.py of an old study, to read it"),
]


@app.command()
def run(
    study: StudyPath = Path(),
    cycles: Annotated[int | None, typer.Option(help="instead of study.cycles", min=0)] = None,
    fit_only: Annotated[bool, typer.Option(help="fit the starting set, then stop")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="run the next cycles with the changed options")
    ] = False,
    moved: Annotated[bool, typer.Option("--moved", help="the study folder was moved here")] = False,
    copied: Annotated[
        bool,
        typer.Option("--copied", help="the study folder is a copy: give it a run id of its own"),
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="the `ald run` that has the study elsewhere is dead")
    ] = False,
    trust_config: Trust = False,
) -> None:
    """Run a study, or go on with it where it stopped."""
    consent = Consent(accept_changes, moved, copied, take_over)
    registry = Registry()
    runfile = read_run_file(
        run_file_of(study),
        registry,
        cycles=0 if fit_only else cycles,
        trust_config=trust_config,
    )
    n = runfile.study.cycles if cycles is None else cycles
    with (
        Display(console) as display,
        open_study(runfile, registry, display, consent=consent) as opened,
    ):
        records = run_study(opened, n, fit_only=fit_only)
    summary = summarise(records, final=True)
    _show_summary(summary)
    for remark in summary.remarks:
        console.print(remark, soft_wrap=True)
    console.print(f"model: {runfile.folder / records[-1].model}", soft_wrap=True)
    console.print(
        f"look at {runfile.folder}: ALC-*/GEN_FF/compare.txt, training_set.extxyz", soft_wrap=True
    )


@app.command()
def new(
    study: Annotated[Path, typer.Argument(help="folder of the new study")],
    template: Annotated[
        str | None, typer.Option(help=f"begin with a copy of: {', '.join(templates())}")
    ] = None,
    old: Annotated[
        Path | None,
        typer.Option("--from", help="study of the existing driver: config.py and ALL_BASE_FILES"),
    ] = None,
    trust_config: Trust = False,
) -> None:
    """Make a study: from a template, or from one of the existing driver."""
    if (template is None) == (old is None):
        raise InputError("give either --template NAME or --from OLD_STUDY")
    if template is not None:
        new_from_template(template, study)
    elif old is not None:
        for remark in legacy.new_from(old, study, Registry(), trust=trust_config).remarks:
            console.print(f"note: {remark}", soft_wrap=True)
    console.print(f"made {study / NAME}; go on with `ald check {study}`", soft_wrap=True)


@app.command()
def check(
    study: StudyPath = Path(),
    fit_only: Annotated[bool, typer.Option(help="as `ald run --fit-only` would")] = False,
    trust_config: Trust = False,
) -> None:
    """Read everything, say all that is wrong and what would happen; touch nothing."""
    path, registry = run_file_of(study), Registry()
    _show_plan(account(path, registry, trust_config=trust_config))
    _show_plan(plan(path, registry, fit_only=fit_only, trust_config=trust_config))


@app.command()
def status(
    study: StudyPath = Path(),
    as_json: Annotated[
        bool, typer.Option("--json", help="for programs: what status.json in the study holds")
    ] = False,
) -> None:
    """Show cycles, steps, jobs and labels; also from another terminal while it runs."""
    found = read_status(run_file_of(study))
    if as_json:
        console.out(found.status.to_json(), end="")
    else:
        _show_status(found)


@app.command()
def stop(
    study: StudyPath = Path(),
    jobs: Annotated[bool, typer.Option("--jobs", help="cancel its jobs too")] = False,
    after_cycle: Annotated[
        bool, typer.Option("--after-cycle", help="let it finish the cycle under way")
    ] = False,
    wait: Annotated[float, typer.Option(help="seconds to wait for it", min=0)] = 60.0,
    trust_config: Trust = False,
) -> None:
    """Ask the `ald run` of a study to stop safely, wherever it works; jobs go on, and so does the next `ald run`."""
    path = run_file_of(study)
    said = control.stop(
        path,
        Registry(),
        jobs=jobs,
        after_cycle=after_cycle,
        wait=wait,
        trust_config=trust_config,
    )
    console.print(said, soft_wrap=True)


StudyAndFrames = Annotated[
    list[str] | None,
    typer.Argument(metavar="STUDY|FRAME", help="study, if not this folder, and frames"),
]


@app.command()
def labels(
    words: StudyAndFrames = None,
    release: Annotated[
        bool,
        typer.Option("--release", help="take these labels; those that failed begin anew"),
    ] = False,
    reject: Annotated[
        bool, typer.Option("--reject", help="fit these labels no more, from the next cycle on")
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help="list all labels; release all of the cycle under way"),
    ] = False,
) -> None:
    """List labels that failed or look wrong, and where their files are; release some, or reject them."""
    path, frames = _study_and_frames(words)
    if release and reject:
        raise InputError("give either --release or --reject")
    if (reject or (release and not every)) and not frames:
        raise InputError("give the names of frames, which `ald labels --all` shows")
    if release:
        said = label_list.release(path, frames, every=every)
        lines = said or ["no label is quarantined"]
    elif reject:
        lines = label_list.reject(path, frames)
    else:
        lines = label_list.show(label_list.read_labels(path), frames, every=every)
    for line in lines:
        console.print(line, soft_wrap=True)


def _study_and_frames(words: list[str] | None) -> tuple[Path, list[str]]:
    """The run file, that of this folder if the first word is no file or folder, and the other words."""
    given = list(words or [])
    study = Path(given.pop(0)) if given and Path(given[0]).exists() else Path()
    return run_file_of(study), given


@app.command(hidden=True)
def release(
    words: StudyAndFrames = None,
    every: Annotated[bool, typer.Option("--all", help="all of the cycle under way")] = False,
) -> None:
    """The same as `ald labels --release`; without names of frames, as `ald labels`."""
    labels(words, release=bool(every or _study_and_frames(words)[1]), every=every)


@app.command()
def repair(
    study: StudyPath = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
) -> None:
    """Say what of a journal is damaged and save all that can be read; damaged files are kept, and no longer read."""
    mend = journal_repair.inspect if dry_run else journal_repair.repair
    found = mend(study_folder(run_file_of(study)))
    for line in (*found.damage, *found.remarks):
        console.print(line, soft_wrap=True)
    done = "can be saved" if dry_run else "were saved; `ald run` goes on with them"
    console.print(f"{found.recovered} records {done}" if found.damage else "the journal is whole")


@app.command()
def plugins(
    role: Annotated[str | None, typer.Argument(help="only this role")] = None,
    name: Annotated[str | None, typer.Argument(help="only this capability")] = None,
) -> None:
    """Show what is installed, from where, and its options; BROKEN ones with the reason."""
    registry = Registry()
    if role is None:
        _show_capabilities(registry, ROLES)
    elif name is None:
        _show_capabilities(registry, (role_named(role),))
    else:
        capability = registry.find(role_named(role), name)
        console.print(f"{capability.role} {name}: {_summary(capability)}", soft_wrap=True)
        console.print(_options_table(describe(capability)))


@app.command()
def cite(study: StudyPath = Path(), trust_config: Trust = False) -> None:
    """Show what to cite for the strategy that a study uses."""
    path = run_file_of(study)
    runfile = read_run_file(path, Registry(), cycles=0, trust_config=trust_config, ready=False)
    for reference in citations(runfile):
        console.print(reference, soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"ald {version('ald-core')}")
        raise typer.Exit


@app.callback()
def top(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    """Make ChIMES interatomic potentials by active learning."""


def main() -> None:
    """Entry point: exit status 0 done, 2 put it right, 3 run again, 4 look first, 1 bug."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Å gets a question mark
    if _wants_plugin_command(sys.argv):
        _add_groups(Registry().commands())
    try:
        app()
    except AldError as error:
        errors.print(f"ald: {error}", soft_wrap=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        errors.print(
            f"ald: {where}{error.strerror}; put this right and run again, nothing is lost",
            soft_wrap=True,
        )
        sys.exit(3)
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        errors.print("ald: stopped; run `ald run` again to go on")
        sys.exit(3)


def _add_groups(extras: list[typer.Typer]) -> None:
    """Add the plugins' groups of commands; groups of one name become one."""
    groups: dict[str, typer.Typer] = {}
    for extra in extras:
        first = groups.setdefault(str(extra.info.name), extra)
        if first is extra:
            app.add_typer(extra)
        else:
            known = first.registered_commands
            first.registered_commands += [c for c in extra.registered_commands if c not in known]


def _wants_plugin_command(argv: list[str]) -> bool:
    """Whether the plugins' sub-commands are needed: not for the core's own, which load plugins themselves."""
    return len(argv) < 2 or argv[1] not in {
        command.callback.__name__ for command in app.registered_commands if command.callback
    }


def _show_plan(found: Plan) -> None:
    for line in found.lines:
        console.print(line, soft_wrap=True)
    for warning in found.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)


def _show_summary(summary: Summary) -> None:
    for part in (summary_table(summary), *result_tables(summary)):
        console.print(part, soft_wrap=True)


def _show_status(found: StudyStatus) -> None:
    if found.summary.rows:
        _show_summary(found.summary)
    for line in found.lines:
        console.print(line, soft_wrap=True)


def _show_capabilities(registry: Registry, roles: tuple[type[Capability], ...]) -> None:
    table = _table("role", "name", "from", "what it does")
    for role in roles:
        for offer in registry.of_role(role):
            name = offer.capability.name
            table.add_row(role.role, name, offer.source, _summary(offer.capability))
    for broken in registry.broken:
        table.add_row("BROKEN", broken.entry_point, broken.source, broken.reason)
    console.print(table)


def _summary(capability: type[Capability]) -> str:
    """The first line of its docstring, or of its role's."""
    return (inspect.getdoc(capability) or "").partition("\n")[0]


def _table(*columns: str) -> Table:
    """A table that folds long words instead of cutting them."""
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _options_table(infos: list[OptionInfo]) -> Table:
    table = _table("option", "type", "default", "meaning")
    for info in infos:
        default = "required" if info.required else repr(info.default)
        table.add_row(info.name, info.type, default, info.help)
    return table
