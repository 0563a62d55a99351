# %% [markdown]
# # 06 · Dropout, weight decay, early stopping
#
# - **Minutes:** 80
# - **Prerequisites:** lessons 02 and 05
# - **Slides:** “Why now? – Research breakthroughs – Dropout: easy but efficient regularization”;
#   “Why was it hard to train neural networks?”, the part on overfitting
# - **The deck is wrong here:** D12, the scaling of the slide is *inverted* dropout; the paper that
#   it cites scales at test time, and its $p$ is the probability of *keeping*
#
# A network with more weights than examples can learn its training set by heart. The slides name
# four remedies: dropout, L2, L1 and early stopping. You write each of them, and then see what each
# is good for, and for what it is not.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

# %% [markdown]
# ## 1. Dropout
#
# In every training step, switch each unit off with probability $p$, independently for each example,
# and scale the others up:
#
# $$ m \sim \mathrm{Bernoulli}(1 - p) \, / \, (1 - p) \tag{6.1} $$
# $$ \tilde h = h \odot m \tag{6.2} $$
#
# so $m$ is 0 or $1/(1-p)$; for $p = ½$, 0 or 2. When the network is used, nothing is dropped and
# nothing is scaled: $\tilde h = h$.
#
# ### Exercise 06.1 · Inverted dropout
#
# Return $\tilde h$ and `backward`. Keep a unit where `rng.random(h.shape) >= p`.


# %%
def dropout(h, p, rng):
    """(y, backward) of (6.1), (6.2); p is the probability of dropping."""
    ### BEGIN SOLUTION 06.1
    ### HINT m = (rng.random(h.shape) >= p) / (1 - p): the truth values count as 1 and 0.
    ### HINT backward must use the same m: a unit that was off has no part in the loss.
    m = (rng.random(h.shape) >= p) / (1 - p)  # (6.1)
    return h * m, lambda dy: dy * m  # (6.2)
    ### END SOLUTION


# %%
def dropout_by_loops(h, p, seed):
    """(6.2), element by element."""
    draw, y = np.random.default_rng(seed).random(h.shape), np.zeros_like(h)
    for at in np.ndindex(h.shape):
        if draw[at] >= p:
            y[at] = h[at] / (1 - p)
    return y


check(
    "06.1",
    lambda h: dropout(h, 0.3, np.random.default_rng(1)),
    np.random.default_rng(2).normal(size=(5, 4)),
    forward=lambda h: dropout_by_loops(h, 0.3, 1),
    mistakes={
        "this drops without scaling the others up, which is the paper's form": lambda h: (
            0.7 * dropout_by_loops(h, 0.3, 1),
            lambda dy: 0.7 * dropout_by_loops(dy, 0.3, 1),
        ),
        "the others are divided by p; it is 1 − p": lambda h: (
            0.7 / 0.3 * dropout_by_loops(h, 0.3, 1),
            lambda dy: 0.7 / 0.3 * dropout_by_loops(dy, 0.3, 1),
        ),
        "backward lets the gradient of dropped units through": lambda h: (
            dropout_by_loops(h, 0.3, 1),
            lambda dy: dy / 0.7,
        ),
    },
)

# %% [markdown]
# A trap: if `backward` draws a *new* mask, everything runs, and the gradient is wrong. As always,
# measure:

# %%
from nnlib.check import check_gradients


def redrawn(h):
    """Dropout whose backward draws again."""
    rng = np.random.default_rng(3)
    y, _ = dropout(h, 0.3, rng)
    return y, lambda dy: dropout(dy, 0.3, rng)[0]


h_trap = np.random.default_rng(4).normal(size=(5, 4))
redrawn_report = check_gradients(redrawn, h_trap)
same_report = check_gradients(lambda h: dropout(h, 0.3, np.random.default_rng(3)), h_trap)
for label, report in (("new mask", redrawn_report), ("same mask", same_report)):
    print(f"{label:9} gradient check {'passes' if report.passed else 'FAILS'}")
assert same_report.passed
assert not redrawn_report.passed

# %% [markdown]
# ### What it does to a unit
#
# A unit of value $h$ becomes a random number with two values. Its mean is meant to stay $h$. What
# about its square?
#
# ### Exercise 06.2 · Two moments
#
# Derive and return $\mathrm{E}[\tilde h]$ and $\mathrm{E}[\tilde h^2]$, elementwise, for an array
# $h$ and a number $p$. Let the formulas be as short as they get.


# %%
def dropout_moments(h, p):
    """(E[h̃], E[h̃²]) over the masks, elementwise."""
    ### BEGIN SOLUTION 06.2
    ### HINT An expectation is the sum of probability times value over both values of m.
    ### HINT E[h̃²] = p · 0 + (1 − p) · (h / (1 − p))².
    return h, h**2 / (1 - p)  # (6.3)
    ### END SOLUTION


