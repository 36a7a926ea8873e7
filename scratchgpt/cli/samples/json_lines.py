"""Print samples as JSON lines, for other programs."""

import json
import sys
from collections.abc import Iterable
from io import TextIOWrapper

from scratchgpt.cli.samples.batches import Sample


def as_json(sample: Sample) -> str:
    """Return a sample as a JSON object on one line; log-probabilities are natural logarithms."""
    content = {
        "prompt": sample.prompt,
        "text": sample.text,
        "seed": sample.request.seed,
        "finish_reason": sample.finish_reason,
        "tokens": [
            {"id": token.id, "text": token.text, "logprob": token.logprob}
            | ({"alternatives": _alternatives(token.alternatives)} if token.alternatives else {})
            for token in sample.tokens
        ],
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def print_json(samples: Iterable[Sample]) -> None:
    """Print a line for each sample as soon as it is done, in UTF-8 whatever the terminal's encoding."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    for sample in samples:
        print(as_json(sample), flush=True)


def _alternatives(found: Iterable[tuple[str, float]]) -> list[dict[str, str | float]]:
    return [{"text": text, "logprob": logprob} for text, logprob in found]
