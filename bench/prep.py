"""Measures preparation, from a ratings file to candidates for evaluation, and writes the figures into BENCHMARKS.md.

usage: prep.py                            ncf-pipe beside the same work in polars and in pandas, on one file
       prep.py --curve 1,3,10,30,100      ncf-pipe alone, on files of so many million rows

The comparison runs the programs by turns, each as a process of its own with nothing left from the last turn, and
refuses to report unless all made the same split. Needs numpy, pandas, polars and pyarrow; peak memory is that of the
largest process, as the kernel counts it.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PIPELINE = REPOSITORY / "bench/prep.yaml"
GIB = 1 << 30


def output(command):
    """What a command prints.

    Heavy packages are used in other processes only, since a child's peak memory, as the kernel counts it, is never
    below what its parent had when it was started.
    """
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def built(parser, binary):
    """The absolute path of the program to measure. Says what to do if it is not there."""
    if not binary.is_file():
        parser.error(f"`{binary}` is not there: run `cargo build --release --all-targets`, or say --binary")
    return binary.resolve()


def run(command, directory):
    """Runs a command. Returns its standard output, wall and processor seconds, and peak memory in bytes."""
    os.sync()  # What the last turn wrote is not to be waited for in this one.
    with open(directory / "out", "w+") as out, open(directory / "err", "w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            sys.exit(f"`{command[0]}` ended with {process.returncode}:\n{err.read()[-3000:]}")
        cost = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
        return out.read(), cost


class Ours:
    """ncf-pipe, with every intermediate stored and hashed."""

    name = "ncf-pipe"

    def __init__(self, args):
        self.binary = args.binary

    def version(self):
        return output([self.binary, "--version"])

    def turn(self, file, directory):
        command = [self.binary, "run", PIPELINE, "--only", "pool", "--set", f"ratings={file}", "--json"]
        command += ["--store", directory / "store", "--outputs", directory / "outputs"]
        out, cost = run(command, directory)
        stages = json.loads(out)["stages"]
        fresh = [stage["name"] for stage in stages if stage["status"] != "ran"]
        if fresh:
            sys.exit(f"not measured from nothing: {', '.join(fresh)} did not run")
        cost["stages"] = {stage["name"]: stage["seconds"] for stage in stages}
        return cost

    def describe(self, args, directory):
        outputs = directory / "outputs/prep"
        return describe(args, outputs / "split", "user_id", "item_id", outputs / "pool/eval.parquet", "item_id")


class Peer:
    """The same preparation in Python, without anything stored but its result."""

    def __init__(self, args, name):
        self.name, self.python, self.script = name, args.python, args.peers / f"prep_{name}.py"

    def version(self):
        code = f"import {self.name} as m; print(m.__name__, m.__version__)"
        return output([self.python, "-c", code])

    def turn(self, file, directory):
        return run([self.python, self.script, file, directory / "outputs"], directory)[1]

    def describe(self, args, directory):
        outputs = directory / "outputs"
        return describe(args, outputs, "u", "i", outputs / "negatives.parquet", "neg")


def describe(args, *what):
    """See describe.py."""
    return json.loads(output([args.python, REPOSITORY / "bench/describe.py", *what]))


def ratings(args, rows):
    """The file of so many rows; made if it is not there yet."""
    file = args.work / f"ratings-{rows}-{args.order}.tsv"
    about = file.with_suffix(".json")
    if not (file.exists() and about.exists()):
        script = REPOSITORY / "bench/ratings.py"
        about.write_text(output([args.python, script, file, "--rows", rows, "--order", args.order]))
    # In the page cache for every turn, the first one too.
    with open(file, "rb", buffering=0) as content:
        while content.read(1 << 24):
            pass
    return file, json.loads(about.read_text())


def turn(tool, file, args, known=None):
    """One turn in a directory of its own. Checks that the result is the known one, and returns it with the cost."""
    with tempfile.TemporaryDirectory(dir=args.work) as directory:
        directory = Path(directory)
        cost = tool.turn(file, directory)
        found = tool.describe(args, directory)
    print(f"{tool.name}: {cost['wall']:.2f} s, {cost['memory'] / GIB:.2f} GiB", file=sys.stderr)
    if known is not None and found != known:
        sys.exit(f"{tool.name} made something else:\n{json.dumps(found)}\nexpected:\n{json.dumps(known)}")
    return found, cost


def medians(costs):
    return {key: statistics.median(cost[key] for cost in costs) for key in ("wall", "cpu", "memory")}


def machine():
    """The processor, its cores and its memory, in words."""
    text = Path("/proc/cpuinfo").read_text()
    field = lambda name: re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    name, family, model = field("model name"), field("cpu family"), field("model")
    # Hosts hide the rest of the name, so that processors of many years have the same.
    name = f"{name[1]} (family {family[1]}, model {model[1]})" if name and family and model else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB memory"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def vectors():
    """The best instructions for vectors that this processor has."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return platform.machine()
    flags = Path("/proc/cpuinfo").read_text().split()
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "SSE"


def write_section(report, name, heading, text):
    """Puts the text between the markers of this name; at the end of the file if they are not there. Processors without
    AVX-512 have sections of their own."""
    if vectors() != "AVX-512":
        name, heading = f"{name}-{vectors().lower()}", f"{heading}, by {vectors()}"
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    content = report.read_text() if report.exists() else "# Benchmarks\n"
    if begin in content and end in content:
        before, rest = content.split(begin, 1)
        content = before + section + rest.split(end, 1)[1]
    else:
        content = f"{content.rstrip()}\n\n## {heading}\n\n{section}\n"
    report.write_text(content)


