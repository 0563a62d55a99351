# %% [markdown]
# # 08 · Momentum, schedules, adaptive rates
#
# - **Minutes:** 90
# - **Prerequisites:** lesson 07
# - **Slides:** “Why now? – Research breakthroughs – Adaptive learning rates”
# - **The deck is wrong here:** D14: Adagrad, RMSProp and Adam are printed with ε *inside* the root,
#   their papers and nearly all code have it outside; “Adadelata” is Adadelta; the column “Scaling
#   factor” holds a factor of the gradient for two methods and the whole update for the other two.
#   D17: “Weights are not updated with the same frequency” stands under scheduling and is the reason
#   for adaptive rates
#
# Gradient descent has one number to choose, and no choice is good: what is too large in one
# direction is too small in another, what is right at first is too noisy later. The slide answers
# with three ideas: remember the direction (momentum), change the rate over time (schedules), give
# every weight its own (adaptive methods). You write them all, and then build a problem on which the
# cleverest ones fail.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, RED, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# %% [markdown]
# ## 1. Valleys: momentum
#
# The slide: “Standard SGD gets stuck in valleys and around saddle points”. The simplest valley is
#
# $$ L(\theta) = \tfrac12 (\theta_1^2 + \kappa\, \theta_2^2) \tag{8.1} $$
#
# A step multiplies $\theta_1$ by $1 - \eta$ and $\theta_2$ by $1 - \eta \kappa$. Steep direction:
# $\eta$ must stay below $2 / \kappa$. Flat direction: then it needs $\kappa$ steps to get anywhere.
# A heavy ball rolls on where the gradient keeps its sign, and averages out what swings:
#
# $$ v \leftarrow \mu v - \eta\, g, \qquad \theta \leftarrow \theta + v \tag{8.2} $$
#
# ### Exercise 08.1 · The heavy ball
#
# Return the new $\theta$ and the new $v$ of (8.2), in this order, as new arrays.


# %%
def momentum_step(theta, v, g, lr, mu=0.9):
    """(θ, v) after one step of (8.2)."""
    ### BEGIN SOLUTION 08.1
    ### HINT First v, then θ with the new v.
    v = mu * v - lr * g
    return theta + v, v
    ### END SOLUTION


# %%
rng = np.random.default_rng(81)
check(
    "08.1",
    momentum_step,
    *rng.normal(size=(3, 4)),
    0.3,
    0.8,
    expected=lambda theta, v, g, lr, mu: (
        theta - lr * g + mu * v,
        np.array([mu * v[i] - lr * g[i] for i in range(4)]),
    ),
    mistakes={
        "this moves by the old v: θ takes the new one": lambda theta, v, g, lr, mu: (
            theta + v,
            mu * v - lr * g,
        ),
        "this is v ← μ v − (1 − μ) η g, another convention: its η is smaller by 1 − μ": (
            lambda theta, v, g, lr, mu: (
                theta + mu * v - (1 - mu) * lr * g,
                mu * v - (1 - mu) * lr * g,
            )
        ),
    },
)

# %% [markdown]
# A constant gradient ends in steps of $\eta g (1 + \mu + \mu^2 + \dots) = \eta g / (1 - \mu)$:
# with $\mu = 0.9$ ten times as long as without momentum. **Beware** the averaging form
# $v \leftarrow \mu v + (1 - \mu) g$ of some books, which ends in $\eta g$: an $\eta$ taken from one
# to the other is wrong by that ten.

# %%
theta, v = np.zeros(1), np.zeros(1)
average, steps_made = np.zeros(1), []
for _ in range(200):
    theta, v = momentum_step(theta, v, np.ones(1), lr=0.01)
    average = 0.9 * average + 0.1 * np.ones(1)
    steps_made.append((abs(v[0]), 0.01 * average[0]))
print("last step / η, heavy ball and average:", np.round(np.array(steps_made[-1]) / 0.01, 6))

# %% [markdown]
# Nesterov looks where the momentum leads and takes the gradient *there*:
#
# $$ v \leftarrow \mu v - \eta\, g(\theta + \mu v), \qquad \theta \leftarrow \theta + v \tag{8.3} $$
#
# That is awkward: the gradient belongs to another point than the weights that the model has. So one
# keeps the point ahead, $\hat\theta = \theta + \mu v$. Put the new $v$ and $\theta$ into it:
#
# $$ \hat\theta_\text{new} = \theta + v_\text{new} + \mu v_\text{new}
#    = \hat\theta - \mu v + (1 + \mu)\, v_\text{new} \tag{8.4} $$
#
# ### Exercise 08.2 · Nesterov, with the point ahead
#
# Given $\hat\theta$, $v$ and $g = g(\hat\theta)$, return the new $\hat\theta$ and the new $v$.


# %%
def nesterov_step(theta_ahead, v, g, lr, mu=0.9):
    """(θ̂, v) after one step of (8.3), θ̂ = θ + μ v."""
    ### BEGIN SOLUTION 08.2
    ### HINT v_new = μ v − η g as ever; then (8.4), with the old and the new v.
    ### HINT Simplified: θ̂ + μ v_new − η g.
    v = mu * v - lr * g
    return theta_ahead + mu * v - lr * g, v
    ### END SOLUTION


# %%
def nesterov_by_the_book(theta_ahead, v, g, lr, mu):
    """Back to θ, one step of (8.3), and ahead again."""
    theta = theta_ahead - mu * v
    v = mu * v - lr * g
    theta = theta + v
    return theta + mu * v, v


rng = np.random.default_rng(82)
check(
    "08.2",
    nesterov_step,
    *rng.normal(size=(3, 4)),
    0.3,
    0.8,
    expected=nesterov_by_the_book,
    mistakes={
        "this is the heavy ball: it returns θ, not the point ahead of it": (
            lambda theta, v, g, lr, mu: (theta + mu * v - lr * g, mu * v - lr * g)
        ),
        "this adds (1 + μ) v_new to θ̂ without taking the old μ v off": (
            lambda theta, v, g, lr, mu: (
                theta + (1 + mu) * (mu * v - lr * g),
                mu * v - lr * g,
            )
        ),
    },
)

# %% [markdown]
# Both forms walk the same way, to the last bits. On the valley with $\kappa = 10^3$:


# %%
def valley_gradient(theta, kappa):
    """Of (8.1); theta (2,)."""
    return np.array([1.0, kappa]) * theta


theta, v, ahead, v_ahead, nesterov_gap = np.ones(2), np.zeros(2), np.ones(2), np.zeros(2), 0.0
for _ in range(300):
    v = 0.9 * v - 1e-3 * valley_gradient(theta + 0.9 * v, 1e3)  # (8.3)
    theta = theta + v
    ahead, v_ahead = nesterov_step(ahead, v_ahead, valley_gradient(ahead, 1e3), 1e-3)
    nesterov_gap = max(nesterov_gap, np.abs(ahead - (theta + 0.9 * v)).max())
print(f"(8.3) and (8.4) after 300 steps: largest difference {nesterov_gap:.0e}")

# %% [markdown]
# How much does it help? Each method gets its best constants for (8.1):
#
# | | $\eta$ | $\mu$ | error per step |
# | --- | --- | --- | --- |
# | gradient descent | $2 / (\kappa + 1)$ | | $\frac{\kappa - 1}{\kappa + 1}$ |
# | heavy ball, $r = \sqrt\kappa$ | $4 / (r + 1)^2$ | $\rho^2$ | $\rho = \frac{r - 1}{r + 1}$ |
# | Nesterov, $r = \sqrt{3 \kappa + 1}$ | $4 / r^2$ | $\frac{r - 2}{r + 2}$ | $1 - \frac2r$ |
#
# (The heavy ball and Nesterov add a factor that grows with the number of steps.) So the number of
# steps is $O(\kappa)$ for the first and $O(\sqrt\kappa)$ for the others.


# %%
def best_constants(name, kappa):
    """(η, μ) of the table."""
    root, root3 = np.sqrt(kappa), np.sqrt(3 * kappa + 1)
    return {
        "gradient descent": (2 / (kappa + 1), 0.0),
        "heavy ball": (4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2),
        "Nesterov": (4 / (3 * kappa + 1), (root3 - 2) / (root3 + 2)),
    }[name]


