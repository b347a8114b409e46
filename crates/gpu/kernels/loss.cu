// Losses and their slopes, in double precision as on the processor (room `loss`); once a sample, so that it costs nothing.

enum { BCE, FOCAL, T_CE, R_CE, BPR_MEAN, BPR_SUM };

DEVICE double sigmoid(double x) {
    double e = exp(-fabs(x));
    return x < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}
// The maximum must let NaN through.
DEVICE double bce(double x, double y) { return (x < 0.0 ? 0.0 : x) - x * y + log1p(exp(-fabs(x))); }
DEVICE double bce_slope(double x, double y) { return (1.0 - y) * sigmoid(x) - y * sigmoid(-x); }

// T-CE: how many of n samples are kept in the k-th step of the chunk.
DEVICE u32 kept_of(const Ctx &c, u32 k, u32 n) {
    u64 step = c.clock->step + k;
    double rate = step >= c.loss_steps ? c.loss_a : (double)step * c.loss_b;
    return (u32)((1.0 - rate) * (double)n);
}
// A key that orders as the loss of a positive, which is never negative; negatives have 0, NaN comes last.
DEVICE u64 key_of(const Ctx &c, u32 s) {
    double y = c.labels[s];
    return (u64)__double_as_longlong(bce((double)c.logits[s], y) * y) & 0x7fffffffffffffffull;
}

// The greatest (loss * label, sample) that T-CE keeps: a selection by 8 bits at a time, of the key and then, among equal
// keys, of the sample, as the tie rule of the processor says. One block: 8 to 12 passes over the batch, 8 B each;
// 3 µs a pass for 4,096 samples, some 50 µs for 1 M.
KERNEL(1024) pick(Ctx c, u32 k) {
    __shared__ u32 counts[256], found[2];
    u32 n = samples_of(c, k), kept = kept_of(c, k, n), t = threadIdx.x, lane = t % 32;
    u64 *keys = c.picked, key = 0, sample = 0;
    if (kept == 0 || kept >= n) {
        if (t == 0) keys[c.batch] = kept ? ~0ull : 0, keys[c.batch + 1] = kept ? ~0ull : 0;
        return;
    }
    for (u32 s = t; s < n; s += blockDim.x) keys[s] = key_of(c, s);
    u32 rank = kept - 1;
    for (int pass = 0; pass < 12; pass++) {
        bool tie = pass >= 8;
        u32 shift = tie ? 8 * (11 - pass) : 8 * (7 - pass);
        u64 known = shift == 56 ? 0 : ~0ull << (shift + 8);
        if (t < 256) counts[t] = 0;
        __syncthreads();
        for (u32 s = t; s < n; s += blockDim.x) {
            if (!tie && (keys[s] & known) == key) atomicAdd(&counts[keys[s] >> shift & 255], 1u);
            if (tie && keys[s] == key && (s & known) == sample) atomicAdd(&counts[s >> shift & 255], 1u);
        }
        __syncthreads();
        if (t < 32) {
            u32 own = 0, before;
            for (u32 d = 0; d < 8; d++) own += counts[8 * lane + d];
            before = own;
            for (u32 d = 1; d < 32; d *= 2) {
                u32 other = __shfl_up_sync(FULL, before, d);
                if (lane >= d) before += other;
            }
            before -= own;
            if (before <= rank && rank < before + own)
                for (u32 d = 0; d < 8; d++) {
                    u32 count = counts[8 * lane + d];
                    if (before <= rank && rank < before + count) {
                        found[0] = 8 * lane + d, found[1] = rank - before;
                        break;
                    }
                    before += count;
                }
        }
        __syncthreads();
        u64 digit = (u64)found[0] << shift;
        rank = found[1];
        if (tie) sample |= digit;
        else key |= digit;
        __syncthreads();
    }
    if (t == 0) keys[c.batch] = key, keys[c.batch + 1] = sample;
}

// d(loss of the batch)/d(logit s), and the sample's share of the loss.
DEVICE double slope_of(const Ctx &c, u32 k, u32 n, u32 s, double *value) {
    double x = c.logits[s], y = c.labels[s], all = n;
    if (c.loss >= BPR_MEAN) {
        double margin = x - c.logits[s ^ 1], pairs = n / 2;
        if (s & 1) margin = -margin;
        *value = s & 1 ? 0.0 : bce(margin, 1.0) / pairs;
        double slope = sigmoid(-margin) * (c.loss == BPR_SUM ? 1.0 : 1.0 / pairs);
        return s & 1 ? slope : -slope;
    }
    double plain = bce(x, y);
    if (c.loss == FOCAL) {
        double sign = 2.0 * y - 1.0, z = sign * x;
        double weight = (y * c.loss_a + (1.0 - y) * (1.0 - c.loss_a)) * pow(sigmoid(-z), c.loss_b);
        *value = weight * plain / all;
        return -sign * weight * (sigmoid(-z) + c.loss_b * sigmoid(z) * plain) / all;
    }
    if (c.loss == T_CE) {
        u32 kept = kept_of(c, k, n);
        // Keys as `pick` wrote them, so that both mean the same; if it kept all, it wrote none.
        u64 most = c.picked[c.batch], last = c.picked[c.batch + 1];
        bool keep = kept > 0 && (most == ~0ull || c.picked[s] < most || (c.picked[s] == most && s <= last));
        double share = 1.0 / (double)(kept ? kept : 1);
        // Divergence must not hide among the dropped.
        *value = keep ? plain * share : plain == plain ? 0.0 : plain;
        return keep ? bce_slope(x, y) * share : 0.0;
    }
    double weight = c.loss == R_CE ? exp(-c.loss_a * plain) : 1.0;
    *value = weight * plain / all;
    return weight * bce_slope(x, y) / all;
}
