# %% [markdown]
# # 05 · Activations
#
# - **Minutes:** 75
# - **Prerequisites:** lessons 02 and 04
# - **Slides:** “Why now? – Research breakthroughs – Non-saturating activations”
# - **The deck is wrong here:** D10, the slope of ReLU at 0 is a convention (and 0 is the better
#   one); D11, the slope of SELU for $x < 0$ is wrong, and its $\alpha$ and $\lambda$ are no free
#   parameters
#
# The sigmoid's slope is at most ¼, and eight of them in a row are at most $4^{-8}$. What replaced
# it are functions whose slope is 1 on half of the line. In this lesson you write the whole table of
# the slide, hold every derivative of it against finite differences (one entry fails), and solve the
# two equations that make SELU what it is.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

# %% [markdown]
# ## 1. ReLU, and what happens at 0
#
# $$ \mathrm{relu}(x) = \max(x, 0), \qquad
#    \mathrm{relu}'(x) = \begin{cases} 1 & x > 0 \\ 0 & x < 0 \end{cases} \tag{5.1} $$
#
# At $x = 0$ there is no derivative: the slope is 0 on the left, 1 on the right. Every number in
# between is a *subgradient*, so one is chosen. The slide chooses 1 (its case is $x \ge 0$), this
# course and the common libraries choose 0.
#
# ### Exercise 05.1 · ReLU backwards
#
# Return $\mathrm{d}x = \mathrm{d}y \odot \mathrm{relu}'(x)$, with slope 0 where $x = 0$ exactly.


# %%
def relu_backward(x, dy):
    """∂L/∂x from dy = ∂L/∂y, both of the shape of x."""
    ### BEGIN SOLUTION 05.1
    ### HINT x > 0 is an array of truth values, which count as 1 and 0 in a product.
    return dy * (x > 0)
    ### END SOLUTION


# %%
x_51 = np.random.default_rng(1).normal(size=(4, 5))
x_51[[0, 2, 3], [1, 0, 4]] = 0.0
check(
    "05.1",
    relu_backward,
    x_51,
    np.random.default_rng(2).normal(size=(4, 5)),
    expected=lambda x, dy: np.where(np.sign(x) == 1, dy, 0.0),
    about={},
    mistakes={
        "this is the slide's convention (D10), slope 1 at x = 0; here it is 0": lambda x, dy: (
            dy * (x >= 0)
        ),
        "this is max(x, 0) of the gradient; the slope asks for the sign of x": lambda x, dy: (
            np.maximum(dy, 0)
        ),
        "this is dy times relu(x), not times its slope": lambda x, dy: dy * np.maximum(x, 0),
    },
)

# %% [markdown]
# **D10, proved.** The difference quotients at 0 give 0, 1, or ½, depending on the side from which
# one comes: no measurement can decide. Does it matter? With random numbers no $x$ is exactly 0. But
# exact zeros do occur: biases begin at 0, and an example that is padding is a row of zeros. Then
# every pre-activation of that row is 0, and the slide's convention sends a gradient through units
# that are off.

# %%
relu_quotients = {
    side: (max(right, 0.0) - max(left, 0.0)) / (right - left)
    for side, left, right in (
        ("from the left", -1e-6, 0.0),
        ("from the right", 0.0, 1e-6),
        ("central", -1e-6, 1e-6),
    )
}
print("slope of ReLU at 0:", relu_quotients)

rng = np.random.default_rng(3)
W_pad, dy_pad = rng.normal(size=(3, 5)), rng.normal(size=(6, 5))
rows_random = rng.normal(size=(6, 3))
rows_padded = rows_random.copy()
rows_padded[4:] = 0.0  # two rows of padding
convention_gap = {}
for name_pad, rows in (("random rows", rows_random), ("two rows of padding", rows_padded)):
    a_pad = rows @ W_pad + np.zeros(5)  # biases as they are before the first step
    db_zero, db_one = relu_backward(a_pad, dy_pad).sum(0), (dy_pad * (a_pad >= 0)).sum(0)
    convention_gap[name_pad] = np.abs(db_zero - db_one).max()
    print(f"{name_pad:20} db with slope 0 and slope 1 differ by {convention_gap[name_pad]:.2f}")