def valley_path(name, kappa, steps, goal=0.0):
    """θ from (1, 1) on, until it is within the goal."""
    lr, mu = best_constants(name, kappa)
    step = nesterov_step if name == "Nesterov" else momentum_step
    theta, v, path = np.ones(2), np.zeros(2), [np.ones(2)]
    while len(path) <= steps and np.abs(theta).max() > goal:
        theta, v = step(theta, v, valley_gradient(theta, kappa), lr, mu)
        path.append(theta)
    return np.array(path)


BALLS = {"gradient descent": BLUE, "heavy ball": RED, "Nesterov": GREEN}
kappas = np.array([10, 30, 100, 300, 1000, 3000])
iterations = {
    name: np.array([len(valley_path(name, k, 50_000, 1e-6)) - 1 for k in kappas]) for name in BALLS
}
kappa_slopes = {name: np.polyfit(np.log(kappas), np.log(n), 1)[0] for name, n in iterations.items()}
momentum_gain = {name: iterations["gradient descent"][4] / n[4] for name, n in iterations.items()}
for name, n in iterations.items():
    print(
        f"{name:16} κ = 1000: {n[4]:5} steps to 1e-6, {momentum_gain[name]:4.1f} × fewer; "
        f"steps grow as κ^{kappa_slopes[name]:.2f}"
    )
loss_after_150 = {}
for name in BALLS:
    end = valley_path(name, 25, 150)[-1]
    loss_after_150[name] = 0.5 * (end[0] ** 2 + 25 * end[1] ** 2)
print("κ = 25, loss after 150 steps:", {k: f"{x:.0e}" for k, x in loss_after_150.items()})

figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained")
u, w = np.meshgrid(np.linspace(-0.3, 1.1, 150), np.linspace(-2, 2.1, 150))
heights = u**2 + 25 * w**2
axes[0].contour(u, w, heights, np.geomspace(0.1, 100, 10), colors="#bbbbbb", linewidths=0.6)
for name, colour in BALLS.items():
    path = valley_path(name, 25, 40)
    axes[0].plot(*path.T, "o-", color=colour, markersize=2.5, linewidth=0.8, label=name)
    axes[1].loglog(kappas, iterations[name], "o-", color=colour, label=name)
axes[0].legend(fontsize=8, loc="lower left", framealpha=1, edgecolor="none")
axes[0].set(title="κ = 25, 40 steps", xlabel="θ₁", ylabel="θ₂")
axes[1].set(title="steps until |θ| ≤ 10⁻⁶", xlabel="κ")
axes[1].legend(frameon=False)
show("valley")

# %% [markdown]
# And the saddle $L = x^2 - y^2$, entered nearly on its ridge, at $(1, 10^{-6})$. No method stays
# there for ever, but leaving takes time: $y$ grows by a factor per step, $1 + 2 \eta$ for gradient
# descent, a larger one with momentum.


# %%
def steps_to_leave_saddle(mu, lr=0.1):
    """Steps until |y| > 1."""
    theta, v = np.array([1.0, 1e-6]), np.zeros(2)
    for step in range(1, 10_000):
        theta, v = momentum_step(theta, v, np.array([2.0, -2.0]) * theta, lr, mu)
        if abs(theta[1]) > 1:
            return step
    return 10_000


saddle_steps = {mu: steps_to_leave_saddle(mu) for mu in (0.0, 0.5, 0.9)}
print("steps to leave the saddle, by μ:", saddle_steps)

# %% [markdown]
# ## 2. Schedules
#
# Lesson 07: with a constant $\eta$ the loss stalls at a floor proportional to $\eta$. So begin
# large and end small. The usual ways, as functions of the number $t$ of steps (or epochs) made:
#
# | | $\eta_t$ |
# | --- | --- |
# | step decay | $\eta_0\, \gamma^{\lfloor t / n \rfloor}$ |
# | exponential | $\eta_0\, \gamma^t$ |
# | inverse time | $\eta_0 / (1 + k t)$ |
# | linear, to a floor | $\eta_0 + (\eta_\text{floor} - \eta_0) \min(t / T, 1)$ |
#
# The slide's second heuristic watches instead: “Measure error on a small validation set and
# decrease learning rate if there is no improvement”.
#
# ### Exercise 08.3 · Reduce on plateau
#
# `losses` are validation losses, one per evaluation. Count the evaluations in a row that are not
# below the *best* loss so far. When `patience` of them have come, multiply the rate by `factor` and
# begin to count anew. Return the array of rates, each as it is after that evaluation.


# %%
def plateau_rates(losses, lr, factor, patience):
    """η after each of the evaluations."""
    ### BEGIN SOLUTION 08.3
    ### HINT Three variables go through the loop: lr, the best loss, and how many have been waited.
    ### HINT An improvement sets best and puts waited to 0; anything else adds 1 to waited.
    ### HINT At waited == patience: lr times factor, and waited is 0 again. best stays.
    best, waited, rates = np.inf, 0, []
    for loss in losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited == patience:
            lr, waited = lr * factor, 0
        rates.append(lr)
    return np.array(rates)
    ### END SOLUTION


# %%
def other_plateau(losses, lr, factor, patience, against_last=False, forget=False, anew=True):
    """Plateaus as they are often written."""
    best, waited, rates = np.inf, 0, []
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = loss if against_last else min(best, loss)
        if waited >= patience:
            lr = lr * factor
            waited = 0 if anew else waited
            best = np.inf if forget else best
        rates.append(lr)
    return np.array(rates)


check(
    "08.3",
    plateau_rates,
    np.array([1.0, 0.8, 0.9, 0.85, 0.82, 0.7, 0.75, 0.71, 0.72, 0.6, 0.65, 0.64, 0.66, 0.61]),
    0.8,
    0.5,
    2,
    expected=0.1 * np.array([8, 8, 8, 4, 4, 4, 4, 2, 2, 2, 2, 1, 1, 0.5]),
    mistakes={
        "this compares with the loss before; a plateau is measured against the best": (
            lambda *a: other_plateau(*a, against_last=True)
        ),
        "this forgets the best loss when it reduces": lambda *a: other_plateau(*a, forget=True),
        "this reduces again at every further evaluation: begin to count anew": (
            lambda *a: other_plateau(*a, anew=False)
        ),
    },
)

# %% [markdown]
# The data of lesson 07 ($10^4$ examples, 10 inputs), batches of 32, 60 epochs, and the floor:


# %%
def least_squares_data(seed=0, n=10_000, n_in=10):
    """The data of lesson 07."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_in)) * np.geomspace(1, 0.3, n_in)
    return x, x @ rng.normal(size=n_in) + 0.5 * rng.normal(size=n)


x_all, t_all = least_squares_data()
w_best = np.linalg.lstsq(x_all, t_all, rcond=None)[0]
H = x_all.T @ x_all / len(x_all)
least_loss = 0.5 * np.mean((x_all @ w_best - t_all) ** 2)


def excess(w):
    """L(w) − L(w_best)."""
    return 0.5 * (w - w_best) @ H @ (w - w_best)


def scheduled(schedule, seed, epochs=60, B=32):
    """Excess loss after each epoch of SGD with η = schedule(epoch)."""
    rng = np.random.default_rng(seed)
    w, found = np.zeros(x_all.shape[1]), [excess(np.zeros(x_all.shape[1]))]
    for epoch in range(epochs):
        order = rng.permutation(len(x_all))
        for i in range(0, len(order), B):
            x, t = x_all[order[i : i + B]], t_all[order[i : i + B]]
            w = w - schedule(epoch) / len(x) * ((x @ w - t) @ x)
        found.append(excess(w))
    return np.array(found)


SCHEDULES = {
    "constant": (lambda epoch: 0.3, BLUE),
    "step decay": (lambda epoch: 0.3 * 0.5 ** (epoch // 5), RED),
    "inverse time": (lambda epoch: 0.3 / (1 + epoch), GREEN),
    "linear": (lambda epoch: 0.3 + (0.0003 - 0.3) * min(epoch / 60, 1), PINK),
}
schedule_runs = {
    name: np.array([scheduled(schedule, seed) for seed in range(3)])
    for name, (schedule, _) in SCHEDULES.items()
}
full_batch_lr = 2 / sum(np.linalg.eigvalsh(H)[[0, -1]])
w, full_batch_run = np.zeros(x_all.shape[1]), [excess(np.zeros(x_all.shape[1]))]
for _ in range(60):
    w = w - full_batch_lr * (H @ (w - w_best))  # the full gradient
    full_batch_run.append(excess(w))

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, (_, colour) in SCHEDULES.items():
    ax.semilogy(schedule_runs[name].mean(axis=0), color=colour, label=name)
ax.semilogy(full_batch_run, color=GREY, linestyle="--", label="full batch")
ax.legend(frameon=False)
ax.set(title="batches of 32, mean of 3 seeds", xlabel="epoch", ylabel="L(w) − minimum")
show("schedules")
for name, found in schedule_runs.items():
    last = found[:, -5:].mean(axis=1)
    print(
        f"{name:13} above the minimum by {last.mean():.1e} ({last.min():.1e} to {last.max():.1e}); "
        f"loss {least_loss + last.mean():.6f}, full batch {least_loss + full_batch_run[-1]:.6f}"
    )

# %% [markdown]
# The floor is gone: with step decay the loss agrees with full batch's in all digits that anyone
# looks at, and at the first epochs it was far ahead. (The last part of its curve is flat because
# the rate has become too small to get anywhere: a schedule can also end too early.)
#
# **D17.** Below “Learning rate scheduling” the slide lists “Weights are not updated with the same
# frequency”. A schedule cannot help there, for it gives the same $\eta_t$ to every weight. It is
# the reason for what comes now.

# %% [markdown]
# ## 3. A rate for every weight
#
# **Adagrad** (Duchi et al. 2011) sums up the squares of each weight's gradients and divides by the
# root of the sum:
#
# $$ G \leftarrow G + g^2, \qquad \theta \leftarrow \theta - \frac{\eta}{\sqrt G + \varepsilon}\, g
#    \tag{8.5} $$
#
# All operations elementwise. The first step is $-\eta \operatorname{sign}(g)$. A weight that seldom
# gets a gradient keeps a large rate; one that always does slows down as $1 / \sqrt t$: the schedule
# is built in.
#
# ### Exercise 08.4 · Adagrad
#
# Return the new $\theta$ and the new $G$.


# %%
def adagrad_step(theta, G, g, lr, eps=1e-8):
    """(θ, G) after one step of (8.5)."""
    ### BEGIN SOLUTION 08.4
    ### HINT First G, and θ with the new G; ε is added to the root, not under it.
    G = G + g**2
    return theta - lr * g / (np.sqrt(G) + eps), G
    ### END SOLUTION


# %%
rng = np.random.default_rng(84)
check(
    "08.4",
    adagrad_step,
    rng.normal(size=4),
    rng.random(4),
    rng.normal(size=4),
    0.3,
    0.2,
    expected=lambda theta, G, g, lr, eps: (
        np.array([theta[i] - lr * g[i] / (np.hypot(G[i] ** 0.5, g[i]) + eps) for i in range(4)]),
        G + np.abs(g) * np.abs(g),
    ),
    mistakes={
        "ε is inside the root, as on the slide; the paper has it outside (see below, D14)": (
            lambda theta, G, g, lr, eps: (theta - lr * g / np.sqrt(G + g**2 + eps), G + g**2)
        ),
        "this divides by the old G": lambda theta, G, g, lr, eps: (
            theta - lr * g / (np.sqrt(G) + eps),
            G + g**2,
        ),
        "the root is missing": lambda theta, G, g, lr, eps: (
            theta - lr * g / (G + g**2 + eps),
            G + g**2,
        ),
    },
)

# %% [markdown]
# Adagrad's sum never forgets, so its rates fall to 0 even where the landscape changes. **RMSProp**
# (Tieleman & Hinton 2012) takes a moving average of the squares instead:
#
# $$ G \leftarrow \gamma G + (1 - \gamma)\, g^2, \qquad
#    \theta \leftarrow \theta - \frac{\eta}{\sqrt G + \varepsilon}\, g \tag{8.6} $$
#
# **Adadelta** (Zeiler 2012) also replaces $\eta$, by the size of the steps made so far; here ε
# stands inside both roots, in the paper as on the slide:
#
# $$ u = \frac{\sqrt{D + \varepsilon}}{\sqrt{G + \varepsilon}}\, g, \qquad
#    D \leftarrow \gamma D + (1 - \gamma)\, u^2, \qquad \theta \leftarrow \theta - u \tag{8.7} $$
#
# **Adam** (Kingma & Ba 2015) averages the gradient as well, and corrects both averages for their
# start at 0. $t$ counts the steps from 1:
#
# $$ M \leftarrow \beta_1 M + (1 - \beta_1)\, g, \qquad
#    V \leftarrow \beta_2 V + (1 - \beta_2)\, g^2 \tag{8.8} $$
# $$ \hat M = \frac{M}{1 - \beta_1^t}, \qquad \hat V = \frac{V}{1 - \beta_2^t}, \qquad
#    \theta \leftarrow \theta - \eta \frac{\hat M}{\sqrt{\hat V} + \varepsilon} \tag{8.9} $$


# %%
def rmsprop_step(theta, G, g, lr, gamma=0.9, eps=1e-8):
    """(θ, G) after one step of (8.6)."""
    G = gamma * G + (1 - gamma) * g**2
    return theta - lr * g / (np.sqrt(G) + eps), G


def adadelta_step(theta, G, D, g, lr=1.0, gamma=0.95, eps=1e-6):
    """(θ, G, D) after one step of (8.7), times lr."""
    G = gamma * G + (1 - gamma) * g**2
    u = np.sqrt(D + eps) / np.sqrt(G + eps) * g
    D = gamma * D + (1 - gamma) * u**2
    return theta - lr * u, G, D


# %% [markdown]
# The slide's last column thus mixes two things. For Adagrad and RMSProp it holds a factor of the
# gradient, for “Adadelata” (Adadelta) and Adam the whole update, gradient included.
#
# ### Exercise 08.5 · Adam
#
# Return the new $\theta$, $M$ and $V$ (the averages as they are kept, not the corrected ones).


# %%
def adam_step(theta, M, V, g, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """(θ, M, V) after step t = 1, 2, ... of (8.8) and (8.9)."""
    ### BEGIN SOLUTION 08.5
    ### HINT Four lines: M, V, the two corrected ones, and θ.
    ### HINT beta1**t is the power; the corrected averages are not kept.
    M = beta1 * M + (1 - beta1) * g
    V = beta2 * V + (1 - beta2) * g**2
    M_hat, V_hat = M / (1 - beta1**t), V / (1 - beta2**t)
    return theta - lr * M_hat / (np.sqrt(V_hat) + eps), M, V
    ### END SOLUTION


# %%
def other_adam(theta, M, V, g, t, lr, beta1, beta2, eps, correct=True, inside=False):
    """Adam with one common denominator; or without its correction, or with ε inside the root."""
    M, V = M + (1 - beta1) * (g - M), V + (1 - beta2) * (g * g - V)
    c1, c2 = (1 - beta1**t, 1 - beta2**t) if correct else (1.0, 1.0)
    below = np.sqrt(V + c2 * eps) if inside else np.sqrt(V) + np.sqrt(c2) * eps
    return theta - lr * np.sqrt(c2) / c1 * M / below, M, V


rng = np.random.default_rng(85)
check(
    "08.5",
    adam_step,
    rng.normal(size=4),
    rng.normal(size=4),
    rng.random(4),
    rng.normal(size=4),
    3,
    0.3,
    0.8,
    0.95,
    0.2,
    expected=other_adam,
    mistakes={
        "ε is inside the root, as on the slide; the paper has it outside (see below, D14)": (
            lambda *a: other_adam(*a, inside=True)
        ),
        "this is without the correction of the start at 0, (8.9)": (
            lambda *a: other_adam(*a, correct=False)
        ),
        "t counts from 1: the power is t, not t + 1": (
            lambda theta, M, V, g, t, *a: other_adam(theta, M, V, g, t + 1, *a)
        ),
        "t counts from 1: the power is t, not t − 1": (
            lambda theta, M, V, g, t, *a: other_adam(theta, M, V, g, t - 1, *a)
        ),
    },
)

# %% [markdown]
# ### The first step
#
# One method, one step, one gradient: how far?

# %%
METHODS = {  # how many slots are kept, and θ, *slots after a step
    "SGD": (0, lambda theta, g, t, lr: (theta - lr * g,)),
    "heavy ball": (1, lambda theta, v, g, t, lr: momentum_step(theta, v, g, lr)),
    "Nesterov": (1, lambda theta, v, g, t, lr: nesterov_step(theta, v, g, lr)),
    "Adagrad": (1, lambda theta, G, g, t, lr: adagrad_step(theta, G, g, lr)),
    "RMSProp": (1, lambda theta, G, g, t, lr: rmsprop_step(theta, G, g, lr)),
    "Adadelta": (2, lambda theta, G, D, g, t, lr: adadelta_step(theta, G, D, g, lr)),
    "Adam": (2, lambda theta, M, V, g, t, lr: adam_step(theta, M, V, g, t, lr)),
}


def first_step(step, slots, g, lr=1.0):
    """−Δθ / η of the first step."""
    return -step(np.zeros(1), *[np.zeros(1)] * slots, np.array([g]), 1, lr)[0][0] / lr


first_steps = {
    name: {g: first_step(step, slots, g) for g in (1e-5, 1e-2, 1.0, 1e3)}
    for name, (slots, step) in METHODS.items()
}
print(f"{'first step / η for g =':22}" + "".join(f"{g:>10g}" for g in (1e-5, 1e-2, 1.0, 1e3)))
for name, found in first_steps.items():
    print(f"{name:22}" + "".join(f"{s:10.4g}" for s in found.values()))

# %% [markdown]
# SGD steps by the gradient, the adaptive ones by its sign. RMSProp's average starts at 0 and is not
# corrected: its first step is $1 / \sqrt{1 - \gamma} = 3.2$ times as long. Adadelta's first step
# is $\sqrt{\varepsilon / (1 - \gamma)} = 0.0045$ (for $g^2 \gg \varepsilon$): its ε is a hidden
# learning rate.
#
# **D14, the ε question.** With $\varepsilon = 10^{-8}$, what is the first step for a gradient of
# $10^{-5}$, in units of $\eta$? Outside: $10^{-5} / (10^{-5} + 10^{-8})$, just below 1. Inside, as
# printed on the slide: $10^{-5} / \sqrt{10^{-10} + 10^{-8}}$, a tenth. An ε inside acts on
# gradients up to its *root*, $10^{-4}$, and such gradients are common in deep nets. To mean the
# same, it would have to be $\varepsilon^2 = 10^{-16}$.

# %%
gradient_sizes = np.geomspace(1e-10, 1, 200)


def first_adam(g, eps, inside):
    """|Δθ| / η of Adam's first step, where M̂ = g and V̂ = g²."""
    return g / (np.sqrt(g**2 + eps) if inside else np.sqrt(g**2) + eps)


