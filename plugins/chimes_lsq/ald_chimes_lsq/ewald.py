"""Coulomb interactions of point charges in a periodic cell of any shape, by Ewald sums."""

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import AtomType, Basis, Cutoff, InnerRule, PairType
from ald_chimes_lsq.constants import COULOMB
from ald_chimes_lsq.engine import build_lists
from ald_chimes_lsq.kernels.ewald import PackedEwald, ewald_sums
from ald_chimes_lsq.kernels.ewald_energies import charge_energies
from ald_chimes_lsq.kernels.packing import pack_basis
from ald_chimes_lsq.params import Coefficients
from ald_chimes_lsq.topology import pair_order
from ald_core.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ACCURACY = 1e-6
"""What the ChIMES programs ask for; they get some 1e-5 of the energy."""
MAX_WAVES = 1_000_000
PRODUCT_TOLERANCE = 1e-3
"""Of the largest product: how much those of unlike pairs may differ from the charges of the like pairs."""


@attrs.frozen(eq=False)
class Coulomb:
    """What charges do to each other, in kcal/mol and Å."""

    energy: float
    forces: Floats
    """(n, 3)"""
    virial: Floats
    """(3, 3) -dE/d(strain); divided by the volume it is the stress, positive in compression"""
    atom_energies: Floats | None = None
    """(n,) charge × potential / 2, if they were asked for"""


@attrs.frozen(eq=False)
class PairSums:
    """What unit charges do to each other, by pair type, in e²/Å² (forces) and e²/Å.

    What a model has are these times q_A q_B times the Coulomb constant, which a fitted value contains. The atoms of one
    type are not neutral by themselves: a uniform background makes them so. What the backgrounds add up to is zero for
    charges whose sum is zero.
    """

    forces: Floats
    """(3 n, n_pairs), rows x, y, z of each atom, pairs in canonical order"""
    energies: Floats
    """(n_pairs,)"""
    virials: Floats
    """(n_pairs, 3, 3) -dE/d(strain)"""


def pack_ewald(n_atoms: int, cell: Floats, *, accuracy: float = ACCURACY) -> PackedEwald:
    """The split of the sum that the ChIMES programs choose, made once for a cell and kept while it changes.

    They count reciprocal vectors in units of 2π over the cube root of the volume, which is exact for cubes; here that
    length limits them in cells of any shape.

    Raises:
        InputError: the cell is so flat or long that the sum would be endless.
    """
    volume = abs(float(np.linalg.det(cell)))
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    p = -0.8 * math.log(accuracy)
    alpha = math.sqrt(math.pi) * (5.5 * max(n_atoms, 1) / volume**2) ** (1.0 / 6.0)
    cutoff = 1.1 * math.sqrt(p) / alpha
    if cutoff > 0.5 * heights.min():
        cutoff = 0.5 * float(heights.min())
        alpha = math.sqrt(p) / cutoff
    side = volume ** (1.0 / 3.0)
    limit = math.ceil(2.0 * alpha * math.sqrt(p) / 1.1 * side / (2.0 * math.pi)) / side
    basis = Basis(
        types=(AtomType("X", 1.0),),
        pairs=(PairType("X", "X", 0.0, cutoff, 1.0),),
        orders=(0, 0, 0),
        transform="NONE",
        cutoff=Cutoff(),
        inner=InnerRule(),
        triplets=(),
        quads=(),
    )
    neighbours = pack_basis(basis)._replace(pair_range=np.array([cutoff]))
    return PackedEwald(neighbours, alpha, cutoff, _waves(cell, limit))


def coulomb(
    charges: Floats,
    positions: Floats,
    cell: Floats,
    packed: PackedEwald | None = None,
    *,
    per_atom: bool = False,
) -> Coulomb:
    """Energy, forces and virial of charges (e) at positions (Å), which should add up to zero.

    `packed` is the split of the sum if it was chosen for another state of the cell.
    """
    split = packed if packed is not None else pack_ewald(len(charges), cell)
    sources = np.ascontiguousarray(charges, dtype=np.float64).reshape(1, -1)
    fields, virials, energies, shares = _sums(split, sources, positions, cell, per_atom=per_atom)
    return Coulomb(
        energy=COULOMB * float(energies[0]),
        forces=COULOMB * sources[0][:, None] * fields[0],
        virial=COULOMB * virials[0],
        atom_energies=COULOMB * shares if per_atom else None,
    )


