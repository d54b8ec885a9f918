"""The commands `ald chimes md`, a run by itself, and `ald chimes species`, what is in its trajectory."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ald_chimes_md.control import read_control
from ald_chimes_md.replacement import reason
from ald_core.errors import InputError, Stopped

if TYPE_CHECKING:
    from ald_chimes_md.comparison import Errors
    from ald_chimes_md.dynamics import Floats
    from ald_chimes_md.result import RunResult

app = typer.Typer(
    name="chimes", help="ChIMES tools by themselves, on their own files.", no_args_is_help=True
)
UNSTABLE = 4
"""Exit status of a run that stopped before its last step."""
NAMES = ("Step", "Time", "Ktot/N", "Vtot/N", "Etot/N", "T", "P")
UNITS = ("", "(fs)", "(kcal/mol)", "(kcal/mol)", "(kcal/mol)", "(K)", "(GPa)")


@app.callback()
def chimes() -> None:
    """Use ChIMES tools by themselves, on their own files."""


@app.command()
def md(
    control: Annotated[Path, typer.Argument(help="control file")] = Path("run_md.in"),
    resume: Annotated[bool, typer.Option(help="go on from the checkpoint")] = False,
) -> None:
    """Run molecular dynamics as run_md.in says; files are read and written in its folder.

    Ctrl-C saves a checkpoint and stops. Exit status: 0 all steps done; 2 wrong input; 3 stopped, or a file could not
    be written; 4 the run became unstable.
    """
    for key in read_control(control).ignored:
        typer.echo(f"{control}: the key {key} is unknown and is ignored", err=True)
    result = _run(control, resume=resume)
    for line in _closing_lines(result):
        typer.echo(line)
    if not result.stable:
        raise typer.Exit(UNSTABLE)


@app.command()
def species(
    trajectory: Annotated[Path, typer.Argument(help="trajectory: GEN, or XYZ of ChIMES MD")],
    bonds: Annotated[Path, typer.Option(help="bond lengths and lifetimes")] = Path("bonds.dat"),
    frames: Annotated[bool, typer.Option(help="print the molecules of each frame")] = True,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="species to write to speciation.species-0, -1, …: as the table names it, or a formula"
        ),
    ] = None,
) -> None:
    """Print the molecules of each frame as molanal does, then fractions and lifetimes of the species."""
    from ald_chimes_md.speciation.criteria import read_bonds  # noqa: PLC0415
    from ald_chimes_md.speciation.molecules import analyse  # noqa: PLC0415
    from ald_chimes_md.speciation.of_run import species_file  # noqa: PLC0415
    from ald_chimes_md.speciation.species import (  # noqa: PLC0415
        SpeciesTally,
        frame_text,
        species_text,
        table_text,
    )

    _check_names(name or ())
    criteria = read_bonds(bonds)
    tally = SpeciesTally(criteria.frame_time)
    for found in analyse(trajectory, criteria):
        tally.add(found.molecules)
        if frames:
            typer.echo(frame_text(found), nl=False)
    rows = tally.species()
    if not rows:
        raise InputError(
            f"has no more frames than the bond lifetime, {criteria.longest_lifetime}",
            path=trajectory,
            cure=f"give more frames, or a shorter lifetime in {bonds}",
        )
    typer.echo(table_text(rows), nl=False)
    for number, one in enumerate(name or ()):
        path = trajectory.with_name(species_file(number))
        try:
            path.write_text(species_text(one, rows), encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})",
                path=path,
                cure="make room, or give permission",
            ) from None


def _check_names(names: Sequence[str]) -> None:
    from ald_chimes_md.speciation.names import parse_name  # noqa: PLC0415

    for name in names:
        try:
            parse_name(name)
        except ValueError as error:
            raise InputError(f"--name: {error}") from None


def _run(control: Path, *, resume: bool) -> "RunResult":
    """Run and show it; raises Stopped, which says how to go on, for whatever is no matter of the input."""
    try:
        # Compiled code is loaded only when it is needed.
        from ald_chimes_md.run import run_until_stopped  # noqa: PLC0415

        result = run_until_stopped(control, resume=resume, report=_Screen().tell)
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"{reason(error)}; put it right, then {_way_on(control)}"
        raise Stopped(message) from None
    except Stopped as stopped:
        raise Stopped(f"{stopped}; {_way_on(control)}") from None
    except KeyboardInterrupt:
        raise Stopped(f"stopped at once; {_way_on(control)}") from None
    return result


def _way_on(control: Path) -> str:
    from ald_chimes_md.checkpoint import CHECKPOINT  # noqa: PLC0415

    command = f"ald chimes md {shlex.quote(str(control))}"
    if (control.parent / CHECKPOINT).is_file():
        return f"go on with `{command} --resume`"
    return f"start again with `{command}`"


class _Screen:
    """Shows a run while it goes on."""

    def __init__(self) -> None:
        self._begun = False

    def tell(self, rows: "Floats", penalties: "Floats") -> None:
        """Print lines of statistics, with warnings about close pairs before that of their step."""
        if not self._begun:
            typer.echo("{:>10} {:>10} {:>12} {:>12} {:>12} {:>10} {:>12}".format(*NAMES))
            typer.echo("{:>10} {:>10} {:>12} {:>12} {:>12} {:>10} {:>12}".format(*UNITS))
            self._begun = True
        told = 0
        for row in rows.tolist():
            while told < len(penalties) and penalties[told][0] <= row[0]:
                _warn(penalties[told].tolist())
                told += 1
            step, time, kinetic, potential, energy, temperature, pressure = row[:7]
            typer.echo(
                f"{step:10.0f} {time:10.2f} {kinetic:12.5f} {potential:12.5f} {energy:12.5f} "
                f"{temperature:10.1f} {pressure:12.3f}"
            )
        for penalty in penalties[told:].tolist():
            _warn(penalty)


def _warn(penalty: list[float]) -> None:
    step, first, second, distance, energy = penalty
    typer.echo(
        f"Warning: Adding penalty in 2B Cheby calc, step {step:.0f}, atoms {first:.0f} {second:.0f}, "
        f"r = {distance:.5f} A"
    )
    typer.echo(f"\tPenalty potential = {energy:.6g} kcal/mol")


def _closing_lines(result: "RunResult") -> list[str]:
    lines = [] if result.errors is None else _error_lines(result.errors)
    if result.force_check is not None:
        largest, root = result.force_check.largest, result.force_check.root_mean_square
        lines.append(
            f"Forces and finite differences: largest difference {largest:.3g}, RMS {root:.3g} kcal/mol/A"
        )
    if result.errors is not None:
        return lines
    averages = result.averages
    if averages is not None:
        lines.append(f"Average temperature over run = {averages.temperature:.6g} K")
        lines.append(f"Average pressure over run = {averages.pressure:.6g} GPa")
        components = " ".join(f"{x:.6g}" for x in averages.stress)
        lines.append(f"Average stress tensor over run (xx yy zz xy xz yz) = {components} GPa")
    if result.stable:
        lines.append(f"Completed {result.steps_done} steps")
    else:
        lines.append(f"Stopped at step {result.unstable_step}: {result.reason}")
    return lines


def _error_lines(errors: "Errors") -> list[str]:
    lines = [f"RMS force error = {errors.force:.10g} kcal/mol/A"]
    if errors.stress is not None:
        lines.append(f"RMS stress error = {errors.stress:.10g} GPa")
    if errors.energy is not None:
        lines.append(f"Absolute energy error = {errors.energy:.10g} kcal/mol")
    if errors.further:
        lines.append(f"({errors.further} further numbers of that file are of other frames)")
    return [*lines, f"Wrote {errors.written}"] if errors.written else lines
