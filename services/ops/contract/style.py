"""The style sheet of the page: light or dark by the reader's setting, readable and printable."""

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5c6675; --paper: #fff; --soft: #f3f5f8; --line: #d9dee6;
  --link: #0b57b0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe5ee; --dim: #97a2b3; --paper: #12161d; --soft: #1b212b; --line: #313a48; --link: #7db4ff; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 1fr); font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.25rem; background: var(--soft);
  border-right: 1px solid var(--line); font-size: .875rem; }
nav .name { margin: 0; font-weight: 700; font-size: 1.125rem; }
nav h2 { margin: 1rem 0 .25rem; font-size: .8125rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
main { padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 66rem; }
h1 { margin: 0 0 .5rem; font-size: 1.75rem; line-height: 1.2; }
section > h2 { margin: 3rem 0 .5rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
h3 { margin: 2.5rem 0 .25rem; font-size: 1.25rem; }
article:target h3 { text-decoration: underline; text-decoration-thickness: 2px; }
span:target { background: var(--soft); outline: 2px solid var(--link); }
h4 { margin: 1.25rem 0 .25rem; }
p { margin: .5rem 0; max-width: 46rem; }
.none { color: var(--dim); }
dl { display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); gap: .125rem .75rem; margin: .75rem 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
dd a { margin-right: .5rem; font-size: .875rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-size: .9375rem; }
th, td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 400; white-space: nowrap; }
td i { color: var(--dim); }
code { font: .875em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .75rem 0; padding: .75rem 1rem; overflow-x: auto; background: var(--soft); border-radius: .375rem; }
pre.reply { margin-left: 1.5rem; border-left: 3px solid var(--line); border-radius: 0 .375rem .375rem 0; }
details { margin: .25rem 0; padding-left: .75rem; border-left: 2px solid var(--line); }
summary { cursor: pointer; color: var(--dim); }
@media (max-width: 52rem) { body { display: block; } nav { position: static; height: auto; max-height: 40vh; } }
@media print { nav { display: none; } body { display: block; } pre { white-space: pre-wrap; } }
"""
