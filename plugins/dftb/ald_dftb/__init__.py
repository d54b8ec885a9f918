"""DFTB+: the labeler `dftb`, and the MD engine `dftb` with ChIMES corrections."""
