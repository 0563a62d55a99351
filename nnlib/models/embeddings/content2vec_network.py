"""The network of Content2Vec: modules that describe items, and what compares two descriptions."""

from collections.abc import Mapping

import numpy as np

from nnlib.array import Array, Backward
from nnlib.functional.rows import add_rows
from nnlib.layer import Layer
from nnlib.layers import FixedFeatures, LinearEnsemble, PairwiseResidual, concat

BLOCK = 4096  # items that are encoded at once


class Content2VecNetwork(Layer):
    """Modules x^m = module_m(item), a head for each to be trained alone, and their merge.

        (1) alone:   s = w ⟨x_i^m, x_j^m⟩ + b                              one m
        (2) merged:  s = merge([a_i^1 … a_i^M], [a_j^1 … a_j^M]),   a^m = k^m x^m
    k^m is 0 where module m knows nothing of the item, such as the CF module of an item that was
    never bought, or where it is hidden in training, and otherwise 1.

    Shapes
        left (B,) int · right (B, C) int → s (B, C);   known (N, M) bool
    Arguments
        modules: layers that make vectors (B, D_m) of item codes (B,), by name
        known: k of every item and module
        n_hidden: units of the merge's residual unit; 0: a linear ensemble
        module_dropout: probability of hiding a module's vector of an item, in training
        rng: draws the residual unit's weights
    Raises
        ValueError: a module does not make a matrix with one row for each code.
    """

    def __init__(
        self,
        modules: Mapping[str, Layer],
        known: Array,
        *,
        n_hidden: int,
        module_dropout: float,
        rng: np.random.Generator,
    ) -> None:
        self.modules = dict(modules)
        self.sizes = tuple(vector_size(name, module) for name, module in modules.items())
        self.known, self.module_dropout = known, module_dropout
        names_sizes = zip(modules, self.sizes, strict=True)
        self.heads = {name: LinearEnsemble((size,)) for name, size in names_sizes}
        self.merge = build_merge(self.sizes, n_hidden, rng)

    def alone(
        self, name: str, left: Array, right: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        """Scores of one module by itself, (1)."""
        x, y, back_module = encode_pairs(self.modules[name], left, right, rng)
        s, back_head = self.heads[name](x, y)  # (1)
        return s, lambda ds: back_module(*back_head(ds))

    def merged(
        self,
        modules: Mapping[str, Layer],
        left: Array,
        right: Array,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, Backward]:
        """Scores of the modules together, (2): `self.modules` or what `frozen` gives for them."""
        encoded = [encode_pairs(module, left, right, rng) for module in modules.values()]
        x, back_x = concat(*[x for x, _, _ in encoded])
        y, back_y = concat(*[y for _, y, _ in encoded])
        k_x, k_y = (self._columns(items, x.dtype, rng) for items in (left, right))
        s, back_merge = self.merge(k_x * x, k_y * y)  # (2)

        def backward(ds: Array) -> None:
            dx, dy = back_merge(ds)  # (2)
            parts = zip(encoded, back_x(dx * k_x), back_y(dy * k_y), strict=True)
            for (_, _, back_module), dx_m, dy_m in parts:
                back_module(dx_m, dy_m)

        return s, backward

    def frozen(self) -> dict[str, FixedFeatures]:
        """The modules as they are now, as tables that do not learn."""
        n = len(self.known)
        return {
            name: FixedFeatures(
                np.concatenate(
                    [module(np.arange(i, min(i + BLOCK, n)))[0] for i in range(0, n, BLOCK)]
                )
            )
            for name, module in self.modules.items()
        }

    def start_merge(self) -> None:
        """Let the merge begin with the weights and the mean bias of the modules' own heads."""
        ensemble = self.merge.ensemble if isinstance(self.merge, PairwiseResidual) else self.merge
        heads = list(self.heads.values())
        ensemble.w.value[:] = np.concatenate([head.w.value for head in heads])
        ensemble.b.value[:] = np.mean([head.b.value for head in heads])

    def _columns(self, items: Array, dtype: np.dtype, rng: np.random.Generator | None) -> Array:
        """k of these items, one column for each column of their vectors."""
        k = self.known[items]
        if rng is not None and self.module_dropout:
            k = k & (rng.random(k.shape) >= self.module_dropout)
        return np.repeat(k, self.sizes, axis=-1).astype(dtype)


def build_merge(
    sizes: tuple[int, ...], n_hidden: int, rng: np.random.Generator
) -> LinearEnsemble | PairwiseResidual:
    """A linear ensemble of blocks of these sizes, with a residual unit if it has hidden units."""
    ensemble = LinearEnsemble(sizes)
    return PairwiseResidual(ensemble, n_hidden, rng=rng) if n_hidden else ensemble


def encode_pairs(
    module: Layer, left: Array, right: Array, rng: np.random.Generator | None = None
) -> tuple[Array, Array, Backward]:
    """(x, y, backward): the vectors of both sides of pairs, each distinct item encoded once.

    Shapes
        left (B,) · right (B, C) → x (B, D), y (B, C, D)
    """
    both = np.concatenate([left, right.ravel()])
    items, place = np.unique(both, return_inverse=True)
    vectors, back_module = module(items, rng=rng)
    x, y = vectors[place[: len(left)]], vectors[place[len(left) :].reshape(right.shape)]

    def backward(dx: Array, dy: Array) -> None:
        d = np.zeros_like(vectors)
        add_rows(d, place, np.concatenate([dx, dy.reshape(-1, dx.shape[1])]))
        back_module(d)

    return x, y, backward


def vector_size(name: str, module: Layer) -> int:
    """D_m, found by asking for the vectors of the first item, twice."""
    x, _ = module(np.zeros(2, np.intp))
    if not isinstance(x, np.ndarray) or x.ndim != 2 or len(x) != 2:
        raise ValueError(
            f"module {name!r} made {np.shape(x)} of 2 item codes: a module is a layer that makes "
            "a matrix with one row for each code"
        )
    return int(x.shape[1])
