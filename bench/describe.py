"""Says what a split and its candidates hold, as one JSON object, to compare those of different programs.

usage: describe.py SPLIT_DIR USER ITEM CANDIDATES_FILE LIST

USER and ITEM are columns of train, valid and test.parquet in SPLIT_DIR, LIST one of CANDIDATES_FILE. Needs polars.
"""

import json
import sys

import polars as pl


def part(path, user, item):
    """The number of rows, and sums that tell which users, items and pairs are there."""
    u, i = (pl.col(name).cast(pl.Int64) for name in (user, item))
    sums = [
        pl.len().alias("rows"),
        u.sum().alias("users"),
        i.sum().alias("items"),
        (u * i % 1_000_003).sum().alias("pairs"),
    ]
    return pl.scan_parquet(path).select(sums).collect(engine="streaming").row(0, named=True)


def main():
    split, user, item, candidates, lists = sys.argv[1:]
    found = {name: part(f"{split}/{name}.parquet", user, item) for name in ("train", "valid", "test")}
    # polars writes lists of equal length as arrays.
    lengths = pl.read_parquet(candidates)[lists].cast(pl.List(pl.Int64)).list.len()
    found["candidates"] = {"users": len(lengths), "shortest": lengths.min(), "longest": lengths.max()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
