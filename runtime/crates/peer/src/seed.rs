use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

/// What all randomness of a machine is drawn from: 256 bits, as many as the generator has.
///
/// A server takes one from the operating system for each machine; machines inside draw theirs from
/// that one's generator ([`Seed::draw`]). `Debug` keeps it secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// From 32 bytes of the operating system's.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Seed {
        Seed(bytes)
    }

    /// A known seed, for tests and benchmarks: anybody can guess what comes of it.
    #[must_use]
    pub fn guessable(number: u64) -> Seed {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Seed(bytes)
    }

    /// The next seed of a generator.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Seed {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Seed(bytes)
    }

    /// The generator that the seed stands for: ChaCha12, of whose output nobody can tell the rest.
    #[must_use]
    pub fn generator(&self) -> StdRng {
        StdRng::from_seed(self.0)
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ice::Credentials;

    #[test]
    fn every_bit_of_a_seed_changes_the_credentials() {
        let credentials = |bytes| Credentials::random(&mut Seed::new(bytes).generator());
        let of_zero = credentials([0; 32]);
        for bit in 0..256 {
            let mut bytes = [0; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            let changed = credentials(bytes);
            assert_ne!(changed.ufrag, of_zero.ufrag, "bit {bit}");
            assert_ne!(changed.pwd, of_zero.pwd, "bit {bit}");
        }
    }

    #[test]
    fn seeds_drawn_from_one_generator_differ_in_every_quarter() {
        let mut rng = Seed::guessable(1).generator();
        let (one, other) = (Seed::draw(&mut rng), Seed::draw(&mut rng));
        for quarter in 0..4 {
            let range = quarter * 8..quarter * 8 + 8;
            assert_ne!(one.0[range.clone()], other.0[range.clone()]);
            assert_ne!(one.0[range], [0; 8]);
        }
    }

    #[test]
    fn logs_do_not_show_a_seed() {
        assert_eq!(format!("{:?}", Seed::guessable(77)), "Seed(..)");
    }
}
