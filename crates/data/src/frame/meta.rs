//! What the footer of a Parquet file says about its content.

use std::collections::BTreeMap;

use crate::{Fault, Result};

const PREFIX: &str = "ncf_pipe.";
const SCHEMA_VERSION: &str = "1";

/// What the footer of a Parquet file says about its content. No time, host or path, so that the same content always
/// has the same bytes; and no stage key, so that a stage that makes the same content under another key changes
/// nothing for those that follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameMeta {
    /// The kind of the stage that wrote the file; empty for files of other programs.
    pub kind: String,
    /// How many users there are, with or without a row here. Dense user ids lie below it.
    pub n_users: Option<u64>,
    /// How many items there are, with or without a row here. Dense item ids lie below it.
    pub n_items: Option<u64>,
    /// The seed, where the content depends on one.
    pub seed: Option<u64>,
    /// Anything else, by name.
    pub extra: BTreeMap<String, String>,
}

impl FrameMeta {
    /// The footer of a file written by a stage of this kind.
    pub fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// The same with the numbers of users and items.
    #[must_use]
    pub fn sized(mut self, n_users: usize, n_items: usize) -> Self {
        self.n_users = Some(n_users as u64);
        self.n_items = Some(n_items as u64);
        self
    }

    /// Keys and values as they stand in the footer, in a fixed order.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let numbers = [("n_users", self.n_users), ("n_items", self.n_items), ("seed", self.seed)];
        let own = [("schema_version", SCHEMA_VERSION.to_owned()), ("kind", self.kind.clone())];
        own.into_iter()
            .chain(numbers.into_iter().filter_map(|(key, value)| Some((key, value?.to_string()))))
            .chain(self.extra.iter().map(|(key, value)| (key.as_str(), value.clone())))
            .map(|(key, value)| (format!("{PREFIX}{key}"), value))
            .collect()
    }

    /// Reads the footer back. Keys of other programs are passed over.
    pub(super) fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<Self> {
        let mut meta = Self::default();
        for (key, value) in pairs {
            let (Some(key), Some(value)) = (key.strip_prefix(PREFIX), value) else { continue };
            match key {
                "schema_version" if value == SCHEMA_VERSION => {}
                "schema_version" => {
                    return Err(Fault::data(format!(
                        "the file has schema version `{value}`, and this program reads version `{SCHEMA_VERSION}`"
                    ))
                    .help("use the program that wrote the file, or make the file again"));
                }
                "kind" => value.clone_into(&mut meta.kind),
                "n_users" => meta.n_users = Some(number(key, value)?),
                "n_items" => meta.n_items = Some(number(key, value)?),
                "seed" => meta.seed = Some(number(key, value)?),
                _ => {
                    meta.extra.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        Ok(meta)
    }
}

fn number(key: &str, value: &str) -> Result<u64> {
    value.parse().map_err(|_| Fault::data(format!("the file's `{PREFIX}{key}` is `{value}`, not a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<FrameMeta> {
        FrameMeta::from_pairs(pairs.iter().map(|(key, value)| (*key, Some(*value))))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let meta = FrameMeta {
            seed: Some(7),
            extra: [("exclude".to_owned(), "train".to_owned())].into(),
            ..FrameMeta::of("negative_pool").sized(3, 4)
        };
        let pairs = meta.pairs();
        assert_eq!(pairs[0], ("ncf_pipe.schema_version".to_owned(), "1".to_owned()));
        assert_eq!(pairs[1], ("ncf_pipe.kind".to_owned(), "negative_pool".to_owned()));
        let back = FrameMeta::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))));
        assert_eq!(back.unwrap(), meta);
    }

    #[test]
    fn keys_of_other_programs_are_passed_over() {
        assert_eq!(read(&[("pandas", "{}"), ("ARROW:schema", "x")]).unwrap(), FrameMeta::default());
    }

    #[test]
    fn another_schema_version_is_refused() {
        let error = read(&[("ncf_pipe.schema_version", "2")]).unwrap_err();
        assert_eq!(error.message, "the file has schema version `2`, and this program reads version `1`");
    }

    #[test]
    fn a_size_that_is_no_number_is_refused() {
        let error = read(&[("ncf_pipe.n_users", "-1")]).unwrap_err();
        assert_eq!(error.message, "the file's `ncf_pipe.n_users` is `-1`, not a whole number");
    }
}
