//! What was found, in the order in which it was looked at, and its words.

use std::fmt;

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Fine,
    /// Could not be looked at, or need not be.
    Skipped,
    /// Only a write would show it.
    Unproven,
    /// It works, and somebody should know.
    Note,
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub grade: Grade,
    pub text: String,
    pub remedy: Option<String>,
}

/// The findings about one target or one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    pub title: String,
    pub findings: Vec<Finding>,
}

/// All findings, and the policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub chapters: Vec<Chapter>,
    /// The smallest policy for each token: the targets that share it, and the JSON.
    pub policies: Vec<(String, String)>,
}

// === impl Chapter ===

impl Chapter {
    pub(super) fn new(title: String) -> Self {
        Self { title, findings: Vec::new() }
    }

    pub(super) fn say(&mut self, grade: Grade, text: impl Into<String>) {
        self.findings.push(Finding { grade, text: text.into(), remedy: None });
    }

    pub(super) fn err(&mut self, text: impl Into<String>, remedy: impl Into<String>) {
        let (text, remedy) = (text.into(), Some(remedy.into()));
        self.findings.push(Finding { grade: Grade::Error, text, remedy });
    }
}

// === impl Report ===

impl Report {
    pub fn has_errors(&self) -> bool {
        self.count(Grade::Error) > 0
    }

    fn count(&self, grade: Grade) -> usize {
        let findings = self.chapters.iter().flat_map(|chapter| &chapter.findings);
        findings.filter(|finding| finding.grade == grade).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Chapter { title, findings } in &self.chapters {
            writeln!(f, "{title}")?;
            for Finding { grade, text, remedy } in findings {
                writeln!(f, "  {:<9} {text}", grade.as_str())?;
                if let Some(remedy) = remedy {
                    writeln!(f, "  {:<9} remedy: {remedy}", "")?;
                }
            }
            writeln!(f)?;
        }
        for (targets, policy) in &self.policies {
            writeln!(f, "the smallest role policy for {targets}:\n{policy}\n")?;
        }
        let (errors, unproven) = (self.count(Grade::Error), self.count(Grade::Unproven));
        let noun = if errors == 1 { "error" } else { "errors" };
        let rights = if unproven == 1 { "right" } else { "rights" };
        write!(f, "{errors} {noun}; {unproven} {rights} that only a write would prove")
    }
}

// === impl Grade ===

impl Grade {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Skipped => "skipped",
            Self::Unproven => "unproven",
            Self::Note => "note",
            Self::Error => "error",
        }
    }
}
