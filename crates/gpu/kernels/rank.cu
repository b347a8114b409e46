// Scoring and ranking of a block of users against all items, or of lists of pairs; all rows are up to date (`settle`).
// The scores of a block lie in memory, [users][n_items]: 256 users of ML-20M take 27 MB. A positive's score is read from
// there, so that a tie is a tie whatever cuBLAS does.

struct Rank {
    const float *theta[2], *w;
    u32 width[2];
    u32 n_items, gmf, mlp, hidden, last_width; // hidden: width of the first layer
    u32 bias_at, head_at, bias, item_bias;     // where b_0, h and b lie in w
    float *rows, *weighted, *halves[2];        // of the block: rows; h∘p; W_u U and W_v V
    float *scores, *act;                       // [users][n_items]; [pairs][width]
    const u32 *users, *list_users, *list_items; // of the block; of a list of pairs: place in the block, and item
    const u32 *positive_starts, *positives;    // of the users of the block
    float *found;                              // [positives]
    u32 *counts;                               // [positives][3]: greater, equal, candidates
    u32 *bad;                                  // whether a score is not finite
};

// The rows of the users of a block, and h∘p.
KERNEL(THREADS) fetch_users(Rank r, u32 n) {
    u32 q = blockIdx.x * THREADS + threadIdx.x, u = q / r.width[0], e = q % r.width[0];
    if (u >= n) return;
    float value = r.theta[0][(u64)r.users[u] * r.width[0] + e];
    r.rows[q] = value;
    if (e < r.gmf) r.weighted[u * r.gmf + e] = r.w[r.head_at + e] * value;
}

DEVICE float base_of(const Rank &r, u32 item) {
    return r.w[r.bias] + (r.item_bias ? r.theta[1][(u64)item * r.width[1] + r.gmf + r.mlp] : 0.0f);
}

// What is added to all scores; products and towers are added to it.
KERNEL(THREADS) base_scores(Rank r, u32 n) {
    u64 q = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (q < (u64)n * r.n_items) r.scores[q] = base_of(r, (u32)(q % r.n_items));
}

// The same and the product for a list: a warp a pair.
KERNEL(THREADS) list_scores(Rank r, u32 n) {
    u32 pair = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (pair >= n) return;
    u32 item = r.list_items[pair];
    const float *p = r.weighted + (u64)r.list_users[pair] * r.gmf, *q = r.theta[1] + (u64)item * r.width[1];
    float sum = 0.0f;
    for (u32 e = lane; e < r.gmf; e += 32) sum = fmaf(p[e], q[e], sum);
    sum = warp_sum(sum);
    if (lane == 0) r.scores[pair] = sum + base_of(r, item);
}

// a_1 of the pairs first.. of the block (user by user, `across` items from item `from` on) or of the list.
KERNEL(THREADS) pair_join(Rank r, u32 n, u32 first, u32 from, u32 across) {
    u64 q = (u64)blockIdx.x * THREADS + threadIdx.x;
    u32 pair = (u32)(q / r.hidden), e = (u32)(q % r.hidden);
    if (pair >= n) return;
    u32 user = across ? pair / across : r.list_users[first + pair];
    u32 item = across ? from + pair % across : r.list_items[first + pair];
    float z = r.halves[0][(u64)user * r.hidden + e] + r.halves[1][(u64)item * r.hidden + e] + r.w[r.bias_at + e];
    r.act[q] = z > 0.0f ? z : 0.0f;
}

// relu(z + b) in place.
KERNEL(THREADS) pair_activate(Rank r, float *z, u32 n, u32 width, u32 bias_at) {
    u64 q = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (q >= (u64)n * width) return;
    float value = z[q] + r.w[bias_at + q % width];
    z[q] = value > 0.0f ? value : 0.0f;
}

// Adds h · a_L: a warp a pair.
KERNEL(THREADS) pair_head(Rank r, const float *a, u32 n, u32 first, u32 from, u32 across) {
    u32 pair = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (pair >= n) return;
    float sum = 0.0f;
    for (u32 e = lane; e < r.last_width; e += 32)
        sum = fmaf(r.w[r.head_at + r.gmf + e], a[(u64)pair * r.last_width + e], sum);
    sum = warp_sum(sum);
    u64 at = across ? (u64)(pair / across) * r.n_items + from + pair % across : first + pair;
    if (lane == 0) r.scores[at] += sum;
}

// The scores of positives, before anything is masked, and whether a score of the block is no number: a block a user.
KERNEL(THREADS) find(Rank r) {
    const float *scores = r.scores + (u64)blockIdx.x * r.n_items;
    for (u32 i = threadIdx.x; i < r.n_items; i += THREADS)
        if (!(fabsf(scores[i]) < INF)) *r.bad = 1;
    for (u32 j = r.positive_starts[blockIdx.x] + threadIdx.x; j < r.positive_starts[blockIdx.x + 1]; j += THREADS)
        r.found[j] = scores[r.positives[j]];
}

