"""The commands `ald chimes …`: the ChIMES tools by themselves. Only here is anything printed.

What they do is in other modules, imported when a command runs, because compiled code takes its time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from ald_core.errors import InputError

app = typer.Typer(name="chimes", help="The ChIMES tools by themselves.", no_args_is_help=True)

_METAVAR = "true|false"
_TRUE, _FALSE = {"true", "t", "yes", "y"}, {"false", "f", "no", "n"}


def _truth(text: str, option: str) -> bool:
    """A truth value as `chimes_lsq.py` takes it."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise InputError(f"{option} must be true or false, found '{text}'")
    return word in _TRUE


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Tell in one sentence that a file cannot be written."""
    try:
        yield
    except OSError as error:
        path = error.filename or place
        raise InputError(f"cannot be written ({error.strerror})", path=path) from None


@app.command()
def lsq(
    setup: Annotated[Path, typer.Argument(help="control file, fm_setup.in")],
    matrix: Annotated[bool, typer.Option(help="compute and write A.txt")] = True,
    ranks: Annotated[
        int, typer.Option(min=1, help="order and split A as that many MPI processes would")
    ] = 1,
) -> None:
    """Write the design matrix of a fit, and what belongs to it, into the folder of the control file."""
    from ald_chimes_lsq.design_files import write_design  # noqa: PLC0415
    from ald_chimes_lsq.formats.setup import read_setup  # noqa: PLC0415

    with _writing(setup.parent):
        size = write_design(read_setup(setup), setup.parent, matrix=matrix, ranks=ranks)
    typer.echo(f"{size.n_frames} frames, {size.n_rows} rows, {size.n_columns} columns")


@app.command()
def solve(
    matrix: Annotated[Path, typer.Option("--A", help="design matrix")] = Path("A.txt"),
    right: Annotated[Path, typer.Option("--b", help="right-hand side")] = Path("b.txt"),
    header: Annotated[Path, typer.Option(help="header of parameter files")] = Path("params.header"),
    map_: Annotated[Path, typer.Option("--map", help="map of clusters")] = Path("ff_groups.map"),
    algorithm: Annotated[
        str,
        typer.Option(help="svd, fast_svd, ridge, ridgecv, lasso, lassolars, dlars or dlasso"),
    ] = "svd",
    eps: Annotated[float, typer.Option(help="cutoff of singular values, relative")] = 1e-5,
    alpha: Annotated[float, typer.Option(help="strength of regularisation")] = 1e-4,
    folds: Annotated[int, typer.Option(help="folds of ridgecv")] = 4,
    weights: Annotated[str, typer.Option(help="file with a weight per row, or None")] = "None",
    normalize: Annotated[
        str, typer.Option(metavar=_METAVAR, help="dlars, dlasso: centre and scale columns")
    ] = "false",
    split_files: Annotated[
        str,
        typer.Option(
            "--split_files",
            "--split-files",
            metavar=_METAVAR,
            help="read A.0000.txt, A.0001.txt, …",
        ),
    ] = "false",
    test_suite: Annotated[
        str,
        typer.Option(
            "--test_suite", "--test-suite", metavar=_METAVAR, help="write test_suite_params.txt too"
        ),
    ] = "false",
    stop_like_dlars: Annotated[
        bool, typer.Option(help="dlasso: stop where the program dlars does, not at the minimum")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="write the parameter file there, not to standard output")
    ] = None,
    folder: Annotated[Path, typer.Option(help="where force.txt and x.txt go")] = Path(),
    read_output: Annotated[str, typer.Option("--read_output", hidden=True)] = "false",
    active: Annotated[str, typer.Option("--active", hidden=True)] = "false",
    restart_dlasso_dlars: Annotated[str, typer.Option("--restart_dlasso_dlars", hidden=True)] = "",
    dlasso_dlars_path: Annotated[str, typer.Option("--dlasso_dlars_path", hidden=True)] = "",
    nodes: Annotated[str, typer.Option(hidden=True)] = "1",
    cores: Annotated[str, typer.Option(hidden=True)] = "8",
    mpistyle: Annotated[str, typer.Option(hidden=True)] = "srun",
) -> None:
    """Fit parameters to A.txt and b.txt, and print the parameter file; options as chimes_lsq.py has them."""
    from ald_chimes_lsq.fit_files import write_numbers  # noqa: PLC0415
    from ald_chimes_lsq.solve_files import SolveRequest, solve_files  # noqa: PLC0415
    from ald_chimes_lsq.solvers.algorithms import Choice, parse_algorithm  # noqa: PLC0415

    _truth(active, "--active")
    del dlasso_dlars_path, nodes, cores, mpistyle
    existing = _truth(read_output, "--read_output")
    if existing or restart_dlasso_dlars:
        option = "--read_output" if existing else "--restart_dlasso_dlars"
        raise InputError(
            f"{option} takes up what the program dlars has left, which is not run here; leave it out, "
            "the fit takes seconds"
        )
    request = SolveRequest(
        matrix=matrix,
        right=right,
        header=header,
        map=map_,
        weights=None if weights == "None" else Path(weights),
        split=_truth(split_files, "--split_files"),
        choice=Choice(
            algorithm=parse_algorithm(algorithm),
            eps=eps,
            alpha=alpha,
            folds=folds,
            normalize=_truth(normalize, "--normalize"),
            stop_like_dlars=stop_like_dlars,
        ),
    )
    solved = solve_files(request, date=date.today().isoformat())
    with _writing(folder):
        write_numbers(folder / "force.txt", "%13.6e\n", solved.said)
        write_numbers(folder / "x.txt", "%21.13e\n", solved.x)
        if _truth(test_suite, "--test_suite"):
            lines = (f"{i:5d} {x:21.13e}\n" for i, x in enumerate(solved.x.tolist()))
            (folder / "test_suite_params.txt").write_text("".join(lines))
    if output is None:
        typer.echo(solved.params, nl=False)
    else:
        with _writing(output):
            output.write_text(solved.params)


@app.command()
def reduce(
    params: Annotated[Path, typer.Argument(help="parameter file")],
) -> None:
    """Leave negligible many-body terms out: PARAMS.reduced is written beside PARAMS."""
    from ald_chimes_lsq.formats.params_write import reduced_text  # noqa: PLC0415
    from ald_chimes_lsq.formats.tokens import read_text  # noqa: PLC0415

    text = reduced_text(read_text(params), name=str(params))
    target = params.with_name(f"{params.name}.reduced")
    with _writing(target):
        target.write_text(text)


@app.command()
def calc(
    params: Annotated[Path, typer.Argument(help="parameter file")],
    configuration: Annotated[Path, typer.Argument(help="coordinate file, .xyz")],
    small: Annotated[
        int, typer.Argument(min=0, max=1, help="without effect: cells of any size are right")
    ] = 1,
    json: Annotated[
        bool, typer.Option("--json", help="all digits: energy kcal/mol, stress GPa, forces")
    ] = False,
) -> None:
    """Energy, stress and forces of a configuration, in kcal/mol, GPa and kcal/mol/Å."""
    from ald_chimes_lsq.formats.configuration import as_json, printed, read_configuration  # noqa: PLC0415
    from ald_chimes_lsq.model import ChimesModel  # noqa: PLC0415

    del small
    said = ChimesModel.read(params).evaluate(read_configuration(configuration))
    for line in [as_json(said)] if json else printed(said):
        typer.echo(line)
