"""Damage to input files, and what a command must make of it."""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ald_core.errors import InputError

JUNK = [
    "xx", "nan", "inf", "-inf", "1e999", "1e101", "1D0", "1_0", "0x1", "2,3", ".", "é", "²", "１", "\0",
    "-1", "0", "1", "2.5", "-2.5", "1e-300", "99999999999", "9" * 5000, "true", "C", "#", "!",
]  # fmt: skip
HOPELESS = ["xx", "nan", "1e999", "1_0", "é", "１", "inf", "1D0", "\0", "1e101"]
"""Never a number, a truth value, or a name that means something."""
NOT_FINITE = re.compile(rb"(?<![\w.])[-+]?(nan|inf|infinity)(?!\w)", re.IGNORECASE)

CURE = re.compile(
    r"(add|ask|calculate|choose|complete|correct|count|exchange|fit|give|go on|keep|label|leave|make|move|name|number"
    r"|put|remove|rename|repeat|run|set|shorten|solve|start|use|write)\b"
)
"""A cure begins with what to do."""
REMARKS = (b"!", b"#", b"index  |")


def damaged(text, seed):
    """One or two random edits of lines, words and characters."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 2)):
        lines = text.split("\n")
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        words = lines[i].split()
        k = rng.randrange(len(words) or 1)
        match rng.randrange(11):
            case 0:
                del lines[i]
            case 1:
                lines.insert(j, lines[i])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                lines = [*lines[:i], lines[i][: len(lines[i]) // 2]]
            case 4:
                lines.insert(i, " ".join(rng.choices(JUNK, k=rng.randint(1, 4))))
            case 5:
                words[k : k + 1] = []
                lines[i] = " ".join(words)
            case 6:
                words.insert(k, rng.choice(words or JUNK))
                lines[i] = " ".join(words)
            case 7:
                at = rng.randrange(len(lines[i]) + 1)
                lines[i] = lines[i][:at] + rng.choice(JUNK) + lines[i][at + 1 :]
            case _:
                words[k : k + 1] = [rng.choice(JUNK)]
                lines[i] = " ".join(words)
        text = "\n".join(lines)
    return text


def rewritten(text):
    """Ways to write the same text."""
    return {
        "line ends of DOS": text.replace("\n", "\r\n"),
        "tabs": re.sub(" +", "\t", text),
        "blanks at line ends": text.replace("\n", "  \n"),
        "no end of the last line": text.rstrip("\n"),
        "blank lines at the end": text + "\n \n",
    }


def no_files(path):
    """What may stand where a text file should: it is made, and its description is told."""
    for content, what in (
        (b"", "empty"),
        (b"\n \n", "blank"),
        (bytes(range(256)) * 8, "binary"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "a program"),
        ("2\n".encode("utf-16"), "UTF-16"),
    ):
        path.write_bytes(content)
        yield what
    path.unlink()
    yield "missing"
    path.mkdir()
    yield "a folder"
    path.rmdir()
    path.symlink_to(path.name)
    yield "a link to itself"
    path.unlink()


class Case:
    """Input files in a folder of their own, and a command for them."""

    def __init__(self, app, folder, files, command):
        self.app, self.folder, self.files, self.command = app, folder, files, command

    def attempt(self, changed=()):
        """Run the command with some files changed; what it does must be right in any case.

        Either it is done, and no number that it wrote is infinite or nan; or the files are refused in one sentence
        that names one of them, and nothing was written.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, text in {**self.files, **dict(changed)}.items():
            (self.folder / name).write_bytes(text.encode())
        return self.run()

    def survives_damage(self, file, examples):
        """Attempt the command with a file damaged at random, always the same way."""

        @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
        @given(seed=st.integers(0, 2**32))
        def attempt(seed):
            self.attempt({file: damaged(self.files[file], seed)})

        attempt()

    def refuses_junk(self, file, counts, most=90):
        """Put a word that is none for some words of a file, which must be refused.

        `counts(file, line)` gives the positions of the words of a line that mean something.
        """
        lines = self.files[file].split("\n")
        places = [(i, k) for i, line in enumerate(lines) for k in counts(file, line)]
        for number, (i, k) in enumerate(places[:: len(places) // most + 1]):
            junk = HOPELESS[number % len(HOPELESS)]
            words = lines[i].split()
            words[k] = junk
            said = self.attempt({file: "\n".join([*lines[:i], " ".join(words), *lines[i + 1 :]])})
            assert said.status == 2, (lines[i], k, junk)

    def reads_alike(self, file, *, ways=None, outputs=None):
        """A file that is written in other ways means the same.

        ways: to write it that are not tried; outputs: that may differ; both hold names.
        """
        right = self.attempt()
        assert right.status == 0
        skipped = {*(ways or ()), *(["tabs"] if file.startswith("params.") else [])}
        # Phrases of a parameter file have one blank.
        for way, text in rewritten(self.files[file]).items():
            if way not in skipped:
                said = self.attempt({file: text})
                assert said.status == 0, way
                for output, content in right.outputs.items():
                    same = said.outputs[output] == content
                    assert same or output.startswith(tuple(outputs or ())), (way, output)

    def replacements(self, file):
        """Put what is no text file in the place of one; what it was, and the answer to it."""
        self.attempt()
        for path in self.folder.iterdir():
            if path.name not in self.files:
                path.unlink()
        for what in no_files(self.folder / file):
            yield what, self.run()

    def refuses(self, file, old, new, line, said):
        """Put one piece of text for another, which must be refused; `said` is a pattern, `line` None for any."""
        assert old in self.files[file]
        answer = self.attempt({file: self.files[file].replace(old, new, 1)})
        assert answer.status == 2
        assert line is None or (answer.file, answer.line) == (file, line)
        assert re.search(said, answer.said)

    def run_program(self, file, old, new):
        """What the program itself says on standard error to one piece of text for another; without the folder."""
        assert self.attempt({file: self.files[file].replace(old, new, 1)}).status == 2
        words = [word.replace("@", f"{self.folder}/") for word in self.command]
        program = [sys.executable, "-m", "ald_core", "chimes", *words]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        return done.stderr.replace(f"{self.folder}/", "")

    def run(self):
        """Run the command on what is in the folder."""
        command = [word.replace("@", f"{self.folder}/") for word in self.command]
        result = CliRunner().invoke(self.app, command)
        error = result.exception
        written = {p.name: p for p in self.folder.iterdir() if p.name not in self.files}
        if isinstance(error, InputError):
            assert not written
            return self._refused(error)
        if error is not None and not isinstance(error, SystemExit):
            raise error
        assert result.exit_code in {0, 4}
        outputs = {name: path.read_bytes() for name, path in written.items()}
        for name in [n for n in outputs if n.endswith(".log") or n == "md_timing.json"]:
            del outputs[name]
        outputs["standard output"] = result.stdout.encode()
        for name, content in outputs.items():
            # Comments and headings are copied as they are.
            rows = [r for r in content.split(b"\n") if not r.strip().startswith(REMARKS)]
            if (
                name == "b-labeled.txt"
            ):  # before the number stands a label, with a flag of the user's
                rows = [r.rpartition(b" ")[2] for r in rows]
            assert not NOT_FINITE.search(b"\n".join(rows)), (
                f"{name} has numbers that are not finite"
            )
        return SimpleNamespace(
            status=result.exit_code, said=result.stderr, file=None, line=None, outputs=outputs
        )

    def _refused(self, error):
        """The answer that an exception is: one sentence that names a file and a cure."""
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
        assert error.path is not None, str(error)
        assert CURE.match(error.cure), str(error)
        named = Path(str(error.path).strip("'"))
        assert self.folder in (named, *named.parents)
        return SimpleNamespace(
            status=2,
            said=error.reason,
            fault=error.fault,
            cure=error.cure,
            file=Path(str(error.path)).name,
            line=error.line,
            outputs={},
        )


@pytest.fixture(scope="session")
def damage():
    """The tools of this file."""
    return SimpleNamespace(Case=Case, damaged=damaged)
