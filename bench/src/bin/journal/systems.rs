//! The log engines, each behind the same few verbs.

use quipu_base::{Place, StreamId, SyncPoint};
use quipu_bench::Failure;
use quipu_node::journal::{Journal, Options, Writer};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

/// A log of numbered records.
pub(crate) trait System {
    /// Appends `count` records, and returns when they are on disk.
    fn append(&mut self, count: usize, payload: &[u8]) -> Result<(), Failure>;

    /// Keeps `depth` appends of one record under way until `end`; returns how many were made durable.
    fn window(&mut self, depth: usize, payload: &[u8], end: Instant) -> Result<Option<usize>, Failure>;

    /// Holds every record in memory at once; returns how many there are, and their bytes.
    fn read_all(&mut self) -> Result<Option<(u64, u64)>, Failure>;

    /// Gives up all records before the first `kept_from` written; returns whether the system can.
    fn trim(&mut self, kept_from: u64) -> Result<bool, Failure>;

    /// Finishes whatever reclaims space.
    fn settle(&mut self) -> Result<(), Failure>;
}

/// What can be measured.
pub(crate) fn systems() -> Vec<&'static str> {
    vec![
        "in place",
        "quipu",
        "quipu, handed over",
        #[cfg(feature = "raft-engine")]
        "raft-engine",
        #[cfg(feature = "fjall")]
        "fjall",
    ]
}

/// Opens or begins a system's log in a folder.
pub(crate) fn open(name: &str, path: &Path) -> Result<Box<dyn System>, Failure> {
    Ok(match name {
        "in place" => Box::new(InPlace::open(path)?),
        "quipu" => Box::new(Quipu::open(path, false)?),
        "quipu, handed over" => Box::new(Quipu::open(path, true)?),
        #[cfg(feature = "raft-engine")]
        "raft-engine" => Box::new(raft_engine_log::Log::open(path)?),
        #[cfg(feature = "fjall")]
        "fjall" => Box::new(fjall_log::Log::open(path)?),
        _ => return Err(format!("no system called {name}").into()),
    })
}

/// The least that a disk asks for: overwriting what is there, on the caller's thread, without any structure.
struct InPlace {
    file: File,
    at: u64,
}

impl InPlace {
    const BYTES: u64 = 64 << 20;

    fn open(path: &Path) -> Result<InPlace, Failure> {
        let path = path.join("file");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.write_all_at(&vec![0; Self::BYTES as usize], 0)?;
        file.sync_all()?;
        Ok(InPlace { file, at: 0 })
    }
}

