"""The sentences that the terminal and the page share. Pure."""

from collections.abc import Iterator

from carbonq.domain.energy import Component
from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports.provenance import IntensityUse, kind_of
from carbonq.reports.summary import Tally


def verdict(total: Tally) -> str:
    """The one sentence that a report is read for."""
    if total.avoided_g is None:
        return "What was avoided is unknown: no job has both its emissions and its baseline."
    if total.avoided_g == 0:
        return f"{fmt.co2e(total.compared_emissions_g)} emitted, as much as starting at once would have."
    share = "" if total.avoided_rel is None else f" ({fmt.percent(abs(total.avoided_rel))})"
    what = "more than" if total.avoided_g < 0 else "less than"
    of = (
        ""
        if total.compared_jobs == total.jobs
        else f" (the {fmt.count(total.compared_jobs, 'job')} where both are known)"
    )
    return (
        f"{fmt.co2e(total.compared_emissions_g)} emitted, {fmt.co2e(abs(total.avoided_g))}{share} {what} the"
        f" {fmt.co2e(total.baseline_g)} of starting at once{of}."
    )


def ended(total: Tally) -> str:
    """`30 jobs (1 failed)`."""
    others = [f"{number:,} {state}" for state, number in total.states.items() if state is not JobState.SUCCEEDED]
    return fmt.count(total.jobs, "job") + (f" ({', '.join(others)})" if others else "")


def heading_of(by: str) -> str:
    return fmt.printable(by.removeprefix("label:"))


def group_name(name: str | None, by: str) -> str:
    return fmt.printable(name) if name is not None else f"(no {heading_of(by)})"


def deadlines(tally: Tally) -> str:
    """`29/30`: met of those known."""
    known = tally.deadlines_met + tally.deadlines_missed
    return f"{tally.deadlines_met:,}/{known:,}" if known else fmt.UNKNOWN


def energy_knowledge(total: Tally) -> str:
    """`1.20 kWh ± 8.0 %: 62 % measured, 38 % modelled`."""
    sure = "" if total.energy_uncertainty_rel is None else f" ± {fmt.percent(total.energy_uncertainty_rel)}"
    return ": ".join(filter(None, [fmt.energy(total.energy_j) + sure, shares(total)]))


def beside_all(total: Tally) -> Iterator[tuple[str, str]]:
    """What stands beside the sums and in none of them, with its name."""
    if total.facility_jobs:
        drawn = f"{fmt.energy(total.facility_energy_j)}, {fmt.co2e(total.facility_g)}"
        jobs = f"({fmt.count(total.facility_jobs, 'job')})"
        yield "building", f"{drawn} on top, for cooling and losses by the sites' PUE {jobs}; in no figure above"
    if total.embodied_jobs:
        jobs = f"({fmt.count(total.embodied_jobs, 'job')})"
        yield "making", f"{fmt.co2e(total.embodied_g)} on top, for making the machines {jobs}; in no figure above"


def shares(total: Tally) -> str:
    """`62 % measured, 38 % modelled`; empty where no energy is known."""
    known_j = total.measured_energy_j + total.modelled_energy_j
    if not known_j:
        return ""
    if not (total.measured_energy_j and total.modelled_energy_j):
        return "all measured" if total.measured_energy_j else "all modelled"
    measured = total.measured_energy_j / known_j
    return f"{fmt.percent(measured)} measured, {fmt.percent(1 - measured)} modelled"


def job_name(receipt: Receipt) -> str:
    """Its name, and for a task of an array its number as in the id: `sweep.3`."""
    _, dot, index = receipt.job_id.rpartition(".")
    return f"{receipt.name}.{index}" if dot and index.isdecimal() else receipt.name


def settled(total: Tally) -> str:
    """`28 settled (3 revised since, as their grids changed the actual intensity), 2 provisional until the grid's actual …`."""
    done = f"{total.jobs - total.provisional_jobs:,} settled"
    if total.revised_jobs:
        done += f" ({total.revised_jobs:,} revised since, as their grids changed the actual intensity)"
    waiting = f", {total.provisional_jobs:,} provisional until the grid's actual intensity is published"
    return done + (waiting if total.provisional_jobs else "")


def part_name(component: Component) -> str:
    """`GPU`, `CPU`, `memory`, `other`."""
    return {Component.DRAM: "memory", Component.OTHER: "other"}.get(component, component.upper())


def known_as(source: IntensityUse) -> str:
    """`average lifecycle, measured and estimated`."""
    return ", ".join(filter(None, (kind_of(source), " and ".join(source.origins) or "of unknown origin")))
