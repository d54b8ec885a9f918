#!/usr/bin/env python3
"""Stands in for DFTB+: reads `dftb_in.hsd`, computes GFN1-xTB, and writes what DFTB+ writes.

The layout of `detailed.out` and `dftb_pin.hsd` is that of genuine files; that of `results.tag` and of the standard
output follows the program's documentation. What FAKE_DFTB holds makes it fail:

    unconverged   charges converge with the Anderson mixer only        stubborn    never
    truncated     it is killed while it writes results.tag             killed      … before that
    overflow      stars in the forces                                  silent      it writes no results.tag
    tension       stress of the other sign                             warned      goes on without convergence
    too_close     an error while it calculates                         stale       results.tag of another run
    swapped       it calculates with two elements exchanged            nosocket    it was built without
    late          the third run in a folder does not converge, nor later ones
"""

import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units

sys.path.insert(0, str(Path(__file__).parent))
from reference import reference

AU = {"": units.Hartree, "kelvin": units.kB, "k": units.kB, "ev": 1.0}


class Stop(Exception):
    """An error message of DFTB+."""


# ---------------------------------------------------------------- input


def tokens(text):
    text = re.sub(r"#[^\n]*", "", text)
    return re.findall(r"\"[^\"\n]*\"|'[^'\n]*'|[^\n{}=;]+|[\n{}=;]", text)


def block(words):
    """Statements up to the closing brace: {name: (method, {…}) or text}; lines without a name under ''."""
    found = {"": []}
    line, name = "", None
    while words:
        word = words.pop(0)
        if word == "}":
            break
        if word == "=":
            name, line = line.strip(), ""
        elif word == "{":
            key = line.strip() if name is None else name
            method = "" if name is None else line.strip()
            found[key.lower().split("[")[0].strip()] = (method, block(words))
            line, name = "", None
            continue
        elif word in "\n;":
            if name is not None and line.strip():
                found[name.lower()] = line.strip().strip("\"'")
                name = None
            elif name is None and line.strip():
                found[""].append(line.strip())
            line = "" if name is None else line
        else:
            line += word
    if name is not None:
        found[name.lower()] = line.strip().strip("\"'")
    elif line.strip():
        found[""].append(line.strip())
    return found


def sub(tree, name):
    value = tree.get(name, ("", {"": []}))
    return value if isinstance(value, tuple) else (value, {"": []})


def gen(text):
    lines = [x for x in text.splitlines() if x.strip() and not x.lstrip().startswith("#")]
    number, flag = lines[0].split()[:2]
    types = lines[1].split()
    rows = [line.split() for line in lines[2 : 2 + int(number)]]
    symbols = [types[int(row[1]) - 1] for row in rows]
    places = np.array([[float(x) for x in row[2:5]] for row in rows])
    if flag == "C":
        return Atoms(symbols, places)
    cell = np.array([[float(x) for x in line.split()] for line in lines[3 + len(rows) :][:3]])
    if flag == "F":
        places = places @ cell
    return Atoms(symbols, places, cell=cell, pbc=True)


def slater_koster(hamiltonian, symbols):
    method, files = sub(hamiltonian, "slaterkosterfiles")
    for a in symbols:
        for b in symbols:
            if method.lower() == "type2filenames":
                name = f"{files['prefix']}{a}{files['separator']}{b}{files['suffix']}"
            else:
                name = files.get(f"{a}-{b}".lower(), "")
            if not Path(name).is_file():
                raise Stop(f"SK-file with filename '{name}' does not exist")
            yield name


def temperature(hamiltonian):
    """K"""
    _, filling = sub(hamiltonian, "filling")
    for name, value in filling.items():
        if name.startswith("temperature"):
            unit = name.partition("[")[2].removesuffix("]")
            return float(value) * AU[unit] / units.kB
    return 0.0


# ---------------------------------------------------------------- output


def fortran(number):
    """E24.15E3"""
    mantissa, exponent = f"{abs(number):.14E}".split("E")
    digits = mantissa.replace(".", "")
    power = int(exponent) + 1 if number else 0
    return f"{'-' if number < 0 else ''}0.{digits}E{power:+04d}".rjust(24)


def tag(name, values, shape=()):
    values = np.atleast_1d(values).ravel()
    dims = ",".join(map(str, shape))
    rows = [values[i : i + 3] for i in range(0, len(values), 3)]
    text = "".join("".join(map(fortran, row)) + "\n" for row in rows)
    return f"{name:<20}:real:{len(shape)}:{dims}\n{text}"


