//! Tells a collector of data-processing records (LDV) about every entry of the log, over OTLP/gRPC.
//!
//! Each entry at least once and none left out: how far the collector has acknowledged stands in a file, which is
//! written after the acknowledgement and read at the next start. Answers never wait for it; a collector that is away
//! is told everything when it is back, except what the log itself has erased meanwhile.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{LogReader, Processing, ReadError, StoredContent, StoredEntry};
use hitmachine_core::ldv::{Attributes, LdvResource};
use hitmachine_core::record::DecodedRecord;
use hitmachine_core::{LdvRecord, LdvSource, LdvStatus};
use hitmachine_service::client::{ConnectError, connect_lazy};
use hitmachine_service::tls::client_config;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use self::otlp::collector::trace::v1::ExportTraceServiceRequest;
use self::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use self::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use self::otlp::resource::v1::Resource;
use self::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind, status::StatusCode};
use crate::config::BrokerConfig;
use crate::start::StartError;

/// The messages of the OpenTelemetry protocol 1.10, generated from `proto/opentelemetry`.
#[allow(
    missing_docs,
    dead_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "generated; the server is for tests"
)]
mod otlp {
    // Generated code of one package finds that of another by these levels.
    pub mod collector {
        pub mod trace {
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
            }
        }
    }
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("opentelemetry.proto.common.v1");
        }
    }
    pub mod resource {
        pub mod v1 {
            tonic::include_proto!("opentelemetry.proto.resource.v1");
        }
    }
    pub mod trace {
        pub mod v1 {
            tonic::include_proto!("opentelemetry.proto.trace.v1");
        }
    }
}

/// Entries, and so spans, that are told at a time at most.
const BATCH: u64 = 256;
/// Name of the file that says how far the collector has acknowledged.
const CURSOR: &str = "ldv-cursor";
/// First word of that file: form and version.
const CURSOR_FORM: &str = "hitmachine-ldv-1";
/// Time for one call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The trace flag `sampled`: nothing is left out (W3C Trace Context §3.2.2.5.1).
const SAMPLED: u32 = 1;

/// How fast the exporter goes.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two looks at a log without anything new.
    idle: Duration,
    /// After the first failure; doubled after each further one.
    first: Duration,
    /// Longest pause after a failure.
    most: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        idle: Duration::from_secs(1),
        first: Duration::from_secs(1),
        most: Duration::from_mins(1),
    };
}

/// Why a batch was not told. It is tried again.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// An entry cannot be read.
    #[error("an entry of the log cannot be read")]
    Read(#[from] ReadError),
    /// The collector was not reached or refused. Its own words are not shown: they may repeat what it was sent.
    #[error("the collector did not take them ({0:?})")]
    Refused(tonic::Code),
    /// The collector did not take all of them.
    #[error("the collector rejected {0} records")]
    Rejected(i64),
    /// It took longer than a call may.
    #[error("the collector did not answer in time")]
    TimedOut,
    /// The channel cannot be made.
    #[error(transparent)]
    Channel(#[from] ConnectError),
    /// A part of this process was stopped meanwhile.
    #[error("this process is ending")]
    Ending,
}

impl ExportError {
    /// Stable name for machines.
    const fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Refused(_) => "ldv_refused",
            Self::Rejected(_) => "ldv_rejected",
            Self::TimedOut => "ldv_timeout",
            Self::Channel(_) => "ldv_channel",
            Self::Ending => "ending",
        }
    }
}

impl From<Status> for ExportError {
    fn from(status: Status) -> Self {
        Self::Refused(status.code())
    }
}

/// Where the collector is.
enum Destination {
    /// On this machine, without TLS.
    Here(Box<Endpoint>),
    /// Elsewhere, by TLS with our own certificate.
    Elsewhere {
        address: String,
        server_name: String,
        tls: Arc<rustls::ClientConfig>,
    },
}

/// Tells the collector.
pub(crate) struct Exporter {
    destination: Destination,
    service_name: String,
    review_activity: String,
    cursor: PathBuf,
    pace: Pace,
}

