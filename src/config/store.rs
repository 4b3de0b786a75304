//! The store that a command is given: on the command line, in a file, or as a credential of systemd.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::at_least_one;
use super::secret::{self, Secret};
use super::tls::TrustArgument;
use crate::files::{self, BadFile};
use crate::store::couch::CouchOptions;
use crate::tls::Authorities;

/// Where the embedded store is, if no store is named.
const DEFAULT: &str = "data";

/// The name of the credential that names a store.
const CREDENTIAL: &str = "store";

/// What is said of a file that holds anything else.
const NO_NODES: &str = "give a CouchDB's URL (http:// or https://), of a cluster one a line";

/// `--store`, `--store-file` and `--ca`
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Store")]
pub struct StoreArgument {
    /// A CouchDB's URL (http://user:password@host:5984), or a folder for the embedded store. Of a cluster, several
    /// URLs, as a list with commas or one by one; the first that answers is asked (default: what systemd's credential
    /// `store` holds, as in --store-file, or else the folder `data`)
    #[arg(long, env = "CROSSBAR_STORE", value_name = "URL|FOLDER", value_parser = Secret::<StoreLocation>::new(),
        hide_env_values = true)]
    store: Vec<StoreLocation>,

    /// The file that holds the CouchDB's URL, so that its password stands in no process list and no environment; of a
    /// cluster, a URL a line
    #[arg(long, env = "CROSSBAR_STORE_FILE", value_name = "FILE", conflicts_with = "store")]
    store_file: Option<PathBuf>,

    /// How many requests may be under way to a node of the CouchDB; further ones wait
    #[arg(long, env = "CROSSBAR_COUCH_CONNECTIONS", default_value = "128", value_name = "NUMBER")]
    couch_connections: NonZeroUsize,

    /// How many bytes an answer of the CouchDB may have, decoded, to what a client asks for
    #[arg(long, env = "CROSSBAR_COUCH_MAX_ANSWER", default_value = "67108864", value_parser = at_least_one(), value_name = "BYTES")]
    couch_max_answer: usize,

    /// Ask the CouchDB by way of the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names, which is given the credentials
    #[arg(long, env = "CROSSBAR_COUCH_PROXY")]
    couch_proxy: bool,

    #[command(flatten)]
    trust: TrustArgument,
}

impl StoreArgument {
    /// The store that was named.
    ///
    /// Errors: [`NoStore::FolderAndMore`], [`NoStore::File`].
    pub fn location(&self) -> Result<StoreLocation, NoStore> {
        if self.store.is_empty() {
            return match self.store_file.clone().or_else(|| files::credential(CREDENTIAL)) {
                Some(file) => Ok(secret::read(&file, nodes)?),
                None => Ok(StoreLocation::Folder(PathBuf::from(DEFAULT))),
            };
        }
        let mut nodes = Vec::new();
        for location in &self.store {
            match location {
                StoreLocation::Couch(urls) => nodes.extend(urls.iter().cloned()),
                StoreLocation::Folder(_) if self.store.len() > 1 => {
                    return Err(NoStore::FolderAndMore);
                }
                StoreLocation::Folder(folder) => return Ok(StoreLocation::Folder(folder.clone())),
            }
        }
        Ok(StoreLocation::Couch(nodes))
    }

    /// How a CouchDB is asked.
    pub fn options(&self) -> Result<CouchOptions, BadFile> {
        Ok(CouchOptions {
            connections: self.couch_connections,
            longest_answer: self.couch_max_answer,
            proxy_from_environment: self.couch_proxy,
            trusted: self.trusted()?,
            ..CouchOptions::default()
        })
    }

    /// Whom a store and a broker are believed by, beside the machine's authorities.
    pub fn trusted(&self) -> Result<Authorities, BadFile> {
        self.trust.authorities()
    }
}

/// Where documents are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A CouchDB, by the URLs of its nodes.
    Couch(Vec<String>),
    /// The embedded store in a folder.
    Folder(PathBuf),
}

impl std::fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // the URLs may hold a password
            Self::Couch(_) => f.write_str("Couch(…)"),
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
        }
    }
}

/// What is given does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStore {
    /// Several were named, and not all of them are nodes of a CouchDB.
    #[error("--store: give one folder, or URLs of one CouchDB")]
    FolderAndMore,
    /// A URL of another scheme.
    #[error("{0}:// is no store: give http://, https:// or a folder")]
    OtherScheme(String),
    /// Nothing, or what is neither a URL nor a folder.
    #[error("give a URL or a folder")]
    Neither,
    /// A file that does not hold what it should.
    #[error(transparent)]
    File(#[from] BadFile),
}

impl FromStr for StoreLocation {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        if is_url(text) {
            // a comma may stand in a password
            let nodes = text.split(',').fold(Vec::<String>::new(), |mut nodes, part| {
                match nodes.last_mut() {
                    Some(last) if !is_url(part) => last.extend([",", part]),
                    _ => nodes.push(part.to_owned()),
                }
                nodes
            });
            return Ok(Self::Couch(nodes));
        }
        match text.split_once("://") {
            // what is no scheme may be a password
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(NoStore::OtherScheme(scheme.to_owned()))
            }
            Some(_) => Err(NoStore::Neither),
            // a URL that lost a slash is no folder
            None if text.is_empty() || text.starts_with("http:") || text.starts_with("https:") => Err(NoStore::Neither),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The nodes of a CouchDB, a URL a line. An error repeats none of it: the text may be a password.
fn nodes(text: &str) -> Result<StoreLocation, &'static str> {
    let mut nodes = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.parse() {
            Ok(StoreLocation::Couch(urls)) => nodes.extend(urls),
            Ok(StoreLocation::Folder(_)) | Err(_) => return Err(NO_NODES),
        }
    }
    if nodes.is_empty() { Err(NO_NODES) } else { Ok(StoreLocation::Couch(nodes)) }
}
