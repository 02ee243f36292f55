"""A scheduler in a process of its own, for tests that kill it: `python scheduler_process.py URL HOLDER`."""

import logging
import sys

from carbonq.clock import SystemClock
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.scheduler.ledger import RedisLedger
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.queue.board import RedisBoard
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.service import SchedulerService, SchedulerSettings


def service(url: str, holder: str) -> SchedulerService:
    """A quick scheduler of zone FR on typical profiles, at the wall's time."""
    store = Store.connect(url)
    return SchedulerService(
        SchedulerSettings(zone="FR", horizon_s=24 * 3600, lead_real_s=1.0, recover_real_s=0.5, debounce_real_s=0.05),
        queue=RedisQueue(store),
        board=RedisBoard(store),
        ledger=RedisLedger(store),
        clock=SystemClock(),
        planner=FirstComePlanner(),
        outlook=Outlook([]),
        holder=holder,
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    service(sys.argv[1], sys.argv[2]).run()
