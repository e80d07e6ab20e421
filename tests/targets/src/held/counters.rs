//! What quotas and alarms remember.

use hitmachine_audit::SeenHeads;
use hitmachine_core::enumeration::Run;
use hitmachine_core::volume::Volume;

/// The target.
pub fn check(input: &[u8]) {
    if let Some(volume) = Volume::from_bytes(input) {
        assert_eq!(volume.to_bytes(), input, "one form");
    }
    if let Some(bytes) = input.first_chunk() {
        let run = Run::from_bytes(*bytes);
        assert_eq!(run.is_stopped(), bytes[12] != 0);
        let mut plain = *bytes;
        plain[12] = u8::from(plain[12] != 0);
        assert_eq!(run.to_bytes(), plain);
    }
    if let Ok(heads) = SeenHeads::decode(input) {
        assert_eq!(
            SeenHeads::decode(&heads.encode()).map(|again| again.encode()),
            Ok(heads.encode())
        );
        assert_eq!(heads.encode().len(), input.len());
    }
}
