//! Random numbers against known answers and formulas.

use super::*;

/// Half-width of what chi-square with `cells - 1` degrees of freedom stays below in all but one of 10^5 cases:
/// mean + 4.3 standard deviations is above that for the cell counts used here (normal approximation).
fn assert_uniform(counts: &[u64]) {
    let total: u64 = counts.iter().sum();
    let expected = total as f64 / counts.len() as f64;
    let chi: f64 = counts.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    assert!((chi - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "chi-square {chi} with {freedom}");
}

/// `kat_vectors` of Random123 1.14: philox4x32 10.
#[test]
fn philox_gives_the_known_answers() {
    assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32_10([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn the_counter_layout_is_the_documented_one() {
    let philox = Philox::new(0x299f_31d0_a409_3822, Stream::Negatives);
    let expected = philox4x32_10([0x243f_6a88, 0x85a3_08d3, 17, 4], [0xa409_3822, 0x299f_31d0]);
    assert_eq!(philox.at(0x85a3_08d3_243f_6a88, 17), expected);
    let words = philox.words(5, 17);
    let [a, b, c, d] = philox.at(5, 17).map(u64::from);
    assert_eq!(words, [a + (b << 32), c + (d << 32)]);
    assert_eq!([philox.word(10, 17), philox.word(11, 17)], words);
    let mut filled = [0; 3];
    philox.fill(5, 17, &mut filled);
    assert_eq!(filled, [words[0], words[1], philox.words(6, 17)[0]]);
    for n in 0..40 {
        let (mut blocks, first) = (vec![[0; 4]; n], (1 << 32) - 11);
        philox.blocks(first, 17, &mut blocks);
        assert!(blocks.iter().zip(first..).all(|(block, index)| *block == philox.at(index, 17)), "{n}");
        let mut filled = vec![0; n];
        philox.fill(first, 17, &mut filled);
        assert!(filled.iter().zip(2 * first..).all(|(word, place)| *word == philox.word(place, 17)), "{n}");
    }
    let mut sequence = philox.sequence(5);
    let drawn: Vec<u64> = (0..4).map(|_| sequence.next_u64()).collect();
    assert_eq!(drawn, [philox.words(5, 0), philox.words(5, 1)].concat());
}

#[test]
fn seeds_and_streams_do_not_share_blocks() {
    let block = |seed, stream| Philox::new(seed, stream).at(0, 0);
    assert_ne!(block(1, Stream::Split), block(1, Stream::Init));
    assert_ne!(block(1, Stream::Split), block(2, Stream::Split));
    assert_ne!(block(1, Stream::Split), block(1 << 32, Stream::Split));
}

#[test]
fn below_is_uniform_and_in_range() {
    let philox = Philox::new(3, Stream::Split);
    let mut counts = [0; 97];
    for position in 0..200_000 {
        counts[below(philox.word(position, 0), 97) as usize] += 1;
    }
    assert_uniform(&counts);
    assert_eq!((below(u64::MAX, u64::MAX), below(u64::MAX, 1), below(u64::MAX, 0)), (u64::MAX - 1, 0, 0));
}

#[test]
fn units_stay_below_one_and_are_uniform() {
    assert!(unit_f64(u64::MAX) < 1.0 && unit_f32(u32::MAX) < 1.0);
    assert_eq!((unit_f64(0), unit_f32(0)), (0.0, 0.0));
    let mut sequence = Philox::new(4, Stream::Split).sequence(0);
    let mut counts = [0; 64];
    for _ in 0..100_000 {
        counts[(sequence.unit() * 64.0) as usize] += 1;
    }
    assert_uniform(&counts);
}

#[test]
fn normals_have_the_moments_of_the_standard_normal() {
    let philox = Philox::new(5, Stream::Init);
    let n = 200_000;
    let mut sums = [0.0; 4];
    let mut product = 0.0;
    for index in 0..n / 2 {
        let [x, y] = normal_pair(philox.words(index, 0));
        product += x * y;
        for value in [x, y] {
            for (power, sum) in sums.iter_mut().enumerate() {
                *sum += value.powi(power as i32 + 1);
            }
        }
    }
    // Moments 0, 1, 0, 3; the variances of their estimates are 1/n, 2/n, 15/n and 96/n.
    for ((sum, moment), variance) in sums.iter().zip([0.0, 1.0, 0.0, 3.0]).zip([1.0f64, 2.0, 15.0, 96.0]) {
        let n = n as f64;
        assert!((sum / n - moment).abs() < 4.5 * (variance / n).sqrt(), "{sums:?}");
    }
    assert!((product / (n as f64 / 2.0)).abs() < 4.5 / (n as f64 / 2.0).sqrt());
    assert!(normal_pair([u64::MAX, 0])[0].is_finite());
}

#[test]
fn shuffles_reach_all_orders_equally_often() {
    let mut counts = [0; 120];
    for index in 0..120_000 {
        let mut values = [0, 1, 2, 3, 4];
        Philox::new(6, Stream::Split).sequence(index).shuffle(&mut values);
        counts[rank_of(&values)] += 1;
    }
    assert_uniform(&counts);
}

#[test]
fn permutations_reach_all_orders_equally_often() {
    for n in 2..=5u64 {
        let orders = (1..=n).product::<u64>();
        let mut counts = vec![0; orders as usize];
        for sub in 0..(orders * 1000) as u32 {
            let permutation = Permutation::new(Philox::new(7, Stream::EpochOrder), sub, n);
            let values: Vec<u64> = (0..n).map(|i| permutation.get(i)).collect();
            counts[rank_of(&values)] += 1;
        }
        assert_uniform(&counts);
    }
}

#[test]
fn permutations_hold_each_number_once_and_depend_on_the_epoch() {
    let philox = Philox::new(8, Stream::EpochOrder);
    for n in (0..70).chain([255, 256, 257, 999, 1024, 100_003]) {
        let values = |sub| {
            let permutation = Permutation::new(philox, sub, n);
            (0..n).map(|i| permutation.get(i)).collect::<Vec<u64>>()
        };
        let mut filled = vec![0; n as usize];
        Permutation::new(philox, 0, n).fill(0, &mut filled);
        assert_eq!(filled, values(0));
        if n > 20 {
            Permutation::new(philox, 0, n).fill(11, &mut filled[11..]);
            assert_eq!(filled, values(0));
        }
        let mut sorted = values(0);
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..n), "{n}");
        assert!(n < 60 || values(0) != values(1));
    }
}

#[test]
fn permutations_send_neighbours_anywhere() {
    let n = 10_007;
    let permutation = Permutation::new(Philox::new(9, Stream::EpochOrder), 0, n);
    let mut gaps = [0; 32];
    for i in 0..n - 1 {
        let gap = (permutation.get(i + 1) + n - permutation.get(i)) % n;
        gaps[(gap * 32 / n) as usize] += 1;
    }
    assert_uniform(&gaps);
}

/// The number of the order among all orders of as many values (Lehmer code).
fn rank_of<T: Ord>(values: &[T]) -> usize {
    (0..values.len())
        .fold(0, |rank, i| rank * (values.len() - i) + values[i + 1..].iter().filter(|v| **v < values[i]).count())
}
