"""Reading `run_md.in`, and writing it with other values."""

from pathlib import Path

import pytest

from ald_chimes_lsq.basis import InnerRule
from ald_chimes_md.control import Comparison, Ensemble, parse_control, read_control
from ald_chimes_md.keywords import read_keywords, with_values
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_md"
TEXT = (DATA / "special3b" / "run_md.in").read_text()


def changed(**values):
    return parse_control(with_values(TEXT, values), "run_md.in")


def test_all_settings_of_a_genuine_file():
    control = read_control(DATA / "special3b" / "run_md.in")
    assert (control.temperature, control.timestep, control.steps) == (2000.0, 0.1, 200)
    assert (control.parameter_file, control.coordinate_file) == ("params.txt", "input.xyzf")
    assert (control.velocities, control.seed) == ("GEN", 12357)
    assert control.ensemble == Ensemble("NVT-MTK", 10.0)
    assert (control.trajectory_interval, control.energy_interval) == (20, 1)
    assert (control.force_interval, control.velocity_interval) == (5, 0)
    assert control.trajectory_format == "GEN"
    assert control.with_offsets
    assert not control.contact_files
    assert control.ignored == ()


def test_values_and_their_forms():
    assert changed(CONSRNT="NVE").ensemble == Ensemble("NVE")
    assert changed(PRNTFRC="true FRQDFTB").force_interval == 20
    assert changed(PRNTFRC="true").force_interval == 1
    assert changed(PRNTFRC="F").force_interval == 0
    assert changed(PRNTVEL="true 7").velocity_interval == 7
    assert changed(NLAYERS="1 REPLICATE 2").replicate == 2
    assert changed(CHEBYFIX="SMOOTH 0.05").inner == InnerRule("SMOOTH", 0.05)
    assert changed(CHEBYFIX="ZERO_DERIV").inner == InnerRule("ZERO_DERIV")
    assert changed(PRNTBAD="True").contact_files
    assert not changed(ATMENER="false").with_offsets
    assert not changed(CONVCUT="-1").temperature_check
    assert changed(FRQTRAJ="20").trajectory_interval == 20
    assert changed(RNDSEED="4294967295").seed == 2**32 - 1


def test_ensembles_and_their_numbers():
    assert changed(CONSRNT="NVT-SCALE 25").ensemble == Ensemble("NVT-SCALE", scale_interval=25)
    assert changed(CONSRNT="NVT-BEREND 50").ensemble == Ensemble("NVT-BEREND", 50.0)
    assert changed(CONSRNT="NVE FREEZE 0 3").ensemble == Ensemble("NVE", moving=(0, 3))
    with pytest.raises(InputError, match="PRESSUR is missing"):
        changed(CONSRNT="NPT-BEREND 50")
    npt = changed(CONSRNT="NPT-BEREND 50", PRESSUR=1.5)
    assert (npt.ensemble, npt.pressure) == (Ensemble("NPT-BEREND", 50.0, 1000.0), 1.5)
    npt = changed(CONSRNT="NPT-BEREND-ANISO 50 70", PRESSUR=0)
    assert npt.ensemble == Ensemble("NPT-BEREND-ANISO", 50.0, 70.0)
    assert changed(CONSRNT="NPT-MTK HOOVER 5 7", PRESSUR=0).ensemble == Ensemble(
        "NPT-MTK", 5.0, 7.0
    )


def test_controls_of_checks_and_comparisons():
    assert changed(VELINIT="RESTART").velocities == "RESTART"
    assert changed(CMPRFRC="true force.txt").comparison == Comparison("force.txt")
    wanted = changed(SUBTFRC="true a.xyzf SUBTR_STRESS", FITSTRS="true").comparison
    assert wanted == Comparison("a.xyzf", subtract=True, subtract_stress=True)
    assert changed(SUBTFRC="false").comparison is None
    assert changed(PRSCALC="NUMERICAL").virial == "NUMERICAL_PRESSURE"
    assert changed(PRSCALC="NUMERICAL", STRSCALC="NUMERICAL").virial == "NUMERICAL_STRESS"
    assert changed(PENTHRS="0.5").penalty_limit == 0.5
    assert changed(PENTHRS="-1").penalty_limit is None
    assert changed().restart_interval == 100
    control = changed(PRNTFRC="true ENERGY_STRESS 4", FITSTRS="FIRSTALL 3", FITENER="FIRST 2")
    assert (control.force_interval, control.force_headers) == (4, True)
    assert (control.reference_stress, control.reference_energy) == ("full", True)
    with pytest.raises(InputError, match="keep one of the two"):
        changed(CMPRFRC="true a", SUBTFRC="true a")
    with pytest.raises(InputError, match="leave REPLICATE out"):
        changed(VELINIT="RESTART", NLAYERS="1 REPLICATE 1")


