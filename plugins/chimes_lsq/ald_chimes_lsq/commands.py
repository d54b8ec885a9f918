"""The commands `ald chimes …`: the ChIMES tools by themselves. Only here is anything printed.

What they do is in other modules, imported when a command runs, because compiled code takes its time.
"""

import os
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
        raise InputError(
            f"{option} is neither true nor false: '{text}'", cure="write true or false"
        )
    return word in _TRUE


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Tell in one sentence that a file cannot be written."""
    try:
        yield
    except OSError as error:
        path = error.filename or place
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            path=path,
            cure="make room or give permission, then run again",
        ) from None


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the coordinate file, and the line of an atom, in a complaint that names no file."""
    from ald_chimes_lsq.structure import AtomError  # noqa: PLC0415

    try:
        yield
    except InputError as error:
        if error.path is not None:
            raise
        line = 3 + error.atom if isinstance(error, AtomError) else None
        raise error.at(path, line) from None


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

    read = read_setup(setup)
    for key in read.unknown_keys:
        typer.echo(f"{setup}: the key {key} is unknown and is ignored", err=True)
    with _writing(setup.parent):
        size = write_design(read, setup.parent, matrix=matrix, ranks=ranks)
    typer.echo(f"{size.n_frames} frames, {size.n_rows} rows, {size.n_columns} columns")
    for pair, closest in zip(read.basis.pairs, size.closest, strict=False):
        if closest == float("inf"):
            continue
        note = "" if closest > pair.rmin else ", whose 2-body terms act in simulations but not here"
        typer.echo(f"closest {pair.first} {pair.second}: {closest:.5f} A{note}")


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
        Path | None,
        typer.Option(help="write the parameter file there, not to standard output and params.txt"),
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="where params.txt, force.txt, x.txt and Ax.txt go")
    ] = Path(),
    scratch: Annotated[
        Path | None,
        typer.Option(
            help="folder for a binary copy of A while this runs; that of --folder if absent"
        ),
    ] = None,
    read_output: Annotated[
        str,
        typer.Option(
            "--read_output",
            "--read-output",
            metavar=_METAVAR,
            help="dlars, dlasso: take x.txt and Ax.txt of an earlier run",
        ),
    ] = "false",
    active: Annotated[str, typer.Option("--active", hidden=True)] = "false",
    restart_dlasso_dlars: Annotated[str, typer.Option("--restart_dlasso_dlars", hidden=True)] = "",
    dlasso_dlars_path: Annotated[str, typer.Option("--dlasso_dlars_path", hidden=True)] = "",
    nodes: Annotated[str, typer.Option(hidden=True)] = "",
    cores: Annotated[str, typer.Option(hidden=True)] = "",
    mpistyle: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Fit parameters to A.txt and b.txt, and print the parameter file; options as chimes_lsq.py has them."""
    from ald_chimes_lsq.solve_files import SolveRequest, solve_files, write_solved  # noqa: PLC0415
    from ald_chimes_lsq.solvers.algorithms import Choice, parse_algorithm  # noqa: PLC0415
    from ald_chimes_lsq.solvers.solution import describe  # noqa: PLC0415

    _truth(active, "--active")
    for_cluster = {
        "--restart_dlasso_dlars": restart_dlasso_dlars,
        "--dlasso_dlars_path": dlasso_dlars_path,
        "--nodes": nodes,
        "--cores": cores,
        "--mpistyle": mpistyle,
    }
    unneeded = [option for option, value in for_cluster.items() if value]
    if unneeded:
        typer.echo(f"not needed, because no other program is run: {', '.join(unneeded)}", err=True)
    if not folder.is_dir():
        raise InputError(
            "there is no such folder", path=folder, cure="make it, or name another one"
        )
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise InputError(
            "--output cannot be written here",
            path=output,
            cure="name a file in a folder that exists",
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
        scratch=folder if scratch is None else scratch,
        existing=folder if _truth(read_output, "--read_output") else None,
    )
    suite = _truth(test_suite, "--test_suite")
    solved = solve_files(request, date=date.today().isoformat())
    with _writing(folder):
        write_solved(solved, folder, request.choice, output=output, test_suite=suite)
    if output is None:
        with _writing(Path("standard output")):
            typer.echo(solved.params, nl=False)
    typer.echo(describe(solved.solution), err=True)


@app.command()
def reduce(
    params: Annotated[Path, typer.Argument(help="parameter file")],
) -> None:
    """Leave negligible many-body terms out: PARAMS.reduced is written beside PARAMS."""
    from ald_chimes_lsq.formats.params_read import read_params  # noqa: PLC0415
    from ald_chimes_lsq.formats.params_write import reduced_text  # noqa: PLC0415
    from ald_chimes_lsq.formats.tokens import read_text  # noqa: PLC0415
    from ald_chimes_lsq.new_files import write_file  # noqa: PLC0415

    read_params(params)
    text = reduced_text(read_text(params), name=str(params))
    target = params.with_name(f"{params.name}.reduced")
    with _writing(target):
        write_file(target, text)


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
    from ald_chimes_lsq.ewald import type_charges  # noqa: PLC0415
    from ald_chimes_lsq.formats.configuration import as_json, printed, read_configuration  # noqa: PLC0415
    from ald_chimes_lsq.model import ChimesModel  # noqa: PLC0415

    del small
    model = ChimesModel.read(params)
    with _about(params):
        type_charges(model.basis, model.coefficients)
    found = read_configuration(configuration)
    with _about(configuration):
        said = model.evaluate(found.atoms, names=found.names)
    for line in [as_json(said)] if json else printed(said):
        typer.echo(line)


@app.command()
def merge(
    tiles: Annotated[list[Path], typer.Argument(help="parameter files")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the merged parameter file")],
    penalty_distance: Annotated[
        float | None,
        typer.Option(help="of the merged file, in Å beyond S_MINIM; as the files say if absent"),
    ] = None,
    penalty_scaling: Annotated[
        float | None, typer.Option(help="the same in kcal/mol/Å³; both are given, or none")
    ] = None,
) -> None:
    """Write one parameter file that evaluates to the sum of others, such as the tiles of a hierarchy."""
    from ald_chimes_lsq.merging import merge_parts, shared_terms  # noqa: PLC0415
    from ald_chimes_lsq.tile_parts import Part  # noqa: PLC0415

    parts = [Part.read(tile) for tile in tiles]
    resolved = [os.path.realpath(tile) for tile in tiles]
    for tile, path in zip(tiles, resolved, strict=True):
        if resolved.count(path) > 1:
            raise InputError("this file is named twice", path=tile, cure="name it once")
    if os.path.realpath(output) in resolved:
        raise InputError(
            "the merged file would replace one of its parts", path=output, cure="name another one"
        )
    merged = merge_parts(parts, _penalty(penalty_distance, penalty_scaling))
    for names, owners in shared_terms(parts):
        files = " and ".join(part.name for part in owners)
        typer.echo(f"{' '.join(names)} is in {files}: the coefficients are added", err=True)
    for number in merged.basis.excluded_pairs:
        pair = merged.basis.pairs[number]
        typer.echo(f"no file describes the pair {pair.first} {pair.second}", err=True)
    with _writing(output):
        # A name can hold anything, also the end of a line.
        called = [str(t) if str(t).isprintable() else ascii(str(t)) for t in tiles]
        merged.write(output, ["! Sum of parameter files:", *(f"!   {name}" for name in called)])


def _penalty(distance: float | None, scaling: float | None) -> tuple[float, float] | None:
    """The penalty that options ask for."""
    from ald_chimes_lsq.formats.params_header import MAX_PENALTY_DISTANCE  # noqa: PLC0415

    if distance is None and scaling is None:
        return None
    if distance is None or scaling is None:
        raise InputError(
            "only one of --penalty-distance and --penalty-scaling is given", cure="give both"
        )
    if not (0.0 <= distance <= MAX_PENALTY_DISTANCE and 0.0 <= scaling < float("inf")):
        raise InputError(
            f"--penalty-distance {distance:g} must be between 0 and {MAX_PENALTY_DISTANCE:g} Å, and "
            f"--penalty-scaling {scaling:g} must not be negative",
            cure="write for example 0.01 and 1e4",
        )
    return distance, scaling


@app.command()
def exclude(
    setup: Annotated[Path, typer.Argument(help="control file, fm_setup.in")],
    tiles: Annotated[list[Path], typer.Argument(help="frozen parameter files")],
) -> None:
    """Print the EXCLUDE and SPECIAL blocks with which a fit stands on frozen parameter files."""
    from ald_chimes_lsq.exclusions import exclusion_blocks  # noqa: PLC0415
    from ald_chimes_lsq.formats.setup import read_setup  # noqa: PLC0415

    read = read_setup(setup)
    text = exclusion_blocks(read, tiles)
    with _writing(Path("standard output")):
        typer.echo(text, nl=False)
    if not read.hierarchical:
        typer.echo(f"{setup}: write '# HIERARC #' and true for such a fit", err=True)
