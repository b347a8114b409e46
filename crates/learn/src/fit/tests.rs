//! The models against numpy's numbers (`tests/fixtures/make_closed_form_fixtures.py`), and what holds for any data.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::model::scorer::Scorer;
use crate::model::{Architecture, Config, Ease, History, Ials, ItemKnn, Popularity};

#[derive(Deserialize)]
struct Fixture {
    n_users: u32,
    n_items: u32,
    users: Vec<u32>,
    items: Vec<u32>,
    ease: Vec<EaseCase>,
    item_knn: Vec<KnnCase>,
    ials: Vec<IalsCase>,
}

#[derive(Deserialize)]
struct EaseCase {
    regularisation: f64,
    item_weights: Vec<f64>,
    scores: Vec<f64>,
}

#[derive(Deserialize)]
struct KnnCase {
    neighbours: u32,
    shrink: f64,
    lists: Vec<Vec<i32>>,
    scores: Vec<f64>,
}

#[derive(Deserialize)]
struct IalsCase {
    model: Ials,
    first_items: Vec<f32>,
    objective: Vec<f64>,
    users: Vec<f64>,
    items: Vec<f64>,
    scores: Vec<f64>,
}

impl Fixture {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../../../tests/fixtures/closed_form.json")).unwrap()
    }

    fn train(&self) -> Csr {
        Csr::from_pairs(self.n_users, self.n_items, &self.users, &self.items).unwrap()
    }
}

struct Rows<'a>(&'a Csr);

impl History for Rows<'_> {
    fn items(&self, user: u32) -> &[u32] {
        self.0.row(user)
    }
}

const SILENT: Watch<'static> =
    Watch { start: &|_, _| {}, advance: &|_| {}, cancelled: &|| false, saves: &|| 0, scratch: None };

fn run(model: &FitSpec, train: &Csr) -> Fitted {
    fit(model, train, 5, u64::MAX, SILENT).unwrap()
}

fn scorer(model: &FitSpec, weights: &Weights, train: &Csr) -> Box<dyn Scorer + Send + Sync> {
    let catalogue = Catalogue { n_users: train.n_users(), n_items: train.n_items() };
    model.scorer(catalogue, weights, &Rows(train)).unwrap()
}

/// The scores of all users and items, in one block.
fn scores(model: &FitSpec, weights: &Weights, train: &Csr) -> Vec<f32> {
    let scorer = scorer(model, weights, train);
    let users: Vec<u32> = (0..train.n_users()).collect();
    let mut out = vec![f32::NAN; users.len() * scorer.n_items()];
    scorer.score_all(&users, &mut out).unwrap();
    out
}

/// The largest difference, as a part of the largest number.
fn difference(ours: &[f32], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    // A maximum passes over what is not a number.
    assert!(ours.iter().all(|x| x.is_finite()));
    let far = ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - b).abs());
    far.fold(0.0, f64::max) / largest
}

