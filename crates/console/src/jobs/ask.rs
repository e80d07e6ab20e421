//! Asking, and reading one's own answers again.
