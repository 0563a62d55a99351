# %% [markdown]
# # 03 · Why deep?
#
# - **Minutes:** 90
# - **Prerequisites:** lesson 02
# - **Slides:** “Why go deep?”
# - **The deck is wrong here:** D7, “universal approximators ... can approximate any function”: any
#   *continuous* function, on a *bounded and closed* set, with an activation that is *no polynomial*
#   (section 2, each condition with what happens without it). “The number of required units is
#   exponential” is right for the functions of section 4, and only for some kinds of units for the
#   most quoted one, parity (section 6)
#
# One hidden layer is enough for everything, says a theorem; go deep, says everybody. Both are
# right. This lesson trains almost nothing. You will *construct* networks, weight by weight, and
# count what they can do: a deep one of 20 units draws a line with 1024 straight pieces, exactly,
# and you will prove that one hidden layer needs 1024 units for the same line.

# %%
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# %% [markdown]
# ## 1. Networks of straight pieces
#
# The unit of this lesson is the rectifier, because everything it does is exact:
#
# $$ \mathrm{relu}(a) = \max(a, 0), \qquad
#    \mathrm{relu}'(a) = \begin{cases} 1 & a > 0 \\ 0 & a \le 0 \end{cases} \tag{3.1} $$
#
# (At $a = 0$ there is no derivative; 0 is the convention, lesson 05.)
#
# ### Exercise 03.1 · The rectifier and its backward


# %%
def relu(a):
    """(y, backward) of (3.1), elementwise."""
    ### BEGIN SOLUTION 03.1
    ### HINT np.maximum(a, 0) works on whole arrays.
    ### HINT A comparison such as a > 0 gives True and False, which multiply as 1 and 0.
    y = np.maximum(a, 0)

    def backward(dy):
        return dy * (a > 0)  # (3.1)

    return y, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(1)
check(
    "03.1",
    relu,
    rng.choice([-1, 1], size=(4, 3)) * rng.uniform(0.1, 2, size=(4, 3)),
    forward=lambda a: (a + np.abs(a)) / 2,
)

# %% [markdown]
# A network is a list of layers `(W, b)`, a rectifier after each but the last, as in (2.7):
#
# $$ H^0 = X, \qquad H^k = \mathrm{relu}(H^{k-1} W^k + b^k), \qquad Y = H^n W^{n+1} + b^{n+1}
#    \tag{3.2} $$
#
# Its backward is that of lesson 02.


# %%
def net(x, layers):
    """(y, backward) of (3.2): x (B, I) → y (B, O); backward(dy) → dx, [(dW, db), ...]."""
    h, backs = x, []
    for k, (W, b) in enumerate(layers):
        a = h @ W + b
        out, back_relu = relu(a) if k < len(layers) - 1 else (a, lambda dy: dy)
        backs.append((h, W, back_relu))
        h = out

    def backward(dy):
        grads = []
        for h_in, W, back_relu in reversed(backs):
            da = back_relu(dy)
            grads.insert(0, (h_in.T @ da, da.sum(axis=0)))
            dy = da @ W.T
        return dy, grads

    return h, backward


def curve(layers, x):
    """A network of one input and one output at the points x (B,)."""
    return net(x[:, None], layers)[0][:, 0]


def slope(layers, x):
    """Its derivative there: backward of a one."""
    return net(x[:, None], layers)[1](np.ones((len(x), 1)))[0][:, 0]


def units(layers):
    """The number of hidden units."""
    return sum(len(b) for _, b in layers[:-1])


# %% [markdown]
# ## 2. One hidden layer is enough
#
# As a function of one input, $v\,\mathrm{relu}(x - c)$ is flat up to $c$ and goes on with slope
# $v$. A sum of such units
#
# $$ y(x) = y_0 + \sum_{i=0}^{n-1} v_i\, \mathrm{relu}(x - c_i) \tag{3.3} $$
#
# changes its slope by $v_i$ at $c_i$. So we can draw any line of straight pieces with it: choose
# knots $c_0 < c_1 < \dots < c_n$ on the curve and let the slope change where it must.
#
# ### Exercise 03.2 · Join the dots
#
# Return the two layers of a network that goes through the points $(c_i, f_i)$, straight in between,
# for $c_0 \le x \le c_n$: `[(W1, b1), (W2, b2)]` with shapes $(1, n)$, $(n,)$, $(n, 1)$, $(1,)$.


# %%
def interpolate(knots, values):
    """Two layers whose curve joins (knots, values), n + 1 points, by n units."""
    ### BEGIN SOLUTION 03.2
    ### HINT One unit for each knot but the last: W1 is all ones, b1 = -knots[:-1], b2 is f_0.
    ### HINT slopes = np.diff(values) / np.diff(knots). The first unit brings the first slope, each
    ###      later one the difference to the slope before.
    ### HINT np.diff(slopes, prepend=0) gives all of these v at once.
    slopes = np.diff(values) / np.diff(knots)
    v = np.diff(slopes, prepend=0)
    return [(np.ones((1, len(v))), -knots[:-1]), (v[:, None], values[:1])]
    ### END SOLUTION


