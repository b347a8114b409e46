//! Which field of a delimited record is which column.

use crate::read::field::excerpt;
use crate::read::options::{ColumnMap, ColumnRef, Format, Options, Role};
use crate::read::table::Has;
use crate::{Fault, Result};

/// The fields of each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What each field is; `None` for fields that are not wanted.
    pub(crate) roles: Vec<Option<Role>>,
    /// The separator.
    pub(crate) separator: Vec<u8>,
    /// Whether fields may be quoted.
    pub(crate) quoted: bool,
    /// Which optional columns there are.
    pub(crate) has: Has,
}

impl Layout {
    /// The layout that the first record of a file leads to: its header, or its first interaction.
    ///
    /// # Errors
    /// When a column is missing, or named twice.
    pub(crate) fn of(first: &[String], options: &Options, name: &str) -> Result<Self> {
        let width = match first {
            [fields @ .., last] if last.is_empty() && !fields.is_empty() => fields.len(),
            fields => fields.len(),
        };
        let fields = &first[..width];
        if options.format != Format::Parquet {
            refuse_other_separator(fields, options, name)?;
        }
        let mut roles = vec![None; width];
        if !options.header {
            refuse_header(fields, name)?;
        }
        let names: Vec<&str> = if options.header { names_of(fields, options.format) } else { Vec::new() };
        let positions = defaults_by_position(&options.columns, options.header);
        for role in Role::ALL {
            let place = match options.columns.get(role) {
                Some(ColumnRef::Position(position)) => Some(at_position(role, usize::from(*position), width, name)?),
                Some(ColumnRef::Name(wanted)) => Some(at_name(role, wanted, fields, &names, name)?),
                None if options.header => at_usual_name(role, &names, name)?,
                None => positions.get(role as usize).copied().filter(|&place| place < width),
            };
            let Some(place) = place else {
                if role.is_id() {
                    return Err(missing(role, fields, options, name));
                }
                continue;
            };
            if let Some(other) = roles[place].replace(role) {
                let (first, second) = (other.name(), role.name());
                return Err(Fault::data(format!(
                    "`columns.{first}` and `columns.{second}` are the same column of `{name}`"
                ))
                .help("give each its own column"));
            }
        }
        if options.format == Format::Rating && width > 4 {
            return Err(Fault::data(format!("{name}:1: {width} fields; a `.rating` file has 2 to 4"))
                .help("set `format: tsv` and say with `columns` which is which"));
        }
        let has = |role| roles.contains(&Some(role));
        let has = Has { rating: has(Role::Rating), timestamp: has(Role::Timestamp), clean: has(Role::Clean) };
        let quoted = options.format == Format::Csv;
        Ok(Self { roles, separator: options.separator.clone().into_bytes(), quoted, has })
    }
}

/// Refuses a line that is one field, but several by a separator that is not the one of the options.
fn refuse_other_separator(fields: &[String], options: &Options, name: &str) -> Result<()> {
    let [line] = fields else { return Ok(()) };
    let usual = [("\t", "tabs"), ("::", "`::`"), (";", "`;`"), ("|", "`|`"), (",", "commas"), (" ", "blanks")];
    let other = usual.into_iter().find(|(separator, _)| line.contains(separator) && *separator != options.separator);
    let Some((separator, called)) = other else { return Ok(()) };
    let help = match separator {
        "\t" => "set `format: tsv`".to_owned(),
        "," => "set `format: csv`".to_owned(),
        // Quotes keep their meaning.
        _ if options.format == Format::Csv && separator.len() == 1 => format!("set `separator: \"{separator}\"`"),
        _ => format!("set `format: delimited` and `separator: \"{separator}\"`"),
    };
    let asked = options.separator.escape_debug();
    Err(Fault::data(format!(
        "{name}:1: one field by the separator `{asked}`, but there are {called} in `{}`",
        excerpt(line.as_bytes())
    ))
    .help(help))
}

/// Without any mapping, a file without a header is `user item rating timestamp`; with one, only what it names, since
/// what it leaves out could be anywhere.
fn defaults_by_position(columns: &ColumnMap, header: bool) -> &'static [usize] {
    if header || *columns != ColumnMap::default() { &[] } else { &[0, 1, 2, 3] }
}

/// The names in a header; RecBole adds the type, as in `rating:float`.
fn names_of<'a>(fields: &'a [String], format: Format) -> Vec<&'a str> {
    let plain = |field: &'a String| match field.rsplit_once(':') {
        Some((name, _)) if format == Format::Inter => name,
        _ => field.as_str(),
    };
    fields.iter().map(plain).collect()
}

fn at_position(role: Role, position: usize, width: usize, name: &str) -> Result<usize> {
    if position < width {
        return Ok(position);
    }
    let plural = if width == 1 { "" } else { "s" };
    Err(Fault::data(format!("`columns.{}` is {position}, but `{name}` has {width} column{plural}", role.name()))
        .help("positions count from 0; check `separator` and `format`"))
}

