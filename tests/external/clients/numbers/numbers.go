// Reads {"msgId":…} and writes the number back: numbers HOW TEXT

package main

import (
	"encoding/json"
	"os"
	"strings"
)

func main() {
	read := json.NewDecoder(strings.NewReader(os.Args[2]))
	var id any
	switch os.Args[1] {
	case "int64":
		var message struct{ MsgId int64 }
		read.Decode(&message)
		id = message.MsgId
	case "UseNumber":
		read.UseNumber()
		fallthrough
	default:
		var message map[string]any
		read.Decode(&message)
		id = message["msgId"]
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"received": id})
}
