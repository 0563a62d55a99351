# %% [markdown]
# # 02 · Feed-forward nets and back-propagation
#
# - **Minutes:** 100
# - **Prerequisites:** lesson 01
# - **Slides:** “Neural Networks”, “Training Neural Networks - Backpropagation”
# - **The deck is wrong here:** D1 and D2 (section 1), D3, D4, D5 and D2 again (section 4), D6
#   (section 5). Each is shown to be wrong by numbers, next to the formula that is right
#
# One neuron could not learn XOR. Two layers of them can, if they know how to change the weights of
# a layer whose right output nobody has told them. Back-propagation knows: it is the chain rule,
# walked from the loss towards the inputs, and every step of it is a product of matrices. In this
# lesson you write it, check it, and then use it to read the slides critically.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# %% [markdown]
# ## 1. A layer
#
# $O$ neurons that read the same $I$ inputs are a *layer*. Neuron $j$ has a column of weights:
#
# $$ a_{nj} = \sum_i x_{ni} W_{ij} + b_j, \qquad A = X W + b \tag{2.1} $$
#
# $W$ is $(I, O)$, from input $i$ to output $j$; examples are rows, $X$ is $(B, I)$. We write $a$
# for the weighted sum of a hidden neuron and keep $s$ for the last one, the score; the slides call
# all of them $s$.
#
# What does $L$ do when $W_{ij}$, $b_j$ or $x_{ni}$ moves? Suppose that $\mathrm{d}A$,
# $\partial L / \partial A$, is already known. $W_{ij}$ acts through $a_{nj}$ of every example, as
# in (1.8); $x_{ni}$ acts through $a_{nj}$ of every neuron. So the sums are
#
# $$ \mathrm{d}W_{ij} = \sum_n x_{ni}\, \mathrm{d}a_{nj}, \qquad
#    \mathrm{d}b_j = \sum_n \mathrm{d}a_{nj}, \qquad
#    \mathrm{d}x_{ni} = \sum_j \mathrm{d}a_{nj} W_{ij} \tag{2.2} $$
# $$ \mathrm{d}W = X^\top \mathrm{d}A, \qquad
#    \mathrm{d}b = \textstyle\sum_{\text{rows}} \mathrm{d}A, \qquad
#    \mathrm{d}X = \mathrm{d}A\, W^\top \tag{2.3} $$
#
# You need not learn (2.3) by heart: $\mathrm{d}W$ has the shape of $W$, and there is only one way
# to multiply $X$ and $\mathrm{d}A$ that gives it.
#
# ### Exercise 02.1 · A layer and its backward
#
# Return (2.1) and `backward`, which returns `dx, dW, db` by (2.3).


# %%
def dense(x, W, b):
    """(y, backward) of (2.1): x (B, I), W (I, O), b (O,) → y (B, O)."""
    ### BEGIN SOLUTION 02.1
    ### HINT In NumPy `+ b` adds b to every row.
    ### HINT The shapes decide: (I, B) @ (B, O) is (I, O), and (B, O) @ (O, I) is (B, I).
    ### HINT A bias is added B times, once in each row, so its gradient is a sum over axis 0.
    y = x @ W + b  # (2.1)

    def backward(dy):
        return dy @ W.T, x.T @ dy, dy.sum(axis=0)  # (2.3)

    return y, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(1)
check(
    "02.1",
    dense,
    rng.normal(size=(5, 3)),
    rng.normal(size=(3, 2)),
    rng.normal(size=2),
    forward=lambda x, W, b: np.array(
        [[sum(x[n, i] * W[i, j] for i in range(3)) + b[j] for j in range(2)] for n in range(5)]
    ),
    about={"batch_size": 5},
)

# %% [markdown]
# **Where the slide is wrong: D1.** It prints $s_j^k = \sum_j w_{i,j}^k h_i^{k-1} + b_j$. Summed
# over $j$, the result still depends on $i$ and no longer on $j$: it is a number for each *input*.
# The sum runs over $i$, and the bias belongs to the layer, $b_j^k$.
#
# **And D2.** The same slide has $w_{i,j}$ from $i$ to $j$ and $s^k = W^k h^{k-1} + b$. With the
# first, the second must be $(W^k)^\top h^{k-1}$; or else $W$ is stored (out, in). Where a layer has
# as many outputs as inputs, nothing crashes: the net is another one, silently.

# %%
rng = np.random.default_rng(2)
h_slide, W_slide = rng.normal(size=3), rng.normal(size=(3, 2))
by_loop = np.array([sum(W_slide[i, j] * h_slide[i] for i in range(3)) for j in range(2)])
d1_literal = np.array([sum(W_slide[i, j] * h_slide[i] for j in range(2)) for i in range(3)])
print(f"D1: wanted {by_loop.round(2)}, 2 outputs; the printed sum gives {d1_literal.round(2)}, 3")
assert d1_literal.shape == (3,)

try:
    W_slide @ h_slide
except ValueError as error:
    print(f"D2: W h with W[i, j] from i to j: {str(error)[:60]} ...")
assert np.allclose(W_slide.T @ h_slide, by_loop)

square = rng.normal(size=(3, 3))
d2_forward_error = np.abs(square @ h_slide - h_slide @ square).max()
print(f"D2: 3 inputs and 3 outputs raise no error, and the sums are {d2_forward_error:.1f} off")

# %% [markdown]
# ## 2. A hidden layer
#
# Two layers without anything between them are one: $(XW^1)W^2 = X(W^1W^2)$. What makes the second
# one worth its weights is the bend between them, here $\tanh$:
#
# $$ h = \tanh(a), \qquad \frac{\partial h}{\partial a} = 1 - \tanh^2(a) = 1 - h^2 \tag{2.4} $$
#
# An elementwise function has no sum in its backward: $\mathrm{d}a = \mathrm{d}h \odot f'(a)$. That
# $f'$ can be computed from the *output*, $1 - h^2$, spares us keeping $a$. It works where the
# output says enough about the input: for $\tanh$, $\sigma$ and ReLU, but not for $f(a) = a^2$.
#
# ### Exercise 02.2 · tanh and its backward


# %%
def tanh(x):
    """(y, backward) of tanh, elementwise."""
    ### BEGIN SOLUTION 02.2
    ### HINT np.tanh(x) is y; backward uses y, not x.
    y = np.tanh(x)

    def backward(dy):
        return dy * (1 - y * y)  # (2.4)

    return y, backward
    ### END SOLUTION


# %%
def tanh_slip(slope):
    """tanh with another slope(x, y) in its backward."""
    return lambda x: (np.tanh(x), lambda dy: dy * slope(x, np.tanh(x)))


