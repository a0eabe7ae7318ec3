"""The table of patients: rows of cases, heights, subgroups, and the messages about wrong tables."""

import pandas as pd
import pytest

import storage
from data import patients_table

CASES = pd.DataFrame({"case": ["A__1", "A__2", "A__3"], "group": ["p1", "p1", "p2"]})


@pytest.fixture
def read(tmp_path):
    """Returns a function that writes a table and reads it."""

    def written(text, encoding="utf-8"):
        file = tmp_path / "patients.csv"
        file.write_bytes(text.encode(encoding))
        return patients_table.read(file)

    return written


def faults(read, text):
    with pytest.raises(storage.DatasetError) as caught:
        read(text)
    return caught.value.faults


def test_rows_by_case_are_in_the_order_of_the_cases(read):
    rows = read("case,sex\nA__3,f\nA__1,m\nA__2, m\nother,f\n").of_cases(CASES)
    assert rows["sex"].to_dict() == {"A__1": "m", "A__2": "m", "A__3": "f"}


def test_rows_by_group_hold_for_every_case_of_the_group(read):
    table = read("group,height_m\np1,1.80\np2,\n")
    assert table.heights(CASES) == {"A__1": 1.8, "A__2": 1.8}


def test_names_that_are_numbers_stay_texts(read):
    table = read("case,sex\n007,f\n")
    assert table.missing(pd.DataFrame({"case": ["007"], "group": ["007"]})) == []


@pytest.mark.parametrize("text", ["case;height_m\nA__1;1,72\n", "\ufeffcase,height_m\nA__1,1.72\n"])
def test_tables_of_spreadsheet_programs_are_read(read, text):
    assert read(text).heights(CASES[:1]) == {"A__1": 1.72}


def test_a_case_without_a_row_is_an_error_that_names_file_case_and_fix(read):
    table = read("case,sex\nA__1,m\n")
    with pytest.raises(storage.DatasetError, match="patients.csv: no row for the case A__2, A__3. Add a row"):
        table.of_cases(CASES)


def test_a_table_without_names_is_an_error(read):
    assert "no column case or group, only name, sex. Add it" in faults(read, "name,sex\na,f\n")[0]


def test_a_name_with_two_rows_is_an_error(read):
    assert faults(read, "case,sex\na,f\nb,m\na,m\n")[0].endswith("the case a has several rows. Keep one of them.")


@pytest.mark.parametrize("height", ["172", "0", "tall", "nan"])
def test_a_height_that_is_not_in_m_is_an_error(read, height):
    assert f"the case a has the height_m {height}. Give it in m" in faults(read, f"case,height_m\na,{height}\n")[0]


def test_a_missing_file_and_a_binary_file_are_errors(tmp_path, read):
    with pytest.raises(storage.DatasetError, match="not a CSV table"):
        patients_table.read(tmp_path / "none.csv")
    with pytest.raises(storage.DatasetError, match="not a CSV table"):
        read("case,sex\nä,f\n", encoding="utf-16")


def test_columns_with_few_values_divide_into_subgroups(read):
    lines = [
        f"{number},{'fm'[number % 2]},{20 + number},{number % 3},same,1.7,{'' if number else 'x'}"
        for number in range(12)
    ]
    table = read("case,sex,age,asa,site,height_m,note\n" + "\n".join(lines))
    cases = pd.DataFrame({"case": [str(number) for number in range(12)]})
    used, others = patients_table.subgroups(table.of_cases(cases))
    assert list(used) == ["sex", "asa"]
    assert others == ["age", "site", "note"]


def test_empty_cells_form_a_subgroup_of_their_own(read):
    rows = read("case,sex\nA__1,f\nA__2,m\nA__3,\n").of_cases(CASES)
    used, _ = patients_table.subgroups(pd.concat([rows, rows]))
    assert used["sex"].value_counts().to_dict() == {"f": 2, "m": 2, "not given": 2}
