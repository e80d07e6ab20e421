//! A TCP proxy on loopback between real processes, whose faults can be switched while it runs.
//!
//! What it does to bytes is what a network does to them: it holds them, slows them, loses connections. TCP hides loss
//! and reordering of packets, and so does this; for those use a simulated link of the operating system.

mod carry;
mod fault;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use self::fault::{Accepting, Direction, Faults, Line, Mischief};
use crate::process::free_address;
use crate::rng::Rng;

/// How often it is tried to take an address back that others may still be leaving.
const RETRY: Duration = Duration::from_millis(5);

/// What the tasks of a proxy share.
struct Shared {
    to: SocketAddr,
    faults: watch::Sender<Faults>,
    /// Connections with a smaller number are ended, and how.
    ended: watch::Sender<(u64, Mischief)>,
    numbers: AtomicU64,
    open: AtomicUsize,
    passed: [AtomicU64; 2],
    planned: [Mutex<Vec<(u64, Mischief)>>; 2],
    happened: AtomicU64,
    random: Mutex<Rng>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A proxy; its port closes and its connections end when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `to`. `seed` decides about delays and damaged bytes.
    ///
    /// # Errors
    /// When there is no port, or no thread.
    pub fn start(to: SocketAddr, seed: u64) -> io::Result<Self> {
        let address = free_address()?;
        let shared = Arc::new(Shared {
            to,
            faults: watch::channel(Faults::default()).0,
            ended: watch::channel((0, Mischief::Close)).0,
            numbers: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            planned: [Mutex::default(), Mutex::default()],
            happened: AtomicU64::new(0),
            random: Mutex::new(Rng::stream(seed, "proxy")),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        runtime.spawn(accept(Arc::clone(&shared), listener, address));
        Ok(Self {
            address,
            shared,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to bytes and connections from now on.
    pub fn set(&self, faults: Faults) {
        self.shared.faults.send_replace(faults);
    }

    /// No faults any more. What was held goes on, as TCP does after a break; connections that are gone stay gone.
    pub fn heal(&self) {
        self.set(Faults::default());
    }

    /// Once, after so many further bytes in a direction, over all connections together.
    pub fn plan(&self, direction: Direction, after: u64, mischief: Mischief) {
        lock(&self.shared.planned[direction.place()]).push((after, mischief));
    }

    /// Takes back what was planned and has not happened.
    pub fn plan_nothing(&self) {
        self.shared
            .planned
            .iter()
            .for_each(|planned| lock(planned).clear());
    }

    /// Does this to every connection there is; those that come later are as new.
    pub fn end_all(&self, how: Mischief) {
        let next = self.shared.numbers.load(Ordering::SeqCst);
        self.shared.ended.send_replace((next, how));
    }

    /// How much of what was planned has happened.
    pub fn happened(&self) -> u64 {
        self.shared.happened.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Connections that were made so far.
    pub fn made(&self) -> u64 {
        self.shared.numbers.load(Ordering::SeqCst)
    }

    /// Bytes passed on so far.
    pub fn passed(&self, direction: Direction) -> u64 {
        self.shared.passed[direction.place()].load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: a test may drop it where blocking is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// Takes connections as the faults say.
async fn accept(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut faults = shared.faults.subscribe();
    let mut listener = Some(listener);
    loop {
        let accepting = faults.borrow_and_update().accepting;
        if accepting == Accepting::Refuse {
            // Nobody listens: the operating system refuses.
            listener = None;
            if faults.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(listening) = &listener else {
            match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
            continue;
        };
        tokio::select! {
            accepted = listening.accept() => {
                let Ok((client, _)) = accepted else {
                    tokio::time::sleep(RETRY).await;
                    continue;
                };
                tokio::spawn(carry::carry(Arc::clone(&shared), client));
            }
            changed = faults.changed() => if changed.is_err() { return },
        }
    }
}
