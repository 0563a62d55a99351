"""Corpora: many sequences of codes, handed out in blocks that fit in a given memory."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from nnlib.data.errors import DataError
from nnlib.data.files import BYTE_ORDER_MARK, opened
from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions
from nnlib.data.vocabulary import Vocabulary

LONGEST = 2**16  # bytes of a line that are one sentence
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


class Corpus(Protocol):
    """Sequences to learn from: an epoch is one pass over `blocks`."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def n_rows(self) -> int: ...

    @property
    def n_tokens(self) -> int: ...

    def fingerprint(self) -> str: ...

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Histories]: ...


class TextCorpus:
    """Text files, plain or gzip, a sentence on each line and white space between words.

    The files are read once to count words, which takes the memory of the distinct words, and once
    for every pass.  They are bytes of UTF-8; only ASCII white space separates words.  Of a line
    longer than 65,536 bytes every such piece is a sentence, so that a file without line ends works.

    Arguments
        paths: a file, or several that follow one another
        min_count: words that occur less often are left out of the sentences, which close up
        max_size: keep that many words, the most frequent; None: all
        max_memory: of the sentences that are in memory at once, the text they are read from and
            their codes, as "64MB" or in bytes; at least 1MB
    Raises
        FileNotFoundError: there is no such file.
        DataError: the text holds fewer than two words often enough, or is not UTF-8.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        min_count: int = 5,
        max_size: int | None = None,
        max_memory: str | int = "64MB",
    ) -> None:
        self.paths = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
        if not self.paths:
            raise ValueError("a corpus needs at least one file")
        self.max_memory = memory_bytes(max_memory)
        # Of a token: a code and, if it is alone in its sentence, start, stop and number, twice when
        # shuffled.  The block before may still be in use.
        self.capacity = self.max_memory // 128
        self.longest = min(LONGEST, self.max_memory // 64)

        digest = hashlib.blake2b(f"{min_count} {max_size}".encode(), digest_size=8)
        counts: Counter[bytes] = Counter()
        self.n_rows = 0
        for words in self._sentences():
            counts.update(words)
            self.n_rows += 1
            digest.update(b" ".join(words) + b"\n")
        try:
            text = {word.decode(): n for word, n in counts.items()}
            self.vocabulary = Vocabulary.of(text, min_count=min_count, max_size=max_size)
        except UnicodeDecodeError as error:
            word = bytes(error.object[:40])
            raise DataError(
                f"{self}: {word!r} is not UTF-8 text, convert the file first"
            ) from error
        except DataError as error:
            raise DataError(f"{self}: {error}") from error
        self.n_tokens = self.vocabulary.n_tokens
        self._fingerprint = digest.hexdigest()

    def fingerprint(self) -> str:
        """A short hash of the words in their order and of the cut."""
        return self._fingerprint

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Histories]:
        """The sentences in the order of the files, without words outside the vocabulary.

        `user` is a sentence's number, 0 … n_rows − 1; sentences without any word left are missing.
        With `rng` the sentences of a block come in random order.

        Raises
            DataError: the files are no longer those that were counted.
        """
        code = {word.encode(): i for i, word in enumerate(self.vocabulary.ids.tolist())}
        n_read = 0
        block = _Block(self.capacity)
        for number, words in enumerate(self._sentences()):
            codes = [c for word in words if (c := code.get(word)) is not None]
            if not codes:
                continue
            n_read += len(codes)
            if not block.fits(codes):
                yield block.histories(rng)
                block = _Block(self.capacity)
            block.append(codes, number)
        if n_read != self.n_tokens:
            raise DataError(
                f"{self}: {n_read} words instead of {self.n_tokens}, the text has changed since it "
                "was counted: make the corpus anew"
            )
        yield block.histories(rng)

    def _sentences(self) -> Iterator[list[bytes]]:
        for path in self.paths:
            with opened(path) as file:
                rest = b""
                if file.read(3) != BYTE_ORDER_MARK:
                    file.seek(0)
                while part := file.readline(self.longest):
                    words = (rest + part).split()
                    rest = b""
                    if len(part) == self.longest and not part[-1:].isspace() and len(words) > 1:
                        rest = words.pop()  # the piece may have ended within a word
                    if words:
                        yield words
                if rest:
                    yield [rest]

    def __str__(self) -> str:
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"

    def __repr__(self) -> str:
        sizes = f"{self.n_tokens:,} tokens, {len(self.vocabulary):,} words, {self.n_rows:,} lines"
        return f"TextCorpus({self}: {sizes})"


class InteractionsCorpus:
    """The histories of a log, in the log's own codes: token = item, row = user.

    The log is in memory anyway and its items are not copied.

    Arguments
        train: the vocabulary is `train.item_ids` as they stand, not sorted by count
        max_memory: a block has as many items as would fit in it, or is a single user
    Raises
        DataError: the log has fewer than two items.
        ValueError: max_memory is below 1MB or not a size.
    """

    def __init__(self, train: Interactions, *, max_memory: str | int = "64MB") -> None:
        if train.n_items < 2:
            item = train.item_ids[0] if train.n_items else None
            raise DataError(f"all events are on one item ({item!r}): learning needs at least two")
        self.train = train
        self.max_memory = memory_bytes(max_memory)
        self.vocabulary = Vocabulary(train.item_ids, train.support())
        self.n_rows, self.n_tokens = train.n_users, train.n_events

    def fingerprint(self) -> str:
        """That of the log."""
        return self.train.fingerprint()

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Histories]:
        """All users in the order of their codes, or in random order."""
        rows = np.arange(self.n_rows) if rng is None else rng.permutation(self.n_rows)
        histories = self.train.histories()
        ends = np.cumsum(histories.lengths[rows])
        capacity = self.max_memory // 64  # items, if each were a row
        first = done = 0
        while first < len(rows):
            last = max(first + 1, int(np.searchsorted(ends, done + capacity, side="right")))
            yield histories.take(rows[first:last])
            first, done = last, int(ends[last - 1])

    def __repr__(self) -> str:
        return f"InteractionsCorpus({self.train!r})"


class _Block:
    """Sentences as they are read, up to a number of tokens that is fixed beforehand."""

    def __init__(self, capacity: int) -> None:
        self.items = np.empty(capacity, np.int64)
        self.offsets = np.zeros(capacity + 1, np.int64)
        self.number = np.empty(capacity, np.int64)
        self.n_tokens = self.n_rows = 0

    def fits(self, codes: list[int]) -> bool:
        return self.n_tokens + len(codes) <= len(self.items)

    def append(self, codes: list[int], number: int) -> None:
        stop = self.n_tokens + len(codes)
        self.items[self.n_tokens : stop] = codes
        self.number[self.n_rows] = number
        self.n_rows += 1
        self.offsets[self.n_rows] = self.n_tokens = stop

    def histories(self, rng: np.random.Generator | None) -> Histories:
        start, stop = self.offsets[: self.n_rows], self.offsets[1 : self.n_rows + 1]
        rows = Histories(self.items[: self.n_tokens], start, stop, self.number[: self.n_rows])
        return rows if rng is None else rows.take(rng.permutation(self.n_rows))


def memory_bytes(size: str | int) -> int:
    """A size in bytes: 64_000_000, "64MB", "1.5 GB".

    Raises
        ValueError: it is no size, or below 1MB.
    """
    text = str(size).strip().upper()
    factor = UNITS.get(text[-2:], 1)
    number = text[:-2] if factor > 1 else text
    try:
        n_bytes = int(float(number) * factor)
    except (ValueError, OverflowError):
        raise ValueError(f"max_memory={size!r}: a size like '64MB', or bytes") from None
    if n_bytes < UNITS["MB"]:
        raise ValueError(f"max_memory={size!r}: it must be at least 1MB")
    return n_bytes
