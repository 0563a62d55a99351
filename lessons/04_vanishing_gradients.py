# %% [markdown]
# # 04 · Vanishing gradients, saturation, initialisation, layer-wise training
#
# - **Minutes:** 100
# - **Prerequisites:** lesson 02 (back-propagation by hand); lesson 03 says why one wants depth
# - **Slides:** “Why was it hard to train neural networks?”, “Neural Winters”, “Intermission –
#   Layerwise training”, “The deep learning era of RecSys”
# - **The deck is wrong here:** D8 (where the sigmoid saturates), D9 (who trained what layer by
#   layer in 2006), D15 (which Boltzmann machine predicted ratings in 2007)
#
# Lesson 03 showed that deep networks can do much with few units. For twenty years hardly anybody
# could train one. Here you take one apart, see its gradient disappear layer by layer, and repair it
# in two ways: with better first weights, and with the trick that started it all again in 2006.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
SKY, YELLOW = "#56B4E9", "#E69F00"

# %% [markdown]
# The activations of lesson 02, each with its backward:


# %%
def sigmoid(a):
    """σ(a), computed so that nothing overflows."""
    h = 0.5 + 0.5 * np.tanh(0.5 * a)
    return h, lambda dh: dh * h * (1 - h)


def tanh(a):
    """tanh(a)."""
    h = np.tanh(a)
    return h, lambda dh: dh * (1 - h * h)


def relu(a):
    """max(a, 0)."""
    h = np.maximum(a, 0)
    return h, lambda dh: dh * (h > 0)


def identity(a):
    """Nothing: for the scores of the last layer."""
    return a, lambda dh: dh


# %% [markdown]
# ## 1. A product of many small numbers
#
# Layer $l$ computes $a_l = h_{l-1} W_l + b_l$ and $h_l = f(a_l)$. One step of back-propagation is
#
# $$ \mathrm{d}h_{l-1} = \big( \mathrm{d}h_l \odot f'(a_l) \big)\, W_l^\top \tag{4.1} $$
#
# and the gradient at the bottom is $k$ such steps. For the sigmoid $f' \le \frac14$. A matrix
# stretches no vector by more than its largest singular value, $\lVert W \rVert_2$
# (`np.linalg.norm(W, 2)`). So
#
# $$ \lVert \mathrm{d}h_0 \rVert \;\le\; \lVert \mathrm{d}h_k \rVert \prod_{l=1}^{k}
#    \tfrac14 \lVert W_l \rVert_2 \tag{4.2} $$
#
# ### Exercise 04.1 · How much can be left
#
# Return the product of (4.2) for a list of weight matrices.


# %%
def signal_bound(Ws):
    """The largest possible |dh_0| / |dh_k| of sigmoid layers with these weights, by (4.2)."""
    ### BEGIN SOLUTION 04.1
    ### HINT Start with 1 and multiply by one factor per matrix.
    ### HINT The factor is np.linalg.norm(W, 2) / 4; without the 2 it is another norm.
    bound = 1.0
    for W in Ws:
        bound *= np.linalg.norm(W, 2) / 4  # (4.2)
    return bound
    ### END SOLUTION


# %%
rng = np.random.default_rng(1)
check(
    "04.1",
    signal_bound,
    [rng.normal(size=(5, 4)), rng.normal(size=(4, 6)), rng.normal(size=(6, 3))],
    expected=lambda Ws: np.prod([np.sqrt(np.linalg.eigvalsh(W.T @ W)[-1]) / 4 for W in Ws]),
    mistakes={
        "this is without the sigmoid's largest slope, ¼ per layer": lambda Ws: np.prod(
            [np.linalg.norm(W, 2) for W in Ws]
        ),
        "np.linalg.norm(W) without the 2 is the root of the sum of squares, not the largest "
        "singular value": lambda Ws: np.prod([np.linalg.norm(W) / 4 for W in Ws]),
    },
)

# %% [markdown]
# The bound says ¼ per layer *if* the weights do not make up for it. Can they not? Large weights
# give a large $|a|$, and there the slope is not ¼ but nothing: section 3. First we measure.
#
# ### Exercise 04.2 · One layer, forward and back
#
# Write a layer with any of the activations above: $y = f(x W + b)$. `backward(dy)` returns
# $(\mathrm{d}x, \mathrm{d}W, \mathrm{d}b)$. With $\mathrm{d}a = \mathrm{d}y \odot f'(a)$, which is
# what the activation's own backward returns:
#
# $$ \mathrm{d}x = \mathrm{d}a\, W^\top, \qquad \mathrm{d}W = x^\top \mathrm{d}a, \qquad
#    \mathrm{d}b = \sum_{\text{rows}} \mathrm{d}a \tag{4.3} $$


# %%
def dense(x, W, b, f):
    """(y, backward) of f(x W + b); x (B, I), W (I, O), b (O,); backward(dy) = (dx, dW, db)."""
    ### BEGIN SOLUTION 04.2
    ### HINT f returns two things: y, back_f = f(...).
    ### HINT In backward: da = back_f(dy) first, then the three products of (4.3).
    y, back_f = f(x @ W + b)

    def backward(dy):
        da = back_f(dy)
        return da @ W.T, x.T @ da, da.sum(axis=0)  # (4.3)

    return y, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(2)
check(
    "04.2",
    lambda x, W, b: dense(x, W, b, sigmoid),
    rng.normal(size=(5, 3)),
    rng.normal(size=(3, 4)),
    rng.normal(size=4),
    forward=lambda x, W, b: 1 / (1 + np.exp(-np.einsum("ni,io->no", x, W) - b)),
    about={"batch_size": 5},
)

# %% [markdown]
# ## 2. The gradient of each layer
#
# Ten layers of 100 units, random inputs, random targets, half the squared error. Weights are
# $\mathcal N(0, c^2/100)$, biases 0; what $c$ should be is the matter of section 4. Nothing is
# trained: this is the very first step, as the optimizer sees it.


# %%
def run_layers(layers, x, f, last=identity):
    """(output, outputs of all layers, their backwards); layers are [(W, b), ...]."""
    hs, backwards = [], []
    for l, (W, b) in enumerate(layers):
        x, backward = dense(x, W, b, f if l < len(layers) - 1 else last)
        hs.append(x)
        backwards.append(backward)
    return x, hs, backwards


