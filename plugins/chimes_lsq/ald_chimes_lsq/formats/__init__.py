"""The files of ChIMES programs: control files, trajectories, parameter files, matrices."""