eps_steps = {
    "outside, 10⁻⁸": first_adam(1e-5, 1e-8, inside=False),
    "inside, 10⁻⁸": first_adam(1e-5, 1e-8, inside=True),
    "inside, 10⁻¹⁶": first_adam(1e-5, 1e-16, inside=True),
}
assert np.isclose(eps_steps["outside, 10⁻⁸"], first_steps["Adam"][1e-5])
for where, length in eps_steps.items():
    print(f"Adam's first step for |g| = 1e-5, ε {where:14}: {length:.4f} η")

constant_t = np.arange(1, 5001)
uncorrected = (1 - 0.9**constant_t) / np.sqrt(1 - 0.999**constant_t)  # (8.8) for a constant g
first_uncorrected = other_adam(*np.zeros((3, 1)), np.ones(1), 1, 1.0, 0.9, 0.999, 0.0, False)[0]
print(
    f"Adam without correction: first step {-first_uncorrected[0]:.2f} η, "
    f"longest {uncorrected.max():.1f} η at step {constant_t[uncorrected.argmax()]}"
)

figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.4), layout="constrained")
for label, eps, inside, colour in (
    ("outside, ε = 10⁻⁸", 1e-8, False, BLUE),
    ("inside, ε = 10⁻⁸ (slide)", 1e-8, True, RED),
    ("inside, ε = 10⁻¹⁶", 1e-16, True, GREEN),
):
    axes[0].loglog(
        gradient_sizes, first_adam(gradient_sizes, eps, inside), color=colour, label=label
    )
axes[0].plot([1e-5] * 2, [eps_steps["inside, 10⁻⁸"], eps_steps["outside, 10⁻⁸"]], "k.", zorder=3)
axes[0].legend(frameon=False)
axes[0].set(title="Adam's first step", xlabel="|g|", ylabel="|Δθ| / η")
axes[1].semilogx(constant_t, uncorrected, color=RED, label="uncorrected")
axes[1].axhline(1, color=BLUE, label="corrected")
axes[1].legend(frameon=False)
axes[1].set(title="Adam, constant gradient", xlabel="step", ylabel="|Δθ| / η", ylim=(0, None))
show("epsilon and correction")

# %% [markdown]
# ### What the scale of the loss does
#
# Multiply the loss by 1000 (a sum instead of a mean, say). SGD's steps are 1000 times as long.
# With $\varepsilon = 0$ Adagrad, RMSProp and Adam do not notice. Adadelta needs an ε, or it never
# moves; it notices a little.


# %%
def walk(step, slots, scale, steps=30):
    """θ along a fixed sequence of gradients, all multiplied by scale."""
    rng = np.random.default_rng(8)
    theta, state, path = np.zeros(3), [np.zeros(3)] * slots, []
    for t in range(1, steps + 1):
        theta, *state = step(theta, *state, scale * rng.normal(size=3), t)
        path.append(theta)
    return np.array(path)


scale_gaps = {}
for name, slots, step in (
    ("SGD", 0, lambda theta, g, t: (theta - 0.01 * g,)),
    ("Adagrad, ε = 0", 1, lambda theta, G, g, t: adagrad_step(theta, G, g, 0.01, 0.0)),
    ("RMSProp, ε = 0", 1, lambda theta, G, g, t: rmsprop_step(theta, G, g, 0.01, eps=0.0)),
    ("Adam, ε = 0", 2, lambda theta, M, V, g, t: adam_step(theta, M, V, g, t, 0.01, eps=0.0)),
    ("Adam, ε = 1e-8", 2, lambda theta, M, V, g, t: adam_step(theta, M, V, g, t, 0.01)),
    ("Adadelta, ε = 1e-6", 2, lambda theta, G, D, g, t: adadelta_step(theta, G, D, g)),
):
    plain = walk(step, slots, 1.0)
    scale_gaps[name] = np.abs(walk(step, slots, 1000.0) - plain).max() / np.abs(plain).max()
    print(f"{name:19} loss × 1000 changes the path by {scale_gaps[name]:.0e}")

# %% [markdown]
# ## 4. Rows: tables that are touched here and there
#
# A recommender has a table with a row per item; a batch touches a hundred of a million. One wants
# to update these rows only. Is that the same as the whole update, with gradient 0 elsewhere? For
# SGD and Adagrad yes: $g = 0$ changes nothing. For all that keep averages no: with $g = 0$ a heavy
# ball rolls on and Adam's $M$ and $V$ decay. Updating touched rows only is then another method,
# called **lazy**.
#
# And one trap: the same item may occur several times in a batch. Its gradient is the *sum*, and the
# sum is squared, not each part.
#
# ### Exercise 08.6 · Adagrad for rows
#
# Row `ids[k]` of the table has gradient `g[k]`; ids may repeat. Return the new table and the new
# $G$ (both whole, new arrays) of one Adagrad step.


# %%
def adagrad_rows(table, G, ids, g, lr, eps=1e-8):
    """(table, G) after (8.5) for rows; table and G (N, D), ids (n,), g (n, D)."""
    ### BEGIN SOLUTION 08.6
    ### HINT np.unique(ids, return_inverse=True) gives the distinct rows, and for each k its place.
    ### HINT np.add.at(total, place, g) sums what belongs together; total[place] += g would not.
    ### HINT Then (8.5) for these rows: of copies of the table and G.
    rows, place = np.unique(ids, return_inverse=True)
    total = np.zeros((len(rows), g.shape[1]))
    np.add.at(total, place, g)
    table, G = table.copy(), G.copy()
    G[rows] += total**2
    table[rows] -= lr * total / (np.sqrt(G[rows]) + eps)
    return table, G
    ### END SOLUTION


# %%
def adagrad_by_whole_table(table, G, ids, g, lr, eps):
    """The dense gradient, and (8.5) for all."""
    dense = np.zeros_like(table)
    for row, part in zip(ids, g, strict=True):
        dense[row] = dense[row] + part
    return table - lr * dense / (np.sqrt(G + dense**2) + eps), G + dense**2