# %%
rng = np.random.default_rng(2)
knots_check = np.sort(rng.uniform(-2, 3, size=6))
check(
    "03.2",
    lambda knots, values, x: curve(interpolate(knots, values), x),
    knots_check,
    rng.normal(size=6),
    rng.uniform(knots_check[0], knots_check[-1], size=40),
    expected=lambda knots, values, x: np.interp(x, knots, values),
    mistakes={
        "each unit adds its piece's whole slope: only the *change* of slope belongs to it": (
            lambda knots, values, x: (
                values[0]
                + np.maximum(x[:, None] - knots[:-1], 0) @ (np.diff(values) / np.diff(knots))
            )
        )
    },
)

# %% [markdown]
# If $f$ is continuous, pieces that are short enough come as close to it as you please, everywhere
# at once. How many are needed depends on $f$: with a bounded second derivative and pieces of length
# $h$,
#
# $$ \max_x |y(x) - f(x)| \le \tfrac18 h^2 \max |f''| \tag{3.4} $$
#
# so ten times the units give a hundredth of the error. $\sqrt{x}$ is continuous, but infinitely
# steep at 0: there the error falls with $\sqrt h$ only. A staircase of sigmoids
# (the neuron of lesson 01, made steep) does the same job, less well.


# %%
def smooth(x):
    """A continuous function on [0, 1]."""
    return np.exp(-x) * np.sin(3 * np.pi * x)


def uniform_net(f, n):
    """n units through n + 1 points of f at equal distances on [0, 1]."""
    knots = np.linspace(0, 1, n + 1)
    return interpolate(knots, f(knots))


def staircase(f, n, x):
    """n sigmoid units, steps of equal width: f(0) + Σ (f_i − f_{i−1}) σ(4 n (x − c_i))."""
    knots = np.linspace(0, 1, n + 1)
    middle = (knots[1:] + knots[:-1]) / 2
    steps = 0.5 * (1 + np.tanh(2 * n * (x[:, None] - middle)))
    return f(knots[0]) + steps @ np.diff(f(knots))


x_fine = np.linspace(0, 1, 20001)
sizes = 2 ** np.arange(2, 10)
universal = {
    "exp(−x) sin 3πx": [
        np.abs(curve(uniform_net(smooth, n), x_fine) - smooth(x_fine)).max() for n in sizes
    ],
    "√x": [np.abs(curve(uniform_net(np.sqrt, n), x_fine) - np.sqrt(x_fine)).max() for n in sizes],
    "exp(−x) sin 3πx, σ": [
        np.abs(staircase(smooth, n, x_fine) - smooth(x_fine)).max() for n in sizes
    ],
}
second = np.abs(np.diff(smooth(x_fine), 2)).max() / x_fine[1] ** 2
bound = second / 8 / sizes**2
orders = {
    name: np.polyfit(np.log(sizes), np.log(errors), 1)[0] for name, errors in universal.items()
}
for name, order in orders.items():
    print(f"{name:20} error with {sizes[-1]} units {universal[name][-1]:.0e}, order n^{order:.2f}")

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4), layout="constrained")
axes[0].plot(x_fine, smooth(x_fine), color=GREY, linewidth=3, alpha=0.5, label="f")
axes[0].plot(x_fine, curve(uniform_net(smooth, 8), x_fine), color=BLUE, label="8 rectifiers")
axes[0].plot(x_fine, staircase(smooth, 20, x_fine), color=ORANGE, label="20 sigmoids")
axes[0].legend(frameon=False)
axes[0].set(title="one hidden layer, weights by hand", xlabel="x", ylabel="y")
for (name, errors), colour in zip(universal.items(), (BLUE, GREEN, ORANGE), strict=True):
    axes[1].loglog(sizes, errors, "o-", color=colour, markersize=3, label=name)
axes[1].loglog(sizes, bound, ":", color=GREY, label="bound (3.4)")
axes[1].legend(frameon=False)
axes[1].set(title="largest error", xlabel="hidden units")
show("universal")

# %% [markdown]
# That is the *universal approximation theorem*, which the slide shortens to “any function”. In
# full:
#
# > For every **continuous** $f$ on a **compact** (bounded and closed) set and every
# > $\varepsilon > 0$ there is a network with one hidden layer that differs from $f$ by at most
# > $\varepsilon$ at every point of the set, if the activation is **not a polynomial**.
# > (Cybenko 1989 for sigmoids; Leshno et al. 1993 for all that are no polynomials.)
#
# **Where the slide is wrong: D7.** Leave one of the three conditions out, and more units do not
# help:
#
# - *Not continuous.* A network is continuous. Where $f$ jumps by 1, its output at the jump is one
#   number, and that is at least ½ away from one of the two sides, however many units there are and
#   however steep they make the ramp. (The *average* error does go to 0.)
# - *Outside the set.* To the right of its last knot the network is a straight line, and goes its
#   way.
# - *A polynomial for activation.* With $f(a) = a^2$ every unit is $(wx + b)^2$, a combination of
#   $1, x, x^2$, and so is the sum of a million units.

