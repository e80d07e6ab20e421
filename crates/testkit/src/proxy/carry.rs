//! One connection through the proxy.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::fault::{Accepting, Direction, Faults, Mischief};
use super::{Shared, lock};

/// Bytes read at once, and how many such pieces are under way: little, so that a slow line is one for who sends.
const PIECE: usize = 4 * 1024;
const PIECES: usize = 8;

/// What is read and not yet written.
enum Piece {
    /// Bytes, and when they are due.
    Bytes(Instant, Vec<u8>),
    /// What was planned for behind them, of those that leave the connection standing.
    Stall(Mischief),
    /// An end in good order.
    End,
}

/// Counts itself among the open ones.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Carries one connection to its end.
pub(super) async fn carry(shared: Arc<Shared>, mut client: TcpStream) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(Arc::clone(&shared));
    let number = shared.numbers.fetch_add(1, Ordering::SeqCst);
    let (stalled, stalls) = watch::channel([false; 2]);
    let mut ended = shared.ended.subscribe();
    let mut end = pin!(async move {
        let ended = ended.wait_for(|(before, _)| *before > number).await;
        ended.map_or(Mischief::Close, |ended| ended.1)
    });
    let mut faults = shared.faults.subscribe();
    let how = tokio::select! {
        how = &mut end => Some(how),
        _ = faults.wait_for(|faults| faults.accepting != Accepting::Ignore) => None,
    };
    match how {
        None => {}
        Some(Mischief::Forget | Mischief::ForgetOneWay) => std::future::pending().await,
        Some(how) => return leave(how, [&client]),
    }
    let Ok(mut server) = TcpStream::connect(shared.to).await else {
        return leave(Mischief::Reset, [&client]);
    };
    for stream in [&client, &server] {
        // Without it small messages are only slower.
        let _ = stream.set_nodelay(true);
    }
    let how = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let line = |direction| Pump {
            shared: &shared,
            direction,
            faults: shared.faults.subscribe(),
            stalled: &stalled,
            stalls: stalls.clone(),
        };
        let mut up = pin!(line(Direction::ToServer).run(from_client, to_server));
        let mut down = pin!(line(Direction::ToClient).run(from_server, to_client));
        let mut done = [false; 2];
        let mut ending = true;
        loop {
            let ended = tokio::select! {
                how = &mut end, if ending => {
                    ending = false;
                    match how {
                        Mischief::Forget => stall(&stalled, &Direction::BOTH),
                        Mischief::ForgetOneWay => stall(&stalled, &[Direction::ToClient]),
                        how => break how,
                    }
                    continue;
                }
                ended = &mut up, if !done[0] => { done[0] = true; ended }
                ended = &mut down, if !done[1] => { done[1] = true; ended }
            };
            match ended {
                // One direction has ended in good order.
                None | Some(Mischief::HalfClose) if done != [true; 2] => {}
                None => break Mischief::Close,
                Some(how) => break how,
            }
        }
    };
    leave(how, [&client, &server]);
}

/// Nothing passes in these directions any more.
fn stall(stalled: &watch::Sender<[bool; 2]>, directions: &[Direction]) {
    stalled.send_modify(|stalled| {
        for direction in directions {
            stalled[direction.place()] = true;
        }
    });
}

/// What the sockets that are dropped next say when they close.
fn leave<const N: usize>(how: Mischief, streams: [&TcpStream; N]) {
    if how == Mischief::Reset {
        for stream in streams {
            // If it cannot be set the other side sees an orderly end.
            let _ = stream.set_zero_linger();
        }
    }
}

/// One direction of one connection.
struct Pump<'a> {
    shared: &'a Shared,
    direction: Direction,
    faults: watch::Receiver<Faults>,
    stalled: &'a watch::Sender<[bool; 2]>,
    stalls: watch::Receiver<[bool; 2]>,
}