def first_step(f, scale, seed, depth=10, width=100, batch=64):
    """Of a fresh network: |dW| and the outputs' standard deviation over examples, per layer."""
    rng = np.random.default_rng(seed)
    x, target = rng.normal(size=(2, batch, width))
    Ws = [rng.normal(size=(width, width)) * scale / np.sqrt(width) for _ in range(depth)]
    y, hs, backwards = run_layers([(W, np.zeros(width)) for W in Ws], x, f, last=f)
    dh, norms = (y - target) / batch, []
    bottom = np.linalg.norm(dh)
    for backward in backwards[::-1]:
        dh, dW, _ = backward(dh)
        norms.append(np.linalg.norm(dW))
    return {
        "gradients": np.array(norms[::-1]),
        "spread": np.array([h.std(axis=0).mean() for h in hs]),
        "signal": np.linalg.norm(dh) / bottom,
        "bound": signal_bound(Ws),
    }


FRESH = {
    "σ, c = 1": (sigmoid, 1.0, ORANGE),
    "σ, c = 4": (sigmoid, 4.0, PINK),
    "tanh, c = 1": (tanh, 1.0, BLUE),
    "ReLU, c = √2": (relu, np.sqrt(2), GREEN),
}
SEEDS = range(5)
fresh = {name: [first_step(f, c, seed) for seed in SEEDS] for name, (f, c, _) in FRESH.items()}
norm_ratio = {
    name: np.array([run["gradients"][0] / run["gradients"][-1] for run in runs])
    for name, runs in fresh.items()
}
print("|dW| of layer 1 / |dW| of layer 10, 5 seeds")
for name, ratio in norm_ratio.items():
    print(f"  {name:13} {np.median(ratio):8.1e}   ({ratio.min():.1e} to {ratio.max():.1e})")
signal = [(run["signal"], run["bound"]) for run in fresh["σ, c = 1"]]
print("|dh_0| / |dh_10| of σ, c = 1, and its bound (4.2):")
print("  " + ", ".join(f"{s:.0e} ≤ {b:.0e}" for s, b in signal))

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.4), layout="constrained")
for name, (_, _, colour) in FRESH.items():
    for ax, what in zip(axes, ("gradients", "spread"), strict=True):
        for run in fresh[name]:
            ax.semilogy(range(1, 11), run[what], ".-", color=colour, linewidth=0.7, markersize=3)
    axes[1].plot([], [], ".-", color=colour, label=name)
axes[0].set(title="gradient norm |dW|, before any training", xlabel="layer")
axes[1].set(title="how much outputs differ between examples", xlabel="layer")
axes[1].set_ylabel("standard deviation over examples")
axes[1].legend(frameon=False)
show("first step")

# %% [markdown]
# With $c = 1$ the sigmoid's first layer gets a millionth of the last one's gradient: about ¼ per
# layer, for a random matrix with $c = 1$ keeps the length of a random vector (the bound is
# looser, since the worst vector is stretched by 2). One step size cannot serve both ends. tanh,
# whose slope is 1 at 0, and the rectifier are all right.
#
# The right-hand side is the same story forwards, and just as bad: through ten sigmoid layers 64
# different inputs become one. Whatever sits on top sees a constant, and can learn only how frequent
# each class is.

# %% [markdown]
# ## 3. Saturation
#
# **D8.** The slide says that the gradient becomes near zero when “$x$ is too small or too big”.
# Read that as $|x|$ too big: at 0, and for all small $|x|$, the slope is at its *largest*. And
# “Output 1/0” is for the sigmoid; tanh saturates at $\pm 1$.

# %%
at = np.array([-10.0, -4, -0.01, 0, 0.01, 4, 10])
slopes = {f.__name__: f(at)[1](np.ones(7)) for f in (sigmoid, tanh)}
print(f"{'s':12}" + "".join(f"{s:10.2f}" for s in at))
for f in (sigmoid, tanh):
    print(f"{f.__name__:8} f  " + "".join(f"{y:10.5f}" for y in f(at)[0]))
    print(f"{'':8} f' " + "".join(f"{y:10.5f}" for y in slopes[f.__name__]))
assert slopes["sigmoid"].argmax() == slopes["tanh"].argmax() == 3  # at 0, the best place
assert slopes["sigmoid"][[0, -1]].max() < 5e-5

# %% [markdown]
# What saturation does to one neuron: it is told to say 0 and says 1, with
# $L = \frac12 (\sigma(s) - 0)^2$. Far out, $\sigma'(s) \approx e^{-|s|}$, so the worse it errs, the
# longer it waits, about $e^{s_0}$ steps: exactly the wrong way around. (With the logistic loss of
# lesson 01 it would not wait: there the slope cancels, (1.13). But that helps the last layer only.)


# %%
def steps_to_learn(start, lr=1.0, limit=100_000):
    """Steps of one neuron from s = start until σ(s) < ½ for target 0; all losses on the way."""
    s, losses = start, []
    while s > 0 and len(losses) < limit:
        y, backward = sigmoid(s)
        losses.append(0.5 * y * y)
        s = s - lr * backward(y)
    return len(losses), losses


waiting = {start: steps_to_learn(start) for start in (2.0, 4.0, 6.0, 8.0, 10.0)}
print("start at s:  ", "".join(f"{s:9.0f}" for s in waiting))
print("steps to ½:  ", "".join(f"{n:9d}" for n, _ in waiting.values()))
print("eˢ:          ", "".join(f"{np.exp(s):9.0f}" for s in waiting))

# %% [markdown]
# ### Exercise 04.3 · Which units are off
#
# A monitor for saturation: the fraction of sigmoid outputs that are below `low` or above `high`,
# over all examples and units. (At .02 and .98 the slope is below .02, a thirteenth of its best.)


# %%
def saturated(h, low=0.02, high=0.98):
    """Fraction of the outputs h (B, H) that lie outside of [low, high]."""
    ### BEGIN SOLUTION 04.3
    ### HINT h < low is an array of truth values; its mean is a fraction.
    ### HINT No output is on both sides, so the two fractions add up.
    return np.mean(h < low) + np.mean(h > high)
    ### END SOLUTION


# %%
rng = np.random.default_rng(3)
check(
    "04.3",
    saturated,
    np.concatenate([rng.uniform(0, 0.1, (12, 7)), rng.uniform(0.95, 1, (5, 7))]),
    expected=lambda h: sum(y < 0.02 or y > 0.98 for y in h.ravel()) / h.size,
    mistakes={
        "this is the fraction inside of [low, high]": lambda h: np.mean((h >= 0.02) & (h <= 0.98)),
        "this counts only one side: outputs near 0 do not learn either": lambda h: np.mean(
            h > 0.98
        ),
        "this counts only one side: outputs near 1 do not learn either": lambda h: np.mean(
            h < 0.02
        ),
    },
)

