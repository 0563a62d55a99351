"""GaussianLatent: a layer whose output is drawn from a Gaussian that its input decides."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.layer import Layer
from nnlib.layers.dense import Dense


class GaussianLatent(Layer):
    """A latent variable z with a Gaussian posterior, and its divergence from the prior N(0, I).

        (1) μ = h W_μ + b_μ
        (2) l = h W_l + b_l                          logarithm of the variances
        (3) z = μ + exp(l/2) ⊙ ε,  ε ~ N(0, I)       z = μ without `rng`: evaluation has no noise
        (4) KL = ½ Σ_k (exp(l_k) + μ_k² − 1 − l_k)   of N(μ, diag exp(l)) from N(0, I), in nats
    Written as (3), with the randomness outside, z has a gradient with respect to μ and l.

    Backward
        ∂/∂μ = dz + μ dKL
        ∂/∂l = ½ dz ⊙ ε ⊙ exp(l/2) + ½ (exp(l) − 1) dKL
    Shapes
        h (B, H) → z (B, K), KL (B,) one for each row, to be weighted as a loss needs it
    Arguments
        n_in, n_latent: H and K, ≥ 1
        rng: draws W_μ and W_l, Glorot-uniform; the biases start at 0: variances near 1
    Source
        Kingma & Welling 2014, section 2.4 and appendix B.
    """

    def __init__(self, n_in: int, n_latent: int, *, rng: np.random.Generator) -> None:
        self.mean = Dense(n_in, n_latent, rng=rng)
        self.log_variance = Dense(n_in, n_latent, rng=rng)

    def __call__(
        self, h: Array, rng: np.random.Generator | None = None
    ) -> tuple[tuple[Array, Array], Backward]:
        xp = array_module(h)
        mu, back_mean = self.mean(h)  # (1)
        l, back_log_variance = self.log_variance(h)  # (2)
        deviation = xp.exp(l / 2)
        noise = None
        if rng is not None:
            noise = deviation * rng.standard_normal(mu.shape, np.float32).astype(mu.dtype)
        z = mu.copy() if noise is None else mu + noise  # (3)
        variance = deviation * deviation
        kl = (variance + mu * mu - 1 - l).sum(axis=1) / 2  # (4)

        def backward(dz: Array, dkl: Array) -> Array:
            dmu = dz + mu * dkl[:, None]  # (4) (3)
            dl = (variance - 1) * (dkl[:, None] / 2)  # (4)
            if noise is not None:
                dl += dz * noise / 2  # (3)
            return back_log_variance(dl) + back_mean(dmu)  # (2) (1)

        return (z, kl), backward
