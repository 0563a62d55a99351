"""Activations, each with its derivative:  y, backward = f(x);  dx = backward(dy).

                y = f(x)                            ∂y/∂x by y          at x = 0
    linear      x                                   1                   1
    sigmoid     1 / (1 + e⁻ˣ)                       y (1 − y)           ¼
    tanh        (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)             1 − y²              1
    relu        max(x, 0)                           0 | 1               0, by convention
    leaky_relu  α x | x                             α | 1               1, by convention
    elu         α (eˣ − 1) | x                      y + α | 1           1; from below α
    selu        λ α (eˣ − 1) | λ x                  y + λ α | λ         λ; from below λ α
    softplus    log(1 + eˣ)                         1 − e⁻ʸ             ½
    softmax     e^{x_i} / Σ_j e^{x_j}               y_i (δ_ij − y_j)
    modrelu     sign(x) max(|x| + b, 0)             0 | 1               0, by convention

"below | above" separates x < 0 from x > 0.  Derivatives are written by the output y, which the
next layer keeps anyway, so that x can go.  All are stable for |x| ≤ 10³⁸.
"""

from nnlib.array import Array, Backward, array_module, fusable

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def logistic(x: Array, out: Array | None = None) -> Array:
    """σ(x) = 1 / (1 + e⁻ˣ), computed as ½ + ½ tanh(x/2): never overflows, and tanh is fast.

    `out` may be `x` itself, which saves small recurrent steps an allocation.
    """
    xp = array_module(x)
    y = xp.tanh(x * 0.5) if out is None else xp.tanh(xp.multiply(x, 0.5, out=out), out=out)
    y *= 0.5
    y += 0.5
    return y


def log_logistic(x: Array) -> Array:
    """log σ(x) = min(x, 0) − log(1 + e^−|x|): exact where σ(x) underflows, and 0 at x = ∞."""
    xp = array_module(x)
    y = xp.minimum(x, 0)
    y -= xp.log1p(xp.exp(-abs(x)))
    return y


def linear(x: Array) -> tuple[Array, Backward]:
    """No activation:  y = x, for where one must be given.

    Backward:  ∂y/∂x = 1.
    """
    return x.copy(), lambda dy: dy.copy()


def sigmoid(x: Array) -> tuple[Array, Backward]:
    """Logistic sigmoid:  y = 1 / (1 + e⁻ˣ).

    Backward:  ∂y/∂x = y (1 − y) ≤ ¼.
    """
    y = logistic(x)
    return y, lambda dy: dy * (y * (1 - y))


def tanh(x: Array) -> tuple[Array, Backward]:
    """Hyperbolic tangent:  y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).

    Backward:  ∂y/∂x = 1 − y² ≤ 1.
    """
    y = array_module(x).tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def relu(x: Array) -> tuple[Array, Backward]:
    """Rectifier:  y = max(x, 0).

    Backward:  ∂y/∂x = 1 where x > 0, otherwise 0.

    Source
        Nair & Hinton 2010 · differs: the deck prints 1 at x = 0, where any number from 0 to 1 is
        a subgradient; 0 lets nothing through units that are exactly off.
    """
    y = array_module(x).maximum(x, 0)
    return y, lambda dy: dy * (y > 0)


def leaky_relu(x: Array, alpha: float = 0.01) -> tuple[Array, Backward]:
    """Leaky rectifier:  y = x if x ≥ 0, α x otherwise, computed as max(x, 0) + α min(x, 0).

    Backward:  ∂y/∂x = 1 where x ≥ 0, otherwise α.

    Source
        Maas et al. 2013.
    """
    xp = array_module(x)
    y = xp.minimum(x, 0) * alpha + xp.maximum(x, 0)
    return y, lambda dy: dy * ((1 - alpha) * _at_least_0(x) + alpha)


@fusable
def elu(x: Array, alpha: float = 1.0) -> tuple[Array, Backward]:
    """Exponential linear unit:  y = x if x ≥ 0, α (eˣ − 1) otherwise.

    Backward:  ∂y/∂x = 1 where x ≥ 0, otherwise α eˣ = y + α.  For α ≠ 1 it jumps at 0.

    Source
        Clevert et al. 2016.
    """
    xp = array_module(x)
    y = xp.expm1(xp.minimum(x, 0))
    y *= alpha
    y += xp.maximum(x, 0)

    def backward(dy: Array) -> Array:
        dx = xp.minimum(y, 0)
        dx += alpha
        dx += (1 - alpha) * _at_least_0(y)
        dx *= dy
        return dx

    return y, backward


def selu(x: Array) -> tuple[Array, Backward]:
    """Scaled ELU:  y = λ x if x ≥ 0, λ α (eˣ − 1) otherwise.

    α = 1.6733 and λ = 1.0507 are no settings: with them, and LeCun's initial weights, mean 0 and
    variance 1 of a layer's inputs are a fixed point.

    Backward:  ∂y/∂x = λ where x ≥ 0, otherwise λ α eˣ = y + λ α.

    Source
        Klambauer et al. 2017 · differs: the deck prints λ (y + α) for x < 0, which would be
        right only if y there were the ELU without its λ (at x = −1.2: 0.467 instead of 0.530).
    """
    y, back_elu = elu(x, SELU_ALPHA)
    return SELU_SCALE * y, lambda dy: SELU_SCALE * back_elu(dy)


def softplus(x: Array) -> tuple[Array, Backward]:
    """Smooth rectifier:  y = log(1 + eˣ), computed as max(x, 0) + log(1 + e^−|x|).

    Backward:  ∂y/∂x = σ(x) = 1 − e⁻ʸ.

    Source
        Dugas et al. 2001.
    """
    xp = array_module(x)
    y = xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))
    return y, lambda dy: dy * -xp.expm1(-y)


def softmax(x: Array) -> tuple[Array, Backward]:
    """Softmax over the last axis:  y_i = e^{x_i} / Σ_j e^{x_j}.

    Its Jacobian is not diagonal: every output depends on every input.  Before a cross-entropy use
    `nnlib.losses.cross_entropy`, which contains it and stays exact where y underflows.

    Backward:  dx = y ⊙ (dy − Σ_j dy_j y_j).

    Shapes
        x (..., N) → y (..., N)
    """
    xp = array_module(x)
    y = xp.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def modrelu(x: Array, b: Array) -> tuple[Array, Backward]:
    """Rectifier of the size alone:  y = sign(x) max(|x| + b, 0).

    It moves what is large by b and turns what is small into 0, on either side: for b = 0 it is
    linear, and keeps every norm.

    Backward:  ∂y/∂x = 1 and ∂y/∂b = sign(x) where |x| + b > 0, otherwise both are 0.

    Shapes
        x (..., H) · b (H,) → y (..., H)
    Source
        Arjovsky et al. 2016, eq. 8, for real numbers as in Helfrich et al. 2018.
    """
    xp = array_module(x)
    size, sign = abs(x) + b, xp.sign(x)
    y = sign * xp.maximum(size, 0)

    def backward(dy: Array) -> tuple[Array, Array]:
        dx = dy * (size > 0)
        return dx, (dx * sign).reshape(-1, len(b)).sum(axis=0)

    return y, backward


def _at_least_0(x: Array) -> Array:
    """1 where x ≥ 0, else 0, in x's dtype; arithmetic with it is faster than `where`."""
    return (x >= 0).astype(x.dtype)
