// Losses of rows of scores with their gradients: softmax cross-entropy and BPR-max.
//
// The equations are those of nnlib/functional/softmax.py and ranking.py; s (B, U), a row to a
// block, whose threads walk along it.  A few thousand scores stay in the L1 cache between passes.
//
// Ladder
//   version 1  CuPy, an operation a launch: 24 for cross-entropy with weights, 71 for BPR-max, many
//              of them a pass over (B, U).
//   version 2  a block per row, sums by a tree in shared memory: ten barriers a sum.
//   version 3  (this) sums within a warp by shuffles, then over warps: two barriers a sum; the two
//              maxima and the four sums of BPR-max each in one pass.  Cross-entropy reads s twice
//              and writes G once, BPR-max reads s three times.
//   no gain    maximum and sum in one pass with rescaling ("online softmax"): e has to be written
//              and needs the final maximum, so s is read a second time anyway.
//   not tried  the row in registers for U <= 4096; four scores to a load; two rows a block where
//              U is small (in-batch negatives only: U = B).
// Versions 2 and 3 differ in the reduction alone; version 2 was not written.
// Time and bandwidth: not measured yet; no GPU was at hand.

#ifndef REAL
#define REAL float
#endif

#define NEGATIVE_INFINITY ((REAL)__int_as_float(0xff800000))

struct Sum {
    __device__ static REAL join(REAL a, REAL b) { return a + b; }
    __device__ static REAL nothing() { return 0; }
};

struct Max {
    __device__ static REAL join(REAL a, REAL b) { return a > b ? a : b; }  // b if a is NaN
    __device__ static REAL nothing() { return NEGATIVE_INFINITY; }
};

// x of all threads of a block joined, in every thread; blockDim.x is a multiple of 32.
template <class Join> __device__ REAL over_block(REAL x)
{
    __shared__ REAL of_warp[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int d = 16; d > 0; d /= 2)
        x = Join::join(x, __shfl_xor_sync(0xffffffffu, x, d));
    if (lane == 0)
        of_warp[warp] = x;
    __syncthreads();
    x = lane < blockDim.x / 32 ? of_warp[lane] : Join::nothing();
    for (int d = 16; d > 0; d /= 2)
        x = Join::join(x, __shfl_xor_sync(0xffffffffu, x, d));
    __syncthreads();  // of_warp may be used again from here on
    return x;
}

// losses (B), G (B, U) and scale (B); weight (U) or null: all 1.
extern "C" __global__ void cross_entropy(const REAL *s, const long long *target,
                                         const REAL *weight, REAL *losses, REAL *G, REAL *scale,
                                         int U)
{
    int b = blockIdx.x;
    s += (long long)b * U;
    G += (long long)b * U;

    REAL top = NEGATIVE_INFINITY;  // of the columns that have weight
    for (int j = threadIdx.x; j < U; j += blockDim.x)
        if (!weight || weight[j] > 0)
            top = Max::join(s[j], top);
    top = over_block<Max>(top);
    if (top == NEGATIVE_INFINITY)
        top = 0;

    REAL z = 0;
    for (int j = threadIdx.x; j < U; j += blockDim.x) {
        REAL w = weight ? weight[j] : (REAL)1;
        REAL e = w == 0 ? (REAL)0 : w * exp(s[j] - top);  // (1)
        G[j] = e;
        z += e;
    }
    z = over_block<Sum>(z);
    if (z == 0)
        z = 1;

    if (threadIdx.x == 0) {
        int t = (int)target[b];
        losses[b] = log(z) + (top - s[t]);  // (2)
        G[t] -= z;                          // (3)
        scale[b] = 1 / z;
    }
}

// log sigma(-y), exact for all y.
__device__ inline REAL log_sigma(REAL y)
{
    return -(y > 0 ? y : (REAL)0) - log1p(exp(-fabs(y)));
}

// losses (B) and G (B, U), whose scale is 1; count (U), one less for a row's own target.
extern "C" __global__ void bpr_max(const REAL *s, const long long *target, const REAL *count,
                                   REAL regularization, REAL *losses, REAL *G, int U)
{
    int b = blockIdx.x, t = (int)target[b];
    s += (long long)b * U;
    G += (long long)b * U;
    REAL s_t = s[t];

    REAL top_s = NEGATIVE_INFINITY, top_l = NEGATIVE_INFINITY;
    for (int j = threadIdx.x; j < U; j += blockDim.x)
        if (count[j] - (j == t) > 0) {
            REAL y = s[j] - s_t;
            top_s = Max::join(y, top_s);
            top_l = Max::join(y + log_sigma(y), top_l);  // (1), less s_t
        }
    top_s = over_block<Max>(top_s);
    top_l = over_block<Max>(top_l);

    REAL Z = 0, V = 0, squares = 0, inner = 0;
    for (int j = threadIdx.x; j < U; j += blockDim.x) {
        REAL w = count[j] - (j == t);
        if (w == 0)
            continue;
        REAL y = s[j] - s_t, ls = log_sigma(y);
        REAL e_s = w * exp(y - top_s), e_l = w * exp(y + ls - top_l);
        Z += e_s;
        V += e_l;
        squares += e_s * s[j] * s[j];
        inner += e_l * (1 - exp(ls));
    }
    Z = over_block<Sum>(Z);
    V = over_block<Sum>(V);
    squares = over_block<Sum>(squares);
    inner = over_block<Sum>(inner);
    bool alone = Z == 0;  // no negative
    if (alone)
        Z = V = 1, top_s = top_l = 0;

    REAL rho = squares / Z;
    for (int j = threadIdx.x; j < U; j += blockDim.x) {
        REAL w = count[j] - (j == t), ds = 0;
        if (w != 0) {
            REAL y = s[j] - s_t, ls = log_sigma(y);
            REAL pi = w * exp(y - top_s) / Z, r = w * exp(y + ls - top_l) / V;  // (2)
            ds = pi * (1 + regularization * (s[j] * (s[j] + 2) - rho)) - r * exp(ls);
        }
        G[j] = j == t ? ds - inner / V : ds;
    }
    if (threadIdx.x == 0)
        losses[b] = (log(Z) + top_s) - (log(V) + top_l) + regularization * rho;  // (3)
}
