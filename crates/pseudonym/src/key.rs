//! Keys of the node and of the broker.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The operating system gave no random bytes; nothing was made.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomError(#[source] getrandom::Error);

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(RandomError)
}

/// 32 secret bytes on the heap, so that moving the owner leaves no copies on the stack.
struct Secret32(Box<[u8; 32]>);

impl Secret32 {
    fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        secret.0.copy_from_slice(&bytes);
        bytes.zeroize();
        secret
    }

    fn generate() -> Result<Self, RandomError> {
        let mut secret = Self(Box::new([0; 32]));
        fill_random(&mut *secret.0)?;
        Ok(secret)
    }
}

impl Drop for Secret32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret32 {}

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(ZeroizeOnDrop)]
        pub struct $name(Secret32);

        impl $name {
            /// Takes key bytes read from where they are kept. Arrays are copied on the way in: the
            /// caller erases its own.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Secret32::from_bytes(bytes))
            }

            /// A new key from the operating system's random generator, never from another key:
            /// destroying it must be final.
            ///
            /// # Errors
            /// [`RandomError`] when the system gives no random bytes.
            pub fn generate() -> Result<Self, RandomError> {
                Secret32::generate().map(Self)
            }

            /// The key itself. The only way to it, so that a search lists every use.
            pub fn expose_secret(&self) -> &[u8; 32] {
                &self.0.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(REDACTED)"))
            }
        }
    };
}

secret_key! {
    /// `K_E`: the key of one epoch that every node has and the broker must never have. Whoever has
    /// it can compute the token of any number.
    NodeKey
}

secret_key! {
    /// The broker's secret of one epoch, kept apart from its database. It protects a stolen database,
    /// not against the operator.
    Pepper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_and_never_printed() {
        let (a, b) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
        assert_ne!(a.expose_secret(), b.expose_secret());
        assert_eq!(format!("{a:?}"), "NodeKey(REDACTED)");
        assert_eq!(
            format!("{:#?}", Pepper::from_bytes([0xc5; 32])),
            "Pepper(REDACTED)"
        );
        assert_eq!(NodeKey::from_bytes([0x0b; 32]).expose_secret(), &[0x0b; 32]);
    }
}
