//! Integration tests of whole processes; see the `*.rs` files under `suite/`.
