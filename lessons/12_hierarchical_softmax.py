# %% [markdown]
# # 12 · Hierarchical softmax and negative sampling
#
# - **Minutes:** 110
# - **Prerequisites:** lesson 11; softmax and cross-entropy (lesson 09), Adagrad, Adam (lesson 08)
# - **Slides:** “Speed-up”; of “Word2Vec - CBOW” the lines on softmax
# - **The deck is wrong here:** D20: the indicator in the formula of hierarchical softmax must be
#   ±1, with 1 and 0 the probabilities do not sum to 1; and its product runs to the length of the
#   word's own path, $L(w)$, not $L(w_t)$. D24: “[Morin & Bengio, et. al, 2005]” has two authors and
#   no others, as the deck's own list of references says. D25: the output of softmax is a
#   probability, not a “likelihood of words”, and softmax is a smooth *arg*max, not a “smooth
#   approximation of the max operator”
#
# Skip-gram asks of every pair of items: how likely is this one among *all* others? With a million
# items that question costs a million dot products for each pair. This lesson has two ways out. One
# keeps the question and arranges the items in a tree; the other asks a cheaper question, and you
# will find out to the last digit what the answer to it means.

# %%
import heapq
import time

import matplotlib.pyplot as plt
import numpy as np

from lessons import check, show

BLUE, RED, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# %% [markdown]
# | sign | meaning | shape |
# | --- | --- | --- |
# | $V$, $D$, $B$, $K$ | items (words), factors, pairs in a batch, negatives | |
# | $w$, $c$ | the item that is given, its context | |
# | $E$ | input table: $h = E_w$ | $(V, D)$ |
# | $O$ | output table: a row per item, or per inner node of a tree | $(V, D)$ or $(V - 1, D)$ |
# | $N_{wc}$, $n_w$, $n$ | how often $c$ was seen with $w$; its sum over $c$; and over all | |
# | $q$ | distribution that negatives are drawn from | $(V,)$ |
#
# ## 1. What softmax costs
#
# $$ s = O h, \qquad p_c = \frac{e^{s_c}}{\sum_j e^{s_j}}, \qquad L = -\log p_c \tag{12.1} $$
# $$ \mathrm{d}s = p - 1_c, \qquad \mathrm{d}h = O^\top \mathrm{d}s, \qquad
#    \mathrm{d}O = \mathrm{d}s\, h^\top \tag{12.2} $$
#
# Three products of $V \times D$ numbers for a single pair, and nearly all of it is spent on items
# that have nothing to do with the pair. Before we get rid of it, two words of the slides about what
# it computes (D25).
#
# **“Smooth approximation of the max operator.”** The maximum is a number. Softmax returns a vector,
# and when its scores grow that vector becomes the one-hot *position* of the maximum: a smooth
# argmax. The smooth maximum is the logarithm of its denominator. With a temperature $\tau$:
#
# $$ \operatorname{softmax}(s / \tau) \to 1_{\operatorname{argmax} s}, \qquad
#    \tau \log \sum_j e^{s_j / \tau} \to \max_j s_j \qquad (\tau \to 0) \tag{12.3} $$
#
# **“Likelihood of words.”** $p_c$ is one function of two things. For fixed parameters, over the
# words, it is a *probability* and sums to 1: that is the output of the network. For a fixed word,
# over the parameters, it is a *likelihood*: that is what training increases, and it sums to
# anything.


# %%
def softmax(s):
    """Rows of probabilities."""
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


scores_25 = np.array([1.0, 3.0, 2.0, -1.0])
print(f"scores {scores_25}, maximum {scores_25.max()}")
smooth_25 = {}
for tau in (1.0, 0.3, 0.1, 0.03):
    smooth_25[tau] = (softmax(scores_25 / tau), tau * np.log(np.exp(scores_25 / tau).sum()))
    print(f"τ = {tau:4}: softmax {smooth_25[tau][0].round(3)}, τ log Σ exp {smooth_25[tau][1]:.4f}")
h_axis = np.linspace(-5, 5, 1001)
table_25 = softmax(h_axis[:, None] * scores_25)  # D = 1: s = h O
sum_over_words = table_25.sum(axis=1)
integral_over_h = table_25.sum(axis=0) * (h_axis[1] - h_axis[0])
print(f"over the words, for every h: {sum_over_words.min():.6f} to {sum_over_words.max():.6f}")
print(f"over h from −5 to 5, for each word: {integral_over_h.round(2)}")

# %% [markdown]
# ## 2. A tree of questions
#
# Put the items at the leaves of a binary tree. Whoever wants to know the item asks its way down
# from the root: left or right? $V$ leaves make $V - 1$ inner nodes; each has a vector $O_n$ and
# answers with a neuron (lesson 01):
#
# $$ p(\text{left} \mid n, h) = \sigma(O_n \cdot h), \qquad
#    p(\text{right} \mid n, h) = 1 - \sigma(O_n \cdot h) = \sigma(-O_n \cdot h) \tag{12.4} $$
#
# The probability of an item is the product of the answers on its path $n_1, \dots, n_{L(w)}$ of
# inner nodes, with $\mathrm{sign}_l = +1$ where the path goes left and $-1$ where it goes right:
#
# $$ p(w \mid h) = \prod_{l=1}^{L(w)} \sigma(\mathrm{sign}_l\, O_{n_l} \cdot h) \tag{12.5} $$
#
# Only the nodes of one path are touched. So the tree should have short paths, above all for
# frequent items. Huffman's tree has the shortest that are possible, and is made from below: *join
# the two rarest, count them as one, and again, until a single one is left.*
#
# ### Exercise 12.1 · Huffman's tree
#
# Leaves have the numbers $0 \dots V - 1$, the node made in step $i$ is $V + i$, so the root is
# $2V - 2$. Return `children`, $(V - 1, 2)$: row $i$ has the two nodes that step $i$ joins, **the
# more frequent one on the left**. Of equal counts the lower number counts as rarer.
# `heapq` finds the smallest of many quickly: `heapq.heapify(list)`, `heapq.heappop(list)` takes
# the smallest off, `heapq.heappush(list, x)`; pairs (count, number) are compared by count first.


# %%
def huffman(counts):
    """children (V − 1, 2) int, the more frequent on the left; counts (V,)."""
    ### BEGIN SOLUTION 12.1
    ### HINT Begin with a list of the V pairs (count, number) and make a heap of it.
    ### HINT V − 1 times: pop two, the first is the rarer and goes to the right; push the joined
    ###      one, (sum of counts, V + i).
    V = len(counts)
    heap = list(zip(counts.tolist(), range(V), strict=True))
    heapq.heapify(heap)
    children = np.zeros((V - 1, 2), dtype=int)
    for i in range(V - 1):
        rarer, right = heapq.heappop(heap)
        other, left = heapq.heappop(heap)
        children[i] = left, right
        heapq.heappush(heap, (rarer + other, V + i))
    return children
    ### END SOLUTION


# %%
def huffman_by_sorting(counts, joined=lambda a, b: a + b, first=0):
    """Huffman's tree by sorting everything in every step."""
    forest, children = [(c, v) for v, c in enumerate(counts.tolist())], []
    for number in range(len(counts), 2 * len(counts) - 1):
        forest = sorted(forest)
        two = forest[:2] if first == 0 else forest[-2:]
        forest = [tree for tree in forest if tree not in two]
        children.append([two[1][1], two[0][1]])
        forest.append((joined(two[0][0], two[1][0]), number))
    return np.array(children)


check(
    "12.1",
    huffman,
    np.array([7, 31, 5, 22, 1, 10, 17, 3, 40]),
    expected=huffman_by_sorting,
    mistakes={
        "left and right are exchanged: the rarer one, which is popped first, goes right": (
            lambda counts: huffman_by_sorting(counts)[:, ::-1]
        ),
        "these are the two most frequent: the two rarest are joined": lambda counts: (
            huffman_by_sorting(counts, first=-1)
        ),
        "a joined node has the count of one of the two; it needs their sum": lambda counts: (
            huffman_by_sorting(counts, joined=max)
        ),
        "the node made in step i is V + i, this is i": lambda counts: np.where(
            huffman_by_sorting(counts) < len(counts),
            huffman_by_sorting(counts),
            huffman_by_sorting(counts) - len(counts),
        ),
    },
)

# %% [markdown]
# ### Exercise 12.2 · Paths as arrays
#
# For whole batches the paths go into two arrays, a row for each item, filled up behind its end:
#
# - `path` $(V, L)$: the inner nodes from the root down, by their **row** in `children` (and $O$):
#   the root is row $V - 2$; 0 behind the end;
# - `sign` $(V, L)$: $+1$ for left, $-1$ for right; 0 behind the end.
#
# $L$ is the length of the longest. Parents are made after their children, so going backwards
# through `children` you meet every node after its parent.