# %% [markdown]
# ## 4. Initialisation
#
# Not too small, not too large. How large then? Let the weights be independent with mean 0 and
# variance $v$, and let $h$ and the gradients behave as if independent of them. Then variances add
# up: forwards over the $n$ inputs of a unit, backwards over the $m$ units that an input goes to:
#
# $$ \mathrm{E}[a_l^2] = n\, v\, \mathrm{E}[h_{l-1}^2], \qquad
#    \mathrm{E}[\mathrm{d}h_{l-1}^2] = m\, v\, \mathrm{E}[f'(a_l)^2]\,
#    \mathrm{E}[\mathrm{d}h_l^2] \tag{4.4} $$
#
# Neither grows or shrinks with depth if, for $a \sim \mathcal N(0, 1)$,
#
# $$ v = \frac{1}{n\, \mathrm{E}[f(a)^2]} \;\text{(forwards)}, \qquad
#    v = \frac{1}{m\, \mathrm{E}[f'(a)^2]} \;\text{(backwards)} \tag{4.5} $$
#
# | initialiser | weights | from (4.5) | for |
# | --- | --- | --- | --- |
# | LeCun | $\mathcal N(0, 1/n)$ | $f$ the identity, forwards | SELU (lesson 05) |
# | Glorot | ${\mathcal U(\pm\sqrt{6/(n + m)})}$ | both: $v = 2/(n + m)$ | tanh, linear |
# | He | $\mathcal N(0, 2/n)$ | half of $a$ is cut off: $\mathrm{E}[f^2] = \frac12$ | ReLU |
# | He, leaky | ${\mathcal N(0, 2/((1 + \alpha^2) n))}$ | exercise 04.4 | leaky ReLU |
# | Glorot × 4 | ${\mathcal U(\pm 4\sqrt{6/(n + m)})}$ | backwards, $f'(0) = \frac14$ | sigmoid |
# | orthogonal | exercise 04.5 | exact, not only on average | recurrent nets |
# | small | $\mathcal U(\pm 0.5/D)$, $\mathcal N(0, 0.1^2)$ | no sum, one row is read | embeddings |
#
# Glorot's (also called Xavier's) is uniform: $\mathcal U(\pm r)$ has variance $r^2/3$. Embeddings
# come in Part II.
#
# For the sigmoid the two halves of (4.5) contradict each other: its outputs are around ½, so
# $v = 16/n$ gives $\mathrm{E}[a^2] = 16\,\mathrm{E}[h^2] > 4$, and then slopes are no longer ¼. No
# scale repairs it wholly; $c = 4$ in the figure above is the compromise.
#
# ### Exercise 04.4 · He's initialiser, for leaky rectifiers too
#
# $f(a) = a$ for $a \ge 0$, otherwise $\alpha a$. Work out $\mathrm{E}[f(a)^2]$ for
# $a \sim \mathcal N(0, 1)$, put it into (4.5), and draw the weights. $\alpha = 0$ is ReLU.


# %%
def he(rng, n_in, n_out, alpha=0.0):
    """Normal weights (n_in, n_out) that keep E[a²] through a leaky rectifier."""
    ### BEGIN SOLUTION 04.4
    ### HINT Half of the a² are kept, the other half is multiplied by alpha².
    ### HINT E[f²] = (1 + alpha²) / 2. rng.normal takes the standard deviation, not the variance.
    std = np.sqrt(2 / ((1 + alpha**2) * n_in))
    return std * rng.normal(size=(n_in, n_out))
    ### END SOLUTION


# %%
def _variance_of_he(w):
    """The check's sentences for weights (300, 200), alpha = 0.5."""
    return {
        "the shape is (n, m) = (300, 200)": w.shape == (300, 200),
        "the mean is about 0": abs(w.mean()) < 0.002,
        "the variance is 1 / (n E[f²])  (is it a standard deviation? are n_in and n_out "
        "exchanged? does alpha count, squared?)": abs(w.var() * 300 * (1 + 0.5**2) / 2 - 1) < 0.03,
        "it is a normal distribution: 4.6 % are beyond two standard deviations": abs(
            np.mean(np.abs(w) > 2 * w.std()) - 0.0455
        )
        < 0.005,
    }


check(
    "04.4",
    lambda n_in, n_out, alpha: he(np.random.default_rng(4), n_in, n_out, alpha),
    300,
    200,
    0.5,
    claims=_variance_of_he,
)

# %% [markdown]
# The argument, tested: $\mathrm{E}[a^2]$ after 30 layers of ReLU. A factor 2 in the variance is a
# factor $2^{30}$ in the end.


# %%
def second_moments(scale, seed, depth=30, width=100):
    """E[a²] in each ReLU layer with weights of variance scale²/width."""
    rng = np.random.default_rng(seed)
    h, moments = rng.normal(size=(64, width)), []
    for _ in range(depth):
        a = h @ (scale / np.sqrt(width) * rng.normal(size=(width, width)))
        moments.append(np.mean(a * a))
        h = relu(a)[0]
    return np.array(moments)


RELU_SCALES = {"variance 1/n (LeCun)": 1.0, "variance 2/n (He)": np.sqrt(2), "variance 4/n": 2.0}
moments = {
    name: np.array([second_moments(c, seed) for seed in SEEDS]) for name, c in RELU_SCALES.items()
}
moment_growth = {name: m[:, -1] / m[:, 0] for name, m in moments.items()}
for name, growth in moment_growth.items():
    print(f"{name:21} E[a²] layer 30 / layer 1: {growth.min():.0e} to {growth.max():.0e}")

# %% [markdown]
# ### Exercise 04.5 · Orthogonal weights
#
# (4.4) holds on average. A product of many random matrices still stretches some directions and
# flattens most. An orthogonal matrix, $Q^\top Q = 1$, keeps *every* length.
#
# Draw one: the QR decomposition `np.linalg.qr` of a normal matrix gives $q$ and $r$. To be uniform
# among all orthogonal matrices, $q$'s columns must be multiplied by the signs of $r$'s diagonal
# (otherwise LAPACK's sign convention shows). If `n_in < n_out`, make the tall matrix and transpose:
# the rows are then orthonormal.


# %%
def orthogonal(rng, n_in, n_out):
    """A matrix (n_in, n_out) with orthonormal columns, or rows if those are fewer."""
    ### BEGIN SOLUTION 04.5
    ### HINT Draw the normal matrix with shape (larger, smaller): max and min of the two sizes.
    ### HINT np.sign(np.diag(r)) has one number per column of q: q times it multiplies the columns.
    tall = rng.normal(size=(max(n_in, n_out), min(n_in, n_out)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))
    return q if n_in >= n_out else q.T
    ### END SOLUTION


