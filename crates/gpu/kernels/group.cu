// A batch sorted by user and by item, so that the gradient of a row is a sum over a run of samples in their order:
// no atomics on floats, the same bits each time. Rows of a batch are numbered: slots.

// From sorted places to slots. `head` says whether a run begins at a place, `slot` how many began before.
DEVICE void put(Side &side, u32 place, bool head, u32 slot, u32 row, u32 sample) {
    if (head) side.rows[slot] = row, side.starts[slot] = place;
    side.slots[sample] = slot;
}

// Small batches: draws and sorts in shared memory, one block for users and one for items, which draw both.
// A bitonic sort of 256 keys has 36 rounds of a barrier each: 2-3 µs; of 4096 keys, 78.
KERNEL(1024) group_small(Ctx c, u32 k, u32 padded) {
    SHARED;
    u64 *keys = (u64 *)shared_bytes;
    u32 *room = (u32 *)(keys + padded);
    Side &side = c.side[blockIdx.x];
    u32 n = samples_of(c, k), t = threadIdx.x;
    for (u32 j = t; j < padded; j += blockDim.x) {
        keys[j] = ~0ull;
        if (j >= n) continue;
        Sample sample = draw_one(c, k, j);
        keys[j] = (u64)(blockIdx.x ? sample.item : sample.user) << 32 | j;
        if (blockIdx.x == 0) c.labels[j] = sample.label;
    }
    for (u32 size = 2; size <= padded; size *= 2)
        for (u32 stride = size / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (u32 i = t; i < padded / 2; i += blockDim.x) {
                u32 a = 2 * i - (i & (stride - 1)), b = a + stride;
                u64 x = keys[a], y = keys[b];
                if ((x > y) == ((a & size) == 0)) keys[a] = y, keys[b] = x;
            }
        }
    __syncthreads();
    u32 each = (padded + blockDim.x - 1) / blockDim.x, from = t * each, heads = 0;
    u32 to = from + each < n ? from + each : n;
    for (u32 p = from; p < to; p++) heads += p == 0 || keys[p] >> 32 != keys[p - 1] >> 32;
    u32 slot = block_scan(room, heads);
    if (t == blockDim.x - 1) *side.count = slot, side.starts[slot] = n;
    slot -= heads;
    for (u32 p = from; p < to; p++) {
        bool head = p == 0 || keys[p] >> 32 != keys[p - 1] >> 32;
        slot += head;
        put(side, p, head, slot - 1, (u32)(keys[p] >> 32), (u32)keys[p]);
        side.sorted[p] = (u32)keys[p];
    }
}

// Large batches: a stable radix sort by 8 bits at a time, least significant first. A pass reads 12 B and writes 8 B a
// sample and side; two or three passes move 100 B: 0.03 ms for 1 M samples.
// Launched for both sides at once (grid.y).
KERNEL(THREADS) radix_count(Ctx c, u32 k, u32 pass) {
    __shared__ u32 counts[256];
    Side &side = c.side[blockIdx.y];
    u32 n = samples_of(c, k), t = threadIdx.x, start = blockIdx.x * SORT_TILE;
    counts[t] = 0;
    __syncthreads();
    for (u32 j = start + t; j < start + SORT_TILE && j < n; j += THREADS)
        atomicAdd(&counts[side.keys[pass & 1][j] >> (8 * pass) & 255], 1u);
    __syncthreads();
    side.hist[t * c.tiles + blockIdx.x] = counts[t];
}

// Sums of all counts before each, in place; the total goes behind them. One block a side: 64 K counts take 16 turns.
KERNEL(1024) scan(Ctx c, u32 n) {
    __shared__ u32 room[1024];
    u32 *values = c.side[blockIdx.y].hist, t = threadIdx.x, before = 0;
    for (u32 start = 0; start < n; start += 4096) {
        u32 own[4], sum = 0, first = start + 4 * t;
        for (u32 i = 0; i < 4; i++) sum += own[i] = first + i < n ? values[first + i] : 0;
        u32 to = block_scan(room, sum), place = before + to - sum;
        for (u32 i = 0; i < 4; i++) {
            if (first + i < n) values[first + i] = place;
            place += own[i];
        }
        before += room[1023];
    }
    if (t == 0) values[n] = before;
}

KERNEL(THREADS) radix_scatter(Ctx c, u32 k, u32 pass) {
    __shared__ u32 counts[THREADS / 32][257];
    Side &side = c.side[blockIdx.y];
    const u32 *keys = side.keys[pass & 1], *samples = side.samples[pass & 1];
    u32 *to_keys = side.keys[~pass & 1], *to_samples = side.samples[~pass & 1];
    u32 n = samples_of(c, k), t = threadIdx.x, warp = t / 32, lane = t % 32;
    u32 start = blockIdx.x * SORT_TILE + warp * (SORT_TILE / 8);
    for (u32 i = t; i < 8 * 257; i += THREADS) (&counts[0][0])[i] = 0;
    __syncthreads();
    for (int turn = 0; turn < 2; turn++) {
        for (u32 j = start + lane; j < start + SORT_TILE / 8 + lane; j += 32) {
            u32 key = j < n ? keys[j] : 0, digit = j < n ? key >> (8 * pass) & 255 : 256;
            u32 same = __match_any_sync(FULL, digit), rank = __popc(same & ((1u << lane) - 1));
            u32 place = counts[warp][digit] + rank;
            __syncwarp();
            if (rank == 0) counts[warp][digit] += __popc(same);
            __syncwarp();
            if (turn == 1 && j < n) {
                to_keys[place] = key;
                to_samples[place] = pass == 0 ? j : samples[j];
            }
        }
        __syncthreads();
        if (turn == 1) return;
        // From how many a warp has to where its first goes.
        u32 place = side.hist[t * c.tiles + blockIdx.x];
        for (u32 w = 0; w < 8; w++) {
            u32 own = counts[w][t];
            counts[w][t] = place;
            place += own;
        }
        __syncthreads();
    }
}

KERNEL(THREADS) heads_count(Ctx c, u32 k) {
    __shared__ u32 room[THREADS];
    Side &side = c.side[blockIdx.y];
    u32 n = samples_of(c, k), heads = 0, start = blockIdx.x * SORT_TILE;
    for (u32 p = start + threadIdx.x; p < start + SORT_TILE && p < n; p += THREADS)
        heads += p == 0 || side.ids[p] != side.ids[p - 1];
    u32 total = block_scan(room, heads);
    if (threadIdx.x == THREADS - 1) side.hist[blockIdx.x] = total;
}

KERNEL(THREADS) heads_write(Ctx c, u32 k) {
    __shared__ u32 room[THREADS];
    Side &side = c.side[blockIdx.y];
    u32 n = samples_of(c, k), start = blockIdx.x * SORT_TILE, slot = side.hist[blockIdx.x];
    for (u32 turn = 0; turn < SORT_TILE; turn += THREADS) {
        u32 p = start + turn + threadIdx.x;
        bool head = p < n && (p == 0 || side.ids[p] != side.ids[p - 1]);
        u32 upto = block_scan(room, head);
        if (p < n) put(side, p, head, slot + upto - 1, side.ids[p], side.sorted[p]);
        slot += room[THREADS - 1];
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        u32 count = side.hist[c.tiles];
        *side.count = count;
        side.starts[count] = n;
    }
}