rng = np.random.default_rng(3)
check(
    "02.2",
    tanh,
    rng.normal(size=(4, 3)),
    forward=lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    mistakes={
        "this is 1 − x²: (2.4) has the output, 1 − y²": tanh_slip(lambda x, y: 1 - x * x),
        "y (1 − y) is the slope of σ; that of tanh is 1 − y²": tanh_slip(lambda x, y: y * (1 - y)),
        "this is 1 − y: the square is missing, 1 − y²": tanh_slip(lambda x, y: 1 - y),
        "this is 1 − tanh²(y): y is the tanh already": tanh_slip(lambda x, y: 1 - np.tanh(y) ** 2),
        "this y is σ(x), from 0 to 1; tanh goes from −1 to 1": lambda x: (
            1 / (1 + np.exp(-x)),
            lambda dy: dy,
        ),
    },
)

# %% [markdown]
# Now the whole net: forward from left to right, backward the same links from right to left.
#
# $$ A = X W^1 + b^1, \qquad H = \tanh(A), \qquad S = H W^2 + b^2 \tag{2.5} $$
#
# $$ \mathrm{d}S \;\longrightarrow\; \mathrm{d}H = \mathrm{d}S\, W^{2\top} \;\longrightarrow\;
#    \mathrm{d}A = \mathrm{d}H \odot (1 - H^2) \;\longrightarrow\;
#    \mathrm{d}X = \mathrm{d}A\, W^{1\top} \tag{2.6} $$
#
# and beside each of the two layers $\mathrm{d}W$ and $\mathrm{d}b$, by (2.3). This is the answer to
# the question who tells a hidden neuron what to do: the neurons that it feeds, each as loudly as
# its weight.
#
# ### Exercise 02.3 · Two layers, by hand
#
# Write (2.5) and (2.6) out in NumPy, once in your life without calling `dense` and `tanh`.
# `backward(ds)` returns `dx, dW1, db1, dW2, db2`.


# %%
def two_layers(x, W1, b1, W2, b2):
    """(s, backward) of (2.5)."""
    ### BEGIN SOLUTION 02.3
    ### HINT ds belongs to the second layer: by (2.3), dW2 = hᵀ ds, and dh = ds W2ᵀ.
    ### HINT da = dh * (1 - h * h) is for the first layer what ds is for the second.
    h = np.tanh(x @ W1 + b1)
    s = h @ W2 + b2  # (2.5)

    def backward(ds):
        da = ds @ W2.T * (1 - h * h)  # (2.6)
        return da @ W1.T, x.T @ da, da.sum(axis=0), h.T @ ds, ds.sum(axis=0)

    return s, backward
    ### END SOLUTION


# %%
def two_layers_slip(slope, f=np.tanh, f_output=lambda s: s, slope_in_dx=None):
    """Two layers with another slope(a, h), another f, or one at the output."""

    def mistake(x, W1, b1, W2, b2):
        a = x @ W1 + b1
        h = f(a)

        def backward(ds):
            da = ds @ W2.T * slope(a, h)
            dx = (ds @ W2.T * slope_in_dx(a, h) if slope_in_dx else da) @ W1.T
            return dx, x.T @ da, da.sum(axis=0), h.T @ ds, ds.sum(axis=0)

        return f_output(h @ W2 + b2), backward

    return mistake


tanh_slope = lambda a, h: 1 - h * h
rng = np.random.default_rng(4)
check(
    "02.3",
    two_layers,
    rng.normal(size=(6, 3)),
    rng.normal(size=(3, 4)),
    rng.normal(size=4),
    rng.normal(size=(4, 2)),
    rng.normal(size=2),
    forward=lambda x, W1, b1, W2, b2: (
        np.einsum("nh,ho->no", np.tanh(np.einsum("ni,ih->nh", x, W1) + b1), W2) + b2
    ),
    about={"batch_size": 6},
    mistakes={
        "f' of the hidden layer is missing: da = dh ⊙ (1 − h²)": two_layers_slip(lambda a, h: 1),
        "f' is there twice: one tanh, one factor 1 − h²": two_layers_slip(
            lambda a, h: (1 - h * h) ** 2
        ),
        "f' is missing on the way to dx: dX = da W1ᵀ, not dh W1ᵀ": two_layers_slip(
            tanh_slope, slope_in_dx=lambda a, h: 1
        ),
        "f' is missing in dW1 and db1: they are made of da, not of dh": two_layers_slip(
            lambda a, h: 1, slope_in_dx=tanh_slope
        ),
        "this is 1 − a²: (2.4) has the output of tanh, 1 − h²": two_layers_slip(
            lambda a, h: 1 - a * a
        ),
        "h (1 − h) is the slope of σ; that of tanh is 1 − h²": two_layers_slip(
            lambda a, h: h * (1 - h)
        ),
        "the hidden layer lacks its tanh": two_layers_slip(tanh_slope, f=lambda a: a),
        "the hidden layer has σ, it must have tanh": two_layers_slip(
            tanh_slope, f=lambda a: 1 / (1 + np.exp(-a))
        ),
        "the output layer has no tanh: s = h W2 + b2": two_layers_slip(
            tanh_slope, f_output=np.tanh
        ),
    },
)

# %% [markdown]
# ### XOR is learned
#
# Two hidden neurons and one output, weights drawn at random, the loss of lesson 01, gradient
# descent.


# %%
def sigmoid(s):
    """σ(s), without overflow."""
    return 0.5 * (1 + np.tanh(s / 2))


def logistic_loss(s, t):
    """(loss, backward) of (1.12); s (B, 1), t (B,)."""
    s = s[:, 0]
    return np.mean(np.logaddexp(0, s) - t * s), lambda: ((sigmoid(s) - t) / len(t))[:, None]


def draw_weights(rng, sizes):
    """W and b of each layer: W ~ N(0, 1/in), b = 0 (lesson 04 says why 1/in)."""
    params = []
    for n_in, n_out in itertools.pairwise(sizes):
        params += [rng.normal(size=(n_in, n_out)) / np.sqrt(n_in), np.zeros(n_out)]
    return params


# %%
X_XOR, T_XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])


def train_xor(hidden, seed, lr=1.0, steps=2000):
    """Gradient descent from random weights: (params, loss at every step)."""
    params = draw_weights(np.random.default_rng(seed), (2, hidden, 1))
    losses = []
    for _ in range(steps):
        s, back_net = two_layers(X_XOR, *params)
        loss, back_loss = logistic_loss(s, T_XOR)
        _, *grads = back_net(back_loss())
        params = [p - lr * g for p, g in zip(params, grads, strict=True)]
        losses.append(loss)
    return params, losses


