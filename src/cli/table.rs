//! Tables for people, aligned by terminal width: a Chinese character takes two cells.

use unicode_width::UnicodeWidthStr as _;

/// Rows of text; each column is as wide as its widest cell.
#[derive(Default)]
pub(super) struct Table(Vec<Vec<String>>);

const GAP: &str = "  ";

impl Table {
    /// An empty table with a header row.
    pub(super) fn with_head<const N: usize>(names: [&str; N]) -> Self {
        Self(vec![names.map(str::to_owned).to_vec()])
    }

    pub(super) fn row<const N: usize>(&mut self, columns: [String; N]) {
        self.0.push(columns.to_vec());
    }

    /// The lines, without trailing spaces.
    pub(super) fn text(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let texts = self.0.iter().filter_map(|row| row.get(column));
            texts.map(|text| text.width()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let padded = row.iter().zip(&widths).map(|(text, width)| {
                let padding = " ".repeat(width - text.width());
                format!("{text}{padding}")
            });
            padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let mut table = Table::with_head(["NAME", "N"]);
        table.row(["a longer name".to_owned(), "1".to_owned()]);
        table.row(["中文".to_owned(), "2".to_owned()]);
        assert_eq!(
            table.text(),
            "NAME           N\na longer name  1\n中文           2"
        );
        assert_eq!(Table::default().text(), "");
    }
}
