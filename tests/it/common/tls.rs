//! TLS as others speak it: an authority, servers before which it stands, clients that believe it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// An authority that nobody believes who was not told of it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// The files of a certificate and its key.
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca"), parameters.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(parameters, key), folder }
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    /// A certificate for a host's name or address. The files are those of the one before for the same name.
    pub fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let file = |of: &str| self.folder.path().join(format!("{name}.{of}"));
        let issued = Issued { certificate: file("cert"), key: file("key") };
        fs::write(&issued.certificate, certificate.pem()).unwrap();
        write_secret(&issued.key, &key.serialize_pem());
        issued
    }

    /// Connects to whoever is known as localhost by this authority.
    pub fn connect(&self, address: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut believed = RootCertStore::empty();
        believed.add(CertificateDer::from_pem_file(self.file()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(believed)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream =
            StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), TcpStream::connect(address)?);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(stream)
    }
}

/// Writes a file that its owner alone may read.
pub fn write_secret(file: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, content).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A server over TLS, before one that does not speak it.
pub struct TlsServer {
    port: u16,
    refused: Arc<AtomicUsize>,
}

impl TlsServer {
    /// Speaks for the server of a URL that names its port.
    pub fn before(url: &str, issued: &Issued) -> Self {
        let url = Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap_or(5672));
        let chain = CertificateDer::pem_file_iter(&issued.certificate).unwrap().map(Result::unwrap).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(&issued.key).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let refused = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&refused);
        let (told, listening) = mpsc::channel();
        thread::spawn(move || {
            super::block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap().port()).unwrap();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let (acceptor, server, counted) = (acceptor.clone(), server.clone(), Arc::clone(&counted));
                    tokio::spawn(async move {
                        let Ok(mut client) = acceptor.accept(client).await else {
                            counted.fetch_add(1, Ordering::SeqCst);
                            return;
                        };
                        let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                        // whichever way it ends, it has ended
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    });
                }
            });
        });
        Self { port: listening.recv().unwrap(), refused }
    }

    /// The server's URL over TLS, by way of here, with localhost as its name.
    pub fn url(&self, server: &str) -> String {
        let (scheme, rest) = server.split_once("://").unwrap();
        let server = Url::parse(&format!("x://{rest}")).unwrap();
        let credentials = match server.password() {
            Some(password) => format!("{}:{password}@", server.username()),
            None => String::new(),
        };
        format!("{scheme}s://{credentials}localhost:{}{}", self.port, server.path())
    }

    /// How many clients did not believe it.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}
