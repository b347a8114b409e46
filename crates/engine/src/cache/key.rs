//! The list of what invalidates a stage.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::Digest;
use crate::cache::canonical::{self, Nulls, Refusal};

/// The version of [`Identity`] and its canonical form. Raising it makes every stage run again.
pub const FORMAT: u32 = 1;

/// Everything that decides which bytes a stage writes. What is not here does not make a stage run again: device,
/// threads, names of stages, paths, times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identity {
    /// [`FORMAT`].
    pub format: u32,
    /// The stage kind.
    pub kind: String,
    /// The version of the stage kind.
    pub version: u64,
    /// All parameters, defaults written out, those that name a source left out.
    pub params: Value,
    /// What is connected to each input port, in order. Contents count, not the keys of the stages that made them: a
    /// stage that writes the same bytes again does not make others run.
    pub inputs: BTreeMap<String, Vec<InputIdentity>>,
    /// The content of the file that each parameter of this name points to.
    pub sources: BTreeMap<String, Digest>,
    /// The seed, if the kind draws random numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// One artifact connected to an input port.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputIdentity {
    /// The matrix coordinates of the stage that made it, for ports that gather several; else empty.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cell: BTreeMap<String, Value>,
    /// The digest of the artifact.
    pub digest: Digest,
    /// How it was made, for kinds that report that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Value>,
}

impl Identity {
    /// The identity as plain JSON, as it is kept in a manifest.
    pub fn to_json(&self) -> Value {
        // Numbers are already JSON values here, keys are texts: nothing in it can fail to be written.
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// The key.
    ///
    /// # Errors
    /// When a parameter or a matrix coordinate is `null` or nested too deeply.
    pub fn key(&self) -> Result<StageKey, KeyError> {
        key_of(&self.to_json())
    }
}

/// The key of an identity that was kept as plain JSON.
pub(super) fn key_of(identity: &Value) -> Result<StageKey, KeyError> {
    Ok(StageKey(Digest::of(&canonical::encode(identity, Nulls::Refused)?)))
}

/// The key of a stage: BLAKE3 of the canonical form of its [`Identity`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageKey(Digest);

impl StageKey {
    /// Reads exactly 64 lower-case hexadecimal digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        Digest::parse(text).map(Self)
    }

    /// The first twelve digits, for messages.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }

    pub(super) fn shard(&self) -> String {
        self.0.shard()
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StageKey({self})")
    }
}

/// A value that cannot be part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {what}", path.join("."))]
pub struct KeyError {
    /// The way to the value, such as `params`, `loss`, `gamma`.
    pub path: Vec<String>,
    /// What is wrong with it.
    what: &'static str,
}

impl KeyError {
    /// What the user can do.
    pub fn help(&self) -> &'static str {
        "write a finite number, or leave the parameter out where it is optional"
    }
}

