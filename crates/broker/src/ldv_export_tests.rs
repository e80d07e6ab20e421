//! A collector that listens, refuses and goes away, and a real log.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use hitmachine_audit::{Draft, Log, LogConfig, LogSigner, Origin, RealDisk, RetentionClass, WrappingKey};
use hitmachine_core::ldv::REVIEW_ACTIVITY;
use hitmachine_core::record::Kind;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};

use super::otlp::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use super::otlp::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use super::tests::{Entry, ORIGIN};
use super::*;

/// What the collector does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reply {
    Take,
    TakeWithWarning,
    Fail,
    /// Of the spans, one is rejected.
    Reject,
}

/// One call that came.
struct Call {
    spans: Vec<Span>,
    reply: Reply,
    /// What the cursor file said when the call came, before it was answered.
    cursor: Option<u64>,
    at: Instant,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    /// When there are no replies left: fail. Otherwise take.
    closed: bool,
    calls: Vec<Call>,
}

#[derive(Clone)]
struct Collector {
    state: Arc<Mutex<State>>,
    cursor: PathBuf,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans: Vec<Span> = request
            .into_inner()
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect();
        let mut state = self.state();
        let last = if state.closed { Reply::Fail } else { Reply::Take };
        let reply = state.replies.pop_front().unwrap_or(last);
        let total = i64::try_from(spans.len()).unwrap();
        state.calls.push(Call {
            spans,
            reply,
            cursor: cursor_at(&self.cursor),
            at: Instant::now(),
        });
        let partial = |rejected_spans| {
            let partial_success = Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: "words".into(),
            });
            Ok(Response::new(ExportTraceServiceResponse { partial_success }))
        };
        match reply {
            Reply::Take => Ok(Response::new(ExportTraceServiceResponse::default())),
            Reply::TakeWithWarning => partial(0),
            Reply::Fail => Err(Status::unavailable("away")),
            Reply::Reject => partial(total.min(1)),
        }
    }
}

fn cursor_at(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.split(' ').nth(2)?.parse().ok()
}

impl Collector {
    fn new(dir: &Path, replies: &[Reply]) -> Self {
        let state = State {
            replies: replies.iter().copied().collect(),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            cursor: dir.join(CURSOR),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn listen(&self) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (address, self.serve(listener))
    }

    fn serve(&self, listener: TcpListener) -> JoinHandle<()> {
        let service = TraceServiceServer::new(self.clone());
        tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        })
    }

    /// Trace ids of the spans that were acknowledged, in the order in which they came.
    fn taken(&self) -> Vec<u64> {
        let state = self.state();
        let calls = state.calls.iter();
        let taken = calls.filter(|call| matches!(call.reply, Reply::Take | Reply::TakeWithWarning));
        taken.flat_map(|call| call.spans.iter()).map(number).collect()
    }

    async fn until(&self, what: &str, done: impl Fn(&State) -> bool) {
        for _ in 0..2_000 {
            if done(&self.state()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}");
    }

    async fn until_taken(&self, count: usize) {
        for _ in 0..2_000 {
            if self.taken().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} of {count} taken", self.taken().len());
    }

    async fn until_cursor(&self, wanted: u64) {
        for _ in 0..2_000 {
            if cursor_at(&self.cursor) == Some(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("cursor {:?}, not {wanted}", cursor_at(&self.cursor));
    }
}

/// The number of the entry, from its trace id.
fn number(span: &Span) -> u64 {
    u64::from_be_bytes(span.trace_id[8..].try_into().unwrap())
}

fn log(dir: &Path, origin: &str) -> Log {
    let mut config = LogConfig::new(
        dir.join("audit"),
        dir.join("keys"),
        LogSigner::new(Origin::new(origin).unwrap(), &[3; 32]),
        WrappingKey::from_bytes([4; 32]),
    );
    config.segment_size = 2 << 20;
    Log::open(config, Arc::new(RealDisk)).unwrap().0
}

/// Logs entries with these numbers, of all kinds in turn, and a control entry before each tenth.
fn write(log: &mut Log, numbers: Range<u64>) {
    let mut drafts = Vec::new();
    for number in numbers {
        if number % 10 == 0 {
            drafts.push(Draft::control(&json!({"type": "alarm", "code": "x"})).unwrap());
        }
        let kinds = [Kind::Lookup, Kind::Denied, Kind::OfficerSearch, Kind::Export];
        let kind = kinds[usize::try_from(number % 4).unwrap()];
        drafts.push(Draft::payload(
            Entry::new(kind, number).fields(),
            RetentionClass(12),
        ));
        if drafts.len() > 50 {
            log.commit(std::mem::take(&mut drafts)).unwrap();
        }
    }
    log.commit(drafts).unwrap();
}

fn exporter(dir: &Path, address: SocketAddr) -> Exporter {
    let uri: Uri = format!("http://{address}").parse().unwrap();
    Exporter {
        destination: Destination::Here(Box::new(Endpoint::from(uri))),
        service_name: "hub".into(),
        review_activity: REVIEW_ACTIVITY.into(),
        cursor: dir.join(CURSOR),
        pace: Pace {
            idle: Duration::from_millis(5),
            first: Duration::from_millis(5),
            most: Duration::from_millis(20),
        },
    }
}

#[tokio::test]
async fn every_entry_is_told_exactly_as_logged() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), ORIGIN);
    write(&mut log, 0..600);
    let collector = Collector::new(dir.path(), &[Reply::TakeWithWarning]);
    let (address, _serving) = collector.listen().await;
    let task = tokio::spawn(exporter(dir.path(), address).follow(log.reader()));
    collector.until_taken(600).await;
    // What is logged later is told too.
    write(&mut log, 600..650);
    collector.until_taken(650).await;
    collector.until_cursor(log.reader().head().size).await;
    task.abort();
    assert_eq!(
        collector.taken(),
        (0..650).collect::<Vec<_>>(),
        "once each, in order"
    );

    let source = LdvSource::new("hub", env!("CARGO_PKG_VERSION"), ORIGIN, REVIEW_ACTIVITY);
    let logged = records(&log.reader(), &source, 0..log.reader().head().size).unwrap();
    let state = collector.state();
    let told: Vec<&Span> = state.calls.iter().flat_map(|call| &call.spans).collect();
    assert_eq!(
        told,
        logged
            .iter()
            .map(span)
            .collect::<Vec<_>>()
            .iter()
            .collect::<Vec<_>>()
    );
    assert!(state.calls.len() > 3 && state.calls.iter().all(|call| call.spans.len() <= 256));
}

