//! What was measured against what, what was promised, and whether it holds.

use serde_json::{Value, json};

/// What a ratio has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Nothing was promised: it is told.
    Told,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The measured value, with its unit.
    pub measured: String,
    /// What it is held against, measured in the same run, with its unit.
    pub against: String,
    /// One through the other, or the value itself where the promise is absolute.
    pub ratio: f64,
    /// What that has to be.
    pub target: Target,
}

impl Row {
    /// Whether the promise holds; `None` where nothing was promised.
    #[must_use]
    pub fn holds(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(most) => Some(self.ratio <= most),
            Target::AtLeast(least) => Some(self.ratio >= least),
            Target::Told => None,
        }
    }

    fn target(&self) -> String {
        match self.target {
            Target::AtMost(most) => format!("<= {most}"),
            Target::AtLeast(least) => format!(">= {least}"),
            Target::Told => "-".into(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.holds() {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        }
    }
}

/// All lines, and the numbers behind them.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    details: serde_json::Map<String, Value>,
}

impl Report {
    /// Adds a line.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds numbers for whoever reads the JSON.
    pub fn detail(&mut self, name: &str, value: Value) {
        self.details.insert(name.into(), value);
    }

    /// Whether every promise holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.holds() != Some(false))
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![["what", "measured", "against", "ratio", "target", "verdict"].map(String::from)];
        lines.extend(self.rows.iter().map(|row| {
            let ratio =
                if row.ratio >= 100.0 { format!("{:.0}", row.ratio) } else { format!("{:.2}", row.ratio) };
            let texts = [row.what.clone(), row.measured.clone(), row.against.clone()];
            let [what, measured, against] = texts;
            [what, measured, against, ratio, row.target(), row.verdict().into()]
        }));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..6).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            for (cell, width) in line.iter().zip(&widths) {
                text += &format!("{cell:<width$}  ");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "what": row.what, "measured": row.measured, "against": row.against, "ratio": row.ratio,
                    "target": row.target(), "holds": row.holds(),
                })
            })
            .collect();
        json!({ "version": 1, "holds": self.holds(), "rows": rows, "details": self.details })
    }
}
