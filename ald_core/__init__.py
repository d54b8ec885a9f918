"""The core of ald."""
