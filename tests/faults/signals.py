"""Signals at random moments, and what the terminal looks like afterwards."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

from harness import Project, Ran, holds

EPOCHS = ("--set", "epochs=4000")
# Slurm waits 30 s between SIGTERM and SIGKILL; the contract is five.
SOON = 5
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


def lasts(bench):
    project = Project(bench, pipeline="train")
    ran = project.run(*EPOCHS)
    project.forget()
    return ran.seconds


def at_random(bench, row, number, expected, times, quick):
    clean, whole = bench.reference(*EPOCHS, pipeline="train"), lasts(bench)
    name = signal.Signals(number).name
    for turn in range(bench.times(times, quick)):
        project = Project(bench, pipeline="train")
        child = project.spawn("-q", "run", "train.yaml", *EPOCHS)
        # One round that comes too late would prove nothing; many rounds also try the edges.
        after = bench.draw.uniform(0.1 * whole, 0.5 * whole) if bench.quick else bench.draw.uniform(0, whole)
        time.sleep(after)
        running = child.poll() is None
        child.send_signal(number)
        sent = time.monotonic()
        try:
            _, err = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            _, err = child.communicate()
            row.fails(f"{name} is not obeyed in 30 s", f"after {after:.3f} s")
        ran = Ran(child.returncode, b"", err, time.monotonic() - sent)
        what = f"{name} after {after:.3f} s of {whole:.3f}"
        # In the first milliseconds no handler is there yet: the system ends it, which a shell reports in the same way.
        early = ran.code == -number and after < 0.02
        if ran.crashed():
            row.fails("a defect shows", f"{what}: {ran.brief()}")
        elif running and not early and ran.code not in (0, expected):
            row.fails(f"ends with {ran.code} instead of {expected}", f"{what}: {ran.brief()}")
        if ran.code == expected and ran.seconds > SOON and expected:
            row.fails("it takes more than five seconds", what)
        if left := [p for p in (project.store / "tmp").glob("*")] if ran.code == expected >= 0 else []:
            row.fails("leaves its own temporary files", f"{what}: {left}")
        ok = holds(project, row, what, *EPOCHS, clean=clean)
        if ok and ran.code == 0 and (expected != 0 or not running):
            row.missed += 1
        elif ok and ran.code == 0:
            row.saw("goes on")
        else:
            row.saw(("stops, then resumes in the middle" if resumed(project) else "stops, then starts that stage again") if ok else "fails")
        project.forget()
    if expected and not any(outcome.startswith("stops") for outcome in row.outcomes):
        row.fails("the signal had no effect in any round", name)
    # Before the training has begun there is nothing to save; in most rounds there is.
    if expected > 0 and times > 20 and not bench.quick and not any("in the middle" in outcome for outcome in row.outcomes):
        row.fails("no round went on from a checkpoint", name)


def resumed(project):
    """Whether the training says that it went on from a checkpoint."""
    manifest = json.loads((project.outputs / "tiny/train/manifest.json").read_text())
    return manifest["facts"].get("resumed_in_epoch") is not None


def one(number, expected, times, quick=1):
    return lambda bench, row: at_random(bench, row, number, expected, times, quick)


def many(bench, row):
    """One training is interrupted again and again, by any signal, until it is done."""
    clean, whole = bench.reference(*EPOCHS, pipeline="train"), lasts(bench)
    for turn in range(bench.times(12, 1)):
        project = Project(bench, pipeline="train")
        for _ in range(12):
            child = project.spawn("-q", "run", "train.yaml", *EPOCHS)
            time.sleep(bench.draw.uniform(0, whole / 3))
            child.send_signal(bench.draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGQUIT]))
            child.communicate(timeout=30)
            if child.returncode == 0:
                row.missed += 1
                break
            row.saw("stops, then resumes")
        holds(project, row, f"interrupted again and again (turn {turn})", *EPOCHS, clean=clean)
        project.forget()


def twice(bench, row):
    """A second signal ends it at once; nothing is lost."""
    clean, whole = bench.reference(*EPOCHS, pipeline="train"), lasts(bench)
    for turn in range(bench.times(60, 1)):
        project = Project(bench, pipeline="train")
        child = project.spawn("-q", "run", "train.yaml", *EPOCHS)
        time.sleep(bench.draw.uniform(0.02, whole))
        first, second = (bench.draw.choice([signal.SIGINT, signal.SIGTERM]) for _ in range(2))
        child.send_signal(first)
        time.sleep(bench.draw.choice([0, 0.0003, 0.001, 0.003]))
        child.send_signal(second)
        sent = time.monotonic()
        _, err = child.communicate(timeout=30)
        ran = Ran(child.returncode, b"", err, time.monotonic() - sent)
        what = f"{first.name} and {second.name} (turn {turn})"
        if ran.code not in (0, 130, 143) or ran.seconds > SOON or ran.crashed():
            row.fails(f"ends with {ran.code}", f"{what}: {ran.seconds:.1f} s, {ran.brief()}")
        ok = holds(project, row, what, *EPOCHS, clean=clean)
        if ok and ran.code == 0:
            row.missed += 1
        else:
            row.saw("stops, then resumes" if ok else "fails")
        project.forget()


def on_terminal(bench, row):
    """In a pseudo terminal: the cursor is shown again, the modes are as before, and Ctrl-C works."""
    clean, whole = bench.reference(*EPOCHS, pipeline="train"), lasts(bench)
    ways = ["key", signal.SIGTERM, "hang up", signal.SIGUSR1, "two", "none", signal.SIGINT, signal.SIGHUP]
    for turn in range(bench.times(64, 3)):
        way = ways[turn % len(ways)]
        project = Project(bench, pipeline="train")
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        child = subprocess.Popen(project.command("run", "train.yaml", *EPOCHS), cwd=project.dir, env=project.env(TERM="xterm"), stdin=slave,
                                 stdout=slave, stderr=slave, preexec_fn=own_terminal)
        begun, wait, text, sent = time.monotonic(), bench.draw.uniform(0.03, whole), b"", None
        while child.poll() is None and time.monotonic() - begun < 30:
            if select.select([master], [], [], 0.005)[0]:
                text += os.read(master, 65536)
            if sent is None and time.monotonic() - begun > wait:
                sent = time.monotonic()
                if way == "key":
                    os.write(master, b"\x03")
                elif way == "two":
                    os.write(master, b"\x03\x03")
                    child.send_signal(signal.SIGINT)
                elif way == "hang up":
                    os.close(slave)
                    os.close(master)
                    break
                elif way != "none":
                    child.send_signal(way)
        what = f"{way.name if isinstance(way, signal.Signals) else way} on a terminal (turn {turn})"
        try:
            code = child.wait(timeout=2 * SOON)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
            row.fails("does not end", what)
        if way != "hang up":
            while select.select([master], [], [], 0.02)[0]:
                text += os.read(master, 65536)
            if text.rfind(HIDE) > text.rfind(SHOW):
                row.fails("the cursor stays hidden", f"{what}: exit {code}, ends with {text[-80:]!r}")
            if termios.tcgetattr(slave) != before:
                row.fails("the terminal has other modes", what)
            os.close(slave)
            os.close(master)
        expected = {"key": (0, 130), "two": (0, 130), "none": (0,), "hang up": (0, 129, -1, 3), signal.SIGINT: (0, 130), signal.SIGTERM: (0, 143),
                    signal.SIGHUP: (0, 129), signal.SIGUSR1: (0,)}[way]
        if code not in expected:
            row.fails(f"ends with {code}", f"{what}: {text[-200:]!r}")
        if code == 0 and way not in ("none", signal.SIGUSR1):
            row.missed += 1
        else:
            row.saw("goes on" if code == 0 else "stops, then resumes")
        holds(project, row, what, *EPOCHS, clean=clean)
        project.forget()


def large_source(bench, row):
    """Stopped while a large file is read and sorted."""
    lines = b"".join(b"%d\t%d\t5\t%d\n" % (n % 9973, n % 1999, n) for n in range(2_000_000))
    project = Project(bench, data=lines)
    whole = project.run("--only", "positives").seconds
    project.forget()
    for turn in range(bench.times(20, 0.2)):
        project = Project(bench, data=lines)
        child = project.spawn("-q", "run", "cheap.yaml", "--only", "positives")
        number = (signal.SIGINT, signal.SIGTERM)[turn % 2]
        after = bench.draw.uniform(0.02, whole)
        time.sleep(after)
        child.send_signal(number)
        sent = time.monotonic()
        _, err = child.communicate(timeout=60)
        took = time.monotonic() - sent
        if child.returncode not in (0, 128 + number) or took > SOON:
            row.fails(f"ends with {child.returncode} after {took:.1f} s", f"{number.name} after {after:.2f} s: {err[-300:]}")
        if child.returncode == 0:
            row.missed += 1
        else:
            row.saw("stops, then recovers")
        again = project.run("--only", "positives")
        if again.code != 0 or project.ncf("store", "verify").code != 0:
            row.fails("the next run fails", again.brief())
        project.forget()


def huge_source(bench, row):
    """Stopped while a file of 40 GB is hashed (a sparse one, which takes no space)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        project = Project(bench)
        os.truncate(project.dir / "ratings.tsv", 40 << 30)
        child = project.spawn("-q", "run", "cheap.yaml")
        time.sleep(1)
        child.send_signal(number)
        sent = time.monotonic()
        try:
            child.communicate(timeout=2 * SOON)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        took = time.monotonic() - sent
        if child.returncode != 128 + number or took > SOON:
            row.fails("it takes more than five seconds", f"{number.name} while hashing: {took:.1f} s, exit {child.returncode}")
        row.saw("stops")
        project.forget()