xor_runs = {hidden: [train_xor(hidden, seed) for seed in range(20)] for hidden in (2, 4, 8)}
xor_solved = {
    hidden: sum(
        bool(np.all((two_layers(X_XOR, *params)[0][:, 0] > 0) == T_XOR)) for params, _ in runs
    )
    for hidden, runs in xor_runs.items()
}
xor_losses = {hidden: np.array([losses for _, losses in runs]) for hidden, runs in xor_runs.items()}
for hidden, solved in xor_solved.items():
    final = xor_losses[hidden][:, -1]
    print(
        f"2-{hidden}-1: {solved} of 20 starts solve XOR; last loss {final.min():.4f} to "
        f"{final.max():.4f}"
    )

# %%
best_xor = xor_runs[2][int(xor_losses[2][:, -1].argmin())][0]
figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.6), layout="constrained")
u, v = np.meshgrid(np.linspace(-0.5, 1.5, 120), np.linspace(-0.5, 1.5, 120))
plane = sigmoid(two_layers(np.column_stack([u.ravel(), v.ravel()]), *best_xor)[0][:, 0])
axes[0].contourf(u, v, plane.reshape(u.shape), np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.6)
axes[0].contour(u, v, plane.reshape(u.shape), [0.5], colors="#222222")
h_xor = np.tanh(X_XOR @ best_xor[0] + best_xor[1])
p1, p2 = best_xor[2][:, 0]
h_line = np.array([-1.15, 1.15])
axes[1].plot(h_line, -(best_xor[3][0] + p1 * h_line) / p2, color="#222222")
for points, ax in ((X_XOR, axes[0]), (h_xor, axes[1])):
    for value, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "s")):
        chosen = points[value == T_XOR]
        ax.scatter(*chosen.T, s=70, c=colour, marker=marker, edgecolors="white", zorder=3)
for n, (x_n, h_n) in enumerate(zip(X_XOR, h_xor, strict=True)):
    taken = sum(np.abs(h_n - other).max() < 0.2 for other in h_xor[:n])
    axes[1].annotate(
        f"({x_n[0]:.0f}, {x_n[1]:.0f})", h_n, (8, 4 - 14 * taken), textcoords="offset points"
    )
axes[0].set(
    title="inputs: no single line separates them",
    xlabel="$x_1$",
    ylabel="$x_2$",
    xticks=(0, 1),
    yticks=(0, 1),
)
axes[1].set(
    title="hidden units: now a line does",
    xlabel="$h_1$",
    ylabel="$h_2$",
    xlim=(-1.15, 1.5),
    ylim=(-1.25, 1.25),
)
for losses in xor_losses[2]:
    axes[2].semilogy(losses, color=BLUE if losses[-1] < 0.1 else ORANGE, linewidth=0.8)
axes[2].axhline(np.log(2) / 2, color=GREY, linestyle=":")
axes[2].text(2000, np.log(2) / 2 * 1.1, "½ log 2", color=GREY, ha="right")
axes[2].set(title=f"2-2-1, 20 starts: {xor_solved[2]} solve it", xlabel="step", ylabel="loss")
show("xor")

# %% [markdown]
# The hidden layer moves the four points until a line separates them: that is what “learning a
# representation” means, in its smallest case.
#
# Not every start gets there. The others stop at $\frac12 \log 2$: two points right, and ½ for the
# other two, a place where the gradient is (nearly) zero and XOR is not solved. The weights exist,
# descent does not always find them. A few more hidden units than needed make such places rare.

# %% [markdown]
# ## 3. Any number of layers
#
# With $H^0 = X$ and $n$ hidden layers,
#
# $$ A^k = H^{k-1} W^k + b^k, \qquad H^k = f(A^k), \qquad S = A^{n+1} \tag{2.7} $$
#
# Write $D^k$ for $\partial L / \partial A^k$. Nothing new happens, it only happens again:
#
# $$ D^{n+1} = \frac{\partial L}{\partial S}, \qquad
#    D^k = \big(D^{k+1} W^{k+1\top}\big) \odot f'(A^k) \tag{2.8} $$
# $$ \mathrm{d}W^k = H^{k-1\top} D^k, \qquad \mathrm{d}b^k = \textstyle\sum_{\text{rows}} D^k,
#    \qquad \mathrm{d}X = D^1 W^{1\top} \tag{2.9} $$
#
# Each layer costs two products of matrices going back and one going forward: the gradient by *all*
# weights costs about twice what the output costs. Moving each weight by itself (1.10) would cost
# two passes *per weight*.
#
# Written out as in exercise 02.3, ten layers would fill a page. But a layer brings its backward
# along, so the chain rule becomes: keep the backwards, call them in reverse.
#
# ### Exercise 02.4 · A multi-layer perceptron
#
# Compose `dense` and `tanh`:
# `mlp(x, W1, b1, W2, b2, ...)`, with tanh after every layer but the last. `backward(ds)` returns
# `dx, dW1, db1, dW2, db2, ...`.


# %%
def mlp(x, *params):
    """(s, backward) of (2.7)."""
    ### BEGIN SOLUTION 02.4
    ### HINT params[::2] are the weights, params[1::2] the biases.
    ### HINT Forward: a, back_dense = dense(h, W, b), then tanh; keep both backwards in a list.
    ### HINT Backward: the output layer's first; then go through the list in reverse and put each
    ###      new (dW, db) in front of those you have.
    layers = list(zip(params[::2], params[1::2], strict=True))
    h, backs = x, []
    for W, b in layers[:-1]:
        a, back_dense = dense(h, W, b)
        h, back_tanh = tanh(a)
        backs.append((back_dense, back_tanh))
    s, back_output = dense(h, *layers[-1])

    def backward(ds):
        dh, dW, db = back_output(ds)
        grads = [dW, db]
        for back_dense, back_tanh in reversed(backs):
            dh, dW, db = back_dense(back_tanh(dh))  # (2.8)
            grads = [dW, db, *grads]
        return dh, *grads

    return s, backward
    ### END SOLUTION


# %%
def mlp_by_einsum(x, *params):
    """(2.7) once more, forward only, without the functions above."""
    h = x
    for k in range(0, len(params), 2):
        a = np.einsum("ni,ij->nj", h, params[k]) + params[k + 1]
        h = np.tanh(a)
    return a


def mlp_slip(power=1, linear=False, tanh_at_the_end=False):
    """(2.7) and its backward with (1 − h²) to another power, or tanh where it should not be."""

    def mistake(x, *params):
        hs, weights = [x], params[::2]
        for k, (W, b) in enumerate(zip(weights, params[1::2], strict=True), 1):
            a = hs[-1] @ W + b
            bent = tanh_at_the_end if k == len(weights) else not linear
            hs.append(np.tanh(a) if bent else a)

        def backward(d):
            grads = []
            for k in reversed(range(len(weights))):
                grads.insert(0, (hs[k].T @ d, d.sum(axis=0)))
                d = d @ weights[k].T * ((1 - hs[k] ** 2) ** power if k else 1)
            return d, *(g for pair in grads for g in pair)

        return hs[-1], backward

    return mistake


