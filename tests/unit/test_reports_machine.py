"""Reports for programs."""

import csv
import io
import json

import pytest

from carbonq.domain.receipt import Receipt
from carbonq.reports import render
from carbonq.testing import MIDNIGHT, make_receipt


def rows(*receipts: Receipt) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(receipts, "csv", issued_at=MIDNIGHT))))


def test_csv_has_one_receipt_a_row_in_base_units() -> None:
    (row,) = rows(make_receipt(labels={"team": "vision"}))
    expected = {
        "job_id": "job-1",
        "labels": '{"team": "vision"}',
        "finished_at": "2026-01-05T02:00:00Z",
        "deadline_met": "true",
        "energy_j": "3600000.0",
        "gpu_energy_j": "3600000.0",
        "cpu_energy_j": "",
        "energy_provenance": "measured",
        "emissions_g": "300.0",
        "baseline_g": "400.0",
        "avoided_g": "100.0",
    }
    assert {key: row[key] for key in expected} == expected


def test_an_unknown_is_an_empty_cell_and_a_negative_number_stays_a_number() -> None:
    unknown, worse = rows(
        make_receipt("a", energy_j=None, emissions_g=None, baseline_g=None), make_receipt("b", emissions_g=500)
    )
    assert (unknown["energy_j"], unknown["avoided_g"], unknown["deadline_met"]) == ("", "", "true")
    assert float(worse["avoided_g"]) == -100


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1"])
def test_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    (row,) = rows(make_receipt(name=text, notes=(text,)))
    assert (row["name"], row["notes"]) == ("'" + text, "'" + text)


def test_commas_and_quotes_survive_and_a_receipt_stays_one_line() -> None:
    text = render([make_receipt(name='a, "b"\r\nc\x1b')], "csv", issued_at=MIDNIGHT)
    assert text.count("\n") == 2
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["name"] == 'a, "b"\ufffd\ufffdc\ufffd'


def test_a_formula_behind_control_characters_is_defused_too() -> None:
    for start in ("\t", "\r", "\n"):
        assert rows(make_receipt(name=start + "=1"))[0]["name"] == "'\ufffd=1"


def test_json_holds_sums_sources_and_every_receipt() -> None:
    receipts = [make_receipt("a", project="x"), make_receipt("b", project="y", emissions_g=None)]
    document = json.loads(render(receipts, "json", issued_at=MIDNIGHT, title="T", notes=["n"]))
    assert document["schema_version"] == 1
    assert (document["title"], document["issued_at"]) == ("T", "2026-01-05T00:00:00Z")
    assert [group["name"] for group in document["groups"]] == ["x", "y"]
    assert (document["total"]["jobs"], document["total"]["avoided_g"]) == (2, 100)
    assert document["total"]["emissions_unknown_jobs"] == 1
    assert document["sources"][0]["source"] == "csv"
    assert document["notes"] == [{"text": "n", "jobs": 0}]
    assert [Receipt.model_validate(each) for each in document["receipts"]] == receipts


def test_json_of_nothing_is_still_a_report() -> None:
    document = json.loads(render([], "json", issued_at=MIDNIGHT))
    assert (document["total"]["jobs"], document["total"]["energy_j"], document["receipts"]) == (0, None, [])


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="pdf"):
        render([], "pdf", issued_at=MIDNIGHT)