impl Pump<'_> {
    /// Passes bytes on until they end, or until something is done to the connection.
    async fn run(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Option<Mischief> {
        let (pieces, waiting) = mpsc::channel(PIECES);
        let (read, written) = tokio::join!(self.read(from, pieces), self.write(to, waiting));
        match (read, written) {
            // Who sends or who receives has gone; the other sees the same.
            (Err(_), _) | (_, Err(_)) => Some(Mischief::Reset),
            (Ok(how), Ok(())) => how,
        }
    }

    /// Waits until bytes may pass.
    async fn passable(&self) {
        let (mut faults, mut stalls) = (self.faults.clone(), self.stalls.clone());
        let place = self.direction.place();
        // Errors come when the proxy is dropped, with all of this.
        let _ = stalls.wait_for(|stalled| !stalled[place]).await;
        let _ = faults.wait_for(|faults| !faults.line(self.direction).held).await;
        if stalls.borrow_and_update()[place] {
            std::future::pending::<()>().await;
        }
    }

    async fn read(
        &self,
        mut from: ReadHalf<'_>,
        pieces: mpsc::Sender<Piece>,
    ) -> io::Result<Option<Mischief>> {
        let mut last = Instant::now();
        loop {
            self.passable().await;
            let mut piece = vec![0; PIECE];
            let count = from.read(&mut piece).await?;
            self.passable().await;
            if count == 0 {
                // Nobody is left to tell if the other side has gone, too.
                let _ = pieces.send(Piece::End).await;
                return Ok(None);
            }
            piece.truncate(count);
            let how = self.spoil(&mut piece);
            let line = self.faults.borrow().line(self.direction);
            last = last.max(Instant::now() + line.delay + self.drawn(line.jitter));
            if pieces.send(Piece::Bytes(last, piece)).await.is_err() {
                return Ok(None);
            }
            match how {
                None | Some(Mischief::Corrupt) => {}
                Some(how @ (Mischief::Forget | Mischief::ForgetOneWay)) => {
                    if pieces.send(Piece::Stall(how)).await.is_err() {
                        return Ok(None);
                    }
                }
                Some(Mischief::HalfClose) => {
                    let _ = pieces.send(Piece::End).await;
                    return Ok(how);
                }
                how => return Ok(how),
            }
        }
    }

    async fn write(&self, mut to: WriteHalf<'_>, mut waiting: mpsc::Receiver<Piece>) -> io::Result<()> {
        let mut free = Instant::now();
        while let Some(piece) = waiting.recv().await {
            let (due, piece) = match piece {
                Piece::Bytes(due, piece) => (due, piece),
                Piece::End => return to.shutdown().await,
                Piece::Stall(how) => {
                    match how {
                        Mischief::Forget => stall(self.stalled, &Direction::BOTH),
                        _ => stall(self.stalled, &[self.direction]),
                    }
                    continue;
                }
            };
            sleep_until(due.max(free)).await;
            self.passable().await;
            to.write_all(&piece).await?;
            let passed = piece.len() as u64;
            self.shared.passed[self.direction.place()].fetch_add(passed, Ordering::SeqCst);
            if let Some(rate) = self.faults.borrow().line(self.direction).bytes_per_second {
                let nanoseconds = passed.saturating_mul(1_000_000_000) / rate.max(1);
                free = free.max(Instant::now()) + Duration::from_nanos(nanoseconds);
            }
        }
        Ok(())
    }

    fn drawn(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(lock(&self.shared.random).between(0, most))
    }

    /// Does what was planned for these bytes; `piece` becomes what still passes.
    fn spoil(&self, piece: &mut Vec<u8>) -> Option<Mischief> {
        let mut planned = lock(&self.shared.planned[self.direction.place()]);
        let length = piece.len() as u64;
        let due = planned.iter().position(|(after, _)| *after < length);
        let Some(due) = due else {
            for (after, _) in planned.iter_mut() {
                *after -= length;
            }
            return None;
        };
        let (after, how) = planned.remove(due);
        for (later, _) in planned.iter_mut() {
            *later = later.saturating_sub(length);
        }
        // It is less than the length of a piece.
        let at = usize::try_from(after).unwrap_or_default();
        match how {
            Mischief::Corrupt => piece[at] ^= 1 << lock(&self.shared.random).below(8),
            _ => piece.truncate(at),
        }
        self.shared.happened.fetch_add(1, Ordering::SeqCst);
        Some(how)
    }
}
