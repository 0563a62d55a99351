# %% [markdown]
# # 20 · Recurrent networks and back-propagation through time
#
# - **Minutes:** 90
# - **Prerequisites:** lessons 02, 08 and 09
# - **Slides:** “Recurrent Neural Networks”, “RNN-based machine learning”, and from “GRU4Rec (2/3)”
#   the line “Update with one step BPTT”
# - **The deck is wrong here:** nothing in the formulas of these slides. Two lines want a remark,
#   each with a cell. The slide's $W x_t + U h_{t-1}$ has columns, this course has rows: its $W$ and
#   $U$ are the transposes of ours. And a state “influenced by every element of the sequence up to
#   t” is so in the forward pass; with “one step BPTT” training does not see it. The errors of this
#   part begin with the next slide, in lesson 21
#
# A session is a sequence of clicks, of any length. A recurrent network reads it one click at a time
# and keeps what it needs in a *state*. In this lesson you write one, derive its gradient line by
# line, cut that gradient short as GRU4Rec does, and see what the cut costs: sometimes nearly
# nothing, sometimes all.

# %%
import time
from math import comb

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, RED, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# %% [markdown]
# ## 1. A network with a memory
#
# Time comes first in all arrays: $x$ is $(T, B, I)$, so `x[t]` is step $t$ of all $B$ sequences.
# The state $h_t$ is $(B, H)$, and
#
# $$ a_t = x_t W + h_{t-1} U + b, \qquad h_t = \tanh(a_t), \qquad t = 1 \dots T \tag{20.1} $$
#
# with a first state $h_0$, mostly zeros. A read-out makes scores of the states,
# $s_t = h_t V + c$: at every step, or at the last one only.


# %%
def draw_unrolled(ax, steps=4):
    """The same cell, once per step; forward in blue, the gradient in red."""
    down = {"arrowstyle": "->", "color": RED, "linestyle": "--", "shrinkA": 13, "shrinkB": 13}
    up = {"arrowstyle": "->", "color": BLUE, "shrinkA": 13, "shrinkB": 13}
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": GREY}

    def arrow(start, end, style, shift=(0.0, 0.0)):
        ends = [(x + shift[0], y + shift[1]) for x, y in (start, end)]
        ax.annotate("", xy=ends[1], xytext=ends[0], arrowprops=style)

    for t in range(steps + 1):
        name = f"$h_{t}$" if t else "$h_0$"
        ax.text(2 * t, 1, name, ha="center", va="center", bbox=box, zorder=3)
        if not t:
            continue
        ax.text(2 * t, 0, f"$x_{t}$", ha="center", va="center")
        ax.text(2 * t, 2, f"$s_{t}$", ha="center", va="center")
        for start, end, letter, shift, back in (
            ((2 * t, 0), (2 * t, 1), "W", (-0.14, 0), (0.14, 0)),
            ((2 * t, 1), (2 * t, 2), "V", (-0.14, 0), (0.14, 0)),
            ((2 * t - 2, 1), (2 * t, 1), "U", (0, 0.1), (0, -0.1)),
        ):
            arrow(start, end, up, shift)
            arrow(end, start, down, back)
            across = letter == "U"
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            place = (x, y + 0.24) if across else (x - 0.34, y)
            ax.text(*place, f"${letter}$", color=BLUE, ha="center", va="center")
    ax.text(1, 0.66, "$da_1 U^T$", color=RED, ha="center", va="center", fontsize=8)
    ax.text(2 * steps + 0.35, 1.5, "$e_t$", color=RED, va="center")
    ax.set(xlim=(-0.7, 2 * steps + 1), ylim=(-0.3, 2.3))
    ax.axis("off")


figure, ax = plt.subplots(figsize=(8.4, 2.8), layout="constrained")
draw_unrolled(ax)
show("unrolled")

# %% [markdown]
# *Unrolled* in time it is a feed-forward net with a layer per step, with two differences: every
# layer gets an input of its own, and **all layers have the same weights**. Their number,
# $IH + H^2 + H$, does not depend on $T$, what is learned at one position holds at all, and the net
# reads sequences of any length.
#
# ### Exercise 20.1 · All states
#
# Return all states of (20.1) with $h_0$ in front, an array $(T + 1, B, H)$: so `h[t + 1]` is the
# state after `x[t]`, and `h[t]` the one before it.


# %%
def rnn_states(x, h0, W, U, b):
    """h0 and the states (20.1), (T + 1, B, H); x (T, B, I), h0 (B, H)."""
    ### BEGIN SOLUTION 20.1
    ### HINT A loop over t. It needs only x[t] and the state before.
    ### HINT Begin with h = [h0]; in the loop h.append(np.tanh(...)) with h[t]; np.stack at the end.
    h = [h0]
    for t in range(len(x)):
        h.append(np.tanh(x[t] @ W + h[t] @ U + b))
    return np.stack(h)
    ### END SOLUTION


# %%
def other_states(x, h0, W, U, b, carry=True, f=np.tanh, backwards=False):
    """The states in one more way, and as they are often written."""
    h = np.empty((len(x) + 1, *h0.shape))
    h[0] = h0
    for t, x_t in enumerate(x[::-1] if backwards else x):
        both = np.concatenate([x_t, h[t] if carry else h0], axis=1)
        h[t + 1] = f(both @ np.concatenate([W, U]) + b)
    return h


rng = np.random.default_rng(201)
check(
    "20.1",
    rnn_states,
    rng.normal(size=(4, 3, 2)),
    rng.normal(size=(3, 5)),
    rng.normal(size=(2, 5)),
    0.5 * rng.normal(size=(5, 5)),
    rng.normal(size=5),
    expected=other_states,
    mistakes={
        "every step begins at h0: it must begin where the last one ended": (
            lambda *a: other_states(*a, carry=False)
        ),
        "tanh is missing": lambda *a: other_states(*a, f=lambda s: s),
        "this is σ, the state of (20.1) is a tanh": (
            lambda *a: other_states(*a, f=lambda s: 1 / (1 + np.exp(-s)))
        ),
        "this reads the sequence from its end": lambda *a: other_states(*a, backwards=True),
        "U is transposed: rows times U, h @ U": (
            lambda x, h0, W, U, b: other_states(x, h0, W, U.T, b)
        ),
        "the bias is missing": lambda x, h0, W, U, b: other_states(x, h0, W, U, 0 * b),
        "the input is missing": lambda x, h0, W, U, b: other_states(0 * x, h0, W, U, b),
    },
)

# %% [markdown]
# Two remarks. The slide's columns are our rows, transposed. And a symbol, an item of a shop, goes
# in as a one-hot vector: $x_t W$ is then *a row of $W$*, and nobody with 40 000 items builds the
# vector. (Our alphabets have five symbols: here we do.)

# %%
rng = np.random.default_rng(0)
x, h0 = rng.normal(size=(4, 3, 2)), rng.normal(size=(3, 5))
W, U, b = rng.normal(size=(2, 5)), rng.normal(size=(5, 5)), rng.normal(size=5)
column = h0[0]
for t in range(4):
    column = np.tanh(W.T @ x[t, 0] + U.T @ column + b)  # the slide's formula, its W is W.T
slide_gap = np.abs(column - rnn_states(x, h0, W, U, b)[-1, 0]).max()

symbols = rng.integers(2, size=3)
one_hot_gap = np.abs(np.eye(2)[symbols] @ W - W[symbols]).max()
print(f"columns against rows {slide_gap:.0e}; one-hot against a row of W {one_hot_gap:.0e}")

