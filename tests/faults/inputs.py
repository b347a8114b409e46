"""Inputs that change while they are read, and clocks that are wrong."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from harness import Project, Ran, holds, ratings
from kills import finished

CALLS = ["openat", "statx", "newfstatat", "fstat", "read", "lseek", "readlink", "close"]
BEFORE, AFTER = ratings(seed=1), ratings(seed=2)
LONGER = BEFORE + b"31\t1\t5\t7\n31\t2\t5\t8\n31\t3\t4\t9\n"
SHORTER = b"".join(BEFORE.splitlines(keepends=True)[:240])
# Another digit in the same place: the same length.
SAME_LENGTH = BEFORE.replace(b"\t5\t", b"\t4\t", 3)


def append(path):
    with open(path, "ab") as file:
        file.write(LONGER[len(BEFORE):])


def shrink(path):
    os.truncate(path, len(SHORTER))


def replace(path):
    other = path.with_suffix(".new")
    other.write_bytes(AFTER)
    other.rename(path)


def rewrite(path):
    path.write_bytes(AFTER)


def forge(path):
    """The same length, and the time set back."""
    was = path.stat()
    with open(path, "r+b") as file:
        file.write(SAME_LENGTH)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def backdate(path):
    """Another length, and a time in the past."""
    path.write_bytes(AFTER)
    os.utime(path, (1_000_000_000, 1_000_000_000))


def empty(path):
    path.write_bytes(b"")


def directory(path):
    path.unlink()
    path.mkdir()


CHANGES = {
    "grows": (append, LONGER), "shrinks": (shrink, SHORTER), "is replaced": (replace, AFTER), "is rewritten": (rewrite, AFTER),
    "is forged": (forge, SAME_LENGTH), "is rewritten and backdated": (backdate, AFTER), "vanishes": (Path.unlink, None),
    "is emptied": (empty, None), "becomes a directory": (directory, None),
}


def held(project, call, n, path, act, *command):
    """Stops the program at the Nth call that concerns a path, acts, and lets it go on. None if it was not stopped."""
    log = project.bench.dir / "held.log"
    log.unlink(missing_ok=True)
    prefix = ["strace", "-f", "-qq", "-o", str(log), "-P", str(path), "-e", f"trace={call}", "-e", f"inject={call}:signal=STOP:when={n}"]
    child = project.spawn(*command, prefix=prefix)
    stopped = False
    begun = time.monotonic()
    while child.poll() is None and time.monotonic() - begun < 30:
        text = log.read_text(errors="replace") if log.exists() else ""
        if found := re.search(r"^(\d+) .*stopped by SIGSTOP", text, re.M):
            stopped = True
            act(path)
            pid = int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()[0])
            os.kill(pid, signal.SIGCONT)
            break
        time.sleep(0.001)
    out, err = child.communicate(timeout=60)
    return Ran(child.returncode, out, err, 0) if stopped else None


def while_reading(bench, row):
    if not bench.strace:
        row.skipped = "no strace that works, or not Linux on x86-64"
        return
    versions = {None: bench.reference(), **{d: bench.reference(data=d) for d in (AFTER, LONGER, SHORTER, SAME_LENGTH)}}
    for warm in (False,) if bench.quick else (False, True):
        for call in CALLS[: 5 : 4] if bench.quick else CALLS:
            for how, (act, after) in list(CHANGES.items())[:: 4 if bench.quick else 1]:
                for n in range(1, 40):
                    project = finished(bench) if warm else Project(bench)
                    path = project.dir / "ratings.tsv"
                    more = ("--force", "ratings") if warm else ()
                    ran = held(project, call, n, path, act, "-q", "run", "cheap.yaml", "--json", "-j1", *more)
                    if ran is None:
                        project.forget()
                        break
                    what = f"the source {how} at {call} number {n} of it{' (a hit is forced)' if warm else ''}"
                    if ran.crashed() or ran.code not in (0, 2, 3):
                        row.fails(f"ends with {ran.code}", f"{what}: {ran.brief()}")
                    elif ran.code == 0 and project.shown() not in (versions[None], versions[after]):
                        row.fails("outputs of no version of the source", what)
                    elif ran.code == 3:
                        row.fails("ends with 3 instead of 2", f"{what}: {ran.brief()}")
                    elif ran.code == 2 and ran.unclear():
                        row.fails(f"the message lacks {', '.join(ran.unclear())}", f"{what}: {ran.brief()}")
                    if after is None:
                        again = project.run()
                        if again.code != 2 or "ratings.tsv" not in again.err:
                            row.fails(f"a source that is gone ends with {again.code}", f"{what}: {again.brief()}")
                        subprocess.run(["rm", "-rf", str(path)], check=True)
                        path.write_bytes(AFTER)
                    ok = holds(project, row, what, clean=versions[after or AFTER])
                    row.saw(("goes on" if ran.code == 0 else "refuses, then recovers") if ok else "fails")
                    project.forget()


def between_runs(bench, row):
    """The source changes right after a run, in all ways, times set back or forward."""
    project = finished(bench)
    path = project.dir / "ratings.tsv"
    for turn in range(bench.times(300, 10)):
        data = bench.draw.choice([BEFORE, AFTER, LONGER, SHORTER, SAME_LENGTH])
        was = path.stat()
        if bench.draw.random() < 0.5:
            path.unlink()
        path.write_bytes(data)
        when = bench.draw.choice([None, was.st_mtime, 0, 1, 2**31, 4e9, -1e9, time.time() + 5])
        if when is not None:
            os.utime(path, (when, when))
        ok = holds(project, row, f"turn {turn}: time {when}", clean=bench.reference(data=data), sweep=False)
        row.saw("recovers" if ok else "fails")
    project.forget()


def writer_at_work(bench, row):
    """Lines are appended all the time, to a file of some megabytes."""
    big = ratings(users=3000, items=300, each=60)
    for turn in range(bench.times(60, 1)):
        project = Project(bench, data=big)
        path = project.dir / "ratings.tsv"
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                with open(path, "ab") as file:
                    file.write(f"{5000 + number}\t1\t5\t{number}\n{5000 + number}\t2\t5\t{number}\n{5000 + number}\t3\t5\t{number + 9}\n".encode())
                number += 1
                stop.wait(bench.draw.uniform(0, 0.03))

        writer = threading.Thread(target=write)
        writer.start()
        ran = project.run()
        stop.set()
        writer.join()
        if ran.crashed() or ran.code not in (0, 2) or (ran.code == 2 and ran.unclear()):
            row.fails(f"ends with {ran.code}", f"turn {turn}: {ran.brief()}")
        elif ran.code == 2 and "changed" not in ran.err:
            row.fails("refused without the word `changed`", f"turn {turn}: {ran.brief()}")
        row.saw("goes on" if ran.code == 0 else "refuses, then recovers")
        after = project.run()
        if after.code != 0:
            row.fails(f"the next run ends with {after.code}", after.brief())
        shown = project.shown()
        fresh = Project(bench, data=path.read_bytes())
        if fresh.run().code != 0 or fresh.shown() != shown:
            row.fails("other outputs than a clean run", f"turn {turn}")
        project.forget()
        fresh.forget()


def pipeline_file(bench, row):
    """The pipeline file changes, vanishes or is a pipe."""
    for how in ("vanishes", "is emptied", "is cut"):
        project = finished(bench)
        path = project.dir / "cheap.yaml"
        text = path.read_text()
        path.unlink() if how == "vanishes" else path.write_text("" if how == "is emptied" else text[:100])
        ran = project.run()
        if ran.code != 2 or ran.unclear(remedy=False):
            row.fails(f"ends with {ran.code}", f"{how}: {ran.brief()}")
        path.write_text(text)
        row.saw("refuses, then recovers" if holds(project, row, how, clean=bench.reference()) else "fails")
        project.forget()


TIMES = [0, 1, 1e9, 2**31 - 1, 2**31, 4.07e9, 2**33, -1, -1e9, "now", "soon", "later"]


def touched(bench, row):
    """Times of store, outputs and source from 1901 to 2242."""
    for what in ("store", "blobs", "manifests", "outputs", "source", "all"):
        for when in TIMES[:: 6 if bench.quick else 1]:
            project = finished(bench)
            then = {"now": time.time(), "soon": time.time() + 2, "later": time.time() + 3600}.get(when, when)
            roots = {"store": [project.store], "blobs": [project.store / "blobs"], "manifests": [project.store / "manifests"],
                     "outputs": [project.outputs], "source": [project.dir / "ratings.tsv"], "all": [project.dir]}[what]
            paths = [p for root in roots for p in [root, *root.rglob("*")]]
            for path in paths:
                os.utime(path, (then, then))
            where = f"times of {what} set to {when}"
            for turn in range(2):
                ran = project.run()
                if len(ran.with_status("fresh")) != 5 or project.shown() != bench.reference():
                    row.fails("other times make stages run again", f"{where}: {ran.statuses()} {ran.brief()}")
            # A change must be seen whatever the times say.
            path = project.dir / "ratings.tsv"
            with open(path, "r+b") as file:
                file.write(SAME_LENGTH)
            os.utime(path, (then, then))
            ok = holds(project, row, f"{where}, then the source is changed", clean=bench.reference(data=SAME_LENGTH))
            row.saw("recovers" if ok else "fails")
            project.forget()


def clocks(bench, row):
    """A run with one clock, the next with another, cleaning with a third."""
    if not bench.faketime:
        row.skipped = "no libfaketime"
        return
    now = {}
    shift = [now] + [{"LD_PRELOAD": bench.faketime, "FAKETIME": f} for f in ("-20y", "-1d", "-3s", "+3s", "+1h", "+2d", "+20y", "@1970-01-01 00:00:01", "@2099-01-01 00:00:00")]
    if bench.quick:
        shift = shift[::4]
    for first in shift:
        for second in shift:
            project = Project(bench)
            where = f"clocks {first.get('FAKETIME', 'right')} and {second.get('FAKETIME', 'right')}"
            one = project.run(env=first)
            two = project.run(env=second)
            if one.code != 0 or two.code != 0 or len(two.with_status("fresh")) != 5:
                row.fails("the clock makes stages run again", f"{where}: {one.brief()} {two.brief()} {two.statuses()}")
            gc = project.ncf("store", "gc", "--older-than", "1d", env=second)
            if gc.code != 0:
                row.fails(f"gc ends with {gc.code}", f"{where}: {gc.brief()}")
            third = project.run(env=first)
            if len(third.with_status("fresh")) != 5:
                row.fails("gc removes the last results of a pipeline", f"{where}: {third.statuses()}")
            path = project.dir / "ratings.tsv"
            with open(path, "r+b") as file:
                file.write(SAME_LENGTH)
            forged = project.run(env=second)
            if forged.code != 0 or project.shown() != bench.reference(data=SAME_LENGTH):
                row.fails("a changed source is not seen", f"{where}: {forged.brief()}")
            row.saw("recovers" if holds(project, row, where, clean=bench.reference(data=SAME_LENGTH)) else "fails")
            project.forget()


def stepping_clock(bench, row):
    """The clock jumps while a training goes on: started at another time and running faster or slower."""
    if not bench.faketime:
        row.skipped = "no libfaketime"
        return
    more = ("--set", "epochs=300")
    for spec in ("+0 x1000", "+0 x0.01", "-1h x60", "@2038-01-19 03:14:05 x50", "@1970-01-01 00:00:00 x10", "+0 i1.0", "+0 i0.0001"):
        project = Project(bench, pipeline="train")
        ran = project.run(*more, env={"LD_PRELOAD": bench.faketime, "FAKETIME": spec})
        if ran.code != 0:
            row.fails(f"ends with {ran.code}", f"{spec}: {ran.brief()}")
        row.saw("goes on" if holds(project, row, spec, *more, clean=bench.reference(*more, pipeline="train")) else "fails")
        project.forget()


FAULTS = [
    ("inputs/while-reading", "`strace -P SOURCE -e inject=CALL:signal=STOP:when=N`: the source grows, shrinks, is replaced, rewritten, forged, removed while the run is held", while_reading, True),
    ("inputs/between-runs", "the source changes between runs, with times set at random", between_runs, True),
    ("inputs/writer", "lines are appended to a source of 3 MB while it is read", writer_at_work, True),
    ("inputs/pipeline-file", "the pipeline file vanishes, is emptied, is cut", pipeline_file, True),
    ("clock/touch", "times of store, outputs and source from 1938 to 2242", touched, True),
    ("clock/fake", "each run and cleaning with another clock, from 1970 to 2099 (libfaketime)", clocks, False),
    ("clock/jumps", "a clock that runs 1000 times faster, slower, or jumps (libfaketime)", stepping_clock, False),
]