def test_coordinates_are_wrapped_on_output_only_without_layers():
    assert not changed(NLAYERS="1", WRPCRDS="true").wrap_output
    assert changed(NLAYERS="0", WRPCRDS="true").wrap_output


def test_unknown_keys_are_told():
    assert changed(VERBOSE="true", USEKILL="false").ignored == ("VERBOSE",)
    with pytest.raises(InputError, match="'PRNTBAT'; did you mean '# PRNTBAD #'"):
        changed(PRNTBAT="true")


def test_comments_and_remarks_behind_keys():
    text = (
        "# KEY # (a remark) ! comment\n\n! comment\n  value more ! comment\n# ENDFILE #\n# KEY #\n"
    )
    keyword = read_keywords(text)["KEY"]
    assert (keyword.words, keyword.line) == (("value", "more"), 4)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("TEMPERA", "hot", "finite number, found 'hot'"),
        ("TEMPERA", "nan", "finite number"),
        ("TEMPERA", "-5", "at least 0"),
        ("TEMPERA", "0", "above 0 K"),
        ("TIMESTP", "0.0", "above 0 fs"),
        ("TIMESTP", "0.1 fs", "one word"),
        ("N_MDSTP", "0", "at least 1"),
        ("N_MDSTP", "1e5", "integer"),
        ("N_MDSTP", "99999999999999999999", "integer"),
        ("RNDSEED", "-1", "whole number"),
        ("RNDSEED", "4294967296", "whole number"),
        ("VELINIT", "read", "GEN, READ"),
        ("CONSRNT", "NPT-MTK HOOVER 10", "NPT-MTK HOOVER t t_b"),
        ("CONSRNT", "NPT-MTK 10 100", "NPT-MTK HOOVER t t_b"),
        ("CONSRNT", "NPT-BEREND 10 100 1000", "NPT-BEREND t [t_b]"),
        ("CONSRNT", "NPT-BEREND 10 100 FREEZE 0 1", "FREEZE does not go"),
        ("CONSRNT", "NVT-BEREND", "NVT-BEREND t"),
        ("CONSRNT", "NVT-SCALE 1.5", "integer"),
        ("CONSRNT", "NVE 3", "use 'NVE'"),
        ("CONSRNT", "NVE FREEZE 3", "FREEZE a b"),
        ("CONSRNT", "NVE FREEZE 3 0", "FREEZE a b"),
        ("CONSRNT", "NVT-MTK HOOVER", "NVT-MTK HOOVER t"),
        ("CONSRNT", "NVT-MTK HOOVER 0", "above 0 (fs"),
        ("CONSRNT", "NVT", "use one of 'NVE'"),
        ("CMPRFRC", "true", "true file"),
        ("CMPRFRC", "true a.txt SUBTR_ENERGY", "true file"),
        ("SUBTFRC", "true a.txt ENERGY", "SUBTR_STRESS"),
        ("SUBTFRC", "true a.txt SUBTR_STRESS", "SUBTR_STRESS needs FITSTRS"),
        ("SUBTFRC", "true a.txt SUBTR_ENERGY", "SUBTR_ENERGY needs FITENER"),
        ("CHECKFRC", "maybe", "true or false"),
        ("PRSCALC", "ANALYTIC", "ANALYTICAL, NUMERICAL"),
        ("PENTHRS", "much", "finite number"),
        ("CRDFILE", "SCALE 1.1 input.xyz", "never worked in ChIMES MD"),
        ("CRDFILE", "CAT 2 2 a.xyz b.xyz", "never worked in ChIMES MD"),
        ("CRDFILE", "INITIALIZE ATOMIC C BOXL 9 NMOLEC 4", "never worked in ChIMES MD"),
        ("CRDFILE", "a.xyz b.xyz", "one word"),
        ("FITSTRS", "FIRST many", "integer"),
        ("FITENER", "perhaps", "true or false"),
        ("FRQRSTR", "0", "at least 1"),
        ("TRAJEXT", "XTC", "choose one of"),
        ("FRQDFTB", "0", "at least 1"),
        ("FRQTRAJ", "10", "keep one of the two"),
        ("FRQENER", "-1", "at least 1"),
        ("PRNTFRC", "yes", "true or false"),
        ("PRNTFRC", "true 5 6", "true n"),
        ("PRNTFRC", "true ENERGY_STRESS 0", "at least 1"),
        ("PRNTFRC", "true ENERGY_STRESS 1 2", "true ENERGY_STRESS n"),
        ("PRNTBAD", "maybe", "true or false"),
        ("NLAYERS", "1 TIMES 2", "REPLICATE m"),
        ("NLAYERS", "1 REPLICATE 1000", "more than 100"),
        ("USENEIG", "true BIG", "true SMALL"),
        ("CHEBYFIX", "SMOOTH", "SMOOTH d"),
        ("CHEBYFIX", "SMOOTH -0.1", "SMOOTH d"),
    ],
)
def test_bad_values_are_refused_with_their_line(key, value, said):
    text = with_values(TEXT, {key: value})
    with pytest.raises(InputError) as raised:
        parse_control(text, "run_md.in")
    assert said in str(raised.value)
    assert key in str(raised.value)
    assert raised.value.line is not None
    assert raised.value.cure
    assert value in text.splitlines()[raised.value.line - 1]


