//! Where the positives of one user stand among the candidates.

/// Candidates with equal scores, at least one of them positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TieGroup {
    /// How many candidates, positive or not, have a greater score.
    pub above: usize,
    /// How many candidates have this score.
    pub size: usize,
    /// How many of these are positive: at least 1.
    pub positives: usize,
}

/// Where the positives of one user stand among the candidates: all that a ranking metric needs to know.
///
/// Holds at least one positive, and its tie groups from the greatest score down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    groups: Vec<TieGroup>,
    positives: usize,
    negatives: usize,
}

/// From this number of distinct positive scores on, one pass with a binary search for each candidate is cheaper than
/// a vectorised pass for each score.
const MANY: usize = 48;

impl Ranking {
    /// Ranks positives against negatives by counting, without sorting the negatives.
    ///
    /// `positives` are the scores of the positives, in any order; they are sorted in place. `negatives` are the scores
    /// of all others, with negative infinity for what is not a candidate (masked items). Apart from that, all scores
    /// must be finite: with NaN the counts mean nothing.
    ///
    /// `None` without positives, since no metric is defined then.
    pub fn by_counting(positives: &mut [f32], negatives: &[f32]) -> Option<Self> {
        let candidates = negatives.len() - count(negatives, |score| score == f32::NEG_INFINITY, |_| false).0;
        positives.sort_unstable_by(|x, y| y.total_cmp(x));
        // `chunk_by` compares with `==`: 0.0 and -0.0 are a tie, as they are for every sort by `<`.
        let groups: Vec<&[f32]> = positives.chunk_by(|x, y| x == y).collect();
        let scores: Vec<f32> = groups.iter().filter_map(|group| group.first().copied()).collect();
        let counts =
            if scores.len() < MANY { count_by_passes(&scores, negatives) } else { count_by_search(&scores, negatives) };
        let better_positives = groups.iter().scan(0, |sum, group| {
            *sum += group.len();
            Some(*sum - group.len())
        });
        let groups: Vec<TieGroup> = groups
            .iter()
            .zip(better_positives)
            .zip(counts)
            .map(|((group, better), count)| TieGroup {
                above: better + count.greater,
                size: group.len() + count.equal,
                positives: group.len(),
            })
            .collect();
        (!groups.is_empty()).then_some(Self { groups, positives: positives.len(), negatives: candidates })
    }

    /// The ranking of a single positive that has `greater` negatives above it and `equal` ones with its score, among
    /// `negatives` (taken to be at least as many).
    pub fn of_one(greater: usize, equal: usize, negatives: usize) -> Self {
        let group = TieGroup { above: greater, size: equal.saturating_add(1), positives: 1 };
        Self { groups: vec![group], positives: 1, negatives: negatives.max(greater.saturating_add(equal)) }
    }

    /// The ranking of positives that were counted elsewhere: their tie groups from the greatest score down, and the
    /// number of negatives. `None` if a group cannot be: without a positive, with fewer members than positives, or not
    /// below the group before; and without groups.
    pub fn of_groups(groups: Vec<TieGroup>, negatives: usize) -> Option<Self> {
        let positives = groups.iter().map(|group| group.positives).sum();
        let mut above = 0;
        for group in &groups {
            if group.positives == 0 || group.size < group.positives || group.above < above {
                return None;
            }
            above = group.above + group.size;
        }
        (!groups.is_empty() && above <= positives + negatives).then_some(Self { groups, positives, negatives })
    }

    /// The tie groups that hold positives, from the greatest score down.
    pub fn groups(&self) -> &[TieGroup] {
        &self.groups
    }

    /// How many positives there are: at least 1.
    pub fn positives(&self) -> usize {
        self.positives
    }

    /// How many negatives there are.
    pub fn negatives(&self) -> usize {
        self.negatives
    }

    /// How many candidates are ranked.
    pub fn candidates(&self) -> usize {
        self.positives + self.negatives
    }

    /// The expected rank of the positives, averaged over them: 1 is the best. The position of a member of a tie group
    /// is uniform over the group's, so its expectation is `a_g + (s_g + 1) / 2`.
    pub fn mean_rank(&self) -> f64 {
        let sum: f64 = self
            .groups
            .iter()
            .map(|group| {
                let (first, last) = (group.above + 1, group.above + group.size);
                group.positives as f64 * f64::midpoint(first as f64, last as f64)
            })
            .sum();
        sum / self.positives as f64
    }
}

/// How many negatives have a greater score than a positive, and how many the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    greater: usize,
    equal: usize,
}

/// How many scores are so, and how many otherwise so. Branch-free, and with sums of 32 bits over pieces that are short
/// enough for them, since that is what the compiler turns into SIMD.
fn count(scores: &[f32], one: impl Fn(f32) -> bool, other: impl Fn(f32) -> bool) -> (usize, usize) {
    let sums = scores.chunks(1 << 20).map(|piece| {
        piece.iter().fold((0_u32, 0_u32), |(ones, others), &score| {
            (ones + u32::from(one(score)), others + u32::from(other(score)))
        })
    });
    sums.fold((0, 0), |(ones, others), sum| (ones + sum.0 as usize, others + sum.1 as usize))
}

/// One pass over the negatives for each score.
fn count_by_passes(scores: &[f32], negatives: &[f32]) -> Vec<Count> {
    let of_one = |&score: &f32| {
        let (greater, equal) = count(negatives, |other| other > score, |other| other == score);
        Count { greater, equal }
    };
    scores.iter().map(of_one).collect()
}

