//! The greatest scores of a row.

use std::cmp::Ordering;

/// Puts the `k` greatest scores into `out` with their places, the greatest first; of equal scores the one with the
/// smaller place comes first. Negative infinity stands for what is masked and is never chosen, so that there may be
/// fewer than `k`. What was in `out` before is gone.
///
/// Scores must not be NaN. Takes a pass over the scores and, beside that, memory for `2 k` pairs at most.
pub fn top_k(scores: &[f32], k: usize, out: &mut Vec<(u32, f32)>) {
    out.clear();
    if k == 0 {
        return;
    }
    let full = k.saturating_mul(2);
    // What is not above the worst of the best so far cannot be chosen: among equals the earlier place wins.
    let mut bar = f32::NEG_INFINITY;
    for (place, &score) in scores.iter().enumerate() {
        if score > bar {
            out.push((place as u32, score));
            if out.len() == full {
                out.select_nth_unstable_by(k - 1, |a, b| better(*a, *b));
                out.truncate(k);
                bar = out[k - 1].1;
            }
        }
    }
    out.sort_unstable_by(|a, b| better(*a, *b));
    out.truncate(k);
}

/// The better first. Adding zero makes a tie of 0.0 and -0.0, as they are for every comparison by `<`.
fn better(a: (u32, f32), b: (u32, f32)) -> Ordering {
    (b.1 + 0.0).total_cmp(&(a.1 + 0.0)).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(scores: &[f32], k: usize) -> Vec<u32> {
        let mut out = vec![(9, 9.0)];
        top_k(scores, k, &mut out);
        out.into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn the_greatest_come_first_and_masked_ones_never() {
        let masked = f32::NEG_INFINITY;
        assert_eq!(places(&[1.0, masked, 3.0, 2.0], 2), [2, 3]);
        assert_eq!(places(&[1.0, masked, 3.0, 2.0], 10), [2, 3, 0]);
        assert_eq!(places(&[masked; 3], 2), [0_u32; 0]);
        assert_eq!(places(&[], 2), [0_u32; 0]);
        assert_eq!(places(&[1.0], 0), [0_u32; 0]);
        assert_eq!(places(&[f32::MIN, masked], usize::MAX), [0]);
    }

    #[test]
    fn equal_scores_stand_in_the_order_of_their_places() {
        assert_eq!(places(&[0.0, 1.0, -0.0, 1.0, 0.0], 4), [1, 3, 0, 2]);
        assert_eq!(places(&[5.0; 100], 3), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn it_is_the_head_of_the_stably_sorted_row(
            scores in prop::collection::vec(prop_oneof![4 => (-9_i8..9).prop_map(f32::from), 1 => Just(f32::NEG_INFINITY)], 0..200),
            k in 0_usize..40,
        ) {
            let mut expected: Vec<u32> = (0..scores.len() as u32).filter(|i| scores[*i as usize].is_finite()).collect();
            // A stable sort keeps the order of places among equals.
            expected.sort_by(|a, b| scores[*b as usize].partial_cmp(&scores[*a as usize]).unwrap());
            expected.truncate(k);
            prop_assert_eq!(places(&scores, k), expected);
        }
    }
}
