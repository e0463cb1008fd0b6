//! Findings about the data directory and its disk.

use super::*;

#[test]
fn the_data_directory_is_judged() {
    use Check::{
        DataDirectory, DataRights, DiskSpace, Domains, FileSize, FileSystem, Retention, Store,
    };
    use State::{Ok, Problem, Warning};
    fn rights_of(facts: &mut Facts) -> &mut Rights {
        match &mut facts.data {
            Directory::There(rights) => rights,
            _ => unreachable!("it is there"),
        }
    }
    fn disk_of(facts: &mut Facts) -> &mut Disk {
        facts.disk.as_mut().unwrap()
    }
    fn stopped(facts: &mut Facts, has_domains: Option<bool>) {
        facts.server = ServerStatus::None;
        tls(facts).port = Port::Free;
        facts.store.as_mut().unwrap().as_mut().unwrap().has_domains = has_domains;
    }
    hold(&[
        (
            "",
            |f| f.data = Directory::Absent { can_be_made: false },
            (DataDirectory, Problem, "cannot make it"),
        ),
        (
            "",
            |f| f.data = Directory::Unreadable(ErrorKind::NotADirectory.into()),
            (DataDirectory, Problem, "not a directory"),
        ),
        (
            "",
            |f| rights_of(f).written = Err(io::Error::from(ErrorKind::StorageFull)),
            (DataDirectory, Problem, "no storage space"),
        ),
        (
            "",
            |f| rights_of(f).mode = 0o750,
            (DataRights, Ok, "closed to other users"),
        ),
        (
            "",
            |f| rights_of(f).mode = 0o755,
            (DataRights, Warning, "look into ./data (mode 0755)"),
        ),
        (
            "",
            |f| rights_of(f).mode = 0o770,
            (DataRights, Warning, "its group may remove"),
        ),
        (
            "",
            |f| rights_of(f).mode = 0o777,
            (DataRights, Problem, "may remove and replace"),
        ),
        (
            "",
            |f| rights_of(f).user = 0,
            (DataRights, Warning, "this ran as root"),
        ),
        (
            "",
            |f| rights_of(f).user = 7,
            (DataRights, Warning, "this is user 7"),
        ),
        (
            "",
            |f| rights_of(f).foreign = Some((PathBuf::from("data/LOCK"), 0)),
            (DataRights, Problem, "data/LOCK belongs to user 0"),
        ),
        (
            "",
            |f| disk_of(f).kind = Kind::Memory("tmpfs"),
            (FileSystem, Warning, "tmpfs is memory"),
        ),
        (
            "",
            |f| disk_of(f).kind = Kind::Layer("overlayfs"),
            (FileSystem, Warning, "on a volume"),
        ),
        (
            "",
            |f| disk_of(f).kind = Kind::Network("NFS"),
            (FileSystem, Warning, "NFS is on another machine"),
        ),
        (
            "",
            |f| disk_of(f).kind = Kind::Rightless("exfat"),
            (FileSystem, Warning, "exfat keeps no rights"),
        ),
        (
            "",
            |f| f.file_bytes = Some(1 << 20),
            (
                FileSize,
                Problem,
                "1.00 MiB at most, and a journal file takes 32.00 MiB",
            ),
        ),
        (
            "",
            |f| f.file_bytes = Some(GIB),
            (FileSize, Warning, "the index grows beyond that"),
        ),
        (
            "",
            |f| f.server = ServerStatus::Silent { process: Some(42) },
            (Check::Server, Problem, "process 42 has this data directory"),
        ),
        (
            "",
            |f| f.server = ServerStatus::Silent { process: None },
            (Check::Server, Problem, "the system does not name here has"),
        ),
        (
            "retention = '30days'",
            |f| disk_of(f).free_bytes = 9 * GIB,
            (DiskSpace, Warning, "9.00 GiB of 100.00 GiB"),
        ),
        (
            "retention = '30days'",
            |f| disk_of(f).free_bytes = GIB - 1,
            (DiskSpace, Problem, "less than 1.00 GiB (disk_free_min)"),
        ),
        (
            "retention = '30days'\ndisk_free_min = '20GiB'",
            |f| disk_of(f).free_bytes = 19 * GIB,
            (DiskSpace, Problem, "user tokens send nothing"),
        ),
        (
            "retention = '30days'\ndisk_free_min = 'off'",
            |f| disk_of(f).free_bytes = GIB - 1,
            (DiskSpace, Warning, "make room before it is full"),
        ),
        (
            "retention = '30days'",
            |f| disk_of(f).free_bytes = 63 << 20,
            (DiskSpace, Problem, "take 64.00 MiB"),
        ),
        (
            "retention = '30days'\nsegment_bytes = '16MiB'",
            |f| {
                (disk_of(f).free_bytes, disk_of(f).total_bytes) = (33 << 20, 300 << 20);
            },
            (DiskSpace, Ok, "are free"),
        ),
        (
            "",
            |f| disk_of(f).free_files = 99_999,
            (DiskSpace, Warning, "99,999 of 1,000,000 files"),
        ),
        (
            "",
            |f| disk_of(f).free_files = 63,
            (DiskSpace, Problem, "63 more files"),
        ),
        (
            "",
            |f| (disk_of(f).free_files, disk_of(f).total_files) = (0, 0),
            (DiskSpace, Ok, "50.00 GiB"),
        ),
        (
            "retention = '30days'",
            |_| {},
            (Retention, Ok, "kept for 30days"),
        ),
        (
            "retention = ['1year', 'shop=6min']",
            |_| {},
            (
                Retention,
                Warning,
                "of the domain shop what is older than 6m",
            ),
        ),
        (
            "retention = '29days'",
            |_| {},
            (Retention, Warning, "they erase what is older than 29days"),
        ),
        (
            "retention = '30days'",
            |f| {
                let kept_all = (model::Domain::parse("shop").expect("valid"), None);
                let store = f.store.as_mut().expect("it reads");
                let store = store.as_mut().expect("there is one");
                store.retention.domains.extend([kept_all]);
            },
            (
                Retention,
                Warning,
                "of the domain shop what is older than 30days",
            ),
        ),
        // 102.4 MiB per day.
        (
            "",
            |f| (disk_of(f).free_bytes, disk_of(f).total_bytes) = (2 * GIB, 4 * GIB),
            (
                Retention,
                Warning,
                "102.40 MiB a day, for which there is room for 20 days",
            ),
        ),
        (
            "",
            |f| (disk_of(f).free_bytes, disk_of(f).total_bytes) = (4 * GIB, 8 * GIB),
            (Retention, Ok, "there is room"),
        ),
        (
            "",
            |f| f.store = Err("no version".to_owned()),
            (Store, Problem, "no version"),
        ),
        (
            "",
            |f| {
                f.server = ServerStatus::Running {
                    process: None,
                    domains: 0,
                    not_writable: None,
                }
            },
            (Domains, Warning, "nobody can log in"),
        ),
        (
            "",
            |f| stopped(f, Some(false)),
            (Domains, Ok, "makes `demo`"),
        ),
        (
            "",
            |f| stopped(f, Some(true)),
            (Domains, Ok, "some have been made"),
        ),
        (
            "token = ['demo=secret', 'shop=other']",
            |f| stopped(f, Some(false)),
            (Domains, Ok, "declare 2 project tokens"),
        ),
    ]);
}