# %%
def _draw_orthogonal():
    """A tall and a wide one, and the share of positive elements in 400 small ones."""
    rng = np.random.default_rng(5)
    share = np.mean([orthogonal(rng, 3, 3) > 0 for _ in range(400)], axis=0)
    return orthogonal(rng, 7, 3), orthogonal(rng, 3, 7), share


check(
    "04.5",
    _draw_orthogonal,
    claims=lambda tall, wide, share: {
        "for n_in, n_out = 7, 3 the shape is (7, 3)": tall.shape == (7, 3),
        "for n_in, n_out = 3, 7 the shape is (3, 7)": wide.shape == (3, 7),
        "its three columns are orthonormal": np.allclose(tall.T @ tall, np.eye(3)),
        "the three rows of the wide one are orthonormal": np.allclose(wide @ wide.T, np.eye(3)),
        "every element is positive as often as negative (the signs of r's diagonal)": np.all(
            np.abs(share - 0.5) < 0.1
        ),
    },
)

# %%
rng = np.random.default_rng(6)
DEPTHS = (1, 5, 20)
spectra = {
    name: {
        k: np.linalg.svd(np.linalg.multi_dot([draw() for _ in range(k)] + [np.eye(100)]))[1]
        for k in DEPTHS
    }
    for name, draw in (
        ("normal, variance 1/n", lambda: rng.normal(size=(100, 100)) / 10),
        ("orthogonal", lambda: orthogonal(rng, 100, 100)),
    )
}
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.4), layout="constrained")
for (name, m), colour in zip(moments.items(), (BLUE, GREEN, ORANGE), strict=True):
    axes[0].semilogy(range(1, 31), m.T, color=colour, linewidth=0.7)
    axes[0].plot([], [], color=colour, label=name)
axes[0].legend(frameon=False)
axes[0].set(title="E[a²] through 30 layers of ReLU", xlabel="layer")
for name, colour in (("normal, variance 1/n", ORANGE), ("orthogonal", GREEN)):
    for k, style in zip(DEPTHS, (":", "--", "-"), strict=True):
        axes[1].semilogy(
            range(1, 101), spectra[name][k], style, color=colour, label=f"{name}, {k} of them"
        )
axes[1].set(title="singular values of a product of matrices", xlabel="number", ylim=(1e-14, 1e3))
axes[1].legend(frameon=False, fontsize=8)
show("variance")

# %% [markdown]
# ## 5. Does it train?
#
# A toy set: ten classes, each with two prototypes of 100 random bits; an example is a prototype of
# its class with every fifth bit flipped. Easy: one hidden layer gets 99 % of unseen examples right.
# Now eight hidden layers of 64 units, plain mini-batch SGD (lesson 07), softmax and cross-entropy
# on top (lesson 09; its gradient by the scores is $p - t$, like (1.13)).


# %%
def toy_classes(seed):
    """2000 labelled, 6000 unlabelled, 2000 test rows: x (2000, 100), t, x_more, x_test, t_test."""
    rng = np.random.default_rng(seed)
    prototypes = rng.random((10, 2, 100)) < 0.5

    def draw(n):
        t = rng.integers(10, size=n)
        x = prototypes[t, rng.integers(2, size=n)] ^ (rng.random((n, 100)) < 0.2)
        return x.astype(np.float32), t

    x, t = draw(2000)
    x_more, _ = draw(6000)
    return x, t, x_more, *draw(2000)


def fresh_layers(rng, sizes, scale):
    """Weights N(0, scale²/n_in), those of the output layer N(0, 1/n_in); float32."""
    return [
        ((c / np.sqrt(n) * rng.normal(size=(n, m))).astype(np.float32), np.zeros(m, np.float32))
        for n, m, c in zip(sizes, sizes[1:], [scale] * (len(sizes) - 2) + [1], strict=False)
    ]


def softmax_loss(s, t):
    """(loss, dscores) of softmax and cross-entropy."""
    rows = np.arange(len(t))
    log_p = s - s.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    ds = np.exp(log_p)
    ds[rows, t] -= 1
    return -log_p[rows, t].mean(), ds / len(t)