# %%
def moments_by_enumeration(h, p):
    """Both moments as sums over the two masks."""
    masks = ((p, 0.0), (1 - p, 1 / (1 - p)))
    return sum(q * h * m for q, m in masks), sum(q * (h * m) ** 2 for q, m in masks)


check(
    "06.2",
    dropout_moments,
    np.random.default_rng(5).normal(size=6),
    0.4,
    expected=moments_by_enumeration,
    mistakes={
        "the second is the variance E[h̃²] − E[h̃]², not E[h̃²]": lambda h, p: (h, h**2 * p / (1 - p)),
        "E[h̃²] is not E[h̃]²: squares weigh the large values more": lambda h, p: (h, h**2),
    },
)

# %% [markdown]
# $$ \mathrm{E}[\tilde h] = h, \qquad \mathrm{E}[\tilde h^2] = \frac{h^2}{1 - p}, \qquad
#    \mathrm{Var}[\tilde h] = \frac{p}{1 - p}\, h^2 \tag{6.3} $$
#
# The mean stays, the spread grows. Whatever measures a spread in training and uses it later (batch
# normalisation), or lives on it (SELU, lesson 05), sees other numbers in training than in use.

# %%
h_moments = np.array([0.5, -1.0, 2.0])
sampled_moments = {}
for p in (0.2, 0.5):
    many, _ = dropout(np.tile(h_moments, (400_000, 1)), p, np.random.default_rng(6))
    sampled_moments[p] = many.mean(axis=0) / h_moments, (many**2).mean(axis=0) / h_moments**2
    print(
        f"p = {p}: E[h̃]/h = {sampled_moments[p][0].round(3)}, "
        f"E[h̃²]/h² = {sampled_moments[p][1].round(3)}, 1/(1 − p) = {1 / (1 - p):.3f}"
    )

# %% [markdown]
# ### D12: where the scaling stands
#
# The slide credits “scale the activation of remaining units” to Srivastava et al. 2014. Their paper
# leaves the units unscaled in training, and multiplies the trained weights by the probability of
# keeping, $q = 1 - p$, when the network is used:
#
# | | in training | in use |
# | --- | --- | --- |
# | paper | $(h \odot k)\,W$, $k$ 0 or 1 | $h\,(q W)$ |
# | inverted: slide, libraries, this course | $(h \odot k / q)\,W'$ | $h\,W'$ |
#
# With $W' = q W$ both rows are the same functions, equal in exact arithmetic, not bit for bit. The
# *learning* differs: $\partial L/\partial W = q\, \partial L/\partial W'$, so a step of $\eta$ on
# $W$ moves $W' = q W$ by $q^2 \eta\, \partial L/\partial W'$. Who takes a learning rate from the
# paper has to multiply it by $q^2$. And mind the letter: *their* $p$ is the probability of keeping,
# 0.8 for inputs and 0.5 for hidden units.

# %%
rng = np.random.default_rng(7)
q_keep = 0.8
h_d12, W_paper = rng.normal(size=(50, 40)), rng.normal(size=(40, 30))
W_inverted = q_keep * W_paper
kept = rng.random(h_d12.shape) < q_keep
train_paper, train_inverted = (h_d12 * kept) @ W_paper, (h_d12 * kept / q_keep) @ W_inverted
d12_gap = np.abs(train_paper - train_inverted).max()
d12_equal_bits = (train_paper == train_inverted).mean()
print(f"in training: largest difference {d12_gap:.0e}, equal to the last bit {d12_equal_bits:.0%}")

use_paper = h_d12 @ (q_keep * W_paper)
average = np.zeros_like(use_paper)
for _ in range(4000):
    average += (h_d12 * (rng.random(h_d12.shape) < q_keep)) @ W_paper / 4000
d12_average_gap = np.abs(average - use_paper).max() / np.abs(use_paper).max()
print(f"paper: mean over 4,000 masks against use, largest difference {d12_average_gap:.1%}")

dy_d12, eta = rng.normal(size=train_paper.shape), 0.1
after_paper = q_keep * (W_paper - eta * (h_d12 * kept).T @ dy_d12)  # W' after a step on W
after_inverted = W_inverted - eta * q_keep**2 * (h_d12 * kept / q_keep).T @ dy_d12
d12_step_gap = np.abs(after_paper - after_inverted).max()
print(f"a step of the paper's form is one of the inverted form with q²η: {d12_step_gap:.0e}")

# %% [markdown]
# ## 2. Does it work?
#
# Little data, a large network: 300 images of 8 × 8 pixels, two hidden layers of 512 ReLU units,
# 300,000 weights. The images are made here: ten random patterns, each seen through an 8 × 8 window
# that is shifted by up to two pixels, with noise. The *generalisation gap* is training accuracy
# minus test accuracy, both without dropout.

# %%
from nnlib import SGD, Dense, Dropout, Sequential, cross_entropy, relu
from nnlib.init import he


