//! Lets threads that work in parallel take a step in a fixed order.

use std::sync::{Condvar, Mutex, PoisonError};

/// A queue of numbered tickets. Each ticket waits for all tickets with lower numbers.
#[derive(Debug, Default)]
pub struct Order {
    /// Which tickets were dropped.
    done: Mutex<Vec<bool>>,
    changed: Condvar,
}

/// A place in the order, given up on drop.
#[derive(Debug)]
pub struct Ticket<'a> {
    order: &'a Order,
    number: usize,
}

impl Order {
    /// The ticket with this number, from 0. Every lower number must be taken too, or [`Ticket::wait`] never
    /// returns.
    pub fn ticket(&self, number: usize) -> Ticket<'_> {
        Ticket { order: self, number }
    }
}

impl Ticket<'_> {
    /// Waits until all tickets with lower numbers were dropped.
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
    fn a_ticket_waits_for_all_lower_numbers() {
        let (order, seen) = (Order::default(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for number in (0..8).rev() {
                let (order, seen) = (&order, &seen);
                scope.spawn(move || {
                    let ticket = order.ticket(number);
                    // The highest numbers start first; number 3 fails and never waits.
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
