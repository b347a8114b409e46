"""The fault suite: faults that really happen, injected into the real program, and what must hold afterwards.

    python3 tests/faults/suite.py --binary target/release/ncf-pipe [--quick] [--only NAME] [--rounds N] [--seed S]

Needs Linux and Python 3.11; strace, root (for tmpfs and other users) and libfaketime for some rows, which are
skipped with a line about it where they are missing. Ends with 0 if every row held, else with 1.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import crowd
import damage
import errors
import inputs
import kills
import manifests
import places
import power
import signals
from harness import Bench, Row

FAULTS = [*kills.FAULTS, *power.FAULTS, *errors.FAULTS, *places.FAULTS, *crowd.FAULTS, *damage.FAULTS, *manifests.FAULTS,
          *inputs.FAULTS, *signals.FAULTS]


def table(rows):
    lines = ["| fault | injected how | injections | outcome |", "|---|---|---:|---|"]
    for row in rows:
        lines.append(f"| {row.name} | {row.how} | {row.injections():,} | {row.verdict()} |")
    total = sum(row.injections() for row in rows)
    wrong = sum(n for row in rows for n in row.failures.values())
    lines.append(f"| **all** | | **{total:,}** | {'nothing lost, no wrong hit' if not wrong else f'**{wrong} failures**'} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="the program")
    parser.add_argument("--only", action="append", default=[], help="rows whose name begins so; may be repeated")
    parser.add_argument("--rounds", type=float, default=1, help="how often random faults are repeated, as a factor")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="write the results here")
    parser.add_argument("--markdown", help="write the table here")
    parser.add_argument("--quick", action="store_true", help="a subset of seconds, for CI")
    parser.add_argument("--dir", help="where to work; a temporary directory by default")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    parser.add_argument("--merge", nargs="+", metavar="JSON", help="only write the table of earlier results")
    args = parser.parse_args()
    if args.merge:
        found = {row["name"]: row for path in args.merge for row in json.loads(Path(path).read_text())}
        rows = []
        for name, how, _, _ in FAULTS:
            if name in found:
                rows.append(Row(name, how))
                vars(rows[-1]).update(found[name], how=how)
        print(table(rows), end="")
        return 0
    if not args.binary:
        parser.error("--binary is needed")
    # A shell starts what it runs in the background with signals ignored, and that would be handed on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    chosen = [fault for fault in FAULTS if not args.only or any(fault[0].startswith(name) for name in args.only)]
    if args.quick and not args.only:
        chosen = [fault for fault in chosen if fault[3]]
    if args.list:
        print("\n".join(f"{name}: {how}" for name, how, _, _ in chosen))
        return 0
    where = Path(tempfile.mkdtemp(prefix="ncf-faults-", dir=args.dir))
    where.chmod(0o755)
    bench = Bench(args.binary, where, args.seed, args.rounds, args.quick)
    rows = []
    try:
        for name, how, fault, _ in chosen:
            row, begun = Row(name, how), time.monotonic()
            try:
                fault(bench, row)
            except Exception:
                row.fails("the suite itself failed", traceback.format_exc())
            row.seconds = time.monotonic() - begun
            rows.append(row)
            print(f"{name}: {row.injections()} in {row.seconds:.1f} s: {row.verdict()}", flush=True)
            if args.json:
                Path(args.json).write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
            if args.markdown:
                Path(args.markdown).write_text(table(rows))
    finally:
        shutil.rmtree(where, ignore_errors=True)
    print(table(rows))
    return 1 if any(row.failures for row in rows) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
