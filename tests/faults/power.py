"""Loss of power: what was not brought to the disk before a kill is lost, cut or emptied.

A strace log says which files and directory entries had been synchronised when the program was killed. The model is the
strict one of POSIX: fsync of a file saves its bytes, fsync of a directory saves the names in it, nothing else does.
"""

import os
import re
import shutil

from harness import Project, holds
from kills import finished

TRACED = "openat,write,writev,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,linkat,mkdir,mkdirat"
KILLED_AT = ["openat", "write", "fsync", "rename", "renameat", "linkat", "mkdir", "mkdirat"]
AT = r'(?:AT_FDCWD(?:<(?P<{0}cwd>[^>]*)>)?|\d+<(?P<{0}dir>[^>]*)>)'
OPEN = re.compile(r"openat\(" + AT.format("a") + r', "(?P<name>[^"]*)", (?P<flags>[^,)]*)[^=]*= \d+<(?P<path>[^>]*)>')
FD = re.compile(r"(?P<call>write|writev|pwrite64|ftruncate|fsync|fdatasync)\(\d+<(?P<path>[^>]*)>.*= (?P<result>-?\d+)")
MOVE = re.compile(r'rename\("(?P<old>[^"]*)", "(?P<new>[^"]*)"\) = 0')
MOVE_AT = re.compile(r"(?P<call>renameat2?|linkat)\(" + AT.format("a") + r', "(?P<old>[^"]*)", ' + AT.format("b")
                     + r', "(?P<new>[^"]*)".*\) = 0')
MAKE = re.compile(r"mkdir(?:at)?\((?:" + AT.format("a") + r', )?"(?P<name>[^"]*)", [^)]*\) = 0')


