"""An HTML page with all pictures embedded: no network, no scripts, no other files."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from scratchgpt.inspection import figures
from scratchgpt.utils.files import atomic_path
from scratchgpt.utils.html import STYLE, section

PIXELS_PER_INCH = 100  # of the page; pictures have more, for high-resolution screens
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline';
  img-src data:">
<title>inside {name}</title><style>{style}
.words {{ font: .85rem/1.7 ui-monospace, monospace; overflow-wrap: anywhere; }}
.words span {{ padding: .1em .15em; border-radius: 3px; unicode-bidi: isolate; }}
.words span:nth-of-type(odd) {{ background: #8882; }} .words span:nth-of-type(even) {{ background: #8885; }}
img {{ display: block; }}
@media (prefers-color-scheme: dark) {{ img {{ filter: invert(1) hue-rotate(180deg); }} }}
</style></head><body>
<h1>inside {name}</h1>
<pre class=about>{about}</pre>
<p class=words dir=auto>{words}</p>
{sections}
</body></html>
"""


@dataclass(frozen=True)
class Picture:
    """A figure with its heading and explanation.

    Attributes:
        name: its file name without the suffix.
        title: the heading.
        note: how to read it.
        figure: the matplotlib figure.
    """

    name: str
    title: str
    note: str
    figure: Figure

    def write(self, folder: Path) -> str:
        """Write the picture as a PNG into a folder; return its section of the page as HTML."""
        path = folder / f"{self.name}.png"
        figures.save(self.figure, path)
        data = b64encode(path.read_bytes()).decode("ascii")
        width = round(self.figure.get_figwidth() * PIXELS_PER_INCH)
        image = f'<img width={width} alt="{escape(self.title)}" src="data:image/png;base64,{data}">'
        return section(self.title, f"<p>{escape(self.note)}</p><div class=wide>{image}</div>")


def write_page(path: Path, name: str, about: str, words: Sequence[str], sections: Sequence[str]) -> None:
    """Write the page.

    Args:
        path: the file.
        name: the run's name.
        about: lines that describe what is shown.
        words: the labels of the text's tokens.
        sections: what `Picture.write` returned.

    Raises:
        InputError: if the file cannot be written.
    """
    page = PAGE.format(
        style=STYLE,
        name=escape(name),
        about=escape(about),
        words="".join(f"<span>{escape(word)}</span><wbr>" for word in words),
        sections="".join(sections),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="xmlcharrefreplace")
