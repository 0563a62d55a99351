# %% [markdown]
# # 24 · GRU4Rec, line by line
#
# - **Minutes:** 150
# - **Prerequisites:** lessons 12 (negative sampling), 22 (GRU); Adagrad (lesson 08)
# - **Slides:** “Session-based recommendations”, “GRU4Rec” (1/3) to (3/3); of “Improving GRU4Rec”
#   the additional samples and losses
# - **The deck is wrong here:** “Items of the other mini-batch are negative samples”: they are the
#   targets of the other *examples of the same* mini-batch. BPR-max's regularisation lacks the
#   weights $s_j$. “Quick conversion” is quick convergence. “20-30% improvement over item-to-item”
#   is 16 to 25 % in the paper's table. “Similar accuracy with/without embedding”: the paper found
#   it slightly worse with one (lesson 25 measures it). The slides' GRU has $h_t$ on both sides
#   and lets $z$ point the other way (lesson 22). “[Hidasi et. al, 2015]” appeared at ICLR 2016
#
# A visitor without a name clicks on five things. What is the sixth? GRU4Rec (Hidasi, Karatzoglou,
# Baltrunas and Tikk, 2016) made recurrent networks the answer, and what makes it work is less the
# GRU than four details around it: how sessions become batches, which items are scored, what the
# loss does with them, and how rows of a table are updated. You write all of it, train it, compare
# it with the best that is possible, and then break it detail by detail.

# %%
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, RED, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# %% [markdown]
# ## 1. The problem
#
# A **session** is a list of items in the order of the clicks. The log has all sessions one after
# the other in one array `items` of $E$ events; session $k$ of $S$ is
# `items[offsets[k] : offsets[k + 1]]`. Sessions are in the order in which they started.
#
# After each click the model ranks **all** $N$ items; the one relevant item is the next click. A
# session $x_1 \dots x_n$ gives the pairs $(x_1, x_2), (x_2, x_3), \dots, (x_{n-1}, x_n)$, so the
# log has
#
# $$ P = E - S \tag{24.1} $$
#
# prediction points. The model may use everything up to the click, nothing after it, and it knows
# nothing of the visitor before the session: the state begins at zero.
#
# **Why not a batch of whole sequences, as in lesson 20?** Sessions have 2 clicks or 200, and most
# have few: padded to the longest, nearly all of a batch would be padding; cut into windows, a
# window would not know how its session began.

# %% [markdown]
# ## 2. Session-parallel mini-batches
#
# The answer is to let $B$ sessions run side by side, in $B$ **lanes**. Every step reads one click
# in each lane and predicts the next one:
#
# 1. The first $B$ sessions take the lanes.
# 2. A step has the inputs `items[at]` and the targets `items[at + 1]`, where `at` holds the
#    position of each lane.
# 3. A session whose last event has been a *target* is over: that event is no input. Its lane takes
#    the next unused session, the lowest lane first, and **its state is set to 0**.
# 4. When no session is left, the lane disappears, and the batch is one row shorter.
#
# ### Exercise 24.1 · Sessions side by side
#
# Return the list of steps. A step is `(at, keep, fresh)`: positions of the inputs, one per lane in
# the order of the lanes; the row that each lane had *in the step before* (in the first step
# $0, 1, \dots$); and whether its session begins here. So that training is, at every step,
# `h = h[keep]`, then `h[fresh] = 0`. Every session has at least 2 events. (The check calls `at`,
# `keep` and `fresh`, of all steps one after the other, result[0] to result[2]; result[3] says how
# many lanes each step has.)


# %%
def session_steps(offsets, B):
    """[(at, keep, fresh), ...] for the sessions offsets[k] … offsets[k + 1] on B lanes."""
    ### BEGIN SOLUTION 24.1
    ### HINT Keep two arrays, `session` and `at`, one entry per lane, and the number of the next
    ###      unused session. Each step: at + 1, then see which lanes have reached their last event.
    ### HINT A lane is over if at + 1 == offsets[session + 1] after the move: there is no target.
    ### HINT Loop over the lanes that are over. Either session and at become those of the next
    ###      unused session, or the lane is gone; np.flatnonzero(~gone) says which rows go on.
    n_sessions = len(offsets) - 1
    session = np.arange(min(B, n_sessions))
    at, keep = offsets[session], session
    fresh, unused, steps = np.ones(len(session), bool), len(session), []
    for _ in range(offsets[-1]):
        if len(at) == 0:
            break
        steps.append((at, keep, fresh))
        at, session = at + 1, session.copy()
        fresh = at + 1 == offsets[session + 1]  # over: the next session begins
        gone = np.zeros(len(at), bool)
        for lane in np.flatnonzero(fresh):
            if unused < n_sessions:
                session[lane], at[lane] = unused, offsets[unused]
                unused += 1
            else:
                gone[lane] = True
        keep = np.flatnonzero(~gone)
        at, session, fresh = at[keep], session[keep], fresh[keep]
    return steps
    ### END SOLUTION


# %%
def carry(h, keep, fresh, reset=True):
    """The states with which a step begins, of those that the step before left."""
    h = h[keep]
    if reset:
        h[fresh] = 0
    return h


def steps_by_hand(offsets, B, end=1, stop_early=False, stay=False):
    """The same with lists: a lane is the list of the positions that are still to be read."""
    queue = [list(range(a, b - end)) for a, b in pairwise(offsets)]
    lanes = [(i, lane, True) for i, lane in enumerate(queue[:B])]
    queue, steps = queue[B:], []
    while lanes:
        rows, positions, new = zip(*lanes, strict=True)
        rows = range(len(lanes)) if stay else rows
        steps.append((np.array([p[0] for p in positions]), np.array(rows), np.array(new)))
        lanes = []
        for i, p in enumerate(positions):
            if p[1:]:
                lanes.append((i, p[1:], False))
            elif queue:
                lanes.append((i, queue.pop(0), True))
            elif stop_early:
                return steps
    return steps


def moved_in_place(offsets, B):
    """What the list holds if `at` is moved on by += after it was put there."""
    steps = steps_by_hand(offsets, B)
    for (at, _, _), (next_at, keep, _) in pairwise(steps):
        at += 1
        at[keep] = next_at
    steps[-1][0][:] += 1
    return steps


def on_lanes(make_steps, **wrong):
    """at, keep, fresh of all steps on 3 and on 9 lanes, and how many rows each step has."""

    def flat(offsets):
        steps = [step for B in (3, 9) for step in make_steps(offsets, B, **wrong) or ()]
        if not steps or any(len(step) != 3 for step in steps):
            raise TypeError("a list of steps (at, keep, fresh) must be returned")
        sizes = np.array([len(at) for at, _, _ in steps])
        return *(np.concatenate(part) for part in zip(*steps, strict=True)), sizes

    return flat


check(
    "24.1",
    on_lanes(session_steps),
    np.cumsum([0, 3, 2, 5, 2, 2, 4, 3]),
    expected=on_lanes(steps_by_hand),
    mistakes={
        "the last event of a session is read as an input: its target is another session's click": (
            on_lanes(steps_by_hand, end=0)
        ),
        "the epoch ends when no session is left for a lane: the sessions of the others are cut": (
            on_lanes(steps_by_hand, stop_early=True)
        ),
        "keep does not follow the rows when a lane disappears: they get each other's states": (
            on_lanes(steps_by_hand, stay=True)
        ),
        "at += 1 also changes the array that is in the list already; at = at + 1 makes a new one": (
            on_lanes(moved_in_place)
        ),
    },
)

# %% [markdown]
# Seven sessions on three lanes, step by step. A thick bar is a state set to 0; the dashed box is
# the target. Colours are sessions.

# %%
TOY_OFFSETS = np.cumsum([0, 3, 2, 5, 2, 2, 4, 3])
TOY_ITEMS = np.random.default_rng(3).integers(0, 12, TOY_OFFSETS[-1])
COLOURS = [BLUE, RED, GREEN, PINK, "#E69F00", "#56B4E9", "#999933"]
LETTERS = "abcdefghijkl"


def draw_click(ax, x, y, event, alpha=1.0, target=False):
    """One event as a box with its item."""
    colour = COLOURS[np.searchsorted(TOY_OFFSETS, event, side="right") - 1]
    look = {"facecolor": "white" if target else colour, "edgecolor": colour, "alpha": alpha}
    style = {"linestyle": "--", "linewidth": 1.6} if target else {"linewidth": 0}
    ax.add_patch(plt.Rectangle((x + 0.08, y - 0.36), 0.84, 0.72, **look, **style))
    ink = {"color": colour if target or alpha < 1 else "white", "weight": "bold"}
    ax.text(x + 0.5, y, LETTERS[TOY_ITEMS[event]], ha="center", va="center", **ink)