# %% [markdown]
# ## 2. Back-propagation through time
#
# The loss reads states. Call what it sends to the state of step $t$ *directly*, through the
# read-out of that step, $e_t = \partial L / \partial h_t |_\text{direct}$: for a softmax,
# $e_t = \mathrm{d}s_t V^\top$; it is 0 at steps that nobody reads. But $h_t$ acts on the loss in a
# second way: it goes into step $t + 1$, and from there into all later ones. What acts along several
# ways gets a sum, so the chain rule, from the last step to the first, is
#
# $$ \mathrm{d}h_t = e_t + \mathrm{d}a_{t+1} U^\top, \qquad \mathrm{d}a_{T+1} = 0 \tag{20.2} $$
# $$ \mathrm{d}a_t = \mathrm{d}h_t \odot (1 - h_t^2) \tag{20.3} $$
# $$ \mathrm{d}x_t = \mathrm{d}a_t W^\top, \qquad \mathrm{d}h_0 = \mathrm{d}a_1 U^\top \tag{20.4} $$
#
# (20.2) is all that is new: **the gradient that arrives from later steps**. And the weights, the
# same at all steps, act on the loss through every one:
#
# $$ \mathrm{d}W = \sum_t x_t^\top \mathrm{d}a_t, \qquad
#    \mathrm{d}U = \sum_t h_{t-1}^\top \mathrm{d}a_t, \qquad
#    \mathrm{d}b = \sum_t \sum_n \mathrm{d}a_{t,n} \tag{20.5} $$
#
# Mind $h_{t-1}$: $U$ met the state *before* the step.
#
# ### Exercise 20.2 · One step back
#
# Given `dh`, the whole gradient of the new state, return `dx`, `dh_old`, `dW`, `dU`, `db` of this
# one step.


# %%
def step_backward(dh, x, h_old, h, W, U):
    """(dx, dh_old, dW, dU, db) of h = tanh(x W + h_old U + b), given dh."""
    ### BEGIN SOLUTION 20.2
    ### HINT First da by (20.3), from the new state h. Everything else is da times something.
    ### HINT dx = da @ W.T and dh_old = da @ U.T; a weight gets its input, transposed, times da.
    da = dh * (1 - h**2)  # (20.3)
    return da @ W.T, da @ U.T, x.T @ da, h_old.T @ da, da.sum(axis=0)
    ### END SOLUTION


# %%
def one_step(x, h_old, W, U, b, mine):
    """(h, backward) of a step with a backward like step_backward."""
    h = np.tanh(x @ W + h_old @ U + b)
    return h, lambda dh: mine(dh, x, h_old, h, W, U)


def other_step(dh, x, h_old, h, W, U, slope=lambda h, h_old: 1 - h * h, before=True):
    """The step's backward as it is often written."""
    da = dh * slope(h, h_old)
    dU = (h_old if before else h).T @ da
    return da @ W.T, da @ U.T, x.T @ da, dU, da.sum(axis=0)


rng = np.random.default_rng(202)
check(
    "20.2",
    lambda *a: one_step(*a, step_backward),
    rng.normal(size=(3, 2)),
    rng.normal(size=(3, 5)),
    rng.normal(size=(2, 5)),
    0.5 * rng.normal(size=(5, 5)),
    rng.normal(size=5),
    forward=lambda x, h_old, W, U, b: np.tanh(x @ W + h_old @ U + b),
    mistakes={
        "tanh' is missing, (20.3)": lambda *a: one_step(
            *a, lambda *s: other_step(*s, slope=lambda h, h_old: 1.0)
        ),
        "tanh' is 1 − h² with the new state h, not the old one": lambda *a: one_step(
            *a, lambda *s: other_step(*s, slope=lambda h, h_old: 1 - h_old**2)
        ),
        "h (1 − h) is the slope of σ; tanh' is 1 − h²": lambda *a: one_step(
            *a, lambda *s: other_step(*s, slope=lambda h, h_old: h * (1 - h))
        ),
        "dU takes the state before the step, h_old": lambda *a: one_step(
            *a, lambda *s: other_step(*s, before=False)
        ),
    },
)

# %% [markdown]
# ### Exercise 20.3 · Through time
#
# Return the states $h_1 \dots h_T$, $(T, B, H)$, and `backward(e)`: it is given all $e_t$ at once,
# $(T, B, H)$, and returns `dx` $(T, B, I)$, `dh0`, `dW`, `dU`, `db`. Use the two functions above:
# one loop, from the last step to the first.


# %%
def rnn(x, h0, W, U, b):
    """(h, backward) of (20.1); backward(e) → (dx, dh0, dW, dU, db)."""
    h = rnn_states(x, h0, W, U, b)

    def backward(e):
        ### BEGIN SOLUTION 20.3
        ### HINT Carry later = da_{t+1} Uᵀ along; it starts at 0, and e[t] + later is dh of (20.2).
        ### HINT step_backward returns the next `later` as its second result; dW, dU, db are added.
        ### HINT for t in range(len(x))[::-1]; x[t] met the state h[t] and made h[t + 1].
        dx, later = np.zeros(x.shape), np.zeros(h0.shape)
        dW, dU, db = np.zeros(W.shape), np.zeros(U.shape), np.zeros(b.shape)
        for t in range(len(x))[::-1]:
            dh = e[t] + later  # (20.2)
            dx[t], later, dW_t, dU_t, db_t = step_backward(dh, x[t], h[t], h[t + 1], W, U)
            dW += dW_t  # (20.5)
            dU += dU_t
            db += db_t
        return dx, later, dW, dU, db
        ### END SOLUTION

    return h[1:], backward


# %%
def other_bptt(x, h0, W, U, b, carry=True, weights="sum", order=-1, slope=True, last=False):
    """Back-propagation through time as it is often written."""
    T = len(x)
    h = np.zeros((T + 1, *h0.shape))
    h[0] = h0
    for t in range(T):
        h[t + 1] = np.tanh(x[t] @ W + h[t] @ U + b)

    def backward(e):
        da, later = np.zeros(e.shape), np.zeros(h0.shape)
        for t in range(T)[::order]:
            direct = e[t] if not last or t == T - 1 else 0.0
            dh = direct + later * carry
            da[t] = dh * (1 - h[t + 1] ** 2 if slope else 1.0)
            later = da[t] @ U.T
        chosen = {"sum": range(T), "last": [T - 1], "first": [0], "mean": range(T)}[weights]
        n = T if weights == "mean" else 1
        dW = sum(x[t].T @ da[t] for t in chosen) / n
        dU = sum(h[t].T @ da[t] for t in chosen) / n
        return da @ W.T, later, dW, dU, sum(da[t].sum(axis=0) for t in chosen) / n

    return h[1:], backward


