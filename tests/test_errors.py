"""The error that users see is one line and suggests the nearest name."""

import pytest

from costcalc.errors import CostcalcError, did_you_mean, nearest, shown


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CostcalcError("unknown key"), "unknown key"),
        (CostcalcError("unknown key", "a.yaml:3:1"), "a.yaml:3:1: unknown key"),
        (CostcalcError("unknown key", hint="did you mean 'b'?"), "unknown key; did you mean 'b'?"),
        (CostcalcError("unknown key", "a.yaml:3:1", "remove it"), "a.yaml:3:1: unknown key; remove it"),
    ],
)
def test_it_reads_where_what_and_remedy(error: CostcalcError, line: str) -> None:
    assert str(error) == line


def test_it_stays_on_one_line_whatever_was_typed() -> None:
    error = CostcalcError("unknown model 'a\nb\x1b[31m'", "x\ty", "see\r\nthere")
    assert str(error) == "x\\ty: unknown model 'a\\nb\\x1b[31m'; see\\r\\nthere"
    assert len(str(error).splitlines()) == 1


def test_it_is_a_value_error_so_that_validators_may_raise_it() -> None:
    with pytest.raises(ValueError, match="too small"):
        raise CostcalcError("too small")


def test_nearest_ignores_case_and_keeps_the_spelling_of_the_candidate() -> None:
    assert nearest("deepseek-v3x", ["Llama-3", "DeepSeek-V3"]) == "DeepSeek-V3"


def test_nearest_finds_nothing_when_nothing_is_close() -> None:
    assert nearest("h100", ["mixtral", "qwen"]) is None
    assert nearest("", ["mixtral"]) is None
    assert nearest("h100", []) is None


def test_nearest_prefers_the_first_of_equal_spellings() -> None:
    assert nearest("h10", ["h100", "H100"]) == "h100"


def test_cutoff_widens_the_search() -> None:
    assert nearest("bandwidth", ["memory_bandwidth"], cutoff=0.9) is None
    assert nearest("bandwidth", ["memory_bandwidth"], cutoff=0.5) == "memory_bandwidth"


def test_did_you_mean() -> None:
    assert did_you_mean("hiden_size", ["hidden_size"]) == "did you mean 'hidden_size'?"
    assert did_you_mean("zzz", ["hidden_size"]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "'abc'"),
        (5, "5"),
        (1.5, "1.5"),
        (None, "nothing (null)"),
        (True, "true"),
        (False, "false"),
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ("a\nb", "'a\\nb'"),
        ("x" * 100, "'" + "x" * 45 + "...'"),
    ],
)
def test_values_are_quoted_short_and_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text
