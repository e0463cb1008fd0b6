//! The TLS library's cryptography, with a transcript of the messages that clients really sent.
//!
//! See [`super::hello`]: anything hidden from the library is restored where it hashes handshake messages. Used only for
//! connections with a hidden extension: on others, a client's own extension with the substitute number would be
//! rewritten, too, unnoticed.

use std::sync::{Arc, LazyLock};

use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuiteCommon, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::hello::restored;

/// The provider for clients whose server name is hidden.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: SUITES.clone(),
        ..aws_lc_rs::default_provider()
    })
}

/// Leaked once: the library requires `'static`.
static SUITES: LazyLock<Vec<SupportedCipherSuite>> = LazyLock::new(|| {
    let suites = aws_lc_rs::default_provider().cipher_suites.into_iter();
    suites.map(suite).collect()
});

fn suite(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match suite {
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: suite.aead_alg,
                quic: None,
            })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: suite.aead_alg,
            })))
        }
    }
}

fn common(common: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: common.suite,
        hash_provider: Box::leak(Box::new(Restoring(common.hash_provider))),
        confidentiality_limit: common.confidentiality_limit,
    }
}

/// A hash of handshake messages.
struct Restoring(&'static dyn Hash);

impl Hash for Restoring {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Messages {
            hashed: self.0.start(),
            is_first: true,
        })
    }

    fn hash(&self, data: &[u8]) -> Output {
        self.0.hash(data)
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.0.algorithm()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// A transcript. After a HelloRetryRequest it begins with a hash, and nothing in it is restored.
struct Messages {
    hashed: Box<dyn Context>,
    is_first: bool,
}

impl Context for Messages {
    fn fork_finish(&self) -> Output {
        self.hashed.fork_finish()
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self {
            hashed: self.hashed.fork(),
            is_first: self.is_first,
        })
    }

    fn finish(self: Box<Self>) -> Output {
        self.hashed.finish()
    }

    // The library passes complete messages.
    fn update(&mut self, data: &[u8]) {
        let is_first = self.is_first && !data.is_empty();
        self.is_first &= data.is_empty();
        match is_first {
            true => self.hashed.update(&restored(data)),
            false => self.hashed.update(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_message_of_a_transcript_is_restored() {
        let hello = |number: [u8; 2]| {
            let start = [&[1, 0, 0, 47, 3, 3][..], &[7; 32]].concat();
            let rest = [0, 0, 2, 0x13, 1, 1, 0, 0, 4];
            [&start, &rest[..], &number, &[0, 0]].concat()
        };
        let (hidden, sent) = (hello([0xff, 0x5e]), hello([0, 0]));
        let (ours, theirs) = (provider(), aws_lc_rs::default_provider());
        for (ours, theirs) in ours.cipher_suites.iter().zip(&theirs.cipher_suites) {
            let hash = |suite: &SupportedCipherSuite, messages: &[&[u8]]| {
                let hash = match suite {
                    SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
                    SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
                };
                let mut context = hash.start();
                for message in messages {
                    context.update(message);
                }
                context.fork().finish().as_ref().to_vec()
            };
            let others = [254, 0, 0, 0];
            for (passed, expected) in [
                ([&[], &hidden[..], &hidden], [&sent[..], &hidden, &[]]),
                ([&others, &hidden, &hidden], [&others, &hidden, &hidden]),
            ] {
                assert_eq!(hash(ours, &passed), hash(theirs, &expected));
            }
        }
    }
}
