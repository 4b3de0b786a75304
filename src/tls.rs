//! TLS, by rustls: whom we believe when we connect to a store or a broker, and who we are to those who connect to us.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_platform_verifier::Verifier;

use crate::files::{self, BadFile};

/// Certificate authorities that are believed in addition to the machine's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// The certificates of a file (PEM), of which there must be one at least.
    pub fn read(file: &Path) -> Result<Self, BadFile> {
        let certificates = certificates(file)?;
        for certificate in &certificates {
            RootCertStore::empty().add(certificate.clone()).map_err(|error| BadFile::new(file, error))?;
        }
        Ok(Self(certificates))
    }

    /// How to connect to a server: its certificate must be for the name by which it is called, and by one of these
    /// authorities or of the machine's.
    ///
    /// Errors: there is none at all.
    pub fn client(&self) -> Result<ClientConfig, rustls::Error> {
        let verifier = Verifier::new_with_extra_roots(self.0.iter().cloned(), provider())?;
        Ok(ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            // "dangerous" is any verifier but rustls's own; this one is it, over the machine's authorities
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

/// The certificate by which clients know the service, and its key. Both may be replaced while it serves.
#[derive(Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Identity {
    /// The certificate of a file, followed by those between it and its authority, and the key of another (both PEM).
    pub fn read(certificate: &Path, key: &Path) -> Result<Arc<Self>, BadFile> {
        let current = RwLock::new(Arc::new(certified_key(certificate, key)?));
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads both files again. Who connects from now on is shown what they hold; connections that are there go on.
    ///
    /// Errors: what is wrong with a file; nothing has changed then.
    pub fn reload(&self) -> Result<(), BadFile> {
        let read = Arc::new(certified_key(&self.certificate, &self.key)?);
        // it is set in one step, so whoever panicked left it whole
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// How to answer who connects.
    pub fn server(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        Ok(ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _))
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files::read(file)?).collect();
    // what is wrong in detail would repeat the file
    let certificates = read.map_err(|_| BadFile::new(file, "it is damaged: give certificates as PEM"))?;
    if certificates.is_empty() {
        return Err(BadFile::new(file, "it holds no certificate: give one or more as PEM"));
    }
    Ok(certificates)
}

fn certified_key(certificate: &Path, key: &Path) -> Result<CertifiedKey, BadFile> {
    let chain = certificates(certificate)?;
    let no_key = "it holds no private key that can be read: give one as PEM, without a passphrase";
    let secret = PrivateKeyDer::from_pem_slice(&files::read_secret(key)?).map_err(|_| BadFile::new(key, no_key))?;
    let signer = aws_lc_rs::sign::any_supported_type(&secret).map_err(|_| BadFile::new(key, no_key))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(BadFile::new(key, format!("it is not the key of the certificate in {}", certificate.display())))
        }
        Err(error) => Err(BadFile::new(certificate, error)),
    }
}