@pytest.mark.parametrize("key", ["TEMPERA", "N_MDSTP", "PRMFILE", "CONSRNT", "FRQDFTB", "VELINIT"])
def test_missing_keys_are_named(key):
    with pytest.raises(InputError, match=f"{'FRQTRAJ' if key == 'FRQDFTB' else key} is missing"):
        parse_control(TEXT.replace(f"# {key} #", "# NOTHING #"))


def test_missing_end_value_and_doubled_keys():
    with pytest.raises(InputError, match="ENDFILE"):
        parse_control(TEXT[:-20])
    with pytest.raises(InputError, match="TEMPERA: the value is missing"):
        parse_control(TEXT.replace("\t2000.0\n", ""))
    with pytest.raises(InputError, match="already given in line"):
        parse_control(TEXT.replace("# ENDFILE #", "# TEMPERA #\n300\n# ENDFILE #"))


def test_every_truncation_is_read_or_refused():
    end = TEXT.index("# ENDFILE #")
    for size in range(0, len(TEXT), 7):
        if size <= end:
            with pytest.raises(InputError):
                parse_control(TEXT[:size])


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "run_md.in").write_bytes(b"# TEMPERA #\n\xff\xfe\n")
    with pytest.raises(InputError, match="not a text file"):
        read_control(tmp_path / "run_md.in")
    with pytest.raises(InputError, match="no such file"):
        read_control(tmp_path / "other.in")


def test_other_values_leave_the_rest_of_the_file_alone():
    text = with_values(TEXT, {"RNDSEED": 5, "CRDFILE": "a.xyz", "PRNTBAD": "true"})
    before, after = TEXT.splitlines(), text.splitlines()
    assert [(a, b) for a, b in zip(before, after, strict=False) if a != b][:2] == [
        ("\t12357", "\t5"),
        ("\tinput.xyzf", "\ta.xyz"),
    ]
    assert after[-3:] == ["# PRNTBAD #", "\ttrue", "# ENDFILE #"]
    control = parse_control(text)
    assert (control.seed, control.coordinate_file, control.contact_files) == (5, "a.xyz", True)


def test_line_numbers_are_those_of_line_feeds_alone():
    text = TEXT.replace("# TEMPERA # ! In K", "# TEMPERA # ! In K \x0c or \u2028 not \x85")
    assert text != TEXT
    found = parse_control(with_values(text, {"TEMPERA": 17, "N_MDSTP": 3}))
    assert (found.temperature, found.steps, found.seed) == (17.0, 3, 12357)


def test_remarks_that_users_write_are_passed_over():
    remarks = """#### GENERAL CONTROL VARIABLES ####
    # ---------------
    #
    # what follows is the thermostat
    ! anything # at # all
"""
    text = TEXT.replace("# TEMPERA #", remarks + "# TEMPERA # (in kelvin, hot) ! or not")
    assert parse_control(text) == parse_control(TEXT)


def test_missing_keys_are_told_with_the_line_where_they_may_stand():
    text = TEXT.replace("# TEMPERA # ! In K\n\t2000.0\n", "")
    with pytest.raises(InputError) as raised:
        parse_control(text, "run_md.in")
    assert raised.value.cure == "add '# TEMPERA #' and its value above this line"
    assert "# ENDFILE #" in text.split("\n")[raised.value.line - 1]
    with pytest.raises(InputError, match="SERIAL_CHIMES is neither true nor false: 'maybe'"):
        changed(SERIAL_CHIMES="maybe")


def test_mutated_files_are_read_or_refused_in_one_sentence(damage):
    refused = 0
    for seed in range(1500):
        text = damage.damaged(TEXT, seed)
        try:
            control = parse_control(text, "run_md.in")
        except InputError as error:
            refused += str(error).startswith("run_md.in")
        else:
            assert control.steps >= 1
            assert control.timestep > 0.0 or control.steps == 1
    assert refused > 200
