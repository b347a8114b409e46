//! Tensors in safetensors files, read with distrust.
//!
//! Files are read from bytes whose digest was checked, never mapped into memory: a file that is cut short while it is
//! mapped kills the process. The reader is stricter than the `safetensors` crate, which accepts a name twice and
//! headers of 100 MB.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::model::{Error, Result};

/// The longest header that is read, in bytes. A header takes about 100 bytes a tensor.
const MAX_HEADER: usize = 1 << 20;

/// The name of the metadata that is not a tensor.
const METADATA: &str = "__metadata__";

/// The tensors of a file and the one piece of metadata that we write.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Tensors by name, of type F32, F64 or I32.
    pub tensors: BTreeMap<String, Tensor>,
    /// The value under the key that the caller named, if it is there.
    pub metadata: Option<String>,
}

/// Writes tensors of type F32, F64 or I32, with one piece of metadata. The same tensors give the same bytes.
///
/// Only one, because the crate keeps metadata in a hash map: with two, their order would change from run to run.
///
/// # Errors
/// When a tensor has another type or cannot be read.
pub fn encode(tensors: &BTreeMap<String, Tensor>, key: &str, value: String) -> Result<Vec<u8>> {
    let unread = RefCell::new(None);
    let views: Vec<(&str, View<'_>)> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), View::new(name, tensor, &unread)?)))
        .collect::<Result<_>>()?;
    let metadata = [(key.to_owned(), value)].into_iter().collect();
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::failed(format!("cannot write tensors: {error}")))?;
    unread.take().map_or(Ok(bytes), Err)
}

/// Reads tensors, and the metadata under `key`.
///
/// # Errors
/// When the bytes are not a safetensors file whose header is at most 1 MiB long, whose names are distinct, whose
/// tensors are F32, F64 or I32, and whose data are covered by the tensors without hole, overlap or rest.
pub fn decode(bytes: &[u8], key: &str) -> Result<Contents> {
    let (header, data) = split_header(bytes)?;
    let Header { infos, metadata } =
        serde_json::from_slice(header).map_err(|error| damaged(format!("its header does not parse: {error}")))?;
    let mut entries: Vec<_> = infos.into_iter().collect();
    entries.sort_by_key(|(_, info)| info.data_offsets);
    let mut tensors = BTreeMap::new();
    let mut covered = 0;
    for (name, info) in entries {
        let (start, end) = info.data_offsets;
        let slice = data.get(start..end).filter(|_| start == covered).ok_or_else(|| {
            damaged(format!("the data of tensor `{name}` overlap, leave a hole, or lie outside of the file"))
        })?;
        covered = end;
        tensors.insert(name.clone(), info.tensor(&name, slice)?);
    }
    if covered != data.len() {
        return Err(damaged(format!("{} bytes at its end belong to no tensor", data.len() - covered)));
    }
    Ok(Contents { tensors, metadata: metadata.and_then(|mut map| map.remove(key)) })
}

fn damaged(what: impl fmt::Display) -> Error {
    Error::failed(format!("not a usable safetensors file: {what}"))
}

fn split_header(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| damaged("it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER as u64 {
        return Err(damaged(format!("its header claims {length} bytes; at most {MAX_HEADER} are read")));
    }
    rest.split_at_checked(length as usize).ok_or_else(|| damaged("it ends within its header"))
}

/// A tensor on its way to a file. Its bytes are made when they are asked for, so that no two tensors are there twice.
struct View<'a> {
    dtype: Dtype,
    tensor: &'a Tensor,
    /// Why a tensor could not be read, if one could not.
    unread: &'a RefCell<Option<Error>>,
}

impl<'a> View<'a> {
    fn new(name: &str, tensor: &'a Tensor, unread: &'a RefCell<Option<Error>>) -> Result<Self> {
        let dtype = match tensor.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::I32 => Dtype::I32,
            other => {
                return Err(Error::failed(format!("tensor `{name}` has type {}, not f32, f64 or i32", other.as_str())));
            }
        };
        Ok(Self { dtype, tensor, unread })
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let flat = self.tensor.flatten_all()?;
        Ok(match self.dtype {
            Dtype::F32 => little_endian(&flat.to_vec1::<f32>()?, f32::to_le_bytes),
            Dtype::F64 => little_endian(&flat.to_vec1::<f64>()?, f64::to_le_bytes),
            _ => little_endian(&flat.to_vec1::<i32>()?, i32::to_le_bytes),
        })
    }
}

