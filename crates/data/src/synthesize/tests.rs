use proptest::prelude::*;

use super::*;

fn spec() -> Spec {
    Spec {
        users: 300,
        items: 200,
        interactions: 9_000,
        factors: 8,
        zipf: 1.0,
        taste: 3.0,
        noise: 0.5,
        false_positives: 0.0,
        start: 1_000_000_000,
        days: 365,
        seed: 1,
    }
}

fn all(spec: &Spec) -> Rows {
    let generator = Generator::new(spec.clone()).unwrap();
    let mut all = Rows::default();
    for rows in generator.rows(0..spec.users) {
        all.users.extend(rows.users);
        all.items.extend(rows.items);
        all.ratings.extend(rows.ratings);
        all.timestamps.extend(rows.timestamps);
        all.clean.extend(rows.clean);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_are_as_many_as_asked_distinct_in_order_and_in_range(
        users in 1u32..40, items in 2u32..40, fullness in 0.0..=1.0, factors in 1u32..20, zipf in 0.0..3.0,
        taste in 0.0..20.0, false_positives in 0.0..0.99, days in 1u32..50, seed: u64,
    ) {
        let most = u64::from(users) * u64::from(items / 2);
        let interactions = u64::from(users) + ((most - u64::from(users)) as f64 * fullness) as u64;
        let spec = Spec { users, items, interactions, factors, zipf, taste, false_positives, days, seed, ..spec() };
        let rows = all(&spec);
        prop_assert_eq!(rows.users.len() as u64, interactions);
        let mut pairs: Vec<(u32, u32)> = rows.users.iter().copied().zip(rows.items.iter().copied()).collect();
        let keys: Vec<_> = (0..pairs.len()).map(|k| (rows.users[k], rows.timestamps[k], rows.items[k])).collect();
        prop_assert!(keys.is_sorted());
        pairs.sort_unstable();
        pairs.dedup();
        prop_assert_eq!(pairs.len() as u64, interactions);
        prop_assert!(rows.items.iter().all(|item| *item < items));
        prop_assert!(rows.ratings.iter().all(|stars| [1.0, 2.0, 3.0, 4.0, 5.0].contains(stars)));
        let end = spec.start + i64::from(days) * 86_400;
        prop_assert!(rows.timestamps.iter().all(|time| (spec.start..=end).contains(time)));
        prop_assert!(rows.ratings.iter().zip(&rows.clean).all(|(stars, clean)| *clean || *stars >= 4.0));
        let mut seen = rows.users;
        seen.dedup();
        prop_assert_eq!(seen.len() as u32, users);
    }
}

#[test]
fn rows_do_not_depend_on_threads_or_on_which_users_are_asked_for_together() {
    let spec = Spec { users: 3_000, interactions: 100_000, false_positives: 0.1, ..spec() };
    let whole = all(&spec);
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| all(&spec)) == whole);
    }
    let generator = Generator::new(spec).unwrap();
    let (first, second) = (generator.starts()[1234] as usize, generator.starts()[1235] as usize);
    assert_eq!(generator.rows(1234..1235)[0].items, whole.items[first..second]);
}

#[test]
fn cuts_cover_all_users_once() {
    let generator = Generator::new(spec()).unwrap();
    for rows in [0, 1, 100, 5_000, 1 << 40] {
        let users: Vec<u32> = generator.cuts(0..300, rows).flatten().collect();
        assert!(users.into_iter().eq(0..300), "{rows}");
    }
    assert_eq!(generator.cuts(0..300, 1 << 40).count(), 1);
}

#[test]
fn stars_come_in_their_shares() {
    let rows = all(&Spec { users: 3_000, items: 1_000, interactions: 120_000, ..spec() });
    for (stars, share) in (1u8..).zip(SHARES) {
        let found = rows.ratings.iter().filter(|rating| **rating == f32::from(stars)).count() as f64 / 120_000.0;
        // The limits are quantiles of about 20,000 scores: 5 standard deviations of a share near 1/3 are 0.017.
        assert!((found - share).abs() < 0.02, "{stars} stars: {found}");
    }
}

