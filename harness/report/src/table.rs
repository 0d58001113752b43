//! Tables of text: aligned for a terminal, and as Markdown that reads well before it is rendered.
//!
//! The first column stands left, the others right. Cells are one line each.

/// A table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head.
    pub(crate) fn new(head: Vec<String>) -> Self {
        Self { rows: vec![head] }
    }

    /// Adds a row; it has as many cells as the head.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.rows[0].len(), "a row has as many cells as the head");
        self.rows.push(row);
    }

    /// The cells of its head.
    pub(crate) fn head(&self) -> &[String] {
        &self.rows[0]
    }

    /// The cells of its other rows.
    pub(crate) fn body(&self) -> impl Iterator<Item = &[String]> {
        self.rows[1..].iter().map(Vec::as_slice)
    }

    /// Aligned with spaces.
    pub(crate) fn plain(&self) -> String {
        let widths = self.widths(|cell| cell.chars().count());
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate();
            let text: Vec<_> = cells.map(|(column, (cell, width))| pad(cell, *width, column)).collect();
            format!("{}\n", text.join("  ").trim_end())
        };
        self.rows.iter().map(line).collect()
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let widths = self.widths(|cell| markdown_cell(cell).chars().count().max(3));
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate();
            let text: Vec<_> = cells
                .map(|(column, (cell, width))| pad(&markdown_cell(cell), *width, column))
                .collect();
            format!("| {} |\n", text.join(" | "))
        };
        let rule: Vec<_> = widths
            .iter()
            .enumerate()
            .map(|(column, width)| {
                if column == 0 {
                    "-".repeat(*width)
                } else {
                    format!("{}:", "-".repeat(width - 1))
                }
            })
            .collect();
        let (head, body) = self.rows.split_at(1);
        let head: String = head.iter().map(line).collect();
        let body: String = body.iter().map(line).collect();
        format!("{head}| {} |\n{body}", rule.join(" | "))
    }

    fn widths(&self, of: impl Fn(&String) -> usize) -> Vec<usize> {
        let columns = self.rows[0].len();
        (0..columns)
            .map(|column| self.rows.iter().map(|row| of(&row[column])).max().unwrap_or(0))
            .collect()
    }
}

fn pad(cell: &str, width: usize, column: usize) -> String {
    if column == 0 {
        format!("{cell:<width$}")
    } else {
        format!("{cell:>width$}")
    }
}

/// Text that stays within its cell.
pub(crate) fn markdown_cell(text: &str) -> String {
    markdown(&text.replace(['\n', '\r'], " ")).replace('|', "\\|")
}

/// Text that Markdown shows as it is: no markup, no HTML.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// `text` in lines of at most `width` characters, broken between words, each behind `indent`.
pub(crate) fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used == 0 || used + 1 + length > width {
            if used > 0 {
                lines.push('\n');
            }
            lines.push_str(indent);
            used = indent.chars().count();
        } else {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_leave_its_cell() {
        let mut table = Table::new(vec!["variant".into(), "p99".into()]);
        table.push(vec!["a|b\n<script>`".into(), "1 s".into()]);
        let text = table.markdown();
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("a\\|b &lt;script>\\`"), "{text}");
    }

    #[test]
    fn lines_stay_within_their_width() {
        let text = wrapped(&"word ".repeat(60), "  ", 40);
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= 40 && line.starts_with("  "))
        );
        assert_eq!(text.split_whitespace().count(), 60);
    }
}
