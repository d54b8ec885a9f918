"""A labeler for ald whose calculations fail on request."""