#[test]
fn false_positives_have_their_share_and_no_affinity() {
    for share in [0.05, 0.3] {
        let n = 60_000.0;
        let spec = Spec { users: 2_000, items: 1_000, interactions: 60_000, false_positives: share, ..spec() };
        let rows = all(&spec);
        let false_rows = rows.clean.iter().filter(|clean| !**clean).count() as f64;
        assert!((false_rows - n * share).abs() < 5.0 * (n * share * (1.0 - share)).sqrt(), "{false_rows}");
        let generator = Generator::new(spec).unwrap();
        let mut rank_of = vec![0; 1_000];
        (0..).zip(&generator.ids).for_each(|(rank, &id)| rank_of[id as usize] = rank);
        let mut sums = [(0.0, 0.0); 2];
        let mut taste = vec![0.0; generator.width];
        for k in 0..rows.users.len() {
            normals(Philox::new(1, Stream::SynthesizeUsers), u64::from(rows.users[k]), 1.0, &mut taste[..8]);
            let (sum, count) = &mut sums[usize::from(rows.clean[k])];
            *sum += f64::from(generator.affinity(&taste, rank_of[rows.items[k] as usize]));
            *count += 1.0;
        }
        let [against, with] = sums.map(|(sum, count)| sum / count);
        assert!(with > 0.5 && against < -0.5, "{with} {against}");
    }
}

#[test]
fn popularity_falls_as_a_power_of_rank_when_taste_is_off() {
    let spec = Spec { users: 20_000, items: 1_000, interactions: 100_000, taste: 0.0, ..spec() };
    let mut counts = [0u32; 1000];
    for item in all(&spec).items {
        counts[item as usize] += 1;
    }
    counts.sort_unstable_by(|a, b| b.cmp(a));
    // Away from the head, which few-item users cannot take twice: counts of ranks 20..40 are about 5 times those of
    // ranks 100..200.
    let mean = |ranks: Range<usize>| {
        let n = ranks.len() as f64;
        f64::from(counts[ranks].iter().sum::<u32>()) / n
    };
    let expected =
        |ranks: Range<usize>| ranks.clone().map(|rank| 1.0 / (rank as f64 + 1.0)).sum::<f64>() / ranks.len() as f64;
    let ratio = (mean(20..40) / mean(100..200)) / (expected(20..40) / expected(100..200));
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn activity_has_a_long_tail() {
    let spec = Spec { users: 5_000, items: 2_000, interactions: 200_000, ..spec() };
    let starts = activity::starts(&spec).unwrap();
    let mut counts: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: u64 = counts[..500].iter().sum();
    assert!((0.25..0.4).contains(&(top as f64 / 200_000.0)), "{top}");
    assert!(counts[4_999] >= 5);
}

#[test]
fn numbers_that_do_not_go_together_are_refused() {
    let message = |spec: Spec| Generator::new(spec).unwrap_err().message;
    assert_eq!(
        message(Spec { interactions: 299, ..spec() }),
        "`interactions`: 299 is not from 300 (one for each user) to 30000 (half the items for each user)"
    );
    assert_eq!(message(Spec { users: 0, ..spec() }), "`users`: 0 is not from 1 to 2147483647");
    assert_eq!(message(Spec { items: 1, ..spec() }), "`items`: 1 is not from 2 to 2147483647");
    for wrong in [
        Spec { interactions: 30_001, ..spec() },
        Spec { factors: 0, ..spec() },
        Spec { zipf: -1.0, ..spec() },
        Spec { taste: f64::NAN, ..spec() },
        Spec { noise: f64::INFINITY, ..spec() },
        Spec { false_positives: 1.0, ..spec() },
        Spec { days: 0, ..spec() },
        Spec { start: i64::MIN, ..spec() },
    ] {
        assert!(Generator::new(wrong).is_err());
    }
}