# %%
def paths(children):
    """(path, sign), both (V, L)."""
    ### BEGIN SOLUTION 12.2
    ### HINT Keep for every node the list of (row, sign) that leads to it; that of the root, node
    ###      2V − 2, is empty.
    ### HINT for i in reversed(range(V - 1)): both children of node V + i get its list and one entry
    ###      more, (i, +1) or (i, −1).
    ### HINT At last copy the lists of the leaves 0 … V − 1 into arrays of zeros.
    V = len(children) + 1
    steps = {2 * V - 2: []}
    for i in reversed(range(V - 1)):
        left, right = children[i].tolist()
        steps[left] = [*steps[V + i], (i, 1)]
        steps[right] = [*steps[V + i], (i, -1)]
    longest = max(len(steps[v]) for v in range(V))
    path, sign = np.zeros((2, V, longest), dtype=int)
    for v in range(V):
        for l, (i, s) in enumerate(steps[v]):
            path[v, l], sign[v, l] = i, s
    return path, sign
    ### END SOLUTION


# %%
def paths_by_climbing(children):
    """From every leaf up to the root."""
    V = len(children) + 1
    rows = []
    for node in range(V):
        row = []
        while node != 2 * V - 2:
            [[i, side]] = np.argwhere(children == node)
            row.insert(0, (i, 1 - 2 * side))
            node = V + i
        rows.append(row)
    L = max(len(row) for row in rows)
    padded = np.array([row + [(0, 0)] * (L - len(row)) for row in rows])
    return padded[:, :, 0], padded[:, :, 1]


def upwards(children):
    """The mistake of 12.2: each row from the leaf to the root."""
    path, sign = paths_by_climbing(children)
    for v in range(len(path)):
        n = np.count_nonzero(sign[v])
        path[v, :n], sign[v, :n] = path[v, :n][::-1].copy(), sign[v, :n][::-1].copy()
    return path, sign


check(
    "12.2",
    paths,
    np.array([[0, 3], [4, 6], [2, 7], [1, 5], [9, 8]]),  # six leaves
    expected=paths_by_climbing,
    mistakes={
        "left is +1 and right is −1, these are exchanged": lambda children: (
            paths_by_climbing(children)[0],
            -paths_by_climbing(children)[1],
        ),
        "right is −1, not 0, which is for what is behind the end (see D20)": lambda children: (
            paths_by_climbing(children)[0],
            np.maximum(paths_by_climbing(children)[1], 0),
        ),
        "these paths go from the leaf to the root": upwards,
        "these are the nodes' numbers V + i: path has their rows i": lambda children: (
            np.where(paths_by_climbing(children)[1] != 0, paths_by_climbing(children)[0] + 6, 0),
            paths_by_climbing(children)[1],
        ),
    },
)

# %% [markdown]
# Eight groceries and their tree. The path of tea is marked: six questions, while milk needs two.

# %%
GROCERIES = {
    "milk": 31,
    "bread": 22,
    "rolls": 17,
    "apples": 10,
    "beer": 7,
    "butter": 5,
    "tea": 3,
    "saffron": 1,
}
shop_counts = np.array(list(GROCERIES.values()))
shop_tree = huffman(shop_counts)
shop_path, shop_sign = paths(shop_tree)


def draw_tree(ax, children, names, counts, marked):
    """The tree with its leaves in a row of their own order and the path to one leaf marked."""
    V = len(names)
    place, weight = {}, [*counts, *[0] * (V - 1)]
    for i, (left, right) in enumerate(children):
        weight[V + i] = weight[left] + weight[right]
    free = iter(range(V))

    def settle(node, level):
        if node < V:
            place[node] = (next(free), -level)
        else:
            left, right = (settle(child, level + 1) for child in children[node - V])
            place[node] = ((left + right) / 2, -level)
        return place[node][0]

    settle(2 * V - 2, 0)
    on_path, node = {marked}, marked
    for i, row in enumerate(children):
        if node in row:
            node = V + i
            on_path.add(node)
    for i, row in enumerate(children):
        for child, mark in zip(row, ("+", "−"), strict=True):
            (x0, y0), (x1, y1) = place[V + i], place[child]
            chosen = child in on_path
            colour = RED if chosen else GREY
            ax.plot([x0, x1], [y0, y1], color=colour, linewidth=2.2 if chosen else 1, zorder=1)
            side = -0.13 if mark == "+" else 0.13
            ax.text(0.5 * (x0 + x1) + side, 0.5 * (y0 + y1) + 0.08, mark, color=colour, ha="center")
    for node, (x, y) in place.items():
        if node < V:
            text, face = f"{names[node]}\n{weight[node]}", "white"
            edge = RED if node == marked else BLUE
        else:
            text, face, edge = f"$O_{node - V}$: {weight[node]}", "#eeeeee", "#888888"
        box = {"boxstyle": "round,pad=0.3", "facecolor": face, "edgecolor": edge}
        ax.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=box, zorder=2)
    deepest = min(y for _, y in place.values())
    ax.set(xlim=(-0.7, V - 0.3), ylim=(deepest - 0.5, 0.5))
    ax.axis("off")


figure, ax = plt.subplots(figsize=(8.6, 5), layout="constrained")
draw_tree(ax, shop_tree, list(GROCERIES), shop_counts, marked=list(GROCERIES).index("tea"))
ax.set_title("Huffman's tree of eight groceries; each inner node has a vector and a count")
show("huffman tree")
for v, name in enumerate(GROCERIES):
    print(f"{name:8} path {shop_path[v]}  sign {shop_sign[v]}")

# %% [markdown]
# How short is short? With $f$ the share of each item and $L(v)$ the length of its path, Shannon:
#
# $$ \text{entropy} = -\sum_v f_v \log_2 f_v \;\le\; \sum_v f_v L(v) \;<\; \text{entropy} + 1
#    \tag{12.6} $$
#
# No tree is shorter than the entropy, and Huffman's is less than one question longer. And
# $\sum_v 2^{-L(v)} = 1$ (Kraft): a tree in which no code is wasted.
#
# The slide says “$O(\log_2 N)$ by using a binary tree”. *A* binary tree will not do: a chain is one
# too, and halves nothing.


# %%
def entropy_bits(counts):
    """Of the shares, in bits."""
    f = counts / counts.sum()
    return -(f * np.log2(f)).sum()


def depths(children):
    """Length of the path of every leaf."""
    return np.count_nonzero(paths(children)[1], axis=1)


def mean_length(children, counts):
    """Questions per pair, (12.6)."""
    return depths(children) @ counts / counts.sum()


def tree_of_halves(order):
    """Halves of halves of the items, in this order: every path ⌊log₂ V⌋ or ⌈log₂ V⌉ long."""
    V, children = len(order), []

    def build(items):
        if len(items) == 1:
            return items[0]
        middle = (len(items) + 1) // 2
        left, right = build(items[:middle]), build(items[middle:])
        children.append((left, right))
        return V + len(children) - 1

    build(list(order))
    return np.array(children)


def chain(V):
    """Item 0 is one question away from the root, item 1 two, and so on."""
    return np.array([[V - 2 - i, V + i - 1 if i else V - 1] for i in range(V - 1)])


code_table = {}
for label, counts in {
    "Zipf, V = 50": 1 / np.arange(1, 51),
    "Zipf, V = 1000": 1 / np.arange(1, 1001),
    "uniform, V = 1000": np.ones(1000),
}.items():
    V = len(counts)
    trees = {
        "Huffman": huffman(counts),
        "balanced": tree_of_halves(range(V)),
        "chain": chain(V),
    }
    code_table[label] = {
        "entropy": entropy_bits(counts),
        **{name: mean_length(tree, counts) for name, tree in trees.items()},
        "Kraft": sum(0.5 ** depths(trees["Huffman"])),
    }
    print(f"{label:18}", {name: float(round(x, 2)) for name, x in code_table[label].items()})

zipf = 1 / np.arange(1, 51)
f_zipf = zipf / zipf.sum()
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
axes[0].plot([2, 8], [2, 8], color=GREY, linewidth=0.8, linestyle=":")
axes[0].plot(-np.log2(f_zipf), depths(huffman(zipf)), "o", markersize=4, color=BLUE)
axes[0].axhline(np.log2(50), color=RED, linewidth=1)
axes[0].text(2, np.log2(50) + 0.1, "log₂ 50", color=RED)
axes[0].set(title="Zipf, 50 items", xlabel="−log₂ f (bits)", ylabel="length of the path")
ranks = 2 ** np.arange(3, 14)
lengths_by_size = {
    "log₂ V": np.log2(ranks),
    "Huffman, Zipf": [mean_length(huffman(1 / np.arange(1, V + 1)), 1 / np.arange(1, V + 1))
                      for V in ranks],
    "entropy, Zipf": [entropy_bits(1 / np.arange(1, V + 1)) for V in ranks],
}  # fmt: skip
for (name, values), colour, style in zip(
    lengths_by_size.items(), (RED, BLUE, GREY), ("-", "o-", ":"), strict=True
):
    axes[1].semilogx(ranks, values, style, base=2, markersize=4, color=colour, label=name)
axes[1].legend(frameon=False)
axes[1].set(title="mean length, bits", xlabel="V")
show("code lengths")

