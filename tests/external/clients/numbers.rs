//! What docs/CLIENTS.md says of numbers: how programs write a `msgId` that they have read from JSON.
//!
//! That an exact number counts in any notation is shown by `a_receipt_counts_in_any_notation` and its like.

use std::process::Command;

use super::libraries::DOCUMENT;
use super::tools;

const ID: &str = "1764000000123456";

/// The name in the document with the version of the first of its packages, the packages, and the command, which reads
/// the JSON text, its last argument.
struct Reader(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// A reader, what the document has to say of how it keeps all digits, and the command that does that.
struct Remedy(Reader, &'static str);

macro_rules! file {
    ($name:literal) => {
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/external/clients/numbers/",
            $name
        )
    };
}

const JAVA: &str = "/usr/share/java/gson.jar:/usr/share/java/jackson-core.jar:\
                    /usr/share/java/jackson-annotations.jar:/usr/share/java/jackson-databind.jar";

const PERL: [&str; 3] = ["/usr/bin/perl", "-MJSON::PP", "-E"];

const READERS: [Reader; 25] = [
    Reader(
        "PHP 8.2",
        &["php8.2-cli"],
        &[
            "php",
            "-r",
            r#"echo json_encode(["received" => json_decode($argv[1])->msgId]);"#,
        ],
    ),
    Reader(
        "Perl 5.36",
        &["perl"],
        &[
            PERL[0],
            PERL[1],
            PERL[2],
            "say encode_json({received => decode_json($ARGV[0])->{msgId}})",
        ],
    ),
    Reader(
        "Perl 5.36 after a division",
        &["perl"],
        &[
            PERL[0],
            PERL[1],
            PERL[2],
            "say encode_json({received => decode_json($ARGV[0])->{msgId} / 1})",
        ],
    ),
    Reader(
        "Ruby 3.1",
        &["ruby3.1"],
        &[
            "/usr/bin/ruby",
            "-rjson",
            "-e",
            r#"puts JSON.generate(received: JSON.parse(ARGV[0])["msgId"])"#,
        ],
    ),
    Reader(
        "Ruby 3.1 with `to_f`",
        &["ruby3.1"],
        &[
            "/usr/bin/ruby",
            "-rjson",
            "-e",
            r#"puts JSON.generate(received: JSON.parse(ARGV[0])["msgId"].to_f)"#,
        ],
    ),
    Reader(
        "Tcl 8.6",
        &["tcl8.6", "tcllib"],
        &["tclsh", file!("numbers.tcl"), "as read"],
    ),
    Reader(
        "Tcl 8.6 with `double()`",
        &["tcl8.6", "tcllib"],
        &["tclsh", file!("numbers.tcl"), "double"],
    ),
    Reader(
        "Go 1.19",
        &["golang-go"],
        &["go", "run", file!("numbers.go"), "any"],
    ),
    Reader(
        "Go 1.19",
        &["golang-go"],
        &["go", "run", file!("numbers.go"), "int64"],
    ),
    Reader(
        "Go 1.19",
        &["golang-go"],
        &["go", "run", file!("numbers.go"), "UseNumber"],
    ),
    Reader(
        "jq 1.6",
        &["jq"],
        &[
            "jq",
            "-cn",
            "$ARGS.positional[0] | fromjson | {received: .msgId}",
            "--args",
        ],
    ),
    Reader(
        "Emacs 28.2",
        &["emacs-nox"],
        &[
            "emacs",
            "--batch",
            "--eval",
            r#"(let ((message (json-parse-string (pop command-line-args-left))))
                 (princ (json-serialize (list :received (gethash "msgId" message)))))"#,
        ],
    ),
    Reader(
        "dkjson 2.6 on Lua 5.3",
        &["lua-dkjson", "lua5.3"],
        &["lua5.3", file!("numbers.lua"), "dkjson", "json"],
    ),
    Reader(
        "dkjson 2.6 on Lua 5.1",
        &["lua-dkjson", "lua5.1"],
        &["lua5.1", file!("numbers.lua"), "dkjson", "json"],
    ),
    Reader(
        "lua-cjson 2.1.0",
        &["lua-cjson", "lua5.1"],
        &["lua5.1", file!("numbers.lua"), "cjson", "json"],
    ),
    Reader(
        "lua-cjson 2.1.0",
        &["lua-cjson", "lua5.3"],
        &["lua5.3", file!("numbers.lua"), "cjson", "json"],
    ),
    Reader(
        "Gson 2.10 into a `long`",
        &[
            "libgoogle-gson-java",
            "libjackson2-databind-java",
            "openjdk-17-jdk-headless",
        ],
        &["java", "-cp", JAVA, file!("Numbers.java"), "gson long"],
    ),
    Reader(
        "Gson 2.10 into a `Map`",
        &[
            "libgoogle-gson-java",
            "libjackson2-databind-java",
            "openjdk-17-jdk-headless",
        ],
        &["java", "-cp", JAVA, file!("Numbers.java"), "gson map"],
    ),
    Reader(
        "Jackson 2.14 into a `Map`",
        &[
            "libjackson2-databind-java",
            "libgoogle-gson-java",
            "openjdk-17-jdk-headless",
        ],
        &["java", "-cp", JAVA, file!("Numbers.java"), "jackson map"],
    ),
    Reader(
        "Jackson 2.14 through a `double`",
        &[
            "libjackson2-databind-java",
            "libgoogle-gson-java",
            "openjdk-17-jdk-headless",
        ],
        &["java", "-cp", JAVA, file!("Numbers.java"), "jackson double"],
    ),
    Reader(
        "Octave 7.3",
        &["octave"],
        &["octave-cli", file!("numbers.m")],
    ),
    Reader(
        "R jsonlite 1.8.4",
        &["r-cran-jsonlite"],
        &[
            "Rscript",
            "-e",
            "m <- jsonlite::fromJSON(commandArgs(TRUE)); cat(jsonlite::toJSON(list(received = m$msgId), auto_unbox = TRUE))",
        ],
    ),
    Reader(
        "R jsonlite 1.8.4",
        &["r-cran-jsonlite"],
        &[
            "Rscript",
            "-e",
            "m <- jsonlite::fromJSON(commandArgs(TRUE)); cat(jsonlite::toJSON(list(received = m$msgId), auto_unbox = TRUE, digits = NA))",
        ],
    ),
    Reader(
        "SQLite 3.40 from a REAL column",
        &["sqlite3"],
        &["sh", "-c", SQLITE, "REAL"],
    ),
    Reader(
        "mawk 1.3.4 with `%d`",
        &["mawk"],
        &[
            "mawk",
            r#"BEGIN { split(ARGV[1], part, /[:}]/); printf "%d\n", part[2] }"#,
        ],
    ),
];

