#!/bin/sh
# Makes fonts/DejaVuSans-subset.ttf and src/plot/widths.rs again. Needs fonttools (`pip install fonttools`).
# Usage: scripts/font.sh path/to/DejaVuSans.ttf    (version 2.37; Debian's package fonts-dejavu-core has it)
set -eu
cd "$(dirname "$0")/.."
pyftsubset "$1" \
  --unicodes="U+0020-007E,U+00A0-017F,U+018F,U+0192,U+01A0-01A1,U+01AF-01B0,U+0218-021B,U+0259,U+02C6-02DD,U+0300-0304,U+0306-030C,U+0323,U+0370-03FF,U+0400-045F,U+1E00-1EFF,U+2000-205F,U+2070-209F,U+20A0-20BF,U+2100-2138,U+2190-21FF,U+2200-2265,U+2282-2287,U+2295-2297,U+22A5,U+22C5,U+25A0-25D9,U+25E6,U+2605,U+2606,U+2713,U+2717,U+FFFD" \
  --no-hinting --layout-features=ccmp,mark,mkmk --name-IDs='*' --name-languages=0x409 --notdef-outline \
  --no-recalc-timestamp --drop-tables+=MATH,GSUB,gasp,FFTM --output-file=fonts/DejaVuSans-subset.ttf
python3 - <<'P'
from fontTools.ttLib import TTFont
font = TTFont("fonts/DejaVuSans-subset.ttf")
cmap, hmtx = font.getBestCmap(), font["hmtx"]
def table(first, last):
    return [hmtx[cmap[c]][0] if c in cmap else 2048 for c in range(first, last + 1)]
def rust(name, doc, first, last):
    w = table(first, last)
    lines = [f"/// {doc}", f"pub(crate) const {name}: [u16; {len(w)}] = ["]
    row = "   "
    for x in w:
        if len(row) + len(f" {x},") > 118:
            lines.append(row); row = "   "
        row += f" {x},"
    return "\n".join(lines + [row, "];"])
open("src/plot/widths.rs", "w").write(
    "//! Advance widths of the embedded font in units of 1/2048 em. Made by `scripts/font.sh`: do not edit.\n\n"
    + rust("LATIN", "U+0020 to U+017F.", 0x20, 0x17F) + "\n\n" + rust("GREEK_CYRILLIC", "U+0370 to U+045F.", 0x370, 0x45F) + "\n")
P
