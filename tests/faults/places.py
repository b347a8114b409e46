"""Directories that may not be written to, foreign owners, odd names, and what the shell may do to a program."""

import os
import re
import shutil
import subprocess

from errors import judge
from harness import Project, Ran, holds, is_root
from kills import finished

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def mount(path, options):
    path.mkdir(exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True).returncode == 0


def store_state(project):
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in project.store.rglob("*") if p.parent.name != "leases"}


def used_read_only(project, row, what, prefix, shared):
    """A store that may only be read: hits are used, misses are computed into the outputs, and it is left alone."""
    clean, other = project.bench.reference(), project.bench.reference("--set", "negatives=9")
    where = project.dir / "mine"
    where.mkdir(exist_ok=True)
    os.chown(where, 65534, 65534)
    before = store_state(project)
    hit = project.run("--outputs", "mine", prefix=prefix)
    if hit.code != 0 or project.shown(where) != clean:
        row.fails("hits of a read-only store are not shown", f"{what}: {hit.brief()}")
    if "read-only" not in hit.err:
        row.fails("no warning about a read-only store", f"{what}: {hit.brief()}")
    row.saw("hits are used" if hit.code == 0 else "fails")
    miss = project.run("--outputs", "mine", "--set", "negatives=9", prefix=prefix)
    if miss.code != 0:
        row.fails("a miss in a read-only store is not computed into the outputs", f"{what}: {miss.brief()}")
    elif project.shown(where) != other:
        row.fails("other outputs than a clean run", f"{what}: miss")
    row.saw("misses are computed" if miss.code == 0 else "fails")
    for command, codes in ((("store", "ls"), (0,)), (("store", "verify"), (0,)), (("store", "du"), (0,)), (("plan", "cheap.yaml"), (0,)),
                           (("store", "gc"), (3,)), (("store", "gc", "--dry-run"), (0,))):
        ran = project.ncf(*command, prefix=prefix)
        if ran.code not in codes or ran.crashed() or (ran.code and ran.unclear()):
            row.fails(f"`{' '.join(command)}` on a read-only store ends with {ran.code}", f"{what}: {ran.brief()}")
        row.saw("goes on" if ran.code == 0 else "refuses clearly")
    if shared and store_state(project) != before:
        row.fails("a read-only store is changed", what)


def read_only_store(bench, row):
    if not is_root() or not shutil.which("setpriv"):
        row.skipped = "not root, or no setpriv"
        return
    project = finished(bench)
    used_read_only(project, row, "a store of another user", NOBODY, True)
    project.forget()

    project = finished(bench)
    for path in [project.store, *project.store.rglob("*")]:
        os.chown(path, 65534, 65534)
        if path.is_dir():
            path.chmod(0o555)
    used_read_only(project, row, "a store of one's own with mode 0555", NOBODY, True)
    project.forget()

    rooms = ("blobs", "manifests", "refs", "tmp", "scratch", "locks", "leases", "bad", "stat")
    for room in rooms[:: 4 if bench.quick else 1]:
        project = finished(bench)
        for path in [project.store, *project.store.rglob("*")]:
            os.chown(path, 65534, 65534)
        os.chown(project.store / room, 0, 0)
        (project.store / room).chmod(0o755)
        used_read_only(project, row, f"only `{room}` is of another user", NOBODY, False)
        project.forget()

    project = Project(bench)
    disk = project.dir / "disk"
    if not mount(disk, "size=16m"):
        row.skipped = "no tmpfs can be mounted"
        return
    try:
        assert project.run("--store", "disk/store").code == 0
        shutil.rmtree(project.outputs)
        project.store.symlink_to("disk/store")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        used_read_only(project, row, "a store on a file system that is mounted read-only", [], True)
        ran = project.run("--outputs", "disk/outputs")
        row.saw(judge(row, ran, "outputs on a file system that is mounted read-only", "EROFS", allowed={3}))
        row.saw(judge(row, project.run("--store", "disk/new"), "a new store on a file system that is mounted read-only",
                      "EROFS", allowed={0, 3}))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    project.forget()


