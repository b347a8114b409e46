use std::collections::BTreeSet;

use polars::prelude::{Column, Int32Type, df};
use proptest::prelude::{Just, Strategy as _, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::columns::{Columns, IdColumn};
use crate::filter;
use crate::frame::{RAW_ITEM, RAW_USER};
use crate::scan::tests::{Remapped, pieces, remap, whole};

/// The parts as whole frames, and what is known of them.
#[derive(Debug)]
struct Whole {
    train: DataFrame,
    valid: DataFrame,
    test: DataFrame,
    parts: Parts,
}

fn split(data: &Remapped, rules: &Rules) -> Result<Whole> {
    let interactions = pieces(&data.interactions);
    let show = |user: u32, item: u32| {
        let name =
            |names: &DataFrame, raw: &str, id: u32| Ok::<_, Fault>(frame::raw_ids(names, raw)?.show(id as usize));
        Ok((name(&data.users, RAW_USER, user)?, name(&data.items, RAW_ITEM, item)?))
    };
    let (n_users, n_items) = (data.users.height(), data.items.height());
    let input = Input { interactions: &interactions, n_users, n_items, show: &show };
    let mut kept = PartFrames::default();
    let parts = super::split(input, rules, &mut |frames| {
        for (kept, frames) in kept.iter_mut().zip(frames) {
            kept.extend(frames);
        }
        Ok(())
    })?;
    let [train, valid, test] = kept.map(whole);
    assert_eq!((train.height(), valid.height(), test.height()), (parts.train, parts.valid, parts.test));
    Ok(Whole { train, valid, test, parts })
}

/// All of `frame` that has a rating of 4 or more.
fn positives(frame: &DataFrame) -> DataFrame {
    let mut kept = Vec::new();
    crate::binarise::binarise(&pieces(frame), 4.0, true, true, &mut |frames| {
        kept.extend(frames);
        Ok(())
    })
    .unwrap();
    whole(kept)
}

/// Rows of (user, item, time), sorted as files are, with dense ids.
fn dataset(rows: &[(i64, i64, i64)]) -> Remapped {
    let mut rows = rows.to_vec();
    rows.sort_unstable_by_key(|&(user, item, time)| (user, time, item));
    let column = |of: fn(&(i64, i64, i64)) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let frame =
        df!("user_id" => column(|row| row.0), "item_id" => column(|row| row.1), "timestamp" => column(|row| row.2));
    remap(&frame.unwrap()).unwrap()
}

const LEAVE_ONE_OUT: Rules = Rules {
    strategy: Strategy::LastN { valid: 1, test: 1, min_interactions: 3 },
    short_users: ShortUsers::Train,
    new_users: NewUsers::Drop,
    seed: 7,
};

/// (user, item) of a part, as dense ids.
fn pairs(part: &DataFrame) -> Vec<(i32, i32)> {
    let users = frame::slice::<Int32Type>(part, USER).unwrap();
    let items = frame::slice::<Int32Type>(part, ITEM).unwrap();
    users.iter().copied().zip(items.iter().copied()).collect()
}

/// (user, time) of a part.
fn times_of(part: &DataFrame) -> Vec<(i32, i64)> {
    let users = frame::slice::<Int32Type>(part, USER).unwrap();
    let times = frame::slice::<Int64Type>(part, TIMESTAMP).unwrap();
    users.iter().copied().zip(times.iter().copied()).collect()
}

/// User 0 has items 0 to 4 at times 10 to 14; user 1 has items 0 and 1.
fn two_users() -> Remapped {
    let mut rows: Vec<_> = (0..5).map(|n| (0, n, 10 + n)).collect();
    rows.extend([(1, 0, 11), (1, 1, 13)]);
    dataset(&rows)
}

#[test]
fn leave_one_out_holds_out_the_last_and_the_one_before() {
    let parts = split(&two_users(), &LEAVE_ONE_OUT).unwrap();
    assert_eq!(pairs(&parts.train), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
    assert_eq!(pairs(&parts.valid), [(0, 3)]);
    assert_eq!(pairs(&parts.test), [(0, 4)]);
    assert_eq!(
        (parts.parts.short_users, parts.parts.users_evaluated, parts.parts.dropped, parts.parts.tied_users),
        (1, 1, 0, 0)
    );
    assert_eq!(parts.parts.cold_test, 1);
}

#[test]
fn short_users_can_be_dropped_or_refused() {
    let parts = split(&two_users(), &Rules { short_users: ShortUsers::Drop, ..LEAVE_ONE_OUT }).unwrap();
    assert_eq!(pairs(&parts.train), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(parts.parts.dropped, 2);
    let error = split(&two_users(), &Rules { short_users: ShortUsers::Error, ..LEAVE_ONE_OUT }).unwrap_err();
    assert_eq!(error.message, "users with too few interactions to be split: 1");
}

#[test]
fn without_validation_two_interactions_are_enough() {
    let strategy = Strategy::LastN { valid: 0, test: 1, min_interactions: 2 };
    let parts = split(&two_users(), &Rules { strategy, ..LEAVE_ONE_OUT }).unwrap();
    assert_eq!(pairs(&parts.test), [(0, 4), (1, 1)]);
    assert_eq!(parts.valid.height(), 0);
    assert_eq!(parts.valid.get_column_names(), ["user_id", "item_id", "timestamp"]);
}

#[test]
fn equal_times_go_by_item_id_and_are_counted() {
    let rows = [(0, 9, 5), (0, 4, 5), (0, 7, 5), (1, 4, 1), (1, 7, 2), (1, 9, 3)];
    let parts = split(&dataset(&rows), &LEAVE_ONE_OUT).unwrap();
    // Items 4, 7 and 9 have the dense ids 0, 1 and 2.
    assert_eq!(pairs(&parts.train), [(0, 0), (1, 0)]);
    assert_eq!(pairs(&parts.valid), [(0, 1), (1, 1)]);
    assert_eq!(pairs(&parts.test), [(0, 2), (1, 2)]);
    assert_eq!(parts.parts.tied_users, 1);
}

#[test]
fn a_repeated_pair_is_refused_with_its_raw_ids() {
    let rows = [(40, 7, 1), (40, 8, 2), (40, 7, 3), (50, 7, 1)];
    let error = split(&dataset(&rows), &LEAVE_ONE_OUT).unwrap_err();
    assert_eq!(
        error.message,
        "user `40` has item `7` more than once, and could have it in two parts (repeated interactions: 1)"
    );
    assert_eq!(error.help.unwrap(), "put a `filter` stage before, with `deduplicate: last`");
}

#[test]
fn splitting_by_time_without_times_is_refused() {
    let mut data = two_users();
    data.interactions = data.interactions.drop("timestamp").unwrap();
    let error = split(&data, &LEAVE_ONE_OUT).unwrap_err();
    assert_eq!(error.message, "this `strategy` goes by time, and the interactions have no column `timestamp`");
    let strategy = Strategy::Ratio { valid: 0.2, test: 0.2, order: Order::Random, min_interactions: 3 };
    assert_eq!(split(&data, &Rules { strategy, ..LEAVE_ONE_OUT }).unwrap().test.height(), 1);
}

#[test]
fn no_user_with_enough_interactions_is_an_error() {
    let error = split(&dataset(&[(0, 1, 1), (0, 2, 2), (1, 1, 1)]), &LEAVE_ONE_OUT).unwrap_err();
    assert_eq!(error.message, "0 interactions in part `valid` after `split`");
}

#[test]
fn rows_out_of_order_are_refused() {
    let mut data = two_users();
    data.interactions = data.interactions.reverse();
    let error = split(&data, &LEAVE_ONE_OUT).unwrap_err();
    assert_eq!(error.message, "the interactions are not sorted by user at row 2");
    let mut data = two_users();
    let times = Column::new("timestamp".into(), [10i64, 12, 11, 13, 14, 11, 13]);
    data.interactions.with_column(times).unwrap();
    let error = split(&data, &LEAVE_ONE_OUT).unwrap_err();
    assert_eq!(error.message, "the interactions of a user are not sorted by time and item at row 2");
}

#[test]
fn ids_outside_the_tables_are_refused() {
    let mut data = two_users();
    data.items = data.items.head(Some(3));
    let error = split(&data, &LEAVE_ONE_OUT).unwrap_err();
    assert_eq!(error.message, "column `item_id` has the id 3, which is not in 0..3");
}

#[test]
fn global_time_cuts_all_users_at_the_same_time() {
    let cuts = Cuts::At { valid: Some(12), test: 13 };
    let rows = [(0, 1, 11), (0, 2, 12), (0, 3, 13), (1, 1, 13), (1, 2, 14), (2, 2, 10)];
    let rules = Rules { strategy: Strategy::GlobalTime { cuts }, ..LEAVE_ONE_OUT };
    let parts = split(&dataset(&rows), &rules).unwrap();
    assert_eq!(times_of(&parts.train), [(0, 11), (2, 10)]);
    assert_eq!(times_of(&parts.valid), [(0, 12)]);
    assert_eq!(times_of(&parts.test), [(0, 13)]);
    // User 1 comes after the first cut.
    assert_eq!((parts.parts.new_users, parts.parts.dropped), (1, 2));
    let error = split(&dataset(&rows), &Rules { new_users: NewUsers::Error, ..rules }).unwrap_err();
    assert_eq!(error.message, "users without an interaction before the first cut: 1");
}

#[test]
fn a_time_outside_of_the_data_is_refused_with_what_the_data_have() {
    let rows = [(0, 1, 1000), (0, 2, 1012), (0, 3, 1013)];
    let refused = |valid, test| {
        let rules = Rules { strategy: Strategy::GlobalTime { cuts: Cuts::At { valid, test } }, ..LEAVE_ONE_OUT };
        let error = split(&dataset(&rows), &rules).unwrap_err();
        format!("{} [{}]", error.message, error.help.unwrap())
    };
    let times = "the first is of 1000 and the last of 1013, in seconds since 1970";
    assert_eq!(
        refused(None, 1_012_000),
        format!(
            "`test_at: 1012000` is later than every interaction: {times} [times are in seconds: write `test_at: 1012`]"
        )
    );
    assert_eq!(
        refused(Some(1000), 1012),
        format!(
            "`valid_at: 1000` is not later than the first interaction: {times} \
             [give a time after 1000 and up to 1013, in seconds]"
        )
    );
}

#[test]
fn shares_of_time_send_equal_times_to_the_later_part() {
    // Ten interactions of one user; the four last have the same time, and the share asks for two of them.
    let rows: Vec<_> = (0..10).map(|n| (0, n, n.min(6))).collect();
    let cuts = Cuts::Shares { valid: 0.2, test: 0.2 };
    let rules = Rules { strategy: Strategy::GlobalTime { cuts }, ..LEAVE_ONE_OUT };
    let error = split(&dataset(&rows), &rules).unwrap_err();
    assert_eq!(error.message, "0 interactions in part `valid` after `split`");
    let cuts = Cuts::Shares { valid: 0.3, test: 0.2 };
    let parts = split(&dataset(&rows), &Rules { strategy: Strategy::GlobalTime { cuts }, ..rules }).unwrap();
    assert_eq!((parts.train.height(), parts.valid.height(), parts.test.height()), (5, 1, 4));
}

#[test]
fn an_empty_part_is_explained_by_what_emptied_it() {
    // Ten users of one interaction each: those of the test are new, and left out.
    let rows: Vec<_> = (0..10).map(|n| (n, 0, n)).collect();
    let cuts = Cuts::Shares { valid: 0.0, test: 0.2 };
    let rules = Rules { strategy: Strategy::GlobalTime { cuts }, ..LEAVE_ONE_OUT };
    let error = split(&dataset(&rows), &rules).unwrap_err();
    assert_eq!(error.message, "0 interactions in part `test` after `split`");
    let help = "move the cuts: 2 users have no interaction before the first cut, and were left out";
    assert_eq!(error.help.as_deref(), Some(help));
}

#[test]
fn ratios_round_to_the_nearest_and_leave_one_for_training() {
    let held = |valid: f64, test: f64, n: u64| {
        let strategy = Strategy::Ratio { valid, test, order: Order::Time, min_interactions: 2 };
        assign::held_out(&strategy, n)
    };
    assert_eq!(held(0.1, 0.1, 1), None);
    assert_eq!(held(0.1, 0.1, 4), Some((0, 0)));
    assert_eq!(held(0.1, 0.1, 5), Some((1, 1)));
    assert_eq!(held(0.1, 0.2, 10), Some((1, 2)));
    // 0.29 × 100 is 28.999999999999996 in double precision.
    assert_eq!(held(0.0, 0.29, 100), Some((0, 29)));
    assert_eq!(held(0.45, 0.5, 2), Some((0, 1)));
    assert_eq!(held(0.49, 0.49, 3), Some((1, 1)));
}

#[test]
fn a_random_split_depends_on_the_seed_only() {
    let rows: Vec<_> = (0..40).flat_map(|user| (0..20).map(move |item| (user, item, item))).collect();
    let strategy = Strategy::Ratio { valid: 0.1, test: 0.2, order: Order::Random, min_interactions: 3 };
    let test = |seed: u64| pairs(&split(&dataset(&rows), &Rules { strategy, seed, ..LEAVE_ONE_OUT }).unwrap().test);
    assert_eq!(test(1), test(1));
    assert_ne!(test(1), test(2));
    // 4 of 20 for each user, and every item about as often: 8 expected, standard deviation about 2.5.
    let mut counts = [0; 20];
    for (_, item) in test(1) {
        counts[item as usize] += 1;
    }
    assert_eq!(counts.iter().sum::<i32>(), 160);
    assert!(counts.iter().all(|&count| (0..=18).contains(&count)), "{counts:?}");
}

#[test]
fn any_number_of_threads_gives_the_same_parts() {
    let rows: Vec<_> = (0..3000).flat_map(|user| (0..=user % 90).map(move |item| (user, item, item))).collect();
    let data = dataset(&rows);
    let strategy = Strategy::Ratio { valid: 0.1, test: 0.1, order: Order::Random, min_interactions: 3 };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pairs(&pool.install(|| split(&data, &Rules { strategy, ..LEAVE_ONE_OUT }).unwrap()).test)
    };
    let one = on(1);
    assert_eq!(on(2), one);
    assert_eq!(on(4), one);
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![
        (0u64..3, 1u64..3, 1u64..6).prop_map(|(valid, test, min)| Strategy::LastN {
            valid,
            test,
            min_interactions: min
        }),
        (0.0..0.5, 0.01..0.5, any::<bool>(), 1u64..6).prop_map(|(valid, test, random, min_interactions)| {
            let order = if random { Order::Random } else { Order::Time };
            Strategy::Ratio { valid, test, order, min_interactions }
        }),
        (0.0..0.5, 0.01..0.5).prop_map(|(valid, test)| Strategy::GlobalTime { cuts: Cuts::Shares { valid, test } }),
        (0i64..10, 1i64..10).prop_map(|(valid, after)| {
            Strategy::GlobalTime { cuts: Cuts::At { valid: Some(valid), test: valid + after } }
        }),
    ]
}

#[test]
fn ml_100k_has_its_known_counts() {
    let root = std::env::var("NCF_PIPE_DATA").unwrap_or_else(|_| "../../../shared/data".to_owned());
    let Ok(text) = std::fs::read_to_string(format!("{root}/ml-100k/u.data")) else {
        println!("skipped: no data");
        return;
    };
    let mut rows: Vec<[i64; 4]> = text
        .lines()
        .map(|line| line.split('\t').map(|field| field.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap())
        .collect();
    rows.sort_unstable_by_key(|&[user, item, _, time]| (user, time, item));
    let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<i64>>();
    let ratings: Vec<f32> = rows.iter().map(|row| row[2] as f32).collect();
    let frame = df!("user_id" => column(0), "item_id" => column(1), "rating" => ratings, "timestamp" => column(3));
    let positives = positives(&frame.unwrap());
    let data = remap(&positives).unwrap();
    assert_eq!((positives.height(), data.users.height(), data.items.height()), (55_375, 942, 1_447));

    let parts = split(&data, &LEAVE_ONE_OUT).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for row in rows.iter().filter(|row| row[2] >= 4) {
        *counts.entry(row[0]).or_insert(0) += 1;
    }
    let enough = counts.values().filter(|&&count| count >= 3).count();
    assert_eq!((parts.test.height(), parts.valid.height()), (enough, enough));
    assert_eq!(parts.parts.short_users, 942 - enough);
    assert_eq!(parts.train.height(), 55_375 - 2 * enough);
}

proptest! {
    #[test]
    fn parts_are_disjoint_complete_and_in_order(
        rows in prop::collection::btree_map((0i64..12, 0i64..15), 0i64..12, 1..120),
        strategy in strategies(),
        drop_short in any::<bool>(),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|((user, item), time)| (user, item, time)).collect();
        let data = dataset(&rows);
        let short_users = if drop_short { ShortUsers::Drop } else { ShortUsers::Train };
        // An empty part is an error by design; what is left to check are the splits that succeed.
        if let Ok(parts) = split(&data, &Rules { strategy, short_users, ..LEAVE_ONE_OUT }) {
            let all = [&parts.train, &parts.valid, &parts.test].map(pairs);
            let union: BTreeSet<_> = all.iter().flatten().copied().collect();
            let rows_out: usize = all.iter().map(Vec::len).sum();
            prop_assert_eq!(union.len(), rows_out);
            prop_assert_eq!(rows_out + parts.parts.dropped, rows.len());
            prop_assert!(union.is_subset(&pairs(&data.interactions).into_iter().collect()));
            if short_users == ShortUsers::Train && !matches!(strategy, Strategy::GlobalTime { .. }) {
                prop_assert_eq!(parts.parts.dropped, 0);
            }

            let users = |part: &[(i32, i32)]| part.iter().map(|pair| pair.0).collect::<BTreeSet<_>>();
            let trained = users(&all[0]);
            prop_assert!(users(&all[1]).is_subset(&trained) && users(&all[2]).is_subset(&trained));
            prop_assert_eq!(users(&all[2]).len(), parts.parts.users_evaluated);

            if !matches!(strategy, Strategy::Ratio { order: Order::Random, .. }) {
                for (earlier, later) in [(&parts.train, &parts.valid), (&parts.valid, &parts.test), (&parts.train, &parts.test)] {
                    for (user, time) in times_of(later) {
                        prop_assert!(times_of(earlier).iter().all(|&(other, before)| other != user || before <= time));
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_source_cannot_show(
        (rows, shuffled) in prop::collection::vec((0i64..5, 0i64..6, 0u8..3, 0i64..3), 12..60)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        // Few values, so that pairs repeat and times tie.
        let prepared = |rows: &[(i64, i64, u8, i64)]| {
            let mut columns = Columns {
                user: IdColumn::Int(rows.iter().map(|row| row.0).collect()),
                item: IdColumn::Int(rows.iter().map(|row| row.1).collect()),
                rating: Some(rows.iter().map(|row| f32::from(row.2)).collect()),
                timestamp: Some(rows.iter().map(|row| row.3).collect()),
                clean: None,
                label: None,
            };
            columns.sort_canonical();
            let rules = filter::Rules {
                deduplicate: filter::Deduplicate::Last, min_user: 1, min_item: 1, until_stable: false,
            };
            let mut filtered = Vec::new();
            filter::filter(&pieces(&frame::from_columns(columns).unwrap()), &rules, 0, &mut |frames| {
                filtered.extend(frames);
                Ok(())
            })
            .unwrap();
            split(&remap(&whole(filtered)).unwrap(), &LEAVE_ONE_OUT).map(|parts| {
                [parts.train, parts.valid, parts.test].map(|part| {
                    let mut bytes = Vec::new();
                    frame::write_parquet(&part, &mut bytes, &frame::FrameMeta::of("split")).unwrap();
                    bytes
                })
            })
        };
        prop_assert_eq!(prepared(&rows), prepared(&shuffled));
    }
}
