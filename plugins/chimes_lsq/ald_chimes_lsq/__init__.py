"""ChIMES models: bases, parameter files, design matrices, solvers, evaluation; the fitter `chimes`."""