def other_commands(bench, row):
    """Signals to commands that look after the store."""
    from kills import finished

    project = finished(bench, "train")
    for command in (("store", "verify"), ("store", "gc"), ("store", "ls"), ("plan", "train.yaml"), ("show", "train.yaml", "train")):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for _ in range(bench.times(4, 1)):
                child = project.spawn(*command)
                time.sleep(bench.draw.uniform(0, 0.008))
                child.send_signal(number)
                child.communicate(timeout=30)
                if child.returncode not in (0, -number, 128 + number):
                    row.fails(f"`{' '.join(command)}` ends with {child.returncode}", number.name)
                if child.returncode == 0:
                    row.missed += 1
                else:
                    row.saw("is killed, then recovers")
    holds(project, row, "signals to other commands", clean=bench.reference(pipeline="train"))
    project.forget()


FAULTS = [
    ("signals/int", "SIGINT at random moments of a training; it is resumed", one(signal.SIGINT, 130, 120, 2), True),
    ("signals/term", "SIGTERM, the same", one(signal.SIGTERM, 143, 120, 1), True),
    ("signals/hup", "SIGHUP, the same", one(signal.SIGHUP, 129, 40), False),
    ("signals/kill", "SIGKILL, the same", one(signal.SIGKILL, -9, 80), False),
    ("signals/usr1", "SIGUSR1: it saves and goes on", one(signal.SIGUSR1, 0, 40, 1), True),
    ("signals/pipe", "SIGPIPE: it goes on", one(signal.SIGPIPE, 0, 20), False),
    ("signals/many", "up to twelve signals of any kind to one training", many, False),
    ("signals/twice", "two signals at once", twice, True),
    ("signals/terminal", "in a pseudo terminal: Ctrl-C, signals, hang-up; cursor and modes restored", on_terminal, True),
    ("signals/large-source", "SIGINT and SIGTERM while a source of 2,000,000 lines is read", large_source, False),
    ("signals/huge-source", "SIGINT and SIGTERM while a sparse source of 40 GB is hashed", huge_source, False),
    ("signals/other-commands", "SIGINT, SIGTERM and SIGHUP to `store`, `plan` and `show`", other_commands, False),
]
