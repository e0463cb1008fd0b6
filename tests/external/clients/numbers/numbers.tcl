# Reads {"msgId":…} with tcllib and writes the number back: numbers.tcl HOW TEXT

package require json

lassign $argv how text
set id [dict get [::json::json2dict $text] msgId]
if {$how eq "double"} { set id [expr {double($id)}] }
puts "{\"received\":$id}"
