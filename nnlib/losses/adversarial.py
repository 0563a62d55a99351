"""Losses of generative adversarial nets: functions of a discriminator's scores, real above 0.

    fake, back_generator = generator(noise)
    loss, backward = discriminator_loss(D(real), D(fake))        a step of D
    loss, backward = generator_loss(D(fake))                     a step of G, through D

A step of G passes through D and leaves gradients on D's parameters.  They would make D worse:
clear them before D's next step.
"""

from nnlib.array import Array, Backward, array_module
from nnlib.losses.classification import logistic


def discriminator_loss(real: Array, fake: Array) -> tuple[Array, Backward]:
    """Tell real from generated: the logistic losses of two batches, each a mean, added; in nats.

        (1) L = 1/B Σ_b −log σ(r_b) + 1/C Σ_c −log(1 − σ(f_c))           r = real, f = fake
    Its least value for densities p of real and q of generated examples is log 4 − 2 JSD(p ‖ q), at
    σ(D) = p / (p + q); log 4 is the loss of a discriminator that cannot tell.

    Backward
        ∂L/∂r = (σ(r) − 1) / B,   ∂L/∂f = σ(f) / C.
    Shapes
        real (B, ...) · fake (C, ...) → L ()
    Source
        Goodfellow et al. 2014, eq. 1 · differs: of scores, and with the sign of a loss.
    """
    xp = array_module(real)
    loss_real, back_real = logistic(real, xp.ones_like(real))  # (1)
    loss_fake, back_fake = logistic(fake, xp.zeros_like(fake))  # (1)

    def backward(dloss: Array | float = 1.0) -> tuple[Array, Array]:
        return back_real(dloss), back_fake(dloss)  # (1)

    return loss_real + loss_fake, backward


def generator_loss(fake: Array) -> tuple[Array, Backward]:
    """Make fakes pass for real (non-saturating): mean over the batch, in nats.

        (1) L = 1/C Σ_c −log σ(f_c)                                       f = D(G(noise))
    Backward
        ∂L/∂f = (σ(f) − 1) / C, near −1 / C where D is not deceived.
    Shapes
        fake (C, ...) → L ()
    Source
        Goodfellow et al. 2014, end of section 3.
    """
    return logistic(fake, array_module(fake).ones_like(fake))  # (1)


def minimax_generator_loss(fake: Array) -> tuple[Array, Backward]:
    """Minus what the discriminator pays for fakes (minimax): mean over the batch, in nats.

        (1) L = 1/C Σ_c log(1 − σ(f_c))                                   f = D(G(noise))
    Backward
        ∂L/∂f = −σ(f) / C, which vanishes where D is not deceived, and then G does not learn: it
        is σ / (1 − σ) times the gradient of `generator_loss`.
    Shapes
        fake (C, ...) → L ()
    Source
        Goodfellow et al. 2014, eq. 1.
    """
    loss_fake, back_fake = logistic(fake, array_module(fake).zeros_like(fake))  # (1)

    def backward(dloss: Array | float = 1.0) -> Array:
        return back_fake(-dloss)  # (1)

    return -loss_fake, backward