class Disk:
    """What of the files is only in memory."""

    def __init__(self, cwd):
        self.cwd = cwd
        # Names that are on the disk: a rename over one of them leaves the old file or the new one, never none.
        self.durable = {os.path.join(at, name) for at, _, files in os.walk(cwd) for name in files}
        # Bytes that no fsync has saved, and names that no fsync of their directory has.
        self.bytes, self.names = set(), set()

    def path(self, base, name):
        return os.path.normpath(os.path.join(self.cwd, base or "", name))

    def read(self, line):
        if found := OPEN.search(line):
            if "O_CREAT" in found["flags"]:
                self.bytes.add(found["path"])
                self.names.add(found["path"])
            if "O_TRUNC" in found["flags"]:
                self.bytes.add(found["path"])
        elif found := FD.search(line):
            path = found["path"]
            if found["call"] in ("fsync", "fdatasync"):
                if found["result"] == "0":
                    self.bytes.discard(path)
                    saved = {name for name in self.names if os.path.dirname(name) == path}
                    self.names -= saved
                    self.durable |= saved
            elif int(found["result"]) >= 0:
                self.bytes.add(path)
        elif found := MOVE.search(line):
            self.move(self.path("", found["old"]), self.path("", found["new"]))
        elif found := MOVE_AT.search(line):
            old, new = self.path(found["adir"], found["old"]), self.path(found["bdir"], found["new"])
            self.move(old, new, keep=found["call"] == "linkat")
        elif found := MAKE.search(line):
            self.names.add(self.path(found["adir"], found["name"]))

    def move(self, old, new, keep=False):
        dirty = old in self.bytes
        if not keep:
            self.bytes.discard(old)
            self.names.discard(old)
        self.bytes.discard(new)
        if dirty:
            self.bytes.add(new)
        if new not in self.durable:
            self.names.add(new)

    def lose(self, draw, within):
        """Damages what is under `within` as a loss of power may, and says how."""
        lost = []
        for path in sorted(self.bytes):
            if path.startswith(within) and os.path.isfile(path) and not os.path.islink(path):
                how = draw.choice(["kept", "empty", "half", "zeros"])
                size = os.path.getsize(path)
                if how != "kept":
                    os.chmod(path, 0o644)
                    with open(path, "r+b") as file:
                        file.truncate({"empty": 0, "half": size // 2, "zeros": 0}[how])
                        if how == "zeros":
                            file.truncate(size)
                    lost.append(f"{how} {os.path.relpath(path, within)}")
        for path in sorted(self.names):
            if path.startswith(within) and os.path.lexists(path) and draw.random() < 0.5:
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
                lost.append(f"gone {os.path.relpath(path, within)}")
        return lost


def loss(bench, row, prepare, command, more, clean, times, quick):
    if not bench.strace:
        row.skipped = "no strace that works, or not Linux on x86-64"
        return
    for turn in range(bench.times(times, quick)):
        project = prepare()
        log = bench.dir / "power.log"
        call = bench.draw.choice(KILLED_AT)
        # The later calls come more rarely; a kill that is never due is a loss of power right after the run.
        n = bench.draw.randrange(1, {"openat": 190, "fsync": 60, "write": 60, "renameat": 45}.get(call, 20))
        prefix = ["strace", "-f", "-qq", "-y", "-s", "1", "-e", "signal=none", "-o", str(log), "-e", f"trace={TRACED}",
                  "-e", f"inject={call}:signal=KILL:when={n}"]
        disk = Disk(str(project.dir))
        ran = project.ncf(*command, prefix=prefix)
        for line in log.read_text(errors="replace").splitlines():
            disk.read(line)
        lost = disk.lose(bench.draw, str(project.dir))
        what = f"power lost at {call} number {n} (exit {ran.code}), turn {turn}: {'; '.join(lost)}"
        ok = holds(project, row, what, *more, clean=clean)
        row.saw(("recovers" if lost else "nothing was lost") if ok else "fails")
        project.forget()


def first_run(bench, row):
    loss(bench, row, lambda: Project(bench), ("-q", "run", "cheap.yaml", "-j1"), (), bench.reference(), 500, 10)


def changed(bench, row):
    base = finished(bench)
    more = ("--set", "negatives=7")
    loss(bench, row, base.copy, ("-q", "run", "cheap.yaml", "-j1", "--force", "split", *more), more, bench.reference(*more), 400, 5)


def resumed(bench, row):
    base = finished(bench, "train")
    more = ("--set", "epochs=6")
    clean = bench.reference(*more, pipeline="train")
    loss(bench, row, base.copy, ("-q", "run", "train.yaml", "-j1", *more), more, clean, 300, 0.2)


def order(bench, row):
    """Done means done: once a manifest has its name and the run has ended, nothing of the stage is only in memory."""
    if not bench.strace:
        row.skipped = "no strace that works, or not Linux on x86-64"
        return
    for pipeline in ("cheap", "train"):
        project = Project(bench, pipeline=pipeline)
        log = bench.dir / "order.log"
        prefix = ["strace", "-f", "-qq", "-y", "-s", "1", "-e", "signal=none", "-o", str(log), "-e", f"trace={TRACED}"]
        disk = Disk(str(project.dir))
        ran = project.ncf("-q", "run", project.file, "-j1", prefix=prefix)
        assert ran.code == 0, ran.brief()
        blobs, manifests = str(project.store / "blobs"), str(project.store / "manifests")
        for line in log.read_text(errors="replace").splitlines():
            disk.read(line)
            if manifests in line and re.search(r"renameat?2?\(", line) and line.endswith("= 0"):
                row.saw("manifest comes last")
                dirty = [p for p in disk.bytes | disk.names if p.startswith(blobs)]
                if dirty:
                    row.fails("a manifest has its name before its files are on the disk", f"{line}: {dirty}")
        left = [p for p in disk.bytes | disk.names if p.startswith((blobs, manifests))]
        row.saw("all is on the disk at the end")
        if left or {str(project.store / room) for room in ("blobs", "manifests")} & disk.names:
            row.fails("the run ended, and something of it is only in memory", left)
        project.forget()


FAULTS = [
    ("power/order", "the order of calls in a strace log: what a manifest names is synchronised before it has its name, and it before the end", order, True),
    ("power/first-run", "a kill at a random call; then every byte and name that no fsync has saved (strace log) is kept, cut, emptied, zeroed or lost at random: a first run", first_run, True),
    ("power/changed", "the same on a run with another parameter", changed, False),
    ("power/resumed", "the same on a training that goes on from a checkpoint", resumed, False),
]
