-- Reads {"msgId":…} and writes the number back: numbers.lua LIBRARY HOW TEXT

local json = require(arg[1])
local id = json.decode(arg[3]).msgId
print(arg[2] == "format" and ("%.0f"):format(id) or json.encode { received = id })
