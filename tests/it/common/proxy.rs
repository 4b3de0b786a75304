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
    mutes_feeds: Arc<AtomicBool>,
    carried: Arc<AtomicUsize>,
}

/// What becomes of a piece of what is carried.
enum Piece {
    Passes,
    IsLost,
    /// The connection ends with it.
    Ends,
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
            mutes_feeds: Arc::default(),
            carried: Arc::default(),
        };
        let (shared, loses_answers) = (Arc::clone(&proxy.through), Arc::clone(&proxy.loses_answers));
        let (carried, mutes_feeds) = (Arc::clone(&proxy.carried), Arc::clone(&proxy.mutes_feeds));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, mut through) = (client.unwrap(), shared.lock().unwrap());
                // while it is cut, who comes is hung up on
                let Some(through) = through.as_mut() else { continue };
                let server = TcpStream::connect(&server).unwrap();
                let (asks, answers) = (both(&client, &server), both(&server, &client));
                let loses = Arc::new(AtomicBool::new(false));
                let (lost, loses_answers) = (Arc::clone(&loses), Arc::clone(&loses_answers));
                let is_feed = Arc::new(AtomicBool::new(false));
                let (of_feed, mutes_feeds) = (Arc::clone(&is_feed), Arc::clone(&mutes_feeds));
                let carried = Arc::clone(&carried);
                carry(asks, move |chunk| {
                    carried.fetch_add(1, Ordering::SeqCst);
                    if chunk.starts_with(b"PUT ") && loses_answers.load(Ordering::SeqCst) {
                        loses.store(true, Ordering::SeqCst);
                    }
                    is_feed.store(has(chunk, b"feed=continuous"), Ordering::SeqCst);
                    Piece::Passes
                });
                carry(answers, move |chunk| {
                    let is_mute = of_feed.load(Ordering::SeqCst) && mutes_feeds.load(Ordering::SeqCst);
                    match lost.load(Ordering::SeqCst) {
                        true => Piece::Ends,
                        false if is_mute && has(chunk, b"\"seq\":") => Piece::IsLost,
                        false => Piece::Passes,
                    }
                });
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

    /// From now on, feeds of changes say that they are there, and nothing else.
    pub fn mute_feeds(&self) {
        self.mutes_feeds.store(true, Ordering::SeqCst);
    }

    /// From now on, whoever sends an HTTP PUT is hung up on when its answer comes.
    pub fn lose_answers_to_puts(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }
}

fn both(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), to.try_clone().unwrap())
}

fn has(chunk: &[u8], text: &[u8]) -> bool {
    chunk.windows(text.len()).any(|part| part == text)
}

/// Carries what comes, as `fate` says of each piece.
fn carry((mut from, mut to): (TcpStream, TcpStream), mut fate: impl FnMut(&[u8]) -> Piece + Send + 'static) {
    thread::spawn(move || {
        let mut carry = || -> io::Result<()> {
            let mut chunk = [0; 16 * 1024];
            loop {
                let read = from.read(&mut chunk)?;
                if read == 0 {
                    return Ok(());
                }
                match fate(&chunk[..read]) {
                    Piece::Passes => to.write_all(&chunk[..read])?,
                    Piece::IsLost => {}
                    Piece::Ends => return Ok(()),
                }
            }
        };
        // whichever way it ends, it has ended
        let _ = carry();
        let _ = to.shutdown(Shutdown::Both);
    });
}
