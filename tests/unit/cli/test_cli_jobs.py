"""`carbonq status`, `show`, `explain`, `logs`, `wait`, `cancel` and `run-now`."""

from datetime import timedelta
from typing import Any

import pytest

from carbonq.domain.carbon import Origin, Scope, SignalKind
from carbonq.domain.energy import Component, EnergyReading, Provenance, Quantity
from carbonq.domain.errors import QueueUnreachable
from carbonq.domain.job import Job, JobState, Measurement, Outcome, WaitReason
from carbonq.domain.ports import JobQuery
from carbonq.domain.progress import Pace, Progress, Underway
from carbonq.domain.receipt import Baseline, Receipt, ReceiptStatus
from carbonq.testing import MIDNIGHT, make_job

from .conftest import Cli

LATER = MIDNIGHT + timedelta(hours=3)


def scheduled(job_id: str = "digits-1", **fields: object) -> Job:
    return make_job(
        job_id,
        **{
            "state": JobState.SCHEDULED, "reason": WaitReason.CLEANER_SLOT_AHEAD, "planned_start": LATER,
            "planned_end": LATER + timedelta(hours=1), "planned_emissions_g": 10.0,
        } | fields,
    )  # fmt: skip


def succeeded(job_id: str = "old-1", **fields: object) -> Job:
    times = {
        "submitted_at": MIDNIGHT - timedelta(hours=2),
        "started_at": MIDNIGHT - timedelta(hours=2),
        "finished_at": MIDNIGHT - timedelta(hours=1),
    }
    return make_job(job_id, **{"state": JobState.SUCCEEDED, "exit_code": 0} | times | fields)


def sweep() -> list[Job]:
    return [
        scheduled(
            f"sweep.{i}", array_id="sweep", array_index=i, state=JobState.RUNNING if i < 2 else JobState.SCHEDULED
        )
        for i in range(6)
    ]


def make_receipt(job_id: str = "old-1", avoided_g: float = -2.5) -> Receipt:
    return Receipt(
        status=ReceiptStatus.SETTLED, issued_at=MIDNIGHT, job_id=job_id, name="old", project="default",
        state=JobState.SUCCEEDED, zone="GB", pool="default", submitted_at=MIDNIGHT - timedelta(hours=2),
        started_at=MIDNIGHT - timedelta(hours=2), finished_at=MIDNIGHT - timedelta(hours=1),
        deadline=MIDNIGHT, deadline_met=True, delay_s=0.0, duration_s=3600.0, attempts=1, energy_j=360_000.0,
        emissions_g=22.5, avoided_g=avoided_g, intensity_source="uk", intensity_origins=(Origin.MEASURED,),
        signal=SignalKind.AVERAGE, scope=Scope.DIRECT,
        baseline=Baseline(start=MIDNIGHT - timedelta(hours=2), end=MIDNIGHT - timedelta(hours=1), emissions_g=20.0),
        notes=("RAPL was not readable",),
    )  # fmt: skip


def measured(job_id: str = "old-1") -> Measurement:
    start, end = MIDNIGHT - timedelta(hours=2), MIDNIGHT - timedelta(hours=1)
    return Measurement(
        job_id=job_id, fence=1, attempt=1, worker_id="w1", pool="default", zone="GB", outcome=Outcome.SUCCEEDED,
        started_at=start, ended_at=end, real_started_at=start, real_ended_at=end,
        readings=(
            EnergyReading(component=Component.GPU, energy_j=720_000.0, provenance=Provenance.MEASURED, method="nvml-counter", uncertainty_rel=0.05),
            EnergyReading(component=Component.DRAM, provenance=Provenance.UNKNOWN, method="none"),
        ),
    )  # fmt: skip


# --- status


def test_an_empty_queue_says_what_to_do_next(cli: Cli) -> None:
    done = cli("status")
    assert (done.code, done.out) == (0, "")
    assert "`carbonq submit job.yaml`" in done.err
    assert cli("status", "--json").json == []


def test_status_lists_newest_first_with_state_start_slack_carbon_and_reason(cli: Cli) -> None:
    cli.holds(succeeded(), scheduled())
    cli.client.booked = [make_receipt()]
    done = cli("status")
    assert done.out.splitlines() == [
        "JOB       STATE      START (UTC)  SLACK    CO2E  WHY",
        "digits-1  scheduled  03:00          20h  10.0 g  a cleaner time is ahead",
        "old-1     succeeded  Sun 22:00     1d1h  22.5 g  ended 1h ago",
    ]
    assert "1 waiting, 0 running, 1 ended" in done.err
    assert "no worker is running" in done.err


