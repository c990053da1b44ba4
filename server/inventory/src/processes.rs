//! Which process a row means: process ids come again, so the time decides.
//!
//! In: what the agent says of processes, the names and times in rows. Out: changes to the rows of
//! one process id, and the row that a time and a name mean. Pure: no database, no clock.

use schema::wire::{ProcessEvent, ProcessEventKind};

use crate::repository::ProcessRow;

/// How far a row's second may lie outside of a process's life and still mean it: rows carry whole
/// seconds, and rows of a last request come after the end. unit µs
const SLACK_US: i64 = 2_000_000;

/// A row renames a process only so soon after its start: that is `exec`. Later on a row with
/// another name is of a thread that named itself. unit µs
const EXEC_WITHIN_US: i64 = 5_000_000;

/// The processes that had one process id on one host, by start.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    /// Rows; those with id 0 are not stored yet.
    pub rows: Vec<ProcessRow>,
}

/// Whose process ids these are.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Agent.
    pub agent_id: u16,
    /// Host.
    pub host_id: u16,
    /// Process id.
    pub process_id: u32,
}

impl Lives {
    /// Takes an event in; returns the place of the row that it changed.
    pub fn apply(&mut self, owner: Owner, event: &ProcessEvent) -> Option<usize> {
        let at = match self.place_of(event) {
            Some(at) => at,
            None => self.add(owner, event.start_time_us, true),
        };
        let row = &mut self.rows[at];
        let before = row.clone();
        row.start_time_us = event.start_time_us;
        row.start_known = true;
        for (field, text) in [
            (&mut row.name, &event.name),
            (&mut row.command_line, &event.command_line),
            (&mut row.executable, &event.executable),
            (&mut row.container_id, &event.container_id),
        ] {
            if !text.is_empty() {
                field.clone_from(text);
            }
        }
        if event.kind == ProcessEventKind::Ended {
            row.ended_us = event.time_us.max(1);
        }
        (*row != before || row.id == 0).then_some(at)
    }

    /// The row of an event: the same start, or a row whose start is not known yet and that cannot
    /// be of an earlier process.
    fn place_of(&self, event: &ProcessEvent) -> Option<usize> {
        let same = |row: &ProcessRow| row.start_known && row.start_time_us == event.start_time_us;
        self.rows.iter().position(same).or_else(|| {
            self.rows.iter().position(|row| {
                !row.start_known && row.start_time_us + SLACK_US >= event.start_time_us
            })
        })
    }

    /// The place of the row that a time and a name mean.
    pub fn find(&self, time_us: i64, name: &str) -> Option<usize> {
        let alive = |row: &ProcessRow| {
            row.start_time_us <= time_us + SLACK_US
                && (row.ended_us == 0 || time_us <= row.ended_us + SLACK_US)
        };
        // The youngest that has the name; else the youngest whose life is known: a process that
        // calls exec changes its name.
        let named = |row: &ProcessRow| alive(row) && (name.is_empty() || row.name == name);
        self.rows
            .iter()
            .rposition(named)
            .or_else(|| self.rows.iter().rposition(|row| row.start_known && alive(row)))
    }

    /// The row that a time and a name mean, if it is stored and need not be renamed.
    pub fn settled(&self, time_us: i64, name: &str) -> Option<&ProcessRow> {
        let row = &self.rows[self.find(time_us, name)?];
        (row.id != 0 && !is_renamed(row, time_us, name)).then_some(row)
    }

    /// The row that a time and a name mean, made or renamed where needed; and whether it changed.
    pub fn find_or_add(&mut self, owner: Owner, time_us: i64, name: &str) -> (usize, bool) {
        let Some(at) = self.find(time_us, name) else {
            let at = self.add(owner, time_us, false);
            name.clone_into(&mut self.rows[at].name);
            return (at, true);
        };
        let row = &mut self.rows[at];
        if !is_renamed(row, time_us, name) {
            return (at, row.id == 0);
        }
        name.clone_into(&mut row.name);
        (at, true)
    }

