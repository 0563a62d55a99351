# %% [markdown]
# # 07 · Full batch, one example, mini-batch
#
# - **Minutes:** 60
# - **Prerequisites:** lesson 01; mean and variance of a random variable
# - **Slides:** “Why now? – Research breakthroughs – Mini-batch training”
# - **The deck is wrong here:** D13: “faster conversion” is *convergence*, and it is faster only up
#   to a point. “Noisy gradient – Acts as regularization” is not tried here: this lesson measures
#   the training loss alone
#
# The loss is a mean over all examples, and so is its gradient. A mean can be estimated from a few.
# In this lesson you find out how good that estimate is, what the noise costs, and why everybody
# takes 32 or 128 examples at a time, for which the true reason is not in the formula.

# %%
import itertools
import time

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

# %% [markdown]
# ## 1. The gradient of a batch
#
# Everything here is least squares, because there the minimum is known exactly. $N$ examples, $I$
# inputs, a linear model:
#
# $$ L(w) = \frac1N \sum_{n=1}^{N} \ell_n(w), \qquad \ell_n(w) = \tfrac12 (x_n \cdot w - t_n)^2
#    \tag{7.1} $$
#
# Gradient descent needs $\nabla L$: it looks at all $N$ examples for one step. A **batch** $S$ of
# $B$ examples has a loss of the same form,
#
# $$ L_S(w) = \frac1B \sum_{n \in S} \ell_n(w), \qquad w \leftarrow w - \eta \nabla L_S(w)
#    \tag{7.2} $$
#
# $B = N$ is full-batch gradient descent, $B = 1$ is stochastic gradient descent (SGD) in the strict
# sense, what lies between is mini-batch training. In practice all of it is called SGD.
#
# ### Exercise 07.1 · A batch's loss, with its backward
#
# `x` and `t` hold the examples of the batch only. Return the loss (7.2) and `backward`, which takes
# `dloss` and returns $\mathrm{d}w = \partial L_S / \partial w$ times `dloss`.


# %%
def batch_loss(w, x, t):
    """(loss, backward) of (7.2); w (I,), x (B, I), t (B,)."""
    ### BEGIN SOLUTION 07.1
    ### HINT error = x @ w - t has the shape (B,); the loss is half the mean of its square.
    ### HINT By which number of examples do you divide? By those that are in x.
    ### HINT dw = xᵀ error / B, as in (1.6) and (1.8).
    error = x @ w - t
    loss = error @ error / (2 * len(x))

    def backward(dloss=1.0):
        return dloss * (error @ x) / len(x)

    return loss, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(71)
x_few, t_few = rng.normal(size=(5, 3)), rng.normal(size=5)
check(
    "07.1",
    lambda w: batch_loss(w, x_few, t_few),
    rng.normal(size=3),
    forward=lambda w: sum(0.5 * (x_few[n] @ w - t_few[n]) ** 2 for n in range(5)) / 5,
    about={"batch_size": 5},
)

# %% [markdown]
# ## 2. Right on average, wrong by how much?
#
# Draw the batch at random, every example with the same chance. Then the expected gradient is the
# full one, whatever $B$ is: the estimate is **unbiased**,
#
# $$ \mathbb{E}_S\, \nabla L_S(w) = \frac1N \sum_n \nabla \ell_n(w) = \nabla L(w) \tag{7.3} $$
#
# Write $g_n = \nabla \ell_n$ and $\bar g$ for their mean. The variance of one example's gradient is
#
# $$ V = \frac1N \sum_n \lVert g_n - \bar g \rVert^2 \tag{7.4} $$
#
# and the mean of $B$ *independent* draws (with replacement) has the variance of one, divided by
# $B$. Without replacement the draws avoid one another and cover the data better:
#
# $$ \mathbb{E} \lVert g_S - \bar g \rVert^2 = \frac{V}{B} \;\text{ with replacement}, \qquad
#    \frac{V}{B} \cdot \frac{N - B}{N - 1} \;\text{ without} \tag{7.5} $$
#
# For $B = N$ the second is 0, as it must be; for $B \ll N$ there is no difference.
#
# ### Exercise 07.2 · The variance of a batch's gradient
#
# `g` holds one gradient per example, $(N, I)$. Return both values of (7.5). The check needs no
# formula: it goes through *all* batches.


