// Talks TLS with itself over many connections at once, each of which goes on in threads as the
// scheduler likes: each message names the connection that it belongs to.
//
// In: the folder of a certificate; a line on standard input, upon which it begins. Out: "ready" and
// its port, and an exit code. Never: a connection beyond loopback.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
)

const connections = 12

var sizes = []int{30, 100, 40000, 100000}

// A connection in another one, as libraries have them that count or log.
type carried struct {
	net.Conn
	bytes int
}

func (c *carried) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes += n
	return n, err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func port(address net.Addr) int {
	return address.(*net.TCPAddr).Port
}

// The number of the goroutine that calls this, which the runtime tells in traces alone.
func number() int {
	var text [64]byte
	var number int
	_, err := fmt.Sscanf(string(text[:runtime.Stack(text[:], false)]), "goroutine %d ", &number)
	check(err)
	return number
}

func message(port, size int) []byte {
	text := []byte(fmt.Sprintf("%05d %08d %08d ", port, size, number()))
	for n := len(text); n < size; n++ {
		text = append(text, byte(n*7%251))
	}
	return text
}

// Reads into the stack of a goroutine that has just begun, which has to grow meanwhile.
func read(conn *tls.Conn) []byte {
	got := make(chan []byte)
	go func() {
		var buffer [1024]byte
		n, err := conn.Read(buffer[:])
		check(err)
		got <- append([]byte(nil), buffer[:n]...)
	}()
	return <-got
}

func serve(raw net.Conn, config *tls.Config, all *sync.WaitGroup) {
	defer all.Done()
	at := port(raw.RemoteAddr())
	if at%2 == 1 {
		raw = &carried{raw, 0}
	}
	conn := tls.Server(raw, config)
	for _, size := range sizes {
		got := read(conn)
		rest := make([]byte, size-len(got))
		_, err := io.ReadFull(conn, rest)
		check(err)
		_, err = conn.Write([]byte(fmt.Sprintf("%05d got %d", at, size)))
		check(err)
	}
}

func ask(address string, config *tls.Config, all *sync.WaitGroup) {
	defer all.Done()
	conn, err := tls.Dial("tcp", address, config)
	check(err)
	at := port(conn.LocalAddr())
	for _, size := range sizes {
		_, err = conn.Write(message(at, size))
		check(err)
		runtime.Gosched()
		answer := read(conn)
		if string(answer) != fmt.Sprintf("%05d got %d", at, size) {
			check(fmt.Errorf("answered %q", answer))
		}
	}
}

func main() {
	runtime.GOMAXPROCS(4)
	certificate, err := tls.LoadX509KeyPair(os.Args[1]+"/cert.pem", os.Args[1]+"/key.pem")
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("ready", port(listener.Addr()))
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	accepting := &tls.Config{Certificates: []tls.Certificate{certificate}}
	asking := &tls.Config{InsecureSkipVerify: true}
	var all sync.WaitGroup
	all.Add(2 * connections)
	for n := 0; n < connections; n++ {
		go ask(listener.Addr().String(), asking, &all)
	}
	for n := 0; n < connections; n++ {
		conn, err := listener.Accept()
		check(err)
		go serve(conn, accepting, &all)
	}
	all.Wait()
}
