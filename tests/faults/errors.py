"""System calls that fail, disks that are full, writes that are cut short."""

import re
import subprocess

from harness import Project, holds, injected, is_root, leftovers, traced
from kills import finished

# What a failing call may lead to: 0 where the program has another way, 3 for I/O. The loader's 127 is not ours.
ALLOWED = {0, 3, 127}

WRITES = ["write", "pwrite64"]
NAMES = ["rename", "renameat", "renameat2", "linkat"]
FAILING = {
    "errors/enospc": (
        "ENOSPC", [*WRITES, "openat", "mkdir", "mkdirat", *NAMES, "fsync", "fallocate", "ftruncate"]),
    "errors/edquot": ("EDQUOT", [*WRITES, "openat", "mkdir", "mkdirat", *NAMES]),
    "errors/eio": (
        "EIO", [*WRITES, "fsync", "fdatasync", *NAMES, "read", "pread64", "openat", "mkdir", "mkdirat", "unlink",
                "unlinkat", "fchmod", "statx", "newfstatat", "fstat", "getdents64", "lseek"]),
    "errors/erofs": ("EROFS", [*NAMES, "openat", "mkdir", "mkdirat", "unlink", "unlinkat", "fchmod"]),
    "errors/eacces": ("EACCES", ["openat", *NAMES, "mkdir", "mkdirat", "unlink", "statx", "newfstatat", "flock"]),
    "errors/emfile": ("EMFILE", ["openat", "dup", "fcntl"]),
    "errors/enomem": ("ENOMEM", ["openat", "read", "getdents64", "mkdir", "flock"]),
    "errors/links": ("EMLINK", ["linkat"]),
    "errors/exdev": ("EXDEV", ["linkat", "rename", "renameat"]),
    "errors/locks": ("ENOLCK", ["flock"]),
    "errors/threads": ("EAGAIN", ["clone3", "clone"]),
}
STAYS = {"unlink", "unlinkat", "openat", "getdents64", "newfstatat", "fstat", "statx", "lseek", "flock", "fcntl", "dup"}
REMEDY = {"ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE"}
QUICK = {"errors/enospc": ["write"], "errors/eio": ["fsync", "renameat"]}


def judge(row, ran, what, name, allowed=None):
    """Whether a run that met an error ended as it should; the outcome in a word."""
    if ran.crashed():
        row.fails("a defect shows", f"{what}: {ran.brief()}")
        return "fails"
    # A file that a parameter names and that may not be read is the user's to mend.
    if ran.code == 2 and name == "EACCES" and re.search(r"input `|\.yaml: cannot read", ran.err) and not ran.unclear():
        return "refuses, then recovers"
    if ran.code not in (allowed or ALLOWED):
        row.fails(f"ends with {ran.code}", f"{what}: {ran.brief()}")
        return "fails"
    # Where no call to write succeeds, nothing can be said.
    mute = not ran.err and "write number" in what and "+" in what
    if ran.code == 3 and not mute and "standard output" not in ran.err:
        # No system says that the disk is full when a file is opened for reading.
        odd = name in ("ENOSPC", "EDQUOT", "EROFS") and "cannot open `./ratings.tsv`" in ran.err
        lacks = ran.unclear(remedy=name in REMEDY and not odd)
        if lacks:
            row.fails(f"the message lacks: {', '.join(lacks)}", f"{what}: {ran.brief()}")
        if name in ("ENOSPC", "EDQUOT") and not odd and not re.search(r"\d+ bytes are free", ran.err):
            row.fails("a full disk, and the message has no free bytes", f"{what}: {ran.brief()}")
    if ran.code == 3:
        return "refuses, then recovers"
    return {0: "goes on", 127: "does not start"}.get(ran.code, f"ends with {ran.code}")


def own_rubbish(project, row, what):
    """A run that ends by itself takes its temporary files with it."""
    for path in leftovers(project):
        room = path.relative_to(project.dir).parts
        row.fails(f"leaves its own temporary files in {'/'.join(room[:2])}", f"{what}: {path}")
        return


def fail_everywhere(bench, row, errno, calls, prepare, command, clean, more=(), persistent=False, pipeline="cheap", step=1):
    if not bench.strace:
        row.skipped = "no strace that works, or not Linux on x86-64"
        return
    for call in calls:
        for n in range(1, 3000, step):
            project = prepare()
            log = bench.dir / "strace.log"
            when = f"{n}+" if persistent else str(n)
            ran = project.ncf(*command, prefix=traced(log, [f"{call}:error={errno}:when={when}"]))
            times = injected(log)
            what = f"{call} number {when} fails with {errno} in `{' '.join(command)}`"
            if times == 0:
                if ran.code != 0:
                    row.fails("it ends oddly where no error was due", f"{what}: {ran.brief()}")
                project.forget()
                break
            outcome = judge(row, ran, what, errno)
            # Where removing, or locking, or looking is what fails, something has to stay.
            if call not in STAYS:
                own_rubbish(project, row, what)
            ok = holds(project, row, what, *more, clean=clean)
            row.saw(outcome if ok else "fails")
            project.forget()


