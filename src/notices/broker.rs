//! An AMQP broker (RabbitMQ), and a connection to it over which notices can be published.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::tcp::{AMQPUriTcpExt, RustlsConnector};
use lapin::types::FieldTable;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{
    AsyncTcpStream, BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind, PublisherConfirm,
};
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use crate::kazoo::notice::{CONTENT_TYPE, EXCHANGE, Notice};
use crate::tls::Authorities;

/// How long the broker may take to accept a connection, and from then on to be ready for notices.
const TIME_OUT: Duration = Duration::from_secs(5);

/// After how many seconds of silence a connection is taken for dead, unless the URL says otherwise.
const HEARTBEAT_S: u16 = 10;

/// How the connection is called in the broker's lists.
const CONNECTION_NAME: &str = "crossbar-groups";

/// A broker, by its URL: `amqp://user:password@host:port/vhost`, or `amqps://`. Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    uri: AMQPUri,
    trusted: Authorities,
}

/// The text is no URL of a broker. It may hold a password, so it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give amqp://user:password@host:port/vhost, or amqps://…")]
pub struct NotABroker;

impl FromStr for Broker {
    type Err = NotABroker;

    fn from_str(text: &str) -> Result<Self, NotABroker> {
        let mut uri: AMQPUri = text.parse().map_err(|_| NotABroker)?;
        // lapin takes an IPv6 address for no host at all
        if let Ok(Some(Host::Ipv6(address))) = Url::parse(text).as_ref().map(Url::host) {
            uri.authority.host = address.to_string();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Self { uri, trusted: Authorities::default() })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri, .. } = self;
        write!(f, "{}://{}:{} (vhost {})", uri.scheme, uri.authority.host, uri.authority.port, uri.vhost)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({self})")
    }
}

/// Why notices can't be published.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// lapin's and the broker's reasons.
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    /// Nobody is believed.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The broker is there, but silent.
    #[error("it does not answer")]
    TimedOut,
    /// It would not take a notice.
    #[error("the broker could not take a notice")]
    NotTaken,
}

impl Broker {
    /// The same, believed by these authorities in addition to the machine's if it is asked over TLS.
    pub fn trusting(self, trusted: Authorities) -> Self {
        Self { trusted, ..self }
    }

    /// Connects, and sees that the exchange is there.
    pub(super) async fn connect(&self) -> Result<Line, Error> {
        let socket = Socket::default();
        let opened = Arc::clone(&socket.0);
        let runtime = lapin::runtime::default_runtime()?;
        let reactor = runtime.clone();
        let tls = match self.uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(RustlsConnector::from(self.trusted.client()?)),
        };
        let connect = async move |uri: AMQPUri, _| {
            let host = uri.authority.host.clone();
            let connected = async {
                let stream = AMQPUri { scheme: AMQPScheme::AMQP, ..uri }.connect_async(&reactor).await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    let own = stream.get_ref().as_fd().try_clone_to_owned()?;
                    opened.get_or_init(|| own.into());
                }
                match &tls {
                    Some(tls) => stream.into_rustls(tls, &host).await,
                    None => Ok(stream),
                }
            };
            Ok(timeout(TIME_OUT, connected).await.map_err(io::Error::from)??)
        };
        let options = ConnectionProperties::default().with_connection_name(CONNECTION_NAME.into());
        let ready = async move {
            let connection = Connection::connector(self.uri.clone(), runtime, connect, options).await?;
            let channel = channel_to_exchange(&connection).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Line { since: Instant::now(), connection, channel, _socket: socket })
        };
        timeout(TIME_OUT * 2, ready).await.unwrap_or(Err(Error::TimedOut))
    }
}

/// A channel of a broker that has the exchange. One that is there is taken as it is, whatever its options; a missing
/// one is declared with the options that Kazoo's nodes declare it with: neither durable nor deleted by itself.
async fn channel_to_exchange(connection: &Connection) -> Result<Channel, Error> {
    let declare = async |channel: Channel, passive| {
        let options = ExchangeDeclareOptions { passive, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default()).await?;
        Ok(channel)
    };
    match declare(connection.create_channel().await?, true).await {
        // the broker's no ends the channel
        Err(Error::Amqp(error)) if error.is_amqp_soft_error() => {
            declare(connection.create_channel().await?, false).await
        }
        declared => declared,
    }
}

/// A connection that is ready for notices. It is hung up when it is dropped.
pub(super) struct Line {
    /// When it was ready.
    pub(super) since: Instant,
    connection: Connection,
    channel: Channel,
    _socket: Socket,
}

impl Line {
    /// Sends a notice. Gives what the broker will say of it.
    pub(super) async fn publish(&self, notice: &Notice) -> Result<PublisherConfirm, Error> {
        let properties = BasicProperties::default().with_content_type(CONTENT_TYPE.into());
        let key = notice.routing_key.as_str().into();
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(EXCHANGE.into(), key, options, notice.body.as_bytes(), properties);
        Ok(sent.await?)
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        // whoever does not answer is hung up on
        let _ = timeout(TIME_OUT, self.connection.close(200, "OK".into())).await;
    }
}

/// The socket below a connection. lapin's thread would wait for ever on a broker that accepts it and then is silent;
/// it ends when the socket is shut down.
#[derive(Default)]
struct Socket(Arc<OnceLock<TcpStream>>);

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(stream) = self.0.get() {
            // it may be closed already
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_user_and_password() {
        let broker: Broker = "amqp://kazoo:s3cret@broker.example.com:5673/%2Fkazoo".parse().unwrap();
        for shown in [broker.to_string(), format!("{broker:?}")] {
            assert!(shown.contains("amqp://broker.example.com:5673 (vhost /kazoo)"), "{shown}");
            assert!(!shown.contains("s3cret") && !shown.contains("kazoo:"), "{shown}");
        }
        for text in ["", "s3cret", "amqp:s3cret", "http://u:s3cret@h", "amqps:u:s3cret", "amqp://u:s3cret@h:port"] {
            let error = text.parse::<Broker>().unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn over_tls_a_broker_has_its_own_port() {
        let broker: Broker = "amqps://broker.example.com".parse().unwrap();
        assert_eq!(broker.to_string(), "amqps://broker.example.com:5671 (vhost /)");
    }

    #[test]
    fn an_ipv6_address_is_a_host() {
        let broker: Broker = "amqp://[2001:db8::5]:5673".parse().unwrap();
        assert_eq!(broker.uri.authority.host, "2001:db8::5");
        assert_eq!("amqp://10.0.0.1".parse::<Broker>().unwrap().uri.authority.host, "10.0.0.1");
    }
}