impl Exporter {
    /// What `[ldv]` says; `None` without that section. Nothing is connected yet.
    ///
    /// # Errors
    /// [`StartError::Setting`] if the address is not `http://<loopback address>:<port>` or `https://<name>:<port>`, if
    /// https has no authority or http has one, if the name is empty, or if the activity
    /// is no https URI; [`StartError::Tls`].
    pub(crate) fn read(config: &BrokerConfig) -> Result<Option<Self>, StartError> {
        let Some(section) = &config.ldv else {
            return Ok(None);
        };
        if section.resource_name.trim().is_empty() {
            return Err(StartError::Setting("ldv.resource_name"));
        }
        // As the covenant's own.
        let activity = &section.review_activity;
        if !activity.starts_with("https://") || activity.contains(char::is_whitespace) {
            return Err(StartError::Setting("ldv.review_activity"));
        }
        Ok(Some(Self {
            destination: destination(config, &section.endpoint, section.authority.as_deref())?,
            service_name: section.resource_name.clone(),
            review_activity: section.review_activity.clone(),
            cursor: config.data_dir.join(CURSOR),
            pace: Pace::USUAL,
        }))
    }

    /// Tells everything that the log has and gets, for ever.
    pub(crate) async fn follow(self, reader: LogReader) {
        let source = LdvSource::new(
            &self.service_name,
            env!("CARGO_PKG_VERSION"),
            reader.origin().as_str(),
            &self.review_activity,
        );
        let cursor = Cursor {
            path: self.cursor,
            reader: reader.clone(),
        };
        let source = Arc::new(source);
        let cursor = Arc::new(cursor);
        let reading = Arc::clone(&cursor);
        let Ok(mut next) = tokio::task::spawn_blocking(move || reading.read()).await else {
            return std::future::pending().await;
        };
        let mut pause = self.pace.first;
        let mut client = None;
        loop {
            let size = reader.head().size;
            if next >= size {
                tokio::time::sleep(self.pace.idle).await;
                continue;
            }
            let end = size.min(next.saturating_add(BATCH));
            match tell(&self.destination, &mut client, &reader, &source, next..end).await {
                Ok(told) => {
                    next = end;
                    pause = self.pace.first;
                    if told > 0 {
                        keep(&cursor, next).await;
                    }
                }
                Err(error) => {
                    let code = error.code();
                    let error = hitmachine_service::console::chain(&error);
                    tracing::error!(
                        code,
                        error,
                        from = next,
                        waiting = size - next,
                        "data-processing records could not be told; tried again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(self.pace.most);
                }
            }
        }
    }
}

fn destination(
    config: &BrokerConfig,
    endpoint: &str,
    authority: Option<&Path>,
) -> Result<Destination, StartError> {
    let wrong = || StartError::Setting("ldv.endpoint");
    let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
    let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
        return Err(wrong());
    };
    // Neither user nor path: OTLP/gRPC has its own.
    let bare = uri
        .authority()
        .is_some_and(|authority| authority.as_str() == format!("{host}:{port}"));
    if !bare || uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
        return Err(wrong());
    }
    let name = host.trim_start_matches('[').trim_end_matches(']');
    match (uri.scheme_str(), authority) {
        (Some("http"), None) => {
            // An address and not a name such as `localhost`: a name can lead elsewhere.
            let here = name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
            if !here {
                return Err(wrong());
            }
            let endpoint = Endpoint::from(uri.clone());
            Ok(Destination::Here(Box::new(endpoint.connect_timeout(TIMEOUT))))
        }
        (Some("https"), Some(authority)) => Ok(Destination::Elsewhere {
            address: format!("{host}:{port}"),
            server_name: name.to_owned(),
            tls: client_config(&config.tls.identity(), authority)?,
        }),
        (Some("http" | "https"), _) => Err(StartError::Setting("ldv.authority")),
        _ => Err(wrong()),
    }
}

impl Destination {
    fn channel(&self) -> Result<Channel, ConnectError> {
        match self {
            Self::Here(endpoint) => Ok(endpoint.connect_lazy()),
            Self::Elsewhere {
                address,
                server_name,
                tls,
            } => connect_lazy(address, server_name, Arc::clone(tls)),
        }
    }
}

/// Tells one batch and waits for the acknowledgement; how many records there were.
async fn tell(
    destination: &Destination,
    client: &mut Option<TraceServiceClient<Channel>>,
    reader: &LogReader,
    source: &Arc<LdvSource>,
    range: std::ops::Range<u64>,
) -> Result<usize, ExportError> {
    let (reading, mapping) = (reader.clone(), Arc::clone(source));
    let records = tokio::task::spawn_blocking(move || records(&reading, &mapping, range)).await;
    let records = records.map_err(|_| ExportError::Ending)??;
    if records.is_empty() {
        return Ok(0);
    }
    let client = match client {
        Some(client) => client,
        None => client.insert(TraceServiceClient::new(destination.channel()?)),
    };
    let request = request(source.resource(), &records);
    let answer = tokio::time::timeout(TIMEOUT, client.export(request)).await;
    let answer = answer.map_err(|_| ExportError::TimedOut)??.into_inner();
    match answer.partial_success {
        Some(partial) if partial.rejected_spans != 0 => Err(ExportError::Rejected(partial.rejected_spans)),
        // A warning, by the protocol; its words may repeat what was sent.
        Some(partial) if !partial.error_message.is_empty() => {
            tracing::warn!("the collector took all data-processing records, with a warning; see its own log");
            Ok(records.len())
        }
        _ => Ok(records.len()),
    }
}

