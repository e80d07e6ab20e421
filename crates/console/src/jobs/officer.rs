//! A privacy officer's tasks, each an entry in the hub's log.
