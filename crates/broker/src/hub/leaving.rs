//! What partners had registered who are not in the covenant any more, or who answer live now.
//!
//! They stop answering with the covenant, at once: who is not in it is not asked. What they registered is deleted after
//! an entry in the log that says so; a stop in between is made good at the next start.

use std::collections::BTreeMap;
use std::sync::Arc;

use hitmachine_audit::{Draft, StoredContent};
use hitmachine_core::{Partner, PartnerId};
use serde_json::{Value, json};

use super::{Hub, SyncError};
use crate::agreement;

/// Types of the control entries: a partner left the covenant, or only its register went.
const LEFT: &str = "partner-removed";
const REGISTER_GONE: &str = "registrations-removed";

impl Hub {
    /// Logs and deletes the registrations of everybody whose registrations the covenant in force does not keep.
    pub(crate) async fn forget_partners_who_left(self: &Arc<Self>) {
        let covenant = self.covenant();
        let mut registered = BTreeMap::<PartnerId, u64>::new();
        for each in self.registers.open() {
            for (partner, _, registrations) in each.read().summary() {
                *registered.entry(partner).or_default() += registrations;
            }
        }
        let mut leaving = Vec::new();
        for (partner, registrations) in registered {
            match covenant.partner(&partner) {
                Some(named) if named.keeps_register() => {}
                Some(_) => leaving.push((REGISTER_GONE, partner, registrations)),
                None => leaving.push((LEFT, partner, registrations)),
            }
        }
        for (kind, partner, registrations) in leaving {
            if let Err(error) = self.forget(kind, &partner, registrations).await {
                // They are not asked, whatever is left of them; the next start tries again.
                let error = hitmachine_service::console::chain(&*error);
                tracing::error!(%partner, error, "registrations of a partner who left are not deleted");
            }
        }
    }

    async fn forget(
        self: &Arc<Self>,
        kind: &'static str,
        partner: &PartnerId,
        registrations: u64,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let hub = Arc::clone(self);
        let of = partner.clone();
        let logged = tokio::task::spawn_blocking(move || hub.is_leaving_logged(kind, &of)).await?;
        if !logged {
            let time_ms = self.now().0.as_millisecond();
            let entry = json!({
                "type": kind,
                "partner": partner.as_str(),
                "registrations": registrations,
                "time_ms": time_ms,
            });
            self.commit(vec![Draft::control(&entry)?], Vec::new()).await?;
        }
        self.delete(partner).await?;
        tracing::warn!(%partner, registrations, "deleted what a partner had registered");
        self.count_persons();
        Ok(())
    }

    /// Deletes what a partner registered in every epoch, with nobody else at the registers.
    async fn delete(self: &Arc<Self>, partner: &PartnerId) -> Result<(), SyncError> {
        let gate = Arc::clone(&self.registers.gate).write_owned().await;
        let (hub, of) = (Arc::clone(self), partner.clone());
        let working = tokio::task::spawn_blocking(move || {
            let _alone = gate;
            // Another covenant may have brought it back meanwhile.
            if hub.covenant().partner(&of).is_some_and(Partner::keeps_register) {
                return Ok(());
            }
            for each in hub.registers.open() {
                if let Err(error) = each.store.remove(&of) {
                    each.fail();
                    return Err(SyncError::Storage(Some(error)));
                }
                each.write().remove(&of);
            }
            Ok(())
        });
        working.await.unwrap_or(Err(SyncError::Storage(None)))
    }

    /// Whether the log says so already, since the covenant in force came.
    fn is_leaving_logged(&self, kind: &str, partner: &PartnerId) -> bool {
        let since = agreement::in_force_since(&self.reader);
        let controls = self.reader.controls().into_iter().rev();
        let mut controls = controls.take_while(|index| *index >= since);
        controls.any(|index| {
            let Ok(entry) = self.reader.read_entry(index) else {
                return false;
            };
            let StoredContent::Control(content) = &entry.content else {
                return false;
            };
            let is = |name: &str, text: &str| content.get(name).and_then(Value::as_str) == Some(text);
            is("type", kind) && is("partner", partner.as_str())
        })
    }
}
