"""`carbonq submit` and the dry run of `carbonq plan`."""

from datetime import timedelta
from pathlib import Path

import pytest

from carbonq.domain.energy import PowerProfile
from carbonq.domain.errors import Infeasible, JobConflict, QueueUnreachable
from carbonq.domain.job import JobState, WaitReason
from carbonq.testing import MIDNIGHT, make_job

from .conftest import Cli, make_quote

JOB = "name: digits\nrun: python train.py\ndeadline: 18h\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "job.yaml").write_text(JOB)
    return str(tmp_path / "job.yaml")


def test_submit_says_when_how_much_and_what_next(cli: Cli, file: str) -> None:
    done = cli("submit", file)
    assert done.code == 0
    assert done.out.splitlines() == [
        "Submitted digits",
        "  job       digits-1",
        "  start     Mon 05 Jan 03:00 UTC, in 3h, in GB",
        "  why       a cleaner time is ahead",
        "  energy    100 Wh (modelled: 100 W, declared, for 1h, declared)",
        "  carbon    10.0 gCO2e planned (8.00 g to 13.0 g), 20.0 g if it started now: 10.0 g less (50 %)",
        "  slack     20h before the deadline, Tue 06 Jan 00:00 UTC, in 1d",
        "  forecast  uk, 12m old (forecast)",
    ]
    assert "carbonq status" in done.err
    assert "carbonq logs -f digits-1" in done.err
    assert "carbonq explain digits-1" in done.err


def test_the_client_gets_the_file_byte_for_byte_the_id_and_who_asks(cli: Cli, file: str) -> None:
    assert cli("submit", file, "--id", "mine").code == 0
    [(handed, job_id, submitter)] = cli.client.submitted
    assert (handed.document, job_id) == (JOB.encode(), "mine")
    assert isinstance(submitter, str)


def test_the_same_id_again_changes_nothing_and_says_so(cli: Cli, file: str) -> None:
    cli("submit", file, "--id", "mine")
    done = cli("submit", file, "--id", "mine")
    assert (done.code, done.out.splitlines()[0]) == (0, "Already submitted: digits, nothing changed")


def test_submit_as_json_is_one_object_a_file(cli: Cli, file: str) -> None:
    [answer] = cli("submit", file, "--json").json_lines
    assert answer["job_id"] == "digits-1"
    assert answer["new"] is True
    assert answer["quote"]["emissions_planned_g"] == 10.0
    assert answer["quote"]["planned_start"] == "2026-01-05T03:00:00Z"
    assert len(cli("submit", file, file, "--json").json_lines) == 2


