//! A small random generator that gives the same numbers on every machine and in every version.
//!
//! Demo people, test registers and measurements are drawn from a seed, and a figure in a report must be
//! reproducible years later. A general crate may change its algorithms between releases; these forty lines
//! do not. **Not for keys**: whoever knows the seed knows everything.
//!
//! xoshiro256\*\* 1.0, seeded through splitmix64, both by Blackman and Vigna
//! (<https://prng.di.unimi.it/>); the tests pin their published numbers.

/// Deterministic generator, xoshiro256\*\*.
#[derive(Debug, Clone)]
pub struct Rng([u64; 4]);

impl Rng {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| splitmix64(&mut state)))
    }

    /// An independent generator for one part of a larger whole, so that drawing one number more in one part
    /// does not change all others.
    #[must_use]
    pub fn stream(seed: u64, part: &str) -> Self {
        // FNV-1a, 64 bits: fixed by its definition, unlike the standard library's hasher.
        let label = part.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut state = seed;
        Self::new(splitmix64(&mut state) ^ label)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// A number in `0..limit`, every one equally likely; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 {
            return 0;
        }
        // Draws past the last whole multiple of `limit` are thrown away, so that no remainder is favoured.
        let excess = (u64::MAX % limit + 1) % limit;
        loop {
            let drawn = self.next_u64();
            if drawn <= u64::MAX - excess {
                return drawn % limit;
            }
        }
    }

    /// An index in `0..len`; 0 if `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        // usize has at most 64 bits on every platform, and the result is smaller than `len`.
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// A number in `low..=high`; `low` if the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            Some(u64::MAX) => self.next_u64(),
            Some(width) => low + self.below(width + 1),
            None => low,
        }
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// One step of splitmix64.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference program's first five numbers for seed 1234567.
    #[test]
    fn splitmix64_as_published() {
        let mut state = 1_234_567;
        let drawn: [u64; 5] = std::array::from_fn(|_| splitmix64(&mut state));
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    /// The reference program's first numbers for the state 1, 2, 3, 4.
    #[test]
    fn xoshiro_as_published() {
        let mut rng = Rng([1, 2, 3, 4]);
        let drawn: [u64; 4] = std::array::from_fn(|_| rng.next_u64());
        assert_eq!(drawn, [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[rng.index(7)] += 1;
        }
        assert!(
            seen.iter().all(|&count| (850..1_150).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.between(5, 5), 5);
    }

    #[test]
    fn shuffle_keeps_all_items_and_streams_differ() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::stream(7, "a").shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        assert_ne!(Rng::stream(7, "a").next_u64(), Rng::stream(7, "b").next_u64());
        assert_eq!(Rng::stream(7, "a").next_u64(), Rng::stream(7, "a").next_u64());
    }
}
