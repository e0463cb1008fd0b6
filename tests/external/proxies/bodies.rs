//! How large a request's body may be.

use super::Setup;
use super::configured::Proxy;

/// Above what nginx lets pass by default.
const CONTENT_BYTES: usize = 3 << 20;
const SETTINGS: [&str; 2] = ["--content-bytes-max", "4MiB"];

#[tokio::test]
async fn only_nginx_has_to_be_told_of_large_ones() {
    for proxy in Proxy::ALL {
        let Some((setup, _proxy)) = Setup::behind_with(proxy, &[], &SETTINGS).await else {
            continue;
        };
        let expected = if proxy == Proxy::Nginx { 413 } else { 201 };
        let status = setup.post("bob", &"x".repeat(CONTENT_BYTES)).await.status;
        assert_eq!(status, expected, "{proxy:?}");
    }
}

#[tokio::test]
async fn nginx_takes_what_it_is_told_to() {
    let larger = [(
        "access_log off;",
        "access_log off;\nclient_max_body_size 8m;",
    )];
    let Some((setup, _proxy)) = Setup::behind_with(Proxy::Nginx, &larger, &SETTINGS).await else {
        return;
    };
    let posted = setup.post("bob", &"x".repeat(CONTENT_BYTES)).await;
    assert_eq!(posted.status, 201, "{}", posted.body);
}