# %% [markdown]
# ## 3. What the slide's formula computes (D20)
#
# The slide writes the sign as $I_{n(w, j+1) = ch(n(w, j))}$, the usual notation for *1 if true, 0
# if not*. Mikolov et al. write $[\![\cdot]\!]$ and define it as **1 if true, −1 if not**. With 0 a
# step to the right has the factor $\sigma(0 \cdot O_n \cdot h) = \sigma(0) = ½$, whatever the
# node's vector. Then the two ways out of a node have the probabilities $\sigma(a)$ and ½, which are
# not a distribution, and nor are the leaves:


# %%
def path_probabilities(h, O, path, on_path, factor):
    """Products of σ(factor · O_n·h) over each path, of all items, (V,)."""
    a = O[path] @ h
    return np.where(on_path, 1 / (1 + np.exp(-factor * a)), 1).prod(axis=1)


def sums_over_the_tree(children, seed, D=5):
    """Σ_w p(w|h) with signs ±1, and with 1 and 0."""
    rng = np.random.default_rng(seed)
    path, sign = paths(children)
    h, O = rng.normal(size=D), rng.normal(size=(len(children), D))
    return (
        path_probabilities(h, O, path, sign != 0, sign).sum(),
        path_probabilities(h, O, path, sign != 0, (sign == 1) * 1).sum(),
    )


tree_sums = np.array([sums_over_the_tree(huffman(zipf), seed) for seed in range(200)])
print(f"±1:      Σp − 1 at most {np.abs(tree_sums[:, 0] - 1).max():.0e} over 200 draws of O and h")
print(f"1 and 0: Σp from {tree_sums[:, 1].min():.2f} to {tree_sums[:, 1].max():.2f}")
print(f"         the first five: {tree_sums[:5, 1].round(2)}")

# %% [markdown]
# And it cannot be trained. Take two words, each as frequent as the other: one node, one number
# $a$. The right formula has its minimum at $a = 0$, both words ½. With the slide's, $a$ occurs only
# where the answer is left, so more is always better: $a \to \infty$, and the word on the right
# stays at ½.

# %%
a_axis = np.linspace(-4, 8, 400)
right_loss = 0.5 * np.logaddexp(0, -a_axis) + 0.5 * np.logaddexp(0, a_axis)
slide_loss = 0.5 * np.logaddexp(0, -a_axis) + 0.5 * np.log(2)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].hist(tree_sums[:, 1], bins=30, color=RED)
axes[0].axvline(1, color=BLUE, linewidth=2)
axes[0].text(1.7, 30, "with ±1 always 1", color=BLUE)
axes[0].set(title="1 and 0: Σp over 50 items, 200 draws", xlabel="Σp", ylabel="draws")
axes[1].plot(a_axis, right_loss, color=BLUE, label="±1")
axes[1].plot(a_axis, slide_loss, color=RED, label="1 and 0")
axes[1].legend(frameon=False)
axes[1].set(title="two words, ½ each", xlabel="a", ylabel="mean loss (nats)")
show("slide's indicator")
print(f"±1: least loss at a = {a_axis[right_loss.argmin()]:.2f}; "
      f"1 and 0: still falling at a = {a_axis[slide_loss.argmin()]:.0f}")  # fmt: skip

# %% [markdown]
# The same formula's other slip: its product runs to $L(w_t) - 1$, but $w_t$ is another word. ($-1$
# is right there: the paper counts the leaf as a node of the path, (12.5) does not.) With one word's
# length for all, paths are cut or run out:

# %%
length_of_all = {}
shop_rng = np.random.default_rng(3)
shop_h, shop_O = shop_rng.normal(size=4), shop_rng.normal(size=(7, 4))
for name in GROCERIES:
    own = np.count_nonzero(shop_sign[list(GROCERIES).index(name)])
    cut = (shop_sign != 0) & (np.arange(shop_sign.shape[1]) < own)
    length_of_all[name] = path_probabilities(shop_h, shop_O, shop_path, cut, shop_sign).sum()
print("Σp with the path length of one word for all:")
print({name: float(round(total, 3)) for name, total in length_of_all.items()})

# %% [markdown]
# (Only the deepest words' length leaves the other paths whole, in code that stops at their ends.)
#
# ## 4. Learning the answers
#
# Of (12.5), with $a_l = O_{n_l} \cdot h$:
#
# $$ L = -\sum_l \log \sigma(\mathrm{sign}_l\, a_l) \tag{12.7} $$
# $$ \frac{\partial L}{\partial a_l} = -\mathrm{sign}_l\, \sigma(-\mathrm{sign}_l\, a_l)
#    = \sigma(a_l) - [\mathrm{sign}_l = 1] \tag{12.8} $$
#
# Prediction minus target at every node, as in logistic regression (1.13): a path *is* $L$ logistic
# regressions. And since $a_l$ is a dot product,
#
# $$ \mathrm{d}h = \sum_l \frac{\partial L}{\partial a_l} O_{n_l}, \qquad
#    \mathrm{d}O_{n_l} = \frac{\partial L}{\partial a_l} h \tag{12.9} $$
#
# ### Exercise 12.3 · The loss of a path, with its backward
#
# `vectors` $(B, L, D)$ are the rows $O[\text{path}]$ of each pair's target, `sign` $(B, L)$ its
# signs. Return the **mean** over the batch of (12.7) and `backward(dloss=1.0)`, which returns `dh`
# $(B, D)$ and `dvectors` $(B, L, D)$. What is behind the end of a path (`sign` 0) counts nothing.
# The check moves every number a little and measures.


# %%
def sigmoid(a):
    """σ(a)."""
    return 0.5 * (1 + np.tanh(0.5 * a))


def path_loss(h, vectors, sign):
    """(loss, backward) of (12.7), mean over the batch; backward(dloss) → (dh, dvectors)."""
    ### BEGIN SOLUTION 12.3
    ### HINT a is (B, L): np.einsum("bld,bd->bl", vectors, h). −log σ(x) is np.logaddexp(0, −x).
    ### HINT σ(0) is ½, so a padded step would cost log 2: np.where(sign != 0, ..., 0). In (12.8)
    ###      the factor sign makes it 0 by itself.
    ### HINT dh sums over l: np.einsum("bl,bld->bd", da, vectors); dvectors is da[:, :, None] times
    ###      h[:, None, :].
    a = np.einsum("bld,bd->bl", vectors, h)
    loss = np.where(sign != 0, np.logaddexp(0, -sign * a), 0).sum() / len(h)  # (12.7)

    def backward(dloss=1.0):
        da = -sign * sigmoid(-sign * a) * dloss / len(h)  # (12.8)
        return np.einsum("bl,bld->bd", da, vectors), da[:, :, None] * h[:, None, :]  # (12.9)

    return loss, backward
    ### END SOLUTION


# %%
rng = np.random.default_rng(123)
sign_check = np.array([[1, -1, 0, 0], [-1, -1, 1, -1], [1, 1, -1, 0]])


def path_loss_by_loop(h, vectors, sign=sign_check, right=-1, padded=0.0, divisor=3):
    """(12.7), step by step, and mistakes in it."""
    loss = 0.0
    for b in range(len(h)):
        for l in range(sign.shape[1]):
            s = {1: 1, -1: right, 0: 0}[int(sign[b, l])]
            p = 1 / (1 + np.exp(-s * (vectors[b, l] @ h[b])))
            loss -= np.log(p) if sign[b, l] else padded
    return loss / divisor


def wrong_pair(forward, da):
    """A pair with this loss and (12.9) behind these ∂L/∂a, for the mistakes."""

    def pair(h, vectors):
        a = np.einsum("bld,bd->bl", vectors, h)

        def backward(dloss=1.0):
            d = da(a, sign_check) * dloss / 3
            return np.einsum("bl,bld->bd", d, vectors), d[:, :, None] * h[:, None, :]

        return forward(h, vectors), backward

    return pair


check(
    "12.3",
    lambda h, vectors: path_loss(h, vectors, sign_check),
    rng.normal(size=(3, 5)),
    rng.normal(size=(3, 4, 5)),
    forward=path_loss_by_loop,
    mistakes={
        "each step behind the end of a path has cost log 2: leave out where sign is 0": wrong_pair(
            lambda h, v: path_loss_by_loop(h, v, padded=np.log(0.5)),
            lambda a, s: -s / (1 + np.exp(s * a)),
        ),
        "this is the slide's formula (D20): right has the factor −1, not 0": wrong_pair(
            lambda h, v: path_loss_by_loop(h, v, right=0),
            lambda a, s: np.where(s == 1, -1 / (1 + np.exp(a)), 0),
        ),
        "this is the sum over the batch, not its mean": wrong_pair(
            lambda h, v: path_loss_by_loop(h, v, divisor=1),
            lambda a, s: -3 * s / (1 + np.exp(s * a)),
        ),
        "the sign is missing: every step is taken as one to the left": wrong_pair(
            lambda h, v: path_loss_by_loop(h, v, right=1),
            lambda a, s: -np.abs(s) / (1 + np.exp(a)),
        ),
        "∂L/∂a is σ(a) − 1 for a step to the left and σ(a) for one to the right": wrong_pair(
            path_loss_by_loop, lambda a, s: np.abs(s) * (1 / (1 + np.exp(-a)) - (s == -1))
        ),
        "σ(a) − [left] is not 0 behind the end of a path: multiply by sign ≠ 0": wrong_pair(
            path_loss_by_loop, lambda a, s: 1 / (1 + np.exp(-a)) - (s == 1)
        ),
    },
    about={"batch_size": 3},
)

