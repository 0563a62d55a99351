"""Attention and mean pooling: what a whole sequence of states says, in one vector."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.attention import attention_weights, batch_first, read_states, time_first
from nnlib.init import Init, glorot
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.layers.steps import valid_steps
from nnlib.parameter import Parameter


class AdditiveAttention(Layer):
    """The mean of a sequence's states, weighted by a small network that compares each to a query.

        (1) u_t = tanh(s W + h_t U)
        (2) e_t = u_t · v
        (3) w_t = exp(e_t) / Σ_t exp(e_t)      over the steps that count, 0 at all others
        (4) c   = Σ_t w_t h_t
    s W is one product for each query and h_t U one for each state, however often they meet.

    Shapes
        s (B, S), or (Q, B, S) for Q queries · h (T, B, H) → c (B, H), or (Q, B, H)
        W (S, D) · U (H, D) · v (D,)
    Arguments
        n_query, n_state, n_hidden: S, H and D
        rng: draws W, U and v
        init: of W, U and, as a matrix (D, 1), of v
        lengths: (B,) int, how many steps of each sequence count, or a mask (T, B) bool of those
            that do.  None: all count
    Raises
        ValueError: S, H or D is below 1; `lengths` has another shape or type, or leaves a sequence
            without a step.
    Source
        Bahdanau, Cho & Bengio 2015, appendix A.1.2.
    """

    def __init__(
        self,
        n_query: int,
        n_state: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
    ) -> None:
        check_sizes(n_query=n_query, n_state=n_state, n_hidden=n_hidden)
        self.n_state = n_state
        self.W = Parameter(init(rng, (n_query, n_hidden)))
        self.U = Parameter(init(rng, (n_state, n_hidden)))
        self.v = Parameter(init(rng, (n_hidden, 1))[:, 0])

    def __call__(
        self,
        s: Array,
        h: Array,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
    ) -> tuple[Array, Backward]:
        mask = attended_steps(h, lengths)
        W, U, v = self.W, self.U, self.v
        s_b, h_b = batch_first(s), batch_first(h)
        u = self._compare(s_b, h_b)  # (1)
        c_b, back_read = read_states(u @ v.value, h_b, mask)  # (2) (3) (4)

        def backward(dc: Array) -> tuple[Array, Array]:
            de, dh_b = back_read(batch_first(dc))  # (4) (3)
            v.accumulate(_rows(u).T @ de.ravel())  # (2)
            da = de[:, :, :, None] * v.value * (1 - u * u)  # (2) (1)
            da_s, da_h = da.sum(axis=2), da.sum(axis=1)
            U.accumulate(_rows(h_b).T @ _rows(da_h))  # (1)
            W.accumulate(_rows(s_b).T @ _rows(da_s))  # (1)
            dh = time_first(dh_b + da_h @ U.value.T, h.ndim)  # (1)
            return time_first(da_s @ W.value.T, s.ndim), dh  # (1)

        return time_first(c_b, s.ndim), backward

    def weights(self, s: Array, h: Array, *, lengths: Array | None = None) -> Array:
        """w of (3), to look at: (B, T), or (Q, B, T) for Q queries."""
        mask = attended_steps(h, lengths)
        e = self._compare(batch_first(s), batch_first(h)) @ self.v.value
        return time_first(attention_weights(e, mask)[0], s.ndim)

    def _compare(self, s_b: Array, h_b: Array) -> Array:
        """u (B, Q, T, D) of (1)."""
        a_s, a_h = s_b @ self.W.value, h_b @ self.U.value
        return array_module(s_b).tanh(a_s[:, :, None] + a_h[:, None])


class MultiplicativeAttention(Layer):
    """The mean of a sequence's states, weighted by their products with a query.

        (1) q   = s M
        (2) e_t = q · h_t
        (3) w_t = exp(e_t) / Σ_t exp(e_t)      over the steps that count, 0 at all others
        (4) c   = Σ_t w_t h_t
    Nothing but matrix products, hence faster than `AdditiveAttention`, which has a tanh for every
    pair of query and state.

    Shapes
        s (B, S), or (Q, B, S) for Q queries · h (T, B, H) → c (B, H), or (Q, B, H)
        M (S, H)
    Arguments
        n_query, n_state: S and H
        rng: draws M
        init: of M
        lengths: as for `AdditiveAttention`
    Raises
        ValueError: S or H is below 1; `lengths` has another shape or type, or leaves a sequence
            without a step.
    Source
        Luong, Pham & Manning 2015, "general".
    """

    def __init__(
        self, n_query: int, n_state: int, *, rng: np.random.Generator, init: Init = glorot
    ) -> None:
        check_sizes(n_query=n_query, n_state=n_state)
        self.n_state = n_state
        self.M = Parameter(init(rng, (n_query, n_state)))

    def __call__(
        self,
        s: Array,
        h: Array,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
    ) -> tuple[Array, Backward]:
        mask, M = attended_steps(h, lengths), self.M
        s_b, h_b = batch_first(s), batch_first(h)
        q = s_b @ M.value  # (1)
        c_b, back_read = read_states(q @ h_b.swapaxes(1, 2), h_b, mask)  # (2) (3) (4)

        def backward(dc: Array) -> tuple[Array, Array]:
            de, dh_b = back_read(batch_first(dc))  # (4) (3)
            dh_b += de.swapaxes(1, 2) @ q  # (2)
            dq = de @ h_b  # (2)
            M.accumulate(_rows(s_b).T @ _rows(dq))  # (1)
            return time_first(dq @ M.value.T, s.ndim), time_first(dh_b, h.ndim)  # (1)

        return time_first(c_b, s.ndim), backward

    def weights(self, s: Array, h: Array, *, lengths: Array | None = None) -> Array:
        """w of (3), to look at: (B, T), or (Q, B, T) for Q queries."""
        mask = attended_steps(h, lengths)
        e = batch_first(s) @ self.M.value @ batch_first(h).swapaxes(1, 2)
        return time_first(attention_weights(e, mask)[0], s.ndim)


class MaskedMean(Layer):
    """The mean of a sequence's states: attention without a query, to all steps alike.

        (1) c_b = 1/n_b Σ_t h_tb      over the n_b steps that count
    It has no parameters, and is a layer only to be chosen where one that pools is asked for.

    Shapes
        h (T, B, H) → c (B, H)
    Arguments
        lengths: as for `AdditiveAttention`
    Raises
        ValueError: `lengths` has another shape or type, or leaves a sequence without a step.
    """

    def __call__(
        self,
        h: Array,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
    ) -> tuple[Array, Backward]:
        xp, mask = array_module(h), attended_steps(h, lengths)
        counts = xp.ones(h.shape[:2], bool) if mask is None else mask
        share = (counts / counts.sum(axis=0)).astype(h.dtype)[:, :, None]
        return (share * h).sum(axis=0), lambda dc: share * dc  # (1)


def attended_steps(h: Array, lengths: Array | None) -> Array | None:
    """The mask (T, B) of `lengths`, with a step of every sequence in it.

    Raises
        ValueError: `lengths` has another shape or type, or leaves a sequence without a step.
    """
    mask = valid_steps(h, lengths)
    if mask is not None and not (some := mask.any(axis=0)).all():
        raise ValueError(
            f"no step of sequence {int((~some).argmax())} counts, and a mean of nothing is nothing:"
            " leave such sequences out, every length must be at least 1"
        )
    return mask


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
