//! What stands in a CouchDB's place and answers anything with any status: nothing of it is believed further than it can be
//! read.

#![no_main]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::thread;

use crossbar_groups::databases;
use crossbar_groups::document::{DbName, DocId, Document};
use crossbar_groups::kazoo::views::GROUPS;
use crossbar_groups::store::couch::{Couch, CouchOptions};
use crossbar_groups::store::{Attachments, Query, Sequence, Server, Store};
use crossbar_groups_fuzz::parts;
use futures::{StreamExt, TryStreamExt};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static COUCH: LazyLock<(Runtime, Couch)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|stream| drop(thread::spawn(|| serve(stream.unwrap())))));
    (Builder::new_current_thread().enable_all().build().unwrap(), Couch::new(&[url], &CouchOptions::default()).unwrap())
});

/// Gives the answer to one request after the other.
fn serve(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? <= 2 {
                break;
            }
            let line = line.to_ascii_lowercase();
            length = line.strip_prefix("content-length: ").map_or(length, |length| length.trim().parse().unwrap());
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new()).ok()?;
        let answer = ANSWER.lock().unwrap().clone();
        reader.get_mut().write_all(&answer).ok()?;
    }
}

fuzz_target!(|input: &[u8]| {
    let [status, body] = parts(input);
    let status: u16 = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok()).unwrap_or(200);
    if !(200..600).contains(&status) || matches!(status, 204 | 304 | 500..) {
        return;
    }
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    *ANSWER.lock().unwrap() = [head.as_bytes(), body].concat();

    let (runtime, couch) = &*COUCH;
    let (database, id): (DbName, DocId) = ("accounts".parse().unwrap(), "g".parse().unwrap());
    runtime.block_on(async {
        drop(couch.check().await);
        if let Ok(Some(document)) = couch.get(&database, &id).await {
            assert_eq!(Document::parse(&document.to_json()).unwrap().to_json(), document.to_json());
        }
        let of_key = Query::of_key_from("k", "g").with_documents();
        if let Ok(rows) = couch.rows(&database, &GROUPS, of_key).try_collect::<Vec<_>>().await {
            assert!(rows.iter().all(|row| *row.key != *"k" || &*row.id >= "g"));
        }
        let group: Document = [("_id".to_owned(), serde_json::value::to_raw_value("g").unwrap())].into_iter().collect();
        drop(couch.put(&database, &group).await);
        drop(couch.load(&database, vec![group]).await);
        drop(couch.databases().await);
        let since = Sequence::new("0");
        drop(couch.sequence(&database).await);
        if let Ok(Some(changed)) = couch.changed(&database, &since, 2).await {
            assert!(changed.iter().all(|changed| changed.revision.number() > 0));
        }
        // a feed ends where the answer does
        let changes: Vec<_> = couch.follow(&database, since).take(10).collect().await;
        assert!(changes.iter().rev().skip(1).all(Result::is_ok));
        drop(couch.design_documents(&database).await);
        drop(couch.info().await);
        if let Ok(Some(documents)) = couch.dump(&database, Some("a"), 2, Attachments::Inline).await {
            assert!(documents.len() <= 2);
        }
        drop(databases::documents(couch, &database, Attachments::Named));
    });
});