/// What `$0` is the type of, with the text in `$1`.
const SQLITE: &str = r#"sqlite3 :memory: "CREATE TABLE t (id $0);
    INSERT INTO t VALUES (json_extract('$1', '\$.msgId')); SELECT json_object('received', id) FROM t""#;

const REMEDIES: [Remedy; 5] = [
    Remedy(
        Reader(
            "lua-cjson 2.1.0",
            &["lua-cjson", "lua5.1"],
            &["lua5.1", file!("numbers.lua"), "cjson", "format"],
        ),
        r#"("%.0f"):format"#,
    ),
    Remedy(
        Reader(
            "Perl 5.36 after a division",
            &["perl"],
            &[
                PERL[0],
                PERL[1],
                PERL[2],
                "say encode_json({received => int(decode_json($ARGV[0])->{msgId} / 1)})",
            ],
        ),
        "`int",
    ),
    Remedy(
        Reader(
            "R jsonlite 1.8.4",
            &["r-cran-jsonlite"],
            &[
                "Rscript",
                "-e",
                "cat(format(jsonlite::fromJSON(commandArgs(TRUE))$msgId, digits = 22))",
            ],
        ),
        "digits = 22",
    ),
    Remedy(
        Reader(
            "SQLite 3.40 from a REAL column",
            &["sqlite3"],
            &["sh", "-c", SQLITE, "INTEGER"],
        ),
        "an INTEGER column",
    ),
    Remedy(
        Reader(
            "mawk 1.3.4 with `%d`",
            &["mawk"],
            &[
                "mawk",
                r#"BEGIN { split(ARGV[1], part, /[:}]/); printf "%.0f\n", part[2] }"#,
            ],
        ),
        "`%.0f`",
    ),
];

impl Reader {
    /// The document's cells of how many digits it keeps, and what is to be done.
    fn said(&self) -> [&'static str; 2] {
        let (_, part) = DOCUMENT.split_once("### Numbers").unwrap();
        let rows = part.lines().filter_map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let is_named = cells.get(1)?.split(", ").any(|name| name == self.0);
            is_named.then(|| [cells[2], cells[3]])
        });
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), 1, "rows of {}", self.0);
        rows[0]
    }

    /// The number that it writes; none where it is not installed.
    fn written(&self) -> Option<String> {
        let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
        let version = self.0.split(' ').find(is_version).unwrap();
        if !tools::debian(self.1, version) {
            return None;
        }
        let mut command = Command::new(self.2[0]);
        command
            .args(&self.2[1..])
            .arg(format!(r#"{{"msgId":{ID}}}"#));
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {printed}{said}");
        let number = printed.trim().trim_start_matches(r#"{"received":"#);
        Some(number.trim_end_matches('}').to_owned())
    }
}

/// How many digits a decimal number has in front of its exponent.
fn digits(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap();
    mantissa.chars().filter(char::is_ascii_digit).count()
}

#[test]
fn numbers_are_written_as_said() {
    for reader in READERS {
        let [kept, _] = reader.said();
        let Some(number) = reader.written() else {
            continue;
        };
        let is_exact = number.parse::<f64>() == ID.parse();
        let is_as_said = match kept {
            "all" => number == ID,
            "all, in another notation" => is_exact && number != ID,
            "14" | "15" => !is_exact && digits(&number).to_string() == kept,
            other => number == other,
        };
        assert!(is_as_said, "{}, {:?}: {kept}? {number}", reader.0, reader.2);
    }
}

#[test]
fn what_is_to_be_done_about_numbers_keeps_all_digits() {
    for Remedy(reader, words) in REMEDIES {
        let [_, advice] = reader.said();
        assert!(advice.contains(words), "{}: {advice}", reader.0);
        if let Some(number) = reader.written() {
            assert_eq!(number, ID, "{}", reader.0);
        }
    }
}