# %% [markdown]
# **And recommending?** Training asks about one item. Ranking asks about all $V$, each with its
# path, which would be $V \log V$ products. But the paths share their nodes: ask each node once and
# add from the root down.
#
# $$ \log p(\text{left child}) = \log p(\text{node}) + \log \sigma(a_\text{node}), \qquad
#    \log p(\text{right child}) = \log p(\text{node}) + \log \sigma(-a_\text{node}) \tag{12.10} $$
#
# That is $V - 1$ products: $O(V D)$, the same as the full softmax. The tree makes *training* cheap.
#
# ### Exercise 12.4 · All items
#
# Return $\log p(v \mid h)$ of all items, $(B, V)$.


# %%
def all_log_probabilities(h, O, children):
    """log p(v|h), (B, V), for h (B, D), O (V − 1, D) and children of 12.1."""
    ### BEGIN SOLUTION 12.4
    ### HINT a = h @ O.T has a column per inner node. log p of all 2V − 1 nodes, with log 1 = 0 at
    ###      the root.
    ### HINT Rows backwards, as in 12.2: column `left` is column V + i minus np.logaddexp(0, −a_i).
    V = len(children) + 1
    a = h @ O.T
    log_p = np.zeros((len(h), 2 * V - 1))
    for i in reversed(range(V - 1)):
        left, right = children[i]
        log_p[:, left] = log_p[:, V + i] - np.logaddexp(0, -a[:, i])  # (12.10)
        log_p[:, right] = log_p[:, V + i] - np.logaddexp(0, a[:, i])
    return log_p[:, :V]
    ### END SOLUTION


# %%
def by_recursion(h, O, children, flip=1, carry=1):
    """(12.5), walking down from the root with one row at a time."""
    V = len(children) + 1
    result = np.zeros((len(h), V))

    def walk(b, node, p):
        if node < V:
            result[b, node] = np.log(p)
            return
        goes_left = 1 / (1 + np.exp(-flip * (O[node - V] @ h[b])))
        walk(b, children[node - V, 0], p**carry * goes_left)
        walk(b, children[node - V, 1], p**carry * (1 - goes_left))

    for b in range(len(h)):
        walk(b, 2 * V - 2, 1.0)
    return result


rng = np.random.default_rng(124)
check(
    "12.4",
    all_log_probabilities,
    rng.normal(size=(3, 4)),
    rng.normal(size=(5, 4)),
    np.array([[0, 3], [4, 6], [2, 7], [1, 5], [9, 8]]),
    expected=by_recursion,
    mistakes={
        "left and right are exchanged": lambda h, O, c: by_recursion(h, O, c, flip=-1),
        "this is only the last step of each path: add the parent's log p": lambda h, O, c: (
            by_recursion(h, O, c, carry=0)
        ),
        "these are probabilities, their logarithms are asked for": lambda h, O, c: np.exp(
            by_recursion(h, O, c)
        ),
    },
)

# %% [markdown]
# If only the ten best are wanted one can do with less: the probability of a node bounds that of all
# leaves below it, so whole subtrees can be left out once ten better leaves are known (branch and
# bound; `nnlib` has it). It saves much where the model is sure of itself and nothing where it is
# not.
#
# ## 5. Negative sampling
#
# The other way: give up $p(c \mid w)$. Show the model the pair $(w, c)$ that was seen and $K$
# pairs $(w, j)$ with $j$ drawn from a noise distribution $q$, and let it tell seen from drawn:
# again logistic regressions, $1 + K$ of them.
#
# $$ L = -\log \sigma(O_c \cdot h) - \sum_{k=1}^{K} \log \sigma(-O_{j_k} \cdot h),
#    \qquad j_k \sim q \tag{12.11} $$
#
# Each derivative is prediction minus target, $\sigma(O_c \cdot h) - 1$ and
# $\sigma(O_{j_k} \cdot h)$. The rest is (12.9).
#
# ### Exercise 12.5 · Negative sampling, with its backward
#
# `positive` $(B, D)$ are the rows $O_c$, `negative` $(B, K, D)$ the rows $O_{j_k}$. Return the
# **mean** over the batch of (12.11) and `backward(dloss=1.0)` → `(dh, dpositive, dnegative)`.


# %%
def negative_sampling(h, positive, negative):
    """(loss, backward) of (12.11); backward(dloss) → (dh, dpositive, dnegative)."""
    ### BEGIN SOLUTION 12.5
    ### HINT Two kinds of scores: (h * positive).sum(axis=1), (B,), and, as in 12.3,
    ###      np.einsum("bkd,bd->bk", negative, h).
    ### HINT dh gets something from the positive and from each of the K negatives.
    s = (h * positive).sum(axis=1)
    s_neg = np.einsum("bkd,bd->bk", negative, h)
    loss = (np.logaddexp(0, -s).sum() + np.logaddexp(0, s_neg).sum()) / len(h)  # (12.11)

    def backward(dloss=1.0):
        ds = (sigmoid(s) - 1) * dloss / len(h)
        ds_neg = sigmoid(s_neg) * dloss / len(h)
        dh = ds[:, None] * positive + np.einsum("bk,bkd->bd", ds_neg, negative)
        return dh, ds[:, None] * h, ds_neg[:, :, None] * h[:, None, :]

    return loss, backward
    ### END SOLUTION


# %%
def sampling_loss_by_loop(h, positive, negative, sign=-1, per_negative=1.0, divisor=4):
    """(12.11), pair by pair."""
    loss = 0.0
    for b in range(len(h)):
        loss += np.log(1 + np.exp(-(positive[b] @ h[b])))
        for k in range(negative.shape[1]):
            loss += per_negative * np.log(1 + np.exp(-sign * (negative[b, k] @ h[b])))
    return loss / divisor


def wrong_sampling(ds, ds_neg, share=1.0, **forward):
    """A pair with these derivatives of the scores; `share` of the negatives' part goes to dh."""

    def pair(h, positive, negative):
        s, s_neg = (h * positive).sum(axis=1), np.einsum("bkd,bd->bk", negative, h)

        def backward(dloss=1.0):
            d, d_neg = ds(s) * dloss / 4, ds_neg(s_neg) * dloss / 4
            dh = d[:, None] * positive + share * np.einsum("bk,bkd->bd", d_neg, negative)
            return dh, d[:, None] * h, d_neg[:, :, None] * h[:, None, :]

        return sampling_loss_by_loop(h, positive, negative, **forward), backward

    return pair


rng = np.random.default_rng(125)
check(
    "12.5",
    negative_sampling,
    rng.normal(size=(4, 5)),
    rng.normal(size=(4, 5)),
    rng.normal(size=(4, 3, 5)),
    forward=sampling_loss_by_loop,
    mistakes={
        "negatives have −s inside σ: their scores shall become small": wrong_sampling(
            lambda s: 1 / (1 + np.exp(-s)) - 1, lambda s: 1 / (1 + np.exp(-s)) - 1, sign=1
        ),
        "this is the mean over the K negatives, (12.11) has their sum": wrong_sampling(
            lambda s: 1 / (1 + np.exp(-s)) - 1,
            lambda s: 1 / (1 + np.exp(-s)) / 3,
            per_negative=1 / 3,
        ),
        "dh lacks what comes from the negatives": wrong_sampling(
            lambda s: 1 / (1 + np.exp(-s)) - 1, lambda s: 1 / (1 + np.exp(-s)), share=0.0
        ),
        "the target of the positive is 1: σ(s) − 1": wrong_sampling(
            lambda s: 1 / (1 + np.exp(-s)), lambda s: 1 / (1 + np.exp(-s))
        ),
        "this is the sum over the batch, not its mean": wrong_sampling(
            lambda s: 4 / (1 + np.exp(-s)) - 4, lambda s: 4 / (1 + np.exp(-s)), divisor=1
        ),
    },
    about={"batch_size": 4},
)