fn at_name(role: Role, wanted: &str, fields: &[String], names: &[&str], name: &str) -> Result<usize> {
    let matches = |place: &usize| names.get(*place) == Some(&wanted) || fields[*place] == wanted;
    let found: Vec<usize> = (0..fields.len()).filter(matches).collect();
    match found.as_slice() {
        [place] => Ok(*place),
        [] => {
            let what = format!("`{name}` has no column `{}` (`columns.{}`)", excerpt(wanted.as_bytes()), role.name());
            let help = match by_position(fields) {
                Some(columns) => format!(
                    "line 1 is {}, which look like data and not like names: set `header: false` and give positions, as in `{columns}`",
                    list(fields)
                ),
                None => format!("its columns are {}", list(fields)),
            };
            Err(Fault::data(what).help(help))
        }
        _ => Err(twice(wanted, name)),
    }
}

/// The mapping of the usual order of columns, if no field of the first line can be a name.
fn by_position(fields: &[String]) -> Option<String> {
    let numbers = fields.iter().all(|field| field.trim().parse::<f64>().is_ok());
    let roles = [Role::User, Role::Item, Role::Rating, Role::Timestamp];
    let columns = roles.iter().zip(0..fields.len()).map(|(role, place)| format!("{}: {place}", role.name()));
    (numbers && fields.len() > 1).then(|| format!("columns: {{{}}}", columns.collect::<Vec<_>>().join(", ")))
}

/// Refuses to skip a line of data: all its fields are numbers, and not those that count columns, which pandas writes.
pub(super) fn refuse_data_as_header(fields: &[String], columns: &ColumnMap, name: &str) -> Result<()> {
    let counted = fields.iter().zip(0..).all(|(field, place): (_, usize)| field.trim() == place.to_string());
    let by_name = Role::ALL.iter().any(|role| matches!(columns.get(*role), Some(ColumnRef::Name(_))));
    if by_name || counted || by_position(fields).is_none() {
        return Ok(());
    }
    Err(Fault::data(format!(
        "{name}:1: the line would be skipped as a header, but it looks like data: {}",
        list(fields)
    ))
    .help("set `header: false`; if they are names of columns, name them, as in `columns: {user: \"…\", item: \"…\"}`"))
}

/// The place of the likeliest usual name that the header has.
fn at_usual_name(role: Role, names: &[&str], name: &str) -> Result<Option<usize>> {
    for usual in role.usual_names() {
        let mut found = (0..names.len()).filter(|&place| names[place].eq_ignore_ascii_case(usual));
        match (found.next(), found.next()) {
            (Some(place), None) => return Ok(Some(place)),
            (Some(_), Some(_)) => return Err(twice(usual, name)),
            (None, _) => {}
        }
    }
    Ok(None)
}

fn twice(column: &str, name: &str) -> Fault {
    Fault::data(format!("`{name}` has more than one column `{}`", excerpt(column.as_bytes())))
        .help("say with `columns` which one is meant, by its position counted from 0")
}

fn missing(role: Role, fields: &[String], options: &Options, name: &str) -> Fault {
    let error = Fault::data(format!("no column of `{name}` is known as the {}", role.name()));
    let role = role.name();
    if options.header {
        let data = if options.format == Format::Csv { ", or set `header: false` if line 1 is data" } else { "" };
        error.help(format!("its columns are {}: say with `columns: {{{role}: …}}` which one it is{data}", list(fields)))
    } else {
        error.help(format!("say with `columns: {{{role}: …}}` which one it is, by its position counted from 0"))
    }
}

fn list(fields: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<String> =
        fields.iter().take(SHOWN).map(|field| format!("`{}`", excerpt(field.as_bytes()))).collect();
    if fields.len() > SHOWN {
        names.push(format!("and {} more", fields.len() - SHOWN));
    }
    names.join(", ")
}

