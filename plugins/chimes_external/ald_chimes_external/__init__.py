"""Fits and MD with ChIMES programs that the user has compiled."""
