"""The page of faults is what the tests say: no row is missing, none is left over, and all was as expected when it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from reliability import AS_EXPECTED, FAILED, NOT_RUN, PAGE, Row, page, rows_of_page, rows_of_tests

FAULTS = (
    "PostgreSQL is killed",
    "PostgreSQL hangs",
    "the store's files are gone",
    "the store put back",
    "the controller is gone",
    "the leading controller is stopped and goes on",
    "half of the network is cut",
    "the disk is full",
    "a spool is at its cap",
    "a gateway is killed",
    "an ingester is killed",
    "the process that mirrors is killed",
    "anybody is killed at any moment",
    "the candidate's provider is out",
    "stable's provider is out",
    "all gateways are restarted under load",
    "a host's clock jumps by a day",
)
"""What the page must have a row of, whoever tests it."""


def test_the_page_has_the_rows_of_the_tests_and_no_others() -> None:
    assert rows_of_page(PAGE.read_text()).keys() == set(rows_of_tests()), "run `make reliability`"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_that_a_team_will_meet_has_a_row(fault: str) -> None:
    assert any(row.fault.startswith(fault) for row in rows_of_tests())


def test_all_was_run_and_as_expected_when_the_page_was_written() -> None:
    for row, seen in rows_of_page(PAGE.read_text()).items():
        assert seen, row
        assert FAILED not in seen, row
        assert NOT_RUN not in seen, row


def test_a_page_is_read_as_it_was_written(tmp_path: Path) -> None:
    text = '@pytest.mark.fault("a|b", "stable\'s | answers")\ndef test_it() -> None: ...\ndef test_other() -> None: ...\n'
    (tmp_path / "test_one.py").write_text(f"import pytest\n{text}")
    (row,) = rows_of_tests(tmp_path)
    assert row == Row("a|b", "stable's | answers", "test_one.py::test_it")
    assert rows_of_page(page({row: ["once", "once", "twice\nmore"]})) == {row: "once; twice more"}
    assert rows_of_page(page({row: [AS_EXPECTED]})) == {row: AS_EXPECTED}