def comparison(args):
    if not args.peers.is_dir():
        sys.exit(f"`{args.peers}` is not there: say with --peers where prep_polars.py and prep_pandas.py are")
    tools = [Ours(args), Peer(args, "polars"), Peer(args, "pandas")]
    rounds = [args.rounds, args.rounds, min(args.rounds, args.pandas_rounds)]
    file, about = ratings(args, args.rows)
    costs = {tool.name: [] for tool in tools}
    known = None
    for round_ in range(args.rounds):
        for tool, wanted in zip(tools, rounds, strict=True):
            if round_ < wanted:
                known, cost = turn(tool, file, args, known)
                costs[tool.name].append(cost)
    ours = medians(costs["ncf-pipe"])
    rows = []
    for tool, wanted in zip(tools, rounds, strict=True):
        cost = medians(costs[tool.name])
        ratio = f"{cost['wall'] / ours['wall']:.1f}"
        memory = f"{cost['memory'] / GIB:.2f}"
        spread = ", ".join(f"{one['wall']:.1f}" for one in costs[tool.name])
        rows.append([tool.version(), f"{cost['wall']:.1f}", ratio, f"{cost['cpu']:.1f}", memory, wanted, spread])
    stages = costs["ncf-pipe"][0]["stages"]
    by_stage = [f"{statistics.median(c['stages'][s] for c in costs['ncf-pipe']):.2f}" for s in stages]
    flags = f"--rows {args.rows} --rounds {args.rounds} --pandas-rounds {args.pandas_rounds} --order {args.order}"
    head = ["program", "seconds", "× ncf-pipe", "processor seconds", "peak GiB", "turns", "each turn"]
    split = {part: f"{known[part]['rows']:,}" for part in ("train", "valid", "test")}
    text = f"""
From {about["rows"]:,} synthetic ratings by {about["users"]:,} users of {about["items"]:,} items
({about["bytes"] / 1e9:.2f} GB of tab-separated text, {args.order} order) to a temporal leave-one-out split
({split["train"]} train, {split["valid"]} valid and {split["test"]} test rows) and 99 negatives a user.
All programs made the same split. Medians of turns taken one after another.

{table(head, rows)}

ncf-pipe stores and hashes every intermediate; the scripts write only the result. Its stages, in seconds:

{table(list(stages), [by_stage])}

Machine: {machine()}. Python {platform.python_version()}. Command: `python bench/prep.py {flags}`.
"""
    write_section(args.report, "prep", "Preparation, beside Python", text)


def curve(args):
    tool = Ours(args)
    rows = []
    for millions in args.curve:
        file, about = ratings(args, round(millions * 1e6))
        costs = [turn(tool, file, args)[1] for _ in range(args.rounds)]
        cost = medians(costs)
        speed = about["rows"] / cost["wall"] / 1e6
        row = [f"{about['rows'] / 1e6:g}", f"{about['bytes'] / 1e9:.2f}", f"{about['users']:,}", f"{about['items']:,}"]
        row += [f"{cost['wall']:.1f}", f"{speed:.2f}", f"{cost['cpu']:.1f}", f"{cost['memory'] / GIB:.2f}"]
        rows.append(row)
        if not args.keep:
            file.unlink()
    head = ["million rows", "GB", "users", "items", "seconds", "million rows/s", "processor seconds", "peak GiB"]
    sizes = ",".join(f"{millions:g}" for millions in args.curve)
    text = f"""
`ratings → pool` as above, {tool.version()} alone, from nothing each time; medians where `--rounds` is more than 1.

{table(head, rows)}

Machine: {machine()}. Command: `python bench/prep.py --curve {sizes} --rounds {args.rounds} --order {args.order}`.
"""
    write_section(args.report, "curve", "Preparation, by size", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    parser.add_argument("--rows", type=int, default=20_000_000, help="ratings in the file (default: 20,000,000)")
    parser.add_argument("--curve", type=lambda text: [float(n) for n in text.split(",")], help="sizes in million rows")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default: 3)")
    parser.add_argument("--pandas-rounds", type=int, default=1, help="turns of the slowest one (default: 1)")
    parser.add_argument("--order", choices=["user", "shuffled"], default="user", help="of the rows (default: user)")
    parser.add_argument("--binary", type=Path, default=target / "release/ncf-pipe", help="the ncf-pipe to measure")
    parser.add_argument("--peers", type=Path, default=REPOSITORY.parent / "shared/peers", help="where prep_*.py are")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the packages (default: this one)")
    parser.add_argument("--work", type=Path, help="where the files go, and stay (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="with --curve: keep the ratings files")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "BENCHMARKS.md", help="the file to write into")
    args = parser.parse_args()
    if args.rounds < 1 or args.pandas_rounds < 1:
        parser.error("each program needs at least one turn")
    args.binary = built(parser, args.binary)
    with tempfile.TemporaryDirectory() as temporary:
        if args.work is None:
            args.work = Path(temporary)
        args.work = args.work.resolve()
        args.work.mkdir(parents=True, exist_ok=True)
        if args.curve:
            curve(args)
        else:
            comparison(args)


if __name__ == "__main__":
    main()
