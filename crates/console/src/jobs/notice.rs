//! Hit notices.