def test_several_files_take_one_line_each(cli: Cli, file: str, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(JOB.replace("digits", "more") + "array: 6\n")
    done = cli("submit", file, str(tmp_path / "more.yaml"))
    assert done.out.splitlines() == [
        "digits-1  03:00  10.0 g  10.0 g less (50 %)",
        "more-1 (6 tasks)  03:00  10.0 g  10.0 g less (50 %)",
    ]


def test_mistakes_in_all_files_are_told_before_anything_is_submitted(cli: Cli, file: str, tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("name: digits\nrun: x\n")
    done = cli("submit", file, str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"))
    assert (done.code, done.out, cli.client.submitted) == (2, "", [])
    assert "one.yaml" in done.err
    assert "two.yaml" in done.err


def test_a_job_that_cannot_meet_its_deadline_exits_5_and_leaves_the_others(cli: Cli, file: str, tmp_path: Path) -> None:
    (tmp_path / "late.yaml").write_text(JOB.replace("digits", "late"))
    cli.client.spoilt["late"] = Infeasible("late cannot be done in 18h", hint="the earliest finish is in 20h")
    done = cli("submit", str(tmp_path / "late.yaml"), file)
    assert done.code == 5
    assert done.out.startswith("digits-1")
    assert "late cannot be done in 18h" in done.err
    assert "late.yaml" in done.err
    assert "the earliest finish is in 20h" in done.err


def test_an_id_taken_by_another_job_exits_2(cli: Cli, file: str) -> None:
    cli.client.spoilt["digits"] = JobConflict("the id 'mine' is taken by another job")
    assert cli("submit", file, "--id", "mine").code == 2


def test_an_id_goes_with_one_file(cli: Cli, file: str) -> None:
    done = cli("submit", file, file, "--id", "mine")
    assert (done.code, cli.client.submitted) == (2, [])


def test_a_missing_file_exits_3_and_a_folder_2(cli: Cli, tmp_path: Path) -> None:
    missing, folder = cli("submit", str(tmp_path / "no.yaml")), cli("submit", str(tmp_path))
    assert (missing.code, folder.code) == (3, 2)
    assert "no.yaml" in missing.err
    assert "Traceback" not in missing.err + folder.err


def test_submit_can_wait_and_fails_with_the_job(cli: Cli, file: str) -> None:
    cli.holds(make_job("digits-1", state=JobState.FAILED, exit_code=3, finished_at=MIDNIGHT))
    done = cli("submit", file, "--wait")
    assert done.code == 1
    assert "failed  digits-1: exit 3" in done.out


def test_what_is_not_known_is_said(cli: Cli, file: str) -> None:
    cli.client.quoted = make_quote(
        emissions_now_g=None, emissions_planned_g=None, origin=None, forecast_age_s=None, reason=WaitReason.NO_FORECAST,
        warnings=("no source answers for GB",),
    )  # fmt: skip
    done = cli("submit", file)
    assert "carbon    unknown: no forecast for GB" in done.out
    assert "forecast  none for GB: the job runs by its deadline all the same" in done.out
    assert "note: no source answers for GB" in done.err


def test_an_array_that_reaches_beyond_the_forecast_says_how_much_of_it_does(cli: Cli, file: str) -> None:
    cli.client.quoted = make_quote(emissions_planned_g=None, unforeseen_tasks=1)
    assert "carbon    unknown: it would run beyond the forecast" in cli("submit", file).out
    cli.client.quoted = make_quote(emissions_planned_g=None, unforeseen_tasks=7598, slack_s=-7200.0)
    array = Path(file).with_name("array.yaml")
    array.write_text(Path(file).read_text(encoding="utf-8") + "array: 10000\n", encoding="utf-8")
    done = cli("submit", str(array))
    assert "carbon    unknown: 7,598 of 10,000 tasks would run beyond the forecast" in done.out
    assert "slack     the last task ends 2h after the deadline, Tue 06 Jan 00:00 UTC" in done.out


def test_a_plan_that_emits_more_says_more(cli: Cli, file: str) -> None:
    cli.client.quoted = make_quote(emissions_now_g=10.0, emissions_planned_g=12.0)
    assert "2.00 g more (20 %)" in cli("submit", file).out


def test_the_queue_out_of_reach_exits_4_in_three_lines(cli: Cli, file: str) -> None:
    def unreachable(settings: object) -> object:
        raise QueueUnreachable("cannot reach the queue", where="redis://x:1/0", hint="`carbonq up` starts one")

    cli.house.client = unreachable
    done = cli("submit", file)
    assert done.code == 4
    assert done.err.splitlines() == [
        "error: cannot reach the queue",
        "       redis://x:1/0",
        "       `carbonq up` starts one",
    ]


def test_a_dry_run_shows_alternatives_and_submits_nothing(cli: Cli, file: str) -> None:
    done = cli("plan", file)
    assert (done.code, cli.client.submitted) == (0, [])
    assert done.out.splitlines()[0] == "digits would run like this"
    assert done.out.splitlines()[-4:] == [
        "START (UTC)  END      CO2E  AGAINST THE PLAN",
        "00:00        01:00  20.0 g  10.0 g more",
        "03:00        04:00  10.0 g  planned",
        "06:00        07:00  15.0 g  5.00 g more",
    ]
    assert "Nothing was submitted" in done.err


def test_the_planned_start_stands_among_its_alternatives(cli: Cli, file: str) -> None:
    cli.client.quoted = make_quote(
        planned_start=MIDNIGHT + timedelta(minutes=7), planned_end=MIDNIGHT + timedelta(minutes=67)
    )
    assert "00:07        01:07  10.0 g  planned" in cli("plan", file).out


def test_a_dry_run_as_json_is_the_quote(cli: Cli, file: str) -> None:
    assert cli("plan", file, "--json").json["name"] == "digits"


def test_a_dry_run_of_an_impossible_job_exits_5_with_its_earliest_finish(cli: Cli, file: str) -> None:
    cli.client.quoted = make_quote(feasible=False, slack_s=-7200.0, deadline=MIDNIGHT + timedelta(hours=2))
    done = cli("plan", file)
    assert done.code == 5
    assert "2h late" in done.out
    assert "the earliest finish is Mon 05 Jan 01:00 UTC, in 1h" in done.err


def test_energy_says_how_it_is_known(cli: Cli, file: str) -> None:
    profile = PowerProfile.model_validate(make_quote().profile.model_dump() | {"power_method": "past-runs"})
    cli.client.quoted = make_quote(profile=profile)
    assert "(modelled: 100 W, past-runs, for" in cli("submit", file).out


def test_a_job_file_may_come_from_stdin(cli: Cli) -> None:
    assert cli("submit", "-", text=JOB).code == 0
    assert cli.client.submitted[0][0].spec.name == "digits"
