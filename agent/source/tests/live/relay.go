// A server of HTTP that asks another one before it answers, in goroutines of its own as programs do.
//
// In: `relay`; a line on standard input, upon which it begins. Out: "ready" and the ports of both, an
// exit code. Every question names the request that it is asked for. Never: a connection beyond
// loopback.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"io/ioutil"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

const (
	askers = 8
	rounds = 6
)

// Linked in, since programs of Go are looked for by it.
var _ = tls.VersionTLS12

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(client *http.Client, url string) {
	response, err := client.Get(url)
	check(err)
	_, err = io.Copy(ioutil.Discard, response.Body)
	check(err)
	response.Body.Close()
}

// By hand, on a connection of its own, in the goroutine that calls.
func raw(address, path string) {
	conn, err := net.Dial("tcp", address)
	check(err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: behind\r\nConnection: close\r\n\r\n", path)
	_, err = ioutil.ReadAll(conn)
	check(err)
}

// Asks what is behind by as many ways as the first word of the path says.
func ask(behind, path string) {
	id := path[strings.LastIndex(path, "/")+1:]
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var all sync.WaitGroup
	switch strings.Split(path, "/")[1] {
	case "client":
		get(fresh, "http://"+behind+"/behind/client/"+id)
	case "child":
		all.Add(1)
		go func() { defer all.Done(); raw(behind, "/behind/child/"+id) }()
	case "grandchild":
		all.Add(1)
		go func() {
			inner := make(chan bool)
			go func() { raw(behind, "/behind/grandchild/"+id); inner <- true }()
			<-inner
			all.Done()
		}()
	case "both":
		for n := 0; n < 2; n++ {
			all.Add(1)
			go func() { defer all.Done(); get(fresh, "http://"+behind+"/behind/both/"+id) }()
		}
	}
	all.Wait()
}

func listen() (net.Listener, int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return listener, listener.Addr().(*net.TCPAddr).Port
}

func main() {
	front, frontPort := listen()
	behind, behindPort := listen()
	go http.Serve(behind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "from behind")
	}))
	go http.Serve(front, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask(behind.Addr().String(), r.URL.Path)
		fmt.Fprint(w, "answered")
	}))
	fmt.Println("ready", frontPort, behindPort)
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	var all sync.WaitGroup
	for asker := 0; asker < askers; asker++ {
		all.Add(1)
		go func(asker int) {
			defer all.Done()
			// One connection each, so that its goroutine serves one request after the other.
			client := &http.Client{Transport: &http.Transport{}}
			for n := 0; n < rounds; n++ {
				for _, way := range []string{"client", "child", "grandchild", "both", "none"} {
					get(client, fmt.Sprintf("http://127.0.0.1:%d/%s/%d-%d-%s", frontPort, way, asker, n, way))
				}
			}
		}(asker)
	}
	all.Wait()
}
