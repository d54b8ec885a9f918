#!/usr/bin/env python3
"""Stands in for Gaussian 16: reads its standard input, computes spin-polarised GFN1-xTB, writes what g16 writes.

The layout is that of genuine outputs. What FAKE_GAUSSIAN holds makes it fail; `WHAT:3` is for multiplicity 3 only:

    unconverged   the usual SCF does not converge, the quadratic one does      stubborn    neither does
    nevertheless  it does not converge, and Gaussian goes on (IOp(5/13=1))     overflow    stars for a force
    truncated     the output ends with the forces                              killed      … in the middle of the SCF
    memory        %mem is too small                                            syntax      the route is not understood
    disk          the scratch disk is full                                     slow        it takes a minute
    stale         the output of atoms in other places                          order       … of atoms in another order
    close         atoms are too close                                          mute        no output at all
"""

import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers

sys.path.insert(0, str(Path(__file__).parent))
from reference import reference

HEAD = """\
 Entering Gaussian System, Link 0=g16
 Initial command:
 /opt/g16/l1.exe "/tmp/Gau-1.inp" -scrdir="/tmp/"
 Entering Link 1 = /opt/g16/l1.exe PID=         1.
  
 Copyright (c) 1988-2019, Gaussian, Inc.  All Rights Reserved.
  
 Cite this work as:
 Gaussian 16, Revision C.01,
 M. J. Frisch, and D. J. Fox, Gaussian, Inc., Wallingford CT, 2019.
 
 ******************************************
 Gaussian 16:  ES64L-G16RevC.01  3-Jul-2019
                23-Nov-2026 
 ******************************************"""  # noqa: W291, W293  as g16 does
RULE = " " + "-" * 69


def say(*lines):
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


def boxed(text):
    """A text between rules, broken where it is too long."""
    parts = [text[i : i + 70] for i in range(0, len(text), 70)]
    rule = " " + "-" * max(map(len, parts))
    say(rule, *(f" {part}" for part in parts), rule)


def stop(link, *lines):
    say(
        *lines, f" Error termination via Lnk1e in /opt/g16/l{link}.exe at Mon Nov 23 01:20:38 2026."
    )
    say(" Job cpu time:       0 days  0 hours  0 minutes  6.2 seconds.")
    say(" File lengths (MBytes):  RWF=      6 Int=      0 D2E=      0 Chk=      1 Scr=      1")
    sys.exit(1)


def read_input(text):
    lines = [line.rstrip() for line in text.split("\n")]
    link0 = [line for line in lines if line.startswith("%")]
    blank = [i for i, line in enumerate(lines) if not line]
    route = " ".join(line for line in lines[: blank[0]] if not line.startswith("%"))
    title = " ".join(lines[blank[0] + 1 : blank[1]])
    charge, multiplicity = map(int, lines[blank[1] + 1].split())
    rows = [line.split() for line in lines[blank[1] + 2 : blank[2]]]
    atoms = Atoms([r[0] for r in rows], [[float(x) for x in r[1:4]] for r in rows])
    return link0, route, title, charge, multiplicity, atoms


def orientation(atoms):
    say("                          Input orientation:                          ", RULE)
    say(" Center     Atomic      Atomic             Coordinates (Angstroms)")
    say(" Number     Number       Type             X           Y           Z", RULE)
    for i, (number, place) in enumerate(zip(atoms.numbers, atoms.positions, strict=True), 1):
        say(f"{i:7d}{number:11d}{0:12d}    " + "".join(f"{x:12.6f}" for x in place))
    say(RULE)