rng = np.random.default_rng(5)
mlp_shapes = ((6, 3), (3, 5), (5,), (5, 4), (4,), (4, 2), (2,))
check(
    "02.4",
    mlp,
    *(rng.normal(size=shape) for shape in mlp_shapes),
    forward=mlp_by_einsum,
    about={"batch_size": 6},
    mistakes={
        "f' is missing: between two layers, the gradient goes through tanh's backward": mlp_slip(0),
        "f' is there twice: each tanh has its backward called once": mlp_slip(2),
        "the output layer has a tanh: the last one must not": mlp_slip(tanh_at_the_end=True),
        "the hidden layers lack their tanh": mlp_slip(linear=True),
    },
)

# %% [markdown]
# ### Two spirals
#
# The data that no line can separate (lesson 01: one neuron is right in 50 to 60 %). Now 2-32-32-1.
# The first layer's weights are drawn five times larger, so that its 32 bends fall inside the
# picture and are sharp enough; and each step keeps 0.9 of the one before (momentum, lesson 08),
# which saves us two thirds of the steps.


# %%
def two_spirals(n=200, noise=0.02, seed=0):
    """n points on each of two spirals: x (2n, 2), t (2n,)."""
    rng = np.random.default_rng(seed)
    angle = 4 * np.pi * rng.uniform(0.03, 1, size=n)
    arm = np.column_stack([np.cos(angle), np.sin(angle)]) * angle[:, None] / (4 * np.pi)
    x = np.concatenate([arm, -arm]) + noise * rng.normal(size=(2 * n, 2))
    return x, np.repeat([0.0, 1.0], n)


def train(x, t, params, lr, steps, momentum=0.9):
    """Full-batch gradient descent with momentum: (params, loss at every step)."""
    velocity, losses = [np.zeros_like(p) for p in params], []
    for _ in range(steps):
        s, back_net = mlp(x, *params)
        loss, back_loss = logistic_loss(s, t)
        _, *grads = back_net(back_loss())
        velocity = [momentum * v - lr * g for v, g in zip(velocity, grads, strict=True)]
        params = [p + v for p, v in zip(params, velocity, strict=True)]
        losses.append(loss)
    return params, losses


def accuracy(params, x, t):
    """Share of examples on the right side of ½."""
    return np.mean((mlp(x, *params)[0][:, 0] > 0) == t)


def spiral_weights(seed, sizes=(2, 32, 32, 1)):
    """Initial weights; those of the first layer are five times larger and have biases."""
    rng = np.random.default_rng(seed)
    params = draw_weights(rng, sizes)
    params[0] *= 5
    params[1] += rng.uniform(-2.5, 2.5, size=len(params[1]))
    return params


spirals = []  # a row per seed: train and held-out accuracy of the net, accuracy of one neuron
for seed in range(6):
    x_train, t_train = two_spirals(seed=seed)
    x_test, t_test = two_spirals(n=1000, seed=100 + seed)
    spiral_net, spiral_losses = train(x_train, t_train, spiral_weights(seed), lr=0.1, steps=3000)
    one_neuron = train(
        x_train, t_train, draw_weights(np.random.default_rng(seed), (2, 1)), lr=0.1, steps=1000
    )[0]
    spirals.append(
        [
            accuracy(spiral_net, x_train, t_train),
            accuracy(spiral_net, x_test, t_test),
            accuracy(one_neuron, x_train, t_train),
        ]
    )
spirals = np.array(spirals)
for column, label in enumerate(("2-32-32-1, training", "2-32-32-1, held out", "one neuron")):
    values = spirals[:, column]
    print(f"{label:20} {values.mean():6.1%}   {values.min():.1%} to {values.max():.1%}, 6 seeds")

# %% [markdown]
# And the check that must never be missing: all 1185 parameters of that net against central
# differences (1.10), at weights as they were before training.


# %%
def all_derivatives(seed=0, n=10, eps=1e-6):
    """Every parameter's analytic and numeric derivative, as two vectors."""
    params = spiral_weights(seed)
    x, t = two_spirals(n=n, seed=seed)
    s, back_net = mlp(x, *params)
    _, *grads = back_net(logistic_loss(s, t)[1]())
    numeric = []
    for p in params:
        for i in np.ndindex(p.shape):
            kept = p[i]
            p[i] = kept + eps
            up = logistic_loss(mlp(x, *params)[0], t)[0]
            p[i] = kept - eps
            down = logistic_loss(mlp(x, *params)[0], t)[0]
            p[i] = kept
            numeric.append((up - down) / (2 * eps))
    return np.concatenate([g.ravel() for g in grads]), np.array(numeric)


derived, measured = all_derivatives()
spiral_gradient_error = np.abs(derived - measured).max() / np.abs(measured).max()
print(f"{len(derived)} parameters, largest relative error {spiral_gradient_error:.0e}")

figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.8), layout="constrained")
u, v = np.meshgrid(np.linspace(-1.15, 1.15, 160), np.linspace(-1.15, 1.15, 160))
plane = sigmoid(mlp(np.column_stack([u.ravel(), v.ravel()]), *spiral_net)[0][:, 0])
axes[0].contourf(u, v, plane.reshape(u.shape), np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.6)
for value, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "s")):
    axes[0].scatter(*x_train[t_train == value].T, s=7, c=colour, marker=marker)
axes[0].set(
    title=f"2-32-32-1: {spirals[-1, 0]:.1%} right, held out {spirals[-1, 1]:.1%}",
    xlabel="$x_1$",
    ylabel="$x_2$",
)
axes[1].semilogy(spiral_losses, color=BLUE)
axes[1].set(title="its loss", xlabel="step")
axes[2].plot(measured, derived, ".", color=BLUE, markersize=3)
axes[2].axline((0, 0), slope=1, color=GREY, linewidth=0.8)
axes[2].set(
    title=f"1185 derivatives, error {spiral_gradient_error:.0e}",
    xticks=(-0.1, -0.05, 0, 0.05),
    xlabel="measured by (1.10)",
    ylabel="derived by (2.8) and (2.9)",
)
show("spirals")

