//! A counterexample as a file: enough to run it again.

use super::program::Subject;
use super::{Fault, FaultSet, Spec};
use serde::{Deserialize, Serialize};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// A program, a bound and faults: a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultFile {
    /// The version of this format.
    format: u32,
    /// The program's name.
    pub program: String,
    /// The bound; it says how long the run lasts.
    pub spec: Spec,
    /// What goes wrong.
    faults: Vec<Fault>,
}

impl FaultFile {
    /// What to write down.
    pub fn new(program: &str, spec: Spec, faults: &FaultSet) -> Self {
        let faults = faults.iter().copied().collect();
        FaultFile { format: FORMAT, program: program.to_owned(), spec, faults }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and names are always JSON");
        text.push('\n');
        text
    }

    /// Reads what [`FaultFile::to_json`] wrote.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: FaultFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.format != FORMAT {
            return Err(format!("format {} is not known here, only {FORMAT} is", file.format));
        }
        file.spec.check()?;
        Ok(file)
    }

    /// The faults, if this program can have them.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn faults(&self, subject: &dyn Subject) -> Result<FaultSet, String> {
        let nodes: Vec<_> = subject.nodes().into_iter().map(|(id, _)| id).collect();
        let faults: FaultSet = self.faults.iter().copied().collect();
        faults.check(&self.spec, &nodes)?;
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;
    use quipu_base::NodeId;

    fn written(faults: &[Fault]) -> FaultFile {
        FaultFile::new("3pc", Spec::new(9, 7, 1), &faults.iter().copied().collect())
    }

    fn refusal(text: &str) -> String {
        let file = match FaultFile::parse(text) {
            Ok(file) => file,
            Err(refusal) => return refusal,
        };
        let program = programs::find(&file.program).expect("the program exists");
        file.faults(&*program).expect_err("the file is refused")
    }

    #[test]
    fn what_is_written_is_read() {
        let (node, from, to) = (NodeId(1), NodeId(2), NodeId(3));
        let file = written(&[
            Fault::Crash { node, round: 3, until: None },
            Fault::Loss { from, to, round: 2 },
            Fault::Delay { from: to, to: from, round: 4, by: 2 },
            Fault::Skew { node, round: 5, by: -1 },
            Fault::Pause { node: to, round: 3, until: 6 },
        ]);
        assert_eq!(FaultFile::parse(&file.to_json()), Ok(file));
    }

    #[test]
    fn what_is_damaged_is_refused_in_one_line() {
        let good = written(&[Fault::Loss { from: NodeId(1), to: NodeId(4), round: 2 }]).to_json();
        for (broken, because) in [
            (good[..good.len() / 2].to_owned(), "EOF"),
            (good.replace("\"format\": 1", "\"format\": 2"), "format 2"),
            (good.replace("\"last_fault\": 7", "\"last_fault\": 17"), "beyond the last round"),
            (good.replace("\"to\": 4", "\"to\": 9"), "there is no n9"),
            (good.replace("\"round\": 2", "\"round\": 77"), "rounds 1 to 9"),
            (good.replace("loss", "miss"), "unknown variant"),
            (good.replace("\"reach\"", "\"beach\""), "unknown field"),
        ] {
            let refusal = refusal(&broken);
            assert!(refusal.contains(because), "{because}: {refusal}");
            assert_eq!(refusal.lines().count(), 1, "{refusal}");
        }
    }
}
