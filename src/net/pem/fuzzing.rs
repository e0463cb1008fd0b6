//! PEM of any bytes: what reads as blocks reads as the same blocks however it is written.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{Block, blocks};

fn of(bytes: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let fields = |block: Block| (block.label, block.base64);
    blocks(bytes).map(|blocks| blocks.into_iter().map(fields).collect())
}

/// Whether it may decode, too: what is no base64 may be folded in more ways than one.
fn is_plain(block: &Block) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '\n');
    let is_label = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    block.base64.chars().all(is_base64) && block.label.trim().chars().all(is_label)
}

/// Reads `bytes` as they are, as blocks alone, with other ends of lines, and in other encodings.
pub fn pem_round_trip(bytes: &[u8]) {
    let Ok(found) = blocks(bytes) else {
        return;
    };
    if !found.iter().all(is_plain) {
        return;
    }
    let text: String = found.iter().map(|block| block.text(&block.label)).collect();
    assert_eq!(of(text.as_bytes()), of(bytes));
    assert_eq!(of(text.replace('\n', "\r\n").as_bytes()), of(bytes));
    for unit in [u16::to_le_bytes, u16::to_be_bytes] {
        let wide = format!("\u{feff}{text}");
        let wide: Vec<u8> = wide.encode_utf16().flat_map(unit).collect();
        assert_eq!(of(&wide), of(bytes));
    }
    for block in &found {
        let decoded = block.decode::<CertificateDer<'_>>("CERTIFICATE");
        let text = block.text("CERTIFICATE");
        let read = CertificateDer::from_pem_slice(text.as_bytes());
        assert_eq!(decoded.ok(), read.ok());
    }
}
