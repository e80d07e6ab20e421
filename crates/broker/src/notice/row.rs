//! Keys and values of the table; see [`super`].

use hitmachine_core::PartnerId;

/// A notice that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// When the question was asked.
    pub(super) time_ms: u64,
    /// The period key of its log entry; without it there is nothing to send.
    pub(super) key: u32,
}

/// The key of a notice.
pub(super) fn key(kind: u8, partner: &PartnerId, index: u64) -> Vec<u8> {
    [
        &[kind],
        partner.as_str().as_bytes(),
        &[0],
        index.to_be_bytes().as_slice(),
    ]
    .concat()
}

/// The partner and the log index in a key.
pub(super) fn place(key: &[u8]) -> Option<(PartnerId, u64)> {
    let (partner, index) = key.get(1..)?.split_last_chunk::<8>()?;
    let partner = partner.strip_suffix(&[0])?;
    let partner = std::str::from_utf8(partner).ok()?.parse().ok()?;
    Some((partner, u64::from_be_bytes(*index)))
}

/// The value of a notice that waits, or was acknowledged.
pub(super) fn encode(row: Row, acknowledged_ms: Option<u64>) -> Vec<u8> {
    let mut value = row.time_ms.to_be_bytes().to_vec();
    value.extend_from_slice(&row.key.to_be_bytes());
    value.extend(acknowledged_ms.into_iter().flat_map(u64::to_be_bytes));
    value
}

/// Reads what [`encode`] writes.
pub(super) fn row(value: &[u8]) -> Option<Row> {
    let (time, rest) = value.split_first_chunk()?;
    let (key, _) = rest.split_first_chunk()?;
    Some(Row {
        time_ms: u64::from_be_bytes(*time),
        key: u32::from_be_bytes(*key),
    })
}
