"""Parts of a self-contained HTML page: no network, no script, no other file."""

from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --blue: #2f6fb3; --orange: #d9741a; --green: #2c8a4b; --grey: #888;
  --line: #8883; }
@media (prefers-color-scheme: dark) { :root { --blue: #6aaef5; --orange: #f5a04f; --green: #5cc47f; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; font-size: 1.2rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; margin: .3rem 0;
  unicode-bidi: isolate; }
.about { font-family: inherit; font-size: 1rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1rem; }
figure { margin: 0; } figure:first-child { grid-column: 1 / -1; }
figcaption { font-weight: 600; font-size: .9rem; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; } svg text { fill: currentColor; }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.level { stroke-width: 1.4; stroke-dasharray: 5 4; } .band { fill-opacity: .25; stroke-opacity: .25; }
.legend { margin: 0; font-size: .8rem; } .legend span { margin-right: 1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: 2px; }
.legend .faint { opacity: .35; }
table { border-collapse: collapse; font-size: .9rem; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; } th { font-weight: 500; }
@media (max-width: 40rem) { figure:first-child svg { font-size: 17px; } }
"""


def section(title: str, content: str) -> str:
    """Return a heading, escaped, followed by its content, which is HTML already."""
    return f"<h2>{escape(title)}</h2>{content}"


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return a table, all cells escaped; the first cell of each row is its heading."""
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{escape(first)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<div class=wide><table>{f'<tr>{heading}</tr>' if head else ''}{body}</table></div>"
