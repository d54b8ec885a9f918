#!/usr/bin/env python3
"""Stands in for VASP: reads INCAR, KPOINTS, POSCAR and POTCAR, computes GFN1-xTB, and writes OUTCAR and OSZICAR.

Elements are those of POTCAR, in its order, whatever POSCAR says; the electrons have the temperature SIGMA / k_B. The
layout of OUTCAR is that of genuine files. What FAKE_VASP holds makes it fail:

    unconverged  converges with ALGO = All only, like VASP 5     six        … never, with the text of VASP 6
    stubborn     never converges, like VASP 5                    stopped    a STOPCAR ends it before it converges
    truncated    OUTCAR ends before its end                      killed     … while it calculates, by a signal
    overflow     stars for the forces                            energy     … for the energy, stress: for the stress
    order        OUTCAR has the elements in another order        stale      OUTCAR is of other positions
    cold         OUTCAR has another SIGMA                        bands      the highest band is occupied
    sick         it refuses to go on                             zheev      a subroutine of the algorithm fails
    relaxing     two ionic steps                                 silent     it writes nothing
"""

import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units

sys.path.insert(0, str(Path(__file__).parent))

RULE = "-" * 104
BOX = " " + "-" * 77 + " "
STEPS = 9


def read_incar():
    """The first value of each tag, as VASP 5 takes it."""
    found = {}
    text = re.sub(r"\\\n", " ", Path("INCAR").read_text())
    for line in text.splitlines():
        for part in re.split(r"[#!]", line)[0].split(";"):
            tag, equals, value = part.partition("=")
            if equals and value.split():
                found.setdefault(tag.strip().upper(), value.split()[0])
    return found


def read_poscar():
    """Cell, numbers of atoms of each type, Cartesian positions."""
    lines = Path("POSCAR").read_text().splitlines()
    assert float(lines[1]) == 1.0
    cell = np.array([line.split() for line in lines[2:5]], dtype=float)
    counts = [int(word) for word in lines[6].split()]
    assert lines[7].startswith("C")
    positions = np.array([line.split() for line in lines[8 : 8 + sum(counts)]], dtype=float)
    return lines[0], cell, counts, positions


def read_potcar():
    """Titles, and elements that they name."""
    titles = re.findall(r"TITEL\s*=\s*(.*?)\s*$", Path("POTCAR").read_text(), re.MULTILINE)
    return titles, [re.match(r"[A-Z][a-z]?", title.split()[1])[0] for title in titles]


def box(*lines):
    inside = [f"|{line:^77}|" for line in ("", *lines, "")]
    return "\n".join([BOX, *inside, BOX, ""]) + "\n"


def vectors(cell):
    """Lattice and reciprocal lattice, nine decimals."""
    rows = np.hstack([cell, np.linalg.inv(cell).T])
    head = "      direct lattice vectors                 reciprocal lattice vectors\n"
    body = [
        "  "
        + "".join(f"{x:14.9f}"[1:] for x in r[:3])
        + "  "
        + "".join(f"{x:13.9f}" for x in r[3:])
        for r in rows
    ]
    return head + "\n".join("  " + line for line in body) + "\n"


def header(comment, titles, counts, cell, incar, sigma):
    out = " vasp.5.4.4.18Apr17-6-g9f103f2a35 (build Apr  9 2020 10:35:27) complex          \n"
    out += f"\n{RULE}\n\n\n INCAR:\n"
    out += "".join(f" POTCAR:    {title:<33}\n" for title in [*titles, titles[0]])
    for i, title in enumerate(titles, start=1):
        out += f"  {title:<38}:\n energy of atom {i:2d}       EATOM= -147.1560\n"
        out += " kinetic energy error for atom=    0.0288 (will be added to EATOM!!)\n \n"
    out += f"\n POSCAR: {comment[:40]:<40}\n  positions in cartesian coordinates\n\n{RULE}\n\n Dimension of arrays:\n"
    n = sum(counts)
    out += f"   number of dos      NEDOS =    301   number of ions     NIONS ={n:7d}\n"
    out += f"   ions per type =            {''.join(f'{c:4d}' for c in counts)}\n\n"
    out += f" SYSTEM =  unknown system                          \n POSCAR =  {comment[:40]:<40}\n\n"
    nelm = int(incar.get("NELM", 60))
    out += " Electronic Relaxation 1\n"
    out += f"   NELM   ={nelm:7d};   NELMIN=  2; NELMDL= -5     # of ELM steps \n"
    out += f"   NSW    ={int(incar.get('NSW', 0)):7d}    number of steps for IOM\n"
    ismear = int(incar.get("ISMEAR", 1))
    out += " DOS related values:\n   EMIN   =  10.00;   EMAX   =-10.00  energy-range for DOS\n"
    out += f"   ISMEAR ={ismear:6d};   SIGMA  = {sigma:6.2f}  broadening in eV -4-tet -1-fermi 0-gaus\n\n"
    return out + "  energy-cutoff  :      300.00\n" + vectors(cell) + "\n"


def iteration(ionic, step, energy):
    head = f"Iteration {ionic:6d}({step:4d})"
    out = f"\n{'-' * 39} {head}  {'-' * 39}\n\n"
    out += "    POTLOK:  cpu time    0.0312: real time    0.0128\n"
    out += "    EDDIAG:  cpu time    0.0938: real time    0.0911\n\n"
    out += " Free energy of the ion-electron system (eV)\n" + "  " + "-" * 51 + "\n"
    return out + f"  free energy    TOTEN  = {energy:18.8f} eV\n\n"