# %% [markdown]
# ## 4. The slides under the gradient check
#
# The slide's last lines are, for one example, column vectors, and error $e_i$ of output $i$:
#
# $$ (d^k)^\top = (d^{k+1})^\top W^{k+1} \circ f'(s_j^k)^\top, \qquad
#    d_j^{n+1} = \frac{\partial e_i}{\partial \hat y_i}, \qquad
#    \frac{\partial L}{\partial w^k} = h^{k-1} (d^k)^\top $$
#
# There are four mistakes in it. Before we name them:
#
# ### Exercise 02.5 · Repair the slide
#
# One example: $x$ is $(I,)$ and $t$ is $(O,)$. Weights are stored as the product $W h$ of the slide
# needs them, (out, in). Sigmoids in both layers, and half the squared error:
#
# $$ h = \sigma(W^1 x + b^1), \qquad y = \sigma(W^2 h + b^2), \qquad
#    L = \textstyle\sum_i \frac12 (y_i - t_i)^2 \tag{2.10} $$
#
# Return `dW1, dW2`, shaped like `W1` and `W2`.


# %%
def column_loss(W1, b1, W2, b2, x, t):
    """(2.10)."""
    return 0.5 * np.sum((sigmoid(W2 @ sigmoid(W1 @ x + b1) + b2) - t) ** 2)


def column_gradient(W1, b1, W2, b2, x, t):
    """(∂L/∂W1, ∂L/∂W2) of (2.10)."""
    ### BEGIN SOLUTION 02.5
    ### HINT d2 = ∂L/∂s² has two factors: ∂L/∂y = y − t, and ∂y/∂s = y (1 − y).
    ### HINT d1 = (d2 W2) ⊙ h (1 − h); both d are vectors.
    ### HINT dW1[j, i] = d1[j] x[i]: np.outer(d1, x).
    h = sigmoid(W1 @ x + b1)
    y = sigmoid(W2 @ h + b2)
    d2 = (y - t) * y * (1 - y)
    d1 = (d2 @ W2) * h * (1 - h)
    return np.outer(d1, x), np.outer(d2, h)
    ### END SOLUTION


# %%
def slide_gradient(W1, b1, W2, b2, x, t, with_derivative=False, out_in=False):
    """The slide's lines; optionally with f'(s) in the base case, and shaped (out, in)."""
    h = sigmoid(W1 @ x + b1)
    y = sigmoid(W2 @ h + b2)
    d2 = (y - t) * (y * (1 - y) if with_derivative else 1)
    d1 = (d2 @ W2) * h * (1 - h)
    grads = np.outer(x, d1), np.outer(h, d2)
    return tuple(g.T for g in grads) if out_in else grads


def column_slip(output_slope, hidden_slope):
    """(∂L/∂W1, ∂L/∂W2) of (2.10) with other slopes, each a function of the layer's output."""

    def mistake(W1, b1, W2, b2, x, t):
        h = sigmoid(W1 @ x + b1)
        y = sigmoid(W2 @ h + b2)
        d2 = (y - t) * output_slope(y)
        return np.outer(d2 @ W2 * hidden_slope(h), x), np.outer(d2, h)

    return mistake


no_slope, right_slope = lambda y: 1, lambda y: y * (1 - y)
again_slope, tanh_slope_y = lambda y: sigmoid(y) * (1 - sigmoid(y)), lambda y: 1 - y * y
rng = np.random.default_rng(6)
check(
    "02.5",
    column_gradient,
    rng.normal(size=(4, 3)),
    rng.normal(size=4),
    rng.normal(size=(2, 4)),
    rng.normal(size=2),
    rng.normal(size=3),
    rng.random(2),
    gradient_of=column_loss,
    by=("W1", "W2"),
    mistakes={
        "this is the slide as printed: (in, out), and no f'(s) at the output": slide_gradient,
        "right but for the shape: it is (in, out), and W is (out, in)": lambda *inputs: (
            slide_gradient(*inputs, with_derivative=True)
        ),
        "the base case lacks f'(s): d2 must be ∂L/∂s, not ∂L/∂y": column_slip(
            no_slope, right_slope
        ),
        "f' of the hidden layer is missing: d1 = (d2 W2) ⊙ h (1 − h)": column_slip(
            right_slope, no_slope
        ),
        "there is no f' at all: one belongs to each layer, y (1 − y) and h (1 − h)": column_slip(
            no_slope, no_slope
        ),
        "the hidden layer has the slope of unit 0 for all units (D5)": column_slip(
            right_slope, lambda h: (h * (1 - h))[0]
        ),
        "σ is in f' once too often: y and h are its outputs already, f' = y (1 − y)": column_slip(
            again_slope, again_slope
        ),
        "1 − h² is the slope of tanh; that of σ is h (1 − h)": column_slip(
            right_slope, tanh_slope_y
        ),
        "1 − y² is the slope of tanh; that of σ is y (1 − y)": column_slip(
            tanh_slope_y, tanh_slope_y
        ),
    },
)

# %% [markdown]
# **D4: no $f'$ in the base case.** $d^{n+1}$ must be $\partial e_j / \partial s_j$, hence
# $(\partial e_j / \partial y_j)\, f'(s_j^{n+1})$; the slide's own line for the last layer has the
# factor. How wrong is it without? For one example, output by output, the wrong gradient is
# $1/f'$ times the right one. For σ, $f' \le \tfrac14$: it is at least four times too long, an
# error of $1 - f' \ge 75\,\%$ of it. In a sum over a batch the factors mix:


# %%
def relative_error(mine, right):
    """max |mine − right| / max(|mine|, |right|), the worst of several arrays."""
    return max(
        np.abs(m - r).max() / max(np.abs(m).max(), np.abs(r).max())
        for m, r in zip(mine, right, strict=True)
    )


