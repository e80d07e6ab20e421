//! What nothing can be faster than: an echo over the same TLS whose handler waits until 330 bytes are on the disk.
//!
//! The server is a process of its own, of this same program. It has the server's own TLS, listener and settings
//! (`hitmachine_service::server`), and a thread that commits in groups as the audit log's does: what came in during the
//! last `fdatasync` is in the next. It parses, looks up, signs and proves nothing; its messages are single strings of
//! bytes as large as a real question and a real answer.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};

use hitmachine_service::client::connect;
use hitmachine_service::server::{ServerLimits, ServerMetrics, serve};
use hitmachine_service::tls::{TlsIdentity, client_config, install_provider, server_config};
use hitmachine_testkit::deployment::{BROKER_NAME, Deployment};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::drive::Asking;

/// Bytes that the audit log writes for an entry.
const RECORD: usize = 330;
/// Bytes of the file, filled with zeros before; then from the beginning again.
const FILE: u64 = 16 << 20;
const PATH: &str = "/hitmachine.bench.Echo/Ask";

/// A question or an answer.
#[derive(Clone, PartialEq, prost::Message)]
struct Blob {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

/// `cargo xtask echo`: serves until it is killed. For `bench` alone.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder of a deployment, whose broker's certificate is shown.
    deployment: PathBuf,
    /// Folder for the file.
    dir: PathBuf,
    /// Bytes of an answer.
    answer: usize,
}

/// The server.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        install_provider();
        let broker = arguments.deployment.join("broker");
        let identity = TlsIdentity {
            certificate: broker.join("broker.pem"),
            key: broker.join("broker.key"),
        };
        let authority = arguments.deployment.join("authority").join("ca.pem");
        let tls = server_config(&identity, &authority).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr().unwrap()).unwrap();
        let service = EchoServer(Echo {
            disk: Committer::spawn(&arguments.dir),
            answer: vec![0x5a; arguments.answer],
        });
        let (limits, metrics) = (ServerLimits::default(), ServerMetrics::default());
        let routes = Routes::new(service);
        serve(listener, tls, routes, &limits, &metrics, std::future::pending())
            .await
            .unwrap();
    });
    ExitCode::SUCCESS
}

/// Commits in groups.
#[derive(Clone)]
struct Committer(Arc<(Mutex<Vec<oneshot::Sender<()>>>, Condvar)>);

impl Committer {
    fn spawn(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let path = dir.join("echo");
        fs::write(&path, vec![0; usize::try_from(FILE).unwrap()]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        file.sync_all().unwrap();
        let own = Self(Arc::default());
        let queue = own.clone();
        std::thread::spawn(move || queue.commit(&file));
        own
    }

    fn commit(&self, file: &File) {
        let (queue, wake) = &*self.0;
        let mut at = 0;
        loop {
            let mut waiting = queue.lock().unwrap();
            while waiting.is_empty() {
                waiting = wake.wait(waiting).unwrap();
            }
            let batch = std::mem::take(&mut *waiting);
            drop(waiting);
            let bytes = vec![0x5a; RECORD * batch.len()];
            let length = bytes.len() as u64;
            at = if at + length > FILE { 0 } else { at };
            file.write_all_at(&bytes, at).unwrap();
            file.sync_data().unwrap();
            at += length;
            for done in batch {
                // Who asked may be gone.
                let _ = done.send(());
            }
        }
    }

    async fn durable(&self) {
        let (done, waiting) = oneshot::channel();
        let (queue, wake) = &*self.0;
        queue.lock().unwrap().push(done);
        wake.notify_one();
        waiting.await.unwrap();
    }
}

#[derive(Clone)]
struct Echo {
    disk: Committer,
    answer: Vec<u8>,
}

impl UnaryService<Blob> for Echo {
    type Response = Blob;
    type Future = BoxFuture<Response<Blob>, Status>;

    fn call(&mut self, _: Request<Blob>) -> Self::Future {
        let Self { disk, answer } = self.clone();
        Box::pin(async move {
            disk.durable().await;
            Ok(Response::new(Blob { bytes: answer }))
        })
    }
}

/// What `tonic-build` would generate.
#[derive(Clone)]
struct EchoServer(Echo);

impl NamedService for EchoServer {
    const NAME: &'static str = "hitmachine.bench.Echo";
}

impl Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.0.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Blob, Blob>::default());
            Ok(grpc.unary(echo, request).await)
        })
    }
}

/// The server's process, and a client of it.
pub(crate) struct Ceiling {
    child: Child,
    channel: Channel,
    question: Arc<Vec<u8>>,
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ceiling {
    /// Starts it with the certificates of a deployment; messages of these lengths.
    pub(crate) async fn start(deployment: &Deployment, dir: &Path, question: usize, answer: usize) -> Self {
        let mut child = Command::new("/proc/self/exe")
            .arg("echo")
            .arg(deployment.dir())
            .arg(dir)
            .arg(answer.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut address).unwrap();
        let node = deployment.dir().join("nodes").join("veiligheidshuis");
        let identity = TlsIdentity {
            certificate: node.join("node.pem"),
            key: node.join("node.key"),
        };
        let tls = client_config(&identity, &deployment.dir().join("authority").join("ca.pem")).unwrap();
        let channel = connect(address.trim(), BROKER_NAME, tls).await.unwrap();
        Self {
            child,
            channel,
            question: Arc::new(vec![0xa5; question]),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks once.
    pub(crate) fn asker(&self) -> impl Fn(usize) -> Asking + Clone + Send + 'static {
        let (channel, question) = (self.channel.clone(), Arc::clone(&self.question));
        move |_| {
            let (channel, question) = (channel.clone(), Arc::clone(&question));
            Box::pin(async move {
                let mut client = tonic::client::Grpc::new(channel);
                client.ready().await.unwrap();
                let asked = Request::new(Blob {
                    bytes: question.to_vec(),
                });
                let codec = ProstCodec::<Blob, Blob>::default();
                let answered = client.unary(asked, PathAndQuery::from_static(PATH), codec).await;
                assert!(!answered.unwrap().into_inner().bytes.is_empty());
            })
        }
    }
}
