// The emulation as a shared library: g++ -std=c++17 -O2 -shared -fPIC emu_main.cpp -o libemu.so
#include "emu.h"
#include "common.cuh"
#include "sample.cu"
#include "group.cu"
#include "rows.cu"
#include "loss.cu"
#include "tower.cu"
#include "rank.cu"

#define ALL(K) \
    K(draw) K(group_small) K(radix_count) K(scan) K(radix_scatter) K(heads_count) K(heads_write) K(gather) K(settle) \
    K(rows) K(pick) K(forward) K(backward) K(weights) K(transpose) K(join) K(inputs) K(activate) K(cut_slopes) \
    K(column_sums) K(run_sums) K(fetch_users) K(base_scores) K(list_scores) K(pair_join) K(pair_activate) K(pair_head) \
    K(find) K(take_away) K(count) K(top_k) K(advance)

extern "C" int emu_launch(const char *name, const u32 *grid, u32 threads, u32 shared, void **args) {
    gridDim = {grid[0], grid[1], 1}, blockDim = {threads, 1, 1}, emu::threads = threads;
    if (shared > sizeof shared_bytes || threads > emu::MOST) return 2;
#define K(kernel) if (!strcmp(name, #kernel)) return emu::launch(kernel, args), 0;
    ALL(K)
#undef K
    return 1;
}
extern "C" void emu_seed(u64 seed) { emu::state = seed; }
extern "C" u64 emu_sizes(int which) { return which == 0 ? sizeof(Ctx) : which == 1 ? sizeof(Clock) : sizeof(Rank); }
// C[m][n] = A·B + beta·C, row-major; A and B transposed where asked. Sums in double precision.
extern "C" void emu_gemm(u32 m, u32 n, u32 k, const float *a, u32 lda, int ta, const float *b, u32 ldb, int tb, float *c,
                         u32 ldc, float beta) {
    for (u32 i = 0; i < m; i++)
        for (u32 j = 0; j < n; j++) {
            double sum = 0.0;
            for (u32 l = 0; l < k; l++) sum += (double)a[ta ? (u64)l * lda + i : (u64)i * lda + l] * b[tb ? (u64)j * ldb + l : (u64)l * ldb + j];
            float &out = c[(u64)i * ldc + j];
            out = (float)sum + (beta != 0.0f ? beta * out : 0.0f);
        }
}