/// One pass over the negatives, each put into its place between the scores, which descend strictly.
fn count_by_search(scores: &[f32], negatives: &[f32]) -> Vec<Count> {
    let mut counts = vec![Count::default(); scores.len()];
    for &other in negatives {
        let place = scores.partition_point(|&score| score > other);
        // Below the last score there is nothing to count.
        if let (Some(&score), Some(count)) = (scores.get(place), counts.get_mut(place)) {
            if score == other {
                count.equal += 1;
            } else {
                count.greater += 1;
            }
        }
    }
    let mut above = 0;
    for count in &mut counts {
        count.greater += above;
        above = count.greater + count.equal;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_positives_there_is_no_ranking() {
        assert_eq!(Ranking::by_counting(&mut [], &[1.0, 2.0]), None);
    }

    #[test]
    fn one_positive_has_the_greater_above_and_the_equal_in_its_group() {
        let ranking = Ranking::by_counting(&mut [2.0], &[3.0, 2.0, 1.0, 2.0, 9.0]).unwrap();
        assert_eq!(ranking, Ranking::of_one(2, 2, 5));
        assert_eq!(ranking.candidates(), 6);
    }

    #[test]
    fn positives_with_one_score_share_a_group() {
        let ranking = Ranking::by_counting(&mut [1.0, 4.0, 4.0], &[5.0, 4.0, 2.0, 0.0]).unwrap();
        let first = TieGroup { above: 1, size: 3, positives: 2 };
        assert_eq!(ranking.groups(), [first, TieGroup { above: 5, size: 1, positives: 1 }]);
    }

    #[test]
    fn masked_negatives_are_not_candidates() {
        let masked = f32::NEG_INFINITY;
        let ranking = Ranking::by_counting(&mut [f32::MIN], &[masked, 1.0, masked]).unwrap();
        assert_eq!(ranking, Ranking::of_one(1, 0, 1));
    }

    #[test]
    fn zero_and_negative_zero_are_a_tie() {
        let ranking = Ranking::by_counting(&mut [0.0, -0.0], &[0.0, -0.0]).unwrap();
        assert_eq!(ranking.groups(), [TieGroup { above: 0, size: 4, positives: 2 }]);
    }

    #[test]
    fn groups_that_cannot_be_make_no_ranking() {
        let ranking = Ranking::by_counting(&mut [1.0, 4.0, 4.0], &[5.0, 4.0, 2.0, 0.0]).unwrap();
        let groups = ranking.groups().to_vec();
        assert_eq!(Ranking::of_groups(groups.clone(), 4), Some(ranking));
        assert_eq!(Ranking::of_groups(Vec::new(), 4), None);
        // Six candidates need three negatives at least, and the second group begins below four.
        assert_eq!(Ranking::of_groups(groups.clone(), 2), None);
        let changes: [fn(&mut TieGroup); 3] =
            [|group| group.positives = 0, |group| group.size = 0, |group| group.above = 3];
        for change in changes {
            let mut groups = groups.clone();
            change(&mut groups[1]);
            assert_eq!(Ranking::of_groups(groups, 4), None);
        }
    }

    #[test]
    fn mean_rank_is_the_middle_of_the_ties() {
        assert_eq!(Ranking::of_one(0, 0, 9).mean_rank(), 1.0);
        assert_eq!(Ranking::of_one(3, 4, 9).mean_rank(), 6.0);
        // Ranks 1 and 2, and rank 10 alone: (1.5 + 1.5 + 10) / 3.
        let negatives = [3.0; 7];
        let ranking = Ranking::by_counting(&mut [4.0, 4.0, 2.0], &negatives).unwrap();
        assert_eq!(ranking.mean_rank(), 13.0 / 3.0);
    }

    proptest! {
        #[test]
        fn counting_agrees_with_sorting(
            positives in prop::collection::vec(-20_i8..20, 1..60),
            negatives in prop::collection::vec(-20_i8..20, 0..200),
        ) {
            let mut all: Vec<(i8, bool)> = positives.iter().map(|&score| (score, true)).collect();
            all.extend(negatives.iter().map(|&score| (score, false)));
            all.sort_by_key(|&(score, _)| std::cmp::Reverse(score));
            let mut expected = Vec::new();
            let mut above = 0;
            for group in all.chunk_by(|x, y| x.0 == y.0) {
                let positives = group.iter().filter(|(_, positive)| *positive).count();
                if positives > 0 {
                    expected.push(TieGroup { above, size: group.len(), positives });
                }
                above += group.len();
            }
            let mut scores: Vec<f32> = positives.iter().map(|&score| f32::from(score)).collect();
            let others: Vec<f32> = negatives.iter().map(|&score| f32::from(score)).collect();
            let ranking = Ranking::by_counting(&mut scores, &others).unwrap();
            prop_assert_eq!(ranking.groups(), expected);
            prop_assert_eq!((ranking.positives(), ranking.negatives()), (positives.len(), negatives.len()));
        }

        #[test]
        fn both_ways_of_counting_agree(
            scores in prop::collection::btree_set(-50_i8..50, 1..40),
            negatives in prop::collection::vec(-60_i8..60, 0..200),
        ) {
            let scores: Vec<f32> = scores.iter().rev().map(|&score| f32::from(score)).collect();
            let negatives: Vec<f32> = negatives.iter().map(|&score| f32::from(score)).collect();
            prop_assert_eq!(count_by_passes(&scores, &negatives), count_by_search(&scores, &negatives));
        }
    }
}