# %% [markdown]
# Which noise? Mikolov et al. tried, and kept
#
# $$ q_j = \frac{\mathrm{count}_j^{\alpha}}{\sum_i \mathrm{count}_i^{\alpha}}, \qquad
#    \alpha = \tfrac34 \tag{12.12} $$
#
# between popularity ($\alpha = 1$) and uniform ($\alpha = 0$): of two items, one 1000 times as
# frequent as the other, it is drawn $1000^{3/4} = 178$ times as often. For items of shops the best
# $\alpha$ is another one in every data set, sometimes even negative.
#
# Millions of draws need a quick way to draw. A uniform number can be looked up in the cumulative
# sums of $q$ in $\log_2 V$ steps. Walker's **alias table** needs two steps, whatever $V$: $V$ slots
# of equal size, each shared by at most two items. Slot $i$ belongs to item $i$ up to
# `threshold[i]` and to `alias[i]` beyond:
#
# $$ q_j = \frac1V \Big( \mathrm{threshold}_j +
#    \sum_{i:\, \mathrm{alias}_i = j} (1 - \mathrm{threshold}_i) \Big) \tag{12.13} $$
#
# To build it, write the shares as $V q_j$, in slots. An item with less than 1 leaves room in its
# slot; somebody with more than 1 fills the room and has that much less left; then it may be the one
# with less than 1.
#
# ### Exercise 12.6 · The alias table
#
# Return `threshold` (floats from 0 to 1) and `alias` (items). There are many right tables; the
# check puts yours into (12.13). `small` and `large` are lists of items, `pop()` takes the last off.


# %%
def alias_table(q):
    """(threshold, alias), both (V,), with (12.13)."""
    ### BEGIN SOLUTION 12.6
    ### HINT While there are both: take one off each list. The small one's slot is decided: its
    ###      threshold is its share, its alias the large one.
    ### HINT The large one has given 1 − share of the small one away. Put it back on the list where
    ###      it now belongs.
    ### HINT What is left in the end has share 1 (but for rounding): threshold 1.
    V = len(q)
    share = q * V
    threshold, alias = np.ones(V), np.arange(V)
    small = [j for j in range(V) if share[j] < 1]
    large = [j for j in range(V) if share[j] >= 1]
    while small and large:
        low, high = small.pop(), large.pop()
        threshold[low], alias[low] = share[low], high
        share[high] -= 1 - share[low]
        (small if share[high] < 1 else large).append(high)
    return threshold, alias
    ### END SOLUTION


# %%
def distribution_of(table):
    """(12.13)."""
    threshold, alias = table
    q = np.array(threshold, dtype=float)
    for i in range(len(q)):
        q[alias[i]] += 1 - threshold[i]
    return q / len(q)


q_check = np.array([0.05, 0.31, 0.02, 0.22, 0.11, 0.29])
check(
    "12.6",
    lambda q: distribution_of(alias_table(q)),
    q_check,
    expected=lambda q: q,
    mistakes={
        "the table draws every item equally often": lambda q: np.full(6, 1 / 6),
        "the large one has not been made smaller by what it gave away": lambda q: distribution_of(
            (np.minimum(6 * q, 1), np.where(6 * q < 1, 5, np.arange(6)))
        ),
    },
)

# %% [markdown]
# A uniform slot, a uniform number, two look-ups:


# %%
def draw_negatives(rng, table, n):
    """n items from an alias table."""
    threshold, alias = table
    slot = rng.integers(len(alias), size=n)
    return np.where(rng.random(n) < threshold[slot], slot, alias[slot])


noise = shop_counts**0.75 / (shop_counts**0.75).sum()
drawn = np.bincount(draw_negatives(np.random.default_rng(4), alias_table(noise), 200_000))
draw_errors = (drawn / 200_000 - noise) / np.sqrt(noise * (1 - noise) / 200_000)
for j, name in enumerate(GROCERIES):
    print(f"{name:8} count {shop_counts[j]:2}  q {noise[j]:.4f}  drawn {drawn[j] / 200_000:.4f}")
print(f"largest deviation: {np.abs(draw_errors).max():.1f} standard errors")

# %% [markdown]
# ## 6. Time per pair
#
# A whole step for pairs whose targets follow Zipf's law: loss, gradients, and the change of $O$.
# $D = 64$, $K = 5$, single precision, one core. The full softmax does as many pairs at once as make
# its products efficient. All three look only at what they need: the others change a few rows of
# $O$, the full softmax changes them all.


# %%
def full_step(h, O, target, lr):
    """(12.1) and (12.2) for a batch; changes O, returns dh."""
    ds = softmax(h @ O.T)
    ds[np.arange(len(h)), target] -= 1
    dh = ds @ O
    O -= lr / len(h) * (ds.T @ h)
    return dh


def tree_step(h, O, target, path, sign, lr):
    """(12.7) to (12.9); steps behind the longest path of the batch are cut off."""
    longest = np.count_nonzero(sign[target], axis=1).max()
    nodes, signs = path[target, :longest], sign[target, :longest]
    _, backward = path_loss(h, O[nodes], signs)
    dh, dvectors = backward()
    np.add.at(O, nodes, -lr * dvectors)  # a node may come several times
    return dh


def sampled_step(h, O, target, negatives, lr):
    """(12.11); negatives (B, K)."""
    _, backward = negative_sampling(h, O[target], O[negatives])
    dh, dpositive, dnegative = backward()
    np.add.at(O, target, -lr * dpositive)
    np.add.at(O, negatives, -lr * dnegative)
    return dh


