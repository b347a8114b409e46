#!/bin/sh
# Compiles the tables under tests/golden with pdflatex, hostile text included, and shows where it failed.
# Needs pdflatex with booktabs (Debian: texlive-latex-base texlive-latex-recommended). PDFs lie in the folder given.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$(mktemp -d)}
mkdir -p "$out"
for table in "$here"/tests/golden/*.tex; do
  name=$(basename "$table" .tex)
  for fonts in '' '\usepackage[T1]{fontenc}'; do
    {
      printf '%s\n' '\documentclass{article}' '\usepackage{booktabs}' '\usepackage[margin=1cm,landscape]{geometry}' "$fonts" '\begin{document}'
      cat "$table"
      printf '%s\n' '\end{document}'
    } > "$out/$name.doc.tex"
    (cd "$out" && pdflatex -interaction=nonstopmode -halt-on-error -no-shell-escape "$name.doc.tex" > "$name.out" 2>&1) || { tail -30 "$out/$name.out"; exit 1; }
    if grep -n 'Missing character\|undefined' "$out/$name.doc.log" | grep -v "Font shape\|font shapes"; then exit 1; fi
  done
  echo "$name compiles"
done