def foreign_parts(bench, row):
    """A store that one may write to, in which single directories and files are of another user."""
    if not is_root() or not shutil.which("setpriv"):
        row.skipped = "not root, or no setpriv"
        return
    base = finished(bench)
    names = [p.relative_to(base.dir) for p in sorted([*base.store.rglob("*"), *base.outputs.rglob("*")])]
    for name in names[:: 10 if bench.quick else 1]:
        for bits in (0o000, 0o555):
            project = base.copy()
            for path in [project.dir, *project.dir.rglob("*")]:
                os.chown(path, 65534, 65534, follow_symlinks=False)
            path = project.dir / name
            was = path.stat().st_mode
            os.chown(path, 0, 0)
            path.chmod(bits)
            what = f"{name} is root's, mode {bits:o}"
            ran = project.run("--force", "split", prefix=NOBODY)
            outcome = judge(row, ran, what, "EACCES")
            if ran.code == 0 and project.shown() != bench.reference():
                row.fails("other outputs than a clean run", what)
            if path.exists():
                os.chown(path, 65534, 65534)
                path.chmod(was)
            again = project.run(prefix=NOBODY)
            if again.code != 0 or project.shown() != bench.reference():
                row.fails("not as a clean run once the owner is right", f"{what}: {again.brief()}")
            row.saw(outcome)
            project.forget()
    base.forget()


def read_only_outputs(bench, row):
    """Outputs that may not be written to: refused before anything is computed."""
    if not is_root() or not shutil.which("setpriv"):
        row.skipped = "not root, or no setpriv"
        return
    for how in ("is another user's", "has mode 0555", "is a file", "is a link to nowhere", "lies below a file", "cannot be made", "is a device",
                "holds a pipeline of another user"):
        project = Project(bench)
        os.chown(project.dir, 65534, 65534)
        outputs = "outputs"
        if how == "is another user's":
            project.outputs.mkdir()
        elif how == "has mode 0555":
            project.outputs.mkdir(mode=0o555)
            os.chown(project.outputs, 65534, 65534)
            project.outputs.chmod(0o555)
        elif how == "is a file":
            project.outputs.write_text("mine")
        elif how == "is a link to nowhere":
            project.outputs.symlink_to("/nowhere/at/all")
        elif how == "lies below a file":
            outputs = "cheap.yaml/outputs"
        elif how == "cannot be made":
            outputs = "/proc/outputs"
        elif how == "is a device":
            outputs = "/dev/null"
        else:
            project.outputs.mkdir()
            os.chown(project.outputs, 65534, 65534)
            (project.outputs / "cheap").mkdir()
        ran = project.run("--outputs", outputs, prefix=NOBODY)
        what = f"the outputs directory {how}"
        if ran.code != 3 or ran.unclear():
            row.fails(f"ends with {ran.code}, lacks {ran.unclear()}", f"{what}: {ran.brief()}")
        if project.store.exists() and project.blobs():
            row.fails("it is computed before the outputs are refused", f"{what}: {ran.brief()}")
        row.saw("refuses clearly" if ran.code == 3 else "fails")
        project.forget()


def file_limits(bench, row):
    for pipeline in ("cheap", "train"):
        for limit in range(3, 70, 16 if bench.quick else 1):
            project = Project(bench, pipeline=pipeline)
            ran = project.run(prefix=["prlimit", f"--nofile={limit}:{limit}", "--"])
            what = f"`ulimit -n {limit}` ({pipeline})"
            if limit >= 32 and ran.code != 0:
                row.fails("32 open files are not enough", f"{what}: {ran.brief()}")
            outcome = judge(row, ran, what, "EMFILE")
            if ran.code == 0:
                row.missed += 1
            else:
                row.saw(outcome)
            holds(project, row, what, clean=bench.reference(pipeline=pipeline))
            project.forget()


def memory_limits(bench, row):
    """`ulimit -v`: what cannot be allocated may end the program; nothing may be lost."""
    sizes = [*range(60, 200, 10), *range(200, 1000, 40), *range(1000, 4000, 250)]
    for pipeline in ("cheap", "train"):
        for size in sizes[:: 8 if bench.quick else 1]:
            project = Project(bench, pipeline=pipeline)
            ran = project.run(prefix=["prlimit", f"--as={size << 20}", "--"])
            what = f"`ulimit -v` of {size} MB ({pipeline})"
            if ran.code == "hang":
                row.fails("hangs", what)
            elif ran.code == 0:
                row.missed += 1
            elif isinstance(ran.code, int) and (ran.code < 0 or ran.code > 128):
                row.saw("is ended by the system, then recovers")
            else:
                if ran.code not in (1, 3, 127):
                    row.fails(f"ends with {ran.code}", f"{what}: {ran.brief()}")
                row.saw("refuses, then recovers")
            holds(project, row, what, clean=bench.reference(pipeline=pipeline))
            project.forget()


