"""READMEs tell the truth about options: their tables are those that the code declares."""

import re
from pathlib import Path

import pytest

from ald_core.options import markdown_table
from ald_core.registry import Registry, role_named
from ald_core.sections import QualityOptions
from ald_core.types import Resources

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- options: (.+) (\S+) -->\n\n?((?:\|.*\n)*)(.*)")
READMES = sorted(ROOT.glob("plugins/*/README.md"))


@pytest.mark.parametrize("path", READMES, ids=lambda p: p.parent.name)
def test_option_tables_match_the_code(path):
    found = MARK.findall(path.read_text())
    assert found, "a plugin's README holds the table of its options"
    for role, name, table, next_line in found:
        wanted = markdown_table(Registry().find(role_named(role), name))
        assert table.strip() == wanted, f"replace the table after the mark by:\n{wanted}"
        assert not next_line, f"leave a blank line after the table, or it swallows: {next_line}"


def test_the_table_of_limits_on_labels_matches_the_code():
    text = (ROOT / "docs" / "labels.md").read_text()
    table = text.partition("<!-- options: quality -->")[2].strip()
    wanted = markdown_table(QualityOptions)
    assert table == wanted, f"replace the table after the mark by:\n{wanted}"


def test_the_table_of_resources_matches_the_code():
    text = (ROOT / "docs" / "resources.md").read_text()
    table = text.partition("<!-- options: resources -->")[2].strip()
    wanted = markdown_table(Resources)
    assert table == wanted, f"replace the table after the mark by:\n{wanted}"