impl System for InPlace {
    fn append(&mut self, count: usize, payload: &[u8]) -> Result<(), Failure> {
        let bytes = payload.repeat(count);
        self.at = if self.at + bytes.len() as u64 > Self::BYTES { 0 } else { self.at };
        self.file.write_all_at(&bytes, self.at)?;
        self.file.sync_data()?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn window(&mut self, _: usize, _: &[u8], _: Instant) -> Result<Option<usize>, Failure> {
        Ok(None)
    }

    fn read_all(&mut self) -> Result<Option<(u64, u64)>, Failure> {
        Ok(None)
    }

    fn trim(&mut self, _: u64) -> Result<bool, Failure> {
        Ok(false)
    }

    fn settle(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Quipu's journal. A lone appender syncs itself, as a node's core does when it has nothing else to do, or hands
/// over to the journal's thread, as a busy core does; with several appends under way it always hands over.
struct Quipu {
    hand_over: bool,
    writer: Writer,
    recovered: Option<Vec<(Place, bytes::Bytes)>>,
    synced: Arc<AtomicU64>,
    point: u64,
    next: u64,
    first: u64,
}

impl Quipu {
    fn open(path: &Path, hand_over: bool) -> Result<Quipu, Failure> {
        let (journal, recovered) = Journal::open(path, Options::default())?;
        let synced = Arc::new(AtomicU64::new(0));
        let (told, waiting): (_, Thread) = (synced.clone(), thread::current());
        let writer = journal.start(move |result| {
            told.store(result.expect("the disk works").0, Ordering::Release);
            waiting.unpark();
        })?;
        let recovered = Some(recovered.records);
        Ok(Quipu { hand_over, writer, recovered, synced, point: 0, next: 0, first: 0 })
    }

    fn push(&mut self, payload: &[u8]) {
        let place = Place { stream: StreamId(1), first: self.first, index: self.next };
        self.writer.append(place, payload);
        self.next += 1;
        self.point += 1;
    }

    /// Waits until all but `open` records are on disk; returns how many are.
    fn wait(&self, open: u64) -> u64 {
        loop {
            let synced = self.synced.load(Ordering::Acquire);
            if synced + open >= self.point {
                return synced;
            }
            thread::park();
        }
    }
}

impl System for Quipu {
    fn append(&mut self, count: usize, payload: &[u8]) -> Result<(), Failure> {
        for _ in 0..count {
            self.push(payload);
        }
        if !self.hand_over {
            self.writer.sync(SyncPoint(self.point))?;
            self.synced.store(self.point, Ordering::Release);
            return Ok(());
        }
        self.writer.submit(SyncPoint(self.point));
        self.wait(0);
        Ok(())
    }

    fn window(&mut self, depth: usize, payload: &[u8], end: Instant) -> Result<Option<usize>, Failure> {
        if self.hand_over {
            return Ok(None);
        }
        let begun = self.wait(0);
        while Instant::now() < end {
            let synced = self.wait(depth as u64 - 1);
            // Like a node's core: everything that came in meanwhile, then one submit.
            while self.point < synced + depth as u64 {
                self.push(payload);
            }
            self.writer.submit(SyncPoint(self.point));
        }
        Ok(Some((self.wait(0) - begun) as usize))
    }

    fn read_all(&mut self) -> Result<Option<(u64, u64)>, Failure> {
        if self.hand_over {
            return Ok(None);
        }
        let records = self.recovered.as_ref().expect("kept since the log was opened");
        let bytes = records.iter().map(|(_, payload)| payload.len() as u64).sum();
        Ok(Some((records.len() as u64, bytes)))
    }

    fn trim(&mut self, kept_from: u64) -> Result<bool, Failure> {
        self.first = kept_from;
        Ok(!self.hand_over)
    }

    fn settle(&mut self) -> Result<(), Failure> {
        // Space is reclaimed on the way, by the next appends.
        self.append(1, &[0; 1000])?;
        self.append(1, &[0; 1000])
    }
}

#[cfg(feature = "raft-engine")]
mod raft_engine_log {
    //! PingCAP's raft-engine, which TiKV keeps its Raft logs in, with its defaults but for file sizes and compression.

    use super::{Failure, Instant, Path, System};
    use raft::eraftpb::Entry;
    use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize};
    use std::thread;

    const REGION: u64 = 1;

    pub(super) struct Log {
        engine: Engine,
        next: u64,
    }

    #[derive(Clone)]
    struct Typed;

    impl MessageExt for Typed {
        type Entry = Entry;

        fn index(entry: &Entry) -> u64 {
            entry.index
        }
    }

    impl Log {
        pub(super) fn open(path: &Path) -> Result<Log, Failure> {
            let config = Config {
                dir: path.to_string_lossy().into_owned(),
                // The default, 10 GiB, would never purge here; this is what Quipu's journal allows itself.
                purge_threshold: ReadableSize::mb(128),
                target_file_size: ReadableSize::mb(64),
                // All payloads are alike here, and no other system compresses.
                batch_compression_threshold: ReadableSize::kb(0),
                ..Config::default()
            };
            let engine = Engine::open(config)?;
            let next = engine.last_index(REGION).map_or(1, |last| last + 1);
            Ok(Log { engine, next })
        }
    }

    fn entry(index: u64, payload: &[u8]) -> Entry {
        Entry { index, data: payload.to_vec().into(), ..Entry::default() }
    }

    impl System for Log {
        fn append(&mut self, count: usize, payload: &[u8]) -> Result<(), Failure> {
            let entries: Vec<Entry> = (self.next..).take(count).map(|index| entry(index, payload)).collect();
            let mut batch = LogBatch::with_capacity(1);
            batch.add_entries::<Typed>(REGION, &entries)?;
            self.engine.write(&mut batch, true)?;
            self.next += count as u64;
            Ok(())
        }

        fn window(&mut self, depth: usize, payload: &[u8], end: Instant) -> Result<Option<usize>, Failure> {
            let engine = &self.engine;
            let one = |region: u64| {
                let mut index = 0;
                while Instant::now() < end {
                    index += 1;
                    let mut batch = LogBatch::with_capacity(1);
                    batch.add_entries::<Typed>(region, &[entry(index, payload)]).expect("an entry is valid");
                    engine.write(&mut batch, true).expect("the disk works");
                }
                index as usize
            };
            let done = thread::scope(|scope| {
                let threads: Vec<_> = (0..depth).map(|at| scope.spawn(move || one(at as u64 + 10))).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
            });
            Ok(Some(done))
        }

        fn read_all(&mut self) -> Result<Option<(u64, u64)>, Failure> {
            let (first, last) = (self.engine.first_index(REGION), self.engine.last_index(REGION));
            let (Some(first), Some(last)) = (first, last) else { return Ok(Some((0, 0))) };
            let mut entries = Vec::new();
            self.engine.fetch_entries_to::<Typed>(REGION, first, last + 1, None, &mut entries)?;
            let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum();
            Ok(Some((entries.len() as u64, bytes)))
        }

        fn trim(&mut self, kept_from: u64) -> Result<bool, Failure> {
            let mut batch = LogBatch::with_capacity(1);
            batch.add_command(REGION, Command::Compact { index: kept_from + 1 });
            self.engine.write(&mut batch, false)?;
            self.engine.purge_expired_files()?;
            Ok(true)
        }

        fn settle(&mut self) -> Result<(), Failure> {
            self.engine.purge_expired_files()?;
            Ok(())
        }
    }
}

#[cfg(feature = "fjall")]
mod fjall_log {
    //! fjall, a log-structured key-value store: what one would take who does not want to write a journal.

    use super::{Failure, Instant, Path, System};
    use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    pub(super) struct Log {
        database: Database,
        records: Keyspace,
        next: u64,
        first: u64,
    }

    impl Log {
        pub(super) fn open(path: &Path) -> Result<Log, Failure> {
            let database = Database::builder(path).open()?;
            let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
            Ok(Log { database, records, next: 0, first: 0 })
        }
    }

    impl System for Log {
        fn append(&mut self, count: usize, payload: &[u8]) -> Result<(), Failure> {
            let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
            for index in (self.next..).take(count) {
                batch.insert(&self.records, index.to_be_bytes(), payload);
            }
            batch.commit()?;
            self.next += count as u64;
            Ok(())
        }

        fn window(&mut self, depth: usize, payload: &[u8], end: Instant) -> Result<Option<usize>, Failure> {
            let next = AtomicU64::new(self.next);
            let one = || {
                let mut done = 0;
                while Instant::now() < end {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
                    batch.insert(&self.records, index.to_be_bytes(), payload);
                    batch.commit().expect("the disk works");
                    done += 1;
                }
                done
            };
            let done = thread::scope(|scope| {
                let threads: Vec<_> = (0..depth).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
            });
            Ok(Some(done))
        }

        fn read_all(&mut self) -> Result<Option<(u64, u64)>, Failure> {
            let mut values = Vec::new();
            for item in self.records.iter() {
                values.push(item.value()?);
            }
            let bytes = values.iter().map(|value| value.len() as u64).sum();
            Ok(Some((values.len() as u64, bytes)))
        }

        fn trim(&mut self, kept_from: u64) -> Result<bool, Failure> {
            let mut batch = self.database.batch();
            for index in self.first..kept_from {
                batch.remove(&self.records, index.to_be_bytes());
            }
            batch.commit()?;
            self.first = kept_from.max(self.first);
            Ok(true)
        }

        fn settle(&mut self) -> Result<(), Failure> {
            self.records.rotate_memtable_and_wait()?;
            self.records.major_compact()?;
            Ok(())
        }
    }
}
