"""Molecular dynamics with ChIMES models."""
