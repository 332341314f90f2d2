//! Messages between tasks: a bounded queue for each server, and a registry of their names.
//!
//! A request waits in its server's queue, the highest priority first. A reply goes
//! straight to the call that waits for it, so a full queue cannot lose one.

use alloc::{rc::Rc, string::ToString, vec::Vec};
use core::{
    cell::RefCell,
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};

use crate::{hal::Hal, sorted::SortedMap};

/// Most bytes of a message: a block, and what is said of it.
pub const MAX_DATA: usize = 4096 + 32;

/// Most requests that wait in one queue.
pub const DEPTH: usize = 16;

/// A server, or a client, as messages name it. A number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId(pub u32);

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server itself: its start and end.
    System,
    /// Blocks of a disk.
    Block,
    /// Files.
    FileSystem,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number; the reply has the same.
    pub id: u64,
    /// Who sent it.
    pub from: ServerId,
    /// Who gets it.
    pub to: ServerId,
    /// What it is about.
    pub kind: Kind,
    /// The more urgent, the higher.
    pub priority: u8,
    /// When it was sent.
    pub sent: Duration,
    /// What it says, in the server's own format.
    pub data: Vec<u8>,
}

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name is taken.
    #[error("there is a server `{0}` already")]
    Taken(alloc::string::String),
    /// Nobody receives it: the server is gone, or never was.
    #[error("there is no server {}", .0.0)]
    NoServer(ServerId),
    /// Its queue has [`DEPTH`] requests.
    #[error("the queue of server {} is full", .0.0)]
    Full(ServerId),
    /// More than [`MAX_DATA`].
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// Nobody waits for the reply.
    #[error("message {0} is not waited for")]
    NotAwaited(u64),
}

/// All queues. Clones are the same.
pub struct Ipc<H> {
    hal: H,
    queues: Rc<RefCell<Queues>>,
}

impl<H: Hal> Clone for Ipc<H> {
    fn clone(&self) -> Self {
        Self { hal: self.hal.clone(), queues: Rc::clone(&self.queues) }
    }
}

#[derive(Default)]
struct Queues {
    by_id: SortedMap<ServerId, Queue>,
    next_server: u32,
    next_message: u64,
}

struct Queue {
    name: &'static str,
    requests: Vec<Message>,
    /// Replies by the number of their request; `None` as long as there is none.
    awaited: SortedMap<u64, Option<Vec<u8>>>,
    waker: Option<Waker>,
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The oldest of the most urgent requests.
    fn take(&mut self) -> Option<Message> {
        let urgent = self.requests.iter().map(|request| request.priority).max()?;
        let at = self.requests.iter().position(|request| request.priority == urgent)?;
        Some(self.requests.remove(at))
    }
}

impl<H: Hal> Ipc<H> {
    /// Without a server.
    pub fn new(hal: &H) -> Self {
        Self { hal: hal.clone(), queues: Rc::default() }
    }

    /// Makes a queue that is known by `name` until its mailbox goes.
    ///
    /// # Errors
    /// [`Error::Taken`]
    pub fn register(&self, name: &'static str) -> Result<Mailbox<H>, Error> {
        if self.find(name).is_some() {
            return Err(Error::Taken(name.to_string()));
        }
        let mut queues = self.queues.borrow_mut();
        let id = ServerId(queues.next_server);
        queues.next_server += 1;
        let (requests, awaited) = (Vec::new(), SortedMap::new());
        queues.by_id.insert(id, Queue { name, requests, awaited, waker: None });
        Ok(Mailbox { ipc: self.clone(), id })
    }

    /// The server of that name.
    pub fn find(&self, name: &str) -> Option<ServerId> {
        let queues = self.queues.borrow();
        queues.by_id.iter().find(|(_, queue)| queue.name == name).map(|(id, _)| *id)
    }
}

/// The receiving end of a queue. When it goes, so does what waits in it.
pub struct Mailbox<H: Hal> {
    ipc: Ipc<H>,
    id: ServerId,
}

