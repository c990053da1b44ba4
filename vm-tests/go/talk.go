// HTTP over TLS by Go's own library, as server and as client.
//
// In: `serve ADDRESS`: answers until the connections of one client have ended; `ask ADDRESS`. Out:
// "listening", or "port" and that of the client, and an exit code. The certificate is made at the start
// and checked by nobody: clocks of guests may stand anywhere. Never: a connection beyond loopback.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/ioutil"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	text := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, text, text, key.Public(), key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	answer := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			w.WriteHeader(404)
			io.WriteString(w, "no")
			return
		}
		io.WriteString(w, "hello")
	}
	ended := make(chan bool, 1)
	server := &http.Server{
		Handler: http.HandlerFunc(answer),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				ended <- true
			}
		},
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	fmt.Println("listening")
	go server.Serve(tls.NewListener(listener, config))
	<-ended
}

func ask(address string) {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "shop.test"})
	check(err)
	fmt.Println("port", conn.LocalAddr().(*net.TCPAddr).Port)
	reader := bufio.NewReader(conn)
	for _, wanted := range []struct {
		path string
		code int
	}{{"/hello", 200}, {"/missing", 404}} {
		request, err := http.NewRequest("GET", "https://shop.test"+wanted.path, nil)
		check(err)
		check(request.Write(conn))
		response, err := http.ReadResponse(reader, request)
		check(err)
		_, err = io.Copy(ioutil.Discard, response.Body)
		check(err)
		if response.StatusCode != wanted.code {
			check(fmt.Errorf("%s: %s", wanted.path, response.Status))
		}
	}
	check(conn.Close())
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	ask(os.Args[2])
}
