//! What an operator gives: a dump file, and the command line, whose secrets no message repeats.

#![no_main]

use std::cell::RefCell;
use std::io::{Seek, Write};
use std::path::Path;

use clap::Parser;
use crossbar_groups::config::{CommandLine, StoreLocation};
use crossbar_groups::dump::Dump;
use crossbar_groups::notices::Broker;
use crossbar_groups_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;

const PASSWORD: &str = "s3cr3t-pa55word";

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().unwrap());
}

fn check(dump: &[u8]) -> Option<u64> {
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(dump).unwrap();
        Dump::check(Path::new(file.path())).ok().map(|dump| dump.documents())
    })
}

fuzz_target!(|input: &[u8]| {
    let [arguments, dump] = parts(input);
    if check(dump).is_some() {
        assert_eq!(check(&[dump, b" "].concat()), check(dump));
        assert!(check(&[dump, b"x"].concat()).is_none(), "nothing may follow");
    }

    let Ok(arguments) = std::str::from_utf8(arguments) else {
        return;
    };
    let arguments = arguments.replace("PASSWORD", PASSWORD);
    for url in arguments.split_whitespace() {
        if let Ok(store) = url.parse::<StoreLocation>() {
            assert!(!format!("{store:?}").contains(PASSWORD) || matches!(store, StoreLocation::Folder(_)));
            assert!(!matches!(store, StoreLocation::Couch(nodes) if nodes.is_empty()));
        }
        let _ = url.parse::<Broker>();
    }
    for value in arguments.split_whitespace() {
        for flag in ["--store", "--amqp"] {
            let parsed = CommandLine::try_parse_from(["crossbar-groups", "serve", flag, value]);
            if let Err(error) = parsed {
                assert!(!error.to_string().contains(PASSWORD) || value.starts_with('-'), "{error}");
            }
        }
    }
    drop(CommandLine::try_parse_from(["crossbar-groups"].into_iter().chain(arguments.split_whitespace())));
});