// Takes items away: row users[u] of a table of rows, or row u if there are no users. A block a user.
KERNEL(THREADS) take_away(Rank r, const u32 *users, const u32 *starts, const u32 *items) {
    u32 row = users ? users[blockIdx.x] : blockIdx.x;
    for (u32 j = starts[row] + threadIdx.x; j < starts[row + 1]; j += THREADS)
        if (items[j] < r.n_items) r.scores[(u64)blockIdx.x * r.n_items + items[j]] = -INF;
}

// How many candidates are above a positive and how many beside it: a block a user, which reads its scores from L2 once a
// positive. 25,000 users x 25,000 items: 2.5 GB, about 1 ms.
KERNEL(THREADS) count(Rank r) {
    __shared__ u32 total[3];
    const float *scores = r.scores + (u64)blockIdx.x * r.n_items;
    for (u32 j = r.positive_starts[blockIdx.x]; j < r.positive_starts[blockIdx.x + 1]; j++) {
        float mine = r.found[j];
        u32 own[3] = {0, 0, 0};
        for (u32 i = threadIdx.x; i < r.n_items; i += THREADS) {
            float score = scores[i];
            own[0] += score > mine, own[1] += score == mine, own[2] += score > -INF;
        }
        if (threadIdx.x < 3) total[threadIdx.x] = 0;
        __syncthreads();
        for (int w = 0; w < 3; w++) {
            u32 sum = warp_sum(own[w]);
            if (threadIdx.x % 32 == 0) atomicAdd(&total[w], sum);
        }
        __syncthreads();
        if (threadIdx.x < 3) r.counts[3 * (u64)j + threadIdx.x] = total[threadIdx.x];
        __syncthreads();
    }
}

// Orders as the score does, and equal scores by ascending item; adding 0 makes -0 equal to 0. kernel::rank::best.
DEVICE u64 key_of(float score, u32 item) {
    u32 bits = __float_as_uint(score + 0.0f);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (u64)bits << 32 | (u32)~item;
}

// The best k items of each user, the best first; what is missing has item 2^32 - 1. A block a user: selects the k-th key
// by 8 bits at a time, then sorts what is not below it. Nine passes over the scores, from L2: ML-20M's 138,000 users
// 130 GB, 30 ms. Shared: `padded` keys, a power of 2 not below k.
KERNEL(THREADS) top_k(Rank r, u32 k, u32 padded, u32 *items, float *best) {
    SHARED;
    __shared__ u32 counts[256], room[THREADS], found[2], kept;
    u64 *keys = (u64 *)shared_bytes, least = 0;
    const float *scores = r.scores + (u64)blockIdx.x * r.n_items;
    u32 t = threadIdx.x, rank = k;
    for (int shift = 56; shift >= 0; shift -= 8) {
        counts[t] = 0;
        __syncthreads();
        for (u32 i = t; i < r.n_items; i += THREADS) {
            u64 key = key_of(scores[i], i);
            bool candidate = scores[i] > -INF && (shift == 56 || key >> (shift + 8) == least >> (shift + 8));
            if (candidate) atomicAdd(&counts[key >> shift & 255], 1u);
        }
        // From the greatest digit down; t counts digit 255 - t.
        __syncthreads();
        if (t == 0) found[0] = 256;
        u32 own = counts[255 - t], upto = block_scan(room, own);
        if (upto >= rank && upto - own < rank) found[0] = 255 - t, found[1] = rank - (upto - own);
        __syncthreads();
        if (found[0] == 256) break; // There are fewer than k.
        least |= (u64)found[0] << shift, rank = found[1];
        __syncthreads();
    }
    if (t == 0) kept = 0;
    for (u32 i = t; i < padded; i += THREADS) keys[i] = 0;
    __syncthreads();
    for (u32 i = t; i < r.n_items; i += THREADS)
        if (scores[i] > -INF && key_of(scores[i], i) >= least) {
            u32 place = atomicAdd(&kept, 1u);
            if (place < padded) keys[place] = key_of(scores[i], i);
        }
    // Descending: any order comes out the same.
    for (u32 size = 2; size <= padded; size *= 2)
        for (u32 stride = size / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (u32 i = t; i < padded / 2; i += THREADS) {
                u32 a = 2 * i - (i & (stride - 1)), b = a + stride;
                u64 x = keys[a], y = keys[b];
                if ((x < y) == ((a & size) == 0)) keys[a] = y, keys[b] = x;
            }
        }
    __syncthreads();
    for (u32 i = t; i < k; i += THREADS) {
        u64 at = (u64)blockIdx.x * k + i;
        u32 item = i < kept ? ~(u32)keys[i] : ~0u;
        items[at] = item;
        best[at] = i < kept ? scores[item] : 0.0f;
    }
}
