"""Many processes on one store, a holder of a lock that does not move, cleaning while runs go on."""

import json
import os
import signal
import subprocess
import time

from harness import Project, Ran, holds

PROCESSES = 8


def together(project, commands, env=None):
    """Starts processes that all begin at the same moment, and waits for them."""
    gate_read, gate_write = os.pipe()
    children = []
    for command in commands:
        words = ["/bin/sh", "-c", 'read _; exec "$@"', "sh", *project.command(*command)]
        children.append(subprocess.Popen(words, cwd=project.dir, env=project.env(**(env or {})), stdin=gate_read,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    os.close(gate_read)
    # Each shell reads the end of the file at the same moment.
    os.close(gate_write)
    ran = []
    for child in children:
        try:
            out, err = child.communicate(timeout=120)
            ran.append(Ran(child.returncode, out, err, 0))
        except subprocess.TimeoutExpired:
            child.kill()
            ran.append(Ran("hang", *child.communicate(), 120))
    return ran


def rounds(bench, row, env, once, pipeline="cheap", own_outputs=False):
    clean = bench.reference(pipeline=pipeline)
    file = f"{pipeline}.yaml"
    twice = 0
    for turn in range(bench.times(20, 2)):
        project = Project(bench, pipeline=pipeline)
        commands = [("-q", "run", file, "--json", *(("--outputs", f"out{i}") if own_outputs else ())) for i in range(PROCESSES)]
        ran = together(project, commands, env)
        for i, each in enumerate(ran):
            if each.code != 0 or each.crashed():
                row.fails(f"one of {PROCESSES} ends with {each.code}", f"round {turn}: {each.brief()}")
            elif own_outputs and project.shown(project.dir / f"out{i}") != clean:
                row.fails("other outputs than a clean run", f"round {turn}, process {i}")
            row.saw("goes on" if each.code == 0 else "fails")
        if not own_outputs and project.shown() != clean:
            row.fails("other outputs than a clean run", f"round {turn}: the shared outputs right after")
        counts = {}
        for each in ran:
            for stage in each.with_status("ran"):
                counts[stage] = counts.get(stage, 0) + 1
        if once and any(count != 1 for count in counts.values()):
            twice += 1
            row.fails("a stage is computed more than once although locks are on", f"round {turn}: {counts}")
        holds(project, row, f"round {turn} of {PROCESSES} processes", clean=clean)
        project.forget()


def locked(bench, row):
    rounds(bench, row, {}, True)


def unlocked(bench, row):
    rounds(bench, row, {"NCF_PIPE_NO_LOCK": "1"}, False)


def locked_training(bench, row):
    rounds(bench, row, {}, True, pipeline="train")


def unlocked_training(bench, row):
    rounds(bench, row, {"NCF_PIPE_NO_LOCK": "1"}, False, pipeline="train")


def own_outputs(bench, row):
    rounds(bench, row, {}, True, own_outputs=True)


def mixed(bench, row):
    """Half of them lock and half do not, with two parameters, and all are forced to work."""
    for turn in range(bench.times(20, 1)):
        project = Project(bench)
        commands = [("-q", "run", "cheap.yaml", "--json", "--force", "ratings", "--force", "split", "--outputs", f"out{i}", "--set",
                     f"negatives={4 + i % 2}") for i in range(PROCESSES)]
        half = PROCESSES // 2
        first = [subprocess.Popen(project.command(*c), cwd=project.dir, env=project.env(NCF_PIPE_NO_LOCK="1"), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for c in commands[:half]]
        ran = together(project, commands[half:])
        ran = [Ran(c.returncode, *out, 0) for c in first for out in [c.communicate(timeout=120)]] + ran
        for i, each in enumerate(ran):
            clean = bench.reference("--set", f"negatives={4 + i % 2}")
            if each.code != 0 or project.shown(project.dir / f"out{i}") != clean:
                row.fails(f"one of {PROCESSES} ends with {each.code} or other outputs", f"round {turn}: {each.brief()}")
            row.saw("goes on" if each.code == 0 else "fails")
        holds(project, row, f"round {turn}", clean=bench.reference())
        project.forget()


def killed_in_a_crowd(bench, row):
    """Eight processes on one store; some are killed at random moments."""
    for turn in range(bench.times(40, 2)):
        project = Project(bench, pipeline="train")
        children = [project.spawn("-q", "run", "train.yaml", "--json", "--set", "epochs=40") for _ in range(PROCESSES)]
        more = ("--set", "epochs=40")
        doomed = set(bench.draw.sample(range(PROCESSES), 4))
        for i in doomed:
            time.sleep(bench.draw.uniform(0, 0.03))
            children[i].kill()
        for i, child in enumerate(children):
            out, err = child.communicate(timeout=120)
            each = Ran(child.returncode, out, err, 0)
            if i not in doomed and (each.code != 0 or each.crashed()):
                row.fails(f"one that was not killed ends with {each.code}", f"round {turn}: {each.brief()}")
            if i in doomed:
                if each.code == -9:
                    row.saw("is killed, then recovers")
                else:
                    row.missed += 1
        holds(project, row, f"round {turn}", *more, clean=bench.reference(*more, pipeline="train"))
        project.forget()


def stopped_holder(bench, row):
    """The holder of a lock is stopped: others say that they wait, end on request, and go on once it is gone."""
    more = ("--set", "epochs=3000")
    clean = bench.reference(*more, pipeline="train")
    for turn in range(bench.times(12, 1)):
        project = Project(bench, pipeline="train")
        holder = project.spawn("-q", "run", "train.yaml", *more)
        try:
            wait_for(bench, row, project, holder, turn, more, clean)
        finally:
            holder.kill()
            holder.wait()
        project.forget()
    text = Project(bench).ncf("run", "--help").out
    if "--lock-timeout" not in text:
        row.fails("there is no `--lock-timeout`", "`run --help` does not name it")


def until(true, patience=10):
    """Waits until something is true, but not for ever."""
    begun = time.monotonic()
    while not true() and time.monotonic() - begun < patience:
        time.sleep(0.002)


def wait_for(bench, row, project, holder, turn, more, clean):
    """Stops the holder once it has the lock of the training, and looks at what a second process does."""
    until(lambda: (project.outputs / "tiny/split/manifest.json").exists())
    until(lambda: any((project.store / "locks").glob("*")))
    time.sleep(0.03)
    holder.send_signal(signal.SIGSTOP)
    if not any((project.store / "locks").glob("*")):
        holder.kill()
        holder.wait()
        row.saw("stopped while it held nothing")
        return
    said = project.dir / "said"
    with open(said, "wb") as file:
        waiter = project.spawn("run", "train.yaml", "--json", *more, start_new_session=True, stderr=file)
    until(lambda: "waiting" in said.read_text() or waiter.poll() is not None)
    if waiter.poll() is not None:
        row.fails("the second does not wait for the lock", f"turn {turn}: {said.read_text()[-300:]}")
    way = ("interrupt the waiter", "kill the holder", "continue the holder")[turn % 3]
    if way == "interrupt the waiter":
        sent = time.monotonic()
        waiter.send_signal(signal.SIGINT)
        waiter.communicate(timeout=30)
        if waiter.returncode != 130 or time.monotonic() - sent > 5:
            row.fails(f"a waiter that is interrupted ends with {waiter.returncode}", f"{time.monotonic() - sent:.1f} s: {said.read_text()[-300:]}")
        holder.kill()
    elif way == "kill the holder":
        holder.kill()
        waiter.communicate(timeout=60)
        if waiter.returncode != 0 or project.shown() != clean:
            row.fails(f"a waiter whose holder was killed ends with {waiter.returncode}", said.read_text()[-300:])
    else:
        holder.send_signal(signal.SIGCONT)
        waiter.communicate(timeout=60)
        if waiter.returncode != 0 or project.shown() != clean:
            row.fails(f"a waiter whose holder went on ends with {waiter.returncode}", said.read_text()[-300:])
    if "waiting" not in said.read_text():
        row.fails("no message that it waits", said.read_text()[-300:])
    holder.communicate(timeout=60)
    row.saw("waits, then recovers" if way != "interrupt the waiter" else "waits, then stops on request")
    holds(project, row, f"the holder is stopped, then {way}", *more, clean=clean)


def cleaning(bench, row, env, *options):
    """`store gc` in a loop while eight runs with several parameters go on."""
    for turn in range(bench.times(25, 1)):
        project = Project(bench)
        assert project.run("--set", "negatives=3").code == 0
        runs = [project.spawn("-q", "run", "cheap.yaml", "--json", "--outputs", f"out{i}", "--set", f"negatives={3 + i}", "--force", "ratings")
                for i in range(4)]
        cleanings, gc = 0, None
        while any(child.poll() is None for child in runs):
            gc = project.ncf("store", "gc", "--json", *options, env=env)
            cleanings += 1
            if gc.code != 0:
                row.fails(f"gc ends with {gc.code}", f"turn {turn}: {gc.brief()}")
                break
        for i, child in enumerate(runs):
            out, err = child.communicate(timeout=60)
            each = Ran(child.returncode, out, err, 0)
            if each.code != 0:
                row.fails(f"a run ends with {each.code} while gc goes on", f"turn {turn}: {each.brief()}")
            elif project.shown(project.dir / f"out{i}") != bench.reference("--set", f"negatives={3 + i}"):
                row.fails("other outputs than a clean run", f"turn {turn}: {each.brief()}")
        row.saw("goes on", max(cleanings, 1))
        if gc and gc.code == 0 and json.loads(gc.out)["leftovers"] < 0:
            row.fails("nonsense in the report", gc.out)
        holds(project, row, f"turn {turn}", clean=bench.reference())
        project.forget()


def gc_now(bench, row):
    cleaning(bench, row, {}, "--all", "--max-size", "0B")


def gc_later(bench, row):
    """The cleaner's clock is an hour ahead: only leases keep it from what runs are about to use."""
    if not bench.faketime:
        row.skipped = "no libfaketime"
        return
    cleaning(bench, row, {"LD_PRELOAD": bench.faketime, "FAKETIME": "+1h"}, "--all", "--max-size", "0B")


def gc_much_later(bench, row):
    """The cleaner's clock is 60 days ahead, past the end of any lease."""
    if not bench.faketime:
        row.skipped = "no libfaketime"
        return
    cleaning(bench, row, {"LD_PRELOAD": bench.faketime, "FAKETIME": "+60d"}, "--all", "--max-size", "0B")


FAULTS = [
    ("crowd/locks-on", "8 processes, a start at the same moment, 20 rounds", locked, True),
    ("crowd/locks-off", "the same with `NCF_PIPE_NO_LOCK=1`", unlocked, True),
    ("crowd/training-locks-on", "the same with a training", locked_training, False),
    ("crowd/training-locks-off", "the same with a training and `NCF_PIPE_NO_LOCK=1`", unlocked_training, False),
    ("crowd/own-outputs", "the same, each with outputs of its own", own_outputs, False),
    ("crowd/mixed", "the same, half with locks, two parameters, `--force`", mixed, False),
    ("crowd/killed", "8 processes that train, 4 of them killed at random moments", killed_in_a_crowd, False),
    ("crowd/holder-stopped", "the holder of a lock gets SIGSTOP; then the waiter SIGINT, or the holder SIGKILL, or SIGCONT", stopped_holder, True),
    ("crowd/gc", "`store gc --all --max-size 0B` in a loop while runs go on", gc_now, True),
    ("crowd/gc-clock-1h", "the same, with the cleaner's clock an hour ahead (libfaketime)", gc_later, False),
    ("crowd/gc-clock-60d", "the same, with the cleaner's clock 60 days ahead (libfaketime)", gc_much_later, False),
]
