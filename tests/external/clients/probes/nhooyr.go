// A client by nhooyr.io/websocket: nhooyr LIBRARY URL HOW
//
// Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
// Busy is busy: whoever does not ask for the next message reads nothing.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"nhooyr.io/websocket"
)

func main() {
	socket, _, err := websocket.Dial(context.Background(), os.Args[2], nil)
	if err != nil {
		panic(err)
	}
	for seen := 0; ; seen++ {
		_, text, err := socket.Read(context.Background())
		var end websocket.CloseError
		if errors.As(err, &end) {
			fmt.Println("closed", int(end.Code), end.Reason)
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