    fn add(&mut self, owner: Owner, start_time_us: i64, start_known: bool) -> usize {
        let at = self.rows.partition_point(|row| row.start_time_us <= start_time_us);
        let row = ProcessRow {
            id: 0,
            agent_id: owner.agent_id,
            host_id: owner.host_id,
            process_id: owner.process_id,
            start_time_us,
            start_known,
            ended_us: 0,
            name: String::new(),
            command_line: String::new(),
            executable: String::new(),
            container_id: String::new(),
            revision: 0,
        };
        self.rows.insert(at, row);
        at
    }
}

/// Whether a row of that time gives the process a new name.
fn is_renamed(row: &ProcessRow, time_us: i64, name: &str) -> bool {
    let may_exec = time_us <= row.start_time_us + EXEC_WITHIN_US;
    !name.is_empty() && row.name != name && (row.name.is_empty() || may_exec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { agent_id: 1, host_id: 1, process_id: 42 };
    const S: i64 = 1_000_000;

    fn event(kind: ProcessEventKind, start_s: i64, time_s: i64, name: &str) -> ProcessEvent {
        ProcessEvent {
            kind,
            process_id: 42,
            parent_process_id: 1,
            start_time_us: start_s * S,
            time_us: time_s * S,
            name: name.to_owned(),
            command_line: format!("/bin/{name}"),
            executable: String::new(),
            container_id: String::new(),
        }
    }

    fn numbered(mut lives: Lives) -> Lives {
        for (id, row) in (1..).zip(&mut lives.rows) {
            row.id = id;
        }
        lives
    }

    #[test]
    fn a_process_id_that_comes_again_is_another_process() {
        let mut lives = Lives::default();
        lives.apply(OWNER, &event(ProcessEventKind::Started, 100, 100, "curl"));
        lives.apply(OWNER, &event(ProcessEventKind::Ended, 100, 110, "curl"));
        lives.apply(OWNER, &event(ProcessEventKind::Started, 200, 200, "wrk"));
        assert_eq!(lives.rows.len(), 2);
        assert_eq!(lives.find(105 * S, "curl"), Some(0));
        assert_eq!(lives.find(205 * S, "wrk"), Some(1));
        assert_eq!(lives.find(150 * S, "curl"), None, "nobody had the number then");
    }

    #[test]
    fn a_row_before_the_news_of_its_process_is_joined_with_it() {
        let mut lives = Lives::default();
        assert_eq!(lives.find_or_add(OWNER, 101 * S, "nginx"), (0, true));
        let mut lives = numbered(lives);
        assert_eq!(
            lives.apply(OWNER, &event(ProcessEventKind::Started, 50, 102, "nginx")),
            Some(0)
        );
        assert_eq!(lives.rows.len(), 1);
        assert_eq!((lives.rows[0].id, lives.rows[0].start_time_us), (1, 50 * S));
        assert_eq!(lives.find_or_add(OWNER, 103 * S, "nginx"), (0, false));
    }

    #[test]
    fn exec_renames_a_known_process() {
        let mut lives = Lives::default();
        lives.apply(OWNER, &event(ProcessEventKind::Started, 100, 100, "bash"));
        let mut lives = numbered(lives);
        assert_eq!(lives.find_or_add(OWNER, 101 * S, "curl"), (0, true));
        assert_eq!(lives.rows[0].name, "curl");
        assert_eq!(lives.find_or_add(OWNER, 101 * S, ""), (0, false), "no name says nothing");
        assert_eq!(lives.find_or_add(OWNER, 200 * S, "worker-1"), (0, false), "a thread's name");
        assert_eq!(lives.rows[0].name, "curl");
    }

    #[test]
    fn unknown_processes_of_other_names_are_others() {
        let mut lives = Lives::default();
        lives.find_or_add(OWNER, 100 * S, "curl");
        lives.find_or_add(OWNER, 900 * S, "wrk");
        assert_eq!(lives.rows.len(), 2);
    }

    #[test]
    fn the_same_event_again_changes_nothing() {
        let mut lives = Lives::default();
        let started = event(ProcessEventKind::Started, 100, 100, "curl");
        assert_eq!(lives.apply(OWNER, &started), Some(0));
        let mut lives = numbered(lives);
        assert_eq!(lives.apply(OWNER, &started), None);
    }
}