def shifted_patterns(seed, n=300, n_test=1500, noise=0.6):
    """(x, t, x_test, t_test): windows into ten smooth patterns of 10 × 10; x (n, 64)."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(10, 10, 10))
    smooth = sum(np.roll(rough, (i, j), axis=(1, 2)) for i in (0, 1) for j in (0, 1)) / 2
    t = rng.integers(10, size=n + n_test)
    shift = rng.integers(3, size=(n + n_test, 2))
    x = np.stack(
        [smooth[c, i : i + 8, j : j + 8].ravel() for c, (i, j) in zip(t, shift, strict=True)]
    )
    x = (x + noise * rng.normal(size=x.shape)).astype(np.float32)
    return x[:n], t[:n], x[n:], t[n:]


def train_wide(data, seed, p=0.0, p_in=0.0, lr=0.1, epochs=60, width=512):
    """(network, [training accuracy, test accuracy, test loss]) of a 2 × 512 ReLU network."""
    x, t, x_test, t_test = data
    rng = np.random.default_rng(seed)
    net = Sequential(
        Dropout(p_in),
        Dense(64, width, rng=rng, init=he),
        relu,
        Dropout(p),
        Dense(width, width, rng=rng, init=he),
        relu,
        Dropout(p),
        Dense(width, 10, rng=rng),
    )
    optimizer = SGD(net.parameters(), lr)
    for _ in range(epochs):
        for rows in rng.permutation(len(x)).reshape(-1, 50):
            scores, back_net = net(x[rows], rng=rng)  # with a generator: a new mask
            _, back_loss = cross_entropy(scores, t[rows])
            back_net(back_loss())
            optimizer.step()
    scores, scores_test = net(x)[0], net(x_test)[0]  # without: nothing is dropped
    loss_test, _ = cross_entropy(scores_test, t_test)
    right = [(s.argmax(axis=1) == u).mean() for s, u in ((scores, t), (scores_test, t_test))]
    return net, np.array([*right, loss_test])


SETTINGS = {
    "no dropout": {},
    "p = .5 hidden": {"p": 0.5},
    "p = .5 hidden, .2 input": {"p": 0.5, "p_in": 0.2},
}
results, nets = {name: [] for name in SETTINGS}, {}
FRESH = range(100, 105)
for seed in FRESH:
    data = shifted_patterns(seed)
    for name, setting in SETTINGS.items():
        nets[name, seed], found = train_wide(data, seed, **setting)
        results[name].append(found)
results = {name: np.array(found) for name, found in results.items()}
gaps = {name: found[:, 0] - found[:, 1] for name, found in results.items()}
for name, found in results.items():
    train, test, loss = found.mean(axis=0)
    print(
        f"{name:23} training {train:.1%}, test {test:.1%} (loss {loss:.3f}), gap {train - test:.2%}"
        f" ({1 - gaps[name].mean() / gaps['no dropout'].mean():.0%} smaller), 5 seeds: "
        f"{', '.join(f'{gap:.1%}' for gap in gaps[name])}"
    )

# %% [markdown]
# The training set is learned by heart either way. Dropout makes what is learned carry further. This
# generator is one of several that were tried, because on it the effect is large; so the seeds above
# are others than those it was chosen with.
#
# The same on real images, if scikit-learn is installed: handwritten digits of 8 × 8 pixels, 300 to
# train on, 1,497 to test, everything else as before.


# %%
def handwritten_digits(seed):
    """(x, t, x_test, t_test) of scikit-learn's digits, split at random; None without it."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return None
    pixels, t = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(t))
    x = (pixels[order] / 16).astype(np.float32)
    return x[:300], t[order][:300], x[300:], t[order][300:]


digits_results = {name: [] for name in SETTINGS}
for seed in range(3):
    data = handwritten_digits(seed)
    if data is None:
        print("scikit-learn is not installed: no digits")
        break
    for name, setting in SETTINGS.items():
        digits_results[name].append(train_wide(data, seed, **setting)[1])
digits_results = {name: np.array(found) for name, found in digits_results.items() if found}
for name, found in digits_results.items():
    train, test, loss = found.mean(axis=0)
    print(
        f"digits, {name:23} training {train:.1%}, test {test:.1%} (loss {loss:.3f}), "
        f"gap {train - test:.2%}, 3 seeds"
    )

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", sharey=True)
for ax, title, found in (
    (axes[0], "generated patterns", results),
    (axes[1], "handwritten digits", digits_results),
):
    for k, numbers in enumerate(found.values()):
        gap = 100 * (numbers[:, 0] - numbers[:, 1])
        colour = ("#666666", "#0072B2", "#D55E00")[k]
        ax.plot(np.full(len(gap), k), gap, "o", color=colour, markersize=4, alpha=0.7)
        ax.plot([k - 0.25, k + 0.25], [gap.mean()] * 2, color=colour, linewidth=2)
    names = ["none", "hidden .5", "hidden .5\ninput .2"]
    ax.set_xticks(range(3), names)
    ax.set(title=title, xlim=(-0.6, 2.6))