def energy_line(name, hartree, start="", width=18):
    return f"{start}{name + ':':<31}{hartree:{width}.10f} H {hartree * units.Hartree:15.4f} eV\n"


def results(energy, entropy, forces, stress, volume):
    text = tag("mermin_energy", energy) + tag("extrapolated0_energy", energy + entropy / 2)
    text += tag("total_energy", energy + entropy) + tag("forcerelated_energy", energy)
    text += tag("forces", forces, (3, len(forces)))
    if stress is not None:
        text += tag("stress", stress, (3, 3)) + tag("cell_volume", volume)
    return text + tag("fermi_level", [-0.2], (1,)) + tag("number_of_electrons", [4.0], (1,))


def details(energy, entropy, forces, stress, status):
    text = (
        " Fermi distribution function\n\nCalculation with static geometry\n\n\n" + "*" * 80 + "\n"
    )
    text += " iSCC Total electronic   Diff electronic      SCC error    \n"
    text += f"   12   {energy - 1.0:.8E}   -0.31884693E-07    0.11352275E-06\n" + "*" * 80 + "\n\n"
    text += " Total charge:     0.00000000\n\n Atomic gross charges (e)\n Atom           Charge\n"
    text += "".join(f"{i:5d} {0.0:16.8f}\n" for i in range(1, len(forces) + 1)) + "\n"
    text += energy_line("Repulsive energy", 1.0)
    text += energy_line("Total energy", energy + entropy)
    text += energy_line("Extrapolated to 0", energy + entropy / 2)
    text += energy_line("Total Mermin free energy", energy)
    text += energy_line("Force related energy", energy) + f"\n{status}\n\nTotal Forces\n"
    for i, row in enumerate(forces, start=1):
        text += f"{i:5d}" + "".join(f"{x:20.12f}" for x in row) + "\n"
    text += f"\nMaximal derivative component: {np.abs(forces).max():19.6E} au\n\n"
    if stress is not None:
        text += "Total stress tensor\n"
        text += "".join("".join(f"{x:20.12f}" for x in row) + "\n" for row in stress)
        pressure = np.trace(stress) / 3
        text += (
            f"\nPressure:                    {pressure:14.6E} au {pressure * 2.942e13:16.6E} Pa\n\n"
        )
    return text


def understood(text, geometry):
    """The input, with the geometry where it was included."""
    lines = "\n".join(line.strip() for line in geometry.splitlines())
    return re.sub(r"<<<[^\n}]*", lambda _: lines, text, count=1)


HEAD = """|===============================================================================
|
|  DFTB+ release 22.1
|
|  Copyright (C) 2006 - 2022  DFTB+ developers group
|
|===============================================================================

***  Parsing and initializing

Parser version: 11

Interpreting input file 'dftb_in.hsd'
--------------------------------------------------------------------------------
"""


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def read():
    """Atoms, the tree of the input, K of the electrons."""
    path = Path("dftb_in.hsd")
    if not path.is_file():
        raise Stop("No input file found.")
    text = path.read_text()
    tree = block(tokens(text))
    method, geometry = sub(tree, "geometry")
    if method.lower() != "genformat" or not geometry[""]:
        raise Stop("Invalid geometry")
    name = geometry[""][0].removeprefix("<<<").strip().strip("\"'")
    if not Path(name).is_file():
        raise Stop(f"Could not open file '{name}'")
    raw = Path(name).read_text()
    atoms = gen(raw)
    kind, hamiltonian = sub(tree, "hamiltonian")
    if kind.lower() == "dftb":
        for file in slater_koster(hamiltonian, sorted(set(atoms.get_chemical_symbols()))):
            say(f"Reading SK-file:  {file}\n")
    elif kind.lower() != "xtb":
        raise Stop("Invalid Hamiltonian")
    if ("kpointsandweights" in hamiltonian) != bool(atoms.pbc.all()):
        raise Stop("Child 'KPointsAndWeights' is missing, or was not processed")
    if os.environ.get("FAKE_DFTB") == "swapped":
        first, types, *rest = raw.splitlines()
        raw = "\n".join([first, " ".join(reversed(types.split())), *rest])
        atoms = gen(raw)
    if sub(tree, "parseroptions")[1].get("writehsdinput", "Yes") == "Yes":
        Path("dftb_pin.hsd").write_text(understood(text, raw))
        say("Processed input in HSD format written to 'dftb_pin.hsd'\n\n")
    return atoms, tree, hamiltonian


