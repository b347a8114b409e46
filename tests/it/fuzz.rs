//! Hostile input: seeds of each format, mutated. The smoke here is a few seconds of what `examples/fuzz.rs` does for hours.
//!
//! A target is given bytes that nobody vouches for. It may refuse them; it may not panic, hang, or take what it cannot
//! know. Mutations are drawn from a counter-based generator, so that a number names an input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ncf_pipe::cache::{Lookup, StageKey, Store};
use ncf_pipe::config;
use ncf_pipe::data::read::{File, Format, Hooks, OnBadLine, Options, read_text};
use ncf_pipe::model::{Config, Weights};

/// What is done with an input.
pub type Work = Box<dyn Fn(&[u8])>;

/// One kind of input and what is done with it.
pub(crate) struct Target {
    /// Its name.
    pub name: &'static str,
    /// Whole inputs, to be mutated.
    pub seeds: Vec<Vec<u8>>,
    /// What is done with an input.
    pub work: Work,
}

/// What a round of inputs came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How many inputs were tried.
    pub inputs: u64,
    /// The number of each input that panicked, with what it said.
    pub panics: Vec<(u64, String)>,
    /// The longest that one input took, and its number.
    pub longest: (Duration, u64),
}

/// SplitMix64 (Steele, Lea and Flood 2014): good enough to break files with.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Bytes that parsers have reason to fear.
const ODD: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b"\t",
    b"\"",
    b"'",
    b"\\",
    b"::",
    b",,",
    b"|",
    b"- ",
    b": ",
    b"? ",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!str ",
    b"!x ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"---\n",
    b"...",
    b"#",
    b"%",
    b"${",
    b"${a}",
    b"NaN",
    b"inf",
    b"-0",
    b"1e999",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"2147483648",
    b"18446744073709551615",
    b"0x10",
    b"1_000",
    b"null",
    b"~",
    b"yes",
    b"\xe2\x80\xae",
    b"../../x",
    b"\"F64\"",
    b"9999999999999",
];

impl Target {
    /// The input of a number: a seed with one to eight mutations.
    pub(crate) fn input(&self, number: u64) -> Vec<u8> {
        let mut draws = Draws(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut bytes = self.seeds[draws.below(self.seeds.len())].clone();
        for _ in 0..=draws.below(8) {
            let at = draws.below(bytes.len() + 1);
            match draws.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << draws.below(8),
                1 if at < bytes.len() => bytes[at] = draws.next() as u8,
                2 => bytes.truncate(at),
                3 => {
                    let odd = ODD[draws.below(ODD.len())];
                    bytes.splice(at..at, odd.iter().copied());
                }
                4 => {
                    let end = (at + draws.below(24)).min(bytes.len());
                    bytes.drain(at..end);
                }
                5 => {
                    let end = (at + draws.below(40)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    let most = if draws.below(50) == 0 { 2000 } else { 4 };
                    let times = 1 + draws.below(most);
                    let many: Vec<u8> = part.iter().copied().cycle().take(part.len() * times).collect();
                    bytes.splice(at..at, many);
                }
                6 => {
                    let other = &self.seeds[draws.below(self.seeds.len())];
                    let from = draws.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
                _ => {
                    let other = draws.below(bytes.len() + 1);
                    let (a, b) = (at.min(other), at.max(other));
                    bytes[a..b].reverse();
                }
            }
            bytes.truncate(256 << 10);
        }
        bytes
    }

    /// Tries the inputs of these numbers.
    pub(crate) fn run(&self, numbers: std::ops::Range<u64>, until: Option<Instant>) -> Found {
        let mut found = Found::default();
        for number in numbers {
            if until.is_some_and(|until| number % 64 == 0 && Instant::now() > until) {
                break;
            }
            let input = self.input(number);
            let begun = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| (self.work)(&input)));
            let took = begun.elapsed();
            found.inputs += 1;
            if took > found.longest.0 {
                found.longest = (took, number);
            }
            if let Err(panic) = done {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                found.panics.push((number, text.unwrap_or_default()));
            }
        }
        found
    }
}

const YAML: &[&str] = &[
    "name: demo\nseed: 42\nparams: {threshold: 4, kinds: [gmf, mlp]}\nstages:\n  ratings: {kind: read, path: a.csv}\n  train:\n    \
     kind: train\n    inputs: {split: ratings, pool: [a, b.c]}\n    matrix:\n      factors: [8, 16]\n      rate: {log_uniform: [1e-4, 0.1]}\n      \
     kind: ${kinds}\n      sample: {cells: 4, seed: 1, cross: [factors]}\n    model: {kind: \"${kind}\", factors: \"${factors}\"}\n    seed: ${seed}\n",
    "name: a\nstages:\n  s:\n    kind: b\n    text: |\n      lines\n      more\n    folded: >-\n      one\n    list:\n    - 1\n    - {x: [1, 2.5, true, null]}\n",
];

