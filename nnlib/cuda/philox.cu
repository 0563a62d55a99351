// Random numbers that are a function of key, step, draw and element; negatives by the alias method.
//
// The equations are those of nnlib/functional/philox.py and nnlib/data/negatives.py.  The number of
// the step is read from the device, so that a captured launch draws anew whenever it is repeated.
//
// Ladder
//   version 1  CuPy's generator: a launch, and a state that only it may change.
//   version 2  (this) a thread makes one block of four words and writes what is wanted of them.
//   not tried  the mask of dropout made where it is used, so that the numbers are never written;
//              four negatives to a thread, without the words in between.
// Time: not measured yet; no GPU was at hand.

#ifndef REAL
#define REAL float
#endif

struct Words { unsigned x[4]; };

__device__ inline unsigned high(unsigned a, unsigned b)
{
    return (unsigned)(((unsigned long long)a * b) >> 32);
}

__device__ inline Words philox(Words c, unsigned k0, unsigned k1)
{
    for (int round = 0; round < 10; round++) {
        unsigned p = high(0xD2511F53u, c.x[0]), q = 0xD2511F53u * c.x[0];  // (1)
        unsigned r = high(0xCD9E8D57u, c.x[2]), s = 0xCD9E8D57u * c.x[2];
        c.x[0] = r ^ c.x[1] ^ k0;  // (2)
        c.x[1] = s;
        c.x[2] = p ^ c.x[3] ^ k1;
        c.x[3] = q;
        k0 += 0x9E3779B9u;  // (3)
        k1 += 0xBB67AE85u;
    }
    return c;
}

__device__ inline Words words_of(const long long *step, const unsigned *key, int draw, int i)
{
    unsigned long long t = (unsigned long long)*step;
    Words c = {{(unsigned)i, (unsigned)draw, (unsigned)t, (unsigned)(t >> 32)}};
    return philox(c, key[0], key[1]);
}

// words (n), four to a thread.
extern "C" __global__ void random_words(const long long *step, const unsigned *key, unsigned *words,
                                        int draw, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4LL * i >= n)
        return;
    Words w = words_of(step, key, draw, i);
    for (int j = 0; j < 4 && 4 * i + j < n; j++)
        words[4 * i + j] = w.x[j];
}

// numbers (n) in [0, 1), four to a thread.
extern "C" __global__ void random_uniform(const long long *step, const unsigned *key,
                                          float *numbers, int draw, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4LL * i >= n)
        return;
    Words w = words_of(step, key, draw, i);
    for (int j = 0; j < 4 && 4 * i + j < n; j++)
        numbers[4 * i + j] = (float)(w.x[j] >> 8) * 5.9604644775390625e-8f;  // 2^-24
}

// The item in a slot or its alias; place and coin (n) random words, the others (N).
extern "C" __global__ void alias_choice(const unsigned *coin, const unsigned *place,
                                        const unsigned *threshold, const long long *alias,
                                        long long *item, int n, int N)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    long long slot = (long long)(((unsigned long long)place[i] * N) >> 32);
    item[i] = coin[i] < threshold[slot] ? slot : alias[slot];
}