/// The records of a part of the log; nothing of control entries and of what was erased.
fn records(
    reader: &LogReader,
    source: &LdvSource,
    range: std::ops::Range<u64>,
) -> Result<Vec<LdvRecord>, ReadError> {
    let mut records = Vec::new();
    for entry in reader.entries(range) {
        records.extend(record(source, &entry?));
    }
    Ok(records)
}

fn record(source: &LdvSource, entry: &StoredEntry) -> Option<LdvRecord> {
    let decoded = match &entry.content {
        // Group A only: what is not decoded cannot be told.
        StoredContent::Open(opening) => DecodedRecord::decode(Processing::of(opening)?.fields()),
        StoredContent::Processing(processing) => DecodedRecord::decode(processing.fields()),
        StoredContent::Control(_) | StoredContent::Erased => return None,
    };
    match decoded {
        Ok(decoded) => Some(source.record(&decoded, entry.time_ms)),
        Err(error) => {
            tracing::error!(index = entry.index, %error, "an entry is not one that this program writes; not told");
            None
        }
    }
}

/// One message with these records.
fn request(resource: &LdvResource, records: &[LdvRecord]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans {
        scope: Some(scope),
        spans: records.iter().map(span).collect(),
        schema_url: String::new(),
    };
    let resource = Resource {
        attributes: attributes(&resource.attributes),
        ..Resource::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![spans],
            schema_url: String::new(),
        }],
    }
}

fn span(record: &LdvRecord) -> Span {
    let code = match record.status {
        LdvStatus::Unset => StatusCode::Unset,
        LdvStatus::Ok => StatusCode::Ok,
        LdvStatus::Error => StatusCode::Error,
    };
    Span {
        trace_id: record.trace_id.to_vec(),
        span_id: record.span_id.to_vec(),
        parent_span_id: record.parent_span_id.map_or_else(Vec::new, Vec::from),
        flags: SAMPLED,
        name: record.name.to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanoseconds(record.start_time),
        end_time_unix_nano: nanoseconds(record.end_time),
        attributes: attributes(&record.attributes),
        status: Some(otlp::trace::v1::Status {
            message: String::new(),
            code: code.into(),
        }),
        ..Span::default()
    }
}

fn nanoseconds(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

fn attributes(of: &Attributes) -> Vec<KeyValue> {
    let pair = |(name, value): (&&str, &String)| KeyValue {
        key: (*name).to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.clone())),
        }),
        ..KeyValue::default()
    };
    of.iter().map(pair).collect()
}

/// How far the collector has acknowledged, on disk: `<form> <origin> <size> <root>` and a line feed. The root shows that
/// it is still the same log: after a backup was put back, the number alone would leave entries out.
struct Cursor {
    path: PathBuf,
    reader: LogReader,
}

impl Cursor {
    /// The first entry that the collector has not acknowledged; 0, that is all once more, if the file does not say.
    fn read(&self) -> u64 {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return 0,
            Err(error) => {
                tracing::warn!(%error, "the cursor of data-processing records cannot be read; all are told again");
                return 0;
            }
        };
        let next = text.split(' ').nth(2).and_then(|size| size.parse().ok());
        match next {
            Some(next) if self.line(next).is_some_and(|line| line == text) => next,
            _ => {
                tracing::warn!(
                    "the cursor of data-processing records is not of this log; all are told again"
                );
                0
            }
        }
    }

    fn line(&self, next: u64) -> Option<String> {
        let root = self.reader.root_at(next)?;
        Some(format!(
            "{CURSOR_FORM} {} {next} {root}\n",
            self.reader.origin().as_str()
        ))
    }

    fn write(&self, next: u64) -> io::Result<()> {
        let line = self.line(next).ok_or(io::ErrorKind::InvalidInput)?;
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Writes the cursor. If that fails the exporter goes on: the next start tells some records twice, none is left out.
async fn keep(cursor: &Arc<Cursor>, next: u64) {
    let writing = Arc::clone(cursor);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || writing.write(next)).await {
        tracing::error!(%error, "the cursor of data-processing records cannot be written");
    }
}

#[cfg(test)]
#[path = "ldv_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "ldv_export_tests.rs"]
mod export_tests;