def seconds(repeats, step, *inputs):
    """The least CPU time of several runs of step(*inputs)."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        step(*inputs)
        times.append(time.process_time() - start)
    return min(times)


SIZES = 2 ** np.arange(10, 18)
FORMS = {"full softmax": RED, "hierarchical softmax": BLUE, "negative sampling": GREEN}
step_times = {name: [] for name in FORMS}
rows_touched = {name: [] for name in FORMS}  # of O, for one pair, on average
rng = np.random.default_rng(5)
one = np.float32(1)
for V in SIZES:
    share = 1 / np.arange(1, V + 1)
    share /= share.sum()
    tree_path, tree_sign = paths(huffman(share))
    tree_sign = tree_sign.astype(np.float32)
    table = alias_table(share**0.75 / (share**0.75).sum())
    few, many = 64, 1024
    h = rng.standard_normal((many, 64), np.float32)
    O = rng.standard_normal((V, 64), np.float32) / 10
    target = rng.choice(V, many, p=share)
    negatives = draw_negatives(rng, table, many * 5).reshape(many, 5)
    for name, pairs, inputs in (
        ("full softmax", few, (full_step, h[:few], O, target[:few], one)),
        ("hierarchical softmax", many, (tree_step, h, O, target, tree_path, tree_sign, one)),
        ("negative sampling", many, (sampled_step, h, O, target, negatives, one)),
    ):
        step_times[name].append(seconds(3, *inputs) / pairs)
    rows_touched["full softmax"].append(V)
    rows_touched["hierarchical softmax"].append(np.count_nonzero(tree_sign, axis=1) @ share)
    rows_touched["negative sampling"].append(1 + 5)

time_slopes, row_slopes = (
    {name: np.polyfit(np.log(SIZES), np.log(values), 1)[0] for name, values in found.items()}
    for found in (step_times, rows_touched)
)
for name in FORMS:
    print(
        f"{name:21} {1e6 * step_times[name][0]:8.2f} µs a pair at 2¹⁰, "
        f"{1e6 * step_times[name][-1]:9.2f} at 2¹⁷: time ∝ V^{time_slopes[name]:.2f}; "
        f"rows of O {rows_touched[name][0]:.1f} and {rows_touched[name][-1]:.1f}"
    )
full_over_tree = step_times["full softmax"][-1] / step_times["hierarchical softmax"][-1]
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained")
for name, colour in FORMS.items():
    axes[0].loglog(SIZES, 1e6 * np.array(step_times[name]), "o-", color=colour, markersize=4)
    label_at = 4 if name == "full softmax" else -1
    axes[0].text(
        SIZES[label_at], 1.3e6 * step_times[name][label_at], name, color=colour, ha="right"
    )
    if name != "full softmax":
        axes[1].text(SIZES[-1], rows_touched[name][-1] - 2.4, name, color=colour, ha="right")
        axes[1].semilogx(SIZES, rows_touched[name], "o-", color=colour, markersize=4)
axes[1].semilogx(SIZES, np.log2(SIZES), color=GREY, linestyle=":", base=2)
axes[1].text(SIZES[3], 14, "log₂ V", color=GREY, ha="right")
for ax in axes:
    ax.set_xscale("log", base=2)
axes[0].set(title="time of a step, per pair", xlabel="V", ylabel="µs")
axes[1].set(title="rows of O per pair (full: V)", xlabel="V", ylim=(0, 18))
show("time per pair")

# %% [markdown]
# The full softmax costs as much as there are items, and more once its tables no longer fit into the
# cache: the exponent is above 1. The tree costs as much as its paths are long, 4.2 rows more at
# $2^{17}$ than at $2^{10}$. Negatives do not know how many items there are. (At $2^{10}$ the full
# softmax is no slower than the tree: a large matrix product is the best a processor can do, looking
# up rows here and there the worst.)
#
# ## 7. Which tree?
#
# All trees give a distribution. But each node asks *one* neuron a question about *all* items below
# it. If milk, nails and novels are on the left and bread, hammers and poems on the right, the
# answer is no simple function of $h$. Morin and Bengio (2005; the two of them, the slide's “et. al”
# has nobody behind it: D24) took their tree from a dictionary of concepts, so that a question means
# something. Without a dictionary: let similar items be neighbours, where similar means to occur
# with the same others.
#
# A made-up language of 128 words in 16 topics. Topics follow each other, words are drawn from the
# topic by Zipf's law, now and then from any. Pairs are neighbours in a sentence of six words.


# %%
def topics_of(V, C):
    """The topic of each word and p(word | topic), (C, V): part of the world, not of the draw."""
    rng = np.random.default_rng(99)
    topic = rng.permutation(np.arange(V) % C)
    popularity = 1 / (1 + rng.permutation(V))
    inside = np.where(topic == np.arange(C)[:, None], popularity, 0)
    inside /= inside.sum(axis=1, keepdims=True)
    return topic, 0.85 * inside + 0.15 * popularity / popularity.sum()


def sentences(seed, n, V=128, C=16, length=6):
    """(n, length): a word keeps the topic (0.7), or has the next one or any (0.15 each)."""
    rng = np.random.default_rng(seed)
    cumulative = topics_of(V, C)[1].cumsum(axis=1)
    topic, words = rng.integers(C, size=n), []
    for _ in range(length):
        u = rng.random(n)
        topic = np.where(u < 0.7, topic, np.where(u < 0.85, topic + 1, rng.integers(C, size=n))) % C
        drawn = (rng.random(n)[:, None] > cumulative[topic]).sum(axis=1)
        words.append(np.minimum(drawn, V - 1))
    return np.stack(words, axis=1)


def pairs_of(text, window=1):
    """(w, c) of all words at most `window` apart, both ways, (P, 2)."""
    found = []
    for gap in range(1, window + 1):
        w, c = text[:, :-gap].ravel(), text[:, gap:].ravel()
        found += [np.column_stack([w, c]), np.column_stack([c, w])]
    return np.concatenate(found)


def count_pairs(pairs, V):
    """N (V, V)."""
    N = np.zeros((V, V))
    np.add.at(N, tuple(pairs.T), 1)
    return N


# %% [markdown]
# The tree from data is built from above. A word's row is $\sqrt{p(c \mid w)}$ over its partners
# $c$; the words are sorted along the direction in which their rows differ most (the first singular
# vector) and cut in the middle, and so on in each half. The random tree has the same shape.


# %%
def order_by_halves(X, items=None):
    """The items in the order of a tree of similar ones; X (V, any), a row per item."""
    items = np.arange(len(X)) if items is None else items
    if len(items) < 3:
        return items
    centred = X[items] - X[items].mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    items = items[np.argsort(along, kind="stable")]
    middle = (len(items) + 1) // 2
    return np.concatenate([order_by_halves(X, items[:middle]), order_by_halves(X, items[middle:])])


def trees_of(pairs, V, seed):
    """name → children."""
    N = count_pairs(pairs, V)
    rows = np.sqrt(N / np.maximum(N.sum(axis=1, keepdims=True), 1))
    return {
        "Huffman": huffman(N.sum(axis=0)),
        "similar together": tree_of_halves(order_by_halves(rows)),
        "random": tree_of_halves(np.random.default_rng(seed).permutation(V)),
    }


# %% [markdown]
# Skip-gram with each of them and with the full softmax: Adagrad (lesson 08), batches of 1024, eight
# passes over 40,000 pairs; perplexity $e^L$ on 20,000 pairs of other sentences.

# %%
from nnlib import Adagrad, Adam, Parameter


def softmax_loss(h, O, target):
    """(loss, backward) of (12.1); backward(dloss) → (dh, dO)."""
    p = softmax(h @ O.T)
    loss = -np.log(p[np.arange(len(h)), target]).mean()

    def backward(dloss=1.0):
        ds = p.copy()
        ds[np.arange(len(h)), target] -= 1
        ds *= dloss / len(h)
        return ds @ O, ds.T @ h

    return loss, backward


def train_skip_gram(pairs, V, D, children=None, seed=0, epochs=8, B=1024, lr=0.5):
    """(E, O) after training, with the full softmax where there is no tree."""
    rng = np.random.default_rng(seed)
    E = Parameter(rng.uniform(-0.5, 0.5, size=(V, D)))
    O = Parameter(np.zeros((V if children is None else V - 1, D)))
    optimizer = Adagrad([E, O], lr)
    path, sign = (None, None) if children is None else paths(children)
    for _ in range(epochs):
        order = rng.permutation(len(pairs))
        for i in range(0, len(order) - B + 1, B):
            w, c = pairs[order[i : i + B]].T
            h = E.value[w]
            if children is None:
                dh, dO = softmax_loss(h, O.value, c)[1]()
                O.accumulate(dO)
            else:
                dh, dvectors = path_loss(h, O.value[path[c]], sign[c])[1]()
                O.accumulate_rows(path[c].ravel(), dvectors.reshape(-1, D))
            E.accumulate_rows(w, dh)
            optimizer.step()
    return E.value, O.value


def perplexity(E, O, pairs, children=None):
    """exp of the mean loss."""
    log_p = np.log(softmax(E @ O.T)) if children is None else all_log_probabilities(E, O, children)
    return np.exp(-log_p[tuple(pairs.T)].mean())


perplexities = {}
for D, seeds in ((8, 5), (16, 2)):
    found = {name: [] for name in ("full softmax", "Huffman", "similar together", "random")}
    for seed in range(seeds):
        pairs_train = pairs_of(sentences(seed, 4000))
        pairs_test = pairs_of(sentences(seed + 100, 2000))
        for name, tree in {"full softmax": None, **trees_of(pairs_train, 128, seed)}.items():
            E_t, O_t = train_skip_gram(pairs_train, 128, D, tree, seed)
            found[name].append(perplexity(E_t, O_t, pairs_test, tree))
    perplexities[D] = {name: np.array(values) for name, values in found.items()}
    print(f"D = {D}, perplexity on other sentences, {seeds} seeds, mean (least to largest):")
    for name, values in perplexities[D].items():
        excess = np.mean(values / perplexities[D]["full softmax"] - 1)
        print(f"  {name:17} {values.mean():6.2f} ({values.min():.2f} to {values.max():.2f}), "
              f"{excess:+.1%}")  # fmt: skip
unigram = np.bincount(pairs_train[:, 1], minlength=128) / len(pairs_train)
unigram_perplexity = np.exp(-np.log(unigram[pairs_test[:, 1]]).mean())
print(f"by frequency alone: {unigram_perplexity:.1f}")
toy_lengths = {
    name: mean_length(tree, unigram) for name, tree in trees_of(pairs_train, 128, 0).items()
}
print("mean length:", {name: float(round(bits, 2)) for name, bits in toy_lengths.items()})

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for ax, (D, found) in zip(axes, perplexities.items(), strict=True):
    for i, (name, colour) in enumerate(zip(found, (RED, BLUE, GREEN, GREY), strict=True)):
        excess = 100 * (found[name] / found["full softmax"] - 1)
        ax.plot(np.full(len(excess), i), excess, "o", color=colour, alpha=0.7)
    ax.axhline(10, color=GREY, linestyle=":")
    ax.set_xticks(range(4), ["full", "Huffman", "similar\ntogether", "random"])
    ax.set(title=f"D = {D}, {len(found['random'])} seeds", xlim=(-0.4, 3.4), ylim=(-0.5, 11))
axes[0].set_ylabel("perplexity above that\nof the full softmax, %")
show("which tree")

# %% [markdown]
# With eight factors the tree of similar words is close to the full softmax. Huffman's, which puts
# words together because they are equally frequent, is some 7 % behind, and so is the random one.
# With sixteen factors there is room to answer senseless questions too, and **the difference is
# nearly gone**: a good tree saves factors. (Huffman's has the shorter paths, as printed above.)
#
# ## 8. What negative sampling learns
#
# It is not $p(c \mid w)$. What is it? Take (12.11) in expectation over all pairs and all draws, and
# collect by score $S_{wc} = E_w \cdot O_c$: as a positive it occurs $N_{wc}$ times, as a negative
# of $w$, who comes $n_w$ times with $K$ draws each, $K n_w q_c$ times.
#
# $$ L = -\frac1n \sum_{w,c} \big[ N_{wc} \log \sigma(S_{wc}) +
#    K n_w q_c \log \sigma(-S_{wc}) \big] \tag{12.14} $$
#
# ### Exercise 12.7 · The gradient of the expectation
#
# Return $\partial L / \partial S$, $(V, V)$, given $S$, $N$, $K$ and $q$.


# %%
def expected_loss(S, N, K, q):
    """(12.14)."""
    drawn = K * np.outer(N.sum(axis=1), q)
    return (N * np.logaddexp(0, -S) + drawn * np.logaddexp(0, S)).sum() / N.sum()


def expected_gradient(S, N, K, q):
    """∂L/∂S of (12.14)."""
    ### BEGIN SOLUTION 12.7
    ### HINT Every S_wc stands in two terms; their derivatives are those of 12.5, σ(S) − 1 and σ(S).
    ### HINT N times the one and K n_w q_c times the other (np.outer), over n = Σ N.
    drawn = K * np.outer(N.sum(axis=1), q)
    return (N * (sigmoid(S) - 1) + drawn * sigmoid(S)) / N.sum()
    ### END SOLUTION


# %%
rng = np.random.default_rng(127)
N_check = rng.integers(1, 9, size=(5, 5)).astype(float)
check(
    "12.7",
    expected_gradient,
    rng.normal(size=(5, 5)),
    N_check,
    3,
    np.array([0.1, 0.3, 0.2, 0.15, 0.25]),
    gradient_of=expected_loss,
    by=("S",),
    mistakes={
        "n_w belongs to the rows, q_c to the columns: np.outer(n_w, q), not its transpose": (
            lambda S, N, K, q: (
                (N * (sigmoid(S) - 1) + K * np.outer(q, N.sum(axis=1)) * sigmoid(S)) / N.sum()
            )
        ),
        "K is missing: there are K negatives for each pair": lambda S, N, K, q: (
            (N * (sigmoid(S) - 1) + np.outer(N.sum(axis=1), q) * sigmoid(S)) / N.sum()
        ),
        "n_w is the sum over the contexts, axis=1; this is how often c is one, axis=0": (
            lambda S, N, K, q: (
                (N * (sigmoid(S) - 1) + K * np.outer(N.sum(axis=0), q) * sigmoid(S)) / N.sum()
            )
        ),
        "this is the derivative of the sum; (12.14) divides by n": lambda S, N, K, q: (
            N * (sigmoid(S) - 1) + K * np.outer(N.sum(axis=1), q) * sigmoid(S)
        ),
    },
)

# %% [markdown]
# Set it to zero. $N_{wc} (1 - \sigma) = K n_w q_c\, \sigma$, so
# $\sigma / (1 - \sigma) = e^{S} = N_{wc} / (K n_w q_c)$:
#
# $$ \boxed{\; S_{wc} = \log \frac{N_{wc}}{n_w}  - \log q_c - \log K
#    = \log p(c \mid w) - \log q_c - \log K \;} \tag{12.15} $$
#
# Levy and Goldberg (2014). For $q_c = p(c)$, popularity, that is
# $\log \frac{p(c \mid w)}{p(c)} - \log K$: the **pointwise mutual information** less $\log K$. For
# any other noise, put it in. It is the optimum if every $S_{wc}$ is free, so if $D \ge V$; and
# where $N_{wc} = 0$ it is $-\infty$.
#
# Does training get there? Fifteen items, counts above 0, 2000 steps of Adam on (12.14) with
# $\mathrm{d}E = \mathrm{d}S\, O$ and $\mathrm{d}O = \mathrm{d}S^\top E$:


# %%
def noise_of(count, alpha):
    """q ∝ count^α, (12.12)."""
    q = count**alpha
    return q / q.sum()


def optimum(N, K, q):
    """(12.15)."""
    return np.log(N) - np.log(K * np.outer(N.sum(axis=1), q))


def train_expected(N, K, q, D, steps, lr=0.05, seed=0, scale=0.5):
    """(E, O) after Adam on the expected loss, the rate falling to 0."""
    rng = np.random.default_rng(seed)
    E, O = (Parameter(rng.normal(0, scale, size=(len(N), D))) for _ in range(2))
    optimizer = Adam([E, O], lr)
    for step in range(steps):
        optimizer.lr = lr * (1 - step / steps)
        dS = expected_gradient(E.value @ O.value.T, N, K, q)
        dE, dO = dS @ O.value, dS.T @ E.value
        E.accumulate(dE)
        O.accumulate(dO)
        optimizer.step()
    return E.value, O.value


N_small = np.random.default_rng(6).integers(1, 40, size=(15, 15)).astype(float)
theorem, theorem_scores = {}, {}
for alpha in (1.0, 0.75, 0.0):
    q = noise_of(N_small.sum(axis=0), alpha)
    E_a, O_a = train_expected(N_small, 5, q, D=15, steps=2000)
    S_best = optimum(N_small, 5, q)
    theorem_scores[alpha] = (S_best, E_a @ O_a.T)
    theorem[alpha] = {
        "rmse": np.sqrt(np.mean((E_a @ O_a.T - S_best) ** 2)),
        "gradient": np.abs(expected_gradient(S_best, N_small, 5, q)).max(),
    }
pmi_small = np.log(N_small * N_small.sum() / np.outer(N_small.sum(axis=1), N_small.sum(axis=0)))
pmi_gap = np.abs(theorem_scores[1.0][0] - (pmi_small - np.log(5))).max()
theorem_by_size = {}
for D in (1, 2, 4, 8, 12, 15):
    E_a, O_a = train_expected(N_small, 5, noise_of(N_small.sum(axis=0), 1.0), D, steps=2000)
    theorem_by_size[D] = np.sqrt(np.mean((E_a @ O_a.T - theorem_scores[1.0][0]) ** 2))
for alpha, found in theorem.items():
    print(f"α = {alpha:4}: rmse of E Oᵀ from (12.15) {found['rmse']:.0e}; gradient there "
          f"{found['gradient']:.0e}")  # fmt: skip
print(f"α = 1: (12.15) is PMI − log K within {pmi_gap:.0e}")
print("rmse by D:", {D: float(f"{rmse:.2g}") for D, rmse in theorem_by_size.items()})

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for alpha, colour in zip(theorem_scores, (BLUE, RED, GREEN), strict=True):
    best, reached = theorem_scores[alpha]
    axes[0].plot(best.ravel(), reached.ravel(), "o", markersize=3, color=colour, alpha=0.6,
                 label=f"α = {alpha}")  # fmt: skip
axes[0].axline((0, 0), slope=1, color=GREY, linewidth=0.8)
axes[0].legend(frameon=False)
axes[0].set(title="D = V: reached", xlabel="log p(c|w) − log q − log K", ylabel="$E_w · O_c$")
axes[1].semilogy(list(theorem_by_size), list(theorem_by_size.values()), "o-", color=BLUE)
axes[1].axhline(1e-3, color=GREY, linestyle=":")
axes[1].set(title="fewer factors than items: not reached", xlabel="D (V = 15)", ylabel="rmse")
show("pmi")

# %% [markdown]
# The same with real draws, yours: 200,000 pairs by $N$, five negatives each from your alias table,
# their mean loss by 12.5 against (12.14).

# %%
rng = np.random.default_rng(7)
q_small = noise_of(N_small.sum(axis=0), 0.75)
E_s, O_s = rng.normal(size=(2, 15, 4))
drawn_pairs = rng.choice(15 * 15, size=200_000, p=(N_small / N_small.sum()).ravel())
w_s, c_s = np.divmod(drawn_pairs, 15)
j_s = draw_negatives(rng, alias_table(q_small), 5 * 200_000).reshape(-1, 5)
parts = [negative_sampling(E_s[w_s[i::20]], O_s[c_s[i::20]], O_s[j_s[i::20]])[0] for i in range(20)]
sampled_mean, sampled_error = np.mean(parts), np.std(parts, ddof=1) / np.sqrt(20)
exact_mean = expected_loss(E_s @ O_s.T, N_small, 5, q_small)
print(f"drawn {sampled_mean:.4f} ± {sampled_error:.4f}, expected {exact_mean:.4f}")

# %% [markdown]
# **A trap in practice:** a draw may hit the positive itself; then the same pair is pushed up and
# down. (12.14) has that in it. Most programs skip such draws; then $n_w$ becomes $n_w - N_{wc}$ in
# (12.15), which matters only for pairs that make up much of $w$.
#
# ## 9. The trap for recommenders
#
# Whoever ranks items by $E_w \cdot O_c$ ranks them by (12.15): by how much *more often than by
# chance* $c$ comes with $w$. An item seen three times, twice with $w$, beats one that follows $w$
# half of the time and everybody else often as well. For “what will be bought next?” the answer is
# $p(c \mid w)$, and (12.15) says how to get it back:
#
# $$ \log p(c \mid w) = E_w \cdot O_c + \log q_c + \text{const} \tag{12.16} $$
#
# Generated sequences: 600 items in 30 clusters, 3000 sequences of 6 to train, window 2, $D = 24$,
# $K = 5$, 150 steps of (12.14). The task: from the fifth item of 2000 new sequences the sixth; hit
# rate in 20, ties count half. Beside them popularity, the counts $N_w$ themselves, and counts
# divided by $\sqrt{n_w n_c}$ (cosine).


# %%
def hit_rate(scores, target, k=20):
    """Share of targets among the k best; an item with the same score is half before it."""
    own = scores[np.arange(len(target)), target][:, None]
    before = (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return np.mean(before < k)


def cosine(E):
    """Of all pairs of rows."""
    unit = E / np.linalg.norm(E, axis=1, keepdims=True)
    return unit @ unit.T


def neighbours_in_topic(similarity, topic, k=8):
    """Share of an item's k nearest that are of its topic."""
    similarity = similarity.copy()
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.mean(topic[nearest] == topic[:, None])