def test_an_arrays_tasks_share_a_row(cli: Cli) -> None:
    cli.holds(*sweep(), succeeded("sweep.6", array_id="sweep", array_index=6))
    [_, row] = cli("status").out.splitlines()
    assert row.split("  ")[:2] == ["sweep", "7 tasks: 2 running, 4 scheduled, 1 succeeded"]


def test_an_array_larger_than_a_page_is_counted_whole(cli: Cli) -> None:
    cli.holds(*(scheduled(f"big.{i}", array_id="big", array_index=i) for i in range(1201)))
    assert "1,201 tasks: 1,201 scheduled" in cli("status", "--limit", "1").out


def test_status_says_what_ended_a_job_in_one_line(cli: Cli) -> None:
    cli.holds(
        succeeded("a-1", state=JobState.FAILED, error="workdir /nope does not exist\nset it to one that does"),
        succeeded("b-1", state=JobState.CANCELLED, error="its parent a-1 ended as failed"),
        succeeded("c-1", state=JobState.CANCELLED, error="cancelled"),
    )
    whys = {row.split()[0]: row.split("  ")[-1] for row in cli("status").out.splitlines()[1:]}
    assert whys == {
        "a-1": "workdir /nope does not exist",
        "b-1": "its parent a-1 ended as failed",
        "c-1": "ended 1h ago",
    }
    assert "workdir /nope does not exist; set it to one that does" in cli("show", "a-1").out


def test_an_array_shows_the_start_that_is_ahead_and_why_it_is_then(cli: Cli) -> None:
    noon = MIDNIGHT + timedelta(hours=12)
    cli.holds(
        scheduled("s.0", array_id="s", state=JobState.RUNNING, started_at=MIDNIGHT),
        scheduled("s.1", array_id="s", planned_start=noon, reason_detail="clean by then"),
        scheduled("s.2", array_id="s", reason_detail="a clean hour", planned_end=MIDNIGHT + timedelta(hours=30)),
    )
    assert (
        cli("status").out.splitlines()[1]
        == "s    3 tasks: 1 running, 2 scheduled  03:00        6h late  30.0 g  a clean hour"
    )


def test_status_never_reads_an_array_task_by_task(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.holds(*sweep())
    rows = cli.client.rows(JobQuery())
    monkeypatch.setattr(cli.client, "rows", lambda _query: rows)
    monkeypatch.setattr(cli.client, "held", [])
    assert "6 tasks" in cli("status").out


def test_naming_an_array_unfolds_it(cli: Cli) -> None:
    cli.holds(*sweep())
    assert len(cli("status", "sweep").out.splitlines()) == 7


def test_status_as_json_is_every_job_unfolded(cli: Cli) -> None:
    cli.holds(*sweep())
    answer = cli("--json", "status").json
    assert len(answer) == 6
    assert {"id", "state", "planned_start", "planned_emissions_g"} <= answer[0].keys()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--state", "waiting"), {"digits-1"}),
        (("--state", "ended"), {"old-1"}),
        (("--state", "running", "--state", "succeeded"), {"old-1"}),
        (("--project", "other"), {"other-1"}),
        (("--all",), {"digits-1", "old-1", "other-1"}),
    ],
)
def test_status_filters(cli: Cli, flags: tuple[str, ...], expected: set[str]) -> None:
    cli.holds(scheduled(), succeeded(), make_job("other-1", project="other", state=JobState.FAILED))
    assert {job["id"] for job in cli("status", *flags, "--json").json} - {"other-1"} == expected - {"other-1"}


def test_waiting_jobs_show_behind_however_many_newer_ended_ones(cli: Cli) -> None:
    cli.holds(
        scheduled("first", submitted_at=MIDNIGHT - timedelta(days=3)),
        *(succeeded(f"old-{i}", submitted_at=MIDNIGHT - timedelta(minutes=i)) for i in range(30)),
    )
    done = cli("status", "--limit", "5")
    assert "first" in done.out
    assert len(done.out.splitlines()) == 1 + 5 + 1
    assert "carbonq status --all" in done.err


def test_an_unknown_state_exits_2_with_a_suggestion(cli: Cli) -> None:
    done = cli("status", "--state", "runing")
    assert (done.code, "did you mean running?" in done.err) == (2, True)


def test_a_late_job_says_so(cli: Cli) -> None:
    cli.holds(scheduled(planned_end=MIDNIGHT + timedelta(days=1, hours=2)))
    assert "2h late" in cli("status").out


def test_a_hostile_name_cannot_drive_the_terminal(cli: Cli) -> None:
    cli.holds(scheduled("evil\x1b[2J\x9b31m\u202e\r\n-1", reason_detail="\x1b]0;owned\x07"))
    for command in (("status",), ("show", "evil"), ("explain", "evil"), ("wait", "evil"), ("cancel", "evil")):
        done = cli(*command)
        for bad in "\x1b\x07\x9b\u202e\r":
            assert bad not in done.out + done.err, command