OUTPUTS = {
    "σ": (sigmoid, lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "linear": (lambda s: s, np.ones_like),
}


def base_case(output, with_derivative, seed):
    """dx, dW1, db1, dW2, db2 of half the squared error, with or without f'(s) at the output."""
    rng = np.random.default_rng(seed)
    shapes = (5, 3), (3, 4), (4,), (4, 2), (2,)
    inputs = [rng.normal(size=shape) for shape in shapes]
    t = rng.random((5, 2))
    f, slope = OUTPUTS[output]
    s, back_net = two_layers(*inputs)
    y = f(s)
    return back_net((y - t) / len(t) * (slope(y) if with_derivative else 1))


d4_errors = {
    output: np.array(
        [
            relative_error(base_case(output, False, seed)[1:], base_case(output, True, seed)[1:])
            for seed in range(50)
        ]
    )
    for output in OUTPUTS
}
for output, errors in d4_errors.items():
    print(
        f"D4, {output:6} output, 50 nets: relative error {np.median(errors):5.0%} (median), "
        f"{errors.min():.0%} to {errors.max():.0%}"
    )

# %% [markdown]
# For a linear output nothing is lost, there $f' = 1$. And for σ there is a reason why nobody
# notices the mistake in practice: without $f'$ the base case is $y - t$, and that is (1.13), the
# exact gradient of the *logistic* loss. The slip trains well. It only minimises another loss than
# the squared one.

# %%
rng = np.random.default_rng(7)
s_d4, t_d4 = rng.normal(size=(5, 1)), rng.random(5)
slip = (sigmoid(s_d4[:, 0]) - t_d4)[:, None] / 5
d4_is_logistic = np.abs(slip - logistic_loss(s_d4, t_d4)[1]()).max()
print(f"squared error without f' against the logistic loss: difference {d4_is_logistic:.0e}")

# %% [markdown]
# **D3: two names for the prediction.** $\frac{\partial e_i}{\partial \hat y_i} \cdot
# \frac{\partial y_i}{\partial s_i}$ is a chain only if $\hat y = y$. A reader who knows one of the
# two letters as the expected output gets something else. If $\hat y$ is the expected output,
# $\partial e / \partial \hat y$ has the wrong sign, and descent climbs. If $y$ is, then
# $\partial y / \partial s = 0$ and nothing ever moves.


# %%
def slope_of(f, at, eps=1e-6):
    """A numeric derivative."""
    return (f(at + eps) - f(at - eps)) / (2 * eps)


error_d3 = lambda prediction, target: 0.5 * (prediction - target) ** 2
s_d3, t_d3 = 0.4, 1.0
y_d3 = sigmoid(s_d3)
d3_right = slope_of(lambda s: error_d3(sigmoid(s), t_d3), s_d3)
d3_readings = {
    "both are the prediction": slope_of(lambda y: error_d3(y, t_d3), y_d3)
    * slope_of(sigmoid, s_d3),
    "ŷ is the expected output": slope_of(lambda t: error_d3(y_d3, t), t_d3)
    * slope_of(sigmoid, s_d3),
    "y is the expected output": slope_of(lambda y: error_d3(y, t_d3), y_d3)
    * slope_of(lambda s: t_d3, s_d3),
}
for reading, value in d3_readings.items():
    print(f"D3, {reading}: {value:+.6f}, measured {d3_right:+.6f}")

# %% [markdown]
# **D5: an index too many.** $f'(s_j^k)^\top$ stands in a line of vectors. With the index $j$ it is
# one number, the slope of one unit, and NumPy would multiply all of $d^k$ by it without complaint.
# It is $f'(s^k)^\top$, one slope per unit.
#
# **D2, backward.** $(d^{k})^\top W^{k}$ is right for $W$ stored (out, in), and then
# $h^{k-1}(d^k)^\top$, which is (in, out), has the shape of $W^\top$. Either index order is fine;
# the slide uses both. Again, with equal sizes nothing crashes.


# %%
def literal(reading, seed, sizes=(4, 4, 4)):
    """Relative error of the slide's gradients, read in one way, against ours."""
    rng = np.random.default_rng(seed)
    I, H, O = sizes
    shapes = (H, I), (H,), (O, H), (O,), (I,)
    W1, b1, W2, b2, x = (rng.normal(size=shape) for shape in shapes)
    t = rng.random(O)
    right = column_gradient(W1, b1, W2, b2, x, t)
    h = sigmoid(W1 @ x + b1)
    y = sigmoid(W2 @ h + b2)
    d2 = (y - t) * y * (1 - y)
    if reading == "D5":
        d1 = (d2 @ W2) * (h * (1 - h))[0]  # the slope of unit 0 for all of them
        mine = np.outer(d1, x), np.outer(d2, h)
    elif reading == "D2":
        d1 = (d2 @ W2) * h * (1 - h)
        mine = np.outer(x, d1), np.outer(h, d2)
    elif reading == "D4":
        mine = slide_gradient(W1, b1, W2, b2, x, t, out_in=True)
    else:
        mine = slide_gradient(W1, b1, W2, b2, x, t, with_derivative=True, out_in=True)
    return relative_error(mine, right)


READINGS = {
    "D2": "D2: (in, out)",
    "D4": "D4: no f' at the output",
    "D5": "D5: one slope for all",
    "right": "repaired",
}
slide_errors = {r: np.array([literal(r, seed) for seed in range(50)]) for r in READINGS}
for reading, label in READINGS.items():
    errors = slide_errors[reading]
    print(f"{label:25} {np.median(errors):6.0%} (median of 50 nets), at least {errors.min():.0%}")

# %% [markdown]
# ## 5. Outputs that know of one another
#
# **D6.** “Multiple output: individual losses ($e_i$) are summed.” The chain on the slide then has,
# for output $i$, the one factor $\partial y_i / \partial s_i$. That is right if $y_i$ depends on
# $s_i$ alone. The most common output layer of all, *softmax*, is not so:
#
# $$ p_i = \frac{e^{s_i}}{\sum_j e^{s_j}}, \qquad
#    \frac{\partial p_i}{\partial s_j} = p_i (\delta_{ij} - p_j) \tag{2.11} $$
#
# Raise one score and all other probabilities fall. The derivative is a matrix, and the chain rule
# sums over all ways from $s_j$ to the loss:
#
# $$ \mathrm{d}s_j = \sum_i \mathrm{d}p_i\, p_i (\delta_{ij} - p_j)
#    = p_j \Big( \mathrm{d}p_j - \sum_i \mathrm{d}p_i\, p_i \Big) \tag{2.12} $$
#
# The matrix need not be built: one sum per row is enough.
#
# ### Exercise 02.6 · Softmax and its backward
#
# Over the last axis of $s$, $(B, C)$. Subtract each row's maximum before `np.exp`: it changes
# nothing (why?) and no number overflows.


# %%
def softmax(s):
    """(p, backward) of (2.11), over the rows of s (B, C)."""
    ### BEGIN SOLUTION 02.6
    ### HINT keepdims=True keeps the sum of each row as a column, so that it broadcasts.
    ### HINT backward: dp * p summed over the row is subtracted from every entry of the row.
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)  # (2.11)

    def backward(dp):
        return p * (dp - (dp * p).sum(axis=1, keepdims=True))  # (2.12)

    return p, backward
    ### END SOLUTION


# %%
def softmax_by_loops(s):
    """p of (2.11), row by row."""
    return np.array([np.exp(row) / sum(np.exp(row)) for row in s])


def softmax_slip(rule, shift=1, axis=1):
    """exp(s − maximum) over its sum along an axis, and a backward by another rule(p, dp)."""

    def mistake(s):
        e = np.exp(s - s.max(axis=shift, keepdims=True))
        p = e / e.sum(axis=axis, keepdims=True)
        return p, lambda dp: rule(p, dp)

    return mistake


