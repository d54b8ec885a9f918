"""Solvers of the linear least-squares problem, for rows of any number in bounded memory."""
