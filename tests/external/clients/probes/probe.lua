-- A client by lua-http: probe.lua lua_http URL HOW
--
-- Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
-- Busy is busy: whoever does not ask for the next message reads nothing.

local websocket = require "http.websocket"

io.stdout:setvbuf "line"
local socket = websocket.new_from_uri(arg[2])
assert(socket:connect())
local seen = 0
while true do
  local text, reason, code = socket:receive()
  if not text then
    print("closed " .. code .. " " .. reason)
    break
  end
  print("message " .. text)
  seen = seen + 1
  if seen == 1 then io.read() end
end