# %%
step_function = lambda x: (x > 0.5).astype(float)
jump_errors = []  # slope, largest error at the jump, mean error
for n in 2 ** np.arange(2, 12):
    ramp = interpolate(np.array([0, 0.5 - 0.5 / n, 0.5 + 0.5 / n, 1]), np.array([0.0, 0, 1, 1]))
    at_jump = curve(ramp, np.array([0.5]))[0]  # the same on both sides: the network is continuous
    mean = np.abs(curve(ramp, x_fine) - step_function(x_fine)).mean()
    jump_errors.append((n, max(abs(at_jump - 0), abs(at_jump - 1)), mean))
jump_errors = np.array(jump_errors)
print(f"a jump: largest error {jump_errors[:, 1].min():.2f} at best, mean {jump_errors[-1, 2]:.0e}")

far = np.array([1.0, 2, 10, 100])
outside_errors = np.abs(curve(uniform_net(smooth, 512), far) - smooth(far))
for x, error in zip(far, outside_errors, strict=True):
    print(f"512 units on [0, 1], error at x = {x:3.0f}: {error:.0e}")


def best_error(activation, n, seed=0):
    """Largest error of the best output weights (least squares) over n random hidden units."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 1001)
    hidden = activation(4 * rng.normal(size=n) * (x[:, None] - rng.uniform(size=n)))
    hidden = np.column_stack([hidden, np.ones(len(x))])
    fit = hidden @ np.linalg.lstsq(hidden, smooth(x), rcond=1e-10)[0]
    return np.abs(fit - smooth(x)).max()


polynomial_sizes = np.array([3, 10, 30, 100, 300])
square_errors = [best_error(np.square, n) for n in polynomial_sizes]
relu_errors = [best_error(lambda a: np.maximum(a, 0), n) for n in polynomial_sizes]
print(f"a² units: error {square_errors[0]:.3f} with 3, {square_errors[-1]:.3f} with 300")
print(f"rectifiers:     {relu_errors[0]:.3f} with 3, {relu_errors[-1]:.5f} with 300")

# %%
figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.4), layout="constrained")
axes[0].loglog(jump_errors[:, 0], jump_errors[:, 1], "o-", color=ORANGE, label="largest")
axes[0].loglog(jump_errors[:, 0], jump_errors[:, 2], "o-", color=BLUE, label="mean")
axes[0].legend(frameon=False)
axes[0].set(title="f jumps: error", xlabel="slope of the ramp")
x_wide = np.linspace(-0.5, 2, 1000)
axes[1].axvspan(0, 1, color=GREY, alpha=0.15)
axes[1].plot(x_wide, smooth(x_wide), color=GREY, linewidth=3, alpha=0.5, label="f")
axes[1].plot(x_wide, curve(uniform_net(smooth, 64), x_wide), color=BLUE, label="64 units")
axes[1].legend(frameon=False, loc="upper left")
axes[1].set(title="outside the set", xlabel="x", ylim=(-3, 3))
axes[2].loglog(polynomial_sizes, square_errors, "o-", color=ORANGE, label="$a^2$")
axes[2].loglog(polynomial_sizes, relu_errors, "o-", color=BLUE, label="relu")
axes[2].legend(frameon=False)
axes[2].set(title="polynomial activation: error", xlabel="hidden units")
show("not any function")

# %% [markdown]
# And the theorem says that weights *exist*. It says neither how many units (the general bounds are
# absurdly large) nor that training finds them.
#
# ## 3. Count the pieces
#
# How much can a network of rectifiers do? A fair measure, with one input: the number of straight
# pieces of its curve. To count them exactly we need all its kinks. They are where some unit's
# $a$ passes 0; and between the kinks of the layers before, $a$ is a straight line, so its zero is
# found by one division, no search:


# %%
def kinks(layers, low, high):
    """Points from low to high, ascending, between which the curve of a network is straight."""
    x = np.array([low, high], dtype=float)
    for k in range(1, len(layers)):
        a = net(x[:, None], layers[:k])[0]  # (points, units), straight between the points
        left, right = a[:-1], a[1:]
        n, unit = np.nonzero(left * right < 0)
        zero = x[n] + (x[n + 1] - x[n]) * left[n, unit] / (left[n, unit] - right[n, unit])
        x = np.unique(np.concatenate([x, zero]))
        x = x[np.diff(x, prepend=-np.inf) > 1e-12 * (high - low)]  # rounding is no piece
    return x


# %% [markdown]
# Not every such point is a kink of the *output*: changes of slope can cancel, or a unit is not
# connected. So count where the slope really changes.
#
# ### Exercise 03.3 · Count the pieces
#
# Given ascending points `x` and the values `y` there of a curve that is straight between them,
# return the number of pieces: neighbours with the same slope (up to rounding, $10^{-6}$ of the
# steepest) are one piece.


# %%
def count_pieces(x, y):
    """The number of straight pieces of the curve through (x, y)."""
    ### BEGIN SOLUTION 03.3
    ### HINT The slopes are np.diff(y) / np.diff(x); where do two neighbours differ?
    ### HINT One piece, and one more for every change of slope that is larger than the tolerance.
    slopes = np.diff(y) / np.diff(x)
    return 1 + np.sum(np.abs(np.diff(slopes)) > 1e-6 * np.abs(slopes).max())
    ### END SOLUTION


# %%
check(
    "03.3",
    count_pieces,
    np.array([0, 0.5, 1.25, 2, 2.25, 3, 4, 4.5, 6, 7]),
    np.array([0, 1.0, 2.5, 2.5, 2.5, 4.0, 3.5, 3.25, 2.5, 2.75]),
    expected=5,  # slopes 2 2 | 0 0 | 2 | -1/2 -1/2 -1/2 | 1/4
    mistakes={
        "these are the changes of slope: n changes make n + 1 pieces": lambda x, y: 4,
        "this counts intervals: two with the same slope are one piece": lambda x, y: 9,
    },
)


# %% [markdown]
# **One hidden layer of $n$ units has at most $n + 1$ pieces.** Each unit of (3.3) has one kink; a
# sum can bend only where one of its terms does. 200 random networks agree:


# %%
def pieces(layers, low=0.0, high=1.0):
    """The number of straight pieces of a network between low and high."""
    x = kinks(layers, low, high)
    return int(count_pieces(x, curve(layers, x)))


def random_net(widths, rng):
    """He's initial weights (lesson 04) and random biases."""
    sizes = (1, *widths, 1)
    return [
        (rng.normal(size=(a, b)) * np.sqrt(2 / a), rng.normal(size=b))
        for a, b in itertools.pairwise(sizes)
    ]