def draw_step(ax, steps, last):
    """The lanes up to step `last`: what was read, what is read now, and the targets."""
    lane = np.arange(len(steps[0][0]))
    for t, (at, keep, fresh) in enumerate(steps[: last + 1]):
        lane = lane[keep]
        for row, event, new in zip(lane, at, fresh, strict=True):
            draw_click(ax, t, -row, event, alpha=1.0 if t == last else 0.3)
            if t == last:
                draw_click(ax, t + 1, -row, event + 1, target=True)
            if new:
                ax.plot([t, t], [-row - 0.42, -row + 0.42], color="black", linewidth=3)
    ax.set(xlim=(-0.3, 6.3), ylim=(-2.6, 0.6), title=f"step {last + 1}: B = {len(lane)}")
    ax.set_yticks([0, -1, -2], ["lane 1", "lane 2", "lane 3"])


toy_steps = session_steps(TOY_OFFSETS, 3)
figure, axes = plt.subplots(2, 3, figsize=(11, 5.2), layout="constrained")
for k, (a, b) in enumerate(pairwise(TOY_OFFSETS)):
    for event in range(a, b):
        draw_click(axes[0, 0], event - a, -k * 0.8, event)
axes[0, 0].set(xlim=(-0.3, 6.3), ylim=(-5.4, 0.6), title="seven sessions")
axes[0, 0].set_yticks([-k * 0.8 for k in range(7)], [str(k + 1) for k in range(7)])
for last, ax in enumerate(axes.flat):
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if last:
        draw_step(ax, toy_steps, last - 1)
show("session parallel")
print("inputs → targets, by step:")
for at, _, _ in toy_steps:
    pairs = zip(TOY_ITEMS[at], TOY_ITEMS[at + 1], strict=True)
    print("   ", "   ".join(f"{LETTERS[x]} → {LETTERS[y]}" for x, y in pairs))

# %% [markdown]
# No padding, no event dropped: each of the $E - S$ pairs once. (That a state really is the state of
# *its* session is checked as soon as there is a GRU.) Sessions are never shuffled: the last updates
# are those by the newest sessions.

# %%
step_invariants = {}
for B in (1, 2, 3, 5, 50):
    lengths = np.random.default_rng(B).integers(2, 12, size=40)
    offsets_rng = np.cumsum([0, *lengths])
    read = np.sort(np.concatenate([at for at, _, _ in session_steps(offsets_rng, B)]))
    pairs = np.setdiff1d(np.arange(offsets_rng[-1]), offsets_rng[1:] - 1)
    step_invariants[B] = np.array_equal(read, pairs), len(read), int(lengths.sum()) - 40
    print(f"B = {B:2}, (each pair once, pairs, E − S) = {step_invariants[B]}")

# %% [markdown]
# ## 3. The GRU step
#
# Input is an item. As a one-hot vector times a matrix it is a row of that matrix, $v = V_x$ of
# width $3 H$ (columns $r \mid z \mid c$): no embedding, no product. Then, with $q = r \odot h$,
#
# $$ r, z = \sigma(v_{rz} + b_{rz} + h\, U_{rz}), \qquad c = \tanh(v_c + b_c + q\, U_c)
#    \tag{24.2} $$
# $$ h' = h + z \odot (c - h) \tag{24.3} $$
#
# In GRU4Rec $z = 1$ takes the new candidate; in the slides it keeps the old state.
#
# **The state $h$ of the step before is a constant.** That is back-propagation through one step (the
# slide: “Update with one step BPTT”): the state carries the past forward, the gradient does not go
# back into it. So a step needs nothing of the steps before, and an update follows each step. From
# $\mathrm{d}h'$ to the pre-activations, then to everything else:
#
# $$ \begin{gathered}
#    \mathrm{d}a_c = \mathrm{d}h' \odot z \odot (1 - c^2), \qquad
#    \mathrm{d}a_z = \mathrm{d}h' \odot (c - h) \odot z (1 - z), \\
#    \mathrm{d}a_r = (\mathrm{d}a_c\, U_c^\top) \odot h \odot r (1 - r)
#    \end{gathered} \tag{24.4} $$
# $$ \mathrm{d}v = \mathrm{d}a, \qquad \mathrm{d}b = \textstyle\sum_n \mathrm{d}a_n, \qquad
#    \mathrm{d}U_{rz} = h^\top \mathrm{d}a_{rz}, \qquad \mathrm{d}U_c = q^\top \mathrm{d}a_c
#    \tag{24.5} $$
#
# ### Exercise 24.2 · One step, the past constant
#
# Return $h'$ and `backward(dh_new)`, which returns `dv`, `dU`, `db`.


