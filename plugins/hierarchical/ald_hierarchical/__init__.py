"""Fitters on top of something known: frozen ChIMES models (`hierarchical`), or a baseline (`correction`).

Labels are never changed: what is known of each frame is computed by jobs, and the wrapped fitter gets the rest.
"""
