"""One preparation of a text in its own process, whose memory the parent process watches.

python -m benchmarks.prepare_probe TEXT TOKENIZER CACHE WORKERS

Prints as JSON the seconds it took, the number of tokens, and the number of characters.
"""

import json
import sys
import time
from pathlib import Path

from scratchgpt.corpora.sources import open_corpus
from scratchgpt.data.prepare import prepare
from scratchgpt.tokenizers import load


def main() -> None:
    """Prepare the text."""
    text, tokenizer, cache, workers = sys.argv[1:]
    started = time.perf_counter()
    prepared = prepare(open_corpus(text), load(tokenizer), cache=Path(cache), workers=int(workers))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "tokens": len(prepared), "characters": prepared.n_characters}))


if __name__ == "__main__":
    main()