# %%
def batch_variance(g, B):
    """Mean squared distance of a batch's mean from the mean: (with, without replacement)."""
    ### BEGIN SOLUTION 07.2
    ### HINT (7.4) is a sum over the columns, then a mean over the rows, of (g − ḡ)².
    ### HINT ḡ is g.mean(axis=0); len(g) is N.
    N = len(g)
    V = np.sum((g - g.mean(axis=0)) ** 2) / N  # (7.4)
    return V / B, V / B * (N - B) / (N - 1)  # (7.5)
    ### END SOLUTION


# %%
def by_enumeration(g, B):
    """The same from every batch that can be drawn."""
    every = range(len(g))
    batches = list(itertools.product(every, repeat=B)), list(itertools.combinations(every, B))
    return tuple(
        np.mean([np.sum((g[list(ids)].mean(axis=0) - g.mean(axis=0)) ** 2) for ids in some])
        for some in batches
    )


check(
    "07.2",
    batch_variance,
    np.random.default_rng(72).normal(size=(5, 2)) + 1,
    3,
    expected=by_enumeration,
    mistakes={
        "this is the variance of one example's gradient: a batch's is 1/B of it": lambda g, B: (
            np.sum(g.var(axis=0)),
            np.sum(g.var(axis=0)) * (len(g) - B) / (len(g) - 1),
        ),
        "this divides by N − 1 in (7.4): it is not an estimate, these are all examples": (
            lambda g, B: (
                np.sum(g.var(axis=0, ddof=1)) / B,
                np.sum(g.var(axis=0, ddof=1)) / B * (len(g) - B) / (len(g) - 1),
            )
        ),
        "the second factor has N − 1 below": lambda g, B: (
            np.sum(g.var(axis=0)) / B,
            np.sum(g.var(axis=0)) / B * (len(g) - B) / len(g),
        ),
    },
)

# %% [markdown]
# The same on the data of this lesson: $N = 10^4$ examples, 10 inputs of unequal size, noise in the
# targets. 2000 batches of each size are drawn.

# %%
N, I = 10_000, 10


