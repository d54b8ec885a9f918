"""Names of the files of an MD run."""

from ald_dftb.inputs import INPUT, MIXERS

REQUEST = "md_request.json"
START = "start.json"
PARAMETERS = "params.txt.reduced"
TRAJECTORY = "traj.gen"
CALCULATION = "dftb"
"""The folder in which DFTB+ runs"""
SOCKET_NAME = "ald_socket_name"
"""In the input, stands for a name that is known when the run begins"""
SOCKET = f"""Driver = Socket {{{{
  File = "{SOCKET_NAME}"
  Protocol = i-PI {{{{}}}}
  MaxSteps = {{steps}}
}}}}
"""
"""The driver, when its number of steps is put in"""
RUNGS = 1 + len(MIXERS)
"""Ways to converge the charges of a step"""


def input_name(rung: int) -> str:
    """The input for so many failures to converge before, in the folder of DFTB+."""
    return INPUT if rung == 0 else f"{rung}.{INPUT}"
