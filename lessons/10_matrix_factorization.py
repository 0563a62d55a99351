# %% [markdown]
# # 10 · Matrix factorization as embedding learning
#
# - **Minutes:** 100
# - **Prerequisites:** lessons 01, 02 and 08; least squares
# - **Slides:** “Item embeddings”, “Matrix factorization as embedding learning”
# - **The deck is wrong here:** D27: under “Similar feature vectors” stands “User prefers item”. A
#   user prefers the item with the largest *dot product*, which need not be a similar vector; and
#   whether vectors are similar is not even determined by what the model predicts
#
# An embedding is a vector that stands for a thing: a film, a person, a loaf of bread. Matrix
# factorization learns one for every user and one for every item, and it is the smallest network
# that does: two tables and a dot product. In this lesson you write it three times, find out what
# its vectors mean and what they do not, draw maps with them, and see how far they carry beside
# methods that learn no vectors at all.

# %%
import os
import re
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import lessons
from lessons import check, show

BLUE, RED, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
ORANGE, SKY = "#E69F00", "#56B4E9"

# %% [markdown]
# | sign | meaning | shape |
# | --- | --- | --- |
# | $M$, $N$, $D$ | users, items, factors | |
# | $P$, $Q$ | table of user vectors, of item vectors; a row each | $(M, D)$, $(N, D)$ |
# | $P_u \cdot Q_i$ | score of item $i$ for user $u$ | $S = P Q^\top$ is $(M, N)$ |
# | $R$ | ratings, or 1 where something happened and 0 elsewhere | $(M, N)$ |
# | $\lambda$ | strength of the L2 penalty | |
#
# ## 1. A table is a layer
#
# The slide: “Input: one-hot encoded user ID; input to hidden weights: user feature matrix; hidden
# layer: user feature vector; hidden to output weights: item feature matrix”. With the one-hot
# vector $e_u$ (1 at $u$, 0 elsewhere) that is
#
# $$ h = e_u^\top P = P_u, \qquad s_i = h \cdot Q_i, \quad\text{all at once } s = Q h \tag{10.1} $$
#
# No bias, no activation. The product with a one-hot vector picks a row, so nobody multiplies: the
# layer is a *lookup*, $M$ times cheaper.

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
columns = {0: np.linspace(-2, 2, 5), 1: np.array([-0.8, 0.8]), 2: np.linspace(-2.4, 2.4, 6)}
for left, right in ((0, 1), (1, 2)):
    for i, a in enumerate(columns[left]):
        for b in columns[right]:
            used = left == 1 or i == 3
            ax.plot(
                [left, right],
                [a, b],
                color=BLUE if used else "#cccccc",
                linewidth=0.6 + used,
                zorder=1,
            )
for x, ys in columns.items():
    colours = [BLUE if x or i == 3 else "white" for i in range(len(ys))]
    ax.scatter([x] * len(ys), ys, s=260, c=colours, edgecolors=GREY, zorder=2)
for i, y in enumerate(columns[0]):
    text = "1" if i == 3 else "0"
    ax.text(0, y, text, ha="center", va="center", color="white" if i == 3 else GREY, zorder=3)
for x, text in (
    (0, "one-hot user"),
    (0.5, "P: only row u\ntakes part"),
    (1, "h = $P_u$"),
    (1.5, "Q: all rows"),
    (2, "scores of\nall items"),
):
    ax.text(x, 3.0, text, ha="center", va="bottom")
ax.set(xlim=(-0.3, 2.3), ylim=(-2.8, 4.2))
ax.axis("off")
show("network")

# %% [markdown]
# Backwards, a layer's weights get $\mathrm{d}P = e^\top \mathrm{d}h$ (lesson 02), with the one-hot
# vectors of the batch as rows of $e$. Of this product, too, only the rows that were looked up are
# not zero, and a row that was looked up several times gets the *sum*:
#
# $$ \mathrm{d}P_u = \sum_{n \,:\, u_n = u} \mathrm{d}h_n \tag{10.2} $$
#
# ### Exercise 10.1 · The embedding layer
#
# For a table $E$ of shape $(N, D)$ and `ids` of shape $(B,)$, return the rows, $(B, D)$, and
# `backward(dy)`, which returns $\mathrm{d}E$, of the shape of $E$. Ids may repeat.


# %%
def lookup(E, ids):
    """(y, backward): the rows E[ids]."""
    ### BEGIN SOLUTION 10.1
    ### HINT Forward is one indexing. backward begins with np.zeros_like(E).
    ### HINT dE[ids] += dy keeps one of the repeated rows; np.add.at(dE, ids, dy) adds all.
    y = E[ids]

    def backward(dy):
        dE = np.zeros_like(E)
        np.add.at(dE, ids, dy)  # (10.2)
        return dE

    return y, backward
    ### END SOLUTION


# %%
ids_check = np.array([3, 0, 3, 4, 3, 0])


def kept_one(E):
    """A lookup whose backward loses repeated ids."""

    def backward(dy):
        dE = np.zeros_like(E)
        dE[ids_check] += dy
        return dE

    return E[ids_check], backward


def averaged(E):
    """A lookup whose backward divides by the number of times."""
    hot = np.eye(len(E))[ids_check]
    return hot @ E, lambda dy: hot.T @ dy / np.maximum(hot.sum(axis=0), 1)[:, None]


check(
    "10.1",
    lambda E: lookup(E, ids_check),
    np.random.default_rng(101).normal(size=(5, 2)),
    forward=lambda E: np.eye(5)[ids_check] @ E,  # the layer with its one-hot input
    about={},
    mistakes={
        "of a repeated id one gradient is kept, the others are lost: np.add.at adds all": kept_one,
        "this is the mean over the repetitions; (10.2) is the sum": averaged,
    },
)

# %% [markdown]
# Everything that this course calls an embedding is this layer: word2vec in the next lesson, the
# input of GRU4Rec at the end.
#
# ## 2. Ratings
#
# The data: MovieLens 100K where it is there (in `../shared/data`, or below the folder that
# `NNLIB_DATA` names), $10^5$ ratings from 1 to 5 of 1682 films by 943 people. Elsewhere a made-up
# world takes its place, 800 people and 600 films of six genres. Everybody has a taste for genres,
# films are as unequally popular as real ones, and some people give more stars than others.

# %%
beside = Path(lessons.__file__).resolve().parents[2] / "shared" / "data"
DATA = Path(os.environ.get("NNLIB_DATA", beside))
GENRES = [
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
]


def movielens():
    """user, item, rating (n,), titles (N,), genres (N, 18) of 0 and 1."""
    user, item, rating, _ = np.loadtxt(DATA / "ml-100k" / "u.data", dtype=int).T
    lines = (DATA / "ml-100k" / "u.item").read_text(encoding="latin-1").splitlines()
    films = [line.split("|") for line in lines]
    genres = np.array([film[6:] for film in films], dtype=float)  # film[5] is "unknown"
    return user - 1, item - 1, rating.astype(float), [film[1] for film in films], genres


def made_films(seed=0, n_users=800, n_items=600):
    """The same of a made-up world."""
    rng = np.random.default_rng(seed)
    kinds = [GENRES.index(g) for g in ("Horror", "Sci-Fi", "Romance", "Children's", "War", "Crime")]
    kind = np.arange(n_items) % len(kinds)
    popularity = 1 / np.arange(5, n_items + 5) ** 0.8
    taste = rng.dirichlet(np.full(len(kinds), 0.4), size=n_users)
    length = np.minimum(rng.geometric(1 / 60, size=n_users) + 20, 200)
    own, style = rng.normal(size=(n_users, 3)), rng.normal(size=(n_items, 3))
    b_user, b_item = 0.4 * rng.normal(size=n_users), 0.5 * rng.normal(size=n_items)
    user, item, rating = [], [], []
    for u in range(n_users):
        p = popularity * (0.05 + taste[u, kind]) * np.exp(0.25 * style @ own[u])
        seen = rng.choice(n_items, size=length[u], replace=False, p=p / p.sum())
        liking = 0.9 * (taste[u, kind[seen]] > 0.25) + 0.35 * style[seen] @ own[u]
        stars = 3.2 + b_user[u] + b_item[seen] + liking + 0.8 * rng.normal(size=length[u])
        user += [u] * length[u]
        item += list(seen)
        rating += list(np.clip(np.rint(stars), 1, 5))
    genres = np.zeros((n_items, len(GENRES)))
    genres[np.arange(n_items), np.array(kinds)[kind]] = 1
    titles = [f"{GENRES[kinds[k]]} film no. {i // len(kinds) + 1}" for i, k in enumerate(kind)]
    return np.array(user), np.array(item), np.array(rating), titles, genres


REAL_FILMS = (DATA / "ml-100k").is_dir()
user, item, rating, titles, genres = movielens() if REAL_FILMS else made_films()
M, N = user.max() + 1, item.max() + 1
print(
    "MovieLens 100K" if REAL_FILMS else "made-up films",
    f"{M} users, {N} items, {len(user)} ratings",
)

# %% [markdown]
# What explains a rating before any taste does: the mean $\mu$, generous people, good films. The
# dot product has to explain the rest (Koren, Bell & Volinsky 2009):
#
# $$ y_{ui} = \mu + b_u + b_i + P_u \cdot Q_i \tag{10.3} $$
#
# Only the ratings that exist are in the loss, each with a penalty on the numbers that it uses:
#
# $$ L = \tfrac12 \sum_{(u, i)} \Big( (y_{ui} - r_{ui})^2
#    + \lambda\, \big( b_u^2 + b_i^2 + \lVert P_u \rVert^2 + \lVert Q_i \rVert^2 \big) \Big)
#    \tag{10.4} $$
#
# (A sum, not a mean: $\eta$ below is the step for one rating, as in the papers.)
#
# ### Exercise 10.2 · The gradient of a rating
#
# A batch of $B$ ratings comes with the rows that belong to them: `b_user`, `b_item` of shape
# $(B,)$, `p`, `q` of shape $(B, D)$, `r` of shape $(B,)$, and the numbers `mu` and `l2`. Return the
# gradients of (10.4) by the first four, in this order.


