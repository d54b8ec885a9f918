"""Names of the files that a run leaves, for those who only read them."""

STATISTICS = "md_statistics.out"
FINAL = "output.xyz"
CONTACT_FILES = (
    "traj_bad_r.ge.rin+dp_dftbfrq.xyz",
    "traj_bad_r.lt.rin+dp.xyz",
    "traj_bad_r.lt.rin.xyz",
)
"""By contact class: clear, inside the penalty zone, inside the inner cutoff."""
CONTACT_INDEX = "traj_bad.index"
"""One line for each frame of the contact-class files, by step: step, class, first byte."""
RESULT = "md.json"
"""What came out; equal bytes for equal inputs."""
TIMING = "md_timing.json"