# %%
def sigmoid(s):
    """σ(s), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * s))


def gru_step(v, h, U, b):
    """(h', backward) of (24.3); v (B, 3H), h (B, H), U (H, 3H), b (3H,), columns r | z | c."""
    H = h.shape[1]
    ### BEGIN SOLUTION 24.2
    ### HINT Slices: [:, : 2 * H] are r | z, [:, 2 * H :] is c. One product with h gives both gates.
    ### HINT backward needs r, z, c, q, h: it sees them in the function around it.
    ### HINT np.hstack([da_r, da_z, da_c]) puts the columns side by side, for U as well.
    a = v + b
    gates = sigmoid(a[:, : 2 * H] + h @ U[:, : 2 * H])  # (24.2)
    r, z = gates[:, :H], gates[:, H:]
    q = r * h
    c = np.tanh(a[:, 2 * H :] + q @ U[:, 2 * H :])

    def backward(dh_new):
        da_c = dh_new * z * (1 - c * c)  # (24.4)
        da_z = dh_new * (c - h) * z * (1 - z)
        da_r = (da_c @ U[:, 2 * H :].T) * h * r * (1 - r)
        da = np.hstack([da_r, da_z, da_c])
        dU = np.hstack([h.T @ da[:, : 2 * H], q.T @ da_c])  # (24.5)
        return da, dU, da.sum(axis=0)

    return h + z * (c - h), backward  # (24.3)
    ### END SOLUTION


# %%
def gru_by_gate(v, h, U, b, flip=False, after=False, biased=True):
    """h' with each gate by itself."""
    vr, vz, vc = np.split(v + b * biased, 3, axis=1)
    Ur, Uz, Uc = np.split(U, 3, axis=1)
    r, z = 1 / (1 + np.exp(-vr - h @ Ur)), 1 / (1 + np.exp(-vz - h @ Uz))
    c = np.tanh(vc + (r * (h @ Uc) if after else (r * h) @ Uc))
    return (z * h + (1 - z) * c) if flip else ((1 - z) * h + z * c)


def gru_mistake(**wrong):
    """The pair of a wrong h'."""
    return lambda v, U, b: (
        gru_by_gate(v, h_242, U, b, **wrong),
        lambda dh: (np.zeros_like(v), np.zeros_like(U), np.zeros_like(b)),
    )


rng_242 = np.random.default_rng(242)
h_242 = rng_242.normal(size=(5, 3))
check(
    "24.2",
    lambda v, U, b: gru_step(v, h_242, U, b),
    rng_242.normal(size=(5, 9)),
    rng_242.normal(size=(3, 9)),
    rng_242.normal(size=9),
    forward=lambda v, U, b: gru_by_gate(v, h_242, U, b),
    mistakes={
        "z points the other way, as on the slide: here z = 1 takes the candidate": gru_mistake(
            flip=True
        ),
        "r multiplies h U, the product; it belongs on h, before the product": gru_mistake(
            after=True
        ),
        "the bias is missing": gru_mistake(biased=False),
    },
)

# %% [markdown]
# Now the invariant that third-party versions break most often: **the state of a lane is the state
# of its session, as if it ran alone.** Forget the reset, or the `keep` of a lane that disappeared,
# and the number below is not $10^{-16}$.


# %%
def states_side_by_side(items, offsets, B, V, U, b, reset=True):
    """h' after each event that is an input, (E, H); NaN where an event is none."""
    found = np.full((len(items), len(U)), np.nan)
    h = np.zeros((B, len(U)))
    for at, keep, fresh in session_steps(offsets, B):
        h, _ = gru_step(V[items[at]], carry(h, keep, fresh, reset), U, b)
        found[at] = h
    return found


rng_state = np.random.default_rng(5)
toy_weights = [rng_state.normal(size=s) for s in ((12, 12), (4, 12), 12)]
alone = states_side_by_side(TOY_ITEMS, TOY_OFFSETS, 1, *toy_weights)
state_gap = {}
for reset in (True, False):
    beside = states_side_by_side(TOY_ITEMS, TOY_OFFSETS, 3, *toy_weights, reset)
    state_gap[reset] = np.nanmax(np.abs(beside - alone))
print(f"three lanes against one, with reset {state_gap[True]:.0e}, without {state_gap[False]:.1f}")

# %% [markdown]
# ## 4. The score block: which items are scored
#
# Scores of all $N$ items cost $B \times N \times H$ a step, for $N = 10^6$ nearly everything. So a
# step scores the target of each row and some negatives. The trick of the paper: **the targets of
# the other rows are the negatives.** They are there anyway, one product gives all $B \times B$
# scores, and they are popularity-proportional without anybody drawing. The second paper (Hidasi and
# Karatzoglou, 2018) adds $S$ more, the same for all rows ($S$ now counts samples, not sessions):
#
# $$ Y = [\,\text{targets of the } B \text{ rows} ; S \text{ samples}\,], \qquad
#    R = h' W_Y^\top + b_Y \quad (B,\ B + S) \tag{24.6} $$
#
# **Column $b$ of $R$ is the target of row $b$**; all else in the row is negative. Duplicates stay:
# a sample that happens to be the target, or another row's equal target, is a negative of itself.
#
# ### Exercise 24.3 · The score block
#
# Given $h'$ and the rows `W_Y`, `b_Y` that were looked up, return $R$ and `backward(dR)`, which
# returns `dh`, `dW_Y`, `db_Y`.


# %%
def score_block(h, W_Y, b_Y):
    """(R, backward) of (24.6); h (B, H), W_Y (B + S, H), b_Y (B + S,)."""

    ### BEGIN SOLUTION 24.3
    ### HINT A linear layer (lesson 02) whose weights are W_Y transposed.
    ### HINT dW_Y has a row for each column of R: dR.T @ h.
    def backward(dR):
        return dR @ W_Y, dR.T @ h, dR.sum(axis=0)

    return h @ W_Y.T + b_Y, backward
    ### END SOLUTION


# %%
rng_243 = np.random.default_rng(243)
check(
    "24.3",
    score_block,
    rng_243.normal(size=(3, 4)),
    rng_243.normal(size=(5, 4)),
    rng_243.normal(size=5),
    forward=lambda h, W_Y, b_Y: np.einsum("bi,ji->bj", h, W_Y) + b_Y[None, :],
    mistakes={
        "the bias of the scored items is missing: it holds their popularity": lambda h, W, b: (
            h @ W.T,
            lambda dR: (dR @ W, dR.T @ h, np.zeros(5)),
        ),
        "db is the mean over the rows; it is their sum, the loss has the 1/B": lambda h, W, b: (
            h @ W.T + b,
            lambda dR: (dR @ W, dR.T @ h, dR.mean(axis=0)),
        ),
    },
)

# %% [markdown]
# **Deck.** “Items of the other mini-batch are negative samples for the current mini-batch.” No:
# other *examples*, same mini-batch. Which items get a gradient is the proof: those of this step's
# targets. The items of the other mini-batches get none.

# %%
at_deck, other_deck = toy_steps[1][0], np.concatenate([s[0] for s in toy_steps[:1] + toy_steps[2:]])
Y_deck = TOY_ITEMS[at_deck + 1]
W_deck, h_deck = rng_state.normal(size=(12, 4)), rng_state.normal(size=(3, 4))
R_deck, back_deck = score_block(h_deck, W_deck[Y_deck], np.zeros(3))
p_deck = np.exp(R_deck) / np.exp(R_deck).sum(axis=1, keepdims=True)
touched = np.zeros(12)
np.add.at(touched, Y_deck, np.abs(back_deck(p_deck - np.eye(3))[1]).sum(axis=1))
elsewhere = np.setdiff1d(TOY_ITEMS[other_deck + 1], Y_deck)
print("targets of step 2:", sorted(set(Y_deck.tolist())))
print("items with a gradient:", np.flatnonzero(touched).tolist())
print("gradient of the targets of all other steps:", touched[elsewhere].max())

# %% [markdown]
# ### Exercise 24.4 · More samples, by popularity
#
# Additional samples are drawn with replacement, item $i$ with probability
#
# $$ q_i = \mathrm{supp}_i^\alpha \Big/ \sum_j \mathrm{supp}_j^\alpha \tag{24.7} $$
#
# ($\mathrm{supp}_i$: how often $i$ occurs; $\alpha = 0$ uniform, $\alpha = 1$ by popularity.)
# Uniform numbers $u \in [0, 1)$ become items by the inverse of the cumulated distribution: the item
# of $u$ is the smallest $i$ with $u < q_0 + \dots + q_i$. `np.searchsorted` finds it by bisection.


# %%
def draw_items(support, alpha, u):
    """The item of each u, like u; support (N,) ≥ 1."""
    ### BEGIN SOLUTION 24.4
    ### HINT np.cumsum of support**alpha, divided by its last entry, ends at exactly 1.
    ### HINT np.searchsorted(cumulated, u, side="right") counts the entries that are ≤ u.
    cumulated = np.cumsum(np.asarray(support, float) ** alpha)
    return np.searchsorted(cumulated / cumulated[-1], u, side="right")
    ### END SOLUTION


# %%
def draw_by_loop(support, alpha, u):
    """The same, item by item."""
    q = support**alpha / np.sum(support**alpha)
    return np.array([next(i for i in range(len(q)) if v < q[: i + 1].sum()) for v in u])


check(
    "24.4",
    draw_items,
    np.array([3.0, 20, 1, 7, 90]),
    0.5,
    np.random.default_rng(244).random(40),
    expected=draw_by_loop,
    mistakes={
        "this draws by popularity, α = 1": lambda s, alpha, u: draw_by_loop(s, 1.0, u),
        "this draws uniformly, α = 0": lambda s, alpha, u: draw_by_loop(s, 0.0, u),
        "the cumulated sum must end at 1: divide by its last entry": lambda s, alpha, u: (
            np.searchsorted(np.cumsum(s**alpha), u, side="right")
        ),
        "one too many: is the cumulated sum without a leading 0?": lambda s, alpha, u: (
            draw_by_loop(s, alpha, u) + 1
        ),
    },
)

# %% [markdown]
# **logQ.** What is among the negatives $q$ times as often is pushed down $q$ times as often,
# so popular items end too low (lesson 12: by just $\log q$). Cross-entropy on samples estimates the
# full softmax if every score is corrected by the logarithm of how often its column is there:
#
# $$ r_{bj} = R_{bj} - \log q_j, \qquad q = \mathrm{supp} \text{ for the } B \text{ targets},\
#    \mathrm{supp}^\alpha \text{ for the samples} \tag{24.8} $$
#
# in training only. Section 10 shows when it matters.

# %% [markdown]
# ## 5. Five losses
#
# Row $b$ has the target score $r_i$ ($i = b$) and $N_S = B + S - 1$ negatives $r_j$. Let
# $v_j = \sigma(r_j - r_i)$ and $q_j = \sigma(r_j^2)$, with the slopes $v_j' = v_j (1 - v_j)$ and
# $q_j' = 2 r_j q_j (1 - q_j)$, and $l_j = v_j + q_j$. There are two softmaxes: $p$ over all, and
# $s$ **over the negatives only**.
#
# $$ \begin{array}{lccc}
#    & L \text{ of a row} & \partial L / \partial r_i & \partial L / \partial r_k \\ \hline
#    \text{XE} & -r_i + \log \sum_{j, i} e^{r_j} & p_i - 1 & p_k \\
#    \text{BPR} & -\frac1{N_S} \sum_j \log \sigma(r_i - r_j) & -\frac1{N_S} \sum_j v_j
#      & \frac1{N_S} v_k \\
#    \text{TOP1} & \frac1{N_S} \sum_j l_j & -\frac1{N_S} \sum_j v_j'
#      & \frac1{N_S} (v_k' + q_k') \\
#    \text{TOP1-max} & \sum_j s_j l_j & -\sum_j s_j v_j' & s_k (l_k - L + v_k' + q_k') \\
#    \text{BPR-max} & (24.9) & (24.10) & (24.11)
#    \end{array} $$
#
# TOP1 is the share of negatives above the target, made smooth, plus a penalty that holds the scores
# of negatives near 0. The means of BPR and TOP1 become *weighted* in the -max losses: what counts
# is the negative with the highest scores. **The weights $s_j$ depend on the scores**, so they have
# a gradient too, $\partial s_j / \partial r_k = s_j ([j = k] - s_k)$. For any $l$ that gives
# $\sum_j l_j\, \partial s_j / \partial r_k = s_k (l_k - L)$, the first term of TOP1-max.


# %%
def over_negatives(R):
    """s (B, B + S): the softmax of each row without its target, which gets 0."""
    rows = np.arange(len(R))
    e = R.copy()
    e[rows, rows] = -np.inf  # not e *= 0 after exp: if all are tiny, that is 0/0 in float32
    e -= e.max(axis=1, keepdims=True)
    e = np.exp(e)
    return e / e.sum(axis=1, keepdims=True)


def mean_over_rows(losses, dR, of_target):
    """(loss, backward) of the losses (B,) of the rows and their gradients, which both get 1/B."""
    rows = np.arange(len(dR))
    dR[rows, rows] = of_target

    def backward(dloss=1.0):
        return dR * (dloss / len(dR))

    return np.mean(losses), backward


def cross_entropy(R):
    """XE, the second and third column of the table in the last line."""
    own, top = np.diagonal(R), R.max(axis=1, keepdims=True)
    p = np.exp(R - top)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    return mean_over_rows(np.log(total[:, 0]) + top[:, 0] - own, p, np.diagonal(p) - 1)


def bpr(R):
    """BPR; the target itself, at −∞, is no negative: its v and its log σ are 0."""
    rows, n = np.arange(len(R)), R.shape[1] - 1
    y = R - R[rows, rows][:, None]
    y[rows, rows] = -np.inf
    v = sigmoid(y)
    return mean_over_rows(np.logaddexp(0, y).sum(axis=1) / n, v / n, -v.sum(axis=1) / n)


def top1_terms(R):
    """l = v + q, v' and q', all 0 for the target itself."""
    rows = np.arange(len(R))
    v, q = sigmoid(R - R[rows, rows][:, None]), sigmoid(R * R)
    terms = v + q, v * (1 - v), 2 * R * q * (1 - q)
    for term in terms:
        term[rows, rows] = 0
    return terms


def top1(R):
    """TOP1."""
    l, dv, dq = top1_terms(R)
    n = R.shape[1] - 1
    return mean_over_rows(l.sum(axis=1) / n, (dv + dq) / n, -dv.sum(axis=1) / n)


def top1_max(R):
    """TOP1-max."""
    s, (l, dv, dq) = over_negatives(R), top1_terms(R)
    losses = (s * l).sum(axis=1)
    return mean_over_rows(losses, s * (l - losses[:, None] + dv + dq), -(s * dv).sum(axis=1))


# %% [markdown]
# **A bracket.** The 2016 paper prints TOP1 as $\frac{1}{N_S} \sum_j \sigma(r_j - r_i) +
# \sigma(r_j^2)$. Read by the rules, the sum ends before the plus, and the second term has no $j$ to
# stand for; the slide, with its two sums over one $N_S$, is right. How different can the readings
# be? With the penalty outside the mean it is $N_S$ times as heavy:

# %%
R_bracket = np.random.default_rng(6).normal(size=(32, 160))
penalties = sigmoid(R_bracket[~np.eye(32, 160, dtype=bool)] ** 2)
penalty_inside, penalty_outside = penalties.mean(), penalties.sum() / 32
ranking_part = top1(R_bracket)[0] - penalty_inside
print(f"TOP1 = ranking {ranking_part:.2f} + penalty {penalty_inside:.2f}", end="; ")
print(f"with the penalty outside the mean {penalty_outside:.0f}")

# %% [markdown]
# BPR-max is the likelihood that the target beats a negative drawn from the softmax. With
# $\sigma_j = \sigma(r_i - r_j)$, $A = \sum_j s_j \sigma_j$ and $\rho = \sum_j s_j r_j^2$:
#
# $$ L = -\log A + \lambda \rho \tag{24.9} $$
# $$ \frac{\partial L}{\partial r_i} = -\frac1A \sum_j s_j\, \sigma_j (1 - \sigma_j) \tag{24.10} $$
# $$ \frac{\partial L}{\partial r_k} = -\frac{1}{A} \big[ s_k (\sigma_k - A)
#    - s_k\, \sigma_k (1 - \sigma_k) \big] + \lambda\, [\,\dots] \tag{24.11} $$
#
# In (24.11) the first term comes through the weights and the second through $\sigma_k$; together
# they are $s_k (1 - \sigma_k^2 / A)$.
#
# ### Exercise 24.5 · BPR-max
#
# What stands in the brackets of $\lambda$? $\rho$ depends on $r_k$ through $s$ and through $r_k^2$.
# Then return the mean of (24.9) over the rows, and `backward(dloss=1.0)`, which returns `dR`:
# `mean_over_rows` above makes both.


# %%
def bpr_max(R, lam=1.0):
    """(loss, backward) of (24.9), column b the target of row b; R (B, B + S)."""
    rows = np.arange(len(R))
    s, win = over_negatives(R), sigmoid(R[rows, rows][:, None] - R)  # s_k, σ_k
    ### BEGIN SOLUTION 24.5
    ### HINT The text above says what Σ l_j ∂s_j/∂r_k is for any l: here l_j = r_j².
    ### HINT The bracket is s_k (r_k² − ρ) + 2 s_k r_k.
    ### HINT mean_over_rows takes the losses (B,), the whole (B, B + S) array by (24.11), and (B,)
    ###      by (24.10) for the targets.
    A = (s * win).sum(axis=1, keepdims=True)
    rho = (s * R * R).sum(axis=1, keepdims=True)
    dR = s * (1 - win * win / A + lam * (R * R - rho + 2 * R))  # (24.11)
    of_target = -(s * win * (1 - win)).sum(axis=1) / A[:, 0]  # (24.10)
    return mean_over_rows(lam * rho - np.log(A), dR, of_target)  # (24.9)
    ### END SOLUTION


# %%
def bpr_max_by_row(R, lam=0.7):
    """(24.9), row by row."""
    total = 0.0
    for i, r in enumerate(R):
        j = np.delete(r, i)
        s = np.exp(j) / np.exp(j).sum()
        total += -np.log((s / (1 + np.exp(j - r[i]))).sum()) + lam * (s * j**2).sum()
    return total / len(R)


def bpr_max_mistake(R, lam=0.7, target_in=False, frozen=False, slide=False):
    """BPR-max as it is often written."""
    rows = np.arange(len(R))
    e = np.exp(R)
    s = e / e.sum(axis=1, keepdims=True) if target_in else over_negatives(R)
    w = 1 - np.eye(*R.shape, dtype=R.dtype) if slide else s  # of the penalty
    win = sigmoid(R[rows, rows][:, None] - R)
    A, rho = (s * win).sum(axis=1, keepdims=True), (w * R * R).sum(axis=1, keepdims=True)
    dR = s * win * (1 - win) / A + 2 * lam * w * R
    if not frozen:  # through the weights
        dR += s * (1 - win / A) + lam * (w - slide) * (R * R - rho)
    return mean_over_rows(lam * rho - np.log(A), dR, -(s * win * (1 - win)).sum(axis=1) / A[:, 0])


check(
    "24.5",
    lambda R: bpr_max(R, 0.7),
    np.random.default_rng(245).normal(size=(3, 5)),
    forward=bpr_max_by_row,
    mistakes={
        "the softmax weights are treated as constants: their gradient, s_k (l_k − L), is missing": (
            partial(bpr_max_mistake, frozen=True)
        ),
        "the softmax contains the target: it is over the negatives only": (
            partial(bpr_max_mistake, target_in=True)
        ),
        "this is −log A alone: λ ρ is missing": partial(bpr_max_mistake, lam=0.0),
        "this is the slide's λ Σ r_j², without the weights s_j": (
            partial(bpr_max_mistake, slide=True)
        ),
    },
    about={"batch_size": 3},
)

# %% [markdown]
# All five against differences (largest relative error), and what is lost when the gradient of the
# weights is forgotten:

# %%
from nnlib.check import check_gradients

LOSSES = dict(XE=cross_entropy, BPR=bpr, TOP1=top1) | {"TOP1-max": top1_max, "BPR-max": bpr_max}
R_five = np.random.default_rng(7).normal(size=(4, 7))
loss_gaps = {name: check_gradients(loss, R_five).error for name, loss in LOSSES.items()}
print("against differences:", {name: f"{gap:.0e}" for name, gap in loss_gaps.items()})
dR_pair = [f(R_five, lam=1.0)[1]() for f in (bpr_max, partial(bpr_max_mistake, frozen=True))]
cosine_frozen = np.vdot(*dR_pair) / np.prod([np.linalg.norm(dR) for dR in dR_pair])
print(f"weights taken as constants: cosine with the right gradient {cosine_frozen:.2f}")

# %% [markdown]
# **Deck.** “$\mathrm{BPR}_{\max} = -\log(\dots) + \lambda \sum_j r_j^2$”: the weights $s_j$ are
# missing. The gradient of the slide's penalty is $2 \lambda r_k$ for *every* negative: all scores
# are pulled to 0 alike, $N_S$ times over, also those of items that are far below and hurt nobody.
# The paper weights by $s_k$: only negatives near the top feel it. On scores as a trained model has
# them, one rival at 2 and 158 others around $-4$:

# %%
bpr_max_slide = partial(bpr_max_mistake, lam=1.0, slide=True)
r_slide = np.r_[2.0, 2.0, np.random.default_rng(8).normal(-4, 1, 158)][None, :]
on_rival, on_others = {}, {}
for name, loss in (("paper", bpr_max), ("slide", bpr_max_slide)):
    pull = (loss(r_slide)[1]() - loss(r_slide, lam=0.0)[1]())[0]
    on_rival[name], on_others[name] = pull[1], np.abs(pull[2:]).sum()
print("penalty's pull on the rival:", {k: round(float(x), 2) for k, x in on_rival.items()})
print("on the 158 others together:", {k: round(float(x), 1) for k, x in on_others.items()})

# %% [markdown]
# ### When does the target still learn?
#
# The point of the -max losses. Target at 0, one rival at $+0.5$, all others far below, at $-10$:
# this row is wrong and should be corrected. What is $-\partial L / \partial r_i$?

# %%
vanishing = {}
for n in (31, 2079):
    for far in (-10.0, -4.0):
        row = np.r_[0.0, 0.5, np.full(n - 1, far)][None, :]
        for name, loss in LOSSES.items():
            vanishing[name, n, far] = -loss(row)[1]()[0, 0]
print(f"{'−∂L/∂rᵢ':10}{'others at −10':>20}{'others at −4':>20}")
print(f"{'negatives':10}" + f"{31:>10}{2079:>10}" * 2)
for name in LOSSES:
    values = (vanishing[name, n, far] for far in (-10.0, -4.0) for n in (31, 2079))
    print(f"{name:10}" + "".join(f"{x:10.4f}" for x in values))

# %% [markdown]
# A mean over negatives that are long beaten drowns the one that is not: more samples, smaller
# gradient. The softmax singles it out, as long as the gaps are larger than $\log N_S$; at $-4$ it
# begins to drown too. So what happens depends on the scores, and those on training: section 9.

# %% [markdown]
# ## 6. Adagrad for rows
#
# A step touches the rows of its inputs in $V$ and those of $Y$ in $W$ and $b$; all others have
# gradient 0 and rest. GRU4Rec's Adagrad starts the accumulator at **0**:
#
# $$ G \leftarrow G + g^2, \qquad \theta \leftarrow \theta - \eta\, g \big/ \sqrt{G + 10^{-6}}
#    \tag{24.12} $$
#
# An item may stand in $Y$ several times. Its gradient is the **sum** of what came in at all its
# places, and only then squared: (24.12) is applied to that sum, once. (The original Theano code
# made one step per occurrence, all with the same accumulator: twice the step for an item that
# stands twice. The authors' PyTorch code sums first.)
#
# ### Exercise 24.6 · Rows, coalesced
#
# Change `theta` and `G` in place, by (24.12), at the rows `ids`, which may repeat.


# %%
def adagrad_rows(theta, G, ids, g, lr):
    """(24.12) in place; theta and G (N, D) or (N,), ids (n,), g (n, D) or (n,)."""
    ### BEGIN SOLUTION 24.6
    ### HINT theta[ids] -= ... keeps one of equal ids. So first: distinct ids, summed gradients.
    ### HINT Sort: order = np.argsort(ids, kind="stable"). Equal ids are then neighbours; where do
    ###      their runs start?
    ### HINT np.add.reduceat(g[order], starts, axis=0) sums each run. np.unique and np.add.at do
    ###      as well.
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ids, g = ordered[starts], np.add.reduceat(g[order], starts, axis=0)
    G[ids] += g * g
    theta[ids] -= lr * g / np.sqrt(G[ids] + 1e-6)
    ### END SOLUTION


# %%
def adagrad_copy(theta, G, ids, g):
    """What adagrad_rows makes of copies."""
    theta, G = theta.copy(), G.copy()
    adagrad_rows(theta, G, ids, g, 0.3)
    return theta, G


def adagrad_dense(theta, G, ids, g, how="sum"):
    """(24.12) on a whole table, and its mistakes."""
    dense, squares = np.zeros_like(theta), np.zeros_like(theta)
    for i, row in zip(ids, g, strict=True):
        dense[i] = row if how == "last" else dense[i] + row
        squares[i] += row**2
    new_G = G + (squares if how == "squares" else dense**2)
    bottom = np.sqrt((G if how == "late" else new_G) + 1e-6)
    if how == "outside":
        bottom = np.sqrt(new_G) + 1e-6
    return theta if how == "lost" else theta - 0.3 * dense / bottom, new_G


rng_246 = np.random.default_rng(246)
check(
    "24.6",
    adagrad_copy,
    rng_246.normal(size=(6, 2)),
    rng_246.random((6, 2)) * 1e-3,
    np.array([4, 1, 4, 0, 1, 4]),
    rng_246.normal(size=(6, 2)) * 0.01,
    expected=adagrad_dense,
    mistakes={
        "of an id that repeats only one gradient arrives: theta[ids] -= ... writes once": (
            partial(adagrad_dense, how="last")
        ),
        "the squares are summed; the gradients are summed first, then squared": (
            partial(adagrad_dense, how="squares")
        ),
        "ε stands outside the root: it is √(G + 10⁻⁶)": partial(adagrad_dense, how="outside"),
        "g² is added to G first, then the root is taken": partial(adagrad_dense, how="late"),
        "theta is not changed; theta = ... makes a new array": partial(adagrad_dense, how="lost"),
    },
)

# %% [markdown]
# The first step of a weight is $-\eta \operatorname{sign}(g)$ if $|g| \gg 10^{-3}$ (the root of ε),
# and a good part of it below. Gradients here are small, $1/B$ of a probability, so where $G$ starts
# matters: at 0.1, TensorFlow's default for years, the first step is some hundred times shorter.

# %%
first_steps = {}
for start in (0.0, 0.1):
    theta_first, G_first = np.zeros(1), np.full(1, start)
    adagrad_rows(theta_first, G_first, np.array([0]), np.full(1, 1 / 32 * 0.01), 0.1)
    first_steps[start] = -theta_first[0]
print("first step for g = 0.01 / 32, η = 0.1:", {k: f"{x:.1e}" for k, x in first_steps.items()})

# %% [markdown]
# ## 7. All of it
#
# One more detail: **dropout is applied to $h'$ before it is stored.** The dropped state is what the
# next step reads. And the loss is summed over the rows and divided by the *nominal* $B$, also when
# the batch has shrunk.


# %%
def glorot(rng, n_in, n_out, gates=1):
    """Uniform within ±√(6 / (n_in + n_out)), each gate by itself; single precision."""
    bound = np.sqrt(6 / (n_in + n_out))
    parts = [rng.uniform(-bound, bound, (n_in, n_out)) for _ in range(gates)]
    return np.hstack(parts).astype(np.float32)


def new_model(n_items, H=64, seed=0, accumulator=0.0):
    """The five arrays of GRU4Rec without embedding, and Adagrad's accumulators."""
    rng = np.random.default_rng((24, seed))
    m = SimpleNamespace(
        V=glorot(rng, n_items, H, gates=3),
        U=glorot(rng, H, H, gates=3),
        b=np.zeros(3 * H, np.float32),
        W=glorot(rng, n_items, H),
        b_out=np.zeros(n_items, np.float32),
    )
    m.G = {name: np.full_like(p, accumulator) for name, p in vars(m).items()}
    return m


def train_step(m, x, Y, h, mask, loss, lr, log_q=0.0, B=32):
    """(loss, h') of one step; x (b,) inputs, Y (b + S,) targets and samples, h (b, H)."""
    h, back_gru = gru_step(m.V[x], h, m.U, m.b)
    h = h * mask  # dropped here, and so for the next step
    R, back_block = score_block(h, m.W[Y], m.b_out[Y])
    value, back_loss = loss(R - log_q)
    dh, dW, db_out = back_block(back_loss(len(x) / B))
    dv, dU, db = back_gru(dh * mask)
    adagrad_rows(m.V, m.G["V"], x, dv, lr)
    adagrad_rows(m.W, m.G["W"], Y, dW, lr)
    adagrad_rows(m.b_out, m.G["b_out"], Y, db_out, lr)
    for p, G, g in ((m.U, m.G["U"], dU), (m.b, m.G["b"], db)):
        G += g * g
        p -= lr * g / np.sqrt(G + 1e-6)  # (24.12), every row
    return value, h


def train_epochs(
    m, log, epochs, *, B=32, S=128, alpha=0.0, logq=0.0, dropout=0.2, lr=0.1, loss=cross_entropy,
    reset=True, seed=0,
):  # fmt: skip
    """Train; yields the mean loss after every epoch."""
    items, rng, H = log.item, np.random.default_rng((25, seed)), len(m.U)
    support = np.bincount(items, minlength=len(m.W))
    log_support = np.log(np.maximum(support, 1)).astype(np.float32)
    steps = session_steps(log.offsets, B)
    if S == 0:
        steps = [step for step in steps if len(step[0]) > 1]  # one row alone has no negative
    for _ in range(epochs):
        h, losses = np.zeros((B, H), np.float32), []
        samples = draw_items(support, alpha, rng.random((len(steps), S)))
        for (at, keep, fresh), negative in zip(steps, samples, strict=True):
            h = carry(h, keep, fresh, reset)
            x, target, log_q = items[at], items[at + 1], 0.0
            if logq:  # (24.8)
                log_q = logq * np.r_[log_support[target], alpha * log_support[negative]]
            mask = (rng.random(h.shape, np.float32) >= dropout) / np.float32(1 - dropout)
            value, h = train_step(m, x, np.r_[target, negative], h, mask, loss, lr, log_q, B)
            losses.append(value)
        yield np.mean(losses)


# %% [markdown]
# **Data.** `HMMClicks` of the library makes clicks with a hidden state: visitors move through
# stages of categories, each stage shows its items, there are noise clicks and repeats. Because we
# know the generator, the *exact* probability of every next click can be computed, and with it the
# recall that no model can exceed. 33,000 sessions, 500 items: the first 30,000 to train, then 1,500
# to choose the epoch by, and the newest 1,500 for the result.

# %%
from nnlib.data import Histories, HMMClicks

world = HMMClicks()
clicks = world.sample(33_000, np.random.default_rng(1))
number = np.arange(33_000)
train = clicks.select_users(number < 30_000)
valid, test = (
    clicks.select_users(chosen).in_items_of(train.item_ids)[0]
    for chosen in ((number >= 30_000) & (number < 31_500), number >= 31_500)
)
for name, log in (("train", train), ("valid", valid), ("test", test)):
    points = log.n_events - log.n_users
    print(f"{name}: {log.n_users} sessions, {log.n_events} events, {points} points (24.1)")

# %% [markdown]
# ## 8. Full ranking, honestly
#
# At every point all $N$ items are ranked. What if scores are equal? A model that gives every item
# the same score has, if ties are resolved in its favour, the target always first. So here the
# target *loses* every tie (`conservative`):
#
# $$ \mathrm{rank} = |\{ j : s_j \ge s_\text{target} \}| \tag{24.13} $$
#
# in which the target itself is the $+1$. From the ranks of all $P$ points
#
# $$ \mathrm{recall@}k = \frac1P \sum_p [\mathrm{rank}_p \le k], \qquad
#    \mathrm{MRR@}k = \frac1P \sum_p \frac{[\mathrm{rank}_p \le k]}{\mathrm{rank}_p} \tag{24.14} $$
#
# ### Exercise 24.7 · Ranks and two measures
#
# Given scores $(P, N)$ and targets $(P,)$, return `rank` $(P,)$, recall@k and MRR@k.


# %%
def rank_and_measure(scores, target, k):
    """(rank, recall@k, MRR@k) with conservative ties."""
    ### BEGIN SOLUTION 24.7
    ### HINT The target's score of each row: scores[np.arange(len(target)), target].
    ### HINT Compare with >= along the rows and count; the measures are means of rank <= k and of
    ###      (rank <= k) / rank.
    own = scores[np.arange(len(target)), target]
    rank = (scores >= own[:, None]).sum(axis=1)  # (24.13)
    hit = rank <= k
    return rank, hit.mean(), (hit / rank).mean()  # (24.14)
    ### END SOLUTION


# %%
def rank_by_loop(scores, target, k, ties=1, strict=False, first=1):
    """The same, item by item; ties 1: against the target, 0: for it."""
    found = []
    for row, i in zip(scores, target, strict=True):
        above = sum(s > row[i] for s in row)
        equal = sum(row[j] == row[i] for j in range(len(row)) if j != i)
        found.append(first + above + ties * equal)
    hit = [r < k if strict else r <= k for r in found]
    reciprocal = sum(1 / r if r else np.inf for r, h in zip(found, hit, strict=True) if h)
    return np.array(found), np.mean(hit), reciprocal / len(found)


check(
    "24.7",
    rank_and_measure,
    np.random.default_rng(247).integers(0, 6, size=(12, 9)) / 4,
    np.random.default_rng(248).integers(0, 9, size=12),
    3,
    expected=rank_by_loop,
    mistakes={
        "the target wins every tie (standard): a constant scorer would be perfect": (
            partial(rank_by_loop, ties=0)
        ),
        "rank < k is the @(k − 1) of a well-known evaluator": partial(rank_by_loop, strict=True),
        "the rank is one too large: the target is counted twice": partial(rank_by_loop, first=2),
        "the rank is what stands above, plus one; the target loses ties": (
            partial(rank_by_loop, ties=0, first=0)
        ),
        "of a rank beyond k MRR@k counts 0": lambda scores, target, k: (
            *rank_by_loop(scores, target, k)[:2],
            rank_by_loop(scores, target, len(scores[0]))[2],
        ),
        "MRR@k is a mean over all P points, not over the hits": lambda *a: (
            lambda rank, hit, reciprocal: (rank, hit, reciprocal / hit)
        )(*rank_by_loop(*a)),
    },
)

# %%
constant_recall = {
    name: rank_by_loop(np.ones((50, 500)), np.arange(50), 20, ties)[1]
    for ties, name in enumerate(("standard", "conservative"))
}
print("recall@20 of a model that says nothing:", {k: float(x) for k, x in constant_recall.items()})

# %% [markdown]
# The evaluation reads sessions side by side just like training, with the reset, without dropout and
# without logQ.


# %%
def walk(m, log, B=256, reset=True):
    """(at, scores (b, N)) of every step: scores after the event at."""
    h = np.zeros((B, len(m.U)), m.U.dtype)
    for at, keep, fresh in session_steps(log.offsets, B):
        h, _ = gru_step(m.V[log.item[at]], carry(h, keep, fresh, reset), m.U, m.b)
        yield at, h @ m.W.T + m.b_out


def ranks_of(m, log, reset=True):
    """The rank of every point, in the order of the log: (E − S,)."""
    rank = np.zeros(log.n_events, int)
    for at, scores in walk(m, log, reset=reset):
        rank[at] = rank_and_measure(scores, log.item[at + 1], 20)[0]
    assert np.count_nonzero(rank) == log.n_events - log.n_users, "a point was left out"
    return rank[rank > 0]


def recall(rank, k=20):
    """recall@k of ranks."""
    return np.mean(rank <= k)


def mrr(rank, k=20):
    """MRR@k of ranks."""
    return np.mean((rank <= k) / rank)


def session_error(x, log):
    """Standard error of the mean of x (P,): sessions are drawn, not points."""
    session = np.repeat(np.arange(log.n_users), np.diff(log.offsets) - 1)
    return np.sqrt(np.sum(np.bincount(session, x - x.mean()) ** 2)) / len(x)


def fit_and_choose(log, epochs, n_seeds=1, accumulator=0.0, evaluate_reset=True, **settings):
    """[(test ranks of the epoch that is best on valid, (loss, recall) by epoch, model), ...]."""
    runs = []
    for seed in range(n_seeds):
        m, best, history = new_model(500, seed=seed, accumulator=accumulator), None, []
        for value in train_epochs(m, log, epochs, seed=seed, **settings):
            on_valid = recall(ranks_of(m, valid, evaluate_reset))
            if on_valid > max((past for _, past in history), default=0):
                best = SimpleNamespace(**{k: np.copy(p) for k, p in vars(m).items() if k != "G"})
            history.append((value, on_valid))
        rank = ranks_of(best, test, evaluate_reset)  # looked at once
        runs.append((rank, np.array(history), best))
    return runs


# %% [markdown]
# Popularity, Markov (what followed the last click most often), S-KNN (what the sessions most like
# this one contain), the network, and the ceiling; the library ranks for those that are its own. 64
# units, $B = 32$, 128 uniform samples, cross-entropy, dropout 0.2, $\eta = 0.1$, 4 epochs.

# %%
from nnlib.metrics import evaluate
from nnlib.models import BayesCeiling, GRU4Rec, Markov, Popularity, SessionKNN

others = {
    "Popularity": Popularity(),
    "Markov": Markov(),
    "S-KNN": SessionKNN(),
    "Bayes ceiling": BayesCeiling(world=world),
}
test_ranks = {name: evaluate(model.fit(train), test).rank for name, model in others.items()}
[(test_ranks["GRU4Rec"], headline_history, headline_model)] = fit_and_choose(train, 4)
test_ranks = dict(sorted(test_ranks.items(), key=lambda pair: recall(pair[1])))
for name, rank in test_ranks.items():
    error = session_error(1.0 * (rank <= 20), test)
    print(f"{name:14} recall@20 {recall(rank):.4f} ± {error:.4f}   MRR@20 {mrr(rank):.4f}")
ours, theirs = test_ranks["GRU4Rec"], test_ranks["S-KNN"]
margin = 1.0 * (ours <= 20) - (theirs <= 20)
mrr_margin = (ours <= 20) / ours - (theirs <= 20) / theirs
margin_error, mrr_margin_error = session_error(margin, test), session_error(mrr_margin, test)
print("GRU4Rec − S-KNN, point by point:", end=" ")
print(f"recall@20 {margin.mean():.4f} ± {margin_error:.4f}", end=", ")
print(f"MRR@20 {mrr_margin.mean():.4f} ± {mrr_margin_error:.4f}")
print("epochs (loss, recall@20 on valid):", headline_history.round(3).tolist())

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for ax, measure, title in zip(axes, (recall, mrr), ("recall@20", "MRR@20"), strict=True):
    values = [measure(rank) for rank in test_ranks.values()]
    colours = [{"GRU4Rec": RED, "Bayes ceiling": "#BBBBBB"}.get(name, BLUE) for name in test_ranks]
    ax.bar_label(ax.barh(list(test_ranks), values, color=colours), fmt=" %.3f", fontsize=9)
    ax.set(title=title, xlim=(0, 1.15 * max(values)))
    ax.spines[["top", "right"]].set_visible(False)
show("results")

# %% [markdown]
# “Quick conversion: only small changes after 5-10 epochs”, says the slide, and means
# **convergence**. Here most of it is there after one epoch.
#
# GRU4Rec finds 13 % more than S-KNN, nobody passes the ceiling, and all that with 6 clicks a
# session and one GRU of 64 units. In MRR the lead is within two standard errors: no claim. And this
# is one world of the generator, which was made such that models stand in the order that real clicks
# show: the figure says that the implementation is right, not that GRU4Rec always wins.
#
# “20-30% improvement over item-to-item”: from the paper's own table of recall@20 on RSC15, where
# Item-KNN has .5065,

# %%
paper_recall = {"TOP1 100": 0.5853, "BPR 100": 0.6069, "TOP1 1000": 0.6206, "BPR 1000": 0.6322}
improvement = {name: value / 0.5065 - 1 for name, value in paper_recall.items()}
print({name: f"{x:+.1%}" for name, x in improvement.items()})

# %% [markdown]
# **And with less data?** The same settings on the newest 1,500 and 5,000 of the training sessions.


# %%
def newest(n):
    """The log of the newest n training sessions, in the item codes of all (few may not occur)."""
    chosen = np.arange(30_000) >= 30_000 - n
    events = train.item[chosen[train.user]]
    return replace(train.select_users(chosen), item=events, item_ids=train.item_ids)


def knn_recall(log):
    """recall@20 of S-KNN on test."""
    return evaluate(SessionKNN().fit(log), test)["recall@20"]


small = newest(5_000)
reference = fit_and_choose(small, 3, n_seeds=3)
[few] = fit_and_choose(newest(1_500), 6)
learning_curve = {
    1_500: (recall(few[0]), knn_recall(newest(1_500))),
    5_000: (np.mean([recall(rank) for rank, _, _ in reference]), knn_recall(small)),
    30_000: (recall(test_ranks["GRU4Rec"]), recall(test_ranks["S-KNN"])),
}
for n, (ours, theirs) in learning_curve.items():
    print(f"{n:6} sessions: GRU4Rec {ours:.3f}, S-KNN {theirs:.3f}")
print("1,500 sessions, epochs (loss, recall@20 on valid):", few[1].round(3).tolist())

figure, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
sizes, ceiling = list(learning_curve), recall(test_ranks["Bayes ceiling"])
for values, name, colour in zip(
    np.transpose(list(learning_curve.values())), ("GRU4Rec", "S-KNN"), (RED, BLUE), strict=True
):
    ax.semilogx(sizes, values, "o-", color=colour, label=name)
ax.axhline(ceiling, color=GREY, linestyle=":")
ax.text(1500, ceiling - 0.003, "Bayes ceiling", color=GREY, va="top")
ax.set(xlabel="training sessions", ylabel="recall@20")
ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
ax.minorticks_off()
ax.legend(frameon=False)
show("learning curve")

# %% [markdown]
# Little data also means **overfitting**: with 1,500 sessions the loss falls to the last of the six
# epochs, recall on `valid` rises for three of them and then falls. Nothing in the loss tells; the
# epoch must be chosen on sessions that were not trained on (and not on `test`: lesson 25).

# %% [markdown]
# ## 9. The gradient of the target after training
#
# Figure 2 of the second paper: $-\partial L / \partial r_i$ of points whose target stands at rank
# 1, 2, 3, ... Trained on 5,000 sessions with BPR and with BPR-max, without additional samples and
# with 450; measured on the validation sessions, after the first and the last epoch.

# %%
EDGES = np.array([1, 2, 3, 5, 9, 17, 33, 65, 129, 501])


def target_gradients(m, loss, S):
    """(rank among all items, −∂L/∂r_i of its row) of the validation points."""
    rng, rows, found = np.random.default_rng(0), np.arange(32), []
    for at, scores in walk(m, valid, B=32):
        if len(at) == 32:
            target = valid.item[at + 1]
            dR = loss(scores[:, np.r_[target, rng.integers(0, 500, S)]])[1](32)
            found.append((rank_and_measure(scores, target, 20)[0], -dR[rows, rows]))
    return map(np.concatenate, zip(*found, strict=True))


def median_by_rank(rank, gradient):
    """The median of each bucket of ranks."""
    bucket = np.digitize(rank, EDGES) - 1
    return np.array([np.median(gradient[bucket == k]) for k in range(len(EDGES) - 1)])


rank_gradients, rank_recall = {}, {}
for name in ("BPR", "BPR-max"):
    for S in (0, 450):
        m = new_model(500)
        for epoch, _ in enumerate(train_epochs(m, small, 3, S=S, loss=LOSSES[name])):
            found = target_gradients(m, LOSSES[name], S)
            rank_gradients[name, S, epoch] = median_by_rank(*found)
        rank_recall[name, S] = recall(ranks_of(m, test))

bucket_names = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(EDGES)]
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, name in zip(axes, ("BPR", "BPR-max"), strict=True):
    for S, colour in ((0, BLUE), (450, RED)):
        for epoch, style in ((0, "--"), (2, "-")):
            label = f"{S} samples, epoch {epoch + 1}"
            ax.plot(rank_gradients[name, S, epoch], style, color=colour, marker="o", label=label)
    ax.set_xticks(range(len(bucket_names)), bucket_names, rotation=45)
    ax.set(title=name, xlabel="rank of the target among 500", yscale="log")
    ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    ax.minorticks_off()