rng = np.random.default_rng(3)
shallow_pieces = np.array(
    [(n, pieces(random_net((n,), rng), -4, 4)) for n in rng.integers(1, 40, size=200)]
)
assert (shallow_pieces[:, 1] <= shallow_pieces[:, 0] + 1).all()
print(
    f"at most n + 1 pieces; on average {np.mean(shallow_pieces[:, 1] / shallow_pieces[:, 0]):.2f} n"
)

# %% [markdown]
# ## 4. Fold, and fold again
#
# Units side by side *add* kinks. Layers on top of one another can do something better. Take the
# tent map, two pieces, from 0 up to 1 and down again:
#
# $$ g(x) = 2\,\mathrm{relu}(x) - 4\,\mathrm{relu}(x - \tfrac12), \qquad 0 \le x \le 1 \tag{3.5} $$
#
# $g$ maps each half of $[0, 1]$ onto the whole of $[0, 1]$: it *folds* the interval. Whatever comes
# after $g$ happens twice, once forward and once mirrored. So $g \circ g$ has 4 pieces,
# $g \circ g \circ g$ has 8, and
#
# $$ g^{\circ k} = \underbrace{g \circ \dots \circ g}_{k}
#    \quad \text{has } 2^k \text{ pieces, with slopes} \pm 2^k \tag{3.6} $$
#
# (Telgarsky 2015, 2016.) As a network this is $k$ hidden layers of two units. The output weights of
# one tent and the input weights of the next are merged into one matrix: between two layers there
# is only one.
#
# ### Exercise 03.4 · The tent
#
# Return the layers of (3.5): `[(W1, b1), (W2, b2)]` with shapes $(1, 2)$, $(2,)$, $(2, 1)$, $(1,)$.


# %%
def tent():
    """The layers of g, (3.5)."""
    ### BEGIN SOLUTION 03.4
    ### HINT Both units read x with weight 1; their biases are 0 and −½.
    W1, b1 = np.ones((1, 2)), np.array([0, -0.5])
    W2, b2 = np.array([[2.0], [-4.0]]), np.zeros(1)
    return [(W1, b1), (W2, b2)]
    ### END SOLUTION


# %%
rng = np.random.default_rng(4)
check(
    "03.4",
    lambda x: curve(tent(), x),
    rng.uniform(size=20),
    expected=lambda x: 1 - np.abs(2 * x - 1),
    mistakes={
        "the second unit only stops the rise: to fall, it must take away twice the slope": (
            lambda x: 2 * np.minimum(x, 0.5)
        )
    },
)

# %% [markdown]
# ### Exercise 03.5 · k tents
#
# Return the $k + 1$ layers of $g^{\circ k}$. With $W_1, b_1, W_2, b_2$ from `tent()`, between two
# hidden layers stands $h W_2 W_1 + (b_2 W_1 + b_1)$.


# %%
def sawtooth(k):
    """The layers of g∘…∘g, k times: k hidden layers of two units."""
    ### BEGIN SOLUTION 03.5
    ### HINT The first layer is the tent's first, the last its last: k − 1 layers (2, 2) in between.
    ### HINT A list times a number repeats it: [layer] * (k - 1).
    (W1, b1), (W2, b2) = tent()
    return [(W1, b1), *[(W2 @ W1, b2 @ W1 + b1)] * (k - 1), (W2, b2)]
    ### END SOLUTION


