// The elementwise parts of a GRU step whose previous state is a constant.
//
// The equations are those of nnlib/functional/gru_step.py; a (B, 3H) has columns r | z | c, the
// first C of B rows carry a state.  The matrix products between the kernels are cuBLAS's.
//
// Ladder
//   version 1  CuPy, an operation a launch: beside the products 14 launches forward and 10 or 11
//              backward; every temporary is written and read once more.
//   version 2  (this) a thread for an element of the result, all operations on it in registers:
//              2 launches forward and 2 backward (reset before), 1 and 1 (reset after).  It also
//              adds the product h U to a, for which version 1 takes a pass of its own.
//   not tried  the product h U_rz inside the kernel (a whole step in one launch): worth it only if
//              launches, not arithmetic, bound small H.  Two or four elements a thread.
// Time and bandwidth: not measured yet; no GPU was at hand.
// Traffic by count, reset after, in REALs per element of h': forward reads 7 and writes 6,
// backward reads 6 and writes 6.

#ifndef REAL
#define REAL float
#endif

__device__ inline REAL logistic(REAL x)
{
    return (REAL)0.5 + (REAL)0.5 * tanh((REAL)0.5 * x);
}

// (1) (2) of the form with the reset before the product: gates (B, 2H), q = r * h (C, H).
extern "C" __global__ void gates_before(const REAL *a, const REAL *hU, const REAL *h, REAL *gates,
                                        REAL *q, int B, int C, int H)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * 2 * H)
        return;
    int b = i / (2 * H), j = i % (2 * H);
    REAL x = a[b * 3 * H + j];
    if (b < C)
        x += hU[i];
    REAL gate = logistic(x);
    gates[i] = gate;
    if (b < C && j < H)
        q[b * H + j] = gate * h[b * H + j];
}

// (3) (4): c, gap = c - h and h' = h + z * gap, all (B, H).
extern "C" __global__ void state_before(const REAL *a, const REAL *qU, const REAL *h,
                                        const REAL *gates, REAL *c, REAL *gap, REAL *h_next,
                                        int B, int C, int H)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * H)
        return;
    int b = i / H, j = i % H;
    REAL x = a[b * 3 * H + 2 * H + j], old = 0;
    if (b < C) {
        x += qU[i];
        old = h[i];
    }
    REAL candidate = tanh(x);
    c[i] = candidate;
    gap[i] = candidate - old;
    h_next[i] = old + gates[b * 2 * H + H + j] * (candidate - old);
}

// Backward of (4) (3) and, for z, (1): columns z and c of da.
extern "C" __global__ void z_c_before_backward(const REAL *dh_next, const REAL *gates,
                                               const REAL *c, const REAL *gap, REAL *da, int B,
                                               int H)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * H)
        return;
    int b = i / H, j = i % H;
    REAL z = gates[b * 2 * H + H + j], dh = dh_next[i];
    da[b * 3 * H + H + j] = dh * gap[i] * (z * (1 - z));
    da[b * 3 * H + 2 * H + j] = dh * z * (1 - c[i] * c[i]);
}

// Backward of (2) and, for r, (1): column r of da; 0 where no state was carried.
extern "C" __global__ void r_before_backward(const REAL *dq, const REAL *gates, const REAL *h,
                                             REAL *da, int B, int C, int H)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * H)
        return;
    int b = i / H, j = i % H;
    REAL r = gates[b * 2 * H + j];
    da[b * 3 * H + j] = b < C ? dq[i] * h[i] * (r * (1 - r)) : (REAL)0;
}

// (1) to (4) of the form with the reset after the product; hU (C, 3H), b_h (3H).
extern "C" __global__ void step_after(const REAL *a, const REAL *hU, const REAL *b_h,
                                      const REAL *h, REAL *gates, REAL *c, REAL *gap, REAL *m_c,
                                      REAL *h_next, int B, int C, int H)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * H)
        return;
    int b = i / H, j = i % H, row = b * 3 * H + j;
    REAL m_r = b_h[j], m_z = b_h[H + j], m = b_h[2 * H + j], old = 0;
    if (b < C) {
        m_r += hU[row];
        m_z += hU[row + H];
        m += hU[row + 2 * H];
        old = h[i];
    }
    REAL r = logistic(a[row] + m_r), z = logistic(a[row + H] + m_z);
    REAL candidate = tanh(a[row + 2 * H] + r * m);
    gates[b * 2 * H + j] = r;
    gates[b * 2 * H + H + j] = z;
    m_c[i] = m;
    c[i] = candidate;
    gap[i] = candidate - old;
    h_next[i] = old + z * (candidate - old);
}

// Backward of (4) to (2): da and dm, both (B, 3H), which differ in the columns of c.
extern "C" __global__ void step_after_backward(const REAL *dh_next, const REAL *gates,
                                               const REAL *c, const REAL *gap, const REAL *m_c,
                                               REAL *da, REAL *dm, int B, int H)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= B * H)
        return;
    int b = i / H, j = i % H, row = b * 3 * H + j;
    REAL r = gates[b * 2 * H + j], z = gates[b * 2 * H + H + j], dh = dh_next[i];
    REAL da_z = dh * gap[i] * (z * (1 - z));
    REAL da_c = dh * z * (1 - c[i] * c[i]);
    REAL da_r = da_c * m_c[i] * (r * (1 - r));
    da[row] = dm[row] = da_r;
    da[row + H] = dm[row + H] = da_z;
    da[row + 2 * H] = da_c;
    dm[row + 2 * H] = da_c * r;
}