def adagrad_last_wins(table, G, ids, g, lr, eps):
    """Fancy indexing alone: of repeated ids one survives."""
    G[ids] += g**2
    table[ids] -= lr * g / (np.sqrt(G[ids]) + eps)
    return table, G


def adagrad_square_first(table, G, ids, g, lr, eps):
    """Every part squared by itself."""
    dense = np.zeros_like(table)
    np.add.at(dense, ids, g)
    np.add.at(G, ids, g**2)
    return table - lr * dense / (np.sqrt(G) + eps), G


rng = np.random.default_rng(86)
check(
    "08.6",
    adagrad_rows,
    rng.normal(size=(6, 2)),
    rng.random((6, 2)),
    np.array([4, 1, 4, 0, 4]),
    rng.normal(size=(5, 2)),
    0.3,
    0.2,
    expected=adagrad_by_whole_table,
    mistakes={
        "of a repeated id only the last gradient counts: sum them first (np.add.at)": (
            adagrad_last_wins
        ),
        "the parts are squared before they are summed: sum first, then square": (
            adagrad_square_first
        ),
    },
)

# %% [markdown]
# One row that gets a gradient at steps 1, 31 and 61 only. Adagrad: the two ways are one. Heavy ball
# and Adam: the dense update goes on moving where there is no reason to move.


# %%
def seldom(step, slots, lazy, steps=90):
    """θ of a weight whose gradient is 1 at steps 1, 31, 61 and 0 otherwise."""
    theta, state, path = np.zeros(1), [np.zeros(1)] * slots, []
    for t in range(1, steps + 1):
        g = np.array([1.0 if t % 30 == 1 else 0.0])
        if g[0] or not lazy:
            theta, *state = step(theta, *state, g, t, 0.01)
        path.append(theta[0])
    return np.array(path)


lazy_gap, lazy_paths = {}, {}
for name in ("SGD", "Adagrad", "heavy ball", "Adam"):
    slots, step = METHODS[name]
    lazy_paths[name] = [seldom(step, slots, lazy) for lazy in (False, True)]
    lazy_gap[name] = np.abs(lazy_paths[name][0] - lazy_paths[name][1]).max()
    print(f"{name:11} dense and lazy differ by {lazy_gap[name]:.2g}")
figure, axes = plt.subplots(1, 3, figsize=(10.5, 2.9), layout="constrained")
for ax, name in zip(axes, ("Adagrad", "heavy ball", "Adam"), strict=True):
    for path, colour, style, label in zip(
        lazy_paths[name], (BLUE, RED), ("-", "--"), ("dense", "lazy"), strict=True
    ):
        ax.plot(np.arange(1, 91), path, color=colour, linestyle=style, label=label)
    ax.set(title=name, xlabel="step")
axes[0].set_ylabel("θ of the row")
axes[0].legend(frameon=False)
show("lazy and dense")

# %% [markdown]
# ## 5. Where adaptive rates win: rare features
#
# Logistic regression on 1000 features that are 0 or 1, ten or so at a time, with frequencies as
# words or items have them (Zipf: the $k$-th most frequent $\propto 1 / k^{1.1}$). All weights are
# drawn from the same distribution, so a rare feature says as much as a frequent one, when it is
# there. 3000 examples to train on, 1500 to choose $\eta$, 3000 to test; batches of 16; 5 seeds.
# Each method gets its own best $\eta$ of 17. (All rates run at once: $\theta$ has a column for
# each.)

# %%
ETAS = 10.0 ** np.arange(-3, 1.01, 0.25)


def zipf_data(seed, n_features=1000, present=10):
    """Training, validation and test pairs (x, t)."""
    rng = np.random.default_rng(seed)
    sizes = (3000, 1500, 3000)
    frequency = 1 / np.arange(1, n_features + 1) ** 1.1
    chosen = rng.choice(n_features, size=(sum(sizes), present), p=frequency / frequency.sum())
    x = np.zeros((sum(sizes), n_features))
    x[np.arange(sum(sizes))[:, None], chosen] = 1
    s = x @ rng.normal(size=n_features)
    t = (rng.random(len(s)) < 1 / (1 + np.exp(-s))).astype(float)
    ends = np.cumsum(sizes)[:2]
    return list(zip(np.split(x, ends), np.split(t, ends), strict=True))


def log_loss(w, x, t):
    """Mean logistic loss (1.12) of each column of w."""
    s = x @ w
    return np.mean(np.logaddexp(0, s) - t[:, None] * s, axis=0)


def train_logistic(name, x, t, etas, epochs, seed, B=16):
    """The weights (features, rates), after each of the epochs."""
    slots, step = METHODS[name]
    rng = np.random.default_rng(seed)
    w = np.zeros((x.shape[1], len(etas)))
    state, moment = [np.zeros_like(w)] * slots, 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for i in range(0, len(x), B):
            x_batch, t_batch = x[order[i : i + B]], t[order[i : i + B], None]
            y = 0.5 * (1 + np.tanh(x_batch @ w / 2))
            g = x_batch.T @ ((y - t_batch) / len(x_batch))
            moment += 1
            w, *state = step(w, *state, g, moment, etas)
        yield w


ZIPF_METHODS = {"SGD": BLUE, "Adagrad": RED, "Adam": GREEN}
zipf_curves = {(name, epochs): [] for name in ZIPF_METHODS for epochs in (1, 3)}
zipf_test = {key: [] for key in zipf_curves}  # test loss at the rate that validation chose
zipf_coarse = {key: [] for key in zipf_curves}  # the same, with every second rate only
for seed in range(5):
    (x_train, t_train), validation, test = zipf_data(seed)
    for name in ZIPF_METHODS:
        for epoch, w in enumerate(train_logistic(name, x_train, t_train, ETAS, 3, seed), start=1):
            if epoch in (1, 3):
                on_test, on_validation = log_loss(w, *test), log_loss(w, *validation)
                zipf_curves[name, epoch].append(on_test)
                zipf_test[name, epoch].append(on_test[on_validation.argmin()])
                zipf_coarse[name, epoch].append(on_test[::2][on_validation[::2].argmin()])

for epochs in (1, 3):
    for name in ZIPF_METHODS:
        found = zipf_test[name, epochs]
        beaten = np.sum(np.less(found, zipf_test["SGD", epochs]))
        print(
            f"{epochs} epoch(s) {name:8} test log-loss {np.mean(found):.4f} "
            f"({min(found):.4f} to {max(found):.4f}), below SGD in {beaten} of 5 seeds; "
            f"every second η only: {np.mean(zipf_coarse[name, epochs]):.4f}"
        )
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.4), layout="constrained", sharey=True)
for ax, epochs in zip(axes, (1, 3), strict=True):
    for name, colour in ZIPF_METHODS.items():
        curve = np.mean(zipf_curves[name, epochs], axis=0)
        ax.semilogx(ETAS, curve, "o-", markersize=3, color=colour, label=name)
    ax.axhline(np.log(2), color=GREY, linestyle=":")
    ax.text(10, np.log(2), "log 2", color=GREY, va="bottom", ha="right")
    ax.set(title=f"{epochs} epoch{'s'[: epochs - 1]}", xlabel="η", ylim=(0.4, 1))
axes[0].set_ylabel("test log-loss, mean of 5 seeds")
axes[0].legend(frameon=False)
show("rare features")

# %% [markdown]
# Adagrad is ahead for every seed: a rare weight gets a handful of gradients, and moves far with
# each. After three passes the gap is less than half of what it was after one. It is small enough to
# be lost by careless tuning: with every second $\eta$ only, factors of 3 apart, SGD and Adagrad
# end level after three passes. Whoever compares methods compares the care with which each was
# tuned.
#
# The reason is what the slide put into the wrong place (**D17**): how often a feature occurs.
# Beside it, the rate per weight that Adagrad ended with.

# %%
x_train, t_train = zipf_data(0)[0]
occurs = x_train.sum(axis=0)
G_zipf, w = np.zeros(x_train.shape[1]), np.zeros(x_train.shape[1])
for i in range(0, len(x_train), 16):
    x_batch, t_batch = x_train[i : i + 16], t_train[i : i + 16]
    g = x_batch.T @ (0.5 * (1 + np.tanh(x_batch @ w / 2)) - t_batch) / len(x_batch)
    w, G_zipf = adagrad_step(w, G_zipf, g, 0.3)
