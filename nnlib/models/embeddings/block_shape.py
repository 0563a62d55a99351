"""BlockShape: the numbers of tokens, groups and tiles that a block of Word2Vec has."""

from dataclasses import dataclass, replace

import numpy as np

from nnlib.array import Array
from nnlib.data.token_blocks import TokenBlock
from nnlib.functional.bands import band, tile_size

GROUPS = 16, 32  # tokens that share half as many negatives


@dataclass(frozen=True)
class BlockShape:
    """What a block of tokens is cut into.

    M tokens share M/2 negatives.  With M = 16 each token meets 8, which are cheap; with M = 32 it
    meets 16, no more different ones in all, which skip-gram with wide windows learns more from.
    CBOW must not have 8 for 32: each would stand for so many that `CappedSGD` shortens its steps.

    Arguments
        window: w
        batch_size: tokens of a block, rounded up to whole tiles and groups
        cbow: CBOW, otherwise skip-gram
        mean: CBOW's hidden layer is the mean of the context, otherwise the sum
        group: M, one of `GROUPS`
    """

    window: int
    batch_size: int
    cbow: bool
    mean: bool
    group: int = GROUPS[0]

    def for_draws(self, n: float) -> "BlockShape":
        """This with the M for tokens that would draw n negatives each, were they not shared."""
        return replace(self, group=GROUPS[not self.cbow and n > GROUPS[0]])

    @property
    def n_tokens(self) -> int:
        """B: a multiple of T and of every M, all powers of 2."""
        multiple = max(tile_size(self.window), *GROUPS)
        return -(-self.batch_size // multiple) * multiple

    @property
    def n_groups(self) -> int:
        """G, of the tokens that share negatives."""
        return self.n_tokens // self.group

    @property
    def n_shared(self) -> int:
        """S, negatives of a group."""
        return self.group // 2

    @property
    def n_tiles(self) -> int:
        """R."""
        return self.n_tokens // tile_size(self.window)

    def near(self, block: TokenBlock) -> Array:
        """Which tokens are whose context, (R, T, U)."""
        return band(block.left, block.right, self.n_tiles, self.window)

    def share(self, block: TokenBlock) -> Array:
        """The weight of each context in CBOW's hidden layer, for each token, (B,)."""
        n = np.maximum(block.n_contexts, 1).astype(np.float32)
        return 1 / n if self.mean else np.ones_like(n)

    def predictions(self, block: TokenBlock) -> int:
        """How many predictions a block makes."""
        n = block.n_contexts
        return int((n > 0).sum() if self.cbow else n.sum())