rng = np.random.default_rng(203)
check(
    "20.3",
    rnn,
    rng.normal(size=(4, 3, 2)),
    rng.normal(size=(3, 5)),
    rng.normal(size=(2, 5)),
    0.5 * rng.normal(size=(5, 5)),
    rng.normal(size=5),
    forward=lambda x, h0, W, U, b: other_bptt(x, h0, W, U, b)[0],
    mistakes={
        "the gradient that arrives from later steps is forgotten, (20.2)": (
            lambda *a: other_bptt(*a, carry=False)
        ),
        "only the last step's e is used; every state may be read, (20.2) is a sum": (
            lambda *a: other_bptt(*a, last=True)
        ),
        "a weight's gradient is overwritten at every step: add, dW += ..., (20.5)": (
            lambda *a: other_bptt(*a, weights="first")
        ),
        "only the last step reaches the weights: (20.5) is a sum over all steps": (
            lambda *a: other_bptt(*a, weights="last")
        ),
        "(20.5) is a sum over the steps, this is their mean": (
            lambda *a: other_bptt(*a, weights="mean")
        ),
        "this goes from the first step to the last: gradients go back in time": (
            lambda *a: other_bptt(*a, order=1)
        ),
        "tanh' is missing, (20.3)": lambda *a: other_bptt(*a, slope=False),
    },
    about={"batch_size": 3, "sizes": {"T": 4}, "time_axis": 0},
)

# %% [markdown]
# Is the sum (20.5) really the derivative by *one* shared $U$? Give every step a matrix $U_t$ of its
# own, all equal in value. Moving the shared one moves them all, so
# $\mathrm{d}U = \sum_t \partial L / \partial U_t$. Measured, one $U_t$ at a time:


# %%
def untied_loss(x, h0, W, Us, b, c):
    """Σ c ⊙ h with a recurrent matrix for every step."""
    h, total = h0, 0.0
    for t in range(len(x)):
        h = np.tanh(x[t] @ W + h @ Us[t] + b)
        total += (c[t] * h).sum()
    return total


rng = np.random.default_rng(1)
c = rng.normal(size=(4, 3, 5))
untied = np.zeros((4, 5, 5))
for place in np.ndindex(untied.shape):
    values = []
    for move in (1e-6, -1e-6):
        Us = np.stack([U] * 4)
        Us[place] += move
        values.append(untied_loss(x, h0, W, Us, b, c))
    untied[place] = (values[0] - values[1]) / 2e-6
dU_shared = rnn(x, h0, W, U, b)[1](c)[3]
untied_gap = np.abs(untied.sum(axis=0) - dU_shared).max() / np.abs(dU_shared).max()
print("norm of ∂L/∂U_t, t = 1..4:", np.linalg.norm(untied, axis=(1, 2)).round(2))
print(f"their sum against dU: relative difference {untied_gap:.0e}")

# %% [markdown]
# ## 3. Truncated back-propagation
#
# A user's history has thousands of clicks; all states would have to be kept. **BPTT(k)** reads it
# in pieces of $k$ steps. The state *is* handed on from piece to piece, its gradient is *not*: the
# last state of a piece is a constant for the next.
#
# $$ \mathrm{d}h_t = e_t + \begin{cases} 0 & \text{if step } t + 1 \text{ begins a piece} \\
#    \mathrm{d}a_{t+1} U^\top & \text{else} \end{cases} \tag{20.6} $$
#
# ### Exercise 20.4 · The gradients of all steps, cut every k
#
# Return `da`, $(T, B, H)$, by (20.3) and (20.6). With `k=None` nothing is cut. Counted from 0 as in
# the code, pieces begin at `t = 0, k, 2 * k, ...`; `h` is $(T + 1, B, H)$ with $h_0$ in front.


# %%
def gradients_through_time(e, h, U, k=None):
    """da (T, B, H) by (20.3) and (20.6)."""
    ### BEGIN SOLUTION 20.4
    ### HINT The loop of 20.3 with one line more, and without the weights.
    ### HINT After step t, when t % k == 0, later must be zeros: step t began a piece.
    ### HINT None % k is an error: test k first.
    da, later = np.zeros(e.shape), np.zeros(e[0].shape)
    for t in range(len(e))[::-1]:
        da[t] = (e[t] + later) * (1 - h[t + 1] ** 2)
        later = da[t] @ U.T
        if k is not None and t % k == 0:
            later = np.zeros(e[0].shape)  # (20.6)
    return da
    ### END SOLUTION


# %%
def lag_by_lag(e, h, U, k, reach=None):
    """Every e_s on its own way back to every t ≤ s of its piece, or `reach` steps; summed."""
    da = np.zeros(e.shape)
    for s in range(len(e)):
        first = s - s % k if reach is None else max(0, s - reach)
        arriving = e[s]
        for t in range(first, s + 1)[::-1]:
            arriving = arriving * (1 - h[t + 1] * h[t + 1])
            da[t] += arriving
            arriving = arriving @ U.T
    return da


def cut_elsewhere(e, h, U, k, ends):
    """Cuts at the steps of `ends`, or of everything that arrives there."""
    da, later = np.zeros(e.shape), 0.0
    for t in range(len(e))[::-1]:
        da[t] = (e[t] + later) * (1 - h[t + 1] ** 2)
        later = da[t] @ U.T * (t not in ends)
    return da


rng = np.random.default_rng(204)
check(
    "20.4",
    lambda e, h, U: (
        gradients_through_time(e, h, U, 3),
        gradients_through_time(e, h, U, 1),
        gradients_through_time(e, h, U),
    ),
    rng.normal(size=(8, 3, 5)),
    np.tanh(rng.normal(size=(9, 3, 5))),
    0.5 * rng.normal(size=(5, 5)),
    expected=lambda e, h, U: tuple(lag_by_lag(e, h, U, k) for k in (3, 1, 100)),
    mistakes={
        "nothing is cut: k is not used": lambda e, h, U: (lag_by_lag(e, h, U, 100),) * 3,
        "this cuts one step late: the state made by step k − 1 is the first constant": (
            lambda e, h, U: (
                cut_elsewhere(e, h, U, 3, (1, 4, 7)),
                lag_by_lag(e, h, U, 1),
                lag_by_lag(e, h, U, 100),
            )
        ),
        "this cuts one step early: t = k begins a piece, not t = k − 1": (
            lambda e, h, U: (
                cut_elsewhere(e, h, U, 3, (2, 5)),
                lag_by_lag(e, h, U, 1),
                lag_by_lag(e, h, U, 100),
            )
        ),
        "this lets every e_t go back k − 1 steps; pieces have fixed ends": (
            lambda e, h, U: tuple(lag_by_lag(e, h, U, k, reach=k - 1) for k in (3, 1, 100))
        ),
        "tanh' is missing, (20.3)": lambda e, h, U: tuple(
            lag_by_lag(e, 0 * h, U, k) for k in (3, 1, 100)
        ),
    },
    about={},
)

# %% [markdown]
# It is the same as back-propagation in each piece alone, with the state of the piece before as its
# $h_0$. That is why it saves memory: $k$ states are kept, not $T$.

# %%
rng = np.random.default_rng(2)
x_long, h_start = rng.normal(size=(12, 3, 2)), np.zeros((3, 5))
e_long = rng.normal(size=(12, 3, 5))
h_long = rnn_states(x_long, h_start, W, U, b)
da_cut = gradients_through_time(e_long, h_long, U, 4)
dW_pieces, state = np.zeros(W.shape), h_start
for i in range(0, 12, 4):
    states, back = rnn(x_long[i : i + 4], state, W, U, b)
    dW_pieces += back(e_long[i : i + 4])[2]
    state = states[-1]  # handed on, as a constant
pieces_gap = np.abs(dW_pieces - np.einsum("tbi,tbh->ih", x_long, da_cut)).max()
print(f"BPTT(4) against three pieces of 4: {pieces_gap:.0e}")

# %% [markdown]
# Who hears whom? Send one gradient from step $s$ and look where it arrives. The picture shows
# $\lVert \partial L_s / \partial x_t \rVert$ for all pairs (random orthogonal $U$, so that little
# is lost on the way):


