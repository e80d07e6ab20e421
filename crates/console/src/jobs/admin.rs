//! How the node is.
