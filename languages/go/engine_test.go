package nightcore_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An engine is a running engine. Its functions run this test program.
type engine struct {
	t   *testing.T
	url string
	dir string
}

// within is the longest time that any operation may take.
const within = 20 * time.Second

// start starts an engine with these functions. The engine is stopped when the test ends. The test
// fails if the exit code of the engine is not 0.
func start(t *testing.T, functions ...string) *engine {
	t.Helper()
	return startOver(t, "ring", functions...)
}

// startOver does what start does, with channels of this kind.
func startOver(t *testing.T, channel string, functions ...string) *engine {
	t.Helper()
	return startWith(t, fmt.Sprintf("channel = %q", channel), functions...)
}

// startWith does what start does, with these defaults for the functions.
func startWith(t *testing.T, defaults string, functions ...string) *engine {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := "[gateway]\nlisten = \"127.0.0.1:0\"\n" +
		"[defaults]\nexpose_errors = true\n" + defaults + "\n"
	for _, function := range functions {
		config += fmt.Sprintf("[functions.%s]\ncommand = [%q]\n", function, program)
	}
	file := filepath.Join(dir, "nightcore.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// The path is short, because the length of a socket's path is limited.
	home, err := os.MkdirTemp("", "nc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(home, "e")
	command := exec.Command("nightcore", "up", "--config", file, "--dir", own, "--ready-fd", "3")
	command.ExtraFiles = []*os.File{readyEnd}
	var log strings.Builder
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatalf("the engine cannot be started (the command nightcore must be in PATH): %v", err)
	}
	_ = readyEnd.Close()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("the engine did not end well: %v", err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	line, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil || strings.Contains(line, "failed") {
		t.Fatalf("the engine is not ready: %q, %v", line, err)
	}
	_, address, _ := strings.Cut(line, "http://")
	address, _, _ = strings.Cut(strings.TrimSpace(address), ",")
	return &engine{t, "http://" + address, filepath.Join(home, "e")}
}

// post calls a function.
func (e *engine) post(path, body string) (int, string) {
	e.t.Helper()
	client := http.Client{Timeout: within}
	response, err := client.Post(e.url+"/function/"+path, "", strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// reload replaces the processes of a function with new ones.
func (e *engine) reload(function string) {
	e.t.Helper()
	command := exec.Command("nightcore", "reload", "--dir", e.dir, function)
	if said, err := command.CombinedOutput(); err != nil {
		e.t.Fatalf("%v: %s", err, said)
	}
}

// answers checks that a function gives this answer.
func (e *engine) answers(path, body, expected string) {
	e.t.Helper()
	if status, text := e.post(path, body); status != http.StatusOK || text != expected {
		e.t.Fatalf("%s answered %d %q instead of %q", path, status, text, expected)
	}
}

// becomes waits until a function gives this answer.
func (e *engine) becomes(path, body, expected string) {
	e.t.Helper()
	for end := time.Now().Add(within); ; {
		_, text := e.post(path, body)
		if text == expected {
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("%s answered %q and not %q", path, text, expected)
		}
	}
}
