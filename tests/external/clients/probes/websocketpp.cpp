// A client by websocketpp: websocketpp LIBRARY URL HOW
//
// Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
// HOW is "blocked", where the wait blocks the loop, or "idle", where the handler returns.

#include <iostream>
#include <string>
#include <websocketpp/client.hpp>
#include <websocketpp/config/asio_no_tls_client.hpp>

using Client = websocketpp::client<websocketpp::config::asio_client>;

int main(int, char **argv) {
  bool is_blocked = argv[3] == std::string("blocked"), waited = false;
  Client client;
  client.clear_access_channels(websocketpp::log::alevel::all);
  client.init_asio();
  client.set_message_handler([&](websocketpp::connection_hdl, Client::message_ptr message) {
    std::cout << "message " << message->get_payload() << std::endl;
    if (is_blocked && !std::exchange(waited, true)) std::cin.get();
  });
  client.set_close_handler([&](websocketpp::connection_hdl handle) {
    auto connection = client.get_con_from_hdl(handle);
    std::cout << "closed " << connection->get_remote_close_code() << " " << connection->get_remote_close_reason()
              << std::endl;
  });
  websocketpp::lib::error_code error;
  auto connection = client.get_connection(argv[2], error);
  if (error) throw std::runtime_error(error.message());
  client.connect(connection);
  client.run();
}
