# A client by faye-websocket: probe.rb faye_websocket URL HOW
#
# Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
# HOW is "blocked", where the wait blocks the loop, or "idle", where the handler returns.

require "faye/websocket"
require "eventmachine"

_, url, how = ARGV
$stdout.sync = true
seen = 0

EM.run do
  socket = Faye::WebSocket::Client.new(url)
  socket.on :message do |event|
    puts "message #{event.data}"
    seen += 1
    $stdin.gets if seen == 1 && how == "blocked"
  end
  socket.on :close do |event|
    puts "closed #{event.code} #{event.reason}"
    EM.stop
  end
end