impl From<Refusal> for KeyError {
    fn from(refusal: Refusal) -> Self {
        Self { path: refusal.path, what: refusal.what }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cache::canonical::tests::any_value;

    pub(in crate::cache) fn identity() -> Identity {
        Identity {
            format: FORMAT,
            kind: "train".into(),
            version: 3,
            params: json!({"epochs": 20, "lr": 0.001, "model": {"kind": "gmf", "factors": 8}}),
            inputs: BTreeMap::from([(
                "split".into(),
                vec![InputIdentity { cell: BTreeMap::new(), digest: Digest::of(b"a split"), runs: Vec::new() }],
            )]),
            sources: BTreeMap::from([("path".into(), Digest::of(b"a source"))]),
            seed: Some(42),
        }
    }

    fn named_digests() -> impl Strategy<Value = BTreeMap<String, Digest>> {
        prop::collection::btree_map("[a-b]{1,2}", (0u8..3).prop_map(|n| Digest::of(&[n])), 0..3)
    }

    pub(in crate::cache) fn any_identity() -> impl Strategy<Value = Identity> {
        let cell = prop::collection::btree_map("[a-b]", 0i64..2, 0..2)
            .prop_map(|map| map.into_iter().map(|(k, v)| (k, json!(v))).collect());
        let input =
            (cell, 0u8..3).prop_map(|(cell, n)| InputIdentity { cell, digest: Digest::of(&[n]), runs: Vec::new() });
        let inputs = prop::collection::btree_map("[a-b]", prop::collection::vec(input, 0..3), 0..3);
        let params = prop::collection::btree_map("[a-c]", any_value(), 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        let seed = prop::option::of(prop_oneof![0u64..2, any::<u64>()]);
        ("[ab]", 1u64..3, params, inputs, named_digests(), seed).prop_map(
            |(kind, version, params, inputs, sources, seed)| Identity {
                format: FORMAT,
                kind,
                version,
                params,
                inputs,
                sources,
                seed,
            },
        )
    }

    /// The same, but nearly the same as a second one.
    fn two_identities() -> impl Strategy<Value = (Identity, Identity)> {
        (any_identity(), any_identity(), 0..128u8).prop_map(|(a, b, mix)| {
            let pick = |bit: u8| mix & (1 << bit) != 0;
            let mut c = a.clone();
            if pick(0) {
                c.kind = b.kind;
            }
            if pick(1) {
                c.version = b.version;
            }
            if pick(2) {
                c.params = b.params;
            }
            if pick(3) {
                c.inputs = b.inputs;
            }
            if pick(4) {
                c.sources = b.sources;
            }
            if pick(5) {
                c.seed = b.seed;
            }
            (a, c)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn keys_are_equal_exactly_when_identities_are((a, b) in two_identities()) {
            // `Identity` compares -0.0 and 0.0 as equal, so the texts stand in.
            let text = |identity: &Identity| identity.to_json().to_string();
            let same = text(&a) == text(&b);
            prop_assert_eq!(a.key().unwrap() == b.key().unwrap(), same);
        }

        #[test]
        fn the_key_survives_being_written_as_json_and_read_back(a in any_identity()) {
            let text = serde_json::to_string_pretty(&a.to_json()).unwrap();
            let read = crate::cache::json::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(key_of(&read).unwrap(), a.key().unwrap());
        }
    }

    /// Changing one of these makes everyone's stages run again: raise [`FORMAT`] and say so in the change log.
    #[test]
    fn golden_keys() {
        let mut bare = Identity {
            format: FORMAT,
            kind: "read".into(),
            version: 1,
            params: json!({}),
            inputs: BTreeMap::new(),
            sources: BTreeMap::new(),
            seed: None,
        };
        assert_eq!(bare.key().unwrap().to_string(), GOLDEN[0]);
        bare.params = json!({"a": [1, 1.0, "1", -0.0, true, {"b": 1e300}], "\u{e9}": "", "n": u64::MAX});
        assert_eq!(bare.key().unwrap().to_string(), GOLDEN[1]);
        assert_eq!(identity().key().unwrap().to_string(), GOLDEN[2]);
        let mut cells = identity();
        let input = InputIdentity {
            cell: [("loss".to_owned(), json!("bce"))].into(),
            digest: Digest::of(b"m"),
            runs: Vec::new(),
        };
        cells.inputs.insert("metrics".into(), vec![input.clone(), input]);
        assert_eq!(cells.key().unwrap().to_string(), GOLDEN[3]);
    }

    /// By a few lines of Python that follow the description in `canonical`, with the `blake3` package.
    const GOLDEN: [&str; 4] = [
        "7b8006cd96e27f6875481cfe5c060ef8f2c4b6b8bf32d8e9a678bea3dadd9cc6",
        "9c78854ab7b1e561137db56ed6df2184533d0a2c507e1cc06331b150fd58192b",
        "f1c92ed4efeddb01532ac9d4b00aac0abcb5b420d9f1aa17b7f4f31c53a3bc29",
        "b49545a3723f758cc25edde3eeb271d1c4aad8ed43f9ae2eb1f4004bc0e18449",
    ];

    #[test]
    fn each_field_changes_the_key() {
        let base = identity();
        let with = |change: &dyn Fn(&mut Identity)| {
            let mut changed = base.clone();
            change(&mut changed);
            changed.key().unwrap()
        };
        let keys = [
            base.key().unwrap(),
            with(&|i| i.format += 1),
            with(&|i| i.kind.push('x')),
            with(&|i| i.version += 1),
            with(&|i| i.params["lr"] = json!(0.002)),
            with(&|i| i.params["model"]["factors"] = json!(8.0)),
            with(&|i| drop(i.params.as_object_mut().unwrap().remove("epochs"))),
            with(&|i| i.inputs.clear()),
            with(&|i| i.inputs.get_mut("split").unwrap()[0].digest = Digest::of(b"another")),
            with(&|i| drop(i.inputs.get_mut("split").unwrap()[0].cell.insert("seed".into(), json!(1)))),
            with(&|i| i.sources.clear()),
            with(&|i| i.seed = Some(43)),
            with(&|i| i.seed = None),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_with_its_name() {
        let mut bad = identity();
        bad.params["model"]["dropout"] = serde_json::to_value(f64::NAN).unwrap();
        let error = bad.key().unwrap_err();
        assert_eq!(error.to_string(), "`params.model.dropout` is not a finite number");
    }
}