axes[0].set_ylabel("median of −∂L/∂rᵢ")
axes[1].legend(frameon=False, fontsize=8)
show("gradient by rank")
print("after the last epoch, ranks", ", ".join(bucket_names))
for (name, S, epoch), found in rank_gradients.items():
    if epoch == 2:
        numbers = " ".join(f"{x:.3f}" for x in found)
        print(f"{name:8}{S:4} samples   {numbers}   recall@20 {rank_recall[name, S]:.3f}")

# %% [markdown]
# BPR's gradient is about the share of the negatives above the target: a target at rank 5 of 500 is
# *nearly* right, so it is hardly pushed, the less the longer the training and the more the samples.
# BPR-max asks only about the negatives at the top and pushes a target at rank 5 nearly as hard
# as one at rank 50, with 450 samples as with none. At the ranks that a recommender is about that is
# several times as much.
#
# **What does not show:** that BPR is much worse for it. Its recall with 450 samples, printed above,
# is near that of BPR-max, and more samples do not hurt it. Here are 500 items and Adagrad, which
# divides small gradients by their own size; in the paper there were 37,000.

# %% [markdown]
# ## 10. Which details change recall by more than 1 %?
#
# Third-party versions of GRU4Rec lose up to 99 % of its accuracy by details like these, its authors
# found. Each row changes one thing of the reference (5,000 sessions, 3 epochs, the epoch chosen on
# validation, 3 seeds) and is measured on the test sessions.

