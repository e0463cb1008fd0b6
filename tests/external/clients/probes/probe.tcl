# A client by tcllib's websocket: probe.tcl tcllib URL HOW
#
# Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
# HOW is "blocked", where the wait blocks the loop, or "idle", where the handler returns.

package require websocket

lassign $argv library url how
set seen 0

proc handle {socket type message} {
    global seen how ended
    switch $type {
        text {
            puts "message $message"
            if {[incr seen] == 1 && $how eq "blocked"} { gets stdin }
        }
        close {
            puts "closed [join $message]"
            set ended 1
        }
    }
}

fconfigure stdout -buffering line
::websocket::open $url handle
vwait ended