# --- show and explain


def test_show_has_attempts_energy_with_provenance_and_the_receipt(cli: Cli) -> None:
    cli.holds(succeeded())
    cli.client.measured["old-1"] = [measured()]
    cli.client.booked = [make_receipt()]
    out = cli("show", "old-1").out
    assert "command    python train.py" in out
    assert "GPU     200 Wh ± 5.0 %  measured                nvml-counter" in out
    assert "memory         unknown  unknown                 none" in out
    assert "total   200 Wh ± 5.0 %  without 1 unknown part" in out
    assert "Receipt (settled, revision 1)" in out
    assert "avoided             -2.50 g" in out
    assert "intensity           uk (average direct, measured)" in out
    assert "RAPL was not readable" in out


def test_show_as_json_has_job_spec_measurements_and_receipt(cli: Cli) -> None:
    cli.holds(succeeded())
    cli.client.measured["old-1"] = [measured()]
    answer = cli("show", "old-1", "--json").json
    assert answer.keys() == {"job", "spec", "measurements", "receipt", "progress", "pace"}
    assert answer["measurements"][0]["readings"][0]["energy_j"] == 720_000.0
    assert (answer["receipt"], answer["progress"], answer["pace"]) == (None, None, None)


def slow(cli: Cli, *, pace: bool = True, **told: Any) -> Job:
    """A running job of 3 of 10 epochs, each of which takes two hours."""
    job = make_job("slow-1", state=JobState.RUNNING, started_at=MIDNIGHT, fence=1)
    cli.holds(job)
    defaults: dict[str, Any] = {
        "job_id": job.id,
        "fence": 1,
        "total": 10,
        "unit": "epoch",
        "points": ((cli.client.clock, 3.0),),
    }
    left = Quantity(p10=12 * 3600, p50=14 * 3600, p90=16 * 3600)
    found = Pace(
        at=cli.client.clock, done=3, total=10, unit="epoch", rate_per_s=1 / 7200, steps=3, remaining_s=left
    )  # fmt: skip
    cli.client.told[job.id] = Underway(Progress(**(defaults | told)), found if pace else None)
    return job


def test_a_running_job_shows_how_far_it_is_and_when_it_ends_by_its_measured_rate(cli: Cli) -> None:
    job = slow(cli)
    shown = cli("show", job.id).out
    assert "3 of 10 epochs, 14h left" in shown
    assert "2h per epoch, measured over 3 steps" in shown
    assert "in 14h (12:00 to 16:00 in 80 of 100 cases)" in shown
    assert "3 of 10 epochs, 14h left" in cli("status").out
    answer = cli("show", job.id, "--json").json
    assert (answer["progress"]["total"], answer["pace"]["remaining_s"]["p50"]) == (10, 14 * 3600)


def test_a_job_that_will_be_late_by_its_measured_rate_says_so(cli: Cli) -> None:
    job = slow(cli)
    cli.client.clock = job.deadline - timedelta(hours=1)
    cli.client.told[job.id] = cli.client.told[job.id]._replace(
        pace=Pace(at=cli.client.clock, done=3, total=10, rate_per_s=1, steps=3, remaining_s=Quantity.around(7200, 0.1))
    )
    assert "1h late" in cli("status").out


def test_without_a_pace_the_progress_alone_is_shown(cli: Cli) -> None:
    job = slow(cli, pace=False, total=None, unit=None)
    shown = cli("show", job.id).out
    assert "3 done" in shown
    assert "expected end" not in shown


def test_show_of_an_array_lists_its_tasks(cli: Cli) -> None:
    cli.holds(*sweep())
    assert len(cli("show", "sweep").out.splitlines()) == 7
    assert len(cli("show", "sweep", "--json").json["tasks"]) == 6


def test_explain_says_why_and_shows_the_alternatives(cli: Cli) -> None:
    cli.holds(scheduled())
    done = cli("explain", "digits")
    assert done.out.splitlines()[0] == "digits-1 waits for cleaner power."
    assert "AGAINST THE PLAN" in done.out
    assert cli("explain", "digits", "--json").json["quote"]["planned_start"] == "2026-01-05T03:00:00Z"


def test_explain_of_an_ended_job_has_no_quote(cli: Cli) -> None:
    cli.holds(succeeded())
    assert cli("explain", "old-1").out == "old-1 waits for cleaner power.\n"


@pytest.mark.parametrize("command", ["show", "explain", "logs", "cancel", "run-now", "wait", "status"])
def test_an_unknown_job_exits_3(cli: Cli, command: str) -> None:
    done = cli(command, "nobody")
    assert (done.code, done.out) == (3, "")
    assert "no job 'nobody'" in done.err