const LINES: &[(Format, &str)] = &[
    (Format::Csv, "user_id,item_id,rating,timestamp\n1,10,4.5,978300760\n2,\"a\"\"b\",3,978300761\n1,11,5,978300762\n"),
    (Format::Tsv, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n"),
    (Format::DoubleColon, "1::1193::5::978300760\n1::661::3::978302109\n2::914::3::978301968\n"),
    (
        Format::Jsonl,
        "{\"user_id\": 1, \"item_id\": \"x\", \"rating\": 4.0}\n{\"user_id\": 2, \"item_id\": \"y\", \"timestamp\": 5}\n",
    ),
    (Format::Inter, "user_id:token\titem_id:token\trating:float\n1\t2\t3.5\n4\t5\t1\n"),
    (Format::Rating, "0\t1\t5\t100\n1\t2\t3\t101\n"),
];

fn lines(format: Format, bytes: &[u8]) {
    for on_bad_line in [OnBadLine::Error, OnBadLine::Skip] {
        let options = Options { on_bad_line, ..Options::new(format) };
        if let Ok(reading) = read_text(bytes, File { name: "input", size: None }, &options, Hooks::NONE) {
            assert!(reading.lines >= reading.skipped, "more lines are left out than there were");
        }
    }
}

/// The bytes of a small safetensors file: two tensors of a GMF with one factor.
fn weights() -> (Config, Vec<u8>) {
    let config = Config::from_json(br#"{"model": {"kind": "gmf", "factors": 1}, "n_users": 2, "n_items": 2}"#).unwrap();
    let names = ["user_embedding.weight", "item_embedding.weight", "output.weight"];
    let header: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[{},{}]}}", 8 * n, 8 * n + 8)
        })
        .collect();
    let header = format!("{{{}}}", header.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend([0; 24]);
    (config, bytes)
}

/// All targets. The store of the manifests lies in `dir`.
pub(crate) fn targets(dir: &std::path::Path) -> Vec<Target> {
    let yaml = |bytes: &[u8]| drop(config::parse("fuzz.yaml", bytes, &[]));
    let mut all = vec![Target {
        name: "yaml",
        seeds: YAML.iter().map(|text| text.as_bytes().to_vec()).collect(),
        work: Box::new(yaml),
    }];
    for (name, number) in [("csv", 0), ("tsv", 1), ("double_colon", 2), ("jsonl", 3), ("inter", 4), ("rating", 5)] {
        let (format, text) = LINES[number];
        all.push(Target {
            name,
            seeds: vec![text.as_bytes().to_vec()],
            work: Box::new(move |bytes| lines(format, bytes)),
        });
    }
    let (config, file) = weights();
    all.push(Target {
        name: "safetensors",
        seeds: vec![file],
        work: Box::new(move |bytes| drop(Weights::from_file(bytes, &config))),
    });
    all.push(Target {
        name: "model configuration",
        seeds: vec![
            br#"{"model": {"kind": "neumf", "factors": 8, "hidden": [16, 8], "dropout": 0.1}, "n_users": 2, "n_items": 3}"#.to_vec(),
        ],
        work: Box::new(|bytes| drop(Config::from_json(bytes))),
    });
    all.push(manifests(dir));
    all
}

/// Manifests in a store, looked up under the key that they had when they were whole.
fn manifests(dir: &std::path::Path) -> Target {
    let key = "0123456789abcdef".repeat(4);
    let seed = format!(
        "{{\"schema\": 1, \"key\": \"{key}\", \"identity\": {{\"kind\": \"read\", \"params\": {{\"a\": [1, 2.5]}}}}, \"stage\": \"a\", \
         \"kind\": \"read\", \"outputs\": {{\"o\": {{\"kind\": \"k\", \"digest\": \"{key}\", \"files\": {{\"f.parquet\": {{\"digest\": \
         \"{key}\", \"size\": 3}}}}}}}}, \"facts\": {{}}, \"warnings\": [], \"seconds\": 0.5, \"created\": 1, \"device\": \"cpu\", \
         \"threads\": 2, \"tool\": \"0.1.0\", \"checksum\": \"{key}\"}}"
    );
    let store = Store::open(dir).unwrap();
    let path = dir.join("manifests").join(&key[..2]).join(format!("{key}.json"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let key = StageKey::parse(&key).unwrap();
    Target {
        name: "manifest",
        seeds: vec![seed.into_bytes()],
        work: Box::new(move |bytes| {
            std::fs::write(&path, bytes).unwrap();
            assert!(!matches!(store.lookup(&key), Lookup::Hit(_)), "a manifest that nobody wrote is a hit");
        }),
    }
}