# %%
def arrivals(h, U, W, k, seed=3):
    """|∂L_s/∂x_t|, (T, T): row s, column t; L_s = c·h_s with a random c."""
    T, rng = len(h) - 1, np.random.default_rng(seed)
    c = rng.normal(size=h[0].shape)
    found = np.zeros((T, T))
    for s in range(T):
        e = np.zeros(h[1:].shape)
        e[s] = c
        found[s] = np.linalg.norm(gradients_through_time(e, h, U, k) @ W.T, axis=(1, 2))
    return found


def surviving_share(T, k):
    """Share of the pairs (s, s − lag) that lie in one piece, by lag."""
    s = np.arange(T)
    return np.array([np.mean(s[lag:] // k == (s[lag:] - lag) // k) for lag in range(T)])


rng = np.random.default_rng(4)
Q = np.linalg.qr(rng.normal(size=(16, 16)))[0]
W_map, x_map = 0.5 * rng.normal(size=(3, 16)), 0.5 * rng.normal(size=(20, 8, 3))
h_map = rnn_states(x_map, np.zeros((8, 16)), W_map, Q, np.zeros(16))
reach_maps = {k: arrivals(h_map, Q, W_map, k) for k in (None, 5, 1)}
shares = {k: surviving_share(2000, k)[:13] for k in (1, 2, 5, 10)}

figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
for ax, (k, found) in zip(axes, reach_maps.items(), strict=False):
    logs = np.log10(np.where(found > 0, found, np.nan))
    image = ax.imshow(logs, cmap="viridis", vmin=-1.5, vmax=1.2)
    ax.set(title="all steps" if k is None else f"BPTT({k})", xlabel="input t")
    ax.set_xticks(range(0, 20, 5))
    ax.set_yticks(range(0, 20, 5))
axes[0].set_ylabel("loss s")
figure.colorbar(image, ax=axes[:3], label="$\\log_{10}|∂L_s/∂x_t|$", shrink=0.85)
for (k, share), colour in zip(shares.items(), (RED, PINK, GREEN, BLUE), strict=True):
    axes[3].plot(share, "o-", color=colour, markersize=3, label=f"k = {k}")
axes[3].set(title="pairs that are left", xlabel="lag s − t", ylabel="share", xlim=(-0.3, 12.3))
axes[3].legend(frameon=False)
show("who hears whom")

# %% [markdown]
# Of the pairs at lag $l$ a share of $1 - l / k$ is left, none from $l = k$ on. BPTT(5) still has
# three fifths of lag 2; **BPTT(1), with which GRU4Rec trains, has nothing but lag 0**. Its state
# is carried forward all the same, so early clicks do act on late scores; but no weight is ever
# told to keep something *for later*.
#
# ## 4. One product per weight
#
# The loop is needed for (20.2): a state needs the one before. Nothing else needs it. Keep all
# $\mathrm{d}a_t$; then (20.5) is, with time and batch laid together in rows, *one* product
#
# $$ \mathrm{d}W = \begin{pmatrix} x_1 \\ \vdots \\ x_T \end{pmatrix}^{\!\top}
#    \begin{pmatrix} \mathrm{d}a_1 \\ \vdots \\ \mathrm{d}a_T \end{pmatrix} \tag{20.7} $$
#
# with $(TB, I)$ and $(TB, H)$, and so for $U$; $x W$ in the forward pass likewise.
#
# ### Exercise 20.5 · The weights, without a loop
#
# Given `x`, all states `h` $(T + 1, B, H)$ with $h_0$ in front, and `da`, return `dx`, `dW`, `dU`,
# `db` by (20.4) and (20.7).


# %%
def weight_products(x, h, da, W):
    """(dx, dW, dU, db); x (T, B, I), h (T + 1, B, H), da (T, B, H)."""
    ### BEGIN SOLUTION 20.5
    ### HINT a.reshape(-1, a.shape[-1]) lays time and batch together.
    ### HINT The state before step t is h[t]: h[:-1] are the states before all steps.
    rows = da.reshape(-1, da.shape[-1])
    dW = x.reshape(-1, x.shape[-1]).T @ rows
    dU = h[:-1].reshape(-1, h.shape[-1]).T @ rows
    return da @ W.T, dW, dU, rows.sum(axis=0)
    ### END SOLUTION


# %%
def other_products(x, h, da, W, before=True, steps=slice(None)):
    """Step by step."""
    states = h[:-1] if before else h[1:]
    return (
        np.stack([d @ W.T for d in da]),
        sum(a.T @ d for a, d in zip(x[steps], da[steps], strict=True)),
        sum(a.T @ d for a, d in zip(states[steps], da[steps], strict=True)),
        sum(d.sum(axis=0) for d in da[steps]),
    )


rng = np.random.default_rng(205)
check(
    "20.5",
    weight_products,
    rng.normal(size=(4, 3, 2)),
    rng.normal(size=(5, 3, 6)),
    rng.normal(size=(4, 3, 6)),
    rng.normal(size=(2, 6)),
    expected=other_products,
    mistakes={
        "dU takes the states before the steps, h[:-1], not those after": (
            lambda *a: other_products(*a, before=False)
        ),
        "these are the weight gradients of the last step only": (
            lambda *a: other_products(*a, steps=slice(-1, None))
        ),
        "these are the weight gradients of the first step only": (
            lambda *a: other_products(*a, steps=slice(0, 1))
        ),
    },
    about={"batch_size": 3, "sizes": {"T": 4}, "time_axis": 0},
)

# %% [markdown]
# From now on forward, backward and truncation come from your pieces. How much does the rebuilding
# bring? Measured here, on this machine; the ratio depends on the sizes.


# %%
def fast_rnn(x, h0, W, U, b, k=None):
    """rnn, with (20.6) and one product per weight."""
    h = np.empty((len(x) + 1, *h0.shape))
    h[0] = h0
    a = x @ W + b  # all steps at once
    for t in range(len(x)):
        h[t + 1] = np.tanh(a[t] + h[t] @ U)

    def backward(e):
        da = gradients_through_time(e, h, U, k)
        dx, dW, dU, db = weight_products(x, h, da, W)
        return dx, da[0] @ U.T, dW, dU, db

    return h[1:], backward


def seconds(function, sizes, repeats=9):
    """Median time of forward and backward."""
    (T, B, n_in, H), rng, taken = sizes, np.random.default_rng(5), []
    x, h0 = rng.normal(size=(T, B, n_in)), np.zeros((B, H))
    W, U, b = rng.normal(size=(n_in, H)), rng.normal(size=(H, H)) / np.sqrt(H), np.zeros(H)
    e = rng.normal(size=(T, B, H))
    for _ in range(repeats):
        start = time.perf_counter()
        function(x, h0, W, U, b)[1](e)
        taken.append(time.perf_counter() - start)
    return np.median(taken)


time_ratios = {}
for sizes in ((50, 32, 5, 16), (50, 32, 64, 64), (50, 4, 256, 128)):
    loop, product = seconds(rnn, sizes), seconds(fast_rnn, sizes)
    time_ratios[sizes] = loop / product
    T, B, n_in, H = sizes
    print(
        f"T {T} · B {B} · I {n_in} · H {H}: a product per step {1e3 * loop:.1f} ms, "
        f"one per weight {1e3 * product:.1f} ms, {loop / product:.1f} × faster"
    )

# %% [markdown]
# ## 5. The copy task
#
# Five symbols, drawn at random; **at every step output the symbol of two steps before.** Nothing in
# the input of a step helps, all is memory. One hidden layer of 16 units, Adam, 400 batches of 32
# sequences of 12 steps.


# %%
def softmax_loss(s, t):
    """Mean cross-entropy of scores s (..., O) and symbols t (...), and ds."""
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = (e / e.sum(axis=-1, keepdims=True)).reshape(-1, s.shape[-1])
    rows, flat = np.arange(t.size), t.ravel()
    ds = p.copy()
    ds[rows, flat] -= 1
    return -np.log(p[rows, flat]).mean(), ds.reshape(s.shape) / t.size


def adam(params, grads, moments, n, lr):
    """One step of lesson 08's Adam, in place; n counts from 1."""
    for p, g, (m, v) in zip(params, grads, moments, strict=True):
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        p -= lr * m / (1 - 0.9**n) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)


def draw_params(rng, n_in, H, n_out):
    """W, U, b, V, c: uniform as in lesson 04, biases 0."""

    def glorot(a, b):
        return rng.uniform(-1, 1, size=(a, b)) * np.sqrt(6 / (a + b))

    return [glorot(n_in, H), glorot(H, H), np.zeros(H), glorot(H, n_out), np.zeros(n_out)]


def train(batch, n_in, H, n_out, steps, k=None, seed=0, lr=0.01, skip=0, only=None):
    """(parameters, losses): a symbol for every step; the first `skip` steps have no target."""
    rng = np.random.default_rng(seed)
    params = draw_params(rng, n_in, H, n_out)
    params[1] *= only != "feed-forward"  # U = 0: every step sees its own input only
    moments, losses = [(0 * p, 0 * p) for p in params], []
    for n in range(1, steps + 1):
        x, t = batch(rng)
        W, U, b, V, c = params
        h, back = fast_rnn(x, np.zeros((x.shape[1], H)), W, U, b, k)
        loss, ds = softmax_loss(h[skip:] @ V + c, t[skip:])
        e = np.zeros(h.shape)
        e[skip:] = ds @ V.T
        _, _, dW, dU, db = back(e)
        ds, h_read = ds.reshape(-1, n_out), h[skip:].reshape(-1, H)
        grads = [dW, dU, db, h_read.T @ ds, ds.sum(axis=0)]
        fixed = {"feed-forward": [1], "read-out": [0, 1, 2], None: []}[only]
        grads = [0 * g if i in fixed else g for i, g in enumerate(grads)]
        adam(params, grads, moments, n, lr)
        losses.append(loss)
    return params, losses


def scores(params, x):
    """h V + c at every step."""
    W, U, b, V, c = params
    return rnn_states(x, np.zeros((x.shape[1], len(U))), W, U, b)[1:] @ V + c


def copy_batch(rng, d, T=12, B=32, n=5):
    """One-hot symbols (T, B, n), and the symbols of d steps before."""
    symbols = rng.integers(n, size=(T, B))
    return np.eye(n)[symbols], np.roll(symbols, d, axis=0)  # the first d targets are not used


def copy_accuracy(params, d):
    """On new sequences, longer than those of the training."""
    x, t = copy_batch(np.random.default_rng(99), d, T=40, B=100)
    return np.mean(scores(params, x)[d:].argmax(axis=-1) == t[d:])


COPY_RUNS = {  # d, k, what is learned
    "x_{t−2}, all steps": (2, None, None),
    "x_{t−2}, BPTT(3)": (2, 3, None),
    "x_{t−2}, BPTT(2)": (2, 2, None),
    "x_{t−2}, BPTT(1)": (2, 1, None),
    "x_{t−1}, BPTT(1)": (1, 1, None),
    "x_{t−2}, read-out alone": (2, None, "read-out"),
    "x_{t−2}, feed-forward": (2, None, "feed-forward"),
}


def copy_run(name, seed, steps=400):
    """(parameters, losses)."""
    d, k, only = COPY_RUNS[name]
    return train(lambda rng: copy_batch(rng, d), 5, 16, 5, steps, k, seed, 0.01, d, only)


copy_found, copy_early, copy_losses, copy_params = {}, {}, {}, {}
print(f"{'right on new sequences, 3 seeds':32}after 100 batches    after 400")
for name, (d, _, _) in COPY_RUNS.items():
    runs = [copy_run(name, seed) for seed in range(3)]
    copy_params[name] = [params for params, _ in runs]
    copy_losses[name] = np.array([losses for _, losses in runs])
    copy_found[name] = np.array([copy_accuracy(params, d) for params, _ in runs])
    copy_early[name] = np.array([copy_accuracy(copy_run(name, s, 100)[0], d) for s in range(3)])
    print(f"{name:32}" + "       ".join(
        f"{found.min():.3f} to {found.max():.3f}" for found in (copy_early[name], copy_found[name])
    ))  # fmt: skip

# %% [markdown]
# With all steps it is perfect, on sequences three times as long as those of the training. The
# feed-forward net, which sees $x_t$ only, stays at chance, 1/5. BPTT(3) has a third of the pairs at
# lag 2, and a third is enough. BPTT(1) and BPTT(2) have none, and their story has two acts.
#
# *First, luck.* A random $U$ mixes old symbols into the new state, and the read-out, which is
# trained properly, finds them: after 100 batches most answers are right. *Then it gets worse*, down
# to chance. For what $W$ and $U$ are given is **not the gradient of the loss**: it knows how they
# act on the present scores, and nothing of how they act on what will be remembered. Let us measure
# its angle with the gradient over all steps, on the nets of BPTT(1), and what becomes of them:


# %%
def cosine(a, b):
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


def copy_gradients(params, d, k):
    """(dW, dU) of the copy task's loss, 500 sequences, and the states."""
    W, U, b, V, c = params
    x, t = copy_batch(np.random.default_rng(5), d, B=500)
    h, back = fast_rnn(x, np.zeros((500, len(U))), W, U, b, k)
    e = np.zeros(h.shape)
    e[d:] = softmax_loss(h[d:] @ V + c, t[d:])[1] @ V.T
    return back(e)[2:4], h


cut_story = {}
print("BPTT(1), after   cosine for W   cosine for U   norm of U   |h| > 0.9")
for steps in (0, 100, 400):
    rows = []
    for seed in range(3):
        params = copy_run("x_{t−2}, BPTT(1)", seed, steps)[0]
        (dW, dU), h = copy_gradients(params, 2, None)
        (dW_cut, dU_cut), _ = copy_gradients(params, 2, 1)
        norm = np.linalg.norm(params[1], 2)
        rows.append([cosine(dW, dW_cut), cosine(dU, dU_cut), norm, np.mean(np.abs(h) > 0.9)])
    cut_story[steps] = np.array(rows)
    a, b_, norm, saturated = cut_story[steps].mean(axis=0)
    print(f"{steps:7} batches {a:14.2f} {b_:14.2f} {norm:11.1f} {saturated:11.0%}")

# %% [markdown]
# Before training the two still agree somewhat; once the read-out has found what there is, they are
# nearly at right angles. Followed for long, $U$ grows, the units saturate, and the memory that luck
# had provided is destroyed. Leaving $W$ and $U$ as they were drawn and training the read-out
# *alone* is far better in the end, 0.83 to 0.90. So **what $k = 1$ loses** is all learning of what
# to keep, and here more than that.
#
# So what has training done? The gradient of the right symbol's score by the inputs, lag by lag:


# %%
def score_by_lag(params, d, lags=9):
    """Mean over sequences of |∂(score of the target)/∂x_{t−lag}| at the last step."""
    W, U, b, V, _ = params
    x, t = copy_batch(np.random.default_rng(7), d, T=lags + 3, B=200)
    h = rnn_states(x, np.zeros((200, len(U))), W, U, b)
    e = np.zeros(h[1:].shape)
    e[-1] = V.T[t[-1]]
    norms = np.linalg.norm(gradients_through_time(e, h, U) @ W.T, axis=2).mean(axis=1)
    return norms[::-1][:lags]


untrained = draw_params(np.random.default_rng(0), 5, 16, 5)
lag_gradients = {
    "before training": score_by_lag(untrained, 2),
    "trained, all steps": score_by_lag(copy_params["x_{t−2}, all steps"][0], 2),
    "trained, BPTT(1)": score_by_lag(copy_params["x_{t−2}, BPTT(1)"][0], 2),
}
figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
for (name, losses), (colour, style) in zip(
    copy_losses.items(),
    ((BLUE, "-"), (GREEN, "-"), (PINK, "-"), (RED, "-"), (RED, ":"), (GREY, "-"), (GREY, "--")),
    strict=True,
):
    label = f"${name.replace(',', '$,')}"
    axes[0].plot(losses.mean(axis=0), style, color=colour, linewidth=1.2, label=label)
axes[0].set(title="copy task, mean of 3 seeds", xlabel="batch", ylabel="loss (nats)")
axes[0].set_ylim(0, 2.1)
axes[0].legend(frameon=False, fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
for (name, found), colour in zip(lag_gradients.items(), (GREY, BLUE, RED), strict=True):
    axes[1].semilogy(found, "o-", color=colour, markersize=4, label=name)
axes[1].set(title="|∂ (score of $x_{t−2}$) / ∂ $x_{t−lag}$|", xlabel="lag")
axes[1].legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15))
show("copy task")
for name, found in lag_gradients.items():
    print(f"{name:19} by lag:", found.round(2))

# %% [markdown]
# Before training it falls with the lag, by chance. The net that was trained over all steps has its
# peak at lag 2, where the task has it.

# %% [markdown]
# ## 6. Sequences of unequal length
#
# A batch is a block, sequences are not. Short ones are filled up at the end, *padded*, and a mask
# $m_t \in \{0, 1\}$, $(B,)$, says which steps count: $m_t = [t \le \text{length}]$. At the others
# the state stays as it is:
#
# $$ n_t = \tanh(x_t W + h_{t-1} U + b), \qquad
#    h_t = m_t\, n_t + (1 - m_t)\, h_{t-1} \tag{20.8} $$
#
# The gradient splits in the same way, where a step does not count it goes straight through:
#
# $$ \mathrm{d}a_t = m_t\, \mathrm{d}h_t \odot (1 - n_t^2), \qquad
#    \mathrm{d}h_{t-1} = e_{t-1} + \mathrm{d}a_t U^\top + (1 - m_t)\, \mathrm{d}h_t \tag{20.9} $$
#
# ### Exercise 20.6 · With a mask
#
# Return $(h, \text{backward})$ as in 20.3; `m` is $(T, B)$, booleans.


# %%
def masked_rnn(x, h0, W, U, b, m):
    """(h, backward) of (20.8); backward(e) → (dx, dh0, dW, dU, db)."""
    ### BEGIN SOLUTION 20.6
    ### HINT np.where(m[t][:, None], new, old) is (20.8). Keep h as in 20.1, with h0 in front.
    ### HINT Where a step counts, n_t is h_t: 1 − h² serves for (20.9), m is 0 where it does not.
    ### HINT Backward: dh = e[t] + later, da[t] by (20.9), later = da[t] @ U.T + (1 − m_t) dh;
    ###      then weight_products.
    h = [h0]
    for t in range(len(x)):
        h.append(np.where(m[t][:, None], np.tanh(x[t] @ W + h[t] @ U + b), h[t]))  # (20.8)
    h = np.stack(h)

    def backward(e):
        da, later = np.zeros(e.shape), np.zeros(h0.shape)
        for t in range(len(x))[::-1]:
            dh, counts = e[t] + later, m[t][:, None]
            da[t] = counts * dh * (1 - h[t + 1] ** 2)  # (20.9)
            later = da[t] @ U.T + (1 - counts) * dh
        dx, dW, dU, db = weight_products(x, h, da, W)
        return dx, later, dW, dU, db

    return h[1:], backward
    ### END SOLUTION


# %%
def one_by_one(x, h0, W, U, b, lengths):
    """Every sequence alone, without padding; behind its end its last state."""
    h = np.empty((*x.shape[:2], len(U)))
    for n, length in enumerate(lengths):
        state = h0[n]
        for t in range(length):
            state = np.tanh(x[t, n] @ W + state @ U + b)
            h[t, n] = state
        h[length:, n] = state
    return h


def other_masked(x, h0, W, U, b, m, zero=False, through=True, stop=True):
    """The mask as it is often written."""
    T, keep = len(x), m[:, :, None].astype(float)
    h = np.zeros((T + 1, *h0.shape))
    h[0] = h0
    for t in range(T):
        new = np.tanh(x[t] @ W + h[t] @ U + b)
        h[t + 1] = keep[t] * new + (0 if zero else 1 - keep[t]) * h[t]

    def backward(e):
        da, later = np.zeros(e.shape), np.zeros(h0.shape)
        for t in range(T)[::-1]:
            dh = e[t] + later
            da[t] = (keep[t] if stop else 1.0) * dh * (1 - h[t + 1] ** 2)
            later = da[t] @ U.T + (1 - keep[t]) * dh * through
        dU = np.einsum("tbi,tbj->ij", h[:-1], da)
        return da @ W.T, later, np.einsum("tbi,tbh->ih", x, da), dU, da.sum(axis=(0, 1))

    return h[1:], backward


lengths_check = np.array([4, 2])
m_check = np.arange(4)[:, None] < lengths_check
rng = np.random.default_rng(206)
check(
    "20.6",
    lambda x, h0, W, U, b: masked_rnn(x, h0, W, U, b, m_check),
    rng.normal(size=(4, 2, 1)),
    rng.normal(size=(2, 3)),
    rng.normal(size=(1, 3)),
    0.5 * rng.normal(size=(3, 3)),
    rng.normal(size=3),
    forward=lambda x, h0, W, U, b: one_by_one(x, h0, W, U, b, lengths_check),
    mistakes={
        "the mask is not used": lambda *a: other_masked(*a, np.ones((4, 2), bool)),
        "the mask is turned round: 1 is a step that counts": lambda *a: other_masked(*a, ~m_check),
        "this puts the state to 0 where a step does not count: it must stay": (
            lambda *a: other_masked(*a, m_check, zero=True)
        ),
        "where a step does not count the gradient must go through, (1 − m) dh": (
            lambda *a: other_masked(*a, m_check, through=False)
        ),
        "da must be 0 where a step does not count": (
            lambda *a: other_masked(*a, m_check, stop=False)
        ),
    },
    about={"batch_size": 2, "sizes": {"T": 4}, "time_axis": 0},
)

# %% [markdown]
# With it, padding on the right is *transparent*: what stands there, and how much of it, changes
# neither the last state nor a gradient. `h[-1]` is then the state at the true end of every
# sequence. Without a mask `h[-1]` has gone on reading padding, a common mistake; the cure without a
# mask is to take `h[length - 1]`. Padding on the *left* would need the mask in any case.

# %%
rng = np.random.default_rng(8)
lengths_pad = np.array([5, 2, 3])
x_pad = rng.normal(size=(5, 3, 2))


def last_and_gradients(padding, value, masked=True):
    """The last state, and the gradients from it, with more steps of padding."""
    x = np.concatenate([x_pad, np.full((padding, 3, 2), value)])
    x[np.arange(len(x))[:, None] >= lengths_pad] = value
    m = (np.arange(len(x))[:, None] < lengths_pad) | (not masked)
    h, back = masked_rnn(x, h0, W, U, b, m)
    e = np.zeros(h.shape)
    e[-1] = np.arange(15).reshape(3, 5)
    return [h[-1], *back(e)[1:]]


plain = last_and_gradients(0, 0.0)
padding_gap = max(
    np.abs(a - b).max() / np.abs(a).max()
    for other in (last_and_gradients(0, 9.0), last_and_gradients(7, -3.0))
    for a, b in zip(plain, other, strict=True)
)
unmasked_gap = np.abs(plain[0] - last_and_gradients(0, 0.0, masked=False)[0]).max()
print(f"other padding, more padding: {padding_gap:.0e}; without the mask: {unmasked_gap:.1f}")

# %% [markdown]
# ### From a sequence to a value: parity
#
# Is the number of ones odd? Sequences of zeros and ones of length 1 to 12; the last state decides
# (the slide's “sequence to value”). For comparison a bag of symbols, that is the number of ones. It
# determines the parity, but odd and even alternate, and a linear read-out, one threshold, has
# little to hold on to: the best one is right with probability
#
# $$ \frac12 + 2^{-T} \binom{T - 1}{\lfloor (T - 1) / 2 \rfloor} \tag{20.10} $$
#
# three quarters for $T = 2$ and 0.61 for $T = 12$. A recurrent network need not count: one bit,
# turned at every 1, is enough.


# %%
def parity_batch(rng, B=64, longest=12, shortest=1):
    """x (T, B, 1) of ±1, mask (T, B), parity (B,)."""
    lengths = rng.integers(shortest, longest + 1, size=B)
    bits = rng.integers(2, size=(longest, B))
    m = np.arange(longest)[:, None] < lengths
    return (2.0 * bits - 1)[:, :, None], m, (bits * m).sum(axis=0) % 2


def train_parity(seed, H=32, steps=1300, lr=0.003):
    """Parameters after `steps` batches."""
    rng = np.random.default_rng(seed)
    params = draw_params(rng, 1, H, 2)
    moments = [(0 * p, 0 * p) for p in params]
    for n in range(1, steps + 1):
        x, m, t = parity_batch(rng)
        W, U, b, V, c = params
        h, back = masked_rnn(x, np.zeros((len(t), H)), W, U, b, m)
        _, ds = softmax_loss(h[-1] @ V + c, t)  # one value per sequence, from the last state
        e = np.zeros(h.shape)
        e[-1] = ds @ V.T
        _, _, dW, dU, db = back(e)
        adam(params, [dW, dU, db, h[-1].T @ ds, ds.sum(axis=0)], moments, n, lr)
    return params


def parity_accuracy(params, T):
    """On 2000 new sequences of length T."""
    x, _, t = parity_batch(np.random.default_rng(99), 2000, T, T)
    return np.mean(scores(params, x)[-1].argmax(axis=-1) == t)


def bag_accuracy(T):
    """The best threshold for the number of ones, over all 2^T sequences: (20.10), by counting."""
    ways = np.array([comb(T, ones) for ones in range(T + 1)], float)
    signed = np.cumsum(ways * (-1.0) ** np.arange(T + 1))  # even minus odd, up to the threshold
    return 0.5 + np.abs(signed).max() / 2**T


PARITY_LENGTHS = (2, 4, 8, 12, 16, 24, 48)
parity_nets = [train_parity(seed) for seed in range(3)]
parity_found = np.array([[parity_accuracy(p, T) for T in PARITY_LENGTHS] for p in parity_nets])
bag_found = np.array([bag_accuracy(T) for T in PARITY_LENGTHS])
print("length           ", "".join(f"{T:7}" for T in PARITY_LENGTHS))
for seed, row in enumerate(parity_found):
    print(f"RNN, seed {seed}       ", "".join(f"{a:7.3f}" for a in row))
print("bag of symbols   ", "".join(f"{a:7.3f}" for a in bag_found))

figure, ax = plt.subplots(figsize=(6, 3.3), layout="constrained")
for seed, (row, colour) in enumerate(zip(parity_found, (BLUE, GREEN, PINK), strict=True)):
    ax.plot(PARITY_LENGTHS, row, "o-", color=colour, markersize=4, label=f"RNN, seed {seed}")
ax.plot(PARITY_LENGTHS, bag_found, "s--", color=GREY, markersize=4, label="bag, best threshold")
ax.axvspan(0, 12.5, color="#dddddd", alpha=0.5, linewidth=0)
ax.text(6.5, 0.47, "trained", color=GREY, ha="center")
ax.set(title="parity", xlabel="length", ylabel="right", xlim=(0, 49), ylim=(0.45, 1.02))
ax.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.4))
show("parity")

