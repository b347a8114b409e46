//! The order across each layer: few crossings, by barycentres.

use crate::layout::Layered;

/// Sweeps after which nothing has been seen to improve on graphs of up to 300 nodes.
const SWEEPS: usize = 12;

/// The place of each node in its layer.
fn places(graph: &Layered) -> Vec<usize> {
    let mut places = vec![0; graph.above.len()];
    for layer in &graph.layers {
        for (place, node) in layer.iter().enumerate() {
            places[*node] = place;
        }
    }
    places
}

/// How many pairs of edges between neighbouring layers cross, counted with a Fenwick tree (Barth, Jünger, Mutzel 2002).
pub(crate) fn crossings(graph: &Layered) -> u64 {
    let places = places(graph);
    let mut total = 0;
    for pair in graph.layers.windows(2) {
        let mut tree = vec![0_u64; pair[1].len() + 1];
        let mut seen = 0;
        for node in &pair[0] {
            let mut ends: Vec<usize> = graph.below[*node].iter().map(|below| places[*below]).collect();
            ends.sort_unstable();
            // Edges of one node cross none of each other, so all of them are counted before any is added.
            for end in &ends {
                total += seen - sum(&tree, *end);
            }
            for end in ends {
                add(&mut tree, end);
                seen += 1;
            }
        }
    }
    total
}

/// How many of what was added are at `place` or before.
fn sum(tree: &[u64], place: usize) -> u64 {
    let mut at = place + 1;
    let mut sum = 0;
    while at > 0 {
        sum += tree[at];
        at &= at - 1;
    }
    sum
}

fn add(tree: &mut [u64], place: usize) {
    let mut at = place + 1;
    while at < tree.len() {
        tree[at] += 1;
        at += at & at.wrapping_neg();
    }
}

/// Orders the nodes of each layer for few crossings: sweeps down and up by barycentres, keeping the best order met.
/// Nodes with the same barycentre keep their order, so the result depends on nothing but the graph.
pub(crate) fn reduce_crossings(graph: &mut Layered) {
    let mut best = (crossings(graph), graph.layers.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        let order: Vec<usize> =
            if down { (0..graph.layers.len()).collect() } else { (0..graph.layers.len()).rev().collect() };
        for layer in order {
            let places = places(graph);
            let neighbours = if down { &graph.above } else { &graph.below };
            let centre = |node: &usize| {
                let near = &neighbours[*node];
                // A node without neighbours stays where it is.
                if near.is_empty() {
                    return places[*node] as f64;
                }
                near.iter().map(|other| places[*other]).sum::<usize>() as f64 / near.len() as f64
            };
            graph.layers[layer].sort_by(|a, b| centre(a).total_cmp(&centre(b)));
        }
        let now = crossings(graph);
        if now < best.0 {
            best = (now, graph.layers.clone());
        }
    }
    graph.layers = best.1;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::layout::layered;

    /// All pairs of edges between neighbouring layers, by definition.
    fn crossings_by_pairs(graph: &Layered) -> u64 {
        let places = places(graph);
        let mut total = 0;
        for layer in &graph.layers {
            let edges: Vec<(usize, usize)> =
                layer.iter().flat_map(|a| graph.below[*a].iter().map(|b| (places[*a], places[*b]))).collect();
            for (i, x) in edges.iter().enumerate() {
                total += edges[..i].iter().filter(|y| (x.0 < y.0 && x.1 > y.1) || (x.0 > y.0 && x.1 < y.1)).count();
            }
        }
        total as u64
    }

    #[test]
    fn a_ladder_that_is_given_crossed_is_drawn_without_crossings() {
        // 0→5, 1→4, 2→3 cross pairwise as given (3 crossings); reversed, none does.
        let mut graph = layered(6, &BTreeSet::from([(0, 5), (1, 4), (2, 3)])).unwrap();
        assert_eq!(crossings(&graph), 3);
        reduce_crossings(&mut graph);
        assert_eq!(crossings(&graph), 0);
    }

    proptest! {
        #[test]
        fn crossings_are_counted_right_and_never_become_more(edges in prop::collection::btree_set((0_usize..24, 0_usize..24), 0..80)) {
            let edges: BTreeSet<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let mut graph = layered(24, &edges).unwrap();
            let before = crossings(&graph);
            prop_assert_eq!(before, crossings_by_pairs(&graph));
            let mut nodes: Vec<Vec<usize>> = graph.layers.clone();
            reduce_crossings(&mut graph);
            prop_assert!(crossings(&graph) <= before);
            let mut after = graph.layers.clone();
            for layer in nodes.iter_mut().chain(&mut after) {
                layer.sort_unstable();
            }
            prop_assert_eq!(nodes, after);
        }
    }
}
