"""Stored files that are cut, flipped, lost or exchanged."""

import json
import os
import shutil
import time

from harness import holds
from kills import finished


def settle(project):
    """Makes stored files look old and lets a run hash them, so that from now on their times are trusted."""
    then = time.time() - 3600
    for path in project.blobs():
        os.utime(path, (then, then))
    assert project.run().code == 0
    time.sleep(0.02)


def overwrite(path, data, keep_times=False):
    """Writes into the file as it is: the same inode, so that a hard link in the outputs changes with it."""
    before = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate(len(data))
    os.chmod(path, 0o444)
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flipped(data, draw):
    data = bytearray(data)
    at = draw.randrange(len(data) * 8)
    data[at // 8] ^= 1 << (at % 8)
    return bytes(data)


def cuts(length):
    return [n for n in (0, 1, length // 2, length - 1) if n < length] + [length + 1]


def noticed(project, row, what, path, good, *options):
    """A run notices that the file is damaged: it puts it right, and says so."""
    ran = project.run(*options)
    if ran.code != 0:
        row.fails(f"ends with {ran.code}", f"{what}: {ran.brief()}")
    elif not ran.with_status("ran"):
        row.fails("a damaged file is a hit", f"{what}: {ran.statuses()}")
    if not path.exists() or path.read_bytes() != good:
        row.fails("the damaged file is not replaced", what)
    if not project.bad():
        row.fails("the damaged file is not put into `bad`", what)
    shutil.rmtree(project.store / "bad", ignore_errors=True)
    (project.store / "bad").mkdir()


def truncated_blobs(bench, row):
    for mode in ("run", "run --verify=always", "verify"):
        project = finished(bench)
        settle(project)
        for path in project.blobs():
            good = path.read_bytes()
            for length in cuts(len(good)):
                what = f"{path.name[:8]}… of {len(good)} bytes is cut to {length}, {mode}"
                overwrite(path, (good + b"x")[:length], keep_times=True)
                if mode == "verify":
                    verify(project, row, what)
                else:
                    noticed(project, row, what, path, good, *mode.split()[1:])
                row.saw("recovers" if holds(project, row, what, clean=bench.reference(), sweep=False) else "fails")
        project.forget()


def verify(project, row, what):
    """`store verify` finds the damage, `--repair` puts it away, and is then content."""
    found = project.ncf("store", "verify")
    if found.code != 3 or "damaged" not in found.out:
        row.fails("`store verify` does not find it", f"{what}: {found.brief()} {found.out}")
    repaired = project.ncf("store", "verify", "--repair")
    again = project.ncf("store", "verify")
    if repaired.code != 0 or again.code != 0:
        row.fails("`store verify --repair` does not repair", f"{what}: {repaired.out} {again.out}")


def flipped_blobs(bench, row):
    for mode, times in (("run", 1000), ("run --verify=always", 1000), ("verify", 1000)):
        project = finished(bench)
        settle(project)
        blobs = project.blobs()
        for turn in range(bench.times(times, 15)):
            path = bench.draw.choice(blobs)
            good = path.read_bytes()
            overwrite(path, flipped(good, bench.draw), keep_times=True)
            what = f"a bit of {path.name[:8]}… is flipped (turn {turn}), {mode}"
            if mode == "verify":
                verify(project, row, what)
                ok = holds(project, row, what, clean=bench.reference(), sweep=False)
            else:
                noticed(project, row, what, path, good, *mode.split()[1:])
                ok = project.shown() == bench.reference()
                if not ok:
                    row.fails("other outputs than a clean run", what)
            row.saw("recovers" if ok else "fails")
            if turn % 50 == 49:
                settle(project)
        project.forget()


def read_while_damaged(bench, row):
    """Stored files are damaged that a stage which runs again has to read."""
    base = finished(bench)
    more = ("--set", "negatives=9")
    for turn in range(bench.times(300, 10)):
        project = base.copy()
        if turn % 10 == 0:
            settle(project)
        path = bench.draw.choice(project.blobs())
        good = path.read_bytes()
        overwrite(path, flipped(good, bench.draw) if turn % 2 else good[: len(good) // 2], keep_times=True)
        what = f"{path.name[:8]}… is damaged and the last stage has to run (turn {turn})"
        ran = project.run(*more)
        if ran.code != 0 or project.shown() != bench.reference(*more):
            row.fails("a stage that reads it does not recover", f"{what}: {ran.brief()}")
        row.saw("recovers" if holds(project, row, what, clean=bench.reference()) else "fails")
        project.forget()
    base.forget()


def flipped_manifests(bench, row):
    for mode in ("run", "verify"):
        project = finished(bench)
        paths = project.manifests()
        for turn in range(bench.times(500, 20)):
            path = bench.draw.choice(paths)
            good = path.read_bytes()
            path.write_bytes(flipped(good, bench.draw))
            what = f"a bit of the manifest {path.name[:8]}… is flipped (turn {turn}), {mode}"
            same = equal(path.read_bytes(), good)
            if mode == "verify" and not same:
                verify(project, row, what)
            ran = project.run()
            if ran.code != 0 or project.shown() != bench.reference():
                row.fails("not as a clean run", f"{what}: {ran.brief()}")
            if not same and mode == "run" and not ran.with_status("ran"):
                row.fails("a damaged manifest is a hit", f"{what}: {path.read_bytes()[:200]}")
            row.saw("recovers" if not same else "means the same")
        holds(project, row, "flipped manifests", clean=bench.reference())
        project.forget()


def equal(one, other):
    """Whether two texts are the same JSON, so that no reader could tell them apart."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def truncated_manifests(bench, row):
    project = finished(bench)
    for path in project.manifests():
        good = path.read_bytes()
        for length in [*cuts(len(good)), len(good) // 3, len(good) - 2]:
            path.write_bytes((good + b"x")[:length])
            what = f"the manifest {path.name[:8]}… is cut to {length}"
            if not equal(path.read_bytes(), good):
                verify(project, row, what)
            row.saw("recovers" if holds(project, row, what, clean=bench.reference(), sweep=False) else "fails")
    project.forget()


def other_files(bench, row):
    """Refs, memo, view listings, checkpoints, lists of leases: flipped, cut, lost, or garbage."""
    project = finished(bench, "train")
    settle(project)
    clean = bench.reference(pipeline="train")
    places = [project.store / "refs", project.store / "stat", project.store / "scratch", project.outputs]
    for turn in range(bench.times(500, 20)):
        files = [p for place in places for p in sorted(place.rglob("*")) if p.is_file()]
        files = [p for p in files if project.outputs not in p.parents or p.name in (".ncf-pipe-view.json", "manifest.json")]
        path = bench.draw.choice(files)
        good = path.read_bytes()
        how = bench.draw.choice(["flip", "cut", "empty", "garbage", "lost", "deep"])
        bad = {"flip": flipped(good, bench.draw) if good else b"x", "cut": good[: len(good) // 2], "empty": b"",
               "garbage": bench.draw.randbytes(300), "lost": None, "deep": b"[" * 100_000}[how]
        path.unlink()
        if bad is not None:
            path.write_bytes(bad)
        what = f"{path.relative_to(project.dir)} is damaged: {how}"
        forced = ("--force", "evaluate") if turn % 3 == 0 else ()
        ran = project.run(*forced)
        if ran.code != 0 or ran.crashed():
            row.fails(f"ends with {ran.code}", f"{what}: {ran.brief()}")
            project.forget()
            project = finished(bench, "train")
            places = [project.store / "refs", project.store / "stat", project.store / "scratch", project.outputs]
            row.saw("fails")
            continue
        row.saw("recovers" if holds(project, row, what, clean=clean, sweep=False) else "fails")
    project.forget()


def checkpoints(bench, row):
    """A checkpoint that is flipped or cut before the training goes on."""
    base = finished(bench, "train")
    more = ("--set", "epochs=6")
    clean = bench.reference(*more, pipeline="train")
    for turn in range(bench.times(300, 10)):
        project = base.copy()
        path = next((project.store / "scratch").rglob("checkpoint"))
        good = path.read_bytes()
        bad = flipped(good, bench.draw) if turn % 3 else good[: bench.draw.randrange(len(good))]
        path.write_bytes(bad)
        row.saw("recovers" if holds(project, row, f"a damaged checkpoint (turn {turn})", *more, clean=clean) else "fails")
        project.forget()
    base.forget()


def changed_in_the_outputs(bench, row):
    """The user writes into a file of the outputs, which may be another name of the stored one."""
    project = finished(bench)
    settle(project)
    for turn in range(bench.times(200, 10)):
        path = bench.draw.choice([p for p in sorted(project.outputs.rglob("*.parquet"))])
        good = path.read_bytes()
        how = turn % 4
        if how == 3:
            path.unlink()
        else:
            overwrite(path, flipped(good, bench.draw) if how else b"mine", keep_times=how == 2)
        row.saw("recovers" if holds(project, row, f"{path.name} is changed in the outputs ({how})",
                                    clean=bench.reference(), sweep=False) else "fails")
    project.forget()


def swapped(bench, row):
    """Whole files in the place of others: blobs, manifests, refs, and those of an earlier run."""
    base = finished(bench)
    assert base.run("--set", "negatives=7").code == 0
    assert base.run().code == 0
    clean = bench.reference()
    blobs = [p.relative_to(base.dir) for p in base.blobs()]
    manifests = [p.relative_to(base.dir) for p in base.manifests()]
    refs = [p.relative_to(base.dir) for p in sorted((base.store / "refs").rglob("*.json"))]
    for names in (blobs, manifests, refs):
        pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
        for a, b in pairs[:: 7 if bench.quick else 1]:
            for exchange in (True, False):
                project = base.copy()
                one, other = project.dir / a, project.dir / b
                first, second = one.read_bytes(), other.read_bytes()
                one.unlink()
                one.write_bytes(second)
                if exchange:
                    other.unlink()
                    other.write_bytes(first)
                what = f"{a} {'exchanged with' if exchange else 'is a copy of'} {b}"
                ran = project.run("--verify=always")
                if ran.code != 0 or project.shown() != clean:
                    row.fails("not as a clean run", f"{what}: {ran.brief()}")
                # What this pipeline does not use is found by looking for it.
                project.ncf("store", "verify", "--repair")
                row.saw("recovers" if holds(project, row, what, clean=clean, sweep=False) else "fails")
                project.forget()
    # An older manifest of the same key comes back, and an older store on top of a newer one.
    project = base.copy()
    older = {p: p.read_bytes() for p in project.manifests()}
    assert project.run("--force", "ratings", "--force", "split").code == 0
    for path, data in older.items():
        path.write_bytes(data)
    row.saw("recovers" if holds(project, row, "older manifests restored", clean=clean) else "fails")
    project.forget()
    base.forget()


def lost(bench, row):
    """Files and whole directories of the store vanish between two runs."""
    base = finished(bench, "train")
    clean = bench.reference(pipeline="train")
    names = [p.relative_to(base.dir) for p in sorted(base.store.rglob("*")) if p.name != ".ncf-pipe"]
    for name in names[:: 9 if bench.quick else 1]:
        project = base.copy()
        path = project.dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        row.saw("recovers" if holds(project, row, f"{name} is gone", clean=clean) else "fails")
        project.forget()
    base.forget()


def odd_things(bench, row):
    """Directories, links, pipes where files should be, and the other way round."""
    base = finished(bench)
    clean = bench.reference()
    names = [p.relative_to(base.dir) for p in sorted(base.store.rglob("*")) if p.is_file() or p.parent == base.store]
    for name in names[:: 17 if bench.quick else 1]:
        for how in ("directory", "link to nowhere", "link to another", "pipe", "device", "unreadable"):
            project = base.copy()
            path = project.dir / name
            was_dir = path.is_dir()
            content = None if was_dir else path.read_bytes()
            if how != "unreadable":
                shutil.rmtree(path) if was_dir else path.unlink()
            if how == "directory":
                path.write_bytes(b"") if was_dir else path.mkdir()
            elif how == "link to nowhere":
                path.symlink_to("nowhere")
            elif how == "link to another":
                other = project.dir / "elsewhere"
                other.mkdir() if was_dir else other.write_bytes(content)
                path.symlink_to(other)
            elif how == "pipe":
                os.mkfifo(path)
            elif how == "device":
                path.symlink_to("/dev/zero")
            else:
                os.chmod(path, 0)
            what = f"{name} becomes a {how}"
            ran = project.run()
            if ran.crashed() or ran.code == "hang":
                row.fails("a defect shows", f"{what}: {ran.brief()}")
            if ran.code == 0:
                shown = project.shown()
                if shown != clean:
                    row.fails("other outputs than a clean run", what)
                row.saw("recovers")
            elif ran.code == 3 and not ran.unclear():
                row.saw("refuses clearly")
            else:
                row.fails(f"ends with {ran.code}, lacks {ran.unclear()}", f"{what}: {ran.brief()}")
                row.saw("fails")
            project.forget()
    base.forget()


FAULTS = [
    ("damage/truncated", "stored files cut to 0, 1, half and -1 bytes and one too long, times restored; found by a run, `--verify=always`, `store verify`", truncated_blobs, False),
    ("damage/bit-flips", "one random bit of a stored file flipped in place, times restored; found by a run, `--verify=always`, `store verify`", flipped_blobs, True),
    ("damage/read", "a stored file flipped or cut, and a stage that may have to read it runs", read_while_damaged, True),
    ("damage/manifest-flips", "one random bit of a manifest flipped; found by a run, `store verify`", flipped_manifests, True),
    ("damage/manifest-cuts", "manifests cut at seven lengths", truncated_manifests, False),
    ("damage/other-files", "refs, memo, view listings, checkpoints: flipped, cut, emptied, replaced by garbage, lost", other_files, True),
    ("damage/checkpoints", "a checkpoint flipped or cut before the training goes on", checkpoints, False),
    ("damage/outputs", "files of the outputs written to, which may be hard links of stored ones, or removed", changed_in_the_outputs, True),
    ("damage/swapped", "every two stored files, manifests and refs exchanged or copied over each other; older manifests restored", swapped, True),
    ("damage/lost", "every file and directory of the store removed", lost, True),
    ("damage/odd", "a directory, link, pipe or device in the place of every file and room of the store", odd_things, True),
]