impl<H: Hal> Mailbox<H> {
    /// Whose it is.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Sends a request that has no reply; its number.
    ///
    /// # Errors
    /// It is too long, there is no such server, or its queue is full.
    pub fn send(
        &self,
        to: ServerId,
        kind: Kind,
        priority: u8,
        data: Vec<u8>,
    ) -> Result<u64, Error> {
        if data.len() > MAX_DATA {
            return Err(Error::TooLong(data.len()));
        }
        let sent = self.ipc.hal.now();
        let mut queues = self.ipc.queues.borrow_mut();
        let id = queues.next_message;
        let queue = queues.by_id.get_mut(&to).ok_or(Error::NoServer(to))?;
        if queue.requests.len() == DEPTH {
            return Err(Error::Full(to));
        }
        queue.requests.push(Message { id, from: self.id, to, kind, priority, sent, data });
        queue.wake();
        queues.next_message += 1;
        Ok(id)
    }

    /// Waits for a request.
    pub async fn receive(&self) -> Message {
        poll_fn(|context| {
            let mut queues = self.ipc.queues.borrow_mut();
            // The queue is there as long as its mailbox.
            let Some(queue) = queues.by_id.get_mut(&self.id) else { return Poll::Pending };
            if let Some(request) = queue.take() {
                return Poll::Ready(request);
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Answers a request.
    ///
    /// # Errors
    /// It is too long, or nobody waits for it any more.
    pub fn reply(&self, request: &Message, data: Vec<u8>) -> Result<(), Error> {
        if data.len() > MAX_DATA {
            return Err(Error::TooLong(data.len()));
        }
        let mut queues = self.ipc.queues.borrow_mut();
        let caller = queues.by_id.get_mut(&request.from);
        let caller = caller.ok_or(Error::NoServer(request.from))?;
        let awaited = caller.awaited.get_mut(&request.id).filter(|reply| reply.is_none());
        *awaited.ok_or(Error::NotAwaited(request.id))? = Some(data);
        caller.wake();
        Ok(())
    }

    /// Sends a request and waits for its reply. One call at a time waits at one mailbox.
    ///
    /// # Errors
    /// As [`Mailbox::send`], and [`Error::NoServer`] when the server goes before it answers.
    pub async fn call(&self, to: ServerId, kind: Kind, data: Vec<u8>) -> Result<Vec<u8>, Error> {
        let id = self.send(to, kind, 0, data)?;
        let call = Call { mailbox: self, id };
        call.expect();
        poll_fn(|context| {
            let mut queues = self.ipc.queues.borrow_mut();
            let gone = !queues.by_id.contains_key(&to);
            let Some(queue) = queues.by_id.get_mut(&self.id) else { return Poll::Pending };
            if let Some(reply) = queue.awaited.get_mut(&id).and_then(Option::take) {
                return Poll::Ready(Ok(reply));
            }
            if gone {
                return Poll::Ready(Err(Error::NoServer(to)));
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A call that waits for its reply, until it is dropped.
struct Call<'a, H: Hal> {
    mailbox: &'a Mailbox<H>,
    id: u64,
}

impl<H: Hal> Call<'_, H> {
    fn with(&self, change: impl FnOnce(&mut SortedMap<u64, Option<Vec<u8>>>)) {
        let mut queues = self.mailbox.ipc.queues.borrow_mut();
        if let Some(queue) = queues.by_id.get_mut(&self.mailbox.id) {
            change(&mut queue.awaited);
        }
    }

    fn expect(&self) {
        self.with(|awaited| drop(awaited.insert(self.id, None)));
    }
}

impl<H: Hal> Drop for Call<'_, H> {
    fn drop(&mut self) {
        self.with(|awaited| drop(awaited.remove(&self.id)));
    }
}

impl<H: Hal> Drop for Mailbox<H> {
    fn drop(&mut self) {
        let mut queues = self.ipc.queues.borrow_mut();
        queues.by_id.remove(&self.id);
        // Whoever waits for a reply from here is to learn that none will come.
        queues.by_id.values_mut().for_each(Queue::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, time::Duration};

    use super::{DEPTH, Error, Ipc, Kind, MAX_DATA, ServerId};
    use crate::{
        fake::FakeHal,
        task::{Tasks, timeout},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn machine() -> (Tasks<FakeHal>, Ipc<FakeHal>) {
        let hal = FakeHal::new();
        (Tasks::new(&hal), Ipc::new(&hal))
    }

    #[test]
    fn a_request_is_received_with_who_sent_it_and_its_reply_finds_the_call() {
        let (tasks, ipc) = machine();
        let (server, client) = (ipc.register("server").unwrap(), ipc.register("client").unwrap());
        let (to, from) = (ipc.find("server").unwrap(), client.id());
        tasks.spawn("server", async move {
            let request = server.receive().await;
            assert_eq!((request.from, request.to, request.kind), (from, to, Kind::Block));
            let reply = request.data.iter().map(|byte| byte + 1).collect();
            server.reply(&request, reply).unwrap();
            assert_eq!(server.reply(&request, vec![]), Err(Error::NotAwaited(request.id)));
        });
        let call = async move { client.call(to, Kind::Block, vec![1, 2]).await };
        assert_eq!(tasks.run_until(&tasks.spawn("client", call), SECOND), Ok(Ok(vec![2, 3])));
    }

    #[test]
    fn a_full_queue_says_so_and_a_reply_comes_through_all_the_same() {
        let (tasks, ipc) = machine();
        let (server, client) = (ipc.register("server").unwrap(), ipc.register("client").unwrap());
        let (to, from) = (server.id(), client.id());
        for _ in 0..DEPTH {
            server.send(from, Kind::System, 0, vec![]).unwrap();
        }
        assert_eq!(server.send(from, Kind::System, 0, vec![]), Err(Error::Full(from)));
        tasks.spawn("server", async move {
            let request = server.receive().await;
            server.reply(&request, vec![9]).unwrap();
        });
        let call = async move { client.call(to, Kind::Block, vec![]).await };
        assert_eq!(tasks.run_until(&tasks.spawn("client", call), SECOND), Ok(Ok(vec![9])));
    }

    #[test]
    fn the_most_urgent_request_is_received_first_and_equals_in_their_order() {
        let (tasks, ipc) = machine();
        let server = ipc.register("server").unwrap();
        for (priority, data) in [(0, 1), (7, 2), (0, 3), (7, 4)] {
            server.send(server.id(), Kind::System, priority, vec![data]).unwrap();
        }
        let order = async move {
            let mut order = vec![];
            for _ in 0..4 {
                order.extend(server.receive().await.data);
            }
            order
        };
        assert_eq!(tasks.run_until(&tasks.spawn("order", order), SECOND), Ok(vec![2, 4, 1, 3]));
    }

    #[test]
    fn a_server_that_goes_ends_the_calls_that_wait_for_it() {
        let (tasks, ipc) = machine();
        let (server, client) = (ipc.register("server").unwrap(), ipc.register("client").unwrap());
        let to = server.id();
        tasks.spawn("server", async move { drop(server.receive().await) });
        let call = async move {
            let gone = client.call(to, Kind::Block, vec![]).await;
            (gone, client.call(to, Kind::Block, vec![]).await)
        };
        let gone = Err(Error::NoServer(to));
        assert_eq!(tasks.run_until(&tasks.spawn("c", call), SECOND), Ok((gone.clone(), gone)));
        assert!(ipc.find("server").is_none());
        assert_ne!(ipc.register("server").unwrap().id(), to, "a number is not given twice");
    }

    #[test]
    fn a_call_that_is_given_up_takes_no_reply() {
        let (tasks, ipc) = machine();
        let server = ipc.register("server").unwrap();
        let client = Rc::new(ipc.register("client").unwrap());
        let (to, caller, limit) = (server.id(), client.clone(), tasks.clone());
        let call = async move {
            timeout(&limit, SECOND, caller.call(to, Kind::Block, vec![])).await.is_err()
        };
        assert_eq!(tasks.run_until(&tasks.spawn("call", call), 9 * SECOND), Ok(true));
        let late = async move {
            let request = server.receive().await;
            server.reply(&request, vec![]) == Err(Error::NotAwaited(request.id))
        };
        assert_eq!(tasks.run_until(&tasks.spawn("late", late), SECOND), Ok(true));
    }

    #[test]
    fn what_cannot_be_sent_is_told_apart() {
        let (_, ipc) = machine();
        let mailbox = ipc.register("one").unwrap();
        assert_eq!(ipc.register("one").err(), Some(Error::Taken("one".into())));
        let nobody = ServerId(99);
        let send = |to, bytes| mailbox.send(to, Kind::System, 0, vec![0; bytes]);
        assert_eq!(send(nobody, 0), Err(Error::NoServer(nobody)));
        assert_eq!(send(mailbox.id(), MAX_DATA + 1), Err(Error::TooLong(MAX_DATA + 1)));
        assert!(send(mailbox.id(), MAX_DATA).is_ok());
    }
}
