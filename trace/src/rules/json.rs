//! A report for programs.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Level, NOT_JUDGED, Needs, Report, Rule, Tally};

#[derive(Serialize)]
struct Row {
    id: &'static str,
    clause: &'static str,
    level: Level,
    needs: Needs,
    text: &'static str,
    kept: u64,
    broken: u64,
}

impl Report {
    /// The whole report: what was broken and where, how each rule fared, and what is not judged.
    pub fn json(&self) -> Value {
        let rows = self.rules.iter().map(|(rule, tally)| {
            let Rule { id, clause, level, needs, text, .. } = **rule;
            let Tally { kept, broken } = *tally;
            Row { id, clause, level, needs, text, kept, broken }
        });
        let not_judged: Vec<_> = NOT_JUDGED
            .iter()
            .map(|(id, clause, reason)| json!({ "id": id, "clause": clause, "reason": reason }))
            .collect();
        json!({
            "entries": self.entries,
            "broken": {
                "must": self.broken(Level::Must),
                "should": self.broken(Level::Should),
                "recipe": self.broken(Level::Recipe),
            },
            "notes": self.notes,
            "findings": self.findings,
            "rules": rows.collect::<Vec<_>>(),
            "not_judged": not_judged,
        })
    }
}