own_rate = 0.3 / (np.sqrt(G_zipf) + 1e-8)
groups = {"the 10 most frequent": slice(0, 10), "features 501 to 1000": slice(500, 1000)}
frequency_rates = {
    label: (occurs[part].mean(), np.median(own_rate[part][occurs[part] > 0]))
    for label, part in groups.items()
}
for label, (count, rate) in frequency_rates.items():
    print(f"{label:20} in {count:6.1f} examples on average, median of Adagrad's rates {rate:.2f}")

# %% [markdown]
# ### Real sparse features: who rated what
#
# The problem above was made so that rare features matter: all weights equally large, ten features
# at a time. What of real ones? MovieLens 100K has 943 people, 1682 films and $10^5$ ratings of 1
# to 5. Is a rating above 3? The features are the one-hot person and the one-hot film, so the score
# is the sum of two weights,
#
# $$ P(\text{above 3}) = \sigma(b_\text{person} + c_\text{film}) $$
#
# and an example has a gradient for two rows of 2625. Films are rated with frequencies as in Zipf's
# law. Everybody's ten ratings of `ua.test` are for the test, a tenth of `ua.base` to choose the
# rate (15 rates from $10^{-2}$ to 30), the rest to train on, in batches of 16; 5 seeds for the
# order of the examples. All seeds and rates run at once, (8.5) for rows as in exercise 08.6, in
# place.
#
# Adagrad's rates differ between weights, *and* they all fall. To tell the two apart, SGD runs a
# second time, with a rate that falls linearly to 0: a schedule, the same for all weights.

# %%
import os
from pathlib import Path

import lessons

beside = Path(lessons.__file__).resolve().parents[2] / "shared" / "data"
MOVIELENS = Path(os.environ.get("NNLIB_DATA", beside)) / "ml-100k"
RATING_ETAS = 10.0 ** np.arange(-2, 1.51, 0.25)
N_PEOPLE, N_FILMS = 943, 1682


def rating_data(file):
    """(rows, t): the row of the person and that of the film (n, 2), and rating > 3 (n,)."""
    person, film, rating, _ = np.loadtxt(MOVIELENS / file, dtype=int).T
    return np.column_stack([person - 1, N_PEOPLE + film - 1]), (rating > 3).astype(float)


def train_rows(name, rows, t, etas, passes, seeds=5, B=16):
    """The weights (seeds, rows, rates) after all passes."""
    n_rows = N_PEOPLE + N_FILMS
    rngs = [np.random.default_rng(seed) for seed in range(seeds)]
    w = np.zeros((seeds * n_rows, len(etas)))  # a table for each seed, one below the other
    G = np.zeros_like(w)
    for n_pass in range(passes):
        order = np.stack([rng.permutation(len(t)) for rng in rngs])
        for i in range(0, len(t), B):
            batch = order[:, i : i + B]
            ids = rows[batch] + n_rows * np.arange(seeds)[:, None, None]
            y = 0.5 * (1 + np.tanh(w[ids].sum(axis=2) / 2))
            g = (y - t[batch][:, :, None]) / batch.shape[1]
            g = np.repeat(g.reshape(-1, len(etas)), 2, axis=0)  # the same for person and film
            by_row = ids.ravel().argsort()
            touched, first = np.unique(ids.ravel()[by_row], return_index=True)
            g = np.add.reduceat(g[by_row], first)  # repeated rows: summed, before any square
            if name == "Adagrad":
                G[touched] += g**2
                g = g / (np.sqrt(G[touched]) + 1e-8)
            left = 1 - (n_pass + i / len(t)) / passes if name == "SGD, falling" else 1.0
            w[touched] -= left * etas * g
    return w.reshape(seeds, n_rows, len(etas))


def rating_losses(w, rows, t):
    """Loss of each example (seeds, n, rates)."""
    s = w[:, rows].sum(axis=2)
    return np.logaddexp(0, s) - t[:, None] * s


def film_means(rows, t, to, strength):
    """Share of ratings above 3 of each film in `to`, drawn to that of all by `strength` ratings."""
    films = N_PEOPLE + N_FILMS
    n, above = np.bincount(rows[:, 1], minlength=films), np.bincount(rows[:, 1], t, films)
    return ((above + strength * t.mean()) / (n + strength))[to[:, 1]]


def binary_loss(y, t):
    """Mean log-loss of probabilities."""
    return -np.mean(t * np.log(y) + (1 - t) * np.log(1 - y))


# %%
RATING_METHODS = {"SGD": BLUE, "SGD, falling": GREY, "Adagrad": RED}
BUCKETS = {"≤ 5": 5, "6–20": 20, "21–80": 80, "> 80": N_PEOPLE}  # the most ratings in each
rating_best, rating_each, rating_test, rating_baselines, rating_gaps = {}, {}, {}, {}, {}
if MOVIELENS.is_dir():
    rows, t = rating_data("ua.base")
    rows_test, t_test = rating_data("ua.test")
    mixed = np.random.default_rng(0).permutation(len(t))
    chosen, kept = np.split(mixed, [len(t) // 10])
    rows_val, t_val, rows, t = rows[chosen], t[chosen], rows[kept], t[kept]

    strengths = (1, 2, 5, 10, 20)
    on_val = [binary_loss(film_means(rows, t, rows_val, a), t_val) for a in strengths]
    strength = strengths[int(np.argmin(on_val))]
    rating_baselines["mean of all"] = binary_loss(np.full(len(t_test), t.mean()), t_test)
    rating_baselines["mean of the film"] = binary_loss(
        film_means(rows, t, rows_test, strength), t_test
    )
    for name, loss in rating_baselines.items():
        print(f"{name:41} test log-loss {loss:.4f}")
    for passes in (1, 3):
        for name in RATING_METHODS:
            w = train_rows(name, rows, t, RATING_ETAS, passes)
            best = int(rating_losses(w, rows_val, t_val).mean(axis=(0, 1)).argmin())
            each = rating_losses(w[:, :, [best]], rows_test, t_test)[:, :, 0]
            found = each.mean(axis=1)
            rating_best[name, passes], rating_each[name, passes] = best, each
            rating_test[name, passes] = found
            print(
                f"{name:12} {passes} pass(es), best η = {RATING_ETAS[best]:5.2f}, "
                f"test log-loss {found.mean():.4f} ({found.min():.4f} to {found.max():.4f})"
            )
else:
    print("MovieLens 100K is not here (set NNLIB_DATA to the folder above ml-100k): skipped.")

# %% [markdown]
# The same, by how often the film was rated in the training part. The bars are the range of the
# seeds, which tells nothing of how few test examples the left bucket has; the printed ± does: it is
# the standard error over the test examples of the difference between two methods.

# %%
if MOVIELENS.is_dir():
    occurs = np.bincount(rows[:, 1], minlength=N_PEOPLE + N_FILMS)[rows_test[:, 1]]
    bucket = np.searchsorted(list(BUCKETS.values()), occurs)
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.4), layout="constrained", sharey=True)
    for ax, passes in zip(axes, (1, 3), strict=True):
        for k, label in enumerate(BUCKETS):
            losses = {name: rating_each[name, passes][:, bucket == k] for name in RATING_METHODS}
            for name in ("SGD", "SGD, falling"):
                gap = (losses[name] - losses["Adagrad"]).mean(axis=0)
                error_of_gap = gap.std(ddof=1) / np.sqrt(len(gap))
                rating_gaps[name, passes, label] = gap.mean(), error_of_gap
            print(
                f"{passes} pass(es), film rated {label:>5} times, {len(gap):4} test examples, "
                "loss minus Adagrad's: "
                + ", ".join(
                    "{} {:+.4f} ± {:.4f}".format(name, *rating_gaps[name, passes, label])
                    for name in ("SGD", "SGD, falling")
                )
            )
            for shift, (name, colour) in zip((-0.15, 0, 0.15), RATING_METHODS.items(), strict=True):
                found = losses[name].mean(axis=1)
                ax.plot([k + shift] * 2, [found.min(), found.max()], color=colour)
                ax.plot(k + shift, found.mean(), "o", markersize=4, color=colour, label=name)
        ax.axhline(np.log(2), color=GREY, linestyle=":")
        ax.text(3.2, np.log(2), "log 2", color=GREY, va="top", ha="right")
        ax.set(title=f"{passes} pass{'es'[: passes - 1]}", xlabel="training ratings of the film")
        ax.set_xticks(range(len(BUCKETS)), list(BUCKETS))
    axes[0].set_ylabel("test log-loss, mean and range")
    axes[0].legend(*(part[:3] for part in axes[0].get_legend_handles_labels()), frameon=False)
    show("film frequencies")

