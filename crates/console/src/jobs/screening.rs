//! Screening a list.