def scf(letter, route, energy, wrong):
    """The line `SCF Done` of the usual SCF, and of the quadratic one after or instead of it."""
    functional = re.search(r"[RU]([^/\s]+)/", route)[1]
    done = f" SCF Done:  E({letter}{functional}) =  {energy:.9f}     A.U. after {{:4d}} cycles"
    quadratic = re.search(r"SCF=\(\w*QC", route)
    failing = wrong in ("unconverged", "stubborn", "nevertheless")
    if not re.search(r"SCF=\(QC", route):
        if failing:
            say(" >>>>>>>>>> Convergence criterion not met.")
        say(done.format(129 if failing else 9))
        say(f"            NFock={128 if failing else 9:3d}  Conv=0.16D-08     -V/T= 2.0089")
        if failing and not quadratic and wrong != "nevertheless":
            stop(502, " Convergence failure -- run terminated.")
    if quadratic and (failing or "SCF=(QC" in route):
        if wrong == "stubborn":
            say(" >>>>>>>>>> Convergence criterion not met.", done.format(64))
            stop(508, " Convergence failure -- run terminated.")
        say(done.format(7).replace("A.U.", "a.u."))
        say("            Convg  =    0.8600D-09                     9 Fock formations.")


def main():
    link0, route, title, charge, multiplicity, atoms = read_input(sys.stdin.read())
    wrong, _, which = os.environ.get("FAKE_GAUSSIAN", "").partition(":")
    if which and int(which) != multiplicity:
        wrong = ""
    if wrong == "mute":
        return
    say(HEAD, *(f" {line}" for line in link0))
    if any(line.startswith("%nproc") for line in link0):
        say(" Will use up to    4 processors via shared memory.")
    boxed(route)
    if wrong == "syntax" or not re.match(r"#P Force [RU]", route):
        stop(
            1,
            " QPErr --- A syntax error was detected in the input line.",
            f" {route[:60]}",
            "        '",
        )
    if wrong == "memory":
        stop(
            101,
            " Out-of-memory error in routine RdGeom-1 (IEnd=      11300074 MxCore=        131072)",
            " Use %mem=11MW to provide the minimum amount of memory required to complete this step.",
        )
    boxed(title)
    say(" Symbolic Z-matrix:", f" Charge = {charge:2d} Multiplicity = {multiplicity}")
    for symbol, place in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
        say(f" {symbol:<18}" + "".join(f"{x:10.5f}" for x in place))
    say(" ", "")
    electrons = sum(atomic_numbers[s] for s in atoms.get_chemical_symbols()) - charge
    if (electrons - multiplicity) % 2 == 0:
        stop(
            301,
            f" The combination of multiplicity {multiplicity:2d} and {electrons:5d} electrons is impossible.",
        )
    if wrong == "slow":
        time.sleep(60)
    shown = atoms.copy()
    if wrong == "stale":
        shown.positions[-1] += (0.0, 0.01, 0.0)
    if wrong == "order":
        shown = shown[::-1]
    orientation(shown)
    if wrong == "close":
        stop(202, " Small interatomic distances encountered:", " Problem with the distance matrix.")
    if wrong == "disk":
        stop(502, " Erroneous write. Write 1024 instead of 4096.", " No space left on device")
    if wrong == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    energy, forces, _ = reference(
        atoms, charge=charge, multiplicity=multiplicity, spin_polarization=1.0
    )
    scf("RU"[multiplicity > 1], route, energy / units.Hartree, wrong)
    table = " -------------------------------------------------------------------"
    say(" ***** Axes restored to original set *****", table)
    say(" Center     Atomic                   Forces (Hartrees/Bohr)")
    say(" Number     Number              X              Y              Z", table)
    if wrong == "truncated":
        return
    forces = forces * units.Bohr / units.Hartree
    for i, (number, force) in enumerate(zip(shown.numbers, forces, strict=True), 1):
        cells = [f"{x:15.9f}" for x in force]
        if wrong == "overflow" and i == 2:
            cells[0] = "*" * 15
        say(f"{i:7d}{number:9d}       " + "".join(cells))
    largest, rms = np.abs(forces).max(), np.sqrt((forces**2).mean())
    say(table, f" Cartesian Forces:  Max{largest:16.9f} RMS{rms:16.9f}", "")
    say(" Job cpu time:       0 days  0 hours  0 minutes  1.1 seconds.")
    say(" Elapsed time:       0 days  0 hours  0 minutes  1.2 seconds.")
    say(" File lengths (MBytes):  RWF=      6 Int=      0 D2E=      0 Chk=      1 Scr=      1")
    say(" Normal termination of Gaussian 16 at Mon Nov 23 00:14:07 2026.")


if __name__ == "__main__":
    main()
