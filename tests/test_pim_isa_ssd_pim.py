"""The instructions of SSD-PIM on numbers small enough to follow."""

from __future__ import annotations

import numpy as np
import pytest

from pim_isa import IsaError, Machine, MachineResult, Unit, assemble, check, load
from pim_isa.expansion import expand_counts
from pim_isa.semantics.hbm_pim import Partial

CONTROLLER, PLANE = Unit(255, 0), Unit(2, 0)
HEAD = ".family ssd_pim\n.stream die=255 plane=0\n"
ON_PLANE = ".stream die=2 plane=0\n"

ATTEND = """
CFG queries=1 part=1 vector=1
WRQ slot=0 query=0 offset=0
MACK input={source} row={row} vectors={n} last=1
MAX vectors={n}
EXP vectors={n}
SUM vectors={n}
CLRO
MACV input={source} row={next} vectors={n}
REDG
REDL slot=0 query=0
"""


def attend(source: int, row: int, n: int) -> str:
    return ATTEND.format(source=source, row=row, next=row + 1, n=n)


def machine(text: str) -> Machine:
    program = assemble(text)
    assert check(program, rows=64) == ()
    return Machine(program, rows=64)


def put(made: Machine, unit: Unit, row: int, vectors: np.ndarray) -> None:
    """Vectors float16 [n, 16] into a page, one after the other."""
    made.memory(unit).write(np.full(len(vectors), row), np.arange(len(vectors)), vectors)  # type: ignore[call-arg]


def one_hot(places: list[int]) -> np.ndarray:
    vectors = np.zeros((len(places), 16), np.float16)
    vectors[np.arange(len(places)), places] = 1
    return vectors


READ = "RDP row=4\nCPY row=4\nRDP row=5\nOUT row=4\nCPY row=5\nOUT row=5\n"


def run(n: int, normalise: int = 1, **how: object) -> MachineResult:
    """n tokens in pages 4 (K) and 5 (V) of a plane: K is ln 2 x token along the query's one
    direction, V tells tokens apart."""
    text = HEAD + "BAR id=1\n" + attend(1, 4, n) + f"RDR query=0 normalise={normalise}\n"
    made = machine(text + ON_PLANE + READ + "BAR id=1\n")
    key = np.zeros((n, 16), np.float16)
    key[:, 3] = np.arange(n)
    put(made, PLANE, 4, key)
    put(made, PLANE, 5, one_hot([t % 16 for t in range(n)]))
    query = np.zeros(16, np.float16)
    query[3] = np.float16(np.log(2))
    return made.run({0: query}, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 8, 11, 16])
def test_a_page_is_attended(n: int) -> None:
    """exp(t ln 2) = 2^t: token t has the share 2^t / (2^n - 1); FP16 holds 11 bits."""
    found = run(n).results[0]
    shares = 2.0 ** np.arange(n) / (2.0**n - 1)
    np.testing.assert_allclose(found[:n], shares, atol=2e-3)
    np.testing.assert_array_equal(found[n:], 0)


def test_a_part_leaves_with_its_maximum_and_sum() -> None:
    found = run(11, normalise=0).results[0]
    assert isinstance(found, Partial)
    assert found.maximum == pytest.approx(10 * np.log(2), abs=4e-3)
    assert found.total == pytest.approx(2 - 2.0**-10, abs=6e-3)
    assert found.output[10] == pytest.approx(1, abs=1e-3)


def test_vector_i_is_of_unit_i_mod_8() -> None:
    events = run(11, record=True).events
    dots = [(e.slots, e.mask, int(e.bases[0])) for e in events if e.kind == "dot"]
    assert dots == [(1, 0xFF, 0), (1, 0b111, 1)]
    assert [e.kind for e in events][-2:] == ["reduce", "merge"]


def test_a_page_is_of_its_stream_and_row() -> None:
    (dot,) = (e for e in run(8, record=True).events if e.kind == "dot")
    assert int(dot.rows[0]) == (1 << 26) + 4


# -- the write buffer ----------------------------------------------------------------------------


def test_a_new_token_is_attended_and_a_full_page_programmed() -> None:
    text = HEAD + "APP page=0 column=1 columns=1 source=0\nAPP page=1 column=1 columns=1 source=1\n"
    text += attend(0, 0, 2) + "BAR id=0\nRDR query=0 normalise=1\n"
    text += ON_PLANE + "BAR id=0\nPRG row=9 page=0\nPRG row=10 page=1\n"
    made = machine(text)
    put(made, CONTROLLER, 0, one_hot([0]))
    put(made, CONTROLLER, 1, one_hot([5]))
    query, new_key, new_value = one_hot([0])[0], one_hot([1])[0], one_hot([6])[0]
    found = made.run({0: query}, {0: new_key, 1: new_value}).results[0]
    weight = np.array([1, np.exp(-1)]) / (1 + np.exp(-1))  # scores 1 and 0
    np.testing.assert_allclose(found[[5, 6]], weight, atol=1e-3)
    for row, vectors in ((9, one_hot([0, 1])), (10, one_hot([5, 6]))):
        page = made.memory(PLANE).page(row).view(np.float16)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(page[:2], vectors)
        assert np.isnan(page[2:]).all()


def test_a_page_is_programmed_once_between_erases() -> None:
    text = HEAD + "APP page=0 column=0 columns=1 source=0\nBAR id=0\n" + ON_PLANE + "BAR id=0\n"
    for between, fault in (("", "page 3 must be erased"), ("ERS row=0 pages=8\n", "")):
        made = machine(text + "PRG row=3 page=0\n" + between + "PRG row=3 page=0\n")
        if fault:
            with pytest.raises(IsaError, match=fault):
                made.run({}, {0: one_hot([0])[0]})
        else:
            made.run({}, {0: one_hot([0])[0]})