# %% [markdown]
# With these data (mean of 5 seeds; the mean of all has 0.682, that of the film 0.629):
#
# | test log-loss | 1 pass | 3 passes |
# | --- | --- | --- |
# | SGD | 0.588 | 0.580 |
# | SGD, falling rate | 0.582 | 0.577 |
# | Adagrad | 0.578 | 0.576 |
#
# Adagrad is ahead of SGD with a constant rate, for every seed. **But the reason is not the rare
# films, or not they alone:** films with more than 80 ratings gain as well, and of those with at
# most 5 nothing can be said (102 test examples; the difference is about one standard error after
# one pass and none after three). The schedule, which knows nothing of frequencies, brings about six
# tenths of the gain after one pass and nearly nine tenths after three; what is then left to Adagrad
# is 0.0005. So a rate that falls is enough for
# most of what Adagrad wins here; Adagrad's fall without anybody choosing how. The 0.004 that are
# left in a single pass may come from different rates for different weights, or only from another
# shape of the fall: this experiment does not tell them apart. All of it is small beside what the
# model brings: 0.05 below the mean of the film.

# %% [markdown]
# (For such data there is also **FTRL-Proximal**, McMahan 2013: Adagrad's rates and an L1 penalty
# that gives exact zeros. Without the penalty and from 0 it *is* Adagrad. Part V meets it again.)

# %% [markdown]
# ## 6. “Robust training wrt initial learning rate”
#
# How many decades of $\eta$ between $10^{-4}$ and 1 end within twice the best loss? The rare
# features cannot tell: there the test loss without any training, $\log 2$, is within twice the
# best. So a network: 2-16-16-1, tanh, regression of $2 x_2 \sin 3 x_1$ with noise, 1500 steps of
# batches of 32, 5 seeds, 17 rates, all trained at once; the loss is that on the training data.

# %%
FINE_ETAS = 10.0 ** np.arange(-4, 0.01, 0.25)