fn little_endian<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut out = vec![0; values.len() * N];
    for (chunk, &value) in out.chunks_exact_mut(N).zip(values) {
        chunk.copy_from_slice(&bytes(value));
    }
    out
}

impl safetensors::View for View<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.tensor.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = self.bytes().unwrap_or_else(|error| {
            self.unread.replace(Some(error));
            Vec::new()
        });
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.elem_count() * self.tensor.dtype().size_in_bytes()
    }
}

/// What the header says of a tensor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl Info {
    fn tensor(&self, name: &str, bytes: &[u8]) -> Result<Tensor> {
        let width = match self.dtype.as_str() {
            "F32" | "I32" => 4,
            "F64" => 8,
            other => return Err(damaged(format!("tensor `{name}` has type {other}, not F32, F64 or I32"))),
        };
        let size = self.shape.iter().try_fold(width, |size: usize, &dim| size.checked_mul(dim));
        if size != Some(bytes.len()) {
            return Err(damaged(format!("tensor `{name}` of shape {:?} has {} bytes", self.shape, bytes.len())));
        }
        let shape = self.shape.as_slice();
        let tensor = match self.dtype.as_str() {
            "F32" => Tensor::from_vec(from_little_endian(bytes, f32::from_le_bytes), shape, &Device::Cpu),
            "I32" => Tensor::from_vec(from_little_endian(bytes, i32::from_le_bytes), shape, &Device::Cpu),
            _ => Tensor::from_vec(from_little_endian(bytes, f64::from_le_bytes), shape, &Device::Cpu),
        };
        Ok(tensor?)
    }
}

fn from_little_endian<T, const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| value(*chunk)).collect()
}