# %%
mixed = np.lexsort((np.random.default_rng(26).random(small.n_events), small.user))
CHANGES = {
    "Adagrad's accumulator starts at 0.1": {"accumulator": 0.1},
    "no additional samples": {"S": 0},
    "samples by popularity (α = 1)": {"alpha": 1.0},
    "α = 1 with logQ": {"alpha": 1.0, "logq": 1.0},
    "no state reset at all": {"reset": False, "evaluate_reset": False},
    "BPR-max": {"loss": bpr_max},
    "BPR-max with the slide's penalty": {"loss": bpr_max_slide},
    "samples of α = 0.5": {"alpha": 0.5},
    "no state reset in training": {"reset": False},
    "clicks of a training session shuffled": {"log": replace(small, item=small.item[mixed])},
}
details = {"reference": np.array([recall(rank) for rank, _, _ in reference])}
for name, change in CHANGES.items():
    runs = fit_and_choose(**{"log": small, "epochs": 3, "n_seeds": 3, **change})
    details[name] = np.array([recall(rank) for rank, _, _ in runs])
    if "accumulator" in change:
        accumulator_history = np.mean([history[:, 1] for _, history, _ in runs], axis=0)
details["no state reset in evaluation"] = np.array(
    [recall(ranks_of(m, test, reset=False)) for _, _, m in reference]
)
relative = {name: found / details["reference"] - 1 for name, found in details.items()}
for name, found in details.items():
    print(
        f"{name:37} recall@20 {found.mean():.4f} ({found.min():.4f} to {found.max():.4f})"
        f"  {relative[name].mean():+6.1%}"
    )

