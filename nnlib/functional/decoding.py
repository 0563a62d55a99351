"""Writing sequences symbol by symbol, each read again before the next: greedily, or by beam search.

What writes is a function  scores, state = step(symbols, state)  on rows that do not know of one
another: symbols (R,) int, the last ones written, and state (R, H) → scores (R, N), logarithms of
probabilities but for a constant, and the next state.
"""

from collections.abc import Callable
from typing import TypeAlias

from nnlib.array import Array, array_module

Step: TypeAlias = Callable[[Array, Array], tuple[Array, Array]]


def greedy_search(step: Step, state: Array, end: int, max_steps: int) -> Array:
    """The likeliest symbol at every step, for each of B rows until it is `end`.

        (1) y_t = argmax_j scores_tj,   scores_t, state_t = step(y_{t−1}, state_{t−1}),   y_0 = end
    Shapes
        state (B, H) → y (T, B) int; behind the first `end` of a row there are others
    Arguments
        end: the symbol that ends a sequence, and which is read before the first
        max_steps: where rows are cut that have not ended; T is less if all end earlier
    """
    xp = array_module(state)
    symbol, ended = xp.full(len(state), end), xp.zeros(len(state), bool)
    written = []
    for _ in range(max_steps):
        scores, state = step(symbol, state)
        symbol = xp.where(ended, end, scores.argmax(axis=1))  # (1)
        ended = ended | (symbol == end)
        written.append(symbol)
        if ended.all():
            break
    return xp.stack(written)


def beam_search(
    step: Step, state: Array, end: int, width: int, max_steps: int
) -> tuple[Array, Array]:
    """The likeliest sequence that is found by following the `width` likeliest beginnings.

        (1) log p(y_1 … y_t) = log p(y_1 … y_{t−1}) + log softmax(scores_t)[y_t]
        (2) of all continuations of the K beginnings, the K likeliest are kept
    A sequence that has ended stays as it is and keeps its place while K − 1 at most are likelier;
    once it is the first, none can overtake it, for nothing that grows becomes likelier.  Hence,
    too, short sequences have an advantage.  With K = 1 it is `greedy_search`; with K no less than
    the number of all beginnings it finds the likeliest sequence of all.

    Shapes
        state (B, H) → y (T, B) int as of `greedy_search`, log p (B,)
    Arguments
        end, max_steps: as for `greedy_search`; a row that is cut has no `end`
        width: K ≥ 1
    Source
        Sutskever, Vinyals & Le 2014, section 3.2.
    """
    xp, B, K = array_module(state), len(state), width
    state = xp.repeat(state, K, axis=0)
    log_p = xp.full((B, K), -xp.inf, state.dtype)
    log_p[:, 0] = 0  # K times the same beginning would stay K times the same
    symbol, ended = xp.full((B, K), end), xp.zeros((B, K), bool)
    written, row = xp.empty((0, B, K), symbol.dtype), xp.arange(B)[:, None]
    for _ in range(max_steps):
        scores, state = step(symbol.ravel(), state)
        grown = _log_softmax(scores).reshape(B, K, -1)
        N = grown.shape[2]
        stays = xp.where(xp.arange(N) == end, 0, -xp.inf).astype(grown.dtype)
        grown = log_p[:, :, None] + xp.where(ended[:, :, None], stays, grown)  # (1)
        grown = grown.reshape(B, K * N)
        best = xp.argsort(-grown, axis=1)[:, :K]  # (2)
        log_p, parent, symbol = grown[row, best], best // N, best % N
        state = state[(row * K + parent).ravel()]
        ended = ended[row, parent] | (symbol == end)
        written = xp.concatenate([written[:, row, parent], symbol[None]])
        if ended[:, 0].all():
            break
    return written[:, :, 0], log_p[:, 0]


def _log_softmax(s: Array) -> Array:
    s = s - s.max(axis=1, keepdims=True)
    return s - array_module(s).log(array_module(s).exp(s).sum(axis=1, keepdims=True))