def least_squares_data(seed=0, n=N):
    """Inputs of standard deviation 1 … 0.3, targets from random weights and noise 0.5."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, I)) * np.geomspace(1, 0.3, I)
    return x, x @ rng.normal(size=I) + 0.5 * rng.normal(size=n)


x_all, t_all = least_squares_data()
w_best = np.linalg.lstsq(x_all, t_all, rcond=None)[0]
H = x_all.T @ x_all / N  # the Hessian of (7.1)


def excess(w):
    """L(w) − L(w_best), exactly: ½ (w − w_best)ᵀ H (w − w_best), for one w or rows of them."""
    d = w - w_best
    return 0.5 * np.sum((d @ H) * d, axis=-1)


start_gradients = x_all * (x_all @ np.zeros(I) - t_all)[:, None]  # g_n at w = 0, (N, I)
sizes = np.array([1, 4, 16, 64, 256, 1024, 4096])
rng = np.random.default_rng(0)
measured_variance = {"with": [], "without": []}
for B in sizes:
    draws = 2000 if B <= 256 else 200
    for kind, found in measured_variance.items():
        distances = [
            np.sum((start_gradients[ids].mean(axis=0) - start_gradients.mean(axis=0)) ** 2)
            for ids in (
                rng.integers(N, size=B)
                if kind == "with"
                else rng.choice(N, size=B, replace=False, shuffle=False)
                for _ in range(draws)
            )
        ]
        found.append(np.mean(distances))
predicted_variance = np.array([batch_variance(start_gradients, B) for B in sizes])
variance_slope = np.polyfit(np.log(sizes), np.log(measured_variance["with"]), 1)[0]
print(f"slope of the variance against B, log-log: {variance_slope:.3f} (−1 is predicted)")

figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
fine = np.unique(np.geomspace(1, N - 1, 200).astype(int))
lines = np.array([batch_variance(start_gradients, B) for B in fine])
for column, (kind, colour) in enumerate((("with", "#0072B2"), ("without", "#D55E00"))):
    ax.loglog(fine, lines[:, column], color=colour, linewidth=1)
    ax.loglog(
        sizes,
        measured_variance[kind],
        "os"[column],
        color=colour,
        markersize=(10, 5)[column],
        markerfacecolor=("none", colour)[column],
        label=f"{kind} replacement",
    )
ax.set(title="points measured, lines (7.5)", xlabel="batch size B", ylabel="E |g_S − g|²")
ax.set_ylim(1e-5, None)
ax.legend(frameon=False)
show("variance")

# %% [markdown]
# **Ten times the examples, a third of the error.** The *standard deviation* falls only as
# $1 / \sqrt B$, the work rises as $B$. A batch of 10 000 costs 100 batches of 100 and its gradient
# is 10 times as exact. For one step far from the minimum that is a bad bargain.

# %% [markdown]
# ## 3. An epoch, and its last batch
#
# In practice one does not draw with replacement: once per **epoch** the examples are shuffled, then
# cut into batches. Every example is used once. If $B$ does not divide $N$, the last batch is
# smaller.
#
# ### Exercise 07.3 · The batches of an epoch
#
# Return a list of index arrays: a random order of $0 \dots n - 1$, cut into pieces of `size`, and
# the rest as the last piece. A new call gives a new order.


# %%
def epoch_batches(n, size, rng):
    """Index arrays that together hold 0 … n − 1 once, in random order."""
    ### BEGIN SOLUTION 07.3
    ### HINT rng.permutation(n) is the random order.
    ### HINT order[i : i + size] for i = 0, size, 2 size, ...; a slice may reach over the end.
    order = rng.permutation(n)
    return [order[i : i + size] for i in range(0, n, size)]
    ### END SOLUTION


# %%
def two_epochs():
    rng = np.random.default_rng(73)
    return epoch_batches(11, 4, rng), epoch_batches(11, 4, rng)


check(
    "07.3",
    two_epochs,
    claims=lambda first, second: {
        "11 examples by 4 are batches of 4, 4 and 3": [len(ids) for ids in first] == [4, 4, 3],
        "every example occurs once": sorted(np.concatenate(first)) == list(range(11)),
        "the order is random": list(np.concatenate(first)) != list(range(11)),
        "the second epoch has another order": (
            list(np.concatenate(second)) != list(np.concatenate(first))
        ),
    },
)

# %% [markdown]
# **By what is the last batch divided?** By its own size, as (7.2) says. Code that divides by the
# nominal $B$ has a last step that is too short: its expected gradient is
# $\frac{|S|}{B} \nabla L$. Through all last batches of 2 that 6 examples can have ($B = 4$):

# %%
rng = np.random.default_rng(3)
x_six, t_six, w_six = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=3)
full_six = batch_loss(w_six, x_six, t_six)[1]()
pairs = [list(ids) for ids in itertools.combinations(range(6), 2)]
own = np.mean([batch_loss(w_six, x_six[ids], t_six[ids])[1]() for ids in pairs], axis=0)
nominal = own * 2 / 4  # the sum over the two examples, divided by B = 4
last_batch_ratio = {"own size": own / full_six, "nominal B": nominal / full_six}
for divisor, ratio in last_batch_ratio.items():
    print(f"last batch divided by its {divisor:9}: expected gradient = {ratio} × the full one")

# %% [markdown]
# (There is a price: an example in a last batch of 2 pulls that step with weight ½ instead of ¼. As
# the order is new in each epoch, it is another example each time. Some drop the last batch.)
#
# The same mistake waits in the report. The mean of the batches' losses is not the mean loss.
#
# ### Exercise 07.4 · The mean loss of an epoch
#
# From the mean loss of every batch and the batches' sizes, return the mean loss over all examples.


# %%
def epoch_loss(losses, sizes):
    """Mean over all examples of an epoch; losses and sizes are arrays, one number per batch."""
    ### BEGIN SOLUTION 07.4
    ### HINT What is the *sum* of the losses inside one batch?
    ### HINT Sum of all examples' losses, divided by the number of all examples.
    return losses @ sizes / sizes.sum()
    ### END SOLUTION


# %%
rng = np.random.default_rng(74)
single_losses, cuts = rng.random(10), [4, 8]
check(
    "07.4",
    epoch_loss,
    np.array([part.mean() for part in np.split(single_losses, cuts)]),
    np.array([4, 4, 2]),
    expected=single_losses.mean(),
    mistakes={
        "this is the mean of the batches' means: the last batch counts as much as a full one": (
            lambda losses, sizes: losses.mean()
        ),
        "this is the sum over all examples": lambda losses, sizes: losses @ sizes,
        "this takes all batches to be as large as the first": (
            lambda losses, sizes: losses @ sizes / (len(sizes) * sizes[0])
        ),
    },
)

# %% [markdown]
# ### Exercise 07.5 · Training for one epoch
#
# One step (7.2) per batch, each at the weights that the step before has left. Return the last `w`;
# the caller's `w` stays as it is.


# %%
def train_epoch(w, x, t, lr, batches):
    """w after one step per index array in batches."""
    ### BEGIN SOLUTION 07.5
    ### HINT x[ids] and t[ids] are the examples of a batch; batch_loss gives backward.
    ### HINT w = w - ... makes a new array; w -= ... would change the caller's.
    for ids in batches:
        _, backward = batch_loss(w, x[ids], t[ids])
        w = w - lr * backward()  # (7.2)
    return w
    ### END SOLUTION


# %%
def epoch_by_loops(w, x, t, lr, batches):
    """The same, example by example."""
    w = list(w)
    for ids in batches:
        step = [0.0] * len(w)
        for n in ids:
            error = sum(x[n, i] * w[i] for i in range(len(w))) - t[n]
            for i in range(len(w)):
                step[i] += error * x[n, i] / len(ids)
        w = [w[i] - lr * step[i] for i in range(len(w))]
    return np.array(w)


rng = np.random.default_rng(75)
check(
    "07.5",
    train_epoch,
    rng.normal(size=3),
    rng.normal(size=(5, 3)),
    rng.normal(size=5),
    0.3,
    [np.array([3, 0]), np.array([4, 1]), np.array([2])],
    expected=epoch_by_loops,
    mistakes={
        "all steps use the gradient at the first w: take it anew at every batch": (
            lambda w, x, t, lr, batches: (
                w - lr * sum((x[ids] @ w - t[ids]) @ x[ids] / len(ids) for ids in batches)
            )
        ),
        "this goes uphill: mind the sign of the step": (
            lambda w, x, t, lr, batches: epoch_by_loops(w, x, t, -lr, batches)
        ),
    },
)

# %% [markdown]
# **Sum or mean?** Some code sums the loss over the batch. Its gradient is $B$ times as large, so
# $\eta$ must be divided by $B$,
# and again whenever $B$ is changed. With the mean, $\eta$ can stay. (A sum with $\eta / B$ is also
# how the last batch silently gets the wrong divisor.)


# %%
def train_epoch_by_sums(w, x, t, lr, batches):
    """As train_epoch, with the sum in the place of the mean in (7.2)."""
    for ids in batches:
        w = w - lr * (x[ids] @ w - t[ids]) @ x[ids]
    return w


batches_50 = epoch_batches(N, 50, np.random.default_rng(4))
by_mean = train_epoch(np.zeros(I), x_all, t_all, 0.1, batches_50)
by_sum = train_epoch_by_sums(np.zeros(I), x_all, t_all, 0.1 / 50, batches_50)
sum_mean_gap = np.abs(by_mean - by_sum).max()
with np.errstate(over="ignore", invalid="ignore"):
    sum_same_rate = excess(train_epoch_by_sums(np.zeros(I), x_all, t_all, 0.1, batches_50))
print(f"sum with η/B and mean with η differ by {sum_mean_gap:.0e}")
print(f"sum with the same η: loss above the minimum {sum_same_rate:.0e} after one epoch")

# %% [markdown]
# ## 4. Who is faster?
#
# Count the work by **gradient evaluations**: how many examples have been passed forward and back.
# An epoch is $N$ of them, for everyone. Full batch gets the best constant $\eta$ there is,
# $2 / (\lambda_\max + \lambda_\min)$ of the Hessian. $B = 1$ and $B = 32$ get 0.01 and 0.3, a rate
# of about 0.01 *per example* both.

# %%
eigenvalues = np.linalg.eigvalsh(H)
RATES = {1: 0.01, 32: 0.3, N: 2 / (eigenvalues[0] + eigenvalues[-1])}
EPOCHS = {1: 10, 32: 60, N: 60}
COLOURS = {1: "#D55E00", 32: "#009E73", N: "#0072B2"}


def descend(B, seed=0, epochs=None, pieces=40):
    """(gradient evaluations, seconds, excess loss), `pieces` times in the first epoch, then fewer.

    The clock stands still while the loss is measured.
    """
    rng = np.random.default_rng(seed)
    w, seconds, seen = np.zeros(I), 0.0, 0
    record = [(0, 0.0, excess(w))]
    for epoch in range(EPOCHS[B] if epochs is None else epochs):
        batches = epoch_batches(N, B, rng)
        cut = -(-len(batches) // (pieces if epoch == 0 else pieces // 10))
        for i in range(0, len(batches), cut):
            start = time.perf_counter()
            w = train_epoch(w, x_all, t_all, RATES[B], batches[i : i + cut])
            seconds += time.perf_counter() - start
            seen += sum(len(ids) for ids in batches[i : i + cut])
            record.append((seen, seconds, excess(w)))
    return np.array(record).T


runs = {B: descend(B) for B in RATES}
after_one_epoch = {B: [descend(B, seed, epochs=1)[2][-1] for seed in range(5)] for B in RATES}
print("loss above the minimum after one epoch (5 seeds):")
for B, found in after_one_epoch.items():
    print(f"  B = {B:6}: {np.mean(found):.4f} ({min(found):.4f} to {max(found):.4f})")

figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained", sharey=True)
for B, (seen, seconds, above) in runs.items():
    axes[0].loglog(seen[1:], above[1:], color=COLOURS[B], label=f"B = {B}")
    axes[1].loglog(seconds[1:], above[1:], color=COLOURS[B], label=f"B = {B}")
axes[0].axvline(N, color="#666666", linestyle=":")
axes[0].text(N * 1.1, 1e-9, "one epoch", color="#666666")
axes[0].set(xlabel="gradient evaluations", ylabel="L(w) − minimum", title="by work")
axes[1].set(xlabel="seconds", title="by the clock")
axes[0].legend(frameon=False)
show("loss against work")

# %% [markdown]
# By work: when full batch takes its first step, the others are done, as far as they will ever get.
# Then they stay there, while full batch comes nearer by the same factor with each step (**linear**
# convergence: a straight line if the horizontal axis were not logarithmic),
# $\left(\frac{\kappa - 1}{\kappa + 1}\right)^2$ with $\kappa = \lambda_\max / \lambda_\min$.
#
# By the clock: $B = 32$ is ahead all the same, but $B = 1$ may come in last, behind full batch.
# (That depends on the machine.) What is cheap in examples need not be cheap in time; section 6 says
# why.
#
# **D13.** The slide says of SGD “Overall faster conversion”. The word is *convergence*, and the
# table says what is true of it. To a rough answer SGD needs about a hundredth of the work. To an
# exact one it does not converge at all, as long as $\eta$ is constant. (In machine learning a rough
# answer is usually enough: the data are a sample, so the exact minimum of their loss is itself only
# an estimate.)

# %%
kappa = eigenvalues[-1] / eigenvalues[0]
predicted_factor = ((kappa - 1) / (kappa + 1)) ** 2
above = runs[N][2]
measured_factor = (above[45] / above[25]) ** (1 / 20)
print(f"full batch: × {measured_factor:.4f} per step, predicted {predicted_factor:.4f}")

evaluations_to = {
    (B, goal): next((int(n) for n, e in zip(seen, above, strict=True) if e <= goal), None)
    for B, (seen, _, above) in runs.items()
    for goal in (0.1, 0.01, 1e-4, 1e-8)
}
print("gradient evaluations until the loss is above its minimum by no more than")
print(f"{'':12}" + "".join(f"{goal:>10}" for goal in (0.1, 0.01, 1e-4, 1e-8)))
for B in RATES:
    cells = [evaluations_to[B, goal] for goal in (0.1, 0.01, 1e-4, 1e-8)]
    print(f"  B = {B:6}" + "".join(f"{'never' if n is None else n:>10}" for n in cells))

# %% [markdown]
# ## 5. The noise floor
#
# Why does it stop? Take one weight, near its minimum at 0: the gradient is $h w$ plus the noise
# $\xi$ of the batch, with mean 0 and variance $c / B$. A step and the expected square after it:
#
# $$ w' = w - \eta (h w + \xi) \tag{7.6} $$
# $$ \mathbb{E}\, w'^2 = (1 - \eta h)^2\, \mathbb{E}\, w^2 + \frac{\eta^2 c}{B} \tag{7.7} $$
#
# The first term shrinks what is there, the second adds new noise at every step. It settles where
# they balance, $\mathbb{E}\,w'^2 = \mathbb{E}\,w^2 = v$, and there the loss stays above its minimum
# by $\tfrac12 h v$.
#
# ### Exercise 07.6 · How high is the floor?
#
# Solve (7.7) for $v$ and return $\tfrac12 h v$. The check does (7.7) again and again until nothing
# changes.


# %%
def noise_floor(lr, h, c, B):
    """½ h v for the v that (7.7) leaves as it is."""
    ### BEGIN SOLUTION 07.6
    ### HINT v (1 − (1 − ηh)²) = η² c / B, and 1 − (1 − ηh)² = ηh (2 − ηh).
    ### HINT v = η c / (B h (2 − ηh)); multiply by h / 2.
    return lr * c / (2 * B * (2 - lr * h))
    ### END SOLUTION


# %%
def floor_by_iteration(lr, h, c, B):
    v = 1.0
    for _ in range(5000):
        v = (1 - lr * h) ** 2 * v + lr**2 * c / B
    return 0.5 * h * v


check(
    "07.6",
    noise_floor,
    0.3,
    0.8,
    1.7,
    4,
    expected=floor_by_iteration,
    mistakes={
        "this is v itself: the loss is ½ h v": lambda lr, h, c, B: lr * c / (B * h * (2 - lr * h)),
        "this is the approximation for small ηh; give the exact value": lambda lr, h, c, B: (
            lr * c / (4 * B)
        ),
    },
)

# %% [markdown]
# For $\eta h \ll 1$ the curvature drops out, and with several weights the floors add up:
#
# $$ \mathbb{E}\, L - L_\min \approx \frac{\eta}{4 B} \operatorname{tr} C, \qquad
#    C = \frac1N \sum_n g_n g_n^\top \text{ at the minimum} \tag{7.8} $$
#
# Proportional to $\eta / B$. Measured: 16 pairs of $\eta$ and $B$, eight independent runs each, all
# started at the minimum. They move *away* from it. (For $B = 1$ and $\eta = 0.1$ the floor lies
# some 40 % above (7.8): there $\eta h$ is not small, and away from the minimum single gradients
# are larger.)


# %%
def measured_floor(lr, B, chains=8, seed=0):
    """Mean excess loss of each of some independent runs from the minimum, after settling."""
    rng = np.random.default_rng(seed)
    settling, steps = int(10 / lr), int(25 / lr)
    w, total = np.tile(w_best, (chains, 1)), np.zeros(chains)
    for step in range(steps):
        ids = rng.integers(N, size=(chains, B))
        x = x_all[ids]  # (chains, B, I)
        error = np.matmul(x, w[:, :, None])[:, :, 0] - t_all[ids]
        w = w - lr / B * np.matmul(error[:, None, :], x)[:, 0]
        if step >= settling:
            total += excess(w)
    return total / (steps - settling)


best_gradients = x_all * (x_all @ w_best - t_all)[:, None]
trace_C = np.sum(best_gradients**2) / N
pairs_tried = [(lr, B) for lr in (0.01, 0.02, 0.05, 0.1) for B in (1, 4, 16, 64)]
floors = np.array([measured_floor(lr, B) for lr, B in pairs_tried])  # (pairs, chains)
ratio = np.array([lr / B for lr, B in pairs_tried])
floor_slopes = np.polyfit(np.log(ratio), np.log(floors), 1)[0]
floor_slope = np.polyfit(np.log(ratio), np.log(floors.mean(axis=1)), 1)[0]
floor_quotient = floors.mean(axis=1) / (ratio * trace_C / 4)
print(
    f"log-log slope of the floor against η/B: {floor_slope:.3f} "
    f"(single runs {floor_slopes.min():.3f} to {floor_slopes.max():.3f}); predicted 1"
)
print(f"measured / (7.8): {floor_quotient.min():.2f} to {floor_quotient.max():.2f}")

figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained")
for lr, colour in ((0.1, "#D55E00"), (0.03, "#009E73"), (0.01, "#0072B2")):
    rng = np.random.default_rng(5)
    w, path = np.zeros(I), []
    for _ in range(1500):
        ids = rng.integers(N, size=1)
        w = train_epoch(w, x_all, t_all, lr, [ids])
        path.append(excess(w))
    axes[0].semilogy(path, color=colour, linewidth=0.7, label=f"η = {lr}")
    axes[0].axhline(lr * trace_C / 4, color=colour, linestyle="--")
axes[0].legend(frameon=False)
axes[0].set(title="B = 1; dashed: (7.8)", xlabel="step", ylabel="L(w) − minimum")
for B, marker, colour in (
    (1, "o", "#D55E00"),
    (4, "s", "#009E73"),
    (16, "^", "#0072B2"),
    (64, "D", "#CC79A7"),
):
    chosen = [i for i, pair in enumerate(pairs_tried) if pair[1] == B]
    axes[1].loglog(
        ratio[chosen], floors.mean(axis=1)[chosen], marker, color=colour, label=f"B = {B}"
    )
axes[1].loglog(np.sort(ratio), np.sort(ratio) * trace_C / 4, color="#666666", label="(7.8)")
axes[1].legend(frameon=False)
axes[1].set(title="the floor", xlabel="η / B", ylabel="L(w) − minimum")
show("noise floor")

# %% [markdown]
# Two ways out: a smaller $\eta$ towards the end (lesson 08 removes the floor by that), or larger
# batches. And (7.8) says more: **$B$ and $\eta$ doubled together leave the floor and the progress
# per example as they are.** Judged by work alone, then, mini-batches bring nothing: every line of
# the left figure of section 4 could be had with $B = 1$. So why does nobody do it?

# %% [markdown]
# ## 6. The real reason
#
# One step costs a few lines of Python and a few calls of NumPy, whether it is for one example or
# for a hundred. Time per example of one training step, as in section 4:


# %%
def seconds_per_example(B, repeats=15):
    """Of train_epoch at batch size B: the best of some repeats over about 2000 examples' steps."""
    batches = epoch_batches(N, B, np.random.default_rng(0))[: max(3, 2000 // B)]
    examples, taken = sum(len(ids) for ids in batches), []
    for _ in range(repeats):
        start = time.perf_counter()
        train_epoch(w_best, x_all, t_all, 0.01, batches)
        taken.append((time.perf_counter() - start) / examples)
    return min(taken)


timed_sizes = [1, 2, 8, 32, 128, 512, 2048]
per_example = {B: seconds_per_example(B) for B in timed_sizes}
speedup = per_example[1] / per_example[128]
for B, s in per_example.items():
    print(
        f"  B = {B:4}: {s * 1e6:7.3f} µs per example, {per_example[1] / s:5.0f} × as fast as B = 1"
    )

figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
ax.loglog(timed_sizes, [per_example[B] * 1e6 for B in timed_sizes], "o-", color="#0072B2")
ax.loglog(
    timed_sizes, [per_example[1] * 1e6 / B for B in timed_sizes], ":", color="#666666", label="1/B"
)
ax.legend(frameon=False)
ax.set(
    title=f"B = 128: {speedup:.0f} times faster than B = 1",
    xlabel="batch size B",
    ylabel="µs per example",
)
show("time per example")

# %% [markdown]
# At first the time falls as $1/B$: all of it is overhead, and examples are free. Later the
# arithmetic itself costs, and larger batches gain little more. Where the line bends is the batch
# size to begin with; on a GPU it lies further right. Hence the slide's “best of both worlds”: many
# steps per epoch as with SGD, at nearly full batch's price per example.
#
# A time is a property of a machine, so no test asserts it; `tests/benchmarks/mini_batches.py`
# measures it wherever you are.

# %% [markdown]
# ## 7. The library says the same
#
# `nnlib.squared` is the loss (7.2), `nnlib.SGD` the step. An epoch with an incomplete last batch:

# %%
from nnlib import SGD, Dense, squared

model = Dense(I, 1, bias=False, rng=np.random.default_rng(6)).astype(np.float64)
w_start = model.W.value[:, 0].copy()
optimizer = SGD(model.parameters(), lr=0.1)
batches_lib = epoch_batches(N, 128, np.random.default_rng(7))
losses_mine, losses_lib, w_mine = [], [], w_start
for ids in batches_lib:
    y, back_model = model(x_all[ids])
    loss, back_loss = squared(y, t_all[ids, None])
    back_model(back_loss())
    optimizer.step()
    losses_lib.append(loss)
    losses_mine.append(batch_loss(w_mine, x_all[ids], t_all[ids])[0])
    w_mine = train_epoch(w_mine, x_all, t_all, 0.1, [ids])
library_gap = max(
    np.abs(model.W.value[:, 0] - w_mine).max(), np.abs(np.subtract(losses_lib, losses_mine)).max()
)
print(f"last batch: {len(batches_lib[-1])} examples; largest difference {library_gap:.0e}")
assert library_gap < 1e-12

# %% [markdown]
# ## What to keep
#
# - A batch's gradient is the full one plus noise of variance $\propto 1/B$. Divide by the number of
#   examples that are really there.
# - With a constant $\eta$ the noise sets a floor $\propto \eta / B$; far above it noise costs next
#   to nothing, at it nothing else matters.
# - Mini-batches are not better mathematics than single examples. They are the same mathematics on
#   machines that like to do many equal things at once.
