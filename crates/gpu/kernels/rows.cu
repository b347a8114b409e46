// Optimizers, and rows that move when they are looked at: kernel::optimizer and kernel::history on the processor.

struct Cell {
    float theta, first, second;
};

// One step of one parameter with the numbers of past step `i`.
DEVICE Cell step_cell(const Ctx &c, u64 i, Cell cell, float g) {
    g = fmaf(c.l2, cell.theta, g);
    if (c.sgd) {
        cell.first = fmaf(c.momentum, cell.first, g);
        float by = c.nesterov ? fmaf(c.momentum, cell.first, g) : cell.first;
        cell.theta -= (float)c.size[i] * by;
        return cell;
    }
    float kept = c.decays ? (float)exp(c.shrink[i + 1] - c.shrink[i]) : 1.0f;
    cell.first = fmaf(c.beta1, cell.first, c.keep1 * g);
    cell.second = fmaf(c.beta2, cell.second, c.keep2 * (g * g));
    float below = fmaf(sqrtf(cell.second), (float)c.root[i], c.epsilon);
    cell.theta = kept * cell.theta - (float)c.size[i] * cell.first / below;
    return cell;
}

// What a parameter has missed since step `last`, up to step `now`; all lanes of a warp, which have the same steps.
// Without replay only θ moves, by the sum of history.rs term by term: a lane computes the c_j and d_j of one step, and
// all take part in each other's. Terms with b1^j below 2^-30 are left out (`window`).
DEVICE Cell caught_up(const Ctx &c, u32 last, u64 now, Cell cell) {
    u64 base = c.clock->base;
    if (c.replay) {
        for (u64 i = last - base; i < now - base; i++) cell = step_cell(c, i, cell, 0.0f);
        return cell;
    }
    if (last >= now || (last == 0 && !c.decays)) return cell;
    u32 first = (u32)(last - base), gap = (u32)(now - last), n = gap < c.window ? gap : c.window;
    double end = c.decays ? c.shrink[first + gap] : 0.0;
    float sum = 0.0f, b = sqrtf(cell.second);
    for (u32 start = 0; start < n; start += 32) {
        u32 j = start + threadIdx.x % 32 + 1, i = first + j - 1;
        float cj = 0.0f, dj = 1.0f;
        if (j <= n) {
            double weight = c.power1[j] * c.size[i];
            if (c.decays) weight *= exp(end - c.shrink[i + 1]);
            cj = (float)weight, dj = (float)(c.power2[j] * c.root[i]);
        }
        for (int lane = 0; lane < 32; lane++)
            sum += __shfl_sync(FULL, cj, lane) / fmaf(b, __shfl_sync(FULL, dj, lane), c.epsilon);
    }
    float kept = c.decays ? (float)exp(end - c.shrink[first]) : 1.0f;
    cell.theta = kept * cell.theta - cell.first * sum;
    return cell;
}

// What is left of m and v.
DEVICE void left(const Ctx &c, u32 last, u64 now, float out[2]) {
    double gap = (double)(now - last), one = exp(gap * c.log_beta1), two = exp(gap * c.log_beta2);
    bool all = c.replay || now == last;
    out[0] = all ? 1.0f : one < 1e-30 ? 0.0f : (float)one;
    out[1] = all ? 1.0f : two < 1e-30 ? 0.0f : (float)two;
}

// θ of the rows of the batch as of now: a warp a row. Reads 12 B and writes 4 B a parameter; the sum costs two shuffles,
// a multiply-add and a division a missed step and parameter. NeuMF-32 on ML-1M at batch 256: 82,000 parameters with some
// 20 missed steps, 1-2 µs. Tables of 1 M samples: 32 M parameters and 0.5 GB, 0.11 ms.
KERNEL(THREADS) gather(Ctx c, u32 k) {
    Side &side = c.side[blockIdx.y];
    u32 slot = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (slot >= *side.count) return;
    u32 row = side.rows[slot], last = side.last[row];
    u64 now = c.clock->step + k, at = (u64)row * side.width;
    for (u32 e = lane; e < side.width + lane; e += 32) {
        bool real = e < side.width;
        Cell cell = {0.0f, 0.0f, 0.0f};
        if (real) cell = {side.theta[at + e], side.first[at + e], side.second[at + e]};
        cell = caught_up(c, last, now, cell);
        if (!real) continue;
        side.now[(u64)slot * side.width + e] = cell.theta;
        if (c.replay) side.theta[at + e] = cell.theta, side.first[at + e] = cell.first, side.second[at + e] = cell.second;
    }
    if (lane == 0) left(c, last, now, side.carry + 2 * slot);
}