/// A header that is taken for data would make strings of all ids, and one user too many.
fn refuse_header(fields: &[String], name: &str) -> Result<()> {
    let known = |role: Role| {
        let is_name = |field: &String| {
            let plain = field.split(':').next().unwrap_or_default();
            role.usual_names().iter().any(|usual| plain.eq_ignore_ascii_case(usual))
        };
        fields.iter().any(is_name)
    };
    if known(Role::User) && known(Role::Item) {
        return Err(
            Fault::data(format!("{name}:1: the line looks like a header: {}", list(fields))).help("set `header: true`")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<String> {
        line.split(',').map(str::to_owned).collect()
    }

    fn roles(line: &str, options: &Options) -> String {
        match Layout::of(&fields(line), options, "f") {
            Ok(layout) => {
                let names: Vec<&str> = layout.roles.iter().map(|role| role.map_or("-", Role::name)).collect();
                names.join(" ")
            }
            Err(error) => format!("{error} [{}]", error.help.clone().unwrap_or_default()),
        }
    }

    fn with(format: Format, header: bool, columns: ColumnMap) -> Options {
        Options { header, columns, ..Options::new(format) }
    }

    fn named(name: &str) -> ColumnRef {
        ColumnRef::Name(name.to_owned())
    }

    #[test]
    fn columns_are_found_by_usual_names_by_given_names_and_by_position() {
        let csv = Options::new(Format::Csv);
        let positions = ColumnMap {
            user: Some(ColumnRef::Position(2)),
            item: Some(ColumnRef::Position(0)),
            ..ColumnMap::default()
        };
        let names = ColumnMap { user: Some(named("who")), item: Some(named("what")), ..ColumnMap::default() };
        let found = [
            roles("userId,movieId,rating,timestamp", &csv),
            roles("rating,TS,x,ITEM_ID,user", &csv),
            roles("user_id,item_id,clean,", &csv),
            roles("what,who,rating", &with(Format::Csv, true, names)),
            roles("1,2,3,4", &Options::new(Format::Tsv)),
            roles("1,2,3,4,5", &Options::new(Format::Tsv)),
            roles("1,2", &Options::new(Format::Rating)),
            roles("1,2,3,4,", &Options::new(Format::DoubleColon)),
            roles("1,2,3,4", &with(Format::Tsv, false, positions)),
            roles("user_id:token,item_id:token,rating:float,timestamp:float", &Options::new(Format::Inter)),
        ];
        insta::assert_snapshot!(found.join("\n"), @r"
        user item rating timestamp
        rating timestamp - item user
        user item clean
        item user rating
        user item rating timestamp
        user item rating timestamp -
        user item
        user item rating timestamp
        item - user -
        user item rating timestamp
        ");
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        let csv = Options::new(Format::Csv);
        let same = ColumnMap {
            user: Some(ColumnRef::Position(1)),
            item: Some(ColumnRef::Position(1)),
            ..ColumnMap::default()
        };
        let far = ColumnMap { user: Some(ColumnRef::Position(4)), ..same.clone() };
        let unknown = ColumnMap { user: Some(named("uzer")), ..ColumnMap::default() };
        let found = [
            roles("1,2,3,4", &csv),
            roles("user_id,thing", &csv),
            roles("user_id,item_id,USER_ID", &csv),
            roles("user_id,item_id", &with(Format::Csv, true, unknown)),
            roles(
                "196,242,3",
                &with(Format::Csv, true, ColumnMap { user: Some(named("uzer")), ..ColumnMap::default() }),
            ),
            roles("1,2,3", &with(Format::Tsv, false, same)),
            roles("1,2,3", &with(Format::Tsv, false, far)),
            roles("1", &Options::new(Format::Tsv)),
            roles("1,2,3,4,5", &Options::new(Format::Rating)),
            roles("user,item,rating", &Options::new(Format::Tsv)),
            roles("user_id:token,item_id:token", &Options::new(Format::Tsv)),
        ];
        insta::assert_snapshot!(found.join("\n"), @r"
        no column of `f` is known as the user [its columns are `1`, `2`, `3`, `4`: say with `columns: {user: …}` which one it is, or set `header: false` if line 1 is data]
        no column of `f` is known as the item [its columns are `user_id`, `thing`: say with `columns: {item: …}` which one it is, or set `header: false` if line 1 is data]
        `f` has more than one column `user_id` [say with `columns` which one is meant, by its position counted from 0]
        `f` has no column `uzer` (`columns.user`) [its columns are `user_id`, `item_id`]
        `f` has no column `uzer` (`columns.user`) [line 1 is `196`, `242`, `3`, which look like data and not like names: set `header: false` and give positions, as in `columns: {user: 0, item: 1, rating: 2}`]
        `columns.user` and `columns.item` are the same column of `f` [give each its own column]
        `columns.user` is 4, but `f` has 3 columns [positions count from 0; check `separator` and `format`]
        no column of `f` is known as the item [say with `columns: {item: …}` which one it is, by its position counted from 0]
        f:1: 5 fields; a `.rating` file has 2 to 4 [set `format: tsv` and say with `columns` which is which]
        f:1: the line looks like a header: `user`, `item`, `rating` [set `header: true`]
        f:1: the line looks like a header: `user_id:token`, `item_id:token` [set `header: true`]
        ");
    }

    #[test]
    fn a_first_line_of_data_is_not_skipped_as_a_header() {
        let by = |text: &str| serde_json::from_str::<ColumnMap>(text).unwrap();
        let positions = by(r#"{"user": 0, "item": 1}"#);
        let refused = |line: &str, columns: &ColumnMap| refuse_data_as_header(&fields(line), columns, "f").is_err();
        assert!(refused("196,242,3", &positions));
        assert!(!refused("user,242,3", &positions));
        // What pandas writes over columns without names.
        assert!(!refused("0,1,2", &positions));
        assert!(!refused("196,242,3", &by(r#"{"user": "196", "item": "242"}"#)));
    }
}
