"""What the faults share: a project in a directory of its own, the program, strace, and what must hold afterwards."""

import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# A day and a week are the longest times after which leftovers go; see src/cache/gc.rs.
LONG_AGO = 30 * 24 * 3600
# No run of these pipelines takes a second; one that takes this long hangs.
PATIENCE = 60
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

CHEAP = """name: cheap
seed: 7
params: {path: ratings.tsv, negatives: 5}
stages:
  ratings: {kind: read, path: "${path}", format: tsv}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 4}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  pool: {kind: negative_pool, inputs: {split: split}, eval: {negatives: "${negatives}"}}
"""

TRAIN = """name: tiny
seed: 7
params: {epochs: 3}
stages:
  ratings: {kind: synthesize, users: 30, items: 40, interactions: 400}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 4}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  train:
    kind: train
    inputs: {split: split}
    model: {kind: gmf, factors: 4}
    epochs: "${epochs}"
    batch_size: 32
    validation: {every_epochs: 1, metric: ndcg@10, keep: best}
  evaluate: {kind: evaluate, inputs: {model: train, split: split}, k: [5]}
"""


def ratings(users=30, items=40, each=12, seed=1):
    """Ratings as tab-separated lines, the same for the same seed."""
    draw = random.Random(seed)
    lines = []
    for user in range(1, users + 1):
        for item in draw.sample(range(1, items + 1), each):
            lines.append(f"{user}\t{item}\t{draw.choice([3, 4, 5])}\t{draw.randrange(10**6)}\n")
    return "".join(lines).encode()


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Ran:
    """What the program said, and how it ended: a negative code is the signal that ended it."""

    def __init__(self, code, out, err, seconds):
        self.code, self.seconds = code, seconds
        self.out, self.err = (text.decode(errors="replace") for text in (out, err))

    def statuses(self):
        """`stage: status` from a report of `run --json`."""
        try:
            return {s["name"]: s["status"] for s in json.loads(self.out.splitlines()[-1])["stages"]}
        except (IndexError, ValueError, KeyError, TypeError):
            return {}

    def with_status(self, status):
        return [name for name, found in self.statuses().items() if found == status]

    def crashed(self):
        """Whether a defect showed: a panic, an abort or a fault of memory."""
        return (
            "panicked" in self.err
            or "stopped by a defect" in self.err
            or "kind is defective" in self.err
            or self.code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL, 134, 139)
        )

    def unclear(self, remedy=True):
        """What an error message lacks: the word `error`, a path, a remedy."""
        lacks = []
        if not re.search(r"^\s*(error|.*×)", self.err, re.M):
            lacks.append("no `error:` line")
        if not re.search(r"`[^`]+`|\S+\.yaml:", self.err):
            lacks.append("no path")
        if remedy and "help" not in self.err:
            lacks.append("no remedy")
        return lacks

    def brief(self):
        text = " | ".join(line.strip() for line in self.err.strip().splitlines()[-6:])
        return f"exit {self.code}: {text}"[:600]