# %%
rng = np.random.default_rng(5)
check(
    "03.5",
    lambda x: (
        *(curve(sawtooth(k), x) for k in (1, 2, 5)),
        np.array([units(sawtooth(k)) for k in (1, 2, 5)]),
    ),
    rng.uniform(size=20),
    expected=lambda x: (
        *(1 - np.abs(2 * ((2 ** (k - 1) * x) % 1) - 1) for k in (1, 2, 5)),
        np.array([2, 4, 10]),
    ),
    mistakes={
        "these are k + 1 tents: the middle layer stands k − 1 times": lambda x: (
            *(1 - np.abs(2 * ((2**k * x) % 1) - 1) for k in (1, 2, 5)),
            np.array([4, 6, 12]),
        )
    },
)

# %% [markdown]
# The same curve with *one* hidden layer: join its $2^k + 1$ corners, exercise 03.2.


# %%
def flat_sawtooth(k):
    """g∘…∘g, k times, by one hidden layer."""
    corners = np.arange(2**k + 1)
    return interpolate(corners / 2**k, (corners % 2).astype(float))


rng = np.random.default_rng(6)
x_random = rng.uniform(size=1000)
counts = []  # k, deep units, its pieces, flat units, its pieces, largest difference of the two
for k in range(1, 13):
    deep, flat = sawtooth(k), flat_sawtooth(k)
    difference = np.abs(curve(deep, x_random) - curve(flat, x_random)).max()
    counts.append((k, units(deep), pieces(deep), units(flat), pieces(flat), difference))
    assert (np.abs(slope(deep, x_random)) == 2**k).all()
print(" k   deep: units  pieces    flat: units  pieces   difference")
for k, deep_units, deep_pieces, flat_units, flat_pieces, difference in counts:
    print(
        f"{k:2} {deep_units:13} {deep_pieces:7} {flat_units:14} {flat_pieces:7}   {difference:.0e}"
    )
print(f"k = 16: {units(sawtooth(16))} units, {pieces(sawtooth(16))} pieces")

# %%
figure, axes = plt.subplots(1, 4, figsize=(15, 3.2), layout="constrained")
for ax, k, colour in zip(axes, (1, 3, 6), (BLUE, GREEN, ORANGE), strict=False):
    x = kinks(sawtooth(k), 0, 1)
    ax.plot(x, curve(sawtooth(k), x), color=colour, linewidth=1)
    ax.set(title=f"k = {k}: {2 * k} units, {pieces(sawtooth(k))} pieces", xlabel="x")
table = np.array([row[:5] for row in counts])
axes[3].semilogy(table[:, 0], table[:, 2], color=GREY, linewidth=5, alpha=0.4, label="pieces")
axes[3].semilogy(table[:, 0], table[:, 3], "s-", color=ORANGE, markersize=3, label="units, flat")
axes[3].semilogy(table[:, 0], table[:, 1], "o-", color=BLUE, markersize=3, label="units, deep")
axes[3].legend(frameon=False)
axes[3].set(title="the price of the same curve", xlabel="k")
show("sawtooth")

# %% [markdown]
# (The last column is rounding: the flat network adds up thousands of large terms that cancel. The
# deep one has only powers of 2 in it, and is exact.)
#
# Notice the slopes. `backward` through $k$ tents multiplies $k$ factors of $\pm 2$; the gradient at
# the input is $\pm 2^k$ and changes its sign $2^k - 1$ times. What makes depth mighty makes it
# hard to train: lesson 04.

# %% [markdown]
# ## 5. Width cannot make up for it
#
# **Counting.** One hidden layer of $n$ units has at most $n + 1$ pieces, the sawtooth has $2^k$:
# so $n \ge 2^k - 1$. (For this curve even $2^k$: with one unit for each of the $2^k - 1$ inner
# kinks and no other, each brings its kink's whole change of slope, $\pm 2^{k+1}$, to one of its
# sides and nothing to the other. All slopes are then multiples of $2^{k+1}$. But they must be
# $\pm 2^k$.)
#
# **And not even roughly.** Perhaps fewer units come close? Look at the $N = 2^k + 1$ corners,
# labelled 0, 1, 0, 1, ..., and say 1 where the network is above ½. A straight piece passes ½ at
# most once, so $n + 1$ pieces cut the axis into at most $m = n + 2$ stretches with one answer each.
# In a stretch of $r$ corners the labels alternate: at least $\lfloor r/2 \rfloor$ are wrong.
#
# ### Exercise 03.6 · The fewest errors
#
# How many of $N$ points in a row, labelled alternately, must a network of one hidden layer with
# $n$ units get wrong at least?


