//! What can stop an evaluation.

use ncf_pipe_fault::Fault;

use crate::gpu::Error as GpuError;
use crate::model::scorer::ScoreError;

/// The result of an evaluation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What stopped an evaluation. Ids are dense ids.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The model could not score.
    #[error("the model cannot score: {0}")]
    Score(#[from] ScoreError),
    /// A score is NaN or infinite.
    #[error("the score of user {user} and item {item} is {score}")]
    NotFinite {
        /// The user.
        user: u32,
        /// The item.
        item: u32,
        /// NaN or an infinity.
        score: f32,
    },
    /// Model and data do not belong together.
    #[error("the model knows {model} {what}, and the data have {data}")]
    Shape {
        /// `users` or `items`.
        what: &'static str,
        /// How many the model knows.
        model: usize,
        /// How many the data have.
        data: usize,
    },
    /// No user has a positive.
    #[error("no user has a held-out positive, so there is nothing to rank")]
    NoPositives,
    /// A user with a positive has no candidates.
    #[error("the pool has no candidates for user {user}, who has held-out positives")]
    NoCandidates {
        /// The user.
        user: u32,
    },
    /// A candidate is not an item.
    #[error("candidate {item} of user {user} is not one of the {n_items} items")]
    Candidate {
        /// The user.
        user: u32,
        /// The candidate.
        item: u32,
        /// How many items there are.
        n_items: usize,
    },
    /// The GPU failed, or found a score that is NaN or infinite.
    #[error("on the GPU: {0}")]
    Gpu(GpuError),
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    /// What the user can do.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotFinite { .. } | Self::Gpu(GpuError::NotFinite) => {
                Some("training diverged: lower the learning rate, or raise the regularisation")
            }
            Self::Shape { .. } => Some("connect the split that the model was trained on"),
            Self::NoPositives => Some("hold out interactions in the split, or loosen the filters before it"),
            Self::NoCandidates { .. } | Self::Candidate { .. } => {
                Some("connect the pool that was drawn for this split")
            }
            Self::Score(_) | Self::Gpu(_) | Self::Cancelled => None,
        }
    }

    /// What happened, with the names of users and items that their dense ids stand for.
    pub fn naming(&self, of_user: &dyn Fn(u32) -> String, of_item: &dyn Fn(u32) -> String) -> String {
        match self {
            Self::NotFinite { user, item, score } => {
                format!("the score of user {} and item {} is {score}", of_user(*user), of_item(*item))
            }
            Self::NoCandidates { user } => {
                format!("the pool has no candidates for user {}, who has held-out positives", of_user(*user))
            }
            _ => self.to_string(),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let class = match error {
            Error::Cancelled => return Self::cancelled(),
            Error::Score(_) | Error::NotFinite { .. } | Error::Gpu(_) => Self::failed,
            _ => Self::data,
        };
        let stopped = class(&error);
        match error.help() {
            Some(help) => stopped.help(help),
            None => stopped,
        }
    }
}
