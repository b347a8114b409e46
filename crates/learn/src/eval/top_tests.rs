//! The best items beside a full sort.

use proptest::prelude::*;

use crate::data::csr::Csr;
use crate::eval::{Error, Popularity, TopItems, Watch, top_k};
use crate::model::scorer::{self, Scorer};

/// A model whose scores are written down, row by row.
struct Written {
    n_items: usize,
    scores: Vec<f32>,
}

impl Scorer for Written {
    fn n_users(&self) -> usize {
        self.scores.len() / self.n_items
    }

    fn n_items(&self) -> usize {
        self.n_items
    }

    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        for (&item, score) in items.iter().zip(out) {
            *score = self.scores[user as usize * self.n_items + item as usize];
        }
        Ok(())
    }
}

const WATCH: Watch<'_> = Watch { advance: &|_| (), stop: &|| false };

fn rows(top: &TopItems) -> Vec<(Vec<u32>, Vec<f32>)> {
    (0..top.n_rows()).map(|place| (top.row(place).0.to_vec(), top.row(place).1.to_vec())).collect()
}

proptest! {
    #[test]
    fn the_best_unmasked_items_come_first_and_ties_by_id(
        n_users in 1_u32..5,
        n_items in prop_oneof![1_u32..40, 1000..2100_u32],
        salt in any::<u32>(),
        k in prop_oneof![0_usize..20, 0..2200_usize],
        pairs in prop::collection::vec(any::<(u32, u32)>(), 0..60),
    ) {
        // Few distinct scores, so that there are ties.
        let score = |place: u32| (place.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 20) as f32;
        let scorer = Written { n_items: n_items as usize, scores: (0..n_users * n_items).map(score).collect() };
        let (users, items): (Vec<u32>, Vec<u32>) = pairs.iter().map(|(u, i)| (u % n_users, i % n_items)).unzip();
        let cut = users.len() / 2;
        let mask = |users: &[u32], items: &[u32]| Csr::from_pairs(n_users, n_items, users, items).unwrap();
        let masks = [&mask(&users[..cut], &items[..cut]), &mask(&users[cut..], &items[cut..])];
        let asked: Vec<u32> = (0..n_users).rev().chain([0]).collect();
        let expected: Vec<(Vec<u32>, Vec<f32>)> = asked.iter().map(|&user| {
            let free = |item: &u32| masks.iter().all(|mask| !mask.contains(user, *item));
            let mut all: Vec<(u32, f32)> =
                (0..n_items).filter(free).map(|item| (item, score(user * n_items + item))).collect();
            all.sort_by(|x, y| y.1.total_cmp(&x.1));
            all.into_iter().take(k).unzip()
        }).collect();
        prop_assert_eq!(rows(&top_k(&scorer, &asked, &masks, k, &WATCH).unwrap()), expected);
    }
}

#[test]
fn the_best_items_do_not_depend_on_the_number_of_threads() {
    let scores = (0..700 * 300_usize).map(|place| ((place * 7919) % 1009) as f32).collect();
    let scorer = Written { n_items: 300, scores };
    let users: Vec<u32> = (0..700).collect();
    let with_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| top_k(&scorer, &users, &[], 9, &WATCH)).unwrap()
    };
    let one = with_threads(1);
    assert_eq!((one.n_rows(), one.row(699).0.len(), one.row(700).0.len()), (700, 9, 0));
    assert_eq!(one, with_threads(2));
    assert_eq!(one, with_threads(4));
}

#[test]
fn what_cannot_be_recommended_is_an_error() {
    let scorer = Written { n_items: 2, scores: vec![0.0, 1.0, f32::NAN, 2.0, 3.0, f32::INFINITY] };
    let top = |users: &[u32]| top_k(&scorer, users, &[], 1, &WATCH);
    assert_eq!(rows(&top(&[0]).unwrap()), [(vec![1], vec![1.0])]);
    assert_eq!(top(&[3]).unwrap_err(), Error::Shape { what: "users", model: 3, data: 4 });
    assert_eq!(top(&[0, 2, 1]).unwrap_err(), Error::NotFinite { user: 2, item: 1, score: f32::INFINITY });
    let stop = Watch { stop: &|| true, ..WATCH };
    assert_eq!(top_k(&scorer, &[0], &[], 1, &stop).unwrap_err(), Error::Cancelled);
    assert_eq!(top(&[]).unwrap().n_rows(), 0);
}

#[test]
fn popularity_recommends_what_most_users_have_and_the_user_has_not() {
    let popularity = Popularity::new(2, &[1, 5, 3]);
    let seen = Csr::from_pairs(2, 3, &[1], &[1]).unwrap();
    let top = top_k(&popularity, &[0, 1], &[&seen], 3, &WATCH).unwrap();
    assert_eq!(top.row(0).0, [1, 2, 0]);
    assert_eq!(top.row(1).0, [2, 0]);
}
