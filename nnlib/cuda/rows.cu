// Ids of table rows: the distinct ones, and the sum of the rows that share an id.
//
// The references are in nnlib/functional/rows.py.  Results have room for n ids; how many of them
// are distinct is written beside them, so that no launch waits for that number.  Behind those stands
// the id -1 with sums of 0, which is all that functional/fixed_shapes.py wants.
//
// Ladder, distinct
//   version 1  CuPy: atomic maxima, a comparison, flatnonzero, look-ups: at least 10 launches and
//              a wait.
//   version 2  (this) one block does all in one launch, over the table of owners: a few thousand
//              ids are too little work for more.  Ranks come from ballots, 1,024 ids at a time.
// Ladder, coalesce
//   version 1  CuPy: a radix sort, a comparison, a mask, a product or reduceat: at least 8 launches
//              and a wait.
//   version 2  atomic additions into a table of sums, as cupyx.scatter_add does; not written: the
//              order of additions, hence the rounding, differs from run to run.
//   version 3  (this) each of up to 1,024 ids counts the smaller ones, n^2 comparisons in shared
//              memory, which gives the order of a stable sort; then one thread for an element of a
//              sum adds in that order: 2 launches, the same bits in every run.
// Time: not measured yet; no GPU was at hand.

#ifndef REAL
#define REAL float
#endif

// Among the threads of the block before this one, how many have `flag`; `total`: among all.
__device__ int rank_in_block(bool flag, int *total)
{
    __shared__ int of_warp[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned flags = __ballot_sync(0xffffffffu, flag);
    if (lane == 0)
        of_warp[warp] = __popc(flags);
    __syncthreads();
    int rank = __popc(flags & ((1u << lane) - 1));
    *total = 0;
    for (int k = 0; k < (int)blockDim.x / 32; k++) {
        if (k < warp)
            rank += of_warp[k];
        *total += of_warp[k];
    }
    __syncthreads();  // of_warp may be used again from here on
    return rank;
}

// unique[place] = ids, in the order of the last occurrence; one block.
extern "C" __global__ void distinct(const long long *ids, int *scratch, long long *unique,
                                    long long *place, long long *n_unique, int n)
{
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        scratch[ids[i]] = -1;
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        atomicMax(&scratch[ids[i]], i);
    __syncthreads();

    int found = 0;
    for (int begin = 0; begin < n; begin += blockDim.x) {
        int i = begin + threadIdx.x, total;
        bool last = i < n && scratch[ids[i]] == i;
        int rank = found + rank_in_block(last, &total);
        if (last) {
            unique[rank] = ids[i];
            place[i] = rank;
        }
        found += total;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        int owner = scratch[ids[i]];
        if (owner != i)
            place[i] = place[owner];
    }
    for (int i = found + threadIdx.x; i < n; i += blockDim.x)
        unique[i] = -1;
    if (threadIdx.x == 0)
        *n_unique = found;
}

// unique, ascending, and the positions of each unique_u among ids: order[start_u ... start_u+1).
// One block of 1,024 threads, n <= 1,024.
extern "C" __global__ void order_ids(const long long *ids, long long *unique, int *order,
                                     int *start, long long *n_unique, int n)
{
    __shared__ long long id[1024];
    __shared__ bool first[1024];
    int i = threadIdx.x, smaller = 0, before = 0, rank = 0;
    long long mine = i < n ? ids[i] : 0;
    id[i] = mine;
    __syncthreads();
    for (int j = 0; j < n; j++) {
        smaller += id[j] < mine;
        before += j < i && id[j] == mine;
    }
    bool is_first = i < n && before == 0;
    first[i] = is_first;
    int found = __syncthreads_count(is_first);
    for (int j = 0; j < n; j++)
        rank += first[j] && id[j] < mine;

    if (i < n)
        order[smaller + before] = i;
    if (i >= found && i < n)
        unique[i] = -1;
    if (is_first) {
        unique[rank] = mine;
        start[rank] = smaller;
    }
    if (i == 0) {
        start[found] = n;
        *n_unique = found;
    }
}

// sums_u = values of the positions of unique_u, added up in their order; D elements to a row.
extern "C" __global__ void sum_runs(const REAL *values, const int *order, const int *start,
                                    const long long *n_unique, REAL *sums, int n, int D)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n * D)
        return;
    int u = i / D, d = i % D;
    REAL sum = 0;
    if (u < *n_unique)
        for (int p = start[u]; p < start[u + 1]; p++)
            sum += values[order[p] * D + d];
    sums[i] = sum;
}
