"""Tables as CSV files: the bytes that pandas writes, without pandas."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import summarize
from permafrost.judge.comparison import METRICS, Row
from permafrost.outcome import Problem
from permafrost.report import csv_files, reference
from permafrost.report.columns import Integer, Number, Table, Text
from permafrost.report.tables.verification import VERIFICATION

TABLE = Table("x.csv", "rows", (Text("name", "a"), Integer("count", "b"), Number("size", "c")))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")))
ROWS = st.tuples(NAMES, st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats())


@given(st.lists(ROWS, max_size=4))
def test_the_bytes_are_those_that_pandas_writes(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    TABLE.write(path, [dict(zip(TABLE.header, row, strict=True)) for row in rows])
    # A column as it is: by way of float64, as pandas reads rows with gaps, an integer beyond 2**53 would be another.
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    series = (
        pd.Series(column, dtype=dtype) for column, dtype in zip(columns, ("object", "Int64", "float64"), strict=True)
    )
    frame = pd.DataFrame(dict(zip(TABLE.header, series, strict=True)))
    assert path.read_bytes() == frame.to_csv(index=False, lineterminator="\n").encode()


@pytest.mark.parametrize("ulps", [[3, 2**64 - 1], [3, None], [None, 2**64 - 1], [None], []])
def test_counts_are_integers_where_all_are_known(tmp_path, ulps):
    frame = pd.DataFrame([{"output": "a", "max_ulp_diff": value} for value in ulps], columns=list(VERIFICATION.header))
    VERIFICATION.write(tmp_path / "x.csv", [{"output": "a", "max_ulp_diff": value} for value in ulps])
    assert (tmp_path / "x.csv").read_text() == frame.to_csv(index=False)


@given(st.lists(st.tuples(NAMES, NAMES)))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    csv_files.write(path, ("a", "b"), rows)
    assert csv_files.read(path, ("b",)) == (["a", "b"], list(map(list, rows)))
    assert csv_files.read_rows(path) == [{"a": a, "b": b} for a, b in rows]


def test_a_cell_may_be_long(tmp_path):
    csv_files.write(tmp_path / "x.csv", ("a",), [["x" * 10**6]])
    assert csv_files.read(tmp_path / "x.csv")[1] == [["x" * 10**6]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column 'a'"),
        (b"a,b\n1\n", "row 2 has another number of cells"),
        (b"a,b\n1,2\n\n1,2,3\n", "row 3 has another number of cells"),
        (b"a,a\n", "a column stands twice"),
        (b'a,b\n"1,2\n', "is not a CSV file: unexpected end"),
        (b"a,b\n\xff,2\n", "is not a CSV file: 'utf-8' codec"),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, said):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(Problem) as caught:
        csv_files.read(tmp_path / "x.csv", ("a",))
    assert caught.value.cause == "internal" and f"{tmp_path}/x.csv" in str(caught.value) and said in str(caught.value)


def test_every_field_of_the_judges_rows_has_a_column():
    assert set(METRICS) < set(Row.__struct_fields__) == set(VERIFICATION.header)


def test_every_column_says_what_it_is():
    for table in reference.TABLES:
        assert len(set(table.header)) == len(table.columns), table.path
        assert all(column.meaning for column in table.columns)


@pytest.mark.parametrize("program", ["changes", "discover", "gate", "list_judged", "summarize"])
def test_a_program_that_writes_a_plain_table_loads_nothing_heavy(program):
    code = f"import sys, {program}; print(sorted({{'numpy', 'pandas', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=Path(summarize.__file__).parent)
    assert (done.stdout, done.stderr) == (b"[]\n", b"")
