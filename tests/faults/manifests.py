"""Manifests that were edited, with and without a checksum that fits."""

import copy
import json
import shutil

import blake3
from harness import holds
from kills import finished

HEX = "0" * 64


def sealed(manifest, outputs=True):
    """The text of a manifest whose digests and checksum fit what it says now."""
    manifest = copy.deepcopy(manifest)
    manifest.pop("checksum", None)
    if outputs:
        for output in manifest.get("outputs", {}).values():
            output["digest"] = blake3.files_digest(output["files"])
    manifest["checksum"] = blake3.hexdigest(blake3.canonical(manifest))
    return json.dumps(manifest, indent=2) + "\n"


def texts(good, other):
    """Edits of the text, none of which has a checksum that fits; with what they do."""
    text = json.dumps(good, indent=2)
    yield "empty", ""
    yield "spaces only", "  \n"
    yield "null", "null"
    yield "a list", "[]"
    yield "an empty object", "{}"
    yield "not UTF-8", text.replace("read", "re\udcffad") if "read" in text else text[:50] + "\udcff" + text[50:]
    yield "a NUL", text + "\0"
    yield "a byte order mark", "\ufeff" + text
    yield "more after the end", text + "{}"
    yield "without the last brace", text.rstrip()[:-1]
    yield "duplicate keys", text.replace('"schema": 1,', '"schema": 1, "schema": 1,', 1)
    yield "duplicate outputs", text.replace('"outputs": {', '"outputs": {}, "outputs": {', 1)
    yield "deep lists", "[" * 200_000
    yield "deep objects", '{"a":' * 100_000
    yield "deep facts", text.replace('"facts": {', '"facts": {"x": ' + "[" * 5000 + "]" * 5000 + ", ", 1)
    yield "schema 999", text.replace('"schema": 1', '"schema": 999', 1)
    yield "schema 0", text.replace('"schema": 1', '"schema": 0', 1)
    yield "schema -1", text.replace('"schema": 1', '"schema": -1', 1)
    yield "schema 1.0", text.replace('"schema": 1', '"schema": 1.0', 1)
    yield "schema as text", text.replace('"schema": 1', '"schema": "1"', 1)
    yield "schema 2^64 + 1", text.replace('"schema": 1', '"schema": 18446744073709551617', 1)
    yield "NaN", text.replace('"threads": ', '"threads": NaN, "x": ', 1)
    yield "infinity", text.replace('"seconds": ', '"seconds": 1e999, "x": ', 1)
    yield "20 MB of spaces", text + " " * 20_000_000
    yield "20 MB of text", text.replace('"warnings": []', '"warnings": ["' + "x" * 20_000_000 + '"]', 1)
    yield "another tool", text.replace('"tool": "', '"tool": "x', 1)
    yield "another checksum", text.replace(good["checksum"], HEX, 1)
    yield "an upper-case checksum", text.replace(good["checksum"], good["checksum"].upper(), 1)
    yield "no checksum", json.dumps({k: v for k, v in good.items() if k != "checksum"})
    for name in good:
        yield f"without `{name}`", json.dumps({k: v for k, v in good.items() if k != name})
        yield f"`{name}` null", json.dumps({**good, name: None})
        yield f"`{name}` a number", json.dumps({**good, name: 10**30})
        yield f"`{name}` a list", json.dumps({**good, name: [[]]})
    yield "of another stage", json.dumps(other, indent=2)


def forged(good, other):
    """Manifests with a checksum that fits; with what was done to them."""

    def edit(change, outputs=True):
        manifest = copy.deepcopy(good)
        change(manifest)
        return sealed(manifest, outputs)

    output = next(iter(good["outputs"]))
    file = next(iter(good["outputs"][output]["files"]))

    def files(manifest):
        return manifest["outputs"][output]["files"]

    def renamed(name):
        return edit(lambda m: files(m).update({name: files(m).pop(file)}))

    for name in ("../../x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "x\0", "x\n", "CON", "x.", " x", ".ncf-pipe-view.json",
                 "manifest.json", "Manifest.JSON", "é", "x" * 300, "-rf", file.upper(), "./" + file):
        yield f"file name {name[:40]!r}", renamed(name)
    for size in (0, 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1):
        yield f"size {size}", edit(lambda m, size=size: files(m)[file].update(size=size))
    for size in (-1, 2**64, 1.5, "1", None):
        yield f"size {size!r}", edit(lambda m, size=size: files(m)[file].update(size=size), outputs=False)
    for digest in (HEX, "", "x" * 64, "../" * 21 + "x", "A" * 64, HEX[:63], HEX + "0", "é" * 32):
        seal = digest == HEX
        yield f"digest {digest[:20]!r}", edit(lambda m, d=digest: files(m)[file].update(digest=d), outputs=seal)
    yield "an output more", edit(lambda m: m["outputs"].update(more=copy.deepcopy(m["outputs"][output])))
    yield "an output with a bad name", edit(lambda m: m["outputs"].update({"../x": m["outputs"].pop(output)}))
    yield "an output less", edit(lambda m: m["outputs"].pop(output))
    yield "no output", edit(lambda m: m["outputs"].clear())
    yield "a file less", edit(lambda m: files(m).pop(file))
    yield "a file more", edit(lambda m: files(m).update({"extra.parquet": dict(files(m)[file])}))
    yield "an output of another kind", edit(lambda m: m["outputs"][output].update(kind="model"))
    yield "an output digest that does not fit", edit(lambda m: m["outputs"][output].update(digest=HEX), outputs=False)
    yield "500 files", edit(lambda m: files(m).update({f"f{i}": dict(files(m)[file]) for i in range(500)}))
    yield "another key", edit(lambda m: m.update(key=HEX))
    yield "another kind", edit(lambda m: m.update(kind="train"))
    yield "another identity", edit(lambda m: m["identity"].update(version=99))
    yield "an identity with another seed", edit(lambda m: m["identity"].update(seed=12345))
    yield "an empty identity", edit(lambda m: m.update(identity={}))
    yield "an unknown field", edit(lambda m: m.update(extra=1))
    yield "schema 2, sealed", edit(lambda m: m.update(schema=2))
    yield "schema 999, sealed", edit(lambda m: m.update(schema=999))
    yield "negative seconds", edit(lambda m: m.update(seconds=-1.0))
    yield "created in the year 2^63", edit(lambda m: m.update(created=2**63))
    yield "created at -1", edit(lambda m: m.update(created=-1))
    yield "negative threads", edit(lambda m: m.update(threads=-1))
    yield "escape sequences", edit(lambda m: m.update(stage="\x1b[2J\x1b[31m", warnings=["\x1b]0;x\x07"]))
    yield "another stage's manifest under this key", sealed({**other, "key": good["key"]})


