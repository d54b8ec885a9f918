"""Whole runs of mutated files: they run, are found unstable, or are refused in one sentence."""

import random

import pytest

from ald_core.errors import InputError

WORDS = [
    "nan", "1e999", "-1", "0", "x", "", "1e-300", "1e300", "true", "false", "NVE", "NPT-MTK",
    "NVT-SCALE", "FREEZE", "RESTART", "SCALE", "LAMMPSTRJ", "NUMERICAL", "ENERGY_STRESS", "²",
]  # fmt: skip
EXTRA = {
    "CONSRNT": "NPT-MTK HOOVER 5 20", "PRESSUR": "1.0", "FRQRSTR": "3", "PRNTFRC": "true 2",
    "PRNTBAD": "true", "PENTHRS": "3.0", "FORDFTB": "true", "N_MDSTP": "4", "TRAJEXT": "GEN",
    "STRSCALC": "ANALYTICAL", "PRSCALC": "ANALYTICAL", "CMPRFRC": "false", "SUBTFRC": "false",
    "NLAYERS": "1", "WRPCRDS": "true", "CHECKFRC": "false", "PRNTVEL": "true 2",
}  # fmt: skip


def mutate(text, rng):
    """A word, a character or a line changed, dropped, doubled or exchanged; once or twice."""
    for _ in range(rng.randint(1, 2)):
        lines = text.splitlines(keepends=True) or [""]
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        place = rng.randrange(len(lines[i]) or 1)
        match rng.randrange(6):
            case 0:
                del lines[i]
            case 1:
                lines.insert(j, lines[i])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                strange = rng.choice(["-", "e", "#", "!", "\n", " ", "9", ".", "\0", "é"])
                lines[i] = lines[i][:place] + strange + lines[i][place:]
            case 4:
                lines[i] = lines[i][:place] + lines[i][place + 1 :]
            case 5:
                words = lines[i].split() or [""]
                words[rng.randrange(len(words))] = rng.choice(WORDS)
                lines[i] = " ".join(words) + "\n"
        text = "".join(lines)
    return text


@pytest.mark.parametrize("name", ["run_md.in", "params.txt", "box.xyz", "restart"])
def test_mutated_files_run_or_are_refused(fluid, fluid_text, tmp_path, name):
    from ald_chimes_md.control import read_control
    from ald_chimes_md.run import run

    fluid({"params.txt": fluid_text.charged}, **EXTRA)
    folder = tmp_path / "run"
    if name == "restart":
        name = "box.xyz"
        text = (folder / "run_md.in").read_text()
        text = text.replace(" GEN\n# CONSRNT", " RESTART\n# CONSRNT")
        (folder / "run_md.in").write_text(text)
        (folder / "box.xyz").write_text((folder / "restart.xyzv").read_text())
    original = (folder / name).read_text()
    rng = random.Random(11)
    refused = ran = 0
    for _ in range(150):
        (folder / name).write_text(mutate(original, rng))
        try:
            result = run(read_control(folder / "run_md.in"), folder, last_step=6)
        except InputError as error:
            refused += 1
            if len(str(error).splitlines()) > 1:
                pytest.fail(str(error))
        else:
            ran += 1
            assert result.stable or result.reason
    assert refused > 20
    assert ran > 5