print("accumulator at 0.1, epochs on valid:", accumulator_history.round(3).tolist())

figure, ax = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
ordered_names = sorted(relative, key=lambda name: relative[name].mean())
for y, name in enumerate(ordered_names):
    change = relative[name].mean()
    ax.barh(y, 100 * change, color=RED if change < -0.01 else BLUE)
    ax.plot(100 * relative[name], np.full(3, y), "o", color="black", markersize=3)
ax.axvspan(-1, 1, color="#DDDDDD", zorder=0)
ax.axvline(0, color=GREY, linewidth=0.8)
ax.set_yticks(range(len(ordered_names)), ordered_names)
ax.set(xlabel="change of recall@20 in %, mean and three seeds (grey: ± 1 %)")
ax.spines[["top", "right"]].set_visible(False)
show("details")

# %% [markdown]
# Not one of these rows crashes, and each still learns something. That makes them dangerous. The
# standard error of one recall is about .006, so a change of 1 or 2 % is noise here; those of 4 %
# and more repeat with every seed.
#
# - The accumulator is the largest: with gradients of $10^{-4}$ it is as if the rate were hundreds
#   of times smaller. After three epochs the model hardly knows what is popular, and recall is still
#   rising.
# - Without additional samples a row has 31 negatives, most of them popular.
# - Popular samples without logQ push popular items down; logQ gives back all of it. (Samples of
#   $\alpha = 0$ are mixed with popular in-batch targets and do well without; $\alpha = 0.5$ is in
#   between.)
# - A state that is not reset carries a stranger's session. In training alone that costs as much as
#   in evaluation alone.
# - The slide's BPR-max spends its gradient on holding 159 scores at 0.
# - The shuffled clicks are no detail but a **negative control**: trained on the same sessions in
#   random order, tested on real ones. What is left is knowledge of what goes together; the order of
#   the clicks is worth the rest, one twentieth. A network that lost nothing here would not read
#   sequences.
#
# And the other settings? `nnlib`'s GRU4Rec on as many sessions, three seeds each, not run here:
# without additional samples − 11 %, with 32 rows as with 128, so more rows are no samples. All the
# rest is between − 3 and + 4 %, nothing that one could be sure of: 128 rows with samples, 16 or 256
# units, dropout 0 or 0.5, $\eta$ = 0.05 or 0.2, momentum 0.3, a shared embedding, $\alpha = 0.5$
# with logQ, BPR-max without ELU or penalty, TOP1 (the best of all), BPR.

