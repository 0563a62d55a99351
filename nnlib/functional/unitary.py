"""A unitary matrix of O(H) numbers and O(H log H) operations, as a product of simple ones.

    z U = turn_3(reflect_2(F⁻¹(turn_2(permute(reflect_1(F(turn_1(z))))))))
All of it is complex: z (B, H), one state to a row.  The gradient of a complex number is that by its
real part plus i times that by its imaginary part, so that a unitary map sends gradients through its
inverse.
"""

from nnlib.array import Array, Backward, array_module


def to_complex(x: Array) -> Array:
    """x (..., 2H), real parts | imaginary parts, as complex numbers (..., H)."""
    H = x.shape[-1] // 2
    return x[..., :H] + 1j * x[..., H:]


def to_real(z: Array) -> Array:
    """Complex numbers (..., H) as real parts | imaginary parts (..., 2H)."""
    return array_module(z).concatenate([z.real, z.imag], axis=-1)


def turn(z: Array, theta: Array) -> tuple[Array, Backward]:
    """Every coordinate turned by its own angle:  (1) y = z ⊙ e^{iθ}.

    Backward:  dz = dy ⊙ e^{−iθ},  dθ = Σ_b Im(dy ⊙ ȳ).
    """
    phase = array_module(z).exp(1j * theta)
    y = z * phase  # (1)
    return y, lambda dy: (dy * phase.conj(), (dy * y.conj()).imag.sum(axis=0))  # (1)


def reflect(z: Array, v: Array) -> tuple[Array, Backward]:
    """Reflection at the plane orthogonal to v:  (1) s_b = z_b · v̄   (2) y_b = z_b − 2 s_b v / |v|².

    Backward:  with p_b = dy_b · v̄,  dz is the reflection of dy, and
    dv = 2/|v|² (2/|v|² Re(Σ_b s_b p̄_b) v − Σ_b (p̄_b z_b + s̄_b dy_b)).
    """
    scale = 2 / (v * v.conj()).real.sum()
    s = z @ v.conj()  # (1)
    y = z - scale * s[:, None] * v  # (2)

    def backward(dy: Array) -> tuple[Array, Array]:
        p = dy @ v.conj()
        dv = scale * (s @ p.conj()).real * v - p.conj() @ z - s.conj() @ dy  # (2) (1)
        return dy - scale * p[:, None] * v, scale * dv  # (2) (1)

    return y, backward


def unitary_product(z: Array, theta: Array, v: Array, permutation: Array) -> tuple[Array, Backward]:
    """z U, with the factors of U above; F is the discrete Fourier transform over √H.

    Backward:  (dz, dθ, dv): through the inverses of the factors, from the last to the first.

    Shapes
        z (B, H) complex · theta (3, H) real · v (2, H) complex · permutation (H,) int
    Source
        Arjovsky et al. 2016, eq. 7.
    """
    xp = array_module(z)
    inverse = xp.argsort(permutation)
    z, back_1 = turn(z, theta[0])
    z, back_2 = reflect(xp.fft.fft(z, norm="ortho"), v[0])
    z, back_3 = turn(z[:, permutation], theta[1])
    z, back_4 = reflect(xp.fft.ifft(z, norm="ortho"), v[1])
    z, back_5 = turn(z, theta[2])

    def backward(dz: Array) -> tuple[Array, Array, Array]:
        dz, dtheta_2 = back_5(dz)
        dz, dv_1 = back_4(dz)
        dz, dtheta_1 = back_3(xp.fft.fft(dz, norm="ortho"))
        dz, dv_0 = back_2(dz[:, inverse])
        dz, dtheta_0 = back_1(xp.fft.ifft(dz, norm="ortho"))
        return dz, xp.stack([dtheta_0, dtheta_1, dtheta_2]), xp.stack([dv_0, dv_1])

    return z, backward


def complex_modrelu(z: Array, b: Array) -> tuple[Array, Backward]:
    """The rectifier of the size alone:  (1) u = z / |z|   (2) y = max(|z| + b, 0) u.

    Backward:  what dy has along u goes through where |z| + b > 0, what it has across u by the
    share (|z| + b) / |z|, since y turns with z;  db is the sum of the former.

    Shapes
        z (B, H) complex · b (H,) real → y (B, H)
    """
    size = abs(z)
    divisor = size + (size == 0)  # 0 has no direction: u = 0
    u = z / divisor  # (1)
    share = (size + b > 0) * (size + b)  # (2)
    y = share * u  # (2)

    def backward(dy: Array) -> tuple[Array, Array]:
        local = dy * u.conj()
        along = local.real * (share > 0)  # (2)
        across = local.imag * share / divisor  # (2) (1)
        return (along + 1j * across) * u, along.sum(axis=0)  # (2) (1)

    return y, backward
