//! What partners had registered who are not in the covenant any more, or who answer live now.
//!
//! They stop answering with the covenant, at once: who is not in it is not asked. What they registered is deleted after
//! an entry in the log that says so; a stop in between is made good at the next start.

use std::sync::Arc;

use hitmachine_audit::{Draft, StoredContent};
use hitmachine_core::PartnerId;
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
        let mut leaving = Vec::new();
        for (partner, _, registrations) in self.register().summary() {
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
        let of = partner.clone();
        let work = move |hub: &Self| {
            // Another covenant may have brought it back meanwhile.
            if hub
                .covenant()
                .partner(&of)
                .is_some_and(hitmachine_core::Partner::keeps_register)
            {
                return Ok(());
            }
            let removed = hub.store.remove(&of);
            removed.map_err(|error| SyncError::Storage(Some(error)))?;
            hub.register_mut().remove(&of);
            Ok(())
        };
        self.storage_alone(work).await?;
        tracing::warn!(%partner, registrations, "deleted what a partner had registered");
        let persons = self.register().persons();
        self.metrics
            .persons
            .set(i64::try_from(persons).unwrap_or(i64::MAX));
        Ok(())
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