# %% [markdown]
# Trained up to 12, it often goes on working where no training was. But plain recurrent networks are
# touchy. With sequences of length 12 only, two seeds of three were still at ½: the short ones are
# the way in. And with a rate of 0.01 one seed of three was at ½ for $T = 12$ after 2000 batches,
# the others at 1 (neither is run here). Lessons 21 and 22 are about why, and what helps.
#
# ## 7. At every step: the next symbol
#
# “Sequence to sequence, simultaneous, e.g. next-click prediction”: what GRU4Rec does. To know how
# good a prediction *can* be, make the sequence yourself: a Markov chain of second order, five
# symbols, $P(x_t \mid x_{t-2}, x_{t-1})$ drawn at random. Nobody can have a smaller cross-entropy
# than its **entropy rate**, and whoever looks at $x_{t-1}$ only has at best that of the first-order
# table:
#
# $$ \mathcal{H}_2 = -\sum_{i,j} \pi_{ij} \sum_k P_{ijk} \log P_{ijk}, \qquad
#    \mathcal{H}_1 = -\sum_{j} \pi_j \sum_k P_{jk} \log P_{jk}, \quad
#    P_{jk} = \frac{\sum_i \pi_{ij} P_{ijk}}{\pi_j} \tag{20.11} $$
#
# $\pi$ is the stationary distribution of pairs. Both are computed exactly.