fn kinds(factors: u32) -> [FitSpec; 4] {
    let read = |json: &str| serde_json::from_str::<FitSpec>(json).unwrap();
    [
        read(r#"{"kind": "popularity"}"#),
        read(r#"{"kind": "item_knn", "neighbours": 5}"#),
        read(&format!(r#"{{"kind": "ials", "factors": {factors}, "sweeps": 3}}"#)),
        read(r#"{"kind": "ease", "regularisation": 2}"#),
    ]
}

#[test]
fn ease_agrees_with_the_inverse_of_numpy() {
    let fixture = Fixture::read();
    let train = fixture.train();
    for case in &fixture.ease {
        let model = FitSpec::Ease(Ease { regularisation: case.regularisation });
        let weights = run(&model, &train).weights;
        // Computed in f64 and kept in f32, whose spacing is 1.2e-7.
        assert!(difference(&weights.real("item_weights").unwrap(), &case.item_weights) < 2e-7);
        assert!(difference(&scores(&model, &weights, &train), &case.scores) < 1e-6);
    }
}

#[test]
fn neighbours_and_their_sums_agree_with_numpy() {
    let fixture = Fixture::read();
    let train = fixture.train();
    for case in &fixture.item_knn {
        let knn = ItemKnn { neighbours: case.neighbours, shrink: case.shrink, ..ItemKnn::default() };
        let width = knn.width(Catalogue { n_users: train.n_users(), n_items: train.n_items() });
        assert_eq!(width, (case.neighbours as usize).min(20));
        let model = FitSpec::ItemKnn(knn);
        let weights = run(&model, &train).weights;
        let index = weights.whole("neighbours.index").unwrap();
        let similarity = weights.real("neighbours.similarity").unwrap();
        for (item, list) in case.lists.iter().enumerate() {
            let found = index[item * width..].iter().zip(&similarity[item * width..]).take(width);
            let found: Vec<i32> = found.filter(|entry| *entry.1 > 0.0).map(|entry| *entry.0).collect();
            assert_eq!(&found, list, "item {item}");
        }
        assert!(difference(&scores(&model, &weights, &train), &case.scores) < 1e-6);
    }
}

#[test]
fn weighted_neighbours_agree_with_numpy_and_the_library_implicit() {
    // numpy 2.4.6:
    //   rows = [[0, 1, 2], [0, 2], [1, 2, 3, 4], [4], [0, 1, 2, 3, 4]]
    //   R = np.zeros((5, 6))
    //   for u, l in enumerate(rows): R[u, l] = 1
    //   X = R.T; idf = np.log(X.shape[0]) - np.log1p(X.sum(0))
    //   T = X * idf; n = np.linalg.norm(T, axis=1, keepdims=True); T = np.divide(T, n, out=np.zeros_like(T), where=n > 0)
    //   length = 1 - .75 + .75 * X.sum(1) / X.sum(1).mean(); B = X * 2.2 / (1.2 * length[:, None] + X) * idf
    //   T @ T.T, B @ B.T
    // `TFIDFRecommender` and `BM25Recommender` of implicit 0.7.3, given R, have the same to 3e-16.
    const TF_IDF: [[f64; 5]; 4] = [
        [0.0, 0.460_505_813_218_592_74, 0.975_181_370_129_697_2, 0.0, 0.0],
        [0.460_505_813_218_592_74, 0.0, 0.539_877_469_858_312_2, 0.410_107_005_098_448_16, 0.067_141_505_652_273_8],
        [0.975_181_370_129_697_2, 0.539_877_469_858_312_2, 0.0, 0.221_407_532_283_720_12, 0.036_248_186_194_027_14],
        [0.0, 0.410_107_005_098_448_16, 0.221_407_532_283_720_12, 0.0, 0.163_717_041_692_950_73],
    ];
    const BM25: [[f64; 5]; 4] = [
        [0.0, 0.140_474_799_951_084_1, 0.478_607_931_700_762_93, 0.0, 0.0],
        [0.140_474_799_951_084_1, 0.0, 0.146_689_661_901_228_87, 0.033_465_173_131_577_68, 0.028_403_214_170_498_71],
        [0.478_607_931_700_762_93, 0.146_689_661_901_228_87, 0.0, 0.029_068_289_070_494_47, 0.024_671_405_009_411_28],
        [0.0, 0.033_465_173_131_577_68, 0.029_068_289_070_494_47, 0.0, 0.033_465_173_131_577_68],
    ];
    let rows: [&[u32]; 5] = [&[0, 1, 2], &[0, 2], &[1, 2, 3, 4], &[4], &[0, 1, 2, 3, 4]];
    let (users, items): (Vec<u32>, Vec<u32>) =
        (0..).zip(rows).flat_map(|(user, items)| items.iter().map(move |item| (user, *item))).unzip();
    let train = Csr::from_pairs(5, 6, &users, &items).unwrap();
    for (kind, expected) in [("tf_idf", TF_IDF), ("bm25", BM25)] {
        let text = format!(r#"{{"kind": "item_knn", "neighbours": 9, "weighting": {{"kind": "{kind}"}}}}"#);
        let weights = run(&serde_json::from_str(&text).unwrap(), &train).weights;
        let index = weights.whole("neighbours.index").unwrap();
        let similarity = weights.real("neighbours.similarity").unwrap();
        for (item, expected) in expected.iter().enumerate() {
            let mut found = [0.0; 6];
            for place in item * 5..item * 5 + 5 {
                found[index[place] as usize] += f64::from(similarity[place]);
            }
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-7, "{kind} of item {item}: {found} {expected}");
            }
        }
        // Item 5 has no user, and user 4, who has all items but that, tells nothing.
        assert_eq!(similarity[25..], [0.0; 5]);
    }
}

#[test]
fn shrinking_and_the_settings_of_bm25_are_those_of_the_formula() {
    let train = Fixture::read().train();
    let users_of = train.transpose();
    let idf = |user: u32| (f64::from(train.n_items()) / (1.0 + train.row(user).len() as f64)).ln();
    let lengths: Vec<f64> = (0..train.n_items()).map(|item| users_of.row(item).len() as f64).collect();
    let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let of_pair = |bm25: bool, one: u32, other: u32| -> f64 {
        let weight =
            |item: u32| if bm25 { 3.0 / (2.0 * (0.5 + 0.5 * lengths[item as usize] / mean) + 1.0) } else { 1.0 };
        let shared = users_of.row(one).iter().filter(|user| users_of.contains(other, **user));
        let sum: f64 = shared.map(|user| idf(*user).powi(2)).sum::<f64>() * weight(one) * weight(other);
        let norm = |item: u32| users_of.row(item).iter().map(|user| idf(*user).powi(2)).sum::<f64>().sqrt();
        if bm25 { sum } else { sum / (norm(one) * norm(other) + 3.0) }
    };
    for (json, bm25) in [
        (r#"{"kind": "item_knn", "neighbours": 4, "shrink": 3, "weighting": {"kind": "tf_idf"}}"#, false),
        (r#"{"kind": "item_knn", "neighbours": 4, "weighting": {"kind": "bm25", "k1": 2, "b": 0.5}}"#, true),
    ] {
        let weights = run(&serde_json::from_str(json).unwrap(), &train).weights;
        let similarity = weights.real("neighbours.similarity").unwrap();
        for item in 0..train.n_items() {
            let others = (0..train.n_items()).filter(|other| *other != item);
            let mut expected: Vec<f64> = others.map(|other| of_pair(bm25, item, other)).collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            for (found, expected) in similarity[item as usize * 4..][..4].iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "item {item}: {found} {expected}");
            }
        }
    }
    let refused = |json: &str| serde_json::from_str::<ItemKnn>(json).unwrap().normalise().unwrap_err().field;
    assert_eq!(refused(r#"{"shrink": 1, "weighting": {"kind": "bm25"}}"#), "shrink");
    assert_eq!(refused(r#"{"weighting": {"kind": "bm25", "b": 2}}"#), "weighting.b");
    assert_eq!(refused(r#"{"weighting": {"kind": "bm25", "k1": -1}}"#), "weighting.k1");
}

#[test]
fn sweeps_of_ials_agree_with_dense_least_squares_in_numpy() {
    let fixture = Fixture::read();
    let train = fixture.train();
    let catalogue = Catalogue { n_users: fixture.n_users, n_items: fixture.n_items };
    for case in fixture.ials {
        let mut factors = ials::Factors::first(&case.model, catalogue, 0).unwrap();
        factors.items = case.first_items;
        let (objective, _) = factors.fit(&case.model, &train, SILENT).unwrap();
        for (ours, theirs) in objective.iter().zip(&case.objective) {
            assert!((ours - theirs).abs() < 1e-5 * theirs, "{ours} {theirs}");
        }
        assert_eq!(objective.len(), case.objective.len());
        // Factors are kept in f32 from half-sweep to half-sweep.
        assert!(difference(&factors.users, &case.users) < 1e-4);
        assert!(difference(&factors.items, &case.items) < 1e-4);
        let weights = case.model.weights(catalogue, factors.users, factors.items).unwrap();
        assert!(difference(&scores(&FitSpec::Ials(case.model), &weights, &train), &case.scores) < 1e-4);
    }
}

#[test]
fn the_objective_of_ials_never_rises() {
    let train = Fixture::read().train();
    let model = serde_json::from_str(r#"{"kind": "ials", "factors": 6, "sweeps": 40}"#).unwrap();
    let objective = run(&model, &train).objective;
    assert_eq!(objective.len(), 40);
    // Up to the rounding of factors to f32.
    assert!(objective.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{objective:?}");
}

#[test]
fn the_first_factors_of_ials_are_normal_with_the_papers_deviation_and_follow_the_seed() {
    let ials: Ials = serde_json::from_str(r#"{"factors": 64}"#).unwrap();
    let catalogue = Catalogue { n_users: 1, n_items: 2000 };
    let first = |seed| ials::Factors::first(&ials, catalogue, seed).unwrap().items;
    let values: Vec<f64> = first(3).iter().map(|value| f64::from(*value) / (0.1 / 8.0)).collect();
    let n = values.len() as f64;
    // Five standard errors: the variances of a standard normal number and of its square are 1 and 2.
    assert!((values.iter().sum::<f64>() / n).abs() < 5.0 / n.sqrt());
    assert!((values.iter().map(|x| x * x).sum::<f64>() / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
    assert_eq!(first(3), first(3));
    assert_ne!(first(3), first(4));
}

#[test]
fn popularity_counts_users() {
    let train = Csr::from_pairs(3, 4, &[0, 1, 2, 0, 2], &[1, 1, 1, 3, 3]).unwrap();
    let model = FitSpec::Popularity(Popularity {});
    let weights = run(&model, &train).weights;
    assert_eq!(weights.whole("item_counts").unwrap(), [0, 3, 0, 2]);
    // The order and the ties of the counts.
    assert_eq!(scores(&model, &weights, &train)[..4], [0.0, 3.0, 0.0, 2.0]);
}

#[test]
fn of_equally_similar_items_the_smaller_ids_are_neighbours() {
    // Every item has the same users, so all cosines are 1.
    let users: Vec<u32> = (0..2).flat_map(|user| [user; 5]).collect();
    let items: Vec<u32> = (0..2).flat_map(|_| 0..5).collect();
    let train = Csr::from_pairs(2, 5, &users, &items).unwrap();
    let knn = ItemKnn { neighbours: 2, ..ItemKnn::default() };
    let weights = run(&FitSpec::ItemKnn(knn), &train).weights;
    assert_eq!(weights.whole("neighbours.index").unwrap(), [1, 2, 0, 2, 0, 1, 0, 1, 0, 1]);
    assert_eq!(weights.real("neighbours.similarity").unwrap(), [1.0; 10]);
}

#[test]
fn weights_do_not_depend_on_the_number_of_threads() {
    // More items than two blocks of EASE, and more users than iALS adds up at once.
    let (users, items): (Vec<u32>, Vec<u32>) = (0..40_000_u64)
        .map(|k| (k.wrapping_mul(2_654_435_761) % 700, k.wrapping_mul(40_503) * k % 300))
        .map(|(user, item)| (user as u32, item as u32))
        .unzip();
    let train = Csr::from_pairs(700, 300, &users, &items).unwrap();
    for model in kinds(40) {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let fitted = pool.install(|| run(&model, &train));
            let config = Config { model: model.clone().into(), n_users: 700, n_items: 300 };
            (fitted.weights.to_file(&config).unwrap(), fitted.objective.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let one = with(1);
        assert!(with(2) == one && with(4) == one, "{}", model.name());
    }
}

#[test]
fn ease_solves_its_equations_across_blocks_of_columns() {
    // The minimum of ‖X − XB‖² + λ‖B‖² with a zero diagonal: (XᵀX + λI) B − XᵀX is diagonal (Steck 2019, section 3.1).
    let (users, items): (Vec<u32>, Vec<u32>) = (0..9000_u32).map(|k| (k % 400, (k * k / 7 + k) % 333)).unzip();
    let train = Csr::from_pairs(400, 333, &users, &items).unwrap();
    let weights = run(&FitSpec::Ease(Ease { regularisation: 3.0 }), &train).weights;
    let b = weights.real("item_weights").unwrap();
    let n = 333;
    let mut gram = vec![0.0; n * n];
    for user in 0..400 {
        for &i in train.row(user) {
            train.row(user).iter().for_each(|&j| gram[i as usize * n + j as usize] += 1.0);
        }
    }
    for row in 0..n {
        for column in (0..n).filter(|column| *column != row) {
            let sum: f64 = (0..n).map(|k| gram[row * n + k] * f64::from(b[k * n + column])).sum();
            let residual = sum + 3.0 * f64::from(b[row * n + column]) - gram[row * n + column];
            assert!(residual.abs() < 1e-4, "{row} {column}: {residual}");
        }
        assert_eq!(b[row * n + row], 0.0);
    }
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_it_starts() {
    let ease = FitSpec::Ease(Ease { regularisation: 1.0 });
    let million = Catalogue { n_users: 10, n_items: 1_000_000 };
    assert_eq!(bytes_needed(&ease, million), 12_000_000_000_000);
    assert_eq!(bytes_needed(&ease, Catalogue { n_users: 1, n_items: u32::MAX }), u64::MAX);
    let train = Csr::from_pairs(1, 1_000_000, &[0], &[5]).unwrap();
    let error = fit(&ease, &train, 0, 16_000_000_000, SILENT).unwrap_err();
    assert_eq!(error.class, Class::Data);
    assert_eq!(
        error.to_string(),
        "EASE for 1 users and 1000000 items takes about 12.0 TB of memory, and there are 16.0 GB"
    );
    assert!(error.help.unwrap().contains("`item_knn`"));
}

#[test]
fn a_fit_tells_how_far_it_is_and_stops_on_request() {
    let train = Fixture::read().train();
    for model in &kinds(4)[1..] {
        let (total, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let start = |units: u64, _: &'static str| total.store(units, Ordering::Relaxed);
        let advance = |units: u64| {
            done.fetch_add(units, Ordering::Relaxed);
        };
        fit(model, &train, 0, u64::MAX, Watch { start: &start, advance: &advance, ..SILENT }).unwrap();
        assert!(total.load(Ordering::Relaxed) > 0);
        assert_eq!(done.load(Ordering::Relaxed), total.load(Ordering::Relaxed), "{}", model.name());
        let stopped = fit(model, &train, 0, u64::MAX, Watch { cancelled: &|| true, ..SILENT });
        assert_eq!(stopped.unwrap_err().class, Class::Cancelled);
    }
}

#[test]
fn files_that_name_other_items_or_types_are_refused() {
    let train = Fixture::read().train();
    let catalogue = Catalogue { n_users: 31, n_items: 21 };
    let knn = ItemKnn { neighbours: 1, ..ItemKnn::default() };
    for bad in [-1, 21] {
        let weights = knn.weights(catalogue, vec![bad; 21], vec![1.0; 21]).unwrap();
        let refused = FitSpec::ItemKnn(knn.clone()).scorer(catalogue, &weights, &Rows(&train)).err().unwrap();
        assert!(refused.message.contains("names no item"), "{refused}");
    }
    assert!(knn.weights(catalogue, vec![0; 20], vec![1.0; 21]).is_err());
    let negative = Weights::of(vec![], vec![("item_counts", vec![-1; 21])], &kinds(1)[0].parameters(catalogue));
    assert!(kinds(1)[0].scorer(catalogue, &negative.unwrap(), &Rows(&train)).is_err());
    // A history of other items than the model's.
    let smaller = Catalogue { n_users: 31, n_items: 3 };
    let weights = Ease { regularisation: 1.0 }.weights(smaller, vec![0.0; 9]).unwrap();
    assert!(kinds(1)[3].scorer(smaller, &weights, &Rows(&train)).is_err());
}

proptest! {
    #[test]
    fn similar_users_are_those_with_the_greatest_cosines(
        rows in prop::collection::vec(prop::collection::btree_set(0_u32..8, 0..6), 1..10),
        neighbours in 1_u32..5,
    ) {
        let (users, items): (Vec<u32>, Vec<u32>) =
            (0..).zip(&rows).flat_map(|(user, items)| items.iter().map(move |item| (user, *item))).unzip();
        let feedback = Csr::from_pairs(rows.len() as u32, 8, &users, &items).unwrap();
        let found = similar_users(&feedback, neighbours, SILENT).unwrap();
        prop_assert_eq!(found.len(), rows.len());
        for (user, own) in rows.iter().enumerate() {
            let cosine = |other: &usize| {
                own.intersection(&rows[*other]).count() as f64 / ((own.len() * rows[*other].len()) as f64).sqrt()
            };
            let mut all: Vec<usize> = (0..rows.len()).filter(|other| *other != user && cosine(other) > 0.0).collect();
            all.sort_by(|a, b| cosine(b).total_cmp(&cosine(a)).then(a.cmp(b)));
            let expected: Vec<u32> = all.iter().take(neighbours as usize).map(|other| *other as u32).collect();
            prop_assert_eq!(&found[user], &expected);
        }
    }

    #[test]
    fn blocks_and_single_users_score_alike_and_files_come_back(
        n_users in 1_u32..9,
        n_items in 1_u32..12,
        pairs in prop::collection::vec((0_u32..9, 0_u32..12), 0..40),
    ) {
        let pairs = pairs.into_iter().filter(|(user, item)| *user < n_users && *item < n_items);
        let (users, items): (Vec<u32>, Vec<u32>) = pairs.unzip();
        let train = Csr::from_pairs(n_users, n_items, &users, &items).unwrap();
        for model in kinds(3) {
            let weights = run(&model, &train).weights;
            let config = Config { model: model.clone().into(), n_users, n_items };
            let weights = Weights::from_file(&weights.to_file(&config).unwrap(), &config).unwrap();
            let scorer = scorer(&model, &weights, &train);
            prop_assert_eq!((scorer.n_users(), scorer.n_items()), (n_users as usize, n_items as usize));
            let all = scores(&model, &weights, &train);
            let order: Vec<u32> = (0..n_items).rev().collect();
            for user in 0..n_users {
                let mut some = vec![f32::NAN; order.len()];
                scorer.score_user(user, &order, &mut some).unwrap();
                some.reverse();
                let row = &all[(user * n_items) as usize..][..n_items as usize];
                for (a, b) in some.iter().zip(row) {
                    prop_assert!(a.is_finite() && (a - b).abs() <= 1e-5 * b.abs().max(1e-3), "{}: {} {}", model.name(), a, b);
                }
            }
            prop_assert!(scorer.score_user(0, &[n_items], &mut [0.0]).is_err());
        }
    }
}
