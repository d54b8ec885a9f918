"""`python -m ald_core` is `ald`."""

from ald_core.cli import main

main()
