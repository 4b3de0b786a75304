//! What stands between us and a server that we need: it can be cut, opened again, and made to lose answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use url::Url;

pub struct Proxy {
    address: SocketAddr,
    /// The connections that go through it; None while it is cut.
    through: Arc<Mutex<Option<Vec<TcpStream>>>>,
    loses_answers: Arc<AtomicBool>,
    carried: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy before the server of a URL that names its port.
    pub fn before(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port_or_known_default().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            through: Arc::new(Mutex::new(Some(Vec::new()))),
            loses_answers: Arc::default(),
            carried: Arc::default(),
        };
        let (shared, loses_answers) = (Arc::clone(&proxy.through), Arc::clone(&proxy.loses_answers));
        let carried = Arc::clone(&proxy.carried);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, mut through) = (client.unwrap(), shared.lock().unwrap());
                // while it is cut, who comes is hung up on
                let Some(through) = through.as_mut() else { continue };
                let server = TcpStream::connect(&server).unwrap();
                let (asks, answers) = (both(&client, &server), both(&server, &client));
                let loses = Arc::new(AtomicBool::new(false));
                let (lost, loses_answers) = (Arc::clone(&loses), Arc::clone(&loses_answers));
                let carried = Arc::clone(&carried);
                carry(asks, move |chunk| {
                    carried.fetch_add(1, Ordering::SeqCst);
                    if chunk.starts_with(b"PUT ") && loses_answers.load(Ordering::SeqCst) {
                        loses.store(true, Ordering::SeqCst);
                    }
                    true
                });
                carry(answers, move |_| !lost.load(Ordering::SeqCst));
                through.extend([client, server]);
            }
        });
        proxy
    }

    /// The server's URL, by way of here.
    pub fn url(&self, server: &str) -> String {
        let mut url = Url::parse(server).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Ends all connections, and hangs up on further ones.
    pub fn cut(&self) {
        for stream in self.through.lock().unwrap().take().unwrap_or_default() {
            // it may have ended by itself
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.through.lock().unwrap().get_or_insert_default();
    }

    /// How much it has carried to the server, in pieces: more is more.
    pub fn carried(&self) -> usize {
        self.carried.load(Ordering::SeqCst)
    }

    /// From now on, whoever sends an HTTP PUT is hung up on when its answer comes.
    pub fn lose_answers_to_puts(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }
}

fn both(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), to.try_clone().unwrap())
}

/// Carries what comes, as long as it may pass.
fn carry((mut from, mut to): (TcpStream, TcpStream), mut may_pass: impl FnMut(&[u8]) -> bool + Send + 'static) {
    thread::spawn(move || {
        let mut carry = || -> io::Result<()> {
            let mut chunk = [0; 16 * 1024];
            loop {
                let read = from.read(&mut chunk)?;
                if read == 0 || !may_pass(&chunk[..read]) {
                    return Ok(());
                }
                to.write_all(&chunk[..read])?;
            }
        };
        // whichever way it ends, it has ended
        let _ = carry();
        let _ = to.shutdown(Shutdown::Both);
    });
}