ALPHAS = (1.0, 0.75, 0.0)
hits, popularity_rank, in_topic = {}, {}, {}
topic_600 = topics_of(600, 30)[0]
for seed in range(3):
    text = sentences(seed, 5000, V=600, C=30)
    N = count_pairs(pairs_of(text[:3000], window=2), 600)
    count = np.maximum(N.sum(axis=0), 1)  # a few items are never seen: q = 0 has no logarithm
    given, target = text[3000:, 4], text[3000:, 5]
    cosine_counts = N / np.sqrt(np.outer(count, count))
    lists = {
        "popularity": np.broadcast_to(count, (2000, 600)),
        "counts": N[given],
        "cosine of counts": cosine_counts[given],
    }
    rank = np.argsort(np.argsort(-count))
    near = {"counts": N, "cosine of counts": cosine_counts}
    for alpha in ALPHAS:
        q = noise_of(count, alpha)
        E, O = train_expected(N, 5, q, D=24, steps=150, seed=seed, scale=0.1)
        lists[f"O·E, α = {alpha}"] = E[given] @ O.T
        lists[f"O·E + log q, α = {alpha}"] = E[given] @ O.T + np.log(q)
        near[f"E, α = {alpha}"] = cosine(E)
    longer, _ = train_expected(N, 5, noise_of(count, 0.75), 24, steps=300, seed=seed, scale=0.1)
    near["E, α = 0.75, 300 steps"] = cosine(longer)
    for name, scores in lists.items():
        hits.setdefault(name, []).append(hit_rate(scores, target))
        twenty = np.argsort(-scores, axis=1, kind="stable")[:, :20]
        popularity_rank.setdefault(name, []).append(np.median(rank[twenty]))
    for name, similarity in near.items():
        in_topic.setdefault(name, []).append(neighbours_in_topic(similarity, topic_600))
