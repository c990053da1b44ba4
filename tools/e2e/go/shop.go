// HTTP/1.1, HTTP/2 and calls of gRPC over TLS by Go's own library, as server and as client.
//
// In: `serve HTTP1 HTTP2 GRPC FOLDER`: ports, and where `cert.pem` and `key.pem` are, or `ask WHAT PORT
// REQUESTS WAIT`: http1, http2 or grpc, and seconds to wait before it begins. Out: "ready", or a line of
// JSON for each request as the request log should have it. Never: a connection beyond loopback.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/ioutil"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	largeBytes  = 1 << 20
	uploadBytes = 400000
	askers      = 8
	errorEvery  = 5
	notFound    = 5
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(word string) int {
	value, err := strconv.Atoi(word)
	check(err)
	return value
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, err := ioutil.ReadAll(r.Body)
	check(err)
	switch strings.Split(r.URL.Path, "/")[1] {
	case "missing":
		w.WriteHeader(404)
	case "broken":
		w.WriteHeader(500)
	case "large":
		w.Write(bytes.Repeat([]byte("l"), largeBytes))
	case "text":
		for n := 0; n < 50; n++ {
			fmt.Fprintf(w, "line %d of a text\n", n)
			w.(http.Flusher).Flush()
		}
	case "up":
		w.WriteHeader(201)
	default:
		fmt.Fprintf(w, "fine %d\n", len(body))
	}
}

// A message of gRPC: not compressed, its length, its bytes.
func message(text string) []byte {
	frame := make([]byte, 5, 5+len(text))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(text)))
	return append(frame, text...)
}

func call(w http.ResponseWriter, r *http.Request) {
	_, err := ioutil.ReadAll(r.Body)
	check(err)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	if strings.HasSuffix(r.URL.Path, "Fail") {
		w.Header().Set("Grpc-Status", strconv.Itoa(notFound))
		return
	}
	w.Write(message("answer"))
	w.Header().Set("Grpc-Status", "0")
}

func serve(words []string) {
	http1, http2, grpc, folder := words[0], words[1], words[2], words[3]
	for _, one := range []struct {
		port     string
		handler  http.HandlerFunc
		protocol string
	}{{http1, answer, "http/1.1"}, {http2, answer, "h2"}, {grpc, call, "h2"}} {
		listener, err := tls.Listen("tcp", "127.0.0.1:"+one.port, config(one.protocol, folder))
		check(err)
		server := &http.Server{Handler: one.handler, TLSConfig: config(one.protocol, folder)}
		go server.Serve(listener)
	}
	fmt.Println("ready")
	io.Copy(ioutil.Discard, os.Stdin)
}

func config(protocol, folder string) *tls.Config {
	certificate, err := tls.LoadX509KeyPair(folder+"/cert.pem", folder+"/key.pem")
	check(err)
	protocols := []string{protocol}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols}
}

type told struct {
	Type     string `json:"type"`
	Resource string `json:"resource"`
	Code     int    `json:"code"`
}

func ask(client *http.Client, origin string, n int) told {
	kind := []string{"ok", "missing", "broken", "large", "ok", "text", "up", "ok"}[n%8]
	method, path, body := "GET", fmt.Sprintf("/%s?go=%d", kind, n), []byte(nil)
	if kind == "up" {
		method, path, body = "PUT", fmt.Sprintf("/up/go-%d", n), bytes.Repeat([]byte("u"), uploadBytes)
	}
	request, err := http.NewRequest(method, origin+path, bytes.NewReader(body))
	check(err)
	response, err := client.Do(request)
	check(err)
	_, err = io.Copy(ioutil.Discard, response.Body)
	check(err)
	response.Body.Close()
	return told{method, path, response.StatusCode}
}

func askCall(client *http.Client, origin string, n int) told {
	path := "/shop.Orders/Get"
	if n%errorEvery == 0 {
		path = "/shop.Orders/Fail"
	}
	body := bytes.NewReader(message(fmt.Sprintf("order %d", n)))
	request, err := http.NewRequest("POST", origin+path, body)
	check(err)
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	response, err := client.Do(request)
	check(err)
	_, err = ioutil.ReadAll(response.Body)
	check(err)
	response.Body.Close()
	status := response.Trailer.Get("Grpc-Status")
	return told{"POST", path, number(status)}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2:])
		return
	}
	what, origin, requests := os.Args[2], "https://127.0.0.1:"+os.Args[3], number(os.Args[4])
	time.Sleep(time.Duration(number(os.Args[5])) * time.Second)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2:   what != "http1",
		MaxIdleConnsPerHost: askers,
	}}
	one := ask
	if what == "grpc" {
		one = askCall
	}
	var all sync.WaitGroup
	var lines sync.Mutex
	for asker := 0; asker < askers; asker++ {
		all.Add(1)
		go func(asker int) {
			defer all.Done()
			for n := asker; n < requests; n += askers {
				line, err := json.Marshal(one(client, origin, n))
				check(err)
				lines.Lock()
				fmt.Println(string(line))
				lines.Unlock()
			}
		}(asker)
	}
	all.Wait()
}