# %% [markdown]
# ## 2. Leaky: never quite off
#
# A ReLU unit whose sum is negative for all examples gets no gradient and can never come back. The
# leaky ReLU keeps a small slope on the left:
#
# $$ y = \begin{cases} x & x \ge 0 \\ \alpha x & x < 0 \end{cases}
#      = \max(x, 0) + \alpha \min(x, 0) \tag{5.2} $$
#
# with $\alpha = 0.01$ (Maas et al.), or with an $\alpha$ per unit that is *learned* (PReLU, He et
# al.). Then $\alpha$ is a parameter like any other and needs a gradient:
#
# $$ \frac{\partial L}{\partial \alpha_j} = \sum_n \frac{\partial L}{\partial y_{nj}}
#    \min(x_{nj}, 0) \tag{5.3} $$
#
# ### Exercise 05.2 · A slope that is learned
#
# For $x$ of shape $(B, O)$ and $\alpha$ of shape $(O,)$ return $y$ by (5.2) and `backward`, which
# takes `dy` and returns `(dx, dalpha)`.


# %%
def prelu(x, alpha):
    """(y, backward) of (5.2); x (B, O), alpha (O,); backward(dy) is (dx, dalpha)."""
    ### BEGIN SOLUTION 05.2
    ### HINT The second form of (5.2) needs no case: np.maximum(x, 0), np.minimum(x, 0).
    ### HINT dx is dy times a slope that is 1 or alpha: np.where(x >= 0, 1, alpha).
    ### HINT dalpha sums over the batch, axis 0, and has the shape of alpha.
    y = np.maximum(x, 0) + alpha * np.minimum(x, 0)  # (5.2)

    def backward(dy):
        dx = dy * np.where(x >= 0, 1, alpha)  # (5.2)
        dalpha = (dy * np.minimum(x, 0)).sum(axis=0)  # (5.3)
        return dx, dalpha

    return y, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(4)
x_52 = rng.normal(size=(6, 4))
x_52 += np.copysign(0.01, x_52)  # away from the kink
check(
    "05.2",
    prelu,
    x_52,
    np.array([0.1, 0.3, -0.2, 0.7]),
    forward=lambda x, alpha: np.where(x > 0, x, x * alpha),
    about={"batch_size": 6},
    mistakes={
        "dα counts all x, but for x > 0 the output does not depend on α": lambda x, alpha: (
            np.where(x > 0, x, x * alpha),
            lambda dy: (dy * np.where(x > 0, 1, alpha), (dy * x).sum(axis=0)),
        ),
        "dα has lost dy: it is a derivative of the loss": lambda x, alpha: (
            np.where(x > 0, x, x * alpha),
            lambda dy: (dy * np.where(x > 0, 1, alpha), np.minimum(x, 0).sum(axis=0)),
        ),
    },
)

# %% [markdown]
# ## 3. ELU: smooth, and with a floor
#
# $$ y = \begin{cases} x & x \ge 0 \\ \alpha (e^x - 1) & x < 0 \end{cases} \qquad
#    y' = \begin{cases} 1 & x \ge 0 \\ \alpha e^x = y + \alpha & x < 0 \end{cases} \tag{5.4} $$
#
# The negative outputs bring the mean of a layer near 0, and the floor $-\alpha$ makes a unit that
# is off say the same whatever made it off. The form $y + \alpha$ needs only the output, which the
# next layer keeps anyway.
#
# ### Exercise 05.3 · ELU
#
# Return $y$ and `backward`. `np.expm1(x)` is $e^x - 1$ without loss of digits near 0; NumPy
# computes both cases of a `np.where`, so keep the exponent from being large:
# `np.minimum(x, 0)`.


# %%
def elu(x, alpha=1.0):
    """(y, backward) of (5.4), elementwise; alpha is a number."""
    ### BEGIN SOLUTION 05.3
    ### HINT y = np.where(x >= 0, x, ...) with the negative case from (5.4).
    ### HINT backward is dy times np.where(x >= 0, 1, y + alpha).
    y = np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))  # (5.4)

    def backward(dy):
        return dy * np.where(x >= 0, 1, y + alpha)  # (5.4)

    return y, backward
    ### END SOLUTION