def mutations(bench, row):
    """Each edit of each manifest; a run, `plan`, `store verify`, `ls`, `gc`, `du` and `show` must bear it."""
    base = finished(bench)
    clean = bench.reference()
    manifests = base.manifests()
    chosen = manifests[:1] if bench.quick else manifests
    goods = {path: json.loads(path.read_text()) for path in manifests}
    for path in chosen:
        good = goods[path]
        other = goods[manifests[(manifests.index(path) + 1) % len(manifests)]]
        whole = json.dumps(good, indent=2) + "\n"
        cases = [(what, text, False) for what, text in texts(good, other)]
        cases += [(what, text, True) for what, text in forged(good, other)]
        if bench.quick:
            cases = [case for case in cases if len(case[1]) < 1_000_000]
        for what, text, fits in cases[:: 9 if bench.quick else 1]:
            where = f"manifest of `{good['stage']}`: {what}{' (checksum fits)' if fits else ''}"
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            for command in (("plan", "cheap.yaml"), ("store", "ls"), ("store", "du"), ("store", "gc", "--dry-run"),
                            ("show", "cheap.yaml", good["stage"]), ("store", "verify")):
                ran = base.ncf(*command)
                if ran.crashed() or ran.code not in (0, 2, 3):
                    row.fails(f"`{' '.join(command)}` ends with {ran.code}", f"{where}: {ran.brief()}")
                if "\x1b" in ran.out + ran.err:
                    row.fails(f"`{' '.join(command)}` writes escape sequences to the terminal", f"{where}")
                if ran.seconds > 1:
                    row.fails("takes more than a second", f"{where}: `{' '.join(command)}` {ran.seconds:.1f} s")
            ran = base.run("--verify=always")
            if ran.code != 0 or base.shown() != clean:
                harmless = fits and ran.code == 0 and same_files(base.shown(), clean)
                if not harmless:
                    row.fails("not as a clean run", f"{where}: {ran.brief()}")
            if not fits and ran.code == 0 and not ran.with_status("ran"):
                row.fails("an edited manifest is a hit", where)
            outside = [p for p in base.dir.rglob("x") if base.store not in p.parents]
            if outside:
                row.fails("something was written outside", f"{where}: {outside}")
            row.saw("recovers" if ran.with_status("ran") else "a hit with the right bytes")
            path.unlink(missing_ok=True)
            path.write_text(whole)
    holds(base, row, "after all mutations", clean=clean)
    base.forget()


def same_files(one, other):
    """The same stored files; what a forged manifest says beside them is believed, as its writer is."""
    def of(shown):
        return {name: found for name, found in shown.items() if isinstance(found, str)}
    return of(one) == of(other)


def newer(bench, row):
    """A store of a newer layout is refused and left alone; a newer manifest is a miss, and gc leaves it alone."""
    for text in ("ncf-pipe store 2\n", "ncf-pipe store 999999999999999999999\n", "ncf-pipe store 0\n", "other\n", "ncf-pipe store 1 x\n"):
        project = finished(bench)
        (project.store / "format").write_text(text)
        for command in (("run", "cheap.yaml"), ("store", "gc", "--all"), ("store", "verify", "--repair"), ("store", "ls"), ("plan", "cheap.yaml")):
            before = {str(p): p.stat().st_mtime_ns for p in project.store.rglob("*")}
            ran = project.ncf("-q", *command)
            if ran.code != 3 or ran.unclear():
                row.fails("a store of another layout is not refused clearly", f"{text!r} {command}: {ran.brief()}")
            if before != {str(p): p.stat().st_mtime_ns for p in project.store.rglob("*")}:
                row.fails("a store of another layout is changed", f"{text!r} {command}")
            row.saw("refuses clearly")
        project.forget()
    project = finished(bench)
    path = project.manifests()[0]
    text = sealed({**json.loads(path.read_text()), "schema": 2, "news": {"a": [1]}})
    path.write_text(text)
    env = {"LD_PRELOAD": bench.faketime, "FAKETIME": "+60d"} if bench.faketime else {}
    for command in (("store", "gc", "--all"), ("store", "verify", "--repair")):
        project.ncf(*command, env=env)
        if not path.exists() or path.read_text() != text:
            row.fails(f"`{' '.join(command)}` removes what a newer version has written", path.name)
        row.saw("leaves it alone")
    holds(project, row, "a newer manifest", clean=bench.reference())
    shutil.rmtree(project.dir)


FAULTS = [
    ("manifest/mutations", "a table of edits of each manifest, with and without a checksum that fits: paths, sizes, digests, schema, names, duplicates, depth, length, encoding", mutations, True),
    ("manifest/newer", "a store and a manifest of another version", newer, True),
]