def stars(text, wanted):
    return re.sub(r"-?\d+\.\d+", lambda m: "*" * len(m[0]), text) if wanted else text


def results(cell, atoms, energy, forces, stress, mode):
    kilobars = -stress[[0, 1, 2, 5, 3, 4]] / units.GPa * 10.0
    pressure = kilobars[:3].mean()
    out = "  FORCE on cell =-STRESS in cart. coord.  units (eV):\n"
    out += "  in kB  " + stars("".join(f"{x:12.5f}" for x in kilobars), mode == "stress") + "\n"
    out += f"  external pressure = {pressure:11.2f} kB  Pullay stress =        0.00 kB\n\n\n"
    out += (
        " VOLUME and BASIS-vectors are now :\n " + "-" * 77 + "\n  energy-cutoff  :      300.00\n"
    )
    out += f"  volume of cell :{atoms.get_volume():12.2f}\n{vectors(cell)}\n"
    out += (
        " POSITION                                       TOTAL-FORCE (eV/Angst)\n "
        + "-" * 83
        + "\n"
    )
    wrapped = atoms.get_positions(wrap=True)
    for place, force in zip(wrapped, forces, strict=True):
        row = "".join(f"{x:14.6f}" for x in force)
        out += "".join(f"{x:13.5f}" for x in place) + "   " + stars(row, mode == "overflow") + "\n"
    drift = "".join(f"{x:14.6f}" for x in forces.sum(axis=0))
    out += (
        " " + "-" * 83 + f"\n    total drift:                             {drift}\n\n{RULE}\n\n\n\n"
    )
    out += "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  " + "-" * 51 + "\n"
    shown = stars(f"{energy:18.8f}", mode == "energy")
    out += f"  free  energy   TOTEN  = {shown} eV\n\n"
    return (
        out
        + f"  energy  without entropy={energy:18.8f}  energy(sigma->0) ={energy:18.8f}\n\n{RULE}\n\n"
    )


def banner(reached):
    if reached:
        return f"\n{'-' * 24} aborting loop because EDIFF is reached {'-' * 40}\n\n"
    return f"\n{'-' * 24} aborting loop EDIFF was not reached (unconverged) {'-' * 29}\n\n"


END = """\
 General timing and accounting informations for this job:
 ========================================================

                  Total CPU time used (sec):        8.906
"""


def converging(incar, mode):
    """Electronic steps, and whether they are enough."""
    nelm = int(incar.get("NELM", 60))
    never = mode in ("stubborn", "six") or (
        mode == "unconverged" and incar.get("ALGO", "N")[0] != "A"
    )
    return (nelm, False) if never or nelm <= STEPS else (STEPS, True)


def main():
    mode = os.environ.get("FAKE_VASP", "")
    if mode == "silent":
        return
    for name in ("INCAR", "KPOINTS", "POSCAR", "POTCAR"):
        if not Path(name).is_file():
            sys.exit(f" ERROR: there is no {name} found, STOPPING")
    incar, (comment, cell, counts, positions) = read_incar(), read_poscar()
    titles, elements = read_potcar()
    if len(elements) != len(counts):
        sys.exit("ERROR: number of potentials on File POTCAR incompatible with number of species")
    sys.stdout.write(" scaLAPACK will be used\n POSCAR, INCAR and KPOINTS ok, starting setup\n")
    sigma = float(incar.get("SIGMA", 0.2))
    symbols = [e for e, n in zip(elements, counts, strict=True) for _ in range(n)]
    atoms = Atoms(symbols, positions=positions, cell=cell, pbc=True)
    if mode == "stale":
        atoms.positions[0, 0] += 0.01
    if mode == "order":
        titles, counts = titles[::-1], counts[::-1]
    out = header(comment, titles, counts, cell, incar, 0.01 if mode == "cold" else sigma)
    if mode == "sick":
        said = box(
            "EEEEEEE  RRRRRR   RRRRRR   OOOOOOO  RRRRRR",
            "LAPACK: Routine ZPOTRF failed! 3",
            "---->  I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!! <----",
        )
        Path("OUTCAR").write_text(out + said)
        sys.exit(1)
    if mode == "bands":
        out += box(
            "Your highest band is occupied at some k-points! Unless you are",
            "performing a calculation for an insulator or semiconductor, without",
            "unoccupied bands, you have included TOO FEW BANDS!! Please increase",
        )
    if mode in ("killed", "zheev"):
        Path("OUTCAR").write_text(out + iteration(1, 1, -10.0))
        if mode == "zheev":
            sys.exit("Error EDDDAV: Call to ZHEGV failed. Returncode = 7 3 8")
        os.kill(os.getpid(), signal.SIGKILL)
    from reference import reference

    energy, forces, stress = reference(atoms, sigma / units.kB)
    steps, reached = converging(incar, mode)
    for ionic in range(1, 3 if mode == "relaxing" else 2):
        for step in range(1, steps + 1):
            out += iteration(ionic, step, energy + 10.0 ** (-step) * (step < steps))
        out += (
            " hard stop encountered!  aborting job ...\n"
            if mode == "stopped"
            else banner(reached or mode != "six")
        )
        out += results(cell, atoms, energy, forces, stress, mode)
    if mode == "truncated":
        out = out[: out.index("TOTAL-FORCE") + 300]
    else:
        out += END
    Path("OUTCAR").write_text(out)
    Path("OSZICAR").write_text(
        "".join(f"DAV: {i:3d}    {energy:.12E}\n" for i in range(1, steps + 1))
    )


if __name__ == "__main__":
    main()
