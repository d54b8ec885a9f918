"""The labeler `cp2k`: single points with CP2K."""