axes[0].set(ylabel="gap (percentage points)", ylim=(0, None))
show("generalisation gap")

# %% [markdown]
# Read these numbers before you believe a rule of thumb. On the generated patterns $p = ½$ takes
# more than a third off the gap; on the digits, with the very same settings, an eighth. And the
# noise on the inputs, which helps a little there, gains nothing here: 60 epochs are too few to
# learn even the training set through it. Dropout needs longer training, and $p$ is chosen by
# validation.
#
# ### An ensemble of thinned networks
#
# “Multiple configurations are trained with shared weights and averaged in the end”, says the slide.
# Every mask is one thinned network. So average the predictions of 50 of them (this is also called
# Monte Carlo dropout) and compare with the one pass without masks that is used in practice.

# %%
mc = {"thinned": [], "average of 50": [], "one pass": []}  # (accuracy, loss) per seed
for seed in FRESH:
    _, _, x_test, t_test = shifted_patterns(seed)
    net, rng = nets["p = .5 hidden", seed], np.random.default_rng(seed)

    def score(probabilities, t=t_test):
        """(accuracy, loss) of class probabilities."""
        given = probabilities[np.arange(len(t)), t]
        return (probabilities.argmax(axis=1) == t).mean(), -np.log(given).mean()

    def probabilities_of(scores):
        """Softmax over the classes."""
        e = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    passes = [probabilities_of(net(x_test, rng=rng)[0]) for _ in range(50)]
    single = np.array([score(p) for p in passes])
    mc["thinned"].append(single.mean(axis=0))
    mc["average of 50"].append(score(np.mean(passes, axis=0)))
    mc["one pass"].append(score(probabilities_of(net(x_test)[0])))
mc = {name: np.array(found) for name, found in mc.items()}
for name, found in mc.items():
    print(
        f"{name:14} test accuracy {found[:, 0].mean():.2%}, loss {found[:, 1].mean():.4f}, 5 seeds"
    )
mc_gap = np.abs(mc["average of 50"][:, 0] - mc["one pass"][:, 0])
print(f"average of 50 and one pass differ by at most {mc_gap.max():.2%} in accuracy")

# %% [markdown]
# A single thinned network is clearly worse than the whole; the average of 50 has the accuracy of
# the one pass to within 1 %. So the cheap pass does stand for the ensemble, in what it decides. In
# how sure it is they differ: the average has more than twice the loss here, for it spreads its
# probabilities over the disagreements of its members.
#
# ## 3. L2, and what weight decay is
#
# Add a penalty on the size of the weights (not of the bias: a shift is no complexity):
#
# $$ L_\lambda = L + \frac{\lambda}{2} \sum_i w_i^2, \qquad
#    \frac{\partial L_\lambda}{\partial w_i} = \frac{\partial L}{\partial w_i} + \lambda w_i
#    \tag{6.4} $$
#
# ### Exercise 06.3 · The gradient with L2
#
# For the linear model of lesson 01, $L = \frac1B \sum_n ½ (x_n \cdot w + b - t_n)^2$, return `dw`
# and `db` of $L_\lambda$.


# %%
def l2_loss(w, b, x, t, strength):
    """(6.4) for the linear model; strength is λ."""
    return 0.5 * np.mean((x @ w + b - t) ** 2) + 0.5 * strength * (w**2).sum()


def l2_gradient(w, b, x, t, strength):
    """(∂L/∂w, ∂L/∂b) of l2_loss."""
    ### BEGIN SOLUTION 06.3
    ### HINT Lesson 01 has the gradient of the loss: dy = (x w + b − t) / B, dw = xᵀ dy, db = Σ dy.
    ### HINT Add strength * w to dw; the ½ has gone with the square.
    dy = (x @ w + b - t) / len(x)
    return x.T @ dy + strength * w, dy.sum()  # (6.4)
    ### END SOLUTION


# %%
rng = np.random.default_rng(8)
check(
    "06.3",
    l2_gradient,
    rng.normal(size=3),
    0.6,
    rng.normal(size=(7, 3)),
    rng.normal(size=7),
    0.3,
    gradient_of=l2_loss,
    by=("w", "b"),
    about={"batch_size": 7},
    mistakes={
        "the bias is penalised here, it should not be": lambda w, b, x, t, strength: (
            x.T @ (x @ w + b - t) / len(x) + strength * w,
            np.mean(x @ w + b - t) + strength * b,
        ),
        "this adds 2 λ w: the penalty has a ½": lambda w, b, x, t, strength: (
            x.T @ (x @ w + b - t) / len(x) + 2 * strength * w,
            np.mean(x @ w + b - t),
        ),
        "the penalty's gradient is missing": lambda w, b, x, t, strength: (
            x.T @ (x @ w + b - t) / len(x),
            np.mean(x @ w + b - t),
        ),
    },
)

