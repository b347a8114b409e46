//! Records of JSON lines: one object each.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::read::field::{self, Id, IdRule};
use crate::read::lines::each_line;
use crate::read::options::{ColumnMap, ColumnRef, Encoding, Role, TimestampUnit};
use crate::read::table::{Block, Has, Row, Shape};

/// Turns chunks of JSON lines into blocks of rows.
#[derive(Debug)]
pub(crate) struct JsonLines {
    pub(crate) names: Names,
    pub(crate) shape: Shape,
    pub(crate) unit: TimestampUnit,
    pub(crate) encoding: Encoding,
}

/// The keys that may hold each column, the likeliest first.
#[derive(Debug)]
pub(crate) struct Names {
    keys: [Vec<String>; 5],
    /// Columns that each object must have, because the user asked for them.
    asked: [bool; 5],
}

impl Names {
    /// The keys that the mapping asks for, else the usual ones.
    pub(crate) fn new(columns: &ColumnMap) -> Self {
        let keys = Role::ALL.map(|role| match columns.get(role) {
            Some(ColumnRef::Name(name)) => vec![name.clone()],
            Some(ColumnRef::Position(position)) => vec![position.to_string()],
            None => role.usual_names().iter().map(|&name| name.to_owned()).collect(),
        });
        Self { keys, asked: Role::ALL.map(|role| role.is_id() || columns.get(role).is_some()) }
    }

    /// What a key holds and how likely it is, 0 being the likeliest.
    fn find(&self, key: &str) -> Option<(Role, usize)> {
        Role::ALL.into_iter().find_map(|role| {
            let keys = &self.keys[role as usize];
            keys.iter().position(|name| name == key).map(|rank| (role, rank))
        })
    }
}

impl JsonLines {
    /// Reads whole lines; `origin` is the position of the first byte in the file.
    pub(crate) fn parse(&self, origin: u64, chunk: &[u8]) -> Block {
        let mut block = Block::new(&self.shape);
        let parse = |block: &mut Block, line: &[u8]| self.line(line, block);
        each_line(&mut block, origin, chunk, self.encoding, |block| &mut block.log, parse);
        block
    }

    fn line(&self, record: &[u8], block: &mut Block) -> Result<(), String> {
        let mut reader = serde_json::Deserializer::from_slice(record);
        let found = reader.deserialize_map(Object { names: &self.names }).map_err(|error| plain_error(&error))?;
        reader.end().map_err(|error| plain_error(&error))?;
        let [user, item, rating, timestamp, clean] = found.values.map(|value| value.map(|(_, value)| value));
        let lacks = Has { rating: rating.is_none(), timestamp: timestamp.is_none(), clean: clean.is_none() };
        let absent = [user.is_none(), item.is_none(), lacks.rating, lacks.timestamp, lacks.clean];
        for (role, absent) in Role::ALL.into_iter().zip(absent) {
            if absent && self.names.asked[role as usize] {
                let keys: Vec<String> = self.names.keys[role as usize].iter().map(|key| format!("`{key}`")).collect();
                return Err(format!("no {} ({})", role.name(), keys.join(", ")));
            }
        }
        let (user, item) = (user.unwrap_or(Scalar::Null), item.unwrap_or(Scalar::Null));
        let row = Row {
            user: user.id(self.shape.user).map_err(|what| format!("user {what}"))?,
            item: item.id(self.shape.item).map_err(|what| format!("item {what}"))?,
            rating: rating.map_or(Ok(0.0), |value| value.rating()).map_err(|what| format!("rating {what}"))?,
            timestamp: timestamp
                .map_or(Ok(0), |value| value.timestamp(self.unit))
                .map_err(|what| format!("timestamp {what}"))?,
            clean: clean.map_or(Ok(false), |value| value.flag()).map_err(|what| format!("clean {what}"))?,
            lacks,
        };
        block.push(row);
        Ok(())
    }
}

/// The message of a JSON error without its line, which is always 1 here.
fn plain_error(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

/// A JSON value that a column may hold.
#[derive(Debug, PartialEq)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer past `i64`.
    Large(String),
    Float(f64),
    Text(Cow<'a, str>),
    /// An array or an object.
    Nested,
}

impl Scalar<'_> {
    fn describe(&self) -> String {
        match self {
            Self::Null => "is null".to_owned(),
            Self::Bool(value) => format!("is `{value}`"),
            Self::Int(value) => format!("is the integer {value}"),
            Self::Large(value) => format!("is the integer {value}, past 64 bits with a sign"),
            Self::Float(value) => format!("is the number {value:?}"),
            Self::Text(text) => format!("is the string `{}`", field::excerpt(text.as_bytes())),
            Self::Nested => "is an array or an object".to_owned(),
        }
    }

    fn id(&self, rule: IdRule) -> Result<Id<'_>, String> {
        match self {
            Self::Int(value) => {
                rule.check(*value).map(|()| Id::Int(*value)).map_err(|()| format!("{value} is out of range"))
            }
            Self::Large(text) => rule.parse(text.as_bytes()),
            Self::Text(text) => rule.parse(text.as_bytes()),
            _ => Err(format!("{}, not an integer or a string", self.describe())),
        }
    }

    fn rating(&self) -> Result<f32, String> {
        let value = match self {
            Self::Int(value) => *value as f32,
            Self::Float(value) => *value as f32,
            _ => return Err(format!("{}, not a number", self.describe())),
        };
        field::finite(value).map_err(|()| format!("{}, too large", self.describe()))
    }

    fn timestamp(&self, unit: TimestampUnit) -> Result<i64, String> {
        let value = match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) => field::integral(*value),
            _ => None,
        };
        let value = value.ok_or_else(|| format!("{}, not a whole number", self.describe()))?;
        Ok(field::seconds(value, unit))
    }

    fn flag(&self) -> Result<bool, String> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Int(0) => Ok(false),
            Self::Int(1) => Ok(true),
            _ => Err(format!("{}, none of 0, 1, false, true", self.describe())),
        }
    }
}

impl<'de> de::Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Scalar::Large(value.to_string()), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

/// The values of an object that columns take, each with how likely its key is.
struct Found<'a> {
    values: [Option<(usize, Scalar<'a>)>; 5],
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Takes what is wanted from an object and refuses keys that are there twice.
struct Object<'a> {
    names: &'a Names,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Found<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = Found { values: [const { None }; 5] };
        let mut keys = Vec::new();
        while let Some(Key(key)) = entries.next_key()? {
            match self.names.find(&key) {
                Some((role, rank)) => {
                    let value = entries.next_value()?;
                    let slot = &mut found.values[role as usize];
                    if slot.as_ref().is_none_or(|(other, _)| rank < *other) {
                        *slot = Some((rank, value));
                    }
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
            keys.push(key);
        }
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let key = field::excerpt(pair[0].as_bytes());
                Err(de::Error::custom(format_args!("the key `{key}` is there twice")))
            }
            None => Ok(found),
        }
    }
}
