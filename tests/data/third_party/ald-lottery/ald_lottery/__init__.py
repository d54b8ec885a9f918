"""A scheduler for ald that starts jobs in random order."""