def single(name):
    errno, calls = FAILING[name]

    def fault(bench, row):
        chosen = QUICK.get(name, calls) if bench.quick else calls
        step = 8 if bench.quick else 1
        fail_everywhere(bench, row, errno, chosen, lambda: Project(bench), ("-q", "run", "cheap.yaml", "-j1"),
                        bench.reference(), step=step)

    return fault


def persistent(bench, row):
    """From the Nth call on every one fails, as when the disk is full or gone."""
    for errno, calls in [("ENOSPC", ["write"]), ("EIO", ["write", "fsync"]), ("EROFS", ["renameat", "mkdir"]),
                         ("EMFILE", ["openat"])]:
        fail_everywhere(bench, row, errno, calls, lambda: Project(bench), ("-q", "run", "cheap.yaml", "-j1"),
                        bench.reference(), persistent=True)


def training(bench, row):
    base = finished(bench, "train")
    more = ("--set", "epochs=6")
    clean = bench.reference(*more, pipeline="train")
    for errno, calls in [("ENOSPC", ["write"]), ("EIO", ["fsync", "renameat", "read"])]:
        fail_everywhere(bench, row, errno, calls, base.copy, ("-q", "run", "train.yaml", "-j1", *more), clean, more=more,
                        pipeline="train")


def hits(bench, row):
    base = finished(bench)
    for errno, calls in [("EIO", ["read", "openat", "statx", "newfstatat", "renameat"]), ("ENOSPC", ["write"]), ("EMFILE", ["openat"])]:
        fail_everywhere(bench, row, errno, calls, base.copy, ("-q", "run", "cheap.yaml", "-j1"), bench.reference())


def interrupted_calls(bench, row):
    """EINTR at the Nth call, and at every second call."""
    calls = ["read", "write", "openat", "fsync", "flock", "mkdir", "rename", "renameat", "linkat", "getdents64"]
    fail_everywhere(bench, row, "EINTR", calls, lambda: Project(bench), ("-q", "run", "cheap.yaml", "-j1"),
                    bench.reference())
    if row.skipped:
        return
    for call in ["read", "write", "fsync"]:
        for first in range(1, 40):
            project = Project(bench)
            log = bench.dir / "strace.log"
            ran = project.ncf("-q", "run", "cheap.yaml", prefix=traced(log, [f"{call}:error=EINTR:when={first}+2"]))
            if not injected(log):
                project.forget()
                break
            what = f"every second {call} from number {first} is interrupted"
            outcome = judge(row, ran, what, "EINTR")
            row.saw(outcome if holds(project, row, what, clean=bench.reference()) else "fails")
            project.forget()


def lost_writes(bench, row):
    """A call to write says that it wrote one byte and wrote none: the file is short."""
    if not bench.strace:
        row.skipped = "no strace that works, or not Linux on x86-64"
        return
    clean = bench.reference()
    for n in range(1, 200):
        project = Project(bench)
        log = bench.dir / "strace.log"
        ran = project.ncf("-q", "run", "cheap.yaml", "-j1", prefix=traced(log, [f"write:retval=1:when={n}"]))
        if not injected(log):
            project.forget()
            break
        what = f"write number {n} loses a byte"
        outcome = judge(row, ran, what, "EIO")
        again = project.run()
        # No contract covers a system that lies; yet what is stored must be right. The view's copy of a manifest is not
        # hashed by anything, and a damaged `format` is refused.
        data = {name: found for name, found in project.shown().items() if not name.endswith("/manifest.json")}
        if again.code == 0 and any(clean[name] != found for name, found in data.items()):
            row.fails("other outputs than a clean run", what)
        if again.code not in (0, 3) or again.crashed() or (again.code == 3 and again.unclear()):
            row.fails("the next run ends oddly", f"{what}: {again.brief()}")
        row.saw(outcome if again.code == 0 else "refuses from then on")
        project.forget()