# %%
def rating_loss(b_user, b_item, p, q, r, mu, l2):
    """(10.4) of a batch."""
    y = mu + b_user + b_item + (p * q).sum(axis=1)  # (10.3)
    penalty = (b_user**2).sum() + (b_item**2).sum() + (p**2).sum() + (q**2).sum()
    return 0.5 * ((y - r) ** 2).sum() + 0.5 * l2 * penalty


def rating_gradients(b_user, b_item, p, q, r, mu, l2):
    """(db_user, db_item, dp, dq) of rating_loss."""
    ### BEGIN SOLUTION 10.2
    ### HINT Begin with the error y − r, (B,). It is the derivative by both biases, penalty apart.
    ### HINT By p the dot product has the derivative q, and by q it has p: error[:, None] * q.
    error = mu + b_user + b_item + (p * q).sum(axis=1) - r
    return (
        error + l2 * b_user,
        error + l2 * b_item,
        error[:, None] * q + l2 * p,
        error[:, None] * p + l2 * q,
    )
    ### END SOLUTION


# %%
def rating_slip(mu_in=1, biases_in=1, own=0, penalty=1, of_biases=1, scale=1.0):
    """Gradients with a mistake."""

    def wrong(b_user, b_item, p, q, r, mu, l2):
        error = mu_in * mu + biases_in * (b_user + b_item) + np.einsum("nd,nd->n", p, q) - r
        error, l2 = error[:, None] * scale, l2 * penalty
        for_p, for_q = (p, q) if own else (q, p)
        return (
            error[:, 0] + of_biases * l2 * b_user,
            error[:, 0] + of_biases * l2 * b_item,
            error * for_p + l2 * p,
            error * for_q + l2 * q,
        )

    return wrong


rng = np.random.default_rng(102)
check(
    "10.2",
    rating_gradients,
    rng.normal(size=5),
    rng.normal(size=5),
    rng.normal(size=(5, 3)),
    rng.normal(size=(5, 3)),
    rng.normal(size=5) + 3,
    3.5,
    0.3,
    gradient_of=rating_loss,
    by=("b_user", "b_item", "p", "q"),
    about={"batch_size": 5},
    mistakes={
        "the prediction lacks the mean μ": rating_slip(mu_in=0),
        "the prediction lacks the biases": rating_slip(biases_in=0),
        "dp has the factor q, and dq the factor p: they are exchanged": rating_slip(own=1),
        "the penalty is missing": rating_slip(penalty=0),
        "the biases have a penalty as well": rating_slip(of_biases=0),
        "the ½ of (10.4) takes the 2 of the square away": rating_slip(scale=2.0, penalty=2),
        "this divides the errors by B: (10.4) is a sum": rating_slip(scale=0.2),
    },
)

# %% [markdown]
# Stochastic gradient descent is then five lines: draw a few ratings, look their rows up, step. Here
# batches of 32, with a rate that falls to 0 (lesson 08).


# %%
FACTORS = 16
SGD_SETTINGS = {"lr": 0.05, "l2": 0.1, "epochs": 20}  # chosen on the split of seed 9, as is ALS_L2
ALS_L2 = 16.0


def predict(tables, user, item):
    """(10.3)."""
    mu, b_user, b_item, P, Q = tables
    return mu + b_user[user] + b_item[item] + (P[user] * Q[item]).sum(axis=1)


def rmse(y, r):
    """Root of the mean squared error."""
    return np.sqrt(np.mean((y - r) ** 2))


def start_tables(mean, shape, seed, D=FACTORS):
    """The tables at the beginning: biases 0, factors small and random; shape is (M, N)."""
    rng = np.random.default_rng(seed)
    factors = [0.1 * rng.normal(size=(n, D)) for n in shape]
    return [mean, *map(np.zeros, shape), *factors]


def fit_sgd(user, item, r, lr, l2, epochs, seed, B=32):
    """The tables after each epoch."""
    tables = mu, b_user, b_item, P, Q = start_tables(r.mean(), (M, N), seed)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(len(r))
        eta = lr * (1 - epoch / epochs)
        for k in range(0, len(r), B):
            u, i = user[order[k : k + B]], item[order[k : k + B]]
            rows = b_user[u], b_item[i], P[u], Q[i]
            steps = rating_gradients(*rows, r[order[k : k + B]], mu, l2)
            for table, at, g in zip(tables[1:], (u, i, u, i), steps, strict=True):
                np.add.at(table, at, -eta * g)  # (10.2): ids repeat
        yield tables


# %% [markdown]
# ### Alternating least squares
#
# SGD has a rate to choose. But look at (10.4) with the items held fixed: in $P_u$ it is a least
# squares problem, a ridge regression of $u$'s ratings on the vectors of the films rated. That has a
# closed solution. Then hold the users fixed, solve for the items, and so on: the loss can only
# fall. Let us write it for any weights $w_{ui} \ge 0$ of the cells and any targets $t_{ui}$:
#
# $$ L_u = \tfrac12 \sum_i w_{ui}\, (t_{ui} - P_u \cdot Q_i)^2
#    + \tfrac12 \lambda \lVert P_u \rVert^2 \tag{10.5} $$
# $$ P_u = \Big( \sum_i w_{ui}\, Q_i Q_i^\top + \lambda I \Big)^{-1} \sum_i w_{ui}\, t_{ui}\, Q_i
#    \tag{10.6} $$
#
# With $w_{ui} = 1$ where there is a rating and 0 elsewhere this is the loss above, but for one
# thing: $\lambda$ stands once for every user, in (10.4) once for every *rating*. So the two
# $\lambda$ are on different scales, here 16 and 0.1.
#
# ### Exercise 10.3 · All users at once
#
# Return the rows (10.6), $(M, D)$, for $Q$ of shape $(N, D)$, and $W$, $T$ of shape $(M, N)$. No
# loop over users: `np.linalg.solve` takes a stack of matrices, $(M, D, D)$, and a stack of right
# sides, $(M, D, 1)$. The sums of outer products, too, are one matrix product: of $W$ with the
# outer products of the items, $(N, D \cdot D)$.


# %%
def best_rows(Q, W, T, l2):
    """The rows P (M, D) that minimise (10.5) for fixed Q."""
    ### BEGIN SOLUTION 10.3
    ### HINT (Q[:, :, None] * Q[:, None, :]) holds Q_i Q_iᵀ for every i; reshape it to (N, D * D).
    ### HINT A = (W @ outer).reshape(-1, D, D) + l2 * np.eye(D), and the right side is (W * T) @ Q.
    ### HINT np.linalg.solve(A, right[:, :, None])[:, :, 0]
    D = Q.shape[1]
    outer = (Q[:, :, None] * Q[:, None, :]).reshape(len(Q), D * D)
    A = (W @ outer).reshape(-1, D, D) + l2 * np.eye(D)
    right = (W * T) @ Q
    return np.linalg.solve(A, right[:, :, None])[:, :, 0]
    ### END SOLUTION


# %%
def ridge(Q, w, t, l2):
    """One row, by least squares: the penalty is D more equations, √λ p = 0."""
    D = Q.shape[1]
    left = np.concatenate([np.sqrt(w)[:, None] * Q, np.sqrt(l2) * np.eye(D)])
    return np.linalg.lstsq(left, np.append(np.sqrt(w) * t, np.zeros(D)))[0]


def ridge_rows(Q, W, T, l2):
    """(10.6), row by row."""
    return np.array([ridge(Q, w, t, l2) for w, t in zip(W, T, strict=True)])


def rows_with(Q, left, right, l2):
    """(10.6) with a weight in the matrix and another factor on the right side."""
    A = np.einsum("un,nd,ne->ude", left, Q, Q) + l2 * np.eye(Q.shape[1])
    return np.stack([np.linalg.solve(a, b) for a, b in zip(A, right @ Q, strict=True)])


# %%
rng = np.random.default_rng(103)
check(
    "10.3",
    best_rows,
    rng.normal(size=(7, 3)),
    rng.random((4, 7)) * (rng.random((4, 7)) > 0.3),
    rng.normal(size=(4, 7)),
    0.4,
    expected=ridge_rows,
    mistakes={
        "the right side lacks the weights: (W * T) @ Q": lambda Q, W, T, l2: rows_with(Q, W, T, l2),
        "the weights are missing in the matrix": lambda Q, W, T, l2: rows_with(
            Q, np.ones_like(W), W * T, l2
        ),
        "the weights are missing everywhere": lambda Q, W, T, l2: rows_with(
            Q, np.ones_like(W), T, l2
        ),
        "the targets are missing on the right side": lambda Q, W, T, l2: rows_with(Q, W, W, l2),
        "the penalty is missing": lambda Q, W, T, l2: rows_with(Q, W, W * T, 0.0),
        "λ is added to every entry of the matrix: it belongs on the diagonal": lambda Q, W, T, l2: (
            np.stack(
                [
                    np.linalg.solve(Q.T @ np.diag(w) @ Q + l2, Q.T @ (w * t))
                    for w, t in zip(W, T, strict=True)
                ]
            )
        ),
    },
)

# %% [markdown]
# The biases need no code of their own. A user's $b_u$ is the weight of a feature that is 1 for
# every film: give $Q$ a column of ones, and take the film's bias off the target first. The same
# for the items, with the roles exchanged.


# %%
def fit_als(W, R, l2, sweeps, seed, D=FACTORS):
    """The tables after each sweep; W is 1 where there is a rating R."""
    mu, b_user, b_item, P, Q = start_tables(R[W > 0].mean(), R.shape, seed, D)
    for _ in range(sweeps):
        with_ones = np.column_stack([Q, np.ones(len(Q))])
        rows = best_rows(with_ones, W, R - mu - b_item, l2)
        P, b_user = rows[:, :-1], rows[:, -1]
        with_ones = np.column_stack([P, np.ones(len(P))])
        rows = best_rows(with_ones, W.T, R.T - mu - b_user, l2)
        Q, b_item = rows[:, :-1], rows[:, -1]
        yield mu, b_user, b_item, P, Q


