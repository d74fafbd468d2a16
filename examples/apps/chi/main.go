// A notes app in chi, which runs as a server by `PORT=8000 ./app` or as a function of Nightcore.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	nightcore "github.com/nightcore/nightcore/languages/go"
)

type note struct {
	ID   int      `json:"id"`
	Text string   `json:"text"`
	Tags []string `json:"tags"`
}

type notes struct {
	mu   sync.Mutex
	kept []note
}

func main() {
	app := new(notes).routes()
	if port := os.Getenv("PORT"); port != "" {
		log.Fatal(http.ListenAndServe("127.0.0.1:"+port, app))
	}
	nightcore.HandleHTTP("Chi", app)
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}

func (n *notes) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	r.Get("/", n.index)
	r.Get("/notes", n.list)
	r.Post("/notes", n.create)
	r.Get("/notes/{number}", n.show)
	r.Delete("/notes/{number}", n.remove)
	r.Post("/login", login)
	r.Get("/me", me)
	r.Get("/inspect/*", inspect)
	r.Post("/inspect-body", inspectBody)
	r.Put("/inspect-body", inspectBody)
	r.Patch("/inspect-body", inspectBody)
	r.Get("/bytes/{count}", someBytes)
	r.Get("/stream", stream)
	r.Get("/status/{code}", status)
	r.Get("/boom", func(http.ResponseWriter, *http.Request) { panic("boom") })
	r.Post("/upper", upper)
	return r
}

// base returns the prefix of the app's paths.
func base(r *http.Request) string {
	if req := nightcore.FromContext(r.Context()); req != nil {
		return req.Metadata.Get(":prefix")
	}
	return ""
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (n *notes) index(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = io.WriteString(w, "<h1>Notes</h1><ul>")
	for _, each := range n.kept {
		_, _ = fmt.Fprintf(w, "<li>%s</li>", each.Text)
	}
	_, _ = io.WriteString(w, "</ul>")
}

func (n *notes) list(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := []note{}
	for _, each := range n.kept {
		missing := slices.ContainsFunc(r.URL.Query()["tag"], func(tag string) bool {
			return !slices.Contains(each.Tags, tag)
		})
		if !missing {
			found = append(found, each)
		}
	}
	answer(w, http.StatusOK, found)
}

func (n *notes) create(w http.ResponseWriter, r *http.Request) {
	created := note{Tags: []string{}}
	if err := json.NewDecoder(r.Body).Decode(&created); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	created.ID = len(n.kept) + 1
	n.kept = append(n.kept, created)
	w.Header().Set("Location", fmt.Sprintf("%s/notes/%d", base(r), created.ID))
	answer(w, http.StatusCreated, created)
}

func (n *notes) find(r *http.Request) int {
	number, err := strconv.Atoi(chi.URLParam(r, "number"))
	if err != nil {
		return -1
	}
	return slices.IndexFunc(n.kept, func(each note) bool { return each.ID == number })
}

func (n *notes) show(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := n.find(r); at >= 0 {
		answer(w, http.StatusOK, n.kept[at])
		return
	}
	answer(w, http.StatusNotFound, map[string]string{"detail": "no such note"})
}

func (n *notes) remove(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := n.find(r); at >= 0 {
		n.kept = slices.Delete(n.kept, at, at+1)
	}
	w.WriteHeader(http.StatusNoContent)
}

func login(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "s3cret", HttpOnly: true, Path: "/"})
	http.SetCookie(w, &http.Cookie{Name: "name", Value: r.PostFormValue("name"), Path: "/"})
	http.Redirect(w, r, base(r)+"/me", http.StatusSeeOther)
}

func me(w http.ResponseWriter, r *http.Request) {
	name, err := r.Cookie("name")
	if err != nil {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, name.Value)
}

func inspect(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"method": r.Method, "path": r.URL.Path, "raw": r.URL.EscapedPath(), "query": r.URL.RawQuery,
		"many": r.Header.Values("x-many"), "host": r.Host,
	})
}

func inspectBody(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"length": len(body),
		"sha256": fmt.Sprintf("%x", sha256.Sum256(body)),
		"type":   r.Header.Get("content-type"),
	})
}

func someBytes(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(chi.URLParam(r, "count"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := make([]byte, count)
	for i := range body {
		body[i] = byte(i % 251)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(body)
}

func stream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		_, _ = io.WriteString(w, line)
		_ = http.NewResponseController(w).Flush()
	}
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(chi.URLParam(r, "code"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, chi.URLParam(r, "code"))
}

func upper(w http.ResponseWriter, r *http.Request) {
	if nightcore.FromContext(r.Context()) == nil {
		http.Error(w, "this is not a function of Nightcore", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		body, err = nightcore.Call(r.Context(), "Upper", body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = w.Write(body)
}
