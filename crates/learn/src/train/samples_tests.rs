//! Epochs of made-up interactions.

use std::collections::BTreeMap;

use super::*;

const USERS: [u32; 6] = [0, 0, 0, 1, 2, 2];
const ITEMS: [u32; 6] = [0, 1, 2, 0, 3, 1];

fn data(n_items: u32) -> Data<'static> {
    Data {
        catalogue: Catalogue { n_users: 4, n_items },
        train: Pairs { users: &USERS, items: &ITEMS },
        valid: Pairs { users: &[0, 1], items: &[3, 1] },
        test: Pairs { users: &[1], items: &[2] },
        clean: None,
        pool: None,
    }
}

fn source_of(data: Data<'_>, negatives: u32, exclude: Exclude, seed: u64) -> Result<Source<'_>> {
    Source::new(data, &Recipe { negatives, exclude, ..recipe() }, seed)
}

fn recipe() -> Recipe {
    let mut recipe: Recipe = serde_json::from_str(r#"{"model":{"kind":"gmf"}}"#).unwrap();
    recipe.normalise().unwrap();
    recipe
}

fn epoch(source: &Source<'_>, epoch: u32, size: usize) -> Vec<(u32, u32, u32)> {
    let (mut epoch, mut batch, mut out) = (source.epoch(epoch, 0).unwrap(), Samples::default(), Vec::new());
    while epoch.next_batch(size, &mut batch) {
        let Batch { users, items, labels } = batch.batch();
        assert!(labels.len() <= size);
        out.extend(users.iter().zip(items).zip(labels).map(|((&u, &i), &y)| (u, i, y as u32)));
    }
    out
}

#[test]
fn an_epoch_has_each_positive_once_and_the_asked_number_of_negatives_for_it() {
    let source = source_of(data(8), 3, Exclude::Train, 1).unwrap();
    let samples = epoch(&source, 0, 5);
    assert_eq!((samples.len(), source.len()), (24, 24));
    let mut positives: Vec<_> = samples.iter().filter(|s| s.2 == 1).map(|s| (s.0, s.1)).collect();
    positives.sort_unstable();
    let mut expected: Vec<_> = USERS.into_iter().zip(ITEMS).collect();
    expected.sort_unstable();
    assert_eq!(positives, expected);
    let mut negatives = BTreeMap::new();
    samples.iter().filter(|s| s.2 == 0).for_each(|s| *negatives.entry(s.0).or_insert(0) += 1);
    assert_eq!(negatives, [(0, 9), (1, 3), (2, 6)].into());
    assert!(samples.iter().filter(|s| s.2 == 0).all(|s| !expected.contains(&(s.0, s.1))));
}

#[test]
fn epochs_differ_but_do_not_depend_on_the_batch_size() {
    let source = source_of(data(8), 3, Exclude::Train, 1).unwrap();
    assert_eq!(epoch(&source, 0, 5), epoch(&source, 0, 24));
    assert_ne!(epoch(&source, 0, 5), epoch(&source, 1, 5));
    assert_ne!(epoch(&source, 0, 5), epoch(&source_of(data(8), 3, Exclude::Train, 2).unwrap(), 0, 5));
}

#[test]
fn an_epoch_can_be_entered_in_the_middle() {
    let source = source_of(data(8), 3, Exclude::Train, 1).unwrap();
    let (mut whole, mut samples) = (source.epoch(0, 0).unwrap(), Samples::default());
    whole.next_batch(7, &mut samples);
    let mut rest = source.epoch(0, samples.place()).unwrap();
    let mut other = Samples::default();
    while whole.next_batch(7, &mut samples) {
        assert!(rest.next_batch(7, &mut other));
        assert_eq!((&samples.users, &samples.items), (&other.users, &other.items));
    }
    assert!(!rest.next_batch(7, &mut other));
}

#[test]
fn held_out_positives_are_negatives_or_not_as_asked() {
    let held_out = |exclude| {
        let source = source_of(data(5), 4, exclude, 1).unwrap();
        let drawn = (0..50).flat_map(|e| epoch(&source, e, 64)).filter(|s| s.2 == 0);
        drawn.filter(|s| [(0, 3), (1, 1), (1, 2)].contains(&(s.0, s.1))).count()
    };
    assert!(held_out(Exclude::Train) > 0);
    assert_eq!(held_out(Exclude::All), 0);
}

#[test]
fn a_user_with_every_item_has_no_negatives_and_is_counted() {
    let source = source_of(
        Data { catalogue: Catalogue { n_users: 4, n_items: 3 }, valid: Pairs::default(), ..data(3) },
        2,
        Exclude::Train,
        1,
    );
    assert!(source.is_err(), "item 3 is outside of a catalogue of 3");
    let (users, items) = ([0, 0, 0, 1], [0, 1, 2, 0]);
    let small = Data { train: Pairs { users: &users, items: &items }, valid: Pairs::default(), ..data(3) };
    let source = source_of(small, 2, Exclude::Train, 1).unwrap();
    assert_eq!((source.missing(), source.len()), (6, 6));
    let samples = epoch(&source, 0, 4);
    assert_eq!(samples.len(), 6);
    assert!(samples.iter().all(|s| s.2 == 1 || s.0 == 1));
}

#[test]
fn validation_samples_are_the_same_each_time_and_avoid_what_is_known_by_then() {
    let source = source_of(data(5), 4, Exclude::Train, 1).unwrap();
    let (one, two) = (source.validation().unwrap(), source.validation().unwrap());
    assert_eq!((&one.users, &one.items, &one.labels), (&two.users, &two.items, &two.labels));
    assert_eq!(one.labels, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    // User 0 has items 0 to 2 and now 3: only item 4 is left.
    assert_eq!(one.items[..5], [3, 4, 4, 4, 4]);
    assert!(one.items[6..].iter().all(|item| [2, 3, 4].contains(item)));
}

#[test]
fn no_training_rows_are_an_error() {
    let empty = Data { train: Pairs::default(), ..data(5) };
    assert!(source_of(empty, 4, Exclude::Train, 1).unwrap_err().message.contains("no training rows"));
}

#[test]
fn fixed_negatives_are_those_of_the_first_epoch_in_a_new_order() {
    let mut recipe = Recipe { negatives: 3, ..recipe() };
    recipe.sampling.redraw = false;
    let fixed = Source::new(data(8), &recipe, 1).unwrap();
    let sorted = |source: &Source<'_>, number| {
        let mut samples = epoch(source, number, 5);
        samples.sort_unstable();
        samples
    };
    assert_eq!(sorted(&fixed, 0), sorted(&fixed, 7));
    assert_ne!(epoch(&fixed, 0, 5), epoch(&fixed, 7, 5));
    assert_eq!(sorted(&fixed, 0), sorted(&source_of(data(8), 3, Exclude::Train, 1).unwrap(), 0));
}

#[test]
fn popular_items_are_drawn_more_often_when_asked_for() {
    let mut recipe = Recipe { negatives: 200, ..recipe() };
    (recipe.sampling.distribution, recipe.sampling.alpha) = (Distribution::Popularity, Some(1.0));
    // Items 0 and 1 have two training users each, items 2 and 3 one, the others none, which counts as one. User 1 has
    // item 0 only, so that of its negatives 2/8 are item 1 and 1/8 each of the six others.
    let source = Source::new(data(8), &recipe, 1).unwrap();
    let of_user_1 = epoch(&source, 0, 64).into_iter().filter(|s| s.0 == 1 && s.2 == 0).map(|s| s.1);
    let mut counts = [0_u32; 8];
    of_user_1.for_each(|item| counts[item as usize] += 1);
    let expected = [0.0, 50.0, 25.0, 25.0, 25.0, 25.0, 25.0, 25.0];
    let terms = counts.iter().zip(expected).skip(1).map(|(&n, e)| (f64::from(n) - e) * (f64::from(n) - e) / e);
    assert_eq!(counts[0], 0);
    assert!(terms.sum::<f64>() < 22.5, "the 0.1 % point of 6 degrees of freedom: {counts:?}");
}

#[test]
fn a_pairwise_loss_gets_each_positive_before_each_of_its_negatives() {
    let mut recipe = Recipe { negatives: 2, ..recipe() };
    recipe.loss = crate::loss::LossSpec::Bpr(crate::loss::Bpr::default());
    let source = Source::new(data(8), &recipe, 1).unwrap();
    assert_eq!(source.len(), 12);
    let (mut walk, mut batch, mut pairs) = (source.epoch(0, 0).unwrap(), Samples::default(), Vec::new());
    while walk.next_batch(5, &mut batch) {
        let Batch { users, items, labels } = batch.batch();
        assert!(labels.len() <= 10 && labels.iter().enumerate().all(|(k, y)| *y == f32::from(u8::from(k % 2 == 0))));
        for k in (0..users.len()).step_by(2) {
            assert_eq!(users[k], users[k + 1]);
            pairs.push((users[k], items[k]));
            assert!(!USERS.iter().zip(&ITEMS).any(|pair| pair == (&users[k], &items[k + 1])));
            assert_eq!(batch.origins()[k + 1], NONE);
            let origin = batch.origins()[k] as usize;
            assert_eq!((USERS[origin], ITEMS[origin]), (users[k], items[k]));
        }
    }
    pairs.sort_unstable();
    let mut expected: Vec<_> = USERS.into_iter().zip(ITEMS).flat_map(|pair| [pair, pair]).collect();
    expected.sort_unstable();
    assert_eq!(pairs, expected);
    let validation = source.validation().unwrap();
    assert_eq!(validation.batch().labels, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn negatives_of_a_pool_are_dealt_out_to_the_positives_of_their_user() {
    // User 2 has one negative less than its two positives ask for.
    let pool = Pairs { users: &[0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2], items: &[3, 4, 5, 6, 7, 4, 1, 2, 0, 2, 4] };
    let with_pool = Data { pool: Some(pool), ..data(8) };
    let source = Source::new(with_pool, &Recipe { negatives: 2, ..recipe() }, 1).unwrap();
    assert_eq!((source.len(), source.missing()), (6 + 11, 1));
    let mut drawn: Vec<_> = epoch(&source, 3, 4).into_iter().filter(|s| s.2 == 0).map(|s| (s.0, s.1)).collect();
    drawn.sort_unstable();
    let mut expected: Vec<_> = pool.users.iter().copied().zip(pool.items.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(drawn, expected);
    let outside = Data { pool: Some(Pairs { users: &[4], items: &[0] }), ..data(8) };
    assert!(Source::new(outside, &recipe(), 1).is_err());
}