# %% [markdown]
# ## 11. The library says the same
#
# `session_parallel` makes the same steps (it puts the rows that carry on first), `losses` has the
# losses, `GRU4RecNetwork` the step, `Adagrad` its rows, `evaluate` the measures. Steps first:

# %%
from nnlib.data.batches import session_parallel

theirs = list(session_parallel(Histories.from_offsets(test.item, test.offsets), 32))
mine = session_steps(test.offsets, 32)
same_steps = len(theirs) == len(mine) and all(
    np.array_equal(np.sort(at), np.sort(at_mine))
    and np.array_equal(np.sort(at[len(carried) :]), np.sort(at_mine[fresh]))
    for (at, carried), (at_mine, _, fresh) in zip(theirs, mine, strict=True)
)
print(f"{len(mine)} steps with equal events and equal resets: {same_steps}")
assert same_steps

# %% [markdown]
# The losses. (The library scores each item once and counts its columns; here all are different.)

# %%
import nnlib.losses

R_lib = np.random.default_rng(9).normal(size=(6, 20))
library_gaps = {}
for name, loss in LOSSES.items():
    same = getattr(nnlib.losses, {"XE": "cross_entropy"}.get(name, name.lower().replace("-", "_")))
    (value, backward), (value_lib, backward_lib) = loss(R_lib), same(R_lib, np.arange(6))
    library_gaps[name] = max(abs(value - value_lib), np.abs(backward() - backward_lib()).max())

