// Adagrad's update, on whole arrays and on some rows of tables.
//
// The equations are those of nnlib/functional/updates.py.
//
// Ladder
//   version 1  CuPy, an operation a launch: 7 launches (9 with momentum) and 17 passes over memory;
//              for rows, a gather and a scatter of each table beside them.
//   version 2  (this) a thread for an element, which is read and written once: with momentum 4
//              reads and 3 writes; rows are changed where they are.
//   not tried  four elements to a load, for rows whose length is a multiple of 4; a block per row
//              instead of the division i / D.
// Time and bandwidth: not measured yet; no GPU was at hand.

#ifndef REAL
#define REAL float
#endif

__device__ inline void update(REAL *theta, REAL g, REAL *G, REAL *v, REAL lr, REAL momentum,
                              REAL eps)
{
    REAL sum = *G + g * g;  // (1)
    *G = sum;
    REAL u = -(g / (sqrt(sum) + eps) * lr);  // (2)
    if (v)
        *v = u = momentum * *v + u;  // (4)
    *theta += u;                     // (3) (4)
}

// v is null without momentum.
extern "C" __global__ void adagrad(REAL *theta, const REAL *g, REAL *G, REAL *v, REAL lr,
                                   REAL momentum, REAL eps, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        update(theta + i, g[i], G + i, v ? v + i : v, lr, momentum, eps);
}

// Row ids_k of theta, G and v by row k of g; ids are distinct, rows have D elements, n = len(g).
// An id below 0 is nobody's: that row of g does nothing.
extern "C" __global__ void adagrad_rows(REAL *theta, const long long *ids, const REAL *g, REAL *G,
                                        REAL *v, REAL lr, REAL momentum, REAL eps, int n, int D)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n * D)
        return;
    long long row = ids[i / D], at = row * D + i % D;
    if (row < 0)
        return;
    update(theta + at, g[i], G + at, v ? v + at : v, lr, momentum, eps);
}