# %%
x_53 = np.random.default_rng(5).normal(0, 1.5, size=(5, 4))
x_53 += np.copysign(0.01, x_53)
check(
    "05.3",
    lambda x: elu(x, 0.6),
    x_53,
    forward=lambda x: np.where(x > 0, x, 0.6 * (np.exp(x) - 1)),
    mistakes={
        "this slope is right for α = 1 only: for x < 0 it is y + α": lambda x: (
            np.where(x > 0, x, 0.6 * np.expm1(x)),
            lambda dy: dy * np.where(x > 0, 1, 0.6 * np.expm1(x) + 1),
        ),
        "this slope misses the + α of y + α": lambda x: (
            np.where(x > 0, x, 0.6 * np.expm1(x)),
            lambda dy: dy * np.where(x > 0, 1, 0.6 * np.expm1(x)),
        ),
    },
)

# %% [markdown]
# For $\alpha \ne 1$ the slope jumps at 0, from $\alpha$ to 1: look at the quotients on both sides.

# %%
for alpha_jump in (1.0, 0.6):
    left, middle, right = (elu(np.array([x]), alpha_jump)[0][0] for x in (-1e-6, 0.0, 1e-6))
    print(
        f"ELU, α = {alpha_jump}: slope {(middle - left) / 1e-6:.4f} | {(right - middle) / 1e-6:.4f}"
    )

# %% [markdown]
# ## 4. SELU, and the slide's derivative
#
# $$ y = \lambda \begin{cases} x & x \ge 0 \\ \alpha (e^x - 1) & x < 0 \end{cases} \tag{5.5} $$
#
# $\lambda$ times an ELU. The slide prints, for $x < 0$, $f'(x) = \lambda (f(x) + \alpha)$, where
# $f$ is defined on the same line *with* its $\lambda$. Derive it yourself before you read on.
#
# ### Exercise 05.4 · SELU, with the right slope
#
# Return $y$ by (5.5) and `backward`. Constants are given; section 5 says where they come from.

# %%
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # α and λ


def selu(x):
    """(y, backward) of (5.5), elementwise."""
    ### BEGIN SOLUTION 05.4
    ### HINT The derivative of λ α (eˣ − 1) is λ α eˣ.
    ### HINT In terms of y = λ α (eˣ − 1): λ α eˣ = y + λ α. The slide has λ y + λ α.
    y = SCALE * np.where(x >= 0, x, ALPHA * np.expm1(np.minimum(x, 0)))  # (5.5)

    def backward(dy):
        return dy * np.where(x >= 0, SCALE, y + SCALE * ALPHA)  # (5.6)

    return y, backward
    ### END SOLUTION


# %%
def slide_selu(x):
    """SELU with the slide's derivative, λ (f(x) + α) for x < 0."""
    y = 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    return y, lambda dy: dy * 1.0507009873554805 * np.where(x > 0, 1, y + 1.6732632423543772)


x_54 = np.random.default_rng(6).normal(0, 1.5, size=(5, 4))
x_54 += np.copysign(0.01, x_54)
check(
    "05.4",
    selu,
    x_54,
    forward=lambda x: slide_selu(x)[0],
    mistakes={
        "this is the slide's formula (D11): with f the SELU itself, f' = f + λα": slide_selu,
        "this is ELU's slope: SELU's has λ in both branches": lambda x: (
            slide_selu(x)[0],
            lambda dy: dy * np.where(x > 0, 1, slide_selu(x)[0] + 1.6732632423543772),
        ),
    },
)

# %% [markdown]
# $$ y' = \begin{cases} \lambda & x \ge 0 \\ \lambda \alpha e^x = y + \lambda \alpha & x < 0
#    \end{cases} \tag{5.6} $$
#
# **D11, proved.** The slide's formula would be right if its $f$ were the ELU inside; but it is not,
# so it is off by $(\lambda - 1) f(x)$. That is 12 % at $x = -1.2$, small enough to train with and
# never to notice; and far to the left the slope even becomes negative. A gradient check notices at
# once:

# %%
from nnlib.check import check_gradients

y_at, backward_at = selu(np.array([-1.2]))
slope_true = backward_at(np.ones(1))[0]
slope_slide = slide_selu(np.array([-1.2]))[1](np.ones(1))[0]
slope_measured = (selu(np.array([-1.2 + 1e-6]))[0] - selu(np.array([-1.2 - 1e-6]))[0])[0] / 2e-6
print(f"x = −1.2: slide {slope_slide:.3f}, y + λα {slope_true:.3f}, measured {slope_measured:.3f}")