def fit(layers, x, t, f, lr, epochs, rng, frozen=0):
    """Mini-batch SGD in place, the first `frozen` layers excepted; the loss of every epoch."""
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in np.array_split(rng.permutation(len(x)), len(x) // 32):
            scores, _, backwards = run_layers(layers, x[rows], f)
            loss, d = softmax_loss(scores, t[rows])
            total += loss * len(rows)
            for l in range(len(layers) - 1, frozen - 1, -1):
                d, dW, db = backwards[l](d)
                W, b = layers[l]
                W -= lr * dW
                b -= lr * db
        losses.append(total / len(x))
    return losses


def accuracy(layers, x, t, f):
    """Share of right classes."""
    return np.mean(run_layers(layers, x, f)[0].argmax(axis=1) == t)


DEEP = {  # 8 hidden layers: activation, c, step size, colour
    "σ, c = 1, η = 0.05": (sigmoid, 1.0, 0.05, GREY),
    "σ, c = 1, η = 0.5": (sigmoid, 1.0, 0.5, ORANGE),
    "σ, c = 4, η = 0.5": (sigmoid, 4.0, 0.5, PINK),
    "σ, c = 10, η = 0.5": (sigmoid, 10.0, 0.5, YELLOW),
    "σ, c = 40, η = 0.05": (sigmoid, 40.0, 0.05, SKY),
    "σ, c = 40, η = 0.5": (sigmoid, 40.0, 0.5, BLUE),
    "ReLU, c = √2, η = 0.05": (relu, np.sqrt(2), 0.05, GREEN),
}
TRAIN_SEEDS = range(3)


def monitor(layers, x, t, f):
    """Per layer: the fraction of saturated outputs (hidden layers), and |dW|."""
    scores, hs, backwards = run_layers(layers, x, f)
    d, norms = softmax_loss(scores, t)[1], []
    for backward in backwards[::-1]:
        d, dW, _ = backward(d)
        norms.append(np.linalg.norm(dW))
    return np.array([saturated(h) for h in hs[:-1]]), np.array(norms[::-1])


def share_of_top_tenth(layers, x, t, f):
    """Of the squared norms of single examples' dW in layer 1: the share of the largest tenth."""
    squares = []
    for n in range(len(x)):
        _, norms = monitor(layers, x[n : n + 1], t[n : n + 1], f)
        squares.append(norms[0] ** 2)
    squares = np.sort(squares)[::-1]
    return squares[: len(x) // 10].sum() / squares.sum()


deep = {name: [] for name in DEEP}
for seed in TRAIN_SEEDS:
    x, t, _, x_test, t_test = toy_classes(seed)
    for name, (f, c, lr, _) in DEEP.items():
        rng = np.random.default_rng(100 + seed)
        layers = fresh_layers(rng, [100] + [64] * 8 + [10], c)
        off, norms = monitor(layers, x[:500], t[:500], f)
        share = share_of_top_tenth(layers, x[:200], t[:200], f)
        losses = fit(layers, x, t, f, lr, 20, rng)
        right = accuracy(layers, x_test, t_test, f)
        deep[name].append(
            {"off": off, "norms": norms, "share": share, "losses": losses, "accuracy": right}
        )

print(f"8 hidden layers, 20 epochs, 3 seeds; chance: loss ln 10 = {np.log(10):.2f}, accuracy 0.10")
print(f"{'':23} loss                accuracy        saturated  top tenth")
for name, runs in deep.items():
    losses = "  ".join(f"{run['losses'][-1]:.3f}" for run in runs)
    right = "  ".join(f"{run['accuracy']:.2f}" for run in runs)
    off = np.mean([run["off"] for run in runs])
    off = f"{off:9.0%}" if DEEP[name][0] is sigmoid else " " * 9
    share = np.mean([run["share"] for run in runs])
    print(f"{name:23} {losses} {right:>17} {off} {share:10.0%}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.4), layout="constrained")
for name, (f, _, _, colour) in DEEP.items():
    for run in deep[name]:
        axes[0].plot(range(1, 21), run["losses"], color=colour, linewidth=0.9)
        if f is sigmoid:
            axes[1].plot(range(1, 9), run["off"], ".-", color=colour, linewidth=0.9)
        axes[2].semilogy(range(1, 10), run["norms"], ".-", color=colour, linewidth=0.9)
    axes[2].plot([], [], color=colour, label=name)
axes[0].axhline(np.log(10), color="#222222", linestyle=":")
axes[0].text(20, np.log(10) - 0.04, "ln 10", va="top", ha="right")
axes[0].set(title="training loss (nats)", xlabel="epoch", ylim=(0, 3.5), xticks=range(0, 21, 5))
axes[1].set(title="saturated at the start, sigmoids", xlabel="layer", ylim=(-0.03, 1))
axes[2].set(title="gradient norm |dW| at the start", xlabel="layer", ylim=(1e-9, 10))
axes[2].legend(frameon=False, fontsize=8, loc="lower right")
show("training deep networks")

# %% [markdown]
# Read it slowly, there are three different fates:
#
# - **Vanished** (σ, $c = 1$). Nothing is saturated and nothing is learned: the loss stays at
#   $\ln 10$ at either step size. The top layer sees a constant, the bottom gets no gradient.
# - **Saturated** (σ, $c = 40$: ten times the sigmoid's own scale $c = 4$). Nine of ten outputs are
#   at 0 or 1, and the loss hardly gets below chance at either step size. The *norm* of the gradient
#   has not vanished, though: the one unit in ten that is on passes it on through very large
#   weights, and it even grows downwards. A norm alone does not show saturation, the fraction does.
#   Most examples say nothing: a tenth of them carries 85 % of layer 1's squared gradients (last
#   column; for $c = 4$ that is 21 %). Ten times LeCun's scale, $c = 10$,
#   saturates little more than half, and still trains.
# - **Alive** (σ with $c = 4$, ReLU with He). The slide's remedy “initialization” rescues even the
#   sigmoid here. The rectifier does not need a compromise, and its gradients are level.

# %% [markdown]
# ## 6. Layer-wise training
#
# In 2006 nobody used rectifiers and deep sigmoid networks did not train. The way out was to train
# them *without* a gradient that has to come through all layers: one layer at a time, without
# labels.
#
# 1. Train a small network with one hidden layer to reproduce its input. No depth, no vanishing.
# 2. Drop its output layer. What the hidden layer says is the new data.
# 3. Train the next such network on it, with the hidden outputs as input, **and as the target**.
#    (The slide says only “as the input”.)
# 4. In the end put an output layer on top, train it, then *fine-tune* everything by
#    back-propagation.
#
# So that the hidden layer learns more than to copy, the input is corrupted and the target is the
# *clean* input: a **denoising autoencoder**. A missing bit can be filled in only by one who knows
# which bits go together. For inputs in $[0, 1]$, with the loss (1.12) summed over the inputs:
#
# $$ h = \sigma(\tilde x W + b), \qquad s = h V + c \tag{4.6} $$
# $$ L = \frac1B \sum_n \sum_i \big( \log(1 + e^{s_{ni}}) - x_{ni} s_{ni} \big) \tag{4.7} $$
# $$ \mathrm{d}s = \tfrac1B (\sigma(s) - x), \quad \mathrm{d}V = h^\top \mathrm{d}s, \quad
#    \mathrm{d}h = \mathrm{d}s\, V^\top, \quad \text{then (4.3)} \tag{4.8} $$
#
# ### Exercise 04.6 · The denoising autoencoder's gradient
#
# Return the loss (4.7) and `backward`, with $(\mathrm{d}W, \mathrm{d}b, \mathrm{d}V, \mathrm{d}c)$.
# $\tilde x$ is `noisy`, $x$ is `clean`. Your `dense` can be the hidden layer.


# %%
def denoising_loss(noisy, clean, W, b, V, c):
    """(loss, backward) of (4.7); noisy, clean (B, I), W (I, H), V (H, I)."""
    ### BEGIN SOLUTION 04.6
    ### HINT Two layers: dense(noisy, W, b, sigmoid), then h @ V + c.
    ### HINT Only the hidden layer sees noisy; the target is clean, in the loss and in ds.
    ### HINT np.logaddexp(0, s) is log(1 + exp(s)). It is a mean over rows and a sum over columns.
    ### HINT ds by (4.8), times dloss; the hidden layer's own backward, fed with ds Vᵀ, does
    ###      the rest.
    h, back_hidden = dense(noisy, W, b, sigmoid)  # (4.6)
    s = h @ V + c  # (4.6)
    loss = (np.logaddexp(0, s) - clean * s).sum() / len(s)  # (4.7)

    def backward(dloss=1.0):
        ds = dloss * (sigmoid(s)[0] - clean) / len(s)  # (4.8)
        _, dW, db = back_hidden(ds @ V.T)
        return dW, db, h.T @ ds, ds.sum(axis=0)

    return loss, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(7)
clean_check = rng.uniform(size=(6, 5))
noisy_check = clean_check * (rng.random((6, 5)) > 0.3)


def _denoising_reference(W, b, V, c):
    y = 1 / (1 + np.exp(-((1 / (1 + np.exp(-noisy_check @ W - b))) @ V + c)))
    return -np.mean(
        np.sum(clean_check * np.log(y) + (1 - clean_check) * np.log(1 - y), axis=1), axis=0
    )


check(
    "04.6",
    lambda W, b, V, c: denoising_loss(noisy_check, clean_check, W, b, V, c),
    rng.normal(size=(5, 3)),
    rng.normal(size=3),
    rng.normal(size=(3, 5)),
    rng.normal(size=5),
    forward=_denoising_reference,
    about={"batch_size": 6},
)

# %% [markdown]
# ### Exercise 04.7 · The greedy loop
#
# `train(h, n)` trains an autoencoder with `n` hidden units on the rows of `h` and returns the
# $(W, b)$ of its hidden layer. Stack one per entry of `sizes`, and return them as a list of pairs.


# %%
def pretrain(x, sizes, train):
    """[(W, b), ...] of sigmoid layers, each trained on the outputs of those below."""
    ### BEGIN SOLUTION 04.7
    ### HINT A loop over sizes with a variable h, at first x.
    ### HINT After training, h is replaced by what the new layer says: dense(h, W, b, sigmoid)[0].
    layers, h = [], x
    for n in sizes:
        W, b = train(h, n)
        layers.append((W, b))
        h, _ = dense(h, W, b, sigmoid)
    return layers
    ### END SOLUTION


# %%
def _toy_trainer(h, n):
    """Weights that depend on what it was given, not by training."""
    W = np.cos(np.arange(h.shape[1] * n)).reshape(h.shape[1], n) + h.mean()
    return W, h.std() * np.arange(1.0, n + 1)


def _stack_reference(x):
    parts = []
    for n in (4, 3, 2):
        W, b = _toy_trainer(x, n)
        parts += [W, b]
        x = 1 / (1 + np.exp(-x @ W - b))
    return tuple(parts)


def _without_bias(x):
    parts = []
    for n in (4, 3, 2):
        W, b = _toy_trainer(x, n)
        parts += [W, b]
        x = 1 / (1 + np.exp(-x @ W))
    return tuple(parts)


rng = np.random.default_rng(8)
check(
    "04.7",
    lambda x: tuple(itertools.chain.from_iterable(pretrain(x, (4, 3, 2), _toy_trainer))),
    rng.normal(size=(6, 5)),
    expected=_stack_reference,
    mistakes={
        "all autoencoders were trained on x: the second gets the outputs of the first": lambda x: (
            tuple(itertools.chain.from_iterable(_toy_trainer(x, n) for n in (4, 3, 2)))
        ),
        "the layers' outputs are computed without their bias b": _without_bias,
    },
)

# %% [markdown]
# Six sigmoid layers, on the set of section 5, with 6000 more rows whose classes nobody knows.


# %%
def train_autoencoder(h, n, rng, epochs=10, lr=0.5, noise=0.25):
    """(W, b) of a denoising autoencoder: mini-batch SGD, each input set to 0 with prob. `noise`."""
    (W, b), (V, c) = fresh_layers(rng, [h.shape[1], n, h.shape[1]], 1.0)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(h)), len(h) // 32):
            noisy = h[rows] * (rng.random((len(rows), h.shape[1]), np.float32) >= noise)
            _, backward = denoising_loss(noisy, h[rows], W, b, V, c)
            for theta, d in zip((W, b, V, c), backward(), strict=True):
                theta -= lr * d
    return W, b


def copy_of(layers):
    """Arrays of their own: `fit` works in place."""
    return [(W.copy(), b.copy()) for W, b in layers]


SIX = [100] + [64] * 6 + [10]
rows_of_table = {
    "1 hidden σ layer": GREY,
    "(a) 6 σ, fresh, c = 1": ORANGE,
    "(b) 6 σ, layer-wise": BLUE,
    "    only the output layer": BLUE,
    "    without the 6000": BLUE,
    "(c) 6 ReLU, He": GREEN,
    "(d) 6 σ, fresh, c = 4": PINK,
}
result = {name: [] for name in rows_of_table}
stacked = []  # what the networks of (b) are like before fine-tuning, and how far that moves them
for seed in TRAIN_SEEDS:
    x, t, x_more, x_test, t_test = toy_classes(seed)
    rng = np.random.default_rng(200 + seed)

    def record(name, layers, f, lr, rng=rng, x=x, t=t, x_test=x_test, t_test=t_test, frozen=0):
        fit(layers, x, t, f, lr, 30, rng, frozen)
        result[name].append(accuracy(layers, x_test, t_test, f))

    record("1 hidden σ layer", fresh_layers(rng, [100, 64, 10], 1), sigmoid, 0.5)
    record("(a) 6 σ, fresh, c = 1", fresh_layers(rng, SIX, 1), sigmoid, 0.5)
    record("(c) 6 ReLU, He", fresh_layers(rng, SIX, np.sqrt(2)), relu, 0.05)
    record("(d) 6 σ, fresh, c = 4", fresh_layers(rng, SIX, 4), sigmoid, 0.5)

    train = lambda h, n, rng=rng: train_autoencoder(h, n, rng)
    below = pretrain(np.concatenate([x, x_more]), [64] * 6, train)
    top = fresh_layers(rng, [64, 10], 1)
    only_top = copy_of(below + top)
    record("    only the output layer", only_top, sigmoid, 0.5, frozen=6)
    layers = copy_of(below + top)
    off, norms = monitor(layers, x[:500], t[:500], sigmoid)
    _, fresh_norms = monitor(fresh_layers(rng, SIX, 1), x[:500], t[:500], sigmoid)
    fit(layers, x, t, sigmoid, 0.5, 5, rng, frozen=6)
    record("(b) 6 σ, layer-wise", layers, sigmoid, 0.5)
    norm = np.linalg.norm
    moved = [norm(W - V) / norm(V) for (W, _), (V, _) in zip(layers[:6], below, strict=True)]
    stacked.append(
        {
            "scale": [norm(W) / np.sqrt(W.shape[1]) for W, _ in below],  # c, if it were N(0, c²/n)
            "off": off,
            "moved": moved,
            "norms": norms,
            "fresh norms": fresh_norms,
        }
    )

    longer = lambda h, n, rng=rng: train_autoencoder(h, n, rng, epochs=30)
    layers = pretrain(x, [64] * 6, longer) + fresh_layers(rng, [64, 10], 1)
    record("    without the 6000", layers, sigmoid, 0.5)

print("test accuracy, 3 seeds")
for name, values in result.items():
    print(f"  {name:26} {', '.join(f'{v:.3f}' for v in values)}")
print("layer-wise, before fine-tuning, by layer, mean of 3 seeds")
for what, format in (("scale", "{:9.2f}"), ("off", "{:9.0%}"), ("moved", "{:9.1%}")):
    means = np.mean([s[what] for s in stacked], axis=0)
    print(f"  {what:8}", "".join(format.format(mean) for mean in means))
for what in ("norms", "fresh norms"):
    means = np.mean([s[what] for s in stacked], axis=0)
    print(f"  {what:11}", "".join(f"{mean:9.0e}" for mean in means))

# %%
figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.4), layout="constrained")
for i, (name, values) in enumerate(result.items()):
    axes[0].plot(values, [-i] * 3, "o", color=rows_of_table[name], alpha=0.6)