def wave_data(seed, n=400):
    """x (n, 2), t (n,)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 2))
    return x, 2 * x[:, 1] * np.sin(3 * x[:, 0]) + 0.1 * rng.normal(size=n)


def train_wave(name, etas, seeds=5, steps=1500, width=16, B=32):
    """Final training loss (seeds, rates); every array begins with these two axes."""
    slots, step = METHODS[name]
    x, t = (np.stack(a) for a in zip(*(wave_data(seed) for seed in range(seeds)), strict=True))
    rngs = [np.random.default_rng(seed) for seed in range(seeds)]

    def draw(n_in, n_out):
        W = np.stack([rng.normal(size=(n_in, n_out)) / np.sqrt(n_in) for rng in rngs])
        return np.repeat(W[:, None], len(etas), axis=1)

    shapes = [(2, width), (width, width), (width, 1)]
    params = [draw(*shape) for shape in shapes]
    params += [np.zeros((seeds, len(etas), 1, n_out)) for _, n_out in shapes]
    states = [[np.zeros_like(p)] * slots for p in params]
    rate = np.asarray(etas)[:, None, None]
    turn = lambda a: a.swapaxes(-1, -2)

    def forward(x):
        W1, W2, W3, b1, b2, b3 = params
        h1 = np.tanh(x @ W1 + b1)
        h2 = np.tanh(h1 @ W2 + b2)
        return h1, h2, h2 @ W3 + b3

    for moment in range(1, steps + 1):
        ids = np.stack([rng.integers(x.shape[1], size=B) for rng in rngs])
        xb = np.take_along_axis(x, ids[:, :, None], axis=1)[:, None]
        tb = np.take_along_axis(t, ids, axis=1)[:, None, :, None]
        h1, h2, s = forward(xb)
        d3 = (s - tb) / B
        d2 = (d3 @ turn(params[2])) * (1 - h2**2)
        d1 = (d2 @ turn(params[1])) * (1 - h1**2)
        gradients = [turn(xb) @ d1, turn(h1) @ d2, turn(h2) @ d3]
        gradients += [d.sum(axis=-2, keepdims=True) for d in (d1, d2, d3)]
        for i, g in enumerate(gradients):
            params[i], *states[i] = step(params[i], *states[i], g, moment, rate)
    s = forward(x[:, None])[2][..., 0]
    return np.mean(0.5 * (s - t[:, None]) ** 2, axis=-1)


def decades_within_twice_the_best(losses, etas):
    """Width, in decades, of the rates whose loss is at most twice the smallest."""
    losses = np.nan_to_num(losses, nan=np.inf)
    return (np.sum(losses <= 2 * losses.min()) - 1) * np.log10(etas[1] / etas[0])


with np.errstate(over="ignore", invalid="ignore"):  # the largest rates diverge
    wave_losses = {name: train_wave(name, FINE_ETAS) for name in ZIPF_METHODS}
widths = {
    name: np.array([decades_within_twice_the_best(row, FINE_ETAS) for row in losses])
    for name, losses in wave_losses.items()
}
for name, found in widths.items():
    best = np.nanmin(wave_losses[name], axis=1)
    print(
        f"{name:8} within twice its best: {found.mean():.2f} decades of η "
        f"({found.min():.2f} to {found.max():.2f}); best loss {best.mean():.4f}"
    )
figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
for name, colour in ZIPF_METHODS.items():
    finite = np.where(np.isfinite(wave_losses[name]), wave_losses[name], np.nan)
    ax.loglog(FINE_ETAS, np.median(finite, axis=0), "o-", markersize=3, color=colour, label=name)
ax.set(title="median of 5 seeds", xlabel="η", ylabel="training loss after 1500 steps")
ax.set_ylim(3e-3, 1)
ax.legend(frameon=False)
show("robustness")

# %% [markdown]
# Wider, yes; but not wide, and this is one problem. **It does not show everywhere:** on the two
# spirals of lesson 01 (2-32-32-1, 2000 steps, 3 seeds, not run here) the same measure gave SGD all
# 4 decades and Adagrad and Adam at most half of one. SGD had learned nothing with any rate (best
# loss 0.61, not far from $\log 2$; Adam's 0.07), and nothing is easily reached. A width alone is
# no merit.
#
# Nobody is spared the choice of $\eta$. And what is good for Adam, $10^{-2}$ here, is 30 times too
# small for SGD: a rate cannot be taken from one to the other.

# %% [markdown]
# ## 7. Where adaptive rates fail
#
# “Recent paper claims that these might be suboptimal” is Wilson et al. 2017. Their example is
# exact, and small enough to build. $n$ examples with labels $y_i = \pm 1$, more of them $+1$, and
# $3 + 5 n$ features:
#
# - feature 1 is the label itself;
# - features 2 and 3 are always 1;
# - then every example has five features of its own, which are 0 in all others: if $y_i = +1$ the
#   first of the five is 1, if $y_i = -1$ all five are.
#
# ### Exercise 08.7 · The counter-example
#
# Build $X$ of shape $(n, 3 + 5 n)$ from the labels. Example $i$ (from 0) owns the five columns from
# $3 + 5 i$ on.


# %%
def wilson_features(y):
    """X (n, 3 + 5 n) for labels y (n,) of ±1."""
    ### BEGIN SOLUTION 08.7
    ### HINT X[:, 0] = y, X[:, 1:3] = 1, and a loop over the examples for the rest.
    ### HINT X[i, 3 + 5 * i : 3 + 5 * i + own] = 1 with own = 1 or 5.
    X = np.zeros((len(y), 3 + 5 * len(y)))
    X[:, 0] = y
    X[:, 1:3] = 1
    for i in range(len(y)):
        own = 1 if y[i] == 1 else 5
        X[i, 3 + 5 * i : 3 + 5 * i + own] = 1
    return X
    ### END SOLUTION


# %%
check(
    "08.7",
    wilson_features,
    np.array([1.0, -1, 1]),
    expected=np.array(
        [
            [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [-1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        ]
    ),
    mistakes={
        "every example has one feature of its own: a negative one has five": lambda y: (
            np.column_stack([y, np.ones((3, 2)), np.kron(np.eye(3), [1.0, 0, 0, 0, 0])])
        ),
        "the one and the five are exchanged": lambda y: np.column_stack(
            [y, np.ones((3, 2)), np.eye(3).repeat(5, axis=1) * np.outer(y, [1, 0, 0, 0, 0] * 3)]
        ),
    },
)

# %% [markdown]
# Anyone sees the rule: look at feature 1. What does training see that minimises
# $L = \frac{1}{2n} \lVert X w - y \rVert^2$ from $w = 0$ on? Let
# $q = \operatorname{sign}(X^\top y)$. Because of the one and the five,
#
# $$ X q = 4\, y \tag{8.10} $$
#
# ($4 = 1 + 2 + 1$ for a positive example, $-4 = -1 + 2 - 5$ for a negative one.) Now suppose that
# $w = \lambda q$, as at the start with $\lambda = 0$. Then
#
# $$ g = \tfrac1n X^\top (\lambda X q - y) = \tfrac{4 \lambda - 1}{n}\, X^\top y \tag{8.11} $$
#
# Every method that divides each $g_j$ by the size of its own past (Adagrad, RMSProp, Adam, with
# $\varepsilon = 0$) divides $|(X^\top y)_j|$ out and steps by a multiple of $q$. So
# $w = \lambda q$ for ever: they end at $\lambda = \frac14$ with training error 0. A *new* example
# has new features of its own, whose weights are still 0. What is left is
#
# $$ x \cdot w = \tfrac14 (y + 1 + 1) > 0 \quad \text{for } y = +1 \text{ and for } y = -1
#    \tag{8.12} $$
#
# They call everything positive. Dividing by the own past gave features that occur once, and the two
# that say nothing, the same weight as the one that matters. Gradient descent and SGD end at the
# solution of least norm, in which feature 1 outweighs them.

# %%
y_train = np.where(np.arange(100) < 60, 1.0, -1.0)
y_test = np.where(np.arange(200) % 2 == 0, 1.0, -1.0)  # balanced: chance is 50 %
X_wilson = wilson_features(np.concatenate([y_train, y_test]))
X_train, X_test = X_wilson[:100], X_wilson[100:]
q = np.sign(X_train.T @ y_train)
assert np.array_equal(X_train @ q, 4 * y_train)  # (8.10)


def fit_wilson(name, lr, steps, B=100, seed=0):
    """(w, largest distance of w from the line of q): training from 0."""
    slots, step = METHODS[name]
    rng = np.random.default_rng(seed)
    w, off = np.zeros(X_train.shape[1]), 0.0
    state, batches = [np.zeros_like(w)] * slots, []
    for t in range(1, steps + 1):
        if not batches:
            batches = [np.sort(ids) for ids in np.split(rng.permutation(100), 100 // B)]
        ids = batches.pop()
        g = (X_train[ids] @ w - y_train[ids]) @ X_train[ids] / B
        w, *state = step(w, *state, g, t, lr)
        off = max(off, np.abs(w - q * (w @ q) / (q @ q)).max())
    return w, off


def error(w, X, y):
    """Share of wrong signs."""
    return np.mean(np.sign(X @ w) != y)


wilson_runs = {
    "gradient descent": ("SGD", 0.2, 2000, 100),
    "SGD, B = 1": ("SGD", 0.1, 10_000, 1),
    "heavy ball": ("heavy ball", 0.05, 1000, 100),
    "Adagrad": ("Adagrad", 0.1, 1000, 100),
    "RMSProp": ("RMSProp", 1e-3, 1000, 100),
    "Adam": ("Adam", 1e-3, 1000, 100),
    "Adagrad, B = 10": ("Adagrad", 0.1, 5000, 10),
    "Adam, B = 10": ("Adam", 1e-3, 5000, 10),
}
wilson_weights, wilson = {}, {}
for label, (name, lr, steps, B) in wilson_runs.items():
    w, off = fit_wilson(name, lr, steps, B)
    wilson_weights[label] = w
    wilson[label] = (error(w, X_train, y_train), error(w, X_test, y_test), off)
print(f"{'':18}training error  test error   w₁      w₂      w₃     own    off the line of q")
for label, (on_train, on_test, off) in wilson.items():
    w = wilson_weights[label]
    print(
        f"{label:18}{on_train:14.0%}{on_test:12.0%}  "
        + " ".join(f"{x:7.4f}" for x in w[:4])
        + f"   {off:.0e}"
    )
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.2), layout="constrained", sharey=True)
for ax, label in zip(axes, ("gradient descent", "Adam"), strict=True):
    scores = X_test @ wilson_weights[label]
    for value, colour in ((1, RED), (-1, BLUE)):
        ax.plot(np.flatnonzero(y_test == value), scores[y_test == value], ".", color=colour)
        ax.text(205, scores[y_test == value][0], f"y = {value:+d}", color=colour, va="center")
    ax.axhline(0, color=GREY, linestyle=":")
    ax.set(title=f"{label}: {wilson[label][1]:.0%} wrong", xlabel="test example", xlim=(-5, 240))
axes[0].set_ylabel("score x·w")
show("wilson")

# %% [markdown]
# Adagrad and Adam stay on the line as (8.11) says; RMSProp with a constant rate reaches
# $\lambda = \frac14$ and swings about it, and there rounding errors grow to a few thousandths. It
# changes nothing.
#
# **What does not show.** (8.11) is about full batches. In batches of 10 the five own features get a
# gradient once in ten steps and feature 1 in every step; $w$ leaves the line, and Adagrad and Adam
# make *no* error (the last two lines). So the example, made for the purpose, does not say that Adam
# generalises worse. It says that among all weights with training error 0 *the method chooses*, and
# that the choice can be as bad as it gets.

# %% [markdown]
# ## 8. The library says the same
#
# `nnlib` has these as `Momentum`, `Nesterov`, `Adagrad`, `RMSProp`, `Adadelta` and `Adam`, the
# schedules and `ReduceOnPlateau` in `nnlib.optim`. Thirty steps with random gradients, the rows,
# and the plateau:

# %%
from nnlib import SGD, Adadelta, Adagrad, Adam, Momentum, Nesterov, Parameter, RMSProp
from nnlib.optim import ReduceOnPlateau, step_decay

library_gaps = {}
for name, make in {
    "SGD": lambda p: SGD(p, 0.01),
    "heavy ball": lambda p: Momentum(p, 0.01),
    "Nesterov": lambda p: Nesterov(p, 0.01),
    "Adagrad": lambda p: Adagrad(p, 0.01),
    "RMSProp": lambda p: RMSProp(p, 0.01),
    "Adadelta": lambda p: Adadelta(p, 0.01),
    "Adam": lambda p: Adam(p, 0.01),
}.items():
    slots, step = METHODS[name]
    rng = np.random.default_rng(9)
    mine, state = rng.normal(size=(4, 3)), [np.zeros((4, 3))] * slots
    p = Parameter(mine.copy())
    optimizer = make([p])
    for t in range(1, 31):
        g = rng.normal(size=(4, 3))
        mine, *state = step(mine, *state, g, t, 0.01)
        p.accumulate(g.copy())
        optimizer.step()
    library_gaps[name] = np.abs(p.value - mine).max()

rng = np.random.default_rng(10)
mine, G = rng.normal(size=(6, 2)), np.zeros((6, 2))
p = Parameter(mine.copy())
optimizer = Adagrad([p], 0.3)
for _ in range(10):
    ids, g = rng.integers(6, size=5), rng.normal(size=(5, 2))
    mine, G = adagrad_rows(mine, G, ids, g, 0.3)
    p.accumulate_rows(ids, g.copy())
    optimizer.step()
library_gaps["Adagrad, rows"] = np.abs(p.value - mine).max()

losses_lib = rng.random(40)
plateau = ReduceOnPlateau(lr=0.8, factor=0.5, patience=2, threshold=0.0)
library_gaps["plateau"] = np.abs(
    np.array([plateau(loss) for loss in losses_lib]) - plateau_rates(losses_lib, 0.8, 0.5, 2)
).max()
decay = step_decay(0.3, factor=0.5, every=5)
library_gaps["step decay"] = max(
    abs(decay(epoch) - SCHEDULES["step decay"][0](epoch)) for epoch in range(60)
)
print({name: f"{gap:.0e}" for name, gap in library_gaps.items()})
assert max(library_gaps.values()) < 1e-12

# %% [markdown]
# ## What to keep
#
# - Momentum turns $\kappa$ steps into $\sqrt\kappa$.
# - A constant rate ends at a floor; a falling one does not.
# - Adaptive methods measure a gradient by that weight's own past: good for rare features and
#   unknown scales, and sometimes exactly the wrong thing.
# - An ε is part of the method. Look where it stands before you copy its value.
