"""`make demo` as a newcomer sees it: real jobs on a replayed day, the report, and nothing left behind."""

import re
import shutil
import time
from html.parser import HTMLParser

import pytest

from .conftest import ROOT, Machine

DEMO_LIMIT_S = 120


@pytest.mark.timeout(300)
def test_the_demo_ends_by_itself_within_its_time_with_every_shortcut_told(machine: Machine) -> None:
    shutil.copytree(ROOT / "configs", machine.home / "configs")
    began = time.monotonic()
    done = machine.run("demo", timeout=200)
    took_s = time.monotonic() - began

    assert took_s < DEMO_LIMIT_S
    assert re.search(r"^total +8 ", done.stdout, re.MULTILINE), done.stdout
    assert "8/8" in done.stdout, "every deadline is met"
    avoided = re.search(r"emitted, (-?[\d.]+) \S+ \((-?[\d.]+) %\) less", done.stdout)
    assert avoided is not None, done.stdout
    assert float(avoided[1]) > 0, "a June day has clean hours ahead of every deadline"
    for told in ("replayed", "seeded error", "typical", "Energy is real"):
        assert told in done.stdout + done.stderr
    page = (machine.home / "demo-report.html").read_text()
    HTMLParser().feed(page)
    assert page.count("<svg") >= 3
    assert "Replayed" in page
    assert machine.left_running() == []
