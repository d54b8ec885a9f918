"""A selector for ald that likes large forces."""
