//! The kernels' source, as one program.

/// The names of all kernels.
pub const KERNELS: &[&str] = &[
    "draw",
    "group_small",
    "radix_count",
    "scan",
    "radix_scatter",
    "heads_count",
    "heads_write",
    "gather",
    "settle",
    "rows",
    "pick",
    "forward",
    "backward",
    "weights",
    "transpose",
    "join",
    "inputs",
    "activate",
    "cut_slopes",
    "column_sums",
    "run_sums",
    "advance",
    "fetch_users",
    "base_scores",
    "list_scores",
    "pair_join",
    "pair_activate",
    "pair_head",
    "find",
    "take_away",
    "count",
    "top_k",
];

/// CUDA C++ of all kernels, for NVRTC: it includes nothing.
pub fn source() -> String {
    [
        include_str!("../kernels/common.cuh"),
        include_str!("../kernels/sample.cu"),
        include_str!("../kernels/group.cu"),
        include_str!("../kernels/rows.cu"),
        include_str!("../kernels/loss.cu"),
        include_str!("../kernels/tower.cu"),
        include_str!("../kernels/rank.cu"),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_all_kernels_of_the_source_and_no_other() {
        let source = source();
        let defined: Vec<&str> = source
            .lines()
            .filter_map(|line| line.strip_prefix("KERNEL(")?.split_once(") ")?.1.split_once('('))
            .map(|(name, _)| name)
            .collect();
        let (mut defined, mut listed) = (defined, KERNELS.to_vec());
        defined.sort_unstable();
        listed.sort_unstable();
        assert_eq!(defined, listed);
    }
}
