"""The BPE tokenizer compared with its definition, written as naive loops over all tokens."""

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.errors import InputError
from scratchgpt.tokenizers import bpe
from scratchgpt.tokenizers.bpe import BPETokenizer
from scratchgpt.tokenizers.bpe_training import BYTES, count_chunks, learn_merges, train_bpe
from scratchgpt.tokenizers.huggingface_reading import from_json
from scratchgpt.tokenizers.split_patterns import GPT2, GPT4, compile_pattern, pattern_named, split

WHOLE = r"[\s\S]+"  # a text is one chunk
SINGLE = {token: i for i, token in enumerate(BYTES)}
END, FIM = "<|endoftext|>", "<|endoftext|>!"
TEXT = "the cat sat on the mat; that's the cat's mat. Über 日本語 und 日本, 1234567 cats!\n\n  the end  " * 3
WORDS = st.text(alphabet="ab é", max_size=12)


def trained(text: str = TEXT, n_merges: int = 60, pattern: str = GPT2) -> BPETokenizer:
    return train_bpe(count_chunks([text], pattern), 256 + n_merges + 2, pattern, [END, FIM])


TOKENIZER = trained()


def by_hand(merges: list[tuple[bytes, bytes]], special_ids: Mapping[str, int] | None = None) -> BPETokenizer:
    """Return the tokenizer of these merges, which does not split."""
    tokens = SINGLE | {left + right: 256 + rank for rank, (left, right) in enumerate(merges)}
    return BPETokenizer(tokens, merges, WHOLE, special_ids or {})


def pieces(tokenizer: BPETokenizer, text: str) -> list[bytes]:
    return [tokenizer.decode_bytes([i]) for i in tokenizer.encode(text)]


# ---------------------------------------------------------------------------------------------- definitions


def naive_training(chunks: Mapping[str, int], n_merges: int) -> list[tuple[int, int]]:
    words = [([SINGLE[bytes([byte])] for byte in chunk.encode()], count) for chunk, count in chunks.items()]
    merges: list[tuple[int, int]] = []
    while len(merges) < n_merges:
        counts: Counter[tuple[int, int]] = Counter()
        for word, count in words:
            for pair in pairwise(word):
                counts[pair] += count
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(replaced(word, best, 256 + len(merges)), count) for word, count in words]
        merges.append(best)
    return merges


def replaced(word: list[int], pair: tuple[int, int], new: int) -> list[int]:
    result, i = [], 0
    while i < len(word):
        if tuple(word[i : i + 2]) == pair:
            result.append(new)
            i += 2
        else:
            result.append(word[i])
            i += 1
    return result


def naive_encode(merges: list[tuple[bytes, bytes]], data: bytes) -> list[bytes]:
    """Merge two neighbors at a time: the leftmost pair of the lowest rank."""
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    parts = [data[i : i + 1] for i in range(len(data))]
    while pairs := [(ranks[pair], i) for i, pair in enumerate(pairwise(parts)) if pair in ranks]:
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


# ------------------------------------------------------------------------------------------------- training


def test_the_classic_example_merge_by_merge() -> None:
    tokenizer = train_bpe({"aaabdaaabac": 1}, 256 + 4, WHOLE, [])
    assert tokenizer.merges == [
        (b"a", b"a"),  # four times in aaabdaaabac, of which two overlap others
        (b"a", b"b"),  # twice in (aa)abd(aa)abac, as often as aa + a, but its ids are lower
        (b"aa", b"ab"),  # twice in (aa)(ab)d(aa)(ab)ac
        (b"a", b"c"),  # once in (aaab)d(aaab)ac, as every pair, but its ids are the lowest
    ]
    assert pieces(tokenizer, "aaabdaaabac") == [b"aaab", b"d", b"aaab", b"ac"]


@given(st.dictionaries(WORDS.filter(bool), st.integers(1, 3), max_size=8), st.integers(0, 30))
def test_training_is_the_naive_loop(chunks: dict[str, int], n_merges: int) -> None:
    assert learn_merges(chunks, n_merges) == naive_training(chunks, n_merges)