axes[0].axvline(0.1, color="#222222", linestyle=":")
axes[0].set_yticks(-np.arange(len(result)), [name.strip() for name in result])
axes[0].set(title="test accuracy, 3 seeds", xlim=(0, 1.05))
for s in stacked:
    axes[1].semilogy(range(1, 8), s["fresh norms"], ".-", color=ORANGE, linewidth=0.9)
    axes[1].semilogy(range(1, 8), s["norms"], ".-", color=BLUE, linewidth=0.9)
    axes[2].plot(range(1, 7), s["scale"], ".-", color=BLUE, linewidth=0.9)
axes[1].plot([], [], color=ORANGE, label="fresh, c = 1")
axes[1].plot([], [], color=BLUE, label="after layer-wise training")
axes[1].legend(frameon=False)
axes[1].set(title="gradient norm |dW| before fine-tuning", xlabel="layer")
for c, colour in ((1, ORANGE), (4, PINK)):
    axes[2].axhline(c, color=colour, linestyle=":")
    axes[2].text(1, c + 0.1, f"c = {c}", color=colour)
axes[2].set(title="root mean square of W, times √n", xlabel="layer", ylim=(0, 6.5))
show("layer-wise")

# %% [markdown]
# The story of 2006, reproduced: (a) chance, (b) everything right, (c) nearly everything right
# without any of it. And some things one would not have guessed from the slide:
#
# - **“Vanishing gradient is still in the lower layers.”** Only a part of it: in all hidden layers
#   the gradient is small, but that of the first is now a sixth of that of the sixth, and was less
#   than a hundredth. The autoencoders, all started at $c = 1$, have found weights of $c$ between 4
#   and 6 by themselves: what section 4 derived for the sigmoid.
# - **“No problem, the weights are set to sensible values.”** Indeed: fine-tuning moves the hidden
#   weights by some 2 % only, and an output layer alone on top does as well.
# - **“To avoid saturation.”** Not here. Up to half of the outputs are saturated, against
#   13 % with fresh weights of $c = 4$. They have become nearly binary *features*, on for some
#   inputs and off for others; that is harmless, and not what a random large weight does.
# - The unlabelled rows are not what helps on this easy set: without them it works as well. And
#   $c = 4$ alone takes (d) as far as the rectifiers. Had that been known, the story would be
#   shorter: “was replaced by end-to-end training & non-saturating activations”.
#
# ### What was trained in 2006, and what in 2007
#
# **D9.** The slide describes stacked *autoencoders* and cites Hinton, Osindero and Teh 2006. That
# paper stacks *restricted Boltzmann machines* (RBMs) to a deep *belief* network; the stack of
# autoencoders is Bengio, Lamblin, Popovici and Larochelle 2007, the denoising one Vincent et al.
# 2008. The slide names deep *Boltzmann* machines (DBM: Salakhutdinov and Hinton 2009) along with
# them, but a DBM is not got by plain stacking: its middle layer hears from both sides.
#
# **D15.** “2007: Deep Boltzmann Machines for rating prediction” is one letter off (RBM, DBM):
# Salakhutdinov, Mnih and Hinton 2007 is a *restricted* Boltzmann machine. The first DBM came two
# years later.
#
# Years cannot be computed, but the differences can. All three have an energy, and
# $p \propto e^{-\text{energy}}$:
#
# $$ \text{RBM:}\; -E = v W h + b \cdot h, \qquad
#    \text{DBM:}\; -E = v W h + b \cdot h + h\, U g \tag{4.9} $$
#
# with $v$, $h$, $g$ of zeros and ones. In an RBM the hidden units are independent given $v$, with
# $p(h_j = 1 \mid v) = \sigma((vW + b)_j)$, which is the formula that the ratings paper lives on. In
# a DBM they are not, since $g$ ties them, and none of them is $\sigma((vW + b)_j)$. Small enough to
# count:

# %%
rng = np.random.default_rng(11)
W_rbm, b_rbm, U_dbm = rng.normal(size=(4, 3)), rng.normal(size=3), 3 * rng.normal(size=(3, 2))
v_seen = np.array([1.0, 0, 1, 1])
h_all = np.array(list(itertools.product([0.0, 1], repeat=3)))
g_all = np.array(list(itertools.product([0.0, 1], repeat=2)))

feed_forward = sigmoid(v_seen @ W_rbm + b_rbm)[0]  # what a stack's first layer says
posterior_gap = {}
for name, U in (("RBM", 0 * U_dbm), ("DBM", U_dbm)):
    weight = np.exp(h_all @ (v_seen @ W_rbm + b_rbm)) * np.exp(h_all @ U @ g_all.T).sum(axis=1)
    p_h = weight / weight.sum()  # p(h | v), by summing over all g
    single = p_h @ h_all  # p(h_j = 1 | v)
    product = np.prod(np.where(h_all == 1, single, 1 - single), axis=1)
    posterior_gap[name] = np.abs(p_h - product).max(), np.abs(single - feed_forward).max()
    print(
        f"{name}: p(h | v) differs from the product of its units by {posterior_gap[name][0]:.0e}, "
        f"p(h_j | v) from σ(vW + b) by {posterior_gap[name][1]:.0e}"
    )
assert max(posterior_gap["RBM"]) < 1e-12 < 0.01 < min(posterior_gap["DBM"])

