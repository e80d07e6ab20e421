//! This node as a witness of the hub's log (C2SP tlog-witness), over a stream that it opens itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{LogVerifier, Origin, Refusal, Witness, WitnessSigner, WitnessStore};
use hitmachine_core::Clock;
use hitmachine_proto::v1;
use hitmachine_proto::v1::hub_message::Message as FromHub;
use hitmachine_proto::v1::witness_message::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::alarm::Alarms;
use crate::heads::Heads;
use crate::link::{Link, LinkError};
use crate::state::State;

/// First and longest pause before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keeps what the witness cosigned in the node's state.
pub(crate) struct Remembered(pub(crate) Arc<State>);

impl Remembered {
    fn name(origin: &Origin) -> String {
        format!("witness/{origin}")
    }
}

impl WitnessStore for Remembered {
    fn load(&self, origin: &Origin) -> io::Result<Option<Vec<u8>>> {
        self.0.value(&Self::name(origin)).map_err(io::Error::other)
    }

    fn save(&self, origin: &Origin, bytes: &[u8]) -> io::Result<()> {
        let values = [(Self::name(origin), bytes.to_vec())];
        self.0.set_values(&values).map_err(io::Error::other)
    }
}

/// What witnessing works with.
pub(crate) struct Witnessing {
    pub(crate) witness: Arc<Witness<Remembered>>,
    pub(crate) verifier: LogVerifier,
    pub(crate) heads: Arc<Heads>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) state: Arc<State>,
    pub(crate) link: Arc<Link>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Witnessing {
    pub(crate) fn new(
        signer: WitnessSigner,
        verifier: LogVerifier,
        heads: Arc<Heads>,
        alarms: Arc<Alarms>,
        (state, link, clock): (Arc<State>, Arc<Link>, Arc<dyn Clock>),
    ) -> Self {
        let store = Remembered(Arc::clone(&state));
        let witness = Arc::new(Witness::new(signer, vec![verifier.clone()], store));
        Self {
            witness,
            verifier,
            heads,
            alarms,
            state,
            link,
            clock,
        }
    }

    /// Witnesses for ever; opens the stream again when it breaks.
    pub(crate) async fn keep(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = tokio::time::Instant::now();
            match self.stream().await {
                Ok(()) => tracing::debug!("the witness stream has ended"),
                Err(error) => {
                    let error = hitmachine_service::console::chain(&error);
                    tracing::warn!(error, "cannot witness the hub's log at this moment");
                }
            }
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One stream, until it ends.
    async fn stream(&self) -> Result<(), LinkError> {
        let (to_hub, outgoing) = mpsc::channel(16);
        let send = |message| v1::WitnessMessage {
            message: Some(message),
        };
        let hello = v1::WitnessHello {
            verifier: self.witness.verifier().to_string(),
            notes: self.notes().await,
        };
        // There is room.
        let _ = to_hub.send(send(Message::Hello(hello))).await;
        let mut client = self.link.witness();
        let opening = client.witness(ReceiverStream::new(outgoing));
        let mut incoming = self.link.within(opening).await?.into_inner();
        let mut reports = self.alarms.reports();
        reports.mark_changed();
        loop {
            tokio::select! {
                message = incoming.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    match message.message {
                        Some(FromHub::AddCheckpoint(request)) => {
                            let answer = self.add_checkpoint(request).await;
                            if to_hub.send(send(Message::AddCheckpoint(answer))).await.is_err() { return Ok(()) }
                        }
                        Some(FromHub::Cosigned(note)) => {
                            if let Err(error) = self.heads.take_cosigned(&note) {
                                tracing::warn!(%error, "the hub sent a checkpoint as cosigned that is not");
                            } else if let Err(error) = self.heads.persist(&self.state).await {
                                tracing::error!(%error, "the cosigned checkpoint could not be kept");
                            }
                        }
                        Some(FromHub::Alarms(alarms)) => self.alarms.told(alarms.alarms),
                        None => {}
                    }
                }
                changed = reports.changed() => {
                    if changed.is_err() { return Ok(()) }
                    let due = reports.borrow_and_update().clone();
                    for report in due {
                        if to_hub.send(send(Message::Alarm(report))).await.is_err() { return Ok(()) }
                    }
                }
            }
        }
    }

    /// Every signed note of the log that this node holds.
    async fn notes(&self) -> Vec<Vec<u8>> {
        let (witness, origin) = (Arc::clone(&self.witness), self.verifier.origin().clone());
        let held = tokio::task::spawn_blocking(move || witness.held(&origin)).await;
        let mut notes = self.heads.notes();
        if let Ok(Ok(held)) = held {
            notes.extend(held.map(|held| held.note));
        } else {
            tracing::error!("what this witness cosigned cannot be read");
        }
        notes
    }

    async fn add_checkpoint(&self, request: v1::AddCheckpointRequest) -> v1::AddCheckpointResponse {
        let now_s = u64::try_from(self.clock.now().as_second()).unwrap_or(0);
        let (witness, body) = (Arc::clone(&self.witness), request.body);
        let answered = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, now_s)).await;
        let refused = |status: u16, body: Vec<u8>| v1::AddCheckpointResponse {
            round: request.round,
            status: status.into(),
            body,
        };
        match answered {
            Ok(Ok(lines)) => refused(200, lines),
            Ok(Err(refusal)) => {
                let body = match &refusal {
                    Refusal::Conflict { held, .. } => format!("{held}\n").into_bytes(),
                    _ => Vec::new(),
                };
                if let Some(evidence) = refusal.evidence() {
                    self.alarms.contradiction("witness", evidence);
                }
                refused(refusal.status(), body)
            }
            Err(_) => refused(500, Vec::new()),
        }
    }
}