# --- logs


def test_logs_say_where_the_rest_is_when_only_the_end_is_kept(cli: Cli) -> None:
    cli.holds(succeeded(worker_id="node-7", fence=3))
    cli.client.cut.add("old-1")
    cli.client.output = [b"the end\n"]
    done = cli("logs", "old-1")
    assert done.out == "the end\n"
    assert "the whole of it is on node-7, in worker/attempts/old-1.3/log" in done.err


def test_logs_pass_every_byte_to_a_pipe(cli: Cli) -> None:
    cli.holds(succeeded())
    cli.client.output = [b"step 1\n", b"\x1b[31mred\x1b[0m \x1b[2J\n"]
    done = cli("logs", "old-1")
    assert done.out == "step 1\n\x1b[31mred\x1b[0m \x1b[2J\n"
    assert ("logs", "old-1", False) in cli.client.asked


def test_logs_as_json_are_lines_whatever_the_chunks(cli: Cli) -> None:
    cli.holds(succeeded())
    cli.client.output = [b"one\ntw", b"o\nthr\xc3", b"\xa9e"]
    assert [line["line"] for line in cli("logs", "old-1", "--json").json_lines] == ["one", "two", "thrée"]


def test_following_a_job_that_waits_says_until_when(cli: Cli) -> None:
    cli.holds(scheduled())
    done = cli("logs", "-f", "digits-1")
    assert "waiting for digits-1 to start, planned for Mon 05 Jan 03:00 UTC, in 3h" in done.err
    assert ("logs", "digits-1", True) in cli.client.asked


def test_no_output_yet_is_said(cli: Cli) -> None:
    cli.holds(scheduled())
    assert "no output yet: digits-1 is scheduled" in cli("logs", "digits-1").err


# --- wait, cancel, run-now


def test_wait_prints_each_job_as_it_ends(cli: Cli) -> None:
    cli.holds(succeeded())
    done = cli("wait", "old-1", "--timeout", "2h")
    assert (done.code, done.out) == (0, "succeeded  old-1 after 1h\n")
    assert cli.client.asked == [("wait", ("old-1",), 7200.0)]


def test_wait_exits_1_if_one_did_not_succeed(cli: Cli) -> None:
    cli.holds(succeeded(), succeeded("bad-1", state=JobState.FAILED, exit_code=2, error="exit 2"))
    done = cli("wait", "old-1", "bad-1")
    assert done.code == 1
    assert "failed  bad-1 after 1h: exit 2" in done.out
    assert "1 of 2 did not succeed" in done.err


def test_wait_without_jobs_waits_for_all_that_are_open(cli: Cli) -> None:
    cli.holds(*sweep(), scheduled(), succeeded())
    cli("wait")
    [(_, ids, _)] = cli.client.asked
    assert set(ids) == {"sweep", "digits-1"}


def test_wait_with_nothing_open_is_done(cli: Cli) -> None:
    done = cli("wait")
    assert (done.code, "nothing to wait for" in done.err) == (0, True)


def test_wait_gives_up_in_time(cli: Cli) -> None:
    cli.holds(scheduled())
    cli.client.failure = TimeoutError("digits-1 has not ended within 1s")
    done = cli("wait", "digits-1", "--timeout", "1s")
    assert done.code == 1
    assert "digits-1 has not ended within 1s" in done.err


def test_a_span_without_a_unit_exits_2(cli: Cli) -> None:
    done = cli("wait", "--timeout", "90")
    assert (done.code, "90" in done.err, "--timeout" in done.err) == (2, True, True)


def test_wait_as_json_is_one_job_a_line(cli: Cli) -> None:
    cli.holds(succeeded(), succeeded("old-2"))
    assert [job["id"] for job in cli("wait", "old-1", "old-2", "--json").json_lines] == ["old-1", "old-2"]


def test_cancel_says_what_became_of_each(cli: Cli) -> None:
    cli.holds(scheduled())
    assert cli("cancel", "digits-1").out == "digits-1  cancelled\n"
    assert cli("cancel", "digits-1", "--json").json[0]["state"] == "cancelled"
    assert cli.client.cancelled == ["digits-1", "digits-1"]


def test_run_now_says_what_became_of_each(cli: Cli) -> None:
    cli.holds(scheduled())
    assert cli("run-now", "digits-1").out == "digits-1  ready\n"
    assert cli.client.hurried == ["digits-1"]


def test_a_queue_that_goes_away_exits_4(cli: Cli) -> None:
    cli.client.failure = QueueUnreachable("the queue does not answer", hint="`carbonq up` starts one")
    done = cli("status")
    assert (done.code, done.err.splitlines()[0]) == (4, "error: the queue does not answer")