def process_limits(bench, row):
    """No more threads can be made (`ulimit -u` as another user)."""
    if not is_root() or not shutil.which("setpriv"):
        row.skipped = "not root, or no setpriv"
        return
    for limit in (1, 2, 3, 4, 5, 6, 8, 12, 16)[:: 3 if bench.quick else 1]:
        for pipeline in ("cheap", "train"):
            project = Project(bench, pipeline=pipeline)
            for path in [project.dir, *project.dir.rglob("*")]:
                os.chown(path, 65534, 65534)
            ran = project.run("-j4", prefix=["prlimit", f"--nproc={limit}:{limit}", "--", *NOBODY])
            what = f"at most {limit} threads ({pipeline})"
            outcome = judge(row, ran, what, "EAGAIN", allowed={0, 1, 3})
            if ran.code == 0:
                row.missed += 1
            else:
                row.saw(outcome)
            holds(project, row, what, clean=bench.reference(pipeline=pipeline))
            project.forget()


NAMES = {
    "spaces": "a dir  with spaces ", "quotes": "a'b\"c`d$e", "unicode": "größe-数据-🙂", "combining": "e\u0301\u202e",
    "newline": "a\nb", "tab": "a\tb", "escape": "a\x1b[31mb", "dash": "-rf", "percent": "%s%n{}", "star": "*?[x]", "hash": "#x;y|z",
    "not UTF-8": b"\xff\xfe", "255 bytes": "x" * 255, "tilde": "~", "glob": "**", "colon": "a:b", "backslash": "a\\b",
}


def odd_paths(bench, row):
    """Names of the working directory, the store, the outputs, the pipeline file and the source."""
    for what, name in list(NAMES.items())[:: 4 if bench.quick else 1]:
        name = os.fsdecode(name)
        for part in ("workdir", "store", "outputs", "source", "file"):
            project = Project(bench)
            args = []
            if part == "workdir":
                inner = project.dir / name
                inner.mkdir()
                for file in ("cheap.yaml", "ratings.tsv"):
                    shutil.copy(project.dir / file, inner / file)
                project.dir, project.store, project.outputs = inner, inner / ".ncf-pipe", inner / "outputs"
            elif part == "store":
                args = [f"--store={name}"]
                project.store = project.dir / name
            elif part == "outputs":
                args = [f"--outputs={name}"]
                project.outputs = project.dir / name
            elif part == "source":
                (project.dir / "ratings.tsv").rename(project.dir / name)
                (project.dir / "link.tsv").symlink_to(name)
                args = ["--set", "path=link.tsv"]
            else:
                yaml = name[:240] + ".yaml"
                (project.dir / "cheap.yaml").rename(project.dir / yaml)
                project.file = f"./{yaml}"
            first, second = project.run(*args), project.run(*args)
            where = f"{part} with {what} in its name"
            if first.code != 0 or second.code != 0 or project.shown() != bench.reference() and part != "source":
                row.fails(f"ends with {first.code}", f"{where}: {first.brief()}")
            elif len(second.with_status("fresh")) != 5:
                row.fails("the second run is not fresh", f"{where}: {second.statuses()}")
            row.saw("goes on" if first.code == 0 else "fails")
            shutil.rmtree(project.dir, ignore_errors=True)
    for depth in (10, 14, 15, 16, 40):
        project = Project(bench)
        inner = "/".join(["d" * 250] * depth)
        ran = project.run("--store", f"{inner}/store", "--outputs", f"{inner}/outputs")
        row.saw(judge(row, ran, f"a path of {len(inner)} bytes", "ENAMETOOLONG"))
        holds(project, row, f"a path of {len(inner)} bytes", clean=bench.reference())
        project.forget()


