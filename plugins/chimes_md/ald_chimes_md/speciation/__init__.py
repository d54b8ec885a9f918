"""Which molecules a trajectory holds: bonds by distance and lifetime, names, fractions, lifetimes.

The rules, names and tables are those of the programs molanal and findmolecules.
"""