def calculate(atoms, kelvin):
    """Atomic units: free energy, T·S, forces, stress (positive in compression) and volume."""
    energy, forces, stress = reference(atoms.copy(), kelvin)
    entropy = 1e-6 * kelvin * len(atoms)
    if stress is not None:
        xx, yy, zz, yz, xz, xy = -stress * units.Bohr**3 / units.Hartree
        stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    volume = atoms.get_volume() / units.Bohr**3 if stress is not None else 0.0
    return (
        energy / units.Hartree,
        entropy,
        forces * units.Bohr / units.Hartree,
        stress,
        volume,
    )


def single_point(atoms, tree, hamiltonian, fault):
    kelvin = temperature(hamiltonian)
    say("Starting initialization...\n" + "-" * 80 + "\n")
    say("Mode:                        Static calculation\nSelf consistent charges:     Yes\n")
    say(f"Electronic temperature:         {kelvin * units.kB / units.Hartree:14.6E} H\n")
    say("\n" + "*" * 80 + "\n** Geometry step: 0\n" + "*" * 80 + "\n\n")
    mixer = sub(hamiltonian, "mixer")[0].lower()
    if fault == "too_close":
        raise Stop("Failure in diagonalisation routine dsygvd, non-positive definite overlap!")
    unconverged = "SCC is NOT converged, maximal SCC iterations exceeded"
    with Path("fake.runs").open("a+") as runs:
        runs.write(".")
        late = fault == "late" and runs.tell() > 2
    if late or fault == "stubborn" or (fault == "unconverged" and mixer != "anderson"):
        raise Stop(unconverged)
    energy, entropy, forces, stress, volume = calculate(atoms, kelvin)
    say(energy_line("Total Energy", energy + entropy, "\n"))
    say(energy_line("Extrapolated to 0K", energy + entropy / 2))
    say(energy_line("Total Mermin free energy", energy))
    if fault == "warned":
        say(f"\nWARNING!\n-> {unconverged}\n")
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    status = unconverged if fault == "warned" else "SCC converged"
    if sub(tree, "options")[1].get("writedetailedout", "Yes") == "Yes":
        Path("detailed.out").write_text(details(energy, entropy, forces, stress, status))
    if stress is not None and fault == "tension":
        stress = -stress
    text = results(energy, entropy, forces, stress, volume)
    if fault == "overflow":
        text = re.sub(r"(forces[^\n]*\n)[^\n]*", r"\g<1>" + "*" * 24 * 3, text)
    if fault == "truncated":
        Path("results.tag").write_text(text[: len(text) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "stale":
        text = text.replace(tag("mermin_energy", energy), tag("mermin_energy", energy - 0.01))
    if fault != "silent" and sub(tree, "options")[1].get("writeresultstag") == "Yes":
        Path("results.tag").write_text(text)
    say(
        "\n"
        + "-" * 80
        + "\nDFTB+ running times                          cpu [s]\n"
        + "-" * 80
        + "\n"
    )
    say("Total                                  =      0.04  (100.0%)\n" + "-" * 80 + "\n")


def dynamics(atoms, hamiltonian, socket):
    """The side of DFTB+ of the i-PI protocol, over a Unix socket."""
    from ase.calculators.calculator import Calculator, all_changes
    from ase.calculators.socketio import SocketClient

    kelvin = temperature(hamiltonian)

    class Ours(Calculator):
        implemented_properties = ("energy", "forces", "stress")

        def calculate(self, atoms=None, properties=("energy",), changes=all_changes):
            super().calculate(atoms, properties, changes)
            if os.environ.get("FAKE_DFTB") == "unconverged":
                say("\nERROR!\n-> SCC is NOT converged, maximal SCC iterations exceeded\n")
                os._exit(1)
            energy, forces, stress = reference(atoms.copy(), kelvin)
            self.results = {"energy": energy, "forces": forces, "stress": stress}

    atoms.calc = Ours()
    name = socket["file"].removeprefix("/tmp/ipi_")
    SocketClient(unixsocket=name).run(atoms, use_stress=True)


def main():
    say(HEAD)
    try:
        atoms, tree, hamiltonian = read()
        driver, options = sub(tree, "driver")
        if driver.lower() == "socket":
            if os.environ.get("FAKE_DFTB") == "nosocket":
                raise Stop("Program had been compiled without socket support")
            dynamics(atoms, hamiltonian, options)
        else:
            single_point(atoms, tree, hamiltonian, os.environ.get("FAKE_DFTB", ""))
    except Stop as error:
        say(f"\nERROR!\n-> {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