# %%
P_chain = np.random.default_rng(0).dirichlet(np.full(5, 0.4), size=(5, 5))
pi = np.full((5, 5), 1 / 25)
for _ in range(1000):
    pi = np.einsum("ij,ijk->jk", pi, P_chain)
entropy_rate = -np.sum(pi[:, :, None] * P_chain * np.log(P_chain))
pairs = np.einsum("ij,ijk->jk", pi, P_chain)
first_order = -np.sum(pairs * np.log(pairs / pairs.sum(axis=1, keepdims=True)))
print(f"entropy rate {entropy_rate:.4f}, best first-order table {first_order:.4f} nats")


def chain_batch(rng, T=20, B=32):
    """One-hot symbols, and the symbol after each."""
    symbols = np.empty((T + 1, B), int)
    symbols[0], symbols[1] = np.divmod(rng.choice(25, size=B, p=pi.ravel() / pi.sum()), 5)
    limits, drawn = P_chain.cumsum(axis=-1)[:, :, :-1], rng.random((T + 1, B, 1))
    for t in range(2, T + 1):
        symbols[t] = (drawn[t] > limits[symbols[t - 2], symbols[t - 1]]).sum(axis=1)
    return np.eye(5)[symbols[:-1]], symbols[1:]


def chain_losses(predict):
    """Cross-entropy on 30 000 new symbols, from the second of each sequence on."""
    x, t = chain_batch(np.random.default_rng(99), T=101, B=300)
    return softmax_loss(predict(x)[1:], t[1:])[0]


