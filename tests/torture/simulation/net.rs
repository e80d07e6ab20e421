//! The simulation's network and clock, as the programs take them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hitmachine_core::Clock;
use hitmachine_service::network::{Bind, Dial, Dialling, Listen, Stream};
use jiff::{SignedDuration, Timestamp};
use turmoil::net::{TcpListener, TcpStream};

/// The network of the simulation that runs on this thread.
#[derive(Clone, Copy)]
pub(super) struct SimNet;

impl Dial for SimNet {
    fn dial<'a>(&'a self, address: &'a str) -> Dialling<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

impl Bind for SimNet {
    type Listener = Listening;

    async fn bind(&self, address: SocketAddr) -> io::Result<Listening> {
        TcpListener::bind(address).await.map(Listening)
    }
}

/// A port in the simulation.
pub(super) struct Listening(TcpListener);

impl Listen for Listening {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The time in a simulation. It begins at the real one, which is what certificates are valid at.
#[derive(Clone)]
pub(super) struct SimClock {
    begun: Timestamp,
    passed_ms: Arc<AtomicU64>,
    skew: SignedDuration,
}

impl Default for SimClock {
    fn default() -> Self {
        Self {
            begun: Timestamp::now(),
            passed_ms: Arc::default(),
            skew: SignedDuration::ZERO,
        }
    }
}

impl SimClock {
    /// So much has passed.
    pub(super) fn set(&self, passed: Duration) {
        self.passed_ms
            .store(u64::try_from(passed.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The same clock on a host whose clock is off.
    pub(super) fn skewed(&self, skew: SignedDuration) -> Arc<dyn Clock> {
        Arc::new(Self { skew, ..self.clone() })
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let passed = Duration::from_millis(self.passed_ms.load(Ordering::SeqCst));
        self.begun + passed + self.skew
    }
}
