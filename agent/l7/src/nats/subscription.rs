//! What a NATS client subscribed to, as far as it tells which replies can reach it.
//!
//! In: `SUB` and `UNSUB`, subscriptions that messages came by. Out: whether a subject is
//! subscribed to here, and by which subscription. Wildcards count at the end of a subject only,
//! as clients use them for inboxes.

use std::collections::BTreeMap;

use schema::Text;

use crate::bytes;

/// Subscriptions of one connection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_sid: BTreeMap<Text, Subscription>,
    /// Subjects, each with the id of its last subscription.
    by_subject: BTreeMap<Text, Text>,
    /// Subscriptions that end by themselves.
    limited: usize,
    /// Some are not known.
    pub is_partial: bool,
}

#[derive(Debug)]
struct Subscription {
    subject: Text,
    /// Messages until it ends.
    left: Option<u64>,
}

/// Subscriptions that are remembered.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// Longest subject that is remembered. unit byte
const SUBJECT_BYTES: usize = 256;

impl Subscriptions {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        (self.by_sid.len() + self.by_subject.len()) * (size_of::<Subscription>() + 64)
    }

    /// `SUB`.
    pub fn add(&mut self, subject: &[u8], sid: &[u8]) {
        if self.by_sid.len() >= SUBSCRIPTIONS_MAX || subject.len() > SUBJECT_BYTES {
            self.is_partial = true;
            return;
        }
        self.remove(sid);
        let (subject, sid) = (bytes::text(subject, SUBJECT_BYTES), bytes::text(sid, SUBJECT_BYTES));
        self.by_subject.insert(subject.clone(), sid.clone());
        self.by_sid.insert(sid, Subscription { subject, left: None });
    }

    /// `UNSUB`, at once or after so many messages.
    pub fn end(&mut self, sid: &[u8], after: Option<u64>) {
        match after {
            None | Some(0) => self.remove(sid),
            Some(messages) => {
                let Ok(sid) = std::str::from_utf8(sid) else { return };
                if let Some(subscription) = self.by_sid.get_mut(sid) {
                    self.limited += usize::from(subscription.left.is_none());
                    subscription.left = Some(messages);
                }
            }
        }
    }

    /// The subject of a subscription.
    pub fn subject(&self, sid: &[u8]) -> Option<&Text> {
        Some(&self.by_sid.get(std::str::from_utf8(sid).ok()?)?.subject)
    }

    /// A message came by a subscription.
    pub fn note_message(&mut self, sid: &[u8]) {
        if self.limited == 0 {
            return;
        }
        let Ok(name) = std::str::from_utf8(sid) else { return };
        let Some(left) = self.by_sid.get_mut(name).and_then(|one| one.left.as_mut()) else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            self.remove(sid);
        }
    }

    /// The id of the subscription that a subject reaches.
    pub fn reached(&self, subject: &[u8]) -> Option<&Text> {
        let subject = std::str::from_utf8(subject).ok()?;
        if self.by_subject.is_empty() || subject.len() > SUBJECT_BYTES {
            return None;
        }
        if let Some(sid) = self.by_subject.get(subject) {
            return Some(sid);
        }
        let mut pattern = Text::default();
        let last = subject.rfind('.')?;
        pattern.push_str(&subject[..=last]);
        pattern.push('*');
        if let Some(sid) = self.by_subject.get(&pattern) {
            return Some(sid);
        }
        for (dot, _) in subject.match_indices('.') {
            pattern.clear();
            pattern.push_str(&subject[..=dot]);
            pattern.push('>');
            if let Some(sid) = self.by_subject.get(&pattern) {
                return Some(sid);
            }
        }
        None
    }

    fn remove(&mut self, sid: &[u8]) {
        let Ok(sid) = std::str::from_utf8(sid) else { return };
        let Some(subscription) = self.by_sid.remove(sid) else { return };
        self.limited -= usize::from(subscription.left.is_some());
        let is_last = self.by_subject.get(&subscription.subject).is_some_and(|last| last == sid);
        if is_last {
            self.by_subject.remove(&subscription.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inboxes_are_reached() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(b"_INBOX.a.*", b"1");
        subscriptions.add(b"_INBOX.b", b"2");
        subscriptions.add(b"x.>", b"3");
        let reached = |subscriptions: &Subscriptions, subject: &[u8]| {
            subscriptions.reached(subject).map(Text::to_string).unwrap_or_default()
        };
        assert_eq!(reached(&subscriptions, b"_INBOX.a.7"), "1");
        assert_eq!(reached(&subscriptions, b"_INBOX.a.7.8"), "");
        assert_eq!(reached(&subscriptions, b"_INBOX.b"), "2");
        assert_eq!(reached(&subscriptions, b"x.y.z"), "3");
        assert_eq!(reached(&subscriptions, b"x"), "");
        subscriptions.end(b"2", Some(2));
        subscriptions.note_message(b"2");
        assert_eq!(reached(&subscriptions, b"_INBOX.b"), "2");
        subscriptions.note_message(b"2");
        assert_eq!(reached(&subscriptions, b"_INBOX.b"), "");
        subscriptions.end(b"1", None);
        assert_eq!(reached(&subscriptions, b"_INBOX.a.7"), "");
        assert_eq!((subscriptions.by_sid.len(), subscriptions.limited), (1, 0));
    }
}
