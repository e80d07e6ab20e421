//! Doing what the command line asks.

use std::sync::Arc;

use hitmachine_core::UserId;
use hitmachine_service::console::chain;
use hitmachine_service::exit;

use super::entry::{Entry, What, check_text};
use super::queue::Queue;
use super::task::{Detail, NotificationAsk, NotificationReply, NotificationView, Task, Which};
use super::{Counts, NotificationError};
use crate::control::field;
use crate::failure::Failure;
use crate::node::Node;

impl Node {
    /// Does something with the queue of notifications. Needs no hub.
    pub(crate) async fn notification(&self, ask: NotificationAsk) -> Result<NotificationReply, Failure> {
        let queue = self
            .inquirer
            .notifications
            .clone()
            .ok_or(NotificationError::NotKept)?;
        let user: UserId = field(&ask.user, "user")?;
        check_text("user", user.as_str())?;
        let detail = match ask.task {
            Task::Show(_) => Detail::History,
            Task::Letters(_) => Detail::Letter,
            _ => Detail::List,
        };
        let (_, today) = queue.now();
        let working = tokio::task::spawn_blocking(move || task(&queue, ask.task, user.as_str()));
        let entries = working.await.map_err(|_| NotificationError::Stopped)??;
        let own = &self.link.own().partner;
        // For letters; without the hub the short name has to do.
        let (mut organisation, mut contact) = (own.to_string(), String::new());
        if let Ok(covenant) = self.link.covenant().await
            && let Some(partner) = covenant.partner(own)
        {
            organisation.clone_from(&partner.name);
            contact.clone_from(&partner.contact);
        }
        Ok(NotificationReply {
            today,
            organisation,
            contact,
            notifications: entries
                .iter()
                .map(|entry| NotificationView::new(entry, today, detail))
                .collect(),
        })
    }

    /// How many notifications are to be sent; `None` if this node keeps none.
    pub(crate) fn notification_counts(&self) -> Option<Counts> {
        self.inquirer.notifications.as_ref().map(|queue| queue.counts())
    }
}

fn task(queue: &Arc<Queue>, task: Task, user: &str) -> Result<Vec<Entry>, NotificationError> {
    let (_, today) = queue.now();
    match task {
        Task::List(filter) => {
            let mut entries = queue.all()?;
            entries.retain(|entry| filter.fits(entry, today));
            Ok(entries)
        }
        Task::Letters(filter) => {
            let mut entries = queue.all()?;
            entries.retain(|entry| filter.fits(entry, today) && entry.wants_letter(today));
            Ok(entries)
        }
        Task::Show(id) => {
            let mut entries = queue.all()?;
            entries.retain(|entry| entry.id == id);
            if entries.is_empty() {
                return Err(NotificationError::Unknown(id));
            }
            Ok(entries)
        }
        Task::Defer {
            ids,
            reason,
            until,
            note,
        } => queue.apply(&ids, &What::Deferred { reason, until, note }, user),
        Task::Sent(Which::Ids(ids)) => queue.apply(&ids, &What::Sent, user),
        Task::Sent(Which::Case(case)) => {
            let ids = queue.open_in(&case)?;
            queue.apply(&ids, &What::Sent, user)
        }
        Task::NotNeeded { ids, reason, note } => queue.apply(&ids, &What::NotNeeded { reason, note }, user),
        Task::Close { case } => queue.close(&case, user),
    }
}

impl From<NotificationError> for Failure {
    fn from(error: NotificationError) -> Self {
        let code = match &error {
            NotificationError::Until
            | NotificationError::NoteNeeded
            | NotificationError::Text(_)
            | NotificationError::ContainsBsn(_)
            | NotificationError::NotKept => exit::USAGE,
            _ => exit::REFUSED,
        };
        Self::new(error.code(), code, chain(&error), error.text_nl())
    }
}