def file_size_limit(bench, row):
    """`ulimit -f`: writes are really cut short at the limit, and then fail."""
    for ignore in (True, False):
        for limit in range(0, 8192, 256 if bench.quick else 64):
            project = Project(bench)
            # In bytes through prlimit; a shell counts in blocks.
            shell = 'exec "$@"'
            prefix = ["prlimit", f"--fsize={limit}", "--"]
            if ignore:
                prefix = ["sh", "-c", f"trap '' XFSZ; {shell}", "sh", *prefix]
            ran = project.ncf("-q", "run", "cheap.yaml", prefix=prefix, stdout=subprocess.DEVNULL)
            what = f"files of at most {limit} bytes, SIGXFSZ {'ignored' if ignore else 'deadly'}"
            if ran.code == 0:
                row.missed += 1
            elif not ignore and ran.code in (-25, 153):
                row.saw("is killed, then recovers")
            else:
                row.saw(judge(row, ran, what, "EFBIG"))
                own_rubbish(project, row, what)
            holds(project, row, what, clean=bench.reference())
            project.forget()


def full_disk(bench, row):
    """A tmpfs of 4 KiB to 400 KiB, and one with few inodes; then there is space and the run is repeated."""
    if not is_root():
        row.skipped = "not root"
        return
    sizes = [f"size={k}k" for k in range(4, 404, 60 if bench.quick else 4)]
    sizes += [f"size=64m,nr_inodes={n}" for n in range(2, 130, 50 if bench.quick else 2)]
    for pipeline in ("cheap", "train"):
        for options in sizes:
            project = Project(bench, pipeline=pipeline)
            mounted = project.dir / "disk"
            mounted.mkdir()
            if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)], capture_output=True).returncode:
                row.skipped = "no tmpfs can be mounted"
                return
            try:
                project.store, project.outputs = mounted / "store", mounted / "outputs"
                where = ("--store", str(project.store), "--outputs", str(project.outputs))
                ran = project.run("-j1", *where)
                what = f"a disk of {options} ({pipeline})"
                outcome = judge(row, ran, what, "ENOSPC")
                own_rubbish(project, row, what)
                subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=100000", str(mounted)], check=True)
                again = project.run(*where)
                if again.code != 0 or project.shown() != bench.reference(pipeline=pipeline):
                    row.fails("the retry with space does not end as a clean run", f"{what}: {again.brief()}")
                verify = project.ncf("store", "verify", "--store", str(project.store))
                if verify.code:
                    row.fails("`store verify` finds damage after the retry", f"{what}: {verify.out}")
                if ran.code == 0:
                    row.missed += 1
                else:
                    row.saw(outcome)
            finally:
                subprocess.run(["umount", "-l", str(mounted)], check=False)
                project.forget()


def standard_output(bench, row):
    """Standard output is full, or closed, or its reader goes away."""
    base = finished(bench)
    commands = [("store", "ls"), ("run", "cheap.yaml"), ("run", "cheap.yaml", "--json"), ("show", "cheap.yaml", "split"), ("plan", "cheap.yaml"),
                ("schema",), ("dag", "cheap.yaml"), ("--help",), ("store", "du"), ("store", "verify")]
    for command in commands:
        for how in ("> /dev/full", ">&-", "2>&-", ">&- 2>&-", "< /dev/null >&- 2>&-", "2> /dev/full", "| head -c 1", "| true"):
            shell = f'"$@" {how}' + ('; exit "${PIPESTATUS[0]}"' if how.startswith("|") else "")
            ran = base.ncf(*command, prefix=["bash", "-c", shell, "bash"])
            what = f"`{' '.join(command)} {how}`"
            if ran.crashed() or ran.code not in (0, 3) or "os error" in ran.err and how.startswith("|"):
                row.fails(f"{how}: ends with {ran.code}", f"{what}: {ran.brief()}")
            holds(base, row, what, clean=bench.reference())
            row.saw("goes on" if ran.code == 0 else "refuses, then recovers")
    base.forget()


HOW = "`strace -e inject=CALL:error=ERRNO:when=N`, N = 1, 2, … until none is left: "
FAULTS = [(name, f"{HOW}{errno} on {', '.join(calls)}", single(name), name in QUICK)
          for name, (errno, calls) in FAILING.items()]
FAULTS += [
    ("errors/persistent", "the same, from the Nth call on", persistent, False),
    ("errors/training", "the same on a training that goes on from a checkpoint", training, False),
    ("errors/hits", "the same on a run that finds everything", hits, False),
    ("errors/eintr", "EINTR at the Nth call, and at every second call", interrupted_calls, False),
    ("errors/lost-write", "`strace -e inject=write:retval=1`: a byte is lost without an error", lost_writes, False),
    ("errors/file-size", "`prlimit --fsize`: writes are cut short, with SIGXFSZ deadly and ignored", file_size_limit, False),
    ("errors/full-disk", "tmpfs of 4 to 400 KiB, and of 2 to 128 inodes; then space is made", full_disk, True),
    ("errors/standard-output", "standard output or error full, closed, or its reader gone", standard_output, False),
]