@given(st.integers(1, 40), st.integers(1, 40))
def test_training_on_runs_of_one_byte_is_the_naive_loop(long: int, short: int) -> None:
    chunks = {"a" * long: 1, "b" + "a" * short + "b": 2}
    assert learn_merges(chunks, 20) == naive_training(chunks, 20)


@given(st.permutations(["the cat", "that cat", "", "on the mat", "a hat"]))
def test_the_order_of_the_texts_does_not_matter(texts: list[str]) -> None:
    tokenizer = train_bpe(count_chunks(texts, GPT2), 280, GPT2, [])
    assert tokenizer.merges == train_bpe(count_chunks(sorted(texts), GPT2), 280, GPT2, []).merges


def test_pairs_that_occur_equally_often_are_merged_by_their_ids() -> None:
    assert train_bpe({"zy": 2, "ab": 2, "ac": 2, "xx": 3}, 260, WHOLE, []).merges == [
        (b"x", b"x"),
        (b"a", b"b"),
        (b"a", b"c"),
        (b"z", b"y"),
    ]


def test_ids_are_bytes_in_gpt2s_order_then_merges_then_special_tokens() -> None:
    tokenizer = train_bpe({"ab": 1}, 259, WHOLE, [END, FIM])
    ids = list(range(259))
    assert tokenizer.vocab_size == 259
    assert [tokenizer.decode_bytes([i]) for i in (0, 93, 94, 105, 106, 187)] == [
        b"!",
        b"~",
        b"\xa1",
        b"\xac",
        b"\xae",
        b"\xff",
    ]
    assert [tokenizer.decode_bytes([i]) for i in (188, 220, 221, 255)] == [b"\x00", b" ", b"\x7f", b"\xad"]
    assert tokenizer.decode_bytes(ids[256:]) == b"ab" + END.encode() + FIM.encode()[: len(FIM)]
    assert tokenizer.special_ids == {END: 257, FIM: 258}


def test_a_text_that_runs_out_of_pairs_gives_a_smaller_vocabulary() -> None:
    assert train_bpe({"abc": 5, "d": 9}, 1000, WHOLE, [END]).vocab_size == 256 + 2 + 1


def test_pairs_are_not_merged_across_chunks() -> None:
    tokenizer = trained("ab ab ab", 100)
    assert set(tokenizer.token_ids) - set(BYTES) == {b"ab", b" ab"}


def test_every_text_is_split_independently() -> None:
    assert count_chunks(iter(["the c", "at sat", ""]), GPT2) == {"the": 1, " c": 1, "at": 1, " sat": 1}


