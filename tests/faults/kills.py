"""SIGKILL at every call that can change a disk: N = 1, 2, … until the program survives."""

import subprocess

from harness import Project, holds, traced

CALLS = (
    "write pwrite64 writev openat mkdir mkdirat rename renameat renameat2 linkat link unlink unlinkat rmdir fsync "
    "fdatasync ftruncate fchmod fallocate copy_file_range sendfile utimensat close ioctl flock"
).split()
QUICK = ["renameat", "rename", "fsync"]
MOST = 3000


def kill_everywhere(bench, row, prepare, command, clean, more=(), pipeline="cheap", env=None, calls=None, in_place=False):
    """Kills `command` at the Nth of each call; each time in what `prepare` makes, or in the same place."""
    if not bench.strace:
        row.skipped = "no strace that works, or not Linux on x86-64"
        return
    project = prepare() if in_place else None
    for call in calls or (QUICK if bench.quick else CALLS):
        step = 5 if bench.quick else 1
        for n in range(1, MOST, step):
            project = project if in_place else prepare()
            log = bench.dir / "strace.log"
            prefix = traced(log, [f"{call}:signal=KILL:when={n}"])
            ran = project.ncf(*command, prefix=prefix, env=env)
            if ran.code != -9:
                if ran.code != 0:
                    row.fails("it ends oddly where no kill was due", f"{call} {n}: {ran.brief()}")
                if not in_place:
                    project.forget()
                break
            ok = holds(project, row, f"killed at {call} number {n} of `{' '.join(command)}`", *more, clean=clean)
            row.saw("recovers" if ok else "fails")
            if not in_place:
                project.forget()
        else:
            row.fails("it never survived", call)
    if in_place:
        project.forget()


RUN = ("-q", "run", "cheap.yaml")


def first_run(bench, row):
    kill_everywhere(bench, row, lambda: Project(bench), (*RUN, "-j1"), bench.reference())


def first_run_parallel(bench, row):
    kill_everywhere(bench, row, lambda: Project(bench), (*RUN, "-j4"), bench.reference())


def first_run_without_locks(bench, row):
    env = {"NCF_PIPE_NO_LOCK": "1"}
    kill_everywhere(bench, row, lambda: Project(bench), (*RUN, "-j1"), bench.reference(), env=env)


def finished(bench, pipeline="cheap", *more):
    project = Project(bench, pipeline=pipeline)
    assert project.run(*more).code == 0
    return project


def hits(bench, row):
    kill_everywhere(bench, row, lambda: finished(bench), (*RUN, "-j1"), bench.reference(), in_place=True)


def copied_hits(bench, row):
    """Other inodes: everything is hashed and the whole view is made anew."""
    base = finished(bench)
    kill_everywhere(bench, row, base.copy, (*RUN, "-j1"), bench.reference())


def forced(bench, row):
    command = (*RUN, "-j1", "--force", "ratings", "--force", "split")
    kill_everywhere(bench, row, lambda: finished(bench), command, bench.reference(), in_place=True)


def changed(bench, row):
    """Another parameter: another manifest in the place of the one before, in refs and outputs."""
    base = finished(bench)
    more = ("--set", "negatives=7")
    kill_everywhere(bench, row, base.copy, (*RUN, "-j1", *more), bench.reference(*more), more=more)


def training(bench, row):
    command = ("-q", "run", "train.yaml", "-j1")
    clean = bench.reference(pipeline="train")
    kill_everywhere(bench, row, lambda: Project(bench, pipeline="train"), command, clean, pipeline="train")


def resumed(bench, row):
    """Three epochs are done; the run of six goes on from their checkpoint."""
    base = finished(bench, "train")
    more = ("--set", "epochs=6")
    command = ("-q", "run", "train.yaml", "-j1", *more)
    kill_everywhere(bench, row, base.copy, command, bench.reference(*more, pipeline="train"), more=more, pipeline="train")


def crowded(bench):
    """A store with results that nothing refers to, and what a killed run has left."""
    project = finished(bench)
    for negatives in (1, 2, 3):
        assert project.run("--set", f"negatives={negatives}").code == 0
    assert project.run().code == 0
    dead = subprocess.Popen(["true"])
    dead.wait()
    (project.store / "tmp" / f"vm-{dead.pid}-abc").mkdir()
    (project.store / "scratch" / ("a" * 64)).mkdir()
    return project


def gc(bench, row, *options):
    env = {"LD_PRELOAD": bench.faketime, "FAKETIME": "+60d"} if bench.faketime else None
    if env is None:
        row.skipped = "no libfaketime: nothing is old enough to be removed"
        return
    base = crowded(bench)
    kill_everywhere(bench, row, base.copy, ("store", "gc", *options), bench.reference(), env=env)


def verify_repair(bench, row):
    """Every second stored file and manifest is damaged; the repair is killed."""

    def prepare():
        project = base.copy()
        for path in [*project.blobs()[::2], *project.manifests()[::2]]:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.unlink()
            path.write_bytes(data)
        return project

    base = finished(bench)
    kill_everywhere(bench, row, prepare, ("store", "verify", "--repair"), bench.reference())


STRACE = "`strace -e inject=CALL:signal=KILL:when=N`, N = 1, 2, … until it survives, for every call that can change a disk: "
FAULTS = [
    ("kill/first-run", STRACE + "a first run", first_run, True),
    ("kill/first-run-parallel", STRACE + "a first run, four stages at a time", first_run_parallel, False),
    ("kill/first-run-no-locks", STRACE + "a first run without locks", first_run_without_locks, False),
    ("kill/hits", STRACE + "a run that finds everything", hits, True),
    ("kill/copied", STRACE + "a run on a copied project", copied_hits, False),
    ("kill/forced", STRACE + "a run that is forced to repeat stages", forced, False),
    ("kill/changed", STRACE + "a run with another parameter", changed, False),
    ("kill/training", STRACE + "a first training", training, False),
    ("kill/resumed", STRACE + "a training that goes on from a checkpoint", resumed, False),
    ("kill/gc", STRACE + "`store gc`, 60 days later", gc, False),
    ("kill/gc-all", STRACE + "`store gc --all`, 60 days later", lambda b, r: gc(b, r, "--all"), False),
    ("kill/repair", STRACE + "`store verify --repair`", verify_repair, False),
]
