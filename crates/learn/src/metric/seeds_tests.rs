//! Metrics against the notebooks' own functions, run on small random scores; see
//! `tests/fixtures/make_torch_fixtures.py`.

use std::num::NonZeroUsize;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Fixture {
    compute_acc: Vec<ComputeAcc>,
    hit_and_auc: Vec<HitAndAuc>,
    hit_and_ndcg: HitAndNdcg,
}

/// `compute_acc` of the denoising notebook: means over all users at each length `k`.
#[derive(Deserialize)]
struct ComputeAcc {
    k: Vec<usize>,
    scores: Vec<Vec<f32>>,
    masked: Vec<Vec<usize>>,
    positives: Vec<Vec<usize>>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    ndcg: Vec<f64>,
    mrr: Vec<f64>,
}

/// `hit_and_auc` of "Dive into Deep Learning", user by user.
#[derive(Deserialize)]
struct HitAndAuc {
    k: usize,
    scores: Vec<Vec<f32>>,
    train: Vec<Vec<usize>>,
    test: Vec<Vec<usize>>,
    hits: Vec<f64>,
    auc: Vec<f64>,
}

/// `hit` and `ndcg` of the NCF tutorial: lists of ten candidates, the first of which is the positive.
#[derive(Deserialize)]
struct HitAndNdcg {
    candidates: Vec<Vec<usize>>,
    scores: Vec<Vec<f32>>,
    by_k: Vec<ByK>,
}

#[derive(Deserialize)]
struct ByK {
    k: usize,
    hit: Vec<f64>,
    ndcg: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../../tests/fixtures/torch/metrics.json")).unwrap()
}

fn length(k: usize) -> NonZeroUsize {
    NonZeroUsize::new(k).unwrap()
}

/// The ranking of a user's positives among the items that are not masked.
fn ranking(scores: &[f32], masked: &[usize], positives: &[usize]) -> Option<Ranking> {
    let others = (0..scores.len()).filter(|item| !masked.contains(item) && !positives.contains(item));
    let negatives: Vec<f32> = others.map(|item| scores[item]).collect();
    let mut own: Vec<f32> = positives.iter().map(|&item| scores[item]).collect();
    Ranking::by_counting(&mut own, &negatives)
}

#[test]
fn precision_recall_ndcg_and_mrr_are_those_of_the_denoising_notebook() {
    for case in fixture().compute_acc {
        let users = case.scores.iter().zip(&case.masked).zip(&case.positives);
        let rankings: Vec<Ranking> = users.filter_map(|((s, masked), own)| ranking(s, masked, own)).collect();
        // The notebook divides by all users, those without a positive included.
        let mean = |of: &dyn Fn(&Ranking) -> f64| rankings.iter().map(of).sum::<f64>() / case.scores.len() as f64;
        for (place, &k) in case.k.iter().enumerate() {
            let k = length(k);
            assert!((mean(&|r| precision(r, k)) - case.precision[place]).abs() < 1e-12);
            assert!((mean(&|r| recall(r, k)) - case.recall[place]).abs() < 1e-12);
            assert!((mean(&|r| ndcg(r, k)) - case.ndcg[place]).abs() < 1e-12);
            assert!((mean(&|r| reciprocal_rank(r, Some(k))) - case.mrr[place]).abs() < 1e-12);
        }
    }
}

#[test]
fn hits_and_auc_are_those_of_dive_into_deep_learning_where_a_user_has_one_test_item() {
    let mut compared = 0;
    for case in fixture().hit_and_auc {
        for user in (0..case.scores.len()).filter(|&user| case.test[user].len() == 1) {
            let ranking = ranking(&case.scores[user], &case.train[user], &case.test[user]).unwrap();
            assert_eq!(hit_rate(&ranking, length(case.k)), case.hits[user]);
            assert!((auc(&ranking).unwrap() - case.auc[user]).abs() < 1e-12);
            compared += 1;
        }
    }
    assert!(compared > 3);
}

#[test]
fn hit_rate_and_ndcg_are_those_of_the_ncf_tutorial() {
    let HitAndNdcg { candidates, scores, by_k } = fixture().hit_and_ndcg;
    assert!(candidates.iter().all(|list| list.len() == 10));
    for ByK { k, hit, ndcg: gains } in by_k {
        for (user, scores) in scores.iter().enumerate() {
            let ranking = Ranking::by_counting(&mut [scores[0]], &scores[1..]).unwrap();
            assert_eq!(hit_rate(&ranking, length(k)), hit[user]);
            assert!((ndcg(&ranking, length(k)) - gains[user]).abs() < 1e-12);
        }
    }
}