rng = np.random.default_rng(8)
check(
    "02.6",
    softmax,
    rng.normal(size=(4, 3)),
    forward=softmax_by_loops,
    about={},
    mistakes={
        "this is the slide's rule, dp p (1 − p): each p depends on all scores of its row": (
            softmax_slip(lambda p, dp: dp * p * (1 - p))
        ),
        "this is only dp p: (2.12) subtracts the sum of the row from dp": (
            softmax_slip(lambda p, dp: dp * p)
        ),
        "the factor p is missing: (2.12) is p (dp − sum)": (
            softmax_slip(lambda p, dp: dp - (dp * p).sum(axis=1, keepdims=True))
        ),
        "the sum is of dp p, not of dp": (
            softmax_slip(lambda p, dp: p * (dp - dp.sum(axis=1, keepdims=True)))
        ),
        "the sum is not multiplied by p: p (dp − sum), not p dp − sum": (
            softmax_slip(lambda p, dp: dp * p - (dp * p).sum(axis=1, keepdims=True))
        ),
        "backward sums over examples: each row has its own sum, axis 1": (
            softmax_slip(lambda p, dp: p * (dp - (dp * p).sum(axis=0)))
        ),
        "backward has one sum for all rows: each row has its own, axis 1": (
            softmax_slip(lambda p, dp: p * (dp - (dp * p).sum()))
        ),
        "this is the softmax of columns: examples are rows, sum over axis 1": (
            softmax_slip(lambda p, dp: dp, shift=0, axis=0)
        ),
        "the sum is that of a column: examples are rows, sum over axis 1": (
            softmax_slip(lambda p, dp: dp, axis=0)
        ),
        "all of p sums to 1: each row must, sum over axis 1": (
            softmax_slip(lambda p, dp: dp, shift=None, axis=None)
        ),
        "this is divided by the sum of all rows: each row has its own, axis 1": (
            softmax_slip(lambda p, dp: dp, axis=None)
        ),
        "the division by the row's sum is missing": (
            lambda s: (np.exp(s - s.max(axis=1, keepdims=True)), lambda dp: dp)
        ),
    },
)

# %% [markdown]
# Now the slide's rule, only the diagonal, $\mathrm{d}s_j = \mathrm{d}p_j\, p_j (1 - p_j)$, against
# the full one, with half the squared error on the probabilities (a sum of individual losses, as the
# slide wants). There is a witness that needs no numbers: adding a constant to all scores of a row
# changes no probability, so each row of $\mathrm{d}s$ must sum to 0.


# %%
def softmax_readings(seed, n=8, classes=5):
    """(full, diagonal, measured) ∂L/∂s of L = Σ ½ (p − t)² / n."""
    rng = np.random.default_rng(seed)
    s = 1.5 * rng.normal(size=(n, classes))
    t = np.eye(classes)[rng.integers(classes, size=n)]
    p, backward = softmax(s)
    dp = (p - t) / n
    loss = lambda s: 0.5 * np.sum((softmax(s)[0] - t) ** 2) / n
    measured = np.zeros_like(s)
    for i in np.ndindex(s.shape):
        step = np.zeros_like(s)
        step[i] = 1e-6
        measured[i] = (loss(s + step) - loss(s - step)) / 2e-6
    return backward(dp), dp * p * (1 - p), measured


d6 = [softmax_readings(seed) for seed in range(50)]
d6_full = np.array([relative_error([full], [measured]) for full, _, measured in d6])
d6_diagonal = np.array([relative_error([diagonal], [measured]) for _, diagonal, measured in d6])
cosines = np.array(
    [(f * d).sum(1) / np.linalg.norm(f, axis=1) / np.linalg.norm(d, axis=1) for f, d, _ in d6]
)
d6_angle = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
d6_row_sums = [np.abs([g[i].sum(axis=1) for g in d6]).max() for i in (0, 1)]
print(f"D6, 50 batches, relative error: full {d6_full.max():.0e} at most")
print(
    f"    diagonal {np.median(d6_diagonal):.0%} (median), {d6_diagonal.min():.0%} to "
    f"{d6_diagonal.max():.0%}"
)
print(
    f"    its angle to the true gradient of an example: {np.median(d6_angle):.0f}° (median), "
    f"{d6_angle.max():.0f}° at most"
)
print(f"    largest row sum: full {d6_row_sums[0]:.0e}, diagonal {d6_row_sums[1]:.2f}")

# %% [markdown]
# With cross-entropy, $L = -\frac1B \sum_n \log p_{n t_n}$, softmax and loss simplify together, as
# sigmoid and logistic loss did in (1.13):
#
# $$ L = \frac1B \sum_n \Big( \log \sum_j e^{s_{nj}} - s_{n t_n} \Big), \qquad
#    \mathrm{d}s_{nj} = \frac1B \big( p_{nj} - [j = t_n] \big) \tag{2.13} $$
#
# The diagonal rule would give $-(1 - p_j)/B$ at $j = t_n$ and 0 everywhere else: the right score is
# pulled up, but no wrong one is ever pushed down.
#
# ### Exercise 02.7 · Cross-entropy
#
# `s` is $(B, C)$, `t` holds the number of the right class, $(B,)$. Return $L$ of (2.13) and
# `backward(dloss=1.0)`, which returns `ds`, as `logistic_loss` did in lesson 01: a loss is where
# the chain begins, so `backward()` without an argument must do.


# %%
def cross_entropy(s, t):
    """(loss, backward) of (2.13)."""
    ### BEGIN SOLUTION 02.7
    ### HINT The scores of the right classes are s[np.arange(B), t].
    ### HINT For the gradient take all probabilities, then subtract 1 at the right classes.
    rows = np.arange(len(t))
    p, _ = softmax(s)
    loss = -np.mean(np.log(p[rows, t]))

    def backward(dloss=1.0):
        ds = p.copy()
        ds[rows, t] -= 1
        return ds * dloss / len(t)  # (2.13)

    return loss, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(9)
classes_check = np.array([2, 0, 1, 2, 2])
onehot_check = np.eye(3)[classes_check]
p_check = lambda s: np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)


def cross_entropy_slip(rule, of_log_p=lambda log_p: -np.mean(np.sum(onehot_check * log_p, axis=1))):
    """The loss as another function of log p, or another rule(p) for B ds."""

    def mistake(s):
        p = p_check(s)
        return of_log_p(np.log(p)), lambda dloss=1.0: dloss * rule(p) / len(p)

    return mistake


