"""Where in the text of a run file an option stands."""

from __future__ import annotations

import re
from pathlib import Path


def placed(problem: str, path: Path, text: str) -> str:
    """The problem with file and line in front."""
    line = locate(text, problem.split(":", 1)[0])
    return f"{path}, line {line}: {problem}" if line else f"{path}: {problem}"


def locate(text: str, dotted: str) -> int | None:
    """Line (from 1) of an option like `labelers.bulk.command` or `case[1].name`; of its section if it has none."""
    wanted = re.sub(r"\[\d+\]", "", dotted)
    number = int(m[1]) if (m := re.search(r"\[(\d+)\]", dotted)) else 0
    header, counts, best = "", dict[str, int](), None
    for n, line in enumerate(text.splitlines(), start=1):
        if m := re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]+", line):
            header = re.sub(r"\s|\"", "", m[1])
            counts[header] = counts.get(header, -1) + 1
            full = header
        elif m := re.match(r"\s*([\w.\"-]+)\s*=", line):
            full = f"{header}.{m[1]}" if header else m[1]
        else:
            continue
        if counts.get(header, 0) not in (number, 0) or (number and counts.get(header, 0) != number):
            continue
        if full == wanted:
            return n
        if wanted.startswith(full + "."):
            best = n
    return best
