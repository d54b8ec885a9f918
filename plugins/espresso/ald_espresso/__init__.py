"""The labeler `espresso`: single points with Quantum ESPRESSO."""
