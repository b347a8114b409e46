//! The kernels against formulas in f64 and against sorting.

use proptest::prelude::*;

use super::*;
use crate::lanes::levels;

/// Values without structure, in (-1, 1).
fn noise(n: usize, salt: u64) -> Vec<f32> {
    let mix = |k: u64| (k ^ (k >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    (0..n as u64).map(|k| mix((k + 1) * 0x9e37_79b9 + salt * 0x1234_5677) as f32 / 8_388_608.0 - 1.0).collect()
}

/// A random model.
#[derive(Debug)]
struct World {
    n_users: usize,
    n_items: usize,
    factors: usize,
    embedding: usize,
    widths: Vec<usize>,
    tables: [Vec<f32>; 4],
    layers: Vec<[Vec<f32>; 2]>,
    head: Vec<f32>,
    item_bias: Option<Vec<f32>>,
}

impl World {
    /// Without factors there is no product, and without widths no perceptron.
    fn new(n_users: usize, n_items: usize, factors: usize, embedding: usize, widths: &[usize], biased: bool) -> Self {
        let mut inputs = 2 * embedding;
        let layer = |(number, &outputs): (usize, &usize)| {
            let weight = noise(std::mem::replace(&mut inputs, outputs) * outputs, 10 + number as u64);
            [weight, noise(outputs, 50 + number as u64)]
        };
        Self {
            n_users,
            n_items,
            factors,
            embedding,
            widths: widths.to_vec(),
            tables: [(n_users, factors, 1), (n_items, factors, 2), (n_users, embedding, 3), (n_items, embedding, 4)]
                .map(|(rows, width, salt)| noise(rows * width, salt)),
            layers: widths.iter().enumerate().map(layer).collect(),
            head: noise(factors + widths.last().copied().unwrap_or(0), 5),
            item_bias: biased.then(|| noise(n_items, 6)),
        }
    }

    fn pairs(&self, budget: usize) -> Pairs {
        let [p, q, u, v] = &self.tables;
        let layers: Vec<Dense<'_>> = self.layers.iter().map(|[weight, bias]| Dense { weight, bias }).collect();
        let perceptron = (Tables { users: u, items: v, width: self.embedding }, layers.as_slice());
        let parts = Parts {
            product: (self.factors > 0).then_some(Tables { users: p, items: q, width: self.factors }),
            perceptron: (!self.widths.is_empty()).then_some(perceptron),
            head: &self.head,
            bias: 0.25,
            item_bias: self.item_bias.as_deref(),
        };
        Pairs::within(budget, &parts).unwrap()
    }

    /// The formula in f64, and the sum of the absolute values of the terms that make the score.
    fn by_hand(&self, user: usize, item: usize) -> (f64, f64) {
        let row = |table: usize, id: usize, width: usize| -> Vec<f64> {
            self.tables[table][id * width..(id + 1) * width].iter().copied().map(f64::from).collect()
        };
        let (p, q) = (row(0, user, self.factors), row(1, item, self.factors));
        let mut terms: Vec<f64> = p.iter().zip(q).map(|(p, q)| p * q).collect();
        let mut x = row(2, user, self.embedding);
        x.extend(row(3, item, self.embedding));
        let mut size = 1.0_f64;
        for [weight, bias] in &self.layers {
            let rows = weight.chunks_exact(x.len()).zip(bias);
            let sums: Vec<[f64; 2]> = rows
                .map(|(row, &bias)| {
                    let products = || row.iter().zip(&x).map(|(&w, x)| f64::from(w) * x);
                    let bias = f64::from(bias);
                    [products().sum::<f64>() + bias, products().map(f64::abs).sum::<f64>() + bias.abs()]
                })
                .collect();
            x = sums.iter().map(|[sum, _]| sum.max(0.0)).collect();
            size = sums.iter().map(|[_, size]| size).fold(size, |x, y| x.max(*y));
        }
        if !self.layers.is_empty() {
            terms.extend(x);
        }
        let weighted = || terms.iter().zip(&self.head).map(|(x, &h)| x * f64::from(h));
        let bias = 0.25 + self.item_bias.as_ref().map_or(0.0, |bias| f64::from(bias[item]));
        (weighted().sum::<f64>() + bias, weighted().map(f64::abs).sum::<f64>() + bias.abs() + size)
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let widths = prop_oneof![Just(vec![]), prop::collection::vec(1_usize..70, 1..4)];
    (1_usize..20, 1_usize..100, 0_usize..70, 1_usize..40, widths, any::<bool>()).prop_map(
        |(n_users, n_items, factors, embedding, widths, biased)| {
            let factors = if widths.is_empty() { factors.max(1) } else { factors };
            World::new(n_users, n_items, factors, embedding, &widths, biased)
        },
    )
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

proptest! {
    #[test]
    fn scores_follow_the_formula_and_are_the_same_bits_in_every_tile_and_list(
        world in worlds(),
        cut in any::<prop::sample::Index>(),
        budget in prop_oneof![Just(0_usize), Just(usize::MAX), 0..20_000_usize],
    ) {
        let pairs = world.pairs(budget);
        let (n_users, n_items) = (world.n_users, world.n_items);
        prop_assert_eq!((pairs.n_users(), pairs.n_items()), (n_users, n_items));
        let users: Vec<u32> = (0..n_users as u32).rev().collect();
        let mut all = vec![f32::NAN; n_users * n_items];
        pairs.tile(&users, 0..n_items as u32, &mut all).unwrap();
        for (&user, row) in users.iter().zip(all.chunks_exact(n_items)) {
            for (item, &score) in row.iter().enumerate() {
                let (expected, size) = world.by_hand(user as usize, item);
                // Some hundreds of roundings of at most half an ulp each.
                prop_assert!((f64::from(score) - expected).abs() < 2e-5 * size, "{} is not {}", score, expected);
            }
            let items: Vec<u32> = (0..n_items as u32).rev().chain([0, 0]).collect();
            let mut some = vec![f32::NAN; items.len()];
            pairs.list(user, &items, &mut some).unwrap();
            let expected: Vec<f32> = items.iter().map(|&item| row[item as usize]).collect();
            prop_assert_eq!(bits(&some), bits(&expected));
        }
        // Two tiles, of the last user alone, side by side.
        let cut = cut.index(n_items + 1);
        let mut parts = vec![f32::NAN; n_items];
        let (left, right) = parts.split_at_mut(cut);
        pairs.tile(&[0], 0..cut as u32, left).unwrap();
        pairs.tile(&[0], cut as u32..n_items as u32, right).unwrap();
        prop_assert_eq!(bits(&parts), bits(&all[(n_users - 1) * n_items..]));
        // Halves computed in advance or not.
        let mut other = vec![f32::NAN; n_users * n_items];
        world.pairs(if budget == 0 { usize::MAX } else { 0 }).tile(&users, 0..n_items as u32, &mut other).unwrap();
        prop_assert_eq!(bits(&all), bits(&other));
    }

    #[test]
    fn counts_are_those_of_looking_at_each_score(
        scores in prop::collection::vec(-40_i8..40, 0..300),
        thresholds in prop::collection::btree_set(-50_i8..50, 0..100),
        zero in any::<bool>(),
    ) {
        // Half of the time, the zero among the scores is the negative one.
        let score = |score: i8| if zero && score == 0 { -0.0 } else { f32::from(score) };
        let scores: Vec<f32> = scores.into_iter().map(score).collect();
        let thresholds: Vec<f32> = thresholds.iter().rev().map(|&threshold| f32::from(threshold)).collect();
        let mut counts = vec![Count { greater: 1, equal: 2 }; thresholds.len()];
        prop_assert!(count(&thresholds, &scores, &mut counts));
        for (&threshold, found) in thresholds.iter().zip(counts) {
            let greater = 1 + scores.iter().filter(|score| **score > threshold).count();
            let equal = 2 + scores.iter().filter(|score| **score == threshold).count();
            prop_assert_eq!(found, Count { greater, equal });
        }
    }

    #[test]
    fn the_best_items_are_those_of_sorting(
        scores in prop::collection::vec(prop_oneof![-9.0..9.0_f32, (-3_i8..3).prop_map(f32::from), Just(f32::NEG_INFINITY)], 0..1500),
        k in prop_oneof![0_usize..5, 0..1600_usize],
        tile in 1_usize..400,
    ) {
        let mut expected: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).filter(|one| one.1.is_finite()).collect();
        // Stable, so that ties stay in the order of the ids.
        expected.sort_by(|x, y| y.1.partial_cmp(&x.1).unwrap());
        expected.truncate(k);
        let mut best = Best::new(k);
        for _ in 0..2 {
            for (number, scores) in scores.chunks(tile).enumerate() {
                best.offer((number * tile) as u32, scores);
            }
            let mut found = Vec::new();
            best.finish(|item, score| found.push((item, score)));
            prop_assert_eq!(&found, &expected);
        }
    }
}

#[test]
fn every_instruction_set_counts_sifts_and_scores_alike() {
    let scores: Vec<f32> = noise(3001, 1).into_iter().map(|score| (score * 500.0).round()).collect();
    let thresholds: Vec<f32> = (0..7).map(|k| 400.0 - 100.0 * k as f32).collect();
    let found = levels::each(|| {
        let mut counts = vec![Count::default(); thresholds.len()];
        assert!(count(&thresholds, &scores, &mut counts));
        assert_eq!(position_not_finite(&[0.0, f32::NAN]), Some(1));
        let mut best = Best::new(150);
        scores.chunks(1000).enumerate().for_each(|(tile, scores)| best.offer(tile as u32 * 1000, scores));
        let mut items = Vec::new();
        best.finish(|item, score| items.push((item, score.to_bits())));
        (counts, items)
    });
    assert!(found.len() > 1 && found.iter().all(|one| *one == found[0]));
    for world in [World::new(19, 75, 33, 5, &[], true), World::new(9, 75, 7, 13, &[40, 9], false)] {
        let pairs = world.pairs(0);
        let users: Vec<u32> = (0..world.n_users as u32).collect();
        let items: Vec<u32> = (0..world.n_items as u32).collect();
        for all in levels::each(|| {
            let mut all = vec![f32::NAN; users.len() * items.len()];
            pairs.tile(&users, 0..items.len() as u32, &mut all).unwrap();
            let mut list = vec![f32::NAN; items.len()];
            pairs.list(3, &items, &mut list).unwrap();
            assert_eq!(bits(&list), bits(&all[3 * items.len()..4 * items.len()]));
            all
        }) {
            for (place, score) in all.into_iter().enumerate() {
                let (expected, size) = world.by_hand(place / items.len(), place % items.len());
                assert!((f64::from(score) - expected).abs() < 2e-5 * size, "{score} is not {expected}");
            }
        }
    }
}

#[test]
fn zeros_of_both_signs_are_a_tie_among_the_best() {
    let mut best = Best::new(2);
    best.offer(5, &[-1.0, -0.0, 0.0, -0.0]);
    let mut found = Vec::new();
    best.finish(|item, _| found.push(item));
    assert_eq!(found, [6, 7]);
}

#[test]
fn scores_that_are_not_finite_are_noticed_with_any_number_of_thresholds() {
    let mut scores = noise(77, 3);
    for n in [0, 1, 2, 3, 4, 5, 95, 96, 200] {
        let thresholds: Vec<f32> = (0..n).map(|k| 1.0 - k as f32 / 100.0).collect();
        for place in [0, 15, 16, 63, 76] {
            let good = std::mem::replace(&mut scores[place], f32::NAN);
            assert!(!count(&thresholds, &scores, &mut vec![Count::default(); n]), "{n} {place}");
            scores[place] = good;
        }
        assert!(count(&thresholds, &scores, &mut vec![Count::default(); n]));
    }
}

#[test]
fn ids_and_sizes_that_do_not_fit_are_errors() {
    let pairs = World::new(3, 40, 4, 2, &[3], false).pairs(usize::MAX);
    assert_eq!(pairs.tile(&[3], 0..1, &mut [0.0]), Err(Error::User(3)));
    assert_eq!(pairs.tile(&[0], 39..41, &mut [0.0; 2]), Err(Error::Item(40)));
    assert_eq!(pairs.tile(&[0, 1], 0..2, &mut [0.0; 3]), Err(Error::Places { scores: 4, places: 3 }));
    assert_eq!(pairs.tile(&[], 0..2, &mut []), Ok(()));
    assert_eq!(pairs.tile(&[0], 2..2, &mut []), Ok(()));
    assert_eq!(pairs.list(3, &[0], &mut [0.0]), Err(Error::User(3)));
    assert_eq!(pairs.list(0, &[40], &mut [0.0]), Err(Error::Item(40)));
    assert_eq!(pairs.list(0, &[0, 1], &mut [0.0]), Err(Error::Places { scores: 2, places: 1 }));
    assert_eq!(pairs.list(0, &[], &mut []), Ok(()));
}

#[test]
fn parts_that_make_no_model_are_refused() {
    let (table, weight) = (noise(12, 1), noise(24, 2));
    let tables = Tables { users: &table, items: &table, width: 4 };
    let dense = [Dense { weight: &weight, bias: &table[..3] }];
    let parts = Parts {
        product: Some(tables),
        perceptron: Some((tables, &dense)),
        head: &table[..7],
        bias: 0.0,
        item_bias: Some(&table[..3]),
    };
    assert!(Pairs::new(&parts).is_ok());
    let odd = Tables { items: &table[..11], ..tables };
    let fewer = Tables { items: &table[..8], ..tables };
    let short = [Dense { weight: &weight[1..], bias: &table[..3] }];
    for (wrong, name) in [
        (Parts { product: Some(Tables { width: 0, ..tables }), ..parts }, "width"),
        (Parts { product: Some(odd), ..parts }, "width"),
        (Parts { product: Some(fewer), ..parts }, "tables"),
        (Parts { product: None, perceptron: None, ..parts }, "tables"),
        (Parts { perceptron: Some((tables, &short)), ..parts }, "layers"),
        (Parts { perceptron: Some((tables, &[])), ..parts }, "layers"),
        (Parts { head: &table[..6], ..parts }, "head"),
        (Parts { item_bias: Some(&table[..2]), ..parts }, "item_bias"),
    ] {
        assert_eq!(Pairs::new(&wrong).err(), Some(Error::Shape(name)));
    }
}
