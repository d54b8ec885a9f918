"""Names of the files of a design matrix, for those who only read them."""

HEADER, MAP = "params.header", "ff_groups.map"
MATRIX, RIGHT, LABELED, ATOMS, DIMENSIONS = (
    "A.txt",
    "b.txt",
    "b-labeled.txt",
    "natoms.txt",
    "dim.txt",
)
