"""Molecular dynamics with ChIMES models: the MD engine `chimes`, compiled, for any cell."""