// Brings all rows up to date after `k` steps of the chunk. Dense optimizers do this after each step, lazy ones before
// evaluation. Reads 4 B a row that is, 12 B a parameter and writes as much for a row that is not: 888 MB for ML-20M
// with 192 parameters a row, 0.19 ms.
KERNEL(THREADS) settle(Ctx c, u32 k) {
    Side &side = c.side[blockIdx.y];
    u32 row = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= side.n_rows) return;
    u32 last = side.last[row];
    u64 now = c.clock->step + k, at = (u64)row * side.width;
    __syncwarp();
    if (last >= now) return;
    float carry[2];
    left(c, last, now, carry);
    for (u32 e = lane; e < side.width + lane; e += 32) {
        bool real = e < side.width;
        Cell cell = {0.0f, 0.0f, 0.0f};
        if (real) cell = {side.theta[at + e], side.first[at + e], side.second[at + e]};
        cell = caught_up(c, last, now, cell);
        if (real) {
            side.theta[at + e] = cell.theta;
            side.first[at + e] = carry[0] * cell.first, side.second[at + e] = carry[1] * cell.second;
        }
    }
    if (lane == 0) side.last[row] = (u32)now;
}

// A step of the rows of the batch: a warp a row, which sums the run of its samples in their order, 32 loads at a time.
// Reads 256 B a sample and side for 64 factors and 12 B a parameter, writes 12 B a parameter; of the tower it reads
// d/dU, summed over the row already (`summed`), or by sample. 1 M samples: 0.3 ms. One row with a run of r samples takes
// about r / 32 µs: a catalogue of a few dozen items would be slow.
KERNEL(THREADS) rows(Ctx c, u32 k, u32 summed) {
    u32 which = blockIdx.y;
    Side &side = c.side[which], &other = c.side[1 - which];
    u32 slot = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (slot >= *side.count) return;
    u32 row = side.rows[slot], start = side.starts[slot], end = side.starts[slot + 1];
    u64 at = (u64)row * side.width, i = c.clock->step + k - c.clock->base;
    const float *h = c.w + c.head_at;
    float m = side.carry[2 * slot], v = side.carry[2 * slot + 1];
    for (u32 e = lane; e < side.width + lane; e += 32) {
        float g = 0.0f;
        bool product = e < c.gmf, tower = e >= c.gmf && e < c.gmf + c.mlp;
        bool bias = which == 1 && c.item_bias && e == c.gmf + c.mlp;
        float own = product ? h[e] : 0.0f;
        for (u32 p = start; p < end; p += 32) {
            u32 sample = 0, match = 0;
            float slope = 0.0f;
            if (p + lane < end) {
                sample = side.sorted[p + lane];
                match = other.slots[sample], slope = c.slopes[sample];
            }
            u32 n = end - p < 32 ? end - p : 32;
            for (u32 j = 0; j < n; j++) {
                float x = __shfl_sync(FULL, slope, j);
                u32 o = __shfl_sync(FULL, match, j), s = __shfl_sync(FULL, sample, j);
                if (product) g = fmaf(x * own, other.now[(u64)o * other.width + e], g);
                else if (tower && !summed) g += c.dx[(u64)s * 2 * c.mlp + which * c.mlp + (e - c.gmf)];
                else if (bias) g += x;
            }
        }
        if (tower && summed) g = side.drow[(u64)slot * c.mlp + (e - c.gmf)];
        if (!product && !tower && !bias) continue;
        Cell cell = {side.now[(u64)slot * side.width + e], m * side.first[at + e], v * side.second[at + e]};
        cell = step_cell(c, i, cell, g);
        side.theta[at + e] = cell.theta, side.first[at + e] = cell.first, side.second[at + e] = cell.second;
    }
    if (lane == 0) side.last[row] = (u32)(c.clock->step + k + 1);
}
