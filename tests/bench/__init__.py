"""Measurements, as commands: they assert nothing, and figures are to be compared within one run only.

`make bench` runs all of them on the same servers (`python -m tests.bench --only contest`: some of them):

    contest     contest.py     commands a second, in turn: Switchboard, the rival and UmaDB (peers.py), ceilings.py
    latency     open_loop.py   latency at fixed rates, from the moment a command was due
    alone       alone.py       one command at a time against one flushed insert and one round trip
    freshness   freshness.py   a question right after its command
    stream      following.py   from a commit to its event on the stream
    bulk        bulk.py        `switchboard load` beside generators of load
    log         rebuild.py     one writer without the bus, the relay catching up, each view made anew
    growth      growth.py      a million commands: what a command costs then, and memory (with --long)

`python -m tests.bench.cpu` is the one to steer by: what a command costs in processor time, by process.

load.py is the load generator, meter.py reads processes, stage.py has the servers, report.py and chart.py tell.
"""
