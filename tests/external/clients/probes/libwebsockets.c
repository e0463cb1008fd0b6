/* A client by libwebsockets: libwebsockets LIBRARY URL HOW
 *
 * Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
 * LIBRARY is "libwebsockets", or "flow_control" for a callback that stops the flow of what comes until it is told to
 * go on. HOW is "blocked", where the wait blocks the loop, or "idle", where the callback returns. */

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lws *stopped;
static int is_blocked, stops_flow, seen, done;

static int handle(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  (void)user;
  if (reason == LWS_CALLBACK_CLIENT_RECEIVE) {
    printf("message %.*s\n", (int)len, (const char *)in);
    if (seen++ > 0) return 0;
    if (is_blocked) getchar();
    else if (stops_flow) lws_rx_flow_control(stopped = wsi, 0);
  }
  if (reason == LWS_CALLBACK_WS_PEER_INITIATED_CLOSE) {
    unsigned short code;
    memcpy(&code, in, sizeof code);
    printf("closed %d %.*s\n", ntohs(code), (int)len - 2, (const char *)in + 2);
  }
  if (reason == LWS_CALLBACK_CLIENT_CLOSED || reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) done = 1;
  return 0;
}

int main(int argc, char **argv) {
  static const struct lws_protocols protocols[] = {{"probe", handle, 0, 0, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};
  struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols};
  struct pollfd input = {.fd = 0, .events = POLLIN};
  char host[100], path[1000];
  int port;
  if (argc != 4 || sscanf(argv[2], "ws://%99[^:]:%d%999[^\n]", host, &port, path) != 3) return 2;
  stops_flow = !strcmp(argv[1], "flow_control");
  is_blocked = !strcmp(argv[3], "blocked");
  setvbuf(stdout, NULL, _IOLBF, 0);
  lws_set_log_level(LLL_ERR, NULL);
  struct lws_context *context = lws_create_context(&info);
  struct lws_client_connect_info to = {.context = context, .address = host, .port = port, .path = path,
    .host = host, .origin = host, .local_protocol_name = "probe"};
  if (!context || !lws_client_connect_via_info(&to)) return 1;
  while (!done && lws_service(context, stopped ? -1 : 0) >= 0) {
    if (stopped && poll(&input, 1, 10) > 0) {
      lws_rx_flow_control(stopped, 1);
      stopped = NULL;
    }
  }
  lws_context_destroy(context);
  return 0;
}
