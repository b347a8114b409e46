//! Places across the layers: near the neighbours, never closer than the gap.

use crate::layout::Layered;

/// Rounds after which places move by less than a tenth of a unit on graphs of up to 300 nodes.
const ROUNDS: usize = 24;

/// A dummy node pulls its edge straight: it counts as much as this many nodes.
const STRAIGHT: f64 = 4.0;

/// The centre of each node across its layer, the leftmost edge of any of them at 0. `width` is that of a node.
///
/// In turn, each layer moves to where the sum of squared distances to the barycentres of its neighbours is least, with
/// `(width(a) + width(b)) / 2` between the centres of neighbours `a` and `b`.
pub(crate) fn place(graph: &Layered, width: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut at = vec![0.0; graph.above.len()];
    for layer in &graph.layers {
        let whole: f64 = layer.iter().map(|node| width(*node)).sum();
        let mut edge = -whole / 2.0;
        for node in layer {
            at[*node] = edge + width(*node) / 2.0;
            edge += width(*node);
        }
    }
    for round in 0..ROUNDS {
        // In the direction in which it looks, one round carries a shift through any number of layers. The last looks
        // down, so that every chain is straight.
        let up = round % 2 == 0;
        let layers: Vec<&Vec<usize>> =
            if up { graph.layers.iter().collect() } else { graph.layers.iter().rev().collect() };
        for layer in layers {
            let mut wanted = Vec::with_capacity(layer.len());
            let mut weights = Vec::with_capacity(layer.len());
            for node in layer {
                let near = if up { &graph.above[*node] } else { &graph.below[*node] };
                let near: Vec<f64> = near.iter().map(|other| at[*other]).collect();
                wanted.push(if near.is_empty() { at[*node] } else { near.iter().sum::<f64>() / near.len() as f64 });
                let dummy = *node >= graph.real;
                weights.push(if near.is_empty() {
                    0.1
                } else if dummy {
                    STRAIGHT
                } else {
                    1.0
                });
            }
            let gaps: Vec<f64> = layer.windows(2).map(|pair| f64::midpoint(width(pair[0]), width(pair[1]))).collect();
            for (node, place) in layer.iter().zip(spread(&wanted, &weights, &gaps)) {
                at[*node] = place;
            }
        }
    }
    let edge = graph.layers.iter().flatten().map(|node| at[*node] - width(*node) / 2.0).fold(f64::INFINITY, f64::min);
    at.iter().map(|place| place - edge).collect()
}

/// The places nearest to those wanted, by weighted least squares, with at least `gaps` between neighbours.
///
/// Less the sum of the gaps before it, each place only has to be no smaller than the one before: isotonic regression,
/// solved exactly by pooling adjacent violators (Barlow et al. 1972).
fn spread(wanted: &[f64], weights: &[f64], gaps: &[f64]) -> Vec<f64> {
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(wanted.len());
    // Each pool: sum of weight × place, sum of weights, how many nodes.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (i, (place, weight)) in wanted.iter().zip(weights).enumerate() {
        if i > 0 {
            offset += gaps[i - 1];
        }
        offsets.push(offset);
        let mut pool = ((place - offset) * weight, *weight, 1);
        while let Some(last) = pools.last() {
            if last.0 / last.1 <= pool.0 / pool.1 {
                break;
            }
            pool = (pool.0 + last.0, pool.1 + last.1, pool.2 + last.2);
            pools.pop();
        }
        pools.push(pool);
    }
    let level = pools.iter().flat_map(|pool| std::iter::repeat_n(pool.0 / pool.1, pool.2));
    level.zip(offsets).map(|(level, offset)| level + offset).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::layout::layered;
    use crate::layout::reduce_crossings;

    #[test]
    fn two_that_want_the_same_place_share_it_out() {
        // Minimise (x − 5)² + (y − 5)² with y ≥ x + 4: x = 3, y = 7. The third is out of the way and gets its wish.
        assert_eq!(spread(&[5.0, 5.0, 20.0], &[1.0; 3], &[4.0, 4.0]), [3.0, 7.0, 20.0]);
        // With weights 3 and 1: x = 5 − 4/4 = 4, y = 8.
        assert_eq!(spread(&[5.0, 5.0], &[3.0, 1.0], &[4.0]), [4.0, 8.0]);
    }

    #[test]
    fn a_chain_is_straight() {
        let graph = layered(4, &BTreeSet::from([(0, 1), (1, 2), (2, 3)])).unwrap();
        assert_eq!(place(&graph, |_| 10.0), [5.0; 4]);
    }

    proptest! {
        #[test]
        fn nodes_never_overlap_and_nothing_is_left_of_the_edge(edges in prop::collection::btree_set((0_usize..30, 0_usize..30), 0..90)) {
            let edges: BTreeSet<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let mut graph = layered(30, &edges).unwrap();
            reduce_crossings(&mut graph);
            let width = |node: usize| if node < 30 { 100.0 } else { 12.0 };
            let at = place(&graph, width);
            for layer in &graph.layers {
                for pair in layer.windows(2) {
                    let gap = f64::midpoint(width(pair[0]), width(pair[1]));
                    prop_assert!(at[pair[1]] - at[pair[0]] > gap - 1e-6);
                }
                for node in layer {
                    prop_assert!(at[*node] - width(*node) / 2.0 > -1e-6);
                }
            }
        }
    }
}