# %% [markdown]
# An autoencoder and an RBM with the same weights are not the same thing trained in two ways either.
# The autoencoder (here with $V = W^\top$) goes down its reconstruction error; the RBM climbs the
# logarithm of the probability it gives to the data. Their directions at the same weights (data:
# five patterns of 4 bits):

# %%
v_data = (np.random.default_rng(10).random((5, 4)) < 0.5).astype(float)
v_all = np.array(list(itertools.product([0.0, 1], repeat=4)))


def log_likelihood(W):
    """Mean log p(v) of an RBM, exactly: h is summed out, all 16 v are counted."""
    free = lambda v: np.logaddexp(0, v @ W + b_rbm).sum(axis=1)
    return free(v_data).mean() - np.log(np.exp(free(v_all)).sum())


def minus_reconstruction(W):
    """Minus the loss (4.7) of the tied autoencoder."""
    return -denoising_loss(v_data, v_data, W, b_rbm, W.T, np.zeros(4))[0]


def direction(f, W, eps=1e-6):
    """Central differences of f by W, as a unit vector."""
    steps = eps * np.eye(W.size).reshape(-1, *W.shape)
    g = np.array([f(W + step) - f(W - step) for step in steps])
    return g / np.linalg.norm(g)


cosine = direction(log_likelihood, W_rbm) @ direction(minus_reconstruction, W_rbm)
print(f"cosine between the two directions: {cosine:.2f}")

# %% [markdown]
# Related, and not the same. The RBM, its stack and the DBM are built in Part III.

# %% [markdown]
# ## 7. The library says the same
#
# `nnlib.Sequential` of `Dense` layers is our network, `nnlib.init` has the initialisers of the
# table, `he_leaky(alpha)` and `scaled(glorot, 4)` included. The gradient of a deep stack, and of
# the denoising autoencoder (`logistic` is (4.7)):

# %%
from nnlib import Dense, Sequential, cross_entropy, logistic
from nnlib import sigmoid as lib_sigmoid
from nnlib.init import glorot, he_leaky, lecun, scaled
from nnlib.init import he as lib_he
from nnlib.init import orthogonal as lib_orthogonal

rng = np.random.default_rng(11)
sizes = [7, 6, 5, 4]
units = [Dense(n, m, rng=rng, init=scaled(glorot, 4)) for n, m in itertools.pairwise(sizes)]
net = Sequential(units[0], lib_sigmoid, units[1], lib_sigmoid, units[2]).astype(np.float64)
x_lib, t_lib = rng.normal(size=(9, 7)), rng.integers(4, size=9)
scores, back_net = net(x_lib)
loss_lib, back_loss = cross_entropy(scores, t_lib)
dx_lib = back_net(back_loss())

mine, _, backwards = run_layers([(u.W.value, u.b.value) for u in units], x_lib, sigmoid)
loss_mine, d = softmax_loss(mine, t_lib)
gaps = [abs(loss_lib - loss_mine)]
for unit, backward in zip(units[::-1], backwards[::-1], strict=True):
    d, dW, db = backward(d)
    gaps += [np.abs(unit.W.grad - dW).max(), np.abs(unit.b.grad - db).max()]
gaps.append(np.abs(dx_lib - d).max())

encoder = Dense(7, 3, rng=rng, init=lecun).astype(np.float64)
decoder = Dense(3, 7, rng=rng, init=lecun).astype(np.float64)
clean = rng.uniform(size=(9, 7))
noisy = clean * (rng.random((9, 7)) > 0.25)
s, back = Sequential(encoder, lib_sigmoid, decoder)(noisy)
loss_lib, back_loss = logistic(s, clean)
back(back_loss())
loss_mine, backward = denoising_loss(
    noisy, clean, encoder.W.value, encoder.b.value, decoder.W.value, decoder.b.value
)
gradients = [p.grad for p in (encoder.W, encoder.b, decoder.W, decoder.b)]
gaps += [np.abs(a - b).max() for a, b in zip(gradients, backward(), strict=True)]
gaps.append(abs(loss_lib - loss_mine))
library_gap = max(gaps)
print(f"largest difference {library_gap:.0e}")
assert library_gap < 1e-12

for name, init, variance in (
    ("lecun", lecun, 1 / 300),
    ("glorot", glorot, 2 / 500),
    ("scaled(glorot, 4)", scaled(glorot, 4), 32 / 500),
    ("he", lib_he, 2 / 300),
    ("he_leaky(0.5)", he_leaky(0.5), 2 / (1.25 * 300)),
    ("orthogonal", lib_orthogonal, 1 / 300),
):
    drawn = init(np.random.default_rng(12), (300, 200))
    print(f"  {name:18} variance {drawn.var():.5f}, by the table {variance:.5f}")
    assert abs(drawn.var() / variance - 1) < 0.03

# %% [markdown]
# `nnlib.check.figures.gradient_norms` draws the figure of section 2 for any network, and says by
# which factor the gradient changes from layer to layer. When a network does not learn, look there
# first. Ten layers of the library, the first step on the toy set:

# %%
from nnlib import relu as lib_relu
from nnlib.check.figures import gradient_norms

library_norms = {}
for name, f, init in (
    ("σ, LeCun", lib_sigmoid, lecun),
    ("σ, 4 × Glorot", lib_sigmoid, scaled(glorot, 4)),
    ("ReLU, He", lib_relu, lib_he),
):
    rng = np.random.default_rng(13)
    units = [Dense(n, m, rng=rng, init=init) for n, m in itertools.pairwise([100] * 10 + [10])]
    steps = [step for unit in units for step in (unit, f)][:-1]
    x, t, *_ = toy_classes(seed=13)
    scores, back_net = Sequential(*steps)(x[:500])
    _, back_loss = cross_entropy(scores, t[:500])
    back_net(back_loss())
    library_norms[name] = {
        str(l): float(np.linalg.norm(unit.W.grad)) for l, unit in enumerate(units, start=1)
    }
show("library", gradient_norms(library_norms, ylabel="|dW|"))

# %% [markdown]
# ## What to keep
#
# - Back-propagation multiplies one factor per layer; the sigmoid's is at most ¼, so ten layers
#   leave a millionth. Forwards the inputs' differences vanish at the same pace.
# - Saturated is $|a|$ large, not $a$ small. Count it; the gradient's norm does not tell.
# - The variance of first weights is $1/n$ over what the activation lets through: LeCun, Glorot, He.
# - Layer-wise training worked, because it finds weights of the right size and useful features
#   without a gradient through all layers. Good first weights and rectifiers replaced it.
