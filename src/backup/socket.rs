//! The socket in a store's folder at which the service that has the store open makes backups. Who may use it is decided
//! by its file's permissions: it is its owner's alone, as the store itself.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::store::SharedServer;
use crate::store::embedded::Embedded;
use crate::world::World;

use super::lines;

/// How long nobody is listened to after one could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// Where backups are asked for. It goes away with this.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens in a store's folder, in a runtime. The store must be open: then the socket that another process left there
    /// is nobody's.
    ///
    /// Errors: it can't be made, as where the folder's path is longer than about 80 bytes.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        // nobody reaches it before it is its owner's alone
        let hidden =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).prefix(".").tempdir_in(folder)?;
        let (made, path) = (hidden.path().join("s"), folder.join(Embedded::SOCKET_NAME));
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, &path)?;
        Ok(Self { listener, path })
    }

    /// Gives each who connects a backup of the store, one after the other, until it is told to stop.
    pub async fn serve(self, store: SharedServer, stopping: CancellationToken) {
        let serving = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => give(stream, &store).await,
                    Err(error) => {
                        log::error!("{}: {error}", self.path.display());
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        };
        // who is cut off knows it by the end that is missing
        stopping.run_until_cancelled(serving).await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // what stays is in nobody's way
        let _ = fs::remove_file(&self.path);
    }
}

async fn give(stream: UnixStream, store: &SharedServer) {
    match lines::write(store.as_ref(), World::real().iso8601(), stream).await {
        Ok(summary) => log::info!("backup: {summary}"),
        Err(error) => log::error!("a backup was cut off: {error}"),
    }
}

/// Connects to the service that has a folder's store open; None if none does.
///
/// Errors: it may not be asked.
pub(super) async fn connect(folder: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(folder.join(Embedded::SOCKET_NAME)).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}