def true_scores(x):
    """log P of the chain itself."""
    symbols = x.argmax(axis=-1)
    return np.log(P_chain[np.roll(symbols, 1, axis=0), symbols])


truth_on_test = chain_losses(true_scores)
chain_found = {}
CHAIN_RUNS = {"all steps": (None, None), "BPTT(1)": (1, None), "read-out alone": (None, "read-out")}
for H in (8, 32):
    for name, (k, only) in CHAIN_RUNS.items():
        runs = [train(chain_batch, 5, H, 5, 800, k, seed, 0.01, 1, only)[0] for seed in range(3)]
        found = np.array([chain_losses(lambda x, p=p: scores(p, x)) for p in runs])
        chain_found[H, name] = found
        print(
            f"H = {H:2}, {name:14}: {found.min():.4f} to {found.max():.4f}, "
            f"{found.mean() / entropy_rate - 1:5.1%} above the entropy rate (3 seeds)"
        )
print(f"the chain itself on the same symbols: {truth_on_test:.4f}")

figure, ax = plt.subplots(figsize=(8.4, 3.4), layout="constrained")
ax.axhspan(entropy_rate, 1.05 * entropy_rate, color=GREEN, alpha=0.2, linewidth=0)
chain_colours = {"all steps": BLUE, "BPTT(1)": RED, "read-out alone": GREY}
for place, ((_, name), found) in enumerate(chain_found.items()):
    ax.bar(place, found.mean(), color=chain_colours[name], width=0.6, alpha=0.6)
    ax.plot([place] * 3, found, "k.", markersize=4)
