//! A proxy that has the server below a path, and takes that away: what the server says of itself holds there.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::http::Answer;
use crate::support::{Options, PROJECT_TOKEN, Server};

const PREFIX: &str = "/chat";

/// The address of a proxy that passes the paths below the prefix on without it, and nothing else.
async fn proxy(server: &Server) -> String {
    let target = server.plain.clone().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let inner = head.replacen(&format!(" {PREFIX}/"), " /", 1);
                assert_ne!(inner, head, "a path that leads out of the prefix");
                server.write_all(inner.as_bytes()).await.unwrap();
                // Whoever ends it.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

/// Where a reference leads from a path, both below one host (RFC 3986, 5.2).
fn resolved(base: &str, reference: &str) -> String {
    if reference.starts_with('?') {
        return format!("{base}{reference}");
    }
    assert!(!reference.starts_with('/'), "{reference}");
    let mut folders: Vec<_> = base.split('/').collect();
    folders.pop();
    let (path, name) = reference.rsplit_once('/').unwrap_or(("", reference));
    for step in path
        .split('/')
        .filter(|step| !step.is_empty() && *step != ".")
    {
        match step {
            ".." => _ = folders.pop(),
            step => folders.push(step),
        }
    }
    folders.push(if name == "." { "" } else { name });
    folders.join("/")
}

#[tokio::test]
async fn what_the_server_says_of_itself_holds_below_a_path() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let address = proxy(&server).await;
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let get = async |target: &str, accept: &str| {
        let stream = TcpStream::connect(&address).await.unwrap();
        let headers = [("accept", accept), ("authorization", bearer.as_str())];
        // A browser that opens a page has no token.
        let count = if accept == "text/html" { 1 } else { 2 };
        Answer::of(Box::new(stream), "GET", target, &headers[..count]).await
    };

    let url = format!("ws://{address}{PREFIX}");
    for text in ["1", "2", "3"] {
        let args = [
            "send", "--domain", "demo", "--id", "u1", "--url", &url, "u2", text,
        ];
        let mut command = server.home.bare_command(args);
        command.env("RELAYBOX_CLIENT_TOKEN", PROJECT_TOKEN);
        server.home.run(command).await.success();
    }

    let log = format!("{PREFIX}/message-log");
    let mut target = format!("{log}?domain=demo&toId=u2&size=1");
    for text in ["3", "2", "1"] {
        let answer = get(&target, "*/*").await;
        assert_eq!(answer.json()["list"][0]["content"], text, "{}", answer.body);
        let links = answer.header("link");
        let next = links.split(", ").find(|link| link.ends_with("\"next\""));
        if let Some(next) = next {
            let reference = next[1..].split('>').next().unwrap();
            target = resolved(&log, reference);
        } else {
            assert_eq!(text, "1");
        }
    }

    let description = get(&format!("{PREFIX}/openapi.json"), "*/*").await.json();
    let servers = description["servers"].as_array().unwrap();
    let reference = servers[0]["url"].as_str().unwrap();
    let base = resolved(&format!("{PREFIX}/openapi.json"), reference);
    assert_eq!(base, format!("{PREFIX}/"));

    // From an error's page to the console, and from there to all that it has.
    let lost = format!("{PREFIX}/no/such/page");
    let page = get(&lost, "text/html").await;
    assert_eq!(page.status, 404);
    let console = resolved(&lost, link(&page.body, "href=\"").next().unwrap());
    let page = get(&console, "text/html").await;
    assert!(page.body.contains("<script"), "{}", page.body);
    let assets = link(&page.body, "href=\"").chain(link(&page.body, "src=\""));
    for asset in assets.map(|asset| resolved(&console, asset)) {
        assert_eq!(get(&asset, "*/*").await.status, 200, "{asset}");
    }
}

fn link<'a>(page: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let parts = page.split(before).skip(1);
    parts.filter_map(|part| part.split('"').next())
}