/// The whole header.
struct Header {
    infos: BTreeMap<String, Info>,
    metadata: Option<BTreeMap<String, String>>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with one entry for each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { infos: BTreeMap::new(), metadata: None };
                while let Some(name) = map.next_key::<String>()? {
                    let twice = if name == METADATA {
                        header.metadata.replace(map.next_value()?).is_some()
                    } else {
                        let info = map.next_value()?;
                        header.infos.insert(name.clone(), info).is_some()
                    };
                    if twice {
                        return Err(serde::de::Error::custom(format!("`{name}` is there twice")));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn refusal(bytes: &[u8]) -> String {
        decode(bytes, "k").expect_err("must be refused").message
    }

    const A: &str = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;

    fn three() -> BTreeMap<String, Tensor> {
        let a = Tensor::new(&[[1.0_f32, -2.5], [f32::MIN_POSITIVE, 3e38]], &Device::Cpu).unwrap();
        let b = Tensor::new(&[0.1_f64, f64::MAX], &Device::Cpu).unwrap();
        let c = Tensor::new(&[[i32::MIN], [7], [i32::MAX]], &Device::Cpu).unwrap();
        [("a".to_owned(), a), ("b".to_owned(), b), ("c".to_owned(), c)].into()
    }

    #[test]
    fn tensors_come_back_bit_for_bit() {
        let bytes = encode(&three(), "k", "value".into()).unwrap();
        let back = decode(&bytes, "k").unwrap();
        assert_eq!(back.metadata.as_deref(), Some("value"));
        assert_eq!(back.tensors["a"].to_vec2::<f32>().unwrap(), [[1.0, -2.5], [f32::MIN_POSITIVE, 3e38]]);
        assert_eq!(back.tensors["b"].to_vec1::<f64>().unwrap(), [0.1, f64::MAX]);
        assert_eq!(back.tensors["c"].to_vec2::<i32>().unwrap(), [[i32::MIN], [7], [i32::MAX]]);
        assert_eq!(encode(&back.tensors, "k", "value".into()).unwrap(), bytes);
    }

    #[test]
    fn the_crate_that_defines_the_format_reads_what_is_written() {
        let bytes = encode(&three(), "k", "value".into()).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("a").unwrap().shape(), [2, 2]);
        assert_eq!(read.tensor("b").unwrap().data()[..8], 0.1_f64.to_le_bytes());
        assert_eq!(read.tensor("c").unwrap().dtype(), Dtype::I32);
    }

    #[test]
    fn an_empty_file_and_a_header_cut_short_are_refused() {
        assert!(refusal(b"").contains("shorter than 8 bytes"));
        assert!(refusal(&file(&format!("{{{A}}}"), &[0; 4])[..20]).contains("ends within its header"));
    }

    #[test]
    fn a_header_longer_than_a_mebibyte_is_refused_before_it_is_parsed() {
        let padded = format!("{{{A}{}}}", " ".repeat(MAX_HEADER));
        assert!(refusal(&file(&padded, &[0; 4])).contains("at most 1048576"));
        let mut lie = file(&format!("{{{A}}}"), &[0; 4]);
        lie[..8].fill(0xff);
        assert!(refusal(&lie).contains("claims 18446744073709551615"));
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        assert!(refusal(&file(&format!("{{{A},{A}}}"), &[0; 4])).contains("`a` is there twice"));
        let twice = r#"{"__metadata__":{},"__metadata__":{}}"#;
        assert!(refusal(&file(twice, &[])).contains("`__metadata__` is there twice"));
    }

    #[test]
    fn overlaps_holes_rests_and_cut_data_are_refused() {
        let b =
            |from: u64, to: u64| format!(r#"{{{A},"b":{{"dtype":"F32","shape":[1],"data_offsets":[{from},{to}]}}}}"#);
        assert!(decode(&file(&b(4, 8), &[0; 8]), "k").is_ok());
        assert!(refusal(&file(&b(0, 4), &[0; 4])).contains("overlap"));
        assert!(refusal(&file(&b(8, 12), &[0; 12])).contains("hole"));
        assert!(refusal(&file(&b(4, 8), &[0; 7])).contains("outside"));
        assert!(refusal(&file(&b(8, 4), &[0; 8])).contains("overlap"));
        assert!(refusal(&file(&b(4, 8), &[0; 9])).contains("1 bytes at its end"));
    }

    #[test]
    fn sizes_that_overflow_or_disagree_with_the_data_are_refused() {
        let shaped = |dtype: &str, shape: &str, end: u64| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
        };
        assert!(refusal(&file(&shaped("F32", "[2]", 4), &[0; 4])).contains("has 4 bytes"));
        assert!(refusal(&file(&shaped("F32", "[4611686018427387904,4]", 0), &[])).contains("has 0 bytes"));
        assert!(refusal(&file(&shaped("F32", "[1]", u64::MAX), &[0; 4])).contains("outside"));
        assert!(refusal(&file(&shaped("F32", "[-1]", 4), &[0; 4])).contains("does not parse"));
        assert!(refusal(&file(&shaped("I64", "[1]", 8), &[0; 8])).contains("type I64"));
    }

    #[test]
    fn a_header_that_is_not_the_expected_json_is_refused() {
        for header in ["", "[]", "{", "null", r#"{"a":1}"#, r#"{"a":{"dtype":"F32"}}"#, "\u{0}\u{1}"] {
            assert!(refusal(&file(header, &[])).contains("does not parse"), "{header}");
        }
        assert!(refusal(&[&3_u64.to_le_bytes()[..], &[0xff, 0xfe, 0xfd]].concat()).contains("does not parse"));
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(refusal(&file(&deep, &[])).contains("does not parse"));
    }

    proptest! {
        #[test]
        fn damaged_files_give_errors_not_panics(at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<prop::sample::Index>()) {
            let bytes = encode(&three(), "k", "value".into()).unwrap();
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            let _ = decode(&flipped, "k");
            prop_assert!(decode(&bytes[..cut.index(bytes.len())], "k").is_err());
        }
    }
}