ax.set_xticks(range(6), [f"H = {H}\n{name}" for H, name in chain_found], fontsize=8)
for height, name in (
    (entropy_rate, "entropy rate"),
    (1.05 * entropy_rate, "+ 5 %"),
    (first_order, "best first-order\ntable"),
):
    ax.axhline(height, color=GREY, linestyle="--", linewidth=0.8)
    ax.text(5.5, height + 0.006, name, color=GREY, va="bottom", fontsize=9)
ax.set(title="next symbol of a second-order chain", ylabel="cross-entropy (nats)")
ax.set(ylim=(1, 1.6), xlim=(-0.6, 6.9))
show("markov chain")

# %% [markdown]
# All nets beat the best that knows one symbol only. The wide one comes within 5 % of what is
# possible; 8 units are on the edge of that. And the cut: here $k = 1$ costs little, and the wider
# the net, the less. Why here and not in the copy task? The symbol that is needed lies *one* step
# back, where a random $U$ keeps it well; what is hard is to *combine* it with the present one,
# which a read-out alone cannot. That is done by $W$ and $U$ within one step, and of one step
# BPTT(1) knows everything. It learns how to use the state that a step gets, and not what to leave
# in it for later.
#
# That is GRU4Rec's case: many sessions are very short, its states are wide, and its authors say on
# the slide that “updating on longer sequences [...] didn't improve accuracy”. The copy task shows
# that this is a property of data and widths and no law. If you train with $k = 1$, watch the loss
# to the end, and try a larger $k$ once.
#
# A trap: were the targets not shifted, a network could read the answer from its input. A loss
# *below* the entropy rate is never a success.

# %% [markdown]
# ## 8. The library says the same
#
# `nnlib.layers` has `RNNCell` (one step), `Scan` (any cell over time, step by step) and `RNN` (one
# product per weight). `lengths=` is the mask, `truncate=` is k.

# %%
from nnlib.functional.rnn_sequence import rnn_sequence, rnn_sequence_backward
from nnlib.layers import RNN, RNNCell, Scan

rng = np.random.default_rng(9)
x_lib, h0_lib, e_lib = (rng.normal(size=shape) for shape in ((7, 4, 3), (4, 6), (7, 4, 6)))
lengths_lib = np.array([7, 2, 5, 1])
m_lib = np.arange(7)[:, None] < lengths_lib
cell = RNNCell(3, 6, rng=rng).astype(np.float64)
cell.b.value[:] = rng.normal(size=6)
layer = RNN(3, 6, rng=rng).astype(np.float64)
for own, theirs in ((layer.cell.W, cell.W), (layer.cell.U, cell.U), (layer.cell.b, cell.b)):
    own.value[:] = theirs.value
weights = cell.W.value, cell.U.value, cell.b.value


def library_results(over_time, cell, **options):
    """(h, dx, dh0, dW, dU, db) of a layer over time."""
    for p in (cell.W, cell.U, cell.b):
        p.grad = None
    h, backward = over_time(x_lib, h0_lib, **options)
    return h, *backward(e_lib), cell.W.grad, cell.U.grad, cell.b.grad


def largest_gap(mine, theirs):
    return max(np.abs(a - b).max() for a, b in zip(mine, theirs, strict=True))


def results_of(pair):
    h, backward = pair
    return h, *backward(e_lib)


mine_of = {
    "all steps": (results_of(rnn(x_lib, h0_lib, *weights)), {}),
    "BPTT(3)": (results_of(fast_rnn(x_lib, h0_lib, *weights, k=3)), {"truncate": 3}),
    "BPTT(1)": (results_of(fast_rnn(x_lib, h0_lib, *weights, k=1)), {"truncate": 1}),
    "lengths": (
        results_of(masked_rnn(x_lib, h0_lib, *weights, m_lib)),
        {"lengths": lengths_lib},
    ),
}
library_gaps = {}
for name, (mine, options) in mine_of.items():
    library_gaps[f"RNN, {name}"] = largest_gap(mine, library_results(layer, layer.cell, **options))
    library_gaps[f"Scan, {name}"] = largest_gap(mine, library_results(Scan(cell), cell, **options))
h_fun, saved = rnn_sequence(x_lib, h0_lib, *weights)
library_gaps["rnn_sequence"] = largest_gap(
    mine_of["all steps"][0], (h_fun, *rnn_sequence_backward(e_lib, saved))
)
library_gaps["RNNCell"] = np.abs(
    cell(x_lib[0], h0_lib)[0] - rnn_states(x_lib[:1], h0_lib, *weights)[1]
).max()
for name, gap in library_gaps.items():
    print(f"{name:20}{gap:.0e}")
assert max(library_gaps.values()) < 1e-12

# %% [markdown]
# ## What to keep
#
# - A recurrent network is a deep network with one set of weights; its depth is the length of the
#   sequence.
# - A state's gradient is a sum: from its own read-out, and from the step after. A weight's gradient
#   is a sum over all steps, in the end one product.
# - BPTT(k) carries the state and cuts the gradient. At lag $l$ it keeps $1 - l/k$ of the pairs.
#   With $k = 1$ a step learns to use the state it gets, not what to leave in it for later.
# - A mask carries the state through the padding; then padding on the right is not there.