in_topic["random"] = [1 / 30] * 3
print("hit rate in 20 (3 seeds)            median popularity rank of what is recommended")
for name, found in hits.items():
    print(f"  {name:23} {np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})   "
          f"{np.mean(popularity_rank[name]):4.0f}")  # fmt: skip
print("share of the 8 nearest that are of the same topic:")
print({name: float(round(np.mean(found), 3)) for name, found in in_topic.items()})

figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained", sharey=True)
for i, name in enumerate(hits):
    colour = GREY if "O·E" not in name else BLUE if "log q" in name else RED
    axes[0].plot(hits[name], [i] * 3, "o", color=colour, alpha=0.7)
    axes[1].plot(popularity_rank[name], [i] * 3, "o", color=colour, alpha=0.7)
axes[0].set_yticks(range(len(hits)), list(hits))
axes[0].invert_yaxis()
axes[0].set(title="3 seeds", xlabel="hit rate in 20", xlim=(0.25, 0.65))
axes[1].set(title="of 600; 0 is the most popular", xlabel="median popularity rank in the lists")
show("ranking trap")

# %% [markdown]
# With $\alpha = 0.75$ the ranking by $O \cdot E$ is below the plain counts; with $\log q$ added,
# the same vectors are above them. The larger $\alpha$, the more popularity has been subtracted,
# and the deeper the trap; with $\alpha = 0$ there is nothing to add. It is not a mistake of
# training: both rankings come from one model.
#
# And the nearest neighbours by cosine of $E$, the other use of such vectors? Far more often of the
# same topic than random ones, and more often than those with the largest counts. **The cosine of
# the counts is not far behind, without any training, and after 300 steps instead of 150 it is
# ahead:** the model has begun to learn single pairs by heart. An embedding has to be compared with
# that cosine before it is praised.
#
# ## 10. The library says the same
#
# Its trees number the inner nodes from the root, which makes yours its numbers backwards.

# %%
from nnlib.data.histories import Histories
from nnlib.data.negatives import PopularitySampler
from nnlib.data.windows import skip_gram_pairs
from nnlib.functional import trees
from nnlib.functional.hierarchical_softmax import (
    hierarchical_softmax,
    hierarchical_softmax_backward,
    log_probabilities,
    top_k,
)
from nnlib.functional.sgns import sgns_expected
from nnlib.layers.hierarchical_softmax import HierarchicalSoftmax
from nnlib.losses.sampled import negative_sampling as nnlib_negative_sampling

rng = np.random.default_rng(10)
library_gaps = {}
counts_lib = rng.permutation(np.arange(3, 40))
V, D, B = len(counts_lib), 6, 9
mine_tree, tree_lib = huffman(counts_lib), trees.huffman(counts_lib)
path_lib, sign_lib = paths(mine_tree)
assert np.array_equal(tree_lib.sign, sign_lib)
assert np.array_equal(tree_lib.path, np.where(sign_lib != 0, V - 2 - path_lib, 0))
library_gaps["mean length"] = abs(
    trees.mean_code_length(tree_lib, counts_lib) - mean_length(mine_tree, counts_lib)
)

h_lib, O_lib = rng.normal(size=(B, D)), rng.normal(size=(V - 1, D))
target_lib = rng.integers(V, size=B)
loss_mine, back_mine = path_loss(h_lib, O_lib[path_lib[target_lib]], sign_lib[target_lib])
dh_mine, dvectors_mine = back_mine()
dO_mine = np.zeros_like(O_lib)
np.add.at(dO_mine, path_lib[target_lib], dvectors_mine)

losses_lib, saved = hierarchical_softmax(
    h_lib, O_lib[::-1], tree_lib.path[target_lib], tree_lib.sign[target_lib]
)
dh_lib, dvectors_lib = hierarchical_softmax_backward(np.full(B, 1 / B), saved)
library_gaps["path loss"] = abs(losses_lib.mean() - loss_mine)
library_gaps["its dh"] = np.abs(dh_lib - dh_mine).max()
library_gaps["its dvectors"] = np.abs(dvectors_lib - dvectors_mine).max()

layer = HierarchicalSoftmax(tree_lib, D, rng=rng).astype(np.float64)
layer.O.value[:] = O_lib[::-1]
loss_layer, back_layer = layer(h_lib, target_lib)
dh_layer = back_layer()
library_gaps["layer"] = max(
    abs(loss_layer - loss_mine),
    np.abs(dh_layer - dh_mine).max(),
    np.abs(layer.O.dense_grad() - dO_mine[::-1]).max(),
)

log_p_mine = all_log_probabilities(h_lib, O_lib, mine_tree)
library_gaps["all items"] = np.abs(
    log_probabilities(h_lib, O_lib[::-1], tree_lib) - log_p_mine
).max()
best_lib, _ = top_k(h_lib, O_lib[::-1], tree_lib, 5)
assert np.array_equal(best_lib, np.argsort(-log_p_mine, axis=1)[:, :5])  # branch and bound

pos_lib, neg_lib = rng.normal(size=(B, D)), rng.normal(size=(B, 4, D))
loss_mine, back_mine = negative_sampling(h_lib, pos_lib, neg_lib)
loss_lib, back_lib = nnlib_negative_sampling(
    (h_lib * pos_lib).sum(axis=1), np.einsum("bkd,bd->bk", neg_lib, h_lib)
)
ds_lib, ds_neg_lib = back_lib()
dh_mine, dpos_mine, dneg_mine = back_mine()
library_gaps["negative sampling"] = max(
    abs(loss_lib - loss_mine),
    np.abs(ds_lib[:, None] * h_lib - dpos_mine).max(),
    np.abs(ds_neg_lib[:, :, None] * h_lib[:, None] - dneg_mine).max(),
    np.abs(
        ds_lib[:, None] * pos_lib + np.einsum("bk,bkd->bd", ds_neg_lib, neg_lib) - dh_mine
    ).max(),
)

loss_lib, back_lib = sgns_expected(E_s, O_s, N_small, 5, q_small)
dS_mine = expected_gradient(E_s @ O_s.T, N_small, 5, q_small)
dE_lib, dO_lib = back_lib()
library_gaps["expectation"] = max(
    abs(loss_lib - exact_mean),
    np.abs(dE_lib - dS_mine @ O_s).max(),
    np.abs(dO_lib - dS_mine.T @ E_s).max(),
)
library_gaps["noise"] = np.abs(PopularitySampler(shop_counts, 0.75).probabilities - noise).max()

text_lib = sentences(0, 50)
history_lib = Histories.from_offsets(text_lib.ravel(), np.arange(0, text_lib.size + 1, 6))
batches_lib = skip_gram_pairs(history_lib, 2, rng, batch_size=64, dynamic=False)
assert np.array_equal(
    count_pairs(np.concatenate([np.column_stack(b) for b in batches_lib]), 128),
    count_pairs(pairs_of(text_lib, window=2), 128),
)
print({name: f"{gap:.0e}" for name, gap in library_gaps.items()})
assert max(library_gaps.values()) < 1e-12

# %% [markdown]
# ## What to keep
#
# - A tree turns one choice among $V$ into $\log V$ choices between two, with signs ±1 and a sum of
#   1. It makes training cheap, not ranking.
# - Huffman's tree is the shortest; a tree of similar items asks easier questions.
# - Negative sampling learns $\log p(c \mid w) - \log q_c - \log K$: PMI, if noise is popularity.
# - So know what you rank by. Add $\log q_c$ where you want what is likely.