class Project:
    """A working directory with a pipeline, a store and outputs."""

    def __init__(self, bench, where=None, pipeline="cheap", data=None):
        self.bench, self.pipeline = bench, pipeline
        self.dir = Path(where or tempfile.mkdtemp(prefix="p-", dir=bench.dir))
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        self.store, self.outputs = self.dir / ".ncf-pipe", self.dir / "outputs"
        self.file = {"cheap": "cheap.yaml", "train": "train.yaml"}[pipeline]
        if data is not False:
            (self.dir / "cheap.yaml").write_text(CHEAP)
            (self.dir / "train.yaml").write_text(TRAIN)
            (self.dir / "ratings.tsv").write_bytes(data or ratings())

    def copy(self):
        """A copy that keeps hard links and times."""
        other = Project(self.bench, pipeline=self.pipeline, data=False)
        subprocess.run(["cp", "-a", f"{self.dir}/.", str(other.dir)], check=True)
        return other

    def command(self, *args):
        return [str(self.bench.binary), *map(str, args)]

    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("NCF_PIPE")}
        return {**env, "NO_COLOR": "1", "RAYON_NUM_THREADS": "2", "POLARS_MAX_THREADS": "2", **more}

    def spawn(self, *args, prefix=(), env=None, **kwargs):
        kwargs = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
        command = [*map(str, prefix), *self.command(*args)]
        return subprocess.Popen(command, cwd=kwargs.pop("cwd", self.dir), env=self.env(**(env or {})), **kwargs)

    def ncf(self, *args, prefix=(), env=None, patience=PATIENCE, **kwargs):
        begun = time.monotonic()
        child = self.spawn(*args, prefix=prefix, env=env, start_new_session=True, **kwargs)
        try:
            out, err = child.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            return Ran("hang", out or b"", (err or b"") + b"\nit hangs", patience)
        return Ran(child.returncode, out or b"", err or b"", time.monotonic() - begun)

    def run(self, *more, **kwargs):
        return self.ncf("-q", "run", self.file, "--json", *more, **kwargs)

    def shown(self, outputs=None):
        """The outputs: each file by its digest, each manifest by what of it does not depend on the run."""
        found = {}
        outputs = outputs or self.outputs
        for path in sorted(outputs.rglob("*")):
            name = str(path.relative_to(outputs))
            # What a killed run has left is looked for by `leftovers`.
            # Nor is the store beside the outputs shown, which takes in what one that can only be read lacks.
            if path.is_dir() or path.name.startswith(".ncf-pipe-") or ".ncf-pipe" in path.relative_to(outputs).parts:
                continue
            if path.name == "manifest.json":
                try:
                    manifest = json.loads(path.read_bytes())
                    found[name] = {part: manifest[part] for part in ("key", "identity", "outputs")}
                except (ValueError, KeyError, OSError) as error:
                    found[name] = f"damaged: {error}"
            else:
                found[name] = sha(path)
        return found

    def blobs(self):
        return sorted(path for path in (self.store / "blobs").rglob("*") if path.is_file())

    def manifests(self):
        return sorted((self.store / "manifests").rglob("*.json"))

    def bad(self):
        return sorted((self.store / "bad").glob("*"))

    def forget(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Row:
    """A row of the table: how the fault is injected, how often, and what became of it."""

    def __init__(self, name, how):
        self.name, self.how = name, how
        self.outcomes, self.failures, self.examples = {}, {}, {}
        self.skipped, self.seconds = None, 0.0
        # Rounds in which the fault had no occasion: a limit that was not reached, a signal after the end.
        self.missed = 0

    def saw(self, outcome, times=1):
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + times

    def fails(self, what, example):
        """The contract does not hold; `what` says in which way, `example` how to see it."""
        self.failures[what] = self.failures.get(what, 0) + 1
        if self.failures[what] == 1:
            self.examples[what] = str(example)[:1500]
            print(f"    FAILS {self.name}: {what}: {str(example)[:700]}", flush=True)

    def injections(self):
        return sum(self.outcomes.values())

    def verdict(self):
        if self.skipped:
            return f"skipped: {self.skipped}"
        seen = ", ".join(f"{what} {n}" for what, n in sorted(self.outcomes.items(), key=lambda item: -item[1]))
        seen += f" (and {self.missed} rounds in which it was not due)" if self.missed else ""
        wrong = "; ".join(f"**{what}** {n}" for what, n in self.failures.items())
        return f"{seen}; {wrong}" if wrong else seen


class Bench:
    """What a run of the suite needs to know."""

    def __init__(self, binary, directory, seed, rounds, quick):
        self.binary, self.seed, self.rounds, self.quick = Path(binary).resolve(), seed, rounds, quick
        self.dir = Path(directory)
        self.draw = random.Random(seed)
        self.clean = {}
        self.strace = works_here()
        self.faketime = FAKETIME if Path(FAKETIME).exists() else None

    def times(self, full, quick):
        """How often to do something that is done at random."""
        return max(1, round((quick if self.quick else full) * (self.rounds or 1)))

    def reference(self, *more, pipeline="cheap", data=None):
        """What a run that nothing happens to leaves in the outputs."""
        key = (more, pipeline, hashlib.sha256(data or b"").hexdigest())
        if key not in self.clean:
            project = Project(self, pipeline=pipeline, data=data)
            ran = project.run(*more)
            if ran.code != 0:
                raise SystemExit(f"a clean run does not work: {ran.brief()}")
            self.clean[key] = project.shown()
            project.forget()
        return self.clean[key]


def works_here():
    """Whether strace is there and may trace: the calls that are named here are those of Linux on x86-64."""
    if platform.machine() != "x86_64" or not shutil.which("strace"):
        return False
    probe = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:signal=KILL:when=1", "echo"]
    return subprocess.run(probe, capture_output=True).returncode == -signal.SIGKILL


def traced(log, injections, calls=None):
    """The words before a command that make strace inject faults; what was injected is in `log`."""
    words = ["strace", "-f", "-qq", "-o", str(log), "-e", "signal=none"]
    names = calls or ",".join(sorted({item.split(":")[0] for item in injections}))
    words += ["-e", f"trace={names}"]
    for item in injections:
        words += ["-e", f"inject={item}"]
    return words


def injected(log):
    """How many calls strace has tampered with."""
    try:
        return Path(log).read_text(errors="replace").count("(INJECTED)")
    except OSError:
        return 0


def backdate(path, seconds=LONG_AGO):
    """Makes everything below a directory look old."""
    then = time.time() - seconds
    for found in [path, *path.rglob("*")]:
        try:
            os.utime(found, (then, then), follow_symlinks=False)
        except OSError:
            pass


def leftovers(project):
    """Temporary files, locks and leases, in the store and in the outputs."""
    found = [p for room in ("tmp", "leases", "locks") for p in sorted((project.store / room).glob("*"))]
    found += [p for p in sorted((project.store / "scratch").rglob("*")) if p.name.startswith(".tmp")]
    return found + [p for p in sorted(project.outputs.rglob(".ncf-pipe-*.tmp"))]


def holds(project, row, what, *more, clean, sweep=True, gc=True):
    """What must hold after any fault: the next plain run ends with 0 and the bytes of a clean run, the store is whole,
    and what was left is swept once it is old. True if so."""
    before = sum(row.failures.values())
    ran = project.run(*more)
    if ran.code != 0:
        row.fails(f"the next run ends with {ran.code}", f"{what}: {ran.brief()}")
    elif (shown := project.shown()) != clean:
        names = sorted(n for n in {*shown, *clean} if shown.get(n) != clean.get(n))
        row.fails("other outputs than a clean run", f"{what}: {names}")
    if ran.crashed():
        row.fails("a defect shows in the next run", f"{what}: {ran.brief()}")
    verify = project.ncf("store", "verify", "--json")
    if verify.code != 0 or json.loads(verify.out)["damage"]:
        row.fails("`store verify` finds damage after the next run", f"{what}: {verify.out.strip()} {verify.brief()}")
    if sweep:
        swept(project, row, what, *more, gc=gc)
    return sum(row.failures.values()) == before


def swept(project, row, what, *more, gc=True):
    """Whatever was left behind goes, once it is old, with the next cleaning or run."""
    if not leftovers(project):
        return
    for path in (project.store / "scratch").rglob(".tmp*"):
        row.fails("a cut checkpoint stays as long as a whole one beside it is in use", f"{what}: {path}")
        path.unlink()
    for room in ("tmp", "leases", "locks", "scratch"):
        backdate(project.store / room)
    for path in project.outputs.rglob(".ncf-pipe-*.tmp"):
        backdate(path)
    if gc:
        project.ncf("store", "gc", "--json")
    project.run(*more)
    for path in leftovers(project):
        room = path.relative_to(project.dir).parts
        room = "/".join(room[:2]) if room[0] == ".ncf-pipe" else room[0]
        row.fails(f"never swept: `{room}/…`", f"{what}: {path}")
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_root():
    return os.geteuid() == 0


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def tell(text):
    print(text, file=sys.stderr, flush=True)
