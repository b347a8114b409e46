//! Layers: each node one further than the furthest that it reads from.

use std::collections::BTreeSet;

/// A graph in layers. Longer edges pass through dummy nodes, so that neighbours are in neighbouring layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layered {
    /// The nodes of each layer, in their order across it. Numbers from `real` on are dummy nodes.
    pub(crate) layers: Vec<Vec<usize>>,
    /// How many nodes are real.
    pub(crate) real: usize,
    /// For each node, dummies included, its neighbours in the layer before.
    pub(crate) above: Vec<Vec<usize>>,
    /// For each node, dummies included, its neighbours in the layer after.
    pub(crate) below: Vec<Vec<usize>>,
    /// For each edge, once, the nodes that it passes from its beginning to its end.
    pub(crate) paths: Vec<Vec<usize>>,
}

/// Dummy nodes past which long edges are drawn as one stroke: more would only be slow, and nobody could follow them.
const DUMMIES: usize = 20_000;

/// The layer of each of `n` nodes, or a node that is on a cycle.
fn longest_paths(n: usize, edges: &BTreeSet<(usize, usize)>) -> Result<Vec<usize>, usize> {
    let mut below = vec![Vec::new(); n];
    let mut waiting = vec![0_usize; n];
    for &(from, to) in edges {
        below[from].push(to);
        waiting[to] += 1;
    }
    let mut layer = vec![0; n];
    let mut ready: Vec<usize> = (0..n).filter(|node| waiting[*node] == 0).collect();
    let mut done = 0;
    while let Some(node) = ready.pop() {
        done += 1;
        for &next in &below[node] {
            layer[next] = layer[next].max(layer[node] + 1);
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push(next);
            }
        }
    }
    if done < n {
        return Err(on_cycle(&waiting, edges));
    }
    // A source that is first read far down would draw a line past everything: it moves to just before its reader.
    let read: BTreeSet<usize> = edges.iter().map(|(_, to)| *to).collect();
    for node in (0..n).filter(|node| !read.contains(node)) {
        if let Some(first) = below[node].iter().map(|next| layer[*next]).min() {
            layer[node] = first - 1;
        }
    }
    Ok(layer)
}

/// What waits may only be below a cycle; going up from it for as many steps as there are nodes ends on one.
fn on_cycle(waiting: &[usize], edges: &BTreeSet<(usize, usize)>) -> usize {
    let mut node = waiting.iter().position(|n| *n > 0).unwrap_or(0);
    for _ in 0..waiting.len() {
        if let Some((from, _)) = edges.iter().find(|(from, to)| *to == node && waiting[*from] > 0) {
            node = *from;
        }
    }
    node
}

/// `n` nodes and the edges between them in layers, in the order of their numbers, or a node that is on a cycle.
pub(crate) fn layered(n: usize, edges: &BTreeSet<(usize, usize)>) -> Result<Layered, usize> {
    let layer = longest_paths(n, edges)?;
    let mut graph = Layered { real: n, above: vec![Vec::new(); n], below: vec![Vec::new(); n], ..Layered::default() };
    graph.layers = vec![Vec::new(); layer.iter().max().map_or(0, |last| last + 1)];
    for (node, layer) in layer.iter().enumerate() {
        graph.layers[*layer].push(node);
    }
    for &(from, to) in edges {
        let between = layer[to] - layer[from] - 1;
        if between > DUMMIES.saturating_sub(graph.above.len() - n) {
            graph.paths.push(vec![from, to]);
            continue;
        }
        let mut path = vec![from];
        for between in layer[from] + 1..layer[to] {
            let dummy = graph.above.len();
            graph.above.push(Vec::new());
            graph.below.push(Vec::new());
            graph.layers[between].push(dummy);
            path.push(dummy);
        }
        path.push(to);
        for pair in path.windows(2) {
            graph.below[pair[0]].push(pair[1]);
            graph.above[pair[1]].push(pair[0]);
        }
        graph.paths.push(path);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_leads_to_the_next_layer_and_long_ones_pass_through_dummies() {
        // 0 → 1 → 2, 0 → 2, and 3 → 2: by longest path 0, 1, 2 are in layers 0, 1, 2; the source 3 stands just above 2.
        let edges = BTreeSet::from([(0, 1), (1, 2), (0, 2), (3, 2)]);
        let graph = layered(4, &edges).unwrap();
        assert_eq!(graph.layers, [vec![0], vec![1, 3, 4], vec![2]]);
        assert_eq!(graph.paths, [vec![0, 1], vec![0, 4, 2], vec![1, 2], vec![3, 2]]);
    }

    #[test]
    fn the_densest_graph_of_300_nodes_stays_small() {
        let edges: BTreeSet<_> = (0..300).flat_map(|to| (0..to).map(move |from| (from, to))).collect();
        let graph = layered(300, &edges).unwrap();
        assert!(graph.above.len() <= 300 + DUMMIES);
        // 300 · 299 / 2 edges.
        assert_eq!(graph.paths.len(), 44_850);
    }

    #[test]
    fn a_cycle_is_named_by_a_node_on_it_not_below_it() {
        let edges = BTreeSet::from([(1, 2), (2, 1), (2, 0), (0, 3)]);
        assert!([1, 2].contains(&layered(4, &edges).unwrap_err()));
        assert_eq!(layered(1, &BTreeSet::from([(0, 0)])), Err(0));
    }
}
