// A client by github.com/gorilla/websocket: gorilla LIBRARY URL HOW
//
// Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
// Busy is busy: whoever does not ask for the next message reads nothing.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/gorilla/websocket"
)

func main() {
	socket, _, err := websocket.DefaultDialer.Dial(os.Args[2], nil)
	if err != nil {
		panic(err)
	}
	for seen := 0; ; seen++ {
		_, text, err := socket.ReadMessage()
		var end *websocket.CloseError
		if errors.As(err, &end) {
			fmt.Println("closed", end.Code, end.Text)
			return
		}
		if err != nil {
			panic(err)
		}
		fmt.Println("message", string(text))
		if seen == 0 {
			bufio.NewReader(os.Stdin).ReadString('\n')
		}
	}
}
