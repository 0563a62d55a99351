"""HierarchicalSoftmax: an output layer and its loss, in log V steps instead of V."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional import hierarchical_softmax as functional
from nnlib.functional.trees import CutPaths, Tree, cut_paths
from nnlib.init import Init, zeros
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter


class HierarchicalSoftmax(Layer):
    """Softmax over the leaves of a tree and its cross-entropy: mean over the batch, in nats.

        (1) L_b = −log p(target_b | h_b)             functional/hierarchical_softmax.py has p
        (2) L   = 1/B Σ_b L_b
    Backward
        `backward(dloss=1)` returns dh and adds to the gradient of the rows of O on the paths.
    Shapes
        h (B, D) · target (B,) int · O (V − 1, D), one row for each inner node → L ()
    Arguments
        tree: over the V items
        n_factors: D
        rng, init: draw O; it starts at 0, as in word2vec, which makes every decision even
        n_top: nodes at the top that are computed for all rows at once, a matter of speed only
    Raises
        ValueError: D is below 1 or n_top below 0.
    Source
        Morin & Bengio 2005; Mikolov et al. 2013b.
    """

    def __init__(
        self,
        tree: Tree,
        n_factors: int,
        *,
        rng: np.random.Generator,
        init: Init = zeros,
        n_top: int = 31,
    ) -> None:
        check_sizes(n_factors=n_factors)
        if n_top < 0:
            raise ValueError(f"n_top={n_top}: it must be at least 0")
        self.O = Parameter(init(rng, (tree.n_inner, n_factors)))
        # Dictionaries, because `to` moves the arrays in them and cannot put any into a tuple.
        self._tree, self._paths = tree._asdict(), cut_paths(tree, n_top)._asdict()

    @property
    def tree(self) -> Tree:
        """The tree, its arrays where the parameters are."""
        return Tree(**self._tree)

    def __call__(
        self, h: Array, target: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        xp, O = array_module(h), self.O
        cut = CutPaths(**self._paths).of(target)
        losses, saved = functional.hierarchical_softmax_cut(h, O.value, cut)  # (1)

        def backward(dloss: Array | float = 1.0) -> Array:
            dlosses = xp.full_like(losses, dloss / len(h))  # (2)
            dh, dtop, dvectors = functional.hierarchical_softmax_cut_backward(dlosses, saved)
            ids = xp.concatenate([xp.arange(len(dtop)), saved.nodes])
            rows = xp.concatenate([saved.O_top, saved.vectors])
            dO = xp.concatenate([dtop, dvectors])
            O.accumulate_rows(ids, dO, distinct=True, looked_up=rows)
            return dh  # (1)

        return losses.mean(), backward  # (2)

    def log_probabilities(self, h: Array) -> Array:
        """log p of every item, (B, V)."""
        return functional.log_probabilities(h, self.O.value, self.tree)

    def leaf_vectors(self) -> Array:
        """Σ_l s_vl O_{n_vl}, the direction in which h makes item v likelier, (V, D)."""
        O, tree = self.O.value, self.tree
        total = array_module(O).zeros((tree.n_leaves, O.shape[1]), O.dtype)
        for node, sign in zip(tree.path.T, tree.sign.T, strict=True):
            total += sign[:, None] * O[node]
        return total

    def top_k(self, h: Array, k: int) -> tuple[Array, Array]:
        """The k likeliest items of each row, best first, and their log p, both (B, k)."""
        return functional.top_k(h, self.O.value, self.tree, k)
