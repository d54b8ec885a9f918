"""The core of ald: the active-learning cycle, its roles, and what finds and runs the plugins that fill them.

Plugin authors need `ald_core.roles`, `ald_core.types`, `ald_core.options`, `ald_core.errors` and `ald_core.hookspecs`.
"""
