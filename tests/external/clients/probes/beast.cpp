// A client by Boost.Beast: beast LIBRARY URL HOW
//
// Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
// HOW is "blocked", where the wait blocks the thread, or "idle", where only the next message is not asked for.

#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <iostream>
#include <string>
#include <thread>

namespace asio = boost::asio;
namespace beast = boost::beast;

struct Client {
  asio::io_context context;
  beast::websocket::stream<beast::tcp_stream> socket{context};
  beast::flat_buffer buffer;
  std::thread waiting;
  bool is_idle = false, waited = false;

  void read() {
    socket.async_read(buffer, [this](beast::error_code error, std::size_t) {
      if (error) {
        if (error != beast::websocket::error::closed) throw beast::system_error{error};
        std::cout << "closed " << socket.reason().code << " " << socket.reason().reason << std::endl;
        return context.stop();
      }
      std::cout << "message " << beast::buffers_to_string(buffer.data()) << std::endl;
      buffer.clear();
      if (std::exchange(waited, true)) return read();
      auto wait = [this] {
        std::cin.get();
        asio::post(context, [this] { read(); });
      };
      if (is_idle) waiting = std::thread(wait);
      else wait();
    });
  }
};

int main(int, char **argv) {
  std::string url = argv[2], rest = url.substr(url.find("//") + 2);
  auto slash = rest.find('/'), colon = rest.find(':');
  Client client;
  client.is_idle = argv[3] == std::string("idle");
  asio::ip::tcp::endpoint peer{asio::ip::make_address(rest.substr(0, colon)),
                               static_cast<unsigned short>(std::stoi(rest.substr(colon + 1)))};
  beast::get_lowest_layer(client.socket).connect(peer);
  client.socket.handshake(rest.substr(0, slash), rest.substr(slash));
  auto open = asio::make_work_guard(client.context);
  client.read();
  client.context.run();
  if (client.waiting.joinable()) client.waiting.join();
}