slide_report = check_gradients(slide_selu, x_54)
right_report = check_gradients(selu, x_54)
for label, report in (("slide", slide_report), ("y + λα", right_report)):
    verdict = "passes" if report.passed else "FAILS"
    print(f"{label:7} gradient check {verdict}, error {report.error:.0e}")
assert right_report.passed
assert not slide_report.passed

# %% [markdown]
# ### The whole table
#
# Each $f'$ by the output where that is possible, against central differences at 2,000 points (0.01
# away from kinks). The slide's own derivatives are all right but for the one entry.


# %%
def sigmoid(x):
    """σ, slope y (1 − y)."""
    y = 0.5 + 0.5 * np.tanh(x / 2)
    return y, lambda dy: dy * y * (1 - y)


def tanh(x):
    """tanh, slope 1 − y²."""
    y = np.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def softplus(x):
    """log(1 + eˣ), slope σ(x)."""
    return np.logaddexp(0, x), lambda dy: dy * (0.5 + 0.5 * np.tanh(x / 2))


def relu(x):
    """max(x, 0), slope by exercise 05.1."""
    return np.maximum(x, 0), lambda dy: relu_backward(x, dy)


def leaky_relu(x):
    """PReLU with a fixed slope of 0.01."""
    y, backward = prelu(x, np.full(x.shape[-1], 0.01))
    return y, lambda dy: backward(dy)[0]


ACTIVATIONS = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softplus": softplus,
    "ReLU": relu,
    "leaky ReLU": leaky_relu,
    "ELU": elu,
    "SELU": selu,
}
x_table = np.linspace(-4, 4, 2000)
x_table += np.copysign(0.01, x_table)
table_errors = {}
for name, f in (*ACTIVATIONS.items(), ("SELU of the slide", slide_selu)):
    slope = f(x_table)[1](np.ones_like(x_table))
    measured = (f(x_table + 1e-6)[0] - f(x_table - 1e-6)[0]) / 2e-6
    table_errors[name] = np.abs(slope - measured).max() / np.abs(measured).max()
    print(f"{name:18} largest error of the slope {table_errors[name]:.0e}")

figure, axes = plt.subplots(2, 4, figsize=(12.6, 5), layout="constrained")
for ax, (name, f) in zip(axes.flat, ACTIVATIONS.items(), strict=False):
    y, backward = f(x_table)
    ax.plot(x_table, y, color="#0072B2", label="f")
    ax.plot(x_table, backward(np.ones_like(y)), "--", color="#D55E00", label="f'")
    ax.axhline(0, color="#BBBBBB", linewidth=0.6, zorder=0)
    ax.set(title=name, ylim=(-2, 3))
axes[0, 0].legend(frameon=False, loc="upper left")
ax = axes[1, 3]
ax.plot(x_table, selu(x_table)[1](np.ones(2000)), "--", color="#D55E00", label="y + λα")
ax.plot(x_table, slide_selu(x_table)[1](np.ones(2000)), color="#CC79A7", label="slide")
ax.plot(-1.2, slope_measured, "o", color="#222222", markersize=4, label="measured")
ax.legend(frameon=False, loc="upper left")
ax.set(title="SELU' (D11)", xlim=(-4, 1), ylim=(-0.2, 2))
for ax in axes[1]:
    ax.set_xlabel("x")
show("activations")

# %% [markdown]
# ## 5. Where SELU's constants come from
#
# The slide lists $\alpha$ and $\lambda > 1$ as parameters. They are not to be chosen: they are the
# *solution* of two equations. Ask that a standard normal input gives an output of mean 0 and
# variance 1, $z \sim N(0, 1)$:
#
# $$ \mathrm{E}[\mathrm{selu}(z)] = 0, \qquad \mathrm{E}[\mathrm{selu}(z)^2] = 1 \tag{5.7} $$
#
# A unit of a wide layer with weights of mean 0 and variance $1/I$ (LeCun's initialisation) gets
# such an input again, so this state of affairs repeats itself layer after layer. With the two
# integrals, $\Phi$ being the normal distribution function,
#
# $$ a_1 = \mathrm{E}[e^z;\, z < 0] = e^{1/2}\,\Phi(-1), \qquad
#    a_2 = \mathrm{E}[e^{2z};\, z < 0] = e^{2}\,\Phi(-2) \tag{5.8} $$
#
# and $\mathrm{E}[z;\, z > 0] = 1/\sqrt{2\pi}$, $\mathrm{E}[z^2;\, z > 0] = ½$, the equations are
#
# $$ \lambda \left( \tfrac{1}{\sqrt{2\pi}} + \alpha (a_1 - \tfrac12) \right) = 0, \qquad
#    \lambda^2 \left( \tfrac12 + \alpha^2 (a_2 - 2 a_1 + \tfrac12) \right) = 1 \tag{5.9} $$
#
# ### Exercise 05.5 · Solve for α and λ
#
# The first equation gives $\alpha$, then the second $\lambda$.