def test_progress_is_reported_after_every_merge() -> None:
    calls: list[tuple[int, int]] = []
    train_bpe({"abc": 1}, 256 + 5, WHOLE, [], lambda done, total: calls.append((done, total)))
    assert calls == [(1, 5), (2, 5)]


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "words"),
    [
        (257, [END, FIM], "vocabulary size is 257; expected at least 258"),
        (1000, [END, END], "is listed 2 times; list it once"),
        (1000, ["ab"], "special token 'ab' is also a token learned from the text; choose another"),
        (1000, ["x"], "the name of a special token is 'x'; expected at least two characters"),
    ],
)
def test_training_refuses(vocab_size: int, special_tokens: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        train_bpe({"ab": 1}, vocab_size, GPT2, special_tokens)


def test_training_refuses_a_lone_surrogate() -> None:
    with pytest.raises(InputError, match=r"lone surrogate '\\ud800' at offset 1"):
        train_bpe({"a\ud800": 1}, 300, GPT2, [])


# ------------------------------------------------------------------------------------------------- encoding


@given(WORDS, WORDS, st.integers(0, 30))
def test_encoding_is_the_naive_loop(corpus: str, text: str, n_merges: int) -> None:
    tokenizer = trained(corpus, n_merges, WHOLE)
    assert pieces(tokenizer, text) == naive_encode(tokenizer.merges, text.encode())


@given(st.lists(st.sampled_from("abc"), max_size=14).map("".join), st.randoms(use_true_random=False))
def test_encoding_with_merges_in_any_order_is_the_naive_loop(text: str, random: Random) -> None:
    merges = [
        (b"a", b"b"), (b"b", b"c"), (b"a", b"a"), (b"aa", b"a"), (b"aa", b"aa"), (b"ab", b"c"), (b"a", b"bc")
    ]  # fmt: skip
    random.shuffle(merges)
    ids = {token: i for i, token in enumerate([*BYTES, *{left + right for left, right in merges}])}
    tokenizer = BPETokenizer(ids, merges, WHOLE, {})
    assert pieces(tokenizer, text) == naive_encode(merges, text.encode())


@pytest.mark.parametrize("text", ["a" * 100_001, "ab" * 50_000, "abcab" * 20_000])
def test_long_runs_are_merged_rank_by_rank(text: str) -> None:
    tokenizer = trained(text[:200], 20, WHOLE)
    word = [tokenizer.token_ids[bytes([byte])] for byte in text.encode()]
    for left, right in tokenizer.merges:  # each merge everywhere, then the next: GPT-2's own way
        ids = tokenizer.token_ids
        word = replaced(word, (ids[left], ids[right]), ids[left + right])
    assert tokenizer.encode(text).tolist() == word


@given(st.text())
def test_decoding_undoes_encoding(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert ids.dtype == np.int32
    assert ids.ndim == 1
    assert TOKENIZER.decode(ids) == text
    np.testing.assert_array_equal(TOKENIZER.encode(text), ids)  # this time from the cache
    np.testing.assert_array_equal(TOKENIZER.encode_bytes(text.encode()), ids)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-16")))
def test_any_bytes_survive_encoding_and_decoding(data: bytes) -> None:
    assert TOKENIZER.decode_bytes(TOKENIZER.encode_bytes(data)) == data


def test_truncated_and_invalid_utf8_survives_encoding_and_decoding() -> None:
    for data in (b"\xe6\x97", b"\xed\xa0\x80", b"\xc0\x80", b"\xf8", bytes(range(256)) * 2):
        assert TOKENIZER.decode_bytes(TOKENIZER.encode_bytes(data)) == data
    assert TOKENIZER.decode(TOKENIZER.encode_bytes(b"a\xe6\x97b")) == "a\ufffdb"


def test_a_chunk_that_encode_bytes_cached_is_still_refused_as_text() -> None:
    TOKENIZER.encode_bytes(b"\xff")
    with pytest.raises(InputError, match=r"lone surrogate '\\udcff' at offset 0"):
        TOKENIZER.encode("\udcff")


def test_ids_can_be_written_to() -> None:
    ids = TOKENIZER.encode("the cat")
    ids += 1
    assert TOKENIZER.encode("the cat").tolist() == (ids - 1).tolist()


def test_the_cache_is_emptied_when_full_and_keeps_no_long_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe, "MAX_CACHED_CHUNKS", 3)
    tokenizer = trained()
    text = "one two three four five " + "x" * 101
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert list(tokenizer._cache) == [" four", " five"]


@pytest.mark.parametrize("ids", [[-1], [TOKENIZER.vocab_size], np.array([0, 70000]), [0, 1, 2**40]])
def test_decoding_refuses_ids_outside_the_vocabulary(ids: list[int]) -> None:
    with pytest.raises(
        InputError, match=rf"token id is {ids[-1]}; expected one in \[0, {TOKENIZER.vocab_size}\)"
    ):
        TOKENIZER.decode(ids)


# ------------------------------------------------------------------------------------------- special tokens


def test_special_tokens_are_text_unless_allowed() -> None:
    ids = TOKENIZER.encode(f"the{END}cat")
    assert not {*ids.tolist()} & {*TOKENIZER.special_ids.values()}
    assert TOKENIZER.decode(ids) == f"the{END}cat"


def test_the_longest_special_token_is_taken_and_nothing_merges_across_it() -> None:
    end, fim = TOKENIZER.special_ids[END], TOKENIZER.special_ids[FIM]
    ids = TOKENIZER.encode(f"{END}the cat{FIM}{END} cat", allow_special=True)
    the_cat, cat = TOKENIZER.encode("the cat").tolist(), TOKENIZER.encode(" cat").tolist()
    assert ids.tolist() == [end, *the_cat, fim, end, *cat]
    assert TOKENIZER.decode(ids) == f"{END}the cat{FIM}{END} cat"


@given(st.lists(st.sampled_from([END, FIM, "<|", "|>", "!", "the", " cat"])).map("".join))
def test_text_with_special_tokens_survives(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text, allow_special=True)) == text


