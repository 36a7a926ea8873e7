"""Every setting of text generation, and which of them can be combined."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from scratchgpt.errors import InputError
from scratchgpt.utils.validation import check_types

LARGEST_LENGTH_PENALTY = 10.0  # far beyond any use, and length^10 is still finite


@dataclass(frozen=True)
class GenerationSettings:
    """How to generate text.

    By default tokens are sampled at the temperature, and nothing else changes their scores. A beam search
    samples nothing, so with `beams` the truncations (top_k, top_p, min_p, typical_p) must be off and the
    temperature 0, 1 or its default.

    Attributes:
        prompt: the text to continue; null starts a new line.
        max_new_tokens: maximum number of tokens to generate.
        min_new_tokens: no end token before this many tokens; a `stop` text may still end it earlier.
        temperature: 0 always takes the most likely token; 1 samples the model's own distribution.
        top_k: sample among the k most likely tokens; 0 or null means all.
        top_p: sample among the most likely tokens whose probabilities sum to this; null means all.
        min_p: sample among tokens at least this fraction as likely as the top one; null means all.
        typical_p: sample among the tokens with the most typical information content whose probabilities sum
            to this; null means all.
        repetition_penalty: above 1, tokens of the prompt and of the text so far become less likely; 1 is off.
        presence_penalty: subtracted once from the score of every token generated so far.
        frequency_penalty: subtracted from the score of a token for each time it was generated.
        no_repeat_ngram: no n tokens in a row occur twice, prompt included; 0 is off.
        logit_bias: added to the score of a token, given by its id or by its text in quotes.
        banned: texts whose token sequence is never generated; other tokens may spell the same text.
        stop: texts that end the generation; the output ends before them.
        beams: number of beams of a beam search; 1 is no search.
        beam_groups: number of groups of beams that avoid each other's tokens (diverse beam search).
        diversity_penalty: subtracted from a token's score for each earlier group that took it in this step.
        length_penalty: a text's score is its log-probability divided by its length to this power.
        early_stopping: when to stop once there are as many finished texts as beams. true: immediately; false:
            when the best running beam cannot beat them at its current score; never: only when no beam could
            still beat them.
    """

    prompt: str | None = None
    max_new_tokens: int = 300
    min_new_tokens: int = 0
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    no_repeat_ngram: int = 0
    logit_bias: dict[int | str, float] = field(default_factory=dict)
    banned: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    beams: int = 1
    beam_groups: int = 1
    diversity_penalty: float = 0.0
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False

    def __post_init__(self) -> None:
        check_types(self, "generation.")
        for name in ("max_new_tokens", "no_repeat_ngram", "diversity_penalty"):
            self._expect(name, getattr(self, name) >= 0, "at least 0")
        longest = self.max_new_tokens
        good = 0 <= self.min_new_tokens <= longest
        self._expect("min_new_tokens", good, f"0 to max_new_tokens = {longest}")
        self._expect("temperature", self.temperature >= 0, "at least 0 (0 is greedy)")
        self._expect("top_k", self.top_k is None or self.top_k >= 0, "at least 1, or 0 or null for all")
        for name in ("top_p", "typical_p"):
            share = getattr(self, name)
            self._expect(name, share is None or 0 < share <= 1, "a number in (0, 1], or null")
        self._expect("min_p", self.min_p is None or 0 <= self.min_p <= 1, "a number in [0, 1], or null")
        self._expect(
            "repetition_penalty", 0 < self.repetition_penalty <= 100, "a positive number, at most 100"
        )
        for name in ("presence_penalty", "frequency_penalty"):
            self._expect(name, abs(getattr(self, name)) <= 100, "a number in [-100, 100]")
        for name in ("banned", "stop"):
            good = all(isinstance(text, str) and text for text in getattr(self, name))
            self._expect(name, good, "a list of texts that are not empty")
        good = all(_is_bias(token, bias) for token, bias in self.logit_bias.items())
        self._expect("logit_bias", good, "a mapping from ids or texts of tokens to finite numbers")
        self._check_beams()

    def shortened(self, max_new_tokens: int) -> "GenerationSettings":
        """Return the same settings with another `max_new_tokens`."""
        least = min(self.min_new_tokens, max_new_tokens)
        return replace(self, max_new_tokens=max_new_tokens, min_new_tokens=least)

    def _check_beams(self) -> None:
        """Check that the settings of a beam search fit together, and that none is set that has no effect."""
        beams, groups = self.beams, self.beam_groups
        self._expect("beams", beams >= 1, "at least 1")
        self._expect("beam_groups", groups >= 1 and beams % groups == 0, f"a divisor of beams = {beams}")
        if groups == 1:
            self._expect_default("diversity_penalty", "with one group of beams")
        else:
            good = self.diversity_penalty > 0
            self._expect(
                "diversity_penalty",
                good,
                f"more than 0, or all {groups} groups find the same",
            )
        self._expect(
            "length_penalty", abs(self.length_penalty) <= LARGEST_LENGTH_PENALTY, "a number from -10 to 10"
        )
        if beams == 1:
            for name in ("length_penalty", "early_stopping"):
                self._expect_default(name, "without beams")
            return
        unused = [name for name in ("top_k", "top_p", "min_p", "typical_p") if getattr(self, name)]
        if self.temperature not in (0.0, 1.0, _default("temperature")):
            unused.append("temperature")
        for name in unused:
            value = getattr(self, name)
            raise InputError(f"generation.{name} is {value!r}, but beam search does not sample; leave it out")

    def _expect(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise InputError(f"generation.{name} is {getattr(self, name)!r}; expected {expected}")

    def _expect_default(self, name: str, when: str) -> None:
        default = _default(name)
        self._expect(name, getattr(self, name) == default, f"{default} {when}".lower())


def _default(name: str) -> Any:
    return next(field.default for field in fields(GenerationSettings) if field.name == name)


def _is_bias(token: Any, bias: Any) -> bool:
    is_token = isinstance(token, str) or (isinstance(token, int) and not isinstance(token, bool))
    return is_token and isinstance(bias, int | float) and abs(bias) < float("inf")
