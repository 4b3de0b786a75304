//! TLS: by which certificate clients know the service, and whom it believes itself.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::files::BadFile;
use crate::tls::{Authorities, Identity};

/// `--tls-cert` and `--tls-key`
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArguments {
    /// Answer over TLS, with the certificate in this file (PEM; those between it and its authority after it). SIGHUP
    /// reads it and its key again
    #[arg(long, env = "CROSSBAR_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM, without a passphrase)
    #[arg(long, env = "CROSSBAR_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl TlsArguments {
    /// Whether the service answers over TLS.
    pub fn is_wanted(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// The certificate and its key; None if they are not wanted.
    pub fn identity(&self) -> Result<Option<Arc<Identity>>, BadFile> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Identity::read(certificate, key).map(Some),
            _ => Ok(None),
        }
    }
}

/// `--ca`
#[derive(Debug, Clone, Args)]
pub struct TrustArgument {
    /// Certificate authorities (PEM) by which a CouchDB (https://) and a broker (amqps://) are believed, in addition to
    /// the machine's
    #[arg(long, env = "CROSSBAR_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl TrustArgument {
    /// The authorities.
    pub fn authorities(&self) -> Result<Authorities, BadFile> {
        self.ca.as_deref().map_or_else(|| Ok(Authorities::default()), Authorities::read)
    }
}