# %% [markdown]
# A step of gradient descent on (6.4) is
#
# $$ w \leftarrow w - \eta \left( \frac{\partial L}{\partial w} + \lambda w \right)
#      = (1 - \eta\lambda)\, w - \eta \frac{\partial L}{\partial w} \tag{6.5} $$
#
# Every weight loses the fraction $\eta\lambda$ of itself: *weight decay*. For gradient descent L2
# and weight decay are two names for one thing. For Adam they are not. Adam (lesson 08) divides the
# gradient by the root of its running mean square; if $\lambda w$ is part of the gradient, it is
# divided as well:
#
# $$ \text{coupled:}\quad g = \mathrm{d}w + \lambda w, \qquad
#    w \leftarrow w - \eta\, u(g) \tag{6.6} $$
# $$ \text{decoupled (AdamW):}\quad g = \mathrm{d}w, \qquad
#    w \leftarrow w - \eta\, u(g) - \eta \lambda w \tag{6.7} $$
#
# where $u$ is Adam's step, given below.
#
# ### Exercise 06.4 · Decoupled weight decay
#
# Return $w$, $M$ and $V$ after one step of (6.7).


# %%
def adam_direction(g, M, V, t):
    """(u, M, V): Adam's step before it is multiplied by η, and its new running means."""
    M, V = 0.9 * M + 0.1 * g, 0.999 * V + 0.001 * g**2
    return M / (1 - 0.9**t) / (np.sqrt(V / (1 - 0.999**t)) + 1e-8), M, V


def adamw_step(w, dw, M, V, t, lr, strength):
    """(w, M, V) after step number t of (6.7); lr is η, strength is λ."""
    ### BEGIN SOLUTION 06.4
    ### HINT Adam sees the gradient of the loss alone: adam_direction(dw, M, V, t).
    ### HINT Both terms are multiplied by lr: lr * u and lr * strength * w.
    u, M, V = adam_direction(dw, M, V, t)
    return w - lr * u - lr * strength * w, M, V  # (6.7)
    ### END SOLUTION


# %%
def adamw_reference(w, dw, M, V, t, lr, strength):
    """One step, written out: weight decay first, then Adam."""
    M, V = M + (dw - M) / 10, V + (dw * dw - V) / 1000
    root = np.sqrt(V / (1 - 0.999**t)) + 1e-8
    return (1 - lr * strength) * w - lr * (M / (1 - 0.9**t)) / root, M, V


def coupled_reference(w, dw, M, V, t, lr, strength):
    """One step of (6.6)."""
    return adamw_reference(w, dw + strength * w, M, V, t, lr, 0.0)


rng = np.random.default_rng(9)
check(
    "06.4",
    adamw_step,
    rng.normal(size=5),
    rng.normal(size=5),
    rng.normal(size=5),
    rng.random(5) + 0.5,
    3,
    0.05,
    0.4,
    expected=adamw_reference,
    mistakes={
        "this is (6.6), the coupled form: λ w went through Adam": coupled_reference,
        "the decay is not multiplied by the learning rate": lambda w, dw, M, V, t, lr, strength: (
            adamw_reference(w, dw, M, V, t, lr, strength / lr)
        ),
    },
)

# %% [markdown]
# Three weights that the loss does not need: their gradients are nothing but noise, of size 0.01, 1
# and 100. All begin at 1 and should decay as $(1 - \eta\lambda)^t$. Coupled, the weight with the
# large gradients hardly decays (its $\lambda w$ is divided by 100), and the one with the small
# gradients begins with full steps of $\eta$, whatever $\lambda$ is.


# %%
def decay_paths(step, seed, steps=600, lr=0.005, strength=0.5):
    """The three weights after each step, (steps, 3); step has the arguments of adamw_step."""
    rng = np.random.default_rng(seed)
    w, M, V, path = np.ones(3), np.zeros(3), np.zeros(3), []
    for t in range(1, steps + 1):
        noise = rng.choice([-1.0, 1.0], size=3) * [0.01, 1, 100]
        w, M, V = step(w, noise, M, V, t, lr, strength)
        path.append(w)
    return np.array(path)


paths_decay = {
    name: np.mean([decay_paths(step, seed) for seed in range(20)], axis=0)
    for name, step in (("coupled", coupled_reference), ("decoupled", adamw_step))
}
intended = (1 - 0.005 * 0.5) ** np.arange(1, 601)
for name, path in paths_decay.items():
    print(
        f"{name:9} after 600 steps {path[-1].round(2)}, intended {intended[-1]:.2f}, "
        "mean of 20 seeds"
    )

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained", sharey=True)
for ax, (name, path) in zip(axes, paths_decay.items(), strict=True):
    curves = zip(path.T, ("#009E73", "#0072B2", "#D55E00"), (0.01, 1, 100), strict=True)
    for column, colour, size in curves:
        ax.plot(column, color=colour, label=f"gradients of size {size}")
    ax.plot(intended, ":", color="#222222", label="$(1 - ηλ)^t$")
    ax.set(title=f"Adam, {name}", xlabel="step")
