"""Times a run that has nothing to do, and a plan, beside DVC and Snakemake on graphs of the same size.

    python3 bench/noop.py --binary target/release/ncf-pipe --dvc DVC --snakemake SNAKEMAKE [--rounds 7]

Ours is a chain of `filter` stages (the cheapest kind that reads and writes a file), theirs of `cp`. Runs are interleaved;
medians and ratios go to standard output as Markdown. Peers that are not given are left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from prep import built


def ours(n):
    lines = ["name: chain", "stages:", "  s0: {kind: synthesize, users: 40, items: 30, interactions: 300}"]
    lines += [f"  s{k}: {{kind: filter, inputs: {{interactions: s{k - 1}}}}}" for k in range(1, n)]
    return "\n".join(lines) + "\n"


def dvc(n):
    lines = ["stages:"]
    for k in range(1, n + 1):
        lines += [f"  s{k}:", f"    cmd: cp f{k - 1} f{k}", f"    deps: [f{k - 1}]", f"    outs: [f{k}]"]
    return "\n".join(lines) + "\n"


def snakemake(n):
    rules = [f"rule all:\n    input: 'f{n}'\n"]
    rules += [f"rule s{k}:\n    input: 'f{k - 1}'\n    output: 'f{k}'\n    shell: 'cp {{input}} {{output}}'\n" for k in range(1, n + 1)]
    return "\n".join(rules)


def timed(command, cwd, env=None):
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr.decode()[-2000:]}")
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("--dvc")
    parser.add_argument("--snakemake")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    binary = built(parser, args.binary)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        commands = {}
        for n in (100, 1000):
            home = work / f"ours{n}"
            home.mkdir()
            (home / "p.yaml").write_text(ours(n))
            timed([binary, "-q", "run", "p.yaml"], home)
            # The second run hashes files that were too young to be trusted by their times.
            time.sleep(2.5)
            timed([binary, "-q", "run", "p.yaml"], home)
            commands[f"ncf-pipe run, {n} stages"] = ([binary, "-q", "run", "p.yaml"], home, None)
            commands[f"ncf-pipe plan, {n} stages"] = ([binary, "plan", "p.yaml"], home, None)
        if args.dvc:
            home = work / "dvc"
            home.mkdir()
            env = {**os.environ, "DVC_NO_ANALYTICS": "1"}
            (home / "f0").write_text("x\n")
            (home / "dvc.yaml").write_text(dvc(100))
            timed([args.dvc, "init", "--no-scm", "-q"], home, env)
            timed([args.dvc, "repro", "-q"], home, env)
            commands["DVC repro, 100 stages"] = ([args.dvc, "repro"], home, env)
        if args.snakemake:
            home = work / "snakemake"
            home.mkdir()
            (home / "f0").write_text("x\n")
            (home / "Snakefile").write_text(snakemake(100))
            timed([args.snakemake, "-j2", "-q"], home)
            commands["Snakemake, 100 stages"] = ([args.snakemake, "-j2"], home, None)
        times = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, (command, home, env) in commands.items():
                times[name].append(timed(command, home, env))
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["ncf-pipe run, 100 stages"]
    print(f"| nothing to do | median of {args.rounds} | times ours at 100 stages |\n|---|---:|---:|")
    for name, median in medians.items():
        print(f"| {name} | {1000 * median:.0f} ms | {median / base:.1f} |")
    print(json.dumps(times))


if __name__ == "__main__":
    main()