def unit_pair_sums(
    types: Ints,
    positions: Floats,
    cell: Floats,
    n_types: int,
    packed: PackedEwald | None = None,
    *,
    forces_only: bool = False,
) -> PairSums:
    """Forces, energies and virials, per unit product of charges, between the atoms of each pair type.

    Args:
        types: (n,) numbers of the atom types, from 0.
        positions: (n, 3) Å.
        cell: (3, 3) Å, vectors as rows, of any shape.
        n_types: how many types the basis has.
        packed: the split of the sum, by default that of `pack_ewald`.
        forces_only: leave energies and virials zero.
    """
    pairs = pair_order(n_types)
    unlike = [] if forces_only else pairs[n_types:]
    single = np.array([types == t for t in range(n_types)], dtype=np.float64)
    sources = np.concatenate([single, *[single[[a]] + single[[b]] for a, b in unlike]])
    split = packed if packed is not None else pack_ewald(len(types), cell)
    fields, virials, energies, _ = _sums(split, sources, positions, cell)
    forces = np.zeros((len(types), 3, len(pairs)))
    for column, (a, b) in enumerate(pairs):
        for own, other in {(a, b), (b, a)}:
            forces[types == own, :, column] = fields[other, types == own]
    if forces_only:
        energies, virials = np.zeros(len(pairs)), np.zeros((len(pairs), 3, 3))
    else:
        volume = abs(float(np.linalg.det(cell)))
        background = -math.pi / (2.0 * volume * split.alpha**2) * sources.sum(axis=1) ** 2
        energies += background
        virials += background[:, None, None] * np.eye(3)
        # The sums are quadratic in the charges: what is left of two types together is between them.
        for column, (a, b) in enumerate(unlike, start=n_types):
            energies[column] -= energies[a] + energies[b]
            virials[column] -= virials[a] + virials[b]
    return PairSums(forces.reshape(3 * len(types), -1), energies, virials)


def type_charges(basis: Basis, coefficients: Coefficients) -> Floats:
    """Charges (n_types,) of a model, e.

    Fitted products give the magnitudes by those of the like pairs, and the table of types the signs; charges that
    were not fitted stand in that table.

    Raises:
        InputError: a fitted product of an unlike pair is another than that of its charges.
    """
    signs = np.array([t.charge for t in basis.types])
    products = coefficients.charges
    if products is None:
        return signs
    like = products[: len(basis.types)]
    charges: Floats = np.where(signs < 0.0, -1.0, 1.0) * np.sqrt(np.abs(like) / COULOMB)
    for pair, (a, b) in enumerate(pair_order(len(basis.types))):
        expected = COULOMB * charges[a] * charges[b]
        if abs(products[pair] - expected) > PRODUCT_TOLERANCE * np.abs(products).max():
            raise InputError(
                f"the fitted charge product of {basis.pairs[pair].name} is {products[pair]:g}, but its "
                f"charges make {expected:g}",
                cure="fit with charge constraints, and check the signs of the charges",
            )
    return charges


def atom_charges(charges: Floats, types: Ints) -> Floats:
    """Charges (n,) of atoms by type; what they add up to is taken off, the same from every atom."""
    own: Floats = charges[types]
    return own - own.mean() if len(own) else own


def _sums(
    packed: PackedEwald,
    sources: Floats,
    positions: Floats,
    cell: Floats,
    *,
    per_atom: bool = False,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Fields, virials and energies of each set of charges; energies of the charges of the first set, if wanted."""
    n_sets, n = sources.shape
    fields, virials = np.zeros((n_sets, n, 3)), np.zeros((n_sets, 3, 3))
    energies, shares = np.zeros(n_sets), np.zeros(n)
    if n > 0:
        places = np.ascontiguousarray(positions, dtype=np.float64)
        vectors = np.ascontiguousarray(cell, dtype=np.float64)
        lists = build_lists(packed.neighbours, np.zeros(n, np.int64), places, vectors, 0.0)
        ewald_sums(packed, lists, sources, places, vectors, fields, virials, energies)
        if per_atom:
            charge_energies(packed, lists, sources[0], places, vectors, shares)
    return fields, virials, energies, shares


def _waves(cell: Floats, limit: float) -> Ints:
    """Multiples of reciprocal vectors shorter than `limit` (1/Å, without 2π), of k and -k the one that comes last."""
    reach = np.ceil(limit * np.linalg.norm(cell, axis=1)).astype(np.int64)
    if np.prod(2.0 * reach + 1.0) > 2 * MAX_WAVES:
        raise InputError(
            "the cell is too flat or too long for Coulomb terms",
            cure="use a cell of more even lengths",
        )
    axes = [np.arange(-r, r + 1) for r in reach]
    waves = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    half = waves[len(waves) // 2 + 1 :]
    lengths = np.linalg.norm(half @ np.linalg.inv(cell).T, axis=1)
    return np.ascontiguousarray(half[lengths < limit * (1.0 - 1e-9)])
