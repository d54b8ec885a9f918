"""The labeler `gaussian`: energies and forces of molecules in the spin state of lowest energy."""
