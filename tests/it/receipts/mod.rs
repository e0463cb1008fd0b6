//! Receipts: what confirms a message, what does not, and what comes again. PROTOCOL section 4.

/// The number as JSON libraries write it, none of them with less digits, and as a string of its digits.
fn exact_notations(id: u64) -> [String; 6] {
    let (first, rest) = (id / 10_u64.pow(15), id % 10_u64.pow(15));
    [
        format!("{id}"),
        format!("{id}.0"),
        format!("{first}.{rest:015}E15"),
        format!("{first}.{rest:015}e+15"),
        format!("{id}000e-3"),
        format!("\"{id}\""),
    ]
}

mod after;
mod manual;
mod pings;
mod pongs;
mod window;