# %%
def fewest_errors(n, N):
    """A lower bound of the number of errors, an int."""
    ### BEGIN SOLUTION 03.6
    ### HINT m = n + 2 stretches. If N ≤ m, each point has its own: 0.
    ### HINT Otherwise make all but one stretch single points, or odd: Σ ⌊r/2⌋ is ½ (N − number of
    ###      odd stretches), and at most m are odd.
    ### HINT Half of N − m, rounded up, and not below 0: math.ceil, max.
    return max(0, math.ceil((N - (n + 2)) / 2))
    ### END SOLUTION


# %%
def fewest_by_search(m, N):
    """The same, by trying: the best sequence of answers with at most m stretches."""
    best = {(1, answer): int(answer != 0) for answer in (0, 1)}  # (stretches, last answer): errors
    for i in range(1, N):
        label, new = i % 2, {}
        for (stretches, last), errors in best.items():
            for answer in (0, 1):
                key = (stretches + (answer != last), answer)
                if key[0] <= m:
                    new[key] = min(new.get(key, N), errors + (answer != label))
        best = new
    return min(best.values())


CASES = [(n, N) for N in (2, 5, 8, 9, 17) for n in (1, 2, 3, 6, 7, 14, 15, 20)]
check(
    "03.6",
    lambda: np.array([fewest_errors(n, N) for n, N in CASES], dtype=float),
    expected=lambda: np.array([fewest_by_search(n + 2, N) for n, N in CASES], dtype=float),
    mistakes={
        "n + 1 pieces, but n + 2 stretches: each piece can pass ½, and that starts a new one": (
            lambda: np.array([max(0, math.ceil((N - n - 1) / 2)) for n, N in CASES], dtype=float)
        ),
    },
)

# %% [markdown]
# The best that one layer can do with kinks at given places (at equal distances, or random), its
# output weights by least squares, for $k = 6$, 64 pieces. The constant ½ has the error
# $1/\sqrt{12} = 0.289$. 40 units at equal distances are not better, 40 at random places by a tenth;
# 64 in the right places are exact. The deep network has 12 units.

# %%
x_teeth = np.linspace(0, 1, 2049)
y_teeth = curve(sawtooth(6), x_teeth)
corners = np.arange(65)


def fit_flat(places):
    """(root mean square error, errors at the corners) of the best output weights."""
    hidden = lambda x: np.column_stack([np.ones(len(x)), np.maximum(x[:, None] - places, 0)])
    weights = np.linalg.lstsq(hidden(x_teeth), y_teeth, rcond=None)[0]
    rms = np.sqrt(np.mean((hidden(x_teeth) @ weights - y_teeth) ** 2))
    return rms, int(np.sum((hidden(corners / 64) @ weights > 0.5) != corners % 2))


flat_sizes = np.array([1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 60, 64])
flat_uniform = np.array([fit_flat(np.arange(n) / n) for n in flat_sizes])
rng = np.random.default_rng(7)
flat_random = np.array(
    [[fit_flat(np.append(0, rng.uniform(size=n - 1))) for _ in range(20)] for n in flat_sizes]
)
flat_bound = np.array([fewest_errors(n, 65) for n in flat_sizes])
for n, (rms, wrong), least in zip(flat_sizes, flat_uniform, flat_bound, strict=True):
    print(f"{n:3} units: rms {rms:.3f}, {wrong:2.0f} of 65 corners wrong, bound {least}")

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4), layout="constrained")
for ax, column, title in ((axes[0], 0, "root mean square error"), (axes[1], 1, "corners wrong")):
    low, high = flat_random[:, :, column].min(axis=1), flat_random[:, :, column].max(axis=1)
    ax.fill_between(flat_sizes, low, high, color=ORANGE, alpha=0.3, label="random kinks, 20 draws")
    ax.plot(
        flat_sizes, flat_uniform[:, column], "o-", color=BLUE, markersize=3, label="equidistant"
    )
    ax.set(title=title, xlabel="units of one hidden layer")
axes[1].plot(flat_sizes, flat_bound, ":", color=GREY, label="fewest_errors")
for ax in axes:
    ax.plot(12, 0, "*", color=GREEN, markersize=12, label="deep, 12 units")
axes[0].legend(frameon=False)
axes[1].legend(frameon=False, loc="upper right", ncols=2)
axes[1].set_ylim(-3, 55)
show("width")

# %% [markdown]
# ## 6. Parity
#
# The function that is always named here: are the ones among $n$ bits odd in number? Flip any bit
# and the answer flips. Three networks for it, all exact:
#
# 1. **Detectors.** One hidden unit for each of the $2^{n-1}$ odd patterns, firing for it alone. If
#    units can only say “these bits are on, those are off”, this is also the least: a unit that
#    leaves a bit open fires for an odd *and* an even pattern. That is the slide's “exponential in
#    the input”. (With gates of AND, OR and NOT and any fixed number of layers it stays the
#    exponential of a root of $n$: Håstad 1986.)
# 2. **Counting.** Real weights can do more. With $u = \sum_i x_i$, parity is a zigzag of $u$
#    through 0, 1, 0, 1, ...: a curve of $n$ pieces, one hidden layer of $n$ units.
# 3. **Folding.** The zigzag is a sawtooth. With $2^k \ge n$
#
# $$ \mathrm{parity}(x) = g^{\circ k}\Big(2^{-k} \sum_i x_i\Big) \tag{3.7} $$
#
# ### Exercise 03.7 · Parity by folding
#
# Return the layers of (3.7) for the smallest $k \ge 1$ with $2^k \ge n$. Take `sawtooth(k)` and
# change its first layer: it reads $n$ inputs now.


