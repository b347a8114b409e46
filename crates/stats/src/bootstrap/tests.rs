use crate::bootstrap::*;

const SLEEP: [f64; 10] = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];

fn two_sided(differences: &[f64], options: &Options) -> PairedBootstrap {
    paired_bootstrap(differences, &vec![0.0; differences.len()], options).unwrap()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let values: Vec<f64> = (0..5000).map(|i| f64::from(i * i % 97) - 40.0).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| resample_means(&values, 300, 7).unwrap())
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(7));
}

#[test]
fn another_seed_gives_other_resamples_and_more_resamples_continue_fewer() {
    let few = resample_means(&SLEEP, 50, 1).unwrap();
    assert_ne!(few, resample_means(&SLEEP, 50, 2).unwrap());
    assert_eq!(few, resample_means(&SLEEP, 80, 1).unwrap()[..50]);
}

#[test]
fn over_all_resamples_of_three_the_p_value_is_what_counting_gives() {
    // All 27 resamples of (1, 2, 6): mean 3, moved means θ* − 3. By hand, 3·θ*: 3 (1×), 4 (3×), 5 (3×), 6 (1×), 8 (3×),
    // 9 (6×), 10 (3×), 13 (3×), 14 (3×), 18 (1×); |3θ* − 9| ≥ 9 only for 18; θ* − 3 ≤ 3 for all.
    let rows: Vec<u32> = (0..27u32).flat_map(|i| [i / 9, i / 3 % 3, i % 3]).collect();
    let values = [1.0, 2.0, 6.0];
    let means = means_at(&values, &rows).unwrap();
    let p = |alternative| from_means(&values, means.clone(), 0.95, alternative).unwrap().p;
    assert_eq!(p(Alternative::TwoSided), 2.0 / 28.0);
    assert_eq!(p(Alternative::Greater), 2.0 / 28.0);
    assert_eq!(p(Alternative::Less), 1.0);
}

#[test]
fn an_interval_is_not_defined_when_all_means_lie_on_one_side() {
    let result = from_means(&[0.0, 1.0, 2.0], vec![1.5, 1.6, 1.7], 0.95, Alternative::TwoSided).unwrap();
    assert_eq!(result.bca, None);
    assert!(result.percentile.contains(1.6));
}

#[test]
fn a_shift_of_all_pairs_shifts_the_interval() {
    let shifted: Vec<f64> = SLEEP.iter().map(|d| d + 10.0).collect();
    let (one, other) = (two_sided(&SLEEP, &Options::default()), two_sided(&shifted, &Options::default()));
    assert!((one.percentile.low + 10.0 - other.percentile.low).abs() < 1e-12);
    assert!((one.bca.unwrap().high + 10.0 - other.bca.unwrap().high).abs() < 1e-12);
}

#[test]
fn the_standard_error_comes_near_to_that_of_the_formula() {
    // The bootstrap's standard error of a mean tends to √(Σ(d − mean)²)/n = 0.3690 (np.std(d)/np.sqrt(10)); with 20,000
    // resamples its own relative error is about 1/√40,000.
    let result = two_sided(&SLEEP, &Options { resamples: 20_000, ..Options::default() });
    let formula = 0.368_998_644_983_961_9;
    assert!((result.standard_error / formula - 1.0).abs() < 0.03, "{}", result.standard_error);
}

#[test]
fn degenerate_samples_are_errors() {
    let run = |a: &[f64], b: &[f64]| paired_bootstrap(a, b, &Options::default()).unwrap_err();
    assert!(matches!(run(&[1.0], &[0.0]), StatsError::TooFew { .. }));
    assert_eq!(run(&[1.0, 1.0], &[1.0, 1.0]), StatsError::NoDifferences { n: 2 });
    assert!(matches!(run(&[2.0, 2.0], &[1.0, 1.0]), StatsError::Constant { .. }));
    assert!(matches!(run(&[1e308, 0.0], &[0.0, 1.0]), StatsError::Overflow { .. }));
    assert!(matches!(resample_means(&[1.0, 2.0], 1, 0), Err(StatsError::TooFew { .. })));
    assert_eq!(means_at(&[1.0, 2.0], &[0, 2]), Err(StatsError::Indices { n: 2, position: 1 }));
    assert_eq!(means_at(&[1.0, 2.0], &[0, 1, 0]), Err(StatsError::Indices { n: 2, position: 3 }));
}
