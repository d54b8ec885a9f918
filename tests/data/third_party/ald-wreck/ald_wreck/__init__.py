"""A plugin of ald that cannot be imported."""