def biases_only(W, R, l2=5.0, sweeps=10):
    """The tables of μ + b_u + b_i: (10.6) with the column of ones alone."""
    mu, b_item = R[W > 0].mean(), np.zeros(N)
    for _ in range(sweeps):
        b_user = best_rows(np.ones((N, 1)), W, R - mu - b_item, l2)[:, 0]
        b_item = best_rows(np.ones((M, 1)), W.T, R.T - mu - b_user, l2)[:, 0]
    return mu, b_user, b_item, np.zeros((M, 1)), np.zeros((N, 1))


def dense(user, item, values):
    """(M, N) with the values in their cells, 0 elsewhere."""
    table = np.zeros((M, N))
    table[user, item] = values
    return table


RATING_SEEDS = (0, 1, 2)
rating_errors, rating_curves = {}, {"SGD": [], "ALS": []}
for seed in RATING_SEEDS:
    test, train = np.split(
        np.random.default_rng(seed).permutation(len(rating)), [len(rating) // 10]
    )
    held = user[test], item[test]
    W, R = dense(user[train], item[train], 1.0), dense(user[train], item[train], rating[train])
    found = {
        "mean": rmse(rating[train].mean(), rating[test]),
        "biases": rmse(predict(biases_only(W, R), *held), rating[test]),
    }
    runs = {
        "SGD": fit_sgd(user[train], item[train], rating[train], **SGD_SETTINGS, seed=seed),
        "ALS": fit_als(W, R, ALS_L2, 12, seed),
    }
    for name, run in runs.items():
        rating_curves[name].append([rmse(predict(tables, *held), rating[test]) for tables in run])
        found[f"MF, {name}"] = rating_curves[name][-1][-1]
    for name, error in found.items():
        rating_errors.setdefault(name, []).append(error)
for name, errors in rating_errors.items():
    print(f"{name:8} test RMSE {np.mean(errors):.4f} ({min(errors):.4f} to {max(errors):.4f})")

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for (name, curves), colour in zip(rating_curves.items(), (RED, BLUE), strict=True):
    passes = np.arange(1, len(curves[0]) + 1)
    ax.plot(passes, np.mean(curves, axis=0), "o-", markersize=3, color=colour, label=f"MF, {name}")
    ax.fill_between(
        passes, np.min(curves, axis=0), np.max(curves, axis=0), color=colour, alpha=0.15
    )
ax.axhline(np.mean(rating_errors["biases"]), color=GREY, linestyle=":")
ax.text(20, np.mean(rating_errors["biases"]), "biases alone", color=GREY, va="bottom", ha="right")
ax.set(title="mean and range of 3 splits", xlabel="pass over the ratings", ylabel="test RMSE")
ax.set_xticks(range(0, 21, 5))
ax.legend(frameon=False)
show("ratings")

# %% [markdown]
# Most of what can be said about a rating is in the biases; taste adds a few hundredths. ALS gets
# there in a handful of passes and without a rate. (The settings were chosen with MovieLens; in the
# made-up world SGD ends lower than ALS.)
#
# And remember the deck's own advice, some slides earlier: “Don't work on irrelevant tasks, e.g.
# rating prediction”. A shop wants to know what to show, not how many stars it would get. So on to
# the other task.
#
# ## 3. What people did
#
# A log says who watched what, not who disliked what. Set $t_{ui} = 1$ where something happened,
# and 0 elsewhere, but trust the ones more (Hu, Koren & Volinsky 2008):
#
# $$ L = \tfrac12 \sum_u \sum_i c_{ui}\, (t_{ui} - P_u \cdot Q_i)^2
#    + \tfrac12 \lambda \big( \lVert P \rVert^2 + \lVert Q \rVert^2 \big),
#    \qquad c_{ui} = 1 + \alpha t_{ui} \tag{10.7} $$
#
# Now *all* $M \cdot N$ cells are in the loss. (Without the zeros $P_u \cdot Q_i = 1$ for all would
# be perfect, and useless.) As it stands, a user's solution (10.6) sums over all items. With
# $c_{ui} = 1 + (c_{ui} - 1)$ it does not have to: the first part is the same for all users, the
# *Gram matrix* $Q^\top Q$, made once per sweep, and the second is 0 but for the user's own items
# $N(u)$:
#
# $$ P_u = \Big( Q^\top Q + \alpha \sum_{i \in N(u)} Q_i Q_i^\top + \lambda I \Big)^{-1}
#    (1 + \alpha) \sum_{i \in N(u)} Q_i \tag{10.8} $$
#
# ### Exercise 10.4 · A user from a history
#
# Return $P_u$, $(D,)$, by (10.8), from $Q$, `gram` $= Q^\top Q$ and the item numbers `items` of the
# user, none twice. Nothing of size $N$ may be computed.


# %%
def user_vector(Q, gram, items, alpha, l2):
    """(10.8), (D,)."""
    ### BEGIN SOLUTION 10.4
    ### HINT own = Q[items] holds the vectors of the history; the sum of their outer products is
    ###      own.T @ own.
    ### HINT np.linalg.solve(gram + alpha * own.T @ own + l2 * I, (1 + alpha) * sum of own)
    own = Q[items]
    A = gram + alpha * own.T @ own + l2 * np.eye(Q.shape[1])
    return np.linalg.solve(A, (1 + alpha) * own.sum(axis=0))
    ### END SOLUTION


# %%
def user_by_all_items(Q, gram, items, alpha, l2):
    """The minimum of (10.7) in P_u, over all N cells."""
    t = np.zeros(len(Q))
    t[items] = 1
    return ridge(Q, 1 + alpha * t, t, l2)


def user_slip(c_gram=1.0, c_left=None, c_right=None, c_l2=1.0):
    """(10.8) with other factors."""

    def wrong(Q, gram, items, alpha, l2):
        left = alpha if c_left is None else c_left(alpha)
        right = 1 + alpha if c_right is None else c_right(alpha)
        A = sum((left * np.outer(Q[i], Q[i]) for i in items), c_gram * gram)
        return np.linalg.inv(A + c_l2 * l2 * np.eye(len(gram))) @ (right * Q[items].T.sum(axis=1))

    return wrong


rng = np.random.default_rng(104)
Q_check = rng.normal(size=(9, 3))
check(
    "10.4",
    user_vector,
    Q_check,
    Q_check.T @ Q_check,
    np.array([7, 2, 4, 5]),
    1.7,
    0.6,
    expected=user_by_all_items,
    mistakes={
        "the history counts 1 + α times in the matrix: gram has the 1 already": (
            user_slip(c_left=lambda alpha: 1 + alpha)
        ),
        "the right side has the whole confidence 1 + α, this has α": (
            user_slip(c_right=lambda alpha: alpha)
        ),
        "the right side lacks the confidence 1 + α": user_slip(c_right=lambda alpha: 1),
        "gram is missing: without the zeros of all other items": user_slip(c_gram=0),
        "the penalty is missing": user_slip(c_l2=0),
        "α is missing in the matrix": user_slip(c_left=lambda alpha: 1),
    },
)

# %% [markdown]
# The same trick gives the loss of all cells without visiting them. With $G_P = P^\top P$ and
# $G_Q = Q^\top Q$,
#
# $$ \sum_u \sum_i (P_u \cdot Q_i)^2 = \sum_{d, e} (G_P)_{de}\, (G_Q)_{de} \tag{10.9} $$
#
# and the cells where something happened are corrected one by one. For a million users and as many
# items that is the difference between $10^{12}$ cells and the $10^8$ that have an event in them.


# %%
def implicit_loss(P, Q, user, item, alpha, l2):
    """(10.7) by (10.9): O((M + N) D² + events · D)."""
    s = (P[user] * Q[item]).sum(axis=1)
    zeros = ((P.T @ P) * (Q.T @ Q)).sum() - (s**2).sum()
    penalty = (P**2).sum() + (Q**2).sum()
    return 0.5 * (zeros + (1 + alpha) * ((1 - s) ** 2).sum() + l2 * penalty)


def fit_implicit(R, D=FACTORS, alpha=10.0, l2=20.0, sweeps=10, seed=0, losses=None):
    """(P, Q) by ALS on (10.7) for R (M, N) of 0 and 1; losses gets the loss of every half sweep."""
    Q = 0.1 * np.random.default_rng(seed).normal(size=(R.shape[1], D))
    cells = np.nonzero(R)
    for _ in range(sweeps):
        P = best_rows(Q, 1 + alpha * R, R, l2)
        if losses is not None:
            losses.append(implicit_loss(P, Q, *cells, alpha, l2))
        Q = best_rows(P, 1 + alpha * R.T, R.T, l2)
        if losses is not None:
            losses.append(implicit_loss(P, Q, *cells, alpha, l2))
    return P, Q


LIKED = dense(user, item, rating >= 4)  # "liked": four stars or five
als_losses = []
P_films, Q_films = fit_implicit(LIKED, losses=als_losses)
cells = np.nonzero(LIKED)
loss_of_all_cells = 0.5 * ((1 + 10 * LIKED) * (LIKED - P_films @ Q_films.T) ** 2).sum() + 10 * (
    (P_films**2).sum() + (Q_films**2).sum()
)
gram_loss_gap = abs(loss_of_all_cells / als_losses[-1] - 1)
als_largest_rise = np.diff(als_losses).max() / als_losses[-1]
print(f"(10.9) and the sum over {LIKED.size:,} cells: relative difference {gram_loss_gap:.0e}")
print(
    f"loss after half sweeps 1, 2, 3, 4 … {len(als_losses)}:",
    np.round(als_losses, 1)[[0, 1, 2, 3, -1]],
)
assert als_largest_rise < 0  # every half sweep lowers the loss

# %% [markdown]
# What the Gram matrix saves, measured: one user with 50 items among more and more.


# %%
def seconds(function, repeats=5):
    """Shortest of some runs."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        found.append(time.perf_counter() - begin)
    return min(found)


catalogue = 2 ** np.arange(9, 17)
user_seconds = {"all items": [], "Gram matrix": []}
rng = np.random.default_rng(7)
for n in catalogue:
    Q = rng.normal(size=(n, FACTORS))
    own = rng.choice(n, size=50, replace=False)
    w = np.ones((1, n))
    w[0, own] = 11
    gram = Q.T @ Q
    user_seconds["all items"].append(seconds(lambda Q=Q, w=w: best_rows(Q, w, w > 1, 20.0)))
    user_seconds["Gram matrix"].append(
        seconds(lambda Q=Q, gram=gram, own=own: user_vector(Q, gram, own, 10.0, 20.0))
    )
figure, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
for (name, found), colour in zip(user_seconds.items(), (RED, BLUE), strict=True):
    ax.loglog(catalogue, 1e6 * np.array(found), "o-", color=colour, label=name)
ax.set(title="one user with 50 items", xlabel="items N", ylabel="microseconds")
ax.legend(frameon=False)
show("gram")

# %% [markdown]
# ### Is it any good?
#
# Hide a fifth of everybody's likes, rank all films that are not among the others, and look at the
# first ten. A hit at rank $k$ is worth $1 / \log_2 (1 + k)$; NDCG@10 is the sum, divided by the
# best that was possible, and averaged over users.


# %%
def hide_a_fifth(seed):
    """(known, hidden), each (M, N) of 0 and 1."""
    rng = np.random.default_rng(seed)
    known, hidden = LIKED.copy(), np.zeros_like(LIKED)
    for u in range(M):
        mine = rng.permutation(np.flatnonzero(LIKED[u]))
        mine = mine[: len(mine) // 5]
        known[u, mine], hidden[u, mine] = 0, 1
    return known, hidden


def ndcg(scores, known, hidden, k=10):
    """NDCG@k of every user who has hidden items."""
    asked = hidden.sum(axis=1) > 0
    s = np.where(known > 0, -np.inf, scores)[asked]
    top = np.argsort(-s, axis=1, kind="stable")[:, :k]
    worth = 1 / np.log2(np.arange(2, k + 2))
    gain = np.take_along_axis(hidden[asked], top, axis=1) @ worth
    n = np.minimum(hidden[asked].sum(axis=1).astype(int), k)
    return gain / np.cumsum(worth)[n - 1]


def popularity(known):
    """The same scores for everybody."""
    return np.broadcast_to(known.sum(axis=0), known.shape)


known_9, hidden_9 = hide_a_fifth(9)
LAMBDAS = (1, 3, 10, 20, 40, 100, 300)
ials_by_lambda = {}
for l2 in LAMBDAS:
    P, Q = fit_implicit(known_9, l2=l2)
    ials_by_lambda[l2] = ndcg(P @ Q.T, known_9, hidden_9).mean()
popularity_9 = ndcg(popularity(known_9), known_9, hidden_9).mean()
print(f"popularity: NDCG@10 {popularity_9:.4f}")
print("implicit ALS by λ:", {l2: round(float(x), 4) for l2, x in ials_by_lambda.items()})

# %% [markdown]
# Much better than recommending what everybody likes, and **very sensitive to λ**. Who compares with
# implicit ALS at its default setting compares with a straw man.

# %% [markdown]
# ## 4. Asymmetric MF: users made of items
#
# “Instead of user ID, the input is a vector of interactions over the items.” So a user is the sum
# of the vectors of what the user did, from a second item table $X$ (Paterek 2007, NSVD1):
#
# $$ P_u = n_u^{-1/2} \sum_{j \in N(u)} X_j, \qquad\text{or}\quad P = A X, \quad
#    A_{uj} = n_u^{-1/2}\ \text{for } j \in N(u),\ \text{else } 0 \tag{10.10} $$
#
# $2 N D$ numbers instead of $(M + N) D$, and a user who was not there at training has a vector as
# soon as there is a history. With $G = C \odot (S - R)$, the derivative of (10.7) by the scores
# $S = A X Q^\top$, the chain has one link more than in plain MF:
#
# $$ \mathrm{d}P = G\,Q, \qquad \mathrm{d}Q = G^\top P, \qquad \mathrm{d}X = A^\top \mathrm{d}P
#    \tag{10.11} $$
#
# ### Exercise 10.5 · The gradients of asymmetric MF
#
# Return $\mathrm{d}X$ and $\mathrm{d}Q$ of `amf_loss`, penalty included.


# %%
def amf_loss(X, Q, A, R, C, l2):
    """(10.7) with P = A X; X, Q (N, D), A, R, C (M, N)."""
    S = A @ X @ Q.T
    return 0.5 * (C * (R - S) ** 2).sum() + 0.5 * l2 * ((X**2).sum() + (Q**2).sum())


def amf_gradients(X, Q, A, R, C, l2):
    """(dX, dQ) of amf_loss."""
    ### BEGIN SOLUTION 10.5
    ### HINT Forward: P = A @ X, S = P @ Q.T. Then G = C * (S - R), prediction minus target.
    ### HINT dQ = G.T @ P and dX = A.T @ (G @ Q), and λ times the table for each.
    P = A @ X
    G = C * (P @ Q.T - R)
    return A.T @ (G @ Q) + l2 * X, G.T @ P + l2 * Q  # (10.11)
    ### END SOLUTION


# %%
def amf_slip(weights=1, penalty=1, link=1, user_is_sum=0):
    """Gradients with a mistake."""

    def wrong(X, Q, A, R, C, l2):
        B = (A > 0).astype(float) if user_is_sum else A
        G = (C if weights else 1.0) * (np.einsum("un,nd,id->ui", B, X, Q) - R)
        dP = G @ Q
        dX = B.T @ dP + penalty * l2 * X if link else dP
        return dX, G.T @ B @ X + penalty * l2 * Q

    return wrong


rng = np.random.default_rng(105)
R_check = (rng.random((5, 7)) > 0.5).astype(float)
R_check[:, 0] = 1
check(
    "10.5",
    amf_gradients,
    rng.normal(size=(7, 3)),
    rng.normal(size=(7, 3)),
    R_check / np.sqrt(R_check.sum(axis=1, keepdims=True)),
    R_check,
    1 + 2.5 * R_check,
    0.4,
    gradient_of=amf_loss,
    by=("X", "Q"),
    mistakes={
        "the confidences C are missing": amf_slip(weights=0),
        "the penalty is missing": amf_slip(penalty=0),
        "this is dP in the place of dX: one link is missing, Aᵀ": amf_slip(link=0),
        "P_u is the plain sum, without n_u to the power −½": amf_slip(user_is_sum=1),
    },
)

# %% [markdown]
# **The trap.** If $i$ is among $u$'s items, $X_i \cdot Q_i$ is part of the score of $i$: the model
# may learn to say *yes* because it was told. At recommendation time the items that are ranked are
# not in the history, and there is nothing to be repeated. The way out is to predict an item from
# the others. The sum without $i$ need not be summed again (Kabbur et al. 2013 call it FISM):
#
# $$ P_u^{-i} = (n_u - 1)^{-1/2} \big( n_u^{1/2} P_u - X_i \big), \qquad
#    P_u^{-i} \cdot Q_i = (n_u - 1)^{-1/2} \big( n_u^{1/2} S_{ui} - X_i \cdot Q_i \big)
#    \tag{10.12} $$
#
# Only the cells of $N(u)$ change; in those, a step back reaches $X_i$ and $Q_i$ directly as well.


# %%
def history_weights(R):
    """A of (10.10); a row of zeros for a user without items."""
    return R / np.sqrt(np.maximum(R.sum(axis=1, keepdims=True), 1))


def excluding_gradients(X, Q, A, R, alpha, l2):
    """(loss, dX, dQ) of (10.7) where items of the history are scored by (10.12)."""
    P = A @ X
    S = P @ Q.T
    u, i = np.nonzero(R)
    n = R.sum(axis=1)[u]
    own, rest = np.sqrt(n), 1 / np.sqrt(np.maximum(n - 1, 1))
    s = rest * (own * S[u, i] - (X * Q).sum(axis=1)[i])  # (10.12)
    S[u, i] = 0
    loss = 0.5 * ((S**2).sum() + (1 + alpha) * ((s - 1) ** 2).sum())
    g = (1 + alpha) * (s - 1)
    S[u, i] = g * rest * own  # S is now the derivative by P_u · Q_i
    direct = np.bincount(i, -g * rest, minlength=len(Q)).astype(Q.dtype)[:, None]  # by X_i · Q_i
    dX = A.T @ (S @ Q) + direct * Q + l2 * X
    dQ = S.T @ P + direct * X + l2 * Q
    return loss + 0.5 * l2 * ((X**2).sum() + (Q**2).sum()), dX, dQ


rng = np.random.default_rng(8)
X_small, Q_small = rng.normal(size=(2, 7, 3))
A_small = history_weights(R_check)
for u, i in zip(*np.nonzero(R_check), strict=True):  # (10.12) is the sum without i
    others = [j for j in np.flatnonzero(R_check[u]) if j != i]
    n = R_check[u].sum()
    shortcut = (np.sqrt(n) * (A_small @ X_small)[u] - X_small[i]) / np.sqrt(n - 1)
    assert np.allclose(shortcut, X_small[others].sum(axis=0) / np.sqrt(n - 1), rtol=0, atol=1e-12)


def directional(at, eps=1e-6):
    """Largest error of the gradients against central differences in some random directions."""
    worst = 0.0
    _, *gradients = excluding_gradients(*at, A_small, R_check, 2.5, 0.4)
    for _ in range(20):
        step = rng.normal(size=(2, 7, 3))
        up, down = (
            excluding_gradients(*(np.array(at) + sign * eps * step), A_small, R_check, 2.5, 0.4)[0]
            for sign in (1, -1)
        )
        worst = max(worst, abs((up - down) / (2 * eps) / (step * gradients).sum() - 1))
    return worst


excluding_error = directional((X_small, Q_small))
print(f"gradients with exclusion against differences: relative error {excluding_error:.0e}")
assert excluding_error < 1e-6


# %%
def fit_asymmetric(R, exclude=True, D=FACTORS, alpha=10.0, l2=60.0, lr=0.02, steps=100, seed=0):
    """(X, Q) by Adam (lesson 08) on all cells, with a rate that falls to 0."""
    rng = np.random.default_rng(seed)
    R = R.astype(np.float32)  # half the time; training does not need more
    A, C = history_weights(R), 1 + alpha * R
    table = 0.1 * rng.normal(size=(2, R.shape[1], D)).astype(np.float32)  # X and Q
    m, v = np.zeros_like(table), np.zeros_like(table)
    for t in range(1, steps + 1):
        if exclude:
            g = np.stack(excluding_gradients(*table, A, R, alpha, l2)[1:])
        else:
            g = np.stack(amf_gradients(*table, A, R, C, l2))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        table = table - lr * (1 - (t - 1) / steps) * step
    return table


AMF_LAMBDAS = (3, 20, 60)
amf_by_lambda, self_share = {}, {}
for exclude in (True, False):
    for l2 in AMF_LAMBDAS:
        X, Q = fit_asymmetric(known_9, exclude, l2=l2)
        s = history_weights(known_9) @ X @ Q.T
        amf_by_lambda[exclude, l2] = ndcg(s, known_9, hidden_9).mean()
        u, i = np.nonzero(known_9)
        of_itself = (X * Q).sum(axis=1)[i] / np.sqrt(known_9.sum(axis=1)[u])
        self_share[exclude, l2] = of_itself.sum() / s[u, i].sum()
        print(
            f"{'excluding' if exclude else 'including'} the target, λ = {l2:2}: "
            f"NDCG@10 {amf_by_lambda[exclude, l2]:.4f}, "
            f"{self_share[exclude, l2]:.0%} of the training scores are X_i · Q_i"
        )

figure, axes = plt.subplots(
    1, 2, figsize=(9.4, 3.3), layout="constrained", sharex=True, sharey=True
)
axes[0].semilogx(LAMBDAS, list(ials_by_lambda.values()), "o-", color=BLUE)
axes[0].set(title="implicit ALS", xlabel="λ", ylabel="NDCG@10 (seed 9)", ylim=(0, None))
for exclude, colour in ((True, GREEN), (False, RED)):
    label = f"{'excluding' if exclude else 'including'} the target"
    values = [amf_by_lambda[exclude, l2] for l2 in AMF_LAMBDAS]
    axes[1].semilogx(AMF_LAMBDAS, values, "o-", color=colour, label=label)
axes[1].set(title="asymmetric MF", xlabel="λ")
axes[1].legend(frameon=False)
for ax in axes:
    ax.axhline(popularity_9, color=GREY, linestyle=":")
    ax.text(1, popularity_9, "popularity", color=GREY, va="bottom")
show("regularisation")

# %% [markdown]
# With a weak penalty the trap costs about a hundredth, and a larger part of a score is the item
# itself. A strong penalty closes most of the gap: items then have to lean on one another anyway.
#
# ### New users
#
# Take a fifth of the users out of training altogether. When the models are finished, these users
# come, show half of their likes, and get recommendations, scored on the other half. *Warm* is the
# same with those halves in the training data.

# %%
NEW_SEEDS = (0, 1)
new_users = {}
for seed in NEW_SEEDS:
    rng = np.random.default_rng(seed)
    chosen = np.zeros(M, dtype=bool)
    chosen[rng.permutation(M)[: M // 5]] = True
    shown = LIKED * (rng.random(LIKED.shape) < 0.5)
    others, half, hidden = LIKED[~chosen], shown[chosen], (LIKED - shown)[chosen]
    everyone = np.concatenate([others, half])
    late = np.arange(len(others), len(everyone))
    liked_by_others = np.broadcast_to(others.sum(axis=0), half.shape)
    models = {"popularity, and MF without a vector": liked_by_others}
    X, Q = fit_asymmetric(others, seed=seed)
    models["asymmetric MF, new"] = history_weights(half) @ X @ Q.T
    X, Q = fit_asymmetric(everyone, seed=seed)
    models["asymmetric MF, warm"] = history_weights(half) @ X @ Q.T
    P, Q = fit_implicit(others, seed=seed)
    gram = Q.T @ Q
    P_new = [user_vector(Q, gram, np.flatnonzero(row), 10.0, 20.0) for row in half]
    models["implicit ALS, new, by (10.8)"] = np.array(P_new) @ Q.T
    P, Q = fit_implicit(everyone, seed=seed)
    models["implicit ALS, warm"] = P[late] @ Q.T
    for name, s in models.items():
        new_users.setdefault(name, []).append(ndcg(s, half, hidden).mean())
for name, found in new_users.items():
    print(f"{name:36} NDCG@10", *(f"{x:.4f}" for x in found))

# %% [markdown]
# Asymmetric MF loses little. Plain MF has no row for a new user and can only recommend what is
# popular. **But that is said too fast:** one half step of ALS, (10.8), makes the missing vector
# from the history, without any training, and does as well. What asymmetric MF has ahead is the
# simplicity: a sum that can be updated with every click. Part III builds on it.

# %% [markdown]
# ## 5. What the vectors mean
#
# “Similar entities' embeddings are similar”: is that so here? The loss knows of $P$ and $Q$ only
# through $P Q^\top$ and the penalty. For any invertible $A$ of shape $(D, D)$
#
# $$ (P A)\,(Q A^{-\top})^\top = P A A^{-1} Q^\top = P Q^\top \tag{10.13} $$
#
# The same scores, the same recommendations; but other vectors, other angles between them, other
# neighbours. Without a penalty nothing prefers one $A$ to another: **cosine neighbours of
# unregularised MF are arbitrary.** With a penalty on both tables some are cheaper than others:
#
# $$ \min_{P Q^\top = S} \tfrac12 \big( \lVert P \rVert^2 + \lVert Q \rVert^2 \big)
#    = \textstyle\sum_d \sigma_d(S), \qquad\text{reached where } P^\top P = Q^\top Q \tag{10.14} $$
#
# ($\sigma_d$: singular values.) What is left are $A$ with $A A^\top = I$, rotations and
# reflections, and those change no cosine.
#
# ### Exercise 10.6 · The balanced form
#
# Given any $P$, $Q$, return $P'$, $Q'$ of the same shapes with the same products, and
# $P'^\top P' = Q'^\top Q'$ diagonal, largest first. It is the singular value decomposition
# $P Q^\top = U \Sigma V^\top$, with $P' = U \Sigma^{1/2}$ and $Q' = V \Sigma^{1/2}$. But do not
# make the $(M, N)$ matrix: with $P = O_P T_P$, $Q = O_Q T_Q$ (`np.linalg.qr`) all that needs an SVD
# is $T_P T_Q^\top$, $(D, D)$.


# %%
def balanced(P, Q):
    """(P', Q') with P' Q'ᵀ = P Qᵀ and equal, diagonal Gram matrices."""
    ### BEGIN SOLUTION 10.6
    ### HINT P Qᵀ = O_P (T_P T_Qᵀ) O_Qᵀ; if U Σ Vᵀ is the SVD of the middle, then O_P U and O_Q V
    ###      have orthonormal columns.
    ### HINT np.linalg.svd(T_P @ T_Q.T) returns U, s, Vt; O_Q @ Vt.T is the other side.
    O_P, T_P = np.linalg.qr(P)
    O_Q, T_Q = np.linalg.qr(Q)
    U, s, Vt = np.linalg.svd(T_P @ T_Q.T)
    return O_P @ U * np.sqrt(s), O_Q @ Vt.T * np.sqrt(s)
    ### END SOLUTION


# %%
rng = np.random.default_rng(106)
P_given, Q_given = rng.normal(size=(6, 3)), rng.normal(size=(8, 3)) * [1.0, 2, 3]


def balanced_slip(a, b):
    """Other powers of Σ than ½; signs as those of the solution."""

    def wrong(P, Q):
        (O_P, T_P), (O_Q, T_Q) = np.linalg.qr(P), np.linalg.qr(Q)
        U, s, Vt = np.linalg.svd(T_P @ T_Q.T)
        return O_P @ U * s**a, O_Q @ Vt.T * s**b

    return wrong


def falling_diagonal(G):
    """Whether a matrix is diagonal, largest first."""
    d = np.diag(G)
    return np.allclose(G, np.diag(d), rtol=0, atol=1e-9) and np.all(np.diff(d) <= 0)


check(
    "10.6",
    balanced,
    P_given,
    Q_given,
    claims=lambda P_new, Q_new: {
        f"P' has the shape (6, 3), it has {P_new.shape}": P_new.shape == (6, 3),
        f"Q' has the shape (8, 3), it has {Q_new.shape}": Q_new.shape == (8, 3),
        "P' Q'ᵀ = P Qᵀ": (
            P_new.shape[1:] == Q_new.shape[1:]
            and np.allclose(P_new @ Q_new.T, P_given @ Q_given.T, rtol=0, atol=1e-9)
        ),
        "P'ᵀ P' is diagonal, largest first": falling_diagonal(P_new.T @ P_new),
        "Q'ᵀ Q' is diagonal, largest first": falling_diagonal(Q_new.T @ Q_new),
        "P'ᵀ P' = Q'ᵀ Q'": np.allclose(P_new.T @ P_new, Q_new.T @ Q_new, rtol=0, atol=1e-9),
    },
    mistakes={
        "all of Σ is in P': each side gets its root": balanced_slip(1, 0),
        "all of Σ is in Q': each side gets its root": balanced_slip(0, 1),
        "the roots of Σ are missing": balanced_slip(0, 0),
        "each side has all of Σ: it gets its root": balanced_slip(1, 1),
    },
)

# %% [markdown]
# Now the experiment. Unweighted ALS on all cells ((10.7) with $\alpha = 0$) has one best $P Q^\top$
# at a rank where the singular values of $R$ have a gap, whatever it starts from: that of the
# truncated SVD, without a penalty; with one, $U (\Sigma - \lambda)_+ V^\top$. Three starts, the
# last one stretched along its axes. Do they agree in their scores? In their neighbours?


# %%
def unit(E):
    """Rows of length 1."""
    return E / np.maximum(np.linalg.norm(E, axis=1, keepdims=True), 1e-12)


def neighbours(E, k=8):
    """The k rows of largest cosine with each row, (n, k)."""
    s = unit(E) @ unit(E).T
    np.fill_diagonal(s, -np.inf)
    return np.argsort(-s, axis=1, kind="stable")[:, :k]


def shared_neighbours(E, other, k=8):
    """Share of neighbours that two tables have in common."""
    pairs = zip(neighbours(E, k), neighbours(other, k), strict=True)
    return np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs])


def plain_als(R, Q, l2, sweeps=100):
    """(P, Q) by ALS with equal weights from a start Q."""
    for _ in range(sweeps):
        P = R @ Q @ np.linalg.inv(Q.T @ Q + l2 * np.eye(Q.shape[1]))
        Q = R.T @ P @ np.linalg.inv(P.T @ P + l2 * np.eye(Q.shape[1]))
    return P, Q


singular = np.linalg.svd(LIKED, compute_uv=False)
gap_rank = 5 + int(np.argmax(singular[4:12] / singular[5:13]))  # 5 to 12
often = np.flatnonzero(LIKED.sum(axis=0) >= 20)  # neighbours among films with 20 likes or more
U, s, Vt = np.linalg.svd(LIKED, full_matrices=False)
gap_rank = 5 + int(np.argmax(s[4:12] / s[5:13]))  # between 5 and 12 factors
often = np.flatnonzero(LIKED.sum(axis=0) >= 20)  # neighbours among films with 20 likes or more
starts = [np.random.default_rng(seed).normal(size=(N, gap_rank)) for seed in (0, 1)]
starts.append(starts[1] * np.geomspace(1, 30, gap_rank))
determined = {}
for l2 in (0.0, 10.0):
    fits = [plain_als(LIKED, start, l2) for start in starts]
    best = U[:, :gap_rank] * np.maximum(s[:gap_rank] - l2, 0) @ Vt[:gap_rank]
    for label, (P, Q) in zip(("another seed", "and stretched"), fits[1:], strict=True):
        determined[l2, label] = (
            np.abs(P @ Q.T - best).max(),
            shared_neighbours(fits[0][1][often], Q[often]),
        )
        print(
            f"λ = {l2:2.0f}, {label:13}: scores differ from the optimum by "
            f"{determined[l2, label][0]:.0e}, common neighbours {determined[l2, label][1]:.1%}"
        )

# %% [markdown]
# The scores always agree; the neighbours only with a penalty. Two random starts of the same kind
# still have most neighbours in common: a random matrix $A$ of normal numbers happens to stretch
# little. That is luck of the initialisation, nothing that the model learned.
#
# With the confidences of (10.7) the optimum need not be one, and ten sweeps need not have reached
# it: two seeds of implicit ALS have but two thirds of their neighbours in common with MovieLens,
# and half in the made-up world. Whoever shows a list of neighbours should know it. And the other
# way round, take one model and write it down in other bases:

# %%
_, Q_other = fit_implicit(LIKED, seed=1)
seeds_share = shared_neighbours(Q_films[often], Q_other[often])
print(f"implicit ALS, λ = 20, seeds 0 and 1: common neighbours {seeds_share:.1%}")

rng = np.random.default_rng(3)
rotation = np.linalg.qr(rng.normal(size=(FACTORS, FACTORS)))[0]
bases = {
    "rotated": rotation,
    "stretched": rotation * np.geomspace(0.1, 10, FACTORS),
}
in_other_bases = {}
for name, A in bases.items():
    P, Q = P_films @ A, Q_films @ np.linalg.inv(A).T
    in_other_bases[name] = {
        "scores": np.abs(P @ Q.T - P_films @ Q_films.T).max(),
        "neighbours": shared_neighbours(Q_films[often], Q[often]),
        "loss": implicit_loss(P, Q, *cells, 10.0, 20.0) / als_losses[-1],
        "cosines": (unit(Q[often]) @ unit(Q[often]).T),
    }
    print(
        f"{name:9}: scores differ by {in_other_bases[name]['scores']:.0e}, "
        f"common neighbours {in_other_bases[name]['neighbours']:.1%}, "
        f"loss × {in_other_bases[name]['loss']:.2f}"
    )

stretch = np.geomspace(0.1, 10, 41)
P_even, Q_even = balanced(P_films, Q_films)
penalties = [0.5 * ((P_even * t) ** 2).sum() + 0.5 * ((Q_even / t) ** 2).sum() for t in stretch]
cheapest = stretch[int(np.argmin(penalties))]
nuclear = np.linalg.svd(P_films @ Q_films.T, compute_uv=False)[:FACTORS].sum()  # (10.14)
print(f"cheapest at a stretch of {cheapest:.2f}: {min(penalties):.4f}; Σ σ = {nuclear:.4f}")

figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
before = unit(Q_films[often]) @ unit(Q_films[often]).T
pairs = np.random.default_rng(0).integers(len(often), size=(1500, 2))
for ax, (name, found) in zip(axes, in_other_bases.items(), strict=False):
    x, y = before[pairs[:, 0], pairs[:, 1]], found["cosines"][pairs[:, 0], pairs[:, 1]]
    ax.plot(x, y, ".", markersize=2, color=BLUE if name == "rotated" else RED)
    ax.set(title=f"cosines of film pairs, {name}", xlabel="before", ylabel="after")
axes[2].loglog(stretch, penalties, color=BLUE)
axes[2].axhline(nuclear, color=GREY, linestyle=":")
axes[2].text(0.1, nuclear, "Σ σ of (10.14)", color=GREY, va="bottom")
axes[2].set(title="the penalty of P t and Q / t", xlabel="t", ylabel="½ (|P|² + |Q|²)")
show("what is determined")

# %% [markdown]
# ### D27: “User prefers item” is not similarity
#
# The slide puts three things under “Similar feature vectors”: two items are similar, two users are
# similar, user prefers item. The third is of another kind. The score is a dot product,
# $P_u \cdot Q_i = \lVert P_u \rVert \lVert Q_i \rVert \cos(P_u, Q_i)$: a longer vector wins against
# a more similar one. And by (10.13) the cosine between a *user* and an item can be changed at
# will, while the preference stays.

# %%
p_27 = np.array([1.0, 0.0])
near, far = np.array([0.5, 0.0]), np.array([2.0, 1.5])


def cosine(a, b):
    """Of two vectors."""
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


assert cosine(p_27, near) > cosine(p_27, far)  # near is the more similar vector ...
assert np.linalg.norm(p_27 - near) < np.linalg.norm(p_27 - far)  # ... by distance, too ...
assert p_27 @ far > p_27 @ near  # ... and far is preferred

item_lengths = np.linalg.norm(Q_films, axis=1)
length_correlation = np.corrcoef(item_lengths, np.log1p(LIKED.sum(axis=0)))[0, 1]
P, Q = fit_implicit(known_9)
by_dot, by_cosine = P @ Q.T, unit(P) @ unit(Q).T
preferred_27 = {
    "dot product": ndcg(by_dot, known_9, hidden_9).mean(),
    "cosine": ndcg(by_cosine, known_9, hidden_9).mean(),
}
same_first = np.mean(by_dot.argmax(axis=1) == by_cosine.argmax(axis=1))
print({name: f"NDCG@10 {x:.4f}" for name, x in preferred_27.items()})
print(f"the film of the largest score has the most similar vector for {same_first:.0%} of users")
print(f"correlation of the length of Q_i with log(1 + likes): {length_correlation:.2f}")

# %% [markdown]
# In the length of an item's vector sits much of its popularity: how much it is worth, not what it
# is like. That is why neighbours are looked up by cosine and recommendations by dot product.

# %% [markdown]
# ## 6. Maps
#
# 16 dimensions on paper: principal components. Centre the rows, take the directions in which they
# vary most, which are the right singular vectors, and draw the first two coordinates. The rows are
# brought to length 1 first, or the map shows popularity.


# %%
def principal_components(E, k=2):
    """Coordinates of the rows in the k directions of largest variance, (n, k), and its share."""
    centred = E - E.mean(axis=0)
    _, s, Vt = np.linalg.svd(centred, full_matrices=False)
    return centred @ Vt[:k].T, (s[:k] ** 2).sum() / (s**2).sum()


P_map, Q_map = fit_implicit(LIKED, l2=40.0)
shown_genres = {"Children's": GREEN, "Sci-Fi": BLUE, "War": ORANGE, "Crime": RED}
columns = [GENRES.index(g) for g in shown_genres]
liked_often = np.flatnonzero(LIKED.sum(axis=0) >= 20)
alone = genres[liked_often][:, columns].sum(axis=1) == 1  # exactly one of these
at, share = principal_components(unit(Q_map[liked_often]))
figure, ax = plt.subplots(figsize=(9.6, 7), layout="constrained")
ax.scatter(*at[~alone].T, s=6, color="#cccccc", label="none or several of these")
middles = {}
for column, (genre, colour) in zip(columns, shown_genres.items(), strict=True):
    own = np.flatnonzero(alone & (genres[liked_often, column] == 1))
    middles[genre] = at[own].mean(axis=0)
    ax.scatter(*at[own].T, s=16, color=colour, label=genre)
    ax.plot(*middles[genre], "X", markersize=14, color=colour, markeredgecolor="black", zorder=3)
    for k in own[np.argsort(-LIKED[:, liked_often[own]].sum(axis=0), kind="stable")[:5]]:
        ax.text(*at[k] + 0.008, titles[liked_often[k]], fontsize=7, color=colour)
ax.legend(frameon=False)
ax.set(title=f"item vectors, two of {FACTORS} dimensions ({share:.0%} of the variance)")
ax.set(xlabel="first component", ylabel="second")
ax.margins(x=0.08)
show("map of films")

years = [re.search(r"\((\d{4})\)$", titles[i].strip()) for i in liked_often]
dated = np.array([year is not None for year in years])
year_correlation = np.nan
if dated.sum() > 1:
    year = np.array([int(found[1]) for found in years if found])
    year_correlation = abs(np.corrcoef(at[dated, 0], year)[0, 1])
    print(
        f"correlation of the first component with the year: {year_correlation:.2f} (but for sign)"
    )

# %% [markdown]
# A cross is the middle of a genre. The genres overlap, but they are not in the same places. And
# the strongest direction of all (with MovieLens) is not a genre but the *year*: people who watch
# old films watch other old films. A model learns what tells people apart, not what we have names
# for.
#
# Is it only what one wants to see? Count: how much do the genres of a film's 8 neighbours overlap
# with its own (Jaccard: common genres / all genres of the two)? Nobody told the model any genre.


# %%
def genre_agreement(nearest, items):
    """Mean Jaccard of the genres of items and of their neighbours (positions in items)."""
    g = genres[items]
    both = np.einsum("ig,ikg->ik", g, g[nearest])
    either = g.sum(axis=1)[:, None] + g[nearest].sum(axis=2) - both
    return (both / np.maximum(either, 1)).mean()


def most(s, k=8):
    """The k columns of largest s, itself not."""
    s = s.copy()
    np.fill_diagonal(s, -np.inf)
    return np.argsort(-s, axis=1, kind="stable")[:, :k]


counts = LIKED[:, often].T @ LIKED[:, often]
lengths = np.sqrt(np.diag(counts))
agreement = {
    "random": genre_agreement(
        np.random.default_rng(0).integers(len(often), size=(len(often), 8)), often
    ),
    "liked together most often": genre_agreement(most(counts), often),
    "co-occurrence, cosine": genre_agreement(most(counts / np.outer(lengths, lengths)), often),
    "implicit ALS, dot product": genre_agreement(most(Q_map[often] @ Q_map[often].T), often),
    "implicit ALS, cosine": genre_agreement(neighbours(Q_map[often]), often),
}
for name, x in agreement.items():
    print(f"{name:26} genre agreement of 8 neighbours {x:.3f}")
example = often[np.argmax(LIKED[:, often].sum(axis=0))]
near = often[neighbours(Q_map[often])[np.flatnonzero(often == example)[0]]]
print(f"next to “{titles[example]}”:", "; ".join(titles[i] for i in near[:5]))

# %% [markdown]
# ### Groceries
#
# The same code for a shop: a basket is a “user”. Real baskets where the folder is there, else
# made-up ones, from a few departments at a time. The colour is a department, guessed from the name.

# %%
DEPARTMENTS = {
    "dairy": ("milk", "butter", "yogurt", "cheese", "curd", "cream"),
    "fruit and vegetables": ("fruit", "vegetable", "onion", "berries", "grapes", "herb", "apple"),
    "meat and fish": ("beef", "pork", "sausage", "frankfurter", "chicken", "ham", "meat", "fish"),
    "bakery": ("bakery", "bread", "roll", "pastry", "cake", "waffle", "croissant"),
    "drinks": ("water", "soda", "beer", "juice", "coffee", "wine", "tea", "beverages"),
    "sweets and snacks": ("chocolate", "candy", "snack", "popcorn", "sugar", "dessert"),
}
DEPARTMENT_COLOURS = (BLUE, GREEN, RED, ORANGE, PINK, SKY)


def made_baskets(seed=0, n=6000):
    """Lists of names, one a basket."""
    rng = np.random.default_rng(seed)
    shelves = list(DEPARTMENTS.values())
    names = np.array([name for shelf in shelves for name in shelf])
    shelf = np.repeat(np.arange(len(shelves)), [len(words) for words in shelves])
    popularity = 1 / (1 + np.concatenate([np.arange(len(words)) for words in shelves]))
    for _ in range(n):
        taste = rng.dirichlet(np.full(len(shelves), 0.3))
        p = popularity * (0.03 + taste[shelf])
        yield list(rng.choice(names, size=1 + rng.poisson(3), replace=False, p=p / p.sum()))


def read_baskets(path):
    """Lists of names, one a line, with commas between."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield [name.strip("_ ").replace("_", " ") for name in line.split(",") if name.strip("_ ")]


def department(name):
    """The department that has a word in the name, the last one if it has several; or "other"."""
    at = {label: max(name.rfind(word) for word in words) for label, words in DEPARTMENTS.items()}
    label = max(at, key=at.get)
    return label if at[label] >= 0 else "other"


grocer = DATA / "groceries" / "groceries_mba.csv"
baskets = list(read_baskets(grocer) if grocer.is_file() else made_baskets())
goods = sorted({name for basket in baskets for name in basket})
number = {name: i for i, name in enumerate(goods)}
bought = np.zeros((len(baskets), len(goods)))
for b, basket in enumerate(baskets):
    bought[b, [number[name] for name in basket]] = 1
print(f"{len(baskets)} baskets of {len(goods)} goods")

frequent = np.argsort(-bought.sum(axis=0), kind="stable")[:60]
places = np.array([department(goods[i]) for i in frequent])
placed = places != "other"
same_department = []
for seed in (2, 1, 0):
    _, Q_goods = fit_implicit(bought, D=12, seed=seed)
    nearest = neighbours(Q_goods[frequent], k=3)
    same_department.append(np.mean((places[nearest] == places[:, None])[placed]))
by_chance = np.mean([np.mean(np.delete(places, i) == places[i]) for i in np.flatnonzero(placed)])
print(
    "3 nearest goods of the same department, 3 seeds: "
    f"{', '.join(f'{x:.0%}' for x in same_department)}; by chance {by_chance:.0%}"
)
at, share = principal_components(unit(Q_goods[frequent]))
figure, ax = plt.subplots(figsize=(9.6, 7), layout="constrained")
for label, colour in zip([*DEPARTMENTS, "other"], [*DEPARTMENT_COLOURS, GREY], strict=True):
    own = np.flatnonzero(places == label)
    ax.scatter(*at[own].T, s=12, color=colour, label=label)
    for k in own:
        ax.text(*at[k] + 0.01, goods[frequent[k]], fontsize=7, color=colour)
ax.legend(frameon=False, fontsize=8)
ax.set(title=f"the {len(frequent)} most frequent goods ({share:.0%} of the variance)")
ax.margins(x=0.1)
ax.set(xlabel="first component", ylabel="second")
show("map of groceries")

# %% [markdown]
# Neighbours here are goods that are bought by the same *kind of basket*, which is not quite “goods
# of a kind”: what goes together on a table is near, too.
#
# ## 7. Without any vectors
#
# How good are these models? Measure them beside what is simple. **Item-kNN**: the score of $i$ is
# the sum of the cosines of column $i$ of $R$ with the columns of the history. **Truncated SVD** of
# these cosines $K_{ij} = n_{ij} / \sqrt{n_i n_j}$: vectors $U_D \Sigma_D^{1/2}$, cosine again. And
# **EASE** (Steck 2019): a weight from every item to every other, learned by least squares,
#
# $$ \min_B \tfrac12 \lVert R - R B \rVert^2 + \tfrac12 \lambda \lVert B \rVert^2
#    \quad\text{with } B_{ii} = 0 \tag{10.15} $$
#
# The condition is the exclusion of section 4, in one line: no item may explain itself. The columns
# of $B$ are independent regressions, each on all items but one, and all of them come from a single
# inverse:
#
# $$ H = (R^\top R + \lambda I)^{-1}, \qquad B_{ij} = -\frac{H_{ij}}{H_{jj}} \ (i \ne j), \qquad
#    B_{jj} = 0 \tag{10.16} $$
#
# ### Exercise 10.7 · EASE
#
# Return $B$, $(N, N)$.


# %%
def ease(R, l2):
    """(10.16) for R (M, N)."""
    ### BEGIN SOLUTION 10.7
    ### HINT H = np.linalg.inv(R.T @ R + l2 * np.eye(N)); np.diag(H) is its diagonal, (N,).
    ### HINT H / np.diag(H) divides column j by H_jj. np.fill_diagonal(B, 0) changes B in place.
    H = np.linalg.inv(R.T @ R + l2 * np.eye(R.shape[1]))
    B = -H / np.diag(H)
    np.fill_diagonal(B, 0)
    return B
    ### END SOLUTION


# %%
def ease_by_regressions(R, l2):
    """Every column by itself: ridge regression of item j on all others."""
    n = R.shape[1]
    B = np.zeros((n, n))
    for j in range(n):
        others = np.arange(n) != j
        B[others, j] = ridge(R[:, others], np.ones(len(R)), R[:, j], l2)
    return B


def ease_slip(sign=-1, by_row=0, diagonal=0, penalty=1):
    """(10.16) with a mistake."""

    def wrong(R, l2):
        H = np.linalg.inv(R.T @ R + penalty * l2 * np.eye(R.shape[1]))
        B = sign * (H / np.diag(H)[:, None] if by_row else H / np.diag(H)[None])
        return B if diagonal else B * (1 - np.eye(len(B)))

    return wrong


rng = np.random.default_rng(107)
check(
    "10.7",
    ease,
    (rng.random((9, 5)) > 0.4) + 0.2 * rng.random((9, 5)),
    0.7,
    expected=ease_by_regressions,
    mistakes={
        "the sign: B is −H / H_jj": ease_slip(sign=1),
        "row i is divided by H_ii; (10.16) divides column j by H_jj": ease_slip(by_row=1),
        "the diagonal must be 0": ease_slip(diagonal=1),
        "the penalty is missing": ease_slip(penalty=0),
    },
)

# %% [markdown]
# All of them, on splits that chose nothing. $\alpha = 10$ and $\lambda = 20$ for implicit ALS and
# $\lambda = 200$ for EASE are common values; better ones for ALS are in the figure above.


# %%
def cosine_table(R):
    """K of item-kNN, (N, N); rows of items that nobody has are 0."""
    n = R.T @ R
    length = np.sqrt(np.maximum(np.diag(n), 1))
    return n / np.outer(length, length)


def svd_vectors(R, D=FACTORS):
    """U Σ^½ of the cosine table, (N, D): symmetric, so its eigenvectors are the singular ones."""
    values, vectors = np.linalg.eigh(cosine_table(R))
    return vectors[:, ::-1][:, :D] * np.sqrt(np.maximum(values[::-1][:D], 0))


def knn_scores(R):
    """Sum of the cosines with the history, the item itself left out."""
    K = cosine_table(R)
    np.fill_diagonal(K, 0)
    return R @ K


def svd_scores(R):
    """Sum of the cosines of the vectors with those of the history."""
    E = unit(svd_vectors(R))
    return R @ E @ E.T


def als_scores(R, l2=20.0, seed=0):
    """P Qᵀ."""
    P, Q = fit_implicit(R, l2=l2, seed=seed)
    return P @ Q.T


def asymmetric_scores(R, seed=0):
    """A X Qᵀ."""
    X, Q = fit_asymmetric(R, seed=seed)
    return history_weights(R) @ X @ Q.T


TOP_SEEDS = (0, 1, 2)
RANKERS = {
    "popularity": lambda R, seed: popularity(R),
    "truncated SVD": lambda R, seed: svd_scores(R),
    "item-kNN": lambda R, seed: knn_scores(R),
    "asymmetric MF": lambda R, seed: asymmetric_scores(R, seed=seed),
    "implicit ALS, λ = 20": lambda R, seed: als_scores(R, seed=seed),
    "implicit ALS, λ = 40": lambda R, seed: als_scores(R, 40.0, seed),
    "EASE": lambda R, seed: R @ ease(R, 200.0),
}
top_n, top_n_error = {name: [] for name in RANKERS}, {}
for seed in TOP_SEEDS:
    known, hidden = hide_a_fifth(seed)
    for name, ranker in RANKERS.items():
        found = ndcg(ranker(known, seed), known, hidden)
        top_n[name].append(found.mean())
        top_n_error[name] = found.std(ddof=1) / np.sqrt(len(found))
for name, found in top_n.items():
    print(
        f"{name:21} NDCG@10 {np.mean(found):.4f} ({min(found):.4f} to {max(found):.4f}); "
        f"standard error over users {top_n_error[name]:.4f}"
    )
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for k, (name, found) in enumerate(top_n.items()):
    colour = RED if name == "EASE" else GREY if k < 3 else BLUE
    ax.barh(k, np.mean(found), color=colour, alpha=0.7)
    ax.plot(found, [k] * len(found), "k.", markersize=4)
ax.set_yticks(range(len(top_n)), list(top_n))
ax.set(title="three splits (dots) and their mean", xlabel="NDCG@10")
show("comparison")

# %% [markdown]
# With MovieLens 100K:
#
# | NDCG@10, mean of 3 splits | |
# | --- | --- |
# | popularity | 0.144 |
# | truncated SVD | 0.233 |
# | item-kNN | 0.258 |
# | asymmetric MF | 0.276 |
# | implicit ALS, $\lambda = 20$, $\lambda = 40$ | 0.282, 0.295 |
# | EASE | 0.311 |
#
# Matrix factorization is twice as good as popularity and better than counting; a model without any
# vectors, made by one inverse, is better still. (In the made-up world, which *is* made of a few
# factors, models with factors come first. A world shows what was put into it.) So why embeddings?
# Because $N^2$ numbers are too many for a million items, because a vector can be handed on, to a
# map, to another network as its first layer, and because everything that follows, words, sessions,
# contents, is learned in the same way: look a row up, compute, and send the gradient back to the
# row.

# %% [markdown]
# ## 8. The library says the same
#
# `nnlib.Embedding` is the lookup, `nnlib.MatrixFactorization` fits ratings, `nnlib.ImplicitALS`
# what people did, with sums over the cells that have events instead of our dense tables. (By
# gradient steps the library shares the penalty out: each rating of a user with $n_u$ of them has
# $1 / n_u$ of it, so that $\lambda$ is the same number for both of its solvers.) `ImplicitALS`
# trains in single precision, which is enough; its half step is compared in double. A small random
# log, all models from the same starts:

# %%
from nnlib import Embedding
from nnlib.data import Interactions
from nnlib.metrics import evaluate_top_n, label_agreement
from nnlib.models import EASE, ImplicitALS, MatrixFactorization, TruncatedSVD
from nnlib.models.embeddings.asymmetric_network import AsymmetricNetwork

rng = np.random.default_rng(108)
library_gaps = {}


def gap(a, b):
    """Largest difference."""
    return np.abs(a - b).max()


table = Embedding(9, 3, rng=rng).astype(np.float64)
rows_lib, back_lib = table(ids_check)
rows_mine, back_mine = lookup(table.E.value, ids_check)
dy_lib = rng.normal(size=rows_mine.shape)
back_lib(dy_lib)
library_gaps["lookup"] = gap(rows_lib, rows_mine)
library_gaps["its gradient"] = gap(table.E.dense_grad(), back_mine(dy_lib))

seen = np.argwhere(rng.random((40, 15)) < 0.4)
log = Interactions.from_arrays(*seen.T, value=rng.integers(1, 6, size=len(seen))).drop_short()
is_hidden = rng.random(log.n_events) < 0.25
train_lib, test_lib = log.select_events(~is_hidden), log.select_events(is_hidden)


def table_of(log, values=1.0):
    """(M, N) of a log, by its own codes."""
    R = np.zeros((log.n_users, log.n_items))
    R[log.user, log.item] = values
    return R


W_lib, R_lib = table_of(log), table_of(log, log.value)
model = MatrixFactorization(n_factors=3, l2=2.0, epochs=4, seed=5).fit(log)
*_, tables = fit_als(W_lib, R_lib, 2.0, 4, seed=5, D=3)
y_lib = model.predict(log.user_ids[log.user], log.item_ids[log.item])
library_gaps["ratings, ALS"] = gap(y_lib, predict(tables, log.user, log.item))

model = ImplicitALS(n_factors=3, alpha=4.0, l2=2.0, epochs=4, seed=5).fit(log)
_, Q = fit_implicit(W_lib, D=3, alpha=4.0, l2=2.0, sweeps=4, seed=5)
single_gap = gap(model.Q_, Q) / np.abs(Q).max()
print(f"implicit ALS, trained in single precision: relative difference {single_gap:.0e}")
assert single_gap < 1e-4
model.Q_ = Q  # and now its half step, in double precision
P = [user_vector(Q, Q.T @ Q, np.flatnonzero(row), 4.0, 2.0) for row in W_lib]
library_gaps["implicit ALS"] = gap(model.fold_in(log.histories()), np.array(P))

net = AsymmetricNetwork(log.n_items, 3, alpha=4.0, exponent=0.5, rng=rng)
loss_lib, back_lib = net(log.item, log.offsets)
back_lib(float(log.n_users))  # its loss is the mean over users
X, Q = net.X.value, net.Q.value
loss_mine, dX, dQ = excluding_gradients(X, Q, history_weights(W_lib), W_lib, 4.0, 0.0)
library_gaps["asymmetric MF"] = abs(loss_lib * log.n_users - loss_mine) / loss_mine
library_gaps["its gradients"] = max(gap(net.X.dense_grad(), dX), gap(net.Q.dense_grad(), dQ))

E = TruncatedSVD(n_factors=4).fit(log).E_
mine = svd_vectors(W_lib, 4)
library_gaps["truncated SVD"] = gap(E @ E.T, mine @ mine.T)  # the vectors have free signs
model = EASE(l2=3.0).fit(train_lib)
R_lib = table_of(train_lib)
library_gaps["EASE"] = gap(model.B_, ease(R_lib, 3.0))

H_lib = np.zeros_like(R_lib)
users, items = (
    {raw: code for code, raw in enumerate(ids.tolist())}
    for ids in (train_lib.user_ids, train_lib.item_ids)
)
for u, i in zip(test_lib.user_ids[test_lib.user], test_lib.item_ids[test_lib.item], strict=True):
    H_lib[users[u], items[i]] = 1
ndcg_lib = evaluate_top_n(model, train_lib, test_lib, k=10)
ndcg_mine = ndcg(R_lib @ model.B_, R_lib, H_lib)
library_gaps["NDCG@10"] = abs(ndcg_lib["ndcg@10"] - ndcg_mine.mean())
agreement_lib = label_agreement(Q_map[often], genres[often], k=8)
library_gaps["genre agreement"] = abs(agreement_lib - agreement["implicit ALS, cosine"])
print({name: f"{gap:.0e}" for name, gap in library_gaps.items()})
assert max(library_gaps.values()) < 1e-12

# %% [markdown]
# ## What to keep
#
# - An embedding is a layer with a one-hot input; forward it looks rows up, backward it adds to
#   them.
# - Matrix factorization is two embeddings and a dot product. With one side fixed the other is
#   least squares, and the Gram matrix makes the zeros free.
# - A dot product is not a similarity. Cosines of item vectors mean something as far as a penalty
#   fixes the basis, and lengths carry popularity.
# - Predict an item from the others, never from itself.
# - Before you believe an embedding, run a model that has none.
