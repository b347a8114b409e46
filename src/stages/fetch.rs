//! The stage `fetch`: files from the network, or from a directory that has them already.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::files::{FileInfo, Files};
use crate::fetch::{
    Archive, Client, Copied, Download, Error, Hooks, Kind, Request, SIZE_LIMIT, Settings, Url, base_name, check_member,
    check_name, check_sha256, copy, download,
};
use crate::stage::{Class, Context, Fault, Output, ParamError, Result, Source, Stage};

/// Gets files from the network, or, offline, takes them from a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The files; at least one.
    #[schemars(length(min = 1))]
    pub files: Vec<RemoteFile>,
    /// A directory that has all the files under the names that they are stored under. If it is given and not empty, they
    /// are taken from there, and nothing is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<PathBuf>,
}

/// A file on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Where it is. Credentials in it are used, but neither shown nor kept, and do not count for what is the same file.
    pub url: Url,
    /// The SHA-256 that the bytes there must have, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes it may have, and how many may come out of it if it is an archive.
    #[serde(default = "size_limit")]
    #[schemars(range(min = 1))]
    pub size_limit: u64,
    /// Whether `url` may be plain http, which anybody on the way can read and change.
    #[serde(default)]
    pub allow_http: bool,
    /// If it is a zip archive: which members to store, by their full names in it. Nothing else of it is unpacked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// What to store it under, or its only member; by default the last part of its name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn size_limit() -> u64 {
    SIZE_LIMIT
}

impl Stage for Fetch {
    const KIND: &'static str = "fetch";
    const ABOUT: &'static str = "gets files from the network, or from a directory";
    const CHANGES: &'static [&'static str] = &["first version"];
    const OUTPUTS: &'static [Output] = &[Output::of::<Files>("files")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        if self.files.is_empty() {
            return Err(ParamError::new("files", "no files to fetch").help("list at least one `{url: …}`"));
        }
        for (at, file) in self.files.iter_mut().enumerate() {
            file.normalise()
                .map_err(|(key, what, help)| ParamError::new(&format!("files.{at}.{key}"), what).help(help))?;
        }
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for (at, stored) in self.stored().enumerate() {
            let wrong = |what: String| ParamError::new(&format!("files.{}", stored.file), what);
            if Files::is_reserved(&stored.name) {
                return Err(wrong(format!("`{}` is the name of a file that is always written", stored.name))
                    .help("store it under another `name`"));
            }
            if taken.insert(stored.name.to_ascii_lowercase(), at).is_some() {
                return Err(wrong(format!("a second file would be stored as `{}`", stored.name))
                    .help("set another `name`, or fetch them in two stages; case does not tell names apart"));
            }
        }
        self.local = self.local.filter(|local| !local.as_os_str().is_empty());
        Ok(self)
    }

    fn sources(&self) -> Vec<Source> {
        let Some(local) = &self.local else { return Vec::new() };
        self.stored().map(|stored| Source::within("local", local, &stored.name)).collect()
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let list = match &self.local {
            Some(local) => self.stored().map(|stored| take(&stored, local, context)).collect::<Result<_>>()?,
            None => self.fetch(context)?,
        };
        context.fact("files", list.len());
        context.fact("bytes", list.iter().map(|file| file.size).sum::<u64>());
        Files::write_list(list, context)
    }
}

