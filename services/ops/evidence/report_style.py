"""The style sheet of a report: light or dark by the reader's setting; for a telephone and for paper, too."""

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5c6675; --paper: #fff; --soft: #f3f5f8; --line: #d9dee6;
  --warn: #a33a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe5ee; --dim: #97a2b3; --paper: #12161d; --soft: #1b212b; --line: #313a48; --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .5rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); font-size: 1.25rem; }
p { margin: .5rem 0; max-width: 46rem; }
dl { display: grid; grid-template-columns: 9rem minmax(0, 1fr); gap: .125rem .75rem; margin: .75rem 0; }
dt, .dim { color: var(--dim); }
dd { margin: 0; }
.warn { color: var(--warn); font-weight: 600; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th, td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 400; color: var(--dim); }
tr { break-inside: avoid; }
@media (max-width: 45rem) {
  thead { display: none; }
  dl { grid-template-columns: minmax(0, 1fr); }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td { display: block; padding: 0; border: 0; }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--dim); } }
@media print { body { max-width: none; padding: 0; font-size: 11px; } h2 { break-after: avoid; } }
"""