#[tokio::test]
async fn what_is_refused_or_rejected_is_told_again_until_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), ORIGIN);
    write(&mut log, 1..6);
    let collector = Collector::new(
        dir.path(),
        &[Reply::Fail, Reply::Reject, Reply::Fail, Reply::Reject],
    );
    let (address, _serving) = collector.listen().await;
    let mut exporter = exporter(dir.path(), address);
    exporter.pace.first = Duration::from_millis(40);
    exporter.pace.most = Duration::from_millis(100);
    let task = tokio::spawn(exporter.follow(log.reader()));
    collector.until_taken(5).await;
    collector.until_cursor(log.reader().head().size).await;
    task.abort();
    let state = collector.state();
    assert_eq!(state.calls.len(), 5);
    for call in &state.calls {
        assert_eq!(call.spans.iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(call.cursor, None, "not written before the acknowledgement");
    }
    let pauses = state.calls.windows(2).map(|pair| pair[1].at - pair[0].at);
    for (pause, least) in pauses.zip([40, 80, 100, 100]) {
        assert!(
            pause >= Duration::from_millis(least),
            "{pause:?} after {least} ms"
        );
    }
}

#[tokio::test]
async fn a_restart_goes_on_where_the_collector_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), ORIGIN);
    write(&mut log, 1..601);
    // One batch is taken, then the collector fails.
    let collector = Collector::new(dir.path(), &[Reply::Take]);
    collector.state().closed = true;
    let (address, _serving) = collector.listen().await;
    let task = tokio::spawn(exporter(dir.path(), address).follow(log.reader()));
    collector
        .until("a call that fails", |state| state.calls.len() >= 3)
        .await;
    task.abort();
    let _ = task.await;
    assert_eq!(cursor_at(&collector.cursor), Some(BATCH));
    let before = collector.taken();

    let again = Collector::new(dir.path(), &[]);
    let (address, _serving) = again.listen().await;
    let task = tokio::spawn(exporter(dir.path(), address).follow(log.reader()));
    again.until_taken(600 - before.len()).await;
    again.until_cursor(log.reader().head().size).await;
    task.abort();
    let all: Vec<u64> = before.into_iter().chain(again.taken()).collect();
    assert_eq!(all, (1..601).collect::<Vec<_>>(), "no gap, and none twice here");
    for (place, call) in again.state().calls.iter().enumerate() {
        assert_eq!(call.cursor, Some(BATCH * (u64::try_from(place).unwrap() + 1)));
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_when_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), ORIGIN);
    write(&mut log, 1..4);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let task = tokio::spawn(exporter(dir.path(), address).follow(log.reader()));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(cursor_at(&dir.path().join(CURSOR)), None);
    let collector = Collector::new(dir.path(), &[]);
    let _serving = collector.serve(TcpListener::bind(address).await.unwrap());
    collector.until_taken(3).await;
    task.abort();
    assert_eq!(collector.taken(), [1, 2, 3]);
}

#[test]
fn a_cursor_counts_only_for_the_log_it_was_written_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), ORIGIN);
    write(&mut log, 1..6);
    let cursor = Cursor {
        path: dir.path().join(CURSOR),
        reader: log.reader(),
    };
    assert_eq!(cursor.read(), 0, "no file");
    cursor.write(3).unwrap();
    assert_eq!(cursor.read(), 3);
    // The root of that size, not of the present one.
    write(&mut log, 6..9);
    assert_eq!(cursor.read(), 3);
    let good = fs::read_to_string(&cursor.path).unwrap();
    let root = log.reader().root_at(3).unwrap();
    assert_eq!(good, format!("hitmachine-ldv-1 {ORIGIN} 3 {root}\n"));
    assert!(!cursor.path.with_extension("new").exists());
    for bad in [
        String::new(),
        good.trim_end().to_owned(),
        good.replace(" 3 ", " 4 "),
        good.replace(" 3 ", " +3 "),
        good.replace(" 3 ", " 999 "),
        good.replace(ORIGIN, "test.example/hub/audit/2"),
        good.replace("-1 ", "-2 "),
        format!("{good}x"),
    ] {
        fs::write(&cursor.path, &bad).unwrap();
        assert_eq!(cursor.read(), 0, "{bad:?}");
    }
    fs::write(&cursor.path, [0xff, 0xfe]).unwrap();
    assert_eq!(cursor.read(), 0, "not a text");
    assert!(cursor.write(999).is_err(), "beyond the log");
}