check(
    "02.7",
    lambda s: cross_entropy(s, classes_check),
    rng.normal(size=(5, 3)),
    forward=lambda s: np.mean(np.log(np.exp(s).sum(axis=1)) - s[range(5), classes_check]),
    about={"batch_size": 5},
    mistakes={
        "this is the diagonal only: the wrong classes' scores have a gradient too, p / B": (
            cross_entropy_slip(lambda p: onehot_check * (p - 1))
        ),
        "this is p / B: at the right classes 1 is subtracted": cross_entropy_slip(lambda p: p),
        "this is t − p: the gradient is p − t": cross_entropy_slip(lambda p: onehot_check - p),
        "ds[:, t] is whole columns; one entry of each row is ds[np.arange(B), t]": (
            cross_entropy_slip(lambda p: p - (onehot_check.sum(axis=0) > 0))
        ),
        "this is ∂L/∂p, −t / (B p): it must still go through softmax's backward": (
            cross_entropy_slip(lambda p: -onehot_check / p)
        ),
        "p[:, t] is whole columns, B × B numbers; one of each row is p[np.arange(B), t]": (
            cross_entropy_slip(lambda p: p, lambda log_p: -np.mean(log_p[:, classes_check]))
        ),
        "this is the mean over all classes: only the right one of each row counts": (
            cross_entropy_slip(lambda p: p, lambda log_p: -np.mean(log_p))
        ),
        "the log is missing": cross_entropy_slip(
            lambda p: p, lambda log_p: -np.mean(np.exp(log_p)[range(5), classes_check])
        ),
    },
)

# %%
rng = np.random.default_rng(10)
s_jacobian = np.array([[2.0, 1.0, 0.0, -1.0, 0.5]])
p_jacobian, back_jacobian = softmax(s_jacobian)
jacobian = np.array([back_jacobian(np.eye(5)[i : i + 1])[0] for i in range(5)])
diagonal_ce = -np.eye(5)[1] * (1 - p_jacobian[0, 1])
full_ce = cross_entropy(s_jacobian, np.array([1]))[1]()[0]

figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.6), layout="constrained")
image = axes[0].imshow(jacobian, cmap="PuOr", vmin=-0.25, vmax=0.25)
for i, j in np.ndindex(5, 5):
    ink = "white" if abs(jacobian[i, j]) > 0.14 else "#222222"
    axes[0].text(j, i, f"{jacobian[i, j]:.2f}", ha="center", va="center", fontsize=8, color=ink)
axes[0].set(title="softmax: ∂$p_i$/∂$s_j$", xlabel="j", ylabel="i")
axes[1].bar(np.arange(5) - 0.2, full_ce, 0.4, color=BLUE, label="full: p − t")
axes[1].bar(np.arange(5) + 0.2, diagonal_ce, 0.4, color=ORANGE, label="diagonal only")
axes[1].axhline(0, color=GREY, linewidth=0.8)
axes[1].legend(frameon=False)
axes[1].set(title="cross-entropy, right class 1: ∂L/∂$s_j$", xlabel="j")
bars = {
    "D2 (in, out)": slide_errors["D2"],
    "D4 no f', σ": d4_errors["σ"],
    "D4 no f', tanh": d4_errors["tanh"],
    "D5 one slope": slide_errors["D5"],
    "D6 diagonal": d6_diagonal,
}
axes[2].boxplot(list(bars.values()), orientation="horizontal", widths=0.6, showfliers=False)
axes[2].set_yticks(np.arange(1, len(bars) + 1), list(bars))
axes[2].invert_yaxis()
axes[2].set(title="the slides' gradients, 50 nets", xlabel="relative error", xlim=(0, None))
show("errata")

# %% [markdown]
# ## 6. The library says the same
#
# `nnlib.Sequential` is `mlp`: its backward walks through its steps in reverse. `nnlib.softmax` and
# `nnlib.cross_entropy` are those above.

# %%
import nnlib
from nnlib.check import diagnose

rng = np.random.default_rng(11)
x_lib, t_lib = rng.normal(size=(7, 3)), np.array([0, 1, 1, 3, 2, 0, 3])
net = nnlib.Sequential(
    nnlib.Dense(3, 6, rng=rng),
    nnlib.tanh,
    nnlib.Dense(6, 5, rng=rng),
    nnlib.tanh,
    nnlib.Dense(5, 4, rng=rng),
).astype(np.float64)
values = [parameter.value for parameter in net.parameters()]

scores, back_lib = net(x_lib)
loss_lib, back_loss_lib = nnlib.cross_entropy(scores, t_lib)
dx_lib = back_lib(back_loss_lib())

s_mine, back_mine = mlp(x_lib, *values)
loss_mine, back_loss_mine = cross_entropy(s_mine, t_lib)
grads_mine = back_mine(back_loss_mine())

dp_lib = rng.normal(size=scores.shape)
p_lib, back_softmax = nnlib.softmax(scores)
pairs = [
    (loss_lib, loss_mine),
    (scores, s_mine),
    (p_lib, softmax(s_mine)[0]),
    (back_softmax(dp_lib), softmax(s_mine)[1](dp_lib)),
    *zip([dx_lib, *(p.grad for p in net.parameters())], grads_mine, strict=True),
]
library_gap = max(np.abs(a - b).max() for a, b in pairs)
print(f"largest difference {library_gap:.0e}")
assert library_gap < 1e-12

# %% [markdown]
# And `nnlib.check.diagnose`, which stands behind every `check` of this course, tells the slides'
# mistakes apart when it is given the wrong gradient and the right one:

# %%
rng = np.random.default_rng(12)
shapes = (4, 4), (4,), (4, 4), (4,), (4,)
column_inputs = [*(rng.normal(size=shape) for shape in shapes), rng.random(4)]
W1_d, b1_d, W2_d, b2_d, x_d, _ = column_inputs
y_d = sigmoid(W2_d @ sigmoid(W1_d @ x_d + b1_d) + b2_d)
right_dW2 = column_gradient(*column_inputs)[1]
diagnoses = {
    "D2": diagnose(right_dW2.T, right_dW2),
    "D3": diagnose(-right_dW2, right_dW2),
    "D4": diagnose(
        slide_gradient(*column_inputs, out_in=True)[1],
        right_dW2,
        derivative=(y_d * (1 - y_d))[:, None],
    ),
}
for erratum, found in diagnoses.items():
    print(f"{erratum}: {found}")

# %% [markdown]
# ## What to keep
#
# - Back-propagation is three products per layer: $\mathrm{d}W = X^\top \mathrm{d}A$,
#   $\mathrm{d}X = \mathrm{d}A\,W^\top$, and $f'$ between the layers. The shapes write it for you.
# - $f'$ belongs to every layer, the last one too, unless loss and output are differentiated
#   together.
# - Softmax's derivative is a full matrix; with cross-entropy, $p - t$ remains.
# - A formula on a slide is a claim. A gradient check takes ten lines.