def test_allow_special_does_nothing_without_special_tokens() -> None:
    assert by_hand([]).encode("ab", allow_special=True).tolist() == [SINGLE[b"a"], SINGLE[b"b"]]


# -------------------------------------------------------------------------------------------------- offsets


def test_offsets_of_whole_and_of_split_characters() -> None:
    tokenizer = by_hand([(b"a", b"\xc3"), (b"\xa9", b"b")], {"<s>": 258})
    ids, offsets = tokenizer.encode_with_offsets("aéb<s>", allow_special=True)
    assert [tokenizer.decode_bytes([i]) for i in ids] == [b"a\xc3", b"\xa9b", b"<s>"]
    assert offsets == [(0, 2), (1, 3), (3, 6)]


@given(st.text() | st.lists(st.sampled_from([END, "日本", "the ", "🦄", " "])).map("".join), st.booleans())
def test_offsets_cover_the_text_of_each_token(text: str, allow_special: bool) -> None:
    ids, offsets = TOKENIZER.encode_with_offsets(text, allow_special=allow_special)
    np.testing.assert_array_equal(ids, TOKENIZER.encode(text, allow_special=allow_special))
    assert len(ids) == len(offsets)
    for i, (start, end) in zip(ids, offsets, strict=True):
        assert TOKENIZER.decode_bytes([i]) in text[start:end].encode()
    assert {place for span in offsets for place in range(*span)} == set(range(len(text)))


# -------------------------------------------------------------------------------------------------- dropout


def test_dropout_0_changes_nothing_and_dropout_1_leaves_bytes() -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(TOKENIZER.encode(TEXT, dropout=0.0, rng=rng), TOKENIZER.encode(TEXT))
    assert len(TOKENIZER.encode(TEXT, dropout=1.0, rng=rng)) == len(TEXT.encode())


