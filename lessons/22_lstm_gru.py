# %% [markdown]
# # 22 · LSTM and GRU
#
# - **Minutes:** 120
# - **Prerequisites:** lessons 20 and 21 (BPTT; vanishing gradients, clipping); Adam (lesson 08)
# - **Slides:** “Long-Short Term Memory (LSTM)”, “Gated Recurrent Unit (GRU)”
# - **The deck is wrong here:** the GRU's $h_t = z_t \circ h_t + (1 - z_t) \circ \tilde h_t$ has
#   $h_t$ on both sides; taken literally it has no memory gate. $r_t \circ U h_{t-1}$ puts the reset
#   behind the product; Cho et al. and GRU4Rec have it before, which is another function. The LSTM
#   is of 1997, not 1999 (the deck's own reference list has it right), and the forget gate is not in
#   that paper: Gers et al. 2000. “Long-Short Term Memory” is a long short-term memory
#
# A plain recurrent network writes its state anew at every step, and what was in it is multiplied
# away (lesson 21). The cure is to *add* instead: keep the state, change a little of it, and let the
# network decide how much. You write both cells that do so, derive their gradients, find the one
# number at the start that decides whether they remember, and then look at a trained memory at work.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show
from nnlib import Adam, Parameter
from nnlib.losses import cross_entropy
from nnlib.optim import clip_global_norm

BLUE, RED, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
ORANGE, SKY = "#E69F00", "#56B4E9"


