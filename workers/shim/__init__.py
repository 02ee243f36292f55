"""The shim: the one process between the worker and a job. It outlives the worker, and needs the standard library alone.

Started by `runner` as `python -I -S`, it waits on its standard input, a Unix socket, for one line of JSON, the order; secrets
come that way and no other. Closing the socket before the order ends an idle shim; closing it later changes nothing.

In the attempt's folder it writes
    shim.json     who the shim (written by the worker before the order) and the job are: pid, start ticks and boot id
                  together survive the reuse of a pid; and the job's control group, where it has one
    log           what the job prints, bounded; where it cannot be written it is counted and dropped, and the job runs on
    meter.jsonl   counters over time below a header of columns and boot id, bounded to `journal.points` by doubling the
                  interval; its last line is at most 10 s old
    gpus.jsonl    energy counters of the job's GPUs, in the same way, every 10 s and at the end
    exit.json     how it ended, written once, by fsync and rename, into room that was reserved at the start
and reads
    stop          why it is to be stopped; SIGTERM says that there is something to read

While it lives it renews the job's lease itself, so that the worker may be away; after the job's end it lingers with the
lease until SIGTERM tells it that the end was reported, or `linger_s` is over.
"""