# %% [markdown]
# Thirty training steps in double precision with the same weights and samples, α = 1 and logQ:

# %%
from nnlib.models.session.gru4rec_loss import score_block_loss
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.optim import Adagrad

ITEM_ARRAYS = ("V", "U", "b", "W", "b_out")


def in_double(m):
    """A model's arrays in double precision, with fresh accumulators."""
    copy = SimpleNamespace(**{name: vars(m)[name].astype(float) for name in ITEM_ARRAYS})
    copy.G = {name: np.zeros_like(p) for name, p in vars(copy).items()}
    return copy


def library_network(m):
    """(network of the library, its five parameters) with the weights of m."""
    net = GRU4RecNetwork(
        len(m.W), [len(m.U)], None, dropout_embed=0.0, dropout_hidden=0.0, reset=["before"],
        rng=np.random.default_rng(0),
    ).astype(np.float64)  # fmt: skip
    params = (net.inputs[0].E, net.cells[0].U, net.cells[0].b, net.W, net.b)
    for p, name in zip(params, ITEM_ARRAYS, strict=True):
        p.value[...] = vars(m)[name]
    return net, params


m_lib = in_double(new_model(500, H=16))
net, params = library_network(m_lib)
optimizer = Adagrad(net.parameters(), 0.1, initial=1e-6, eps=0.0)
objective = score_block_loss(
    "cross-entropy", train.support(), logq=1.0, sample_alpha=1.0, bpreg=1.0, elu_alpha=0.0,
    device="cpu",
)  # fmt: skip
sample_rng = np.random.default_rng(10)
log_supp = np.log(train.support())
h_mine, states, loss_gap = np.zeros((8, 16)), net.start(0), 0.0
schedule = session_parallel(Histories.from_offsets(train.item, train.offsets), 8)
for _, (at, keep, fresh), (at_lib, carried) in zip(
    range(30), session_steps(train.offsets[:200], 8), schedule, strict=False
):
    negative = draw_items(train.support(), 1.0, sample_rng.random(40))
    h_mine, Y = carry(h_mine, keep, fresh), np.r_[train.item[at + 1], negative]
    value, h_mine = train_step(
        m_lib, train.item[at], Y, h_mine, 1.0, cross_entropy, 0.1, log_supp[Y], B=8
    )
    block = net.block(train.item[at_lib], train.item[at_lib + 1], negative)
    (value_lib, states), backward = net(block, [h[carried] for h in states], objective)
    backward()
    optimizer.step()
    loss_gap = max(loss_gap, abs(value - value_lib))
library_gaps["loss of 30 steps"] = loss_gap
library_gaps["weights after them"] = max(
    np.abs(p.value - vars(m_lib)[name]).max() for p, name in zip(params, ITEM_ARRAYS, strict=True)
)

# %% [markdown]
# And `evaluate` on the model that was trained above, its weights in a `GRU4Rec` of the library:

# %%
as_library = GRU4Rec(hidden=(64,), embedding=None)
as_library.item_ids_ = train.item_ids
as_library.net_, _ = library_network(headline_model)
evaluation = evaluate(as_library, test)
rank_lib = ranks_of(in_double(headline_model), test)
library_gaps["recall@20"] = abs(evaluation["recall@20"] - recall(rank_lib))
library_gaps["MRR@20"] = abs(evaluation["mrr@20"] - mrr(rank_lib))
assert np.array_equal(evaluation.rank, rank_lib)
for name, gap in library_gaps.items():
    print(f"{name:20}{gap:.0e}")
assert max(library_gaps.values()) < 1e-12
print(evaluation)

# %% [markdown]
# ## What to keep
#
# - Sessions side by side: no padding, each pair once, state reset at every session's start.
# - The other rows' targets are free negatives; additional ones bring most of what is left.
# - The softmax over negatives keeps the target's gradient alive, and it has a gradient of its own.
# - Sum the gradients of a repeated item before squaring them, and start the accumulator at 0.
# - Rank all items, let the target lose ties, choose the epoch on validation. And count your points.
