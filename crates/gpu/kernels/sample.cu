// The samples of a step. Every number is a function of seed, epoch and place, as in data::rng and data::sample on the
// processor, so that nothing of an epoch is ever stored: a thread computes its own sample where it is needed.
//
// Cost: 8 rounds of the permutation, one Philox block and a binary search over the user's items, some 400 integer
// instructions; reads 4-8 B of a pair and log2(row) * 4 B of the row, mostly from L2. On an H200 (14 T integer
// instructions a second) about 25 G samples/s: 0.04 ms for a batch of 1 M.

DEVICE void philox(u64 index, u32 sub, u32 stream, const u32 *seed, u64 out[2]) {
    u32 c0 = (u32)index, c1 = (u32)(index >> 32), c2 = sub, c3 = stream, k0 = seed[0], k1 = seed[1];
    for (int round = 0; round < 10; round++) {
        u64 even = (u64)c0 * 0xD2511F53u, odd = (u64)c2 * 0xCD9E8D57u;
        u32 n0 = (u32)(odd >> 32) ^ c1 ^ k0, n2 = (u32)(even >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (u32)odd, c2 = n2, c3 = (u32)even;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0 | (u64)c1 << 32;
    out[1] = c2 | (u64)c3 << 32;
}

DEVICE u64 mix(u64 x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// data::rng::Permutation
DEVICE u64 permuted(const Clock &p, u64 value) {
    do {
        u64 l = value / p.right, r = value % p.right;
        for (int k = 0; k < 8; k += 2) {
            l += __umul64hi(mix(r ^ p.keys[k]), p.left);
            if (l >= p.left) l -= p.left;
            r += __umul64hi(mix(l ^ p.keys[k + 1]), p.right);
            if (r >= p.right) r -= p.right;
        }
        value = l * p.right + r;
    } while (value >= p.n);
    return value;
}

// Number `rank` among those that are not in the ascending `row`.
template <class T> DEVICE T unseen(const T *row, T size, T rank) {
    T before = 0;
    while (size > 0) {
        T half = (size + 1) / 2, probe = before + half - 1;
        if (row[probe] - probe <= rank) before = probe + 1;
        size -= half;
    }
    return rank + before;
}

// How many of the ascending values are not above `x`.
DEVICE u32 upto(const u64 *values, u32 n, u64 x) {
    u32 low = 0;
    while (n > 0) {
        u32 half = n / 2;
        if (values[low + half] <= x) low += half + 1, n -= half + 1;
        else n = half;
    }
    return low;
}

// data::sample::Complement
DEVICE u32 negative(const Ctx &c, u32 user, u64 word) {
    u32 start = c.seen_starts[user], size = c.seen_starts[user + 1] - start;
    const u32 *row = c.seen_items + start;
    if (!c.mass_starts) return unseen<u32>(row, size, (u32)__umul64hi(word, c.n_items - size));
    const u64 *left = c.mass_left + start;
    u64 taken = size ? c.mass_starts[row[size - 1] + 1] - left[size - 1] : 0;
    u64 mass = __umul64hi(word, c.mass_starts[c.n_items] - taken);
    u32 before = upto(left, size, mass);
    mass += before < size ? c.mass_starts[row[before]] - left[before] : taken;
    return upto(c.mass_starts + 1, c.n_items, mass);
}

struct Sample {
    u32 user, item;
    float label;
};

// Sample j of the k-th step: train::samples::Epoch
DEVICE Sample draw_one(const Ctx &c, u32 k, u32 j) {
    const Clock &clock = *c.clock;
    u64 place = unseen<u64>(c.missing, clock.missing, first_of(c, k) + j / c.unit);
    u64 number = permuted(clock, place);
    if (c.unit == 1) {
        if (number < c.positives) return {c.train[0][number], c.train[1][number], 1.0f};
        number -= c.positives;
    } else if (j % 2 == 0) {
        number /= c.each;
        return {c.train[0][number], c.train[1][number], 1.0f};
    }
    u32 user = c.train[0][number / c.each];
    if (c.fixed) return {user, c.fixed[number], 0.0f};
    u64 words[2];
    philox(number >> 1, clock.sub, 4, clock.seed, words);
    return {user, negative(c, user, words[number & 1]), 0.0f};
}

// For large batches. Writes 12 B a sample.
KERNEL(THREADS) draw(Ctx c, u32 k) {
    u32 j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= samples_of(c, k)) return;
    Sample sample = draw_one(c, k, j);
    c.side[0].keys[0][j] = sample.user;
    c.side[1].keys[0][j] = sample.item;
    c.labels[j] = sample.label;
}

// The multipliers of dropout: train::noise::StepNoise
DEVICE float kept_or_not(const Ctx &c, u64 step, u32 layer, u32 sample, u32 width, u32 column) {
    if (c.dropout == 0.0) return 1.0f;
    u64 place = (step << 32) + (u64)sample * width + column, words[2];
    philox(place >> 2, layer, 7, c.clock->seed, words);
    u32 number = (u32)(words[place >> 1 & 1] >> (32 * (place & 1)));
    return number < (u32)(c.dropout * 4294967296.0) ? 0.0f : c.kept;
}