def sigmoid(s):
    """σ(s), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * s))


def blocks(gates, n):
    """The n blocks of columns, as views: for n = 4 and (B, 4H), four of (B, H)."""
    H = gates.shape[1] // n
    return [gates[:, k * H : (k + 1) * H] for k in range(n)]


# %% [markdown]
# The signs, all but the last $(B, H)$ for $B$ sequences and $H$ units:
#
# - $h_t$ the hidden state, $c_t$ the LSTM's memory cell;
# - $o$, $f$, $i$ its output, forget and input gates, $r$, $z$ the GRU's reset and update gates, all
#   between 0 and 1;
# - $g$ the LSTM's candidate, $\tilde c$ the GRU's;
# - $a$ what the input gives to all pre-activations, $x W + b$: $(B, 4H)$ for the LSTM, $(B, 3H)$
#   for the GRU.
#
# The weights of a cell lie side by side: $W = [W_o | W_f | W_i | W_g]$, $(I, 4H)$, and $U$,
# $(H, 4H)$, in the same order; $[\,r\,|\,z\,|\,\tilde c\,]$ for the GRU. One product instead of
# four. And $a$ does not depend on the state, so it is made for all steps at once, before the loop;
# inside the loop only $h_{t-1} U$ remains. So the functions of this lesson get $a$, not $x$.
#
# ## 1. Why an additive path remembers
#
# The plain network's state is $h_t = \tanh(a_t + h_{t-1} U)$. Its Jacobian over $k$ steps is a
# product of $k$ matrices $\operatorname{diag}(1 - h^2)\, U^\top$: it shrinks or grows as powers do.
# The slide's idea is $s_t = s_{t-1} + \Delta s_t$, “instead of rewriting the hidden state … add a
# delta”. Along the sum the Jacobian is 1, for any number of steps. With a gate $f$ in front,
#
# $$ c_t = f_t \odot c_{t-1} + i_t \odot g_t, \qquad
#    \frac{\partial c_T}{\partial c_{T-k}}\Big|_\text{along the cell}
#    = \operatorname{diag}\Big(\prod_{j=0}^{k-1} f_{T-j}\Big) \tag{22.1} $$
#
# (there are other ways from $c_{T-k}$ to $c_T$, through $h$ and the gates; they are multiplied by
# $U$ and are like those of the plain network). No matrix, no slope of a tanh: each unit has its own
# time constant, which it can set, from “forget now” ($f = 0$) to “keep for ever” ($f = 1$).
#
# But gates are logistic. With biases 0 a new cell has $f \approx \frac12$, and $2^{-20}$ is a
# millionth: **an LSTM that is initialised like any other layer forgets as fast as a bad plain
# network**, and what is not remembered gets no gradient by which to learn that it should be.
# So $b_f$ must start above 0. How far?
#
# ### Exercise 22.1 · How much bias for how long?
#
# Which $b_f$ leaves the share `left` of a cell after `steps` steps, if $f = \sigma(b_f)$ at each?


# %%
def forget_bias(left, steps):
    """b_f with σ(b_f) ** steps = left."""
    ### BEGIN SOLUTION 22.1
    ### HINT First f: which number gives `left` as its `steps`-th power?
    ### HINT Then σ backwards: σ(b) = f is b = log(f / (1 − f)).
    f = left ** (1 / steps)
    return np.log(f / (1 - f))
    ### END SOLUTION


# %%
check(
    "22.1",
    forget_bias,
    np.array([0.002, 0.1, 0.5, 0.87]),
    np.array([20.0, 5, 3, 20]),
    expected=lambda left, steps: -np.log(np.expm1(-np.log(left) / steps)),
    mistakes={
        "this is f itself: b_f is what the logistic function turns into f": lambda left, steps: (
            left ** (1 / steps)
        ),
        "this divides the share by the steps; a product of equal factors asks for a root": (
            lambda left, steps: np.log(left / steps / (1 - left / steps))
        ),
        "the logarithm of f: the logistic function's inverse is log(f / (1 − f))": (
            lambda left, steps: np.log(left) / steps
        ),
        "the sign: 1 − f is left at each step": lambda left, steps: np.log(
            np.expm1(-np.log(left) / steps)
        ),
        "this is the bias for one step": lambda left, steps: np.log(left / (1 - left)),
    },
)

# %%
bias_table = {b: (sigmoid(b), sigmoid(b) ** 20) for b in (0, 1, 3, 5)}
for b, (f, left) in bias_table.items():
    print(f"b_f = {b}: f = {f:.3f}, after 20 steps {left:.2g} is left")
chrono_left = {T: sigmoid(np.log(T)) ** T for T in (10, 40, 100, 1000)}
for T, left in chrono_left.items():
    print(f"b_f = log {T:4}: {left:.3f} is left after {T} steps")
print(
    f"1/e = {np.exp(-1):.3f}; what leaves exactly that after 40: {forget_bias(np.exp(-1), 40):.3f}"
)

# %% [markdown]
# The second part is the **chrono rule** (Tallec & Ollivier 2018): $\sigma(\log T) = T / (T + 1)$,
# and $(1 + 1/T)^{-T} \to 1/e$. To remember for $T$ steps, start with
#
# $$ b_f = \log T \tag{22.2} $$
#
# (They draw $b_f$ from $\log \mathcal U(1, T)$, a different one for each unit, and set
# $b_i = -b_f$.)
#
# ## 2. LSTM
#
# $$ o, f, i = \sigma(a_{ofi} + h_{t-1} U_{ofi}), \qquad g = \tanh(a_g + h_{t-1} U_g) \tag{22.3} $$
# $$ c_t = f \odot c_{t-1} + i \odot g \tag{22.4} $$
# $$ h_t = o \odot \tanh(c_t) \tag{22.5} $$
#
# as on the slide ($g$ is its $\tilde c$). The state is the pair $(h, c)$: “hidden state is
# separated into two”. $c$ is the memory, and $h$ is what the others may read of it.
#
# ### Exercise 22.2 · One step of an LSTM
#
# Return $h_t$, $c_t$ and the gates $[\,o\,|\,f\,|\,i\,|\,g\,]$, $(B, 4H)$, for the backward.


# %%
def lstm_forward(a, h, c, U):
    """(h_t, c_t, [o|f|i|g]) from a (B, 4H), the old h, c (B, H), and U (H, 4H)."""
    H = h.shape[1]
    ### BEGIN SOLUTION 22.2
    ### HINT s = a + h @ U has all four pre-activations; the first 3 H columns go through σ.
    ### HINT o, f, i, g = blocks(gates, 4) cuts the columns into four equal parts.
    ### HINT gates = np.hstack([sigmoid(s[:, :3 * H]), np.tanh(s[:, 3 * H:])])
    s = a + h @ U
    gates = np.hstack([sigmoid(s[:, : 3 * H]), np.tanh(s[:, 3 * H :])])  # (22.3)
    o, f, i, g = blocks(gates, 4)
    c_next = f * c + i * g  # (22.4)
    return o * np.tanh(c_next), c_next, gates  # (22.5)
    ### END SOLUTION


# %%
def lstm_unit_by_unit(a, h, c, U, cell=None, swap=False, inner=np.tanh, old=False, candidate=None):
    """(22.3) to (22.5) with loops over examples, units and gates; or with a mistake."""
    B, H = h.shape
    h_next, c_next, gates = np.zeros((B, H)), np.zeros((B, H)), np.zeros((B, 4 * H))
    squash = [lambda s: 1 / (1 + np.exp(-s))] * 3 + [candidate or np.tanh]
    for n in range(B):
        for j in range(H):
            for k in range(4):
                s = a[n, k * H + j] + sum(h[n, m] * U[m, k * H + j] for m in range(H))
                gates[n, k * H + j] = squash[k](s)
            o, f, i, g = gates[n, j], gates[n, H + j], gates[n, 2 * H + j], gates[n, 3 * H + j]
            f, i = (i, f) if swap else (f, i)
            c_next[n, j] = cell(f, c[n, j], i, g) if cell else f * c[n, j] + i * g
            h_next[n, j] = o * inner(c[n, j] if old else c_next[n, j])
    return h_next, c_next, gates


# %%
rng = np.random.default_rng(222)
check(
    "22.2",
    lstm_forward,
    rng.normal(size=(5, 12)),
    rng.normal(size=(5, 3)),
    rng.normal(size=(5, 3)),
    rng.normal(size=(3, 12)),
    expected=lstm_unit_by_unit,
    mistakes={
        "f and i are exchanged: f multiplies the old cell": lambda *x: lstm_unit_by_unit(
            *x, swap=True
        ),
        "h reads the cell without tanh: (22.5)": lambda *x: lstm_unit_by_unit(
            *x, inner=lambda c: c
        ),
        "h reads the old cell: (22.5) has the new one": lambda *x: lstm_unit_by_unit(*x, old=True),
        "the candidate g goes through tanh, not through σ: it must be able to subtract": (
            lambda *x: lstm_unit_by_unit(*x, candidate=lambda s: 1 / (1 + np.exp(-s)))
        ),
        "this is a mixture, with 1 − f in the place of i: that is the GRU's idea": (
            lambda *x: lstm_unit_by_unit(*x, cell=lambda f, c, i, g: f * c + (1 - f) * g)
        ),
        "the cell is rewritten: f ⊙ c is missing": lambda *x: lstm_unit_by_unit(
            *x, cell=lambda f, c, i, g: i * g
        ),
        "nothing is forgotten: f is missing": lambda *x: lstm_unit_by_unit(
            *x, cell=lambda f, c, i, g: c + i * g
        ),
    },
)

# %% [markdown]
# **Backward.** From the future come $\mathrm{d}h_t$ (what the output wants at $t$, plus what step
# $t + 1$ sent back) and $\mathrm{d}c_t$ (from step $t + 1$ only). $c_t$ is used twice, by $h_t$ and
# by the next step, so its gradient is a sum:
#
# $$ \bar c = \mathrm{d}c_t + \mathrm{d}h_t \odot o \odot (1 - \tanh^2 c_t) \tag{22.6} $$
#
# and with $\sigma' = \sigma (1 - \sigma)$, $\tanh' = 1 - \tanh^2$, for the pre-activations
#
# $$ \mathrm{d}a_o = \mathrm{d}h_t \odot \tanh(c_t) \odot o (1 - o), \qquad
#    \mathrm{d}a_f = \bar c \odot c_{t-1} \odot f (1 - f) \tag{22.7} $$
# $$ \mathrm{d}a_i = \bar c \odot g \odot i (1 - i), \qquad
#    \mathrm{d}a_g = \bar c \odot i \odot (1 - g^2) \tag{22.8} $$
#
# What goes on to step $t - 1$:
#
# $$ \mathrm{d}h_{t-1} = \mathrm{d}a\, U^\top, \qquad \mathrm{d}c_{t-1} = \bar c \odot f
#    \tag{22.9} $$
#
# The second is the whole point: **no matrix, no slope**, (22.1) backwards. And $\mathrm{d}U =
# h_{t-1}^\top \mathrm{d}a$, as for any layer.
#
# ### Exercise 22.3 · The LSTM's backward
#
# Return $\mathrm{d}a$ $(B, 4H)$, $\mathrm{d}h_{t-1}$ and $\mathrm{d}c_{t-1}$, given what (22.6) to
# (22.9) use: the old and the new cell, the gates and $U$.


# %%
def lstm_backward(dh_next, dc_next, c, c_next, gates, U):
    """(da, dh, dc): gradients of the pre-activations and of the old state."""
    o, f, i, g = blocks(gates, 4)
    ### BEGIN SOLUTION 22.3
    ### HINT First the cell's gradient (22.6): from now on dc means this sum.
    ### HINT Then four lines, (22.7) and (22.8), side by side by np.hstack, in the order o, f, i, g.
    ### HINT dh is da @ U.T, one product for all four gates.
    tanh_c = np.tanh(c_next)
    dc = dc_next + dh_next * o * (1 - tanh_c * tanh_c)  # (22.6)
    da_o = dh_next * tanh_c * o * (1 - o)  # (22.7)
    da_f = dc * c * f * (1 - f)  # (22.7)
    da_i = dc * g * i * (1 - i)  # (22.8)
    da_g = dc * i * (1 - g * g)  # (22.8)
    da = np.hstack([da_o, da_f, da_i, da_g])
    return da, da @ U.T, dc * f  # (22.9)
    ### END SOLUTION


def lstm_step(a, h, c, U):
    """((h_t, c_t), backward): both exercises together; backward(dh, dc) → da, dh, dc, dU."""
    h_next, c_next, gates = lstm_forward(a, h, c, U)

    def backward(dh_next, dc_next):
        da, dh, dc = lstm_backward(dh_next, dc_next, c, c_next, gates, U)
        return da, dh, dc, h.T @ da

    return (h_next, c_next), backward


# %%
def lstm_with_mistake(a, h, c, U, mistake):
    """lstm_step with one thing wrong in its backward."""
    H = h.shape[1]
    h_next, c_next, gates = lstm_unit_by_unit(a, h, c, U)
    o, f, i, g = (gates[:, k * H : (k + 1) * H] for k in range(4))
    th = np.tanh(c_next)

    def backward(dh, dc):
        through_h = dh * o * (1 - (c_next if mistake == "c for tanh" else th) ** 2)
        d = through_h + (0 if mistake == "no dc" else dc)
        if mistake == "only dc":
            d = dc
        cell = c_next if mistake == "new cell" else c
        slopes = [1, 1, 1] if mistake == "no slopes" else [o * (1 - o), f * (1 - f), i * (1 - i)]
        da = np.hstack(
            [
                dh * th * slopes[0],
                d * cell * slopes[1],
                d * g * slopes[2],
                d * i * (1 if mistake == "no tanh slope" else 1 - g * g),
            ]
        )
        return da, da @ U.T, (dc if mistake == "incoming" else d) * f, h.T @ da

    return (h_next, c_next), backward


rng = np.random.default_rng(223)
check(
    "22.3",
    lstm_step,
    rng.normal(size=(5, 12)),
    rng.normal(size=(5, 3)),
    rng.normal(size=(5, 3)),
    rng.normal(size=(3, 12)),
    forward=lambda *x: lstm_unit_by_unit(*x)[:2],
    mistakes={
        sentence: lambda *x, m=m: lstm_with_mistake(*x, m)
        for m, sentence in {
            "no dc": "the gradient that comes from the next step's cell, dc_next, is lost: (22.6)",
            "only dc": "what h_t wants of the cell is lost: the second term of (22.6)",
            "c for tanh": "the slope of tanh at c is 1 − tanh²(c), not 1 − c²",
            "new cell": "the forget gate multiplied the OLD cell: da_f has c, not c_next",
            "no slopes": "the gates' slopes σ (1 − σ) are missing in (22.7), (22.8)",
            "no tanh slope": "the candidate's slope 1 − g² is missing in (22.8)",
            "incoming": "dc_next ⊙ f went on; it must be the sum (22.6) that is multiplied by f",
        }.items()
    },
)

# %% [markdown]
# A step is not a sequence. Two loops, for any cell of this lesson: forward, keeping what each step
# returned; and back-propagation through time (lesson 20), last step first. The state is a tuple,
# $(h, c)$ or $(h,)$.


# %%
def over_time(step, a, state, U):
    """(states, backwards): T + 1 states, the first is the given one, and T backward functions."""
    states, backwards = [state], []
    for a_t in a:
        new, backward = step(a_t, *states[-1], U)
        states.append(new if isinstance(new, tuple) else (new,))
        backwards.append(backward)
    return states, backwards


def back_in_time(backwards, dstate):
    """(da (T, B, ·), dU, gradients of all T + 1 states) from that of the last state."""
    da, dU, dstates = [], 0.0, [dstate]
    for backward in reversed(backwards):
        da_t, *dstate, dU_t = backward(*dstates[-1])
        da.append(da_t)
        dU = dU + dU_t
        dstates.append(tuple(dstate))
    return np.stack(da[::-1]), dU, dstates[::-1]


def glorot(rng, n_in, n_out, gates=1):
    """`gates` matrices side by side, each drawn for itself."""
    edge = np.sqrt(6 / (n_in + n_out))
    return np.hstack([rng.uniform(-edge, edge, size=(n_in, n_out)) for _ in range(gates)])


def fresh_cell_gradients(b_f, T=60, B=16, H=32, seed=0):
    """Norm of ∂L/∂c at lags 0 … T of a new LSTM, over that at lag 0; L is linear in c_T."""
    rng = np.random.default_rng(seed)
    a = 0.5 * rng.normal(size=(T, B, 4 * H))
    a[:, :, H : 2 * H] += b_f
    zeros = np.zeros((B, H))
    _, backwards = over_time(lstm_step, a, (zeros, zeros), glorot(rng, H, H, 4))
    dstates = back_in_time(backwards, (zeros, rng.normal(size=(B, H))))[2]
    norms = np.array([np.linalg.norm(dc) for _, dc in dstates[::-1]])
    return norms / norms[0]


fresh_gradients = {b: fresh_cell_gradients(b) for b in (0, 1, 3, 5)}
figure, ax = plt.subplots(figsize=(6.2, 3.8), layout="constrained")
lags = np.arange(61)
for (b, norms), colour in zip(fresh_gradients.items(), (BLUE, SKY, ORANGE, RED), strict=True):
    ax.semilogy(lags, sigmoid(b) ** lags, color=colour, label=f"$b_f$ = {b}: σ($b_f$)$^k$")
    ax.semilogy(lags[::3], norms[::3], "o", color=colour, markersize=3)
ax.set(ylim=(1e-8, 50), xlabel="lag k", ylabel="|∂L/∂c| at lag k, over that at lag 0")
ax.set_title("a new LSTM: product of f (lines), measured (dots)")
ax.legend(frameon=False, fontsize=8, loc="lower left")
show("forget bias")
for b, norms in fresh_gradients.items():
    print(f"b_f = {b}: at lag 20 measured {norms[20]:.2g}, σ^20 = {sigmoid(b) ** 20:.2g}")

# %% [markdown]
# The lines are the cell path alone. The dots lie above: there are the other ways too, through $h$
# and the gates, and they add, even to a slow growth (lesson 21: clip). They do not save $b_f = 0$.
#
# ### 1997 without a forget gate
#
# The slide dates the LSTM to 1999; “Long Short-term Memory” is Neural Computation 9(8), 1997, as
# the deck's own list of references says. And the cell of 1997 *is* the slide's
# $s_t = s_{t-1} + \Delta s_t$: $f = 1$ always. The forget gate came with Gers, Schmidhuber &
# Cummins (2000), who say why: in a stream without an end, nothing empties the cells. They grow,
# $\tanh(c)$ saturates, and its slope, through which every gradient reaches the cell, vanishes.


# %%
def stream(f_bias, T=1000, B=16, H=32, seed=1):
    """(mean |c_t|, mean slope 1 − tanh² c_t) at every step of one long random sequence."""
    rng = np.random.default_rng(seed)
    U, h, c, found = glorot(rng, H, H, 4), np.zeros((B, H)), np.zeros((B, H)), []
    for _ in range(T):
        a = rng.normal(size=(B, 4 * H))
        a[:, H : 2 * H] += f_bias
        h, c, _ = lstm_forward(a, h, c, U)
        found.append((np.abs(c).mean(), np.mean(1 - np.tanh(c) ** 2)))
    return np.array(found)


streams = {"f = 1 (1997)": stream(100.0), "f = σ(3 + …)": stream(3.0), "f = σ(1 + …)": stream(1.0)}
figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.2), layout="constrained")
for (name, found), colour in zip(streams.items(), (RED, ORANGE, BLUE), strict=True):
    axes[0].plot(found[:, 0], color=colour, label=name)
    axes[1].plot(found[:, 1], color=colour)
axes[0].set(title="size of the cells, mean |c|", xlabel="step")
axes[1].set(title="slope 1 − tanh² c, mean", xlabel="step", ylim=(0, 1))
axes[0].legend(frameon=False)
show("streams")
for name, found in streams.items():
    print(f"{name}: after 1000 steps |c| = {found[-1, 0]:5.2f}, slope {found[-1, 1]:.2f}")

# %% [markdown]
# ## 3. GRU
#
# Cho et al. (2014) do with one state and two gates. What is forgotten makes room for what is
# written, one gate $z$ for both:
#
# $$ r, z = \sigma(a_{rz} + h_{t-1} U_{rz}) \tag{22.10} $$
# $$ \tilde c = \tanh(a_c + (r \odot h_{t-1})\, U_c) \tag{22.11} $$
# $$ h_t = (1 - z) \odot h_{t-1} + z \odot \tilde c \tag{22.12} $$
#
# This is the form of GRU4Rec, where $z = 1$ takes the candidate. Between the old state and the
# candidate, $h$ stays in $(-1, 1)$; an LSTM's cell is not bound and can count. Backwards, with
# $q = r \odot h_{t-1}$ and $d = \mathrm{d}h_t$:
#
# $$ \mathrm{d}a_c = d \odot z \odot (1 - \tilde c^2), \qquad
#    \mathrm{d}a_z = d \odot (\tilde c - h_{t-1}) \odot z (1 - z) \tag{22.13} $$
# $$ \mathrm{d}q = \mathrm{d}a_c\, U_c^\top, \qquad
#    \mathrm{d}a_r = \mathrm{d}q \odot h_{t-1} \odot r (1 - r) \tag{22.14} $$
# $$ \mathrm{d}h_{t-1} = d \odot (1 - z) + \mathrm{d}q \odot r + \mathrm{d}a_{rz} U_{rz}^\top
#    \tag{22.15} $$
# $$ \mathrm{d}U_{rz} = h_{t-1}^\top \mathrm{d}a_{rz}, \qquad \mathrm{d}U_c = q^\top \mathrm{d}a_c
#    \tag{22.16} $$
#
# $h_{t-1}$ is used four times and gets four terms. The first is the additive path, $\prod (1 - z)$.
#
# ### Exercise 22.4 · A GRU's step and its backward
#
# Return $h_t$ and `backward(dh_next)`, which returns $\mathrm{d}a$ $(B, 3H)$, $\mathrm{d}h_{t-1}$
# and $\mathrm{d}U$ $(H, 3H)$. Columns: $[\,r\,|\,z\,|\,\tilde c\,]$.


# %%
def gru_step(a, h, U):
    """(h_t, backward) of (22.10) to (22.12); a (B, 3H), h (B, H), U (H, 3H)."""
    H = h.shape[1]
    U_rz, U_c = U[:, : 2 * H], U[:, 2 * H :]
    ### BEGIN SOLUTION 22.4
    ### HINT Forward: gates = sigmoid(a[:, :2 * H] + h @ U_rz), its halves are r and z.
    ### HINT Backward: da_c and da_z first, then dq = da_c @ U_c.T, then da_r; da_rz has both.
    ### HINT dU is np.hstack of h.T @ da_rz and q.T @ da_c: the candidate's product read q, not h.
    gates = sigmoid(a[:, : 2 * H] + h @ U_rz)  # (22.10)
    r, z = gates[:, :H], gates[:, H:]
    q = r * h
    c = np.tanh(a[:, 2 * H :] + q @ U_c)  # (22.11)

    def backward(dh_next):
        da_c = dh_next * z * (1 - c * c)  # (22.13)
        da_z = dh_next * (c - h) * z * (1 - z)  # (22.13)
        dq = da_c @ U_c.T  # (22.14)
        da_r = dq * h * r * (1 - r)  # (22.14)
        da_rz = np.hstack([da_r, da_z])
        dh = dh_next * (1 - z) + dq * r + da_rz @ U_rz.T  # (22.15)
        return np.hstack([da_rz, da_c]), dh, np.hstack([h.T @ da_rz, q.T @ da_c])  # (22.16)

    return (1 - z) * h + z * c, backward  # (22.12)
    ### END SOLUTION


# %%
def gru_unit_by_unit(a, h, U, after=False, keeps=False, b_h=None):
    """One step of a GRU with loops over examples and units; four variants."""
    (B, H), logistic = h.shape, lambda s: 1 / (1 + np.exp(-s))
    h_next = np.zeros((B, H))
    for n in range(B):
        row = lambda j, v: sum(v[m] * U[m, j] for m in range(H))
        r = [logistic(a[n, j] + row(j, h[n])) for j in range(H)]
        for j in range(H):
            z = logistic(a[n, H + j] + row(H + j, h[n]))
            if after:
                inner = r[j] * (row(2 * H + j, h[n]) + (0 if b_h is None else b_h[j]))
            else:
                inner = row(2 * H + j, [r[m] * h[n, m] for m in range(H)])
            c = np.tanh(a[n, 2 * H + j] + inner)
            h_next[n, j] = z * h[n, j] + (1 - z) * c if keeps else (1 - z) * h[n, j] + z * c
    return h_next


def gru_with_mistake(a, h, U, mistake):
    """gru_step with one thing wrong in its backward."""
    H = h.shape[1]
    r, z = (1 / (1 + np.exp(-(a + h @ U)[:, k * H : (k + 1) * H])) for k in range(2))
    U_c, q = U[:, 2 * H :], r * h
    c = np.tanh(a[:, 2 * H :] + q @ U_c)

    def backward(d):
        da_c = d * ((1 - z) if mistake == "1 - z" else z) * (1 - c * c)
        da_z = d * ((h - c) if mistake == "sign" else c if mistake == "no h" else c - h)
        da_z, dq = da_z * z * (1 - z), da_c @ U_c.T
        da_r = dq * h * r * (1 - r)
        dh = d * (z if mistake == "1 - z" else 1 - z) + dq * (1 if mistake == "no r" else r)
        if mistake == "no path":
            dh = dq * r
        if mistake != "no gates":
            dh = dh + da_r @ U[:, :H].T + da_z @ U[:, H : 2 * H].T
        dU_c = (h if mistake == "h for q" else q).T @ da_c
        return np.hstack([da_r, da_z, da_c]), dh, np.hstack([h.T @ da_r, h.T @ da_z, dU_c])

    return (1 - z) * h + z * c, backward


# %%
rng = np.random.default_rng(224)
check(
    "22.4",
    gru_step,
    rng.normal(size=(5, 9)),
    rng.normal(size=(5, 3)),
    rng.normal(size=(3, 9)),
    forward=gru_unit_by_unit,
    mistakes={
        sentence: lambda *x, m=m: gru_with_mistake(*x, m)
        for m, sentence in {
            "1 - z": "z and 1 − z are exchanged in the backward",
            "sign": "the sign of dz: h_t grows with z by c − h",
            "no h": "h_{t-1} is missing in dz: h_t = … − z h + z c, so it is c − h",
            "no r": "dq ⊙ r: the candidate read r ⊙ h, r is missing on the way back to h",
            "no path": "the additive path d ⊙ (1 − z) is missing in dh: that is the memory",
            "no gates": "the gates read h too: da_rz @ U_rz.T is missing in dh",
            "h for q": "dU of the candidate is q.T @ da_c: the product read r ⊙ h, not h",
        }.items()
    }
    | {
        "this is the reset after the product, (22.18); here it is r ⊙ h that is multiplied": (
            lambda *x: (gru_unit_by_unit(*x, after=True), lambda d: d)
        ),
        "z = 1 keeps the state here: that is Cho's form, (22.17)": lambda *x: (
            gru_unit_by_unit(*x, keeps=True),
            lambda d: d,
        ),
    },
)

# %% [markdown]
# ### Two ways for $z$ to point
#
# Cho et al., torch and the deck have the gate the other way round:
#
# $$ h_t = z \odot h_{t-1} + (1 - z) \odot \tilde c \tag{22.17} $$
#
# Since $1 - \sigma(s) = \sigma(-s)$, that is the same *model*, with other weights. Which?
#
# ### Exercise 22.5 · From one convention to the other
#
# $W$ $(I, 3H)$, $U$ $(H, 3H)$ and $b$ $(3H,)$ belong to a GRU in which $z$ takes the candidate,
# (22.12). Return the three arrays with which (22.17) gives the same states, as new arrays.


# %%
def other_convention(W, U, b):
    """(W, U, b) of the same GRU with z the other way round; columns r | z | c."""
    ### BEGIN SOLUTION 22.5
    ### HINT Only z changes, and σ(−s) has −s: everything that adds up to s changes its sign.
    ### HINT The columns of z are H to 2 H: multiply by a row of H ones, H minus ones, H ones.
    sign = np.repeat([1.0, -1.0, 1.0], len(U))
    return W * sign, U * sign, b * sign
    ### END SOLUTION


# %%
rng = np.random.default_rng(225)


def flipped(array, first, last):
    """A copy with the sign of some columns changed."""
    return np.concatenate([array[..., :first], -array[..., first:last], array[..., last:]], -1)


check(
    "22.5",
    other_convention,
    rng.normal(size=(4, 9)),
    rng.normal(size=(3, 9)),
    rng.normal(size=9),
    expected=lambda W, U, b: (flipped(W, 3, 6), flipped(U, 3, 6), flipped(b, 3, 6)),
    mistakes={
        "the bias must change its sign too": lambda W, U, b: (
            flipped(W, 3, 6),
            flipped(U, 3, 6),
            b,
        ),
        "the recurrent weights U must change their sign too": lambda W, U, b: (
            flipped(W, 3, 6),
            U,
            flipped(b, 3, 6),
        ),
        "these are the columns of r: z is the second block": lambda W, U, b: (
            flipped(W, 0, 3),
            flipped(U, 0, 3),
            flipped(b, 0, 3),
        ),
        "everything is negated: only the columns of z may be": lambda W, U, b: (-W, -U, -b),
        "1 − s is not what turns σ(s) into 1 − σ(s)": lambda W, U, b: (
            np.concatenate([W[:, :3], 1 - W[:, 3:6], W[:, 6:]], 1),
            np.concatenate([U[:, :3], 1 - U[:, 3:6], U[:, 6:]], 1),
            np.concatenate([b[:3], 1 - b[3:6], b[6:]]),
        ),
    },
)

# %%
rng = np.random.default_rng(2250)
W_z, U_z, b_z, x_z = (rng.normal(size=s) for s in ((4, 15), (5, 15), (15,), (30, 6, 4)))
W_k, U_k, b_k = other_convention(W_z, U_z, b_z)
h_takes = h_keeps = np.zeros((6, 5))
convention_gap = wrong_gap = 0.0
h_wrong = h_takes
for x_t in x_z:
    h_takes = gru_step(x_t @ W_z + b_z, h_takes, U_z)[0]
    h_keeps = gru_unit_by_unit(x_t @ W_k + b_k, h_keeps, U_k, keeps=True)
    h_wrong = gru_unit_by_unit(x_t @ W_z + b_z, h_wrong, U_z, keeps=True)
    convention_gap = max(convention_gap, np.abs(h_takes - h_keeps).max())
    wrong_gap = max(wrong_gap, np.abs(h_takes - h_wrong).max())
print(
    f"30 steps, (22.12) and (22.17) with the signs changed: largest difference {convention_gap:.0e}"
)
print(f"           without changing them: {wrong_gap:.1f}")

# %% [markdown]
# So “$b_z = -2$, to remember” under (22.12) is $b_z = +2$ under (22.17). Weights that are copied
# from one program to another need the question asked.
#
# ### The deck's $h_t$ on both sides
#
# $$ h_t = z_t \circ h_t + (1 - z_t) \circ \tilde h_t \qquad \text{(slide)} $$
#
# The first $h_t$ on the right must be $h_{t-1}$. Taken literally it is an equation for $h_t$, whose
# solution is $(1 - z)\, h_t = (1 - z)\, \tilde h_t$, that is $h_t = \tilde h_t$: the update gate
# has no effect at all, and neither has the memory. What is left is a plain tanh network with a
# reset gate.

# %%
rng = np.random.default_rng(226)
z_slide, candidate = sigmoid(rng.normal(size=(5, 4))), np.tanh(rng.normal(size=(5, 4)))
h_slide = rng.uniform(-1, 1, size=(5, 4))  # begin at any h_{t-1} and apply the slide's line
for _ in range(300):
    h_slide = z_slide * h_slide + (1 - z_slide) * candidate
slide_gap = np.abs(h_slide - candidate).max()
print(f"the slide's line, repeated until both sides agree: |h − candidate| = {slide_gap:.0e}")


def fresh_gru_gradients(b_z, T=60, B=16, H=32, seed=0):
    """Norm of ∂L/∂h at lags 0 … T of a new GRU, over that at lag 0; b_z = 100 is z = 1."""
    rng = np.random.default_rng(seed)
    a = 0.5 * rng.normal(size=(T, B, 3 * H))
    a[:, :, H : 2 * H] += b_z
    _, backwards = over_time(gru_step, a, (np.zeros((B, H)),), glorot(rng, H, H, 3))
    dstates = back_in_time(backwards, (rng.normal(size=(B, H)),))[2]
    norms = np.array([np.linalg.norm(dh) for (dh,) in dstates[::-1]])
    return norms / norms[0]


slide_gradients = fresh_gru_gradients(100.0)
for name, norms in (("slide", slide_gradients), ("b_z = −2", fresh_gru_gradients(-2.0))):
    print(f"{name:9}: gradient at lag 40 over that at lag 0: {norms[40]:.0e}")

# %% [markdown]
# ### Reset before or after the product
#
# The slide prints $r_t \circ U h_{t-1}$. A product binds as it stands there: first $U h_{t-1}$,
# then $r$. cuDNN and torch do so too (it lets one product serve all three blocks), with a bias of
# its own inside:
#
# $$ \tilde c = \tanh(a_c + r \odot (h_{t-1} U_c + b_h)) \tag{22.18} $$
#
# Cho et al. and the GRU4Rec paper have (22.11). Before: $r_j$ closes what *others read of* unit
# $j$. After: it closes all that unit $j$ *reads*. The backward, with $m = h_{t-1} U_c + b_h$:
#
# $$ \mathrm{d}a_r = \mathrm{d}a_c \odot m \odot r (1 - r), \qquad
#    \mathrm{d}m = \mathrm{d}a_c \odot r \tag{22.19} $$
# $$ \mathrm{d}h_{t-1} = d \odot (1 - z) + \mathrm{d}m\, U_c^\top + \mathrm{d}a_{rz} U_{rz}^\top,
#    \qquad \mathrm{d}U_c = h_{t-1}^\top \mathrm{d}m, \qquad \mathrm{d}b_h = \textstyle\sum_B
#    \mathrm{d}m \tag{22.20} $$
#
# ### Exercise 22.6 · The backward of the other reset
#
# The forward is given. Write the backward: $\mathrm{d}a$, $\mathrm{d}h_{t-1}$, $\mathrm{d}U$ and
# $\mathrm{d}b_h$ $(H,)$.


# %%
def gru_after_step(a, h, U, b_h):
    """(h_t, backward), reset after the product; b_h (H,)."""
    H = h.shape[1]
    U_rz, U_c = U[:, : 2 * H], U[:, 2 * H :]
    gates = sigmoid(a[:, : 2 * H] + h @ U_rz)
    r, z = gates[:, :H], gates[:, H:]
    m = h @ U_c + b_h
    c = np.tanh(a[:, 2 * H :] + r * m)  # (22.18)

    def backward(dh_next):
        ### BEGIN SOLUTION 22.6
        ### HINT da_c and da_z are those of exercise 22.4: nothing there has changed.
        ### HINT dm takes the place of dq, but on the other side of the product: dm = da_c * r.
        ### HINT All of h U has one gradient, [da_r | da_z | dm]: dU = h.T @ that, and dh is
        ###      its product with U.T, plus the additive path.
        da_c = dh_next * z * (1 - c * c)  # (22.13)
        da_z = dh_next * (c - h) * z * (1 - z)  # (22.13)
        da_r = da_c * m * r * (1 - r)  # (22.19)
        dm = da_c * r  # (22.19)
        dhU = np.hstack([da_r, da_z, dm])
        dh = dh_next * (1 - z) + dhU @ U.T  # (22.20)
        return np.hstack([da_r, da_z, da_c]), dh, h.T @ dhU, dm.sum(axis=0)  # (22.20)
        ### END SOLUTION

    return (1 - z) * h + z * c, backward


# %%
def after_with_mistake(a, h, U, b_h, mistake):
    """gru_after_step with one thing wrong in its backward."""
    H = h.shape[1]
    r, z = (1 / (1 + np.exp(-(a + h @ U)[:, k * H : (k + 1) * H])) for k in range(2))
    m = h @ U[:, 2 * H :] + b_h
    c = np.tanh(a[:, 2 * H :] + r * m)

    def backward(d):
        da_c, da_z = d * z * (1 - c * c), d * (c - h) * z * (1 - z)
        da_r = da_c * (m - b_h if mistake == "no b_h" else h if mistake == "h" else m) * r * (1 - r)
        dm = da_c * (1 if mistake == "no r" else r)
        last = da_c if mistake == "dU" else dm
        dh = d * (1 - z) + np.hstack([da_r, da_z, dm]) @ U.T
        db_h = (da_c if mistake == "db" else dm).sum(axis=0)
        dU = h.T @ np.hstack([da_r, da_z, last])
        if mistake == "q":
            dU[:, 2 * H :] = (r * h).T @ da_c
        return np.hstack([da_r, da_z, da_c]), dh, dU, db_h

    return gru_unit_by_unit(a, h, U, after=True, b_h=b_h), backward


rng = np.random.default_rng(227)
check(
    "22.6",
    gru_after_step,
    rng.normal(size=(5, 9)),
    rng.normal(size=(5, 3)),
    rng.normal(size=(3, 9)),
    rng.normal(size=3),
    forward=lambda a, h, U, b_h: gru_unit_by_unit(a, h, U, after=True, b_h=b_h),
    mistakes={
        sentence: lambda *x, m=m: after_with_mistake(*x, m)
        for m, sentence in {
            "no b_h": "r multiplies h U_c + b_h, so da_r has all of m, with b_h",
            "h": "here r multiplies m = h U_c + b_h, not h: da_r has m",
            "no r": "r is missing: dm = da_c ⊙ r",
            "dU": "dU of the candidate is h.T @ dm, with r in it",
            "q": "this dU_c, q.T @ da_c, is that of the reset before the product",
            "db": "b_h stands inside the bracket that r multiplies: its gradient is the sum of dm",
        }.items()
    },
)

# %% [markdown]
# How different are the two? With the same weights and $b_h = 0$:

# %%
reset_gaps = {}
for H in (1, 2, 5, 20):
    rng = np.random.default_rng(228)
    a_r, U_r = rng.normal(size=(40, 50, 3 * H)), rng.normal(size=(H, 3 * H))
    h_before = h_after = np.zeros((50, H))
    for a_t in a_r:
        h_before = gru_step(a_t, h_before, U_r)[0]
        h_after = gru_after_step(a_t, h_after, U_r, np.zeros(H))[0]
    reset_gaps[H] = np.abs(h_before - h_after).max()
print("largest difference after 40 steps, by H:", {H: f"{g:.1g}" for H, g in reset_gaps.items()})

# %% [markdown]
# With one unit there is no “others”, $r\,(h u) = (r h)\, u$, and they agree; with two they are
# different functions, and no change of signs or order turns one into the other. A checkpoint of one
# is of no use to the other.
#
# ### What they cost
#
# $$ \text{RNN } (I + H + 1) H, \qquad \text{LSTM } 4\,(I + H + 1) H, \qquad
#    \text{GRU } 3\,(I + H + 1) H \;(+ H \text{ for } b_h) \tag{22.21} $$


# %%
def cell_parameters(kind, I, H):
    """(22.21)."""
    blocks = {"RNN": 1, "LSTM": 4, "GRU before": 3, "GRU after": 3}[kind]
    return blocks * (I + H + 1) * H + (H if kind == "GRU after" else 0)


for kind in ("RNN", "LSTM", "GRU before", "GRU after"):
    units = max(H for H in range(1, 500) if cell_parameters(kind, 100, H) <= 80_400)
    print(f"{kind:10} I = H = 100: {cell_parameters(kind, 100, 100):6} parameters; ", end="")
    print(f"with those of the LSTM you get {units} units")

# %% [markdown]
# ## 4. The test: delayed recall
#
# Eight symbols. A sequence is $T$ of them, drawn at random; after the last one, name **the first**.
# The other $T - 1$ are noise, and nothing marks the first one but that it is the first. Chance is
# ⅛. Thirty-two units, one softmax layer on $h_T$, batches of 32, Adam at 0.01, gradients clipped to
# norm 1; fresh sequences in each batch, so the training accuracy is a test accuracy. One number is
# reported: the accuracy in the last 60 of 500 updates (700 for $T = 100$; training ends early when
# 60 updates in a row had 99.9 % right).
#
# The plain network has a recurrent matrix of norm ½, so that the gradient is sure to vanish
# (lesson 21), or an orthogonal one. “Deck, literally” is the GRU with $z = 1$.

# %%
K, UNITS, F = 8, 32, np.float32


def rnn_step(a, h, U):
    """(h_t, backward) of tanh(a + h U)."""
    h_next = np.tanh(a + h @ U)

    def backward(dh_next):
        da = dh_next * (1 - h_next * h_next)
        return da, da @ U.T, h.T @ da

    return h_next, backward


def orthogonal(rng):
    return np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]


# name: step, number of gates, arrays of the state, bias of the second block given T, colour
NETS = {
    "RNN, U = ½ Q": (rnn_step, 1, 1, None, GREY),
    "RNN, U = Q": (rnn_step, 1, 1, None, "#000000"),
    "GRU, deck literally": (gru_step, 3, 1, lambda T: 100.0, PINK),
    "GRU, b_z = 0": (gru_step, 3, 1, lambda T: 0.0, SKY),
    "GRU, b_z = −2": (gru_step, 3, 1, lambda T: -2.0, BLUE),
    "GRU, b_z = −log T": (gru_step, 3, 1, lambda T: -np.log(T), SKY),
    "LSTM, b_f = 0": (lstm_step, 4, 2, lambda T: 0.0, ORANGE),
    "LSTM, b_f = log T": (lstm_step, 4, 2, np.log, RED),
    "LSTM, b_f = −b_i = log T": (lstm_step, 4, 2, np.log, GREEN),
}


class RecallNet:
    """One of NETS with a softmax layer on its last state."""

    def __init__(self, name, T, rng, n_symbols=K):
        self.step, gates, self.n_states, bias, _ = NETS[name]
        H, b = UNITS, np.zeros(gates * UNITS)
        U = glorot(rng, H, H, gates) if gates > 1 else orthogonal(rng)
        U = 0.5 * U if name == "RNN, U = ½ Q" else U
        if bias is not None:
            b[H : 2 * H] = bias(T)
        if "b_i" in name:
            b[2 * H : 3 * H] = -bias(T)
        arrays = glorot(rng, n_symbols, H, gates), U, b, glorot(rng, H, K), np.zeros(K)
        self.params = [Parameter(array.astype(F)) for array in arrays]

    def run(self, x):
        """(scores, states, backwards) for symbols x (T, B): one-hot times W is a row of W."""
        W, U, b, V, d = (p.value for p in self.params)
        zeros = (np.zeros((x.shape[1], UNITS), W.dtype),) * self.n_states
        states, backwards = over_time(self.step, W[x] + b, zeros, U)
        return states[-1][0] @ V + d, states, backwards

    def gradients(self, x, target):
        """(accuracy, gradients of all states); those of the parameters are accumulated."""
        W, U, b, V, d = self.params
        scores, states, backwards = self.run(x)
        ds = cross_entropy(scores, target)[1]()
        dh = ds @ V.value.T
        da, dU, dstates = back_in_time(backwards, (dh, np.zeros_like(dh))[: self.n_states])
        one_hot = np.eye(len(W.value), dtype=F)[x.ravel()]
        W.accumulate(one_hot.T @ da.reshape(len(one_hot), -1))
        U.accumulate(dU)
        b.accumulate(da.sum(axis=(0, 1)))
        V.accumulate(states[-1][0].T @ ds)
        d.accumulate(ds.sum(axis=0))
        return np.mean(scores.argmax(axis=1) == target), dstates


def first_of_all(rng, T, B=32):
    """(x (T, B), target (B,)): the first symbol is asked for."""
    x = rng.integers(K, size=(T, B))
    return x, x[0]


def train_recall(name, T, seed, updates=500, draw=first_of_all, n_symbols=K):
    """(net, accuracy at each update)."""
    rng = np.random.default_rng(seed)
    net, accuracy = RecallNet(name, T, rng, n_symbols), []
    optimizer = Adam(net.params, 0.01)
    for _ in range(updates):
        accuracy.append(net.gradients(*draw(rng, T))[0])
        clip_global_norm(net.params, 1.0)
        optimizer.step()
        if len(accuracy) >= 60 and np.mean(accuracy[-60:]) >= 0.999:
            break
    return net, np.array(accuracy)


SEEDS = 3
SHORT = [name for name in NETS if "−log" not in name and "b_i" not in name]
LONG = ["RNN, U = ½ Q", "GRU, b_z = −2", "GRU, b_z = −log T", *list(NETS)[-2:]]
MARKED = {"RNN, U = ½ Q", "RNN, U = Q", "GRU, b_z = −2", "LSTM, b_f = log T"}  # with all seeds
recall_nets, recall_runs, recall = {}, {}, {}
for T, names, updates in ((10, SHORT, 500), (40, SHORT, 500), (100, LONG, 700)):
    for name in names:
        for seed in range(SEEDS if name in MARKED and T < 100 else 1):
            net, run = train_recall(name, T, seed, updates)
            recall_nets[name, T, seed], recall_runs[name, T, seed] = net, run
            recall.setdefault((name, T), []).append(run[-60:].mean())
print(f"{'':26}" + "".join(f"{f'T = {T}':>18}" for T in (10, 40, 100)))
for name in NETS:
    columns = [recall.get((name, T), ()) for T in (10, 40, 100)]
    print(f"{name:26}" + "".join(f"{' '.join(f'{v:.2f}' for v in cell):>18}" for cell in columns))

# %%
SHOWN = ["RNN, U = ½ Q", "RNN, U = Q", "GRU, deck literally", "GRU, b_z = −2", "LSTM, b_f = log T"]
figure, axes = plt.subplots(1, 2, figsize=(10.4, 4.6), layout="constrained", sharey=True)
for ax, T, names in ((axes[0], 40, SHOWN), (axes[1], 100, LONG)):
    for name in names:
        for seed in range(len(recall[name, T])):
            smooth = np.convolve(recall_runs[name, T, seed], np.ones(20) / 20, "valid")
            label = name if seed == 0 else None
            ax.plot(np.arange(19, 19 + len(smooth)), smooth, color=NETS[name][-1], label=label)
    ax.axhline(1 / K, color=GREY, linestyle=":")
    ax.set(title=f"T = {T}", xlabel="update", ylim=(0, 1.02))
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
axes[0].set_ylabel("accuracy, mean of 20 updates")
show("delayed recall")

# %% [markdown]
# (Seeds 0, 1, 2; one number is seed 0.) What it says, at $T = 40$:
#
# - The contractive network learns nothing, for any seed. At $T = 10$ it depends on the seed.
# - The orthogonal one learns something, in its own time; tanh still shrinks, and it is not stable.
# - The slide's formula, literally, is no better than the contractive network.
# - **Gates alone do not help.** GRU and LSTM with zero biases are at chance. The same cells with
#   $b_z = -2$ or $b_f = \log T$ have everything right, for every seed. One number at the start.
# - “Similar performance to LSTM” (slide; Chung et al. 2014): yes, when both get that number.
#
# At $T = 100$ a constant is not enough: with $b_z = -2$ a state is multiplied by
# $0.88^{100} \approx 3 \cdot 10^{-6}$. With $b_z = -\log T$ the GRU has it.
#
# **What does not show:** that $b_f = \log T$ is enough for the LSTM at $T = 100$, within 700
# updates. The forget gate keeps, but the input gate, at ½, pours 99 noise symbols on top of the one
# that counts. The GRU has one gate for both: to keep *is* not to write. So close the LSTM's input
# gate too, $b_i = -\log T$, as Tallec & Ollivier do, and it learns. (One seed each. In another run,
# not repeated here, three seeds of this LSTM ended at 0.88, 1.00 and 0.76;
# two of the GRU with $-\log T$ at 1.00; two of the LSTM with $b_f$ alone at 0.13 and 0.36.)
#
# ## 5. A memory at work
#
# What do trained gates do? For a picture that can be read, the symbol now comes at a random time in
# the first half, and the noise is made of eight *other* symbols: the input says what matters. $T =
# 40$, one sequence whose symbol comes at $t = 12$; each line of a picture is a unit, from left to
# right is time.


# %%
def trace(net, x):
    """What goes on inside: name → (T, B, H)."""
    W, U, b, *_ = (p.value for p in net.params)
    states = net.run(x)[1]
    h = np.stack([state[0] for state in states])
    if net.n_states == 2:
        c = np.stack([state[1] for state in states])
        found = [lstm_forward(W[x[t]] + b, h[t], c[t], U)[2] for t in range(len(x))]
        _, f, i, _ = np.split(np.stack(found), 4, axis=2)
        return {"input gate i": i, "forget gate f": f, "cell, tanh c": np.tanh(c[1:])}
    gates = sigmoid((W[x] + b + h[:-1] @ U)[:, :, : 2 * UNITS])
    return {"update gate z": gates[:, :, UNITS:], "reset gate r": gates[:, :, :UNITS], "h": h[1:]}


def somewhere(rng, T, B=32, at=None):
    """(x, target): one of K symbols at a random step of the first half, K others elsewhere."""
    x, target = K + rng.integers(K, size=(T, B)), rng.integers(K, size=B)
    at = rng.integers(T // 2, size=B) if at is None else at
    x[at, np.arange(B)] = target
    return x, target


x_trace, _ = somewhere(np.random.default_rng(2290), 40, B=200, at=11)  # t = 12, counted from 1
traces, somewhere_accuracy = {}, {}
for name in ("LSTM, b_f = log T", "GRU, b_z = −2"):
    net, run = train_recall(name, 40, 0, draw=somewhere, n_symbols=2 * K)
    traces[name] = trace(net, x_trace)
    somewhere_accuracy[name] = run[-60:].mean()
    print(f"{name}: accuracy {somewhere_accuracy[name]:.3f} after {len(run)} updates")
figure, axes = plt.subplots(2, 3, figsize=(11, 5.4), layout="constrained", sharex=True)
for row, (name, found) in zip(axes, traces.items(), strict=True):
    first = next(iter(found.values()))
    order = np.argsort(-first[11, 0])  # units that are widest open at t = 12 on top
    for ax, (what, values) in zip(row, found.items(), strict=True):
        gate = "gate" in what
        image = ax.imshow(
            values[:, 0, order].T,
            aspect="auto",
            cmap="viridis" if gate else "RdBu_r",
            vmin=0 if gate else -1,
            vmax=1,
            extent=(0.5, 40.5, UNITS, 0),
            interpolation="nearest",
        )
        ax.set_title(what, fontsize=10)
        ax.axvline(12, color="white" if gate else "#222222", linestyle=":", linewidth=1)
        figure.colorbar(image, ax=ax)
    row[0].set_ylabel(f"{name}\nunit")
for ax in axes[1]:
    ax.set_xlabel("step t")
show("gates over time")
gate_means, memory_sizes = {}, {}
for name, found in traces.items():
    *gates, (_, memory) = found.items()
    for what, values in gates:
        mean = values.mean(axis=(1, 2))
        gate_means[name, what] = mean[11], mean[:11].mean(), mean[12:].mean()
        print(
            f"{name:18} {what:13}: at the symbol {mean[11]:.2f}, "
            f"before it {mean[:11].mean():.2f}, after it {mean[12:].mean():.2f}"
        )
    memory_sizes[name] = np.abs(memory).mean(axis=(1, 2))
    sizes = ", ".join(f"{memory_sizes[name][t - 1]:.2f}" for t in (11, 12, 16, 24, 40))
    print(f"{name:18} mean |memory| at t = 11, 12, 16, 24, 40: {sizes}")

# %% [markdown]
# At the symbol the gates that write open: $i$ and $z$ are higher at $t = 12$ than before, and the
# forget gate stays above 0.9. So far the textbook. What then happens is not in it. The trace is not
# kept as it is, it *grows*, over ten steps and more, until most units are saturated at $\pm 1$; and
# then gates stand open again, because a unit whose candidate agrees with its state loses nothing by
# writing. This memory is less a drawer than a switch: it is pushed, falls over, and holds itself.
# (Nothing here says that every net on every task does so.)
#
# ### The gradient by lag
#
# And the quantity that all this is about: how much of the loss's gradient arrives $k$ steps before
# the end? Before and after training, 256 sequences with $T = 40$, relative to
# $|\partial L / \partial h_T|$; for the LSTM, of $h$ and $c$ together.


# %%
def gradient_by_lag(net, seed=2291, T=40, B=256):
    """|∂L/∂h| at lags 0 … T, over that at lag 0; of an LSTM (∂L/∂h, ∂L/∂c) together."""
    copy = RecallNet("RNN, U = Q", T, np.random.default_rng(0))  # its parameters are replaced
    copy.step, copy.n_states = net.step, net.n_states
    copy.params = [Parameter(p.value.astype(np.float64)) for p in net.params]
    _, dstates = copy.gradients(*first_of_all(np.random.default_rng(seed), T, B))
    norms = np.array([np.sqrt(sum(np.sum(d**2) for d in state)) for state in dstates[::-1]])
    return norms / norms[0]


lag_curves = {
    (when, name): gradient_by_lag(net)
    for name in SHOWN
    for when, net in (
        ("before", RecallNet(name, 40, np.random.default_rng(0))),
        ("after", recall_nets[name, 40, 0]),
    )
}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for (when, name), curve in lag_curves.items():
    axes[int(when == "after")].semilogy(curve, color=NETS[name][-1], label=name)
for ax, title in zip(axes, ("before training", "after training"), strict=True):
    ax.set(title=title, xlabel="lag k", ylim=(1e-12, 100))
axes[0].set_ylabel("|∂L/∂h| at lag k, over that at lag 0")
axes[0].legend(frameon=False, fontsize=8, loc="lower left")
show("gradient by lag")
for name in SHOWN:
    before, after = (lag_curves[when, name][39] for when in ("before", "after"))
    print(f"{name:20} at lag 39: before {before:.0e}, after {after:.0e}")

# %% [markdown]
# Before: a straight line for the contractive network and for the slide's formula, twelve orders of
# magnitude down: nothing to learn from. The GRU arrives with some hundredths, the LSTM with more
# than at lag 0 (at first only what passes the output gate counts, then the cell gathers). After:
# the GRU's line no longer falls, training has made its memory *better*. Where nothing was learned,
# nothing improved enough to matter; the orthogonal network has trained its gradients away.
#
# ### A checkpoint read the wrong way
#
# The trained GRUs, $T = 40$, with their weights put into the other two cells:

# %%
x_swap = np.random.default_rng(2292).integers(K, size=(40, 1000))
swapped = {"as trained": [], "reset after": [], "z the other way": []}
for seed in range(SEEDS):
    net = recall_nets["GRU, b_z = −2", 40, seed]
    W, U, b, V, d = (p.value for p in net.params)
    W_k, U_k, b_k = other_convention(W, U, b)  # what (22.17) would do with the old signs
    readings = {
        "as trained": (gru_step, W, U, b),
        "reset after": (lambda a, h, U: gru_after_step(a, h, U, np.zeros(UNITS, F)), W, U, b),
        "z the other way": (gru_step, W_k, U_k, b_k),
    }
    for name, (step, W, U, b) in readings.items():
        h = over_time(step, W[x_swap] + b, (np.zeros((1000, UNITS), F),), U)[0][-1][0]
        swapped[name].append(np.mean((h @ V + d).argmax(axis=1) == x_swap[0]))
for name, found in swapped.items():
    print(f"{name:16}", np.round(found, 2))

# %% [markdown]
# No error, no warning, no crash. Ask a checkpoint for its conventions before you trust a score.
#
# ## 6. The library says the same
#
# `nnlib.LSTMCell` and `GRUCell` are the steps, `LSTM` and `GRU` the sequences; all four variants of
# the GRU. Outputs and every gradient over 12 steps:

# %%
from nnlib import GRU, LSTM, GRUCell, LSTMCell

library_gaps = {}


def gap(*pairs):
    """Largest difference."""
    return max(np.abs(a - b).max() for a, b in pairs)


rng = np.random.default_rng(2293)
T_l, B_l, I_l, H_l = 12, 5, 4, 3
x_l, dlast = rng.normal(size=(T_l, B_l, I_l)), rng.normal(size=(B_l, H_l))
h0, c0, dc_last = rng.normal(size=(3, B_l, H_l))


def random_cell(layer):
    """The layer in float64, biases drawn too."""
    layer.astype(np.float64)
    for p in layer.parameters():
        p.value[...] = rng.normal(size=p.value.shape)
    return layer


lstm = random_cell(LSTM(I_l, H_l, rng=rng))
W_l, U_l, b_l = lstm.cell.W, lstm.cell.U, lstm.cell.b
(h_lib, c_lib), back = lstm(x_l, (h0, c0))
dh_lib, dc_lib = np.zeros_like(h_lib), np.zeros_like(c_lib)
dh_lib[-1], dc_lib[-1] = dlast, dc_last
dx_lib, (dh0_lib, dc0_lib) = back(dh_lib, dc_lib)
states, backs = over_time(lstm_step, x_l @ W_l.value + b_l.value, (h0, c0), U_l.value)
da, dU, dstates = back_in_time(backs, (dlast, dc_last))
library_gaps["LSTM"] = gap(
    *((h_lib[t], states[t + 1][0]) for t in range(T_l)),
    *((c_lib[t], states[t + 1][1]) for t in range(T_l)),
    (dh0_lib, dstates[0][0]),
    (dc0_lib, dstates[0][1]),
    (dx_lib, da @ W_l.value.T),
    (W_l.grad, np.einsum("tbi,tbj->ij", x_l, da)),
    (U_l.grad, dU),
    (b_l.grad, da.sum(axis=(0, 1))),
)
cell = random_cell(LSTMCell(I_l, H_l, rng=rng))
(h_lib, c_lib), back = cell(x_l[0], (h0, c0))
dx_lib, (dh_lib, dc_lib) = back(dlast, dc_last)
(h_mine, c_mine), back = lstm_step(x_l[0] @ cell.W.value + cell.b.value, h0, c0, cell.U.value)
da, dh_mine, dc_mine, dU = back(dlast, dc_last)
library_gaps["LSTMCell"] = gap(
    (h_lib, h_mine), (c_lib, c_mine), (dh_lib, dh_mine), (dc_lib, dc_mine), (cell.U.grad, dU)
)

for reset in ("before", "after"):
    for update in ("candidate", "state"):
        gru = random_cell(GRU(I_l, H_l, rng=rng, reset=reset, update=update))
        W, U, b = (p.value for p in (gru.cell.W, gru.cell.U, gru.cell.b))
        if update == "state":
            W, U, b = other_convention(W, U, b)  # it is its own inverse
        b_h = gru.cell.b_h
        step = gru_step
        if b_h is not None:
            step = lambda a, h, U, b_h=b_h.value: (
                (result := gru_after_step(a, h, U, b_h))[0],
                lambda dh: result[1](dh)[:3],
            )
        h_lib, back = gru(x_l, h0)
        dh_lib = np.zeros_like(h_lib)
        dh_lib[-1] = dlast
        dx_lib, dh0_lib = back(dh_lib)
        states, backs = over_time(step, x_l @ W + b, (h0,), U)
        da, dU, dstates = back_in_time(backs, (dlast,))
        grads = np.einsum("tbi,tbj->ij", x_l, da), dU, da.sum(axis=(0, 1))
        if update == "state":
            grads = other_convention(*grads)  # the chain rule of a sign is that sign
        mine = [
            (p.grad, g) for p, g in zip((gru.cell.W, gru.cell.U, gru.cell.b), grads, strict=True)
        ]
        library_gaps[f"GRU, {reset}, {update}"] = gap(
            *((h_lib[t], states[t + 1][0]) for t in range(T_l)),
            (dh0_lib, dstates[0][0]),
            (dx_lib, da @ W.T),
            *mine,
        )
cell = random_cell(GRUCell(I_l, H_l, rng=rng, reset="after"))
h_lib, back = cell(x_l[0], h0)
dx_lib, dh_lib = back(dlast)
h_mine, back = gru_after_step(
    x_l[0] @ cell.W.value + cell.b.value, h0, cell.U.value, cell.b_h.value
)
da, dh_mine, dU, db_h = back(dlast)
library_gaps["GRUCell"] = gap(
    (h_lib, h_mine), (dh_lib, dh_mine), (cell.U.grad, dU), (cell.b_h.grad, db_h)
)
sizes = {
    "LSTM": LSTM(7, 5, rng=rng),
    "GRU before": GRU(7, 5, rng=rng),
    "GRU after": GRU(7, 5, rng=rng, reset="after"),
}
for kind, layer in sizes.items():
    assert sum(p.value.size for p in layer.parameters()) == cell_parameters(kind, 7, 5)  # (22.21)
for name, gap in library_gaps.items():
    print(f"{name:24}{gap:.0e}")
assert max(library_gaps.values()) < 1e-12

# %% [markdown]
# ## What to keep
#
# - A sum keeps, a product loses: along $c_t = f \odot c_{t-1} + i \odot g$ the Jacobian is
#   $\prod f$, and $f$ is learned.
# - $\prod f$ at the start decides whether it *can* be learned: $b_f = \log T$, $b_z = -\log T$.
# - The two ways of $z$ are one model with signs changed; reset before and after are two models.
# - LSTM 1997, its forget gate 2000, GRU 2014. The GRU's $h_t$ mixes the candidate with $h_{t-1}$.
