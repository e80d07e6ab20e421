//! Requests over the sockets of hub and node: what is read is written again, and reads the same.

use hitmachine_broker::control as broker;
use hitmachine_node::control as node;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The target.
pub fn check(input: &[u8]) {
    again::<broker::Request>(input);
    again::<node::Request>(input);
    again::<broker::Reply>(input);
    again::<node::Reply>(input);
}

fn again<T: Serialize + DeserializeOwned>(input: &[u8]) {
    let Ok(request) = serde_json::from_slice::<T>(input) else {
        return;
    };
    let Ok(written) = serde_json::to_vec(&request) else {
        return;
    };
    let read: T = serde_json::from_slice(&written).expect("what was written");
    assert!(serde_json::to_vec(&read).unwrap() == written);
}