# -- what the hardware could not do --------------------------------------------------------------


@pytest.mark.parametrize(
    ("plane", "fault"),
    [
        ("RDP row=4\nRDP row=5\n", "RDP must find the page register empty, not page 4 in it"),
        ("RDP row=4\nCPY row=5\n", "CPY must find page 5 in the page register"),
        ("RDP row=4\nCPY row=4\nRDP row=5\nCPY row=5\n",
         "CPY must find the cache register empty, not page 4 in it"),
        ("RDP row=4\nCPY row=4\nOUT row=5\n", "OUT must find page 5 in the cache register"),
        ("RDP row=4\nERS row=0 pages=4\n", "ERS must find the registers empty, not page 4"),
        ("".join(f"RDP row={r}\nCPY row={r}\nOUT row={r}\n" for r in range(5)),
         "OUT must find one of 4 page buffers free for page 4"),
        ("PRG row=0 page=7\n", "PRG must find page 7 in the write buffer"),
        ("CFG queries=1 part=1 vector=1\n", "instruction must run on the controller"),
    ],
)  # fmt: skip
def test_registers_and_buffers_out_of_turn(plane: str, fault: str) -> None:
    made = machine(HEAD + "NOP\n" + ON_PLANE + plane)
    with pytest.raises(IsaError, match=fault):
        made.run({})


def test_a_plane_has_no_units() -> None:
    with pytest.raises(IsaError, match="instruction must run on a plane"):
        machine(HEAD + "RDP row=0\n").run({})


def test_a_page_is_used_behind_a_barrier_only() -> None:
    """Streams run in the order of their numbers, so the machine may know a page that the hardware
    does not have yet."""
    query = one_hot([0])[0]
    late = HEAD + attend(1, 4, 1) + ON_PLANE + READ
    with pytest.raises(IsaError, match="MACK must find page 4 of stream 1 in a page buffer"):
        machine(late).run({0: query})
    # the plane's stream meets the controller before it sends the page, and not behind it
    early = HEAD + "BAR id=1\nBAR id=2\n" + attend(1, 4, 1) + ON_PLANE + "BAR id=1\n" + READ
    meets = early + ".stream die=3 plane=0\nBAR id=2\n"
    with pytest.raises(IsaError, match="MACK must come behind a barrier after stream 1 brought"):
        made = machine(meets)
        put(made, PLANE, 4, one_hot([0]))
        made.run({0: query})


def test_a_buffer_is_given_back_behind_a_barrier_only() -> None:
    free = HEAD + "BAR id=1\nFREE input=1 row=0 pages=4\n{meet}" + ON_PLANE
    free += "".join(f"RDP row={r}\nCPY row={r}\nOUT row={r}\n" for r in range(4))
    free += "BAR id=1\n{meet}RDP row=4\nCPY row=4\nOUT row=4\n"
    machine(free.format(meet="BAR id=2\n")).run({})
    with pytest.raises(IsaError, match="are not, or not behind a barrier"):
        machine(free.format(meet="")).run({})


def test_a_page_never_written_cannot_go_unnoticed() -> None:
    made = machine(HEAD + "BAR id=1\n" + attend(1, 4, 2) + ON_PLANE + READ + "BAR id=1\n")
    put(made, PLANE, 4, one_hot([0]))  # one K of two
    with pytest.raises(IsaError, match="MAX must work on numbers"):
        made.run({0: one_hot([0])[0]})


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("MAX vectors=2\n", "MAX must work on scores"),
        ("EXP vectors=2\n", "EXP must work on scores"),
        ("SUM vectors=2\n", "SUM must work on exponentials"),
        ("REDG\n", "REDG must come after MAX and SUM"),
        ("REDL slot=0 query=0\n", "REDL must come after the REDG"),
        ("MACK input=0 row=0 vectors=2 accumulate=1\n", "MACK must accumulate onto partial scores"),
    ],
)
def test_units_out_of_turn(code: str, fault: str) -> None:
    begin = "CFG queries=1 part=1 vector=1\nWRQ slot=0 query=0 offset=0\n"
    with pytest.raises(IsaError, match=fault):
        machine(HEAD + begin + code).run({0: one_hot([0])[0]})


# -- commands ------------------------------------------------------------------------------------


def test_commands_of_a_page() -> None:
    """64 vectors of 8 columns: 8 slots x 8 columns x 2 queries = 128 cycles of every PU."""
    table, state = load("ssd_pim"), {"queries": 2, "part": 8, "vector": 8}

    def names(mnemonic: str, **operands: int) -> list[tuple[str, int]]:
        expanded = expand_counts(table.make(mnemonic, **operands), state, "ssd_pim")
        return [(e.command, e.commands) for e in expanded]

    assert names("MACK", input=1, row=0, vectors=64) == [("MAC_q128", 1)]
    assert names("MACV", input=1, row=0, vectors=9) == [("MAC_q32", 1)]  # 2 slots
    assert names("EXP", vectors=64) == [("EXP_16", 1)]
    assert names("WRQ", slot=0, query=0, offset=0) == [("WRQ_128", 1)]
    assert names("REDG") == [("RED_256", 1)]
    assert names("RDR", query=0, normalise=1) == [("RDRES_128", 1)]  # 256 B
    assert names("RDR", query=0) == [("RDRES_272", 1)]  # 128 x 4 + 8 B, in 32 B
    assert names("OUT", row=3) == [("XFER", 1)]
    assert names("FREE", input=1, row=0) == []