def surroundings(bench, row):
    """What the shell, cron or a container may do: no HOME, an empty environment, odd masks, no directory, no terminal."""
    base = [str(bench.binary), "-q", "run", "cheap.yaml", "--json"]
    shells = {
        "HOME unset": "unset HOME; exec", "HOME is nowhere": "HOME=/nowhere exec", "an empty environment": "exec env -i",
        "umask 077": "umask 077; exec", "umask 777": "umask 777; exec", "umask 000": "umask 0; exec",
        "TMPDIR is nowhere": "TMPDIR=/nowhere exec", "TMPDIR is a file": "TMPDIR=/etc/passwd exec", "no standard streams": "exec 0<&- 1>&- 2>&-; exec",
        "standard input closed": "exec 0<&-; exec", "LANG=xx": "LANG=xx LC_ALL=nonsense exec", "TZ is nonsense": "TZ=nonsense/zone exec", "TERM unset": "unset TERM; exec",
        "COLUMNS=0": "COLUMNS=0 LINES=0 exec", "PATH unset": "unset PATH; exec", "niced": "exec nice -n 19", "RAYON_NUM_THREADS=1": "RAYON_NUM_THREADS=1 exec",
        "RAYON_NUM_THREADS=x": "RAYON_NUM_THREADS=x POLARS_MAX_THREADS=x exec", "RAYON_NUM_THREADS=0": "RAYON_NUM_THREADS=0 exec",
        "POLARS_MAX_THREADS=0": "POLARS_MAX_THREADS=0 exec", "NCF_PIPE_STORE empty": "NCF_PIPE_STORE= exec", "NCF_PIPE_LOG=trace": "NCF_PIPE_LOG=trace exec",
        "NCF_PIPE_LOG=nonsense": "NCF_PIPE_LOG='[[[' exec", "RUST_BACKTRACE": "RUST_BACKTRACE=full exec", "a small stack": "ulimit -s 256; exec",
        "core 0": "ulimit -c 0; exec", "signals ignored": "trap '' INT TERM HUP PIPE; exec", "one processor": "exec taskset -c 0",
    }
    for what, shell in list(shells.items())[:: 3 if bench.quick else 1]:
        project = Project(bench)
        command = ["/bin/sh", "-c", f'{shell} "$@"', "sh", *base]
        ran = subprocess.run(command, cwd=project.dir, capture_output=True, timeout=60, env=project.env())
        ran = Ran(ran.returncode, ran.stdout, ran.stderr, 0)
        if what == "umask 777" and not is_root():
            pass
        elif what == "NCF_PIPE_STORE empty":
            judge(row, ran, what, "EINVAL", allowed={0, 2, 3})
        elif ran.code != 0 or project.shown() != bench.reference():
            row.fails(f"ends with {ran.code}", f"{what}: {ran.brief()}")
        row.saw("goes on" if ran.code == 0 else "refuses, then recovers")
        holds(project, row, what, clean=bench.reference())
        project.forget()
    deleted_directory(bench, row)


def deleted_directory(bench, row):
    for command in (["-q", "run", "cheap.yaml"], ["store", "ls"], ["store", "gc"], ["init"], ["check", "cheap.yaml"]):
        project = Project(bench)
        gone = project.dir / "gone"
        gone.mkdir()
        shell = 'cd "$0" && rmdir "$0" && exec "$@"'
        done = subprocess.run(["sh", "-c", shell, str(gone), str(bench.binary), *command], capture_output=True, timeout=60)
        text = done.stderr.decode()
        if done.returncode not in (2, 3) or "panicked" in text or "defect" in text or not re.search("error|×", text):
            row.fails(f"in a directory that is gone ends with {done.returncode}", f"{command}: {text[:300]}")
        row.saw("refuses clearly")
        project.forget()


def directory_deleted_meanwhile(bench, row):
    """The store, its rooms or the outputs are removed while the run goes on."""
    for turn in range(bench.times(150, 5)):
        project = Project(bench, pipeline="train")
        child = project.spawn("-q", "run", "train.yaml", "--set", "epochs=200")
        try:
            child.wait(bench.draw.uniform(0.005, 0.12))
        except subprocess.TimeoutExpired:
            pass
        victim = bench.draw.choice([project.store, project.outputs, project.store / "tmp", project.store / "blobs",
                                    project.store / "locks", project.store / "leases", project.store / "scratch"])
        for _ in range(5):
            shutil.rmtree(victim, ignore_errors=True)
        _, err = child.communicate(timeout=60)
        text = err.decode(errors="replace")
        what = f"{victim.name} is removed while the run goes on (turn {turn})"
        if child.returncode not in (0, 3) or "panicked" in text or "defect" in text:
            row.fails(f"ends with {child.returncode}", f"{what}: {text[-400:]}")
        more = ("--set", "epochs=200")
        ok = holds(project, row, what, *more, clean=bench.reference(*more, pipeline="train"))
        row.saw(("goes on" if child.returncode == 0 else "refuses, then recovers") if ok else "fails")
        project.forget()


FAULTS = [
    ("places/read-only-store", "`setpriv --reuid=65534`, modes, a tmpfs mounted read-only; each room of the store alone", read_only_store, True),
    ("places/foreign-parts", "each file and directory of store and outputs made root's with modes 000 and 555, run as nobody", foreign_parts, False),
    ("places/outputs", "outputs that cannot be written to, in eight ways", read_only_outputs, True),
    ("places/open-files", "`prlimit --nofile` of 3 to 69", file_limits, True),
    ("places/memory", "`prlimit --as` of 60 MB to 4 GB", memory_limits, False),
    ("places/threads", "`prlimit --nproc` of 1 to 16 as nobody", process_limits, True),
    ("places/names", "spaces, quotes, newlines, escapes, non-UTF-8, 255 bytes, 10,000 bytes in the names of directories and files", odd_paths, True),
    ("places/surroundings", "no HOME, empty environment, umask 000 to 777, closed streams, ignored signals, small stack, deleted directory", surroundings, True),
    ("places/removed-meanwhile", "store, rooms or outputs removed while a run goes on", directory_deleted_meanwhile, False),
]