axes[0].set_ylabel("weight")
axes[1].legend(frameon=False)
show("weight decay")

# %% [markdown]
# ## 4. L1: weights that are exactly 0
#
# $$ L_\lambda = L + \lambda \sum_i |w_i| \tag{6.8} $$
#
# The slope of $|w|$ is $\mathrm{sign}(w)$: every weight is pulled towards 0 with the same force,
# however small it is, and many end at 0. But with the obvious step, $w \leftarrow w - \eta\,
# (\mathrm{d}w + \lambda\, \mathrm{sign}\, w)$, they do not: a weight near 0 jumps over it, back and
# forth. Soft-thresholding after a plain step does it right. A weight moves towards 0 by $a =
# \eta\lambda$ and *stops there*:
#
# $$ w \leftarrow \mathrm{sign}(w) \max(|w| - a, 0) \tag{6.9} $$
#
# ### Exercise 06.5 · Soft-thresholding
#
# Return (6.9) for an array $w$ and a number $a \ge 0$.


# %%
def soft_threshold(w, a):
    """(6.9), elementwise."""
    ### BEGIN SOLUTION 06.5
    ### HINT np.sign and np.abs work elementwise, np.maximum(…, 0) does the stopping.
    return np.sign(w) * np.maximum(np.abs(w) - a, 0)  # (6.9)
    ### END SOLUTION


# %%
check(
    "06.5",
    soft_threshold,
    np.array([1.3, -0.7, 0.2, -0.35, 0.0, 2.1, -0.41]),
    0.4,
    expected=lambda w, a: w - np.clip(w, -a, a),  # what is left beyond a on either side
    mistakes={
        "this steps over 0: small weights must stop there": lambda w, a: w - a * np.sign(w),
        "this is a hard threshold: what is kept must shrink by a as well": lambda w, a: np.where(
            np.abs(w) > a, w, 0
        ),
        "the sign is lost": lambda w, a: np.maximum(np.abs(w) - a, 0),
    },
)

# %% [markdown]
# ## 5. Early stopping
#
# Watch the loss on data that is not trained on. When it has not improved for `patience` evaluations
# in a row, stop, and go *back to the best weights*. Not to the last ones: those have gone
# `patience` evaluations too far.
#
# ### Exercise 06.6 · Stop, and restore
#
# `step(w)` changes the array $w$ **in place**, `validate(w)` returns a loss. Evaluate at the start
# and after every step; only a *smaller* loss than the best so far is an improvement. Stop after
# `patience` evaluations in a row without one, or after `max_steps` steps. Return the best weights
# and the number of steps taken.


# %%
def early_stopping(w, step, validate, patience, max_steps):
    """(best weights, number of steps taken)."""
    ### BEGIN SOLUTION 06.6
    ### HINT best = w would be the same array, which the next step changes: best = w.copy().
    ### HINT Keep three things: the best weights, their loss, and how many evaluations you have
    ###      waited since; an improvement sets the last to 0.
    best, best_loss, waited, taken = w.copy(), validate(w), 0, 0
    while waited < patience and taken < max_steps:
        step(w)
        taken += 1
        loss = validate(w)
        if loss < best_loss:
            best, best_loss, waited = w.copy(), loss, 0
        else:
            waited += 1
    return best, taken
    ### END SOLUTION


# %%
def watch_curve(curve, patience, stop=early_stopping):
    """Early stopping where the weight counts the steps and the loss is read from a list."""

    def step(w):
        w += 1

    best, taken = stop(np.zeros(1), step, lambda w: curve[int(w[0])], patience, len(curve) - 1)
    return np.append(best, taken)


CURVES = (
    [5, 4, 3, 3.5, 3.2, 2.5, 2.6, 2.5, 2.8, 1.0, 0.5],  # a tie; better ones come too late
    [3, 2, 1, 0.5],  # improves to the end
    [1, 2, 3, 4, 5, 6, 7],  # the start is the best
)
check(
    "06.6",
    lambda: np.array([watch_curve(curve, 3) for curve in CURVES]),
    expected=np.array([[5.0, 8], [3, 3], [0, 3]]),  # (best step, steps taken), counted by hand
    mistakes={
        "these are the last weights, not the best: best = w.copy(), and return best": lambda: (
            np.array([[8.0, 8], [3, 3], [3, 3]])
        ),
        "a loss that is as good as the best counts as an improvement here": lambda: np.array(
            [[10.0, 10], [3, 3], [0, 3]]
        ),
        "waiting begins anew after an improvement: set the counter to 0": lambda: np.array(
            [[5.0, 6], [3, 3], [0, 3]]
        ),
    },
)

