//! Reads JSON text that must mean one thing only.
//!
//! Unlike serde_json's own reader it refuses a key that is written twice, and reads every floating-point number to the
//! nearest one: serde_json may be off by one unit in the last place unless a feature is turned on that rebuilds every
//! dependency, and then an identity would no longer hash to its key.

use serde_json::{Map, Number, Value};

/// As serde_json's.
const MAX_DEPTH: usize = 128;

/// The value that the text stands for, or what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("more after the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Whether the next byte is this one; then it is taken.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.take(byte) { Ok(()) } else { Err(self.wrong(&format!("expected `{}`", char::from(byte)))) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(_) => self.scalar(),
            None => Err(self.wrong("the text ends too early")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(Value::Object(map));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a key"));
            }
            let key = self.string()?;
            if map.contains_key(&key) {
                return Err(self.wrong("a key is written twice"));
            }
            self.expect(b':')?;
            map.insert(key, self.value(depth + 1)?);
            if !self.take(b',') {
                self.expect(b'}')?;
                return Ok(Value::Object(map));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.take(b',') {
                self.expect(b']')?;
                return Ok(Value::Array(items));
            }
        }
    }

    /// A text, from quote to quote; serde_json knows the escapes.
    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        let mut plain = true;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    end += 2;
                }
                Some(0..0x20) | None => return Err(self.wrong("a text without end")),
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        if plain {
            return Ok(self.text[start + 1..end].to_owned());
        }
        serde_json::from_str(&self.text[start..=end]).map_err(|_| self.wrong("a wrong escape"))
    }

    fn scalar(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let word = &rest[..end];
        let value = match word {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => number(word).map(Value::Number),
        };
        let value = value.ok_or_else(|| self.wrong("expected a value"))?;
        self.at += end;
        Ok(value)
    }
}

/// Rust's own reader is exact but takes more than JSON does (`1.`, `+1`, `inf`), so serde_json judges the form.
fn number(word: &str) -> Option<Number> {
    let form: Number = serde_json::from_str(word).ok()?;
    if form.is_f64() { Number::from_f64(word.parse().ok()?) } else { Some(form) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cache::canonical::tests::any_value;
    use crate::cache::canonical::{Nulls, encode};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_serde_json_writes_is_read_back_bit_by_bit(value in any_value()) {
            let form = encode(&value, Nulls::Allowed);
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(encode(&parse(text.as_bytes()).unwrap(), Nulls::Allowed), form.clone());
            }
        }

        #[test]
        fn a_damaged_text_is_read_as_serde_json_reads_it_or_refused(
            value in any_value(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,\"\\\\0-9eE.+tfnu \\x00-\\x7f]"), 1..4),
        ) {
            let mut text: Vec<char> = value.to_string().chars().collect();
            for (place, with) in edits {
                let at = place.index(text.len());
                text.splice(at..=at, with.chars());
                if text.is_empty() { break; }
            }
            let text: String = text.into_iter().collect();
            match (parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
                (Ok(ours), theirs) => {
                    let theirs = theirs.unwrap();
                    // The last place of a number may differ; the test above is about those.
                    prop_assert!(ours == theirs || text.contains(['.', 'e', 'E']), "{}", text);
                }
                (Err(why), Ok(_)) => prop_assert!(why.contains("written twice"), "{}: {}", text, why),
                (Err(_), Err(_)) => {}
            }
        }
    }

    #[test]
    fn a_key_written_twice_is_refused() {
        assert!(parse(br#"{"a": 1, "a": 1}"#).unwrap_err().contains("written twice"));
        assert!(parse(br#"{"a": 1, "\u0061": 1}"#).unwrap_err().contains("written twice"));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "nul",
            "NaN",
            "inf",
            "+1",
            "1.",
            ".5",
            "01",
            "1e999",
            "'a'",
            "\"",
            "\"\\",
            "\"\\\"",
            "\"\n\"",
            "{} x",
            "[1 2]",
            "{a: 1}",
            "\u{feff}{}",
            "/**/1",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
        assert_eq!(parse(b"[[[]]]").unwrap(), json!([[[]]]));
    }
}