impl RemoteFile {
    /// Refuses what cannot work, as key, reason and remedy, and fills in the name.
    fn normalise(&mut self) -> Result<(), (String, String, String)> {
        let wrong = |key: &str, what: String, help: &str| Err((key.to_owned(), what, help.to_owned()));
        if !self.allow_http && !self.url.is_https() {
            return wrong(
                "url",
                "plain http can be read and changed on the way".to_owned(),
                "use https, or set `allow_http: true` where the network is trusted",
            );
        }
        if let Some(sha256) = &mut self.sha256 {
            if let Err(reason) = check_sha256(sha256) {
                return wrong("sha256", format!("`{sha256}` {reason}"), "`sha256sum FILE` prints that of a file");
            }
            sha256.make_ascii_lowercase();
        }
        if self.size_limit == 0 {
            return wrong("size_limit", "0 bytes are no file".to_owned(), "give a number of bytes, or leave it out");
        }
        for (at, member) in self.members.iter().enumerate() {
            let key = format!("members.{at}");
            if let Err(reason) = check_member(member) {
                let what = format!("`{}` {reason}", member.escape_debug());
                return wrong(&key, what, "give the full name in the archive, such as `ml-100k/u.data`");
            }
            if self.members.len() > 1
                && let Err(reason) = check_name(base_name(member))
            {
                let what = format!("`{}` {reason}", base_name(member).escape_debug());
                return wrong(&key, what, "fetch it as the only member, and set `name`");
            }
        }
        if self.members.len() > 1 {
            return match &self.name {
                Some(_) => wrong(
                    "name",
                    "one name for several members".to_owned(),
                    "leave `name` out: members are stored under the last part of their names",
                ),
                None => Ok(()),
            };
        }
        let own = self.members.first().map_or_else(|| self.url.file_name(), |member| base_name(member));
        let name = self.name.get_or_insert_with(|| own.to_owned());
        match check_name(name) {
            Ok(()) => Ok(()),
            Err(reason) => wrong(
                "name",
                format!("`{}` {reason}", name.escape_debug()),
                "set `name` to what the file should be stored under, such as `ratings.csv`",
            ),
        }
    }

    fn request(&self) -> Request<'_> {
        let Self { url, allow_http, sha256, size_limit, .. } = self;
        Request { url, allow_http: *allow_http, sha256: sha256.as_deref(), size_limit: *size_limit }
    }
}

/// A file of the output.
struct Stored<'a> {
    /// The position in `files` of where it comes from.
    file: usize,
    remote: &'a RemoteFile,
    member: Option<&'a str>,
    name: String,
}

impl Stored<'_> {
    fn info(&self, copied: Copied) -> FileInfo {
        FileInfo {
            name: self.name.clone(),
            size: copied.size,
            sha256: copied.sha256,
            url: self.remote.url.to_string(),
            member: self.member.map(str::to_owned),
        }
    }
}

impl Fetch {
    /// All files of the output, in the order of the parameters.
    fn stored(&self) -> impl Iterator<Item = Stored<'_>> {
        self.files.iter().enumerate().flat_map(|(file, remote)| {
            let members = remote.members.iter().map(|member| Some(member.as_str()));
            let whole = remote.members.is_empty().then_some(None);
            members.chain(whole).map(move |member| {
                let name = remote.name.as_deref().or(member.map(base_name)).unwrap_or_default().to_owned();
                Stored { file, remote, member, name }
            })
        })
    }

    /// Gets all files from the network.
    fn fetch(&self, context: &Context<'_>) -> Result<Vec<FileInfo>> {
        let client = Client::new(Settings::default()).map_err(stopped)?;
        let mut list = Vec::new();
        let mut seen = BTreeMap::new();
        let mut unpinned = Vec::new();
        for (at, remote) in self.files.iter().enumerate() {
            context.progress().remark(&remote.url.to_string());
            let got = with_hooks(context, |hooks| {
                download(remote.request(), context.scratch(), &at.to_string(), &client, hooks)
                    .map_err(|error| self.explain(error, context))
            })?;
            let stored = self.stored().filter(|stored| stored.file == at);
            list.extend(with_hooks(context, |hooks| store(stored, &got, context, hooks))?);
            if remote.sha256.is_none() {
                unpinned.push(format!("`sha256: {}` for `{}`", got.sha256, remote.url));
            }
            seen.insert(remote.url.to_string(), got.sha256);
        }
        if !unpinned.is_empty() {
            context.warn(format!(
                "what is at a URL may change without notice; to pin what was seen this time, add {}",
                unpinned.join(", ")
            ));
        }
        context.fact("sha256", serde_json::json!(seen));
        Ok(list)
    }

    /// Adds what to do without the network.
    fn explain(&self, error: Error, context: &Context<'_>) -> Fault {
        if error.kind != Kind::Network {
            return stopped(error);
        }
        let files = self.stored().map(|stored| match stored.member {
            Some(member) => format!("`DIR/{}` (`{member}` of `{}`)", stored.name, stored.remote.url),
            None => format!("`DIR/{}` (`{}`)", stored.name, stored.remote.url),
        });
        let files = files.collect::<Vec<_>>().join(", ");
        let how = match context.set_by("local") {
            Some(param) => format!("run with `--set {param}=DIR`"),
            None => "set `local: DIR` in the stage".to_owned(),
        };
        let offline = format!("without a network, get {files} by other means, and {how}");
        let help = error.help.as_ref().map_or_else(|| offline.clone(), |help| format!("{help}; {offline}"));
        stopped(error).help(help)
    }
}