@given(st.text(), st.floats(0, 1), st.integers(0, 2**32))
def test_text_survives_dropout_and_the_seed_determines_the_tokens(
    text: str, dropout: float, seed: int
) -> None:
    ids, again = (TOKENIZER.encode(text, dropout=dropout, rng=np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(ids, again)
    assert TOKENIZER.decode(ids) == text


def test_dropout_tokenizes_a_text_in_many_ways_and_does_not_change_the_cache() -> None:
    rng = np.random.default_rng(0)
    plain = TOKENIZER.encode(TEXT).tolist()
    assert len({tuple(TOKENIZER.encode(TEXT, dropout=0.1, rng=rng).tolist()) for _ in range(20)}) == 20
    assert TOKENIZER.encode(TEXT).tolist() == plain


def test_dropout_merges_the_best_pair_not_dropped_and_retries_dropped_pairs_after_each_merge() -> None:
    tokenizer, p, n = by_hand([(b"a", b"b"), (b"c", b"d")]), 0.4, 20_000
    rng = np.random.default_rng(0)
    counts = Counter(tuple(tokenizer.encode("abcd", dropout=p, rng=rng).tolist()) for _ in range(n))
    a, b, c, d = (SINGLE[token] for token in (b"a", b"b", b"c", b"d"))
    expected = {
        (a, b, c, d): p * p,
        (256, c, d): (1 - p) * p,
        (a, b, 257): p * (1 - p) * p,  # skipped twice
        (256, 257): (1 - p) ** 2 + p * (1 - p) ** 2,
    }
    assert set(counts) == set(expected)
    for ids, probability in expected.items():
        assert counts[ids] / n == pytest.approx(probability, abs=4 * (probability / n) ** 0.5)


@pytest.mark.parametrize("dropout", [-0.1, 1.5, float("nan")])
def test_a_dropout_that_is_not_a_probability_is_refused(dropout: float) -> None:
    with pytest.raises(InputError, match=f"BPE-dropout is {dropout}; expected a probability"):
        TOKENIZER.encode("a", dropout=dropout, rng=np.random.default_rng(0))


def test_dropout_without_a_generator_is_refused() -> None:
    with pytest.raises(InputError, match=r"BPE-dropout is 0\.1, but there is no random generator; pass rng"):
        TOKENIZER.encode("a", dropout=0.1)


# ------------------------------------------------------------------------------------------------ vocabulary


AB = SINGLE | {b"ab": 256}
WITHOUT_A = {token: i for i, token in enumerate([*BYTES[:64], b"aa", *BYTES[65:]])}


@pytest.mark.parametrize(
    ("token_ids", "merges", "special_ids", "words"),
    [
        (SINGLE | {b"ab": 5}, [], {}, "tokens b'&' and b'ab' share id 5; expected distinct ids"),
        (AB, [], {END: 256}, r"tokens b'ab' and b'<\|endoftext\|>' share id 256"),
        (SINGLE | {b"ab": 257}, [], {}, r"no token has id 256; expected one for every id in \[0, 257\)"),
        (SINGLE | {b"ab": -1}, [], {}, r"no token has id 256"),
        (WITHOUT_A, [], {}, "byte 0x61 has no token"),
        (
            AB,
            [(b"a", b"b"), (b"a", b"c")],
            {},
            r"merge 1 is b'a' \+ b'c', but b'ac' is not in the vocabulary",
        ),
        (AB, [(b"x", b"yz")], {}, r"merge 0 is b'x' \+ b'yz', but b'yz' is not in the vocabulary"),
        (AB, [(b"a", b"b"), (b"a", b"b")], {}, r"merge 1 repeats merge 0, b'a' \+ b'b'; remove one of them"),
        (AB, [], {"": 257}, "special token 257 has an empty name"),
        (AB, [], {"\ud800": 257}, r"lone surrogate '\\ud800' at offset 0"),
    ],
)
def test_inconsistent_vocabularies_are_refused(
    token_ids: dict[bytes, int], merges: list[tuple[bytes, bytes]], special_ids: dict[str, int], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        BPETokenizer(token_ids, merges, GPT2, special_ids)


def test_a_tokenizer_survives_its_file() -> None:
    again = from_json(TOKENIZER.to_bytes(), "tokenizer.json")
    for name in ("token_ids", "merges", "pattern", "special_ids"):
        assert getattr(again, name) == getattr(TOKENIZER, name)
    assert again.to_bytes() == TOKENIZER.to_bytes()


# ------------------------------------------------------------------------------------------------- splitting


@pytest.mark.parametrize(
    ("name", "text", "chunks"),
    [
        ("gpt2", "I'll  go\n\n 12345!?", ["I", "'ll", " ", " go", "\n\n", " 12345", "!?"]),
        ("gpt2", "HE'LL\u200b x", ["HE", "'", "LL", "\u200b", " x"]),
        ("gpt2", "a\x1cb\x85c\u180ed  ", ["a", "\x1c", "b", "\x85", "c", "\u180e", "d", "  "]),
        ("gpt4", "I'LL  go\n\n 12345!?\n", ["I", "'LL", " ", " go", "\n\n", " ", "123", "45", "!?\n"]),
        ("gpt4", "(word 'ſ\n \n", ["(word", " '", "ſ", "\n \n"]),
        ("gpt4", "it'ſ \r\n x \n ", ["it", "'ſ", " \r\n", " x", " \n "]),
    ],
)
def test_named_patterns_split(name: str, text: str, chunks: list[str]) -> None:
    assert split(compile_pattern(pattern_named(name)), text) == chunks


def test_white_space_is_that_of_unicode() -> None:
    found = {ord(character) for character in regex.findall(r"\s", "".join(map(chr, range(0x110000))))}
    lines, spaces = {*range(0x09, 0x0E), 0x85, 0x2028, 0x2029}, {0x20, 0xA0, 0x1680, *range(0x2000, 0x200B)}
    assert found == lines | spaces | {0x202F, 0x205F, 0x3000}


@pytest.mark.parametrize("pattern", ["b", "(a)|(c+)", "a(?=b)", r"\b|x", "(?<=a)", "zz", GPT2, GPT4])
@given(st.text(alphabet="abcx '\n"))
def test_nothing_is_lost_whatever_the_pattern(pattern: str, text: str) -> None:
    chunks = split(compile_pattern(pattern), text)
    assert "".join(chunks) == text
    assert all(chunks)


def test_text_between_matches_is_a_chunk() -> None:
    assert split(compile_pattern("b+"), "aabbbaca") == ["aa", "bbb", "aca"]
    assert split(compile_pattern("(b)(c)"), "abcbca") == ["a", "bc", "bc", "a"]


def test_a_custom_regular_expression_is_used_as_it_is() -> None:
    assert pattern_named(r"\w+") == r"\w+"


def test_a_name_of_a_pattern_may_be_in_capitals() -> None:
    assert (pattern_named("GPT2"), pattern_named("Gpt4")) == (GPT2, GPT4)


@pytest.mark.parametrize(
    ("name", "words"), [("gtp4", "did you mean 'gpt4'"), ("cl100k-base", "expected one of gpt2, gpt4")]
)
def test_an_unknown_name_is_not_taken_for_a_regular_expression(name: str, words: str) -> None:
    with pytest.raises(InputError, match=f"split pattern is '{name}', which is not a known name; {words}"):
        pattern_named(name)


@pytest.mark.parametrize(
    "pattern", ["(", r"\p{Nothing}", "{1s<", "*", pytest.param("(" * 3000 + ")" * 3000, id="deep")]
)
def test_an_invalid_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="expected gpt2, gpt4 or a regular expression"):
        pattern_named(pattern)


@pytest.mark.parametrize("pattern", ["", "a*", "a|"])
def test_a_pattern_that_matches_the_empty_string_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="matches the empty string"):
        BPETokenizer(SINGLE, [], pattern, {})


# ----------------------------------------------------------------------------------------------------- peers


def their_training(text: str, vocab_size: int) -> tuple[list[tuple[bytes, bytes]], object]:
    """Return the merges that Hugging Face learns, and its tokenizer."""
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator([text], trainer)
    model = json.loads(theirs.to_str())["model"]
    ordered = sorted(model["vocab"], key=model["vocab"].get)
    to_byte = dict(zip(ordered, BYTES, strict=False))  # the first 256 are single characters
    return [
        tuple(b"".join(to_byte[character] for character in half) for half in pair) for pair in model["merges"]
    ], theirs


@pytest.mark.peers
@pytest.mark.parametrize("vocab_size", [1024, pytest.param(10_000, marks=pytest.mark.slow)])
def test_merges_are_those_of_hugging_face(shared: Path, vocab_size: int) -> None:
    text = (shared / "data" / "tinyshakespeare.txt").read_text(encoding="utf-8")
    merges, theirs = their_training(text, vocab_size)
    ours = train_bpe(count_chunks([text], GPT2), vocab_size, GPT2, [])
    assert ours.merges == merges
    assert ours.encode(text[:100_000]).tolist() == theirs.encode(text[:100_000]).ids


@pytest.mark.peers
@pytest.mark.parametrize("seed", range(10))
def test_merges_of_text_with_many_ties_are_those_of_hugging_face(seed: int) -> None:
    characters = np.random.default_rng(seed).choice(list("aab é日\n1"), size=400)
    text = "".join(characters.tolist())
    merges, _ = their_training(text, 600)
    assert train_bpe(count_chunks([text], GPT2), 600, GPT2, []).merges == merges


@pytest.mark.peers
@given(st.lists(st.sampled_from(["日", "本", "é", "🦄", " ", "the", " cat", "\n", "語"])).map("".join))
def test_offsets_are_those_of_hugging_face(text: str) -> None:
    _, theirs = their_training(TEXT, 316)
    encoding = theirs.encode(text)
    ids, offsets = TOKENIZER.encode_with_offsets(text)
    assert ids.tolist() == encoding.ids
    assert offsets == encoding.offsets
