"""What a control file must say if its fit is to stand on frozen parameter files (tiles) of a hierarchy.

Terms that the tiles describe are excluded from the fit, and no others; what both speak of – masses, cutoffs, λ,
transform, smoothing function – is the same, so that the merged model is the sum of its parts.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import attrs

from ald_chimes_lsq.basis import InnerRule
from ald_chimes_lsq.formats.params_write import special_block
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.merging import cutoff_words, masses_agree, merge_parts, shared_terms
from ald_chimes_lsq.setup_lines import SetupLines
from ald_chimes_lsq.tile_parts import BODIES, Part
from ald_chimes_lsq.topology import cluster_members, pair_order
from ald_core.errors import InputError, InputErrors

_BLOCKS = "`ald chimes exclude` prints all of these lines"


def check_tiles(
    setup: FitSetup, tiles: Sequence[Path], *, energies: bool | None = None
) -> list[str]:
    """Compare a control file with the frozen parameter files below its fit.

    Args:
        setup: read from its file.
        tiles: parameter files.
        energies: whether offsets are fitted; as the control file says by default.

    Returns:
        One sentence for each inconsistency, naming both files; none if the merged model will be the sum of its parts.
    """
    parts, problems = _read(tiles)
    if not setup.hierarchical:
        problems.append(
            f"{setup.path}: HIERARC is not true, as it must be for a fit on frozen parameter files; "
            "write '# HIERARC #' and true on the next line"
        )
    problems += _conflicts(setup, parts)
    fits_offsets = setup.has_offsets if energies is None else energies
    return [*problems, *_wrong_exclusions(setup, parts, offsets=fits_offsets)]


def exclusion_blocks(setup: FitSetup, tiles: Sequence[Path]) -> str:
    """Text of the EXCLUDE blocks that belong to frozen parameter files, and of the SPECIAL blocks without these terms.

    What `setup` itself excludes does not count. A term is taken as described where coefficients are all zero, or where
    the orders of a file leave it out.

    Raises:
        InputError: a file cannot be read, or contradicts the control file.
    """
    parts, problems = _read(tiles)
    problems += _conflicts(setup, parts)
    if problems:
        raise InputErrors(problems)
    described = [t for t in _terms(setup) if any(p.describes(t) is not False for p in parts)]
    lines: list[str] = []
    for body in (1, 2, 3, 4):
        if found := [" ".join(term) for term in described if len(term) == body]:
            lines += ["", f"EXCLUDE {body}B INTERACTION: {len(found)}", *found]
    frozen = {tuple(sorted(term)) for term in described}
    triplets, quads = (
        tuple(attrs.evolve(c, excluded=c.elements in frozen) for c in clusters)
        for clusters in (setup.basis.triplets, setup.basis.quads)
    )
    basis = attrs.evolve(setup.basis, triplets=triplets, quads=quads)
    for body in BODIES:
        for bound in ("S_MINIM", "S_MAXIM"):
            lines += [line.rstrip() for line in special_block(basis, body, bound)]
    return "\n".join([*lines[1:], ""])


def _read(tiles: Sequence[Path]) -> tuple[list[Part], list[str]]:
    """Tiles that can be read, and what is wrong with the others."""
    parts: list[Part] = []
    problems: list[str] = []
    seen: set[Path] = set()
    for path in tiles:
        try:
            part = Part.read(path)
        except InputError as error:
            problems.append(str(error))
            continue
        if path.resolve() in seen:
            problems.append(f"{path}: this file is named twice; name it once")
        else:
            parts.append(part)
        seen.add(path.resolve())
    return parts, problems


def _conflicts(setup: FitSetup, parts: Sequence[Part]) -> list[str]:
    """What tiles and control file, or two tiles, say differently."""
    lines = SetupLines.read(setup.path)
    problems = list(chain.from_iterable(_against(setup, lines, part) for part in parts))
    if setup.basis.inner != InnerRule():
        problems.append(
            f"{lines.place(lines.key('CHEBYFIX'))}CHEBYFIX is not 'SMOOTH 0.01', which parameter files cannot say and "
            "frozen ones are evaluated with; remove it"
        )
    if problems or not parts:
        return problems
    try:
        merge_parts(parts)
    except InputError as error:
        return [str(error)]
    for names, owners in shared_terms(parts):
        problems.append(
            f"{' '.join(names)} is described by {' and by '.join(p.name for p in owners)}, and would be counted "
            "as often; leave files out, or, if their sum is meant, give the one that `ald chimes merge` makes of them"
        )
    return problems


def _against(setup: FitSetup, lines: SetupLines, part: Part) -> Iterator[str]:
    """What a tile and the control file say differently."""
    names = [t.name for t in setup.basis.types]
    if unknown := [name for name in part.elements if name not in names]:
        yield (
            f"{lines.place(None)}atom type {unknown[0]} is in {part.place(part.type_line(unknown[0]))}, but not in "
            "the table TYPEIDX; add it, or leave that file out"
        )
        return
    yield from _against_rules(setup, lines, part)
    yield from _against_types(setup, lines, part)
    for pair in setup.basis.pairs:
        number = part.pair((pair.first, pair.second))
        if number is None:
            continue
        own, bonded = part.model.basis.pairs[number], part.describes((pair.first, pair.second))
        numbers = [("S_MINIM", pair.rmin, own.rmin), ("S_MAXIM", pair.rmax, own.rmax)]
        shown = numbers if bonded else []
        if setup.basis.transform == "MORSE" and (bonded or number in part.edges):
            shown = [*shown, ("MORSE_LAMBDA", pair.morse_lambda, own.morse_lambda)]
        for what, wanted, found in shown:
            if wanted != found:
                yield (
                    f"{lines.place(lines.pair((pair.first, pair.second)))}{what} of the pair {pair.first} "
                    f"{pair.second} is {wanted!r}, but {found!r} in {part.place(part.pair_line(own))}; "
                    f"write {found!r} here"
                )


def _against_rules(setup: FitSetup, lines: SetupLines, part: Part) -> Iterator[str]:
    own, wanted = part.model.basis, setup.basis
    at = part.place(part.phrase_line("PAIRTYP:"))
    for body, low, high in zip((2, 3, 4), wanted.orders, own.orders, strict=True):
        if low < high:
            yield (
                f"{lines.place(lines.key('PAIRTYP'))}the {body}-body order is {low}, but {high} in {at}; "
                f"write at least {high} here"
            )
    if own.transform != wanted.transform:
        yield (
            f"{lines.place(lines.key('CHBTYPE'))}the transform (CHBTYPE) is {wanted.transform}, but {own.transform} "
            f"in {part.place(part.phrase_line('ATOM PAIRS:'))}; write {own.transform} here"
        )
    here, there = cutoff_words(wanted.cutoff), cutoff_words(own.cutoff)
    if here != there:
        yield (
            f"{lines.place(lines.key('FCUTTYP'))}the smoothing function (FCUTTYP) is {here}, but {there} in "
            f"{part.place(part.phrase_line('FCUT TYPE:'))}; write {there} here"
        )


def _against_types(setup: FitSetup, lines: SetupLines, part: Part) -> Iterator[str]:
    masses = {t.name: t.mass for t in setup.basis.types}
    for own in part.model.basis.types:
        if not masses_agree(masses[own.name], own.mass):
            yield (
                f"{lines.place(lines.atom_type(own.name))}the mass of {own.name} is {masses[own.name]!r}, but "
                f"{own.mass!r} in {part.place(part.type_line(own.name))}; correct one of them"
            )
    if not part.charged:
        return
    at = part.place(part.phrase_line("USECOUL:"))
    if setup.basis.fit_charges:
        yield (
            f"{lines.place(lines.key('FITCOUL'))}charges are fitted, but {at} has charges, too, and Coulomb terms do "
            "not add up; write false here, or leave that file out"
        )
    elif missing := [name for name in masses if name not in part.elements]:
        yield (
            f"{lines.place(lines.atom_type(missing[0]))}{missing[0]} has no charge in {at}, which has charges: they "
            "can be merged only if all atom types have them; leave that file out, or fit it again with all types"
        )


def _terms(setup: FitSetup) -> list[tuple[str, ...]]:
    """Types, pairs, triplets and quadruplets of the basis, in its order, clusters with their atoms sorted."""
    names = [t.name for t in setup.basis.types]
    terms: list[tuple[str, ...]] = [(name,) for name in names]
    terms += [(names[i], names[j]) for i, j in pair_order(len(names))]
    for body in BODIES:
        if setup.basis.orders[body - 2]:
            members = cluster_members(len(names), body)
            terms += [tuple(sorted(names[i] for i in m)) for m in members]
    return terms


def _wrong_exclusions(setup: FitSetup, parts: Sequence[Part], *, offsets: bool) -> list[str]:
    """Terms that are excluded but not described, or the reverse."""
    lines = SetupLines.read(setup.path)
    excluded = {tuple(sorted(e.names)) for e in lines.sections.exclusions}
    problems = []
    for term in _terms(setup):
        if len(term) == 1 and not offsets:
            # Without offsets in the fit, both are the same.
            continue
        said = [part.describes(term) for part in parts]
        owner = next((part for part, own in zip(parts, said, strict=True) if own), None)
        left_out = tuple(sorted(term)) in excluded
        if owner is not None and not left_out:
            problems.append(
                f"{setup.path}: {' '.join(term)} is described by {owner.name}, but not excluded, so that it would be "
                f"there twice; add it after 'EXCLUDE {len(term)}B INTERACTION:' ({_BLOCKS})"
            )
        elif left_out and all(own is False for own in said):
            problems.append(
                f"{lines.place(lines.exclusion(term))}{' '.join(term)} is excluded, but none of "
                f"{', '.join(part.name for part in parts) or 'no files'} describes it, so that no model would; "
                f"remove the line, and count again ({_BLOCKS})"
            )
    return problems
