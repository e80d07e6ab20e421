//! Real programs as child processes: started, waited for, killed.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::deployment::Deployment;

/// How long a program may take to be ready, on a busy machine.
const READY: Duration = Duration::from_mins(1);

/// The built program `name`, beside the test that runs.
///
/// # Errors
/// When it is not there: build the workspace first.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // A test lies in target/<profile>/deps, a program in target/<profile>.
    let found = test
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let text = format!("{name} is not built; run `cargo build --workspace` first (tests/run does)");
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// A free port on loopback, below those that the system gives to outgoing connections: a broker that starts again finds
/// it free still. Another process could take it; tests then fail loudly.
///
/// # Errors
/// When there is none.
pub fn free_address() -> io::Result<SocketAddr> {
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Programs and threads that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    for _ in PORTS {
        let place =
            begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(place).unwrap_or_default();
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return listener.local_addr(),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A broker as its own process. It is killed when dropped.
pub struct BrokerProcess {
    child: Child,
    address: SocketAddr,
    metrics: SocketAddr,
    log: PathBuf,
}

impl BrokerProcess {
    /// Starts the deployment's broker on `address` and waits until it listens. What it prints goes to
    /// `broker/broker.log`, each start after the last.
    ///
    /// # Errors
    /// When it ends before it listens, with what it printed.
    pub fn start(deployment: &Deployment, address: SocketAddr) -> io::Result<Self> {
        Self::start_with(Command::new(program("hitmachine-broker")?), deployment, address)
    }

    /// As [`BrokerProcess::start`], with a command before the program's own, such as `strace … --`, or further
    /// environment.
    ///
    /// # Errors
    /// As [`BrokerProcess::start`].
    pub fn start_with(
        mut command: Command,
        deployment: &Deployment,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let metrics = free_address()?;
        let log = deployment.dir().join("broker").join("broker.log");
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        command
            .args([
                OsStr::new("serve"),
                OsStr::new("--config"),
                deployment.broker_config().as_os_str(),
            ])
            .env("HITMACHINE_BROKER_LISTEN", address.to_string())
            .env("HITMACHINE_BROKER_METRICS__LISTEN", metrics.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut broker = Self {
            child: command.spawn()?,
            address,
            metrics,
            log,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = broker.child.try_wait()? {
                let printed = std::fs::read_to_string(&broker.log).unwrap_or_default();
                return Err(io::Error::other(format!(
                    "the broker ended ({status}):\n{printed}"
                )));
            }
            if begun.elapsed() > READY {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the broker does not listen",
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(broker)
    }

    /// Where nodes reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed in all its starts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(&self.log)
    }

    /// Its metrics page.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> io::Result<String> {
        use io::Write;
        let mut stream = TcpStream::connect(self.metrics)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// Kills it with SIGKILL and waits.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop with SIGTERM and waits; the exit code.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn stop(mut self) -> io::Result<Option<i32>> {
        terminate(self.child.id())?;
        Ok(self.child.wait()?.code())
    }

    /// Waits until it ends by itself; the exit code, or `None` if it was killed or does not end in time.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(&mut self, most: Duration) -> io::Result<Option<i32>> {
        let begun = Instant::now();
        while begun.elapsed() < most {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A partner's node that serves, as its own process. It is killed when dropped.
pub struct NodeProcess {
    child: Child,
    log: PathBuf,
}

impl NodeProcess {
    /// Has the node of `partner` serve, towards a broker at `address`, and waits until it answers commands. What it
    /// prints goes to `serve.log` beside its configuration, each start after the last.
    ///
    /// # Errors
    /// When it ends before that, with what it printed.
    pub fn start(deployment: &Deployment, partner: &str, address: SocketAddr) -> io::Result<Self> {
        let dir = deployment.dir().join("nodes").join(partner);
        let (log, socket) = (dir.join("serve.log"), dir.join("state").join("node.sock"));
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = node_command(deployment, partner, address)?;
        command.arg("serve").stdout(output.try_clone()?).stderr(output);
        let child = command.spawn()?;
        let mut node = Self { child, log };
        let begun = Instant::now();
        // A node that was killed has left its socket behind, with nobody at it.
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = node.child.try_wait()? {
                let printed = node.log().unwrap_or_default();
                return Err(io::Error::other(format!(
                    "the node of {partner} ended ({status}):\n{printed}"
                )));
            }
            if begun.elapsed() > READY {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the node does not serve"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(node)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed in all its starts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(&self.log)
    }

    /// Kills it with SIGKILL and waits.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM to a process this program started.
///
/// # Errors
/// When the program `kill` cannot be run.
pub fn terminate(id: u32) -> io::Result<()> {
    Command::new("kill")
        .args(["-TERM", &id.to_string()])
        .status()
        .map(|_| ())
}

/// A command of a partner's node, towards a broker at `address`.
///
/// # Errors
/// When the program is not built.
pub fn node_command(deployment: &Deployment, partner: &str, address: SocketAddr) -> io::Result<Command> {
    node_command_with(&deployment.node_config(partner), address)
}

/// As [`node_command`], with a configuration of one's own.
///
/// # Errors
/// When the program is not built.
pub fn node_command_with(config: &Path, address: SocketAddr) -> io::Result<Command> {
    let mut command = Command::new(program("hitmachine-node")?);
    command
        .arg("--config")
        .arg(config)
        .args(["--lang", "en"])
        .env("HITMACHINE_NODE_BROKER__ADDRESS", address.to_string())
        .env_remove("HITMACHINE_ROLE")
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs a command with `input` on its standard input.
///
/// # Errors
/// When it cannot be run.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    use io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading closes the pipe.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}
