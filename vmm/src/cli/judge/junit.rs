use eclipse_trace::rules::{Finding, NOT_JUDGED, Report};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::Error;

/// The report as JUnit XML: a test case for each rule. One that had no occasion, or is not
/// judged, is skipped; a broken one that is no MUST fails too, with its level as the type.
pub(super) fn xml(report: &Report, name: &str) -> Result<Vec<u8>, Error> {
    let mut suite = TestSuite::new(name);
    for (rule, tally) in &report.rules {
        let status = match (tally.broken, tally.exercised()) {
            (0, true) => TestCaseStatus::success(),
            (0, false) => skipped("no occasion"),
            (broken, _) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_type(rule.level.to_string());
                status.set_message(format!("{} ({broken} times)", rule.text));
                let findings = report.findings.iter().filter(|finding| finding.rule == rule.id);
                status.set_description(findings.map(describe).collect::<String>());
                status
            }
        };
        let mut case = TestCase::new(rule.id, status);
        case.set_classname(rule.clause);
        suite.add_test_case(case);
    }
    for (id, clause, reason) in NOT_JUDGED {
        let mut case = TestCase::new(*id, skipped(reason));
        case.set_classname(*clause);
        suite.add_test_case(case);
    }
    if !report.notes.is_empty() {
        suite.set_system_out(report.notes.join("\n"));
    }
    let mut all = quick_junit::Report::new("eclipse-vmm");
    all.add_test_suite(suite);
    let text = all.to_string().map_err(|error| {
        Error::host("write JUnit XML")(std::io::Error::other(error.to_string()))
    })?;
    Ok(text.into_bytes())
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn describe(finding: &Finding) -> String {
    let Finding { seq, entry, expected, seen, place, .. } = finding;
    let place = place.as_ref().map(|place| format!("  by       {place}\n")).unwrap_or_default();
    let number = seq.map(|seq| format!("event {seq}: ")).unwrap_or_default();
    format!("{number}{entry}\n  expected {expected}\n  seen     {seen}\n{place}")
}
