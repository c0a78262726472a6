//! What several threads do at once, but must finish in a fixed order.

use std::sync::{Condvar, Mutex, PoisonError};

/// A queue of numbered tickets, each of which waits for all before it.
#[derive(Debug, Default)]
pub struct Order {
    /// Which tickets were given back.
    done: Mutex<Vec<bool>>,
    changed: Condvar,
}

/// A place in the order, given up when dropped.
#[derive(Debug)]
pub struct Ticket<'a> {
    order: &'a Order,
    number: usize,
}

impl Order {
    /// The ticket of this number, from 0; every number before it must be taken by somebody.
    pub fn ticket(&self, number: usize) -> Ticket<'_> {
        Ticket { order: self, number }
    }
}

impl Ticket<'_> {
    /// Waits until all tickets before this one were given up.
    pub fn wait(&self) {
        let done = self.order.done.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = |done: &mut Vec<bool>| done.len() < self.number || done[..self.number].contains(&false);
        drop(self.order.changed.wait_while(done, earlier));
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut done = self.order.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.len() <= self.number {
            done.resize(self.number + 1, false);
        }
        done[self.number] = true;
        self.order.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread, time::Duration};

    use super::Order;

    #[test]
    fn who_is_done_early_waits_for_those_before() {
        let (order, seen) = (Order::default(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for number in (0..8).rev() {
                let (order, seen) = (&order, &seen);
                scope.spawn(move || {
                    let ticket = order.ticket(number);
                    // The last begin first; number 3 fails and never waits.
                    thread::sleep(Duration::from_millis(2 * (8 - number as u64)));
                    if number != 3 {
                        ticket.wait();
                        seen.lock().unwrap().push(number);
                    }
                });
            }
        });
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 4, 5, 6, 7]);
    }
}