/// Takes a file from the directory that the user has given.
fn take(stored: &Stored<'_>, local: &Path, context: &Context<'_>) -> Result<FileInfo> {
    let path = local.join(&stored.name).display().to_string();
    let mut reader = context.source(&format!("local/{}", stored.name))?.open()?;
    context.progress().start(Some(reader.size()), "bytes");
    let mut out = context.create(&stored.name)?;
    let copied = with_hooks(context, |hooks| {
        copy(&path, &mut reader, &mut out, stored.remote.size_limit, hooks).map_err(stopped)
    })?;
    reader.finish()?;
    // Of an archive only the members are here, and the digest is that of all of it.
    if let (Some(wanted), None) = (&stored.remote.sha256, stored.member)
        && *wanted != copied.sha256
    {
        return Err(Fault::data(format!("`{path}` has the SHA-256 {} instead of {wanted}", copied.sha256))
            .help(format!("it is not the file that `{}` should be", stored.remote.url)));
    }
    out.finish()?;
    Ok(stored.info(copied))
}

/// Copies what was downloaded, or its members, into the output.
fn store<'a>(
    stored: impl Iterator<Item = Stored<'a>>,
    got: &Download,
    context: &Context<'_>,
    hooks: Hooks<'_>,
) -> Result<Vec<FileInfo>> {
    let mut archive: Option<Archive> = None;
    let mut list = Vec::new();
    for file in stored {
        let url = file.remote.url.to_string();
        let mut out = context.create(&file.name)?;
        let copied = match (file.member, &mut archive) {
            (None, _) => {
                let input = File::open(&got.path)
                    .map_err(|error| Fault::io(format!("cannot open `{}`", got.path.display()), error))?;
                context.progress().start(Some(got.size), "bytes");
                copy(&url, input, &mut out, got.size, hooks)
            }
            (Some(member), Some(archive)) => archive.extract(member, &mut out, hooks),
            (Some(member), none) => Archive::open(&got.path, &url, file.remote.size_limit)
                .and_then(|archive| none.insert(archive).extract(member, &mut out, hooks)),
        };
        let copied = copied.map_err(stopped)?;
        out.finish()?;
        list.push(file.info(copied));
    }
    Ok(list)
}

fn with_hooks<T>(context: &Context<'_>, work: impl FnOnce(Hooks<'_>) -> T) -> T {
    let (progress, cancel) = (context.progress(), context.cancel());
    work(Hooks {
        start: &|total| progress.start(total, "bytes"),
        advance: &|bytes| progress.advance(bytes),
        cancelled: &|| cancel.is_cancelled(),
    })
}

fn stopped(error: Error) -> Fault {
    let stopped = match error.kind {
        Kind::Data => Fault::data(error.message),
        Kind::Network | Kind::Io => Fault { class: Class::Io, ..Fault::failed(error.message) },
        Kind::Cancelled => return Fault::cancelled(),
    };
    Fault { help: error.help, ..stopped }
}

#[cfg(test)]
mod tests;