# %% [markdown]
# ## 6. All of them on one problem
#
# Linear regression with 200 features and 100 examples, of which 10 features matter ($w_i = \pm 1$,
# noise of standard deviation 1.5). There are infinitely many $w$ with training error 0; gradient
# descent from 0 ends at the shortest of them. $\lambda$ and the time to stop are chosen by 100
# validation examples, the same for all; the test set has 2,000.


# %%
def regression_data(seed, p=200, n=100, relevant=10, noise=1.5):
    """(w, relevant features, training set, validation set, test set), each set (x, t)."""
    rng = np.random.default_rng(seed)
    w, chosen = np.zeros(p), rng.choice(p, relevant, replace=False)
    w[chosen] = rng.choice([-1.0, 1.0], relevant) * np.sqrt(10 / relevant)  # |w|² = 10
    sets = []
    for size in (n, 100, 2000):
        x = rng.normal(size=(size, p))
        sets.append((x, x @ w + noise * rng.normal(size=size)))
    return w, chosen, *sets


def mse(w, data):
    """Mean squared error."""
    x, t = data
    return np.mean((x @ w - t) ** 2)


def fit_all(train, valid):
    """{method: weights}, and the validation loss of each step of early stopping."""
    x, t = train
    B, p = x.shape
    lr = B / np.linalg.norm(x, 2) ** 2  # 1 / the largest curvature
    gradient = lambda w: x.T @ (x @ w - t) / B
    found = {"none": np.linalg.lstsq(x, t)[0]}  # the shortest of all that fit exactly

    ridge = [
        np.linalg.solve(x.T @ x / B + strength * np.eye(p), x.T @ t / B)
        for strength in np.logspace(1, -3, 15)
    ]
    found["L2"] = min(ridge, key=lambda w: mse(w, valid))

    lasso, w = [], np.zeros(p)
    for strength in np.logspace(0, -2.5, 15):  # from strong to weak, each from the last one's end
        for _ in range(200):
            w = soft_threshold(w - lr * gradient(w), lr * strength)
        lasso.append(w)
    found["L1"] = min(lasso, key=lambda w: mse(w, valid))

    curve = []

    def step(w):
        w -= 0.1 * lr * gradient(w)

    def validate(w):
        curve.append(mse(w, valid))
        return curve[-1]

    found["early stopping"], _ = early_stopping(np.zeros(p), step, validate, 50, 3000)
    return found, curve


regression_errors = {name: [] for name in ("none", "L2", "early stopping", "L1")}
features_found, features_false = [], []
for seed in range(10):
    w_true, chosen, train_set, valid_set, test_set = regression_data(seed)
    fits, stop_curve = fit_all(train_set, valid_set)
    for name, errors in regression_errors.items():
        errors.append(mse(fits[name], test_set))
    features_found.append(int((fits["L1"][chosen] != 0).sum()))
    features_false.append(int((fits["L1"] != 0).sum()) - features_found[-1])
regression_errors = {name: np.array(errors) for name, errors in regression_errors.items()}
for name, errors in regression_errors.items():
    print(
        f"{name:14} test MSE {errors.mean():5.2f} ({errors.min():.2f} to {errors.max():.2f}), "
        "10 seeds"
    )
print(f"true features that L1 keeps, of 10: {features_found}")
print(f"others that it keeps, of 190: {features_false}")

figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.4), layout="constrained")
order = np.argsort(-np.abs(w_true), kind="stable")[:60]
for name, colour, mark in (
    ("none", "#666666", "x"),
    ("L2", "#0072B2", "s"),
    ("L1", "#D55E00", "o"),
):
    axes[0].plot(np.abs(fits[name][order]), mark, color=colour, markersize=3.5, label=name)
axes[0].plot(np.abs(w_true[order]), color="#222222", linewidth=1, label="true")
axes[0].legend(frameon=False)
axes[0].set(title="|w|: the 10 true features first", xlabel="feature (60 of 200)")
axes[1].plot(stop_curve, color="#0072B2")
axes[1].plot(np.argmin(stop_curve), min(stop_curve), "o", color="#D55E00")
axes[1].text(np.argmin(stop_curve), min(stop_curve) * 1.02, "restored", ha="center", va="bottom")
axes[1].set(title="early stopping", xlabel="step", ylabel="validation MSE")
for k, errors in enumerate(regression_errors.values()):
    axes[2].plot(np.full(10, k), errors, "o", color="#0072B2", markersize=4, alpha=0.6)
axes[2].axhline(1.5**2, color="#666666", linestyle=":")
axes[2].text(-0.4, 1.5**2 * 1.05, "noise", color="#666666", va="bottom")
axes[2].set_xticks(range(4), ["none", "L2", "early\nstopping", "L1"])
axes[2].set(title="test MSE, 10 seeds", xlim=(-0.5, 3.5), ylim=(0, None))
show("regression")

# %% [markdown]
# L2 and early stopping shrink everything, the true weights too, and end close to each other: both
# hold back the directions in which the data say little. L1 wins because its belief (few weights
# matter) is true here. It is generous in finding features: it keeps all that matter and some 30
# that do not, for the λ that predicts best is smaller than the one that selects best. Now the same
# with a truth in which all 200 features matter a little:

# %%
dense_errors = {name: [] for name in regression_errors}
for seed in range(10):
    _, _, train_dense, valid_dense, test_dense = regression_data(seed, relevant=200)
    fits_dense, _ = fit_all(train_dense, valid_dense)
    for name, errors in dense_errors.items():
        errors.append(mse(fits_dense[name], test_dense))
dense_errors = {name: np.array(errors) for name, errors in dense_errors.items()}
for name, errors in dense_errors.items():
    print(f"all features matter: {name:14} test MSE {errors.mean():5.2f}, 10 seeds")

# %% [markdown]
# L1 is now the worst of all. No penalty is better than another; each is a belief about the weights.
#
# And (6.9) against the obvious step, at the same $\lambda$ and after as many steps:

# %%
x_l1, t_l1 = train_set
lr_l1, strength_l1 = len(x_l1) / np.linalg.norm(x_l1, 2) ** 2, 0.3
w_prox, w_sub = np.zeros(200), np.zeros(200)
for _ in range(2000):
    w_prox = soft_threshold(w_prox - lr_l1 * x_l1.T @ (x_l1 @ w_prox - t_l1) / 100, 0.3 * lr_l1)
    pull = x_l1.T @ (x_l1 @ w_sub - t_l1) / 100 + strength_l1 * np.sign(w_sub)
    w_sub = w_sub - lr_l1 * pull
zeros_prox, zeros_sub = int((w_prox == 0).sum()), int((w_sub == 0).sum())
print(f"weights that are exactly 0: {zeros_prox} of 200 by (6.9), {zeros_sub} by λ sign(w)")

# %% [markdown]
# ## 7. The library says the same
#
# `Dropout`, `AdamW`, `l2_penalty` (adds $\lambda\theta$ to the gradients, before the step),
# `soft_threshold` (after it) and `EarlyStopping`, which is asked in *your* loop and never owns it.

# %%
import nnlib

rng = np.random.default_rng(10)
h_lib, dy_lib = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))


class Float32Draws:
    """A generator whose random() are the numbers in single precision that the library draws."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def random(self, shape):
        return self.rng.random(shape, dtype=np.float32)


y_mine, back_mine = dropout(h_lib, 0.3, Float32Draws(11))
y_theirs, back_theirs = nnlib.Dropout(0.3)(h_lib, rng=np.random.default_rng(11))
gaps_lib = [y_mine - y_theirs, back_mine(dy_lib) - back_theirs(dy_lib)]

parameter = nnlib.Parameter(rng.normal(size=5))
w_lib, M_lib, V_lib = parameter.value.copy(), np.zeros(5), np.zeros(5)
optimizer_lib = nnlib.AdamW([parameter], lr=0.05, weight_decay=0.4)
for t in range(1, 11):
    g = rng.normal(size=5)
    parameter.accumulate(g.copy())
    optimizer_lib.step()
    w_lib, M_lib, V_lib = adamw_step(w_lib, g, M_lib, V_lib, t, 0.05, 0.4)
gaps_lib.append(parameter.value - w_lib)

x_lib, t_lib = rng.normal(size=(7, 5)), rng.normal(size=7)
parameter.accumulate(x_lib.T @ (x_lib @ parameter.value - t_lib) / 7)
nnlib.l2_penalty([parameter], 0.3)
gaps_lib.append(parameter.dense_grad() - l2_gradient(parameter.value, 0.0, x_lib, t_lib, 0.3)[0])
shrunk = soft_threshold(parameter.value, 0.2)
nnlib.soft_threshold([parameter], 0.2)
gaps_lib.append(parameter.value - shrunk)


def stop_by_library(w, step, validate, patience, max_steps):
    """early_stopping with nnlib.EarlyStopping in the loop."""
    counted = nnlib.Parameter(w)
    stopping = nnlib.EarlyStopping([counted], patience=patience)
    stopping(validate(w))
    for _ in range(max_steps):
        step(counted.value)
        if stopping(validate(counted.value)):
            break
    stopping.restore()
    return counted.value, stopping.evaluations - 1


for curve in CURVES:
    gaps_lib.append(watch_curve(curve, 3) - watch_curve(curve, 3, stop_by_library))
library_gap = max(np.abs(gap).max() for gap in gaps_lib)
print(f"largest difference {library_gap:.0e}")
assert library_gap < 1e-12

# %% [markdown]
# ## What to keep
#
# - Dropout: a new mask in every step, the same mask backwards, none in use. It keeps the mean and
#   not the square.
# - L2 is weight decay for gradient descent. With Adam, decay outside of it.
# - L1 gives zeros only by soft-thresholding.
# - Early stopping restores the best weights, from a *copy*.
# - Each of them is a belief about what the true function looks like. Test it on data that you held
#   back.