# %%
def parity_net(n):
    """Layers of a network from n bits to their parity, two units in each hidden layer."""
    ### BEGIN SOLUTION 03.7
    ### HINT The first layer computes relu(z + b1) from z = 2^-k Σ x; z is linear in x.
    ### HINT Its new weights: np.full((n, 2), 2.0**-k). The bias stays.
    ### HINT k = max(1, math.ceil(math.log2(n)))
    k = max(1, math.ceil(math.log2(n)))
    (_, b1), *rest = sawtooth(k)
    return [(np.full((n, 2), 2.0**-k), b1), *rest]
    ### END SOLUTION


# %%
def bits(n):
    """All patterns of n bits, (2^n, n)."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


check(
    "03.7",
    lambda: {n: parity_net(n) for n in (1, 3, 4, 5, 9)},
    claims=lambda nets: {
        f"right for all {2**n} patterns of {n} bits, by {2 * k} hidden units": (
            np.allclose(net(bits(n), nets[n])[0][:, 0], bits(n).sum(axis=1) % 2)
            and units(nets[n]) == 2 * k
        )
        for n, k in ((1, 1), (3, 2), (4, 2), (5, 3), (9, 4))
    },
)


# %%
def parity_by_detectors(n):
    """One hidden unit for each odd pattern p: relu(Σ (2p − 1)(x − p) + 1) is 1 at p, else 0."""
    odd = bits(n)[bits(n).sum(axis=1) % 2 == 1]
    return [((2 * odd - 1).T, 1 - odd.sum(axis=1)), (np.ones((len(odd), 1)), np.zeros(1))]


def parity_by_counting(n):
    """One hidden layer: the zigzag through 0, 1, 0, 1, ... as a function of the sum."""
    (_, b1), output = interpolate(np.arange(n + 1.0), np.arange(n + 1) % 2.0)
    return [(np.ones((n, n)), b1), output]


WAYS = {"detectors": parity_by_detectors, "counting": parity_by_counting, "folding": parity_net}
parity_units = {name: [] for name in WAYS}
parity_error = 0.0
for n in range(1, 13):
    for name, way in WAYS.items():
        layers = way(n)
        parity_units[name].append(units(layers))
        gap = np.abs(net(bits(n), layers)[0][:, 0] - bits(n).sum(axis=1) % 2).max()
        parity_error = max(parity_error, gap)
print(f"largest error on all patterns of 1 to 12 bits, three networks: {parity_error:.0e}")
print("units for 12 bits:", {name: found[-1] for name, found in parity_units.items()})


def pure_terms(n):
    """How many conjunctions that leave a bit open are true for odd patterns only: all 3^n tried."""
    found = 0
    for term in itertools.product((0, 1, None), repeat=n):
        if None in term:
            fits = [
                x for x in bits(n) if all(p is None or p == b for p, b in zip(term, x, strict=True))
            ]
            found += all(sum(x) % 2 == 1 for x in fits)
    return found


open_terms = [pure_terms(n) for n in range(1, 6)]
print("conjunctions with an open bit that imply odd parity, 1 to 5 bits:", open_terms)

# %% [markdown]
# So, with care: *some* functions need exponentially many units unless the network is deep, the
# sawtooth among them for rectifiers, parity among them for logical gates. For rectifiers parity
# costs $n$ units flat and $2 \log_2 n$ deep.
#
# ## 7. That it exists does not mean that it is found
#
# Two warnings. First: a network that nobody has constructed does not fold. With *random* weights,
# 32 units have no more pieces in several layers than in one; the exponential number is a
# possibility, not a habit (Hanin & Rolnick 2019).

# %%
SHAPES = {"1 × 32": (32,), "2 × 16": (16,) * 2, "4 × 8": (8,) * 4, "8 × 4": (4,) * 8}
random_pieces = {}
for name, widths in SHAPES.items():
    rng = np.random.default_rng(8)
    random_pieces[name] = np.array([pieces(random_net(widths, rng), -4, 4) for _ in range(100)])
for name, found in random_pieces.items():
    print(
        f"{name}: {found.mean():4.1f} pieces on average of 100 random nets, at most {found.max()}"
    )
print(f"16 × 2, constructed: {pieces(sawtooth(16))}")

# %% [markdown]
# Second: training. The parity of 6 bits, all 64 patterns, logistic loss, gradient descent with
# momentum, 10 starts each. The network 6-2-2-2-1 has an exact solution, you have just written it
# down. Descent does not find it, not once.


# %%
def train_parity(widths, seed, n=6, lr=0.05, steps=2000):
    """Share of right patterns after training a network from random weights."""
    rng = np.random.default_rng(seed)
    x = bits(n)
    t = x.sum(axis=1) % 2
    sizes = (n, *widths, 1)
    layers = [
        (rng.normal(size=(a, b)) * np.sqrt(2 / a), np.zeros(b))
        for a, b in itertools.pairwise(sizes)
    ]
    speed = [(np.zeros_like(W), np.zeros_like(b)) for W, b in layers]
    for _ in range(steps):
        s, backward = net(x, layers)
        ds = (0.5 * (1 + np.tanh(s / 2)) - t[:, None]) / len(x)  # (1.13)
        _, grads = backward(ds)
        speed = [
            tuple(0.9 * v - lr * g for v, g in zip(old, new, strict=True))
            for old, new in zip(speed, grads, strict=True)
        ]
        layers = [(W + dW, b + db) for (W, b), (dW, db) in zip(layers, speed, strict=True)]
    return np.mean((net(x, layers)[0][:, 0] > 0) == t)


TRAINED = {"2-2-2": (2, 2, 2), "6-6-6": (6, 6, 6), "16-16-16": (16, 16, 16), "64": (64,)}
parity_trained = {
    name: np.array([train_parity(widths, seed) for seed in range(10)])
    for name, widths in TRAINED.items()
}
for name, right in parity_trained.items():
    print(
        f"6-{name}-1: {np.sum(right == 1):2} of 10 starts solve it; right on average "
        f"{right.mean():.0%}, at least {right.min():.0%}"
    )

figure, axes = plt.subplots(1, 3, figsize=(13.2, 3.4), layout="constrained")
for (name, found), colour in zip(parity_units.items(), (ORANGE, GREEN, BLUE), strict=True):
    axes[0].semilogy(range(1, 13), found, "o-", color=colour, markersize=3, label=name)
axes[0].legend(frameon=False)
axes[0].set(title="parity, constructed: units", xlabel="bits")
axes[1].boxplot(list(random_pieces.values()), showfliers=False)
axes[1].set_xticks(range(1, 5), [f"{name}" for name in random_pieces])
axes[1].set(title="random weights, 32 units: pieces", xlabel="layers × units", ylim=(0, None))
rng = np.random.default_rng(9)
for i, right in enumerate(parity_trained.values()):
    axes[2].plot(
        i + rng.uniform(-0.2, 0.2, size=10), right, "o", color=BLUE, markersize=3, alpha=0.7
    )
axes[2].set_xticks(range(4), [f"{name}\n{np.sum(r == 1)}/10" for name, r in parity_trained.items()])
axes[2].set(title="parity of 6 bits, trained: share right", ylim=(0.45, 1.03))
show("parity")

# %% [markdown]
# Networks that are wider than they need be are found much more easily, flat or deep. So people
# train deep *and* wide ones, and that deep networks succeed on images, sound and language is an
# observation: such data are made of parts that are made of parts, as the layers are. The theorems
# of this lesson show that depth *can* pay, not that it must.

# %% [markdown]
# ## 8. The library says the same
#
# The sawtooth as an `nnlib.Sequential` of `Dense` and `relu`, curve and slopes:

# %%
import nnlib

K = 10
steps = [
    step for _ in range(K) for step in (nnlib.Dense(2, 2, rng=np.random.default_rng(0)), nnlib.relu)
]
steps[0] = nnlib.Dense(1, 2, rng=np.random.default_rng(0))
library_net = nnlib.Sequential(*steps, nnlib.Dense(2, 1, rng=np.random.default_rng(0)))
dense_layers = [step for step in library_net.steps if isinstance(step, nnlib.Dense)]
for layer, (W, b) in zip(dense_layers, sawtooth(K), strict=True):
    layer.W.value, layer.b.value = W.copy(), b.copy()

y_library, back_library = library_net(x_random[:, None])
dx_library = back_library(np.ones_like(y_library))
y_mine, back_mine = net(x_random[:, None], sawtooth(K))
dx_mine, grads_mine = back_mine(np.ones_like(y_mine))
relative = lambda a, b: np.abs(a - b).max() / max(np.abs(b).max(), 1)
library_gap = max(
    relative(y_library, y_mine),
    relative(dx_library, dx_mine),
    *(relative(layer.W.grad, dW) for layer, (dW, _) in zip(dense_layers, grads_mine, strict=True)),
    *(relative(layer.b.grad, db) for layer, (_, db) in zip(dense_layers, grads_mine, strict=True)),
)
print(f"largest difference {library_gap:.0e}; slopes {np.unique(dx_library)}")
assert library_gap < 1e-12

# %% [markdown]
# ## What to keep
#
# - One hidden layer approximates every continuous function on a compact set; not “any function”.
# - Side by side, kinks add: $n$ units, $n + 1$ pieces. One after another, they can multiply:
#   $2k$ units, $2^k$ pieces.
# - For some functions depth saves exponentially many units. That good weights exist does not mean
#   that descent finds them.
