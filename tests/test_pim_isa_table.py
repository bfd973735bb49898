"""The instruction table: sound as it is, and every unsound one refused with the reason."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from pim_isa import IsaError, expand_counts, families, load
from pim_isa.docs import render
from pim_isa.expression import parse
from pim_isa.table import parse_table

TEXT = files("pim_isa").joinpath("tables", "hbm_pim.toml").read_text(encoding="utf-8")
CONFIGURED = {"queries": 3, "part": 8, "vector": 8, "format": 0, "extra_cycles": 0}


def test_hbm_pim_is_a_family() -> None:
    assert "hbm_pim" in families()
    table = load("hbm_pim")
    assert [s.opcode for s in table.instructions] == list(range(22))  # 22 instructions from 0
    assert table is load("hbm_pim")


def test_unknown_family_suggests_one() -> None:
    with pytest.raises(IsaError, match=r"not 'hbm_pin' \(did you mean 'hbm_pim'\?\)"):
        load("hbm_pin")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bits = [10, 15]", "bits = [9, 15]", "bit 9 of CFG part must be its own, not queries's"),
        ("bits = [51, 58]", "bits = [51, 64]", "LOOP query_step must lie between 6 and 63"),
        ("bits = [6, 9], min = 1", "bits = [5, 9], min = 1", "must lie between 6 and 63, not 5"),
        ("opcode = 18", "opcode = 17", "opcode 17 must be unique, not of REDL and RDR"),
        ("opcode = 18", "opcode = 64", "opcode of RDR must fit 6 bits, not 64"),
        ("min = 1, max = 15", "min = 1, max = 16", "range of CFG queries must fit its 4 bits"),
        ('command = "MAX_{e}"', 'command = "MAX_{f}"', "names no variable: 'f'"),
        ('count = "columns"', 'count = "colums"', r"'colums' \(did you mean 'columns'\?\)"),
        ('s = "queries"', 's = "__import__(1)"', "must call only up"),
        ('s = "queries"', 's = "queries.real"', "must not hold Attribute"),
        ('s = "queries"', 's = "1.5"', "must hold integers only, not 1.5"),
        ('pack = "1 if format', 'pack = "1 if form', "names no operand: 'form'"),
        ('scope = "pseudo_channel"', 'scope = "rank"', "scope of RDR must be one of"),
        ('close = "END"', 'close = "ENDS"', "no instruction 'ENDS'"),
        ("default = 0", "default = -1", "must be between 0 and"),
    ],
)
def test_unsound_table_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(IsaError, match=message):
        parse_table(TEXT.replace(old, new))


def test_make_fills_in_defaults_and_orders_operands() -> None:
    made = load("hbm_pim").make("LOOP", row_step=1, count=4)
    assert made.operands == (("count", 4), ("row_step", 1), ("base_step", 0), ("query_step", 0))


@pytest.mark.parametrize(
    ("mnemonic", "operands", "message"),
    [
        ("MACQ", {}, r"no instruction 'MACQ' \(did you mean 'MAC[KV]'\?\)"),
        ("ACT", {}, "ACT must be given 'row'"),
        ("ACT", {"row": 1, "rows": 1}, r"no operand 'rows' \(did you mean 'row'\?\)"),
        ("ACT", {"row": 32768}, "ACT row must be between 0 and 32767, not 32768"),
    ],
)
def test_make_refuses(mnemonic: str, operands: dict[str, int], message: str) -> None:
    with pytest.raises(IsaError, match=message):
        load("hbm_pim").make(mnemonic, **operands)


@pytest.mark.parametrize(
    ("mnemonic", "operands", "expected"),
    [
        # (command, scope, row, count, repeat, repeat_step) by hand from docs/hbm-pim-commands.md
        (
            "MACK",
            {"row": 1, "column": 0, "slots": 4, "base": 0, "mask": 15},
            ("MACbg_q3", "group", True, 8, 4, 8),
        ),
        (
            "MACV",
            {"row": 1, "column": 0, "slots": 1, "base": 0, "mask": 15},
            ("MACbg_q3", "group", True, 8, 1, 0),
        ),
        # 3 queries x 43 scores = 129, up to a multiple of 16: 144
        ("MAX", {"slots": 43, "base": 0, "mask": 15}, ("MAX_144", "group", False, 1, 1, 0)),
        ("EXP", {"slots": 16, "base": 0, "mask": 15}, ("EXP_48", "group", False, 1, 1, 0)),
        ("SUM", {"slots": 1, "base": 0, "mask": 15}, ("SUM_16", "group", False, 1, 1, 0)),
        ("REDG", {}, ("REDBG_384", "group", False, 1, 1, 0)),  # 3 x 8 columns x 16 elements
        ("REDL", {"slot": 0, "query": 0}, ("REDLD", "group", False, 9, 1, 0)),  # O and (m, l)
        ("RDR", {"query": 0}, ("RDRES", "pseudo_channel", False, 17, 1, 0)),  # FP32 O and (m, l)
        ("RDR", {"query": 0, "normalise": 1}, ("RDRES", "pseudo_channel", False, 8, 1, 0)),
        ("WRQ", {"slot": 0, "query": 0, "offset": 0}, ("WRQ", "group", False, 8, 1, 0)),
        ("ACT", {"row": 5}, ("ACTbg", "group", True, 1, 1, 0)),
        ("PREB", {"bank": 2}, ("PREpb", "bank", False, 1, 1, 0)),
        (
            "APP",
            {"bank": 0, "row": 0, "column": 0, "columns": 8, "source": 0},
            ("WR", "bank", True, 8, 1, 0),
        ),
    ],
)
def test_expansion(mnemonic: str, operands: dict[str, int], expected: tuple[object, ...]) -> None:
    (command,) = expand_counts(load("hbm_pim").make(mnemonic, **operands), CONFIGURED, "hbm_pim")
    assert (
        command.command, command.scope, command.row, command.count, command.repeat,
        command.repeat_step,
    ) == expected  # fmt: skip


def test_a_device_with_the_macro_command_gets_it() -> None:
    table = load("hbm_pim")
    mac = table.make("MACK", row=1, column=8, slots=3, base=0, mask=15)
    (command,) = expand_counts(mac, CONFIGURED, "hbm_pim")  # 3 vectors of 8 columns, 3 queries
    assert command.on(("MACbg_q3",)) is command
    macro = command.on(("MACseq_q3_c24",))
    assert (macro.command, macro.commands, macro.repeat_step) == ("MACseq_q3_c24", 1, 0)


def test_expansion_of_control_is_empty_and_needs_the_configuration_else() -> None:
    table = load("hbm_pim")
    assert expand_counts(table.make("CLRO"), {}, "hbm_pim") == ()
    with pytest.raises(IsaError, match="needs a value of 'queries'"):
        expand_counts(table.make("REDG"), {}, "hbm_pim")


def test_expressions() -> None:
    assert parse("up(a * 3, 16) - 1")({"a": 6}) == 31
    assert parse("a if b else 2*a + 1")({"a": 4, "b": 0}) == 9
    with pytest.raises(IsaError, match="must be arithmetic"):
        parse("a +")


def test_reference_names_everything() -> None:
    text = render("hbm_pim")
    assert "make generate" in text.splitlines()[0]
    for spec in load("hbm_pim").instructions:
        assert f"## {spec.mnemonic}\n" in text
        for f in spec.fields:
            assert f"| `{f.name}` | {f.low}..{f.high} | {f.minimum}..{f.maximum} |" in text


def test_committed_reference_is_up_to_date() -> None:
    path = Path(__file__).parent.parent / "docs" / "isa" / "hbm_pim.md"
    assert path.read_text() == render("hbm_pim"), "run `make generate`"