# %%
def normal_cdf(z):
    """Φ(z) of a number."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def selu_constants():
    """(α, λ) of (5.9)."""
    ### BEGIN SOLUTION 05.5
    ### HINT a1 and a2 are numbers: math.exp(0.5) * normal_cdf(-1), math.exp(2) * normal_cdf(-2).
    ### HINT alpha = 1/√(2π) / (½ − a1): both are positive.
    ### HINT The second equation gives λ²; λ is its root.
    a1, a2 = math.exp(0.5) * normal_cdf(-1), math.exp(2) * normal_cdf(-2)  # (5.8)
    alpha = 1 / math.sqrt(2 * math.pi) / (0.5 - a1)  # (5.9)
    scale = (0.5 + alpha**2 * (a2 - 2 * a1 + 0.5)) ** -0.5  # (5.9)
    return alpha, scale
    ### END SOLUTION


# %%
check(
    "05.5",
    selu_constants,
    expected=(1.6732632423543772, 1.0507009873554805),  # as printed in the paper
    mistakes={
        "α is right, and the second number is λ²": lambda: (
            1.6732632423543772,
            1.0507009873554805**2,
        ),
        "this is −α and λ: mind the sign when a₁ − ½ goes to the other side": lambda: (
            -1.6732632423543772,
            1.0507009873554805,
        ),
    },
)

# %% [markdown]
# The same without any formula: integrate numerically, let Newton's method solve, and ask two
# million random numbers.


# %%
def normal_mean(f, mean=0.0, std=1.0):
    """E[f(x)], x ~ N(mean, std²), by Gauss-Legendre rules left and right of the kink at 0."""
    nodes, weights = np.polynomial.legendre.leggauss(120)
    total = 0.0
    low, high = min(mean - 10 * std, -1e-9), max(mean + 10 * std, 1e-9)
    for a, b in ((low, 0.0), (0.0, high)):
        x = 0.5 * (b - a) * nodes + 0.5 * (a + b)
        density = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        total += 0.5 * (b - a) * (weights * density * f(x)).sum()
    return total


def away_from_fixed_point(constants):
    """(E[y], E[y²] − 1) for z ~ N(0, 1) and given (α, λ)."""
    alpha, scale = constants
    y = lambda z: scale * elu(z, alpha)[0]
    return np.array([normal_mean(y), normal_mean(lambda z: y(z) ** 2) - 1])


solved = np.array([1.0, 1.0])  # plain ELU as the start
for _ in range(8):
    residual = away_from_fixed_point(solved)
    jacobian = np.column_stack(
        [(away_from_fixed_point(solved + e) - residual) / 1e-7 for e in 1e-7 * np.eye(2)]
    )
    solved = solved - np.linalg.solve(jacobian, residual)
print(f"Newton: α = {solved[0]:.12f}, λ = {solved[1]:.12f}")

sampled, _ = selu(np.random.default_rng(7).normal(size=2_000_000))
print(f"2·10⁶ samples: mean {sampled.mean():+.4f}, variance {sampled.var():.4f}")

# %% [markdown]
# A fixed point is worth something only if it *attracts*. Take inputs of some other mean $\mu$ and
# variance $\nu$, pass through one layer (weights of mean 0 and variance $1/I$ give $s$ the variance
# $\mu^2 + \nu$ and, over all units, mean 0), and look where the output is:


# %%
def next_moments(f, mean, variance, gain=1.0):
    """Mean and variance of f(s) in a wide layer whose weights have mean 0, variance gain / I."""
    std = math.sqrt(gain * (variance + mean**2))
    first = normal_mean(lambda s: f(s)[0], 0.0, std)
    return first, normal_mean(lambda s: f(s)[0] ** 2, 0.0, std) - first**2


attracted = {}
for start in ((-0.8, 0.4), (0.9, 2.0), (0.0, 0.1), (0.0, 5.0), (-0.5, 2.5)):
    path_moments = [start]
    for _ in range(16):
        path_moments.append(next_moments(selu, *path_moments[-1]))
    attracted[start] = np.array(path_moments)
print("SELU after 16 layers from (mean, variance):")
for start, trail in attracted.items():
    print(f"  ({start[0]:+.1f}, {start[1]:.1f}) → ({trail[-1, 0]:+.3f}, {trail[-1, 1]:.3f})")

# %% [markdown]
# Now in a real network: 16 layers of 256 units, LeCun's weights for SELU, He's (variance $2/I$) and
# LeCun's for ReLU. ReLU's outputs cannot have mean 0; with $1/I$ they halve their size in every
# layer, and with $2/I$ the size is right on average, but it is a random walk. Nothing pulls back.


# %%
def moments_by_layer(f, gain, seed, layers=16, width=256, examples=400, noise=None):
    """(mean, variance) of all activations after each layer: (layers, 2)."""
    rng = np.random.default_rng(seed)
    h, found = rng.normal(size=(examples, width)), []
    for _ in range(layers):
        W = rng.normal(size=(width, width)) * math.sqrt(gain / width)
        h, _ = f(h @ W)
        if noise is not None:
            h, _ = noise(h, rng)
        found.append((h.mean(), h.var()))
    return np.array(found)


SEEDS = range(5)
stacks = {
    "SELU, LeCun": np.array([moments_by_layer(selu, 1, seed) for seed in SEEDS]),
    "ReLU, He": np.array([moments_by_layer(relu, 2, seed) for seed in SEEDS]),
    "ReLU, LeCun": np.array([moments_by_layer(relu, 1, seed) for seed in SEEDS]),
}
for name, stack in stacks.items():
    print(
        f"{name:12} mean {stack[..., 0].min():+.3f} to {stack[..., 0].max():+.3f}, "
        f"variance {stack[..., 1].min():.5f} to {stack[..., 1].max():.3f} (16 layers, 5 seeds)"
    )

figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.6), layout="constrained")
for trail in attracted.values():
    axes[0].plot(*trail.T, "o-", markersize=3, color="#0072B2", linewidth=0.8)
    axes[0].plot(*trail[0], "s", color="#666666")
axes[0].plot(0, 1, "*", markersize=14, color="#D55E00")
axes[0].set(title="SELU: every start goes to (0, 1)", xlabel="mean", ylabel="variance")
for (name, stack), colour in zip(stacks.items(), ("#0072B2", "#D55E00", "#CC79A7"), strict=True):
    layer = np.arange(1, 17)
    for seed, moments in enumerate(stack):
        label = name if seed == 0 else None
        axes[1].plot(layer, moments[:, 0], color=colour, label=label, linewidth=1)
        axes[2].semilogy(layer, moments[:, 1], color=colour, linewidth=1)
axes[1].axhspan(-0.2, 0.2, color="#EEEEEE", zorder=0)
axes[2].axhspan(0.5, 1.5, color="#EEEEEE", zorder=0)
axes[2].legend(*axes[1].get_legend_handles_labels(), frameon=False, loc="lower left")
axes[1].set(title="mean of the activations", xlabel="layer")
axes[2].set(title="their variance", xlabel="layer")
show("fixed point")

# %% [markdown]
# ## 6. Alpha dropout
#
# Dropout (lesson 06) sets units to 0 and scales the others up. That keeps the mean, not the
# variance, so it destroys the fixed point. SELU's own noise sets a unit to the lowest value that
# SELU can have, $c = -\lambda\alpha = -1.758$, and rescales everything. With $q = 1 - p$:
#
# $$ u = m \odot x + (1 - m)\,c, \qquad m \sim \mathrm{Bernoulli}(q) \tag{5.10} $$
# $$ y = A u + B, \qquad A = \left( q + c^2 q (1 - q) \right)^{-1/2}, \qquad B = -A\,c\,(1 - q)
#    \tag{5.11} $$
#
# For $\mathrm{E}[x] = 0$ and $\mathrm{Var}[x] = 1$: $\mathrm{E}[u] = (1 - q)\,c$ and
# $\mathrm{E}[u^2] = q + (1 - q)\,c^2$, so $\mathrm{Var}[u] = q + q (1 - q)\,c^2$. That is where $A$
# and $B$ come from.
#
# ### Exercise 05.6 · Alpha dropout
#
# Return $y$ and `backward`. Keep a unit ($m = 1$) where `rng.random(x.shape) >= p`. A dropped unit
# is a constant: what is its gradient?


# %%
def alpha_dropout(x, p, rng):
    """(y, backward) of (5.10), (5.11); p is the probability of dropping."""
    ### BEGIN SOLUTION 05.6
    ### HINT m = rng.random(x.shape) >= p, drawn once, used forwards and backwards.
    ### HINT backward: y depends on x only where m is 1, and there with the factor A.
    c, q = -SCALE * ALPHA, 1 - p
    m = rng.random(x.shape) >= p
    A = (q + c**2 * q * (1 - q)) ** -0.5
    B = -A * c * (1 - q)
    y = A * np.where(m, x, c) + B  # (5.10) (5.11)

    def backward(dy):
        return dy * m * A  # (5.11) (5.10)

    return y, backward
    ### END SOLUTION


# %%
def alpha_dropout_by_loops(x, p, seed):
    """y of (5.10), (5.11), element by element."""
    kept, c = np.random.default_rng(seed).random(x.shape) >= p, -1.7580993408473766
    y = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        y[at] = (x[at] if kept[at] else c) - c * p  # u − E[u]
    return y / np.sqrt(1 - p + c * c * p * (1 - p))


check(
    "05.6",
    lambda x: alpha_dropout(x, 0.3, np.random.default_rng(8)),
    np.random.default_rng(9).normal(size=(6, 5)),
    forward=lambda x: alpha_dropout_by_loops(x, 0.3, 8),
    mistakes={
        "the dropped units have a gradient here, but they are constants": lambda x: (
            alpha_dropout_by_loops(x, 0.3, 8),
            lambda dy: dy / np.sqrt(0.7 + 1.7580993408473766**2 * 0.21),
        ),
    },
)


# %% [markdown]
# Both kinds of noise in the 16 layers of SELU, $p = 0.1$:


# %%
def plain_dropout(x, p, rng):
    """Ordinary dropout (lesson 06), for comparison."""
    m = (rng.random(x.shape) >= p) / (1 - p)
    return x * m, lambda dy: dy * m


noisy = {
    name: np.array(
        [moments_by_layer(selu, 1, s, noise=lambda h, rng, f=f: f(h, 0.1, rng)) for s in SEEDS]
    )
    for name, f in (("alpha dropout", alpha_dropout), ("dropout", plain_dropout))
}
for name, stack in noisy.items():
    print(
        f"SELU with {name:13} p = 0.1: mean {stack[:, -1, 0].mean():+.3f}, "
        f"variance {stack[:, -1, 1].mean():.3f} after 16 layers"
    )

# %% [markdown]
# ## 7. Eight layers, one curve per activation
#
# Same network (8 hidden layers of 64 units, 10 classes), same plain SGD with the same rate, each
# activation with the initialisation that belongs to it. The data: 20 binary patterns of 64 bits,
# two to a class, 20 % of the bits flipped, 2,000 rows. Since lesson 02 you may use the library's
# `Dense` and `cross_entropy`; the activations are yours.

# %%
from nnlib import SGD, Dense, Sequential, cross_entropy
from nnlib.init import glorot, he, lecun

INITS = {"tanh": glorot, "ReLU": he, "leaky ReLU": he}  # the others: LeCun's


def pattern_data(seed, n=2000):
    """(x, t): noisy copies of 20 patterns of ±1, two to each of 10 classes; x (n, 64)."""
    patterns = np.random.default_rng(100).choice([-1, 1], size=(20, 64))
    rng = np.random.default_rng(seed)
    which = rng.integers(20, size=n)
    flips = np.where(rng.random((n, 64)) < 0.2, -1, 1)
    return (patterns[which] * flips).astype(np.float32), which % 10


def train_deep(name, seed, lr=0.1, epochs=12, hidden=8, width=64):
    """Mean training loss of each epoch."""
    rng = np.random.default_rng(seed)
    x, t = pattern_data(seed)
    init = INITS.get(name, lecun)
    steps = []
    for _ in range(hidden):
        steps += [Dense(64 if not steps else width, width, rng=rng, init=init), ACTIVATIONS[name]]
    net = Sequential(*steps, Dense(width, 10, rng=rng, init=lecun))
    optimizer, losses = SGD(net.parameters(), lr), []
    for _ in range(epochs):
        total = 0.0
        for rows in rng.permutation(len(x)).reshape(-1, 50):
            scores, back_net = net(x[rows])
            loss, back_loss = cross_entropy(scores, t[rows])
            back_net(back_loss())
            optimizer.step()
            total += float(loss) * 50 / len(x)
        losses.append(total)
    return losses


deep_losses = {
    name: np.array([train_deep(name, seed) for seed in range(3)]) for name in ACTIVATIONS
}
for name, losses in deep_losses.items():
    last = losses[:, -1]
    print(f"{name:11} loss {last.mean():.3f} ({last.min():.3f} to {last.max():.3f}, 3 seeds)")
sigmoid_rates = {lr: train_deep("sigmoid", 0, lr)[-1] for lr in (0.03, 0.3, 1.0, 3.0)}
print("sigmoid at other rates:", {lr: round(loss, 3) for lr, loss in sigmoid_rates.items()})

COLOURS = ("#D55E00", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#009E73", "#222222")
MARKS = "osv^D*x"
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, losses), colour, mark in zip(deep_losses.items(), COLOURS, MARKS, strict=True):
    epoch = np.arange(1, losses.shape[1] + 1)
    ax.semilogy(epoch, losses.mean(axis=0), color=colour, marker=mark, markersize=4, label=name)
    ax.fill_between(epoch, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.2)
ax.axhline(math.log(10), color="#666666", linestyle=":")
ax.text(1, math.log(10) * 1.15, "log 10: chance", color="#666666")
ax.set(title="8 hidden layers, plain SGD, η = 0.1", xlabel="epoch", ylabel="training loss (nats)")
ax.set_ylim(top=5)
ax.legend(frameon=False, ncols=2)
show("eight layers")

# %% [markdown]
# The sigmoid does not leave chance, at no rate that was tried. tanh learns: its slope at 0 is 1,
# four times the sigmoid's. So what was broken was not “saturation” alone, it was the slope where
# units begin. softplus, whose slope at 0 is ½, lies in between. SELU and ELU start fastest here and
# ReLU ends as low: do not read a ranking of the last four into one data set and one rate.
#
# ## 8. The library says the same

# %%
import nnlib

x_lib = np.random.default_rng(10).normal(0, 2, size=(7, 5))
x_lib[0, :2] = 0.0
dy_lib = np.random.default_rng(11).normal(size=(7, 5))
pairs = [(f, getattr(nnlib, name.lower().replace(" ", "_"))) for name, f in ACTIVATIONS.items()]
library_gap = 0.0
for mine, theirs in pairs:
    (y_mine, back_mine), (y_theirs, back_theirs) = mine(x_lib), theirs(x_lib)
    gaps = np.abs(y_mine - y_theirs).max(), np.abs(back_mine(dy_lib) - back_theirs(dy_lib)).max()
    library_gap = max(library_gap, *gaps)


class Float32Draws:
    """A generator whose random() are the numbers in single precision that the library draws."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def random(self, shape):
        return self.rng.random(shape, dtype=np.float32)


y_mine, back_mine = alpha_dropout(x_lib, 0.2, Float32Draws(12))
y_theirs, back_theirs = nnlib.AlphaDropout(0.2)(x_lib, rng=np.random.default_rng(12))
library_gap = max(library_gap, np.abs(y_mine - y_theirs).max())
library_gap = max(library_gap, np.abs(back_mine(dy_lib) - back_theirs(dy_lib)).max())
print(f"largest difference {library_gap:.0e}")
assert library_gap < 1e-12

# %% [markdown]
# ## What to keep
#
# - ReLU and its kin have slope 1 on half of the line; the sigmoid has ¼ at its best point.
# - At a kink the slope is a convention: 0 for ReLU. It shows where numbers are exactly 0.
# - Write derivatives by the output, and then check *which* output: SELU's slope is $f + \lambda
#   \alpha$, not $\lambda (f + \alpha)$.
# - SELU's constants solve two equations. They hold with LeCun's weights and alpha dropout only.
