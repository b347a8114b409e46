"""Writes a synthetic ratings file: lines of user, item, rating and timestamp, separated by tabs.

usage: ratings.py OUT --rows N [--order user|shuffled] [--seed S]

Shaped like MovieLens-20M (138,493 users, 26,744 items): the number of users grows with the rows, that of items with
their square root. Items are drawn by Zipf-Mandelbrot's law; no user rates an item twice; 55 % of the ratings are 4 or
5. The same arguments give the same file. Prints its size as one JSON object. Needs numpy and polars.
"""

import argparse
import json
import math
import os

import numpy as np
import polars as pl

ROWS, USERS, ITEMS = 20_000_000, 138_493, 26_744  # MovieLens-20M
CHUNK = 4_000_000
SHARES = [0.06, 0.11, 0.28, 0.34, 0.21]  # of the ratings 1 to 5
FIRST, LAST = 789_652_009, 1_427_784_002  # its first and last timestamp
MONTH = 30 * 24 * 3600


def activity(rng, rows, users, items):
    """How many ratings each user has: log-normal, at least 1, and `rows` together."""
    weights = rng.lognormal(0.0, 1.0, users)
    counts = np.clip(weights / weights.sum() * rows, 1, items // 4).astype(np.int64)
    rest = rows - counts.sum()
    while rest:
        open_users = np.flatnonzero(counts < items // 2 if rest > 0 else counts > 1)
        chosen = rng.choice(open_users, min(abs(rest), len(open_users)), replace=False)
        counts[chosen] += np.sign(rest)
        rest = rows - counts.sum()
    return counts


def pairs(rng, counts, cumulative):
    """Distinct (user, item) pairs, `counts[u]` for user u, as sorted keys `u * items + item`."""
    items = len(cumulative)
    keys = np.empty(0, np.int64)
    for attempt in range(1000):
        missing = counts - np.bincount(keys // items, minlength=len(counts))
        if not missing.any():
            return keys
        user = np.repeat(np.arange(len(counts)), missing)
        # Users who have all that is popular would draw it again and again: after a while, any item will do.
        draws = rng.random(len(user))
        item = np.searchsorted(cumulative, draws) if attempt < 20 else (draws * items).astype(np.int64)
        new = np.unique(user * items + item)
        if len(keys):
            at = np.minimum(np.searchsorted(keys, new), len(keys) - 1)
            new = new[keys[at] != new]
        keys = np.sort(np.concatenate([keys, new]), kind="stable")
    raise RuntimeError("the users want more items than there are")


def chunks(rows, seed):
    """Frames of about CHUNK rows, user by user, and the numbers of users and items."""
    items = max(8, round(ITEMS * math.sqrt(rows / ROWS)))
    # In small files, enough users that none needs more than an eighth of the items on average.
    users = max(round(USERS * rows / ROWS), math.ceil(rows / (items // 8)))
    rng = np.random.default_rng(seed)
    counts = activity(rng, rows, users, items)
    # The item ids have gaps, and say nothing of popularity.
    ids = rng.permutation(np.sort(rng.choice(5 * items, items, replace=False)) + 1).astype(np.int32)
    # Flat at the head, so that the most popular item is known to about half of the users.
    cumulative = np.cumsum(1.0 / (20 + np.arange(1, items + 1)))
    cumulative /= cumulative[-1]
    first = rng.integers(FIRST, LAST - MONTH, users)
    ends = np.searchsorted(np.cumsum(counts), np.arange(CHUNK, rows + CHUNK, CHUNK))

    def frames():
        start = 0
        for end in np.unique(np.minimum(ends + 1, users)):
            keys = pairs(rng, counts[start:end], cumulative)
            # Within a user, in no order.
            keys = keys[np.lexsort((rng.random(len(keys), np.float32), keys // items))]
            user = start + keys // items
            rating = 1 + np.searchsorted(np.cumsum(SHARES[:-1]), rng.random(len(keys)), side="right")
            time = first[user] + rng.integers(0, MONTH, len(keys))
            yield pl.DataFrame(
                {
                    "user": (user + 1).astype(np.int32),
                    "item": ids[keys % items],
                    "rating": rating.astype(np.int8),
                    "time": time,
                }
            )
            start = end

    return frames(), users, items


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--order", choices=["user", "shuffled"], default="user")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    frames, users, items = chunks(args.rows, args.seed)
    if args.order == "shuffled":
        frames = [pl.concat(frames).sample(fraction=1.0, shuffle=True, seed=args.seed)]
    written = 0
    with open(args.out + ".part", "wb") as file:
        for frame in frames:
            frame.write_csv(file, separator="\t", include_header=False)
            written += frame.height
    if written != args.rows:
        raise RuntimeError(f"made {written} rows, not {args.rows}")
    os.replace(args.out + ".part", args.out)
    print(json.dumps({"rows": written, "users": users, "items": items, "bytes": os.path.getsize(args.out)}))


if __name__ == "__main__":
    main()