#[test]
fn where_chmod_does_nothing_it_is_not_advised() {
    let mut facts = healthy();
    facts.disk = Some(Disk {
        kind: Kind::Rightless("exfat"),
        ..disk()
    });
    facts.data = Directory::There(Rights {
        mode: 0o777,
        ..rights()
    });
    let text = judge(&config(""), &facts).text();
    assert!(
        text.contains("umask=077") && !text.contains("chmod 700"),
        "{text}"
    );
}

#[test]
fn a_nearly_full_disk_without_retention_is_told_with_what_takes_it() {
    let mut facts = healthy();
    facts.disk = Some(Disk {
        free_bytes: 9 * GIB,
        ..disk()
    });
    let text = judge(&config(""), &facts).text();
    assert!(
        text.contains("warning  disk-space: 9.00 GiB of 100.00 GiB"),
        "{text}"
    );
    let line = "warning  retention: messages are kept for ever; they take 10.00 GiB and grow by \
                about 102.40 MiB a day, for which there is room for 90 days: set --retention";
    assert!(text.contains(line), "{text}");
    // Less than a day of messages says nothing about growth.
    facts.store = Ok(Some(Survey {
        oldest: MsgId(facts.now_us - 1_000_000),
        ..store()
    }));
    let text = judge(&config(""), &facts).text();
    assert!(
        text.contains("they take 10.00 GiB: set --retention"),
        "{text}"
    );
}
